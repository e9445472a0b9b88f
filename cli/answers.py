"""How an answer leaves: as a table, as JSON lines, or as a file; each time recorded in the audit log."""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import counted, first_of, note, say, say_json, say_table

if TYPE_CHECKING:
    from search.report import Cell, Column, Report

OutputOption = Annotated[Path | None, typer.Option("--output", "-o", help="Write a file instead of showing it.")]
FormatOption = Annotated[str, typer.Option("--format", "-f", help="Of the file; else by its suffix.")]


def give(report: Report, *, as_json: bool, output: Path | None = None, kind: str = "", limit: int = 50) -> None:
    """Shows the report's first sheet, or writes all of it; exits with 1 where there is nothing."""
    if output is not None:
        write(report, output, kind)
        return
    sheet = report.sheets[0]
    rows = iter(sheet.rows())
    shown = list(islice(rows, limit)) if limit and not as_json else rows
    count = 0
    if as_json:
        for row in shown:
            say_json(dict(row.exact))
            count += 1
    else:
        places = [at for at, column in enumerate(sheet.columns) if column.shown]
        table = [[_shown(sheet.columns[at], row.cells[at]) for at in places] for row in shown]
        count = len(table)
        if table:
            head = [_head(sheet.columns[at].name) for at in places]
            numbers = (place for place, at in enumerate(places) if sheet.columns[at].kind == "number")
            say_table(head, table, right=frozenset(numbers))
        if limit and next(rows, None) is not None:
            note(f"{first_of(limit, 'row', 'rows')}; more with --limit, all with --json or --output.")
    for told in report.notes:
        note(told)
    colophon = report.colophon
    report.case.record("answer", command=colophon.command, query=colophon.query, options=colophon.options, rows=count)
    if not count:
        note("Nothing found.")
        sys.exit(1)


def write(report: Report, output: Path, kind: str = "") -> None:
    """Writes the report to a file and says so."""
    from search.exporting import by_suffix, export

    written = export(report, kind or by_suffix(output), output)
    for told in written.notes:
        note(told)
    say(f"Wrote {output}: {counted(written.rows, 'row')}, SHA-256 {written.sha256}.")


def _head(name: str) -> str:
    return name.replace("re_", "re-", 1).replace("_", " ") if name.startswith("re_") else name.replace("_", " ")


def _shown(column: Column, cell: Cell) -> str:
    from indexer.escapes import shown_path
    from search.report import plain

    value = plain(cell)
    if value is None:
        return ""
    if column.name == "id":
        return str(value)[:8]
    if column.kind == "request":
        value = shown_path(str(value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else " ".join(str(value).split())
