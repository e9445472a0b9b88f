"""Golden fixtures: every `fixtures/<handler>/<case>/input.*` gives exactly `expected.jsonl`.

`make golden` writes the expected files anew (with ARCHIVORE_GOLDEN=write); the diff is read like code.
A case may hold `passwords.txt`; ABOUT says in a line or two what the case is for.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from crawling import as_lines, crawl_file
from indexer.facts import FIELDS
from indexer.registry import all_handlers

FIXTURES = Path(__file__).parent.parent / "fixtures"
CASES = sorted(path for path in FIXTURES.glob("*/*/input*") if path.is_file())
MIXED = {"tour", "hostile", "file_systems"}


@pytest.fixture(autouse=True)
def without_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """No golden depends on which optional programs this machine has."""
    monkeypatch.setenv("PATH", "")


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.parent.name}-{path.parent.name}")
def test_golden(path: Path) -> None:
    expected = path.with_name("expected.jsonl")
    listed = path.with_name("passwords.txt")
    passwords = listed.read_text("utf-8").splitlines() if listed.exists() else []
    lines = as_lines(crawl_file(path, passwords=passwords))
    if os.environ.get("ARCHIVORE_GOLDEN") == "write":
        expected.write_text(lines, "utf-8")
    assert expected.read_text("utf-8") == lines


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.parent.name}-{path.parent.name}")
def test_golden_holds_no_crash_and_only_declared_fields(path: Path) -> None:
    declared = {name for handler in all_handlers() for name in handler.fields} | FIELDS.keys()
    families = tuple(name[:-1] for name in declared if name.endswith(".*"))
    for line in path.with_name("expected.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        assert not [problem for problem in row["problems"] if problem["cause"] == "crash"]
        for name in row["fields"]:
            assert name in declared or name.startswith(families), name


def test_every_case_says_what_it_is_for() -> None:
    assert CASES
    for path in CASES:
        assert path.with_name("ABOUT").read_text("utf-8").strip(), path


def test_every_handler_has_a_fixture() -> None:
    names = {handler.name for handler in all_handlers()}
    have = {path.parent.parent.name for path in CASES} - MIXED
    assert have == names
