"""Sheets that are hidden, and rows and columns of a sheet that are hidden or filtered out, which are told as runs.

Source: ECMA-376 part 1, 18.3.1.13 (col), 18.3.1.73 (row); [MS-XLS] 2.4.53, 2.4.221; [MS-XLSB] 2.4.323, 2.4.747;
ODF 1.3, 19.749 (table:visibility).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from indexer.handlers._cells import column_name
from indexer.model import Field

HIDDEN_FIELDS: Mapping[str, str] = {
    "xlsx.hidden_sheet": "name of a sheet that is hidden",
    "xlsx.very_hidden_sheet": "name of a sheet that a program hid: no menu lists it",
    "xlsx.hidden_columns": "columns of a sheet that are hidden",
    "xlsx.hidden_rows": "rows of a sheet that are hidden or filtered out",
    "xlsx.protected_sheet": "name of a sheet that is protected from changes",
}
_MOST_RUNS = 200
"""What a field tells of one sheet; a filter hides rows in many runs."""
_MOST_LINES = 1 << 20


def hidden_sheet(name: str, *, very: bool) -> Iterator[Field]:
    """What is told of a sheet that is hidden."""
    yield Field("xlsx.hidden_sheet", name)
    if very:
        yield Field("xlsx.very_hidden_sheet", name)


class Hidden:
    """The hidden lines of one sheet.

    Args:
        sheet: its name, as locators have it.
    """

    def __init__(self, sheet: str) -> None:
        self._sheet = sheet
        self._rows: dict[int, int] = {}
        """First row -> last, counted from 1."""
        self._columns: dict[int, int] = {}

    def add_rows(self, first: int, last: int) -> None:
        """Rows counted from 1, both ends hidden too."""
        _add(self._rows, first, last)

    def add_columns(self, first: int, last: int) -> None:
        """Columns counted from 0, both ends hidden too."""
        _add(self._columns, first, last)

    def facts(self) -> Iterator[Field]:
        """A field for the columns and one for the rows, where there are any."""
        columns = [f"{column_name(first)}:{column_name(last)}" for first, last in _runs(self._columns)]
        rows = [f"{first}:{last}" for first, last in _runs(self._rows)]
        for name, runs in (("xlsx.hidden_columns", columns), ("xlsx.hidden_rows", rows)):
            if runs:
                more = f" and {len(runs) - _MOST_RUNS} more runs" if len(runs) > _MOST_RUNS else ""
                yield Field(name, f"{self._sheet}!{', '.join(runs[:_MOST_RUNS])}{more}")


def _add(lines: dict[int, int], first: int, last: int) -> None:
    if 0 <= first <= last and len(lines) < _MOST_LINES:
        lines[first] = max(last, lines.get(first, last))


def _runs(lines: dict[int, int]) -> list[tuple[int, int]]:
    """The lines without those that others hold, joined where they touch."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(lines.items()):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return found
