"""The inodes of a tree of Btrfs with what they are called, and the bytes of their files.

Source: Btrfs documentation, "On-disk Format" (INODE_ITEM, INODE_REF, INODE_EXTREF, EXTENT_DATA) and
    "Compression"; Linux, fs/btrfs/lzo.c, for how LZO is framed in sectors.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from hashlib import blake2b
from struct import unpack_from

from msgspec import Struct

from indexer.errors import EvidenceError
from indexer.handlers._fs_btrfs_trees import LAST, Item, Key, Pointer, Trees
from indexer.handlers._fs_parts import MOST_HOLES, Run, pour
from indexer.handlers._lzo import unpack as unpack_lzo
from indexer.handlers._zstd import unpack_zstd
from indexer.model import Timestamp
from indexer.timestamps import from_unix

INODE, REF, LONG_REF, XATTR, EXTENT = 1, 12, 13, 24, 108
FIRST_FREE = (1 << 64) - 256
"""Numbers from here on belong to the file system itself."""
_INLINE, _REGULAR, _ALLOCATED = 0, 1, 2
_EXTENT_SIZE = 53
_MOST_PACKED = 1 << 20
"""Bytes of a compressed extent; the file system itself ends at 128 KiB."""
_MOST_NAMES = 1 << 17


class Inode(Struct, frozen=True):
    """What a tree tells of one number; `raw` is empty where only names or extents are left."""

    number: int
    raw: bytes
    names: tuple[tuple[int, bytes], ...]
    """Number of the folder, name."""
    extents: bytes
    """A digest of where the bytes lie."""

    @property
    def generation(self) -> int:
        return int(unpack_from("<Q", self.raw)[0])

    @property
    def size(self) -> int:
        return int(unpack_from("<Q", self.raw, 16)[0])

    @property
    def allocated(self) -> int:
        return int(unpack_from("<Q", self.raw, 24)[0])

    @property
    def owners(self) -> tuple[int, int, int, int]:
        """Names, user, group, mode."""
        links, user, group, mode = unpack_from("<IIII", self.raw, 40)
        return links, user, group, mode

    @property
    def flags(self) -> int:
        return int(unpack_from("<Q", self.raw, 64)[0])

    def stamps(self) -> tuple[Timestamp, ...]:
        """The four times; those that are zero were never set."""
        places = (("A", "atime", 112), ("M", "mtime", 136), ("C", "ctime", 124), ("B", "otime", 148))
        return tuple(stamp for kind, origin, at in places if (stamp := stamp_of(kind, origin, self.raw, at)))

    def is_same(self, other: Inode | None) -> bool:
        """Whether the other one has the same names, bytes and facts; being read changes nothing."""
        if other is None or self.extents != other.extents or self.names != other.names:
            return False
        return (self.raw[:8], self.raw[16:24], self.raw[40:72], self.raw[124:]) == (
            other.raw[:8], other.raw[16:24], other.raw[40:72], other.raw[124:],
        )  # fmt: skip


def stamp_of(kind: str, origin: str, raw: bytes, at: int) -> Timestamp | None:
    """A time of 12 bytes; None where it was never set."""
    seconds, fine = unpack_from("<qI", raw, at)
    if not seconds and not fine:
        return None
    return from_unix(kind, seconds, f"btrfs.{origin}", nanoseconds=min(fine, 999_999_999), resolution=1e-9)


def inodes(
    trees: Trees, root: Pointer, *, number: int = 0, told: bool = True, seen: set[int] | None = None
) -> Iterator[Inode]:
    """The inodes of a tree in the order of their numbers.

    Args:
        trees: the file system.
        root: the tree's root.
        number: the only inode to look up, or 0 for all.
        told: whether missing blocks are damage.
        seen: blocks to step over; inodes that they share with others are told in part.
    """
    low: Key = (number or 256, 0, 0)
    high: Key = (number or FIRST_FREE, 255 if number else 0, LAST if number else 0)
    number, raw = 0, b""
    names: list[tuple[int, bytes]] = []
    digest = blake2b(digest_size=16)
    for item in trees.items(root, low, high, told=told, seen=seen):
        (ident, kind, _), data = item
        if ident != number:
            if raw or names:
                yield Inode(number, raw, tuple(names), digest.digest())
            number, raw, names, digest = ident, b"", [], blake2b(digest_size=16)
        if kind == INODE and len(data) >= 160:
            raw = data[:160]
        elif kind in (REF, LONG_REF) and len(names) < _MOST_NAMES:
            names.extend(read_names(item))
        elif kind == EXTENT:
            digest.update(item.key[2].to_bytes(8, "little") + data)
    if raw or names:
        yield Inode(number, raw, tuple(names), digest.digest())


def read_names(item: Item) -> Iterator[tuple[int, bytes]]:
    """The folder and the name of each entry of an item of names."""
    data = item.data
    at, head = 0, 10 if item.key[1] == REF else 18
    while at + head <= len(data):
        size = unpack_from("<H", data, at + head - 2)[0]
        name = data[at + head : at + head + size]
        if not name or len(name) < size:
            return
        yield (item.key[2] if head == 10 else unpack_from("<Q", data, at)[0]), name
        at += head + size


def extents(trees: Trees, root: Pointer, number: int, *, told: bool = True) -> Iterator[Item]:
    """The extents of a file in their order."""
    low: Key = (number, EXTENT, 0)
    return trees.items(root, low, (number, EXTENT, LAST), told=told)


def held(trees: Trees, root: Pointer, number: int) -> Iterator[tuple[int, int]]:
    """Address and size of every extent of a file that stands for itself."""
    for item in extents(trees, root, number, told=False):
        if len(item.data) >= _EXTENT_SIZE and item.data[20] == _REGULAR:
            place, size = unpack_from("<QQ", item.data, 21)
            if place:
                yield place, size


def content(trees: Trees, root: Pointer, number: int, size: int, *, told: bool = True) -> Iterator[bytes]:
    """The bytes of a file; zeros for holes and for what was only allocated.

    Raises:
        EvidenceError: where bytes are missing, on other devices, or do not unpack; `limit` for endless holes.
    """
    before = trees.misses
    at = holes = 0
    for item in extents(trees, root, number, told=told):
        start = item.key[2]
        if start < at or start >= size:
            continue
        if start > at:
            holes = _more(holes, start - at)
            yield from pour(trees.volume, (), start - at)
            at = start
        for piece in _extent(trees, item.data):
            piece = piece[: size - at]
            at += len(piece)
            if piece:
                yield piece
            if at >= size:
                break
        if len(item.data) >= _EXTENT_SIZE and not _is_stored(item.data):
            here = min(unpack_from("<Q", item.data, 45)[0], size - at)
            holes = _more(holes, here)
            yield from pour(trees.volume, (), here)
            at += here
    if trees.misses > before:
        raise EvidenceError("corrupt", "tree blocks that tell of the file's bytes are damaged")
    if at < size:
        _more(holes, size - at)
        yield from pour(trees.volume, (), size - at)


def _more(holes: int, size: int) -> int:
    if holes + size > MOST_HOLES:
        raise EvidenceError("limit", f"more than {MOST_HOLES} bytes of holes in one file")
    return holes + size


def _is_stored(data: bytes) -> bool:
    return data[20] == _INLINE or (data[20] == _REGULAR and data[21:29] != bytes(8))


def _extent(trees: Trees, data: bytes) -> Iterator[bytes]:
    """The bytes of one extent; none of a hole."""
    if len(data) < 21 or (data[20] != _INLINE and len(data) < _EXTENT_SIZE):
        raise EvidenceError("corrupt", "an extent's item breaks off")
    plain, packed_as, lock, other, kind = unpack_from("<QBBHB", data, 8)
    if lock or other:
        raise EvidenceError("encrypted", f"an extent is encrypted or encoded ({lock}, {other})")
    if kind > _ALLOCATED:
        raise EvidenceError("unsupported", f"an extent of kind {kind}")
    if kind == _INLINE:
        inside = data[21:]
        whole = _unpack(inside, plain, packed_as, trees.unit) if packed_as else inside
        yield whole[:plain]
        if packed_as and len(whole) < plain:
            raise EvidenceError("corrupt", "an inline extent does not unpack")
        return
    if not _is_stored(data):
        return
    place, size, start, count = unpack_from("<QQQQ", data, 21)
    if not packed_as:
        if place + start + count > LAST:
            raise EvidenceError("corrupt", f"no chunk holds address {place + start}")
        runs = trees.runs(place + start, count)
        while count > 0:
            run = next(runs)
            yield from pour(trees.volume, (Run(run.at, run.size),), run.size)
            count -= run.size
        return
    if size > _MOST_PACKED or plain > _MOST_PACKED:
        raise EvidenceError("corrupt", f"a compressed extent of {size} bytes, {plain} unpacked")
    packed = b"".join(piece for run in trees.runs(place, size) for piece in pour(trees.volume, (run,), run.size))
    whole = _unpack(packed, plain, packed_as, trees.unit)
    yield whole[start : start + count]
    if len(whole) < min(plain, start + count):
        raise EvidenceError("corrupt", f"the compressed extent at address {place} does not unpack")


def _unpack(packed: bytes, size: int, kind: int, unit: int) -> bytes:
    """What a compressed extent holds, as far as it unpacks."""
    size = min(size, _MOST_PACKED)
    if not size:
        return b""
    if kind == 1:
        try:
            return zlib.decompressobj().decompress(packed, size)
        except zlib.error:
            return b""
    if kind == 2:
        return _unpack_sectors(packed, size, unit)
    if kind == 3:
        return unpack_zstd(packed, size)
    raise EvidenceError("unsupported", f"compression of kind {kind}")


def _unpack_sectors(packed: bytes, size: int, unit: int) -> bytes:
    """LZO: the length of all, then segments of one sector each; no length crosses the end of a sector."""
    if len(packed) < 4:
        return b""
    out = bytearray()
    end = min(unpack_from("<I", packed)[0], len(packed))
    at = 4
    while at + 4 <= end and len(out) < size:
        if unit - at % unit < 4:
            at += unit - at % unit
            continue
        length = unpack_from("<I", packed, at)[0]
        at += 4
        if not length or at + length > end:
            break
        want = min(unit, size - len(out))
        piece = unpack_lzo(packed[at : at + length], unit)
        out += piece[:want]
        if len(piece) < want:
            break
        at += length
    return bytes(out)
