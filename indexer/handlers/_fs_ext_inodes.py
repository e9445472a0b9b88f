"""Groups, inodes, extents and folder entries of ext2, ext3 and ext4.

Source: Linux, Documentation/filesystems/ext4 (super block, group descriptors, inodes, extent tree,
    directory entries, inline data); The Second Extended File System (D. Poirier, 2001-2019).
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import unpack_from

from msgspec import Struct

from indexer.errors import EvidenceError
from indexer.handlers._fs_parts import (
    HOLE,
    NameBytes,
    Run,
    Volume,
    gather,
)
from indexer.model import Timestamp
from indexer.timestamps import from_unix

_JOURNAL, _FILETYPE, _EXTENTS, _64BIT, _INLINE = 0x4, 0x2, 0x40, 0x80, 0x8000
_META_GROUPS = 0x10
_HUGE = 0x40000
INODE_EXTENTS, INODE_INLINE, INODE_ENCRYPTED = 0x80000, 0x10000000, 0x800
_EARLY = 0x1000000
"""A deletion time before this one is the number of an inode: it waits to be deleted."""


class Inode(Struct, frozen=True):
    number: int
    mode: int
    uid: int
    gid: int
    size: int
    links: int
    flags: int
    blocks: int
    deleted: int
    generation: int
    stamps: tuple[Timestamp, ...]
    held: bytes
    extra: bytes

    @property
    def is_gone(self) -> bool:
        """Whether the inode was deleted."""
        return not self.links or self.deleted > _EARLY


class Entry(Struct, frozen=True):
    inode: int
    raw: bytes
    deleted: bool


class Ext:
    def __init__(self, volume: Volume) -> None:
        self.volume = volume
        block = volume.exact(1024, 1024)
        self.super = block
        inodes, blocks, _, _, _, first, log = unpack_from("<7I", block)
        self.per_group, _, self.inodes_per_group = unpack_from("<III", block, 32)
        compat, incompat, self.read_only = unpack_from("<III", block, 92)
        # With big allocation, a bit of the bitmaps stands for several blocks.
        self.cluster = 1 << max(0, min(20, unpack_from("<I", block, 28)[0] - log)) if self.read_only & 0x200 else 1
        most = 8 * (1024 << min(log, 6))
        # One block of bits tells of all inodes of a group; mke2fs makes no group of less than 256 blocks.
        if log > 6 or not 256 <= self.per_group <= most * self.cluster or not 0 < self.inodes_per_group <= most:
            raise EvidenceError("corrupt", "ext: the super block gives no sizes of groups")
        self.unit = 1024 << log
        self.first = first
        self.has_types = bool(incompat & _FILETYPE)
        wide = bool(incompat & _64BIT)
        self.blocks = blocks | (unpack_from("<I", block, 0x150)[0] << 32 if wide else 0)
        self.inode_size = max(128, unpack_from("<H", block, 88)[0]) if unpack_from("<I", block, 76)[0] else 128
        self.inodes = min(inodes, volume.size // self.inode_size)
        self.descriptor = min(max(32, unpack_from("<H", block, 0xFE)[0]), 1024) if wide else 32
        self.meta_first = unpack_from("<I", block, 0x104)[0] if incompat & _META_GROUPS else None
        held = max(0, volume.size // self.unit - first)
        self.groups = min(-(-max(0, self.blocks - first) // self.per_group), held // self.per_group + 1)
        self.kind = (
            "ext4"
            if incompat & (_EXTENTS | _64BIT | _INLINE | 0x200) or self.read_only & 0x78
            else "ext3"
            if compat & _JOURNAL
            else "ext2"
        )
        self.names = NameBytes()

    def group(self, number: int) -> tuple[int, int, int, int]:
        """Blocks of the block bitmap, the inode bitmap and the inode table of a group, and its flags."""
        per_block = self.unit // self.descriptor
        if self.meta_first is not None and number // per_block >= self.meta_first:
            # With meta groups, the descriptors stand in the first group of those they describe.
            home = number // per_block * per_block
            block = self.first + home * self.per_group + (1 if self.has_super(home) else 0)
            raw = self.volume.exact(block * self.unit + number % per_block * self.descriptor, self.descriptor)
        else:
            raw = self.volume.exact((1024 // self.unit + 1) * self.unit + number * self.descriptor, self.descriptor)
        bitmap, inodes, table = unpack_from("<III", raw)
        flags = unpack_from("<H", raw, 18)[0]
        if self.descriptor >= 64:
            high = unpack_from("<III", raw, 32)
            bitmap, inodes, table = bitmap | high[0] << 32, inodes | high[1] << 32, table | high[2] << 32
        return bitmap, inodes, table, flags

    def has_super(self, number: int) -> bool:
        """Whether a group begins with a copy of the super block."""
        if number <= 1 or not self.read_only & 1:
            return True
        return any(_is_power(number, base) for base in (3, 5, 7))

    def allocated(self, inode: Inode) -> int:
        """Bytes of the blocks that belong to an inode."""
        return inode.blocks * (self.unit if inode.flags & _HUGE else 512)

    def used(self, runs: Iterator[Run]) -> int:
        """Bytes of runs that the bitmaps say are in use; groups without a bitmap hold no files."""
        total = 0
        for run in runs:
            block = run.at // self.unit - self.first
            left = run.size // self.unit if run.at != HOLE else 0
            while left > 0 and block // self.per_group < self.groups:
                group, start = divmod(block, self.per_group)
                count = min(left, self.per_group - start)
                bitmap, _, _, flags = self.group(group)
                if not (flags & 2 and self.read_only & 0x410):
                    first, last = start // self.cluster, (start + count - 1) // self.cluster + 1
                    raw = self.volume.at(bitmap * self.unit + first // 8, (last + 7) // 8 - first // 8)
                    bits = int.from_bytes(raw, "little") >> first % 8 & (1 << last - first) - 1
                    total += bits.bit_count() * self.cluster * self.unit
                block += count
                left -= count
        return total

    def inode(self, number: int) -> Inode | None:
        """An inode by its number, or None where there is none."""
        if not 1 <= number <= self.inodes or (number - 1) // self.inodes_per_group >= self.groups:
            return None
        group, index = divmod(number - 1, self.inodes_per_group)
        table = self.group(group)[2]
        raw = self.volume.at(table * self.unit + index * self.inode_size, self.inode_size)
        return parse_inode(number, raw) if len(raw) == self.inode_size else None

    def runs(self, inode: Inode) -> Iterator[Run]:
        """Where an inode's bytes lie, in order; holes where nothing is stored."""
        most = -(-inode.size // self.unit)
        block = 0
        for first, start, count in (
            self._extents(inode.held) if inode.flags & INODE_EXTENTS else self._pointers(inode.held, most)
        ):
            if first < block or first >= most:
                continue
            if first > block:
                yield Run(HOLE, (first - block) * self.unit)
            yield Run(start * self.unit if start else HOLE, count * self.unit)
            block = first + count

    def _extents(self, node: bytes) -> Iterator[tuple[int, int, int]]:
        """First block in the file, first on the volume (0: not written), count."""
        waiting = [(node, 6)]
        seen: set[int] = set()
        while waiting:
            node, above = waiting.pop()
            magic, count, _, depth = unpack_from("<HHHH", node)
            if magic != 0xF30A or depth >= above:
                continue
            below = []
            for at in range(12, min(12 + count * 12, len(node) - 11), 12):
                if depth:
                    low, high = unpack_from("<IH", node, at + 4)
                    child = high << 32 | low
                    if child not in seen:
                        seen.add(child)
                        data = self.volume.at(child * self.unit, self.unit)
                        if len(data) == self.unit:
                            below.append((data, depth))
                else:
                    first, length, high, low = unpack_from("<IHHI", node, at)
                    written = length <= 32768
                    yield first, (high << 32 | low) if written else 0, length if written else length - 32768
            waiting += reversed(below)

    def _pointers(self, held: bytes, most: int) -> Iterator[tuple[int, int, int]]:
        """The same of the older form: twelve blocks, then blocks of pointers, up to three deep."""
        pointers = unpack_from("<15I", held)
        for number in range(12):
            if pointers[number]:
                yield number, pointers[number], 1
        per = self.unit // 4
        first = 12
        for depth in (1, 2, 3):
            yield from self._indirect(pointers[11 + depth], depth, first, most, per)
            first += per**depth

    def _indirect(self, top: int, depth: int, first: int, most: int, per: int) -> Iterator[tuple[int, int, int]]:
        waiting = [(top, depth, first)]
        seen: set[int] = set()
        while waiting:
            block, depth, first = waiting.pop()
            if not block or first >= most:
                continue
            if not depth:
                yield first, block, 1
                continue
            if block in seen:
                continue
            seen.add(block)
            data = self.volume.at(block * self.unit, self.unit)
            pointers = unpack_from(f"<{len(data) // 4}I", data)
            if depth == 1:
                yield from ((first + n, pointer, 1) for n, pointer in enumerate(pointers) if pointer)
            else:
                step = per ** (depth - 1)
                below = [(pointer, depth - 1, first + n * step) for n, pointer in enumerate(pointers) if pointer]
                waiting += reversed(below)

    def folder(self, inode: Inode) -> Iterator[Entry]:
        """The entries of a folder; those that only a gap still holds are deleted.

        Encrypted names are any bytes at all: they are given in hexadecimal, and must not vote with the others.
        """
        if inode.flags & INODE_ENCRYPTED:
            for entry in self._listed(inode):
                yield Entry(entry.inode, entry.raw.hex().encode(), entry.deleted)
        else:
            yield from self._listed(inode)

    def _listed(self, inode: Inode) -> Iterator[Entry]:
        if inode.flags & INODE_INLINE:
            yield from self._entries(inode.held[4:60])
            yield from self._entries(inode.extra)
            return
        data = gather(self.volume, self.runs(inode), inode.size)
        for start in range(0, len(data), self.unit):
            yield from self._entries(data[start : start + self.unit])

    def _entries(self, block: bytes) -> Iterator[Entry]:
        at = 0
        while at + 8 <= len(block):
            inode, length, size, kind = unpack_from("<IHBB", block, at)
            size |= 0 if self.has_types else kind << 8
            if length < 8 or at + length > len(block):
                return
            name = block[at + 8 : at + 8 + size]
            if name not in (b".", b"..") and size and size + 8 <= length and inode:
                yield Entry(inode, name, False)
            used = 8 + (size + 3 & ~3) if inode else 0
            yield from self._gap(block, at + used, at + length)
            at += length

    def _gap(self, block: bytes, at: int, end: int) -> Iterator[Entry]:
        """Entries that were joined to the one before them when they were deleted."""
        while at + 12 <= end:
            inode, length, size, kind = unpack_from("<IHBB", block, at)
            name = block[at + 8 : at + 8 + size]
            fits = size and at + 8 + size <= end and 0 < inode <= self.inodes and length >= 8 + size
            if not fits or length % 4 != 0 or kind > 7 or b"\0" in name or b"/" in name:
                at += 4
                continue
            if name not in (b".", b".."):
                yield Entry(inode, name, True)
            at += 8 + (size + 3 & ~3)


def _is_power(number: int, base: int) -> bool:
    while number % base == 0:
        number //= base
    return number == 1


def parse_inode(number: int, raw: bytes) -> Inode:
    mode, uid, low, atime, ctime, mtime, dtime, gid, links, blocks, flags = unpack_from("<HHIIIIIHHII", raw)
    generation, _, high = unpack_from("<III", raw, 100)
    blocks |= unpack_from("<H", raw, 116)[0] << 32
    uid |= unpack_from("<H", raw, 120)[0] << 16
    gid |= unpack_from("<H", raw, 122)[0] << 16
    extra = unpack_from("<H", raw, 128)[0] if len(raw) >= 132 else 0
    fine = extra >= 28 and len(raw) >= 156
    mores = dict(zip("CMA", unpack_from("<III", raw, 132), strict=True)) if fine else {}
    stamps = [
        _stamp(kind, seconds, mores.get(kind), origin=origin)
        for kind, seconds, origin in (("M", mtime, "mtime"), ("A", atime, "atime"), ("C", ctime, "ctime"))
    ]
    if fine:
        stamps.append(_stamp("B", *unpack_from("<II", raw, 144), origin="crtime"))
    # While an inode waits to be deleted this word is the next one's number, no time.
    if dtime > _EARLY:
        stamps.append(_stamp("deleted", dtime, None, origin="dtime"))
    return Inode(
        number=number,
        mode=mode,
        uid=uid,
        gid=gid,
        size=low | high << 32 if mode >> 12 in (4, 8) else low,
        links=links,
        flags=flags,
        blocks=blocks,
        deleted=dtime,
        generation=generation,
        stamps=tuple(stamp for stamp in stamps if stamp),
        held=raw[40:100],
        extra=_inline(raw, 128 + extra) if flags & INODE_INLINE else b"",
    )


def _stamp(kind: str, seconds: int, more: int | None, *, origin: str) -> Timestamp | None:
    """A time of 32 bits, and where there are more, two bits of epoch and the nanoseconds."""
    if not seconds and not more:
        return None
    signed = seconds - (1 << 32) if seconds >> 31 else seconds
    if more is None:
        return from_unix(kind, signed, f"ext.{origin}")
    return from_unix(
        kind, signed + ((more & 3) << 32), f"ext.{origin}", nanoseconds=min(more >> 2, 999_999_999), resolution=1e-9
    )


def _inline(raw: bytes, at: int) -> bytes:
    """The rest of inline data: the value of the attribute `system.data` in the inode."""
    if raw[at : at + 4] != b"\x00\x00\x02\xea":
        return b""
    first = entry = at + 4
    while entry + 16 <= len(raw) and raw[entry]:
        size, index, offset, _, length = unpack_from("<BBHII", raw, entry)
        if index == 7 and raw[entry + 16 : entry + 16 + size] == b"data":
            return raw[first + offset : first + offset + length]
        entry += 16 + (size + 3 & ~3)
    return b""
