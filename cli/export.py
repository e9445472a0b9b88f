"""`archivore export`: the case or a hit list as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.console import say
from cli.options import CaseOption, open_case


def export(
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
    query: Annotated[str, typer.Argument(metavar="[QUERY]", help="Hits of this query; every item else.")] = "",
    kind: Annotated[str, typer.Option("--format", "-f", help="csv or jsonl.")] = "csv",
    with_text: Annotated[bool, typer.Option("--with-text", help="The whole text of each item too.")] = False,
    case_path: CaseOption = None,
) -> None:
    """Write every item, or every hit of a query, sorted by provenance, without a cap.

    Example: archivore export 'lang:ko' --format csv --output korean.csv
    """
    from search.exporting import export as write

    with open_case(case_path) as case:
        count = write(case, kind, output, query, with_text=with_text)
    say(f"Wrote {output}: {count:,} {'hits' if query else 'items'}.")
