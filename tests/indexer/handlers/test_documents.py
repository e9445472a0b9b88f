"""Notes, databases, drawings, books and sources: what goldens cannot show."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawling import crawl_bytes
from indexer.errors import EvidenceError
from indexer.handlers import _bzz
from indexer.handlers._hwp3 import character
from indexer.handlers._jet import day
from indexer.model import Item

FIXTURES = Path(__file__).parents[3] / "fixtures"
KINDS = (
    *(
        "access",
        "djvu",
        "fictionbook",
        "hwp3",
        "iwork",
        "latex",
        "onenote",
        "publisher",
        "sas",
        "vsd",
        "vsdx",
        "xmp",
        "zlib",
    ),
)
SAMPLES = {
    f"{path.parent.parent.name}-{path.parent.name}": path
    for kind in KINDS
    for path in sorted(FIXTURES.glob(f"{kind}/*/input.*"))
    if path.stat().st_size < 60_000
}


def check(data: bytes, name: str) -> list[Item]:
    items = crawl_bytes(data, name)
    assert not [problem for item in items for problem in item.problems if problem.cause == "crash"]
    return items


@pytest.mark.parametrize("name", SAMPLES)
@settings(max_examples=2, derandomize=True)
@given(st.data())
def test_damage_is_told_and_never_a_crash(name: str, data: st.DataObject) -> None:
    path = SAMPLES[name]
    held = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 12))):
        held[data.draw(st.integers(0, len(held) - 1))] = data.draw(st.integers(0, 255))
    check(bytes(held), path.name)


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("share", [0.31, 0.83])
def test_a_cut_file_is_read_as_far_as_it_goes(name: str, share: float) -> None:
    path = SAMPLES[name]
    held = path.read_bytes()
    check(held[: int(len(held) * share)], path.name)


def test_hangul_kana_symbols_and_hanja_come_out_of_one_code() -> None:
    codes = (0x41, 0xD065, 0x8861, 0x3438, 0x3521, 0x1FA8, 0x4000, 0x5317, 0x6000)
    assert [character(code) for code in codes] == ["A", "한", "가", "※", "ㄱ", "ヨ", "伽", "詰", "\ufffd"]


@pytest.mark.parametrize(
    ("serial", "expected"),
    [(0.0, "1899-12-30T00:00:00"), (44000.5, "2020-06-18T12:00:00"), (-1.25, "1899-12-29T06:00:00")],
)
def test_days_before_the_first_run_forward_too(serial: float, expected: str) -> None:
    moment = day(serial)
    assert moment is not None
    assert moment.isoformat() == expected


@pytest.mark.parametrize("serial", [float("nan"), float("inf"), 1e300, -1e9])
def test_what_is_no_day_is_none(serial: float) -> None:
    assert day(serial) is None


@settings(max_examples=60, derandomize=True)
@given(st.binary(max_size=200))
def test_any_bytes_unpack_or_say_why_not(data: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_bzz, "MOST_BLOCK", 1 << 12)
        try:
            assert all(len(block) <= 1 << 12 for block, _ in zip(_bzz.unpack(data), range(9), strict=False))
        except EvidenceError as error:
            assert error.cause in ("corrupt", "truncated")


def test_commands_of_latex_leave_no_backslash() -> None:
    source = r"\documentclass{a}\begin{document}\emph{one} \'{e}\"o \unknown[x]{two} {\bf three}\\ \$5 \end{document}"
    (item,) = check(source.encode(), "a.tex")
    assert item.texts[0].body.split() == ["one", "éö", "two", "three", "$5"]


@pytest.mark.parametrize("source", ["{" * 20_000, "\\a{" * 5_000, "\\'" * 9_000, "\\begin{verbatim}" * 900])
def test_latex_of_any_depth_is_read_in_time(source: str) -> None:
    (item,) = check(f"\\begin{{document}}\n{source}".encode(), "deep.tex")
    assert item.handler == "latex"
