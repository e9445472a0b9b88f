"""`archivore features`: addresses, numbers and accounts that the texts name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from cli.answers import FormatOption, OutputOption, give
from cli.console import note
from cli.options import CaseOption, JobsOption, JsonOption, open_case


def features(
    query: Annotated[str, typer.Argument(metavar="[QUERY]", help="Of these hits; of every item else.")] = "",
    types: Annotated[
        str, typer.Option("--type", help="Only these, with commas between: email, url, ipv4, phone, card ...")
    ] = "",
    stop: Annotated[
        list[Path] | None, typer.Option("--stop", help="A list of values and /expressions/ to leave out.")
    ] = None,
    least: Annotated[int, typer.Option("--min", min=1, help="Hits that a value has at least.")] = 1,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="Rows shown; 0: all.")] = 50,
    jobs: JobsOption = 0,
    output: OutputOption = None,
    kind: FormatOption = "",
    as_json: JsonOption = False,
    case_path: CaseOption = None,
) -> None:
    """Count addresses, phones, ids, accounts and purses. Each that the texts or fields name passed its check.

    They are gathered once; then queries know them too: email:*@studio.example, ipv4:175.45.176.0/22.

    Example: archivore features 'lang:zh' --type email,phone,qq --min 2
    """
    from search.features import Stops
    from search.features import features as count

    stops = [Stops.of(path) for path in stop or ()]
    every = Stops(
        frozenset(value for each in stops for value in each.values),
        tuple(expression for each in stops for expression in each.expressions),
    )
    _gather(case_path, jobs)
    with open_case(case_path) as case:
        chosen = [name.strip() for name in types.split(",") if name.strip()]
        report = count(case, query, types=chosen, stops=every, least=least)
        give(report, as_json=as_json, output=output, kind=kind, limit=limit)


def _gather(case_path: Path | None, jobs: int) -> None:
    """Goes through the texts that are new, where there are any."""
    from search.featuring import due, update

    with open_case(case_path) as case:
        if next(due(case), None) is None:
            return
        if not os.access(case.path, os.W_OK):
            note("This case cannot be written: texts that were not gone through before are left out.")
            return
    with open_case(case_path, write=True) as case:
        made = update(case, jobs=jobs, tell=lambda done: note(f"{done:,} readings gone through."))
        rate = made.bytes / 1e6 / max(made.seconds, 1e-6)
        case.record("features", readings=made.readings, bytes=made.bytes, featured=made.featured)
    note(f"Gathered from {made.readings:,} readings: {made.bytes / 1e6:,.1f} MB of text, {rate:,.0f} MB/s.")
