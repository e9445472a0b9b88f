"""Pages of Jet and ACE databases: table definitions, the pages a table owns, rows and their long values.

Source: the description of the MDB format that the mdbtools project publishes (HACKING.md): page 0, data pages,
rows of version 3 and 4, table definitions, usage maps, long values, column types.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import pairwise

from msgspec import Struct, field

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._ole import codec_of
from indexer.limits import MIB

BOOL, BYTE, SHORT, LONG, MONEY, SINGLE, DOUBLE, DATE, BINARY, TEXT, OLE, MEMO = range(1, 13)
GUID, NUMERIC, COMPLEX, BIG = 15, 16, 18, 19
_SIZES = {
    BYTE: 1,
    SHORT: 2,
    LONG: 4,
    MONEY: 8,
    SINGLE: 4,
    DOUBLE: 8,
    DATE: 8,
    GUID: 16,
    NUMERIC: 17,
    COMPLEX: 4,
    BIG: 8,
}
_DAY_ZERO = datetime(1899, 12, 30)
_KEY = b"\xc7\xda\x39\x6b"
_MOST_DEFINITION = 4 * MIB
_MOST_COLUMNS = 4096
LONGEST = 64 * MIB
"""Bytes of one long value that are read."""
_MASK, _DELETED, _POINTER = 0x1FFF, 0x8000, 0x4000


class Column(Struct, frozen=True):
    """One column: where in a row it stands depends on whether its length is fixed."""

    name: str
    kind: int
    number: int
    place: int
    offset: int
    size: int
    fixed: bool
    scale: int


class Table(Struct):
    """A table's definition; `owned` are its data pages, `moved` where rows lie that grew out of theirs."""

    page: int
    columns: list[Column]
    rows: int
    is_system: bool
    variable: int
    owned: list[int] = field(default_factory=list)
    moved: set[int] | None = None


Value = str | int | float | bool | bytes | None


class Jet:
    """A database file.

    Raises:
        EvidenceError: corrupt, encrypted, missing-library.
    """

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        head = stream.at(0, 4096)
        if len(head) < 0x98:
            raise EvidenceError("truncated", "the first page is not whole")
        self.version = head[0x14]
        self.is_old = self.version == 0
        self.size = 2048 if self.is_old else 4096
        self.pages = stream.size // self.size
        length = 126 if self.is_old else 128
        self.header = head[:0x18] + _rc4(_KEY, head[0x18 : 0x18 + length]) + head[0x18 + length :]
        self.codec = codec_of(struct.unpack_from("<H", self.header, 0x3C)[0]) if self.is_old else "utf-16-le"
        (self._key,) = struct.unpack_from("<I", self.header, 0x3E)
        self._page = lru_cache(maxsize=64)(self._load)
        if self._page(2)[:1] != b"\2":
            if not self._key:
                raise EvidenceError("corrupt", "there is no catalogue where it should be")
            raise EvidenceError("encrypted", "the pages are encrypted")

    @property
    def password(self) -> str:
        """The password that the first page keeps for the program to ask for."""
        if self.is_old:
            return self.header[0x42:0x56].partition(b"\0")[0].decode(self.codec, "replace")
        held = self.header[0x42:0x6A]
        (made,) = struct.unpack_from("<d", self.header, 0x72)
        mask = struct.pack("<i", int(made)) if 0 < made < 1 << 30 else bytes(4)
        plain = bytes(byte ^ mask[place % 4] for place, byte in enumerate(held))
        return plain.decode("utf-16-le", "replace").partition("\0")[0]

    @property
    def made(self) -> datetime | None:
        """When the file was made, by the clock of its machine; version 3 does not say."""
        return None if self.is_old else day(struct.unpack_from("<d", self.header, 0x72)[0])

    def _load(self, number: int) -> bytes:
        data = self.stream.at(number * self.size, self.size)
        if self._key and number and data:
            data = _rc4(struct.pack("<I", self._key ^ number), data)
        return data

    # -- definitions -----------------------------------------------------------------------------

    def table(self, page: int) -> Table:
        """The definition that begins on a page.

        Raises:
            EvidenceError: corrupt.
        """
        data = self._definition(page)
        shift, index_size, width = (0, 8, 18) if self.is_old else (20, 12, 25)
        base = 43 if self.is_old else 63
        if len(data) < base:
            raise EvidenceError("truncated", f"page {page}: the table's definition is cut")
        rows = struct.unpack_from("<I", data, 12 if self.is_old else 16)[0]
        kind, _, variable, count = struct.unpack_from("<BHHH", data, 20 + shift)
        (indexes,) = struct.unpack_from("<I", data, 31 + shift)
        used = int.from_bytes(data[35 + shift : 39 + shift], "little")
        at = base + indexes * index_size
        names_at = at + count * width
        if count > _MOST_COLUMNS or names_at > len(data):
            raise EvidenceError("corrupt", f"page {page}: {count} columns do not fit the table's definition")
        columns = []
        for number in range(count):
            row = data[at + number * width : at + (number + 1) * width]
            name, names_at = self._name(data, names_at)
            columns.append(_column(row, name, self.is_old))
        columns.sort(key=lambda column: column.number)
        return Table(page, columns, rows, kind == 0x53, variable, self._owned(page, used))

    def _definition(self, page: int) -> bytes:
        """All pages of a definition as one; the second and later ones without their first eight bytes."""
        data, seen = bytearray(), set[int]()
        while page and page < self.pages and page not in seen and len(data) < _MOST_DEFINITION:
            seen.add(page)
            piece = self._page(page)
            if piece[:1] != b"\2" or len(piece) < 8:
                break
            data += piece[8:] if data else piece
            (page,) = struct.unpack_from("<I", piece, 4)
        return bytes(data)

    def _name(self, data: bytes, at: int) -> tuple[str, int]:
        step = 1 if self.is_old else 2
        length = int.from_bytes(data[at : at + step], "little")
        at += step
        return data[at : at + length].decode(self.codec, "replace"), at + length

    def _owned(self, page: int, pointer: int) -> list[int]:
        """The data pages of a table by its usage map, those kept that really say so."""
        held = self.record(pointer)
        found: list[int] = []
        if held[:1] == b"\0" and len(held) >= 5:
            found = _bits(held[5:], int.from_bytes(held[1:5], "little"))
        elif held[:1] == b"\1":
            width = 8 * (self.size - 4)
            for number in range((len(held) - 1) // 4):
                target = int.from_bytes(held[1 + 4 * number : 5 + 4 * number], "little")
                bitmap = self._page(target) if 0 < target < self.pages else b""
                if bitmap[:1] == b"\5":
                    found += (each for each in _bits(bitmap[4:], number * width) if each < self.pages)
        mark = struct.pack("<I", page)
        return [number for number in found if number < self.pages and self._at(number, 0, 8)[4:8] == mark]

    def _at(self, number: int, offset: int, length: int) -> bytes:
        """Part of a page; the whole is read only where it has to be decrypted."""
        if self._key:
            return self._page(number)[offset : offset + length]
        return self.stream.at(number * self.size + offset, length)

    # -- rows ------------------------------------------------------------------------------------

    def slots(self, number: int) -> Iterator[tuple[int, int, bytes]]:
        """Number, flags and bytes of every row that a data page lists."""
        page = self._page(number)
        start = 10 if self.is_old else 14
        if page[:1] != b"\1" or len(page) < start:
            return
        count = min(int.from_bytes(page[start - 2 : start], "little"), (len(page) - start) // 2)
        end = len(page)
        for row in range(count):
            (word,) = struct.unpack_from("<H", page, start + 2 * row)
            begin = word & _MASK
            if start + 2 * count <= begin <= end:
                yield row, word, page[begin:end]
                end = begin

    def record(self, pointer: int) -> bytes:
        """The row that a pointer means: its page in the upper three bytes, its number in the lowest."""
        page, row = pointer >> 8, pointer & 0xFF
        if not 0 < page < self.pages:
            return b""
        return next((data for number, _, data in self.slots(page) if number == row), b"")

    def rows(self, table: Table, *, deleted: bool = False) -> Iterator[dict[str, Value]]:
        """The rows of a table by column; or those that were deleted and are still whole."""
        if table.moved is None:
            table.moved = {
                int.from_bytes(data[:4], "little")
                for page in table.owned
                for _, word, data in self.slots(page)
                if word & _POINTER and len(data) >= 4
            }
        for page in table.owned:
            for row, word, data in self.slots(page):
                if bool(word & _DELETED) != deleted or (page << 8 | row) in table.moved:
                    continue
                if word & _POINTER:
                    data = self.record(int.from_bytes(data[:4], "little")) if not deleted else b""
                if values := self._crack(table, data):
                    yield values

    def _crack(self, table: Table, data: bytes) -> dict[str, Value]:
        """The values of one row; nothing where its own lengths contradict one another."""
        step = 1 if self.is_old else 2
        count = int.from_bytes(data[:step], "little")
        mask_size = (count + 7) // 8
        tail = len(data) - mask_size
        if not count or count > _MOST_COLUMNS or tail < step:
            return {}
        mask = int.from_bytes(data[tail:], "little")
        ends = self._ends(data, tail, step) if table.variable else []
        if ends is None:
            return {}
        found: dict[str, Value] = {}
        for column in table.columns:
            present = column.number < count and bool(mask >> column.number & 1)
            if column.kind == BOOL:
                found[column.name] = present
            elif not present:
                found[column.name] = None
            elif column.fixed:
                begin = step + column.offset
                found[column.name] = self._value(column, data[begin : begin + (_SIZES.get(column.kind) or column.size)])
            elif column.place + 1 < len(ends):
                found[column.name] = self._value(column, data[ends[column.place] : ends[column.place + 1]])
        return found

    def _ends(self, data: bytes, tail: int, step: int) -> list[int] | None:
        """Where the variable columns begin, and where the last of them ends."""
        count = int.from_bytes(data[tail - step : tail], "little")
        if self.is_old:
            jumps = (len(data) - 1) // 256
            last = tail - 2 - jumps
            if jumps and (last - count) // 256 < jumps:
                jumps -= 1
            if last < count:
                return None
            found, used = [], 0
            for number in range(count + 1):
                while used < jumps and data[tail - 2 - used] == number:
                    used += 1
                found.append(data[last - number] + 256 * used)
        else:
            first = tail - 4 - 2 * count
            if first < step:
                return None
            found = [int.from_bytes(data[at : at + 2], "little") for at in range(tail - 4, first - 1, -2)]
        return found if all(one <= two for one, two in pairwise(found)) else None

    def _value(self, column: Column, data: bytes) -> Value:
        kind, size = column.kind, _SIZES.get(column.kind, 0)
        if len(data) < size:
            return None
        if kind in (BYTE, SHORT, LONG, COMPLEX, BIG):
            return int.from_bytes(data[:size], "little", signed=kind != BYTE)
        if kind == MONEY:
            return _decimal(int.from_bytes(data[:8], "little", signed=True), 4)
        if kind in (SINGLE, DOUBLE):
            return float(struct.unpack("<f" if kind == SINGLE else "<d", data[:size])[0])
        if kind == DATE:
            moment = day(struct.unpack("<d", data[:8])[0])
            return moment.isoformat(" ").removesuffix(" 00:00:00") if moment else None
        if kind == GUID:
            return "{" + str(uuid.UUID(bytes_le=data[:16])) + "}"
        if kind == NUMERIC:
            words = struct.unpack("<4I", data[1:17])
            number = words[0] << 96 | words[1] << 64 | words[2] << 32 | words[3]
            return _decimal(-number if data[0] & 0x80 else number, column.scale)
        if kind == TEXT:
            return self.text(data)
        if kind in (MEMO, OLE):
            held = self.long_value(data)
            return self.text(held) if kind == MEMO else held
        return data

    def text(self, data: bytes) -> str:
        """Text as version 3 or 4 keeps it: in the latter bytes for characters, switched by zeros."""
        if self.is_old or data[:2] != b"\xff\xfe":
            return data[: len(data) if self.is_old else len(data) & ~1].decode(self.codec, "replace")
        parts = data[2:].split(b"\0")
        return "".join(
            part[: len(part) & ~1].decode("utf-16-le", "replace") if number % 2 else part.decode("latin-1")
            for number, part in enumerate(parts)
        )

    def long_value(self, data: bytes) -> bytes:
        """A memo or an object: behind its head, in one record, or in a chain of them."""
        if len(data) < 12:
            return b""
        head, pointer = struct.unpack_from("<II", data)
        length = min(head & 0x3FFFFFFF, LONGEST)
        if head & 0x80000000:
            return data[12 : 12 + length]
        if head & 0x40000000:
            return self.record(pointer)[:length]
        held, seen = bytearray(), set[int]()
        while pointer and pointer not in seen and len(held) < length:
            seen.add(pointer)
            piece = self.record(pointer)
            held += piece[4:]
            pointer = int.from_bytes(piece[:4], "little")
        return bytes(held[:length])


def day(serial: float) -> datetime | None:
    """A date and time counted in days; the part behind the point runs forward also before 1899."""
    try:
        whole = int(serial)
        seconds = round(abs(serial - whole) * 86400)
        return _DAY_ZERO + timedelta(days=whole, seconds=seconds)
    except (OverflowError, ValueError):
        return None


def _decimal(number: int, scale: int) -> str:
    digits = str(abs(number)).rjust(scale + 1, "0")
    shown = (
        f"{digits[: len(digits) - scale]}.{digits[len(digits) - scale :]}".rstrip("0").rstrip(".") if scale else digits
    )
    return ("-" if number < 0 else "") + shown


def _bits(bitmap: bytes, start: int) -> list[int]:
    return [start + 8 * place + bit for place, byte in enumerate(bitmap) if byte for bit in range(8) if byte >> bit & 1]


def _column(row: bytes, name: str, is_old: bool) -> Column:
    if is_old:
        kind, number, place, _, _, scale, flags, offset, size = struct.unpack("<BHHHHHxxBHH", row)
        scale >>= 8
    else:
        kind, number, place, scale, flags, offset, size = struct.unpack("<B4xHH2xxB2xB5xHH", row)
    return Column(name, kind, number, place, offset, size, bool(flags & 1), scale & 0xFF if scale < 29 else 0)


def _rc4(key: bytes, data: bytes) -> bytes:
    try:
        from Cryptodome.Cipher import ARC4
    except ImportError as error:
        raise EvidenceError("missing-library", "Cryptodome is needed: pip install pycryptodomex") from error
    return bytes(ARC4.new(key).decrypt(data))
