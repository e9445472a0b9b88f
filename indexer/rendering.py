"""Pictures made small: a JPEG of a few kilobytes for reports, made in a worker, never in the process that writes.

Source: Pillow, Image.draft, Image.thumbnail; for HEIC see `heic.py`, for large Photoshop documents
`composites.py`.
Limits: what cannot be opened (vector formats, most raw pictures) has no small picture; of several frames,
pages or layers the first, or the composite, is shown.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, BinaryIO

from indexer.composites import is_composite, open_composite
from indexer.errors import EvidenceError
from indexer.heic import is_heic, open_heic

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_PIXELS = 200_000_000
"""Of a picture that is decoded; more would take more memory than a worker has."""
_QUALITY = 75
_HEAD = 256
_ORIENTATION = 0x0112
_TURNS = {
    2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE",
    6: "ROTATE_270", 7: "TRANSVERSE", 8: "ROTATE_90",
}  # fmt: skip
_BY_OTHERS = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})


def thumbnail(file: BinaryIO, edge: int) -> bytes:
    """A JPEG of the picture, neither side longer than `edge` pixels, without any of its metadata.

    Raises:
        EvidenceError: it is no picture that can be decoded.
    """
    with opened(file, "RGB", edge * 2) as picture:
        out = io.BytesIO()
        upright(on_white(picture, edge), picture).save(out, "JPEG", quality=_QUALITY)
        return out.getvalue()


def orientation(picture: Image) -> int:
    """Of 1 to 8, which side is up, as EXIF counts; 1 where nothing says so."""
    told = picture.getexif().get(_ORIENTATION, 1)
    return int(told) if told in _TURNS else 1


def upright(small: Image, picture: Image) -> Image:
    """What was made of a picture, turned as the picture says it is to be shown."""
    from PIL import Image

    turn = _TURNS.get(orientation(picture))
    return small.transpose(Image.Transpose[turn]) if turn else small


def on_white(picture: Image, edge: int) -> Image:
    """The picture in RGB, on white where it is clear, neither side longer than `edge` pixels; without its metadata."""
    from PIL import Image

    picture = in_bytes(picture)
    clear = picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info
    mode = "RGBA" if clear else "RGB"
    scale = edge / max(picture.size)
    if scale < 1:  # a large picture is never held twice
        size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
        direct = picture if picture.mode in ("L", "RGB", "RGBA") else picture.convert(mode)
        picture = direct.resize(size, reducing_gap=2.0)
    small = picture.convert(mode)
    if not clear:
        small.info = {}  # a comment would be written with it
        return small
    ground = Image.new("RGB", small.size, "white")
    ground.paste(small, mask=small.getchannel("A"))
    return ground


def in_bytes(picture: Image) -> Image:
    """The picture; one whose values are wider than a byte from its darkest value to its brightest."""
    if picture.mode not in ("I;16", "I;16B", "I;16L", "I", "F"):
        return picture
    low, high = picture.getextrema()
    span = max(1.0, float(high) - float(low))  # type: ignore[arg-type]
    return picture.convert("F").point(lambda value: value * (255 / span) - float(low) * 255 / span)  # type: ignore[arg-type]


@cache
def _formats() -> tuple[str, ...]:
    """What Pillow decodes by itself; for the others it would start a program, or draw what their commands say."""
    from PIL import Image

    Image.init()
    return tuple(each for each in Image.ID if each not in _BY_OTHERS)


def _open(file: BinaryIO, edge: int) -> Image:
    from PIL import Image

    file.seek(0)
    head = file.read(_HEAD)
    if is_heic(head):
        return open_heic(file)
    if is_composite(head):
        return open_composite(file, edge, MOST_PIXELS)
    file.seek(0)
    return Image.open(file, formats=_formats())


@contextmanager
def opened(file: BinaryIO, mode: str, edge: int, *, torn: bool = False) -> Iterator[Image]:
    """A picture to be looked at; whatever decoding it raises inside the `with` is told as an EvidenceError.

    Args:
        mode: and `edge`: what it will be made, so that a decoder that can may decode it smaller.
        torn: gives of a picture that breaks off what there is.

    Raises:
        EvidenceError: it is no picture that can be decoded, or too large.
    """
    try:
        from PIL import Image, ImageFile, UnidentifiedImageError
    except ImportError as error:
        raise EvidenceError("missing-library", "looking at pictures needs Pillow: pip install pillow") from error
    Image.MAX_IMAGE_PIXELS = MOST_PIXELS
    ImageFile.LOAD_TRUNCATED_IMAGES = torn
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with _open(file, edge) as picture:
                if picture.width * picture.height > MOST_PIXELS:
                    raise EvidenceError("limit", f"{picture.width} x {picture.height} pixels are not decoded")
                picture.draft(mode, (edge, edge))
                yield picture
    except MemoryError as error:
        raise EvidenceError("memory", "looking at the picture takes more memory than a worker has") from error
    except UnidentifiedImageError as error:
        raise EvidenceError("unsupported", "cannot be looked at: no picture of a known kind") from error
    except (OSError, ValueError, SyntaxError, EOFError, KeyError, IndexError) as error:
        raise EvidenceError("unsupported", f"cannot be looked at: {error}") from error
    except (Image.DecompressionBombError, TypeError, ZeroDivisionError, OverflowError, RuntimeError) as error:
        raise EvidenceError("corrupt", f"cannot be looked at: {error}") from error
