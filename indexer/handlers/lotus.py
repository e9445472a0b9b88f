"""Spreadsheets of Lotus 1-2-3: cells of all sheets with their places, comments, names, who made them.

Source: Lotus, "File Formats for 1-2-3" (releases 1A, 2, 3); the records of later releases as converters of free
office programs describe them.
Limits: the text of formulas, pictures, charts and boxes are not read, nor the letters of the Greek group; encrypted
files are named, not opened. Of releases from 97 on, times among the properties are not read, nor files whose records
lie in several pieces. Where labels of release 2 fit ISO 8859-1, they are read by the program's own international set.
"""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._cfb import WHOLE
from indexer.handlers._lotus_records import (
    GENERAL,
    Book,
    Records,
    double,
    extended_number,
    is_moment,
    labelled,
    packed_number,
    show_value,
    small_number,
    word,
)
from indexer.handlers._ole import FIELDS
from indexer.model import Fact, Field

_OLD: Final = {0x0404: "1-2-3 1A", 0x0405: "Symphony 1", 0x0406: "1-2-3 2"}
_NEW: Final = {0x1000: "1-2-3 3", 0x1002: "1-2-3 4", 0x1003: "1-2-3 97", 0x1005: "1-2-3 9"}
_LAST: Final = 0x1005
_INTEGER, _NUMBER, _LABEL, _FORMULA, _RESULT = 0x0D, 0x0E, 0x0F, 0x10, 0x33
_NAME, _FOOTER, _HEADER, _PASSWORD = 0x0B, 0x25, 0x26, 0x4B
_NEW_PASSWORD, _NEW_NAME, _ROW_FORMATS, _ERR, _NA = 0x02, 0x09, 0x13, 0x14, 0x15
_NEW_LABEL, _EXTENDED, _SMALL, _EXTENDED_FORMULA, _NEW_RESULT = 0x16, 0x17, 0x18, 0x19, 0x1A
_MORE, _SHEET_NAME, _PACKED, _COMMENT, _DOUBLE, _DOUBLE_FORMULA = 0x1B, 0x23, 0x25, 0x26, 0x27, 0x28
_TITLED: Final = 14000
_OPEN, _SHUT, _SELECT, _STYLE = 0x106, 0x107, 0x800, 0x801
_PROPERTIES: Final = {
    0x180: "office.description",
    0x181: "office.title",
    0x182: "office.subject",
    0x183: "office.keywords",
    0x185: "office.last_modified_by",
    0x189: "office.creator",
}
_REVISIONS: Final = 0x18C
_MOST_ROWS: Final = 1 << 18
"""Rows whose formats are held."""
_MOST_COLUMNS: Final = 256
_MOST_AREAS: Final = 1 << 18
"""Runs of rows of one column whose format is held."""
_DEEPEST: Final = 64
_DAY, _CLOCK, _DAYS_FROM, _CLOCKS_FROM = 0x79, 0x7B, 0x63, 0x7A
"""Formats of dates and times that follow the reader's country, and the numbers from which on they are."""


class Lotus(Handler):
    name = "lotus"
    media_types = ("application/vnd.lotus-1-2-3",)
    signatures = (Signature(b"\0\0\x02\0"), Signature(b"\0\0\x1a\0"))
    suffixes = (".wks", ".wk1", ".wk2", ".wk3", ".wk4", ".123", ".wrk", ".wr1", ".wt4")
    fields: ClassVar[Mapping[str, str]] = {
        "lotus.version": "program and release that the file is made for",
        "lotus.codec": "character set that the texts were read by, where they are more than ASCII",
        "xlsx.sheet": "name of a sheet",
        **{name: FIELDS[name] for name in (*_PROPERTIES.values(), "office.revision")},
    }
    reads = "cells of all sheets with their places, comments, names, header and footer; who made it, title, subject"
    rank = 26

    def claims(self, stream: Stream) -> str | None:
        head = stream.head
        kind = word(head, 4)
        if len(head) < 6 or not (kind in _OLD if head[2] == 2 else 0x1000 <= kind <= _LAST):
            return None
        return self.media_types[0]

    def read(self, stream: Stream) -> Iterator[Fact]:
        data = stream.at(0, WHOLE)
        kind = word(data, 4)
        if len(data) < 6 or data[:2] != b"\0\0" or (kind not in _OLD and not 0x1000 <= kind <= _LAST):
            raise EvidenceError("unsupported", "it begins as no spreadsheet that is read here")
        yield Field("lotus.version", _OLD.get(kind) or _NEW.get(kind) or f"0x{kind:04x}")
        yield from (_Old if kind in _OLD else _New)(data).read()


class _Old(Book):
    """One sheet, as the releases before the third kept it."""

    letters_of = "lics"

    def learn(self, number: int, data: bytes) -> None:
        if number == _PASSWORD:
            raise EvidenceError("encrypted", "a password")
        if number in (_LABEL, _RESULT):
            self.letters.sample(data[5:].partition(b"\0")[0])
        elif number in (_HEADER, _FOOTER, _NAME):
            self.letters.sample(data.partition(b"\0")[0])

    def tell(self, number: int, data: bytes) -> Iterator[Fact]:
        if number in (_HEADER, _FOOTER):
            yield from self.text(labelled(data), "header" if number == _HEADER else "footer")
        elif number == _NAME:
            yield from self.text(data[:16], "defined name")
        elif number in (_INTEGER, _NUMBER, _LABEL, _FORMULA, _RESULT) and len(data) > 5:
            yield from self.grid.add(0, word(data, 3), word(data, 1), self._value(number, data))

    def _value(self, number: int, data: bytes) -> tuple[str, str]:
        if number == _LABEL:
            return self.letters.text(labelled(data[5:])), ""
        if number == _RESULT:
            return self.letters.text(data[5:]), ""
        if number == _INTEGER:
            return show_value(struct.unpack("<h", data[5:7].ljust(2, b"\0"))[0], data[0])
        return show_value(double(data, 5), data[0])


class _New(Book):
    """Sheets that lie behind one another, as the third release and all later ones keep them."""

    letters_of = "lmbcs"

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._formats: dict[tuple[int, int], bytes] = {}
        """Of a row: the formats of its cells as the record has them."""
        self._alike: dict[tuple[int, int], tuple[int, int]] = {}
        """Rows whose formats are those of another."""
        self._told: tuple[tuple[int, int], list[int], list[int]] = ((-1, -1), [], [])
        """Formats of the last row that was asked for: last columns, codes."""
        self._names: dict[int, bytes] = {}
        self._areas = _Areas()

    def learn(self, number: int, data: bytes) -> None:
        if number == _NEW_PASSWORD:
            raise EvidenceError("encrypted", "a password")
        if number in (_NEW_LABEL, _NEW_RESULT, _COMMENT):
            self.letters.sample(data[4:].partition(b"\0")[0])
        elif number in (_SHEET_NAME, _MORE) and word(data, 0) == _TITLED:
            self._names[word(data, 2)] = data[4:].partition(b"\0")[0]
            self.letters.sample(self._names[word(data, 2)])
        elif number == self.end:
            for key, text in self._properties():
                if key in _PROPERTIES:
                    self.letters.sample(text)
        elif number == _ROW_FORMATS and len(data) >= 8 and len(self._formats) + len(self._alike) < _MOST_ROWS:
            place = (data[0], word(data, 2))
            if data[1] == 0:
                self._formats[place] = data[4:]
            elif data[1] == 2:
                self._alike[place] = (data[4], word(data, 6))
        else:
            self._areas.learn(number, data)

    def begin(self) -> Iterator[Fact]:
        for sheet, raw in sorted(self._names.items()):
            if name := self.letters.text(raw):
                self.grid.names[sheet] = name
                yield Field("xlsx.sheet", name)

    def tell(self, number: int, data: bytes) -> Iterator[Fact]:
        if number == _NEW_NAME:
            yield from self.text(data[2:18], "defined name")
            yield from self.text(data[26:], "note of a defined name")
            return
        if not _ERR <= number <= _DOUBLE_FORMULA or number in (_MORE, _SHEET_NAME) or len(data) < 4:
            return
        row, sheet, column = struct.unpack_from("<HBB", data)
        if number == _COMMENT:
            yield from self.text(labelled(data[4:]), f"{self.grid.place(sheet, row, column)} comment")
        else:
            yield from self.grid.add(sheet, row, column, self._value(number, data[4:], (sheet, row), column))

    def _value(self, number: int, data: bytes, row: tuple[int, int], column: int) -> tuple[str, str]:
        value: float | str = ""
        if number in (_NEW_LABEL, _NEW_RESULT):
            value = self.letters.text(labelled(data) if number == _NEW_LABEL else data)
        elif number in (_ERR, _NA):
            value = "ERR" if number == _ERR else "NA"
        elif number in (_EXTENDED, _EXTENDED_FORMULA) and len(data) >= 10:
            value = extended_number(data)
        elif number == _SMALL and len(data) >= 2:
            value = small_number(word(data, 0))
        elif number == _PACKED and len(data) >= 4:
            value = packed_number(int.from_bytes(data[:4], "little"))
        elif number in (_DOUBLE, _DOUBLE_FORMULA):
            value = double(data, 0)
        return (value, "") if isinstance(value, str) else show_value(value, self._format(row, column))

    def _format(self, row: tuple[int, int], column: int) -> int:
        if self._told[0] != row:
            held = self._formats.get(self._alike.get(row, row), b"")
            ends: list[int] = []
            codes: list[int] = []
            at = end = 0
            while at + 4 <= len(held) and end < _MOST_COLUMNS:
                many = held[at + 3] & 0x80 and at + 4 < len(held)
                end += held[at + 4] + 1 if many else 1
                ends.append(end - 1)
                codes.append(held[at] & 0x7F)
                at += 5 if many else 4
            self._told = (row, ends, codes)
        _, ends, codes = self._told
        index = bisect_left(ends, column)
        return codes[index] if index < len(codes) else self._areas.find(*row, column)

    def behind(self) -> Iterator[Fact]:
        for number, data in self._properties():
            if number in _PROPERTIES and (body := self.letters.text(data)):
                yield Field(_PROPERTIES[number], body)
            elif number == _REVISIONS and len(data) == 2 and word(data, 0):
                yield Field("office.revision", word(data, 0))

    def _properties(self) -> Iterator[tuple[int, bytes]]:
        """Records behind the end, as long as they are of the document's properties."""
        for number, data in Records(self.records.data, self.records.at):
            if number >> 4 != 0x18:
                return
            yield number, data


class _Areas:
    """Formats as the releases from 97 on keep them: of runs of sheets, in these of columns, in these of rows."""

    def __init__(self) -> None:
        self._levels: list[tuple[int, int]] = []
        self._runs: dict[tuple[int, int], tuple[list[int], list[tuple[int, int]]]] = {}
        """By sheet and column: first rows; rows behind the last, and formats."""
        self._count = 0

    def learn(self, number: int, data: bytes) -> None:
        """Takes a record, whatever it is."""
        levels = self._levels
        if number == _OPEN:
            if len(levels) < _DEEPEST:
                levels.append((0, 0))
        elif number == _SHUT:
            del levels[-1:]
        elif number == _SELECT and levels:
            start = levels[-1][1]
            levels[-1] = (start, start + int.from_bytes(data[:4], "little"))
        elif number == _STYLE and len(data) == 4 and len(levels) == 4:
            code = data[0] & 0x7F
            if data[3] & 0x80 and code < 0x10:
                code = _CLOCK if data[2] >= _CLOCKS_FROM else _DAY if data[2] >= _DAYS_FROM else GENERAL
            self._add(code)

    def _add(self, code: int) -> None:
        _, sheets, columns, rows = self._levels
        last_sheet, last_column = min(sheets[1], _MOST_COLUMNS), min(columns[1], _MOST_COLUMNS)
        count = max(0, last_sheet - sheets[0]) * max(0, last_column - columns[0])
        if (code >= 0x70 and not is_moment(code)) or self._count + count > _MOST_AREAS:
            return
        self._count += count
        for sheet in range(sheets[0], last_sheet):
            for column in range(columns[0], last_column):
                starts, ends = self._runs.setdefault((sheet, column), ([], []))
                if not ends or ends[-1][0] <= rows[0]:
                    starts.append(rows[0])
                    ends.append((rows[1], code))

    def find(self, sheet: int, row: int, column: int) -> int:
        """The format of a cell."""
        starts, ends = self._runs.get((sheet, column), ([], []))
        index = bisect_right(starts, row) - 1
        return ends[index][1] if index >= 0 and row < ends[index][0] else GENERAL
