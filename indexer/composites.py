"""The composite of Photoshop documents that Pillow does not open: large ones (PSB), and those of 16 bits.

Source: Adobe Photoshop File Formats Specification (2019), file header and image data sections; TIFF 6.0, PackBits.
Limits: grey, RGB and CMYK, 8 or 16 bits of which the upper 8 are shown, plain or run-length coded; channels beside the
colours are left out. A document saved without its composite shows what Photoshop put there: white, or a word.
"""

from __future__ import annotations

import array
import sys
from typing import TYPE_CHECKING, BinaryIO, Final

from indexer.errors import EvidenceError

if TYPE_CHECKING:
    from PIL.Image import Image

_MODES: Final = {1: "L", 3: "RGB", 4: "CMYK", 8: "L"}
_HEADER: Final = 26
_MOST_CHANNELS, _MOST_ROWS = 56, 300_000
_MANY: Final = 50_000_000
"""Pixels from which on a document is made smaller while it is read."""


def is_composite(head: bytes) -> bool:
    """Whether it is a Photoshop document that Pillow does not open."""
    return head[:6] == b"8BPS\0\2" or (head[:6] == b"8BPS\0\1" and head[22:24] == b"\0\x10")


def open_composite(file: BinaryIO, edge: int, most: int) -> Image:
    """The composite, decoded.

    Args:
        edge: pixels that the longer side has at least to keep.
        most: pixels above which nothing is decoded.

    Raises:
        EvidenceError: limit; truncated; corrupt; unsupported.
        ValueError: it is damaged.
    """
    from PIL import Image, ImageChops

    file.seek(0)
    head = file.read(_HEADER)
    if len(head) < _HEADER:
        raise EvidenceError("truncated", "cannot be looked at: the header is cut off")
    big = head[5] == 2
    channels, height, width, bits, mode = (
        int.from_bytes(head[at:end], "big") for at, end in ((12, 14), (14, 18), (18, 22), (22, 24), (24, 26))
    )
    if width * height > most:
        raise EvidenceError("limit", f"{width} x {height} pixels are not decoded")
    name = _MODES.get(mode, "")
    if not width * height or height > _MOST_ROWS or not len(name) <= channels <= _MOST_CHANNELS:
        raise EvidenceError("corrupt", f"cannot be looked at: {channels} channels of {width} x {height} pixels")
    if bits not in (8, 16) or not name:
        raise EvidenceError("unsupported", f"cannot be looked at: colours of mode {mode} in {bits} bits")
    for size in (4, 4, 8 if big else 4):  # the palette, the resources, the layers
        file.seek(int.from_bytes(file.read(size), "big"), 1)
    packing = int.from_bytes(file.read(2), "big")
    row = width * bits // 8
    lengths = _lengths(file, height, channels, big) if packing == 1 else [row * height] * channels
    if packing > 1:
        raise EvidenceError("unsupported", f"cannot be looked at: packed by method {packing}")
    planes = []
    for length in lengths[: len(name)]:
        # A run of two bytes gives up to 128; a row without runs has one byte more for each 128.
        data = file.read(min(length, row * height * 2 + height))
        if len(data) * (64 if packing else 1) < row * height:
            raise EvidenceError("truncated", "cannot be looked at: it ends before its pixels")
        plane = Image.frombytes("L", (row, height), data, "packbits" if packing else "raw", "L")
        if bits == 16:
            plane = Image.frombytes("L", (width, height), plane.tobytes()[::2])
        if width * height > _MANY:
            plane = plane.reduce(max(1, max(width, height) // edge))
        planes.append(ImageChops.invert(plane) if name == "CMYK" else plane)
    return Image.merge(name, planes)


def _lengths(file: BinaryIO, height: int, channels: int, big: bool) -> list[int]:
    """Bytes of each channel: what its rows have together."""
    rows = array.array("I" if big else "H")
    held = file.read(height * channels * rows.itemsize)
    if len(held) < height * channels * rows.itemsize:
        raise EvidenceError("truncated", "cannot be looked at: it ends before its pixels")
    rows.frombytes(held)
    if sys.byteorder == "little":
        rows.byteswap()
    return [sum(rows[at * height : (at + 1) * height]) for at in range(channels)]
