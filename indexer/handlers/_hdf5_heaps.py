"""The heaps of HDF5: of long texts, and of the many links or attributes of one object.

Source: HDF5 File Format Specification 3.0, III.A.2 (B-trees version 2), III.E (global heap), III.G (fractal heap).
Limits: B-trees with more than one level below the root; huge objects and filtered blocks of a heap.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from indexer.handler import Stream
from indexer.limits import MIB

BLOCKS: Final = 20_000
RECORDS: Final = 500_000
COLLECTIONS: Final = 64
"""Collections of long texts kept at a time."""
NONE: Final = (1 << 64) - 1


class Heaps:
    """Reads at addresses of one file; `wide` bytes make an address, `long` bytes a length."""

    def __init__(self, stream: Stream, start: int, wide: int, long: int) -> None:
        self._stream, self._start = stream, start
        self.wide, self.long = wide, long
        self.chunks: list[tuple[int, bytes]] = []
        self._texts: dict[int, dict[int, bytes]] = {}
        self.unread: dict[str, None] = {}
        """What was met and is not read, each told once."""

    def at(self, address: int, length: int) -> bytes:
        """Bytes at an address of the file's own counting."""
        return self._stream.at(self._start + address, length) if 0 <= address < NONE else b""

    @staticmethod
    def number(data: bytes, place: int, width: int) -> int:
        """A number of so many bytes; what is missing counts as nothing."""
        return int.from_bytes(data[place : place + width], "little") if place >= 0 else 0

    def long_text(self, address: int, index: int) -> bytes:
        """An object of the global heap."""
        held = self._texts.get(address)
        if held is None:
            if len(self._texts) >= COLLECTIONS:
                self._texts.clear()
            held = self._texts[address] = dict(self._collection(address))
        return held.get(index, b"")

    def _collection(self, address: int) -> Iterator[tuple[int, bytes]]:
        head = self.at(address, 8 + self.long)
        if head[:4] != b"GCOL":
            return
        data = self.at(address, min(self.number(head, 8, self.long), 16 * MIB))
        place = 8 + self.long
        while place + 8 + self.long <= len(data):
            index, size = self.number(data, place, 2), self.number(data, place + 8, self.long)
            place += 8 + self.long
            if not index:
                return
            yield index, data[place : place + size]
            place += size + -size % 8

    def dense(self, heap: int, tree: int, before: int) -> Iterator[bytes]:
        """Every object that a B-tree lists and a fractal heap holds; `before` bytes stand before each one's place."""
        head = self.at(heap, 14 + 12 * self.long + 3 * self.wide + 24)
        if head[:4] != b"FRHP" or self.number(head, 7, 2):
            return
        place = 14 + self.long + self.wide + self.long + self.wide + 8 * self.long
        width = self.number(head, place, 2)
        first, largest = self.number(head, place + 2, self.long), self.number(head, place + 2 + self.long, self.long)
        place += 2 + 2 * self.long
        bits = self.number(head, place, 2)
        root, rows = self.number(head, place + 4, self.wide), self.number(head, place + 4 + self.wide, 2)
        if not 0 < width <= 1024 or not 0 < first <= largest or not 0 < bits <= 64:
            return
        offset = -(-bits // 8)
        length = -(-min(self.number(head, 10, 4), largest).bit_length() // 8)
        blocks = sorted(self._blocks(root, rows, width, first, largest, offset))
        for record in self._records(tree):
            identity = record[before:]
            if not identity or identity[0] & 0x30:
                continue
            start = self.number(identity, 1, offset)
            size = self.number(identity, 1 + offset, length)
            for begin, room, address in blocks:
                if begin <= start < begin + room:
                    yield self.at(address + start - begin, min(size, room))
                    break

    def _blocks(
        self, root: int, rows: int, width: int, first: int, largest: int, offset: int
    ) -> Iterator[tuple[int, int, int]]:
        """Where in the heap each direct block begins, its size, and its address."""
        if not rows:
            yield 0, first, root
            return
        direct_rows = (largest // first).bit_length() + 1
        waiting, seen, left = [(root, rows, 0)], set[int](), BLOCKS
        while waiting and left > 0:
            address, rows, begin = waiting.pop()
            if address in seen or self.at(address, 4) != b"FHIB":
                continue
            seen.add(address)
            data = self.at(address + 5 + self.wide + offset, min(rows, 64) * width * self.wide)
            for number in range(len(data) // self.wide):
                left -= 1
                row = number // width
                size = first << max(0, row - 1)
                child = self.number(data, number * self.wide, self.wide)
                if child != (1 << 8 * self.wide) - 1 and left > 0:
                    if row < direct_rows:
                        yield begin, size, child
                    else:
                        inner = (size // first // width).bit_length()
                        waiting.append((child, inner, begin))
                begin += size

    def _records(self, tree: int) -> Iterator[bytes]:
        head = self.at(tree, 16 + self.wide + 2)
        if head[:4] != b"BTHD":
            return
        node, size, depth = self.number(head, 6, 4), self.number(head, 10, 2), self.number(head, 12, 2)
        root, count = self.number(head, 16, self.wide), self.number(head, 16 + self.wide, 2)
        if not size or node > MIB or depth > 1:
            self.unread["a group or an object has more links or attributes than two levels of a B-tree hold"] = None
            return
        if not depth:
            yield from self._rows(self.at(root, node), count, size)
            return
        data = self.at(root, node)
        yield from self._rows(data, count, size)
        counted = -(-((node - 10) // size).bit_length() // 8)
        place = 6 + count * size
        for _ in range(count + 1):
            child, inner = self.number(data, place, self.wide), self.number(data, place + self.wide, counted)
            place += self.wide + counted
            yield from self._rows(self.at(child, node), inner, size)

    @staticmethod
    def _rows(data: bytes, count: int, size: int) -> Iterator[bytes]:
        if data[:4] in (b"BTLF", b"BTIN"):
            for number in range(min(count, (len(data) - 6) // size)):
                yield data[6 + number * size : 6 + (number + 1) * size]
