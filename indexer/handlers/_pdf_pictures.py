"""Pictures of a PDF file as files of their own: as they stand in it, in a wrapping, or by their samples.

Found in the bytes, so that those of pages that were taken out or replaced in a later saving are among them.
Source: ISO 32000-2, 7.4.6 to 7.4.9 (filters of pictures), 8.9.5 (image dictionaries).
Limits: pictures that stand in the text of a page; those of fewer than 16 pixels across or down, unless they are
JPEG, JPEG 2000, JBIG2 or fax; of JBIG2, that its colours are turned round.
"""

from __future__ import annotations

import mmap
import re
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import BinaryIO, Final, NamedTuple

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._pdf_filters import PIECE, ROW_BYTES, Filter, bytes_of, can_undo, filters_of, joined, undo
from indexer.handlers._pdf_objects import number_of
from indexer.handlers._pdf_raw import whole
from indexer.handlers._pdf_samples import GRAY, Shape, can_write, colours_of, file_of, is_turned
from indexer.handlers._pdf_values import Objects, Reference, Value
from indexer.handlers._pdf_wrapped import fax, jbig2
from indexer.handlers._streams import open_chunks, open_slice
from indexer.limits import GIB, KIB, MIB
from indexer.model import Child, Fact, Field, Problem

FIELDS: Final = {
    "pdf.object": "number of the object that holds the picture",
    "pdf.small_pictures": "pictures of fewer than 16 pixels across or down that are left out",
}
PICTURES: Final = 20_000
SMALLEST: Final = 16
"""Pixels across and down: what has fewer is a line or a gradient."""
PICTURE_BYTES: Final = 2 * GIB
"""Of the samples of one picture: a sheet of A0 in 600 dpi and full colour has 1.6 GiB."""
ALL_BYTES: Final = 16 * GIB
"""What is unpacked of all pictures of one document: 600 pages of A4, scanned in 300 dpi and full colour."""
SHARED: Final = 64 * MIB
"""Of the data that JBIG2 pictures share, packed or unpacked."""
_MARKS: Final = 50 * PICTURES
_AROUND: Final = 8 * KIB
_ON: Final = re.compile(rb"\w")
_SUFFIXES: Final = {"DCTDecode": ".jpg", "JPXDecode": ".jp2", "JBIG2Decode": ".jb2", "CCITTFaxDecode": ".tif"}
"""Of what is not unpacked."""
_NAMES: Final = (*_SUFFIXES, "FlateDecode", "LZWDecode", "RunLengthDecode", "ASCIIHexDecode", "ASCII85Decode", "Crypt")
_SPACES: Final = ("Lab", "Pattern", "Indexed", "ICCBased", "DeviceN")


class _Picture(NamedTuple):
    """Where the data stand, what lies over them, and as what they are given."""

    number: int
    begin: int
    end: int
    filters: list[Filter]
    suffix: str
    shape: Shape
    shared: bytes


class _LeftOutError(Exception):
    """There is no way to give a picture; says why."""


class _Budget:
    """What is left of the bytes that may be unpacked."""

    def __init__(self, left: int) -> None:
        self._left = left

    def count(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """The same pieces.

        Raises:
            EvidenceError: `limit`.
        """
        for piece in pieces:
            self._left -= len(piece)
            if self._left < 0:
                raise EvidenceError("limit", f"the pictures of the document have more than {ALL_BYTES} bytes")
            yield piece


def read_pictures(stream: Stream) -> Iterator[Fact]:
    """Each as a member, in the order of the file; those that are left out are counted."""
    pictures: list[_Picture] = []
    reasons: Counter[str] = Counter()
    with whole(stream) as data:
        finder = _Finder(data)
        for place, entries in finder.find():
            try:
                pictures.append(finder.picture(place, entries))
            except _LeftOutError as error:
                reasons[str(error)] += 1
    budget = _Budget(ALL_BYTES)
    for count, picture in enumerate(pictures, 1):
        opening = partial(_open, stream, picture, budget)
        name = f"picture {count}{picture.suffix}"
        yield Child(name, name.encode(), opening, fields=(Field("pdf.object", picture.number),))
    if small := reasons.pop("", 0):
        yield Field("pdf.small_pictures", small)
    for reason, count in sorted(reasons.items()):
        yield Problem("unsupported", f"pictures {reason} ({count})", resolution="not given as members")
    if len(pictures) + small + sum(reasons.values()) == PICTURES:
        yield Problem("limit", f"{PICTURES} pictures or more", resolution="stopped there")


class _Finder:
    """The pictures of a file that is at hand as a whole."""

    def __init__(self, data: bytes | mmap.mmap) -> None:
        self._data = data
        self._objects = Objects(data)
        self._shared: dict[int, bytes] = {}
        self._room = SHARED

    def find(self) -> Iterator[tuple[int, dict[str, Value]]]:
        """Where each begins, and its dictionary."""
        data = self._data
        count, known, at = 0, -1, data.find(b"/Image")
        for _ in range(_MARKS):
            if at < 0 or count == PICTURES:
                return
            begin = -1 if _ON.match(data, at + 6) else data.rfind(b" obj", max(0, at - _AROUND), at)
            if begin > known and data.find(b"stream", begin, at) < 0:
                known, entries = begin, self._objects.at(begin)
                if isinstance(entries, dict) and entries.get("Subtype") == "Image":
                    count += 1
                    yield begin, entries
            at = data.find(b"/Image", at + 6)

    def picture(self, place: int, entries: dict[str, Value]) -> _Picture:
        """What is known of one before it is opened.

        Raises:
            _LeftOutError: there is no way to give it.
        """
        filters = filters_of(self._objects, place, entries)
        suffix = _SUFFIXES.get(filters[-1].name, "") if filters else ""
        shape = self._shape(place, entries, is_known=bool(suffix))
        if not (all(map(can_undo, filters[:-1])) if suffix else can_write(filters, shape)):
            name = next(each.name for each in filters if not can_undo(each))
            raise _LeftOutError(f"with a filter that cannot be undone: {name if name in _NAMES else 'not known'}")
        begin, end = self._objects.span(place, entries)
        shared = self._globals_of(place, entries) if suffix == ".jb2" else b""
        suffix = suffix or (".png" if shape.is_png else ".tif")
        return _Picture(number_of(self._data, place), begin, end, filters, suffix, shape, shared)

    def _shape(self, place: int, entries: dict[str, Value], *, is_known: bool) -> Shape:
        objects = self._objects

        def number(name: str) -> int:
            value = objects.follow(entries.get(name), place)
            return value if isinstance(value, int) else 0

        colours, bits = GRAY, 1
        if not is_known and not number("ImageMask"):
            space = objects.follow(entries.get("ColorSpace"), place)
            known = colours_of(objects, space, place)
            if not known:
                family = space[0] if isinstance(space, list) and space else space
                raise _LeftOutError(f"in colours that are not read: {family if family in _SPACES else 'not known'}")
            colours, bits = known, number("BitsPerComponent")
        shape = Shape(number("Width"), number("Height"), bits, colours, inverted=False)
        shape = shape._replace(inverted=is_turned(objects.follow(entries.get("Decode"), place), shape))
        if is_known:
            return shape
        if bits not in (1, 2, 4, 8, 16) or (colours.palette and bits > 8) or min(shape[:2]) <= 0:
            raise _LeftOutError("without a sound size")
        if min(shape[:2]) < SMALLEST:
            raise _LeftOutError
        if shape.row > ROW_BYTES or shape.written[2] * shape.height > PICTURE_BYTES:
            raise _LeftOutError(f"of more than {PICTURE_BYTES} bytes, or {ROW_BYTES} in a row")
        return shape

    def _globals_of(self, place: int, entries: dict[str, Value]) -> bytes:
        """What a JBIG2 picture shares with others."""
        objects = self._objects
        held = objects.follow(entries.get("DecodeParms"), place)
        held = objects.follow(held[-1], place) if isinstance(held, list) and held else held
        reference = held.get("JBIG2Globals") if isinstance(held, dict) else None
        at = objects.place(reference, place) if isinstance(reference, Reference) else None
        if at is None:
            return b""
        if at not in self._shared:
            begin, end = objects.span(at, {})
            self._shared[at] = bytes_of(objects, reference, place, self._room)
            self._room -= min(self._room, max(end - begin, len(self._shared[at])))
        return self._shared[at]


def _open(stream: Stream, picture: _Picture, budget: _Budget) -> BinaryIO:
    begin, end, filters, suffix = picture.begin, picture.end, picture.filters, picture.suffix
    held = _pieces(stream, begin, end)
    if not filters or filters[-1].name not in _SUFFIXES:
        pieces = budget.count(file_of(held, filters, picture.shape))
    elif len(filters) == 1 and suffix in (".jpg", ".jp2"):
        return open_slice(stream, begin, end - begin)()
    else:
        pieces = budget.count(undo(held, filters[:-1]))
        if suffix == ".jb2":
            pieces = jbig2(pieces, picture.shared)
        elif suffix == ".tif":
            size = end - begin
            if len(filters) > 1:
                data = joined(pieces)
                size, pieces = len(data), iter([data])
            pieces = fax(pieces, size, filters[-1], picture.shape)
    # What cannot be had at all has no bytes: that is other than a file of none.
    return open_chunks(pieces, next(pieces, b""))


def _pieces(stream: Stream, begin: int, end: int) -> Iterator[bytes]:
    for at in range(begin, end, PIECE):
        yield stream.at(at, min(PIECE, end - at))
