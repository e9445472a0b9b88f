"""`archivore export`: the case or a hit list as a file, with the items' own bytes where asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.answers import FormatOption, write
from cli.console import counted, note, say
from cli.options import CaseOption, PasswordsOption, open_case, read_passwords


def export(
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
    query: Annotated[str, typer.Argument(metavar="[QUERY]", help="Hits of this query; every item else.")] = "",
    kind: FormatOption = "",
    with_text: Annotated[bool, typer.Option("--with-text", help="The whole text of each item too.")] = False,
    with_files: Annotated[
        Path | None, typer.Option("--with-files", help="The items' bytes too, into this new folder or .zip.")
    ] = None,
    pictures: Annotated[bool, typer.Option("--pictures/--no-pictures", help="Small pictures in reports.")] = True,
    passwords: PasswordsOption = None,
    case_path: CaseOption = None,
) -> None:
    """Write every item, or every hit of a query, to a file. Sorted by provenance, without a cap.

    Example: archivore export 'lang:ko' --output korean.xlsx --with-files korean.zip
    """
    from cli.files import MANIFEST, PROBLEMS, copy_files, with_thumbnails
    from cli.runs import limits_of
    from search.exporting import by_suffix, report_of

    kind = kind or by_suffix(output)
    words = read_passwords(passwords)
    with open_case(case_path) as case:
        report, limits = report_of(case, query, with_text=with_text), limits_of(case)
        if pictures and kind in _WITH_PICTURES:
            with with_thumbnails(report, passwords=words, limits=limits) as drawn:
                write(drawn, output, kind)
        else:
            write(report, output, kind)
        if with_files is not None:
            count, failed = copy_files(report, with_files, passwords=words, limits=limits)
            say(f"Wrote {counted(count, 'file')} into {with_files}, with {MANIFEST}.")
            if failed:
                note(f"{counted(failed, 'item')} could not be had again unchanged: {PROBLEMS} says why.")


_WITH_PICTURES = frozenset(("html", "pdf", "dat"))
