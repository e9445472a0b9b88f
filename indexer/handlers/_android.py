"""Binary XML and resource tables of Android: pools of strings, elements, values by resource number.

Source: Android platform sources, frameworks/base, ResourceTypes.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from indexer.errors import EvidenceError

POOL, TABLE, XML, START, STOP, WORDS, NUMBERS = 0x0001, 0x0002, 0x0003, 0x0102, 0x0103, 0x0104, 0x0180
PACKAGE, TYPE = 0x0200, 0x0201
_STRING, _REFERENCE, _ATTRIBUTE, _FLOAT, _BOOLEAN = 3, 1, 2, 4, 0x12
NAMES: Final = {
    0x01010001: "label",
    0x01010003: "name",
    0x0101000F: "debuggable",
    0x0101020C: "minSdkVersion",
    0x0101021B: "versionCode",
    0x0101021C: "versionName",
    0x01010270: "targetSdkVersion",
    0x01010002: "icon",
    0x01010018: "authorities",
    0x01010024: "value",
    0x0101000B: "sharedUserId",
}
_MOST: Final = 200_000


class Chunk(NamedTuple):
    """A chunk: its type, where its body begins, where it begins and ends."""

    kind: int
    body: int
    at: int
    end: int


class Element(NamedTuple):
    """A start tag (`opens`), an end tag, or text (`name` empty)."""

    opens: bool
    name: str
    values: tuple[tuple[str, str], ...]


def chunks(data: bytes, at: int, end: int) -> Iterator[Chunk]:
    """The chunks that stand side by side; ends where they break."""
    while at + 8 <= min(end, len(data)):
        kind, header, size = struct.unpack_from("<HHI", data, at)
        if header < 8 or size < header:
            return
        yield Chunk(kind, at + header, at, min(at + size, len(data)))
        at += size


def read_pool(data: bytes, chunk: Chunk) -> list[str]:
    """The strings of a pool, as far as they can be read."""
    if chunk.at + 28 > len(data):
        return []
    count, _, flags, start, _ = struct.unpack_from("<5I", data, chunk.at + 8)
    count = min(count, (chunk.end - chunk.at) // 4, _MOST)
    offsets = data[chunk.body : chunk.body + 4 * count]
    found = []
    for (offset,) in struct.iter_unpack("<I", offsets[: len(offsets) // 4 * 4]):
        at = chunk.at + start + offset
        found.append(_string(data[at : min(at + 0x10004, chunk.end)], wide=not flags & 0x100))
    return found


def _string(data: bytes, *, wide: bool) -> str:
    if wide:
        length = int.from_bytes(data[:2], "little")
        begin = 2
        if length & 0x8000:
            length, begin = (length & 0x7FFF) << 16 | int.from_bytes(data[2:4], "little"), 4
        return data[begin : begin + 2 * length].decode("utf-16-le", "replace")
    begin = 2 if data[:1] >= b"\x80" else 1
    length = int.from_bytes(data[begin : begin + 1], "big")
    begin += 1
    if length & 0x80:
        length, begin = (length & 0x7F) << 8 | int.from_bytes(data[begin : begin + 1], "big"), begin + 1
    return data[begin : begin + length].decode("utf-8", "replace")


def read_elements(data: bytes) -> Iterator[Element]:
    """The tags and texts of a document in binary XML.

    Raises:
        EvidenceError: where it is none.
    """
    top = next(chunks(data, 0, len(data)), None)
    if top is None or top.kind != XML:
        raise EvidenceError("corrupt", "no binary XML begins here")
    pool: list[str] = []
    numbers: tuple[int, ...] = ()
    for chunk in chunks(data, top.body, top.end):
        if chunk.kind == POOL:
            pool = read_pool(data, chunk)
        elif chunk.kind == NUMBERS:
            raw = data[chunk.body : chunk.end]
            numbers = tuple(number for (number,) in struct.iter_unpack("<I", raw[: len(raw) // 4 * 4]))
        elif chunk.kind in (START, STOP) and chunk.body + 8 <= chunk.end:
            (name,) = struct.unpack_from("<I", data, chunk.body + 4)
            values = tuple(_attributes(data, chunk, pool, numbers)) if chunk.kind == START else ()
            yield Element(chunk.kind == START, _at(pool, name), values)
        elif chunk.kind == WORDS and chunk.body + 4 <= chunk.end:
            yield Element(False, "", (("", _at(pool, struct.unpack_from("<I", data, chunk.body)[0])),))
    if top.end < struct.unpack_from("<I", data, 4)[0]:
        raise EvidenceError("truncated", f"the document breaks off at {top.end}")


def _attributes(data: bytes, chunk: Chunk, pool: list[str], numbers: tuple[int, ...]) -> Iterator[tuple[str, str]]:
    if chunk.body + 20 > chunk.end:
        return
    start, size, count = struct.unpack_from("<3H", data, chunk.body + 8)
    at = chunk.body + start
    for _ in range(count):
        if size < 20 or at + 20 > chunk.end:
            return
        _, name, raw, _, _, kind, value = struct.unpack_from("<IIIHBBI", data, at)
        known = NAMES.get(numbers[name], "") if name < len(numbers) else ""
        yield known or _at(pool, name) or f"attribute {name}", show(kind, value, pool, raw)
        at += size


def show(kind: int, value: int, pool: list[str], raw: int = 0xFFFFFFFF) -> str:
    """A value as people write it."""
    if kind == _STRING:
        return _at(pool, value if value < len(pool) else raw)
    if kind in (_REFERENCE, _ATTRIBUTE):
        return f"{'@' if kind == _REFERENCE else '?'}{value:08x}"
    if kind == _BOOLEAN:
        return "true" if value else "false"
    if kind == _FLOAT:
        return f"{struct.unpack('<f', struct.pack('<I', value))[0]:g}"
    return str(value - (1 << 32) if value >> 31 else value)


def _at(pool: list[str], number: int) -> str:
    return pool[number] if number < len(pool) else ""


class Resource(NamedTuple):
    """A value of the table: its number, its language and country (empty for none), what it says."""

    number: int
    place: str
    text: str
    key: str


def read_table(data: bytes) -> Iterator[Resource]:
    """Every string of a resource table, in the order of the file.

    Raises:
        EvidenceError: where it is none, or breaks off.
    """
    top = next(chunks(data, 0, len(data)), None)
    if top is None or top.kind != TABLE:
        raise EvidenceError("corrupt", "no resource table begins here")
    pool: list[str] = []
    for chunk in chunks(data, top.body, top.end):
        if chunk.kind == POOL:
            pool = read_pool(data, chunk)
        elif chunk.kind == PACKAGE and chunk.at + 12 <= chunk.end:
            (number,) = struct.unpack_from("<I", data, chunk.at + 8)
            keys: list[str] = []
            pools = 0
            for part in chunks(data, chunk.body, chunk.end):
                if part.kind == POOL:
                    pools += 1
                    keys = read_pool(data, part) if pools == 2 else keys
                elif part.kind == TYPE:
                    yield from _values(data, part, number << 24, pool, keys)
    if top.end < struct.unpack_from("<I", data, 4)[0]:
        raise EvidenceError("truncated", f"the table breaks off at {top.end}")


def _values(data: bytes, part: Chunk, above: int, pool: list[str], keys: list[str]) -> Iterator[Resource]:
    if part.at + 32 > part.end:
        return
    number, flags, _, count, start = struct.unpack_from("<BBHII", data, part.at + 8)
    if flags & 3:  # sparse, or short offsets: entries name their own places
        return
    language = data[part.at + 28 : part.at + 32]
    place = "-".join(
        two.decode("ascii", "replace") for two in (language[:2], language[2:]) if two.isalpha() and two[0] < 128
    )
    for index in range(min(count, (part.end - part.body) // 4)):
        (offset,) = struct.unpack_from("<I", data, part.body + 4 * index)
        at = part.at + start + offset
        if offset == 0xFFFFFFFF or at + 16 > part.end:
            continue
        size, complex_, key = struct.unpack_from("<HHI", data, at)
        _, _, kind, value = struct.unpack_from("<HBBI", data, at + 8)
        if size == 8 and not complex_ & 9 and kind == _STRING:
            yield Resource(above | number << 16 | index, place, _at(pool, value), _at(keys, key))
