"""The database inside an installer's compound file: its strings, its tables, the names of its streams.

Source: Windows SDK, "Windows Installer Database" (tables and column types); how they are stored was
taken from the files themselves and from the notes of the Wine project (dlls/msi, string pool).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from indexer.handlers._cfb import Compound, Entry
from indexer.handlers._ole import codec_of

LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._"
PAIR, SINGLE, TABLE = 0x3800, 0x4800, 0x4840
"""Where two letters, one letter, and the mark of a table begin in the encoding of names."""
TEXT, BINARY, NULLABLE = 0x0800, 0x0900, 0x1000
WIDE = 1 << 31
MOST_STREAM = 64 << 20
MOST_ROWS = 100_000
POOL, DATA = "!_StringPool", "!_StringData"
Cell = str | int


class Column(NamedTuple):
    """One column of a table."""

    number: int
    name: str
    kind: int


COLUMNS = (Column(1, "Table", TEXT), Column(2, "Number", 2), Column(3, "Name", TEXT), Column(4, "Type", 2))


def decode_name(name: str) -> str:
    """A stream's name as the database knows it; tables have an exclamation mark before it."""
    out = []
    for char in name:
        code = ord(char)
        if PAIR <= code < SINGLE:
            out.append(LETTERS[code - PAIR & 0x3F] + LETTERS[code - PAIR >> 6])
        elif SINGLE <= code < TABLE:
            out.append(LETTERS[code - SINGLE])
        else:
            out.append("!" if code == TABLE else char)
    return "".join(out)


class Database:
    """Strings and tables.

    Attributes:
        streams: entries by their decoded names, tables among them.
        missing: strings that are not there, as far as the tables were read.
    """

    def __init__(self, held: Compound) -> None:
        self._held = held
        self.streams: dict[str, Entry] = {}
        for entry in held.root.children:
            self.streams.setdefault(decode_name(entry.name), entry)
        self.code_page = 0
        self.missing = 0
        self._width = 2
        self._strings = self._read_strings()
        self._columns: Mapping[str, list[Column]] = {}
        columns: dict[str, list[Column]] = {}
        for table, number, name, kind in self._rows("!_Columns", COLUMNS):
            # A null in place of a number is nothing that an installer would read; the rest may still be.
            columns.setdefault(str(table), []).append(Column(int(number or 0), str(name), int(kind or 0) & 0xFFFF))
        self._columns = {table: sorted(each) for table, each in columns.items()}

    def tables(self) -> Iterator[tuple[str, list[str], Iterator[tuple[Cell, ...]]]]:
        """Name, names of the columns, and rows of each table that is here."""
        for table, columns in self._columns.items():
            if f"!{table}" in self.streams:
                yield table, [column.name for column in columns], self._rows(f"!{table}", columns)

    def understood(self, name: str) -> bool:
        """Whether a stream is a table, or what the tables are made of."""
        return name in (POOL, DATA, "!_Columns", "!_Tables", "!_Validation") or name.removeprefix("!") in self._columns

    def _read(self, name: str) -> bytes:
        return self._held.read(self.streams.get(name), MOST_STREAM)

    def _read_strings(self) -> list[str]:
        pool = self._read(POOL)
        data = self._read(DATA)
        pairs = list(struct.iter_unpack("<HH", pool[: len(pool) // 4 * 4]))
        if not pairs:
            return []
        page = pairs[0][0] | pairs[0][1] << 16
        self._width = 3 if page & WIDE else 2
        self.code_page = page & ~WIDE
        codec = "utf-8" if self.code_page == 65001 else codec_of(self.code_page) if self.code_page else "cp1252"
        strings = [""]
        at, number = 0, 1
        while number < len(pairs):
            size, uses = pairs[number]
            if not size and uses and number + 1 < len(pairs):
                # A string of 64 KiB and more takes two entries, of which the first has the high half.
                number += 1
                size = pairs[number][0] | uses << 16
            strings.append(data[at : at + size].decode(codec, "replace"))
            at += size
            number += 1
            self.missing += at > len(data)
        return strings

    def _rows(self, name: str, columns: list[Column] | tuple[Column, ...]) -> Iterator[tuple[Cell, ...]]:
        data = self._read(name)
        widths = [self._bytes(column) for column in columns]
        count = min(len(data) // (sum(widths) or 1), MOST_ROWS)
        total = len(data) // (sum(widths) or 1)
        starts = [sum(widths[:place]) * total for place in range(len(widths))]
        for row in range(count):
            yield tuple(
                self._cell(column, int.from_bytes(data[start + row * width : start + (row + 1) * width], "little"))
                for column, start, width in zip(columns, starts, widths, strict=True)
            )

    def _bytes(self, column: Column) -> int:
        if column.kind & ~NULLABLE & 0xFFFF == BINARY:
            return 2
        if column.kind & TEXT:
            return self._width
        return 4 if column.kind & 0xFF == 4 else 2

    def _cell(self, column: Column, value: int) -> Cell:
        if not value:
            return ""
        if column.kind & ~NULLABLE & 0xFFFF == BINARY:
            return "[binary]"
        if column.kind & TEXT:
            if value < len(self._strings):
                return self._strings[value]
            self.missing += 1
            return ""
        return value - (1 << 31 if self._bytes(column) == 4 else 1 << 15)
