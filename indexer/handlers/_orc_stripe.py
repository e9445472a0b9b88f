"""The rows of one stripe of an ORC file: the streams of every column put together to values as text.

Source: Apache ORC specification v1, "Stripes", "Column Encodings".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import repeat
from typing import Final, NamedTuple

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._orc import Message, Packing, number, numbers, parts, read_message, text
from indexer.handlers._orc_runs import Feed, Purse, read_bits, read_bytes, read_numbers
from indexer.handlers._rows import one_line
from indexer.limits import MIB

BOOLEAN, TINYINT, _, _, BIGINT, FLOAT, DOUBLE, STRING, BINARY, TIMESTAMP = range(10)
LIST, MAP, STRUCT, UNION, DECIMAL, DATE, VARCHAR, CHAR, INSTANT, GEOMETRY, GEOGRAPHY = range(10, 21)
_PRESENT, _DATA, _LENGTH, _WORDS, _, _SECOND = range(6)
_INDEX: Final = frozenset((6, 7, 8))
_FOOT: Final = 64 * MIB
_DEEPEST: Final = 64
_ITEMS: Final = 1_000_000
_ENTRY: Final = 64  # bytes that a word of a dictionary costs beside its letters
_SHOWN: Final = 32
_SCALE: Final = 128
_ZERO: Final = datetime(2015, 1, 1, tzinfo=UTC)
_DAY_ZERO: Final = date(1970, 1, 1)

Value = str | None


class Stripe(NamedTuple):
    """A part of the rows: where its streams stand, and how each column is written."""

    rows: int
    zone: str
    feeds: dict[tuple[int, int], Feed]
    encodings: list[int]
    words: list[int]
    purse: Purse


def read_stripe(stream: Stream, about: Message, packing: Packing) -> Stripe:
    """A stripe with its streams ready to be read.

    Raises:
        EvidenceError: where its foot cannot be had.
    """
    start, index, data, size, rows = (number(about, key) for key in range(1, 6))
    foot_at = start + index + data
    raw = stream.at(foot_at, size) if size <= _FOOT else b""
    if len(raw) < size or not raw:
        raise EvidenceError("truncated", f"the stripe at {start} has no foot")
    foot = read_message(packing.unpack_chunks(raw))
    purse = Purse()
    feeds: dict[tuple[int, int], Feed] = {}
    at = start
    for each in parts(foot, 1):
        told = read_message(each)
        length = number(told, 3)
        if number(told, 1) not in _INDEX:
            feeds[number(told, 2), number(told, 1)] = Feed(stream, at, min(length, foot_at - at), packing, purse)
        at += length
    encodings = [read_message(each) for each in parts(foot, 2)]
    return Stripe(
        rows,
        text(foot, 3),
        feeds,
        [number(each, 1) for each in encodings],
        [number(each, 2) for each in encodings],
        purse,
    )


class Columns:
    """The columns of a stripe by their place in the list of types."""

    def __init__(self, stripe: Stripe, types: list[Message], stream: Stream) -> None:
        self._stripe = stripe
        self._types = types
        self._stream = stream
        self._seen: set[int] = set()

    def values(self, place: int, depth: int = 0) -> Iterator[Value]:
        """The values of a column, None for a null, as long as they are asked for.

        Raises:
            EvidenceError: after the last value that could be had.
        """
        if depth > _DEEPEST:
            raise EvidenceError("limit", f"values nested deeper than {_DEEPEST}")
        if place in self._seen:
            raise EvidenceError("corrupt", "a column that stands in two others")
        self._seen.add(place)
        there = self._values(place, depth)
        if (place, _PRESENT) not in self._stripe.feeds:
            return there
        present = read_bits(self._feed(place, _PRESENT))
        return (next(there) if bit else None for bit in present)

    def _feed(self, place: int, kind: int) -> Feed:
        found = self._stripe.feeds.get((place, kind))
        return found or Feed(self._stream, 0, 0, Packing(0, 0), self._stripe.purse)

    def _numbers(self, place: int, kind: int, *, signed: bool) -> Iterator[int]:
        return read_numbers(self._feed(place, kind), second=self._encoding(place) >= 2, signed=signed)

    def _encoding(self, place: int) -> int:
        encodings = self._stripe.encodings
        return encodings[place] if place < len(encodings) else 0

    def _values(self, place: int, depth: int) -> Iterator[str]:
        """The values that are no null."""
        kind = number(self._types[place], 1)
        data = self._feed(place, _DATA)
        if kind == BOOLEAN:
            return ("true" if bit else "false" for bit in read_bits(data))
        if kind == TINYINT:
            return (str(byte - 256 if byte > 127 else byte) for byte in read_bytes(data))
        if kind <= BIGINT:
            return (str(value) for value in self._numbers(place, _DATA, signed=True))
        if kind in (FLOAT, DOUBLE):
            return _floats(data, double=kind == DOUBLE)
        if kind in (STRING, VARCHAR, CHAR):
            raw = self._dictionary(place) if self._encoding(place) & 1 else self._strings(place, _DATA)
            return (each.decode("utf-8", "replace") for each in raw)
        if kind in (BINARY, GEOMETRY, GEOGRAPHY):
            return (_show_bytes(each) for each in self._strings(place, _DATA))
        if kind in (TIMESTAMP, INSTANT):
            return self._times(place, utc=kind == INSTANT)
        if kind == DATE:
            return (_day(value) for value in self._numbers(place, _DATA, signed=True))
        if kind == DECIMAL:
            scales = self._numbers(place, _SECOND, signed=True)
            return (_decimal(data.signed(), scale) for scale in scales)
        return self._nested(place, kind, depth)

    def _strings(self, place: int, kind: int) -> Iterator[bytes]:
        data = self._feed(place, kind)
        return (data.take(size) for size in self._numbers(place, _LENGTH, signed=False))

    def _dictionary(self, place: int) -> Iterator[bytes]:
        stripe = self._stripe
        words: list[bytes] = []
        strings = self._strings(place, _WORDS)
        for _ in range(stripe.words[place] if place < len(stripe.words) else 0):
            words.append(next(strings))
            stripe.purse.spend(len(words[-1]) + _ENTRY)
        for value in self._numbers(place, _DATA, signed=False):
            if not 0 <= value < len(words):
                raise EvidenceError("corrupt", "a value that is not in its dictionary")
            yield words[value]

    def _times(self, place: int, *, utc: bool) -> Iterator[str]:
        parts_of_second = self._numbers(place, _SECOND, signed=False)
        since = int(_ZERO.timestamp())
        for seconds in self._numbers(place, _DATA, signed=True):
            packed = next(parts_of_second)
            if packed >> 63:  # some writers count the part of a second before 1970 backwards
                packed -= 1 << 64
            nanoseconds = packed >> 3
            if packed & 7:
                nanoseconds *= 10 ** ((packed & 7) + 1)
            # Writers cut towards zero before 1970: the part of a second counts back from there.
            if seconds + since < 0 and nanoseconds > 999_999:
                seconds -= 1
            whole, nanoseconds = divmod(nanoseconds, 1_000_000_000)
            yield _time(seconds + whole, nanoseconds, utc=utc)

    def _nested(self, place: int, kind: int, depth: int) -> Iterator[str]:
        children = [child for child in numbers(self._types[place], 2) if place < child < len(self._types)]
        inside = [self.values(child, depth + 1) for child in children]
        names = [one_line(each.decode("utf-8", "replace")) for each in parts(self._types[place], 3)]
        if kind == STRUCT and len(names) >= len(inside):
            return _structs(names, inside)
        if kind == LIST and len(inside) == 1:
            return self._lists(place, inside[0], None)
        if kind == MAP and len(inside) == 2:
            return self._lists(place, inside[1], inside[0])
        if kind == UNION and inside:
            return _unions(read_bytes(self._feed(place, _DATA)), inside)
        raise EvidenceError("corrupt", f"a type {kind} with {len(inside)} types inside")

    def _lists(self, place: int, values: Iterator[Value], keys: Iterator[Value] | None) -> Iterator[str]:
        for count in self._numbers(place, _LENGTH, signed=False):
            if count > _ITEMS:
                raise EvidenceError("limit", f"a list of {count} values")
            if keys is None:
                yield "[" + ", ".join([next(values) or "" for _ in range(count)]) + "]"
            else:
                yield "{" + ", ".join([f"{next(keys)}: {next(values) or ''}" for _ in range(count)]) + "}"


def _structs(names: list[str], inside: list[Iterator[Value]]) -> Iterator[str]:
    for _ in repeat(None):
        cells = [next(each) or "" for each in inside]
        yield "{" + ", ".join(f"{name}: {cell}" for name, cell in zip(names, cells, strict=False)) + "}"


def _unions(tags: Iterator[int], inside: list[Iterator[Value]]) -> Iterator[str]:
    for tag in tags:
        if tag >= len(inside):
            raise EvidenceError("corrupt", f"a union has no type {tag}")
        yield next(inside[tag]) or ""


def _floats(data: Feed, *, double: bool) -> Iterator[str]:
    form, size = ("<d", 8) if double else ("<f", 4)
    while True:
        (value,) = struct.unpack(form, data.take(size))
        yield repr(value) if double else _short(value)


def _short(value: float) -> str:
    """The shortest text that gives the same number of 32 bits again."""
    for digits in range(6, 9):
        told = f"{value:.{digits}g}"
        if abs(value) < 3e38 and struct.pack("<f", float(told)) == struct.pack("<f", value):
            return told
    return f"{value:.9g}"


def _decimal(value: int, scale: int) -> str:
    if not -_SCALE <= scale <= _SCALE:
        raise EvidenceError("corrupt", f"a decimal of scale {scale}")
    if scale <= 0:
        return str(value * 10**-scale)
    digits = str(abs(value)).rjust(scale + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-scale]}.{digits[-scale:]}"


def _day(value: int) -> str:
    try:
        return (_DAY_ZERO + timedelta(days=value)).isoformat()
    except OverflowError:
        return str(value)  # no calendar has it


def _time(seconds: int, nanoseconds: int, *, utc: bool) -> str:
    try:
        at = _ZERO + timedelta(seconds=seconds)
    except OverflowError:
        return f"{seconds}.{nanoseconds:09} seconds from 2015"  # no calendar has it
    part = f".{nanoseconds:09}".rstrip("0") if nanoseconds else ""
    return f"{at.isoformat(' ')[:19]}{part}{'Z' if utc else ''}"


def _show_bytes(raw: bytes) -> str:
    if raw.isascii() and raw.decode().isprintable():
        return raw.decode()
    return f"0x{raw.hex()}" if len(raw) <= _SHOWN else f"[{len(raw)} bytes: 0x{raw[:8].hex()}...]"
