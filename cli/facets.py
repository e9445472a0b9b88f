"""`archivore facets`: what the hits are made of."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.answers import FormatOption, OutputOption, give
from cli.options import CaseOption, JsonOption, open_case


def facets(
    query: Annotated[str, typer.Argument(metavar="[QUERY]", help="Of these hits; of every item else.")] = "",
    by: Annotated[
        str, typer.Option("--by", help="Fields, with commas between; day, month, sent.year for parts of dates.")
    ] = "type,lang,source",
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="Values of each field; 0: all.")] = 10,
    output: OutputOption = None,
    kind: FormatOption = "",
    as_json: JsonOption = False,
    case_path: CaseOption = None,
) -> None:
    """Count the hits by type, language, source, day or any field.

    Example: archivore facets '修改 OR 수정' --by ext,lang,day
    """
    from search.facets import facets as count

    with open_case(case_path) as case:
        whole = as_json or output is not None
        report = count(case, query, [name.strip() for name in by.split(",")], limit=0 if whole else limit)
        give(report, as_json=as_json, output=output, kind=kind, limit=0)
