"""HFS+ and HFSX: names, resource forks, extended attributes, hard links, files compressed by the system.

Source: Apple Technical Note TN1150, HFS Plus volume format: volume header, B-trees, catalog, extents
    overflow, attributes, hard links; Apple, bsd/sys/decmpfs.h and hfs_format.h (XNU).
Limits: the journal is not replayed; deleted entries are not looked for; files compressed by LZVN or
    LZFSE are not unpacked; attributes longer than a node hold their first extents only.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from itertools import pairwise
from struct import unpack_from
from sys import intern
from typing import BinaryIO

from msgspec import Struct

from indexer.errors import EvidenceError
from indexer.handlers._archive import FILE, FOLDER, SYMLINK, kind_of_mode
from indexer.handlers._fs_parts import (
    MOST_DEPTH,
    MOST_FOLDER,
    ORPHANS,
    Run,
    Told,
    Volume,
    check_size,
    gather,
    kind_field,
    member,
    open_bytes,
    opener,
    unallocated,
    zero_bits,
)
from indexer.handlers._streams import open_chunks
from indexer.model import Child, Fact, Field, Problem, Timestamp, replace
from indexer.timestamps import from_hfs

_ROOT = 2
_PRIVATE = "\0\0\0\0HFS+ Private Data"
_COMPRESSED = "com.apple.decmpfs"
_STEP = 64 * 1024
_INLINE, _FORK = 0x10, 0x20
_MOST_ATTRIBUTE = 1 << 20
_REVERSED = bytes(int(f"{octet:08b}"[::-1], 2) for octet in range(256))
_FLAGS = ((0x20, "compressed"), (0x2, "immutable"), (0x4, "append only"), (0x1, "no dump"), (0x8000, "hidden"))
_METHODS = {7: "LZVN", 8: "LZVN", 11: "LZFSE", 12: "LZFSE"}


class _Fork(Struct, frozen=True):
    size: int
    blocks: int
    extents: tuple[tuple[int, int], ...]


class _Node(Struct, frozen=True):
    parent: int
    name: str
    number: int
    is_folder: bool
    raw: bytes

    @property
    def kind(self) -> str:
        if self.is_folder:
            return FOLDER
        return kind_of_mode(unpack_from(">H", self.raw, 42)[0])

    @property
    def linked(self) -> int:
        """The number of the hidden node with the bytes, where this is a hard link."""
        special: int = unpack_from(">I", self.raw, 44)[0]
        return special if not self.is_folder and self.raw[48:56] == b"hlnkhfs+" else 0


class _Hfs:
    def __init__(self, volume: Volume) -> None:
        self.volume = volume
        self.header = volume.exact(1024, 512)
        self.unit, self.blocks = unpack_from(">II", self.header, 40)
        if self.unit < 512 or self.unit > 1 << 24 or self.unit & (self.unit - 1):
            raise EvidenceError("corrupt", f"HFS+: blocks of {self.unit} bytes")
        self.overflow: dict[tuple[int, int], list[tuple[int, tuple[tuple[int, int], ...]]]] = {}
        for key, data in self.leaves(_fork(self.header, 192), 3):
            if len(key) >= 10 and len(data) >= 64:
                fork, number, start = unpack_from(">BxII", key)
                self.overflow.setdefault((number, fork), []).append((start, _extents(data, 0)))
        self.attributes: dict[int, list[tuple[str, bytes]]] = {}
        for key, data in self.leaves(_fork(self.header, 352), 8):
            if len(key) >= 12 and len(data) >= 16:
                number, start, size = unpack_from(">xxIIH", key)
                if not start:
                    # The same few names stand on every file of a disk.
                    name = intern(key[12 : 12 + size * 2].decode("utf-16-be", "replace"))
                    self.attributes.setdefault(number, []).append((name, data))

    def runs(self, fork: _Fork, number: int, kind: int = 0) -> list[Run]:
        """Where the bytes of a fork lie, those of the overflow file too."""
        extents = list(fork.extents)
        have = sum(count for _, count in extents)
        for start, more in sorted(self.overflow.get((number, kind), ())):
            if start == have:
                extents += more
                have += sum(count for _, count in more)
        return [Run(start * self.unit, count * self.unit) for start, count in extents if count]

    def leaves(self, fork: _Fork, number: int) -> Iterator[tuple[bytes, bytes]]:
        """Key and data of every record in the leaves of a B-tree, in order."""
        runs = self.runs(fork, number)
        head = gather(self.volume, runs, min(fork.size, 512))
        if len(head) < 48:
            return
        node, size = unpack_from(">I4xH", head, 24)
        if size < 512 or size & (size - 1) or size > 32768:
            return
        nodes = min(fork.size, sum(run.size for run in runs)) // size
        seen: set[int] = set()
        while node and node < nodes and node not in seen:
            seen.add(node)
            data = self.piece(runs, node * size, size)
            if len(data) < size or data[8] != 0xFF:
                return
            node, count = unpack_from(">I6xH", data)
            ends = [unpack_from(">H", data, size - 2 * n)[0] for n in range(1, min(count, size // 4) + 2)]
            for start, end in pairwise(ends):
                if not 14 <= start < end <= size or start + 2 > end:
                    continue
                length = unpack_from(">H", data, start)[0]
                at = start + 2 + length + (length & 1)
                if at <= end:
                    yield data[start + 2 : start + 2 + length], data[at:end]

    def piece(self, runs: list[Run], offset: int, size: int) -> bytes:
        """Bytes of a file from an offset; fewer where its runs end."""
        data = b""
        for run in runs:
            if offset < run.size:
                data += self.volume.at(run.at + offset, min(size - len(data), run.size - offset))
                offset = 0
                if len(data) >= size:
                    break
            else:
                offset -= run.size
        return data

    def nodes(self) -> Iterator[_Node]:
        """The folders and files of the catalog, in its order."""
        for key, data in self.leaves(_fork(self.header, 272), 4):
            if len(key) < 6 or len(data) < 88:
                continue
            parent, size = unpack_from(">IH", key)
            kind, number = unpack_from(">H6xI", data)
            if kind not in (1, 2) or (kind == 2 and len(data) < 248):
                continue
            name = key[6 : 6 + size * 2].decode("utf-16-be", "surrogatepass")
            yield _Node(parent, name, number, kind == 1, data)

    def attribute(self, number: int, data: bytes) -> tuple[int, list[Run] | bytes] | None:
        """Size and place, or the bytes, of an extended attribute."""
        kind = unpack_from(">I", data)[0]
        if kind == _INLINE:
            size = unpack_from(">I", data, 12)[0]
            return size, data[16 : 16 + size]
        if kind == _FORK and len(data) >= 88:
            fork = _fork(data, 8)
            return fork.size, [Run(start * self.unit, count * self.unit) for start, count in fork.extents if count]
        return None


def _fork(data: bytes, at: int) -> _Fork:
    size, _, blocks = unpack_from(">QII", data, at)
    return _Fork(size, blocks, _extents(data, at + 16))


def _extents(data: bytes, at: int) -> tuple[tuple[int, int], ...]:
    words = unpack_from(">16I", data, at)
    return tuple(zip(words[::2], words[1::2], strict=True))


def walk_hfs(volume: Volume, prefix: str) -> Iterator[Fact]:
    """The volume's fields, its members in the order of the catalog, then the free blocks."""
    hfs = _Hfs(volume)
    head = hfs.header
    yield Field("filesystem.kind", "HFS+" if head[:2] == b"H+" else "HFSX")
    yield Field("filesystem.block_size", hfs.unit)
    yield from check_size(volume, hfs.blocks * hfs.unit)
    if any(head[104:112]):
        yield Field("filesystem.serial", head[104:112].hex().upper())
    # The volume's own date of birth is the only one in local time.
    if created := from_hfs("B", unpack_from(">I", head, 16)[0], "hfs.volume.created"):
        yield replace(created, zone_known=False)
    if changed := from_hfs("M", unpack_from(">I", head, 20)[0], "hfs.volume.modified"):
        yield changed
    folders, hidden, label = _folders(hfs)
    if label:
        yield Field("filesystem.label", label)
    paths: dict[int, str] = {_ROOT: ""}
    for node in hfs.nodes():
        if node.number != _ROOT or node.parent != 1:
            yield from _tell(hfs, prefix, _path(node.parent, folders, paths) + _shown(node.name), node, hidden)
    allocation = _fork(head, 112)
    bitmap = gather(volume, hfs.runs(allocation, 6), min(allocation.size, (hfs.blocks + 7) // 8), MOST_FOLDER * 8)
    bits = bitmap.translate(_REVERSED)
    count = min(hfs.blocks, len(bits) * 8)
    yield from unallocated(
        volume, prefix, (Run(first * hfs.unit, size * hfs.unit) for first, size in zero_bits(bits, count))
    )


def _folders(hfs: _Hfs) -> tuple[dict[int, tuple[int, str]], dict[int, _Node], str]:
    """Parent and name of every folder, the nodes that hard links lead to, and the name of the root."""
    folders: dict[int, tuple[int, str]] = {}
    hidden: dict[int, _Node] = {}
    label = ""
    private = 0
    for node in hfs.nodes():
        if node.is_folder:
            folders[node.number] = node.parent, _shown(node.name)
            label = node.name if node.parent == 1 else label
            private = node.number if node.parent == _ROOT and node.name == _PRIVATE else private
        elif private and node.parent == private and node.name[:5] == "iNode" and node.name[5:].isdecimal():
            hidden[int(node.name[5:15])] = node
    return folders, hidden, label


def _path(number: int, folders: dict[int, tuple[int, str]], paths: dict[int, str]) -> str:
    steps: list[int] = []
    seen = set()
    while number not in paths:
        if number not in folders or number in seen or len(steps) > MOST_DEPTH:
            path = ORPHANS + "/"
            break
        seen.add(number)
        steps.append(number)
        number = folders[number][0]
    else:
        path = paths[number]
    for step in reversed(steps):
        path += folders[step][1] + "/"
        paths[step] = path
    return path


def _shown(name: str) -> str:
    """A name as paths show it: a slash in it is a colon there."""
    return name.replace("/", ":")


def _tell(hfs: _Hfs, prefix: str, path: str, node: _Node, hidden: dict[int, _Node]) -> Iterator[Child]:
    """A file or folder, then its resource fork and its attributes."""
    held = hidden.get(node.linked, node) if node.linked else node
    uid, gid, _, flags, mode, links = unpack_from(">IIBBHI", held.raw, 32)
    kind = held.kind
    data = _fork(held.raw, 88) if not held.is_folder else _Fork(0, 0, ())
    rest = _fork(held.raw, 168) if not held.is_folder else data
    attributes = dict(hfs.attributes.get(held.number, ()))
    target = None
    opening: Callable[[], BinaryIO] | None = None
    problems: tuple[Problem, ...] = ()
    if kind == SYMLINK:
        target = gather(hfs.volume, hfs.runs(data, held.number), min(data.size, 4096)).decode("utf-8", "replace")
    elif kind == FILE:
        opening = opener(hfs.volume, hfs.runs(data, held.number), data.size)
        if _COMPRESSED in attributes and flags & 0x20:
            opening, problems = _open_packed(hfs, held, attributes.pop(_COMPRESSED), rest)
            rest = _Fork(0, 0, ()) if opening else rest
    finder = unpack_from(">H", held.raw, 56)[0]
    words = [name for bit, name in _FLAGS if flags & bit] + ["hidden"] * bool(finder & 0x4000)
    stamps = tuple(_stamps(held.raw))
    fields: Told = {
        "file.kind": kind_field(kind),
        "file.link_target": target,
        "file.inode": held.number,
        "file.mode": f"{mode & 0o7777:04o}" if mode else None,
        "file.uid": uid if mode else None,
        "file.gid": gid if mode else None,
        "file.links": links if node.linked and links > 1 else None,
        "file.flags": ", ".join(dict.fromkeys(words)) or None,
        "file.allocated": (data.blocks + _fork(held.raw, 168).blocks) * hfs.unit if kind == FILE else None,
    }
    yield member(prefix, path, opening=opening, stamps=stamps, fields=fields, problems=problems)
    stream: Told = {"file.kind": "stream", "file.inode": held.number}
    if rest.size:
        runs = hfs.runs(rest, held.number, 0xFF)
        yield member(prefix, f"{path}:rsrc", opening=opener(hfs.volume, runs, rest.size), stamps=stamps, fields=stream)
    for name, record in attributes.items():
        place = hfs.attribute(held.number, record)
        if place:
            size, where = place
            opening = open_bytes(where) if isinstance(where, bytes) else opener(hfs.volume, where, size)
            yield member(prefix, f"{path}:{name}", opening=opening, stamps=stamps, fields=stream)


def _stamps(raw: bytes) -> Iterator[Timestamp]:
    dates = unpack_from(">5I", raw, 12)
    for seconds, kind, name in zip(
        dates, ("B", "M", "C", "A", "backup"), ("crtime", "mtime", "ctime", "atime", "backup"), strict=True
    ):
        if stamp := from_hfs(kind, seconds, f"hfs.{name}"):
            yield stamp


def _open_packed(
    hfs: _Hfs, node: _Node, record: bytes, fork: _Fork
) -> tuple[Callable[[], BinaryIO] | None, tuple[Problem, ...]]:
    """How to read a file that the system compressed, or why it is not read."""
    place = hfs.attribute(node.number, record)
    if place and not isinstance(place[1], bytes):
        place = place[0], gather(hfs.volume, place[1], place[0], _MOST_ATTRIBUTE)
    held = place[1] if place and isinstance(place[1], bytes) else b""
    if held[:4] != b"fpmc" or len(held) < 16:
        return None, (Problem("corrupt", "the header of a compressed file is not there"),)
    method, size = unpack_from("<IQ", held, 4)
    if method == 1:
        return open_bytes(held[16:]), ()
    if method == 3:
        return (lambda: open_chunks(_inflate((held[16:],), size))), ()
    if method == 4:
        return (lambda: open_chunks(_inflate(_blocks(hfs, node, fork), size))), ()
    name = _METHODS.get(method, f"method {method}")
    return None, (Problem("unsupported", f"compressed by {name}", resolution="packed bytes are a stream of it"),)


def _blocks(hfs: _Hfs, node: _Node, fork: _Fork) -> Iterator[bytes]:
    """The packed blocks of a resource fork."""
    runs = hfs.runs(fork, node.number, 0xFF)
    start = int.from_bytes(hfs.piece(runs, 0, 4), "big") + 4
    count = int.from_bytes(hfs.piece(runs, start, 4), "little")
    for index in range(count):
        entry = hfs.piece(runs, start + 4 + index * 8, 8)
        if len(entry) < 8:
            raise EvidenceError("truncated", "the table of a compressed file ends too early")
        offset, size = unpack_from("<II", entry)
        yield hfs.piece(runs, start + offset, min(size, _STEP * 2))


def _inflate(blocks: Iterator[bytes] | tuple[bytes, ...], size: int) -> Iterator[bytes]:
    left = size
    for block in blocks:
        if block[:1] and block[0] & 15 == 15:
            part = block[1:]
        else:
            try:
                part = zlib.decompressobj().decompress(block, _STEP + 1)
            except zlib.error as error:
                raise EvidenceError("corrupt", f"a block does not unpack: {error}") from error
        yield part[:left]
        left -= len(part)
        if left <= 0:
            return
    if left:
        raise EvidenceError("truncated", f"{left} bytes are missing at the end")
