"""The middle layer of Outlook's stores: heaps, trees on heaps, lists of properties, tables.

Source: [MS-PST] 2.3 (lists, tables and properties).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from indexer.errors import EvidenceError
from indexer.handlers._pst_nodes import PAGED, Node, Store
from indexer.limits import MIB

HEAP_BYTES = 512 * MIB
_INLINE = {2: 2, 3: 4, 4: 4, 10: 4, 11: 1}
"""Types whose value stands in the list itself, with their size."""
FIXED = {**_INLINE, 5: 8, 6: 8, 7: 8, 20: 8, 64: 8}


class Value(NamedTuple):
    """A property: its type, and the bytes or the node that holds them."""

    kind: int
    data: bytes
    node: Node | None = None


class Heap:
    """The heap in a node's data, with the nodes below it.

    Raises:
        EvidenceError: if the node holds no heap, or its blocks cannot be read.
    """

    def __init__(self, store: Store, node: Node) -> None:
        self._store = store
        self._node = node
        self._bits = (0x3FFF, 19) if store.form == PAGED else (0x7FF, 16)
        self._blocks: list[bytes] = []
        held = 0
        for piece in store.pieces(node.data):
            self._blocks.append(piece)
            held += len(piece)
            if held > min(HEAP_BYTES, store.room):
                raise EvidenceError("limit", f"a heap of more than {min(HEAP_BYTES, store.room)} bytes")
        if not self._blocks or len(self._blocks[0]) < 12 or self._blocks[0][2] != 0xEC:
            raise EvidenceError("corrupt", f"node {node.number:#x} holds no heap")
        self.kind = self._blocks[0][3]
        (self.root,) = struct.unpack_from("<I", self._blocks[0], 4)

    def item(self, place: int) -> bytes:
        """The bytes at a place of the heap; empty where the place is 0."""
        if not place:
            return b""
        mask, shift = self._bits
        index, number = place >> 5 & mask, place >> shift
        if number < len(self._blocks) and index:
            block = self._blocks[number]
            at = int.from_bytes(block[:2], "little") + 4 + 2 * (index - 1)
            start, end = int.from_bytes(block[at : at + 2], "little"), int.from_bytes(block[at + 2 : at + 4], "little")
            if at + 4 <= len(block) and start <= end <= len(block):
                return block[start:end]
        raise EvidenceError("corrupt", f"node {self._node.number:#x} has nothing at {place:#x} of its heap")

    def value(self, kind: int, place: int) -> Value:
        """A value that stands elsewhere: in the heap, or in a node below."""
        if not place & 31:
            return Value(kind, self.item(place))
        node = self._store.subnodes(self._node.below).get(place)
        if node is None:
            raise EvidenceError("corrupt", f"node {self._node.number:#x} has no node {place:#x} below it")
        return Value(kind, b"", node)

    def records(self, place: int) -> Iterator[tuple[bytes, bytes]]:
        """Keys and data of a tree on the heap, in order."""
        head = self.item(place)
        if len(head) < 8 or head[0] != 0xB5 or not head[1] or head[3] > 8:
            raise EvidenceError("corrupt", f"node {self._node.number:#x} has no tree at {place:#x} of its heap")
        key, size = head[1], head[2]
        (root,) = struct.unpack_from("<I", head, 4)
        waiting, seen = [(root, int(head[3]))], {root}
        while waiting:
            at, level = waiting.pop()
            rows = self.item(at)
            step = key + (4 if level else size)
            cut = [rows[row : row + step] for row in range(0, len(rows) - step + 1, step)]
            if not level:
                yield from ((row[:key], row[key:]) for row in cut)
                continue
            below = [int.from_bytes(row[key:], "little") for row in cut]
            fresh = [each for each in dict.fromkeys(below) if each not in seen]
            seen.update(fresh)
            waiting += [(each, level - 1) for each in reversed(fresh)]


def properties(store: Store, node: Node, problems: list[EvidenceError]) -> dict[int, Value]:
    """The properties of a node by number; those that cannot be had go to `problems`.

    Raises:
        EvidenceError: if the node holds no list of properties.
    """
    heap = Heap(store, node)
    if heap.kind != 0xBC:
        raise EvidenceError("corrupt", f"node {node.number:#x} holds no list of properties")
    found: dict[int, Value] = {}
    for key, row in heap.records(heap.root):
        if len(row) != 6:
            raise EvidenceError("corrupt", f"node {node.number:#x}: rows of {len(row)} bytes")
        kind, place = struct.unpack("<HI", row)
        number = int.from_bytes(key, "little")
        if kind in _INLINE:
            found[number] = Value(kind, row[2 : 2 + _INLINE[kind]])
            continue
        try:
            found[number] = heap.value(kind, place)
        except EvidenceError as error:
            problems.append(error)
    return found


def row_numbers(store: Store, node: Node) -> Iterator[int]:
    """The numbers of a table's rows: in a folder's table of contents, the nodes of its messages.

    Raises:
        EvidenceError: if the node holds no table.
    """
    heap, head = _table(store, node)
    for key, _ in heap.records(struct.unpack_from("<I", head, 10)[0]):
        yield int.from_bytes(key, "little")


def rows(store: Store, node: Node, problems: list[EvidenceError]) -> Iterator[dict[int, Value]]:
    """Every row of a table as properties by number.

    Raises:
        EvidenceError: if the node holds no table.
    """
    heap, head = _table(store, node)
    existing, width = struct.unpack_from("<HH", head, 6)
    columns = [struct.unpack_from("<IHBB", head, at) for at in range(22, min(22 + 8 * head[1], len(head) - 7), 8)]
    matrix = struct.unpack_from("<I", head, 14)[0]
    if not matrix or not width:
        return
    held = heap.value(0x102, matrix)
    for block in store.pieces(held.node.data) if held.node else (held.data,):
        for at in range(0, len(block) - width + 1, width):
            yield _cells(heap, columns, block[at : at + width], existing, problems)


def _table(store: Store, node: Node) -> tuple[Heap, bytes]:
    heap = Heap(store, node)
    head = heap.item(heap.root)
    if heap.kind != 0x7C or len(head) < 22 or head[0] != 0x7C:
        raise EvidenceError("corrupt", f"node {node.number:#x} holds no table")
    return heap, head


def _cells(
    heap: Heap, columns: list[tuple[int, ...]], row: bytes, existing: int, problems: list[EvidenceError]
) -> dict[int, Value]:
    found: dict[int, Value] = {}
    for tag, at, size, bit in columns:
        place = existing + bit // 8
        if place >= len(row) or not row[place] >> (7 - bit % 8) & 1:
            continue
        kind, number = tag & 0xFFFF, tag >> 16
        data = row[at : at + size]
        if kind in FIXED:
            found[number] = Value(kind, data)
            continue
        try:
            found[number] = heap.value(kind, int.from_bytes(data[:4], "little"))
        except EvidenceError as error:
            problems.append(error)
    return found
