"""WebP pictures: shape, frames, EXIF, XMP, profile, and what stands after the picture.

Source: RFC 9649, sections 2 (container) and 3 (lossless header); RFC 6386, section 9.1 (lossy header).
Limits: no pixel is decoded; unknown chunks are passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar, Final

from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _c2pa, _exif, _picture, _xmp
from indexer.model import Fact, Field, Problem

CHUNKS: Final = 1_000_000


class Webp(Handler):
    name = "webp"
    version = 2
    media_types = ("image/webp",)
    signatures = (Signature(b"WEBP", 8),)
    suffixes = (".webp",)
    fields: ClassVar[dict[str, str]] = {
        **_picture.FIELDS,
        **_exif.FIELDS,
        **_xmp.FIELDS,
        **_c2pa.FIELDS,
        "webp.coding": "lossy or lossless",
    }
    reads = "dimensions, frames, EXIF, XMP, content credentials, what stands after the picture"
    needs = ("exifread", "lxml")
    container = True

    def claims(self, stream: Stream) -> str | None:
        return "image/webp" if stream.head[:4] == b"RIFF" else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        end = 8 + int.from_bytes(stream.at(4, 4), "little")
        size: tuple[int, int] | None = None
        mode, coding, frames, position = "RGB", "", 0, 12
        metadata = _picture.Blocks()
        for _ in range(CHUNKS):
            if position + 8 > min(end, stream.size):
                break
            head = stream.at(position, 8)
            kind, length, start = head[:4], int.from_bytes(head[4:], "little"), position + 8
            position = start + length + (length & 1)
            if kind == b"VP8X":
                data = stream.at(start, 10)
                size = (1 + int.from_bytes(data[4:7], "little"), 1 + int.from_bytes(data[7:10], "little"))
                mode = "RGBA" if data[:1] and data[0] & 0x10 else "RGB"
            elif kind in (b"VP8 ", b"VP8L"):
                coding = "lossless" if kind == b"VP8L" else "lossy"
                found, has_alpha = _bitstream(kind, stream.at(start, 10))
                size, mode = (size or found), ("RGBA" if has_alpha else mode)
            elif kind == b"ANMF":
                frames += 1
            elif reader := _READERS.get(kind):
                yield from metadata.read(reader, stream.at(start, min(length, _picture.INFLATED)))
        if size:
            yield from _picture.shape(*size, mode, 8, max(frames, 1))
        else:
            yield Problem("corrupt", "no frame header: the dimensions are not known")
        if coding:
            yield Field("webp.coding", coding)
        if end > stream.size or position > stream.size + 1:
            yield Problem("truncated", f"the picture ends at {max(end, position)}, the file at {stream.size}")
        else:
            yield from _picture.leftover(stream, end + (end & 1))


def _bitstream(kind: bytes, data: bytes) -> tuple[tuple[int, int] | None, bool]:
    """Width and height of a coded frame, and whether it says that it has transparency."""
    if kind == b"VP8 " and data[3:6] == b"\x9d\x01\x2a" and len(data) == 10:
        return (int.from_bytes(data[6:8], "little") & 0x3FFF, int.from_bytes(data[8:10], "little") & 0x3FFF), False
    if kind == b"VP8L" and data[:1] == b"\x2f" and len(data) >= 5:
        bits = int.from_bytes(data[1:5], "little")
        return (1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)), bool(bits >> 28 & 1)
    return None, False


def _read_exif(block: bytes) -> Iterator[Fact]:
    return _exif.read_exif_block(block.removeprefix(b"Exif\0\0"))


_READERS: Final[dict[bytes, Callable[[bytes], Iterator[Fact]]]] = {
    b"EXIF": _read_exif,
    b"XMP ": _xmp.read_xmp,
    b"ICCP": _picture.profile,
    b"C2PA": _c2pa.read_store,
}
