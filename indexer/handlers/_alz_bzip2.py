"""The bzip2 of ALZ archives: no header, no checksums, other marks; otherwise bzip2. About 0.7 MB a second.

Source: OctopusET, "ALZ Archive Format", section 5.1; the blocks' coding is that of bzip2 1.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from indexer.errors import EvidenceError

BLOCK, END = b"DLZ\x01", b"DLZ\x02"
MOST_BLOCK = 900_000
GROUP = 50
LONGEST_CODE = 20
OUTPUT = 256 * 1024
_RUN = re.compile(rb"(.)\1\1\1(.)", re.DOTALL)

Table = tuple[int, list[int]]
"""Width of the longest code, and for each value of that many bits: symbol * 32 + length of its code."""


class Bits:
    """Bits of packed data, the highest first, with zeros behind the end."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._data = b""
        self._at = 0

    def take(self, count: int) -> int:
        """A number of `count` bits."""
        value = self.look(count)
        self.skip(count)
        return value

    def look(self, count: int) -> int:
        """The next bits, without taking them."""
        while 8 * len(self._data) - self._at < count and (piece := next(self._pieces, b"")):
            self._data = self._data[self._at >> 3 :] + piece
            self._at &= 7
        last = self._at + count + 7 >> 3
        part = self._data[self._at >> 3 : last].ljust(last - (self._at >> 3), b"\0")
        return int.from_bytes(part, "big") >> 8 * last - self._at - count & (1 << count) - 1

    def skip(self, count: int) -> None:
        """Leaves bits behind that were looked at.

        Raises:
            EvidenceError: truncated, where they were not there.
        """
        self._at += count
        if self._at > 8 * len(self._data):
            raise EvidenceError("truncated", "bzip2: the packed data end too early")


def decode(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The unpacked bytes, in pieces.

    Raises:
        EvidenceError: after the last good block.
    """
    bits = Bits(pieces)
    while (mark := bits.take(32).to_bytes(4, "big")) != END:
        if mark != BLOCK:
            raise EvidenceError("corrupt", "bzip2: no block begins where one should")
        yield from _expand(_unsort(*_read_block(bits)))


def _read_block(bits: Bits) -> tuple[int, bytes]:
    """Where the text begins among the sorted rotations, and the last byte of each."""
    origin = bits.take(24)
    front = _used_bytes(bits)
    end = len(front) + 1
    tables = bits.take(3)
    count = bits.take(15)
    if not 2 <= tables <= 6 or not count or end < 2:
        raise EvidenceError("corrupt", "bzip2: the head of a block does not add up")
    order = list(range(tables))
    selectors = []
    for _ in range(count):
        place = 0
        while bits.take(1):
            place += 1
            if place >= tables:
                raise EvidenceError("corrupt", "bzip2: a table is chosen that is not there")
        order.insert(0, order.pop(place))
        selectors.append(order[0])
    codes = [_read_table(bits, end + 1) for _ in range(tables)]
    block = bytearray()
    run = power = 0
    for selector in selectors:
        width, table = codes[selector]
        room = start = GROUP * width
        window, mask = bits.look(room), (1 << width) - 1
        for _ in range(GROUP):
            value = table[window >> room - width & mask]
            if not value:
                raise EvidenceError("corrupt", "bzip2: a code that stands for nothing")
            room -= value & 31
            symbol = value >> 5
            if symbol < 2:
                run += 1 + symbol << power
                power += 1
                if run > MOST_BLOCK:
                    raise EvidenceError("corrupt", "bzip2: a block is longer than can be")
                continue
            if run:
                block += bytes((front[0],)) * run
                run = power = 0
            if symbol == end:
                bits.skip(start - room)
                if origin >= len(block) or len(block) > MOST_BLOCK:
                    raise EvidenceError("corrupt", "bzip2: a block does not add up")
                return origin, bytes(block)
            front.insert(0, front.pop(symbol - 1))
            block.append(front[0])
        if len(block) > MOST_BLOCK:
            raise EvidenceError("corrupt", "bzip2: a block is longer than can be")
        bits.skip(start - room)
    raise EvidenceError("corrupt", "bzip2: a block has no end")


def _used_bytes(bits: Bits) -> list[int]:
    ranges = bits.take(16)
    used = []
    for high in range(16):
        if ranges >> 15 - high & 1:
            row = bits.take(16)
            used += [high * 16 + low for low in range(16) if row >> 15 - low & 1]
    return used


def _read_table(bits: Bits, symbols: int) -> Table:
    length = bits.take(5)
    lengths = []
    for _ in range(symbols):
        while bits.take(1):
            length += -1 if bits.take(1) else 1
            if not 0 < length <= LONGEST_CODE:
                raise EvidenceError("corrupt", "bzip2: a code is longer than can be")
        lengths.append(length)
    width = max(lengths)
    if not 0 < width <= LONGEST_CODE:
        raise EvidenceError("corrupt", "bzip2: a code is longer than can be")
    table: list[int] = []
    for each in range(1, width + 1):
        for symbol, length in enumerate(lengths):
            if length == each:
                table += [symbol << 5 | each] * (1 << width - each)
            if len(table) > 1 << width:
                raise EvidenceError("corrupt", "bzip2: a code does not add up")
    return width, table + [0] * ((1 << width) - len(table))


def _unsort(origin: int, last: bytes) -> bytes:
    """The text whose sorted rotations end in these bytes."""
    follows = sorted(range(len(last)), key=last.__getitem__)
    text = bytearray(len(last))
    at = follows[origin]
    for place in range(len(last)):
        text[place] = last[at]
        at = follows[at]
    return bytes(text)


def _expand(text: bytes) -> Iterator[bytes]:
    """The text with its runs, which stand as four bytes and a count of those that follow."""
    at = 0
    out = bytearray()
    for match in _RUN.finditer(text):
        out += text[at : match.start()] + match[1] * (4 + match[2][0])
        at = match.end()
        if len(out) > OUTPUT:
            yield bytes(out)
            out.clear()
    yield bytes(out) + text[at:]
