"""XFS, version 4 and 5: names, deleted names, holes, links, free blocks.

Source: XFS Algorithms & Data Structures, 3rd edition (kernel.org, 2018): super block, AG headers,
    inodes, data extents, directories, symbolic links; Linux, fs/xfs/libxfs/xfs_format.h for
    big times and wide extent counters.
Limits: the log is not replayed; inodes lose their extents when they are deleted, so that of deleted
    files the names are told and the bytes are among the unallocated ones. Files of a real-time
    section lie on another device.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import unpack_from
from uuid import UUID

from msgspec import Struct

from indexer.errors import EvidenceError
from indexer.handlers._archive import FILE, FOLDER, SYMLINK, kind_of_mode
from indexer.handlers._fs_parts import (
    HOLE,
    MOST_DEPTH,
    MOST_FOLDER,
    NameBytes,
    Run,
    Told,
    Volume,
    check_size,
    gather,
    kind_field,
    lost,
    member,
    open_bytes,
    opener,
    unallocated,
)
from indexer.model import Child, Fact, Field, Problem, Timestamp
from indexer.timestamps import from_unix

_LOCAL, _EXTENTS, _TREE = 1, 2, 3
_BIG_TIME, _WIDE = 0x8, 0x10
_FLAGS = ((0x8, "immutable"), (0x10, "append only"), (0x20, "synchronous"), (0x80, "no dump"), (0x1, "real-time"))
_LEAVES = 32 << 30
_MOST_TARGET = 4096


class _Inode(Struct, frozen=True):
    number: int
    mode: int
    uid: int
    gid: int
    links: int
    size: int
    blocks: int
    form: int
    extents: int
    flags: int
    generation: int
    stamps: tuple[Timestamp, ...]
    fork: bytes


class _Name(Struct, frozen=True):
    inode: int
    raw: bytes
    deleted: bool


class _Xfs:
    def __init__(self, volume: Volume) -> None:
        self.volume = volume
        head = volume.exact(0, 512)
        self.head = head
        self.unit: int = unpack_from(">I", head, 4)[0]
        self.root = unpack_from(">Q", head, 56)[0]
        self.group_blocks: int
        self.group_blocks, self.groups = unpack_from(">II", head, 84)
        self.version = unpack_from(">H", head, 100)[0] & 15
        self.sector, self.inode_size = unpack_from(">HH", head, 102)
        self.per_block_log, self.group_log = head[123], head[124]
        if self.unit not in (1 << n for n in range(9, 17)) or not 256 <= self.inode_size <= 2048:
            raise EvidenceError("corrupt", f"XFS: blocks of {self.unit} bytes, inodes of {self.inode_size}")
        if self.group_log > 31 or self.per_block_log > 8 or head[192] > 7:
            raise EvidenceError("corrupt", "XFS: the super block gives sizes that cannot be")
        if not self.group_blocks:
            raise EvidenceError("corrupt", "XFS: allocation groups of no blocks")
        self.groups = min(self.groups, volume.size // (self.group_blocks * self.unit) + 1)
        self.folder_unit = self.unit << head[192]
        self.is_five = self.version == 5
        self.has_types = bool(unpack_from(">I", head, 216)[0] & 1 if self.is_five else head[202] & 2)
        self.names = NameBytes()

    def place(self, block: int) -> int:
        """The offset on the volume of a block by its number in the file system."""
        group, inside = block >> self.group_log, block & (1 << self.group_log) - 1
        return (group * self.group_blocks + inside) * self.unit

    def inode(self, number: int) -> _Inode | None:
        """An inode by its number, or None where there is none."""
        block, index = number >> self.per_block_log, number & (1 << self.per_block_log) - 1
        if block >> self.group_log >= self.groups:
            return None
        raw = self.volume.at(self.place(block) + index * self.inode_size, self.inode_size)
        return _parse(number, raw) if len(raw) == self.inode_size and raw[:2] == b"IN" else None

    def runs(self, inode: _Inode) -> Iterator[Run]:
        """Where an inode's bytes lie, in order; holes where nothing was written."""
        block = 0
        for first, start, count, written in self.extents(inode):
            if first < block:
                continue
            if first > block:
                yield Run(HOLE, (first - block) * self.unit)
            yield Run(self.place(start) if written else HOLE, count * self.unit)
            block = first + count

    def extents(self, inode: _Inode) -> Iterator[tuple[int, int, int, bool]]:
        """First block in the file, first on the volume, count, and whether it was written."""
        if inode.form == _EXTENTS:
            yield from _unpack(inode.fork, inode.extents)
        elif inode.form == _TREE and len(inode.fork) >= 4:
            count = unpack_from(">H", inode.fork, 2)[0]
            waiting = _pointers(inode.fork, 4, (len(inode.fork) - 4) // 16, count, 8)[::-1]
            start = 72 if self.is_five else 24
            seen: set[int] = set()
            while waiting:
                block = waiting.pop()
                data = b"" if block in seen else self.volume.at(self.place(block), self.unit)
                seen.add(block)
                if data[:4] not in (b"BMAP", b"BMA3"):
                    continue
                level, count = unpack_from(">HH", data, 4)
                if level:
                    waiting += _pointers(data, start, (self.unit - start) // 16, count, 8)[::-1]
                else:
                    yield from _unpack(data[start:], count)

    def folder(self, inode: _Inode) -> Iterator[_Name]:
        """The entries of a folder; those that only a gap still holds are deleted."""
        if inode.form == _LOCAL:
            yield from self._short(inode.fork[: inode.size])
            return
        size = 0
        pieces: dict[int, bytes] = {}
        for first, start, count, written in self.extents(inode):
            if first * self.unit >= _LEAVES or not written or size > MOST_FOLDER:
                continue
            data = gather(self.volume, (Run(self.place(start), count * self.unit),), count * self.unit)
            size += len(data)
            for index in range(len(data) // self.unit):
                pieces[first + index] = data[index * self.unit : (index + 1) * self.unit]
        per = self.folder_unit // self.unit
        for first in sorted({number // per for number in pieces}):
            yield from self._block(b"".join(pieces.get(first * per + n, b"") for n in range(per)))

    def _short(self, data: bytes) -> Iterator[_Name]:
        if len(data) < 6:
            return
        width = 8 if data[1] else 4
        at = 2 + width
        for _ in range(data[0] or data[1]):
            size = data[at] if at < len(data) else 0
            name = data[at + 3 : at + 3 + size]
            at += 3 + size + self.has_types
            if not size or at + width > len(data):
                return
            yield _Name(int.from_bytes(data[at : at + width], "big"), name, False)
            at += width

    def _block(self, data: bytes) -> Iterator[_Name]:
        magic = data[:4]
        if magic not in (b"XD2B", b"XD2D", b"XDB3", b"XDD3"):
            return
        end = len(data)
        if magic in (b"XD2B", b"XDB3"):
            end -= 8 + min(unpack_from(">I", data, end - 8)[0] * 8, end)
        at = 64 if magic[3:] == b"3" else 16
        while at + 16 <= end:
            if data[at : at + 2] == b"\xff\xff":
                length = unpack_from(">H", data, at + 2)[0]
                if length < 8 or length % 8:
                    return
                yield from self._gap(data, at, min(at + length, end))
                at += length
                continue
            entry = self._entry(data, at, end)
            if not entry:
                return
            if entry.raw not in (b".", b".."):
                yield entry
            at += 11 + len(entry.raw) + self.has_types + 7 & ~7

    def _entry(self, data: bytes, at: int, end: int) -> _Name | None:
        size = data[at + 8]
        length = 11 + size + self.has_types + 7 & ~7
        if not size or at + length > end or unpack_from(">H", data, at + length - 2)[0] != at:
            return None
        return _Name(unpack_from(">Q", data, at)[0], data[at + 9 : at + 9 + size], False)

    def _gap(self, data: bytes, start: int, end: int) -> Iterator[_Name]:
        """Entries whose place was freed: the first has lost the upper half of its inode's number."""
        at = start
        while at + 16 <= end:
            entry = self._entry(data, at, end)
            if not entry or b"\0" in entry.raw or b"/" in entry.raw:
                at += 8
                continue
            if entry.raw not in (b".", b".."):
                yield _Name(entry.inode & 0xFFFFFFFF if at == start else entry.inode, entry.raw, True)
            at += 11 + len(entry.raw) + self.has_types + 7 & ~7

    def free(self) -> Iterator[Run]:
        """The free blocks, by the trees of the groups."""
        start = 56 if self.is_five else 16
        for group in range(self.groups):
            base = group * self.group_blocks
            header = self.volume.at(base * self.unit + self.sector, 32)
            if header[:4] != b"XAGF":
                return
            waiting = [unpack_from(">I", header, 16)[0]]
            seen: set[int] = set()
            while waiting:
                block = waiting.pop()
                data = b"" if block in seen else self.volume.at((base + block) * self.unit, self.unit)
                seen.add(block)
                if data[:4] not in (b"ABTB", b"AB3B"):
                    continue
                level, count = unpack_from(">HH", data, 4)
                if level:
                    waiting += _pointers(data, start, (self.unit - start) // 12, count, 4)[::-1]
                    continue
                for index in range(min(count, (self.unit - start) // 8)):
                    first, length = unpack_from(">II", data, start + index * 8)
                    if first + length <= self.group_blocks:
                        yield Run((base + first) * self.unit, length * self.unit)


def _unpack(data: bytes, count: int) -> Iterator[tuple[int, int, int, bool]]:
    for at in range(0, min(count * 16, len(data) - 15), 16):
        high, low = unpack_from(">QQ", data, at)
        yield high >> 9 & (1 << 54) - 1, (high & 0x1FF) << 43 | low >> 21, low & 0x1FFFFF, not high >> 63


def _pointers(data: bytes, start: int, most: int, count: int, width: int) -> list[int]:
    """The block numbers of a tree's node, which stand behind the room for its keys of 8 bytes."""
    first = start + most * 8
    held = min(count, most, (len(data) - first) // width)
    return [int.from_bytes(data[first + n * width : first + n * width + width], "big") for n in range(held)]


def _parse(number: int, raw: bytes) -> _Inode:
    mode, version, form, old_links, uid, gid, links = unpack_from(">HBBHIII", raw, 2)
    size, blocks, _, extents = unpack_from(">QQII", raw, 56)
    fork_at = raw[82]
    flags, generation = unpack_from(">HI", raw, 90)
    more = unpack_from(">Q", raw, 120)[0] if version == 3 else 0
    if more & _WIDE:
        extents = unpack_from(">Q", raw, 24)[0]
    times = [("A", "atime", 32), ("M", "mtime", 40), ("C", "ctime", 48)] + [("B", "crtime", 144)] * (version == 3)
    start = 176 if version == 3 else 100
    return _Inode(
        number=number,
        mode=mode,
        uid=uid,
        gid=gid,
        links=old_links if version == 1 else links,
        size=size,
        blocks=blocks,
        form=form,
        extents=extents,
        flags=flags,
        generation=generation,
        stamps=tuple(
            stamp for kind, origin, at in times if (stamp := _stamp(kind, origin, raw, at, big=bool(more & _BIG_TIME)))
        ),
        fork=raw[start : start + fork_at * 8 if fork_at else None],
    )


def _stamp(kind: str, origin: str, raw: bytes, at: int, *, big: bool) -> Timestamp | None:
    if big:
        seconds, fine = divmod(unpack_from(">Q", raw, at)[0], 1_000_000_000)
        seconds -= 1 << 31
    else:
        seconds, fine = unpack_from(">iI", raw, at)
    if not seconds and not fine:
        return None
    return from_unix(kind, seconds, f"xfs.{origin}", nanoseconds=min(fine, 999_999_999), resolution=1e-9)


def walk_xfs(volume: Volume, prefix: str) -> Iterator[Fact]:
    """The volume's fields, its members folder by folder, then the free blocks."""
    xfs = _Xfs(volume)
    yield Field("filesystem.kind", "XFS")
    yield Field("filesystem.version", str(xfs.version))
    yield Field("filesystem.block_size", xfs.unit)
    yield from check_size(volume, unpack_from(">Q", xfs.head, 8)[0] * xfs.unit)
    yield Field("filesystem.uuid", str(UUID(bytes=xfs.head[32:48])))
    if label := xfs.head[108:120].partition(b"\0")[0]:
        yield Field("filesystem.label", xfs.names.decode(label))
    folders = _folders(xfs)
    yield from xfs.names.fields()
    for inode, raw_path in folders:
        path = "/".join(map(xfs.names.decode, raw_path.split(b"/")))
        for entry in xfs.folder(inode):
            yield _tell(xfs, prefix, path + xfs.names.decode(entry.raw), raw_path + entry.raw, entry)
    yield from unallocated(volume, prefix, xfs.free())


def _folders(xfs: _Xfs) -> list[tuple[_Inode, bytes]]:
    """Every folder with its path; names vote on the way."""
    root = xfs.inode(xfs.root)
    if root is None:
        raise EvidenceError("corrupt", "XFS: there is no root folder")
    found: list[tuple[_Inode, bytes]] = []
    waiting = [(root, b"")]
    seen = {xfs.root}
    while waiting:
        inode, path = waiting.pop()
        found.append((inode, path))
        below = []
        for entry in xfs.folder(inode):
            xfs.names.see(entry.raw)
            if entry.deleted or entry.inode in seen or path.count(b"/") >= MOST_DEPTH:
                continue
            child = xfs.inode(entry.inode)
            if child and child.mode >> 12 == 4:
                seen.add(entry.inode)
                below.append((child, path + entry.raw + b"/"))
        waiting += reversed(below)
    return found


def _tell(xfs: _Xfs, prefix: str, path: str, raw: bytes, entry: _Name) -> Child:
    if entry.deleted:
        gone: Told = {"file.deleted": True, "file.inode": entry.inode}
        return member(prefix, path, raw, fields=gone, problems=lost("only the name is left of a deleted file"))
    inode = xfs.inode(entry.inode)
    if inode is None or not inode.mode:
        problem = Problem("corrupt", f"inode {entry.inode} is not on the volume")
        return member(prefix, path, raw, fields={"file.inode": entry.inode}, problems=(problem,))
    kind = kind_of_mode(inode.mode)
    opening = target = None
    problems: tuple[Problem, ...] = ()
    if kind == SYMLINK:
        target = xfs.names.decode(_target(xfs, inode))
    elif kind == FILE and inode.flags & 1:
        problems = (Problem("unsupported", "the bytes lie on a real-time device"),)
    elif kind == FILE:
        inside = inode.form == _LOCAL
        opening = open_bytes(inode.fork[: inode.size]) if inside else opener(xfs.volume, xfs.runs(inode), inode.size)
    fields: Told = {
        "file.kind": kind_field(kind),
        "file.link_target": target,
        "file.inode": inode.number,
        "file.generation": inode.generation or None,
        "file.mode": f"{inode.mode & 0o7777:04o}",
        "file.uid": inode.uid,
        "file.gid": inode.gid,
        "file.links": inode.links if inode.links > 1 and kind != FOLDER else None,
        "file.flags": ", ".join(name for bit, name in _FLAGS if inode.flags & bit) or None,
        "file.allocated": inode.blocks * xfs.unit if kind == FILE else None,
    }
    return member(prefix, path, raw, opening=opening, stamps=inode.stamps, fields=fields, problems=problems)


def _target(xfs: _Xfs, inode: _Inode) -> bytes:
    """Where a symbolic link points; in version 5 every block of a long target has a header."""
    size = min(inode.size, _MOST_TARGET)
    if inode.form == _LOCAL:
        return inode.fork[:size]
    target = b""
    for run in xfs.runs(inode):
        data = gather(xfs.volume, (run,), run.size, _MOST_TARGET * 2)
        for at in range(0, len(data), xfs.unit):
            target += data[at + (56 if data[at : at + 4] == b"XSLM" else 0) : at + xfs.unit]
        if len(target) >= size:
            break
    return target[:size]
