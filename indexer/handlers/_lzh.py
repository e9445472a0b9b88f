"""The decoder of LHA's static Huffman methods: -lh4- to -lh7-.

About 1 MB/s: for archives that are small, damaged, or of a form that 7-Zip does not read.

Source: "LHA header and compression" notes of LHa for UNIX 1.14; Okumura's ar002 (the same coding).
"""

from __future__ import annotations

from collections.abc import Iterator

from indexer.errors import EvidenceError
from indexer.handler import Stream

WINDOWS = {b"-lh4-": 12, b"-lh5-": 13, b"-lh6-": 15, b"-lh7-": 16}
LITERALS, LENGTHS = 510, 19
THRESHOLD = 3
OUTPUT = 256 * 1024
INPUT = 4096
LEAST_BITS = 32
LONGEST_CODE = 16


class Bits:
    """Bits of a part of a stream, the highest first, with zeros behind its end.

    Attributes:
        zeros: how many of the bits held are such zeros; a symbol that took some of them is none.
    """

    def __init__(self, stream: Stream, start: int, size: int) -> None:
        self._stream = stream
        self._at = start
        self._left = size
        self.zeros = 0
        self.held = 0
        self.count = 0

    def fill(self) -> None:
        """More bits, so that at least 32 are held."""
        while self.count < LEAST_BITS:
            data = self._stream.at(self._at, min(INPUT, self._left))
            self._at += len(data)
            self._left -= len(data)
            if not data:
                self.check()
                data = bytes(4)
                self.zeros += 32
            self.held = (self.held & (1 << self.count) - 1) << 8 * len(data) | int.from_bytes(data, "big")
            self.count += 8 * len(data)

    def check(self) -> None:
        """Raises EvidenceError where what was taken last was not there."""
        if self.zeros > self.count:
            raise EvidenceError("truncated", "the packed data end too early")

    def take(self, width: int) -> int:
        """A number of `width` bits."""
        if self.count < LEAST_BITS:
            self.fill()
        self.count -= width
        return self.held >> self.count & (1 << width) - 1


Table = tuple[int, list[int]]
"""Width of the longest code, and for each value of that many bits: symbol * 32 + length of its code."""


def make_table(lengths: list[int]) -> Table:
    """The decoding table of the code whose symbols have these lengths, 0 where a symbol is not used."""
    width = max(lengths)
    if not 0 < width <= LONGEST_CODE:
        raise EvidenceError("corrupt", "no Huffman code of this kind exists")
    table: list[int] = []
    for length in range(1, width + 1):
        span = 1 << width - length
        for symbol, each in enumerate(lengths):
            if each == length:
                table += [symbol << 5 | length] * span
    if len(table) != 1 << width:
        raise EvidenceError("corrupt", "a Huffman code does not add up")
    return width, table


def read_symbol(bits: Bits, table: Table) -> int:
    """The next symbol of a code."""
    width, values = table
    if not width:
        return values[0]
    if bits.count < LEAST_BITS:
        bits.fill()
    value = values[bits.held >> bits.count - width & (1 << width) - 1]
    bits.count -= value & 31
    return value >> 5


def _read_lengths(bits: Bits, most: int, width: int, gap: int) -> Table:
    """The code of code lengths, or of distances; `gap` is where a run of zeros may stand."""
    count = bits.take(width)
    if not count:
        return 0, [bits.take(width)]
    lengths: list[int] = []
    while len(lengths) < count:
        length = bits.take(3)
        if length == 7:
            while bits.take(1):
                length += 1
                if length > LONGEST_CODE:
                    raise EvidenceError("corrupt", "a Huffman code is longer than can be")
        lengths.append(length)
        if len(lengths) == gap:
            lengths += [0] * bits.take(2)
    if len(lengths) > most:
        raise EvidenceError("corrupt", "a Huffman code has more symbols than can be")
    return make_table(lengths)


def _read_literals(bits: Bits, short: Table) -> Table:
    count = bits.take(9)
    if not count:
        return 0, [bits.take(9)]
    lengths: list[int] = []
    while len(lengths) < count:
        code = read_symbol(bits, short)
        if code > 2:
            lengths.append(code - 2)
        else:
            lengths += [0] * (1, bits.take(4) + 3 if code == 1 else 0, bits.take(9) + 20 if code == 2 else 0)[code]
    if len(lengths) > LITERALS:
        raise EvidenceError("corrupt", "a Huffman code has more symbols than can be")
    return make_table(lengths)


def decode(stream: Stream, method: bytes, start: int, packed: int, size: int) -> Iterator[bytes]:
    """The unpacked bytes, in pieces.

    Raises:
        EvidenceError: after the last good byte.
    """
    history = 1 << WINDOWS[method]
    most = 14 if WINDOWS[method] < 14 else WINDOWS[method] + 1
    width = 4 if most == 14 else 5
    bits = Bits(stream, start, packed)
    out = bytearray(b" " * history)
    given, goal = history, history + size
    try:
        while len(out) < goal:
            count = bits.take(16)
            literals = _read_literals(bits, _read_lengths(bits, LENGTHS, 5, 3))
            distances = _read_lengths(bits, most, width, -1)
            for _ in range(count):
                before = len(out)
                _next(bits, literals, distances, out)
                if bits.zeros > bits.count:
                    del out[before:]
                    bits.check()
                if len(out) >= goal:
                    break
                if len(out) - given >= OUTPUT:
                    yield bytes(out[given:])
                    surplus = len(out) - history
                    del out[:surplus]
                    goal -= surplus
                    given = history
    except EvidenceError:
        yield bytes(out[given:goal])
        raise
    yield bytes(out[given:goal])


def _next(bits: Bits, literals: Table, distances: Table, out: bytearray) -> None:
    code = read_symbol(bits, literals)
    if code < 256:
        out.append(code)
        return
    length = code - 256 + THRESHOLD
    distance = read_symbol(bits, distances)
    if distance > 1:
        distance = (1 << distance - 1) + bits.take(distance - 1)
    start = len(out) - distance - 1
    if start < 0:
        raise EvidenceError("corrupt", "a distance that leads before the beginning")
    if distance >= length:
        out += out[start : start + length]
    else:
        part = out[start:]
        out += (part * (length // len(part) + 1))[:length]
