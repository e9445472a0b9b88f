"""What the golden volumes cannot show: larger FATs, APFS, damaged disks, runs and bits in general."""

from __future__ import annotations

import lzma
import random
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from struct import iter_unpack, unpack_from

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.errors import EvidenceError
from indexer.handlers import _fs_parts
from indexer.handlers._filesystems import FIELDS, name_file_system, walk_file_system
from indexer.handlers._fs_fat import Clusters
from indexer.handlers._fs_ntfs_records import parse_record, unpack_lznt1
from indexer.handlers._fs_parts import HOLE, Run, Volume, pour, unallocated, zero_bits
from indexer.model import Child, Fact, Field, Problem
from volume_parts import Fat, fat_entry

FOLDER = Path(__file__).parents[3] / "fixtures" / "file_systems"
SEEDS = FOLDER / "seeds"


class Disk:
    """Bytes as a disk; ranges in `dead` cannot be read."""

    def __init__(self, data: bytes, dead: tuple[int, int] = (0, 0)) -> None:
        self.data = data
        self.size = len(data)
        self.dead = dead

    def read_at(self, offset: int, length: int) -> bytes:
        end = min(offset + length, self.size)
        if offset < self.dead[1] and end > self.dead[0]:
            raise EvidenceError("unreadable", "a bad sector")
        return self.data[offset:end] if offset >= 0 else b""


class Sparse:
    """A large disk of which only some blocks hold anything."""

    def __init__(self, packed: bytes) -> None:
        self.size = unpack_from("<Q", packed)[0]
        self.blocks = {at: bytes(data) for at, data in iter_unpack("<Q4096s", packed[8:])}

    def read_at(self, offset: int, length: int) -> bytes:
        length = max(0, min(length, self.size - offset))
        first = offset - offset % 4096
        data = b"".join(self.blocks.get(at, bytes(4096)) for at in range(first, offset + length, 4096))
        return data[offset - first : offset - first + length]

    def data_from(self, offset: int) -> int:
        page = offset - offset % 4096
        if page in self.blocks:
            return offset
        return min((at for at in self.blocks if at > offset), default=self.size)


def seed(name: str) -> bytes:
    return lzma.decompress((SEEDS / f"{name}.img.xz").read_bytes())


def listing(facts: Iterator[Fact]) -> dict[str, tuple[Child, bytes, str]]:
    """Members by name, with their bytes and the trouble in reading them."""
    found = {}
    for fact in facts:
        if isinstance(fact, Child):
            data, trouble = b"", ""
            if fact.open:
                with fact.open() as stream:
                    try:
                        while piece := stream.read(1 << 20):
                            data += piece
                    except EvidenceError as error:
                        trouble = error.cause
            found[fact.name] = (fact, data, trouble)
    return found


def fields(child: Child) -> dict[str, object]:
    return {entry.name: entry.value for entry in child.fields}


def fat_volume(bits: int, sectors: int) -> tuple[bytes, bytes]:
    fat = Fat(bits, sectors)
    text = "원화 목록\n".encode() * 200
    clusters = [10, 11, 30, 31, 7]
    first = fat.lay(text, [*clusters, *range(40, 40 + -(-len(text) // 512) - 5)])
    gone = b"".join(bytes([number]) * 512 for number in range(1, 5))
    fat.lay(gone[:512], [60], keep=False)
    fat.lay(b"in use " * 60, [61])
    fat.lay(gone[512:], [62, 63, 64], keep=False)
    root = fat_entry(b"LIST    TXT", first, len(text)) + fat_entry(b"GONE    BIN", 60, len(gone), deleted=True)
    return fat.finish(root), text


@pytest.mark.parametrize(("bits", "sectors"), [(12, 400), (16, 5000), (32, 67_000)])
def test_fat_of_every_width_follows_its_table(bits: int, sectors: int) -> None:
    data, text = fat_volume(bits, sectors)
    facts = list(walk_file_system(Disk(data), 0, len(data), "p1/"))
    assert Field("filesystem.kind", f"FAT{bits}") in facts
    found = listing(iter(facts))
    assert found["p1/LIST.TXT"][1] == text
    # The cluster that another file took is stepped over.
    assert found["p1/_ONE.BIN"][1] == b"".join(bytes([number]) * 512 for number in range(1, 5))
    assert fields(found["p1/_ONE.BIN"][0])["file.recovery"]


def test_bytes_before_an_unreadable_place_are_given() -> None:
    data, text = fat_volume(16, 5000)
    fat = Fat(16, 5000)
    dead = (fat.start + 30 - 2) * 512
    _, got, trouble = listing(walk_file_system(Disk(data, (dead, dead + 512)), 0, len(data), ""))["LIST.TXT"]
    assert (got, trouble) == (text[:1024], "unreadable")


def test_apfs_gives_files_attributes_and_links() -> None:
    disk = Sparse(lzma.decompress((SEEDS / "apfs.blocks.xz").read_bytes()))
    assert name_file_system(disk, 0, disk.size) == "apfs"
    found = listing(walk_file_system(disk, 0, disk.size, ""))
    sizes = {name: len(data) for name, (_, data, _) in found.items() if not name.startswith("$")}
    assert sizes == {
        "아니메": 0,
        "아니메/sheet.bin": 12800,
        "아니메/원화": 0,
        "아니메/원화/cut_12.txt": 66,
        "아니메/link": 0,
        "아니메/메모.txt": 720,
        "아니메/메모.txt:com.apple.quarantine": 22,
    }
    assert found["아니메/sheet.bin"][1] == bytes(range(256)) * 50
    assert fields(found["아니메/link"][0])["file.link_target"] == "메모.txt"
    assert fields(found["아니메"][0])["file.kind"] == "volume"
    assert {stamp.origin for stamp in found["아니메/메모.txt"][0].timestamps} >= {"apfs.creation", "apfs.added"}


def test_apfs_without_its_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyfsapfs", None)
    disk = Sparse(lzma.decompress((SEEDS / "apfs.blocks.xz").read_bytes()))
    with pytest.raises(EvidenceError, match=r"archivore\[disk\]") as caught:
        list(walk_file_system(disk, 0, disk.size, ""))
    assert caught.value.cause == "missing-library"


def test_ntfs_streams_and_packed_bytes() -> None:
    data = seed("ntfs")
    found = listing(walk_file_system(Disk(data), 0, len(data), ""))
    assert found["메모.txt:Zone.Identifier"][1].startswith(b"[ZoneTransfer]\r\nZoneId=3\r\n")
    sheet = "".join(f"カット{number:03} 原画 修正指示: 目線を少し上に。\n" for number in range(600))
    assert found["packed/シート.txt"][1].decode() == sheet
    holes = found["sparse.txt"][1]
    assert (len(holes), holes[60_000:60_020].decode()) == (90_001, "中割り 第二稿\n")
    assert found["메모.txt"][1] == found["원화/같은 메모.txt"][1] != b""
    gone, text, _ = found["떠난 폴더/삭제된 목록.txt"]
    assert fields(gone)["file.deleted"] is True
    assert text.decode() == "지운 목록: 컷 31, 32, 40\n" * 60
    assert {stamp.origin for stamp in gone.timestamps} == {
        f"ntfs.{where}.{name}" for where in ("si", "fn") for name in ("crtime", "mtime", "ctime", "atime")
    }


def test_ntfs_deleted_file_whose_clusters_are_in_use_gives_no_bytes() -> None:
    data = bytearray(seed("ntfs"))
    found = listing(walk_file_system(Disk(bytes(data)), 0, len(data), ""))
    bitmap = found["$Bitmap"][1]
    at = data.index(bitmap)
    data[at : at + len(bitmap)] = b"\xff" * len(bitmap)
    child, text, _ = listing(walk_file_system(Disk(bytes(data)), 0, len(data), ""))["떠난 폴더/삭제된 목록.txt"]
    assert not text and child.open is None
    assert [problem.cause for problem in child.problems] == ["unreadable"]


def test_ntfs_file_whose_folder_was_taken_by_another_is_an_orphan() -> None:
    data = bytearray(seed("ntfs"))
    number = next(
        fields(fact)["file.record"]
        for fact in walk_file_system(Disk(bytes(data)), 0, len(data), "")
        if isinstance(fact, Child) and fact.name == "떠난 폴더"
    )
    start = unpack_from("<Q", data, 48)[0] * 1024 + int(str(number)) * 1024
    assert parse_record(bytes(data[start : start + 1024]), 0)
    data[start + 16] += 3
    assert "$Orphans/삭제된 목록.txt" in listing(walk_file_system(Disk(bytes(data)), 0, len(data), ""))


def test_ntfs_encrypted_file_is_told_and_kept() -> None:
    data = bytearray(seed("ntfs"))
    before = listing(walk_file_system(Disk(bytes(data)), 0, len(data), ""))["원화/제3화/컷_012.txt"][0]
    start = unpack_from("<Q", data, 48)[0] * 1024 + int(str(fields(before)["file.record"])) * 1024
    at = start + unpack_from("<H", data, start + 20)[0]
    while unpack_from("<I", data, at)[0] != 0x80:
        at += unpack_from("<I", data, at + 4)[0]
    data[at + 13] |= 0x40
    child, text, _ = listing(walk_file_system(Disk(bytes(data)), 0, len(data), ""))["원화/제3화/컷_012.txt"]
    assert [problem.cause for problem in child.problems] == ["encrypted"]
    assert "encrypted" in str(fields(child)["file.flags"]) and text


def test_lznt1_of_the_specification() -> None:
    packed = bytes.fromhex(
        "38b08846232000204720410010a24701a045204400084501507900c045200524"
        "13880 5b4024a44ef0358028c09160148 4500be009e000401189000".replace(" ", "")
    )
    text = (
        "F# F# G A A G F# E D D E F# F# E E F# F# G A A G F# E D D E F# E D D E E F# D E F# G F# D E F# G F# E D E A "
    )
    text += "F# F# G A A G F# E D D E F# E D D\0"
    assert unpack_lznt1(packed, 4096) == text.encode()


@pytest.mark.parametrize("packed", [b"\x02\xb0\x01\x00\x00", b"\x03\xb0\x02A\xff\xff"])
def test_lznt1_that_copies_from_nowhere_is_corrupt(packed: bytes) -> None:
    with pytest.raises(EvidenceError) as caught:
        unpack_lznt1(packed, 4096)
    assert caught.value.cause == "corrupt"


def test_ext_deleted_inline_file_and_names_in_two_encodings() -> None:
    data = seed("ext4")
    found = listing(walk_file_system(Disk(data), 0, len(data), ""))
    assert found["many/cut_007_修正.txt"][1] == b"cut 7\n"
    assert "deleted" in {stamp.kind for stamp in found["many/cut_007_修正.txt"][0].timestamps}
    assert found["동화_목록.txt"][0].raw_name == "동화_목록.txt".encode("cp949")
    assert fields(found["pipe"][0])["file.kind"] == "fifo"
    assert str(fields(found["longlink"][0])["file.link_target"]).endswith("길다/끝")
    holes = found["sparse.txt"][1]
    assert (len(holes), holes[60_000:60_020].decode()) == (60_416, "中割り 第二稿\n")


def test_xfs_names_that_a_folder_freed_are_told() -> None:
    data = bytearray(seed("xfs"))
    name = "cut_007_修正.txt".encode()
    length = (11 + len(name) + 1 + 7) & ~7
    at = data.find(name)
    while at > 0:
        # The log holds the folder's block too.
        data[at - 9 : at - 5] = b"\xff\xff" + length.to_bytes(2, "big")
        at = data.find(name, at + 1)
    child, _, _ = listing(walk_file_system(Disk(bytes(data)), 0, len(data), ""))["원화/cut_007_修正.txt"]
    assert fields(child)["file.deleted"] is True and child.open is None


def test_no_file_system_is_unsupported() -> None:
    assert name_file_system(Disk(b"words " * 3000), 0, 18_000) == ""
    with pytest.raises(EvidenceError) as caught:
        list(walk_file_system(Disk(b"words " * 3000), 0, 18_000, ""))
    assert caught.value.cause == "unsupported"


def test_every_field_is_declared() -> None:
    volumes = [(FOLDER / name / "input.img").read_bytes() for name in ("fat12", "exfat", "hfs-plus", "btrfs")]
    for data in [*volumes, seed("ntfs"), seed("ext4"), seed("xfs")]:
        for fact in walk_file_system(Disk(data), 0, len(data), ""):
            told = fact.fields if isinstance(fact, Child) else (fact,) if isinstance(fact, Field) else ()
            assert not [each.name for each in told if each.name not in FIELDS and not each.name.startswith("names.")]


@given(st.binary(max_size=40), st.integers(0, 400))
def test_zero_bits_are_the_runs_of_zeros(bitmap: bytes, count: int) -> None:
    count = min(count, len(bitmap) * 8)
    bits = [bitmap[number // 8] >> number % 8 & 1 for number in range(count)]
    runs = list(zero_bits(bitmap, count))
    assert [number for first, size in runs for number in range(first, first + size)] == [
        number for number in range(count) if not bits[number]
    ]
    assert all(first + size < after for (first, size), (after, _) in pairwise(runs))


@given(st.lists(st.tuples(st.integers(-1, 60), st.integers(1, 30)), max_size=8), st.integers(0, 250))
def test_poured_bytes_are_the_runs_and_zeros(pairs: list[tuple[int, int]], size: int) -> None:
    data = bytes(range(1, 101))
    runs = [Run(at, length) for at, length in pairs]
    whole = b"".join(bytes(run.size) if run.at == HOLE else data[run.at : run.at + run.size] for run in runs)
    assert b"".join(pour(Volume(Disk(data), 0, 100), runs, size)) == whole[:size].ljust(size, b"\0")


def test_holes_without_end_are_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_fs_parts, "MOST_HOLES", 3 << 20)
    with pytest.raises(EvidenceError) as caught:
        list(pour(Volume(Disk(b"x"), 0, 1), (), 1 << 60))
    assert caught.value.cause == "limit"


def test_unallocated_space_leaves_out_long_zeros_and_ends_with_the_volume() -> None:
    data = bytes(3 << 20) + b"words" + bytes((1 << 20) - 5)
    (child,) = unallocated(Volume(Disk(data), 0, len(data)), "", iter([Run(0, 1 << 40)]))
    assert isinstance(child, Child) and child.open
    assert child.open().read() == data[3 << 20 :]
    assert not list(unallocated(Volume(Disk(bytes(99)), 0, 99), "", iter([Run(0, 99)])))


def test_unallocated_space_that_cannot_be_read_is_a_problem() -> None:
    (problem,) = unallocated(Volume(Disk(b"x" * 999, (0, 999)), 0, 999), "", iter([Run(0, 999)]))
    assert isinstance(problem, Problem) and problem.cause == "unreadable"


def test_a_chain_that_loops_is_told_and_ends() -> None:
    clusters = Clusters(Volume(Disk(bytes(9999)), 0, 9999), 0, 1, 500, {2: 3, 3: 4, 4: 3}.__getitem__)
    assert "itself" in clusters.broken(2, 300)
    assert sum(run.size for run in clusters.runs(2, 300)) == 300


@pytest.mark.parametrize("name", ["fat12", "exfat", "hfs-plus", "btrfs", "ntfs", "ext4", "xfs"])
@settings(max_examples=8)
@given(number=st.integers(0, 1 << 30))
def test_damage_ends_in_problems_alone(name: str, number: int) -> None:
    plain = FOLDER / name / "input.img"
    data = bytearray(plain.read_bytes() if plain.exists() else seed(name))
    if name == "xfs":
        del data[1 << 20 :]
    chance = random.Random(number)
    used = [at for at in range(0, len(data), 64) if any(data[at : at + 64])]
    for _ in range(chance.choice((1, 3, 20))):
        data[chance.choice(used) + chance.randrange(64)] = chance.choice((0, 0x7F, 0xFF, chance.randrange(256)))
    if chance.random() < 0.3:
        del data[chance.randrange(512, len(data)) :]
    size = 0
    try:
        for fact in walk_file_system(Disk(bytes(data)), 0, len(data), ""):
            if isinstance(fact, Child) and fact.open:
                with fact.open() as stream:
                    try:
                        while size < 64 << 20 and (piece := stream.read(1 << 20)):
                            size += len(piece)
                    except EvidenceError as error:
                        assert error.message
    except EvidenceError as error:
        assert error.cause in ("corrupt", "truncated", "unsupported")


def test_ext_names_of_an_encrypted_folder_are_hexadecimal() -> None:
    data = bytearray(seed("ext4"))
    number = next(
        int(str(fields(fact)["file.inode"]))
        for fact in walk_file_system(Disk(bytes(data)), 0, len(data), "")
        if isinstance(fact, Child) and fact.name == "many"
    )
    table = unpack_from("<I", data, 2048 + 8)[0] * 1024
    data[table + (number - 1) * 256 + 33] |= 0x08
    found = listing(walk_file_system(Disk(bytes(data)), 0, len(data), ""))
    assert "many/" + "cut_001_修正.txt".encode().hex() in found
    assert "동화_목록.txt" in found


@pytest.mark.parametrize("name", ["fat12", "exfat", "hfs-plus", "btrfs", "ntfs", "ext4", "xfs"])
def test_structures_that_cannot_be_read_are_told_and_the_rest_is_given(name: str) -> None:
    plain = FOLDER / name / "input.img"
    data = plain.read_bytes() if plain.exists() else seed(name)
    whole = listing(walk_file_system(Disk(data), 0, len(data), ""))
    kept, told = 0, 0
    for start in range(4096, min(len(data), 1 << 20), 512 * 5 if len(data) < 1 << 18 else 1 << 14):
        try:
            facts = list(walk_file_system(Disk(data, (start, start + 512)), 0, len(data), ""))
        except EvidenceError:
            continue
        names = {fact.name for fact in facts if isinstance(fact, Child)}
        problems = [fact for fact in facts if isinstance(fact, Problem)]
        kept += len(names) > 2
        told += bool(problems)
        assert problems or {each for each in whole if each[0] != "$"} <= names
    assert kept
    assert told
