"""Partitions of UDF: which bytes of the image stand for a stretch of a partition.

Source: OSTA UDF 2.60: 2.2.8 and 2.2.11 (virtual, for discs that are written once), 2.2.9 and 2.2.12 (sparable,
for those that wear out), 2.2.10 (metadata).
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Protocol

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._udf_values import u16, u32

_UNUSED = 0xFFFFFFF0
"""From here on a packet of a table of spares is no place but a word about itself."""
_OLD_TABLE = b"*UDF Virtual Alloc Tbl"

Extent = tuple[int, int]
"""Where in the image it begins, -1 where zeros stand for it, and its size."""


class Partition(Protocol):
    """Blocks that are numbered from nought, wherever they lie."""

    def places(self, at: int, size: int) -> Iterator[Extent]:
        """Where the bytes of a stretch lie, piece by piece.

        Raises:
            EvidenceError: corrupt, where some of them lie nowhere.
        """


class Missing:
    """A partition that no descriptor tells of."""

    def places(self, at: int, size: int) -> Iterator[Extent]:
        raise EvidenceError("corrupt", "UDF: a partition is not described")


class Plain:
    """Blocks in a row from `start`."""

    def __init__(self, start: int) -> None:
        self._start = start

    def places(self, at: int, size: int) -> Iterator[Extent]:
        yield self._start + at, size


class Sparable:
    """Blocks in a row, of which packets that wore out lie elsewhere.

    Args:
        moved: where a packet belongs in the partition, and where it is in the image.
    """

    def __init__(self, start: int, packet: int, moved: dict[int, int]) -> None:
        self._start = start
        self._packet = packet
        self._moved = sorted(moved.items())

    def places(self, at: int, size: int) -> Iterator[Extent]:
        end = at + size
        for number in range(max(0, bisect_right(self._moved, (at,)) - 1), len(self._moved)):
            first, spare = self._moved[number]
            if first >= end or at >= end:
                break
            if at < first:
                yield self._start + at, first - at
                at = first
            if at < (last := min(end, first + self._packet)):
                yield spare + at - first, last - at
                at = last
        if at < end:
            yield self._start + at, end - at


class Pieces:
    """What a file holds: the metadata partition is one."""

    def __init__(self, extents: Sequence[Extent]) -> None:
        self._extents = extents
        self._reached = list(accumulate((size for _, size in extents), initial=0))

    def places(self, at: int, size: int) -> Iterator[Extent]:
        for number in range(bisect_right(self._reached, at) - 1, len(self._extents)):
            first, held = self._extents[number]
            skipped = at - self._reached[number]
            held = min(size, held - skipped)
            yield (first + skipped if first >= 0 else -1), held
            at, size = at + held, size - held
            if size <= 0:
                return
        raise EvidenceError("corrupt", "UDF: a block lies outside of the metadata")


class Virtual:
    """Blocks of `under` in the order of a table, which a later session writes anew."""

    def __init__(self, under: Partition, block: int, table: Sequence[int]) -> None:
        self._under = under
        self._block = block
        self._table = table

    def places(self, at: int, size: int) -> Iterator[Extent]:
        first, last = at // self._block, -(-(at + size) // self._block)
        numbers = self._table[first:last]
        if len(numbers) < last - first or 0xFFFFFFFF in numbers:
            raise EvidenceError("corrupt", "UDF: a block is not in the table of virtual blocks")
        begin = 0
        breaks = [place for place, (one, next_) in enumerate(pairwise(numbers), 1) if next_ != one + 1]
        for stop in (*breaks, len(numbers)):
            length = min((stop - begin) * self._block, size)
            yield from self._under.places(numbers[begin] * self._block, length)
            begin, size = stop, size - length


def read_spares(stream: Stream, held: bytes, block: int) -> tuple[int, dict[int, int]]:
    """The size of a packet and what was moved, by the newest of the tables that the map of a partition names."""
    packet, count, size = u16(held, 40) * block, held[42], u32(held, 44)
    best, moved = -1, dict[int, int]()
    for number in range(min(count, 4)):
        table = stream.at(u32(held, 48 + 4 * number) * block, min(size, 56 + 8 * 0xFFFF))
        if table[17:35] == b"*UDF Sparing Table" and (age := u32(table, 52)) > best:
            best = age
            pairs = struct.iter_unpack("<II", table[56 : 56 + 8 * u16(table, 48)][: (len(table) - 56) // 8 * 8])
            moved = {from_ * block: to * block for from_, to in pairs if from_ < _UNUSED}
    return packet, moved


def read_table(data: bytes) -> Sequence[int]:
    """The blocks that stand for virtual ones: the older kind of table ends with its name, the newer has a head."""
    data = data[:-36] if data[-35:-13] == _OLD_TABLE else data[u16(data, 0) :]
    table = array("I")
    table.frombytes(data[: len(data) & ~3])
    return table


def is_table(kind: int, data: bytes) -> bool:
    """Whether a file of this kind with these bytes is a table of virtual blocks."""
    return kind == 248 or (kind == 0 and data[-35:-13] == _OLD_TABLE)
