"""`archivore pack` and `open-pack`: a case on its way to another machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.console import counted, note, say
from cli.options import CaseOption, PasswordsOption, open_case, read_passwords


def pack(
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write, a zip.")],
    query: Annotated[str, typer.Argument(metavar="[QUERY]", help="Only what answers this; all else.")] = "",
    with_files: Annotated[bool, typer.Option("--with-files", help="The items' bytes too, from the evidence.")] = False,
    passwords: PasswordsOption = None,
    case_path: CaseOption = None,
) -> None:
    """Write the case, or a query's part of it, into one file. `open-pack` opens it elsewhere.

    Example: archivore pack 'tag:responsive' --with-files --output responsive.zip
    """
    from cli.files import copy_files
    from cli.runs import limits_of
    from search.exporting import digest_of, report_of
    from search.packing import pack as write
    from search.packing import scratch_beside

    with open_case(case_path) as case, scratch_beside(output) as scratch:
        files = None
        if with_files:
            files = scratch / "files"
            report = report_of(case, query)
            _, failed = copy_files(report, files, passwords=read_passwords(passwords), limits=limits_of(case))
            if failed:
                note(f"{counted(failed, 'item')} could not be had again unchanged: see not-copied.jsonl in the pack.")
        count = write(case, output, query, files)
        digest = digest_of(output)
        case.record("pack", query=query, output=str(output), sha256=digest, items=count, files=with_files)
    say(f"Packed {counted(count, 'item')} into {output}, SHA-256 {digest}.")


def open_pack(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="What `archivore pack` wrote.")],
    folder: Annotated[Path, typer.Argument(metavar="CASE", help="A new or empty folder for the case.")],
    evidence: Annotated[
        list[str] | None, typer.Option("--evidence", help="NAME=PATH: where a source lies on this machine.")
    ] = None,
) -> None:
    """Make a case of a packed one. Digests are checked, nothing in it is run, the index is built anew.

    Example: archivore open-pack responsive.zip cases/responsive
    """
    from indexer.errors import UsageError
    from search.packing import open_pack as read

    places = dict(each.partition("=")[::2] for each in evidence or [])
    if not all(places.values()):
        raise UsageError("--evidence takes NAME=PATH")
    count = read(path, folder, places)
    say(f"Opened {counted(count, 'item')} in {folder}.")
