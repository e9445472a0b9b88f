"""Archives of many formats: whatever is damaged or cut off, nothing leaves the crawl and nothing runs on."""

from __future__ import annotations

import importlib
from pathlib import Path

from crawling import crawl_bytes
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.model import Item
from indexer.registry import all_handlers

FIXTURES = Path(__file__).parents[3] / "fixtures"
WALKED, UNPACKED = (
    ("ar", "arj", "brotli", "cpio", "iso", "lha", "lzip", "mtree", "rpm", "snappy", "warc", "xar"),
    ("cab", "chm", "dmg", "rar", "squashfs", "wim"),
)
"""Read by our own code alone; with the help of a program, which takes longer to start."""
HANDLERS = [handler for handler in all_handlers() if handler.name in (*WALKED, *UNPACKED, "strings")]
EDITS = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4)
CUT = st.none() | st.integers(0, 10**6)

rar = importlib.import_module("rar.make")
xar = importlib.import_module("xar.make")


def samples(names: tuple[str, ...]) -> st.SearchStrategy[Path]:
    return st.sampled_from([path for name in names for path in sorted((FIXTURES / name).glob("*/input*"))])


def read(data: bytes, name: str = "input", **more: object) -> list[Item]:
    return crawl_bytes(data, name, handlers=HANDLERS, **more)  # type: ignore[arg-type]


@settings(max_examples=150, deadline=None)
@given(path=samples(WALKED), edits=EDITS, cut=CUT)
def test_damage_never_leaves_the_crawl(path: Path, edits: list[tuple[int, int]], cut: int | None) -> None:
    damage(path, edits, cut)


@settings(max_examples=25, deadline=None)
@given(path=samples(UNPACKED), edits=EDITS, cut=CUT)
def test_damage_never_leaves_the_crawl_with_a_program(
    path: Path, edits: list[tuple[int, int]], cut: int | None
) -> None:
    damage(path, edits, cut)


def damage(path: Path, edits: list[tuple[int, int]], cut: int | None) -> None:
    data = bytearray(path.read_bytes())
    for at, value in edits:
        data[at % len(data)] = value
    if cut is not None:
        del data[cut % len(data) :]
    items = read(bytes(data), path.name)
    assert "crash" not in [problem.cause for item in items for problem in item.problems]
    assert len(items) < 1000


def packed(name: str, data: bytes, **more: object) -> bytes:
    return rar.member(name, data, packed=rar.literals(data), method=3, **more)


def test_members_are_asked_for_by_name_where_one_is_closed() -> None:
    names = ["-y.txt", "@list.txt", "@a/*b?.txt", "../up.txt", "/abs.txt", "C:\\drive.txt", "twice.txt", "twice.txt"]
    blocks = [packed(name, b"%d: " % number + rar.CEL) for number, name in enumerate(names)]
    stream = rar.member(b"STM", b"[Zone]", kind=3, extra=rar.record(7, b":Zone"))
    blocks[2:2] = [stream, rar.locked_member("secret.txt", rar.NOTE, b"yuki")]
    items = read(rar.start() + b"".join(blocks) + rar.END)
    texts = sorted(text.body for item in items for text in item.texts)
    assert texts[:-1] == [f"{number}: {rar.CEL.decode().strip()}" for number in range(len(names))]
    assert [problem.cause for item in items for problem in item.problems].count("encrypted") == 1


def test_a_member_that_does_not_unpack_spares_those_behind_it() -> None:
    spoilt = rar.member("b.txt", rar.CEL, packed=rar.literals(rar.CEL)[:30], method=3)
    items = read(rar.start() + packed("a.txt", rar.NOTE) + spoilt + packed("c.txt", rar.NOTE) + rar.END)
    spoilt_names = [item.name for item in items if any(problem.cause == "corrupt" for problem in item.problems)]
    assert spoilt_names == ["b.txt"]
    assert [item.size for item in items[1:]] == [len(rar.NOTE), len(rar.CEL), len(rar.NOTE)]


def test_folders_of_a_table_end_at_a_depth_that_is_told() -> None:
    table = xar.archive("<file>" * 200 + "</file>" * 200, b"")
    items = read(table)
    assert [problem.cause for problem in items[0].problems] == ["limit"]
    assert len(items) == 103
