"""Windows and OS/2 bitmaps: shape, profile or the path of one, what stands after the picture.

Source: [MS-WMF] 2.2.2.9 (DeviceIndependentBitmap); BITMAPV5HEADER as Windows documents it.
Limits: no pixel is decoded; OS/2 bitmap arrays are not followed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _picture
from indexer.model import Fact, Field, Problem

_HEADERS: Final = frozenset((12, 16, 40, 52, 56, 64, 108, 124))
_PACKINGS: Final = ("none", "RLE8", "RLE4", "bit fields", "JPEG", "PNG", "alpha bit fields")


class Bmp(Handler):
    name = "bmp"
    media_types = ("image/bmp", "image/x-ms-bmp", "image/x-bmp")
    signatures = (Signature(b"BM"),)
    suffixes = (".bmp", ".dib")
    fields: ClassVar[dict[str, str]] = {
        **_picture.FIELDS,
        "bmp.packing": "how the pixels are packed",
        "refers_to": "path or name of another file that this one uses",
    }
    reads = "dimensions, colour profile, what stands after the picture"
    container = True

    def claims(self, stream: Stream) -> str | None:
        head = stream.head
        return self.media_types[0] if len(head) > 18 and int.from_bytes(head[14:18], "little") in _HEADERS else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        head = stream.at(0, 14 + 124)
        size = int.from_bytes(head[14:18], "little")
        if len(head) < (26 if size == 12 else 14 + max(16, min(size, 40))):
            raise EvidenceError("truncated", "the header is cut off")
        packing = across = 0
        if size == 12:
            width, height, _, bits = struct.unpack_from("<4H", head, 18)
        else:
            width, height, _, bits = struct.unpack_from("<iiHH", head, 18)
            height = abs(height)
        if size >= 40:
            packing, _, across = struct.unpack_from("<IIi", head, 30)
        mode = {1: "1", 2: "P", 4: "P", 8: "P", 32: "RGBA" if packing in (3, 6) else "RGB"}.get(bits, "RGB")
        yield from _picture.shape(width, height, mode, {16: 5, 24: 8, 32: 8}.get(bits, bits))
        if across > 0:
            yield Field("picture.dpi", round(across * 0.0254, 2))
        yield Field("bmp.packing", _PACKINGS[packing] if packing < len(_PACKINGS) else str(packing))
        end = int.from_bytes(head[10:14], "little") + _pixels(head, width, height, bits, packing)
        if size == 124 and len(head) >= 138:
            kind, (start, length) = head[70:74], struct.unpack_from("<II", head, 126)
            end = max(end, 14 + start + length) if kind in (b"DEBM", b"KNIL") else end
            if kind == b"DEBM":
                yield from _picture.profile(stream.at(14 + start, min(length, _picture.INFLATED)))
            elif kind == b"KNIL" and (path := _picture.read_text(stream.at(14 + start, min(length, 4096)))):
                yield Field("refers_to", path)
        if end > stream.size:
            yield Problem("truncated", f"the picture ends at {end}, the file at {stream.size}")
        else:
            yield from _picture.leftover(stream, max(end, int.from_bytes(head[2:6], "little")))


def _pixels(head: bytes, width: int, height: int, bits: int, packing: int) -> int:
    """Bytes of pixels: rows are padded to four bytes; packed ones have their length in the header."""
    if packing in (0, 3, 6):
        return ((max(width, 0) * bits + 31) // 32) * 4 * height
    return int.from_bytes(head[34:38], "little")
