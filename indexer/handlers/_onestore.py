"""The store inside OneNote files: objects with their properties by object space, in their latest state.

Source: [MS-ONESTORE] 2.3 (header), 2.4 and 2.5 (file node lists and nodes), 2.6.1 to 2.6.18 (property sets,
references), 2.6.13 (file data).
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable, Iterator

from msgspec import Struct, field

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.limits import MIB

Key = tuple[bytes, int]
"""An extended GUID: 16 bytes and a number."""
Value = bytes | bool | int | list[Key]
_FRAGMENT = 0xA4567AB1F5F7F4C4
_NODES = 5_000_000
_SET = 64 * MIB
_DEPTH = 12
_SIZES = {3: 1, 4: 2, 5: 4, 6: 8}
_FILE = uuid.UUID("bde316e7-2665-4511-a4c4-8d4d0b7a9eac").bytes_le


class Object(Struct):
    """One object: what it is, and its properties in their order."""

    kind: int
    values: list[tuple[int, Value]] = field(default_factory=list)
    file: str = ""

    def get(self, number: int) -> Value | None:
        """The first value of a property."""
        return next((value for name, value in self.values if name == number), None)


class Space(Struct):
    """One object space, a page or the section itself: the latest state of its objects, and what was before."""

    key: Key
    objects: dict[Key, Object] = field(default_factory=dict)
    roots: dict[int, Key] = field(default_factory=dict)
    replaced: list[Object] = field(default_factory=list)

    def put(self, key: Key, held: Object) -> None:
        """Takes the next state of an object."""
        if (old := self.objects.get(key)) is not None:
            if held.kind == 0:
                held.kind = old.kind
            if old.values != held.values:
                self.replaced.append(old)
        self.objects[key] = held


class Store(Struct):
    """Everything in the file: spaces in the order of the file, where attached files lie, what was wrong."""

    spaces: dict[Key, Space] = field(default_factory=dict)
    files: dict[str, tuple[int, int]] = field(default_factory=dict)
    encrypted: bool = False
    faults: list[str] = field(default_factory=list)


# -- property sets, in both kinds of files -----------------------------------------------------


def read_properties(
    data: bytes, objects: Callable[[int, int], Key | None], spaces: Callable[[int, int], Key | None]
) -> list[tuple[int, Value]]:
    """The properties of one object.

    Args:
        objects: from a reference's place among the references, and its number, to the object's key.
        spaces: the same for references to object spaces.
    """
    at = 0
    streams: list[list[int]] = []
    follow = True
    while follow and len(streams) < 3 and at + 4 <= len(data):
        (head,) = struct.unpack_from("<I", data, at)
        count = min(head & 0xFFFFFF, (len(data) - at - 4) // 4)
        streams.append(list(struct.unpack_from(f"<{count}I", data, at + 4)))
        at += 4 + 4 * count
        # The first stream says whether a second follows by its top bit, the second by the one below it.
        follow = not head >> 31 if len(streams) == 1 else bool(head >> 30 & 1)
    pools = [
        _Pool(streams[0] if streams else [], objects),
        _Pool(streams[1] if len(streams) > 1 else [], spaces),
        _Pool(streams[2] if len(streams) > 2 else [], lambda place, number: None),
    ]
    found: list[tuple[int, Value]] = []
    _read_set(data, at, pools, found, 0)
    return found


class _Pool:
    """References, taken one after the other."""

    def __init__(self, numbers: list[int], key: Callable[[int, int], Key | None]) -> None:
        self._numbers = numbers
        self._key = key
        self._next = 0

    def take(self, count: int) -> list[Key]:
        end = min(self._next + count, len(self._numbers))
        keys = [self._key(place, self._numbers[place]) for place in range(self._next, end)]
        self._next = end
        return [key for key in keys if key]


def _read_set(data: bytes, at: int, pools: list[_Pool], found: list[tuple[int, Value]], depth: int) -> int:
    """Reads one property set, those inside it too; gives where it ends."""
    if depth > _DEPTH or at + 2 > len(data):
        return len(data)
    (count,) = struct.unpack_from("<H", data, at)
    at += 2
    count = min(count, (len(data) - at) // 4)
    names = struct.unpack_from(f"<{count}I", data, at)
    at += 4 * count
    for name in names:
        kind, number = name >> 26 & 31, name & 0x3FFFFFF
        if kind == 2:
            found.append((number, bool(name >> 31)))
        elif kind in _SIZES:
            found.append((number, int.from_bytes(data[at : at + _SIZES[kind]], "little")))
            at += _SIZES[kind]
        elif kind == 7:
            size = int.from_bytes(data[at : at + 4], "little")
            found.append((number, data[at + 4 : at + 4 + size]))
            at += 4 + size
        elif 8 <= kind <= 13:
            amount = 1
            if kind & 1:
                amount = int.from_bytes(data[at : at + 4], "little")
                at += 4
            found.append((number, pools[(kind - 8) // 2].take(amount)))
        elif kind == 16:
            amount = int.from_bytes(data[at : at + 4], "little")
            at += 8 if amount else 4
            for _ in range(min(amount, (len(data) - at) // 2 if at < len(data) else 0)):
                at = _read_set(data, at, pools, found, depth + 1)
        elif kind == 17:
            at = _read_set(data, at, pools, found, depth + 1)
        elif kind != 1:
            return len(data)
    return at


# -- the revision store ------------------------------------------------------------------------


class _Node(Struct, frozen=True):
    """A file node: its number, what it refers to, and the rest of it."""

    number: int
    place: int
    size: int
    data: bytes


class Revisions:
    """A file as OneNote itself keeps it: lists of nodes that refer to further lists and to data.

    Raises:
        EvidenceError: corrupt, where there is no list to begin with.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._left = _NODES
        self._seen: set[int] = set()
        self.store = Store()
        place, size = struct.unpack_from("<QI", stream.at(0, 1024).ljust(1024, b"\0"), 172)
        nodes = list(self._nodes(place, size))
        if not nodes:
            raise EvidenceError("corrupt", "there is no list of object spaces")
        for node in nodes:
            if node.number == 0x08 and len(node.data) >= 20:
                self._space(node)
            elif node.number == 0x90:
                for entry in self._nodes(node.place, node.size):
                    if entry.number == 0x94:
                        self._file(entry)

    def _nodes(self, place: int, size: int) -> Iterator[_Node]:
        """The nodes of a list, fragment after fragment."""
        while 0 < place < self._stream.size and place not in self._seen and 36 <= size <= self._stream.size:
            self._seen.add(place)
            data = self._stream.at(place, size)
            if len(data) < 36 or struct.unpack_from("<Q", data)[0] != _FRAGMENT:
                self.store.faults.append(f"no list of nodes at {place:#x}")
                return
            at, end = 16, len(data) - 20
            while at + 4 <= end and self._left:
                node, length = _node(data, at, end)
                if not node.number or length < 4:
                    break
                self._left -= 1
                if node.number == 0xFF:
                    break
                yield node
                at += length
            place, size = struct.unpack_from("<QI", data, len(data) - 20)

    def _space(self, reference: _Node) -> None:
        key = _key(reference.data)
        space = self.store.spaces.setdefault(key, Space(key))
        lists = [node for node in self._nodes(reference.place, reference.size) if node.number == 0x10]
        # An object space may have been written anew: the last list is the one in force.
        for node in lists[-1:]:
            self._revisions(space, node)

    def _revisions(self, space: Space, reference: _Node) -> None:
        table: dict[int, bytes] = {}
        main = space
        for node in self._nodes(reference.place, reference.size):
            if node.number in (0x1B, 0x1E, 0x1F):
                # A context of its own holds an earlier version of the page, or one in conflict with it.
                aside = node.number == 0x1F and any(node.data[46:66])
                space = Space(main.key) if aside else main
            elif node.number == 0x1C and space is not main:
                main.replaced += space.objects.values()
                space = main
            elif node.number == 0xB0:
                inner: dict[int, bytes] = {}
                for entry in self._nodes(node.place, node.size):
                    self._declare(space, entry, inner)
            elif node.number == 0x5A and len(node.data) >= 24:
                space.roots[int.from_bytes(node.data[20:24], "little")] = _key(node.data)
            elif node.number == 0x59 and len(node.data) >= 8 and (root := _resolve(table, node.data, 0)):
                space.roots[int.from_bytes(node.data[4:8], "little")] = root
            elif node.number == 0x7C:
                self.store.encrypted = True
            else:
                self._declare(space, node, table)

    def _declare(self, space: Space, node: _Node, table: dict[int, bytes]) -> None:
        """One entry of a table of GUIDs, or one object."""
        if node.number == 0x24 and len(node.data) >= 20:
            table[int.from_bytes(node.data[:4], "little")] = node.data[4:20]
        elif node.number in (0xA4, 0xA5, 0xC4, 0xC5) and len(node.data) >= 8:
            self._object(space, node, table, int.from_bytes(node.data[4:8], "little"))
        elif node.number in (0x41, 0x42):
            self._object(space, node, table, 0)
        elif node.number in (0x72, 0x73):
            start = 9 if node.number == 0x72 else 12
            count = int.from_bytes(node.data[start : start + 4], "little")
            name = node.data[start + 4 : start + 4 + 2 * count].decode("utf-16-le", "replace")
            if key := _resolve(table, node.data, 0):
                space.put(key, Object(int.from_bytes(node.data[4:8], "little"), file=name))

    def _object(self, space: Space, node: _Node, table: dict[int, bytes], kind: int) -> None:
        key = _resolve(table, node.data, 0)
        if not key or node.size > _SET:
            return
        data = self._stream.at(node.place, node.size)

        def resolved(place: int, number: int) -> Key | None:
            guid = table.get(number >> 8)
            return (guid, number & 0xFF) if guid else None

        space.put(key, Object(kind, read_properties(data, resolved, resolved)))

    def _file(self, node: _Node) -> None:
        head = self._stream.at(node.place, 36)
        if head[:16] == _FILE and len(node.data) >= 16:
            size = int.from_bytes(head[16:24], "little")
            name = str(uuid.UUID(bytes_le=node.data[:16]))
            self.store.files[name] = (node.place + 36, min(size, max(0, self._stream.size - node.place - 36)))


def _key(data: bytes) -> Key:
    return data[:16], int.from_bytes(data[16:20], "little")


def _resolve(table: dict[int, bytes], data: bytes, at: int) -> Key | None:
    number = int.from_bytes(data[at : at + 4], "little")
    guid = table.get(number >> 8)
    return (guid, number & 0xFF) if guid else None


def _node(data: bytes, at: int, end: int) -> tuple[_Node, int]:
    """The node at an offset, and its length."""
    (head,) = struct.unpack_from("<I", data, at)
    length = head >> 10 & 0x1FFF
    body = data[at + 4 : min(at + length, end)]
    place = size = 0
    if head >> 27 & 15:
        place_size, place_step = ((8, 1), (4, 1), (2, 8), (4, 8))[head >> 23 & 3]
        size_size, size_step = ((4, 1), (8, 1), (1, 8), (2, 8))[head >> 25 & 3]
        place = int.from_bytes(body[:place_size], "little") * place_step
        size = int.from_bytes(body[place_size : place_size + size_size], "little") * size_step
        body = body[place_size + size_size :]
    return _Node(head & 0x3FF, place, size, body), length
