"""`archivore hashset`: lists of known and notable digests."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from cli.console import note, say, say_json, say_table
from cli.options import CaseOption, JsonOption, open_case

hashset = typer.Typer(
    name="hashset", help="Lists of digests: known to be of no interest, or notable.", no_args_is_help=True
)


@hashset.command("add")
def add(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="NSRL (SQLite or CSV), CSV, or one digest a line.")],
    name: Annotated[str, typer.Option("--name", help="What to call it; the file's name else.")] = "",
    notable: Annotated[bool, typer.Option("--notable", help="What to look for; known and dull else.")] = False,
    case_path: CaseOption = None,
) -> None:
    """Take in a list; items that it holds get the field known or notable with its name.

    Example: archivore hashset add RDS_2026.db --name nsrl
    """
    from search.known import take
    from search.review import checked_name

    label = checked_name(name or path.stem)
    with open_case(case_path, write=True) as case:
        kind: Literal["known", "notable"] = "notable" if notable else "known"
        count, items = take(case, path, label, kind)
        case.record("hashset", name=label, kind=kind, origin=str(path), digests=count, items=items)
    say(f"{label}: {count:,} {kind} digests; {items:,} items are in a list now.")


@hashset.command("remove")
def remove(name: Annotated[str, typer.Argument(help="Its name.")], case_path: CaseOption = None) -> None:
    """Forget a list.

    Example: archivore hashset remove nsrl
    """
    from search.known import forget

    with open_case(case_path, write=True) as case:
        forget(case, name)
        case.record("hashset", name=name, removed=True)
    say(f"{name}: forgotten.")


@hashset.command("list")
def show(as_json: JsonOption = False, case_path: CaseOption = None) -> None:
    """List the hash sets of the case.

    Example: archivore hashset list
    """
    with open_case(case_path) as case:
        sets = case.hashsets.sets()
    if as_json:
        for each in sets:
            say_json({"name": each.name, "kind": each.kind, "origin": each.origin, "digests": each.rows})
        return
    if not sets:
        note("No hash set; take one in with `archivore hashset add FILE`.")
        sys.exit(1)
    say_table(
        ("name", "kind", "from", "digests"), [(s.name, s.kind, s.origin, s.rows) for s in sets], right=frozenset({3})
    )
