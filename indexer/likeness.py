"""What a picture looks like, in a few hundred bytes that survive scaling, recompression and light edits.

The picture is made grey and 32 pixels square; of its cosine transform the lowest frequencies stay, without the
mean, each lifted by its frequency so that all count alike, and the whole brought to one length: `SIZE` signed
bytes, of which the scalar product tells how alike two pictures are. Brightness and contrast fall out of it. The
same is done for the picture without its edges, for each `CROPS`: a picture that was cut is met by one of them.

Source: Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions (2010); Pillow, Image.draft,
Image.resize.
Limits: pictures of one colour have no likeness; of several frames or layers the first, or the composite, counts;
turned by more than a few degrees or mirrored, a picture is another one, unless the file itself says how to turn it.
"""

from __future__ import annotations

import math
from functools import cache
from operator import mul
from typing import TYPE_CHECKING, BinaryIO

from indexer.rendering import in_bytes, opened, orientation, upright

if TYPE_CHECKING:
    from PIL.Image import Image

VERSION = 2
"""Rises when the same picture gives other bytes."""
EDGE = 32
_LOW = 9
SIZE = 72
CROPS = ((0.0, 0.0, 1.0, 1.0), (0.025, 0.025, 0.975, 0.975), (0.05, 0.05, 0.95, 0.95),
         (0.0, 0.0, 0.95, 0.95), (0.05, 0.0, 1.0, 0.95), (0.0, 0.05, 0.95, 1.0), (0.05, 0.05, 1.0, 1.0))  # fmt: skip
"""What is looked at: all of it, then without its edges; left, upper, right, lower as shares."""
WORKING = 256
"""Pixels of an edge of what is looked at."""
_FLAT = 2.0
"""Standard deviation of the grey values below which there is nothing to be alike."""


def likeness(file: BinaryIO) -> bytes:
    """Width and height, two bytes each, then `SIZE` signed bytes for each of `CROPS`; none of these where it is flat.

    Raises:
        EvidenceError: it is no picture that can be decoded.
    """
    with opened(file, "L", WORKING * 2) as picture:
        width, height = picture.size
        grey = upright(_in_grey(picture), picture)
        if orientation(picture) > 4:  # it lies on its side
            width, height = height, width
    return min(width, 65_535).to_bytes(2, "little") + min(height, 65_535).to_bytes(2, "little") + vectors(grey)


def vectors(grey: Image) -> bytes:
    """`SIZE` signed bytes for each of `CROPS` of a grey picture, `WORKING` pixels square; nothing where it is flat."""
    whole = _pixels(grey, CROPS[0])
    mean = sum(whole) / len(whole)
    if math.sqrt(sum((value - mean) ** 2 for value in whole) / len(whole)) < _FLAT:
        return b""
    return b"".join(_transform(_pixels(grey, crop)) for crop in CROPS)


def _in_grey(picture: Image) -> Image:
    """Small and grey, on white where it is clear."""
    from PIL import Image

    picture = in_bytes(picture)
    picture.thumbnail((WORKING * 2, WORKING * 2), Image.Resampling.BOX)
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        clear = picture.convert("RGBA")
        ground = Image.new("RGBA", clear.size, "white")
        ground.alpha_composite(clear)
        picture = ground
    return picture.convert("L").resize((WORKING, WORKING), Image.Resampling.BOX)


def _pixels(grey: Image, crop: tuple[float, float, float, float]) -> list[int]:
    from PIL import Image

    left, upper, right, lower = (share * WORKING for share in crop)
    small = grey.resize((EDGE, EDGE), Image.Resampling.BOX, box=(left, upper, right, lower))
    return list(small.tobytes())


@cache
def _waves() -> list[list[float]]:
    return [[math.cos(math.pi * k * (2 * at + 1) / (2 * EDGE)) for at in range(EDGE)] for k in range(_LOW)]


@cache
def _kept() -> list[tuple[int, int, float]]:
    """The frequencies that stay, the lowest first, each with what lifts it."""
    all_of = sorted((u * u + v * v, u, v) for u in range(_LOW) for v in range(_LOW) if u or v)
    return [(u, v, math.sqrt(square)) for square, u, v in all_of][:SIZE]


def _transform(pixels: list[int]) -> bytes:
    rows = [pixels[at : at + EDGE] for at in range(0, EDGE * EDGE, EDGE)]
    columns = [[sum(map(mul, row, wave)) for row in rows] for wave in _waves()]
    values = [lift * sum(map(mul, columns[u], _waves()[v])) for u, v, lift in _kept()]
    length = math.sqrt(sum(value * value for value in values)) or 1.0
    # A value is seldom more than three times what it would be if all were equal.
    scale = 127 / (3.5 * length / math.sqrt(SIZE))
    return bytes(max(-127, min(127, round(value * scale))) & 0xFF for value in values)
