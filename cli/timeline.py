"""`archivore timeline`: what happened when."""

from __future__ import annotations

import sys
from functools import partial
from typing import Annotated

import typer

from cli.answers import FormatOption, OutputOption, give
from cli.console import columns, note, say, say_json
from cli.events import tell_read
from cli.options import CaseOption, JsonOption, open_case


def timeline(
    query: Annotated[str, typer.Argument(metavar="[QUERY]", help="Times of these hits; of every item else.")] = "",
    by: Annotated[str, typer.Option("--by", help="Draw a histogram by hour, day, month or year instead.")] = "",
    events: Annotated[bool, typer.Option("--events", help="Set what logs recorded among them: every event.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="Times shown; 0: all.")] = 50,
    output: OutputOption = None,
    kind: FormatOption = "",
    as_json: JsonOption = False,
    case_path: CaseOption = None,
) -> None:
    """List every recorded time in order. Each with its origin, its resolution and whether its zone is known.

    Examples: archivore timeline 'path:*/daily/*' --by day   archivore timeline --events -o times.csv
    """
    from indexer.errors import UsageError
    from search.timeline import STEPS, histogram
    from search.timeline import timeline as order

    if by and by not in STEPS:
        raise UsageError(f"{by}: no such step; there are {', '.join(STEPS)}")
    with open_case(case_path) as case:
        if events:
            from search.events import joining

            order = partial(joining.timeline_with_events, tell=tell_read)
            histogram = partial(joining.histogram_with_events, tell=tell_read)
        if not by:
            give(order(case, query), as_json=as_json, output=output, kind=kind, limit=limit)
            return
        counts = histogram(case, query, by)  # type: ignore[arg-type]
        options = {"by": by, **({"events": True} if events else {})}
        case.record("answer", command="timeline", query=query, options=options, rows=len(counts))
    if as_json:
        say_json(counts)
        return
    if not counts:
        note("Nothing found.")
        sys.exit(1)
    most = max(counts.values())
    left, right = max(map(len, counts)), len(f"{most:,}")
    room = min(60, columns() - left - right - 4)
    for name, count in counts.items():
        say(f"{name:<{left}}  {count:>{right},}  {'█' * max(1, round(count / most * room))}")
