"""CSV for spreadsheets: UTF-8 with BOM, every cell quoted, no formula, and the exact row as JSON.

Source: RFC 4180.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

from search.exports._file import whole_file
from search.report import Cell, Report, plain
from search.sanitise import cell

LONGEST = 32_000
"""Characters of a cell; spreadsheets cut at 32,767 and say nothing."""


def write(path: Path, report: Report) -> int:
    """Writes the report's first sheet and returns how many rows it has."""
    sheet = report.sheets[0]
    count = 0
    with whole_file(path, encoding="utf-8-sig", newline="") as file:
        table = csv.writer(file, quoting=csv.QUOTE_ALL)
        table.writerow((*(column.name for column in sheet.columns), "exact"))
        for row in sheet.rows():
            exact = json.dumps(row.exact, ensure_ascii=True, allow_nan=False)
            table.writerow([*map(_shown, row.cells), exact])
            count += 1
    return count


def _shown(value: Cell) -> str:
    if isinstance(value, str):
        shown = cell(value)
        if len(shown) <= LONGEST:
            return shown
        return f"{shown[:LONGEST]} [cut: {len(shown) - LONGEST} more characters]"
    return "" if value is None else str(plain(value))
