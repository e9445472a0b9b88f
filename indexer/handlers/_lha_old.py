"""The decoders of LHA's oldest methods: -lh1- of LHarc, -lz5- and -lzs- of LArc. About 0.5 MB a second.

Source: Yoshizaki's LZHUF (the adaptive Huffman code of -lh1-); "LHA header and compression" notes of LHa
for UNIX 1.14 (the windows that LArc begins with).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._lzh import Bits, make_table, read_symbol

SYMBOLS = 314
"""256 bytes and the lengths 3 to 60."""
TREE = 2 * SYMBOLS - 1
ROOT = TREE - 1
MOST_USES = 0x8000
HIGH_PARTS = [3] + [4] * 3 + [5] * 8 + [6] * 12 + [7] * 24 + [8] * 16
"""Lengths of the codes of the upper six bits of a distance."""
LOW = 6
OUTPUT = 64 * 1024
Next = Callable[[int], tuple[int, int]]
"""Given where the next byte goes: a byte and 0, or a place in the window and a length."""


class Adaptive:
    """A Huffman code that changes with every symbol."""

    def __init__(self) -> None:
        self.uses = [1] * SYMBOLS + [0] * (TREE - SYMBOLS) + [0xFFFF]
        self.below = [TREE + symbol for symbol in range(SYMBOLS)] + [0] * (TREE - SYMBOLS)
        self.above = [0] * (TREE + SYMBOLS)
        self._join()

    def _join(self) -> None:
        """Builds the nodes over the symbols, which are in order of their uses."""
        for place, node in zip(range(0, TREE, 2), range(SYMBOLS, TREE), strict=False):
            uses = self.uses[place] + self.uses[place + 1]
            at = node
            while uses < self.uses[at - 1]:
                at -= 1
            self.uses[at + 1 : node + 1] = self.uses[at:node]
            self.below[at + 1 : node + 1] = self.below[at:node]
            self.uses[at], self.below[at] = uses, place
        for node, child in enumerate(self.below):
            self.above[child] = node
            if child < TREE:
                self.above[child + 1] = node
        self.above[ROOT] = 0

    def _halve(self) -> None:
        leaves = [(uses + 1 >> 1, child) for uses, child in zip(self.uses, self.below, strict=False) if child >= TREE]
        self.uses[:SYMBOLS] = [uses for uses, _ in leaves]
        self.below[:SYMBOLS] = [child for _, child in leaves]
        self._join()

    def read(self, bits: Bits) -> int:
        """The next symbol, which is counted."""
        node = self.below[ROOT]
        while node < TREE:
            node = self.below[node + bits.take(1)]
        self.count(node - TREE)
        return node - TREE

    def count(self, symbol: int) -> None:
        """One more use of a symbol; nodes change places so that they stay in order."""
        uses, below, above = self.uses, self.below, self.above
        if uses[ROOT] == MOST_USES:
            self._halve()
        node = above[symbol + TREE]
        while True:
            uses[node] += 1
            now = uses[node]
            other = node
            while now > uses[other + 1]:
                other += 1
            if other != node:
                uses[node], uses[other] = uses[other], now
                first, second = below[node], below[other]
                below[node], below[other] = second, first
                for child, parent in ((first, other), (second, node)):
                    above[child] = parent
                    if child < TREE:
                        above[child + 1] = parent
                node = other
            node = above[node]
            if not node:
                return


def _lh1(bits: Bits) -> tuple[bytearray, int, Next]:
    code, high = Adaptive(), make_table(HIGH_PARTS)

    def following(at: int) -> tuple[int, int]:
        symbol = code.read(bits)
        if symbol < 256:
            return symbol, 0
        distance = read_symbol(bits, high) << LOW | bits.take(LOW)
        return at - distance - 1, symbol - 253

    return bytearray(b" " * 4096), 4096 - 60, following


def _lz5(bits: Bits) -> tuple[bytearray, int, Next]:
    window = b"".join(bytes((byte,)) * 13 for byte in range(256)) + bytes(range(256)) + bytes(range(255, -1, -1))
    flags, left = 0, 0

    def following(at: int) -> tuple[int, int]:
        nonlocal flags, left
        if not left:
            flags, left = bits.take(8), 8
        flag = flags & 1
        flags, left = flags >> 1, left - 1
        first = bits.take(8)
        if flag:
            return first, 0
        second = bits.take(8)
        return first | (second & 0xF0) << 4, (second & 15) + 3

    return bytearray((window + bytes(128)).ljust(4096)), 4096 - 18, following


def _lzs(bits: Bits) -> tuple[bytearray, int, Next]:
    def following(at: int) -> tuple[int, int]:
        if bits.take(1):
            return bits.take(8), 0
        return bits.take(11), bits.take(4) + 2

    return bytearray(b" " * 2048), 2048 - 17, following


METHODS: dict[bytes, Callable[[Bits], tuple[bytearray, int, Next]]] = {
    b"-lh1-": _lh1,
    b"-lz5-": _lz5,
    b"-lzs-": _lzs,
}


def decode(stream: Stream, method: bytes, start: int, packed: int, size: int) -> Iterator[bytes]:
    """The unpacked bytes, in pieces.

    Raises:
        EvidenceError: after the last good byte.
    """
    bits = Bits(stream, start, packed)
    window, at, following = METHODS[method](bits)
    room = len(window)
    out = bytearray()
    left = size
    try:
        while left > 0:
            value, length = following(at)
            bits.check()
            for step in range(min(length or 1, left)):
                byte = window[(value + step) % room] if length else value
                window[at] = byte
                at = (at + 1) % room
                out.append(byte)
                left -= 1
            if len(out) >= OUTPUT:
                yield bytes(out)
                out.clear()
    except EvidenceError:
        yield bytes(out)
        raise
    yield bytes(out)
