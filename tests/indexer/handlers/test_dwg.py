"""Pages of drawings: what golden files cannot show."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.handlers._dwg_pages import unpack


@settings(max_examples=100)
@given(st.binary(max_size=200), st.integers(0, 4000))
def test_a_page_of_a_drawing_never_grows_beyond_its_bound(data: bytes, most: int) -> None:
    assert len(unpack(data, most)) <= most


def test_a_page_of_a_drawing_copies_what_overlaps_itself() -> None:
    # Four literals, then eight bytes from one byte back, then the end.
    assert unpack(bytes([1]) + b"abcd" + bytes([0x20 + 6, 0, 0, 0x11, 0]), 100) == b"abcd" + b"d" * 8
