"""Spreadsheets of Quattro Pro, for DOS and for Windows: cells of all sheets with their places, and names.

Source: Borland, "Quattro Pro File Formats" (versions 3 to 6: records, cells, styles); those of version 9 and later
as converters of free office programs describe them.
Limits: the text of formulas, pictures, charts and boxes are not read; encrypted files are named, not opened. Formats
that users made are not followed. Which character set texts are in is not written in a file and is judged by them.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Mapping
from functools import partial
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._cfb import MAGIC, WHOLE, Compound, Entry, compound
from indexer.handlers._lotus_records import GENERAL, Book, counted, double, show_value, word
from indexer.handlers._ole import FIELDS, kind_of, members, read_properties
from indexer.handlers._quattro9 import SPECIAL, Newest
from indexer.model import Child, Fact, Field

_DOS: Final = {0x5120: "Quattro Pro for DOS 2", 0x5121: "Quattro Pro for DOS 5"}
_WINDOWS: Final = {0x1001: "Quattro Pro 1", 0x1002: "Quattro Pro 5", 0x1007: "Quattro Pro 7"}
_NEWEST: Final = b"\x01\0\x0e\0QPW9"
_MAINS: Final = ("nativecontent_main", "perfectoffice_main")
_INTEGER, _NUMBER, _LABEL, _FORMULA, _RESULT = 0x0D, 0x0E, 0x0F, 0x10, 0x33
_FOOTER, _HEADER, _PASSWORD = 0x25, 0x26, 0x4B
_DOS_STYLE, _STYLE = 0xD8, 0xCE
_MOST_STYLES: Final = 1 << 13
_STORAGE_MARK: Final = b"QPW$ExtendedStorage"
_STORED: Final = 2
_NUMBERS: Final = 0x7FFF
"""What is a record's number; its top bit is a mark."""


class Quattro(Handler):
    name = "quattro"
    media_types = ("application/x-quattro-pro",)
    signatures = (Signature(b"\0\0\x02\0"), Signature(_NEWEST), Signature(MAGIC))
    suffixes = (".wq1", ".wq2", ".wb1", ".wb2", ".wb3", ".qpw", ".wkq")
    fields: ClassVar[Mapping[str, str]] = {
        **FIELDS,
        "quattro.version": "program and release that the file is made for",
        "lotus.codec": "character set that the texts were read by, where they are more than ASCII",
        "xlsx.sheet": "name of a sheet",
    }
    reads = "cells of all sheets with their places, names, header and footer; properties, embedded objects"
    rank = 25
    container = True

    def claims(self, stream: Stream) -> str | None:
        head = stream.head
        if head.startswith(MAGIC):
            found = _main(compound(stream)) if kind_of(stream) == "ole" else None
            return self.media_types[0] if found else None
        return self.media_types[0] if _book_of(head) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        if not stream.head.startswith(MAGIC):
            yield from _read_book(stream.at(0, WHOLE))
            return
        held = compound(stream)
        yield from read_properties(held)
        entry = _main(held)
        if entry is None:
            raise EvidenceError("corrupt", held.fault or "no stream of a spreadsheet")
        try:
            yield from _read_book(held.read(entry))
        except EvidenceError as error:
            yield error.problem("", "the rest was read")
        yield from members(held, lambda key: key == entry.key)
        yield from held.problems


def _main(held: Compound) -> Entry | None:
    """The stream that holds the spreadsheet."""
    for key in _MAINS:
        entry = held.entries.get(key)
        if entry and _book_of(held.start(entry, len(_NEWEST))):
            return entry
    return None


def _book_of(head: bytes) -> type[Book] | None:
    """What reads a spreadsheet that begins so."""
    if head.startswith(_NEWEST):
        return Newest
    if head[:4] != b"\0\0\x02\0" or len(head) < 6:
        return None
    kind = word(head, 4)
    return _Dos if kind in _DOS else _Windows if kind in _WINDOWS else None


def _read_book(data: bytes) -> Iterator[Fact]:
    book = _book_of(data)
    if book is None:
        raise EvidenceError("unsupported", "it begins as no spreadsheet that is read here")
    kind = word(data, 4)
    newest = f"Quattro Pro 9 or later, level {word(data, 8)}"
    yield Field("quattro.version", newest if book is Newest else _DOS.get(kind) or _WINDOWS[kind])
    yield from book(data).read()


class _Sheets(Book):
    """What those for DOS and for Windows share.

    Attributes:
        begin_sheet, name_sheet: numbers of the records that do.
        place: where in a cell's record its column, sheet and row stand.
        value: where its value stands.
    """

    begin_sheet = name_sheet = 0
    place, value = 0, 6

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._sheet = 0
        self._titles: dict[int, bytes] = {}

    def learn(self, number: int, data: bytes) -> None:
        if number == _PASSWORD:
            raise EvidenceError("encrypted", "a password")
        if number in (_LABEL, _RESULT):
            self.letters.sample(self.label(number, data))
        elif number == self.begin_sheet:
            self._sheet = data[0] if data else 0
        elif number == self.name_sheet:
            self._titles[self._sheet] = self.title(data)
            self.letters.sample(self.title(data))

    def begin(self) -> Iterator[Fact]:
        for sheet, raw in sorted(self._titles.items()):
            if name := self.letters.text(raw):
                self.grid.names[sheet] = name
                yield Field("xlsx.sheet", name)

    def tell(self, number: int, data: bytes) -> Iterator[Fact]:
        if number in (_LABEL, _RESULT, _INTEGER, _NUMBER, _FORMULA) and len(data) >= self.value:
            column, sheet, row = struct.unpack_from("<BBH", data, self.place)
            yield from self.grid.add(sheet, row, column, self._shown(number, data))

    def label(self, number: int, data: bytes) -> bytes:
        """The text in a cell's record."""
        raise NotImplementedError

    def title(self, data: bytes) -> bytes:
        """The name in a record that names a sheet."""
        raise NotImplementedError

    def format(self, data: bytes) -> int:
        """The format of a cell, as release 2 of 1-2-3 numbers them."""
        raise NotImplementedError

    def _shown(self, number: int, data: bytes) -> tuple[str, str]:
        if number in (_LABEL, _RESULT):
            return self.letters.text(self.label(number, data)), ""
        if number == _INTEGER:
            value = float(struct.unpack("<h", data[self.value : self.value + 2].ljust(2, b"\0"))[0])
        else:
            value = double(data, self.value)
        return show_value(value, self.format(data))


class _Dos(_Sheets):
    """Cells of the first version have a format, those of the second a style."""

    letters_of = "dos"
    begin_sheet, name_sheet = 0xDC, 0xDE

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._styles: dict[int, int] = {}
        if word(data, 4) == 0x5120:
            self.place, self.value = 1, 5

    def learn(self, number: int, data: bytes) -> None:
        super().learn(number, data)
        if number == _DOS_STYLE and len(data) == 22:
            self._styles[word(data, 2)] = data[19]

    def label(self, number: int, data: bytes) -> bytes:
        return counted(data, self.value + (number == _LABEL))

    def title(self, data: bytes) -> bytes:
        return counted(data, 0)

    def format(self, data: bytes) -> int:
        return self._styles.get(word(data, 4), GENERAL) if self.value == 6 else data[0]


class _Windows(_Sheets):
    """Texts end with a mark."""

    begin_sheet, name_sheet = 0xCA, 0xCC

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._styles: list[int] = []

    def learn(self, number: int, data: bytes) -> None:
        number &= _NUMBERS
        super().learn(number, data)
        if number == _STYLE and data and len(self._styles) < _MOST_STYLES:
            self._styles.append(_like_lotus(data[0]))
        elif number in (_HEADER, _FOOTER):
            self.letters.sample(data.partition(b"\0")[0])

    def tell(self, number: int, data: bytes) -> Iterator[Fact]:
        number &= _NUMBERS
        yield from super().tell(number, data)
        if number in (_HEADER, _FOOTER):
            yield from self.text(data, "header" if number == _HEADER else "footer")

    def behind(self) -> Iterator[Fact]:
        data, at = self.records.data, self.records.at + 8
        at += 4 + int.from_bytes(data[at : at + 4], "little")
        if not data.startswith(_STORAGE_MARK, self.records.at + 12):
            return
        count = 0
        while at + 6 < len(data) and word(data, at) == _STORED:
            size = int.from_bytes(data[at + 2 : at + 6], "little")
            count += 1
            name = f"objects {count}.ole"
            yield Child(name, name.encode(), partial(io.BytesIO, data[at + 6 : at + 6 + size]))
            at += 6 + size

    def label(self, number: int, data: bytes) -> bytes:
        return data[self.value + 1 :].partition(b"\0")[0]

    def title(self, data: bytes) -> bytes:
        return data.partition(b"\0")[0]

    def format(self, data: bytes) -> int:
        style = word(data, 4) >> 3
        return self._styles[style - 1] if 0 < style <= len(self._styles) else GENERAL


def _like_lotus(code: int) -> int:
    kind, low = code >> 4 & 7, code & 15
    return SPECIAL.get(low, GENERAL) if kind in (0, 6) else GENERAL if kind == 7 else kind - 1 << 4 | low
