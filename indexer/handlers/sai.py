"""Documents of Paint Tool SAI 2: size, resolution, layers that hold data; those of SAI 1 are recognised.

Source: none published; the header and table of SAI 2 (SAI-CANVAS) as its technical previews write them.
Limits: no picture and no name of a layer is read; SAI 1 (.sai) encrypts whole files and is told by its suffix.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.handler import CONTROLS, Handler, Signature, Stream
from indexer.handlers import _picture
from indexer.model import Fact, Field, Problem

ENTRIES: Final = 100_000
_MARK: Final = b"SAI-CANVAS"
_PAGE: Final = 4096


class Sai(Handler):
    name = "sai"
    media_types = ("image/x-sai2", "image/x-sai")
    signatures = (Signature(b""),)
    suffixes = (".sai2", ".sai")
    holds = CONTROLS
    fields: ClassVar[dict[str, str]] = {
        **_picture.FIELDS,
        "sai.format": "mark at its head, with the version of the format",
        "sai.entry": "kind of data in the document and the number of the layer it belongs to",
        "sai.entries": "pieces of data in the document",
    }
    reads = "dimensions, resolution, pieces of data (of SAI 2; SAI 1 is recognised)"
    rank = 58

    def claims(self, stream: Stream) -> str | None:
        if stream.head.startswith(_MARK):
            return self.media_types[0]
        # A file of SAI 1 has no mark: whole pages that look like noise from the first byte on.
        if stream.suffix != ".sai" or stream.size % _PAGE or len(set(stream.head[:_PAGE])) < 240:
            return None
        return self.media_types[1]

    def read(self, stream: Stream) -> Iterator[Fact]:
        head = stream.at(0, 64)
        if not head.startswith(_MARK):
            yield Problem("encrypted", "a document of SAI 1 is encrypted by its program", resolution="not opened")
            return
        yield Field("sai.format", head[:16].decode("latin-1").strip("\0"))
        if len(head) < 64:
            yield Problem("truncated", "the header is cut off")
            return
        width, height, density, count = struct.unpack_from("<4I", head, 20)
        yield from _picture.shape(width, height)
        if 0 < density < 100_000:
            yield Field("picture.dpi", density)
        yield Field("sai.entries", count)
        seen: set[str] = set()
        cut = False
        for number in range(min(count, ENTRIES)):
            entry = stream.at(64 + 16 * number, 16)
            if len(entry) < 16:
                cut = True
                break
            kind, layer, start = struct.unpack("<4sIQ", entry)
            cut |= start >= stream.size
            name = kind.decode("latin-1")
            label = f"{name} {layer}" if name.isalnum() else ""
            if label and label not in seen:
                seen.add(label)
                yield Field("sai.entry", label)
        if cut:
            yield Problem("truncated", "the table points behind the end of the file")
