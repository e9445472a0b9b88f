"""Extensible Storage Engine databases: pages, the catalog of tables and columns, and the rows.

Source: the ESE database file format as documented by libesedb; [MS-XCA] 2.4 (plain LZ77).
Every page is looked at once, in the order of the file, and says itself which table it belongs to: no
tree is walked, so that neither circles nor lost branches matter.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from msgspec import Struct, field

from indexer.handler import Stream

CATALOG: Final = 2
TABLE, COLUMN, LONG = 1, 2, 4
_LEAF, _SPACE, _INDEX, _LONG, _NEW = 0x2, 0x20, 0x40, 0x80, 0x2000
_WIDTHS: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 4, 7: 8, 8: 8, 14: 4, 15: 8, 16: 16, 17: 2}
_COLUMNS: Final = 100_000
"""Columns of all tables together; a mail store has some ten thousand."""
_VALUE: Final = 1 << 16


class Column(NamedTuple):
    """One column: `page` is the code page of its text."""

    number: int
    name: str
    kind: int
    page: int


class Table(Struct):
    """One table: its name and its columns by their number."""

    name: str
    columns: dict[int, Column] = field(default_factory=dict)


class Entry(NamedTuple):
    """One entry of a leaf page: the object that the page belongs to, whether it holds long values, the data."""

    owner: int
    is_long: bool
    data: bytes


class Database:
    """A database; `page_size` is 0 where the header cannot be."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.tables: dict[int, Table] = {}
        self.bad_pages = 0
        head = stream.at(0, 668).ljust(668, b"\0")
        self.version, self.revision = struct.unpack_from("<I", head, 8)[0], struct.unpack_from("<I", head, 232)[0]
        (self.state,) = struct.unpack_from("<I", head, 52)
        (size,) = struct.unpack_from("<I", head, 236)
        self.page_size = size if size in (2048, 4096, 8192, 16384, 32768) else 0
        self._large = size >= 16384

    def read_catalog(self) -> None:
        """Fills `tables` from the catalog's pages."""
        count = 0
        for entry in self.entries(CATALOG):
            data = entry.data
            if len(data) < 30 or count >= _COLUMNS:
                continue
            owner, kind, number, coltype, _, _, page = struct.unpack_from("<IHIIIII", data, 4)
            name = next((value for key, value in self._variable(data) if key == 128), b"")
            text = name.decode("utf-8", "replace")
            if kind == TABLE:
                self.tables.setdefault(owner, Table("")).name = text
            elif kind == COLUMN:
                count += 1
                self.tables.setdefault(owner, Table("")).columns[number] = Column(number, text, coltype, page)

    def entries(self, only: int = 0) -> Iterator[Entry]:
        """The entries of all leaf pages that hold rows or long values, or of one object."""
        if not self.page_size:
            return
        for at in range(2 * self.page_size, self.stream.size, self.page_size):
            head = self.stream.at(at, 40)
            if len(head) < 40:
                return
            owner, count, flags = struct.unpack_from("<I6xHI", head, 24)
            if not flags & _LEAF or flags & (_SPACE | _INDEX) or (only and owner != only):
                continue
            page = self.stream.at(at, self.page_size)
            if len(page) < self.page_size:
                return
            for data in self._page(page, count):
                yield Entry(owner, bool(flags & _LONG), data)

    def _page(self, page: bytes, count: int) -> Iterator[bytes]:
        start = 80 if self._large else 40
        mask = 0x7FFF if self._large else 0x1FFF
        for number in range(1, min(count, (self.page_size - start) // 4)):
            size, offset = struct.unpack_from("<HH", page, self.page_size - 4 * (number + 1))
            flags = offset >> 13
            size, offset = size & mask, offset & mask
            value = page[start + offset : start + offset + size]
            if len(value) < max(size, 4):
                self.bad_pages += 1
                return
            if self._large:
                flags = value[1] >> 5
                value = bytes((value[0], value[1] & 0x1F)) + value[2:]
            if flags & 2:
                continue
            at = 2 if flags & 4 else 0
            (key_size,) = struct.unpack_from("<H", value, at)
            yield value[at + 2 + key_size :]

    # -- rows ----------------------------------------------------------------------------------

    def row(self, table: Table, data: bytes) -> Iterator[tuple[Column, bytes]]:
        """The values of one row that are there, with their columns."""
        if len(data) < 4:
            return
        last, _, end = struct.unpack_from("<BBH", data)
        bits = data[max(4, end - (last + 7) // 8) : end]
        at = 4
        for number in range(1, last + 1):
            column = table.columns.get(number)
            width = _WIDTHS.get(column.kind, 0) if column else 0
            if not column or not width:
                break
            empty = (number - 1) // 8 < len(bits) and bits[(number - 1) // 8] >> (number - 1) % 8 & 1
            if not empty and at + width <= len(data):
                yield column, data[at : at + width]
            at += width
        for number, value in self._variable(data):
            if number in table.columns:
                yield table.columns[number], value
        for number, value in self._tagged(data):
            if number in table.columns:
                yield table.columns[number], value

    def _variable(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        start, ends = _variable_ends(data)
        at = 0
        for number, end in enumerate(ends, 128):
            stop = end & 0x7FFF
            if not end & 0x8000 and stop > at:
                yield number, data[start + at : start + stop]
            at = max(at, stop)

    def _tagged(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Values with their number in front; what is stored elsewhere is left out."""
        start, ends = _variable_ends(data)
        at = start + max((end & 0x7FFF for end in ends), default=0)
        if at + 4 > len(data):
            return
        mask = 0x7FFF if self._large else 0x3FFF
        first = struct.unpack_from("<H", data, at + 2)[0] & mask
        count = min(first // 4, (len(data) - at) // 4)
        rows = [struct.unpack_from("<HH", data, at + 4 * place) for place in range(count)]
        for place, (number, offset) in enumerate(rows):
            stop = rows[place + 1][1] & mask if place + 1 < count else len(data) - at
            value = data[at + (offset & mask) : at + stop]
            if (self._large or offset & 0x4000) and value:
                flags, value = value[0], value[1:]
                if flags & 4:
                    continue
                if flags & 2:
                    value = unpack_value(value)
                elif flags & 8 and len(value) > 2:
                    value = value[int.from_bytes(value[:2], "little") & 0x7FFF :]
            yield number, value


def _variable_ends(data: bytes) -> tuple[int, list[int]]:
    """Where the variable values begin, and the place at which each ends."""
    if len(data) < 4:
        return 0, []
    _, last, start = struct.unpack_from("<BBH", data)
    count = min(max(0, last - 127), max(0, (len(data) - start) // 2))
    return start + 2 * count, list(struct.unpack_from(f"<{count}H", data, start)) if count else []


def unpack_value(data: bytes) -> bytes:
    """A packed value: letters of seven bits, or plain LZ77; as it stands where it is neither."""
    kind = data[0] >> 3 if data else 0
    if kind in (1, 2) and len(data) > 1:
        bits = int.from_bytes(data[1 : _VALUE + 1], "little")
        count = (8 * (min(len(data), _VALUE + 1) - 2) + (data[0] & 7) + 1) // 7
        letters = bytes(bits >> 7 * place & 0x7F for place in range(min(count, 4096)))
        return letters.decode("ascii").encode("utf-16-le") if kind == 2 else letters
    if kind == 3 and len(data) > 3:
        return _unpack_plain(data[3:], int.from_bytes(data[1:3], "little"))
    return data


def _unpack_plain(data: bytes, size: int) -> bytes:
    out = bytearray()
    at = flags = left = 0
    half = -1
    while len(out) < size and at < len(data):
        if not left:
            flags, left = int.from_bytes(data[at : at + 4], "little"), 32
            at += 4
            continue
        left -= 1
        if not flags >> left & 1:
            out.append(data[at])
            at += 1
            continue
        match = int.from_bytes(data[at : at + 2], "little")
        at += 2
        length, distance = match & 7, (match >> 3) + 1
        if length == 7:
            if half < 0:
                half = at
                length = data[at] & 15 if at < len(data) else 0
                at += 1
            else:
                length = data[half] >> 4 if half < len(data) else 0
                half = -1
            if length == 15:
                length = data[at] if at < len(data) else 0
                at += 1
                if length == 255:
                    length = int.from_bytes(data[at : at + 2], "little") - 22
                    at += 2
                length += 15
            length += 7
        length = max(0, min(length + 3, size - len(out)))
        if distance > len(out):
            break
        piece = bytes(out[-distance:])
        out += (piece * (length // distance + 1))[:length]
    return bytes(out)
