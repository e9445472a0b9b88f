"""`archivore new`: makes an empty case."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.console import say


def new(
    path: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    name: Annotated[str, typer.Option("--name", help="What the case is called; the folder's name else.")] = "",
) -> None:
    """Make an empty case.

    Example: archivore new cases/studio
    """
    from search.case import Case

    with Case.create(path, name) as case:
        say(f"Made the case {case.name} in {path}.")
        say(f"Next: archivore ingest --case {path} FOLDER-OR-FILE...")
