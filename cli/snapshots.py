"""`archivore diff` and `series`: what changed from one day to the next."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.answers import FormatOption, OutputOption, give
from cli.console import columns, say, width
from cli.options import CaseOption, JsonOption, open_case
from search.sanitise import visible


def diff(
    before: Annotated[str, typer.Argument(metavar="A", help="A source, by its label.")],
    after: Annotated[str, typer.Argument(metavar="B", help="A later one.")],
    by: Annotated[str, typer.Option("--by", help="Count by folder or type instead of listing.")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="Rows shown; 0: all.")] = 50,
    output: OutputOption = None,
    kind: FormatOption = "",
    as_json: JsonOption = False,
    case_path: CaseOption = None,
) -> None:
    """List what changed from one source to another. New, changed, repacked, moved, copied, re-sent or gone.

    Examples: archivore diff day1 day2   archivore diff day1 day2 --by folder
    """
    from msgspec.structs import replace

    from indexer.errors import UsageError
    from search.snapshots import diff as compare

    if by not in ("", "folder", "type"):
        raise UsageError(f"{by}: changes are counted by folder or type")
    with open_case(case_path) as case:
        report = compare(case, before, after)
        if by:
            report = replace(report, sheets=tuple(sheet for sheet in report.sheets if sheet.name == f"by {by}"))
        give(report, as_json=as_json, output=output, kind=kind, limit=limit)


def series(
    name: Annotated[str, typer.Argument(help="The series that sources were ingested with.")],
    digests: Annotated[bool, typer.Option("--digests", help="First and last snapshot of each digest.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="Rows shown; 0: all.")] = 50,
    output: OutputOption = None,
    kind: FormatOption = "",
    as_json: JsonOption = False,
    case_path: CaseOption = None,
) -> None:
    """Show the daily batches of one server. How much came, changed, went and came again.

    Counts balance: files = those before + new + copied + re-sent - gone. Example: archivore series nk-server
    """
    from msgspec.structs import replace

    from search.snapshots import series as gather

    with open_case(case_path) as case:
        report = gather(case, name)
        if digests:
            report = replace(report, sheets=report.sheets[1:])
        give(report, as_json=as_json, output=output, kind=kind, limit=limit)
        if as_json or output or digests:
            return
        rows = [(visible(str(row.exact["source"])), row.exact) for row in report.sheets[0].rows()]
    counts = [sum(int(str(row[change])) for change in ("new", "changed", "re_sent")) for _, row in rows]
    left, most = max(width(source) for source, _ in rows), max(counts) or 1
    say()
    for (source, _), count in zip(rows, counts, strict=True):
        bar = "█" * round(count / most * min(60, columns() - left - 12))
        say(f"{source}{' ' * (left - width(source))}  {count:>8,}  {bar}")
