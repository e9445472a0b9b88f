"""Frames in a row: ranges, gaps, counters of every form, folders inside folders, archives."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.runs import ingest_sources, limits_of
from indexer.model import Source
from search.case import Case
from search.sequences import _Folder, _Frame, sequences

GIF = b"GIF89a\x01\0\x01\0\0\0\0;"
NAMES = [
    *(f"cuts/S01_C012.{number:04}.gif" for number in (1, 2, 3, 5, 9)),
    *(f"cuts/S01_C013.{number:04}.gif" for number in range(1, 4)),
    *(f"cuts/deep/원화_{number}.gif" for number in range(8, 13)),
    "cuts/a01.gif", "cuts/z02.gif", "0001.gif", "zz 9999.gif", "zz 10000.gif",
    *(f"cuts/final_{number:02}_v2.gif" for number in (7, 8)),
    "cuts/S01_C012.0004.txt",
]  # fmt: skip


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    folder = tmp_path_factory.mktemp("sequences")
    for name in NAMES:
        path = folder / "day1" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(GIF)
    with zipfile.ZipFile(folder / "day1" / "cels.zip", "w") as archive:
        for number in range(1, 4):
            archive.writestr(zipfile.ZipInfo(f"A{number:04}.gif", (2024, 4, number, 10, 0, 0)), GIF)
    with Case.create(folder / "case") as made:
        sources = [Source("day1", str(folder / "day1"), acquired_at=datetime(2024, 4, 1, tzinfo=UTC))]
        ingest_sources(made, sources, limits=limits_of(made), passwords=(), jobs=1, tell=lambda _: None)
        yield made


def told(case: Case, query: str = "", least: int = 2) -> dict[str, tuple[object, ...]]:
    rows = [row.exact for row in sequences(case, query, least=least).sheets[0].rows()]
    keys = ("first", "last", "count", "missing", "gaps", "size")
    return {f"{row['folder']} {row['pattern']}": tuple(row[key] for key in keys) for row in rows}


def test_every_sequence_is_one_row(case: Case) -> None:
    size = len(GIF)
    assert told(case) == {
        "day1:cels.zip A####.gif": (1, 3, 3, 0, None, 3 * size),
        "day1:cuts S01_C012.####.gif": (1, 9, 5, 4, "4, 6-8", 5 * size),
        "day1:cuts S01_C013.####.gif": (1, 3, 3, 0, None, 3 * size),
        "day1:cuts final_##_v2.gif": (7, 8, 2, 0, None, 2 * size),
        "day1:cuts/deep 원화_#.gif": (8, 12, 5, 0, None, 5 * size),
        "day1: zz ####.gif": (9999, 10000, 2, 0, None, 2 * size),
    }


def test_a_query_and_a_least_length_narrow_it(case: Case) -> None:
    assert list(told(case, "name:S01_C013*")) == ["day1:cuts S01_C013.####.gif"]
    assert list(told(case, least=4)) == ["day1:cuts/deep 원화_#.gif", "day1:cuts S01_C012.####.gif"]


def test_dates_are_the_first_and_last_modification(case: Case) -> None:
    (row,) = (row for row in sequences(case).sheets[0].rows() if row.exact["folder"] == "day1:cels.zip")
    assert (row.exact["first_date"], row.exact["last_date"]) == ("2024-04-01T10:00:00", "2024-04-03T10:00:00")
    assert case.catalog.item(str(row.exact["id"])).name == "A0001.gif"  # type: ignore[union-attr]


def frame(name: str) -> _Frame:
    return _Frame(tuple(re.split("([0-9]+)", name)), name, 1, None)


def rows_of(names: list[str]) -> list[tuple[object, ...]]:
    folder = _Folder("day1:")
    for name in sorted(names):
        folder.add(frame(name))
    return [row[1:7] for row in folder.rows(2)]


def test_where_two_numbers_count_the_last_one_does() -> None:
    names = [f"c{cut}_f{number}" for cut in (1, 2) for number in (1, 2, 3)]
    assert rows_of(names) == [("c1_f#", 1, 3, 3, 0, None), ("c2_f#", 1, 3, 3, 0, None)]
    assert rows_of(["c1_f1", "c2_f1", "c2_f2", "c2_f3"]) == [("c2_f#", 1, 3, 3, 0, None)]


def test_padded_numbers_are_not_joined_with_bare_ones() -> None:
    assert rows_of(["a1", "a2", "a03", "a04"]) == [("a#", 1, 2, 2, 0, None), ("a##", 3, 4, 2, 0, None)]


def test_names_that_are_all_other_make_no_row() -> None:
    assert rows_of(["a1", "b1", "c1", "d02"]) == []


def test_the_same_name_twice_counts_twice_and_once() -> None:
    assert rows_of(["a1", "a1", "a2"]) == [("a#", 1, 2, 3, 0, None)]


@settings(max_examples=60)
@given(st.sets(st.integers(0, 1200), min_size=2, max_size=60))
def test_numbers_and_gaps_make_up_the_range(numbers: set[int]) -> None:
    for padded in (True, False):
        (row,) = rows_of([f"k{number:04}" if padded else f"k{number}" for number in numbers])
        assert (row[1], row[2], row[3]) == (min(numbers), max(numbers), len(numbers))
        assert row[4] == max(numbers) - min(numbers) + 1 - len(numbers)
