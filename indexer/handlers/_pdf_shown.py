"""Pictures as the pages of a PDF document show them, through PDFium: for documents whose bytes are encrypted.

Source: the public headers of PDFium (fpdf_edit.h, fpdfview.h).
Limits: the samples of what is neither JPEG nor JPEG 2000 are those that PDFium makes of it, in 8 bits of gray or RGB.
"""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Iterator
from functools import partial
from io import BytesIO
from typing import Any, Final

from indexer.handlers._pdf_filters import cut, marked
from indexer.handlers._pdf_pictures import PICTURES, SMALLEST
from indexer.handlers._pdf_samples import Colours, Shape, png
from indexer.handlers._pdfium import byte_string, closing_with
from indexer.limits import MIB
from indexer.model import Child, Field

FIELDS: Final = {"pdf.page": "page on which a picture is shown, in an encrypted document"}
PICTURE_BYTES: Final = 256 * MIB
_SUFFIXES: Final = {b"DCTDecode": ".jpg", b"JPXDecode": ".jp2"}
_SAMPLES: Final = {1: 1, 2: 3, 3: 4, 4: 4}
"""Bytes a pixel of each format of a bitmap: gray, BGR, BGR and one that is not used, BGRA."""


class PagePictures:
    """The pictures of one document, each once."""

    def __init__(self, pdfium: Any) -> None:
        self._pdfium = pdfium
        self._known: set[bytes] = set()

    def read(self, page: Any, number: int) -> Iterator[Child]:
        """Those of a page that no page before it shows."""
        pdfium = self._pdfium
        for index in range(pdfium.FPDFPage_CountObjects(page)):
            shown = pdfium.FPDFPage_GetObject(page, index)
            if pdfium.FPDFPageObj_GetType(shown) != pdfium.FPDF_PAGEOBJ_IMAGE or len(self._known) >= PICTURES:
                continue
            suffix = ".png"
            if pdfium.FPDFImageObj_GetImageFilterCount(shown) == 1:
                suffix = _SUFFIXES.get(byte_string(pdfium.FPDFImageObj_GetImageFilter, shown, 0), suffix)
            # The same data may be shown in other colours: only what is drawn tells them apart.
            data = self._drawn(shown) if suffix == ".png" else self._raw(shown)
            digest = hashlib.sha256(data).digest()
            if data and digest not in self._known:
                self._known.add(digest)
                name = f"picture {len(self._known)}{suffix}"
                yield Child(name, name.encode(), partial(BytesIO, data), fields=(Field("pdf.page", number),))

    def _raw(self, shown: Any) -> bytes:
        """The data of a picture; empty where they are huge."""
        size = self._pdfium.FPDFImageObj_GetImageDataRaw(shown, None, 0)
        if not 0 < size <= PICTURE_BYTES:
            return b""
        buffer = ctypes.create_string_buffer(size)
        self._pdfium.FPDFImageObj_GetImageDataRaw(shown, buffer, size)
        return buffer.raw

    def _drawn(self, shown: Any) -> bytes:
        """A picture as a PNG; empty where it is small, huge, or cannot be drawn."""
        pdfium = self._pdfium
        width, height = ctypes.c_uint(), ctypes.c_uint()
        pdfium.FPDFImageObj_GetImagePixelSize(shown, width, height)
        if min(width.value, height.value) < SMALLEST or width.value * height.value * 4 > PICTURE_BYTES:
            return b""
        with closing_with(pdfium.FPDFBitmap_Destroy, pdfium.FPDFImageObj_GetBitmap(shown)) as bitmap:
            samples = _SAMPLES.get(pdfium.FPDFBitmap_GetFormat(bitmap)) if bitmap else None
            if not samples:
                return b""
            wide, high = pdfium.FPDFBitmap_GetWidth(bitmap), pdfium.FPDFBitmap_GetHeight(bitmap)
            across = pdfium.FPDFBitmap_GetStride(bitmap)
            raw = ctypes.string_at(pdfium.FPDFBitmap_GetBuffer(bitmap), across * high)
        rows = cut(raw, across, wide * samples)
        if samples > 1:
            turned = bytearray(wide * high * 3)
            for place in range(3):
                turned[place::3] = rows[2 - place :: samples]
            rows = bytes(turned)
        row = wide * min(samples, 3)
        colours = Colours("rgb", 3) if samples > 1 else Colours("gray", 1)
        return b"".join(png(Shape(wide, high, 8, colours, inverted=False), iter([marked(rows, row, b"\0")])))
