"""`archivore extract`: an item's bytes, from the evidence itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.console import say
from cli.options import CaseOption, PasswordsOption, open_case, read_passwords


def extract(
    item_word: Annotated[str, typer.Argument(metavar="ITEM", help="An id, its first digits, or a path as printed.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write; it must not exist.")],
    case_path: CaseOption = None,
    passwords: PasswordsOption = None,
) -> None:
    """Write an item's bytes. Re-opened from the evidence by provenance, their digest checked.

    Example: archivore extract 3f2a91 --output photo.jpg
    """
    from cli.runs import extract_item, limits_of

    with open_case(case_path) as case:
        item = case.find(item_word)
        digest = extract_item(case, item, output, read_passwords(passwords), limits_of(case))
        case.record("extract", item=item.id, output=str(output), sha256=digest)
    say(f"Wrote {output}: {item.size:,} bytes, SHA-256 {digest} as recorded.")
