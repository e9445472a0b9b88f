"""`archivore export`: the case or a hit list as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.answers import FormatOption, write
from cli.options import CaseOption, open_case


def export(
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
    query: Annotated[str, typer.Argument(metavar="[QUERY]", help="Hits of this query; every item else.")] = "",
    kind: FormatOption = "",
    with_text: Annotated[bool, typer.Option("--with-text", help="The whole text of each item too.")] = False,
    case_path: CaseOption = None,
) -> None:
    """Write every item, or every hit of a query, sorted by provenance, without a cap.

    Example: archivore export 'lang:ko' --output korean.csv
    """
    from search.exporting import report_of

    with open_case(case_path) as case:
        write(report_of(case, query, with_text=with_text), output, kind)
