"""`archivore sequences`: frames in a row, their ranges and what is missing."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.answers import FormatOption, OutputOption, give
from cli.options import CaseOption, JsonOption, open_case


def sequences(
    query: Annotated[str, typer.Argument(metavar="[QUERY]", help="Among these hits; in the whole case else.")] = "",
    least: Annotated[int, typer.Option("--min", min=2, help="Pictures that make a sequence.")] = 2,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="Rows shown; 0: all.")] = 50,
    output: OutputOption = None,
    kind: FormatOption = "",
    as_json: JsonOption = False,
    case_path: CaseOption = None,
) -> None:
    """List pictures whose names differ by a number only. By folder: range, gaps, size, first and last date.

    Examples: archivore sequences   archivore sequences 'path:C012' --min 5 -o sequences.csv
    """
    from search.sequences import sequences as gather

    with open_case(case_path) as case:
        give(gather(case, query, least=least), as_json=as_json, output=output, kind=kind, limit=limit)
