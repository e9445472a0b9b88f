"""What a compiled help file (CHM) says of itself in #SYSTEM: title, when and from which folder it was compiled.

Source: "Unofficial (Preliminary) HTML Help Specification", Paul Wise and Jed Wing, 2003, "#SYSTEM".
Of files made in some zones the two times are hours apart, so neither is told as UTC.
Limits: names of windows and fonts, and the entries that tell the viewer what to show, are left out.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import ClassVar

from indexer.handler import Handler, Signature, Stream
from indexer.handlers._windows import narrow
from indexer.model import Fact, Field, Problem, Text, replace
from indexer.timestamps import from_filetime, from_unix

_TEXTS = {2: "chm.start_page", 3: "chm.title", 6: "chm.compiled_path", 9: "chm.compiler"}
_ABOUT, _TIME = 4, 10
_LAST = 16
_MOST = 1 << 20


class ChmSystem(Handler):
    name = "chm-system"
    media_types = ("application/x-chm-system",)
    signatures = (Signature(b"\2\0\0\0\x0a\0\4\0"), Signature(b"\3\0\0\0\x0a\0\4\0"))
    fields: ClassVar[dict[str, str]] = {
        "chm.title": "title of the help file",
        "chm.start_page": "page that it opens with",
        "chm.compiled_path": "folder and name of the file on the machine that compiled it, without its suffix",
        "chm.compiler": "program that compiled it",
        "refers_to": "path or name of another file that this one uses",
    }
    reads = "title, first page, the folder it was compiled in, compiler, times"

    def claims(self, stream: Stream) -> str | None:
        code, size = struct.unpack("<HH", stream.head[12:16].ljust(4, b"\xff"))
        return self.media_types[0] if code <= _LAST and size <= stream.size else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        said = []
        for code, size, data in _entries(stream.at(0, _MOST)):
            if len(data) < size:
                yield Problem(
                    "truncated", f"{size - len(data)} bytes of an entry are missing", resolution="read up to there"
                )
            if (name := _TEXTS.get(code)) and (text := narrow(data)):
                yield Field(name, text)
                said.append(text)
                if code == 6:
                    yield Field("refers_to", text)
            stamp = None
            if code == _TIME and len(data) == 4:
                stamp = from_unix("compiled", int.from_bytes(data, "little"), "chm.time")
            elif code == _ABOUT and len(data) >= 28:
                stamp = from_filetime("compiled", int.from_bytes(data[20:28], "little"), "chm.filetime")
            if stamp:
                yield replace(stamp, zone_known=False)
        yield Text("\n".join(said), "properties")


def _entries(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Code, declared size and data of each."""
    at = 4
    while at + 4 <= len(data):
        code, size = struct.unpack_from("<HH", data, at)
        if code > _LAST:
            return
        yield code, size, data[at + 4 : at + 4 + size]
        at += 4 + size
