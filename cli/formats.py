"""`archivore formats`: what can be opened and read."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.console import say, say_json, say_table
from cli.options import JsonOption


def formats(
    as_json: JsonOption = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="As the table of the README.")] = False,
) -> None:
    """List the file types that are read. Printed from their declarations.

    Example: archivore formats --json
    """
    from indexer.registry import all_handlers

    handlers = sorted(all_handlers(), key=lambda handler: handler.name)
    if as_json:
        for handler in handlers:
            say_json(
                {
                    "name": handler.name,
                    "version": handler.version,
                    "media_types": list(handler.media_types),
                    "suffixes": list(handler.suffixes),
                    "reads": handler.reads,
                    "container": handler.container,
                    "needs": list(handler.needs),
                    "fields": dict(handler.fields),
                }
            )
        return
    if markdown:
        say("| type | suffixes | what is read |\n|---|---|---|")
        for handler in handlers:
            say(f"| {handler.name} | {' '.join(handler.suffixes)} | {handler.reads} |")
        return
    rows = [(handler.name, " ".join(handler.suffixes[:6]), handler.reads) for handler in handlers]
    say_table(("type", "suffixes", "what is read"), rows)
