"""Rows and shared strings of Excel sheets in bulk, where they are written as programs write them.

Source: ECMA-376 part 1, 18.3.1.73 (row), 18.3.1.4 (c), 18.4.8 (si).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache

from indexer.handlers._cells import column_of_letters, one_line, run_text, show_number
from indexer.handlers._cellstyles import Row, Styles
from indexer.handlers._flow import label
from indexer.handlers._hidden_lines import Hidden
from indexer.handlers._skim import ATTRIBUTES, Skim, Stretch, resolved
from indexer.model import Fact, Text

_TEXT = r"<t(?: xml:space=\"preserve\")?>([^<]*+)</t>"
# Early releases of Python 3.11 go on behind what failed last in a possessive group, unless a branch that fails follows.
_ROW = re.compile(rf"\n*+(?:<row{ATTRIBUTES}/>\n*+|(?!))*+<row r=\"([0-9]{{1,7}})\"{ATTRIBUTES}>")
_HIDDEN = re.compile(r"<row r=\"([0-9]{1,7})\"(?=[^<>]*? hidden=\"(?:1|true|on)\")")
_NUMBERED = re.compile(r"<c r=\"([A-Z]{1,3})[0-9]{1,7}\"([^<>]*+)><v>([^<]*+)</v></c>")
_CELL = re.compile(
    rf"<c r=\"([A-Z]{{1,3}})([0-9]{{1,7}})\"((?: [\w:.-]++=\"[^\"<&]*+\")*+)(?:/>|>"
    rf"(?:<f{ATTRIBUTES}(?:/>|>([^<]*+)</f>))?(?:<v(?: xml:space=\"preserve\")?>([^<]*+)</v>|<is>{_TEXT}</is>)?</c>)"
)
_MOST_KINDS, _MOST_LAYOUTS = 10_000, 1_000
_RUN = 12
"""Rows of one shape that follow one another, from which on a pattern is made for the shape."""
_MOST_SHAPES = 50
"""For one sheet: to make a pattern takes as long as to read some hundred rows."""
_MOST_CELLS = 200
"""In a row for whose shape a pattern is made."""
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


class _Shape:
    """What rows have in common whose cells differ in their values alone.

    Args:
        cells: letters, attributes as they are written, kind, and whether there is a value, of each cell.
    """

    def __init__(self, cells: Sequence[tuple[str, str, int, bool]]) -> None:
        self.places = [letters for letters, _, _, filled in cells if filled]
        self.attributes = [attributes for _, attributes, _, filled in cells if filled]
        self.kinds = [kind for _, _, kind, filled in cells if filled]
        self.columns = [column_of_letters(place) for place in self.places]
        first = self.columns[0]
        is_run = len(self.columns) > 1 and self.columns == [*range(first, first + len(self.columns))]
        self.is_plain = is_run and _OTHER not in self.kinds
        """Whether the row is one text without other forms, if no cell of it is empty."""
        self.pattern = re.compile(
            rf"\n*+<row r=\"([0-9]{{1,7}})\"{ATTRIBUTES}>{''.join(map(_cell_pattern, cells))}</row>|"
        )
        """A row, or nothing: what does not follow at once is not looked for."""


def _cell_pattern(cell: tuple[str, str, int, bool]) -> str:
    letters, attributes, kind, filled = cell
    value = rf"><v>({'[0-9]{1,9}+' if kind == _STRING else '[^<]*+'})</v></c>" if filled else "(?:/>|></c>)"
    return rf"<c r=\"{letters}[0-9]{{1,7}}\"{re.escape(attributes)}{value}"


@lru_cache(maxsize=64)
def _shape(cells: tuple[tuple[str, str, int, bool], ...]) -> _Shape:
    """The sheets of a workbook often have the same shapes, and so have workbooks of one program."""
    return _Shape(cells)


class SheetRows:
    """Reads the plain rows of a sheet.

    Args:
        value: the text of a stored value by its type and style.
        row: that of the careful reading; where it is not empty, no plain row is read.
        hidden: takes the numbers of hidden rows.
    """

    def __init__(self, sheet: str, styles: Styles, strings: list[str], value: _Value, row: Row, hidden: Hidden) -> None:
        self._hidden = hidden
        self._sheet, self._styles, self._strings, self._value, self._row = sheet, styles, strings, value, row
        self._kinds, self._layouts = _Kinds(styles), _Layouts()
        self._shape: _Shape | None = None
        self._last: tuple[list[str], list[str], list[bool]] | None = None
        """Letters, attributes, and which have a value, of the cells of the row before."""
        self._alike = self._shapes = 0

    def read(self, text: str, skim: Skim) -> Iterator[Stretch]:
        """Where rows are unusual; the others' texts are given to `skim`."""
        if " hidden=" in text:
            for number in map(int, _HIDDEN.findall(text)):
                self._hidden.add_rows(number, number)
        at = 0
        while True:
            if self._shape and not self._row.cells:
                at = self._read_run(self._shape, text, at, skim.ready)
            start, at = at, text.find("</row>", at) + 6
            if at < 6:
                return
            if self._row.cells or not self._read_row(text[start : at - 6], skim.ready):
                yield start, at

    def _read_run(self, shape: _Shape, text: str, at: int, ready: list[Fact]) -> int:
        """Reads the rows of a shape that follow one another from `at` on; where they end."""
        rows = []
        for found in shape.pattern.finditer(text, at):
            end = found.end()
            if end == at:
                break
            at = end
            rows.append(found.groups())
        if not rows:
            return at
        written, *stored = zip(*rows, strict=True)
        columns = list(map(self._read_column, shape.kinds, shape.attributes, stored))
        numbers = [int(number) for number in written]
        if shape.is_plain and all(numbers) and all(map(all, columns)):
            self._row.number = numbers[-1]
            first, last = f"{self._sheet}!{shape.places[0]}", f":{shape.places[-1]}"
            locators = [f"{first}{number}{last}{number}" for number in numbers]
            ready += map(Text, map("\t".join, zip(*columns, strict=True)), locators)
            return at
        forms = map(self._read_forms, shape.kinds, shape.attributes, stored)
        for number, texts, others in zip(numbers, zip(*columns, strict=True), zip(*forms, strict=True), strict=True):
            self._row.number = number or self._row.number + 1
            shown = {index: form for index, form in enumerate(others) if form and texts[index]}
            self._end_row(shape.places, texts, shown, ready)
        return at

    def _read_column(self, kind: int, attributes: str, values: Sequence[str]) -> Sequence[str]:
        """The texts of cells of the same attributes."""
        if kind == _STRING:
            strings, count = self._strings, len(self._strings)
            try:
                return [strings[index] for index in map(int, values)]
            except IndexError:
                return [strings[index] if index < count else "" for index in map(int, values)]
        if kind == _PLAIN:
            return _show_numbers(values)
        form, style = self._kinds.forms[attributes]
        return [self._value(resolved(value), form, style) for value in values]

    def _read_forms(self, kind: int, attributes: str, values: Sequence[str]) -> Sequence[str]:
        """Their other forms; empty where there is none."""
        form, style = self._kinds.forms[attributes]
        if kind != _OTHER or form != "n":
            return [""] * len(values)
        return [self._styles.shown(resolved(value), style) for value in values]

    def _note_shape(self, places: list[str], attributes: list[str], filled: list[bool]) -> None:
        """Counts rows of the same shape that follow one another."""
        last, self._last = self._last, (places, attributes, filled)
        self._alike = self._alike + 1 if last == self._last else 0
        if self._alike == _RUN and self._shapes < _MOST_SHAPES and len(places) <= _MOST_CELLS and any(filled):
            self._shapes += 1
            kinds = [self._kinds[each] for each in attributes]
            self._shape = _shape(tuple(zip(places, attributes, kinds, filled, strict=True)))

    def _read_row(self, record: str, ready: list[Fact]) -> bool:
        """Whether the row could be read: either all of it or nothing."""
        head = _ROW.match(record)
        if not head:
            return False
        body = record[head.end() :]
        cut = _NUMBERED.split(body)
        formulas: list[Fact] = []
        if not any(cut[::4]):
            places, written = cut[1::4], cut[2::4]
            cells = self._read_cells(written, cut[3::4])
            if cells:
                self._note_shape(places, written, [True] * len(places))
        else:
            cut = _CELL.split(body)
            if any(cut[::7]):
                return False
            places, written = cut[1::7], cut[3::7]
            stored = [value or inline or "" for value, inline in zip(cut[5::7], cut[6::7], strict=True)]
            cells = self._read_cells(written, stored)
            for letters, digits, formula in zip(places, cut[2::7], cut[4::7], strict=True):
                if formula:
                    locator = f"{self._sheet}!{label(letters + digits)} formula"
                    formulas.append(Text("=" + resolved(formula), locator))
            if cells and not formulas and not any(cut[6::7]):
                self._note_shape(places, written, [value is not None for value in cut[5::7]])
        if cells is None:
            return False
        self._row.number = int(head[1]) or self._row.number + 1
        ready += formulas
        self._end_row(places, *cells, ready)
        return True

    def _end_row(self, places: list[str], texts: Sequence[str], shown: dict[int, str], ready: list[Fact]) -> None:
        """Gives out a row by the texts of its cells, and the other forms of some by their index."""
        if not all(texts):
            places = [place for place, text in zip(places, texts, strict=True) if text]
            shown = {sum(map(bool, texts[:index])): form for index, form in shown.items()}
            texts = [text for text in texts if text]
        if not texts:
            return
        columns, is_run = self._layouts[tuple(places)]
        if is_run and len(columns) > 1 and not shown:
            ready.append(run_text(self._sheet, self._row.number, columns[0], texts))
        else:
            for index, (column, text) in enumerate(zip(columns, texts, strict=True)):
                self._row.add(column, text, shown.get(index, ""))
            ready += self._row.end(self._sheet)

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


def _show_numbers(values: Sequence[str]) -> Sequence[str]:
    """Stored numbers as people write them."""
    if "".join(values).isdigit():
        return values
    with suppress(ValueError):
        shown = [
            value
            if value.isdigit()
            else f"{float(value):.15g}"
            if "." in value
            else show_number(resolved(value).strip())
            for value in values
        ]
        joined = "".join(shown)
        if "e" not in joined and "n" not in joined:  # exponents, nan, inf
            return shown
    return [value if value.isdigit() else show_number(resolved(value).strip()) for value in values]


def read_strings(text: str, add: Callable[[list[str]], None]) -> Iterator[Stretch]:
    """Where shared strings are unusual; the others are added in between, each as one line."""
    is_plain = not any(mark in text for mark in "&\t\n")
    if is_plain and text.startswith("<si><t>") and text.endswith("</t></si>"):
        strings = text[7:-9].split("</t></si><si><t>")
        if text.count("<") == 4 * len(strings):
            add(strings)
            return
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
