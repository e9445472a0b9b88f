"""`archivore fields`: what can be asked for by name."""

from __future__ import annotations

from cli.console import say_json, say_table
from cli.options import JsonOption


def fields(as_json: JsonOption = False) -> None:
    """List the fields that a query can name, with what they mean.

    Example: archivore fields
    """
    from indexer.registry import all_handlers
    from search.schema import CORE

    rows: list[tuple[str, str, str, str]] = [(row.name, row.type, row.meaning, row.example) for row in CORE]
    for handler in all_handlers():
        rows += [(name, handler.name, meaning, "") for name, meaning in sorted(handler.fields.items())]
    if as_json:
        for name, kind, meaning, example in rows:
            say_json({"name": name, "type": kind, "meaning": meaning, "example": example})
        return
    say_table(("field", "type or handler", "meaning", "example"), rows)
