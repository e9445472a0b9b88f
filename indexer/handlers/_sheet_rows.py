"""Rows and shared strings of Excel sheets in bulk, where they are written as programs write them.

Source: ECMA-376 part 1, 18.3.1.73 (row), 18.3.1.4 (c), 18.4.8 (si).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from indexer.handlers._cells import column_of_letters, one_line, run_text, show_number
from indexer.handlers._cellstyles import Row, Styles
from indexer.handlers._flow import label
from indexer.handlers._skim import ATTRIBUTES, Skim, Stretch, resolved
from indexer.model import Fact, Text

_TEXT = r"<t(?: xml:space=\"preserve\")?>([^<]*+)</t>"
_ROW = re.compile(rf"\n*+(?:<row{ATTRIBUTES}/>\n*+)*+<row r=\"([0-9]{{1,7}})\"{ATTRIBUTES}>")
_NUMBERED = re.compile(r"<c r=\"([A-Z]{1,3})[0-9]{1,7}\"([^<>]*+)><v>([^<]*+)</v></c>")
_CELL = re.compile(
    rf"<c r=\"([A-Z]{{1,3}})([0-9]{{1,7}})\"((?: [\w:.-]++=\"[^\"<&]*+\")*+)(?:/>|>"
    rf"(?:<f{ATTRIBUTES}(?:/>|>([^<]*+)</f>))?(?:<v(?: xml:space=\"preserve\")?>([^<]*+)</v>|<is>{_TEXT}</is>)?</c>)"
)
_MOST_KINDS, _MOST_LAYOUTS = 10_000, 1_000
_ATTRIBUTE = re.compile(r" ([\w:.-]++)=\"([^\"<&]*+)\"")
_PLAIN_STRING = re.compile(rf"\n*+<si>{_TEXT}</si>\n*+")


_PLAIN, _STRING, _OTHER, _UNUSUAL = range(4)
"""How a cell's value is to be understood."""
_Value = Callable[[str, str, int], str]


class _Kinds(dict[str, int]):
    """A cell's attributes as they are written, but for its place -> its kind."""

    def __init__(self, styles: Styles) -> None:
        super().__init__()
        self.forms: dict[str, tuple[str, int]] = {}
        """Type and style."""
        self._styles = styles

    def __missing__(self, written: str) -> int:
        found = _ATTRIBUTE.findall(written)
        named = dict(found)
        form, style = named.get("t", "n"), named.get("s", "0")
        number = int(style) if style.isascii() and style.isdigit() and len(style) < 10 else -1
        kind = _STRING if form == "s" else _OTHER
        if form == "n" and self._styles.is_plain(number):
            kind = _PLAIN
        if _ATTRIBUTE.sub("", written) or len(named) < len(found) or "r" in named or len(self) >= _MOST_KINDS:
            return _UNUSUAL
        self.forms[written] = form, number
        self[written] = kind
        return kind


class _Layouts(dict[tuple[str, ...], tuple[list[int], bool]]):
    """Letters of cells -> their columns, and whether these follow one another."""

    def __missing__(self, places: tuple[str, ...]) -> tuple[list[int], bool]:
        columns = [column_of_letters(place) for place in places]
        found = columns, columns == [*range(columns[0], columns[-1] + 1)]
        if len(self) < _MOST_LAYOUTS:
            self[places] = found
        return found


class SheetRows:
    """Reads the plain rows of a sheet.

    Args:
        value: the text of a stored value by its type and style.
        row: that of the careful reading; where it is not empty, no plain row is read.
    """

    def __init__(self, sheet: str, styles: Styles, strings: list[str], value: _Value, row: Row) -> None:
        self._sheet, self._styles, self._strings, self._value, self._row = sheet, styles, strings, value, row
        self._kinds, self._layouts = _Kinds(styles), _Layouts()

    def read(self, text: str, skim: Skim) -> Iterator[Stretch]:
        """Where rows are unusual; the others' texts are given to `skim`."""
        at = 0
        for record in text.split("</row>")[:-1]:
            start, at = at, at + len(record) + 6
            if self._row.cells or not self._read_row(record, skim.ready):
                yield start, at

    def _read_row(self, record: str, ready: list[Fact]) -> bool:
        """Whether the row could be read: either all of it or nothing."""
        head = _ROW.match(record)
        if not head:
            return False
        body = record[head.end() :]
        cut = _NUMBERED.split(body)
        formulas: list[Fact] = []
        if not any(cut[::4]):
            places = cut[1::4]
            cells = self._read_cells(cut[2::4], cut[3::4])
        else:
            cut = _CELL.split(body)
            if any(cut[::7]):
                return False
            places = cut[1::7]
            stored = [value or inline or "" for value, inline in zip(cut[5::7], cut[6::7], strict=True)]
            cells = self._read_cells(cut[3::7], stored)
            for letters, digits, formula in zip(places, cut[2::7], cut[4::7], strict=True):
                if formula:
                    locator = f"{self._sheet}!{label(letters + digits)} formula"
                    formulas.append(Text("=" + resolved(formula), locator))
        if cells is None:
            return False
        self._row.number = int(head[1]) or self._row.number + 1
        ready += formulas
        texts, shown = cells
        if not all(texts):
            places = [place for place, text in zip(places, texts, strict=True) if text]
            shown = {sum(map(bool, texts[:index])): form for index, form in shown.items()}
            texts = [text for text in texts if text]
        if not texts:
            return True
        columns, is_run = self._layouts[tuple(places)]
        if is_run and len(columns) > 1 and not shown:
            ready.append(run_text(self._sheet, self._row.number, columns[0], texts))
        else:
            for index, (column, text) in enumerate(zip(columns, texts, strict=True)):
                self._row.add(column, text, shown.get(index, ""))
            ready += self._row.end(self._sheet)
        return True

    def _read_cells(self, written: list[str], stored: list[str]) -> tuple[list[str], dict[int, str]] | None:
        """The text of every cell, and the other forms of some by their index; None where one is unusual."""
        kinds, strings, count = self._kinds, self._strings, len(self._strings)
        texts: list[str] = []
        shown: dict[int, str] = {}
        for attributes, value in zip(written, stored, strict=True):
            kind = kinds[attributes]
            if kind == _STRING:
                index = int(value) if value.isdigit() and value.isascii() and len(value) < 10 else count
                texts.append(strings[index] if index < count else "")
            elif kind == _PLAIN:
                texts.append(value if value.isdigit() else show_number(resolved(value).strip()))
            elif kind == _UNUSUAL:
                return None
            else:
                form, style = kinds.forms[attributes]
                value = resolved(value)
                text = self._value(value, form, style)
                if form == "n" and text:
                    shown[len(texts)] = self._styles.shown(value, style)
                texts.append(text)
        return texts, shown


def read_strings(text: str, add: Callable[[list[str]], None]) -> Iterator[Stretch]:
    """Where shared strings are unusual; the others are added in between, each as one line."""
    is_plain = not any(mark in text for mark in "&\t\n")
    cut = _PLAIN_STRING.split(text)
    if is_plain and not any(cut[::2]):
        add(cut[1::2])
        return
    at = 0
    ready: list[str] = []
    for found in _PLAIN_STRING.finditer(text):
        if found.start() > at:
            add(ready)
            ready = []
            yield at, found.start()
        ready.append(found[1] if is_plain else one_line(resolved(found[1])))
        at = found.end()
    add(ready)
    if at < len(text):
        yield at, len(text)
