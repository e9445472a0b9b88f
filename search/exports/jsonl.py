"""JSON lines: the public JSON of each row, one a line, ASCII, exact."""

from __future__ import annotations

import json
from pathlib import Path

from search.exports._file import whole_file
from search.report import Report


def write(path: Path, report: Report) -> int:
    """Writes the report's first sheet and returns how many rows it has."""
    count = 0
    with whole_file(path) as file:
        for row in report.sheets[0].rows():
            file.write(json.dumps(row.exact, ensure_ascii=True, allow_nan=False) + "\n")
            count += 1
    return count
