"""Answers into files: one format per file of `exports/`, never capped, with an account of how they were made.

Beside every export `FILE` lies `FILE.about.json`: the colophon (case, query, options, versions, runs, state),
the number of rows, and the SHA-256 of what was written. The same question to the same case gives the same bytes
of both; when it was asked, and by whom, stands in the audit log under the export's id.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from indexer.errors import UsageError, refused
from indexer.model import Hit, Item, Scalar
from search.answers import every_hit
from search.case import Case
from search.exports._file import whole_file
from search.families import families_sheet
from search.report import Report, colophon_of, hits_sheet

TABLES = {"csv": "csv_table", "jsonl": "jsonl", "xlsx": "xlsx", "html": "html_report", "pdf": "pdf"}
"""Formats that write any sheet: name on the command line -> module in `exports/`."""
ITEMS = {
    "body": "body",
    "timesketch": "timesketch",
    "ids": "ids",
    "dat": "dat",
    "stix": "stix",
    "case": "case_uco",
}
"""Formats that are about items."""
FORMATS = TABLES | ITEMS
ABOUT = ".about.json"


@dataclass(frozen=True, slots=True)
class Written:
    """What an export made."""

    path: Path
    rows: int
    sha256: str
    id: str
    notes: tuple[str, ...] = ()


def export(report: Report, kind: str, path: Path) -> Written:
    """Writes a report and the account of it, and records both in the audit log.

    Raises:
        UsageError: no such format, not for this kind of answer, or the file cannot be made there.
        QueryError: the query cannot be understood.
        StoreError: the disk is full, or the case damaged.
    """
    if kind not in FORMATS:
        raise UsageError(f"{kind}: no such format; there are {', '.join(sorted(FORMATS))}")
    if str(path) == "-":
        raise UsageError("an export is a file, written whole or not at all: name it; --json shows rows as they come")
    if kind in ITEMS and report.items is None:
        raise UsageError(f"{kind} is about items, this answer is a table; write {', '.join(sorted(TABLES))}")
    module = importlib.import_module(f"search.exports.{FORMATS[kind]}")
    rows: int = module.write(path, report)
    digest = digest_of(path)
    about = {"export": report.colophon.id, "format": kind, "rows": rows, "sha256": digest}
    with whole_file(path.with_name(path.name + ABOUT)) as file:
        json.dump({**about, **report.colophon.to_json()}, file, ensure_ascii=True, indent=1)
        file.write("\n")
    report.case.record("export", **about, query=report.colophon.query, output=str(path))
    return Written(path, rows, digest, report.colophon.id, report.notes)


def report_of(case: Case, query: str = "", *, with_text: bool = False) -> Report:
    """Every hit of a query, or every item of the case, sorted by provenance path."""
    rows: Callable[[], Iterator[Item | Hit]]
    rows = partial(every_hit, case, query) if query else partial(case.items, with_text=with_text)
    options: dict[str, Scalar] = {"with_text": True} if with_text else {}
    sheet = hits_sheet(case, "hits" if query else "items", rows, with_text=with_text)
    sheets = (sheet, families_sheet(case, rows))
    return Report(case, colophon_of(case, "export", query, **options), sheets, rows)


def by_suffix(path: Path) -> str:
    """The format that a file's suffix names; CSV where there is none.

    Raises:
        UsageError: no format has this suffix.
    """
    suffix = path.suffix.removeprefix(".").lower()
    if suffix and suffix not in FORMATS:
        raise UsageError(
            f"{path.name}: no format is called {suffix}; --format takes one of {', '.join(sorted(FORMATS))}"
        )
    return suffix or "csv"


def digest_of(path: Path) -> str:
    """The SHA-256 of a file that was written; of a folder, over the lines `digest  relative path`, sorted by path.

    Raises:
        StoreError: it cannot be read again.
    """
    if not path.is_dir():
        return _digest_of_file(path)
    hasher = hashlib.sha256()
    for name in _files_of(path):
        hasher.update(f"{_digest_of_file(path / name)}  {name}\n".encode("utf-8", "surrogateescape"))
    return hasher.hexdigest()


def _files_of(folder: Path) -> Iterator[str]:
    """The paths of all files in a folder, sorted; of a million, only those beside the way are in memory."""
    waiting = [""]
    while waiting:
        name = waiting.pop()
        if name and not name.endswith("/"):
            yield name
            continue
        try:
            with os.scandir(folder / name) as entries:
                # A folder's slash belongs to what is sorted: `a.txt` stands before `a/b.txt`.
                below = [
                    f"{name}{each.name}/" if each.is_dir(follow_symlinks=False) else f"{name}{each.name}"
                    for each in entries
                    if each.is_dir(follow_symlinks=False) or each.is_file()
                ]
        except OSError as error:
            raise refused(folder / name, error, "give a file or a folder that `export` wrote") from error
        waiting += sorted(below, reverse=True)


def _digest_of_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise refused(path, error, "give a file or a folder that `export` wrote") from error
