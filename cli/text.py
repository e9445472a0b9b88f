"""`archivore text`: everything that was read of an item as text."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cli.console import DIM, note, say, say_evidence, say_json, style
from cli.options import CaseOption, JsonOption, open_case
from search.sanitise import visible


def text(
    item_word: Annotated[str, typer.Argument(metavar="ITEM", help="An id, its first digits, or a path as printed.")],
    case_path: CaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print an item's text. Each passage under its locator (page, sheet and row, part).

    Example: archivore text 3f2a91
    """
    with open_case(case_path) as case:
        item = case.find(item_word)
        texts = case.texts_of(item.id)
        case.record("answer", command="text", item=item.id, rows=len(texts))
    if not texts:
        note("This item has no text.")
        sys.exit(1)
    for passage in texts:
        if as_json:
            say_json({"locator": passage.locator, "body": passage.body})
            continue
        if passage.locator:
            say(style(f"--- {visible(passage.locator)}", DIM))
        say_evidence(passage.body.rstrip("\n"))
