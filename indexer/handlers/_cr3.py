"""What Canon puts into the boxes of a raw picture (CR3): metadata in TIFF form, and three JPEG pictures.

Source: none published; the boxes as cameras since 2018 write them (CMT1 to CMT4, THMB, PRVW, tracks CRAW).
Limits: maker notes (CMT3) are left out; the raw pictures are not decoded; timed metadata (CTMD) is not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers import _exif, _picture
from indexer.handlers._boxes import Box, boxes, find
from indexer.handlers._ifd import Ifds
from indexer.limits import MIB
from indexer.model import Fact

METADATA: Final = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
PREVIEW: Final = bytes.fromhex("eaf42b5e1c984b88b9fbb7dc406e4d16")
_JPEG: Final = b"\xff\xd8\xff"


def read_metadata(stream: Stream, box: Box) -> Iterator[Fact]:
    """The directories of a Canon raw picture, each in TIFF form, and its thumbnail."""
    blocks = _picture.Blocks()
    for inner in boxes(stream, box.start + 16, min(box.end, stream.size)):
        if inner.kind in (b"CMT1", b"CMT2", b"CMT4"):
            block = inner.data(stream, MIB)
            if inner.kind == b"CMT1":
                yield from _shape(block)
            yield from blocks.read(_exif.read_exif_block, block)
        elif inner.kind == b"THMB":
            yield from _jpeg_in(stream, inner, "thumbnail.jpg", "thumbnail")


def read_preview(stream: Stream, box: Box) -> Iterator[Fact]:
    """The middle-sized picture, eight bytes after the box's mark."""
    for inner in boxes(stream, box.start + 24, min(box.end, stream.size)):
        if inner.kind == b"PRVW":
            yield from _jpeg_in(stream, inner, "preview.jpg", "preview")


def read_track(stream: Stream, track: Box) -> Iterator[Fact]:
    """The full-sized picture, where the track holds one JPEG."""
    table = find(stream, track, b"mdia", b"minf", b"stbl")
    places = table and (find(stream, table, b"co64") or find(stream, table, b"stco"))
    sizes = table and find(stream, table, b"stsz")
    if not places or not sizes:
        return
    wide = 8 if places.kind == b"co64" else 4
    head, lengths = places.data(stream, 16), sizes.data(stream, 16)
    start = int.from_bytes(head[8 : 8 + wide], "big")
    length = int.from_bytes(lengths[4:8], "big") or int.from_bytes(lengths[12:16], "big")
    if length > 3 and stream.at(start, 3) == _JPEG:
        yield _picture.member(stream, "full.jpg", start, min(length, stream.size - start), "preview")


def _jpeg_in(stream: Stream, box: Box, name: str, kind: str) -> Iterator[Fact]:
    """The picture behind the few numbers that a box begins with."""
    at = stream.at(box.start, 64).find(_JPEG)
    end = min(box.end, stream.size)
    if at >= 0 and box.start + at < end:
        yield _picture.member(stream, name, box.start + at, end - box.start - at, kind)


def _shape(block: bytes) -> Iterator[Fact]:
    try:
        ifds = Ifds(lambda at, length: block[at : at + length])
        first = ifds.directory(ifds.first)
    except EvidenceError:
        return
    width, height = ifds.number(first, 256), ifds.number(first, 257)
    if width and height:
        yield from _picture.shape(width, height, "CFA")
