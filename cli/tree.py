"""`archivore tree`: what lies in what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import DIM, RED, counted, note, say, say_json, size_of, style
from cli.options import CaseOption, JsonOption, open_case
from search.sanitise import visible

if TYPE_CHECKING:
    from indexer.model import Item, Provenance
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
    from indexer.model import Provenance

    with open_case(case_path) as case:
        source = item_word if item_word in case.catalog.sources() else ""
        start = case.find(item_word) if item_word and not source else None
        if start:
            _line(start, 0, as_json=as_json)
        case.record("answer", command="tree", item=start.id if start else source)
        if start and not _is_folder(start):
            closed = _below(case, start.id, 1, depth, as_json=as_json)
        else:
            above = start.provenance if start else Provenance(source, ())
            closed = _files(case, above, 1 if start else 0, depth, as_json=as_json)
    if closed:
        note(f"Not gone into: {counted(closed, 'container')}; deeper with --depth.")


def _is_folder(item: Item) -> bool:
    """Whether files of a source lie in it: they stand beside it, and only their paths tell."""
    return len(item.provenance.hops) == 1 and item.media_type == "inode/directory"


def _files(case: Case, above: Provenance, level: int, depth: int, *, as_json: bool) -> int:
    """Shows the files of a source, or of a folder in it, or all, as `_below` does."""
    folder = above.hops[0].raw + b"/" if above.hops else b""
    closed = 0
    for item in case.catalog.children(None):
        place = item.provenance
        if (not above.source or place.source == above.source) and place.hops[0].raw.startswith(folder):
            if level >= depth:
                return 1
            _line(item, level, as_json=as_json)
            closed += _below(case, item.id, level + 1, depth, as_json=as_json)
    return closed


def _below(case: Case, identity: str, level: int, depth: int, *, as_json: bool) -> int:
    """Shows what lies in an item and returns how many containers are deeper than that."""
    if level >= depth:
        return int(any(True for _ in case.catalog.children(identity)))
    closed = 0
    for item in case.catalog.children(identity):
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
    say(f"{'  ' * level}{visible(name)}{size}  {style(item.id[:8], DIM)}{trouble}")
