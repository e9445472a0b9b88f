"""What 7-Zip unpacks of an archive is what would have been unpacked here."""

from __future__ import annotations

from pathlib import Path

import pytest

from crawling import as_lines, crawl_file
from indexer.handlers import arj_archive
from indexer.handlers._p7z_members import Members

PLAIN = Path(__file__).parents[3] / "fixtures" / "arj" / "plain" / "input.arj"


def test_both_ways_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    opening = Members.open
    monkeypatch.setattr(Members, "open", lambda self, entry: opened.append(entry.path) or opening(self, entry))
    here = as_lines(crawl_file(PLAIN))
    assert not opened
    monkeypatch.setattr(arj_archive, "MUCH", 0)
    assert as_lines(crawl_file(PLAIN)) == here
    assert len(opened) == 3


def test_what_sevenzip_lists_otherwise_is_unpacked_here(monkeypatch: pytest.MonkeyPatch) -> None:
    here = as_lines(crawl_file(PLAIN))
    monkeypatch.setattr(arj_archive, "MUCH", 0)
    monkeypatch.setattr(arj_archive, "list_entries", lambda records, origin, **_: ({}, [], None))
    monkeypatch.setattr(Members, "open", lambda self, entry: pytest.fail("7-Zip was asked"))
    assert as_lines(crawl_file(PLAIN)) == here
