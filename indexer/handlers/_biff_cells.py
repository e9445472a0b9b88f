"""Cells of old Excel sheets that hold numbers and shared texts: rows of one shape are read column by column.

Source: [MS-XLS] 2.4.127 (Formula), 2.4.149 (LabelSst), 2.4.175 (MulRk), 2.4.180 (Number), 2.4.220 (RK), 2.5.133.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise, repeat
from math import isnan
from typing import Any

from indexer.handlers._biff import rks
from indexer.handlers._cells import run_texts
from indexer.handlers._cellstyles import Row, Styles
from indexer.handlers._hidden_lines import Hidden
from indexer.model import Text

_ROWS = 64
"""Rows that are looked at together at most; Excel writes blocks of 32. As many are tried as agreed before, twice."""
_MOST_CELLS = 256
"""Records of a row that make one shape; what follows in it makes another."""
_TEXT, _PACKED, _MANY, _NUMBER, _FORMULA = 0xFD, 0x27E, 0xBD, 0x203, 0x06
_BLANK = frozenset({0x201, 0xBE})
_ROW = 0x208
_BETWEEN = frozenset({_ROW, 0xD7})
"""Rows and their places: they hold nothing to read."""
_LEAST = {_TEXT: 10, _PACKED: 10, _MANY: 6, _NUMBER: 14, _FORMULA: 14, **dict.fromkeys(_BLANK, 6)}
_INTEGER = 0x80000003
"""Bits of a packed number that are 2 where it is an integer, and not below 0."""
_HEAD = struct.Struct("<HHH")


class _Shape:
    """What the bytes of a row are, by the number and the size of its records.

    Attributes:
        row: all bytes of a row: what is alike in rows of one shape in large pieces, row numbers, values.
        same: places of what is alike: numbers, sizes, columns, styles.
        rows: places of the row's number.
        heads: columns and styles alone, which the first row tells for all.
        cells: kind of record, place of the column in the heads and what to add to it, place of the style
            there, place of the value in the row.
    """

    def __init__(self, layout: tuple[tuple[int, int], ...]) -> None:
        form, heads, self.same, self.rows = ["<"], ["<"], list[int](), list[int]()
        self.cells: list[tuple[int, int, int, int, int]] = []
        place = head = 0
        for number, size in layout:
            self.same.append(place)
            self.rows.append(place + 1)
            place += 2
            if number in _BLANK:
                form.append(f"IH{size - 2}x")
                heads.append(f"{4 + size}x")
                continue
            count = (size - 6) // 6 if number == _MANY else 1
            value, width = ("d", 8) if number in (_NUMBER, _FORMULA) else ("I", 4)
            rest = size - 4 - count * (2 + width)
            # The column and the first style in one; further cells have a style only.
            form.append(f"IHI{value}" + f"H{value}" * (count - 1) + f"{rest}x")
            heads.append("6xH" + f"H{width}x" * count + f"{rest}x")
            for more in range(count):
                self.same.append(place + 2 * more)
                self.cells.append((number, head, more, head + 1 + more, place + 1 + 2 * more))
            place += 2 * count
            head += 1 + count
        self.row, self.heads = struct.Struct("".join(form)), struct.Struct("".join(heads))


@lru_cache(maxsize=256)
def _shape(layout: tuple[tuple[int, int], ...]) -> _Shape:
    return _Shape(layout)


class PlainCells:
    """Reads them.

    Attributes:
        at: where the last reading ended.

    Args:
        data: the workbook stream, not encrypted.
        strings: the shared texts.
    """

    def __init__(self, data: bytes, strings: Sequence[str], styles: Styles) -> None:
        self.at = 0
        self._hope = 1
        self._data, self._strings, self._styles = data, strings, styles

    def read(self, sheet: str, row: Row, at: int, hidden: Hidden) -> Iterator[Text]:
        """The rows from `at` on, up to the first record that is something else; the last one stays in `row`."""
        self.at = at
        while True:
            if layout := self._next_layout():
                shape = _shape(layout)
                heads = shape.heads.unpack_from(self._data, self.at)
                columns = self._next_rows(shape, row.number - 1)
                self.at += len(columns[0]) * shape.row.size
                yield from self._say(shape, heads, columns, sheet, row)
            elif not self._skip(hidden):
                return

    def _next_layout(self) -> tuple[tuple[int, int], ...]:
        """Number and size of the records of the next row, or of as much of it as is plain."""
        data, at, layout = self._data, self.at, list[tuple[int, int]]()
        now = -1
        while len(layout) < _MOST_CELLS and at + _HEAD.size <= len(data):
            number, size, row = _HEAD.unpack_from(data, at)
            end = at + 4 + size
            if size < _LEAST.get(number, 1 << 16) or end > len(data) or (layout and row != now):
                break
            if number == _FORMULA and data[at + 16 : at + 18] == b"\xff\xff":
                break  # What it came to is no number.
            layout.append((number, size))
            now, at = row, end
        return tuple(layout)

    def _skip(self, hidden: Hidden) -> bool:
        """Whether the next record holds no cell and was passed over."""
        head = self._data[self.at : self.at + 4]
        number, end = int.from_bytes(head[:2], "little"), self.at + 4 + int.from_bytes(head[2:], "little")
        if number not in _BETWEEN or end > len(self._data):
            return False
        if number == _ROW:
            note_row(self._data[self.at + 4 : end], hidden)
        self.at = end
        return True

    def _next_rows(self, shape: _Shape, open_row: int) -> list[Sequence[Any]]:
        """The values of rows of this shape, by their place; only one if it goes on with the open row."""
        width = shape.row.size
        count = min(self._hope, (len(self._data) - self.at) // width)
        held = memoryview(self._data)[self.at : self.at + count * width]
        columns = list(zip(*shape.row.iter_unpack(held), strict=True))
        rows = columns[shape.rows[0]]
        count = 1 if rows[0] == open_row else _rising(rows)
        for place in shape.same:
            count = _agree(columns[place], columns[place][:1] * count)
        for place in shape.rows[1:]:
            count = _agree(columns[place], rows[:count])
        for kind, _, _, _, place in shape.cells:
            if kind == _FORMULA:
                nones = map(isnan, columns[place][1:count])
                count = next((index for index, is_none in enumerate(nones, 1) if is_none), count)
        self._hope = min(_ROWS, 2 * count)
        return [column[:count] for column in columns]

    def _say(
        self, shape: _Shape, heads: Sequence[int], columns: list[Sequence[Any]], sheet: str, row: Row
    ) -> Iterator[Text]:
        """The rows' texts but for the last, which stays in `row`."""
        numbers = [number + 1 for number in columns[shape.rows[0]]]
        if numbers[0] != row.number:
            yield from row.end(sheet)
        letters = [heads[column] + more for _, column, more, _, _ in shape.cells]
        told = [self._show(kind, heads[style], columns[place]) for kind, _, _, style, place in shape.cells]
        if not told:
            return
        by_column = [texts for texts, _ in told]
        rows = [*zip(*by_column, strict=True)]
        forms = [*zip(*(shown for _, shown in told), strict=True)] if any(any(shown) for _, shown in told) else []
        start = 0
        is_run = len(letters) > 1 and letters == [*range(letters[0], letters[0] + len(letters))]
        if is_run and not forms and all(map(all, by_column)):
            yield from run_texts(sheet, numbers[:-1], letters[0], rows)
            start = len(rows) - 1
        for index in range(start, len(rows)):
            row.number = numbers[index]
            for column, text, shown in zip(letters, rows[index], forms[index] if forms else repeat(""), strict=False):
                row.add(column, text, shown)
            if index < len(rows) - 1:
                yield from row.end(sheet)

    def _show(self, kind: int, style: int, values: Sequence[Any]) -> tuple[Sequence[str], Sequence[str]]:
        """The texts of cells of one column and style, and their other forms, empty where there is none."""
        none = [""] * len(values)
        if kind == _TEXT:
            strings, count = self._strings, len(self._strings)
            if max(values) < count:
                return [strings[index] for index in values], none
            return [strings[index] if index < count else "" for index in values], none
        is_plain = self._styles.is_plain(style)
        if kind in (_PACKED, _MANY):
            if is_plain and {value & _INTEGER for value in values} == {2}:
                return [str(value >> 2) for value in values], none
            values = rks(values)
        if is_plain:
            joined = "\t".join(["%.15g"] * len(values)) % tuple(values)
            if "e" not in joined and "n" not in joined:  # exponents, nan, inf
                return joined.split("\t"), none
        stored = [repr(value) for value in values]
        styles = self._styles
        return [styles.value(text, style) for text in stored], [styles.shown(text, style) for text in stored]


def _rising(rows: Sequence[int]) -> int:
    """How many row numbers follow one another upwards."""
    return next((index for index, (before, after) in enumerate(pairwise(rows), 1) if after <= before), len(rows))


def note_row(data: bytes, hidden: Hidden) -> None:
    """Takes note of a row that is hidden."""
    if len(data) > 12 and data[12] & 0x20:
        number = int.from_bytes(data[:2], "little") + 1
        hidden.add_rows(number, number)


def _agree(column: Sequence[Any], wanted: Sequence[Any]) -> int:
    """How many of the first values are as they should be."""
    if column[: len(wanted)] == wanted:
        return len(wanted)
    return next(index for index, (one, other) in enumerate(zip(column, wanted, strict=False)) if one != other)
