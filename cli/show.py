"""`archivore show`: one item's card."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

import typer

from cli.console import YELLOW, say, say_card, say_json, say_table, size_of, style
from cli.options import CaseOption, JsonOption, open_case

_MEMBERS = 50
"""Members that a card lists."""


def show(
    item_word: Annotated[str, typer.Argument(metavar="ITEM", help="An id, its first digits, or a path as printed.")],
    case_path: CaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one item. Where it was found, digests, fields, times with their origin, members, problems.

    Example: archivore show 3f2a91
    """
    from indexer.model import print_time
    from search.report import exact_of

    with open_case(case_path) as case:
        item = case.find(item_word)
        case.record("answer", command="show", item=item.id)
        if as_json:
            say_json(exact_of(case, item))
            return
        tags, notes = case.review.tags_of(item.id), case.review.notes_of(item.id)
        parent = item.provenance.parent
        members = list(islice(case.catalog.children(item.id), _MEMBERS))
        more = case.catalog.count_members(item.id) - len(members)
        same = case.catalog.same_bytes(item.digests.sha256) if item.digests else []
    rows: list[tuple[str, object]] = [
        ("path", item.provenance),
        ("id", item.id),
        ("type", f"{item.media_type} (read by {item.handler})" if item.handler else item.media_type),
        ("size", f"{size_of(item.size)} ({item.size:,} bytes)" if item.size is not None else "-"),
        ("status", item.status),
    ]
    if parent:
        rows.append(("inside", f"{parent} ({parent.id[:8]})"))
    if item.digests:
        rows += [("md5", item.digests.md5), ("sha1", item.digests.sha1), ("sha256", item.digests.sha256)]
    if len(same) > 1:
        rows.append(("same bytes", f"{len(same)} items: {', '.join(each[:8] for each in same[:8])}"))
    if item.language:
        rows.append(("language", item.language))
    rows += [("tag", f"{mark.text} ({mark.who}, {mark.at})") for mark in tags]
    rows += [("note", f"{mark.text} ({mark.who}, {mark.at})") for mark in notes]
    say_card(rows)
    if item.timestamps:
        say()
        say_table(
            ("time", "kind", "origin", "zone"),
            [
                (print_time(each.moment), each.kind, each.origin, "UTC" if each.zone_known else "unknown: wall clock")
                for each in item.timestamps
            ],
        )
    if item.fields:
        say()
        say_card((field.name, field.value) for field in item.fields)
    if item.problems:
        say()
        for problem in item.problems:
            tail = f" ({problem.resolution})" if problem.resolution else ""
            say_card([(style(problem.cause, YELLOW), problem.message + tail)])
    if members:
        say()
        say_table(
            ("member", "id", "size", "type"),
            [(each.provenance.hops[-1], each.id[:8], size_of(each.size), each.media_type) for each in members],
            right=frozenset({2}),
        )
        if more:
            say(f"... and {more:,} more: archivore tree {item.id[:8]}")
