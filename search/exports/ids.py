"""Ids, one a line: for `tag -`, and for scripts."""

from __future__ import annotations

from pathlib import Path

from indexer.model import Hit
from search.exports._file import whole_file
from search.report import Report


def write(path: Path, report: Report) -> int:
    """Writes the id of every item and returns how many they were."""
    count = 0
    with whole_file(path) as file:
        for row in report.items() if report.items else ():
            file.write(f"{(row.item if isinstance(row, Hit) else row).id}\n")
            count += 1
    return count
