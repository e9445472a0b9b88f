"""`archivore search`: which items answer a query."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.console import BOLD, DIM, columns, counted, cut, marked, note, say, say_json, size_of, style
from cli.options import CaseOption, JsonOption, open_case
from search.sanitise import visible


def search(
    query: Annotated[str, typer.Argument(help='Words, "phrases", AND OR NOT, field:value; see the README.')],
    case_path: CaseOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Hits shown.")] = 20,
    start: Annotated[int, typer.Option("--start", min=0, help="Go on after that many hits.")] = 0,
    sort: Annotated[
        str, typer.Option("--sort", help="score, date, size, path or name; -date turns it round.")
    ] = "score",
    no_fold: Annotated[bool, typer.Option("--no-fold", help="Show items with the same bytes each.")] = False,
    glossary: Annotated[
        Path | None, typer.Option("--expand", metavar="FILE", help="Words with what this glossary pairs them with.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Search texts, names and fields, best hits first. Each comes with its provenance.

    Examples: archivore search 'deadline AND ext:xlsx'   archivore search '修改 OR 수정' --sort date
    """
    from indexer.errors import UsageError
    from search.answers import ask
    from search.report import exact_of
    from search.schema import SORTS

    field = sort.removeprefix("-")
    if field not in SORTS:
        raise UsageError(f"{sort}: no such order; there are {', '.join(SORTS)}")
    if glossary is not None:
        from search.pairs import expand, read_glossary

        query, expanded = expand(query, read_glossary(glossary))
        for told in expanded:
            note(told)
    with open_case(case_path) as case:
        answer = ask(case, query, limit=limit, sort=field, reverse=sort != field, fold=not no_fold, start=start)
        exact = [exact_of(case, hit) for hit in answer.hits] if as_json else []
        tags = {hit.item.id: case.review.tags_of(hit.item.id) for hit in answer.hits}
        case.record("answer", command="search", query=query, options={"sort": sort, "limit": limit}, rows=answer.total)
        if case.catalog.is_stale(1):
            note("The index is behind the case: run archivore reindex.")
    for told in answer.notes:
        note(told)
    if not answer.hits:
        note("Nothing found." if not start else "No further hits.")
        sys.exit(1)
    if as_json:
        for row in exact:
            say_json(row)
        return
    room = columns()
    for number, hit in enumerate(answer.hits, start + 1):
        item = hit.item
        say(f"{style(f'{number:>3}', DIM)}  {style(visible(str(item.provenance)), BOLD)}")
        told = f"{item.id[:8]}  {size_of(item.size)}  {item.media_type}"
        if item.language:
            told += f"  {item.language}"
        if hit.duplicates:
            told += f"  same bytes at {counted(len(hit.duplicates), 'more place')}"
        if tags[item.id]:
            told += f"  [{', '.join(mark.text for mark in tags[item.id])}]"
        if item.is_deleted:
            told += "  deleted"
        if item.problems:
            told += f"  {', '.join(sorted({problem.cause for problem in item.problems}))}"
        say(f"     {style(told, DIM)}")
        for highlight in hit.highlights[:3]:
            say(f"     {style(cut(visible(highlight.locator), room // 3), DIM)}: {marked(highlight)}")
    left = f"; more: --start {answer.next}" if answer.next < answer.total else ""
    note(f"{counted(answer.total, 'hit')}{left}")
