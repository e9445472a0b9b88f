"""`archivore problems`: what was not fully read, and why."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import first_of, note, say, say_json, say_table
from cli.options import CaseOption, JsonOption, open_case

if TYPE_CHECKING:
    from search.case import Case

_NAMES = 5


def problems(
    cause: Annotated[str, typer.Option("--cause", help="encrypted, corrupt, limit, ... only.")] = "",
    handler: Annotated[str, typer.Option("--handler", help="Met by this handler only.")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Rows shown.")] = 50,
    case_path: CaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """List items that were not fully read, and why. Of protected ones, by what, and what was tried.

    Example: archivore problems --cause encrypted
    """
    from indexer.errors import UsageError
    from indexer.model import CAUSES

    if cause and cause not in CAUSES:
        raise UsageError(f"{cause}: no such cause; there are {', '.join(CAUSES)}")
    with open_case(case_path) as case:
        case.record("answer", command="problems", options={"cause": cause, "handler": handler})
        if cause == "encrypted":
            _protected(case, handler, limit, as_json=as_json)
            return
        counts = case.catalog.counts("cause")
        items = case.catalog.with_problem(cause, handler)
        if as_json:
            for item in items:
                say_json(item.to_json())
            return
        rows = []
        for item in items:
            rows += [
                (problem.cause, item.id[:8], item.provenance, problem.message)
                for problem in item.problems
                if cause in ("", problem.cause) and handler in ("", problem.handler)
            ]
            if len(rows) > limit:
                break
    if not rows:
        note("No problems" + (f" with cause {cause}." if cause else "."))
        sys.exit(1)
    if not cause:
        say(", ".join(f"{count:,} {name}" for name, count in counts.items()))
        say()
    say_table(("cause", "item", "path", "message"), rows[:limit])
    if len(rows) > limit:
        note(f"{first_of(limit, 'row', 'rows')}; more with --limit, all with --json.")


def _protected(case: Case, handler: str, limit: int, *, as_json: bool) -> None:
    from search.protected import protections

    rows = []
    for each in protections(case, handler):
        if as_json:
            for item in each.closed or [each.item]:
                say_json({**item.to_json(), "protection": each.to_json()})
            continue
        members = next((entry.value for entry in each.item.fields if entry.name == "container.members"), 0)
        names = ", ".join(str(item.provenance.hops[-1]) for item in each.closed[:_NAMES])
        closed = f"{len(each.closed)} of {members} members: {names}" if each.closed else "the whole item"
        kinds = ", ".join(each.kinds) + (", names too" if each.names_encrypted else "")
        tried = f"{each.tried}: {'; '.join(each.tried_from)}" if each.tried else "nothing"
        rows.append((each.item.id[:8], each.item.provenance, kinds, closed, tried))
    if as_json:
        return
    if not rows:
        note("No problems with cause encrypted.")
        sys.exit(1)
    say_table(("item", "path", "protected by", "closed", "tried"), rows[:limit])
    if len(rows) > limit:
        note(f"{first_of(limit, 'file', 'files')} of {len(rows):,}; more with --limit, all with --json.")
    note("Passwords: archivore retry --cause encrypted --passwords FILE, or --guess-passwords")
