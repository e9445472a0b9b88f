"""What a volume holds, told by the marks of file systems and of what encrypts or joins volumes.

Marks alone prove little on evidence: each is looked at together with the numbers beside it, so that a
claim on a whole file rests on more than two bytes.

Source: the on-disk headers as their systems document them: [MS-FAT] boot sector, exFAT 3.1, NTFS boot
sector, Linux ext4/XFS/Btrfs/F2FS/EROFS documentation, Apple TN1150 and "Apple File System Reference",
LUKS1 1.2.3 and LUKS2 1.1.4 on-disk formats, libbde and libfvde documentation, LVM2 label format;
Linux, include/uapi/linux/raid/md_p.h.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from indexer.handlers._disk import DiskReader

HEAD = 0x1200
"""Bytes from the start within which most marks stand; the others are looked up one by one."""

_TO_GO = bytes.fromhex("3bd67449292ed84a8399f6a339e3d001")
"""The identifier in the boot sector of BitLocker To Go, which looks like FAT32."""


class Lock(NamedTuple):
    """What encrypts a volume, and how far its header tells."""

    kind: str
    detail: str = ""


def _is_power(number: int, low: int, high: int) -> bool:
    return low <= number <= high and not number & (number - 1)


def _is_fat(disk: DiskReader, at: int, head: bytes) -> bool:
    if head[:1] not in (b"\xeb", b"\xe9") or len(head) < 512:
        return False
    sector, cluster, reserved, fats = struct.unpack_from("<HBHB", head, 11)
    if not _is_power(sector, 512, 4096) or not _is_power(cluster, 1, 128) or not reserved or fats not in (1, 2):
        return False
    media = head[21]
    sectors = int.from_bytes(head[19:21], "little") or int.from_bytes(head[32:36], "little")
    fat = disk.read_at(at + reserved * sector, 3)
    return media >= 0xF0 and sectors > reserved and fat[1:] in (b"\xff\xff", b"\xff\x0f", b"\xff\xf7", b"")


def _is_ext(head: bytes) -> bool:
    if head[0x438:0x43A] != b"\x53\xef":
        return False
    inodes, blocks = struct.unpack_from("<II", head, 0x400)
    size, state, revision = (int.from_bytes(head[at : at + 4], "little") for at in (0x418, 0x43A, 0x44C))
    return inodes > 0 and blocks > 0 and size <= 6 and state & 0xFFFF < 8 and revision <= 1


def _is_hfs(head: bytes) -> bool:
    mark, version = head[0x400:0x402], int.from_bytes(head[0x402:0x404], "big")
    if mark == b"BD":
        block = int.from_bytes(head[0x414:0x418], "big")
        return block > 0 and block % 512 == 0 and int.from_bytes(head[0x412:0x414], "big") > 0
    block = int.from_bytes(head[0x428:0x42C], "big")
    return (mark, version) in ((b"H+", 4), (b"HX", 5)) and _is_power(block, 512, 1 << 20)


def _has(mark: bytes, offset: int) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(mark, offset)


_KINDS: tuple[tuple[str, Callable[[bytes], bool]], ...] = (
    ("BitLocker", lambda head: head[3:11] == b"-FVE-FS-" or (head[3:11] == b"MSWIN4.1" and head[424:440] == _TO_GO)),
    ("LUKS", lambda head: head.startswith(b"LUKS\xba\xbe\0") and head[7] in (1, 2)),
    ("Core Storage", lambda head: head[88:90] == b"CS" and head[10:12] == b"\x10\0"),
    ("NTFS", _has(b"NTFS    ", 3)),
    ("exFAT", _has(b"EXFAT   ", 3)),
    ("ReFS", lambda head: head[3:7] == b"ReFS" and head[16:20] == b"FSRS"),
    ("APFS", lambda head: head[32:36] == b"NXSB" and _is_power(int.from_bytes(head[36:40], "little"), 4096, 65536)),
    ("XFS", lambda head: head[:4] == b"XFSB" and _is_power(int.from_bytes(head[4:8], "big"), 512, 65536)),
    ("LVM2", lambda head: any(_is_lvm(head[at : at + 512]) for at in (0, 512, 1024, 1536))),
    ("ext", _is_ext),
    ("HFS", _is_hfs),
    ("F2FS", lambda head: head[1024:1028] == b"\x10\x20\xf5\xf2" and int.from_bytes(head[1028:1030], "little") == 1),
    ("EROFS", lambda head: head[1024:1028] == b"\xe2\xe1\xf5\xe0" and 9 <= head[1036] <= 16),
    ("Linux RAID", _has(b"\xfc\x4e\x2b\xa9\1\0\0\0", 4096)),
    ("swap", _has(b"SWAPSPACE2", 4086)),
)
_FAR = (
    ("Btrfs", 0x10040, (b"_BHRfS_M",)),
    ("ReiserFS", 0x10034, (b"ReIsErFs", b"ReIsEr2F", b"ReIsEr3F")),
    ("JFS", 0x8000, (b"JFS1\1\0\0\0", b"JFS1\2\0\0\0")),
    ("UFS", 8192 + 1372, (b"\x54\x19\x01\x00", b"\x00\x01\x19\x54")),
    ("UFS", 65536 + 1372, (b"\x19\x01\x54\x19", b"\x19\x54\x01\x19")),
)


def kind_of(disk: DiskReader, start: int = 0) -> str:
    """The name of what the volume at `start` holds, or an empty string where nothing is known."""
    head = disk.read_at(start, HEAD)
    if found := next((name for name, holds in _KINDS if holds(head)), ""):
        return found
    if _is_fat(disk, start, head):
        return "FAT"
    return next((name for name, at, marks in _FAR if disk.read_at(start + at, 8).startswith(marks)), "")


def _is_lvm(sector: bytes) -> bool:
    return sector[:8] == b"LABELONE" and sector[24:32] == b"LVM2 001"


def mirrored(disk: DiskReader, start: int) -> tuple[int, int] | None:
    """Where, in a member of a Linux RAID 1 of version 1.2, the mirrored bytes lie, and how many they are."""
    head = disk.read_at(start + 4096, 144)
    if len(head) < 144 or head[:8] != b"\xfc\x4e\x2b\xa9\1\0\0\0" or int.from_bytes(head[72:76], "little") != 1:
        return None
    first, count = struct.unpack_from("<QQ", head, 128)
    return (first * 512, count * 512) if 8 < first < 1 << 40 and 0 < count < 1 << 50 else None


def lock_of(disk: DiskReader, start: int, kind: str) -> Lock | None:
    """What encrypts a volume of this kind, or None where it is open as far as its header tells."""
    if kind == "LUKS":
        head = disk.read_at(start, 512)
        if head[7] == 1:
            cipher, mode = (head[at : at + 32].split(b"\0")[0].decode("ascii", "replace") for at in (8, 40))
            return Lock("LUKS1", f"{cipher}-{mode}")
        return Lock("LUKS2")
    if kind == "BitLocker":
        return Lock("BitLocker")
    return None
