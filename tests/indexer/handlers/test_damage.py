"""What random damage once broke, each as small as it can be: no crash, and the rest is read as before."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from crawling import crawl_bytes
from indexer.handlers._cells import format_kind
from indexer.model import Hop

FIXTURES = Path(__file__).parents[3] / "fixtures"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("pcap", b"\xd4\xc3\xb2\xa1\2\0\4\0"),
    ],
)
def test_a_cut_head_is_told(name: str, data: bytes) -> None:
    (item,) = crawl_bytes(data)
    assert item.handler == name
    assert [problem.cause for problem in item.problems] == ["truncated"]


def test_a_million_members_of_one_name_are_told_apart_by_their_hash() -> None:
    assert len({hash(Hop(b"a", "a", ordinal)) for ordinal in range(1, 1001)}) == 1000


def test_a_task_nested_deep_is_not_shown_with_all_its_steps() -> None:
    deep = b"<Depth>word" * 2000
    head = b'<?xml version="1.0"?><Task xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">'
    (item,) = crawl_bytes(head + deep + b"</Depth>" * 2000, "task.xml")
    assert item.handler == "task"
    assert sum(len(text.body) for text in item.texts) < 400 * 2000


def test_a_number_format_without_end_takes_no_time() -> None:
    started = time.process_time()
    assert format_kind(200, "[" * 300_000) == ""
    assert time.process_time() - started < 1
