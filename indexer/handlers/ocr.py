"""Words that are drawn on pictures, scanned pages and in videos: read by machine, beside what a handler reads.

Never chosen by a file's type: it is asked for, and comes after the handlers that it names.
Source: see `_ocr_engine.py`.
Limits: Chinese, Japanese, English and what else is written in Latin letters; Korean where the system has
Tesseract's Korean model; no Cyrillic, no Arabic. Handwriting is read seldom, writing upside down is not. From top to
bottom Chinese and Japanese are read as well as in lines, Korean less so, and columns are told from right to left; words
whose letters lie on their side are read where they run downwards. Letters lower than one in a hundred of the longer
side are missed. Of moving pictures the first frame, of layers the composite is looked at; what cannot be opened (most
raw pictures) is not. Pages of PDF that hold text of their own are left out. Of a video up to 40 moments are looked
at, such as key frames of its scenes, and what stands in several of them is told once. A machine's reading points to the
picture, it never proves.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

from indexer.errors import EvidenceError
from indexer.footage import NoFilmError, stills
from indexer.handler import Handler, Stream
from indexer.handlers._media import clock
from indexer.handlers._ocr_columns import Line
from indexer.handlers._ocr_engine import PARTS, load_engine
from indexer.handlers._pdfium import WrongPasswordError, closing_with, load_pdfium, open_document
from indexer.model import Fact, Field, Text
from indexer.rendering import on_white, opened

if TYPE_CHECKING:
    from PIL.Image import Image

_EDGE: Final = 5000
"""Longest side of what is looked at, in pixels."""
_PAGE_EDGE: Final = 2400
_LONGEST: Final = 4
"""Times its width that a piece is long."""
_LEAST: Final = 32
"""Pixels of a side below which no writing fits."""
_WRITTEN: Final = 100
"""Characters of text from which on a page is not a scan."""
_MOST_PAGES: Final = 10_000
_MOST_MOMENTS: Final = 40
_PICTURES = ["bmp", "gif", "heif", "jpeg", "jpeg2000", "netpbm", "png", "psd", "raster", "tga", "tiff", "webp"]
_FILMS = ["asf", "flv", "matroska", "mp4", "mpeg-program", "mpeg-transport", "ogg", "real-media", "riff-media"]
_FILM_TYPES = ("application/mp4", "application/ogg", "application/vnd.ms-asf", "application/vnd.rn-realmedia")
"""What holds videos, beside what its media type calls one."""


class Ocr(Handler):
    name = "ocr"
    version = 2
    media_types = ()
    fields = {
        "ocr.engine": "what looked for words drawn on the picture",
        "ocr.confidence": "how sure it is of the words, in percent, over all lines",
    }
    reads = "with `--ocr`: words drawn on pictures, on scanned pages and in videos"
    needs = PARTS
    follows = tuple(_PICTURES + _FILMS + ["pdf"])
    patience = 30

    def read(self, stream: Stream) -> Iterator[Fact]:
        is_film = stream.media_type in _FILM_TYPES or stream.media_type.startswith("video/")
        if stream.media_type.startswith("audio/"):
            return
        engine = load_engine()
        yield Field("ocr.engine", engine.name)
        read: list[Line] = []
        look = _moments if is_film else _pages if b"%PDF-" in stream.head[:1024] else _frames
        for locator, picture in look(stream):
            told = {line.text for line in read} if is_film else set()
            lines = [line for piece in _pieces(picture) for line in engine.read(piece) if line.text not in told]
            read += lines
            yield Text("\n".join(line.text for line in lines), locator)
        if read:
            letters = sum(len(line.text) for line in read)
            sureness = sum(line.confidence * len(line.text) for line in read)
            yield Field("ocr.confidence", round(100 * sureness / letters))


def _pieces(picture: Image) -> Iterator[Image]:
    """A picture that is much longer than wide in pieces that overlap, from left to right or from top to bottom."""
    short, long = sorted(picture.size)
    if short < _LEAST:
        return
    if long <= _LONGEST * short:
        yield picture
        return
    for begin in range(0, long - short, (_LONGEST - 1) * short):
        end = min(long, begin + _LONGEST * short)
        wide = picture.width == long
        yield picture.crop((begin, 0, end, short) if wide else (0, begin, short, end))


def _frames(stream: Stream) -> Iterator[tuple[str, Image]]:
    """The picture upright and on white, of a torn one what is there; of a TIFF every page."""
    from PIL import ImageOps

    with opened(cast(BinaryIO, stream), "RGB", _EDGE, torn=True) as picture:
        count = getattr(picture, "n_frames", 1) if picture.format == "TIFF" else 1
        if count == 1:
            ImageOps.exif_transpose(picture, in_place=True)
            shown = on_white(picture, _EDGE)
        for number in range(min(count, _MOST_PAGES) if count > 1 else 0):
            picture.seek(number)
            yield f"page {number + 1}, ocr", on_white(ImageOps.exif_transpose(picture), _EDGE)
    if count == 1:  # the larger one is given up before this one is read
        yield "ocr", shown


def _moments(stream: Stream) -> Iterator[tuple[str, Image]]:
    try:
        held = stills(cast(BinaryIO, stream), _MOST_MOMENTS)
    except NoFilmError:
        return
    for moment, picture in held:
        yield f"{clock(moment / 1000)}, ocr", picture


def _pages(stream: Stream) -> Iterator[tuple[str, Image]]:
    """The pages of a document that hold hardly any text of their own, as they are shown."""
    pdfium = load_pdfium()
    with ExitStack() as stack:
        document = _open(pdfium, stream, stack)
        count = pdfium.FPDF_GetPageCount(document) if document else 0
        for number in range(min(count, _MOST_PAGES)):
            with closing_with(pdfium.FPDF_ClosePage, pdfium.FPDF_LoadPage(document, number)) as page:
                if page and not _is_written(pdfium, page):
                    yield f"page {number + 1}, ocr", _render(pdfium, page)


def _open(pdfium: Any, stream: Stream, stack: ExitStack) -> Any:
    """The document; None where it does not open, which the handler before has told."""
    for password in ("", *(each.text for each in stream.passwords)):
        try:
            return stack.enter_context(open_document(pdfium, stream, password.encode() + b"\0" if password else None))
        except WrongPasswordError:
            continue
        except EvidenceError:
            break
    return None


def _is_written(pdfium: Any, page: Any) -> bool:
    with closing_with(pdfium.FPDFText_ClosePage, pdfium.FPDFText_LoadPage(page)) as text:
        return bool(text) and pdfium.FPDFText_CountChars(text) >= _WRITTEN


def _render(pdfium: Any, page: Any) -> Image:
    from PIL import Image

    size = pdfium.FPDF_GetPageWidthF(page), pdfium.FPDF_GetPageHeightF(page)
    scale = _PAGE_EDGE / max(*size, 1.0)
    width, height = (max(1, round(side * scale)) for side in size)
    with closing_with(pdfium.FPDFBitmap_Destroy, pdfium.FPDFBitmap_Create(width, height, 0)) as bitmap:
        if not bitmap:
            raise EvidenceError("limit", f"a page of {width} x {height} pixels cannot be drawn")
        pdfium.FPDFBitmap_FillRect(bitmap, 0, 0, width, height, 0xFFFFFFFF)
        pdfium.FPDF_RenderPageBitmap(bitmap, page, 0, 0, width, height, 0, pdfium.FPDF_ANNOT)
        stride = pdfium.FPDFBitmap_GetStride(bitmap)
        data = ctypes.string_at(pdfium.FPDFBitmap_GetBuffer(bitmap), stride * height)
    return Image.frombytes("RGB", (width, height), data, "raw", "BGRX", stride)
