"""Address cards, calendars and Outlook's envelopes: what goldens cannot show."""

from __future__ import annotations

import io
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawling import crawl_bytes
from indexer.handler import Stream
from indexer.handlers._calendar_zones import Zone
from indexer.handlers._content_lines import lines_of, parts_of, plain
from indexer.handlers.icalendar import Icalendar
from indexer.handlers.vcard import Vcard

FIXTURES = Path(__file__).parents[3] / "fixtures"
SAMPLES = {
    f"{path.parent.parent.name}-{path.parent.name}": path.read_bytes()
    for kind in ("vcard", "icalendar", "tnef")
    for path in sorted(FIXTURES.glob(f"{kind}/*/input.*"))
}


def make_zone(*lines: str) -> Zone:
    zone = Zone()
    zone.begin()
    for line in lines:
        name, _, value = line.partition(":")
        zone.take(name.lower(), value)
    return zone


@pytest.mark.parametrize(
    ("wall", "hours"),
    [(datetime(2019, 3, 10, 1, 59), None), (datetime(2019, 3, 10, 2), -7), (datetime(2019, 12, 1), -7)],
)
def test_a_yearly_rule_begins_on_its_sunday(wall: datetime, hours: int | None) -> None:
    zone = make_zone("DTSTART:20190310T020000", "RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=2SU", "TZOFFSETTO:-0700")
    expected = None if hours is None else timedelta(hours=hours)
    assert zone.offset_at(wall) == expected


def test_a_rule_that_ended_holds_no_more() -> None:
    zone = make_zone(
        "DTSTART:19870503T020000", "RRULE:FREQ=YEARLY;BYMONTH=5;BYDAY=1SU;UNTIL=19881007T160000Z", "TZOFFSETTO:+1000"
    )
    zone.begin()
    zone.take("dtstart", "19881009T030000")
    zone.take("tzoffsetto", "+0900")
    assert zone.offset_at(datetime(1988, 6, 1)) == timedelta(hours=10)
    assert zone.offset_at(datetime(2019, 6, 1)) == timedelta(hours=9)


def test_a_rule_of_another_kind_leaves_the_zone_unknown() -> None:
    zone = make_zone("DTSTART:20190310T020000", "RRULE:FREQ=DAILY", "TZOFFSETTO:-0700")
    assert zone.offset_at(datetime(2020, 1, 1)) is None


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
@pytest.mark.parametrize("window", [1, 2, 7, 1 << 20])
def test_lines_are_unfolded_wherever_a_window_ends(monkeypatch: pytest.MonkeyPatch, end: str, window: int) -> None:
    monkeypatch.setattr("indexer.handlers._content_lines.WINDOW", window)
    data = end.join(["BEGIN:VCARD", "NOTE:one", "  two", "", "\tthree", 'FN;X="a:b";Y=c,d:name', "END:VCARD", ""])
    found = list(lines_of(Stream(io.BytesIO(data.encode()))))
    assert [(line.name, line.raw.decode()) for line in found] == [
        ("begin", "VCARD"),
        ("note", "one two"),
        ("fn", "name"),
        ("end", "VCARD"),
    ]
    assert found[2].parameters == {"x": ["a:b"], "y": ["c", "d"]}


def test_backslashes_part_nothing() -> None:
    assert parts_of(r"a\;b;c\\;\n") == ["a;b", "c\\", ""]
    assert plain(r"one\Ntwo\, three") == "one\ntwo, three"


@pytest.mark.parametrize("head", [b"", b"BEGIN", b"BEGIN:VCARDS\n", b"begin = 1\n", b"\xff\xfe", b"BEGIN:VALARM\n"])
def test_what_is_neither_is_not_claimed(head: bytes) -> None:
    stream = Stream(io.BytesIO(head))
    assert Vcard().claims(stream) is None
    assert Icalendar().claims(stream) is None


@settings(max_examples=80)
@given(st.sampled_from(sorted(SAMPLES)), st.integers(0, 1 << 16), st.integers(1, 255))
def test_flipped_bits_never_crash(case: str, at: int, bits: int) -> None:
    broken = bytearray(SAMPLES[case])
    broken[at % len(broken)] ^= bits
    for item in crawl_bytes(bytes(broken)):
        assert all(problem.cause != "crash" for problem in item.problems)


@settings(max_examples=30)
@given(st.sampled_from(sorted(SAMPLES)), st.floats(0, 1))
def test_cuts_never_crash(case: str, share: float) -> None:
    for item in crawl_bytes(SAMPLES[case][: int(len(SAMPLES[case]) * share)]):
        assert all(problem.cause != "crash" for problem in item.problems)
