"""`archivore demo`: a case built from the small seized server that ships with the source."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.console import BOLD, DIM, say, style

NAME = "archivore demo"
"""What the demo calls its case: only one of that name is made anew."""


def demo(
    tour: Annotated[Path, typer.Argument(help="The folder with the tour.")] = Path("fixtures/tour"),
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the case and the lists go.")] = Path("demo"),
) -> None:
    """Build a small case, search it, write hit lists. Of an invented server, in three languages.

    Example: archivore demo fixtures/tour
    """
    import shutil
    import tomllib

    from cli.export import export
    from cli.ingest import ingest
    from cli.new import new
    from cli.problems import problems
    from cli.search import search
    from cli.status import status
    from indexer.errors import UsageError

    if not (tour / "day1").is_dir():
        raise UsageError(f"{tour}: no tour here; give the path of fixtures/tour")
    case = output / "case"
    settings = case / "case.toml"
    if settings.exists():
        if tomllib.loads(settings.read_text("utf-8")).get("name") != NAME:
            raise UsageError(f"{case}: a case that the demo did not make; choose another --output")
        shutil.rmtree(case)

    def step(title: str, command: str) -> None:
        say()
        say(style(f"## {title}", BOLD))
        say(style(f"$ archivore {command}", DIM))

    step("A case is a folder.", f"new {case}")
    new(case, NAME)
    days = [tour / "day1", tour / "day2"]
    step(
        "Two days of one server go in; every archive, mailbox and document is opened.",
        f"ingest {days[0]} {days[1]} --series animation-server --passwords {tour / 'passwords.txt'}",
    )
    ingest(days, case, series="animation-server", passwords=tour / "passwords.txt")
    step("Found = read + partly read + not read.", "status")
    status(case)
    for title, query in (("English", "deadline"), ("Chinese", "修改"), ("Korean", "수정")):
        step(f"A search in {title}; the same bytes on both days are one hit.", f"search {query} -n 3")
        search(query, case, limit=3, sort="score")
    step("What was not fully read, and why.", "problems")
    problems(case_path=case)
    step("Hit lists for the report, with provenance, digests and locators.", "export ...")
    export(output / "hits.csv", "修改 OR 수정 OR deadline", "csv", case_path=case)
    export(output / "hits.jsonl", "修改 OR 수정 OR deadline", "jsonl", case_path=case)
    say()
    say(style("## Try next", BOLD))
    for line in (
        f"archivore search 'name:C034 type:picture' --case {case}",
        f"archivore search 'problem:encrypted OR problem:corrupt' --case {case}",
        f"archivore grep '175\\.45\\.17[6-9]\\.\\d+' --case {case}",
        f"archivore tree --case {case}",
        f"archivore show ID --case {case}       (an id from any answer; its first digits will do)",
        f"archivore extract ID --output FILE --case {case}",
    ):
        say(f"  {line}")
