"""A message of an Outlook store as the message file that Outlook itself would save.

A message in a store is properties, not bytes. The message file ([MS-OXMSG]) holds the same properties
under the same numbers, so nothing is turned into something else. The same message gives the same bytes
every time. What cannot be read is left out, or stands as zeros where its size was already told, and is
raised behind the last byte.

Source: [MS-PST] 2.4.5, 2.4.6 (messages, attachments), 2.4.7 (named properties); [MS-OXMSG] 2.1 to 2.4.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from itertools import islice

from indexer.errors import EvidenceError
from indexer.handlers._cfb import ROOT, STORAGE, STREAM, Entry
from indexer.handlers._cfb_write import compose
from indexer.handlers._pst_nodes import Node, Store
from indexer.handlers._pst_tables import FIXED, Value, properties, rows
from indexer.limits import MIB

DEPTH = 64
"""Messages inside messages; the crawler's own limit lies lower."""
RECIPIENTS, ATTACHMENT, NAMES = 0x692, 5, 0x61
SUBJECT, _OBJECT, _METHOD = 0x37, 0x3701, 0x3705
_PT_OBJECT, _STRING8, _WIDE, _BINARY, _MANY = 0x0D, 0x1E, 0x1F, 0x102, 0x1000
_READABLE = 6
"""The flags of a property: readable and writeable."""
_VALUE_BYTES = 64 * MIB
_STREAMS, _ROWS = 200_000, 100_000


class Names:
    """The properties that programs named themselves, by the number the store gave them."""

    def __init__(self, store: Store) -> None:
        self._rows: dict[int, bytes] = {}
        self._strings = self._forms = b""
        try:
            node = store.node(NAMES)
            if node is None:
                return
            held = properties(store, node, [])
            self._forms, entries, self._strings = (_bytes_of(store, held.get(number)) for number in (2, 3, 4))
        except EvidenceError:
            return
        for at in range(0, len(entries) - 7, 8):
            self._rows.setdefault(0x8000 + int.from_bytes(entries[at + 6 : at + 8], "little"), entries[at : at + 8])

    def listed(self, numbers: list[int]) -> tuple[dict[int, int], dict[str, bytes]]:
        """The numbers that properties get in a message of their own, and the streams that name them there."""
        given: dict[int, int] = {}
        entries, strings = bytearray(), bytearray()
        for number in numbers:
            row = self._rows.get(number)
            if row is None:
                continue
            name, form = struct.unpack_from("<IH", row)
            if form & 1:
                length = int.from_bytes(self._strings[name : name + 4], "little")
                text = self._strings[name + 4 : name + 4 + length]
                name = len(strings)
                strings += struct.pack("<I", len(text)) + text + bytes(-len(text) % 4)
            given[number] = 0x8000 + len(given)
            entries += struct.pack("<IHH", name, form, len(given) - 1)
        return given, {"00020102": self._forms, "00030102": bytes(entries), "00040102": bytes(strings)}


class _File:
    """The tree of a message file, what fills its streams, and what could not be read."""

    def __init__(self, store: Store, names: Names) -> None:
        self._store = store
        self._names = names
        self._filling: dict[int, Value] = {}
        self._room = store.room
        self.problems: list[EvidenceError] = []

    def pieces(self, entry: Entry) -> Iterator[bytes]:
        """The bytes of a stream, exactly as many as its size says."""
        value = self._filling[id(entry)]
        left = entry.size
        try:
            for piece in self._store.pieces(value.node.data) if value.node else (value.data,):
                yield piece[:left]
                left -= min(left, len(piece))
        except EvidenceError as error:
            self.problems.append(error)
        while left:
            yield bytes(min(left, MIB))
            left -= min(left, MIB)

    def add(self, parent: Entry, name: str, value: Value | bytes) -> int:
        """Puts a stream into a storage and returns its size."""
        held = Value(_BINARY, value) if isinstance(value, bytes) else value
        size = self._store.size(held.node.data) if held.node else len(held.data)
        if held.node:
            if size > self._room:
                raise EvidenceError("corrupt", "the message claims more bytes than the store has")
            self._room -= size
        entry = Entry((*parent.path, name), STREAM, size=size)
        self._filling[id(entry)] = held
        parent.children.append(entry)
        return size

    def build(self, root: Entry, message: Node) -> None:
        """Fills the tree below `root`, messages inside messages too."""
        waiting = [(root, message, 32, frozenset[int]())]
        while waiting:
            entry, node, lead, above = waiting.pop()
            if node.data in above or len(above) > DEPTH:
                self.problems.append(EvidenceError("limit", f"messages more than {DEPTH} deep, or inside themselves"))
                continue
            if len(self._filling) > _STREAMS:
                self.problems.append(EvidenceError("limit", f"a message of more than {_STREAMS} properties"))
                return
            try:
                waiting += self._fill(entry, node, lead, above | {node.data})
            except EvidenceError as error:
                if entry is root:
                    raise
                self.problems.append(error)

    def _fill(
        self, entry: Entry, node: Node, lead: int, above: frozenset[int]
    ) -> list[tuple[Entry, Node, int, frozenset[int]]]:
        held = properties(self._store, node, self.problems)
        below = self._store.subnodes(node.below)
        given, named = self._names.listed(sorted(number for number in held if number >= 0x8000))
        recipients = list(self._recipients(below))
        attached = [below[number] for number in sorted(below) if below[number].kind == ATTACHMENT]
        counts = struct.pack("<4I", len(recipients), len(attached), len(recipients), len(attached))
        head = bytes(8) + counts + bytes(lead - 24)
        self._properties(entry, {given.get(number, number): held[number] for number in held}, head)
        storage = _storage(entry, "__nameid_version1.0")
        for name, data in named.items():
            self.add(storage, f"__substg1.0_{name}", data)
        for number, recipient in enumerate(recipients):
            self._properties(_storage(entry, f"__recip_version1.0_#{number:08X}"), recipient, bytes(8))
        found = []
        for number, each in enumerate(attached):
            storage = _storage(entry, f"__attach_version1.0_#{number:08X}")
            try:
                inner = self._attachment(storage, each)
            except EvidenceError as error:
                self.problems.append(error)
                continue
            if inner:
                found.append((_storage(storage, "__substg1.0_3701000D"), inner, 24, above))
        return found

    def _recipients(self, below: Mapping[int, Node]) -> Iterator[dict[int, Value]]:
        if RECIPIENTS not in below:
            return
        try:
            yield from islice(rows(self._store, below[RECIPIENTS], self.problems), _ROWS)
        except EvidenceError as error:
            self.problems.append(error)

    def _attachment(self, storage: Entry, node: Node) -> Node | None:
        """Fills the storage of an attachment; gives the node of the message inside, if that is what it is."""
        held = properties(self._store, node, self.problems)
        value = held.get(_OBJECT)
        inner = None
        if value and value.kind == _PT_OBJECT:
            number = int.from_bytes(value.data[:4], "little")
            inner = self._store.subnodes(node.below).get(number)
            if inner is None:
                self.problems.append(EvidenceError("corrupt", f"the object {number:#x} of an attachment is not there"))
            if held.get(_METHOD, Value(3, b"")).data[:1] == b"\5":
                held.pop(_OBJECT)
            else:
                held[_OBJECT], inner = Value(_BINARY, b"", inner), None
        self._properties(storage, held, bytes(8), embedded=inner is not None)
        return inner

    def _properties(self, storage: Entry, held: Mapping[int, Value], head: bytes, *, embedded: bool = False) -> None:
        """The list of properties, and a stream for each that does not stand in the list."""
        listed = bytearray(head)
        for number, value in sorted(held.items()):
            if value.kind in FIXED:
                listed += struct.pack("<HHI8s", value.kind, number, _READABLE, value.data)
                continue
            try:
                size = self._stream(storage, number, value)
            except EvidenceError as error:
                self.problems.append(error)
                continue
            size += {_STRING8: 1, _WIDE: 2}.get(value.kind, 0)
            listed += struct.pack("<HHIII", value.kind, number, _READABLE, size, 0)
        if embedded:
            listed += struct.pack("<HHIII", _PT_OBJECT, _OBJECT, _READABLE, 0xFFFFFFFF, 1)
        self.add(storage, "__properties_version1.0", bytes(listed))

    def _stream(self, storage: Entry, number: int, value: Value) -> int:
        name = f"__substg1.0_{number:04X}{value.kind:04X}"
        if value.kind & _MANY and value.kind & 0xFFF in (_STRING8, _WIDE, _BINARY):
            many = _values(_bytes_of(self._store, value))
            width = 8 if value.kind & 0xFFF == _BINARY else 4
            for place, each in enumerate(many):
                self.add(storage, f"{name}-{place:08X}", each)
            return self.add(storage, name, b"".join(struct.pack("<I", len(each)).ljust(width, b"\0") for each in many))
        if number == SUBJECT and value.node is None:
            value = Value(value.kind, plain_subject(value))
        return self.add(storage, name, value)


def message_file(store: Store, node: Node, names: Names) -> Iterator[bytes]:
    """The bytes of the message file.

    Raises:
        EvidenceError: behind the last byte, where a part of the message could not be read.
    """
    held = _File(store, names)
    root = Entry((), ROOT)
    held.build(root, node)
    yield from compose(root, held.pieces)
    if held.problems:
        first = held.problems[0]
        raise EvidenceError(first.cause, f"{len(held.problems)} parts of the message are not there: {first.message}")


def plain_subject(value: Value) -> bytes:
    """The subject without the two characters that say how long `Re: ` and the like are."""
    if value.kind == _WIDE and value.data[:2] == b"\1\0":
        return value.data[4:]
    return value.data[2:] if value.kind == _STRING8 and value.data[:1] == b"\1" else value.data


def _storage(parent: Entry, name: str) -> Entry:
    entry = Entry((*parent.path, name), STORAGE)
    parent.children.append(entry)
    return entry


def _bytes_of(store: Store, value: Value | None) -> bytes:
    if value is None:
        return b""
    return store.read(value.node.data, _VALUE_BYTES) if value.node else value.data


def _values(data: bytes) -> list[bytes]:
    """The values of a property that has many, each of its own length."""
    count = min(int.from_bytes(data[:4], "little"), len(data) // 4)
    starts = [int.from_bytes(data[at : at + 4], "little") for at in range(4, 4 + 4 * count, 4)]
    return [data[start:end] for start, end in zip(starts, [*starts[1:], len(data)], strict=True)]
