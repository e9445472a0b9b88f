"""`archivore pairs`: the glossary that translated notes leave behind."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.answers import FormatOption, OutputOption, give
from cli.options import CaseOption, JsonOption, open_case


def pairs(
    query: Annotated[str, typer.Argument(metavar="[QUERY]", help="In these hits; in every item else.")] = "",
    languages: Annotated[str, typer.Option("--languages", help="Two, with a comma between.")] = "zh,ko",
    least: Annotated[int, typer.Option("--min", min=1, help="Found so often at least.")] = 1,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="Rows shown; 0: all.")] = 50,
    output: OutputOption = None,
    kind: FormatOption = "",
    as_json: JsonOption = False,
    case_path: CaseOption = None,
) -> None:
    """Find phrases of two languages that stand side by side. In cells, lines, layers, parallel files.

    Example: archivore pairs --languages zh,ko --min 2 -o glossary.csv
    """
    from indexer.errors import UsageError
    from search.pairs import pairs as mine

    first, comma, second = (part.strip() for part in languages.partition(","))
    if not comma or not first or not second:
        raise UsageError(f"{languages}: give two languages with a comma between, such as zh,ko")
    with open_case(case_path) as case:
        give(mine(case, first, second, query, least=least), as_json=as_json, output=output, kind=kind, limit=limit)
