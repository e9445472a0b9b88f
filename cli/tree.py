"""`archivore tree`: what lies in what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import RED, note, say, say_json, size_of, style
from cli.options import CaseOption, JsonOption, open_case
from search.sanitise import visible

if TYPE_CHECKING:
    from indexer.model import Item
    from search.case import Case


def tree(
    item_word: Annotated[str | None, typer.Argument(metavar="[ITEM]", help="An item or a source; else all.")] = None,
    case_path: CaseOption = None,
    depth: Annotated[int, typer.Option("--depth", min=1, help="Containers deep.")] = 8,
    as_json: JsonOption = False,
) -> None:
    """Show what lies in what, with ids to go on with.

    Example: archivore tree day1:mail.mbox --depth 2
    """
    with open_case(case_path) as case:
        source = item_word if item_word in case.catalog.sources() else None
        start = case.find(item_word) if item_word and not source else None
        if start:
            _line(start, 0, as_json=as_json)
        case.record("answer", command="tree", item=start.id if start else source or "")
        closed = _below(case, start.id if start else None, 1 if start else 0, depth, source, as_json=as_json)
    if closed:
        note(f"{closed:,} containers are not gone into; deeper with --depth.")


def _below(
    case: Case, identity: str | None, level: int, depth: int, source: str | None = None, *, as_json: bool
) -> int:
    """Shows what lies in an item, else in a source or all, and returns how many containers are deeper than that."""
    if level >= depth:
        return int(identity is not None and any(True for _ in case.catalog.children(identity)))
    closed = 0
    for item in case.catalog.children(identity):
        if source and item.provenance.source != source:
            continue
        _line(item, level, as_json=as_json)
        closed += _below(case, item.id, level + 1, depth, as_json=as_json)
    return closed


def _line(item: Item, level: int, *, as_json: bool) -> None:
    if as_json:
        say_json(item.to_json())
        return
    name = str(item.provenance) if level == 0 else str(item.provenance.hops[-1])
    causes = ["deleted"] * item.is_deleted + sorted({problem.cause for problem in item.problems})
    trouble = "  " + style(", ".join(causes), RED) if causes else ""
    size = "" if item.size is None else f"  {size_of(item.size)}"
    say(f"{'  ' * level}{visible(name)}{size}  {style(item.id[:8], '2')}{trouble}")
