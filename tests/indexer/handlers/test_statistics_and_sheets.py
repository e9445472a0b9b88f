"""Sealed files and tables of other programs: damage is never a crash, and what goldens cannot show."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawling import crawl_bytes

FIXTURES = Path(__file__).parents[3] / "fixtures"
KINDS = {
    "timestamped": "file/input.tsd",
    "sas-transport": "two-sets/input.xpt",
    "stata": "release-118/input.dta",
    "spss": "zlib/input.zsav",
    "lotus": "korean/input.wk1",
    "quattro": "japanese/input.wq2",
}


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=40)
def test_damage_is_never_a_crash(kind: str, data: st.DataObject) -> None:
    path = FIXTURES / kind / KINDS[kind]
    sample = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 6))):
        sample[data.draw(st.integers(4, len(sample) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    cut = data.draw(st.integers(len(sample) // 4, len(sample)))
    for item in crawl_bytes(bytes(sample[:cut]), path.name):
        assert not [problem for problem in item.problems if problem.cause in ("crash", "memory")], item.problems
