"""XLSX for spreadsheets: a cover, one sheet a table with typed cells, and what was not read.

Rows are written as they come (constant memory). Nothing of the evidence is a formula or a link: text cells are
inline strings. A table of more rows than a sheet holds goes on in the next; a text longer than a cell holds is
cut and says so (its whole is in the JSON lines export). Times that Excel can hold (from 1900) are typed: shown with
a `Z` in UTC, bare where their zone is not known.

Source: ECMA-376; Excel specifications and limits (1,048,576 rows, 32,767 characters in a cell).
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from indexer.model import print_time
from search.exports._file import whole_path
from search.report import Cell, Column, Report, Row, Sheet, colophon_rows, problems_sheet
from search.sanitise import visible_text

ROWS = 1_000_000
"""Rows of a sheet; the format ends at 1,048,576."""
LONGEST = 32_000
"""Characters of a cell; the format ends at 32,767, counted in UTF-16."""
_WIDTHS = {"path": 60, "name": 32, "snippet": 60, "text": 60, "problems": 40, "time": 20, "modified": 20}
_EXACT = 15
"""Digits that a spreadsheet's numbers keep."""
_MADE = datetime(2000, 1, 1)  # the same answer gives the same bytes: the file tells nothing of its own making


def write(path: Path, report: Report) -> int:
    """Writes every sheet and returns how many rows the first one has."""
    from xlsxwriter import Workbook

    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        "default_date_format": "yyyy-mm-dd hh:mm:ss",
    }
    with whole_path(path) as part, _Enduring(part, "r+") as file:
        book = Workbook(file, options)
        book.set_properties({"title": f"{report.colophon.case}: {report.colophon.command}", "created": _MADE})
        styles = _Styles(book.add_format({"bold": True}), book.add_format({"num_format": 'yyyy-mm-dd hh:mm:ss"Z"'}))
        _add(book, styles, _cover(report))
        counts = [_add(book, styles, sheet) for sheet in (*report.sheets, problems_sheet(report.case))]
        book.close()
        if file.error:
            raise file.error
    return counts[0]


class _Styles(NamedTuple):
    """How cells look that are not plain."""

    head: Any
    utc: Any


class _Enduring(io.FileIO):
    """A file that takes what no longer fits on the disk without a word: the library would leave in the middle."""

    error: OSError | None = None
    """Why not everything is in it."""

    def write(self, data: Any, /) -> int:
        """Writes all of it, as long as there is room."""
        view = memoryview(data).cast("B")
        done = 0
        while self.error is None and done < len(view):
            try:
                done += super().write(view[done:])
            except OSError as error:
                self.error = error
        return len(view)


def _cover(report: Report) -> Sheet:
    rows = [(name, value) for name, value in colophon_rows(report.colophon)]
    return Sheet("about", (Column("what"), Column("value")), lambda: (Row(row, {}) for row in rows))


def _add(book: Any, styles: _Styles, sheet: Sheet) -> int:
    """Writes one table, in as many sheets as it needs, and returns its rows."""
    count = 0
    page: Any = None
    for row in sheet.rows():
        if count % ROWS == 0:
            _end(page, sheet, ROWS)
            page = _begin(book, styles.head, sheet, count // ROWS)
        _put(page, count % ROWS + 1, row.cells, styles.utc)
        count += 1
    if page is None:
        page = _begin(book, styles.head, sheet, 0)
    _end(page, sheet, (count - 1) % ROWS + 1 if count else 0)
    return count


def _begin(book: Any, head: Any, sheet: Sheet, number: int) -> Any:
    page = book.add_worksheet(sheet.name[:28] + (f" {number + 1}" if number else ""))
    page.freeze_panes(1, 0)
    for at, column in enumerate(sheet.columns):
        page.set_column(at, at, _WIDTHS.get(column.name, 16))
        page.write_string(0, at, column.name, head)
    return page


def _end(page: Any, sheet: Sheet, rows: int) -> None:
    if page is not None:
        page.autofilter(0, 0, rows, len(sheet.columns) - 1)


def _put(page: Any, at: int, cells: Iterable[Cell], utc: Any) -> None:
    for column, value in enumerate(cells):
        if value is None or value == "":
            continue
        if isinstance(value, bool):
            page.write_boolean(at, column, value)
        elif isinstance(value, int | float) and len(str(abs(value))) <= _EXACT:
            page.write_number(at, column, value)
        elif isinstance(value, datetime) and value.year >= 1900:
            page.write_datetime(at, column, value.replace(tzinfo=None), utc if value.tzinfo else None)
        else:
            page.write_string(at, column, _fit(_text(value)))


def _text(value: Cell) -> str:
    if isinstance(value, datetime):
        return print_time(value)
    return visible_text(str(value))


def _fit(value: str) -> str:
    if len(value) + sum(char > "\uffff" for char in value) <= LONGEST:
        return value
    kept = value[: LONGEST // 2]
    return f"{kept} [cut: {len(value) - len(kept)} more characters]"
