"""STL models, as text and binary: the name, or the head; how many triangles.

Source: the STL formats of 3D Systems, StereoLithography Interface Specification (1989).
Limits: triangles are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.handler import Handler, Stream
from indexer.handlers import _picture
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem

_TEXT: Final = re.compile(rb"\s{0,40}solid\b([^\r\n]{0,400})\r?\n\s{0,400}(?:facet\s{1,40}normal\s|endsolid)")
_PLAIN: Final = bytes((*range(9, 14), *range(32, 127), *range(128, 256)))
_SOLID: Final = re.compile(rb"^[ \t]{0,40}solid[ \t]([^\r\n]{1,400})", re.M)


class StlModel(Handler):
    name = "stl"
    media_types = ("model/stl", "model/x.stl-binary", "model/x.stl-ascii")
    suffixes = (".stl",)
    fields: ClassVar[dict[str, str]] = {
        "stl.name": "name of a solid, or what the head says",
        "stl.triangles": "how many triangles there are",
    }
    reads = "names, number of triangles"
    rank = 60

    def claims(self, stream: Stream) -> str | None:
        if _TEXT.match(stream.head):
            return self.media_types[2]
        count = int.from_bytes(stream.head[80:84], "little")
        # A file whose size fits to the byte; its head is text, and there is something in it.
        fits = count > 0 and stream.size == 84 + 50 * count
        return self.media_types[1] if fits and not stream.head[:80].strip(b"\0").translate(None, _PLAIN) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        if _TEXT.match(stream.head):
            yield from _read_text(stream)
            return
        yield from _picture.said("stl.name", _picture.read_text(stream.head[:80].split(b"\0")[0]), "head")
        yield Field("stl.triangles", int.from_bytes(stream.head[80:84], "little"))


def _read_text(stream: Stream) -> Iterator[Fact]:
    count, rest, ended = 0, b"", False
    names: dict[bytes, None] = {}
    for position in range(0, stream.size, MIB):
        data = rest + stream.at(position, MIB)
        cut = data.rfind(b"\n") + 1 or len(data)
        rest = data[cut:][-MIB:]
        count += data.count(b"endfacet", 0, cut)
        ended = ended or b"endsolid" in data
        if len(names) < 10_000:
            names.update(dict.fromkeys(match[1].strip() for match in _SOLID.finditer(data[:cut])))
    codec = _picture.shared_codec(names)
    for name in names:
        yield from _picture.said("stl.name", _picture.read_text(name, codec), "name")
    yield Field("stl.triangles", count)
    if not ended:
        yield Problem("truncated", "no end of the solid")
