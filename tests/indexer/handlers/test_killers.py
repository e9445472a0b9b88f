"""The misbehaving handlers do what they say, as far as one process can show it."""

from __future__ import annotations

from pathlib import Path

import pytest

from crawling import crawl_bytes
from indexer.limits import Limits
from indexer.model import Item, replace
from indexer.registry import all_handlers, handlers_in, in_order

FILE = Path(__file__).with_name("killers.py")
HANDLERS = handlers_in(str(FILE))


def crawl(data: bytes, **changes: int | float) -> list[Item]:
    return crawl_bytes(data, handlers=in_order([*all_handlers(), *HANDLERS]), limits=replace(Limits(), **changes))


def lengths(*bodies: bytes) -> bytes:
    return b"LIST:\n" + b"".join(len(body).to_bytes(4, "big") + body for body in bodies)


def test_a_list_holds_its_members_in_order() -> None:
    items = crawl(lengths(b"text: one", "text: 둘".encode()))
    assert [item.name for item in items] == ["input.bin", "0", "1"]
    assert [text.body for item in items for text in item.texts] == ["one", "둘"]
    assert all(item.status == "read" for item in items)


@pytest.mark.parametrize(("what", "cause"), [("raise", "crash"), ("recurse", "limit")])
def test_what_was_said_before_the_deed_is_kept(what: str, cause: str) -> None:
    items = crawl(lengths(f"KILL:{what}\n".encode(), b"text: after"))
    assert [problem.cause for problem in items[1].problems] == [cause]
    assert items[1].texts[0].body == f"before {what}"
    assert items[2].texts[0].body == "after"


def test_flood_and_breed_end_at_their_limits() -> None:
    (flood,) = crawl(b"KILL:flood\n", text_chars=1_000_000)
    assert flood.problems[0].message.startswith("text_chars")
    bred = crawl(b"KILL:breed\n", members=50)
    assert len(bred) == 51
    assert bred[0].problems[0].message.startswith("members")


def test_drip_ends_at_the_clock() -> None:
    (drip,) = crawl(b"KILL:drip\n", seconds=0.5)
    assert [problem.cause for problem in drip.problems] == ["timeout"]


def test_huge_is_cut() -> None:
    (huge,) = crawl(b"KILL:huge\n", text_chars=1_000)
    assert huge.problems[0].message.startswith("text_chars")


def test_what_contains_itself_is_opened_once_and_told() -> None:
    outer, inner = crawl(b"KILL:mirror\n")
    assert outer.status == "read"
    assert outer.digests == inner.digests
    assert inner.problems[0].message.startswith("contains itself")


def test_every_killer_has_a_mark_of_its_own() -> None:
    marks = [mark.magic for handler in HANDLERS for mark in handler.signatures]
    assert len(marks) == len(set(marks)) >= 17
