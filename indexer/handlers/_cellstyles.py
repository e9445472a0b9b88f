"""Cell styles of Excel workbooks: what a stored number means, and how the sheet shows it.

Source: ECMA-376 part 1, 18.8 (styles), 18.17.4 (date systems).
"""

from __future__ import annotations

from collections.abc import Iterator

from indexer.handlers._cells import format_kind, one_line, row_texts, run_text, show_date, show_number
from indexer.handlers._numberformat import BUILT_IN, show
from indexer.model import Text


class Styles:
    """The number format of every cell style, in the order in which cells count them."""

    def __init__(self) -> None:
        self.from_1904 = False
        self._codes: dict[int, str] = {}
        self._styles: list[tuple[str, str]] = []

    def define(self, number: int, code: str) -> None:
        """A number format of the workbook's own."""
        self._codes[number] = code

    def append(self, number: int) -> None:
        """The next cell style uses this number format."""
        code = self._codes.get(number, "")
        shown_by = code or BUILT_IN.get(number, "")
        self._styles.append((format_kind(number, code), "" if shown_by == "General" else shown_by))

    def is_plain(self, style: int) -> bool:
        """Whether numbers of this style are shown as they are stored."""
        return not 0 <= style < len(self._styles) or self._styles[style] == ("", "")

    def value(self, text: str, style: int) -> str:
        """The stored number: an ISO date or time where the style makes it one."""
        kind, _ = self._styles[style] if 0 <= style < len(self._styles) else ("", "")
        if not kind:
            return show_number(text.strip())
        try:
            return show_date(float(text), kind, from_1904=self.from_1904) or text
        except ValueError:
            return one_line(text)

    def shown(self, text: str, style: int) -> str:
        """The number in the form its format gives it; empty where we do not follow the format."""
        if not 0 <= style < len(self._styles) or not self._styles[style][1]:
            return ""
        try:
            return show(float(text), self._styles[style][1], from_1904=self.from_1904)
        except ValueError:
            return ""


class Row:
    """The filled cells of a row, and the numbers among them that are shown in another form."""

    def __init__(self) -> None:
        self.number = 0
        self.cells: list[tuple[int, str]] = []
        """Column and text, which is not empty."""
        self._shown: list[tuple[int, str]] = []

    def add(self, column: int, value: str, shown: str = "") -> None:
        """A cell; an empty one counts as not there."""
        if value:
            self.cells.append((column, value))
            if shown and shown != value:
                self._shown.append((column, shown))

    def end(self, sheet: str) -> Iterator[Text]:
        """The row's texts; afterwards the row is empty."""
        cells, shown = self.cells[:], sorted(self._shown, key=_column)
        self.cells.clear()
        self._shown.clear()
        if not cells:
            return
        columns, texts = zip(*cells, strict=True)
        if len(columns) > 1 and columns == tuple(range(columns[0], columns[0] + len(columns))):
            yield run_text(sheet, self.number, columns[0], texts)
        else:
            yield from row_texts(sheet, self.number, sorted(cells, key=_column))
        for text in row_texts(sheet, self.number, shown):
            yield Text(text.body, f"{text.locator} shown")


def _column(cell: tuple[int, str]) -> int:
    return cell[0]
