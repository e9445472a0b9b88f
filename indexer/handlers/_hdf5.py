"""The structure of HDF5 files: object headers, links, attributes, and the bytes of small datasets.

Source: HDF5 File Format Specification 3.0, chapters II (superblock), III (B-trees, heaps), IV (object headers).
Limits: B-trees of version 2 deeper than one level below the root; chunks indexed by anything but a B-tree of
    version 1; filters other than deflate, shuffle and Fletcher; committed and compound types of attributes.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._hdf5_heaps import Heaps
from indexer.handlers._hdf5_values import Kind, kind_of, read_values
from indexer.limits import MIB

MARK: Final = b"\x89HDF\r\n\x1a\n"
STARTS: Final = (0, 512, 1024, 2048, 4096)
OBJECTS: Final = 200_000
BLOCKS: Final = 4096
"""Pieces that one object's header may lie in."""
MESSAGES: Final = 16 * MIB
DATA: Final = 16 * MIB
"""Bytes read of one dataset."""
NODES: Final = 100_000


class Link(NamedTuple):
    """One entry of a group: where it leads to, or which file or path it names."""

    name: str
    address: int
    target: str = ""
    file: str = ""


class Found(NamedTuple):
    """What an object's header holds."""

    messages: list[tuple[int, bytes]]
    times: tuple[int, ...]


class Hdf5(Heaps):
    """One file; addresses count from its superblock.

    Raises:
        EvidenceError: where the superblock is not complete.
    """

    def __init__(self, stream: Stream, start: int) -> None:
        head = stream.at(start, 128)
        version = head[8] if len(head) > 8 else 255
        if version > 3 or len(head) < 48:
            raise EvidenceError("unsupported" if len(head) >= 48 else "truncated", f"superblock of version {version}")
        widths = head[13:15] if version < 2 else head[9:11]
        if not set(widths) <= {2, 4, 8}:
            raise EvidenceError("corrupt", f"addresses of {widths[0]} and lengths of {widths[1]} bytes")
        super().__init__(stream, start, widths[0], widths[1])
        if version < 2:
            place = 24 + 4 * (version == 1) + 4 * self.wide
            self.root = self.number(head, place + self.wide, self.wide)
        else:
            self.root = self.number(head, 12 + 3 * self.wide, self.wide)

    def header(self, address: int) -> Found:
        """The messages of an object, and its times where it records them.

        Raises:
            EvidenceError: where there is no object at the address.
        """
        head = self.at(address, 40)
        if head[:4] == b"OHDR" and len(head) >= 8:
            flags = head[5]
            place = 6
            times = tuple(self.number(head, place + 4 * each, 4) for each in range(4)) if flags & 0x20 else ()
            place += 16 * bool(flags & 0x20) + 4 * bool(flags & 0x10)
            width = 1 << (flags & 3)
            size = self.number(head, place, width)
            return Found(
                list(self._messages([(address + place + width, size)], 4 + 2 * bool(flags & 4), new=True)), times
            )
        if head[:1] != b"\1" or len(head) < 16:
            raise EvidenceError("corrupt", f"no object at {address}")
        return Found(list(self._messages([(address + 16, self.number(head, 8, 4))], 8, new=False)), ())

    def _messages(self, blocks: list[tuple[int, int]], step: int, *, new: bool) -> Iterator[tuple[int, bytes]]:
        seen, left = {place for place, _ in blocks}, MESSAGES
        while blocks and left > 0:
            place, size = blocks.pop(0)
            data = self.at(place, min(size, left))
            left -= len(data)
            position = 0
            while position + step <= len(data):
                kind = data[position] if new else self.number(data, position, 2)
                length = self.number(data, position + (1 if new else 2), 2)
                flags = data[position + (3 if new else 4)]
                body = data[position + step : position + step + length]
                position += step + length
                if kind == 0x10:
                    start, more = self.number(body, 0, self.wide), self.number(body, self.wide, self.long)
                    if start not in seen and len(seen) < BLOCKS:
                        seen.add(start)
                        blocks.append((start + 4, max(0, more - 8)) if new else (start, more))
                elif not flags & 2:
                    yield kind, body

    def links(self, found: Found) -> Iterator[Link]:
        """What a group holds, in the order of the file."""
        for kind, body in found.messages:
            if kind == 0x06:
                yield from self._link(body)
            elif kind == 0x11:
                yield from self._symbols(self.number(body, 0, self.wide), self.number(body, self.wide, self.wide))
            elif kind == 0x02 and len(body) > 2:
                place = 2 + 8 * (body[1] & 1)
                heap, tree = self.number(body, place, self.wide), self.number(body, place + self.wide, self.wide)
                for raw in self.dense(heap, tree, 4):
                    yield from self._link(raw)

    def _link(self, body: bytes) -> Iterator[Link]:
        if len(body) < 4 or body[0] != 1:
            return
        flags, place = body[1], 2
        kind = body[place] if flags & 8 else 0
        place += bool(flags & 8) + 8 * bool(flags & 4) + bool(flags & 16)
        width = 1 << (flags & 3)
        length = self.number(body, place, width)
        place += width
        name = body[place : place + length].decode("utf-8", "replace")
        place += length
        if kind == 0:
            yield Link(name, self.number(body, place, self.wide))
        elif kind in (1, 64):
            parts = body[place + 2 : place + 2 + self.number(body, place, 2)]
            file, _, target = parts[1:].partition(b"\0") if kind == 64 else (b"", b"", parts)
            yield Link(name, -1, target.rstrip(b"\0").decode("utf-8", "replace"), file.decode("utf-8", "replace"))

    def _symbols(self, tree: int, heap: int) -> Iterator[Link]:
        """The entries of a group that lists them in a B-tree of version 1."""
        head = self.at(heap, 8 + 3 * 8)
        if head[:4] != b"HEAP":
            return
        names = self.at(self.number(head, 8 + 2 * self.long, self.wide), min(self.number(head, 8, self.long), DATA))
        for node in self.leaves(tree, 0):
            data = self.at(node, 8 + 400 * (2 * self.wide + 24))
            if data[:4] != b"SNOD":
                continue
            for number in range(min(self.number(data, 6, 2), 400)):
                place = 8 + number * (2 * self.wide + 24)
                if place + 2 * self.wide + 24 > len(data):
                    break
                raw = names[self.number(data, place, self.wide) :].split(b"\0", 1)[0]
                address = self.number(data, place + self.wide, self.wide)
                target = ""
                if self.number(data, place + 2 * self.wide, 4) == 2:
                    soft = names[self.number(data, place + 2 * self.wide + 8, 4) :].split(b"\0", 1)[0]
                    address, target = -1, soft.decode("utf-8", "replace")
                yield Link(raw.decode("utf-8", "replace"), address, target)

    def leaves(self, tree: int, kind: int, keys: int = 0) -> Iterator[int]:
        """Addresses that the leaves of a B-tree of version 1 point at."""
        key = keys or self.long
        waiting, seen = [tree], set[int]()
        while waiting and len(seen) < NODES:
            address = waiting.pop()
            head = self.at(address, 8)
            if address in seen or head[:4] != b"TREE" or len(head) < 8 or head[4] != kind:
                continue
            seen.add(address)
            count, level = self.number(head, 6, 2), head[5]
            data = self.at(address + 8 + 2 * self.wide, count * (key + self.wide))
            found = []
            for place in range(0, len(data) - key - self.wide + 1, key + self.wide):
                child = self.number(data, place + key, self.wide)
                if level:
                    found.append(child)
                elif kind:
                    self.chunks.append((child, data[place : place + key]))
                else:
                    yield child
            waiting += reversed(found)

    def attributes(self, found: Found) -> Iterator[tuple[str, Kind, bytes]]:
        """Name, type and bytes of each attribute."""
        for kind, body in found.messages:
            if kind == 0x0C:
                yield from self._attribute(body)
            elif kind == 0x15 and len(body) > 2:
                place = 2 + 2 * (body[1] & 1)
                heap, tree = self.number(body, place, self.wide), self.number(body, place + self.wide, self.wide)
                for raw in self.dense(heap, tree, 0):
                    yield from self._attribute(raw)

    def _attribute(self, body: bytes) -> Iterator[tuple[str, Kind, bytes]]:
        if len(body) < 8 or body[0] not in (1, 2, 3):
            return
        sizes = [self.number(body, place, 2) for place in (2, 4, 6)]
        place, parts = 8 + (body[0] == 3), []
        for size in sizes:
            parts.append(body[place : place + size])
            place += size + (-size % 8 if body[0] == 1 else 0)
        shared = body[0] > 1 and body[1] & 1
        name = parts[0].rstrip(b"\0").decode("utf-8", "replace")
        yield name, Kind() if shared else kind_of(parts[1], self.shape(parts[2])), body[place:]

    def shape(self, body: bytes) -> tuple[int, ...]:
        """The lengths of a dataspace; none for a single value."""
        if len(body) < 4:
            return ()
        start = 8 if body[0] == 1 else 4
        ranks = min(body[1], 32)
        return tuple(self.number(body, start + self.long * rank, self.long) for rank in range(ranks))

    def dataset(self, found: Found) -> Kind | None:
        """The type and the shape of a dataset; None for a group."""
        parts = dict(reversed(found.messages))
        if 0x08 not in parts or 0x03 not in parts:
            return None
        return kind_of(parts[0x03], self.shape(parts.get(0x01, b"")))

    def strings(self, kind: Kind, data: bytes) -> Iterator[str]:
        """The texts among the values of an attribute or a dataset."""
        return read_values(self, kind, data)

    def content(self, found: Found) -> bytes:
        """The bytes of a dataset, up to a bound; none where they are stored in a way that is not read."""
        parts = dict(reversed(found.messages))
        body = parts.get(0x08, b"")
        if len(body) < 4 or body[0] not in (3, 4):
            return b""
        if body[1] == 0:
            return body[4 : 4 + self.number(body, 2, 2)]
        if body[1] == 1:
            size = min(self.number(body, 2 + self.wide, self.long), DATA)
            return self.at(self.number(body, 2, self.wide), size)
        if body[1] != 2 or body[0] != 3:
            self.unread["texts in chunks that a newer index lists are not read"] = None
            return b""
        return self._chunked(body, list(self._filters(parts.get(0x0B, b""))))

    def _chunked(self, body: bytes, filters: list[int]) -> bytes:
        if not set(filters) <= {1, 2, 3}:
            self.unread[f"texts are packed by filters {sorted(set(filters) - {1, 2, 3})}"] = None
            return b""
        ranks = body[2]
        element = self.number(body, 3 + self.wide + 4 * (ranks - 1), 4)
        self.chunks.clear()
        for _ in self.leaves(self.number(body, 3, self.wide), 1, 8 + 8 * ranks):
            break
        out = bytearray()
        for address, key in self.chunks:
            data = self.at(address, min(self.number(key, 0, 4), DATA))
            for each in reversed(filters):
                if each == 1:
                    try:
                        data = zlib.decompressobj().decompress(data, DATA)
                    except zlib.error:
                        return bytes(out)
                elif each == 3:
                    data = data[:-4]
                elif element > 1:
                    count = len(data) // element
                    plain = bytearray(count * element)
                    for number in range(element):
                        plain[number::element] = data[number * count : (number + 1) * count]
                    data = bytes(plain)
            out += data
            if len(out) > DATA:
                break
        return bytes(out[:DATA])

    def _filters(self, body: bytes) -> Iterator[int]:
        if len(body) < 2:
            return
        place = 8 if body[0] == 1 else 2
        for _ in range(min(body[1], 32)):
            kind = self.number(body, place, 2)
            named = body[0] == 1 or kind >= 256
            length = self.number(body, place + 2, 2) if named else 0
            values = self.number(body, place + (6 if named else 4), 2)
            place += (8 if named else 6) + length + 4 * values
            if body[0] == 1:
                length += -length % 8
                place += 4 * (values & 1)
            yield kind
