"""Numbers of ORC taken off their runs, one after another: bytes, bits, whole numbers of both versions, varints.

Source: Apache ORC specification v1, "Run Length Encoding".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._orc import Packing
from indexer.limits import MIB

_WIDTHS: Final = (*range(1, 25), 26, 28, 30, 32, 40, 48, 56, 64)
_WINDOW: Final = 64 * 1024
_HELD: Final = 256 * MIB
_VALUE: Final = 32 * MIB
_VARINT: Final = 140  # bits: a decimal has 128


class Purse:
    """Bytes that all streams of a stripe may hold at once.

    Raises:
        EvidenceError: from `spend`, where it is empty.
    """

    def __init__(self) -> None:
        self._left = _HELD

    def spend(self, size: int) -> None:
        """Takes bytes out; a negative number puts them back."""
        self._left -= size
        if self._left < 0:
            raise EvidenceError("limit", f"columns that need more than {_HELD} bytes at once")


class Feed:
    """The bytes of one stream of a column, unpacked chunk by chunk as they are asked for."""

    def __init__(self, stream: Stream, start: int, size: int, packing: Packing, purse: Purse) -> None:
        self._stream = stream
        self._next = start
        self._end = start + size
        self._packing = packing
        self._purse = purse
        self._held = b""
        self._at = 0

    def take(self, size: int) -> bytes:
        """The next bytes.

        Raises:
            EvidenceError: where they are not all there, or cannot be had.
        """
        if not 0 <= size <= _VALUE:
            raise EvidenceError("limit", f"a value of {size} bytes")
        if size <= len(self._held) - self._at:
            self._at += size
            return self._held[self._at - size : self._at]
        pieces: list[bytes] = []
        while size > len(self._held) - self._at:
            pieces.append(self._held[self._at :])
            size -= len(pieces[-1])
            self._refill()
        self._at = size
        return b"".join([*pieces, self._held[:size]])

    def byte(self) -> int:
        """The next byte as a number; as `take`."""
        while self._at >= len(self._held):
            self._refill()
        self._at += 1
        return self._held[self._at - 1]

    def varint(self) -> int:
        """The next number of seven bits a byte; as `take`."""
        value = 0
        for shift in range(0, _VARINT, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise EvidenceError("corrupt", "a number without end")

    def signed(self) -> int:
        """The next number whose lowest bit is its sign; as `take`."""
        return unsign(self.varint())

    def _refill(self) -> None:
        """The next chunk in place of the one that is used up."""
        chunk = self._chunk()
        self._purse.spend(len(chunk) - len(self._held))
        self._held, self._at = chunk, 0

    def _chunk(self) -> bytes:
        left = self._end - self._next
        if left <= 0:
            raise EvidenceError("truncated", "values are missing")
        if not self._packing.codec:
            chunk = self._stream.at(self._next, min(left, _WINDOW))
            self._next += len(chunk)
            if not chunk:
                raise EvidenceError("truncated", f"the file ends at {self._next}")
            return chunk
        head = int.from_bytes(self._stream.at(self._next, 3), "little")
        size = head >> 1
        chunk = self._stream.at(self._next + 3, size)
        if len(chunk) < size or size + 3 > left:
            raise EvidenceError("truncated", f"a chunk breaks off at {self._next}")
        self._next += 3 + size
        return chunk if head & 1 else self._packing.unpack(chunk)


def unsign(value: int) -> int:
    """A number whose lowest bit is its sign."""
    return value >> 1 ^ -(value & 1)


def read_bytes(feed: Feed) -> Iterator[int]:
    """Bytes in runs."""
    while True:
        head = feed.byte()
        if head < 0x80:
            yield from [feed.byte()] * (head + 3)
        else:
            yield from feed.take(256 - head)


def read_bits(feed: Feed) -> Iterator[bool]:
    """Bits of bytes in runs, the highest first."""
    for byte in read_bytes(feed):
        for place in range(7, -1, -1):
            yield bool(byte >> place & 1)


def read_numbers(feed: Feed, *, second: bool, signed: bool) -> Iterator[int]:
    """Whole numbers in runs.

    Args:
        second: whether by the second version of the encoding.
    """
    return _second(feed, signed=signed) if second else _first(feed, signed=signed)


def _first(feed: Feed, *, signed: bool) -> Iterator[int]:
    number = feed.signed if signed else feed.varint
    while True:
        head = feed.byte()
        if head < 0x80:
            step = int.from_bytes(feed.take(1), "little", signed=True)
            value = number()
            yield from (value + step * place for place in range(head + 3))
        else:
            for _ in range(256 - head):
                yield number()


def _second(feed: Feed, *, signed: bool) -> Iterator[int]:
    while True:
        head = feed.byte()
        if head < 0x40:
            value = int.from_bytes(feed.take((head >> 3 & 7) + 1), "big")
            yield from [unsign(value) if signed else value] * ((head & 7) + 3)
            continue
        width = _WIDTHS[head >> 1 & 31]
        count = (head & 1) << 8 | feed.byte()
        if head < 0x80:
            values = _packed(feed, width, count + 1)
            yield from (unsign(value) for value in values) if signed else values
        elif head < 0xC0:
            yield from _patched(feed, width, count + 1)
        else:
            yield from _steps(feed, width if head >> 1 & 31 else 0, count, signed=signed)


def _packed(feed: Feed, width: int, count: int) -> list[int]:
    """Numbers of `width` bits each, the highest bit first; what fills the last byte is left."""
    data = feed.take((count * width + 7) // 8)
    data += bytes(-len(data) % width)
    mask = (1 << width) - 1
    found: list[int] = []
    for at in range(0, len(data), width):  # eight numbers have as many bytes as one has bits
        group = int.from_bytes(data[at : at + width], "big")
        found += [group >> width * place & mask for place in range(7, -1, -1)]
    return found[:count]


def _patched(feed: Feed, width: int, count: int) -> list[int]:
    third, fourth = feed.byte(), feed.byte()
    size, patch = (third >> 5) + 1, _WIDTHS[third & 31]
    gap, patches = (fourth >> 5) + 1, fourth & 31
    least = int.from_bytes(feed.take(size), "big")
    sign = 1 << size * 8 - 1
    if least & sign:
        least = -(least ^ sign)
    values = _packed(feed, width, count)
    whole = next((each for each in _WIDTHS if each >= gap + patch), 64)
    at = 0
    for entry in _packed(feed, whole, patches):
        at += entry >> patch
        if at >= count:
            raise EvidenceError("corrupt", "a patch behind the last number")
        values[at] |= (entry & (1 << patch) - 1) << width
    return [least + value for value in values]


def _steps(feed: Feed, width: int, count: int, *, signed: bool) -> Iterator[int]:
    value = feed.signed() if signed else feed.varint()
    step = feed.signed()
    yield value
    if not width:
        yield from (value + step * place for place in range(1, count + 1))
        return
    if count:
        value += step
        yield value
    for each in _packed(feed, width, count - 1) if count > 1 else ():
        value += -each if step < 0 else each
        yield value
