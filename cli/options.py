"""Options that several commands share, and the way from them to an open case."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from indexer.passwords import Password
    from search.case import Case

CaseOption = Annotated[
    Path | None,
    typer.Option("--case", envvar="ARCHIVORE_CASE", help="The case folder; else the one you stand in."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON lines: exact, documented, for scripts.")]
JobsOption = Annotated[int, typer.Option("--jobs", min=0, max=256, help="Worker processes; one a core where 0.")]
PasswordsOption = Annotated[
    Path | None, typer.Option("--passwords", help="A file with one password a line; only line numbers are recorded.")
]

GuessOption = Annotated[
    bool, typer.Option("--guess-passwords", help="Try what texts and mails near a protected item say.")
]

OcrOption = Annotated[bool, typer.Option("--ocr", help="Read words drawn on pictures and scanned pages too; slow.")]


def check_ocr(*, wanted: bool) -> None:
    """Says what reading drawn words lacks here.

    Raises:
        UsageError: it is wanted, and cannot be had.
    """
    from cli.console import note
    from indexer.errors import UsageError
    from indexer.handlers._ocr_engine import INSTALL, KOREAN, korean_data, missing_parts

    if wanted and (missing := missing_parts()):
        raise UsageError(f"--ocr needs {', '.join(missing)}: {INSTALL}")
    if wanted and not korean_data():
        note(f"Drawn Korean will not be read: apt install {KOREAN}")


def open_case(path: Path | None, *, write: bool = False) -> Case:
    """The case that the option, the environment or the working folder names; close it after use."""
    from search.case import Case
    from search.folder import find_case

    return Case(path or find_case(Path.cwd()), write=write)


def read_passwords(path: Path | None) -> tuple[Password, ...]:
    """The passwords in a file; none where no file was given.

    Raises:
        UsageError: the file cannot be read.
    """
    from indexer.errors import UsageError, reason_of
    from indexer.passwords import decode_list, parse_passwords

    if path is None:
        return ()
    try:
        return parse_passwords(decode_list(path.read_bytes()))
    except OSError as error:
        raise UsageError(f"{path}: {reason_of(error)}; --passwords takes a file with one password a line") from error
