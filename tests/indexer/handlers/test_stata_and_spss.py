"""Data sets of Stata and SPSS: how values are shown, and damage that goldens cannot show."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawling import crawl_bytes
from indexer.handlers import _spss, _stata
from indexer.handlers._spss_portable import _value

FIXTURES = Path(__file__).parents[3] / "fixtures"


@pytest.mark.parametrize(
    ("value", "kind", "form", "shown"),
    [
        (0, "l", "%td", "1960-01-01"),
        (-1, "l", "%-d", "1959-12-31"),
        (1_867_410_432_250, "d", "%tc", "2019-03-05 13:07:12.250"),
        (1_867_410_459_000, "d", "%tC", "2019-03-05 13:07:12"),
        (-1, "f", "%tm", "1959-12"),
        (3e9, "l", "%td", "3000000000"),
        (1e300, "d", "%tc", "1e+300"),
        (9_007_199_254_740_991, "d", "%9.0g", "9007199254740991"),
        (struct.unpack("f", struct.pack("f", 0.1))[0], "f", "%9.0g", "0.1"),
    ],
)
def test_stata_shows_what_a_format_makes_of_a_number(value: float, kind: str, form: str, shown: str) -> None:
    assert _stata.show(value, kind, form) == shown


@pytest.mark.parametrize("release", [105, 114])
def test_stata_tells_missing_numbers_of_every_kind(release: int) -> None:
    highest = {"b": 127, "i": 32767, "l": 2147483647} if release < 113 else {"b": 101, "i": 32741, "l": 2147483621}
    for kind, size in (("b", 1), ("i", 2), ("l", 4)):
        assert _stata.unpack(kind, highest[kind].to_bytes(size, "big", signed=True), "big", release) == ""
        assert _stata.unpack(kind, (highest[kind] - 1).to_bytes(size, "big", signed=True), "big", release) != ""
    assert _stata.unpack("d", struct.pack(">d", 2.0**1023), "big", release) == ""
    assert _stata.unpack("d", struct.pack("<d", float("nan")), "little", release) == ""


@pytest.mark.parametrize(
    ("value", "form", "shown"),
    [
        (0, 20, "1582-10-14"),
        (13_000_000_000, 22, "1994-09-26 23:06:40"),
        (-90, 25, "-00:01:30"),
        (1, 26, "Sunday"),
        (13, 27, "13"),
        (13_000_000_000, 29, "1994q3"),
        (1e300, 20, "1e+300"),
        (1.7e308, 22, "1.7e+308"),
    ],
)
def test_spss_shows_what_a_format_makes_of_a_number(value: float, form: int, shown: str) -> None:
    assert _spss.show(value, form) == shown


@pytest.mark.parametrize(("digits", "value"), [(b"-2.F", -2.5), (b"T0", 870.0), (b"1+2", 900.0), (b"1-1", 1 / 30)])
def test_portable_numbers(digits: bytes, value: float) -> None:
    assert _value(digits) == pytest.approx(value)


@pytest.mark.parametrize(
    "name",
    ["stata/release-114/input.dta", "stata/long-117/input.dta", "spss/coded/input.sav", "spss/portable/input.por"],
)
@given(data=st.data())
@settings(max_examples=25)
def test_damage_is_never_a_crash(name: str, data: st.DataObject) -> None:
    path = FIXTURES / name
    sample = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 6))):
        sample[data.draw(st.integers(4, len(sample) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(len(sample) // 4, len(sample)))
    for item in crawl_bytes(bytes(sample[:cut]), path.name):
        assert not [problem for problem in item.problems if problem.cause in ("crash", "memory")], item.problems
