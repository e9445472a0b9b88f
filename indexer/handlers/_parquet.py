"""The values of a column in a Parquet file: pages unpacked, dictionaries looked up, nulls put back.

Source: Apache Parquet format 2.11, "Data Pages", "Encodings", "Logical Types".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, NamedTuple

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._column_codecs import MOST, unpack
from indexer.handlers._thrift import Compact

CODECS: Final = {
    0: "none",
    1: "snappy",
    2: "gzip",
    3: "lzo",
    4: "brotli",
    5: "lz4 (hadoop)",
    6: "zstandard",
    7: "lz4",
}
BOOLEAN, INT32, INT64, INT96, FLOAT, DOUBLE, BYTES, FIXED = range(8)
_PLAIN, _DICTIONARY, _RLE, _BY_DICTIONARY = 0, 2, 3, 8
_ENCODINGS: Final = {4: "bit-packed", 5: "delta numbers", 6: "delta lengths", 7: "delta strings", 9: "split bytes"}
_NUMBERS: Final = {INT32: "i", INT64: "q", FLOAT: "f", DOUBLE: "d"}
_UNITS: Final = {1: 1000.0, 2: 1.0, 3: 0.001}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_HEAD: Final = 1 << 16
_SHOWN: Final = 32
_VALUES: Final = 10_000_000
_DAY_ZERO: Final = 2440588


class Column(NamedTuple):
    """A column of the schema: how often each of its levels may come or be missing."""

    name: str
    kind: int
    size: int
    converted: int
    logical: dict[int, Any]
    nulls: int
    repeats: int


class Piece(NamedTuple):
    """Where the pages of a column stand in one group of rows."""

    codec: int
    values: int
    start: int
    size: int


def read_values(stream: Stream, column: Column, piece: Piece) -> Iterator[str | None]:
    """The values as text, None for a null; those of lists one after another, without their places.

    Raises:
        EvidenceError: after the last value that could be had.
    """
    at, end, told = piece.start, piece.start + piece.size, 0
    known: list[str] = []
    while at < end and told < piece.values:
        thrift = Compact(stream.at(at, _HEAD))
        head = thrift.struct()
        at += thrift.at
        size, unpacked = _number(head, 3), _number(head, 2)
        data = stream.at(at, size) if 0 <= size <= MOST else b""
        if len(data) < size or not 0 <= unpacked <= MOST:
            raise EvidenceError("truncated", f"a page breaks off at {at}")
        at += size
        codec = CODECS.get(piece.codec, str(piece.codec))
        if head.get(1) == 2:
            body = unpack(codec, data, unpacked)
            known = [_show(column, raw) for raw in _plain(column, body, _number(_part(head, 7), 1))]
        elif head.get(1) in (0, 3):
            page = _page(head, data, codec, column, unpacked)
            for value in _of_page(column, page, known):
                yield value
                told += 1
    if told < piece.values:
        raise EvidenceError("truncated", f"{told} of {piece.values} values are here")


class _Page(NamedTuple):
    values: int
    encoding: int
    levels: list[int] | None
    body: bytes


def _page(head: dict[int, Any], data: bytes, codec: str, column: Column, unpacked: int) -> _Page:
    """A page of data, its levels taken off."""
    if head.get(1) == 3:
        about = _part(head, 8)
        repeats, nulls = _number(about, 6), _number(about, 5)
        levels = _hybrid(data[repeats : repeats + nulls], column.nulls.bit_length(), _count(about))
        body = data[repeats + nulls :]
        body = unpack(codec, body, unpacked) if about.get(7, True) and body else body
        return _Page(_count(about), _number(about, 4), levels if column.nulls else None, body)
    about = _part(head, 5)
    count, at = _count(about), 0
    body = unpack(codec, data, unpacked)
    found: list[int] | None = None
    for most in (column.repeats, column.nulls):
        if most:
            size = int.from_bytes(body[at : at + 4], "little")
            found = _hybrid(body[at + 4 : at + 4 + size], most.bit_length(), count)
            at += 4 + size
    return _Page(count, _number(about, 2), found if column.nulls else None, body[at:])


def _of_page(column: Column, page: _Page, known: list[str]) -> Iterator[str | None]:
    there = page.values if page.levels is None else page.levels.count(column.nulls)
    values: Iterator[str]
    if page.encoding == _PLAIN:
        values = (_show(column, raw) for raw in _plain(column, page.body, there))
    elif page.encoding in (_DICTIONARY, _BY_DICTIONARY):
        width = page.body[0] if page.body else 0
        numbers = _hybrid(page.body[1:], width, there)
        if numbers and max(numbers) >= len(known):
            raise EvidenceError("corrupt", "a value that is not in its dictionary")
        values = (known[number] for number in numbers)
    elif page.encoding == _RLE and column.kind == BOOLEAN:
        values = (str(bool(bit)).lower() for bit in _hybrid(page.body[4:], 1, there))
    else:
        told = _ENCODINGS.get(page.encoding, str(page.encoding))
        raise EvidenceError("unsupported", f"values written as {told}")
    if page.levels is None:
        yield from values
        return
    for level in page.levels:
        yield next(values, None) if level == column.nulls else None


def _hybrid(data: bytes, width: int, count: int) -> list[int]:
    """Numbers in runs and in packed groups of eight."""
    if not width:
        return [0] * count
    if width > 32:
        raise EvidenceError("corrupt", f"numbers of {width} bits")
    found: list[int] = []
    thrift = Compact(data)
    mask = (1 << width) - 1
    while len(found) < count and thrift.at < len(data):
        head = thrift.varint()
        if head & 1:
            size = (head >> 1) * width
            raw = data[thrift.at : thrift.at + size]
            for at in range(0, len(raw) // width * width, width):
                group = int.from_bytes(raw[at : at + width], "little")
                found += [group >> width * place & mask for place in range(8)]
            thrift.at += size
        else:
            size = (width + 7) // 8
            value = int.from_bytes(data[thrift.at : thrift.at + size], "little")
            found += [value] * min(head >> 1, count - len(found))
            thrift.at += size
    return found[:count]


def _plain(column: Column, data: bytes, count: int) -> Iterator[Any]:
    """Values as they stand one behind another."""
    if column.kind in _NUMBERS:
        size = 8 if column.kind in (INT64, DOUBLE) else 4
        count = max(0, min(count, len(data) // size))
        yield from struct.unpack_from(f"<{count}{_NUMBERS[column.kind]}", data)
    elif column.kind == BOOLEAN:
        yield from (bool(data[place >> 3] >> (place & 7) & 1) for place in range(min(count, len(data) * 8)))
    elif column.kind == BYTES:
        at = 0
        for _ in range(count):
            size = int.from_bytes(data[at : at + 4], "little")
            if at + 4 + size > len(data):
                return
            yield data[at + 4 : at + 4 + size]
            at += 4 + size
    else:
        size = 12 if column.kind == INT96 else max(1, column.size)
        for place in range(min(count, len(data) // size)):
            yield data[place * size : (place + 1) * size]


def _show(column: Column, raw: Any) -> str:
    """A value as people write it."""
    if isinstance(raw, bytes):
        return _show_bytes(column, raw)
    if isinstance(raw, bool):
        return str(raw).lower()
    if isinstance(raw, float):
        return f"{raw:.15g}"
    value = int(raw)
    try:
        if column.converted == 6:
            return (date(1970, 1, 1) + timedelta(days=value)).isoformat()
        if stamp := column.logical.get(8):
            return _time(value * _UNITS.get(next(iter(_part(stamp, 2)), 2), 1.0), utc=bool(stamp.get(1)))
        if column.converted in (9, 10):
            return _time(value * (1000.0 if column.converted == 9 else 1.0), utc=True)
    except (OverflowError, AttributeError):
        pass  # no calendar has it: the number itself is told
    return str(value)


def _show_bytes(column: Column, raw: bytes) -> str:
    if column.kind == INT96 and len(raw) == 12:
        nanoseconds, day = struct.unpack("<qi", raw)
        try:
            return _time((day - _DAY_ZERO) * 86_400e6 + nanoseconds / 1000, utc=False)
        except OverflowError:
            return raw.hex()
    try:
        text = raw.decode()
        if column.kind == BYTES and (column.converted == 0 or 1 in column.logical or text.isprintable()):
            return text
    except UnicodeDecodeError:
        pass  # bytes that are no text are told in hex
    return f"0x{raw.hex()}" if len(raw) <= _SHOWN else f"[{len(raw)} bytes: 0x{raw[:8].hex()}...]"


def _time(microseconds: float, *, utc: bool) -> str:
    at = _EPOCH + timedelta(microseconds=microseconds)
    return f"{at:%Y-%m-%d %H:%M:%S}{f'.{at.microsecond:06}' if at.microsecond else ''}{'Z' if utc else ''}"


def _count(about: dict[int, Any]) -> int:
    """How many values a page says it has."""
    count = _number(about, 1)
    if not 0 <= count <= _VALUES:
        raise EvidenceError("limit", f"a page of {count} values")
    return count


def _number(about: dict[int, Any], key: int) -> int:
    value = about.get(key, 0)
    return value if isinstance(value, int) else 0


def _part(about: Any, key: int) -> dict[int, Any]:
    value = about.get(key) if isinstance(about, dict) else None
    return value if isinstance(value, dict) else {}
