"""PNG pictures: shape, frames, texts, times, EXIF, XMP, profiles, and what stands after the picture.

Source: PNG Third Edition (W3C, 2025), sections 5 (chunks), 11.2, 11.3 (chunk types); ImageMagick's
"Raw profile type" texts as that program writes them.
Limits: no pixel is decoded; private chunks are passed over.
"""

from __future__ import annotations

import binascii
import re
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import ClassVar, Final

from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _c2pa, _exif, _iptc, _picture, _xmp
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Timestamp
from indexer.timestamps import from_iso, from_rfc5322

KEPT: Final = frozenset({b"IHDR", b"tEXt", b"zTXt", b"iTXt", b"tIME", b"eXIf", b"pHYs", b"iCCP", b"PLTE", b"caBX"})
TEXTS: Final = 2_000
"""Text chunks read from one picture."""
INFLATED: Final = 64 * MIB
"""What all compressed texts of one picture may become together."""
_MODES: Final = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}
_TIMES: Final = {
    "date:create": "B",
    "date:modify": "M",
    "creation time": "taken",
    "create-date": "B",
    "modify-date": "M",
}


class Png(Handler):
    name = "png"
    version = 2
    media_types = ("image/png", "image/apng", "image/vnd.mozilla.apng")
    signatures = (Signature(b"\x89PNG\r\n\x1a\n"),)
    suffixes = (".png", ".apng")
    fields: ClassVar[dict[str, str]] = {
        **_picture.FIELDS,
        **_exif.FIELDS,
        **_xmp.FIELDS,
        **_iptc.FIELDS,
        **_c2pa.FIELDS,
        "png.interlaced": "whether the rows are interlaced",
        "png.text.*": "a text by its keyword: png.text.title, png.text.software",
    }
    reads = "dimensions, frames, texts, EXIF, XMP, content credentials, times, what stands after the picture"
    needs = ("exifread", "lxml")
    container = True

    def read(self, stream: Stream) -> Iterator[Fact]:
        metadata = _Metadata()
        frames, position, ended, corrupt = 0, 8, False, 0
        header = b""
        while not ended and position + 8 <= stream.size:
            head = stream.at(position, 8)
            length, kind = int.from_bytes(head[:4], "big"), head[4:]
            if not kind.isalpha():
                yield Problem("corrupt", f"no chunk at {position}")
                break
            if position + 12 + length > stream.size:
                yield Problem("truncated", f"chunk {kind.decode('ascii')} at {position} is cut off")
                break
            data, sound = _take(stream, position + 8, length, kind)
            position += 12 + length
            if not sound:
                corrupt += 1
                if corrupt <= 10:
                    yield Problem(
                        "corrupt", f"chunk {kind.decode('ascii')}: wrong checksum", resolution="read all the same"
                    )
            if kind == b"IHDR" and not header:
                header = data
            elif kind == b"fcTL":
                frames += 1
            elif kind == b"IEND":
                ended = True
            elif kind in KEPT:
                yield from metadata.read(kind, data)
        yield from _shape(header, max(frames, 1))
        if ended:
            yield from _picture.leftover(stream, position)
        elif position + 8 > stream.size:
            yield Problem("truncated", "no end of picture")


class _Metadata:
    """What one picture's metadata chunks say, within one allowance for all of them."""

    def __init__(self) -> None:
        self._blocks = _picture.Blocks()
        self._left = INFLATED
        self._count = 0

    def read(self, kind: bytes, data: bytes) -> Iterator[Fact]:
        """The facts of one chunk."""
        if kind in (b"tEXt", b"zTXt", b"iTXt"):
            self._count += 1
            if self._count <= TEXTS:
                yield from self._text(kind, data)
            elif self._count == TEXTS + 1:
                yield Problem("limit", f"more than {TEXTS} texts", resolution="stopped there")
        elif kind == b"eXIf":
            yield from self._blocks.read(_exif.read_exif_block, data.removeprefix(b"Exif\0\0"))
        elif kind == b"caBX":
            yield from self._blocks.read(_c2pa.read_store, data)
        elif kind == b"iCCP":
            plain, problem = self._inflate(data.partition(b"\0")[2][1:])
            yield from _picture.profile(plain)
            if problem:
                yield problem
        else:
            yield from _fixed(kind, data)

    def _inflate(self, data: bytes) -> tuple[bytes, Problem | None]:
        plain, problem = _picture.inflate(data, max(1, min(_picture.INFLATED, self._left)))
        self._left -= len(plain)
        return plain, problem

    def _text(self, kind: bytes, data: bytes) -> Iterator[Fact]:
        keyword, _, rest = data.partition(b"\0")
        name = keyword[:79].decode("latin-1").strip()
        packed = kind == b"zTXt"
        if kind == b"iTXt":
            packed, rest = rest[:1] == b"\x01", rest[2:].split(b"\0", 2)[-1]
        elif packed:
            rest = rest[1:]
        problem = None
        if packed:
            rest, problem = self._inflate(rest)
        if name == "XML:com.adobe.xmp":
            yield from self._blocks.read(_xmp.read_xmp, rest)
        elif name.startswith("Raw profile type "):
            yield from self._blocks.read(_raw_profile, rest)
        else:
            yield from _named_text(name, _picture.read_text(rest))
        if problem:
            yield problem


def _take(stream: Stream, start: int, length: int, kind: bytes) -> tuple[bytes, bool]:
    """A chunk's bytes where they are wanted, and whether its checksum is right."""
    check = zlib.crc32(kind)
    kept = bytearray()
    for position in range(start, start + length, MIB):
        piece = stream.at(position, min(MIB, start + length - position))
        check = zlib.crc32(piece, check)
        if kind in KEPT and len(kept) < _picture.INFLATED:
            kept += piece
    return bytes(kept), check == int.from_bytes(stream.at(start + length, 4), "big")


def _shape(header: bytes, frames: int) -> Iterator[Fact]:
    if len(header) < 13:
        yield Problem("corrupt", "no header chunk: the dimensions are not known")
        return
    width, height = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:8], "big")
    mode = "1" if header[8:10] == b"\x01\0" else _MODES.get(header[9], "")
    yield from _picture.shape(width, height, mode, header[8], frames)
    yield Field("png.interlaced", header[12] == 1)


def _fixed(kind: bytes, data: bytes) -> Iterator[Fact]:
    if kind == b"pHYs" and len(data) >= 9 and data[8] == 1:
        yield Field("picture.dpi", round(int.from_bytes(data[:4], "big") * 0.0254, 2))
    elif kind == b"tIME" and len(data) >= 7:
        try:
            month, day, hour, minute, second = data[2:7]
            at = datetime(int.from_bytes(data[:2], "big"), month, day, hour, minute, second, tzinfo=UTC)
        except ValueError:
            yield Problem("corrupt", "tIME holds no time")
        else:
            yield Timestamp("M", at, "png.tIME")


def _named_text(name: str, value: str) -> Iterator[Fact]:
    field = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:60] or "unnamed"
    yield from _picture.said(f"png.text.{field}", value, f'comment "{name}"')
    if kind := _TIMES.get(name.lower()):
        stamp = from_iso(kind, value, f"png.{name}") or from_rfc5322(kind, value[:100], f"png.{name}")
        if stamp:
            yield stamp


def _raw_profile(data: bytes) -> Iterator[Fact]:
    """A block of metadata that ImageMagick wrote as hexadecimal text: a name, a length, the digits."""
    words = data.split(maxsplit=2)
    try:
        block = binascii.unhexlify(b"".join(words[2].split())) if len(words) == 3 else b""
    except binascii.Error:
        yield Problem("corrupt", "a raw profile holds other than hexadecimal digits")
        return
    if block.startswith((b"Exif\0\0", b"II", b"MM")):
        yield from _exif.read_exif_block(block.removeprefix(b"Exif\0\0"))
    elif block.startswith(b"8BIM"):
        yield from _iptc.read_resources(block)
    elif block.startswith(b"\x1c"):
        yield from _iptc.read_iptc(block)
    elif words and words[0] in (b"icc", b"icm"):
        yield from _picture.profile(block)
    elif b"<" in block[:200]:
        yield from _xmp.read_xmp(block.removeprefix(b"http://ns.adobe.com/xap/1.0/\0"))
