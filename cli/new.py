"""`archivore new`: makes an empty case."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.console import say


def new(
    path: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    name: Annotated[str, typer.Option("--name", help="What the case is called; the folder's name else.")] = "",
    number: Annotated[str, typer.Option("--number", help="Its file number, for the covers of reports.")] = "",
    examiner: Annotated[str, typer.Option("--examiner", help="Who examines, for the covers.")] = "",
    organisation: Annotated[str, typer.Option("--organisation", help="For whom, for the covers.")] = "",
) -> None:
    """Make an empty case.

    Example: archivore new cases/studio --number 2024-17 --examiner 'Ann Smith'
    """
    from search.case import Case

    about = {"number": number, "examiner": examiner, "organisation": organisation}
    with Case.create(path, name, about) as case:
        say(f"Made the case {case.name} in {path}.")
        say(f"Next: archivore ingest --case {path} FOLDER-OR-FILE...")
