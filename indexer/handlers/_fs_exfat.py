"""exFAT: names, deleted entries, times with their offsets, free clusters.

Source: Microsoft, exFAT file system specification, revision 1.00: main boot sector (3.1), directory
    entries (6, 7), timestamps (7.4.8 to 7.4.10).
Limits: TexFAT's second bitmap is not looked at. Bytes of a deleted file whose chain was in the table
    are taken from the free clusters from the first one on, and the member says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from struct import unpack_from

from msgspec import Struct

from indexer.errors import EvidenceError
from indexer.handlers._archive import FOLDER
from indexer.handlers._fs_fat import ATTRIBUTES, GUESSED, Clusters
from indexer.handlers._fs_parts import (
    MOST_DEPTH,
    MOST_FOLDER,
    Run,
    Told,
    Volume,
    check_size,
    gather,
    lost,
    member,
    opener,
    reused,
    unallocated,
    zero_bits,
)
from indexer.model import Child, Fact, Field, Problem, Timestamp, replace
from indexer.timestamps import from_dos

_BITMAP, _LABEL, _FILE, _STREAM, _NAME = 0x01, 0x03, 0x05, 0x40, 0x41
_IN_USE = 0x80


class _Entry(Struct, frozen=True):
    name: str
    attributes: int
    first: int
    size: int
    valid: int
    contiguous: bool
    deleted: bool
    stamps: tuple[Timestamp, ...]


class _ExFat:
    def __init__(self, volume: Volume) -> None:
        self.volume = volume
        boot = volume.exact(0, 512)
        table, _, heap, count, self.root, self.serial = unpack_from("<6I", boot, 80)
        sector, per_cluster = boot[108], boot[109]
        if not 9 <= sector <= 12 or sector + per_cluster > 25:
            raise EvidenceError("corrupt", f"exFAT: sectors of 2^{sector}, clusters of 2^{per_cluster} sectors")
        self.size = unpack_from("<Q", boot, 72)[0] << sector
        self.table = table << sector
        unit = 1 << sector + per_cluster
        count = min(count, max(0, volume.size - (heap << sector)) // unit + 1)
        self.clusters = Clusters(volume, heap << sector, unit, count, self._link)
        self.label = ""
        self.bitmap = b""

    def _link(self, cluster: int) -> int:
        return int.from_bytes(self.volume.at(self.table + cluster * 4, 4), "little")

    def free(self, cluster: int) -> bool:
        """Whether the bitmap calls a cluster free; none is where there is no bitmap."""
        octet, bit = divmod(cluster - 2, 8)
        return octet < len(self.bitmap) and not self.bitmap[octet] >> bit & 1

    def runs(self, first: int, size: int, contiguous: bool) -> list[Run]:
        """The runs of `size` bytes."""
        needed = -(-size // self.clusters.unit)
        if contiguous:
            if not 2 <= first < self.clusters.count + 2:
                return []
            needed = min(needed, self.clusters.count + 2 - first)
            return [Run(self.clusters.start + (first - 2) * self.clusters.unit, needed * self.clusters.unit)]
        return list(self.clusters.runs(first, needed))

    def system(self, data: bytes) -> None:
        """Takes the label and the bitmap out of the root's entries."""
        for at in range(0, len(data) - 31, 32):
            kind = data[at]
            if kind == _IN_USE | _LABEL:
                count = min(data[at + 1], 11)
                self.label = data[at + 2 : at + 2 + count * 2].decode("utf-16-le", "replace")
            elif kind == _IN_USE | _BITMAP and not self.bitmap:
                first, size = unpack_from("<IQ", data, at + 20)
                size = min(size, (self.clusters.count + 7) // 8)
                self.bitmap = gather(self.volume, self.clusters.runs(first, size // self.clusters.unit + 1), size, size)


def _entries(data: bytes) -> Iterator[_Entry]:
    """The file entries of a folder, deleted ones too."""
    at = 0
    while at + 32 <= len(data):
        kind = data[at]
        if kind == 0:
            return
        if kind & 0x7F != _FILE:
            at += 32
            continue
        in_use = kind & _IN_USE
        following = [data[start : start + 32] for start in range(at + 32, at + 32 + data[at + 1] * 32, 32)]
        stream = following[0] if following and len(following[0]) == 32 else b""
        if not stream or stream[0] != in_use | _STREAM:
            at += 32
            continue
        raw = b""
        taken = 1
        for part in following[1:]:
            if len(part) < 32 or part[0] != in_use | _NAME:
                break
            raw += part[2:32]
            taken += 1
        valid, _, first, size = unpack_from("<QIIQ", stream, 8)
        yield _Entry(
            name=raw[: stream[3] * 2].decode("utf-16-le", "surrogatepass") or f"entry-{at // 32}",
            attributes=unpack_from("<H", data, at + 4)[0],
            first=first,
            size=size,
            valid=min(valid, size),
            contiguous=bool(stream[1] & 2),
            deleted=not in_use,
            stamps=tuple(_stamps(data[at : at + 32])),
        )
        at += 32 + taken * 32


def _stamps(raw: bytes) -> Iterator[Timestamp]:
    for kind, origin, at, tenths, zone in (
        ("M", "exfat.modified", 12, 21, 23),
        ("A", "exfat.accessed", 16, 0, 24),
        ("B", "exfat.created", 8, 20, 22),
    ):
        time, date = unpack_from("<HH", raw, at)
        stamp = from_dos(kind, date, time, origin)
        if not stamp:
            continue
        if tenths and raw[tenths] < 200:
            stamp = replace(stamp, at=stamp.at + timedelta(milliseconds=raw[tenths] * 10), resolution=0.01)
        if raw[zone] & 0x80:
            quarters = (raw[zone] & 0x7F) - (0x80 if raw[zone] & 0x40 else 0)
            stamp = replace(stamp, at=stamp.at - timedelta(minutes=15 * quarters), zone_known=True)
        yield stamp


def walk_exfat(volume: Volume, prefix: str) -> Iterator[Fact]:
    """The volume's fields, its members in the order of their folders, then the free clusters."""
    disk = _ExFat(volume)
    yield Field("filesystem.kind", "exFAT")
    yield Field("filesystem.block_size", disk.clusters.unit)
    yield from check_size(volume, disk.size)
    yield Field("filesystem.serial", f"{disk.serial >> 16:04X}-{disk.serial & 0xFFFF:04X}")
    root = gather(volume, disk.clusters.runs(disk.root, MOST_FOLDER // disk.clusters.unit), _size_of(disk, disk.root))
    disk.system(root)
    if disk.label:
        yield Field("filesystem.label", disk.label)
    if not disk.bitmap:
        yield Problem("corrupt", "exFAT: no allocation bitmap", resolution="free clusters are not known")
    waiting: list[tuple[str, int, bool, Iterator[_Entry]]] = [("", 0, False, _entries(root))]
    seen = {disk.root}
    while waiting:
        path, depth, gone, entries = waiting[-1]
        entry = next(entries, None)
        if entry is None:
            waiting.pop()
            continue
        deleted = entry.deleted or gone
        yield _tell(disk, prefix, path + entry.name, entry, deleted)
        if entry.attributes & 0x10 and entry.first not in seen and depth < MOST_DEPTH:
            if deleted and not disk.free(entry.first):
                continue
            seen.add(entry.first)
            size = min(entry.size, MOST_FOLDER)
            runs = disk.runs(entry.first, size, entry.contiguous or deleted)
            waiting.append((path + entry.name + "/", depth + 1, deleted, _entries(gather(volume, runs, size))))
    count = min(disk.clusters.count, len(disk.bitmap) * 8)

    def free_runs() -> Iterator[Run]:
        unit = disk.clusters.unit
        for first, length in zero_bits(disk.bitmap, count):
            yield Run(disk.clusters.start + first * unit, length * unit)

    yield from unallocated(volume, prefix, free_runs())


def _size_of(disk: _ExFat, first: int) -> int:
    return sum(run.size for run in disk.clusters.runs(first, MOST_FOLDER // disk.clusters.unit))


def _tell(disk: _ExFat, prefix: str, path: str, entry: _Entry, deleted: bool) -> Child:
    unit = disk.clusters.unit
    needed = -(-entry.size // unit)
    is_folder = bool(entry.attributes & 0x10)
    opening = None
    how = None
    problems: tuple[Problem, ...] = ()
    if is_folder:
        pass
    elif not entry.size:
        opening = opener(disk.volume, (), 0)
    elif deleted and not disk.free(entry.first):
        problems = lost("the first cluster is in use again")
    else:
        size = entry.size
        if deleted and not entry.contiguous:
            runs, how = disk.clusters.free_from(entry.first, needed, disk.free), GUESSED
        else:
            runs = disk.runs(entry.first, size, entry.contiguous)
        if (held := sum(run.size for run in runs)) < size:
            message = f"{held} of {size} bytes have clusters"
            problems = (Problem("corrupt", message, resolution="read as far as it goes"),)
            size = held
        elif deleted and entry.contiguous:
            first, last = entry.first, entry.first + needed
            used = sum(not disk.free(cluster) for cluster in range(first, last)) * unit
            problems = reused(used, needed * unit)
        # Behind the valid length stands what other files left there: the system reads it as zeros.
        opening = opener(disk.volume, _clip(runs, min(entry.valid, size)), size)
    fields: Told = {
        "file.kind": FOLDER if is_folder else None,
        "file.deleted": True if deleted else None,
        "file.recovery": how,
        "file.flags": ", ".join(name for bit, name in ATTRIBUTES if entry.attributes & bit) or None,
        "file.cluster": entry.first or None,
        "file.allocated": None if is_folder or deleted else needed * unit,
        "file.valid_bytes": entry.valid if entry.valid < entry.size and not is_folder else None,
    }
    return member(prefix, path, opening=opening, stamps=entry.stamps, fields=fields, problems=problems)


def _clip(runs: list[Run], size: int) -> list[Run]:
    kept = []
    for run in runs:
        if size <= 0:
            break
        kept.append(Run(run.at, min(run.size, size)))
        size -= run.size
    return kept
