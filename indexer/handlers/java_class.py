"""Compiled classes of Java: name, parents, source file, version, texts and names in the pool of constants.

Source: The Java Virtual Machine Specification, chapter 4 (the class file format).
Limits: code is not taken apart; annotations are told by their names and texts only.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import ClassVar, Final, NamedTuple

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.limits import MIB
from indexer.model import Fact, Field, Text

_MAGIC: Final = b"\xca\xfe\xba\xbe"
_UTF8, _CLASS, _STRING, _MODULE, _PACKAGE = 1, 7, 8, 19, 20
_SIZES: Final = {
    3: 4,
    4: 4,
    5: 8,
    6: 8,
    7: 2,
    8: 2,
    9: 4,
    10: 4,
    11: 4,
    12: 4,
    15: 3,
    16: 2,
    17: 4,
    18: 4,
    19: 2,
    20: 2,
}
_WIDE: Final = (5, 6)
_MOST: Final = 64 * MIB
_INTERFACE, _ENUM, _ANNOTATION, _MODULE_FLAG = 0x200, 0x4000, 0x2000, 0x8000


class _Constant(NamedTuple):
    kind: int
    raw: bytes


class JavaClass(Handler):
    name = "java-class"
    media_types = ("application/java-vm",)
    signatures = (Signature(_MAGIC),)
    suffixes = (".class",)
    fields: ClassVar[dict[str, str]] = {
        "class.name": "full name of the class",
        "class.kind": "class, interface, enum, annotation, module",
        "class.parent": "full name of the class it is made from",
        "class.interface": "full name of an interface it fulfils",
        "class.source": "name of its source file",
        "class.java": "version of Java that it needs at least",
    }
    reads = "names of the class, its parents and source; texts in it, names it uses"
    rank = 58

    def claims(self, stream: Stream) -> str | None:
        head = stream.head
        # Fat programs of Apple begin alike, with a small number of parts.
        major = int.from_bytes(head[6:8], "big")
        return self.media_types[0] if len(head) > 10 and 43 <= major < 200 and head[10] in (*_SIZES, _UTF8) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        data = stream.at(0, min(stream.size, _MOST))
        major = int.from_bytes(data[6:8], "big")
        yield Field("class.java", f"1.{major - 44}" if major < 49 else str(major - 44))
        pool, at = _read_pool(data)
        yield from _texts(pool)
        if at + 8 > len(data):
            raise EvidenceError("truncated", "the class breaks off in its constants")
        flags, own, parent, count = struct.unpack_from(">4H", data, at)
        kinds = {_MODULE_FLAG: "module", _ANNOTATION: "annotation", _ENUM: "enum", _INTERFACE: "interface"}
        yield Field("class.kind", next((kind for flag, kind in kinds.items() if flags & flag), "class"))
        yield Field("class.name", _name(pool, own))
        if name := _name(pool, parent):
            yield Field("class.parent", name)
        at += 8
        for place in range(at, min(at + 2 * count, len(data) - 1), 2):
            yield Field("class.interface", _name(pool, int.from_bytes(data[place : place + 2], "big")))
        at = _skip_members(data, at + 2 * count)
        for name, raw in _attributes(data, at, pool):
            if name == "SourceFile" and len(raw) == 2:
                yield Field("class.source", _text(pool, int.from_bytes(raw, "big")))


def _read_pool(data: bytes) -> tuple[dict[int, _Constant], int]:
    """The constants by number, as far as they go, and where they end."""
    count = int.from_bytes(data[8:10], "big")
    pool: dict[int, _Constant] = {}
    at, number = 10, 1
    while number < count and at < len(data):
        kind = data[at]
        if kind == _UTF8:
            start, size = at + 3, int.from_bytes(data[at + 1 : at + 3], "big")
        else:
            start, size = at + 1, _SIZES.get(kind, 0)
            if not size:
                return pool, len(data)
        pool[number] = _Constant(kind, data[start : start + size])
        at = start + size
        number += 2 if kind in _WIDE else 1
    return pool, at


def _texts(pool: dict[int, _Constant]) -> Iterator[Text]:
    """Texts of the program, then every other name, each once."""
    strings = [int.from_bytes(each.raw, "big") for each in pool.values() if each.kind == _STRING]
    told = dict.fromkeys(_text(pool, number) for number in strings)
    names = dict.fromkeys(_decode(each.raw) for each in pool.values() if each.kind == _UTF8)
    if told:
        yield Text("\n".join(told), "texts")
    if rest := [name for name in names if name not in told]:
        yield Text("\n".join(rest), "names")


def _text(pool: dict[int, _Constant], number: int) -> str:
    held = pool.get(number)
    return _decode(held.raw) if held and held.kind == _UTF8 else ""


def _name(pool: dict[int, _Constant], number: int) -> str:
    held = pool.get(number)
    return _text(pool, int.from_bytes(held.raw, "big")).replace("/", ".") if held and held.kind == _CLASS else ""


def _decode(raw: bytes) -> str:
    """Java's own UTF-8: a zero in two bytes, characters beyond the first plane in six."""
    plain = raw.replace(b"\xc0\x80", b"\0")
    try:
        text = plain.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return plain.decode("utf-8", "replace")
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _skip_members(data: bytes, at: int) -> int:
    """Where the attributes of the class begin, behind its fields and methods."""
    for _ in range(2):
        count = int.from_bytes(data[at : at + 2], "big")
        at += 2
        for _ in range(count):
            attributes = int.from_bytes(data[at + 6 : at + 8], "big")
            at += 8
            for _ in range(attributes):
                at += 6 + int.from_bytes(data[at + 2 : at + 6], "big")
                if at > len(data):
                    return at
    return at


def _attributes(data: bytes, at: int, pool: dict[int, _Constant]) -> Iterator[tuple[str, bytes]]:
    if at + 2 > len(data):
        raise EvidenceError("truncated", "the class breaks off in its fields and methods")
    count = int.from_bytes(data[at : at + 2], "big")
    at += 2
    for _ in range(count):
        if at + 6 > len(data):
            raise EvidenceError("truncated", "the class breaks off in its attributes")
        number, size = struct.unpack_from(">HI", data, at)
        yield _text(pool, number), data[at + 6 : at + 6 + size]
        at += 6 + size
