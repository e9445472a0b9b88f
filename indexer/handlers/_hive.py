"""The cells of a registry hive: keys, values and their data, also those that no key leads to any more.

Source: the Windows registry file format as documented by M. Suhanov (regf, version 1.6) and by libregf.
Every offset is data from the evidence: a cell is given only as far as it lies inside of the file, and
each key is visited once.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from msgspec import Struct, field

from indexer.handler import Stream
from indexer.limits import MIB

BINS: Final = 4096
"""Where the first bin begins; offsets count from here."""
UNREACHABLE: Final = "unreachable"
WHOLE: Final = 512 * MIB
"""Bytes of a hive that are read; the largest seen have 200 MiB."""
_DATA: Final = 16 * MIB
"""Bytes of one value; the registry itself refuses to hold more than a few MiB."""
_DEPTH: Final = 512
"""The registry allows keys 512 deep."""
_NONE: Final = 0xFFFFFFFF
_KEY: Final = struct.Struct("<2sHQIIIIIIIIIIIIIIIHH")
_VALUE: Final = struct.Struct("<2sHIIIH")
_SEGMENT: Final = 16344


class Value(Struct):
    """One value: `kind` is its type, such as 1 for text; `data` is cut where the file ends."""

    name: str
    kind: int
    data: bytes


class Key(Struct):
    """One key: `path` from the root down without the root's own name; `lost`: nothing leads to it."""

    path: str
    ticks: int
    at: int
    kind_name: str = ""
    lost: str = ""
    values: list[Value] = field(default_factory=list)


class Hive:
    """A hive in memory; `faults` tells what was wrong, each sort once."""

    def __init__(self, stream: Stream) -> None:
        self.data = stream.at(0, WHOLE)
        self.faults: dict[str, int] = {}
        self._seen: set[int] = set()
        self._taken: set[int] = set()
        # No honest hive has more rows or more data than it has bytes: lists that many keys share run dry.
        self._rows = len(self.data) // 4
        self._bytes = 2 * len(self.data)
        (self._root,) = struct.unpack_from("<I", self.data.ljust(40, b"\0"), 36)

    def fault(self, message: str) -> None:
        """Counts a fault."""
        self.faults[message] = self.faults.get(message, 0) + 1

    def cell(self, offset: int) -> bytes:
        """What a cell in use holds, without its size; empty where the offset leads nowhere."""
        at = BINS + offset
        if offset & 7 or at + 8 > len(self.data):
            return b""
        size = -int.from_bytes(self.data[at : at + 4], "little", signed=True)
        return self.data[at + 4 : at + size] if size >= 8 else b""

    def linked_keys(self) -> Iterator[Key]:
        """Every key that the root leads to, a key before those below it, in the order of their names."""
        waiting = [(self._root, "", -1)]
        while waiting:
            offset, above, depth = waiting.pop()
            if offset in self._seen:
                self.fault("a key is in two places, or inside itself")
                continue
            self._seen.add(offset)
            cell = self.cell(offset)
            if len(cell) < _KEY.size or cell[:2] != b"nk":
                self.fault("a key cannot be found")
                continue
            path = "" if depth < 0 else f"{above}\\{_name_of(cell)}" if above else _name_of(cell)
            yield self._key(cell, path, BINS + offset)
            if depth >= _DEPTH:
                self.fault(f"keys more than {_DEPTH} deep")
                continue
            waiting += [(each, path, depth + 1) for each in reversed(self._below(cell))]

    def lost_keys(self) -> Iterator[Key]:
        """Keys in cells that are free, or that nothing leads to, by their place in the file."""
        at = self.data.find(b"nk", BINS)
        while at >= 0:
            offset = at - 4 - BINS
            if offset >= 0 and not offset & 7 and offset not in self._seen:
                cell = self.data[at : at + 4096]
                if len(cell) >= _KEY.size and _is_sane(cell):
                    size = int.from_bytes(self.data[at - 4 : at], "little", signed=True)
                    key = self._key(cell, self._climb(cell), at - 4)
                    key.lost = UNREACHABLE if size < 0 else "deleted"
                    yield key
            at = self.data.find(b"nk", at + 2)

    def lost_values(self) -> Iterator[tuple[int, Value]]:
        """Values that belong to no key any more, with their place; only those that have a name."""
        at = self.data.find(b"vk", BINS)
        while at >= 0:
            offset = at - 4 - BINS
            if offset >= 0 and not offset & 7 and offset not in self._taken:
                value = self._value(self.data[at : at + 1024])
                if value and value.name and value.kind < 12 and value.name.isprintable():
                    yield at - 4, value
            at = self.data.find(b"vk", at + 2)

    # -- inside a key --------------------------------------------------------------------------

    def _key(self, cell: bytes, path: str, at: int) -> Key:
        row = _KEY.unpack_from(cell)
        key = Key(path, row[2], at)
        count, values, kind_at, kind_size = row[9], row[10], row[12], row[19]
        if kind_size and kind_at != _NONE:
            key.kind_name = self.cell(kind_at)[:kind_size].decode("utf-16-le", "replace")
        if count and values != _NONE:
            listed = self.cell(values)
            if len(listed) < 4 * count:
                self.fault("a list of values is not whole")
                count = len(listed) // 4
            count = self._spend(count)
            for offset in struct.unpack_from(f"<{count}I", listed):
                value = self._value(self.cell(offset))
                if value is None:
                    self.fault("a value cannot be found")
                    continue
                self._taken.add(offset)
                key.values.append(value)
        return key

    def _below(self, cell: bytes) -> list[int]:
        """The keys directly below one."""
        count, first = struct.unpack_from("<I4xI", cell, 20)
        if not count or first == _NONE:
            return []
        found: list[int] = []
        lists, seen = [first], set[int]()
        while lists:
            offset = lists.pop()
            listed = self.cell(offset)
            if offset in seen or len(listed) < 4:
                self.fault("a list of keys cannot be found")
                continue
            seen.add(offset)
            mark, entries = struct.unpack_from("<2sH", listed)
            width = {b"lf": 8, b"lh": 8, b"li": 4, b"ri": 4}.get(mark, 0)
            if not width:
                self.fault("a list of keys cannot be found")
                continue
            if 4 + width * entries > len(listed):
                self.fault("a list of keys is not whole")
                entries = (len(listed) - 4) // width
            entries = self._spend(entries)
            rows = [int.from_bytes(listed[at : at + 4], "little") for at in range(4, 4 + width * entries, width)]
            if mark == b"ri" and len(seen) < 65536:
                lists += reversed(rows)
            else:
                found += rows
        return found

    def _value(self, cell: bytes) -> Value | None:
        if len(cell) < 20 or cell[:2] != b"vk":
            return None
        _, length, size, offset, kind, flags = _VALUE.unpack_from(cell)
        raw = cell[20 : 20 + length]
        name = raw.decode("latin-1") if flags & 1 else raw.decode("utf-16-le", "replace")
        if size >> 31:
            data = cell[8 : 8 + min(size & 0x7FFFFFFF, 4)]
        else:
            data = self._data(offset, min(size, _DATA)) if size else b""
        return Value(name, kind, data)

    def _data(self, offset: int, size: int) -> bytes:
        """The data of a value; those too large for one cell lie in several."""
        cell = self.cell(offset)
        if size > _SEGMENT and cell[:2] == b"db" and len(cell) >= 8:
            count, listed = struct.unpack_from("<HI", cell, 2)
            rows = self.cell(listed)
            held = bytearray()
            for at in range(0, min(4 * count, len(rows) - 3), 4):
                held += self.cell(int.from_bytes(rows[at : at + 4], "little"))[:_SEGMENT]
                if len(held) >= size:
                    break
            cell = bytes(held)
        if len(cell) < size:
            self.fault("the data of a value are not whole")
        self._bytes -= min(len(cell), size)
        return cell[:size] if self._bytes > 0 else b""

    def _spend(self, count: int) -> int:
        """How many of `count` further rows may be read."""
        count = min(count, self._rows)
        self._rows -= count
        if not self._rows:
            self.fault("more keys and values than the file can hold")
        return count

    def _climb(self, cell: bytes) -> str:
        """The path of a lost key as far as the keys above it are still there."""
        names: list[str] = []
        seen: set[int] = set()
        while len(names) < _DEPTH and len(cell) >= _KEY.size and cell[:2] == b"nk":
            names.append(_name_of(cell))
            (above,) = struct.unpack_from("<I", cell, 16)
            if above == self._root:
                return "\\".join(reversed(names))
            if above in seen:
                break
            seen.add(above)
            cell = self.cell(above)
        return "\\".join(["...", *reversed(names)])


def _name_of(cell: bytes) -> str:
    length = int.from_bytes(cell[72:74], "little")
    raw = cell[76 : 76 + length]
    return raw.decode("latin-1") if cell[2] & 0x20 else raw.decode("utf-16-le", "replace")


def _is_sane(cell: bytes) -> bool:
    """Whether bytes that begin like a key can be one: a name that prints, a year that can be."""
    ticks = int.from_bytes(cell[4:12], "little")
    length = int.from_bytes(cell[72:74], "little")
    if not 0x01BD000000000000 < ticks < 0x02100000_00000000 or not 0 < length <= 512:
        return False
    return len(cell) >= 76 + length and _name_of(cell).isprintable()
