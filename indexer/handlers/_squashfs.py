"""SquashFS 4 as it stands: tables of metadata blocks, inodes, folders, and files in blocks and fragments.

Folders are walked without recursion, each inode once, so that loops end. Small files share fragments,
which are kept unpacked for those that follow.

Source: "The Squashfs 4.0 Filesystem", Linux, Documentation/filesystems/squashfs.rst.
"""

from __future__ import annotations

import io
import struct
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO

from msgspec import Struct

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._archive import FILE, FOLDER, SYMLINK
from indexer.handlers._column_codecs import unpack
from indexer.handlers._streams import open_chunks
from indexer.limits import GIB, KIB, MIB

SUPER = struct.Struct("<4s4I6H8Q")
CODECS = {1: ("ZLIB", "gzip"), 2: ("LZMA", "xz"), 4: ("XZ", "xz"), 5: ("LZ4", "lz4"), 6: ("ZSTD", "zstandard")}
"""Compressors, and what `_column_codecs` calls that which unpacks them; its xz knows plain LZMA too."""
KINDS = (FOLDER, FILE, SYMLINK, "block-device", "character-device", "fifo", "socket")
SHORT_FOLDER, SHORT_FILE, SHORT_LINK, LONG_FOLDER, LONG_FILE, LONG_LINK = 1, 2, 3, 8, 9, 10
LAYOUTS = {
    SHORT_FOLDER: struct.Struct("<I4xHH"),
    SHORT_FILE: struct.Struct("<4I"),
    SHORT_LINK: struct.Struct("<4xI"),
    LONG_FOLDER: struct.Struct("<4xII6xH"),
    LONG_FILE: struct.Struct("<QQ12xII4x"),
    LONG_LINK: struct.Struct("<4xI"),
}
NODE, HEADER, ENTRY = struct.Struct("<HHHHI4x"), struct.Struct("<II4x"), struct.Struct("<HhHH")
LONGEST = NODE.size + LAYOUTS[LONG_FILE].size
METADATA = 8 * KIB
PLAIN_METADATA, PLAIN_BLOCK = 1 << 15, 1 << 24
NO_FRAGMENT = 0xFFFFFFFF
MOST_TABLES, MOST_FRAGMENTS = 256, 8
"""Unpacked blocks held: 2 MiB of tables, 8 MiB of fragments at most."""
MOST_FOLDER = 64 * MIB
MOST_ENTRIES = 2_000_000
MOST_DEPTH = 512
MOST_LINK = 64 * KIB
MOST_HOLES = 4 * GIB


class Node(Struct):
    """One inode; `block` and `offset` say where in its table what is longer than the fixed part goes on."""

    kind: str
    mode: int
    user: int | None
    group: int | None
    modified: int
    block: int
    offset: int
    size: int = 0
    start: int = 0
    """Where the blocks of a file begin; of a folder, its block in the table of folders."""
    fragment: int = NO_FRAGMENT
    inside: int = 0
    """Where a file begins in its fragment, a folder in its block."""


class Found(Struct):
    """A member: the raw names from the root down."""

    path: tuple[bytes, ...]
    node: Node


class Image:
    """One file system.

    Raises:
        EvidenceError: corrupt, truncated; where nothing of it can be read.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        _, _, self.created, self._block, self._fragments, self.compressor, _, _, count, _, _, *places = SUPER.unpack(
            stream.at(0, SUPER.size)
        )
        self._root, self.used, owners, _, self._nodes, self._folders, self._fragment_table, _ = places
        if self._block not in (1 << power for power in range(12, 21)):
            raise EvidenceError("corrupt", f"blocks of {self._block} bytes")
        if max(self._nodes, self._folders) >= stream.size:
            raise EvidenceError("truncated", "the tables, which stand at the end, are not here")
        self.method, self._codec = CODECS[self.compressor]
        self._tables: OrderedDict[int, tuple[bytes, int]] = OrderedDict()
        self._held: OrderedDict[int, bytes] = OrderedDict()
        self._owners: list[int] = []
        with suppress(EvidenceError):  # the table stands last: where it is cut off, owners are not told
            for number in range(0, count, METADATA // 4):
                place = int.from_bytes(stream.at(owners + number // 256, 8), "little")
                data = self._table(place, 0, 4 * min(count - number, METADATA // 4))
                self._owners += struct.unpack(f"<{len(data) // 4}I", data[: len(data) // 4 * 4])

    # -- metadata ------------------------------------------------------------------------------

    def _metadata(self, place: int) -> tuple[bytes, int]:
        """A block of a table unpacked, and where the next one stands."""
        known = self._tables.get(place)
        if known is None:
            head = int.from_bytes(self._stream.at(place, 2), "little")
            length = head & PLAIN_METADATA - 1
            data = self._stream.at(place + 2, length)
            if not length or len(data) < length:
                raise EvidenceError("truncated", f"the block of a table at {place} is not whole")
            if not head & PLAIN_METADATA:
                data = unpack(self._codec, data, METADATA)
            known = self._tables[place] = data, place + 2 + length
            if len(self._tables) > MOST_TABLES:
                self._tables.popitem(last=False)
        return known

    def _table(self, place: int, offset: int, size: int) -> bytes:
        """Up to `size` bytes from an offset behind the start of the block at `place`; fewer where the blocks end."""
        if offset >= METADATA:
            place, offset = self._seek(place, offset)
        data, following = self._metadata(place)
        part = data[offset : offset + size]
        if len(part) == size:
            return part
        parts, left = [part], size - len(part)
        while left and following < self._stream.size:
            try:
                data, following = self._metadata(following)
            except EvidenceError:
                break
            parts.append(data[:left])
            left -= len(parts[-1])
        return b"".join(parts)

    def _seek(self, place: int, offset: int) -> tuple[int, int]:
        """The block in which an offset lies, of those that follow one another from `place` on."""
        while offset >= METADATA:
            place, offset = self._metadata(place)[1], offset - METADATA
        return place, offset

    def _node(self, block: int, offset: int) -> Node:
        data = self._table(self._nodes + block, offset, LONGEST)
        try:
            number, mode, user, group, modified = NODE.unpack_from(data)
            node = Node(KINDS[(number - 1) % 7], mode, self._owner(user), self._owner(group), modified, block, offset)
            layout = LAYOUTS.get(number)
            if not 1 <= number <= 14:
                raise EvidenceError("corrupt", f"an inode of unknown kind {number}")
            if layout:
                rest = layout.unpack_from(data, NODE.size)
                node.offset += NODE.size + layout.size
                if number in (SHORT_FILE, LONG_FILE):
                    if number == SHORT_FILE:
                        node.start, node.fragment, node.inside, node.size = rest
                    else:
                        node.start, node.size, node.fragment, node.inside = rest
                elif number == SHORT_FOLDER:
                    node.start, node.size, node.inside = rest
                elif number == LONG_FOLDER:
                    node.size, node.start, node.inside = rest
                else:
                    node.size = rest[0]
        except struct.error as error:
            raise EvidenceError("truncated", "an inode breaks off") from error
        return node

    def _owner(self, index: int) -> int | None:
        return self._owners[index] if index < len(self._owners) else None

    # -- the tree ------------------------------------------------------------------------------

    def walk(self) -> Iterator[Found | EvidenceError]:
        """Every member below the root, folders before what is in them, and what could not be followed.

        Raises:
            EvidenceError: where the root folder cannot be read.
        """
        root = divmod(self._root, 1 << 16)
        top = self._node(*root)
        if top.kind != FOLDER:
            raise EvidenceError("corrupt", "the root is no folder")
        seen = {root}
        left = MOST_ENTRIES
        waiting: list[tuple[tuple[bytes, ...], Iterator[tuple[int, int, bytes]]]] = [((), self._list(top))]
        while waiting:
            path, entries = waiting[-1]
            try:
                entry = next(entries, None)
                if entry is None:
                    waiting.pop()
                    continue
                left -= 1
                if left < 0:
                    yield EvidenceError("limit", f"more than {MOST_ENTRIES} entries of folders")
                    return
                node = self._node(*entry[:2])
            except EvidenceError as error:
                yield error
                continue
            found = Found((*path, entry[2]), node)
            yield found
            if node.kind != FOLDER:
                continue
            if entry[:2] in seen:
                yield EvidenceError("corrupt", f"a folder leads back to the inode at {entry[0]}: not followed")
            elif len(waiting) >= MOST_DEPTH:
                yield EvidenceError("limit", f"more than {MOST_DEPTH} folders inside one another")
            else:
                seen.add(entry[:2])
                waiting.append((found.path, self._list(node)))

    def _list(self, folder: Node) -> Iterator[tuple[int, int, bytes]]:
        """Block and offset of the inode and name of all in a folder; three bytes of its size are not there."""
        size = min(folder.size, MOST_FOLDER) - 3
        if size <= 0:
            return
        data = self._table(self._folders + folder.start, folder.inside, size)
        at = 0
        try:
            while at < len(data):
                count, block = HEADER.unpack_from(data, at)
                at += HEADER.size
                for _ in range(count + 1):
                    offset, _, _, length = ENTRY.unpack_from(data, at)
                    name = data[at + ENTRY.size : at + ENTRY.size + length + 1]
                    at += ENTRY.size + length + 1
                    if at > len(data):
                        break
                    yield block, offset, name
        except struct.error:
            at = len(data) + 1
        if at > len(data) or len(data) < folder.size - 3:
            raise EvidenceError("truncated", "the entries of a folder break off")

    def target(self, node: Node) -> bytes:
        """Where a link points.

        Raises:
            EvidenceError: where it cannot be read.
        """
        return self._table(self._nodes + node.block, node.offset, min(node.size, MOST_LINK))

    # -- content -------------------------------------------------------------------------------

    def open(self, node: Node) -> BinaryIO:
        """A file's bytes."""
        if node.fragment != NO_FRAGMENT and node.size < self._block:
            return io.BytesIO(self._tail(node, node.size))
        return open_chunks(self._chunks(node))

    def _chunks(self, node: Node) -> Iterator[bytes]:
        """The blocks of a file, and its tail in a fragment.

        Raises:
            EvidenceError: after the last good byte.
        """
        left, at, holes = node.size, node.start, 0
        count = left // self._block if node.fragment != NO_FRAGMENT else -(-left // self._block)
        for word in self._words(node, count):
            wanted = min(left, self._block)
            length = word & PLAIN_BLOCK - 1
            if not length:
                holes += wanted
                if holes > MOST_HOLES:
                    raise EvidenceError("limit", f"more than {MOST_HOLES} bytes of holes in one file")
                yield bytes(wanted)
            else:
                data = self._content(at, word)
                yield data[:wanted]
                if len(data) < wanted:
                    raise EvidenceError("corrupt", f"the block at {at} holds {len(data)} bytes in place of {wanted}")
            at += length
            left -= wanted
        if left and node.fragment != NO_FRAGMENT:
            yield self._tail(node, left)

    def _words(self, node: Node, count: int) -> Iterator[int]:
        """What the table tells of every block, some hundred at a time."""
        step = METADATA // 4
        place, offset = self._nodes + node.block, node.offset
        while count > 0:
            place, offset = self._seek(place, offset)
            data = self._table(place, offset, 4 * min(count, step))
            yield from struct.unpack(f"<{len(data) // 4}I", data[: len(data) // 4 * 4])
            if len(data) < 4 * min(count, step):
                raise EvidenceError("truncated", f"{count - len(data) // 4} blocks are in no table")
            count -= step
            offset += len(data)

    def _content(self, at: int, word: int) -> bytes:
        length = word & PLAIN_BLOCK - 1
        data = self._stream.at(at, length)
        if len(data) < length:
            raise EvidenceError("truncated", f"{length - len(data)} bytes of a block are missing at the end")
        return data if word & PLAIN_BLOCK else unpack(self._codec, data, self._block)

    def _tail(self, node: Node, size: int) -> bytes:
        """The end of a file, out of a fragment that others share.

        Raises:
            EvidenceError: where it is not there in full.
        """
        data = self._held.get(node.fragment)
        if data is None:
            data = self._held[node.fragment] = self._fragment(node.fragment)
            if len(self._held) > MOST_FRAGMENTS:
                self._held.popitem(last=False)
        part = data[node.inside : node.inside + size]
        if len(part) < size:
            raise EvidenceError("corrupt", f"fragment {node.fragment} ends {size - len(part)} bytes too early")
        return part

    def _fragment(self, number: int) -> bytes:
        if number >= self._fragments:
            raise EvidenceError("corrupt", f"fragment {number} of {self._fragments}")
        table, row = divmod(number, METADATA // 16)
        place = int.from_bytes(self._stream.at(self._fragment_table + 8 * table, 8), "little")
        data = self._table(place, 16 * row, 12)
        if len(data) < 12:
            raise EvidenceError("truncated", "the table of fragments breaks off")
        return self._content(*struct.unpack("<QI", data))
