"""`archivore grep`: regular expressions over every kept text, name and field."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cli.console import first_of, marked, note, say, say_json, style
from cli.options import CaseOption, JsonOption, open_case
from search.sanitise import visible


def grep(
    pattern: Annotated[str, typer.Argument(help="A regular expression as RE2 takes it.")],
    case_path: CaseOption = None,
    ignore_case: Annotated[bool, typer.Option("--ignore-case", "-i", help="Letters of either case.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="Matches shown at the most; 0: all.")] = 200,
    as_json: JsonOption = False,
) -> None:
    """Search by regular expression. Every kept text, name and field: exact, with offsets, in linear time.

    Example: archivore grep '175\\.45\\.17[6-9]\\.\\d+'
    """
    from search.grep import grep as search_texts

    count = 0
    shown = ""
    with open_case(case_path) as case:
        for match in search_texts(case, pattern, ignore_case=ignore_case):
            count += 1
            if limit and count > limit:
                note(f"{first_of(limit, 'match', 'matches')}; more with --limit, all with --limit 0.")
                break
            if as_json:
                row: dict[str, object] = {"id": match.item.id, "path": str(match.item.provenance)}
                row |= {"locator": match.locator, "start": match.start, "end": match.end}
                row |= {"text": match.line.text, "spans": [list(span) for span in match.line.spans]}
                say_json(row)
                continue
            if match.item.id != shown:
                shown = match.item.id
                say(f"{style(visible(str(match.item.provenance)), '1')}  {style(shown[:8], '2')}")
            say(f"  {visible(match.locator)} @{match.start}: {marked(match.line)}")
        case.record("answer", command="grep", query=pattern, options={"ignore_case": ignore_case}, rows=count)
    if not count:
        note("Nothing matches.")
        sys.exit(1)
