"""Notebooks of Quattro Pro 9 and later: texts in a list of their own, cells column by column.

Source: the records of QPW files, as converters of free office programs describe them.
"""

from __future__ import annotations

import math
import struct
from array import array
from collections.abc import Iterator
from typing import Final

from indexer.errors import EvidenceError
from indexer.handlers._lotus_records import GENERAL, Book, show_value, word
from indexer.model import Fact, Field, Problem

SPECIAL: Final = {5: 0x72, 6: 0x73, 7: 0x74, 8: 0x79, 9: 0x7A, 10: 0x77, 11: 0x78, 12: 0x7B, 13: 0x7C}
"""Formats of dates and times: those of Quattro Pro for Windows as release 2 of 1-2-3 numbers them."""
_PASSWORD, _STYLES, _FIELDS, _STRINGS, _FORMULAS, _STRINGS_END = 0x04, 0x0A, 0x406, 0x407, 0x408, 0x411
_STRINGS_BEGIN, _SHEET, _SHEET_END, _COLUMN, _COLUMN_END, _CELLS, _RESULT = (
    0x404,
    0x601,
    0x602,
    0xA01,
    0xA02,
    0xC01,
    0xC02,
)
_OLD_STYLE, _NEW_STYLE, _NEW_STYLES_FROM = 30, 36, 11
_BLANK, _UNSIGNED, _SIGNED, _FLOAT, _DOUBLE, _TEXT, _FORMULA = 1, 2, 3, 4, 5, 7, 8
_SIZES: Final = {_BLANK: 0, _UNSIGNED: 2, _SIGNED: 2, _FLOAT: 4, _DOUBLE: 8, _TEXT: 4, _FORMULA: 14}
_LIST, _SERIES = 0x40, 0x60
_MOST_ROWS: Final = 1 << 20
_MOST_SERIES: Final = 1 << 20
"""Cells that are made of a first value and a step, in all of a file: a few bytes name thousands of them."""


class Newest(Book):
    """A notebook; columns follow one another inside their sheet."""

    end = 0x02
    is_long = True

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._release = word(data, 8)
        self._formats = array("B")
        self._strings: tuple[bytes, array[int]] = (b"", array("I"))
        """A record of texts, and where in it each of them begins."""
        self._waiting = self._strings
        self._titles: dict[int, bytes] = {}
        self._sheet = self._column = -1
        self._series = 0
        self._lost = ""
        """The first cell of no known kind."""

    # -- what cells need ---------------------------------------------------------------------

    def learn(self, number: int, data: bytes) -> None:
        if number == _PASSWORD:
            raise EvidenceError("encrypted", "a password")
        if number == _STYLES:
            self._learn_styles(data)
        elif number == _STRINGS_BEGIN:
            self._waiting = (b"", array("I"))
        elif number == _STRINGS:
            self._waiting = (data, _places(data, 12))
            for at in self._waiting[1]:
                self.letters.sample(_string(data, at))
        elif number in (_FORMULAS, _STRINGS_END, self.end) and self._waiting[1] and not self._strings[1]:
            self._strings = self._waiting
        elif number == _SHEET:
            self._titles[word(data, 0)] = _string(data, 18)
            self.letters.sample(_string(data, 18))
        elif number == _RESULT:
            self.letters.sample(_string(data, 6))

    def _learn_styles(self, data: bytes) -> None:
        count = int.from_bytes(data[:4], "little")
        size = _OLD_STYLE if self._release < _NEW_STYLES_FROM else _NEW_STYLE
        rest = len(data) - 4
        if count and size * count != rest and rest % count == 0 and rest // count in (_OLD_STYLE, _NEW_STYLE):
            size = rest // count
        for at in range(4, len(data) - size + 1, size):
            self._formats.append(_like_lotus(word(data, at + 2)))

    def begin(self) -> Iterator[Fact]:
        if self._waiting[1] and not self._strings[1]:
            self._strings = self._waiting
        for sheet, raw in sorted(self._titles.items()):
            if name := self.letters.text(raw):
                self.grid.names[sheet] = name
                yield Field("xlsx.sheet", name)

    # -- cells -------------------------------------------------------------------------------

    def tell(self, number: int, data: bytes) -> Iterator[Fact]:
        if number == _SHEET:
            self._sheet, self._column = word(data, 0), -1
        elif number == _SHEET_END:
            self._sheet = self._column = -1
        elif number == _COLUMN:
            self._column = word(data, 0)
        elif number == _COLUMN_END:
            self._column = -1
        elif number == _FIELDS:
            yield from self._names(data)
        elif self._sheet < 0:
            return
        elif number == _CELLS and self._column >= 0:
            yield from self._cells(data)
        elif number == _RESULT and len(data) > 8:
            row = int.from_bytes(data[2:6], "little")
            yield from self._add(row, word(data, 0), (self.letters.text(_string(data, 6)), ""))

    def _add(self, row: int, column: int, value: tuple[str, str]) -> Iterator[Fact]:
        if row < _MOST_ROWS:
            yield from self.grid.add(self._sheet, row, column, value)

    def last(self) -> Iterator[Fact]:
        if self._lost:
            yield Problem("corrupt", f"cells from {self._lost} on are of no known kind", resolution="left out")
        if self._series >= _MOST_SERIES:
            yield Problem("limit", f"more than {_MOST_SERIES} cells of series", resolution="read up to there")

    def _names(self, data: bytes) -> Iterator[Fact]:
        at = 2
        for _ in range(word(data, 0)):
            size = word(data, at)
            if size < 12 or at + size > len(data):
                return
            yield from self.text(_string(data, at + 8), "defined name")
            at += size

    def _cells(self, data: bytes) -> Iterator[Fact]:
        row, at = int.from_bytes(data[:4], "little"), 8
        while at < len(data):
            kind, style = data[at], 0
            at += 1
            if kind & 0x80:
                style = word(data, at)
                at += 2
            way, kind = kind & 0x60, kind & 0x1F
            count = held = 1
            if way in (_LIST, _SERIES):
                count = word(data, at)
                held = 2 if way == _SERIES else count
                at += 2
            size = _SIZES.get(kind, 0)
            if (way and way not in (_LIST, _SERIES)) or kind not in _SIZES or at + held * size > len(data):
                if not self._lost:
                    self._lost = self.grid.place(self._sheet, row, self._column)
                return
            code = self._formats[style - 1] if 0 < style <= len(self._formats) else GENERAL
            if kind != _BLANK:
                for step, value in enumerate(self._values(kind, data, at, held, count)):
                    yield from self._add(row + step, self._column, self._shown(kind, value, code))
            row += count
            at += held * size

    def _values(self, kind: int, data: bytes, at: int, held: int, count: int) -> Iterator[float]:
        """The numbers of a run of cells; of texts, their places in the list."""
        size = _SIZES[kind]
        form = {_UNSIGNED: "<H", _SIGNED: "<h", _FLOAT: "<f", _DOUBLE: "<d", _TEXT: "<I", _FORMULA: "<d"}[kind]
        values = (float(struct.unpack_from(form, data, at + size * each)[0]) for each in range(held))
        if held == count:
            yield from values
            return
        first, step = values
        count = min(count, _MOST_SERIES - self._series)
        self._series += count
        yield from (first + step * each for each in range(count))

    def _shown(self, kind: int, value: float, code: int) -> tuple[str, str]:
        if kind != _TEXT:
            return show_value(value, code)
        data, places = self._strings
        number = int(value) - 1 if math.isfinite(value) else -1
        return (self.letters.text(_string(data, places[number])), "") if 0 <= number < len(places) else ("", "")


def _places(data: bytes, at: int) -> array[int]:
    """Where the counted texts of a record begin."""
    found = array("I")
    while at + 4 <= len(data):
        found.append(at)
        after = at + 4 + word(data, at)
        if after <= len(data) and data[at + 2] & 2:
            after += max(6, word(data, after))
        at = after
    return found


def _string(data: bytes, at: int) -> bytes:
    """A text behind its size of two bytes and a mark."""
    return data[at + 3 : at + 3 + word(data, at)].partition(b"\0")[0]


def _like_lotus(code: int) -> int:
    """A number format of these notebooks as release 2 of 1-2-3 numbers them."""
    kind, low = code >> 5, code & 0x1F
    if kind == 0:
        return SPECIAL.get(low, GENERAL)
    places = low & 15
    return {1: places, 3: 0x40 | places, 9: (0x10 if low & 0x10 else 0x30) | places}.get(kind, GENERAL)
