"""What is taken out of an NTFS volume tells what the volume tells: the file table alone, the change journal alone."""

from __future__ import annotations

import lzma
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from crawling import crawl_bytes
from indexer.model import Item
from ntfs_parts import ROOT, away, held, information, named, record, reference, table

FIXTURES = Path(__file__).parents[3] / "fixtures"
VOLUME = lzma.decompress((FIXTURES / "file_systems/ntfs/input.img.xz").read_bytes())
TABLE = lzma.decompress((FIXTURES / "mft/plain/input.mft.xz").read_bytes())
JOURNAL = (FIXTURES / "usn-journal/zeros/input.bin").read_bytes()


def by_path(items: list[Item]) -> dict[str, Item]:
    return {"!/".join(map(str, item.provenance.hops[1:])): item for item in items if len(item.provenance.hops) == 2}


def size_of(item: Item) -> object:
    return next((field.value for field in item.fields if field.name == "file.recorded_size"), item.size)


def test_the_table_alone_gives_the_files_of_its_volume_with_their_times_and_sizes() -> None:
    whole, alone = by_path(crawl_bytes(VOLUME, "disk.img")), by_path(crawl_bytes(TABLE, "$MFT"))
    whole.pop("$Unallocated")
    assert set(alone) == set(whole)
    for path, item in alone.items():
        assert item.timestamps == whole[path].timestamps, path
        deleted = [field for field in item.fields if field.name == "file.deleted"]
        assert deleted == [field for field in whole[path].fields if field.name == "file.deleted"]
        if whole[path].size is not None:
            assert size_of(item) == whole[path].size, path
        if item.digests:
            assert item.digests == whole[path].digests


def test_the_table_inside_a_volume_is_not_told_twice() -> None:
    items = crawl_bytes(VOLUME, "disk.img")
    table = by_path(items)["$MFT"]
    assert (table.media_type, table.size) == ("inode/file-table", len(TABLE))
    assert max(len(item.provenance.hops) for item in items) == 2


def test_a_journal_is_known_behind_zeros_and_by_any_name() -> None:
    (item,) = crawl_bytes(JOURNAL, "C_J.copy")
    assert item.handler == "usn-journal"
    (text,) = item.texts
    assert "2024-04-02T13:43:00Z | renamed to | C034_원화_수정.psd | file 103-3 in 101-1" in text.body.splitlines()


def test_a_name_makes_no_lines() -> None:
    forged = JOURNAL.replace("메모.txt".encode("utf-16-le"), "메\n.|xt".encode("utf-16-le"))
    (item,) = crawl_bytes(forged, "$J")
    assert "| 메\ufffd.\ufffdxt |" in item.texts[0].body


@settings(max_examples=25)
@given(sample=st.sampled_from([TABLE[60 * 1024 :], JOURNAL]), data=st.data())
def test_damage_is_never_a_crash(sample: bytes, data: st.DataObject) -> None:
    held = bytearray(sample)
    for _ in range(data.draw(st.integers(1, 8))):
        held[data.draw(st.integers(0, len(held) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(len(held) // 2, len(held)))
    for item in crawl_bytes(bytes(held[:cut]), "$MFT"):
        assert not [problem for problem in item.problems if problem.cause in ("crash", "memory")], item.problems


TIMES = (133_540_000_000_000_000,) * 4
TOP = reference(ROOT, 5)


def file(number: int, name: str, parent: int = TOP, flags: int = 1) -> bytes:
    return record(number, information(TIMES), named(parent, name, TIMES), flags=flags)


def test_what_found_no_room_in_a_record_is_found_without_its_list() -> None:
    """A list of many parts lies in clusters, which are not there."""
    parts = {
        number: record(number, named(TOP, f"link {number}.txt", TIMES), base=reference(24)) for number in range(30, 60)
    }
    gone = record(25, information(TIMES), away(500, kind=0x20), sequence=3, flags=0)
    rows = {
        0: file(0, "$MFT"),
        24: record(24, information(TIMES), away(5000, kind=0x20), held(0x80, b"one file of many names\n")),
        25: gone,
        26: record(26, named(TOP, "deleted.psd", TIMES), base=reference(25, 2)),
        27: record(27, named(TOP, "of another.psd", TIMES), base=reference(24, 9)),
        **parts,
    }
    found = by_path(crawl_bytes(table(rows), "$MFT"))
    assert set(found) == {"$MFT", "deleted.psd", *(f"link {number}.txt" for number in parts)}


def test_a_path_that_no_system_opens_begins_anew() -> None:
    rows = {number: file(number, "x" * 200, reference(number - 1), flags=3) for number in range(25, 900)}
    found = by_path(crawl_bytes(table({0: file(0, "$MFT"), 24: file(24, "top", flags=3), **rows}), "$MFT"))
    assert 30_000 < max(map(len, found)) < 33_000
    assert sum(path.startswith("top/") for path in found) > 100
    assert sum(path.startswith("$Orphans/") for path in found) > 700
