"""BPG pictures: shape, EXIF, XMP, colour profile, preview.

Source: BPG Specification 0.9.8 (F. Bellard), sections 2 and 3.
Limits: the HEVC data are not decoded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _exif, _picture, _xmp
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem

BLOCKS: Final = 16 * MIB
_MODES: Final = ("L", "YCbCr", "YCbCr", "YCbCr", "YCbCr", "YCbCr")
_COLOURS: Final = {1: "RGB", 4: "CMYK"}


class Bpg(Handler):
    name = "bpg"
    media_types = ("image/bpg", "image/x-bpg")
    signatures = (Signature(b"BPG\xfb"),)
    suffixes = (".bpg",)
    fields: ClassVar[dict[str, str]] = {
        **_picture.FIELDS,
        **_exif.FIELDS,
        **_xmp.FIELDS,
        "bpg.animation": "the picture moves",
    }
    reads = "dimensions, EXIF, XMP, colour profile; preview as a member"
    needs = ("exifread", "lxml")
    container = True

    def read(self, stream: Stream) -> Iterator[Fact]:
        head = stream.at(0, 64)
        if len(head) < 8:
            raise EvidenceError("truncated", "the head is cut off")
        width, place = _number(head, 6)
        height, place = _number(head, place)
        length, place = _number(head, place)
        mode = _COLOURS.get(head[5] >> 4, _MODES[head[4] >> 5] if head[4] >> 5 < len(_MODES) else "")
        yield from _picture.shape(width, height, mode, (head[4] & 15) + 8)
        if head[5] & 1:
            yield Field("bpg.animation", True)
        if head[5] & 8:
            size, place = _number(head, place)
            yield from _extensions(stream.at(place, min(size, BLOCKS)))
            place += size
        if place + length > stream.size:
            yield Problem("truncated", f"the picture ends at {place + length}, the file at {stream.size}")


def _number(data: bytes, place: int) -> tuple[int, int]:
    """A number in groups of seven bits, highest first, and where it ends."""
    value = 0
    for step in range(5):
        if place + step >= len(data):
            break
        value = value << 7 | data[place + step] & 0x7F
        if not data[place + step] & 0x80:
            return value, place + step + 1
    raise EvidenceError("corrupt", "a number in the head has no end")


def _extensions(data: bytes) -> Iterator[Fact]:
    blocks, place = _picture.Blocks(), 0
    while place < len(data):
        try:
            kind, place = _number(data, place)
            size, place = _number(data, place)
        except EvidenceError as error:
            yield error.problem("")
            return
        block = data[place : place + size]
        place += size
        if kind == 1:
            # Some writers put a byte in front of the block.
            start = next((at for at in (0, 1) if block[at : at + 2] in (b"MM", b"II")), 0)
            yield from blocks.read(_exif.read_exif_block, block[start:])
        elif kind == 2:
            yield from _picture.profile(block)
        elif kind == 3:
            yield from blocks.read(_xmp.read_xmp, block.rstrip(b"\0"))
        elif kind == 4:
            yield _picture.held_member(block, "preview.bpg", "preview")
