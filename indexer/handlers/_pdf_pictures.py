"""Pictures of a PDF file that are files of their own: JPEG and JPEG 2000, as they stand in it.

Found in the bytes, so that those of pages that were taken out or replaced in a later saving are among them;
in encrypted documents, on the pages.
Source: ISO 32000-2, 7.4.8 (DCTDecode), 7.4.9 (JPXDecode), 8.9.5 (image dictionaries).
Limits: pictures in other forms are not members.
"""

from __future__ import annotations

import ctypes
import hashlib
import mmap
import re
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from typing import Any, BinaryIO, Final, NamedTuple

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._pdf_objects import KNOWN_FILTERS, filters_of, number_of, span_of, stream_of
from indexer.handlers._pdfium import byte_string
from indexer.handlers._streams import open_slice
from indexer.limits import KIB, MIB
from indexer.model import Child, Fact, Field, Problem

FIELDS: Final = {
    "pdf.object": "number of the object that holds the picture",
    "pdf.page": "page on which a picture is shown, in an encrypted document",
}
PICTURES: Final = 20_000
_MARKS: Final = 10 * PICTURES
"""Names of filters that are looked at."""
PICTURE_BYTES: Final = 256 * MIB
_SUFFIXES: Final = {b"DCTDecode": ".jpg", b"JPXDecode": ".jp2"}
_AROUND: Final = 4 * KIB
_IMAGE: Final = re.compile(rb"/Subtype\s{0,3}/Image\b")


class _Picture(NamedTuple):
    place: int
    number: int
    suffix: str
    is_plain: bool
    """Whether no other filter lies over it."""


def read_pictures(stream: Stream) -> Iterator[Fact]:
    """Each as a member, in the order of the file."""
    with stream.path() as path, open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data:
        found = sorted(_find(data))
        spans = [span_of(data, each.place) if each.is_plain else (0, 0) for each in found]
    for count, (picture, (begin, end)) in enumerate(zip(found, spans, strict=True), 1):
        opening: Callable[[], BinaryIO] = partial(_open, stream, picture.place)
        if picture.is_plain:
            opening = open_slice(stream, begin, end - begin)
        name = f"picture {count}{picture.suffix}"
        yield Child(name, name.encode(), opening, fields=(Field("pdf.object", picture.number),))
    if len(found) == PICTURES:
        yield Problem("limit", f"{PICTURES} pictures or more", resolution="stopped there")


def _find(data: mmap.mmap) -> Iterator[_Picture]:
    count = searched = 0
    for mark, suffix in _SUFFIXES.items():
        at = data.find(mark)
        while at >= 0 and count < PICTURES and searched < _MARKS:
            searched += 1
            begin = data.rfind(b" obj", max(0, at - _AROUND), at)
            end = data.find(b"stream", at, at + _AROUND)
            head = data[begin:end] if begin >= 0 and end >= 0 and data.find(b"stream", begin, at) < 0 else b""
            names = filters_of(head)
            if names[-1:] == [mark] and set(names[:-1]) <= set(KNOWN_FILTERS) and _IMAGE.search(head):
                count += 1
                yield _Picture(begin, number_of(data, begin), suffix, len(names) == 1)
            at = data.find(mark, at + len(mark))


class PagePictures:
    """Pictures as pages show them, for documents whose bytes are encrypted; each once."""

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
            if pdfium.FPDFImageObj_GetImageFilterCount(shown) != 1:
                continue
            suffix = _SUFFIXES.get(byte_string(pdfium.FPDFImageObj_GetImageFilter, shown, 0))
            size = pdfium.FPDFImageObj_GetImageDataRaw(shown, None, 0)
            if not suffix or not 0 < size <= PICTURE_BYTES:
                continue
            buffer = ctypes.create_string_buffer(size)
            pdfium.FPDFImageObj_GetImageDataRaw(shown, buffer, size)
            digest = hashlib.sha256(buffer).digest()
            if digest not in self._known:
                self._known.add(digest)
                name = f"picture {len(self._known)}{suffix}"
                yield Child(name, name.encode(), partial(BytesIO, buffer.raw), fields=(Field("pdf.page", number),))


def _open(stream: Stream, place: int) -> BinaryIO:
    with stream.path() as path, open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data:
        held = stream_of(data, place, PICTURE_BYTES + 1)
    if len(held) > PICTURE_BYTES:
        raise EvidenceError("limit", f"a picture of more than {PICTURE_BYTES} bytes")
    if not held:
        raise EvidenceError("corrupt", "a picture that cannot be unpacked")
    return BytesIO(held)
