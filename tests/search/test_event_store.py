"""The store of events: what repeats counts once; usual lines are read as the whole rule has them."""

from __future__ import annotations

import random
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.events import slices, store
from search.events.event import KNOWN, Event
from search.events.slices import in_time_order, stretches
from search.events.store import EventStore
from search.events.web import open_access, read_access

PARTS = (
    ["10.0.0.1", "a.example:80 10.0.0.1", "::1", "host", ""], ["-", "x"], ["-", "kim", "kim lee", "[a"],
    ["[02/Apr/2024:00:07:41 +0800]", "[02/Apr/2024:00:07:61 +0800]", "[02/Foo/2024:00:07:41 +0800]", "[x]"],
    ['"GET /a HTTP/1.1"', '"GET  HTTP/1.1"', '"PASS x HTTP/1.1"', '"get /a b HTTP/2.0"', r'"GET /\"a HTTP/1.0"', '"-"'],
    ["200", "230", "-", "20"], ["77", "-", "9999999999999999999"],
    ["", ' "-" "-"', ' "r" "agent"', ' "r" "a" 0.1', ' "r"'],
)  # fmt: skip


@given(st.tuples(*(st.sampled_from(part) for part in PARTS)))
def test_usual_lines_are_read_as_the_whole_rule_has_them(parts: tuple[str, ...]) -> None:
    line = " ".join(parts[:-1]) + parts[-1]
    assert open_access(None)(1, line) == read_access(1, line)


@pytest.mark.parametrize("seed", range(3))
def test_repeats_count_once_however_logs_overlap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr(store, "_PIECE", 7)
    chance = random.Random(seed)
    most: Counter[tuple[int, str]] = Counter()
    with EventStore(tmp_path, write=True) as held:
        for log in range(4):
            start = chance.randrange(60)
            told = [(chance.randrange(start, start + 30), chance.choice("ab")) for _ in range(50)]
            found = (Event(line, at * 1_000_000, KNOWN, "::1", path=path) for line, (at, path) in enumerate(told, 1))
            assert held.take(bytes([log]), "access", "line", found) == 50
            most |= Counter(told)
        counted = held.rows("SELECT epoch(moment)::BIGINT, path, count(*) FROM events WHERE NOT again GROUP BY ALL")
        assert {(at, path): count for at, path, count in counted} == most
        assert held.row("SELECT count(*) FROM events")[0] == 200


def test_a_number_that_is_not_told_is_none_and_pieces_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_PIECE", 3)
    with EventStore(tmp_path, write=True) as held:
        events = [Event(line, line, KNOWN, size=None if line % 2 else 0, detail="\0한" * line) for line in range(1, 6)]
        assert held.take(b"1", "access", "line", iter(events)) == 5
        rows = list(held.rows("SELECT line, size, detail FROM events ORDER BY line"))
    assert rows == [(event.line, event.size, event.detail) for event in events]


def test_events_come_in_order_stretch_by_stretch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "_TOGETHER", 10)
    chance = random.Random(1)
    times = [chance.randrange(40) * 1_800_000_000 + chance.randrange(9) for _ in range(200)]
    with EventStore(tmp_path, write=True) as held:
        held.take(b"1", "access", "line", (Event(line, at, KNOWN) for line, at in enumerate(times, 1)))
        found = list(in_time_order(held, "epoch_us(moment), line", "line > ?", [0]))
    assert found == sorted((at, line) for line, at in enumerate(times, 1))


def test_stretches_are_whole_hours_without_a_gap() -> None:
    hour = datetime(2024, 1, 1)
    step = timedelta(hours=1)
    counts = [150_000, 60_000, 60_000, 900_000, 1]
    found = list(stretches((hour + step * number, count) for number, count in enumerate(counts)))
    assert [(first - hour) // step for first, _ in found] == [0, 1, 3, 4]
    assert [last + timedelta(microseconds=1) - hour for _, last in found] == [step, step * 3, step * 4, step * 5]
    assert next(stretches([(datetime(9999, 12, 31, 23), 1)]))[1].year == 9999
    assert list(stretches([])) == []
