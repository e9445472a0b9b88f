"""`archivore watch`: lists of words, asked for again and again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.answers import FormatOption, OutputOption, give
from cli.options import CaseOption, JsonOption, open_case


def watch(
    lists: Annotated[list[Path], typer.Argument(help="Watch-lists: TOML, CSV or plain lines; /regex/ too.")],
    since: Annotated[
        str, typer.Option("--since", metavar="RUN", help="Only what came after this run; last: with the last run.")
    ] = "0",
    misses: Annotated[bool, typer.Option("--misses", help="With the terms of which there is nothing.")] = False,
    groups: Annotated[bool, typer.Option("--groups", help="Sums by group instead of terms.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="Rows shown; 0: all.")] = 50,
    output: OutputOption = None,
    kind: FormatOption = "",
    as_json: JsonOption = False,
    case_path: CaseOption = None,
) -> None:
    """Ask for every term of the lists at once. Exit code 0 where something is found, 1 where nothing is.

    Example: archivore watch shows.toml names.csv --since last
    """
    from msgspec.structs import replace

    from search.watchlist import read_list
    from search.watchlist import watch as ask

    entries = [entry for path in lists for entry in read_list(path)]
    with open_case(case_path) as case:
        runs = [each.id for each in case.catalog.runs()]
        number = (runs[-2] if len(runs) > 1 else 0) if since == "last" else int(since) if since.isdigit() else -1
        report = ask(case, entries, since=number, misses=misses)
        if groups:
            report = replace(report, sheets=report.sheets[1:])
        give(report, as_json=as_json, output=output, kind=kind, limit=limit)
