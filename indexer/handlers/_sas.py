"""Pages of SAS data sets: the header, subheaders that describe the columns, rows plain and packed.

Source: "SAS7BDAT Database Binary Format" (M. Shotwell and C. Cummins): header, pages, subheaders, packed rows.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from msgspec import Struct, field

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.limits import MIB

_EPOCH = datetime(1960, 1, 1, tzinfo=UTC)
_DAYS = ("DATE", "YYMMDD", "DDMMYY", "MMDDYY", "E8601DA", "B8601DA", "WORDDATE", "WEEKDATE", "MONYY", "YYMON", "JULIAN")
_CODECS = {20: "utf-8", 28: "ascii", 29: "latin-1", 30: "iso8859-2", 33: "iso8859-5", 37: "iso8859-9", 40: "iso8859-15"}
_CODECS |= {41: "cp437", 42: "cp850", 43: "cp852", 49: "cp866", 118: "cp950", 119: "big5", 123: "big5", 125: "gb2312"}
_CODECS |= {126: "cp936", 134: "euc_jp", 136: "cp932", 138: "shift_jis", 140: "euc_kr", 142: "cp949", 205: "gb18030"}
_CODECS |= {60 + number: f"cp{1250 + number}" for number in range(9)}
_ROW_SIZE, _TEXT, _NAME = 0xF7F7F7F7, 0xFFFFFFFD, 0xFFFFFFFF
_OTHERS = frozenset((0xF6F6F6F6, 0xFFFFFC00, 0xFFFFFFFE))
"""Subheaders that tell nothing more: sizes, counts, lists of columns."""
_ATTRIBUTES, _FORMAT = 0xFFFFFFFC, 0xFFFFFBFE
_DATA, _MIX, _MASK = 0x100, 0x200, 0xF00
_MOST_ROW = MIB
_MOST_COLUMNS = 32_767
_FILLS = {0x5: b"@", 0x6: b" ", 0x7: b"\0", 0xD: b"@", 0xE: b" ", 0xF: b"\0"}


class Column(Struct):
    """One column: its names, how it is shown, where in a row it stands."""

    name: str = ""
    label: str = ""
    format: str = ""
    offset: int = 0
    size: int = 0
    is_text: bool = False


class Set(Struct):
    """What the header says; the columns are there once the pages before the first row were read."""

    name: str
    created: float
    modified: float
    codec: str
    byte_order: str
    bits: int
    release: str
    system: str
    page_size: int
    pages: int
    missing: int = 0
    rows: int = 0
    packed: str = ""
    columns: list[Column] = field(default_factory=list)


class Reader:
    """A data set.

    Raises:
        EvidenceError: corrupt or truncated.
    """

    def __init__(self, stream: Stream) -> None:
        head = stream.at(0, 4096)
        if len(head) < 288:
            raise EvidenceError("truncated", "the header is not whole")
        self._stream = stream
        self._wide = head[32:33] == b"3"
        self._order = "<" if head[37:38] == b"\1" else ">"
        first = 4 * (head[35:36] == b"3")
        both = first + 4 * self._wide
        self._number = 8 if self._wide else 4
        self._lead = 32 if self._wide else 16
        self._pointer = 24 if self._wide else 12
        created, modified = struct.unpack_from(f"{self._order}2d", head, 164 + first)
        self._start, page_size, pages = struct.unpack_from(f"{self._order}3I", head, 196 + first)
        codec = _CODECS.get(head[70], "cp1252")
        if not 1024 <= self._start <= stream.size or not 256 <= page_size <= 16 * MIB:
            raise EvidenceError("corrupt", f"a header of {self._start} bytes and pages of {page_size}")
        self.set = Set(
            name=head[92:156].decode(codec, "replace").strip(" \0"),
            created=created,
            modified=modified,
            codec=codec,
            byte_order="little" if self._order == "<" else "big",
            bits=8 * self._number,
            release=head[216 + both : 224 + both].decode("latin-1").strip(" \0"),
            system=head[224 + both : 240 + both].decode("latin-1").strip(" \0"),
            page_size=page_size,
            pages=min(pages, (stream.size - self._start) // page_size),
        )
        self.set.missing = max(0, pages - self.set.pages)
        self._row_size = self._mixed = 0
        self._texts: list[bytes] = []
        self._counts = {"name": 0, "place": 0, "format": 0}

    def _int(self, data: bytes, at: int, size: int = 0) -> int:
        piece = data[at : at + (size or self._number)]
        return int.from_bytes(piece, "little" if self._order == "<" else "big")

    def rows(self) -> Iterator[bytes]:
        """The rows in their order.

        Raises:
            EvidenceError: unsupported, corrupt; after the rows before.
        """
        left = -1
        for number in range(self.set.pages):
            page = self._stream.at(self._start + number * self.set.page_size, self.set.page_size)
            kind, blocks, headers = (self._int(page, self._lead + 2 * part, 2) for part in range(3))
            at = self._lead + 8
            floor = len(page)
            for index in range(min(headers, (len(page) - at) // self._pointer) if kind & _MASK != _DATA else 0):
                place = at + index * self._pointer
                if self._int(page, place + self._number):
                    floor = min(floor, self._int(page, place))
                yield from self._subheader(page, place)
            if left < 0:
                left = self.set.rows
            if not self._row_size or kind & _MASK not in (_DATA, _MIX):
                continue
            count = blocks
            if kind & _MASK == _MIX:
                at += headers * self._pointer
                at += at % 8
                count = min(self._mixed, blocks - headers)
            for _ in range(min(count, left)):
                row = page[at : at + self._row_size]
                if at + self._row_size > floor:
                    break  # the descriptions stand at the end of the page
                yield row
                at += self._row_size
                left -= 1

    def _subheader(self, page: bytes, at: int) -> Iterator[bytes]:
        """Takes a description in; gives a row where the subheader is a packed one."""
        start, size = self._int(page, at), self._int(page, at + self._number)
        packing, kind = page[at + 2 * self._number], page[at + 2 * self._number + 1]
        if not size or packing == 1 or start + size > len(page):
            return
        data = page[start : start + size]
        mark = self._int(data, 4 if self._wide and self._order == ">" else 0, 4)
        if mark == _ROW_SIZE:
            self._row_size = min(self._int(data, 5 * self._number), _MOST_ROW)
            self.set.rows = self._int(data, 6 * self._number)
            self._mixed = self._int(data, 15 * self._number)
        elif mark == _TEXT:
            self._texts.append(data[self._number :])
            for name in (b"SASYZCRL", b"SASYZCR2"):
                self.set.packed = self.set.packed or (name.decode() if name in data[:200] else "")
        elif mark == _NAME:
            for place in range(self._number + 8, size - self._number - 4, 8):
                self._column("name").name = self._text(data, place)
        elif mark == _ATTRIBUTES:
            step = self._number + 8
            for index in range(max(0, size - 2 * self._number - 12) // step):
                place = self._number + 8 + index * step
                column = self._column("place")
                column.offset = self._int(data, place)
                column.size = self._int(data, place + self._number, 4)
                column.is_text = data[place + self._number + 6] == 2
        elif mark == _FORMAT:
            column = self._column("format")
            column.format = self._text(data, 22 + 3 * self._number)
            column.label = self._text(data, 28 + 3 * self._number)
        elif mark not in _OTHERS and self._row_size and self.set.packed and kind == 1 and packing in (0, 4):
            yield self._unpacked(data)

    def _column(self, what: str) -> Column:
        """The next column of which this is told."""
        number = self._counts[what]
        if number >= _MOST_COLUMNS:
            raise EvidenceError("corrupt", f"more than {_MOST_COLUMNS} columns")
        self._counts[what] += 1
        if number == len(self.set.columns):
            self.set.columns.append(Column())
        return self.set.columns[number]

    def _text(self, data: bytes, at: int) -> str:
        block, offset, size = (self._int(data, at + 2 * part, 2) for part in range(3))
        if block >= len(self._texts):
            return ""
        return self._texts[block][offset : offset + size].decode(self.set.codec, "replace").strip(" \0")

    def _unpacked(self, data: bytes) -> bytes:
        if len(data) >= self._row_size:
            return data[: self._row_size]
        if self.set.packed != "SASYZCRL":
            raise EvidenceError("unsupported", f"rows packed as {self.set.packed or 'something unknown'}")
        return _unrun(data, self._row_size)


def moment(seconds: float) -> datetime | None:
    """The time so many seconds after the start of 1960; None for zero and what is no time."""
    try:
        return _EPOCH + timedelta(seconds=round(seconds)) if seconds else None
    except (OverflowError, ValueError):
        return None


def show_value(value: float, form: str) -> str:
    """A number, or the day or the time that its format makes of it."""
    name = form.upper()
    if name.startswith(("DATETIME", "E8601DT", "B8601DT")):
        at = moment(value) if value else _EPOCH
        return at.strftime("%Y-%m-%d %H:%M:%S") if at else ""
    if name.startswith(_DAYS):
        at = moment(value * 86400) if value else _EPOCH
        return at.strftime("%Y-%m-%d") if at else ""
    if name.startswith(("TIME", "HHMM", "E8601TM")) and 0 <= value < 1 << 31:
        return f"{int(value) // 3600:02}:{int(value) // 60 % 60:02}:{int(value) % 60:02}"
    return f"{value:.15g}"


def _unrun(data: bytes, most: int) -> bytes:
    """A row whose runs of equal bytes were packed."""
    out = bytearray()
    at = 0
    while at < len(data) and len(out) < most:
        kind, low = data[at] >> 4, data[at] & 15
        following = data[at + 1] if at + 1 < len(data) else 0
        at += 1
        if kind == 0:
            size = low * 256 + following + 64
            out += data[at + 1 : at + 1 + size]
            at += 1 + size
        elif kind == 4:
            out += data[at + 1 : at + 2] * (low * 16 + following + 18)
            at += 2
        elif kind in (5, 6, 7):
            out += _FILLS[kind] * (low * 256 + following + 17)
            at += 1
        elif 8 <= kind <= 11:
            size = low + 1 + 16 * (kind - 8)
            out += data[at : at + size]
            at += size
        elif kind == 12:
            out += data[at : at + 1] * (low + 3)
            at += 1
        elif kind >= 13:
            out += _FILLS[kind] * (low + 2)
        else:
            raise EvidenceError("corrupt", f"a packed row with the control byte {data[at - 1]:#x}")
    return bytes(out[:most].ljust(most, b"\0"))
