"""Spreadsheets of 1-2-3 and Quattro Pro: what goldens cannot show, and that damage is never a crash."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawling import crawl_bytes
from indexer.handlers import _lotus_records, _quattro9
from indexer.handlers._lotus_records import (
    Grid,
    Letters,
    Records,
    extended_number,
    packed_number,
    show_value,
    small_number,
)

FIXTURES = Path(__file__).parents[3] / "fixtures"
KINDS = {
    "korean": "lotus/korean/input.wk1",
    "sheets": "lotus/sheets/input.wk3",
    "properties": "lotus/properties/input.123",
    "areas": "lotus/areas/input.123",
    "dos": "quattro/japanese/input.wq2",
    "windows": "quattro/objects/input.wb2",
    "compound": "quattro/compound/input.wb3",
    "newest": "quattro/bare/input.qpw",
}


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=25)
def test_damage_is_never_a_crash(kind: str, data: st.DataObject) -> None:
    path = FIXTURES / KINDS[kind]
    sample = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 6))):
        sample[data.draw(st.integers(6, len(sample) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    cut = data.draw(st.integers(len(sample) // 4, len(sample)))
    for item in crawl_bytes(bytes(sample[:cut]), path.name):
        assert not [problem for problem in item.problems if problem.cause in ("crash", "memory")], item.problems


@given(value=st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False))
def test_numbers_of_80_bits(value: float) -> None:
    part, power = math.frexp(abs(value))
    bits = int(part * (1 << 53)) << 11
    top = (power - 1 + 16383 if bits else 0) | (math.copysign(1, value) < 0) << 15
    assert extended_number(struct.pack("<QH", bits, top)) == value


@given(data=st.binary(min_size=10, max_size=10))
def test_any_80_bits_are_a_number_or_a_word(data: bytes) -> None:
    found = extended_number(data)
    assert found in ("", "ERR", "NA") if isinstance(found, str) else math.isfinite(found)


@given(value=st.integers(-(1 << 14), (1 << 14) - 1))
def test_small_integers(value: int) -> None:
    assert small_number(value << 1 & 0xFFFF) == value


@pytest.mark.parametrize(
    ("packed", "value"),
    [(0x15875FC0, 5643647), (0x22F420, -35792), (123 << 6 | 0x10 | 2, 1.23), (5 << 6 | 3, 5000), (0x20, 0)],
)
def test_packed_numbers(packed: int, value: float) -> None:
    assert packed_number(packed) == value


@pytest.mark.parametrize(
    ("value", "code", "shown"),
    [
        (1234.5, 0x42, ("1234.5", "1,234.50")),
        (0.375, 0x31, ("0.375", "37.5%")),
        (1.5e300, 0x7F, ("1.5e+300", "")),
        (1e16, 0x00, ("10000000000000000", "")),
        (-0.0, 0x7F, ("0", "")),
        (39_128.5, 0x74, ("2007-02-15 12:00:00", "Feb-07")),
        (0.5, 0x78, ("12:00:00", "12:00 PM")),
        (-5, 0x72, ("-5", "")),
        (math.inf, 0x00, ("", "")),
        (math.nan, 0x72, ("", "")),
    ],
)
def test_values_by_their_format(value: float, code: int, shown: tuple[str, str]) -> None:
    assert show_value(value, code) == shown


@given(raw=st.binary(max_size=200), kind=st.sampled_from(["lmbcs", "lics", "plain"]))
def test_any_bytes_are_a_text(raw: bytes, kind: str) -> None:
    letters = Letters(kind)
    letters.sample(raw)
    list(letters.choose())
    letters.text(raw).encode("utf-8")


@given(raw=st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)))
def test_ascii_is_the_same_in_every_set(raw: str) -> None:
    assert {Letters(kind).text(raw.encode()) for kind in ("lmbcs", "lics", "plain")} == {raw}


@pytest.mark.parametrize(
    ("kind", "codec", "text", "told"),
    [
        ("lmbcs", "cp850", "Año fiscal", "cp850"),
        ("lmbcs", "cp1251", "Сцена седьмая", "cp1251"),
        ("lmbcs", "cp932", "原画の修正", "cp932"),
        ("lics", "latin-1", "Año fiscal", "lics"),
        ("lics", "cp437", "garçon d'été à Noël", "cp437"),
        ("dos", "cp437", "Año fiscal", "cp437"),
        ("dos", "cp949", "작업 보고서", "cp949"),
        ("plain", "cp1252", "Überprüfung der Straße", "cp1252"),
        ("plain", "gbk", "动画修改", "gb18030"),
    ],
)
def test_texts_speak_for_their_set(kind: str, codec: str, text: str, told: str) -> None:
    letters = Letters(kind)
    letters.sample(text.encode(codec))
    assert [field.value for field in letters.choose()] == [told]
    assert letters.text(text.encode(codec) + b"\0rest") == text


def test_rows_are_given_out_before_too_much_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_lotus_records, "_HELD", 5000)
    grid = Grid()
    told = [len(list(grid.add(0, row, 0, ("x", "")))) for row in range(120)]
    assert sum(told) + len(list(grid.end())) == 120
    assert max(told) == 50


def test_a_series_names_no_end_of_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_quattro9, "_MOST_SERIES", 100)
    data = (FIXTURES / "quattro/bare/input.qpw").read_bytes()
    run, more = b"\x62" + struct.pack("<HHH", 4, 17, 2), b"\x62" + struct.pack("<HHH", 60_000, 17, 2)
    item = crawl_bytes(data.replace(run, more), "input.qpw")[0]
    assert [problem.cause for problem in item.problems] == ["limit"]
    assert [text.body for text in item.texts if text.locator == "절단표!B100"] == ["215"]
    assert not [text for text in item.texts if text.locator == "절단표!B101"]


def test_records_of_no_size_come_to_an_end() -> None:
    records = Records(bytes(4000))
    assert len(list(records)) == 1000
    assert records.fault is None
    assert [number for number, _ in Records(b"\x07\x84\1\0\0\0x", is_long=True)] == [0x407]


@pytest.mark.parametrize("head", [b"\0\0\2\0\6\4", b"\0\0\x1a\0\0\x10", b"\0\0\2\0\1\x10", b"\1\0\x0e\0QPW9"])
def test_a_beginning_alone(head: bytes) -> None:
    item = crawl_bytes(head, "input")[0]
    assert item.handler in ("lotus", "quattro")
    assert [problem.cause for problem in item.problems] == ["truncated"]


@pytest.mark.parametrize(
    "head", [b"\0\0\2\0", b"\0\0\2\0\1\0\x20\x20", b"\0\0\x1a\0\7\x80", b"\0\0\2\0\0\0\0\0\0\0\0\0"]
)
def test_other_files_that_begin_alike(head: bytes) -> None:
    assert crawl_bytes(head.ljust(64, b"\x20"), "input")[0].handler not in ("lotus", "quattro")
