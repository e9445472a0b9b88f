"""Property lists of Apple as one table of values, whether written in bytes or in XML; archives of objects unfolded.

A value is a plain one, a `List` of values or a `Map` of pairs; those in bytes point to one another by
number and are looked up when they are asked for, so that circles and repetitions cost nothing here.

Source: Apple, CFBinaryPList.c (Core Foundation) and the property list DTD 1.0; NSKeyedArchiver as Foundation writes it.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct, field

from indexer.errors import EvidenceError
from indexer.handlers._moments import APPLE, moment
from indexer.handlers._parts import DATA, END, START, XmlReader

BINARY: Final = b"bplist0"
Ref = Callable[[], object]
_INTEGER: Final = re.compile(r"[+-]?(?:\d{1,40}|0[xX][0-9a-fA-F]{1,32})\Z")


class List(Struct):
    """Values in order."""

    items: list[Ref]
    ident: int = 0


class Map(Struct):
    """Pairs of a name and a value, in order."""

    pairs: list[tuple[str, Ref]]
    ident: int = 0

    def get(self, name: str) -> object:
        """The value of a name, None where there is none."""
        return next((ref() for key, ref in self.pairs if key == name), None)


class Uid(Struct, frozen=True):
    """A number of an object in an archive of objects."""

    number: int


def constant(value: object) -> Ref:
    """A value that is here already."""
    return lambda: value


class BinaryList:
    """A property list in bytes.

    Raises:
        EvidenceError: where its end does not tell where the values are.
    """

    def __init__(self, data: bytes) -> None:
        if len(data) < 40:
            raise EvidenceError("truncated", f"{len(data)} bytes are too few for a property list")
        self._data = data
        self._width, self._ref, count, top, table = struct.unpack(">6xBBQQQ", data[-32:])
        room = (len(data) - 32 - table) // self._width if self._width and table < len(data) else 0
        if not 1 <= self._width <= 8 or not 1 <= self._ref <= 8 or not 0 < count <= room or top >= count:
            raise EvidenceError("corrupt", "the end does not tell where the values are")
        self._table, self._count = table, count
        self.top: Ref = self._pointer(top)
        self.damaged = 0

    def _pointer(self, number: int) -> Ref:
        return lambda: self._object(number)

    def _number(self, at: int, width: int) -> int:
        return int.from_bytes(self._data[at : at + width], "big")

    def _object(self, number: int) -> object:
        if number >= self._count:
            return self._damage()
        at = self._number(self._table + number * self._width, self._width)
        if not 8 <= at < self._table:
            return self._damage()
        kind, size = self._data[at] >> 4, self._data[at] & 15
        at += 1
        if kind == 0:
            return {8: False, 9: True}.get(size)
        if kind == 1:
            width = 1 << size
            return (
                int.from_bytes(self._data[at : at + width], "big", signed=width >= 8) if width <= 16 else self._damage()
            )
        if kind in (2, 3):
            return self._real(kind, size, at)
        if kind == 8:
            return Uid(self._number(at, size + 1))
        if size == 15:
            width = 1 << (self._data[at] & 15)
            size = self._number(at + 1, width)
            at += 1 + width
        unit = {4: 1, 5: 1, 6: 2, 7: 1, 10: self._ref, 11: self._ref, 12: self._ref, 13: 2 * self._ref}.get(kind, 0)
        if not unit or at + size * unit > len(self._data):
            return self._damage()
        if kind in (4, 5, 6, 7):
            raw = self._data[at : at + size * unit]
            if kind == 4:
                return raw
            return raw.decode({5: "latin-1", 6: "utf-16-be", 7: "utf-8"}[kind], "replace")
        refs = [self._number(at + place * self._ref, self._ref) for place in range(size * unit // self._ref)]
        if kind == 13:
            return Map(
                [(self._key(key), self._pointer(ref)) for key, ref in zip(refs, refs[size:], strict=False)], number + 1
            )
        return List([self._pointer(ref) for ref in refs], number + 1)

    def _key(self, number: int) -> str:
        at = self._number(self._table + number * self._width, self._width) if number < self._count else 0
        is_plain = 8 <= at < self._table and self._data[at] >> 4 not in (10, 11, 12, 13)
        return str(self._object(number)) if is_plain else str(self._damage())

    def _real(self, kind: int, size: int, at: int) -> object:
        raw = self._data[at : at + (1 << size)]
        if len(raw) not in (4, 8) or len(raw) != 1 << size:
            return self._damage()
        (value,) = struct.unpack(">f" if len(raw) == 4 else ">d", raw)
        return value if kind == 2 else moment(value, 1.0, APPLE)

    def _damage(self) -> object:
        self.damaged += 1
        return None


class _Open(Struct):
    """An element that has begun: what is in it so far."""

    kind: str
    items: list[Ref] = field(default_factory=list)
    pairs: list[tuple[str, Ref]] = field(default_factory=list)
    key: str = ""
    text: list[str] = field(default_factory=list)


def read_xml(pieces: Iterator[bytes]) -> tuple[object, str]:
    """The value that a property list in XML has, as far as it goes, and where the XML was broken."""
    reader = XmlReader({})
    stack = [_Open("plist")]
    for kind, text, _ in reader.events(pieces):
        if kind == START and text != "plist":
            stack.append(_Open(text))
        elif kind == DATA:
            stack[-1].text.append(text)
        elif kind == END and len(stack) > 1:
            _close(stack)
    while len(stack) > 1:
        _close(stack)
    return (stack[0].items[0]() if stack[0].items else None), reader.fault


def _close(stack: list[_Open]) -> None:
    done = stack.pop()
    above = stack[-1]
    text = "".join(done.text)
    if done.kind == "key":
        above.key = text
        return
    value = constant(_plain(done, text))
    if above.kind == "dict":
        above.pairs.append((above.key, value))
    else:
        above.items.append(value)


def _plain(done: _Open, text: str) -> object:
    if done.kind == "dict":
        pairs = done.pairs
        if len(pairs) == 1 and pairs[0][0] == "CF$UID" and isinstance(number := pairs[0][1](), int):
            return Uid(number)
        return Map(pairs)
    if done.kind == "array":
        return List(done.items)
    if done.kind in ("true", "false"):
        return done.kind == "true"
    if done.kind == "integer":
        text = text.strip()
        return int(text, 16 if "x" in text.lower() else 10) if _INTEGER.match(text) else text
    if done.kind == "data":
        raw = re.sub(r"[^A-Za-z0-9+/]", "", text).encode()
        raw = raw[: len(raw) - (len(raw) % 4 == 1)]
        try:
            return base64.b64decode(raw + b"=" * (-len(raw) % 4))
        except binascii.Error:
            return text
    if done.kind == "date":
        try:
            return datetime.strptime(text.strip(), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        except ValueError:
            return text
    return text


def unfold(top: Map) -> object:
    """What an archive of objects (NSKeyedArchiver) holds, its numbers replaced by the objects; else None."""
    objects = top.get("$objects")
    start = top.get("$top")
    if not isinstance(objects, List) or not isinstance(start, Map) or top.get("$archiver") is None:
        return None
    return _Archive(objects).open(start)


class _Archive:
    """The objects of one archive, each opened when it is asked for."""

    def __init__(self, objects: List) -> None:
        self._objects = objects.items

    def open(self, value: object, ident: int = 0) -> object:
        """A value with the wrappings of its class taken off."""
        if isinstance(value, Uid):
            if not 0 < value.number < len(self._objects):
                return None
            held = self._objects[value.number]()
            return None if isinstance(held, Uid) else self.open(held, value.number)
        if isinstance(value, List):
            return List([self._later(ref) for ref in value.items], ident)
        return self._map(value, ident) if isinstance(value, Map) else value

    def _map(self, value: Map, ident: int) -> object:
        held = dict(value.pairs)
        keys, objects = self._list(held.get("NS.keys")), self._list(held.get("NS.objects"))
        if keys is not None and objects is not None:
            pairs = zip(map(self._name, keys), objects, strict=False)
            return Map([(name, self._later(ref)) for name, ref in pairs], ident)
        if objects is not None:
            return List([self._later(ref) for ref in objects], ident)
        if "NS.time" in held:
            return moment(held["NS.time"](), 1.0, APPLE)
        for name in ("NS.string", "NS.bytes", "NS.data", "NS.relative"):
            if name in held and not isinstance(inner := held[name](), Map | List):
                return self.open(inner) if not isinstance(inner, Uid) else self._inner(inner)
        return Map([(name, self._later(ref)) for name, ref in value.pairs if name != "$class"], ident)

    def _name(self, ref: Ref) -> str:
        """A name in a dictionary; a question mark where it is no text."""
        value = ref()
        if isinstance(value, Uid) and value.number < len(self._objects):
            value = self._objects[value.number]()
        if isinstance(value, Map):
            value = value.get("NS.string")
        return str(value) if isinstance(value, str | int) else "?"

    def _inner(self, uid: Uid) -> object:
        value = self._objects[uid.number]() if uid.number < len(self._objects) else None
        return value if not isinstance(value, Map | List | Uid) else None

    def _list(self, ref: Ref | None) -> list[Ref] | None:
        value = ref() if ref else None
        return value.items if isinstance(value, List) else None

    def _later(self, ref: Ref) -> Ref:
        return lambda: self.open(ref())
