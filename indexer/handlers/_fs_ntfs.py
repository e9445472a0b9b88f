"""NTFS: every record of the master file table, deleted and orphaned ones too, with streams and all times.

Source: Linux NTFS project, NTFS documentation 0.5; [MS-FSCC] 2.4 and 2.6 (attributes); the records
    themselves are in `_fs_ntfs_records.py`.
Limits: names that only a gap of a folder's index still holds are not told; files that Windows
    compacted (WOF) or deduplicated are not unpacked; neither $LogFile nor $UsnJrnl is replayed; of the
    indexes, and of $Boot, $UpCase and $BadClus:$Bad, the bytes are not given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import unpack_from
from typing import BinaryIO, NamedTuple

from indexer.handlers._archive import FOLDER, SYMLINK
from indexer.handlers._fs_ntfs_lone import LoneTable
from indexer.handlers._fs_ntfs_records import (
    COMPACTED,
    COMPRESSED,
    DATA,
    ENCRYPTED,
    FILE_NAME,
    INFORMATION,
    JUNCTION,
    LINUX_LINK,
    LIST,
    REPARSE,
    SECURITY,
    SYMBOLIC,
    VOLUME,
    VOLUME_NAME,
    Attribute,
    Name,
    Record,
    Table,
    parse_name,
    parse_record,
    read_owner,
    read_reparse,
)
from indexer.handlers._fs_parts import (
    HOLE,
    MOST_DEPTH,
    MOST_FOLDER,
    ORPHANS,
    Run,
    Told,
    Volume,
    check_size,
    gather,
    lost,
    member,
    reused,
    stored,
    unallocated,
    zero_bits,
)
from indexer.handlers._streams import open_chunks
from indexer.model import Child, Fact, Field, Problem, Timestamp
from indexer.timestamps import from_filetime

_ROOT, _VOLUME, _BITMAP, _BAD, _SECURE = 5, 3, 6, 8, 9
_LONGEST = 32_767
"""Characters of a path: Windows opens none that is longer."""
_REMEMBERED = 1 << 23
"""Characters of paths that are held."""
_SILENT = frozenset({7, 10})
"""$Boot, which would be taken for a volume again, and $UpCase, where every letter there is would be found."""
_TABLES = frozenset({0, 1})
"""$MFT and its mirror, of which every record is told anyway."""
LISTED = "listed-file"
_FIRST_OWN = 24
"""Records before this one are kept for the file system; unnamed ones of them were never used."""
_DOS = 2
_FLAGS = (
    (0x1, "read-only"),
    (0x2, "hidden"),
    (0x4, "system"),
    (0x20, "archive"),
    (0x100, "temporary"),
    (0x200, "sparse"),
    (0x400, "reparse point"),
    (0x800, "compressed"),
    (0x1000, "offline"),
    (0x4000, "encrypted"),
)
_TIMES = (("B", "crtime"), ("M", "mtime"), ("C", "ctime"), ("A", "atime"))


class _Folder(NamedTuple):
    sequence: int
    in_use: bool
    name: Name


class _Ntfs:
    def __init__(self, volume: Volume, table: Table) -> None:
        self.volume = volume
        self.table = table
        self.bitmap = b"" if table.is_alone else self._read(_BITMAP, "", MOST_FOLDER * 16)
        self.owners = {} if table.is_alone else _owners(self._read(_SECURE, "$SDS", MOST_FOLDER))
        self.folders: dict[int, _Folder] = {}
        self._paths: dict[tuple[int, int], tuple[str, bool]] = {}
        self._characters = 0
        self.damaged = 0

    def _read(self, number: int, stream: str, most: int) -> bytes:
        record = self.table.record(number)
        found = record and next(
            (each for each in self.table.complete(record) if each.kind == DATA and each.name == stream), None
        )
        if not found:
            return b""
        if found.held is not None:
            return found.held
        return gather(self.volume, self.table.runs(found), min(found.size, self.volume.size), most)

    def learn_folders(self) -> None:
        """Reads the name and the parent of every folder, so that paths can be told."""
        for number, raw in self.table.raws():
            if raw.startswith(b"BAAD"):
                self.damaged += 1
            elif raw[22] & 2 and (record := parse_record(raw, number)) and not record.base:
                names = self.names(record)
                if names:
                    self.folders[number] = _Folder(record.sequence, record.in_use, names[0])

    def names(self, record: Record) -> list[Name]:
        """The names of a file, without the DOS names that only stand beside longer ones."""
        attributes = self.table.complete(record) if any(record.all(LIST)) else record.attributes
        names = [name for each in attributes if each.kind == FILE_NAME and (name := parse_name(each.held))]
        return [name for name in names if name.space != _DOS] or names[:1]

    def path(self, parent: int, sequence: int) -> tuple[str, bool]:
        """The path of a folder with its slash, and whether it was deleted."""
        steps: list[tuple[int, int, str]] = []
        below = (parent, sequence)
        seen = set()
        path, gone = ORPHANS + "/", True
        while True:
            if below[0] == _ROOT:
                path, gone = "", False
                break
            if below in self._paths:
                path, gone = self._paths[below]
                break
            folder = self.folders.get(below[0])
            if folder is None or below in seen or len(steps) > MOST_DEPTH:
                break
            # The number rises when a record is let go, so a deleted folder's is one more than its files tell.
            if folder.sequence != below[1] and (folder.in_use or folder.sequence != below[1] + 1):
                break
            seen.add(below)
            steps.append((*below, folder.name.text))
            below = (folder.name.parent, folder.name.parent_sequence)
        if self._characters > _REMEMBERED:
            self._paths.clear()
            self._characters = 0
        for number, counted, name in reversed(steps):
            path += name + "/"
            gone = gone or not self.folders[number].in_use
            if len(path) > _LONGEST:
                path, gone = f"{ORPHANS}/{name}/", True
            self._paths[number, counted] = path, gone
            self._characters += len(path)
        return path, gone

    def used(self, runs: list[Run]) -> int:
        """Bytes of runs that the bitmap says are in use."""
        unit = self.table.unit
        total = 0
        for run in runs:
            if run.at == HOLE:
                continue
            first, last = run.at // unit, -(-(run.at + run.size) // unit)
            bits = int.from_bytes(self.bitmap[first // 8 : -(-last // 8)], "little") >> first % 8
            total += (bits & (1 << last - first) - 1).bit_count() * unit if last - first < 1 << 31 else 0
        return total


def _owners(data: bytes) -> dict[int, tuple[str, str]]:
    """Owner and group by security number, out of $SDS; a second copy follows every 256 KiB."""
    owners: dict[int, tuple[str, str]] = {}
    at = 0
    while at + 20 <= len(data):
        _, number, offset, size = unpack_from("<IIQI", data, at)
        if offset == at and 20 < size < 65536:
            owners.setdefault(number, read_owner(data[at + 20 : at + size]))
            at += size + 15 & ~15
        else:
            at = (at // 0x40000 + 1) * 0x40000
    return owners


def walk_ntfs(volume: Volume, prefix: str) -> Iterator[Fact]:
    """The volume's fields, its members in the order of their records, then the free clusters."""
    ntfs = _Ntfs(volume, Table(volume))
    yield Field("filesystem.kind", "NTFS")
    yield Field("filesystem.block_size", ntfs.table.unit)
    yield from check_size(volume, ntfs.table.bytes)
    yield Field("filesystem.serial", f"{ntfs.table.serial:016X}")
    if record := ntfs.table.record(_VOLUME):
        if label := record.held(VOLUME_NAME):
            yield Field("filesystem.label", label.decode("utf-16-le", "replace"))
        if len(told := record.held(VOLUME)) >= 12:
            yield Field("filesystem.version", f"{told[8]}.{told[9]}")
        if len(times := record.held(INFORMATION)) >= 32:
            created = from_filetime("B", unpack_from("<Q", times)[0], "ntfs.volume.crtime")
            yield from (created,) if created else ()
    yield from _walk(ntfs, prefix)
    count = min(ntfs.table.clusters, len(ntfs.bitmap) * 8)
    unit = ntfs.table.unit
    yield from unallocated(
        volume, prefix, (Run(first * unit, size * unit) for first, size in zero_bits(ntfs.bitmap, count))
    )


def walk_table(volume: Volume, size: int) -> Iterator[Fact]:
    """The same for a master file table that was taken out of its volume, with records of `size` bytes."""
    yield from _walk(_Ntfs(volume, LoneTable(volume, size)), "")


def _walk(ntfs: _Ntfs, prefix: str) -> Iterator[Fact]:
    ntfs.learn_folders()
    if ntfs.damaged:
        yield Problem("corrupt", f"NTFS: {ntfs.damaged} records are marked as damaged", resolution="left out")
    for number, raw in ntfs.table.raws():
        record = parse_record(raw, number)
        if record and not record.base and number != _ROOT:
            yield from _tell(ntfs, prefix, record)


def _tell(ntfs: _Ntfs, prefix: str, record: Record) -> Iterator[Child]:
    """A file under each of its names, each name followed by the file's other streams."""
    attributes = ntfs.table.complete(record) if any(record.all(LIST)) else list(record.attributes)
    information = next((each.held for each in attributes if each.kind == INFORMATION and each.held), b"")
    streams = [each for each in attributes if each.kind == DATA and (each.held is not None or not each.first)]
    names = ntfs.names(record)
    if not names and (not streams or record.number < _FIRST_OWN):
        return
    stamps = _stamps(information, 0, "si") if len(information) >= 32 else []
    tag, target = read_reparse(next((each.held for each in attributes if each.kind == REPARSE and each.held), b""))
    fields = _fields(ntfs, record, information, attributes, len(names))
    found: list[Name | None] = [*names] or [None]
    for name in found:
        folder, gone = ntfs.path(name.parent, name.parent_sequence) if name else (ORPHANS + "/", True)
        path = folder + (name.text if name else f"record-{record.number}")
        deleted = gone or not record.in_use
        own = [*stamps, *(_stamp(kind, ticks, f"fn.{origin}") for (kind, origin), ticks in _named_times(name))]
        told: Told = {**fields, "file.deleted": True if deleted else None}
        main = next((each for each in streams if not each.name), None)
        yield _main(ntfs, prefix, path, record, main, own, told, tag, target, deleted)
        for stream in streams:
            if stream.name:
                yield _stream(ntfs, prefix, f"{path}:{stream.name}", record, stream, stamps, told, deleted)


def _main(
    ntfs: _Ntfs,
    prefix: str,
    path: str,
    record: Record,
    stream: Attribute | None,
    stamps: list[Timestamp | None],
    told: Told,
    tag: int,
    target: str,
    deleted: bool,
) -> Child:
    kind: str | None = None
    if tag in (SYMBOLIC, JUNCTION, LINUX_LINK):
        kind = "junction" if tag == JUNCTION else SYMLINK
    elif record.is_folder:
        kind = FOLDER
    elif stream is None or record.number in _SILENT:
        kind = "record"
    fields = {"file.kind": kind, "file.link_target": target or None, **told}
    if kind or stream is None:
        return member(prefix, path, stamps=stamps, fields=fields, problems=_torn(record))
    if tag == COMPACTED:
        problem = Problem("unsupported", "compacted by Windows (WOF)", resolution="packed bytes are a stream of it")
        return member(prefix, path, stamps=stamps, fields=fields, problems=(problem,))
    opening, more, problems = _open(ntfs, stream, deleted)
    if ntfs.table.is_alone and opening is None:
        fields["file.kind"] = LISTED
    elif record.number in _TABLES:
        fields["file.kind"] = "file-table"
    return member(
        prefix, path, opening=opening, stamps=stamps, fields={**fields, **more}, problems=_torn(record) + problems
    )


def _stream(
    ntfs: _Ntfs,
    prefix: str,
    path: str,
    record: Record,
    stream: Attribute,
    stamps: list[Timestamp | None],
    told: Told,
    deleted: bool,
) -> Child:
    fields: Told = {"file.kind": "stream", **told}
    if record.number == _BAD:
        # The stream of bad clusters is a hole of the size of the volume.
        return member(prefix, path, stamps=stamps, fields=fields)
    if stream.runs and stream.runs[0][0] == HOLE and path.endswith("$UsnJrnl:$J"):
        # The journal's old part is given back to the volume and leaves a hole that only grows.
        skipped = min(stream.runs[0][1] * ntfs.table.unit, stream.size)
        valid = max(0, stream.valid - skipped)
        size = stream.size - skipped
        stream = Attribute(DATA, stream.name, stream.flags, None, 0, size, valid, stream.allocated, stream.runs[1:])
        fields["file.offset"] = skipped
    opening, more, problems = _open(ntfs, stream, deleted)
    return member(prefix, path, opening=opening, stamps=stamps, fields={**fields, **more}, problems=problems)


def _open(
    ntfs: _Ntfs, stream: Attribute, deleted: bool
) -> tuple[Callable[[], BinaryIO] | None, Told, tuple[Problem, ...]]:
    """How to read a stream, what to tell of it, and what is wrong with it."""
    more: Told = {}
    problems: tuple[Problem, ...] = ()
    if stream.held is None and ntfs.table.is_alone:
        return None, {"file.recorded_size": stream.size, "file.allocated": stream.allocated or None}, ()
    if stream.held is None:
        more["file.allocated"] = stream.allocated or None
        more["file.valid_bytes"] = stream.valid if stream.valid < stream.size else None
        if deleted:
            runs = ntfs.table.runs(stream)
            used, held = ntfs.used(runs), stored(runs)
            if used and used >= held:
                return None, more, lost("all its clusters are in use again")
            problems = reused(used, held)
    if stream.flags & ENCRYPTED:
        problems += (Problem("encrypted", "encrypted by the file system (EFS)", resolution="kept as is"),)
    return (lambda: open_chunks(ntfs.table.flow(stream))), more, problems


def _fields(ntfs: _Ntfs, record: Record, information: bytes, attributes: list[Attribute], names: int) -> Told:
    flags = unpack_from("<I", information, 32)[0] if len(information) >= 36 else 0
    owner = group = ""
    if len(information) >= 56:
        owner, group = ntfs.owners.get(unpack_from("<I", information, 52)[0], ("", ""))
    if not owner:
        owner, group = read_owner(next((each.held for each in attributes if each.kind == SECURITY and each.held), b""))
    data = [each.flags for each in attributes if each.kind == DATA and not each.name]
    words = [name for bit, name in _FLAGS if flags & bit]
    words += ["compressed"] if data and data[0] & COMPRESSED and "compressed" not in words else []
    words += ["encrypted"] if data and data[0] & ENCRYPTED and "encrypted" not in words else []
    return {
        "file.record": record.number,
        "file.sequence": record.sequence,
        "file.flags": ", ".join(words) or None,
        "file.owner_sid": owner or None,
        "file.group_sid": group or None,
        "file.links": names if names > 1 else None,
    }


def _torn(record: Record) -> tuple[Problem, ...]:
    return (Problem("corrupt", "the record was only partly written", resolution="read as it stands"),) * record.torn


def _stamps(raw: bytes, at: int, origin: str) -> list[Timestamp | None]:
    ticks = unpack_from("<4Q", raw, at)
    return [_stamp(kind, tick, f"{origin}.{name}") for (kind, name), tick in zip(_TIMES, ticks, strict=True)]


def _stamp(kind: str, ticks: int, origin: str) -> Timestamp | None:
    return from_filetime(kind, ticks, f"ntfs.{origin}")


def _named_times(name: Name | None) -> Iterator[tuple[tuple[str, str], int]]:
    return zip(_TIMES, name.times, strict=True) if name else iter(())
