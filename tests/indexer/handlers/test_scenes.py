"""Drawings, scenes and models: damage of every kind, and what golden files cannot show."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crawling import crawl_bytes
from indexer.handlers._dwg_pages import unpack
from indexer.model import Item

FIXTURES = Path(__file__).parents[3] / "fixtures"
KINDS = (
    *("dwg", "fbx", "usd", "alembic", "nuke", "3ds-max", "cinema4d", "houdini", "hdf5", "matlab", "netcdf", "grib"),
    *("las", "e57", "bpg", "jpeg-xr", "marc", "stl", "cadkey"),
)
SAMPLES = sorted(path for kind in KINDS for path in FIXTURES.glob(f"{kind}/*/input.*") if path.stat().st_size < 20_000)


def no_crash(items: list[Item]) -> None:
    for item in items:
        assert not [problem for problem in item.problems if problem.cause == "crash"], item.problems


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(SAMPLES), st.data())
def test_no_damage_crashes_a_reader(path: Path, data: st.DataObject) -> None:
    held = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 6))):
        place = data.draw(st.integers(0, len(held) - 1))
        held[place] = data.draw(st.sampled_from((0, 1, 0x7F, 0x80, 0xFF, held[place] ^ 0x20)))
    cut = data.draw(st.integers(len(held) // 2, len(held)))
    no_crash(crawl_bytes(bytes(held[:cut]), path.name))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: f"{path.parent.parent.name}-{path.parent.name}")
def test_a_file_cut_anywhere_is_told_or_whole(path: Path) -> None:
    held = path.read_bytes()
    for cut in range(1, len(held), max(1, len(held) // 8)):
        no_crash(crawl_bytes(held[:cut], path.name))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 4000))
def test_a_page_of_a_drawing_never_grows_beyond_its_bound(data: bytes, most: int) -> None:
    assert len(unpack(data, most)) <= most


def test_a_page_of_a_drawing_copies_what_overlaps_itself() -> None:
    # Four literals, then eight bytes from one byte back, then the end.
    assert unpack(bytes([1]) + b"abcd" + bytes([0x20 + 6, 0, 0, 0x11, 0]), 100) == b"abcd" + b"d" * 8
