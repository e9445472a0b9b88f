"""FAT12, FAT16 and FAT32: long and short names, deleted entries, free clusters.

Source: Microsoft FAT32 File System Specification 1.03 (2000): boot sector, table, folder entries, long
    names (section "FAT Long Directory Entries"); ECMA-107.
Limits: of a deleted file the first cluster and the size are left: its bytes are taken from the free
    clusters from there on, and the member says so. Entries between the last one and the end of a
    folder are not looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from struct import unpack_from

from msgspec import Struct

from indexer.errors import EvidenceError
from indexer.handlers._archive import FOLDER
from indexer.handlers._fs_parts import (
    MOST_DEPTH,
    MOST_FOLDER,
    NameBytes,
    Run,
    Told,
    Volume,
    check_size,
    gather,
    lost,
    member,
    opener,
    unallocated,
)
from indexer.model import Child, Fact, Field, Problem, Timestamp, replace
from indexer.timestamps import from_dos

_LONG, _LABEL, _DIRECTORY = 0x0F, 0x08, 0x10
ATTRIBUTES = ((1, "read-only"), (2, "hidden"), (4, "system"), (32, "archive"))
_WINDOW = 1 << 15
"""Bytes of the table that are at hand: chains mostly stay near."""
GUESSED = "free clusters from the first one on"
"""How the bytes of deleted files are found where the table no longer tells."""


def is_fat(boot: bytes) -> bool:
    """Whether a boot sector is one of FAT12, FAT16 or FAT32."""
    if len(boot) < 512 or boot[510:512] != b"\x55\xaa" or boot[3:11] in (b"EXFAT   ", b"NTFS    "):
        return False
    unit, per_cluster, reserved, tables = unpack_from("<HBHB", boot, 11)
    sectors = unpack_from("<H", boot, 19)[0] or unpack_from("<I", boot, 32)[0]
    power = per_cluster and not per_cluster & (per_cluster - 1)
    per_table = unpack_from("<H", boot, 22)[0] or unpack_from("<I", boot, 36)[0]
    return bool(
        unit in (512, 1024, 2048, 4096) and power and reserved and 0 < tables < 5 and boot[21] >= 0xF0 and sectors
        and per_table
    )  # fmt: skip


class Clusters(Struct, frozen=True):
    """A table of clusters: where each lies and which comes next.

    `link` gives the table's entry; 0 is free, and what is no cluster of the volume ends a chain.
    """

    volume: Volume
    start: int
    unit: int
    count: int
    link: Callable[[int], int]

    def runs(self, first: int, most: int) -> Iterator[Run]:
        """The runs of a chain, `most` clusters at most; it ends where it leaves the table."""
        cluster = begin = first
        length = 0
        for _ in range(min(most, self.count)):
            if not 2 <= cluster < self.count + 2:
                break
            if cluster != begin + length:
                yield Run(self.start + (begin - 2) * self.unit, length * self.unit)
                begin, length = cluster, 0
            length += 1
            cluster = self.link(cluster)
        if length:
            yield Run(self.start + (begin - 2) * self.unit, length * self.unit)

    def broken(self, first: int, most: int) -> str:
        """What is wrong with a chain that should hold `most` clusters, or an empty string."""
        cluster = first
        mark, step = 0, 1
        for number in range(min(most, self.count + 1)):
            if not 2 <= cluster < self.count + 2:
                return f"the chain ends after {number} of {most} clusters"
            if cluster == mark:
                return "the chain leads back to itself"
            if number == step:
                mark, step = cluster, step * 2
            cluster = self.link(cluster)
        return f"{most} clusters are more than the volume has" if most > self.count else ""

    def free_from(self, first: int, most: int, free: Callable[[int], bool]) -> list[Run]:
        """Up to `most` free clusters from `first` on as runs; none where `first` itself is in use."""
        if not 2 <= first < self.count + 2 or not free(first):
            return []
        runs: list[Run] = []
        taken = 0
        for cluster in range(first, self.count + 2):
            if taken >= most:
                break
            if not free(cluster):
                continue
            at = self.start + (cluster - 2) * self.unit
            if runs and runs[-1].at + runs[-1].size == at:
                runs[-1] = Run(runs[-1].at, runs[-1].size + self.unit)
            else:
                runs.append(Run(at, self.unit))
            taken += 1
        return runs


class _Entry(Struct, frozen=True):
    short: bytes
    long: str
    lower: int
    attributes: int
    first: int
    size: int
    deleted: bool
    stamps: tuple[Timestamp, ...]
    at: int


class _Fat:
    def __init__(self, volume: Volume) -> None:
        self.volume = volume
        boot = volume.exact(0, 512)
        unit, per_cluster, reserved, tables, roots = unpack_from("<HBHBH", boot, 11)
        sectors = unpack_from("<H", boot, 19)[0] or unpack_from("<I", boot, 32)[0]
        self.size = sectors * unit
        small = unpack_from("<H", boot, 22)[0]
        per_table = small or unpack_from("<I", boot, 36)[0]
        self.table = reserved * unit
        self.root = self.table + tables * per_table * unit
        self.root_size = (roots * 32 + unit - 1) // unit * unit
        start = self.root + self.root_size
        count = max(0, sectors * unit - start) // (unit * per_cluster)
        self.bits = (12 if count < 4085 else 16 if count < 65525 else 32) if small or roots else 32
        # A table that is too short for the sectors it serves cannot name the clusters behind its end.
        count = min(count, per_table * unit * 8 // self.bits - 2)
        self.clusters = Clusters(volume, start, unit * per_cluster, max(0, count), self._link)
        self.root_cluster = unpack_from("<I", boot, 44)[0] if self.bits == 32 else 0
        at = 66 if self.bits == 32 else 38
        self.serial, self.label = unpack_from("<I11s", boot, at + 1) if boot[at] == 0x29 else (None, b"")
        self.names = NameBytes()
        self._window_at = -1
        self._window = b""

    def _link(self, cluster: int) -> int:
        at = cluster * self.bits // 8
        start = at - at % _WINDOW
        if start != self._window_at:
            self._window_at, self._window = start, self.volume.at(self.table + start, _WINDOW + 1)
        value = int.from_bytes(self._window[at - start : at - start + (4 if self.bits == 32 else 2)], "little")
        if self.bits == 12:
            return value >> 4 if cluster & 1 else value & 0xFFF
        return value & 0x0FFFFFFF

    def free(self, cluster: int) -> bool:
        """Whether the table calls a cluster free."""
        return self._link(cluster) == 0

    def free_runs(self) -> Iterator[Run]:
        """The free clusters, in order."""
        clusters = self.clusters
        first = -1
        for cluster in range(2, clusters.count + 2):
            if self._link(cluster) == 0:
                first = cluster if first < 0 else first
            elif first >= 0:
                yield Run(clusters.start + (first - 2) * clusters.unit, (cluster - first) * clusters.unit)
                first = -1
        if first >= 0:
            yield Run(clusters.start + (first - 2) * clusters.unit, (clusters.count + 2 - first) * clusters.unit)

    def folder(self, first: int, *, deleted: bool = False) -> bytes:
        """The bytes of a folder's entries; of a deleted one its first cluster, if it is free."""
        most = MOST_FOLDER // self.clusters.unit
        if first == 0:
            return self.volume.at(self.root, self.root_size)
        if deleted:
            runs = self.clusters.free_from(first, 1, self.free)
            data = gather(self.volume, runs, self.clusters.unit) if runs else b""
            return data if data[:11] == b".          " else b""
        runs = list(self.clusters.runs(first, most))
        return gather(self.volume, runs, sum(run.size for run in runs))

    def entries(self, data: bytes) -> Iterator[_Entry]:
        """The entries of a folder, deleted ones too, without `.` and `..`."""
        parts: list[bytes] = []
        checksum = -1
        for at in range(0, len(data) - 31, 32):
            raw = data[at : at + 32]
            if raw[0] == 0:
                break
            if raw[11] & 0x3F == _LONG:
                if raw[13] != checksum:
                    parts, checksum = [], raw[13]
                parts.append(raw[1:11] + raw[14:26] + raw[28:32])
                continue
            deleted = raw[0] == 0xE5
            name = b"".join(reversed(parts)) if deleted or checksum == _checksum(raw[:11]) else b""
            parts, checksum = [], -1
            if raw[:1] == b"." and raw[11] & _DIRECTORY:
                continue
            yield _parse(raw, _cut(name), deleted, at)


def _parse(raw: bytes, long: str, deleted: bool, at: int) -> _Entry:
    head = b"_" if deleted else b"\xe5" if raw[0] == 5 else raw[:1]
    stem, suffix = (head + raw[1:8]).rstrip(b" "), raw[8:11].rstrip(b" ")
    tenths, btime, bdate, adate, high, mtime, mdate, low, size = unpack_from("<BHHHHHHHI", raw, 13)
    stamps = [from_dos("M", mdate, mtime, "fat.modified")]
    if adate and (accessed := from_dos("A", adate, 0, "fat.accessed")):
        stamps.append(replace(accessed, resolution=86400.0))
    if bdate and (born := from_dos("B", bdate, btime, "fat.created")):
        if tenths < 200:
            born = replace(born, at=born.at + timedelta(milliseconds=tenths * 10), resolution=0.01)
        stamps.append(born)
    return _Entry(
        short=stem + (b"." + suffix if suffix else b""),
        long=long,
        lower=raw[12],
        attributes=raw[11],
        first=high << 16 | low,
        size=size,
        deleted=deleted,
        stamps=tuple(stamp for stamp in stamps if stamp),
        at=at,
    )


def _checksum(short: bytes) -> int:
    total = 0
    for octet in short:
        total = ((total & 1) << 7) + (total >> 1) + octet & 0xFF
    return total


def _cut(name: bytes) -> str:
    text = name.decode("utf-16-le", "surrogatepass") if len(name) % 2 == 0 else ""
    return text.partition("\0")[0]


def walk_fat(volume: Volume, prefix: str) -> Iterator[Fact]:
    """The volume's fields, its members in the order of their folders, then the free clusters."""
    fat = _Fat(volume)
    yield Field("filesystem.kind", f"FAT{fat.bits}")
    yield Field("filesystem.block_size", fat.clusters.unit)
    yield from check_size(volume, fat.size)
    if fat.serial is not None:
        yield Field("filesystem.serial", f"{fat.serial >> 16:04X}-{fat.serial & 0xFFFF:04X}")
    folders, label = _folders(fat)
    text = (label.short if label else fat.label).replace(b".", b"", 1 if label and len(label.short) > 8 else 0)
    if text.strip() not in (b"", b"NO NAME"):
        yield Field("filesystem.label", fat.names.decode(text.strip()))
    yield from (replace(stamp, origin="fat.label") for stamp in (label.stamps[:1] if label else ()))
    yield from fat.names.fields()
    for data, chain in folders:
        path = "".join(_name(fat, entry) + "/" for entry in chain)
        raw_path = b"".join(_raw(entry) + b"/" for entry in chain)
        gone = any(entry.deleted for entry in chain)
        for entry in fat.entries(data):
            if not entry.attributes & _LABEL:
                yield _tell(fat, prefix, path + _name(fat, entry), raw_path + _raw(entry), entry, gone)
    yield from unallocated(volume, prefix, fat.free_runs())


def _folders(fat: _Fat) -> tuple[list[tuple[bytes, tuple[_Entry, ...]]], _Entry | None]:
    """Every folder's bytes with the entries that lead to it, and the entry that is the label."""
    root = (fat.folder(fat.root_cluster), ())
    found: list[tuple[bytes, tuple[_Entry, ...]]] = []
    waiting: list[tuple[bytes, tuple[_Entry, ...]]] = [root]
    seen = {fat.root_cluster}
    label = None
    while waiting:
        data, chain = waiting.pop()
        found.append((data, chain))
        below = []
        for entry in fat.entries(data):
            fat.names.see(entry.short)
            if entry.attributes & _LABEL:
                label = label or (entry if not chain and not entry.deleted else None)
            elif entry.attributes & _DIRECTORY and entry.first > 1 and entry.first not in seen:
                seen.add(entry.first)
                gone = entry.deleted or any(each.deleted for each in chain)
                if len(chain) < MOST_DEPTH and (content := fat.folder(entry.first, deleted=gone)):
                    below.append((content, (*chain, entry)))
        waiting += reversed(below)
    return found, label


def _name(fat: _Fat, entry: _Entry) -> str:
    if entry.long:
        return entry.long
    stem, dot, suffix = fat.names.decode(entry.short).partition(".")
    stem = stem.lower() if entry.lower & 0x08 else stem
    return stem + dot + (suffix.lower() if entry.lower & 0x10 else suffix)


def _raw(entry: _Entry) -> bytes:
    return entry.long.encode("utf-8", "surrogatepass") if entry.long else entry.short


def _tell(fat: _Fat, prefix: str, path: str, raw: bytes, entry: _Entry, gone: bool) -> Child:
    unit = fat.clusters.unit
    deleted = entry.deleted or gone
    is_folder = bool(entry.attributes & _DIRECTORY)
    needed = (entry.size + unit - 1) // unit
    opening = None
    problems: tuple[Problem, ...] = ()
    how = None
    if is_folder:
        pass
    elif not entry.size:
        opening = opener(fat.volume, (), 0)
    elif deleted:
        runs = fat.clusters.free_from(entry.first, needed, fat.free)
        if runs:
            opening, how = opener(fat.volume, runs, min(entry.size, sum(run.size for run in runs))), GUESSED
        else:
            problems = lost("the first cluster is in use again")
    elif message := fat.clusters.broken(entry.first, needed):
        problems = (Problem("corrupt", message, resolution="read as far as it goes"),)
        runs = list(fat.clusters.runs(entry.first, needed))
        opening = opener(fat.volume, runs, min(entry.size, sum(run.size for run in runs)))
    else:
        opening = opener(fat.volume, fat.clusters.runs(entry.first, needed), entry.size)
    fields: Told = {
        "file.kind": FOLDER if is_folder else None,
        "file.deleted": True if deleted else None,
        "file.recovery": how,
        "file.short_name": _short(fat, entry),
        "file.flags": ", ".join(name for bit, name in ATTRIBUTES if entry.attributes & bit) or None,
        "file.cluster": entry.first or None,
        "file.allocated": None if is_folder or deleted else needed * unit,
    }
    return member(prefix, path, raw, opening=opening, stamps=entry.stamps, fields=fields, problems=problems)


def _short(fat: _Fat, entry: _Entry) -> str | None:
    return fat.names.decode(entry.short) if entry.long else None


def check_fat(volume: Volume) -> None:
    """Nothing where the volume has clusters at all.

    Raises:
        EvidenceError: where the boot sector describes none.
    """
    if not _Fat(volume).clusters.count:
        raise EvidenceError("corrupt", "FAT: the boot sector leaves no room for clusters")
