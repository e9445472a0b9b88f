"""Archives of many formats: whatever is damaged or cut off, nothing leaves the crawl and nothing runs on."""

from __future__ import annotations

from pathlib import Path

from crawling import crawl_bytes
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.registry import all_handlers

FIXTURES = Path(__file__).parents[3] / "fixtures"
WALKED = ("ar", "cpio")
SAMPLES = [path for name in WALKED for path in sorted((FIXTURES / name).glob("*/input*"))]
HANDLERS = [handler for handler in all_handlers() if handler.name in (*WALKED, "strings")]


@settings(max_examples=150, deadline=None)
@given(
    path=st.sampled_from(SAMPLES),
    edits=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4),
    cut=st.none() | st.integers(0, 10**6),
)
def test_damage_never_leaves_the_crawl(path: Path, edits: list[tuple[int, int]], cut: int | None) -> None:
    data = bytearray(path.read_bytes())
    for at, value in edits:
        data[at % len(data)] = value
    if cut is not None:
        del data[cut % len(data) :]
    items = crawl_bytes(bytes(data), path.name, handlers=HANDLERS)
    assert "crash" not in [problem.cause for item in items for problem in item.problems]
    assert len(items) < 1000
