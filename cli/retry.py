"""`archivore retry`: reads again what failed, or what an older handler made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import counted, note, say
from cli.options import (
    CaseOption,
    GuessOption,
    JobsOption,
    OcrOption,
    PasswordsOption,
    check_ocr,
    open_case,
    read_passwords,
)
from cli.progress import Reporter

if TYPE_CHECKING:
    from indexer.model import Item
    from search.case import Case


def retry(
    items: Annotated[list[str] | None, typer.Argument(metavar="[ITEM]...", help="Ids or paths of items.")] = None,
    cause: Annotated[str, typer.Option("--cause", help="All items with this problem.")] = "",
    handler: Annotated[str, typer.Option("--handler", help="Only problems met by this handler.")] = "",
    older: Annotated[bool, typer.Option("--older", help="All items that an older handler read.")] = False,
    name_encoding: Annotated[str, typer.Option("--name-encoding", help="Decode members' names by this codec.")] = "",
    ocr: OcrOption = False,
    passwords: PasswordsOption = None,
    guess: GuessOption = False,
    jobs: JobsOption = 0,
    limit: Annotated[list[str] | None, typer.Option("--limit", help="NAME=VALUE, such as seconds=600.")] = None,
    case_path: CaseOption = None,
) -> None:
    """Read again only what failed. By cause, by handler, by id, or what an older handler made.

    With --ocr alone, what holds pictures or scanned pages on which no drawn words were looked for.

    Example: archivore retry --cause encrypted --passwords words.txt
    """
    from cli.runs import finish_stopped, guess_passwords, limits_of, read_again, rename_members
    from indexer.errors import UsageError

    if not (items or cause or handler or older or ocr):
        raise UsageError("nothing to retry: give items, --cause, --handler, --older or --ocr")
    check_ocr(wanted=ocr)
    with open_case(case_path, write=True) as case:
        if name_encoding:
            chosen = _chosen(case, items or [], cause, handler, older=older, ocr=False)
            count = sum(rename_members(case, item, name_encoding) for item in chosen)
            say(f"Renamed {counted(count, 'item')} by {name_encoding}; nothing was read again.")
            return
        with Reporter() as reporter:
            options: dict[str, Any] = {
                "limits": limits_of(case, tuple(limit or ())),
                "passwords": read_passwords(passwords),
                "ocr": ocr,
                "jobs": jobs,
                "tell": reporter.tell,
                "indexed": reporter.indexed,
            }
            finish_stopped(case, **options)  # what a retry that was stopped had dropped is there again
            chosen = _chosen(case, items or [], cause, handler, older=older, ocr=ocr)
            before = {item.id for item in chosen}
            counts = {"items": 0}
            if chosen and (options["passwords"] or not (guess and cause == "encrypted")):
                counts = read_again(case, chosen, **options)
            guessed = guess_passwords(case, lambda: _locked(case, before), **options) if chosen and guess else None
        held = [case.catalog.item(identity) for identity in before]
        mended = sum(1 for item in held if item and item.status == "read")
    if not before:
        note("Nothing to retry.")
        return
    if guessed:
        say(f"Passwords found in the case opened {guessed[1]:,} of {guessed[0]:,} protected items.")
        counts["items"] += guessed[2]
    say(f"Read {counted(counts['items'], 'item')} again; {mended:,} of {len(before):,} are fully read now.")


def _locked(case: Case, chosen: set[str]) -> list[Item]:
    """The protected items among those that were chosen, and what is protected inside them."""
    within = chosen | {above for each in chosen for above in _parent(case, each)}
    locked = case.catalog.with_problem("encrypted")
    return [item for item in locked if within.intersection((item.id, *item.provenance.above()))]


def _parent(case: Case, identity: str) -> list[str]:
    item = case.catalog.item(identity)
    parent = item.provenance.parent if item and item.handler == "" else None
    return [parent.id] if parent else []


def _chosen(case: Case, words: list[str], cause: str, handler: str, *, older: bool, ocr: bool) -> list[Item]:
    from cli.runs import not_looked_at
    from indexer.registry import all_handlers

    chosen = [case.find(word) for word in words]
    if cause or handler:
        chosen += case.catalog.with_problem(cause, handler)
    if older:
        chosen += case.catalog.read_by_older({each.name: each.version for each in all_handlers()})
    if ocr and not (words or cause or handler or older):
        chosen += not_looked_at(case)
    return chosen
