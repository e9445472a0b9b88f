"""Btrfs: what the golden volume cannot show, that is copies, damage, other checksums, several devices."""

from __future__ import annotations

import hashlib
import lzma
import random
from pathlib import Path
from struct import iter_unpack, pack, pack_into, unpack_from

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from btrfs_parts import LOGICAL, NODE, REST, SYSTEM, Btrfs, Files, backref, extent, inline, seal
from btrfs_volume import GONE, NOISE, NOTE, SHEET, btrfs
from indexer.errors import EvidenceError
from indexer.handlers._filesystems import name_file_system, walk_file_system
from indexer.handlers._fs_btrfs_sums import crc32c, crc32c_slowly, xxhash64
from indexer.model import Child, Fact, Field, Problem

VOLUME = btrfs()
SUPER = 0x10000
MADE = Path(__file__).parents[3] / "fixtures" / "file_systems" / "seeds" / "btrfs.blocks.xz"


class Disk:
    """Bytes as a disk, of which only pieces stand somewhere."""

    def __init__(self, data: bytes, size: int = 0, pieces: dict[int, bytes] | None = None) -> None:
        self.size = size or len(data)
        self.pieces = {0: data} | (pieces or {})

    def read_at(self, offset: int, length: int) -> bytes:
        out = bytearray(max(0, min(length, self.size - offset)))
        for at, data in self.pieces.items():
            start, end = max(at, offset), min(at + len(data), offset + len(out))
            if start < end:
                out[start - offset : end - offset] = data[start - at : end - at]
        return bytes(out)


def facts_of(data: bytes) -> list[Fact]:
    return list(walk_file_system(Disk(data), 0, len(data), ""))


def members(facts: list[Fact]) -> dict[str, Child]:
    return {fact.name: fact for fact in facts if isinstance(fact, Child)}


def told(child: Child) -> dict[str, object]:
    return {field.name: field.value for field in child.fields}


def causes(facts: list[Fact]) -> list[str]:
    return [fact.cause for fact in facts if isinstance(fact, Problem)]


def content(child: Child) -> bytes:
    assert child.open
    with child.open() as stream:
        return stream.read()


def blocks(data: bytes, owner: int, level: int = 0) -> list[int]:
    """Where the tree blocks of a tree stand."""
    return [
        at
        for at in range(SYSTEM, len(data) - NODE + 1, NODE)
        if data[at + 32 : at + 48] == data[SUPER + 32 : SUPER + 48]
        and unpack_from("<Q", data, at + 0x30)[0] == at + LOGICAL
        and unpack_from("<Q", data, at + 0x58)[0] == owner
        and data[at + 0x64] == level
    ]


def resealed(data: bytes, kind: int = 0) -> bytes:
    """The volume with checksums of a kind."""
    sums = (
        lambda block: crc32c(block).to_bytes(4, "little"),
        lambda block: xxhash64(block).to_bytes(8, "little"),
        lambda block: hashlib.sha256(block).digest(),
        lambda block: hashlib.blake2b(block, digest_size=32).digest(),
    )
    out = bytearray(data)
    pack_into("<H", out, SUPER + 0xC4, kind)
    for at in (SUPER, *(each for owner in range(300) for level in (0, 1) for each in blocks(data, owner, level))):
        found = sums[kind](bytes(out[at + 32 : at + NODE]))
        out[at : at + 32] = found.ljust(32, b"\0")
    return bytes(out)


def small(**files: tuple[int, tuple[tuple[int, bytes], ...]]) -> bytes:
    """A volume whose only subvolume has these files: their sizes, their extents."""
    disk = Btrfs(160 * 1024)
    top = Files()
    for name, (size, extents) in files.items():
        top.add(256, name, size, *extents)
    return disk.finish({(5, 132, 0): disk.root(disk.tree(5, top.items, 9), 9)}, 9)


def test_bytes_come_out_of_every_kind_of_extent() -> None:
    found = members(facts_of(VOLUME))
    for name in ("plain.txt", "zlib.txt", "zstd.txt"):
        assert content(found[name]) == SHEET, name
    assert content(found["lzo.bin"]) == NOISE
    assert content(found["inline-zlib.txt"]) == SHEET[:4000]
    assert content(found["inline-lzo.txt"]) == SHEET[:600]
    padded = SHEET.ljust(8192, b"\0") * 2
    assert content(found["holes.bin"]) == bytes(4096) + padded[4096:12288] + bytes(30_000 - 12288)
    assert content(found["hard.txt"]) == content(found["원화/第3話/hard too.txt"]) == NOTE


def test_a_volume_that_its_own_program_made() -> None:
    packed = lzma.decompress(MADE.read_bytes())
    pieces = {at: bytes(data) for at, data in iter_unpack("<Q4096s", packed[8:])}
    disk = Disk(b"", unpack_from("<Q", packed)[0], pieces)
    facts = list(walk_file_system(disk, 0, disk.size, ""))
    found = members(facts)
    assert not causes(facts)
    assert content(found["sheet.bin"]) == b"".join(f"cut {n:05}: {n * 7} frames\n".encode() for n in range(6000))
    for number in range(80):
        name = f"many/cut_{number:03}_修正.txt"
        assert content(found[name]) == f"cut {number}\n".encode() * (number * 3), name
    holes = content(found["sparse.txt"])
    assert (len(holes), holes[60_000:60_020].decode()) == (90_001, "中割り 第二稿\n")
    assert told(found["원화/第3話/컷_012.txt"])["file.mode"] == "0640"
    assert told(found["link"])["file.link_target"] == "메모.txt"
    assert told(found["pipe"])["file.kind"] == "fifo"
    assert "2025-06-15T15:06:40+00:00" in {each.at.isoformat() for each in found["many/cut_001_修正.txt"].timestamps}


def test_times_have_their_nanoseconds_as_far_as_a_timestamp_has_them() -> None:
    stamps = {each.origin: each.at.isoformat() for each in members(facts_of(VOLUME))["메모.txt"].timestamps}
    assert stamps == {
        "btrfs.atime": "2025-06-15T15:06:43.000005+00:00",
        "btrfs.ctime": "2025-06-15T15:06:42.123456+00:00",
        "btrfs.mtime": "2025-06-15T15:06:41.987654+00:00",
        "btrfs.otime": "2025-06-15T15:06:40.000001+00:00",
    }


def test_of_a_snapshot_only_what_differs_is_given() -> None:
    found = members(facts_of(VOLUME))
    place = "원화/작업@어제"
    assert {name for name in found if name.startswith(place)} == {
        place, f"{place}/layer_05.txt", f"{place}/수정.txt",
    }  # fmt: skip
    assert content(found[f"{place}/수정.txt"]) == "첫 번째 안\n".encode() * 5
    assert content(found["작업/수정.txt"]) == "두 번째 안\n".encode() * 4
    assert told(found[place])["filesystem.snapshot_of"] == "작업"
    assert "작업/layer_05.txt" not in found and "작업/layer_06.txt" in found


def test_a_snapshot_whose_origin_is_gone_is_given_whole() -> None:
    data = bytearray(VOLUME)
    for at in blocks(VOLUME, 1):
        # The key of the subvolume becomes one of the file system's own.
        where = data.find(pack("<QBQ", 256, 132, 0), at, at + NODE)
        if where > 0:
            data[where : where + 8] = pack("<Q", 200)
            data[at : at + NODE] = seal(data[at : at + NODE])
    found = members(facts_of(bytes(data)))
    assert sum(name.startswith("원화/작업@어제/layer_") for name in found) == 16


@settings(max_examples=12, deadline=None)
@given(number=st.integers(0, 1 << 40))
def test_snapshots_and_what_was_given_before_make_up_the_whole(number: int) -> None:
    chance = random.Random(number)
    disk = Btrfs(1 << 20)
    work = Files()
    now: dict[str, tuple[int, bytes]] = {}
    states = []
    trees = []
    for turn in range(chance.randrange(2, 6)):
        for step in range(40 if not turn else chance.randrange(0, 7)):
            name = chance.choice(sorted(now)) if turn and chance.random() < 0.7 else f"cel_{turn}_{step}"
            ident, _ = now.pop(name, (0, b""))
            for key in [key for key in work.items if ident and (key[0] == ident or _leads_to(work, key, ident))]:
                del work.items[key]
            if chance.random() < 0.8:
                text = f"{turn} {step} ".encode() * chance.randrange(1, 200)
                ident = ident or next(work.numbers)
                work.add(256, name, len(text), (0, inline(text)), number=ident)
                now[name] = ident, text
        states.append(dict(now))
        trees.append(disk.tree(257 + turn, work.items, 20 + turn))
    top = Files()
    roots = {}
    for turn, tree in enumerate([trees[-1], *trees[:-1]]):
        born = 20 + (turn - 1) % len(trees)
        item = disk.root(tree, born, uuid=turn + 1, origin=1 if turn else 0)
        roots |= {(256 + turn, 132, turn): item, **backref(256 + turn, 5, top.mount(256, b"s%d" % turn, 256 + turn))}
    roots[5, 132, 0] = disk.root(disk.tree(5, top.items, 40), 40)
    found = members(facts_of(disk.finish(roots, 40)))
    for turn, state in enumerate([states[-1], *states[:-1]]):
        before = [states[-1]] * (turn > 0) + [states[turn - 2]] * (turn > 1)
        new = [name for name in state if not any(state[name] == each.get(name) for each in before)]
        there = {name[3:]: content(each) for name, each in found.items() if name.startswith(f"s{turn}/")}
        assert there == {name: state[name][1] for name in new}, turn


def _leads_to(files: Files, key: tuple[int, int, int], number: int) -> bool:
    return key[:2] == (256, 96) and files.items[key].startswith(pack("<Q", number))


def test_a_file_that_only_an_earlier_tree_holds_is_deleted() -> None:
    gone = members(facts_of(VOLUME))["원화/지운 목록.txt"]
    assert content(gone) == GONE and not gone.problems
    assert told(gone)["file.deleted"] is True
    assert told(gone)["file.recovery"] == "a tree of generation 9"
    assert not [
        name for name, each in members(facts_of(VOLUME)).items() if told(each).get("file.deleted") and each.problems
    ]


def test_an_earlier_tree_that_was_overwritten_gives_nothing_and_is_no_problem() -> None:
    data = bytearray(VOLUME)
    place = unpack_from("<Q", data, SUPER + 0xB2B)[0] - LOGICAL
    data[place : place + NODE] = b"\xa5" * NODE
    facts = facts_of(bytes(data))
    assert not causes(facts) and "원화/지운 목록.txt" not in members(facts)


def test_a_deleted_file_whose_place_is_in_use_gives_no_bytes() -> None:
    data = bytearray(VOLUME)
    (leaf,) = blocks(VOLUME, 2)
    first = unpack_from("<QBQ", data, leaf + 101)
    pack_into("<QBQ", data, leaf + 101, first[0], 168, len(data))
    data[leaf : leaf + NODE] = seal(data[leaf : leaf + NODE])
    gone = members(facts_of(bytes(data)))["원화/지운 목록.txt"]
    assert gone.open is None and [problem.cause for problem in gone.problems] == ["unreadable"]


def test_an_inode_without_a_name_is_an_orphan() -> None:
    (name,) = [name for name in members(facts_of(VOLUME)) if name.startswith("$Orphans")]
    orphan = members(facts_of(VOLUME))[name]
    assert content(orphan) == NOTE and told(orphan)["file.deleted"] is True


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_other_checksums_are_known(kind: int) -> None:
    whole = facts_of(VOLUME)
    data = resealed(VOLUME, kind)
    assert members(facts_of(data)).keys() == members(whole).keys() and not causes(facts_of(data))
    broken = bytearray(data)
    broken[blocks(data, 256)[0] + 3000] ^= 1
    assert causes(facts_of(bytes(broken))) == ["corrupt"]


def test_checksums_are_those_of_their_authors() -> None:
    assert crc32c(b"123456789") == crc32c_slowly(b"123456789") == 0xE3069283
    assert crc32c(b"") == 0
    for data in (VOLUME[:65536], VOLUME[:65537], NOISE[:4063], bytes(65504), b"\xff"):
        assert crc32c(data) == crc32c_slowly(data)
    assert xxhash64(b"") == 0xEF46DB3751D8E999
    assert xxhash64(b"abc") == 0x44BC2CF5AD770999


def test_a_damaged_leaf_is_told_and_the_rest_is_given() -> None:
    whole = members(facts_of(VOLUME))
    leaves = [at for at in blocks(VOLUME, 5) if unpack_from("<Q", VOLUME, at + 0x50)[0] == 11]
    assert len(leaves) > 1
    for leaf in [*leaves, *blocks(VOLUME, 256)]:
        data = bytearray(VOLUME)
        data[leaf + 2000] ^= 0x40
        facts = facts_of(bytes(data))
        assert "corrupt" in causes(facts)
        assert len(members(facts)) > len(whole) // 2


def test_what_an_earlier_tree_holds_of_a_damaged_one_is_not_called_deleted() -> None:
    data = bytearray(VOLUME)
    (top,) = [at for at in blocks(VOLUME, 5, 1) if unpack_from("<Q", VOLUME, at + 0x50)[0] == 11]
    data[top + 2000] ^= 0x40
    found = members(facts_of(bytes(data)))
    assert content(found["plain.txt"]) == SHEET
    assert told(found["plain.txt"])["file.recovery"] == "a tree of generation 9"
    assert "file.deleted" not in told(found["plain.txt"])


def test_a_damaged_tree_of_roots_is_replaced_by_an_earlier_one() -> None:
    data = bytearray(VOLUME)
    data[unpack_from("<Q", data, SUPER + 0x50)[0] - LOGICAL + 500] ^= 1
    facts = facts_of(bytes(data))
    assert "corrupt" in causes(facts) and content(members(facts)["원화/지운 목록.txt"]) == GONE


@pytest.mark.parametrize("damage", [b"\xff", bytes(4096)])
def test_a_copy_of_the_super_block_is_read_where_the_first_is_damaged(damage: bytes) -> None:
    data = bytearray(VOLUME)
    copy = bytearray(data[SUPER : SUPER + 4096])
    pack_into("<Q", copy, 0x30, 0x4000000)
    data[SUPER + 0x100 : SUPER + 0x100 + 1] = b"\xff"
    if len(damage) > 1:
        data[SUPER : SUPER + 4096] = damage
    disk = Disk(bytes(data), 65 << 20, {0x4000000: bytes(seal(copy))})
    assert name_file_system(disk, 0, disk.size) == "btrfs"
    facts = list(walk_file_system(disk, 0, disk.size, ""))
    assert [fact.message for fact in facts if isinstance(fact, Problem)] == [
        "Btrfs: the super block is damaged, a copy of it was read"
    ]
    assert content(members(facts)["plain.txt"]) == SHEET


def test_the_second_copy_of_a_tree_block_is_read_where_the_first_is_damaged() -> None:
    disk = Btrfs(160 * 1024)
    top = Files()
    top.text(256, "메모.txt", NOTE)
    data = bytearray(disk.finish({(5, 132, 0): disk.root(disk.tree(5, top.items, 9), 9)}, 9))
    # All but the chunk tree is doubled: the copy stands behind the end of the first.
    chunk = disk.chunk(REST, len(data), 5 | 0x20)
    twice = chunk[:44] + pack("<HH", 2, 1) + chunk[48:] + pack("<QQ", 1, len(data)) + chunk[64:]
    items = {(256, 228, SYSTEM + LOGICAL): disk.chunk(SYSTEM, REST, 2), (256, 228, REST + LOGICAL): twice}
    disk.tree(3, items, 9, SYSTEM)
    data[SYSTEM:REST] = disk.data[SYSTEM:REST]
    whole = bytes(data) + bytes(data[REST:])
    (tree,) = blocks(bytes(data), 5)
    broken = bytearray(whole)
    broken[tree + 2000] ^= 1
    facts = facts_of(bytes(broken))
    assert content(members(facts)["메모.txt"]) == NOTE and not causes(facts)


@pytest.mark.parametrize(("kind", "device"), [(0x8 | 5, 1), (0x80 | 5, 1), (0x10 | 5, 2)])
def test_what_lies_on_other_devices_is_told(kind: int, device: int) -> None:
    data = bytearray(VOLUME)
    at = data.find(pack("<QQQQ", len(data) - REST, 2, 65536, 5), SYSTEM)
    pack_into("<Q", data, at + 24, kind)
    pack_into("<Q", data, at + 48, device)
    data[SYSTEM : SYSTEM + NODE] = seal(data[SYSTEM : SYSTEM + NODE])
    pack_into("<Q", data, SUPER + 0x88, 2)
    data[SUPER : SUPER + 4096] = seal(data[SUPER : SUPER + 4096])
    with pytest.raises(EvidenceError, match="device"):
        facts_of(bytes(data))


def test_a_log_that_was_not_written_back_is_told() -> None:
    assert causes(facts_of(btrfs(log=0x200000))) == ["corrupt"]


def test_a_name_whose_inode_is_lost_is_told() -> None:
    disk = Btrfs(160 * 1024)
    top = Files()
    for number in range(30):
        top.text(256, f"cut_{number:02}.txt", f"cut {number}\n".encode() * 50)
    data = bytearray(disk.finish({(5, 132, 0): disk.root(disk.tree(5, top.items, 9), 9)}, 9))
    data[blocks(bytes(data), 5)[-1] + 3000] ^= 1
    facts = facts_of(bytes(data))
    lost = [child for child in members(facts).values() if child.problems]
    assert lost and len([name for name in members(facts) if name.startswith("cut_")]) == 30
    assert all("is not on the volume" in child.problems[0].message for child in lost)


@pytest.mark.parametrize(
    ("item", "cause"),
    [
        (inline(b"no zlib", 500, 1), "corrupt"),
        (inline(b"no lzo at all", 500, 2), "corrupt"),
        (inline(b"no zstd", 500, 3), "corrupt"),
        (inline(b"?", 500, 9), "unsupported"),
        (inline(b"secret")[:17] + b"\1" + inline(b"secret")[18:], "encrypted"),
        (b"short", "corrupt"),
        (extent(bytes(4096), 77 << 40, 4096), "corrupt"),
        (extent(bytes(4096), 77 << 40, 4096, kind=3), "unsupported"),
        (extent(bytes(4096), 0x113000, 4 << 20, packed=1), "corrupt"),
        (extent(bytes(4096), 0x113000, 4096, take=1 << 62), "corrupt"),
    ],
)
def test_extents_that_lie_end_in_trouble_of_their_file_alone(item: bytes, cause: str) -> None:
    found = members(facts_of(small(bad=(1 << 50, ((0, item),)), good=(len(NOTE), ((0, inline(NOTE)),)))))
    with pytest.raises(EvidenceError) as caught:
        stream = found["bad"].open
        assert stream
        with stream() as opened:
            while opened.read(1 << 20):
                pass
    assert caught.value.cause == cause
    assert content(found["good"]) == NOTE


def test_folders_that_hold_one_another_and_nodes_that_lead_back_end() -> None:
    disk = Btrfs(160 * 1024)
    top = Files()
    one, two = top.folder(256, "one"), top.folder(256, "two")
    for here, above in ((one, two), (two, one)):
        del top.items[here, 12, 256]
        top.items[here, 12, above] = pack("<QH", 2, 4) + b"loop"
    top.text(one, "메모.txt", NOTE)
    leaf, _ = disk.tree(5, top.items, 9)
    node = disk.at + LOGICAL
    body = pack("<QBQQQ", 256, 1, 0, leaf, 9) + pack("<QBQQQ", 900, 1, 0, node, 9) + pack("<QBQQQ", 999, 1, 0, leaf, 9)
    tree = disk.block(body, 3, 1, 5, 9), 1
    found = members(facts_of(disk.finish({(5, 132, 0): disk.root(tree, 9)}, 9)))
    assert len([name for name in found if name.endswith("메모.txt")]) == 1
    assert next(name for name in found if name.endswith("메모.txt")).startswith("$Orphans/inode-")


def test_subvolumes_in_subvolumes_and_in_one_another_have_a_place() -> None:
    disk = Btrfs(400 * 1024)
    roots = {}
    for number, parent in ((256, 5), (257, 256), (258, 257), (300, 301), (301, 300), (302, 999)):
        inside = Files()
        inside.text(256, "메모.txt", NOTE)
        roots[number, 132, 0] = disk.root(disk.tree(number, inside.items, 9), 9, uuid=number - 250)
        roots |= backref(number, parent, (256, 2, b"sub%d" % number))
    top = disk.tree(5, Files().items, 9)
    found = members(facts_of(disk.finish({**roots, (5, 132, 0): disk.root(top, 9)}, 9)))
    assert content(found["sub256/sub257/sub258/메모.txt"]) == NOTE
    texts = sorted(name for name in found if name.endswith("메모.txt"))
    assert len(texts) == 6 and sum(name.startswith("$Orphans/subvolume-") for name in texts) == 3


def test_label_and_size_are_fields() -> None:
    facts = facts_of(VOLUME)
    assert {Field("filesystem.label", "작화 NAS"), Field("filesystem.block_size", 4096)} <= set(facts)
    assert causes(facts_of(VOLUME[:-NODE])) == ["truncated"]


@settings(max_examples=30, deadline=None)
@given(number=st.integers(0, 1 << 40))
def test_damage_behind_right_checksums_ends_in_problems_alone(number: int) -> None:
    data = bytearray(VOLUME)
    chance = random.Random(number)
    places = [at for owner in (1, 2, 3, 5, 256) for level in (0, 1) for at in blocks(VOLUME, owner, level)]
    for _ in range(chance.choice((1, 4, 16))):
        at = chance.choice([SUPER, *places])
        data[at + 48 + chance.randrange(600)] = chance.choice((0, 1, 0x7F, 0xFF, chance.randrange(256)))
        data[at : at + NODE] = seal(data[at : at + NODE]) if chance.random() < 0.9 else data[at : at + NODE]
    size = 0
    try:
        for child in members(facts_of(bytes(data))).values():
            if child.open:
                with child.open() as stream:
                    try:
                        while size < 32 << 20 and (piece := stream.read(1 << 20)):
                            size += len(piece)
                    except EvidenceError as error:
                        assert error.message
    except EvidenceError as error:
        assert error.cause in ("corrupt", "truncated", "unsupported", "limit")
