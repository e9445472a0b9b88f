"""Hit lists into files: one format per file of `exports/`, rows sorted by provenance, never capped."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path

from indexer.errors import UsageError
from indexer.model import Hit, Item
from search.answers import every_hit
from search.case import Case

FORMATS = {"csv": "csv_table", "jsonl": "jsonl"}
"""Name on the command line -> module in `exports/`."""


def export(case: Case, kind: str, path: Path, query: str = "", *, with_text: bool = False) -> int:
    """Writes every item, or every hit of the query, and returns how many rows were written.

    Raises:
        UsageError: no such format, or the file cannot be made there.
        QueryError: the query cannot be understood.
        StoreError: the disk is full, or the case damaged.
    """
    if kind not in FORMATS:
        raise UsageError(f"{kind}: no such format; there are {', '.join(sorted(FORMATS))}")
    rows: Iterable[Item | Hit] = every_hit(case, query) if query else case.items(with_text=with_text)
    module = importlib.import_module(f"search.exports.{FORMATS[kind]}")
    count: int = module.write(path, rows, with_text=with_text)
    return count
