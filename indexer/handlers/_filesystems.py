"""The file systems of disks: which one stands in a range, and its members.

Source: the readers' own pages (`_fs_*.py`) name the specification of each file system.
Limits: journals are not replayed; snapshots (but those of Btrfs), and volumes that span several disks, are not
    put together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import NamedTuple

from indexer.errors import EvidenceError
from indexer.handlers._disk import DiskReader
from indexer.handlers._fs_parts import Volume
from indexer.handlers._volume_marks import kind_of
from indexer.model import Fact, Problem
from indexer.passwords import Passwords

FIELDS: Mapping[str, str] = {
    "filesystem.kind": "file system of a volume: NTFS, FAT12, FAT16, FAT32, exFAT, ext2, ext3, ext4, XFS, Btrfs, "
    "HFS+, APFS",
    "filesystem.version": "version of its format",
    "filesystem.label": "name of the volume",
    "filesystem.uuid": "unique number of the volume",
    "filesystem.serial": "serial number of the volume, as Windows shows it",
    "filesystem.snapshot_of": "subvolume that a snapshot was taken from; what both hold alike is given there alone",
    "filesystem.block_size": "bytes of a cluster or block",
    "filesystem.mounted_on": "folder on which the volume was mounted last",
    "file.kind": "directory, symlink, junction, fifo, socket, a device; stream (beside the main bytes), record (one of "
    "NTFS without bytes), volume, subvolume, snapshot, unallocated (space that no file owns, long stretches of "
    "zeros left out), file-table (whose records are the members here), listed-file (whose bytes are not here)",
    "file.link_target": "where a link points, as recorded; links are never followed",
    "file.deleted": "the entry or its folder was deleted",
    "file.recovery": "how the place of a deleted file's bytes was found where the volume no longer tells it",
    "file.inode": "number of the inode or catalog node",
    "file.generation": "how often the inode was used again, or its generation number",
    "file.record": "number of the record in the master file table",
    "file.sequence": "how often the record was used",
    "file.cluster": "first cluster, as recorded",
    "file.short_name": "8.3 name beside the long one",
    "file.mode": "permission bits, octal",
    "file.uid": "owner's number",
    "file.gid": "group's number",
    "file.owner_sid": "security identifier of the owner",
    "file.group_sid": "security identifier of the owner's group",
    "file.links": "names of the file, where there are several",
    "file.flags": "attributes as words: read-only, hidden, system, archive, compressed, sparse, encrypted, ...",
    "file.recorded_size": "bytes of a file of which only the record is here",
    "file.allocated": "bytes of the clusters or blocks that belong to the file",
    "file.valid_bytes": "bytes written so far, where the size is larger",
}
"""Fields of volumes and of their members, for the `fields` of every handler of disk images."""

NEEDS = ("pyfsapfs",)
"""The library for APFS, for the `needs` of every handler of disk images."""

_HEAD = 72 * 1024
_BTRFS = (0x10040, b"_BHRfS_M")
_COPY = 64 << 20


class _Kind(NamedTuple):
    found: Callable[[bytes], bool]
    module: str
    function: str


def _magic(offset: int, *magics: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(magics, offset)


def _ext(head: bytes) -> bool:
    return head[1080:1082] == b"\x53\xef" and head[1024:1028] != bytes(4) and head[1048:1052] <= b"\x06\0\0\0"


def _fat(head: bytes) -> bool:
    from indexer.handlers._fs_fat import is_fat

    return is_fat(head[:512])


_KINDS = (
    _Kind(_magic(3, b"NTFS    "), "_fs_ntfs", "walk_ntfs"),
    _Kind(_magic(3, b"EXFAT   "), "_fs_exfat", "walk_exfat"),
    _Kind(_magic(0, b"XFSB"), "_fs_xfs", "walk_xfs"),
    _Kind(_magic(*_BTRFS), "_fs_btrfs", "walk_btrfs"),
    _Kind(_magic(32, b"NXSB"), "_fs_apfs", "walk_apfs"),
    _Kind(_magic(1024, b"H+\0\4", b"HX\0\5"), "_fs_hfs", "walk_hfs"),
    _Kind(_ext, "_fs_ext", "walk_ext"),
    _Kind(_fat, "_fs_fat", "walk_fat"),
)


def name_file_system(disk: DiskReader, start: int, length: int) -> str:
    """Which reader knows the file system in a range: ntfs, exfat, xfs, btrfs, apfs, hfs, ext, fat; or nothing."""
    kind = _kind(disk, start, length)
    return kind.module.removeprefix("_fs_") if kind else ""


def walk_file_system(
    disk: DiskReader, start: int, length: int, prefix: str, passwords: Passwords | None = None
) -> Iterator[Fact]:
    """The facts of the volume in a range, then its members under `prefix`, then what no file owns.

    Raises:
        EvidenceError: `unsupported` where no reader knows the volume, and where its structures cannot be
            read on; what was found before stands.
    """
    kind = _kind(disk, start, length)
    if kind is None:
        raise EvidenceError("unsupported", "no known file system")
    walk = getattr(import_module(f"indexer.handlers.{kind.module}"), kind.function)
    volume = Volume(disk, start, length, passwords)
    yield from walk(volume, prefix)
    if volume.trouble:
        message = f"structures of the volume: {volume.trouble.message}"
        yield Problem(volume.trouble.cause, message, resolution="what they tell of is left out")


def _kind(disk: DiskReader, start: int, length: int) -> _Kind | None:
    """The reader of the file system in a range."""
    head = _head(disk, start, length)
    if found := next((kind for kind in _KINDS if kind.found(head)), None):
        return found
    # Btrfs is known by a copy of its super block too, which may be all that was not overwritten.
    copy = Volume(disk, start, length).at(_COPY + 0x30, 24)
    if copy[:8] == _COPY.to_bytes(8, "little") and copy[16:] == _BTRFS[1] and not kind_of(disk, start):
        return next(kind for kind in _KINDS if kind.module == "_fs_btrfs")
    return None


def _head(disk: DiskReader, start: int, length: int) -> bytes:
    """What there is of the first bytes of a range."""
    volume = Volume(disk, start, length)
    return next((head for size in (_HEAD, 4096, 512) if (head := volume.at(0, size))), b"")
