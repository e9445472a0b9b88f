"""`archivore problems`: what was not fully read, and why."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cli.console import cut, note, say, say_json, say_table
from cli.options import CaseOption, JsonOption, open_case


def problems(
    cause: Annotated[str, typer.Option("--cause", help="encrypted, corrupt, limit, ... only.")] = "",
    handler: Annotated[str, typer.Option("--handler", help="Met by this handler only.")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Items shown at the most.")] = 50,
    case_path: CaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """List items that were not fully read, and why.

    Example: archivore problems --cause encrypted
    """
    from indexer.errors import UsageError
    from indexer.model import CAUSES

    if cause and cause not in CAUSES:
        raise UsageError(f"{cause}: no such cause; there are {', '.join(CAUSES)}")
    with open_case(case_path) as case:
        counts = case.catalog.counts("cause")
        items = case.catalog.with_problem(cause, handler)
        if as_json:
            for item in items:
                say_json(item.to_json())
            return
        rows = []
        for item in items:
            rows += [
                (problem.cause, item.id[:8], cut(str(item.provenance), 70), cut(problem.message, 80))
                for problem in item.problems
                if cause in ("", problem.cause) and handler in ("", problem.handler)
            ]
            if len(rows) >= limit:
                break
    if not rows:
        note("No problems" + (f" with cause {cause}." if cause else "."))
        sys.exit(1)
    if not cause:
        say(", ".join(f"{count:,} {name}" for name, count in counts.items()))
        say()
    say_table(("cause", "item", "path", "message"), rows[:limit])
    if len(rows) >= limit:
        note(f"The first {limit} rows; more with --limit, all with --json.")
