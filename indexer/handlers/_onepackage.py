"""OneNote sections as a server hands them out: data elements in a package, made into the same store.

Source: [MS-ONESTORE] 2.7 and 2.8 (packaging); [MS-FSSHTTPB] 2.2.1 (basic types), 2.2.2 (stream objects),
2.2.3 (data elements: cells, revisions, object groups, binary items).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

from msgspec import Struct, field

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._onestore import Key, Object, Space, Store, read_properties
from indexer.limits import MIB

_MOST = 512 * MIB
_IN_FORCE: Key = (uuid.UUID("84defab9-aaa3-4a0d-a3a8-520c77ac7073").bytes_le, 1)
"""The context that holds what a page is now."""
_ELEMENT, _CELL_MAP, _REVISION_MAP, _REVISION, _ROOT, _GROUP = 0x01, 0x0E, 0x0D, 0x1A, 0x0A, 0x19
_DECLARED, _DECLARED_BLOB, _DATA, _BLOB_DATA, _BLOB, _CELL = 0x18, 0x05, 0x16, 0x1C, 0x02, 0x0B
_PROPERTIES, _METADATA = 1, 4
"""Partitions of an object that we read."""


class _Bytes:
    """Basic types, read one after the other; what is not there is zero."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data = data
        self.at = at

    def take(self, size: int) -> bytes:
        piece = self.data[self.at : self.at + size]
        self.at += size
        return piece

    def count(self) -> int:
        """A compact number."""
        first = self.data[self.at] if self.at < len(self.data) else 0
        if not first:
            self.at += 1
            return 0
        if first == 0x80:
            return int.from_bytes(self.take(9)[1:], "little")
        size = (first & -first).bit_length()
        return int.from_bytes(self.take(size), "little") >> size

    def key(self) -> Key | None:
        """An extended GUID."""
        first = self.data[self.at] if self.at < len(self.data) else 0
        if first & 7 == 4:
            number = self.take(1)[0] >> 3
        elif first & 63 == 32:
            number = int.from_bytes(self.take(2), "little") >> 6
        elif first & 127 == 64:
            number = int.from_bytes(self.take(3), "little") >> 7
        elif first == 128:
            number = int.from_bytes(self.take(5)[1:], "little")
        else:
            self.at += 1
            return None
        return self.take(16), number

    def keys(self, *, cells: bool = False) -> list[Key | None]:
        """A list of extended GUIDs; of cells the second half, which names the object space."""
        found: list[Key | None] = []
        for _ in range(min(self.count(), len(self.data))):
            if self.at >= len(self.data):
                break
            first = self.key()
            found.append(self.key() if cells else first)
        return found

    def skip_serial(self) -> None:
        """A serial number."""
        first = self.take(1)
        if first == b"\x80":
            self.at += 24


class _Revision(Struct):
    """What a revision adds to the one it stands on."""

    base: Key | None = None
    roots: dict[int, Key] = field(default_factory=dict)
    groups: list[Key] = field(default_factory=list)


class _Held(Struct):
    """An object of a group: by partition its references and its data."""

    parts: dict[int, tuple[list[Key | None], list[Key | None], bytes]] = field(default_factory=dict)
    blob: Key | None = None


class Package:
    """The elements of a package, and the store that they make together."""

    def __init__(self, stream: Stream) -> None:
        if stream.size > _MOST:
            raise EvidenceError("limit", f"a package of more than {_MOST} bytes")
        self.store = Store()
        self._data = stream.at(0, stream.size)
        self._cells: dict[tuple[Key | None, Key], Key] = {}
        self._current: dict[Key, Key] = {}
        self._mapped: dict[Key, Key] = {}
        self._revisions: dict[Key, _Revision] = {}
        self._groups: dict[Key, dict[Key, _Held]] = {}
        self._read()
        for (context, cell), manifest in self._cells.items():
            built = self._build(cell, self._current.get(manifest))
            if context == _IN_FORCE or cell not in self.store.spaces:
                if before := self.store.spaces.get(cell):
                    built.replaced += (*before.replaced, *before.objects.values())
                self.store.spaces[cell] = built
            else:
                # Another context holds an earlier version of the page, or one in conflict with it.
                self.store.spaces[cell].replaced += (*built.replaced, *built.objects.values())

    def _objects(self) -> Iterator[tuple[int, _Bytes, int]]:
        """Type, content and place of every stream object, in their order."""
        at, data = 68, self._data
        while at + 2 <= len(data):
            kind = data[at] & 3
            if kind in (1, 3):
                at += 1 if kind == 1 else 2
                continue
            if kind == 0:
                head = int.from_bytes(data[at : at + 2], "little")
                name, size, at = head >> 3 & 63, head >> 9, at + 2
            else:
                head = int.from_bytes(data[at : at + 4], "little")
                name, size, at = head >> 3 & 0x3FFF, head >> 17, at + 4
                if size == 0x7FFF:
                    long = _Bytes(data, at)
                    size, at = long.count(), long.at
            if size > len(data) - at:
                self.store.faults.append(f"an element of {size} bytes at {at:#x} is cut")
                size = len(data) - at
            yield name, _Bytes(data[at : at + size]), at
            at += size

    def _read(self) -> None:
        element: Key | None = None
        revision = _Revision()
        declared: list[tuple[Key | None, int]] = []
        number = 0
        for name, held, place in self._objects():
            if name == _ELEMENT:
                element, declared, number = held.key(), [], 0
            elif element is None:
                continue
            elif name == _CELL_MAP:
                context, cell, manifest = held.key(), held.key(), held.key()
                if cell and manifest:
                    self._cells[context, cell] = manifest
            elif name == _CELL:
                if current := held.key():
                    self._current[element] = current
            elif name == _REVISION_MAP:
                first, second = held.key(), held.key()
                if first and second:
                    self._mapped[first] = second
            elif name == _REVISION:
                held.key()
                revision = self._revisions[element] = _Revision(held.key())
            elif name == _ROOT:
                role, root = held.key(), held.key()
                if role and root:
                    revision.roots[role[1]] = root
            elif name == _GROUP:
                if group := held.key():
                    revision.groups.append(group)
            elif name == _BLOB:
                size = held.count()
                self.store.files[_file_name(element)[1:-1]] = (place + held.at, min(size, len(held.data) - held.at))
            elif name in (_DECLARED, _DECLARED_BLOB):
                key = held.key()
                if name == _DECLARED_BLOB:
                    held.key()
                declared.append((key, held.count()))
            elif name in (_DATA, _BLOB_DATA):
                if number < len(declared):
                    self._keep(element, *declared[number], held, blob=name == _BLOB_DATA)
                number += 1

    def _keep(self, element: Key, key: Key | None, partition: int, held: _Bytes, *, blob: bool) -> None:
        objects, spaces = held.keys(), held.keys(cells=True)
        if not key:
            return
        entry = self._groups.setdefault(element, {}).setdefault(key, _Held())
        if blob:
            entry.blob = held.key()
        else:
            entry.parts[partition] = (objects, spaces, held.take(held.count()))

    def _build(self, cell: Key, revision: Key | None) -> Space:
        """The state of one object space: the revision in force on top of those that it stands on."""
        chain: list[_Revision] = []
        seen: set[Key] = set()
        while revision and revision not in seen:
            seen.add(revision)
            held = self._revisions.get(self._mapped.get(revision, revision))
            if held is None:
                break
            chain.append(held)
            revision = held.base
        space = Space(cell)
        for held in reversed(chain):
            space.roots.update(held.roots)
            for group in held.groups:
                for key, entry in self._groups.get(group, {}).items():
                    space.put(key, _made(entry))
        return space


def _made(held: _Held) -> Object:
    kind = int.from_bytes(held.parts.get(_METADATA, ([], [], b""))[2][:4], "little")
    objects, spaces, data = held.parts.get(_PROPERTIES, ([], [], b""))

    def pick(keys: list[Key | None], place: int) -> Key | None:
        return keys[place] if place < len(keys) else None

    values = read_properties(data, lambda place, _: pick(objects, place), lambda place, _: pick(spaces, place))
    return Object(kind, values, _file_name(held.blob) if held.blob else "")


def _file_name(key: Key) -> str:
    """What a binary item is called in the store."""
    return f"{{{key[0].hex()}-{key[1]}}}"
