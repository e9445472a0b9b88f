"""`archivore fields`: what can be asked for by name."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cli.console import note, say_json, say_table
from cli.options import JsonOption

_FEW = 3


def fields(
    word: Annotated[str, typer.Argument(metavar="[WORD]", help="Only those whose name or meaning holds it.")] = "",
    as_json: JsonOption = False,
) -> None:
    """List the fields that a query can name, and their meanings. First those of every item, then those of types.

    Example: archivore fields author
    """
    from indexer.facts import FIELDS
    from indexer.registry import all_handlers
    from search.naming import Naming
    from search.schema import CORE

    rows: list[tuple[str, list[str], str, str]] = [(row.name, [row.type], row.meaning, row.example) for row in CORE]
    said = {pattern.field: pattern for pattern in reversed(Naming().patterns)}
    for name, pattern in reversed(said.items()):
        rows.append((name, [pattern.kind], f"what names of files and folders say: {pattern.example}", f"{name}:*"))
    rows += [(name, ["any"], meaning, "") for name, meaning in sorted(FIELDS.items())]
    told: dict[tuple[str, str], list[str]] = {}
    for handler in all_handlers():
        for pair in handler.fields.items():
            told.setdefault(pair, []).append(handler.name)
    rows += [(name, sorted(by), meaning, "") for (name, meaning), by in sorted(told.items())]
    rows = [row for row in rows if word.lower() in f"{row[0]} {row[2]}".lower()]
    if as_json:
        for name, kinds, meaning, example in rows:
            say_json({"name": name, "type": ", ".join(kinds), "meaning": meaning, "example": example})
    elif rows:
        head = ("field", "type or handler", "meaning", "example")
        say_table(head, [(name, _few(kinds), meaning, example) for name, kinds, meaning, example in rows])
    if not rows:
        note("Nothing found.")
        sys.exit(1)


def _few(names: list[str]) -> str:
    more = len(names) - _FEW
    return ", ".join(names[:_FEW]) + (f" and {more} more" if more > 0 else "")
