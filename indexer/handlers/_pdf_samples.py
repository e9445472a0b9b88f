"""Samples of PDF pictures as files that other programs open: PNG, and TIFF for what PNG has no colours for.

Nothing is packed again: what a library of compression makes of the same samples differs from one to the next.
Source: ISO 32000-2, 8.6 (colour spaces), 8.9.5 (image dictionaries); PNG Third Edition (W3C, 2025), 9, 10, 11;
RFC 1951, 3.2.4 (stored blocks); TIFF Revision 6.0, sections 2 to 5, 11 (CCITT), 16 (CMYK).
Limits: colours in Lab and patterns; of Decode arrays those that turn all colours round; no profile is kept.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple, TypeAlias

from indexer.errors import EvidenceError
from indexer.handlers._pdf_filters import (
    Filter,
    bytes_of,
    can_undo,
    check_predictors,
    cut,
    marked,
    undo,
    whole_rows,
)
from indexer.handlers._pdf_values import Objects, Value

_FAMILIES: Final = {
    "DeviceGray": ("gray", 1),
    "G": ("gray", 1),
    "CalGray": ("gray", 1),
    "DeviceRGB": ("rgb", 3),
    "RGB": ("rgb", 3),
    "CalRGB": ("rgb", 3),
    "DeviceCMYK": ("cmyk", 4),
    "CMYK": ("cmyk", 4),
}
_BY_COUNT: Final = {1: ("gray", 1), 3: ("rgb", 3), 4: ("cmyk", 4)}
_INKS: Final = 32
_STORED: Final = 65_535
_WHOLE: Final = {"gray": 0, "rgb": 2}
_PALETTE: Final = 3
SHORT, LONG = 3, 4
Tag: TypeAlias = tuple[int, int, tuple[int, ...]]
"""Number, type, values."""
_INVERSE: Final = bytes(range(255, -1, -1))
_END: Final = b"\x01\0\0\xff\xff"


class Colours(NamedTuple):
    """What the samples of a pixel are: gray, rgb, cmyk or inks, and how many; in a palette, that of its entries."""

    kind: str
    channels: int
    palette: bytes = b""


GRAY: Final = Colours("gray", 1)


class Shape(NamedTuple):
    """A picture as its samples stand in the file."""

    width: int
    height: int
    bits: int
    colours: Colours
    inverted: bool

    @property
    def channels(self) -> int:
        """Samples of a pixel."""
        return 1 if self.colours.palette else self.colours.channels

    @property
    def row(self) -> int:
        """Bytes of a row."""
        return (self.width * self.channels * self.bits + 7) // 8

    @property
    def is_png(self) -> bool:
        """Whether PNG has such colours."""
        return self.colours.kind in _WHOLE

    @property
    def is_expanded(self) -> bool:
        """Whether the samples become such of eight bits: the format has none of these, or no such palette."""
        return not self.is_png if self.colours.palette else self.bits < 8 and self.colours.channels > 1

    @property
    def written(self) -> tuple[int, int, int]:
        """Samples of a pixel, bits of each, and bytes of a row, as they are written."""
        if not self.is_expanded:
            return self.channels, self.bits, self.row
        return self.colours.channels, 8, self.width * self.colours.channels


def colours_of(objects: Objects, value: Value, near: int, *, nested: bool = False) -> Colours | None:
    """What a colour space is made of; None where it is not known."""
    value = objects.follow(value, near)
    parts = value if isinstance(value, list) else [value]
    family = objects.follow(parts[0], near) if parts else None
    if not isinstance(family, str):
        return None
    if family in _FAMILIES:
        return Colours(*_FAMILIES[family])
    if family == "ICCBased" and len(parts) > 1:
        profile = objects.follow(parts[1], near)
        count = objects.follow(profile.get("N"), near) if isinstance(profile, dict) else None
        return Colours(*_BY_COUNT[count]) if isinstance(count, int) and count in _BY_COUNT else None
    if family == "Separation":
        return Colours("inks", 1)
    if family == "DeviceN" and len(parts) > 1:
        names = objects.follow(parts[1], near)
        return Colours("inks", len(names)) if isinstance(names, list) and 0 < len(names) <= _INKS else None
    if family in ("Indexed", "I") and len(parts) > 3 and not nested:
        under = colours_of(objects, parts[1], near, nested=True)
        last = objects.follow(parts[2], near)
        if under and isinstance(last, int) and 0 <= last <= 255:
            size = (last + 1) * under.channels
            palette = bytes_of(objects, parts[3], near, size)
            return under._replace(palette=palette.ljust(size, b"\0")) if palette else None
    return None


def is_turned(decode: Value, shape: Shape) -> bool:
    """Whether the Decode array turns all colours round."""
    most = (1 << shape.bits) - 1 if shape.colours.palette else 1
    return decode == [most, 0] * shape.channels


def keeps_rows(filters: list[Filter], shape: Shape) -> bool:
    """Whether the rows are predicted in the way of PNG, and can stay as they are."""
    last = filters[-1] if filters else Filter("", {})
    fit = last.columns == (shape.width, shape.channels, shape.bits) and shape.is_png and not shape.is_expanded
    return fit and last.predictor >= 10 and not shape.inverted


def can_write(filters: list[Filter], shape: Shape) -> bool:
    """Whether the filters can be undone as far as it is needed."""
    needed = [each._replace(numbers={}) for each in filters[-1:]] if keeps_rows(filters, shape) else filters[-1:]
    return all(map(can_undo, filters[:-1] + needed))


def file_of(pieces: Iterator[bytes], filters: list[Filter], shape: Shape) -> Iterator[bytes]:
    """The file in pieces, made from the filtered data of a picture.

    Raises:
        EvidenceError: behind the last whole row, where not all are there.
    """
    keeps = keeps_rows(filters, shape)
    rows = _rows(undo(pieces, filters, last_predictor=not keeps), shape, keeps)
    return png(shape, rows) if shape.is_png else _tiff(shape, rows)


def _rows(pieces: Iterator[bytes], shape: Shape, keeps: bool) -> Iterator[bytes]:
    row, left = shape.row + keeps, shape.height
    for piece in whole_rows(pieces, row):
        rows = piece[: left * row]
        left -= len(rows) // row
        if keeps:
            check_predictors(rows, row - 1)
        else:
            rows = _made(rows, shape)
            rows = marked(rows, shape.written[2], b"\0") if shape.is_png else rows
        yield rows
        if not left:
            return
    raise EvidenceError("truncated", f"{left} of {shape.height} rows are missing")


def _made(rows: bytes, shape: Shape) -> bytes:
    """The rows as they are written: turned round, with whole bytes for what the format has not in less."""
    if shape.inverted:
        rows = rows.translate(_INVERSE)
    if not shape.is_expanded:
        return rows
    samples = b"".join(map(_spread(shape.bits).__getitem__, rows))
    samples = cut(samples, shape.row * 8 // shape.bits, shape.width * shape.channels)
    if not shape.colours.palette:
        step = 255 // ((1 << shape.bits) - 1)
        return samples.translate(bytes(value * step & 255 for value in range(256)))
    size, palette = shape.colours.channels, shape.colours.palette
    entries = [palette[at : at + size] for at in range(0, len(palette), size)]
    # What is beyond the last entry means the last one.
    entries += entries[-1:] * 256
    return b"".join(map(entries.__getitem__, samples))


@cache
def _spread(bits: int) -> list[bytes]:
    """The samples of each byte, in bytes of their own."""
    most, shifts = (1 << bits) - 1, range(8 - bits, -1, -bits)
    return [bytes(byte >> shift & most for shift in shifts) for byte in range(256)]


def png(shape: Shape, rows: Iterator[bytes]) -> Iterator[bytes]:
    """A PNG of rows that each begin with their predictor."""
    kind, _, palette = shape.colours
    _, bits, _ = shape.written
    colour = _PALETTE if palette else _WHOLE[kind]
    head = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBB3x", shape.width, shape.height, bits, colour))
    if palette:
        entries = palette if kind == "rgb" else b"".join(bytes((value,)) * 3 for value in palette)
        head += _chunk(b"PLTE", (entries + entries[-3:] * 256)[: 3 << shape.bits])
    head += _chunk(b"IDAT", b"\x78\x01")
    sum_, trouble = 1, None
    try:
        for piece in rows:
            sum_ = zlib.adler32(piece, sum_)
            yield head + _chunk(b"IDAT", _stored(piece))
            head = b""
    except EvidenceError as error:
        if head:
            raise
        trouble = error
    yield _chunk(b"IDAT", _END + sum_.to_bytes(4, "big")) + _chunk(b"IEND", b"")
    if trouble:
        raise trouble


def _stored(data: bytes) -> bytes:
    parts = (data[at : at + _STORED] for at in range(0, len(data), _STORED))
    return b"".join(struct.pack("<BHH", 0, len(part), len(part) ^ 0xFFFF) + part for part in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def _tiff(shape: Shape, rows: Iterator[bytes]) -> Iterator[bytes]:
    count, bits, row = shape.written
    photometric = 0 if count == 1 else 5  # of one ink, none is white
    inks: list[Tag] = [(332, SHORT, (2,)), (334, SHORT, (count,))] if shape.colours.kind == "inks" and count > 1 else []
    head = tiff_head(shape.width, shape.height, (bits,) * count, 1, photometric, row * shape.height, inks)
    for piece in rows:
        yield head + piece
        head = b""


def tiff_head(
    width: int,
    height: int,
    bits: tuple[int, ...],
    compression: int,
    photometric: int,
    size: int,
    more: list[Tag],
) -> bytes:
    """What stands before the one strip of a TIFF.

    Args:
        size: bytes of the strip.
        more: further tags, with their types and values.
    """
    tags = [
        (256, LONG, (width,)),
        (257, LONG, (height,)),
        (258, SHORT, bits),
        (259, SHORT, (compression,)),
        (262, SHORT, (photometric,)),
        (277, SHORT, (len(bits),)),
        (278, LONG, (height,)),
        (279, LONG, (size,)),
        *more,
    ]
    after = 8 + 2 + 12 * (len(tags) + 1) + 4
    long = bytes(2 * len(bits)) if len(bits) > 2 else b""
    tags.append((273, LONG, (after + len(long),)))
    out = b"MM\0*" + struct.pack(">IH", 8, len(tags))
    for tag, kind, values in sorted(tags):
        data = struct.pack(f">{len(values)}{'H' if kind == SHORT else 'I'}", *values)
        if len(data) > 4:
            data, long = after.to_bytes(4, "big"), data
        out += struct.pack(">HHI", tag, kind, len(values)) + data.ljust(4, b"\0")
    return out + bytes(4) + long
