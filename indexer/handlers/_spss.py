"""System files of SPSS: the dictionary and the rows, plain, packed by codes, packed by zlib; how values are shown.

Source: GNU PSPP developers' guide, "System File Format": header, records 2 to 7 and 999, data, ZLIB data.
"""

from __future__ import annotations

import math
import re
import struct
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final, Literal

from msgspec import Struct, field

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._survey import AT_ONCE, Cursor, clock, show_number

MAGICS: Final = (b"$FL2", b"$FL3")
Value = float | bytes | None
_EPOCH: Final = datetime(1582, 10, 14)
_DATES: Final = frozenset((20, 23, 24, 30, 38, 39))
_MOMENTS: Final = frozenset((22, 41))
_CLOCKS: Final = frozenset((21, 25, 40))
_DAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_NUMBERED: Final = {
    65001: "utf-8",
    10000: "mac_roman",
    20866: "koi8_r",
    51932: "euc_jp",
    51949: "euc_kr",
    54936: "gb18030",
}
_NUMBERED_PLAIN: Final = frozenset((2, 3, 20127))
"""Code pages that say no more than that texts are of 7 or of 8 bits."""
_ISO: Final = 28590
_ROLE: Final = re.compile(rb"\$@Role\('\d+'\n\)")
_IDLE: Final = 1 << 17
_WHOLE: Final = 252
"""Bytes by which the parts of a very long text are counted; each but the last has room for 255."""
_MOST_ROW: Final = 1 << 26


class Variable(Struct):
    """One column; `width` is 0 for numbers, `form` the type of its print format, `parts` where it stands in a row."""

    name: bytes
    width: int = 0
    form: int = 0
    label: bytes = b""
    parts: list[tuple[int, int]] = field(default_factory=list)
    labels: dict[float | bytes, bytes] = field(default_factory=dict)


class Dictionary(Struct):
    """What a file says of its rows."""

    program: bytes = b""
    release: str = ""
    label: bytes = b""
    author: bytes = b""
    created: datetime | None = None
    codec: str = ""
    rows: int = -1
    weight: bytes = b""
    packing: str = ""
    byte_order: str = ""
    variables: list[Variable] = field(default_factory=list)
    documents: list[bytes] = field(default_factory=list)
    remarks: list[tuple[str, bytes]] = field(default_factory=list)
    """Other texts, and what they are."""


class SystemFile:
    """A system file; `held` is filled by `describe`.

    Raises:
        EvidenceError: corrupt or truncated.
    """

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.held = Dictionary()
        self._start = self._width = self._weight = 0
        layout = stream.at(64, 4)
        order: Literal["little", "big"] = "little" if layout[:1] != b"\0" else "big"
        self._order = order
        self._sign = "<" if order == "little" else ">"
        self._missing = struct.pack(f"{self._sign}d", -1.7976931348623157e308)
        self._bias = 100.0
        self._packing = 0
        self._long: dict[bytes, bytes] = {}
        self._very_long: dict[bytes, int] = {}
        self._pending: dict[bytes, bytes] = {}
        self._by_element: list[Variable | None] = []

    def describe(self) -> None:
        """Reads the header and the dictionary."""
        cursor = Cursor(self.stream, 0, self._order)
        head = cursor.take(176)
        held = self.held
        held.byte_order = self._order
        held.program = head[4:64].strip(b" \0").removeprefix(b"@(#)").strip()
        _, _, self._packing, self._weight, held.rows = struct.unpack_from(f"{self._sign}5i", head, 64)
        (self._bias,) = struct.unpack_from(f"{self._sign}d", head, 84)
        held.created = moment(head[92:101], head[101:109])
        held.label = head[109:173].strip(b" \0")
        held.packing = {0: "none", 1: "codes", 2: "zlib"}.get(self._packing, str(self._packing))
        try:
            while (kind := cursor.number(4)) != 999:
                self._record(cursor, kind)
            cursor.skip(4)
            self._start = cursor.at
        finally:
            self._finish()
        if self._packing not in (0, 1, 2):
            raise EvidenceError("unsupported", f"rows are packed by the unknown way {self._packing}")

    def _record(self, cursor: Cursor, kind: int) -> None:
        if kind == 2:
            self._variable(cursor)
        elif kind == 3:
            self._value_labels(cursor)
        elif kind == 6:
            count = cursor.number(4)
            data = cursor.take(80 * count)
            self.held.documents += [data[at : at + 80].rstrip(b" \0") for at in range(0, len(data), 80)]
        elif kind == 7:
            subtype, size, count = cursor.numbers(4, 3)
            self._extension(subtype, cursor.take(size * count))
        else:
            raise EvidenceError("corrupt", f"a record of the unknown type {kind} at {cursor.at - 4}")

    def _variable(self, cursor: Cursor) -> None:
        data = cursor.take(28)
        width, labelled, missing, shown = struct.unpack_from(f"{self._sign}4i", data)
        label = b""
        if labelled:
            size = cursor.number(4)
            label = cursor.take(size)
            cursor.skip(min(-size % 4, cursor.left))
        if not -3 <= missing <= 3 or not -1 <= width <= 255:
            raise EvidenceError("corrupt", f"a column of {width} bytes with {missing} missing values")
        cursor.skip(8 * abs(missing))
        at, self._width = self._width, self._width + 8
        if width < 0:
            self._by_element.append(None)
            return
        name = data[20:28].rstrip(b" \0")
        variable = Variable(name, width, shown >> 16 & 0xFF, label.rstrip(b" \0"), [(at, width or 8)])
        self.held.variables.append(variable)
        self._by_element.append(variable)

    def _value_labels(self, cursor: Cursor) -> None:
        found: list[tuple[bytes, bytes]] = []
        for _ in range(cursor.number(4)):
            value, size = cursor.take(8), cursor.number(1)
            found.append((value, cursor.take(size).rstrip(b" \0")))
            cursor.skip(min(-(size + 1) % 8, cursor.left))
        if cursor.number(4) != 4:
            raise EvidenceError("corrupt", f"labels of no column at {cursor.at - 4}")
        for index in cursor.numbers(4, cursor.number(4)):
            variable = self._by_element[index - 1] if 1 <= index <= len(self._by_element) else None
            if variable is not None and not variable.labels:
                variable.labels = {self._key(variable, value): text for value, text in found}

    def _key(self, variable: Variable, value: bytes) -> float | bytes:
        if variable.width:
            return value[: variable.width].rstrip(b" \0")
        (number,) = struct.unpack(f"{self._sign}d", value)
        return float(number)

    def _extension(self, subtype: int, data: bytes) -> None:
        held = self.held
        if subtype == 3 and len(data) >= 32:
            numbers = struct.unpack_from(f"{self._sign}8i", data)
            held.release = ".".join(str(part) for part in numbers[:3])
            held.codec = held.codec or codec_of(numbers[7])
        elif subtype == 4 and len(data) >= 24:
            self._missing = data[:8]
        elif subtype == 13:
            self._long.update(_pairs(data))
        elif subtype == 14:
            for name, size in _pairs(data):
                digits = size.rstrip(b" \0")
                if digits.isdigit() and 255 < int(digits[:10]) <= 32767:
                    self._very_long[name] = int(digits)
        elif subtype == 16 and len(data) >= 16:
            held.rows = int.from_bytes(data[8:16], self._order, signed=True)
        elif subtype == 20:
            held.codec = data.strip(b" \0").decode("latin-1")
        elif subtype == 21:
            self._pending[data] = b""
        elif subtype in (17, 18):
            data = _ROLE.sub(b"", data)
            kept = [part for part in data.split(b"/") if subtype == 17 or not part.endswith(b":")]
            held.remarks.append(("attributes", b"\n".join(b" ".join(part.split()) for part in kept)))
        elif subtype in (5, 7, 19):
            held.remarks.append(("sets of columns", data))
        elif subtype == 10:
            held.remarks.append(("program", data))

    def _finish(self) -> None:
        """Very long texts joined, long names given."""
        held = self.held
        joined: list[Variable] = []
        rest = iter(held.variables)
        if 1 <= self._weight <= len(self._by_element) and (weight := self._by_element[self._weight - 1]) is not None:
            held.weight = self._long.get(weight.name, weight.name)
        for variable in rest:
            if size := self._very_long.get(variable.name):
                for piece in islice(rest, -(-size // _WHOLE) - 1):
                    variable.parts += piece.parts
                variable.width = size
            variable.name = self._long.get(variable.name, variable.name)
            joined.append(variable)
        held.variables = joined
        by_name = {variable.name: variable for variable in joined}
        for data in self._pending:
            self._long_labels(data, by_name)

    def _long_labels(self, data: bytes, by_name: dict[bytes, Variable]) -> None:
        """Labels of texts that are longer than a number; what is not whole is left out."""
        at = 0

        def take() -> bytes:
            nonlocal at
            size = int.from_bytes(data[at : at + 4], self._order)
            piece = data[at + 4 : at + 4 + size]
            at += 4 + size
            return piece

        while at < len(data):
            variable = by_name.get(take())
            count = int.from_bytes(data[at + 4 : at + 8], self._order)
            at += 8
            for _ in range(min(count, len(data))):
                value, text = take().rstrip(b" \0"), take()
                if at > len(data):
                    return
                if variable is not None:
                    variable.labels[value] = text

    # -- rows ----------------------------------------------------------------------------------

    def rows(self) -> Iterator[list[Value]]:
        """The rows in their order.

        Raises:
            EvidenceError: corrupt or truncated; after the rows before.
        """
        width, most = self._width, self.held.rows
        if not width or not self._start or width > _MOST_ROW:
            return
        numbers = struct.Struct(f"{self._sign}d").unpack
        places = [(None if each.width else each.parts[0][0], each.parts, each.width) for each in self.held.variables]
        told = 0
        for row in self._whole_rows(width):
            if most >= 0 and told >= most:
                return
            told += 1
            cells: list[Value] = []
            for at, parts, size in places:
                if at is None:
                    cells.append(b"".join([row[part : part + room] for part, room in parts])[:size].rstrip(b" \0"))
                    continue
                raw = row[at : at + 8]
                value = None if raw == self._missing else numbers(raw)[0]
                cells.append(None if value is None or not math.isfinite(value) else value)
            yield cells

    def _whole_rows(self, width: int) -> Iterator[bytes]:
        if not self._packing:
            at, step = self._start, max(1, AT_ONCE // width) * width
            while data := self.stream.at(at, step):
                for row in range(0, len(data) - width + 1, width):
                    yield data[row : row + width]
                if len(data) % width:
                    raise EvidenceError("truncated", "the last row is not whole")
                at += len(data)
            return
        pieces = self._unpacked(_eights(self._inflated() if self._packing == 2 else self._plain()))
        while data := b"".join(islice(pieces, width // 8)):
            if len(data) < width:
                raise EvidenceError("truncated", "the last row is not whole")
            yield data

    def _unpacked(self, eights: Iterator[bytes]) -> Iterator[bytes]:
        """Numbers and pieces of texts, of eight bytes each, out of codes."""
        pack = struct.Struct(f"{self._sign}d").pack
        known = [pack(code - self._bias) for code in range(252)]
        known += [b"", b"", b" " * 8, self._missing]
        idle = 0
        for codes in eights:
            idle = 0 if any(codes) else idle + 1
            if idle > _IDLE:
                raise EvidenceError("corrupt", "the rows are nothing but filling")
            for code in codes:
                if code == 253:
                    piece = next(eights, b"")
                    if not piece:
                        raise EvidenceError("truncated", "the last row is not whole")
                    yield piece
                elif code == 252:
                    return
                elif code:
                    yield known[code]

    def _plain(self) -> Iterator[bytes]:
        at = self._start
        while data := self.stream.at(at, AT_ONCE):
            yield data
            at += len(data)

    def _inflated(self) -> Iterator[bytes]:
        """Blocks of zlib, one after another; the table behind them tells nothing more."""
        cursor = Cursor(self.stream, self._start, self._order)
        _, end, _ = cursor.numbers(8, 3)
        end = end if cursor.at <= end <= self.stream.size else self.stream.size
        decoder = zlib.decompressobj()
        begun = False
        while cursor.at < end:
            data = cursor.take(min(AT_ONCE // 16, end - cursor.at))
            out = b""
            while data or len(out) == AT_ONCE:
                try:
                    out = decoder.decompress(data, AT_ONCE)
                except zlib.error as error:
                    raise EvidenceError("corrupt", f"a block of rows: {error}") from None
                yield out
                data, begun = decoder.unconsumed_tail, True
                if decoder.eof:
                    data, decoder, begun, out = decoder.unused_data, zlib.decompressobj(), False, b""
        if begun:
            raise EvidenceError("truncated", "the last block of rows is not whole")


def _eights(chunks: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        data = rest + chunk
        whole = len(data) - len(data) % 8
        for at in range(0, whole, 8):
            yield data[at : at + 8]
        rest = data[whole:]


def _pairs(data: bytes) -> list[tuple[bytes, bytes]]:
    """Names and what is told of them; parted by tabs, a zero byte may stand before."""
    found = (pair.strip(b"\0").partition(b"=") for pair in data.split(b"\t"))
    return [(name, value) for name, mark, value in found if mark]


def codec_of(number: int) -> str:
    """The name of a numbered character set, or nothing where it says too little."""
    if number in _NUMBERED:
        return _NUMBERED[number]
    if _ISO < number <= _ISO + 16:
        return f"iso8859-{number - _ISO}"
    return "" if number in _NUMBERED_PLAIN or not 400 < number < 10000 else f"cp{number}"


def moment(day: bytes, time: bytes) -> datetime | None:
    """The time of a header such as `05 Mar 19` and `13:07:12`; years before 69 are of this century."""
    match = re.fullmatch(
        r"([ \d]\d)[ -](\w{3})[ -](\d\d) ?\s*(\d\d):(\d\d):(\d\d)", f"{day.decode('latin-1')} {time.decode('latin-1')}"
    )
    names = [month[:3].lower() for month in _MONTHS]
    if not match or match[2].lower() not in names:
        return None
    year = int(match[3]) + (1900 if match[3] >= "69" else 2000)
    try:
        return datetime(
            year,
            names.index(match[2].lower()) + 1,
            int(match[1]),
            int(match[4]),
            int(match[5]),
            int(match[6]),
            tzinfo=UTC,
        )
    except ValueError:
        return None  # 30 February: nothing was recorded


def show(value: float, form: int) -> str:
    """A number, or the day or the time that its format makes of it."""
    if form in _CLOCKS and abs(value) < 1e12:
        return clock(value)
    if form in (26, 27):
        names = _DAYS if form == 26 else _MONTHS
        return names[int(value) - 1] if value in range(1, len(names) + 1) else show_number(value)
    if abs(value) < 1e12 and (form in _DATES or form in _MOMENTS or form in (28, 29)):
        days, rest = divmod(round(value * 1000), 86_400_000)
        try:
            day = _EPOCH + timedelta(days=days)
        except OverflowError:
            return show_number(value)
        if form in _MOMENTS:
            return f"{day:%Y-%m-%d} {clock(rest / 1000)}"
        if form == 28:
            return f"{day:%Y-%m}"
        return f"{day:%Y}q{(day.month + 2) // 3}" if form == 29 else f"{day:%Y-%m-%d}"
    return show_number(value)
