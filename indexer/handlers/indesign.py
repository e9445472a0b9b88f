"""Adobe InDesign documents: XMP with its history and linked files, thumbnails of pages, version.

Source: Adobe XMP Specification Part 3, 1.1.6 (InDesign: database pages, contiguous objects).
Limits: the document itself is a database that Adobe keeps to itself; its texts are left to strings.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _picture, _refs, _xmp
from indexer.handlers._runs import carve
from indexer.model import Fact, Field, Problem

OBJECTS: Final = 10_000
_MARK: Final = bytes.fromhex("0606edf5d81d46e5bd31efe7fe74b71d")
_OBJECT: Final = bytes.fromhex("de39397951884b6c8e63eef8aee0dd38")
_PAGE: Final = 4096


class InDesign(Handler):
    name = "indesign"
    version = 2
    media_types = ("application/x-indesign", "application/x-adobe-indesign")
    signatures = (Signature(_MARK),)
    suffixes = (".indd", ".indt", ".indb", ".inx", ".indl")
    fields: ClassVar[dict[str, str]] = {
        **_xmp.FIELDS,
        **_refs.FIELDS,
        **_picture.FIELDS,
        "indesign.kind": "document, template, book or library, by the mark at its head",
        "indesign.pages": "pages of the database, 4,096 bytes each",
    }
    reads = "XMP and its history, linked files, thumbnails, readable strings"
    needs = ("lxml",)
    rank = 40
    container = True

    def read(self, stream: Stream) -> Iterator[Fact]:
        # Two headers take turns: the one with the higher number is in force.
        heads = [stream.at(place, _PAGE) for place in (0, _PAGE)]
        head = max(heads, key=lambda each: int.from_bytes(each[264:272], "little"))
        yield Field("indesign.kind", head[16:24].decode("latin-1").strip("\0 "))
        pages = int.from_bytes(head[280:284], "little")
        yield Field("indesign.pages", pages)
        blocks = _picture.Blocks()
        position = pages * _PAGE
        for _ in range(OBJECTS):
            entry = stream.at(position, 32)
            if len(entry) < 32 or entry[:16] != _OBJECT:
                break
            size = struct.unpack_from("<I", entry, 24)[0]
            data = stream.at(position + 32, min(size, _picture.INFLATED))
            start = data[:200].find(b"<?xpacket")
            if start >= 0:
                yield from blocks.read(_xmp.read_xmp, data[start:])
            # Behind the data the same 32 bytes stand once more, with another mark.
            position += 64 + size
        if pages * _PAGE > stream.size:
            yield Problem("truncated", f"the database has {pages} pages, the file {stream.size // _PAGE}")
        yield from carve(stream)
