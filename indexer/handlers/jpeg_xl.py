"""JPEG XL pictures: shape, EXIF, XMP, other boxes, whether a JPEG picture can be made of it again.

Source: ISO/IEC 18181-1:2024, 9.2 and annex D (SizeHeader, ImageMetadata); 18181-2:2024 (boxes).
Limits: no pixel is decoded; frames of an animation are not counted; a profile that is coded is not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _exif, _picture, _xmp
from indexer.handlers._boxes import boxes
from indexer.model import Fact, Field, Problem, Text

_BOX: Final = b"\0\0\0\x0cJXL \r\n\x87\n"
_RATIOS: Final = ((0, 0), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_SIZES: Final = (9, 13, 18, 30)
_MARK: Final = b"\xff\x0a"


class JpegXl(Handler):
    name = "jpeg-xl"
    media_types = ("image/jxl",)
    signatures = (Signature(_BOX), Signature(_MARK))
    suffixes = (".jxl",)
    fields: ClassVar[dict[str, str]] = {
        **_picture.FIELDS,
        **_exif.FIELDS,
        **_xmp.FIELDS,
        "jpeg_xl.from_jpeg": "whether a JPEG picture was packed without loss and can be made again",
        "jpeg_xl.animated": "whether it has frames that follow one another",
        "jpeg_xl.box": "a box that is not read, by its type",
    }
    reads = "dimensions, EXIF, XMP, what stands after the picture"
    needs = ("brotli", "exifread", "lxml")
    rank = 40
    container = True

    def claims(self, stream: Stream) -> str | None:
        if stream.head.startswith(_BOX):
            return self.media_types[0]
        return self.media_types[0] if _header(stream.head[2:32]) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        if not stream.head.startswith(_BOX):
            yield from _shape(stream.head[2:32])
            return
        blocks = _picture.Blocks()
        code, end, problem = b"", 0, None
        from_jpeg = False
        for box in boxes(stream, 0, stream.size):
            end = box.end
            if end > stream.size:
                kind = box.kind.decode("latin-1")
                problem = Problem("truncated", f"box {kind} ends at {end}, the file at {stream.size}")
            if box.kind in (b"jxlc", b"jxlp") and len(code) < 64:
                code += box.data(stream, 64)[4 if box.kind == b"jxlp" else 0 :]
            elif box.kind == b"jbrd":
                from_jpeg = True
            elif box.kind in (b"Exif", b"xml ", b"brob"):
                data, trouble = box.data(stream, _picture.INFLATED), None
                kind_of = box.kind
                if box.kind == b"brob":
                    kind_of, (data, trouble) = data[:4], _unpack(data[4:])
                if trouble:
                    yield trouble
                elif kind_of == b"Exif":
                    yield from blocks.read(_exif.read_exif_block, data[4 + int.from_bytes(data[:4], "big") :])
                elif kind_of == b"xml " and b"rdf-syntax-ns#" in data:
                    yield from blocks.read(_xmp.read_xmp, data)
                elif kind_of == b"xml ":
                    yield Text(_picture.read_text(data), "xml")
            elif box.kind not in (b"JXL ", b"ftyp", b"jxll", b"jxlc", b"jxlp", b"jxli"):
                yield Field("jpeg_xl.box", box.kind.decode("latin-1"))
        if from_jpeg:
            yield Field("jpeg_xl.from_jpeg", True)
        if code.startswith(_MARK):
            yield from _shape(code[2:])
        else:
            yield Problem("truncated" if problem else "corrupt", "no code stream: the dimensions are not known")
        if problem:
            yield problem
        else:
            yield from _picture.leftover(stream, end)


def _unpack(data: bytes) -> tuple[bytes, Problem | None]:
    """What a box packed with Brotli holds, within bounds."""
    try:
        import brotli  # type: ignore[import-untyped]
    except ImportError as error:
        raise EvidenceError("missing-library", "brotli is not installed: pip install brotli") from error
    decoder = brotli.Decompressor()
    held = b""
    try:
        held = decoder.process(data, output_buffer_limit=_picture.INFLATED)
    except brotli.error as error:
        return b"", Problem("corrupt", f"a packed box: {error}", resolution="left out")
    if decoder.is_finished():
        return held, None
    if len(held) < _picture.INFLATED:
        return b"", Problem("truncated", "a packed box ends early", resolution="left out")
    return b"", Problem("limit", f"a packed box holds more than {_picture.INFLATED} bytes", resolution="left out")


class _Bits:
    """Bits from the lowest of each byte up."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "little")
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        if count > self._left:
            raise EvidenceError("truncated", "the header of the code stream is cut off")
        found = self._value & (1 << count) - 1
        self._value >>= count
        self._left -= count
        return found

    def choose(self, *choices: tuple[int, int]) -> int:
        """A number in one of four forms: an offset and how many bits are added."""
        start, count = choices[self.take(2)]
        return start + self.take(count)


def _shape(data: bytes) -> Iterator[Fact]:
    found = _header(data)
    if not found:
        yield Problem("truncated", "the header of the code stream is cut off")
        return
    width, height, bits, animated = found
    told = _picture.shape(width, height, "", bits)
    yield from (field for field in told if not (animated and field.name == "picture.frames"))
    if animated:
        yield Field("jpeg_xl.animated", True)


def _header(data: bytes) -> tuple[int, int, int, bool] | None:
    """Width, height, bits of a channel, and whether it moves; None where the bits end or make no sense."""
    bits = _Bits(data)
    try:
        width, height = _size(bits)
        if bits.take(1):
            return width, height, 8, False
        animated = False
        if bits.take(1):
            bits.take(3)
            if bits.take(1):
                _size(bits)
            if bits.take(1):
                _preview(bits)
            animated = bool(bits.take(1))
            if animated:
                bits.choose((100, 0), (1000, 0), (1, 10), (1, 30))
                bits.choose((1, 0), (1001, 0), (1, 8), (1, 10))
                bits.choose((0, 0), (0, 3), (0, 16), (0, 32))
                bits.take(1)
        depth = bits.choose((32, 0), (16, 0), (24, 0), (1, 6)) if bits.take(1) else 0
        return width, height, depth or bits.choose((8, 0), (10, 0), (12, 0), (1, 6)), animated
    except EvidenceError:
        return None


def _size(bits: _Bits) -> tuple[int, int]:
    small = bits.take(1)

    def side() -> int:
        return (bits.take(5) + 1) * 8 if small else 1 + bits.take(_SIZES[bits.take(2)])

    height = side()
    ratio = bits.take(3)
    above, below = _RATIOS[ratio]
    return (height * above // below if ratio else side()), height


def _preview(bits: _Bits) -> None:
    eighths = bits.take(1)
    ways = ((16, 0), (32, 0), (1, 5), (33, 9)) if eighths else ((1, 6), (65, 8), (321, 10), (1345, 12))
    bits.choose(*ways)
    if not bits.take(3):
        bits.choose(*ways)
