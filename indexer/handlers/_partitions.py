"""Partition tables: MBR with logical partitions, GPT, hybrids of both, Apple's map, BSD labels.

Source: UEFI Specification 2.10, chapter 5 (MBR, GPT); Inside Macintosh: Devices, chapter 3 (partition
map); FreeBSD, sys/disklabel.h; "Minimal Partition Table Specification", Andries Brouwer, 1999.
"""

from __future__ import annotations

import struct
import uuid
import zlib
from collections.abc import Iterator

from msgspec import Struct, field

from indexer.handlers._disk import DiskReader
from indexer.model import Problem

MOST_LOGICAL = 1024
MOST_ENTRIES = 1024
EXTENDED = frozenset({0x05, 0x0F, 0x85})
PROTECTIVE = 0xEE
BSD = frozenset({0xA5, 0xA6, 0xA9})
MBR_TYPES = {
    0x01: "FAT12",
    0x04: "FAT16 below 32 MB",
    0x06: "FAT16",
    0x07: "NTFS or exFAT",
    0x0B: "FAT32",
    0x0C: "FAT32, LBA",
    0x0E: "FAT16, LBA",
    0x11: "hidden FAT12",
    0x14: "hidden FAT16",
    0x17: "hidden NTFS",
    0x1B: "hidden FAT32",
    0x1C: "hidden FAT32, LBA",
    0x27: "Windows recovery",
    0x42: "Windows dynamic disk",
    0x82: "Linux swap",
    0x83: "Linux",
    0x8E: "Linux LVM",
    0xA5: "FreeBSD",
    0xA6: "OpenBSD",
    0xA8: "Apple UFS",
    0xA9: "NetBSD",
    0xAB: "Apple boot",
    0xAF: "Apple HFS",
    0xBF: "Solaris",
    0xEE: "protective",
    0xEF: "EFI system",
    0xFB: "VMware VMFS",
    0xFD: "Linux RAID",
}
GPT_TYPES = {
    "c12a7328-f81f-11d2-ba4b-00a0c93ec93b": "EFI system",
    "21686148-6449-6e6f-744e-656564454649": "BIOS boot",
    "e3c9e316-0b5c-4db8-817d-f92df00215ae": "Microsoft reserved",
    "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7": "Microsoft data",
    "de94bba4-06d1-4d40-a16a-bfd50179d6ac": "Windows recovery",
    "5808c8aa-7e8f-42e0-85d2-e1e90434cfb3": "Windows dynamic disk, metadata",
    "af9b60a0-1431-4f62-bc68-3311714a69ad": "Windows dynamic disk, data",
    "e75caf8f-f680-4cee-afa3-b001e56efc2d": "Windows storage space",
    "0fc63daf-8483-4772-8e79-3d69d8477de4": "Linux data",
    "4f68bce3-e8cd-4db1-96e7-fbcaf984b709": "Linux root",
    "933ac7e1-2eb4-4f13-b844-0e14e2aef915": "Linux home",
    "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f": "Linux swap",
    "e6d6d379-f507-44c2-a23c-238f2a3df928": "Linux LVM",
    "a19d880f-05fc-4d3b-a006-743f0f84911e": "Linux RAID",
    "ca7d7ccb-63ed-4c53-861c-1742536059cc": "LUKS",
    "48465300-0000-11aa-aa11-00306543ecac": "Apple HFS+",
    "7c3457ef-0000-11aa-aa11-00306543ecac": "Apple APFS",
    "53746f72-6167-11aa-aa11-00306543ecac": "Apple Core Storage",
    "426f6f74-0000-11aa-aa11-00306543ecac": "Apple boot",
    "516e7cb4-6ecf-11d6-8ff8-00022d09712b": "FreeBSD data",
    "516e7cb6-6ecf-11d6-8ff8-00022d09712b": "FreeBSD UFS",
    "516e7cba-6ecf-11d6-8ff8-00022d09712b": "FreeBSD ZFS",
    "aa31e02a-400f-11db-9590-000c2911d1b8": "VMware VMFS",
}
BSD_TYPES = {1: "swap", 7: "BSD 4.2 fast file system", 8: "MS-DOS", 17: "Linux ext2", 27: "ZFS"}
APM_OWN = ("Apple_partition_map", "Apple_Free", "Apple_Void", "Apple_Scratch")


class Partition(Struct, frozen=True):
    """One entry of a table; `start` and `size` are bytes, as the table claims them."""

    name: str
    start: int
    size: int
    kind: str
    code: str
    label: str = ""
    ident: str = ""
    bootable: bool = False

    @property
    def end(self) -> int:
        """The offset behind it."""
        return self.start + self.size


class Table(Struct):
    """A partition table; `own` are the ranges it takes up itself."""

    kind: str
    sector: int
    ident: str = ""
    partitions: list[Partition] = field(default_factory=list)
    own: list[tuple[int, int]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def read_table(disk: DiskReader) -> Table | None:
    """The partition table of a disk, or None where there is no sensible one."""
    table = _read_gpt(disk) or _read_apm(disk) or _read_mbr(disk)
    if table is None and (partitions := list(_bsd_partitions(disk, "p", 0, disk.size))):
        table = Table("bsd", 512, partitions=partitions, own=[(512, 1024)])
    return table


# -- MBR ---------------------------------------------------------------------------------------


class _Slot(Struct, frozen=True):
    status: int
    kind: int
    start: int
    count: int


def _slots(sector: bytes) -> list[_Slot]:
    """The four entries of an MBR; none where it has no mark."""
    if len(sector) < 512 or sector[510:512] != b"\x55\xaa":
        return []
    found = [struct.unpack_from("<B3xB3xII", sector, 446 + 16 * number) for number in range(4)]
    return [_Slot(*each) for each in found]


def _is_sensible(slots: list[_Slot], sectors: int) -> bool:
    """Whether these are a table and not code: clean flags, and the first used one lies on the disk."""
    used = [slot for slot in slots if slot.kind and slot.count]
    clean = all(slot.status in (0, 0x80) for slot in slots) and sum(slot.status == 0x80 for slot in slots) <= 1
    empty = all(slot.kind or not (slot.start or slot.count) for slot in slots)
    return bool(used) and clean and empty and all(slot.start for slot in used) and min(u.start for u in used) < sectors


def _read_mbr(disk: DiskReader, sector: int = 512) -> Table | None:
    first = disk.read_at(0, 512)
    slots = _slots(first)
    if not _is_sensible(slots, disk.size // sector):
        return None
    ident = f"{int.from_bytes(first[440:444], 'little'):08x}"
    table = Table("mbr", sector, ident, own=[(0, sector)])
    for number, slot in enumerate(slots, 1):
        if slot.kind in EXTENDED:
            _follow_logical(disk, table, slot, sector)
        elif slot.kind and slot.count:
            table.partitions.append(_from_slot(f"p{number}", slot, 0, sector))
    table.partitions = _with_labels(disk, sorted(table.partitions, key=lambda each: int(each.name[1:])))
    return table


def _from_slot(name: str, slot: _Slot, origin: int, sector: int) -> Partition:
    return Partition(
        name,
        (origin + slot.start) * sector,
        slot.count * sector,
        MBR_TYPES.get(slot.kind, "unknown"),
        f"0x{slot.kind:02x}",
        bootable=slot.status == 0x80,
    )


def _follow_logical(disk: DiskReader, table: Table, outer: _Slot, sector: int) -> None:
    """The chain of logical partitions; each link is a table with one partition and the way to the next."""
    number = max([4, *(int(each.name[1:]) for each in table.partitions)])
    at, seen = outer.start, set[int]()
    while at not in seen and len(seen) < MOST_LOGICAL:
        seen.add(at)
        slots = _slots(disk.read_at(at * sector, 512))
        if not slots:
            table.problems.append(Problem("corrupt", f"the chain of logical partitions breaks at sector {at}"))
            return
        table.own.append((at * sector, (at + 1) * sector))
        for slot in slots:
            if slot.kind and slot.kind not in EXTENDED and slot.count:
                number += 1
                table.partitions.append(_from_slot(f"p{number}", slot, at, sector))
        onward = next((slot for slot in slots if slot.kind in EXTENDED and slot.count), None)
        if onward is None:
            return
        at = outer.start + onward.start
    table.problems.append(Problem("corrupt", f"the chain of logical partitions leads back to sector {at}"))


# -- GPT ---------------------------------------------------------------------------------------


def _read_gpt(disk: DiskReader) -> Table | None:
    last: list[tuple[int, int]] = [(disk.size // sector * sector - sector, sector) for sector in (512, 4096)]
    spoilt: Table | None = None
    for number, (at, sector) in enumerate([(512, 512), (4096, 4096), *last]):
        table, whole = _gpt_at(disk, at, sector)
        if table is None:
            continue
        if not whole:
            spoilt = spoilt or table
            continue
        if number > 1:
            table.problems.append(
                Problem("corrupt", "the first GPT is damaged", resolution="its copy at the end is used")
            )
        return _with_hybrid(disk, table)
    if spoilt is not None:
        spoilt.problems.append(
            Problem("corrupt", "the checksum of the GPT does not fit", resolution="read all the same")
        )
    return spoilt


def _gpt_at(disk: DiskReader, at: int, sector: int) -> tuple[Table | None, bool]:
    """The table whose header stands here, and whether its checksums fit."""
    header = disk.read_at(at, 512)
    if at <= 0 or header[:8] != b"EFI PART" or len(header) < 512:
        return None, False
    length, crc, own = struct.unpack_from("<II4xQ", header, 12)
    entries_at, count, size, entries_crc = struct.unpack_from("<QIII", header, 72)
    if own * sector != at or not 92 <= length <= 512 or not 128 <= size <= 4096 or not count:
        return None, False
    entries = disk.read_at(entries_at * sector, size * min(count, MOST_ENTRIES))
    whole = zlib.crc32(header[:16] + bytes(4) + header[20:length]) == crc
    whole = whole and (count > MOST_ENTRIES or zlib.crc32(entries) == entries_crc)
    table = Table("gpt", sector, str(uuid.UUID(bytes_le=header[56:72])))
    table.own = [(0, sector), (at, at + sector), (entries_at * sector, entries_at * sector + len(entries))]
    copy = int.from_bytes(header[32:40], "little") * sector
    table.own.append((copy - len(entries), copy + sector))
    for number in range(len(entries) // size):
        entry = entries[number * size : (number + 1) * size]
        first, final, flags = struct.unpack_from("<QQQ", entry, 32)
        if not any(entry[:16]) or final < first:
            continue
        code = str(uuid.UUID(bytes_le=entry[:16]))
        table.partitions.append(
            Partition(
                f"p{number + 1}",
                first * sector,
                (final - first + 1) * sector,
                GPT_TYPES.get(code, "unknown"),
                code,
                entry[56:128].decode("utf-16-le", "replace").split("\0")[0],
                str(uuid.UUID(bytes_le=entry[16:32])),
                bool(flags & 4),
            )
        )
    return table, whole


def _with_hybrid(disk: DiskReader, table: Table) -> Table:
    """What the MBR in front of a GPT lists and the GPT does not."""
    slots = _slots(disk.read_at(0, 512))
    if not _is_sensible(slots, disk.size // table.sector):
        return table
    known = {each.start for each in table.partitions}
    for number, slot in enumerate(slots, 1):
        extra = (
            slot.kind not in (0, PROTECTIVE, *EXTENDED) and slot.start > 1 and slot.start * table.sector not in known
        )
        if extra and slot.count:
            table.kind = "gpt, hybrid mbr"
            table.partitions.append(_from_slot(f"mbr{number}", slot, 0, table.sector))
    return table


# -- Apple and BSD -----------------------------------------------------------------------------


def _read_apm(disk: DiskReader) -> Table | None:
    first = disk.read_at(0, 512)
    sector = int.from_bytes(first[2:4], "big") if first[:2] == b"ER" else 512
    if sector not in (512, 1024, 2048, 4096):
        return None
    # Discs say 2048 and keep the map in blocks of 512 all the same.
    sector = next((each for each in (sector, 512) if disk.read_at(each, 4) == b"PM\0\0"), 0)
    if not sector:
        return None
    count = min(int.from_bytes(disk.read_at(sector + 4, 4), "big"), MOST_ENTRIES)
    table = Table("apm", sector, own=[(0, sector * (count + 1))])
    for number in range(1, count + 1):
        entry = disk.read_at(number * sector, 512)
        if len(entry) < 512 or entry[:2] != b"PM":
            table.problems.append(Problem("corrupt", f"entry {number} of {count} of Apple's partition map is none"))
            break
        start, length = struct.unpack_from(">II", entry, 8)
        label, code = (_apple_name(entry[at : at + 32].split(b"\0")[0]) for at in (16, 48))
        if code not in APM_OWN and length:
            table.partitions.append(Partition(f"p{number}", start * sector, length * sector, code, code, label))
        elif code == APM_OWN[0]:
            table.own.append((start * sector, (start + length) * sector))
    return table if table.partitions else None


def _apple_name(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("mac-roman")


def _with_labels(disk: DiskReader, partitions: list[Partition]) -> list[Partition]:
    """The partitions, those that hold a BSD label replaced by what it lists."""
    found: list[Partition] = []
    for each in partitions:
        inner = list(_bsd_partitions(disk, each.name, each.start, each.size)) if int(each.code, 16) in BSD else []
        found += inner or [each]
    return found


def _bsd_partitions(disk: DiskReader, name: str, start: int, size: int) -> Iterator[Partition]:
    # Most processors keep the label in the second sector, the others behind the first bytes of the first.
    found = (disk.read_at(start + at, 512) for at in (512, 64))
    label = next((each for each in found if each[:4] == b"\x57\x45\x56\x82" == each[132:136]), b"")
    if len(label) < 512:
        return
    count = min(int.from_bytes(label[138:140], "little"), 22)
    entries = [struct.unpack_from("<III B", label, 148 + 16 * number) for number in range(count)]
    # The third entry is the whole: where it starts, or what it covers, tells what offsets are counted from.
    whole = entries[2] if count > 2 else (0, 0, 0, 0)
    origin = 0 if whole[1] * 512 == start or whole[0] * 512 > size else start
    for number, (length, first, _, kind) in enumerate(entries):
        at = origin + first * 512
        if length and kind and number != 2 and at >= start:
            letter = chr(ord("a") + number)
            yield Partition(f"{name}{letter}", at, length * 512, BSD_TYPES.get(kind, "BSD"), f"bsd {kind}")
