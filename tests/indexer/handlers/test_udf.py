"""Where partitions of UDF lie, piece by piece, and what damage of an image costs."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawling import crawl_bytes
from indexer.errors import EvidenceError
from indexer.handlers import iso_image
from indexer.handlers._archive import FILE, SYMLINK
from indexer.handlers._udf import Node
from indexer.handlers._udf_places import Extent, Missing, Pieces, Plain, Sparable, Virtual

TOP = Path(__file__).parents[3]
udf = importlib.import_module("udf_parts")
IMAGES = sorted(TOP.glob("fixtures/iso/udf*/input.udf"))
BLOCK = 4


def spread(extents: Iterable[Extent]) -> list[int]:
    """The place of every byte."""
    return [start + number for start, size in extents for number in range(size)]


@given(
    moved=st.dictionaries(st.integers(0, 40), st.integers(1000, 1040), max_size=6),
    packet=st.integers(1, 5),
    at=st.integers(0, 60),
    size=st.integers(1, 60),
)
def test_every_byte_of_a_sparable_partition_lies_in_its_packet(
    moved: dict[int, int], packet: int, at: int, size: int
) -> None:
    moved = {first // packet * packet: spare for first, spare in moved.items()}
    expected = []
    for byte in range(at, at + size):
        first = max((each for each in moved if each <= byte), default=-1)
        inside = first >= 0 and byte < first + packet
        expected.append(moved[first] + byte - first if inside else 100 + byte)
    assert spread(Sparable(100, packet, moved).places(at, size)) == expected


@given(
    table=st.lists(st.integers(0, 9), min_size=1, max_size=8),
    first=st.integers(0, 7),
    size=st.integers(1, 32),
)
def test_every_block_of_a_virtual_partition_stands_where_the_table_says(
    table: list[int], first: int, size: int
) -> None:
    partition = Virtual(Plain(100), BLOCK, table)
    if first * BLOCK + size > len(table) * BLOCK:
        with pytest.raises(EvidenceError, match="not in the table"):
            spread(partition.places(first * BLOCK, size))
        return
    found = list(partition.places(first * BLOCK, size))
    bytes_ = range(first * BLOCK, first * BLOCK + size)
    assert spread(found) == [100 + table[byte // BLOCK] * BLOCK + byte % BLOCK for byte in bytes_]
    assert all(one[0] + one[1] != two[0] for one, two in pairwise(found))


def test_a_virtual_block_without_a_place_is_told() -> None:
    with pytest.raises(EvidenceError, match="not in the table"):
        spread(Virtual(Plain(0), BLOCK, [3, 0xFFFFFFFF]).places(0, 8))


@given(sizes=st.lists(st.integers(1, 9), max_size=5), at=st.integers(0, 40), size=st.integers(1, 40))
def test_a_partition_in_a_file_ends_where_the_file_does(sizes: list[int], at: int, size: int) -> None:
    extents = [(100 * number, each) for number, each in enumerate(sizes)]
    whole = spread(extents)
    if at + size > len(whole):
        with pytest.raises(EvidenceError, match="outside of the metadata"):
            spread(Pieces(extents).places(at, size))
    else:
        assert spread(Pieces(extents).places(at, size)) == whole[at : at + size]


def test_a_partition_that_is_not_described_holds_nothing() -> None:
    with pytest.raises(EvidenceError, match="not described"):
        Missing().places(0, 1)


@given(image=st.sampled_from(IMAGES), data=st.data())
def test_damage_is_told_and_never_a_crash(image: Path, data: st.DataObject) -> None:
    held = bytearray(image.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(32768, len(held) - 1))
        held[at] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.sampled_from([0, 0, 512, 700, 9000]))
    items = crawl_bytes(bytes(held[: len(held) - cut]), "reel.udf")
    assert not any(problem.cause == "crash" for item in items for problem in item.problems)


def test_the_second_copy_of_the_metadata_serves_where_the_first_is_gone() -> None:
    name = udf.name(udf.narrow("cut.txt"), 0, 2, 1)
    blocks = {
        9: udf.long_entry(9, 251, 4 * 512, udf.short((4 * 512, 12)), 0),
        12: udf.tagged(256, 0, bytes(384) + udf.far(512, 1, 1) + bytes(80)),
        13: udf.entry(1, udf.FOLDER, len(name), name, 3),
        14: udf.entry(2, udf.PLAIN, 6, b"retake", 3),
    }
    image = udf.image(blocks, (0, 1), (udf.PLAIN_MAP, udf.metadata_map(0, 9)))
    assert [(item.name, item.size) for item in crawl_bytes(image, "reel.udf")[1:]] == [("cut.txt", 6)]


def test_a_disc_without_a_table_of_its_virtual_blocks_says_so() -> None:
    maps = (udf.PLAIN_MAP, udf.virtual_map())
    (item,) = crawl_bytes(udf.image({0: b"", 4: b"nothing"}, (0, 1), maps), "reel.udf")
    assert [problem.message for problem in item.problems] == ["UDF: the disc has no table of its virtual blocks"]


def test_folders_end_at_a_depth_that_is_told() -> None:
    blocks = {0: udf.tagged(256, 0, bytes(384) + udf.far(512, 1) + bytes(80))}
    for block in range(1, 600):
        below = udf.name(udf.narrow("d"), udf.IS_FOLDER, block + 1)
        blocks[block] = udf.entry(block, udf.FOLDER, len(below), below, 3)
    items = crawl_bytes(udf.image(blocks, (0, 0)), "reel.udf")
    assert "limit" in {problem.cause for problem in items[0].problems}
    assert len(items) < 600


@pytest.mark.parametrize(("link", "count"), [("", 1), ("../elsewhere", 0)])
def test_a_link_of_another_tree_is_given_unless_udf_has_one_of_its_name(
    monkeypatch: pytest.MonkeyPatch, link: str, count: int
) -> None:
    node = Node((udf.narrow("latest"),), SYMLINK if link else FILE, 0, [], b"", [], 0, (), link=link)
    monkeypatch.setattr(iso_image, "_has_udf", lambda stream: True)
    monkeypatch.setattr(iso_image, "Udf", lambda stream: SimpleNamespace(label=""))
    monkeypatch.setattr(iso_image, "Tree", lambda volume: SimpleNamespace(walk=lambda: iter([node])))
    items = crawl_bytes((TOP / "fixtures/iso/rock-ridge/input.iso").read_bytes(), "reel.iso")
    targets = [field.value for item in items for field in item.fields if field.name == "file.link_target"]
    assert len(targets) - bool(link) == count
