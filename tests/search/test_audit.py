"""The audit log: whole under many writers, torn lines dropped, every change found."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from indexer.errors import StoreError
from search.audit import FIRST, Audit


@pytest.fixture
def log(tmp_path: Path) -> Audit:
    audit = Audit(tmp_path / "audit.jsonl")
    for number in range(5):
        audit.append("answer", command="search", query=f"분기 {number}")
    return audit


def test_each_record_seals_the_one_before(log: Audit) -> None:
    records = list(log.records())
    assert [record["number"] for record in records] == [1, 2, 3, 4, 5]
    assert records[0]["previous"] == FIRST
    assert all(after["previous"] == before["digest"] for before, after in pairwise(records))
    assert log.check() == ([], 5, records[-1]["digest"])


@pytest.mark.parametrize("harm", ["change", "remove", "swap", "insert", "garble"])
def test_every_change_is_found(log: Audit, harm: str) -> None:
    lines = log.path.read_bytes().splitlines(keepends=True)
    match harm:
        case "change":
            lines[2] = lines[2].replace(b"search", b"status")
        case "remove":
            del lines[2]
        case "swap":
            lines[1], lines[2] = lines[2], lines[1]
        case "insert":
            lines.insert(2, lines[1])
        case "garble":
            lines[2] = b"\xff\n"
    log.path.write_bytes(b"".join(lines))
    breaks, _, _ = log.check()
    assert breaks
    assert breaks[0].line in (2, 3)


def test_a_forger_who_seals_anew_changes_the_newest_digest(log: Audit) -> None:
    before = log.check()[2]
    records = list(log.records())
    log.path.unlink()
    for record in records[:-1]:
        log.append(record["event"], query="other")
    assert log.check()[0] == []
    assert log.check()[2] != before


def test_a_torn_line_is_dropped_and_told(log: Audit) -> None:
    with log.path.open("ab") as file:
        file.write(b'{"number":6,"at":"20')
    record = log.append("answer")
    assert record["number"] == 6
    assert record["torn_bytes_dropped"] == 20
    assert log.check()[:2] == ([], 6)


def test_a_last_line_that_is_no_record_stops_the_writer(log: Audit) -> None:
    with log.path.open("ab") as file:
        file.write(b"[]\n")
    with pytest.raises(StoreError, match="no record"):
        log.append("answer")


def test_many_processes_make_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    program = (
        "import sys; from pathlib import Path; from search.audit import Audit\n"
        "for n in range(20): Audit(Path(sys.argv[1])).append('answer', n=n, text='x' * 5000)"
    )
    writers = [subprocess.Popen([sys.executable, "-c", program, str(path)]) for _ in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert Audit(path).check()[:2] == ([], 60)


def test_records_are_ascii_and_exact(log: Audit) -> None:
    name = "분기\x1b[31m\u202e\ud800"
    log.append("answer", query=name)
    line = log.path.read_bytes().splitlines()[-1]
    assert line.isascii()
    assert b"\x1b" not in line
    assert json.loads(line)["query"] == name
