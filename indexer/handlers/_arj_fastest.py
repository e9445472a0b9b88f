"""The decoder of ARJ's method 4: literals and copies in fixed codes, without tables.

Source: ARJ technical information (TECHNOTE.TXT of ARJ 2.x), method 4.
"""

from __future__ import annotations

from collections.abc import Iterator

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._lzh import OUTPUT, Bits

HISTORY = 1 << 15
THRESHOLD = 3
LENGTH_CODE = (0, 7)
DISTANCE_CODE = (9, 13)


def decode_fastest(stream: Stream, start: int, packed: int, size: int) -> Iterator[bytes]:
    """The unpacked bytes, in pieces.

    Raises:
        EvidenceError: corrupt, truncated; after the last good byte.
    """
    bits = Bits(stream, start, packed)
    out = bytearray()
    given = made = 0
    try:
        while made < size:
            count = _next(bits, out, size - made)
            if bits.zeros > bits.count:
                del out[len(out) - count :]
                bits.check()
            made += count
            if len(out) - given >= OUTPUT:
                yield bytes(out[given:])
                del out[:-HISTORY]
                given = len(out)
    except EvidenceError:
        yield bytes(out[given:])
        raise
    yield bytes(out[given:])


def _next(bits: Bits, out: bytearray, most: int) -> int:
    """Decodes one literal or copy; returns by how many bytes `out` grew."""
    code = _number(bits, *LENGTH_CODE)
    if not code:
        out.append(bits.take(8))
        return 1
    length = min(code - 1 + THRESHOLD, most)
    distance = _number(bits, *DISTANCE_CODE) + 1
    if distance > len(out):
        raise EvidenceError("corrupt", "a distance that leads before the beginning")
    part = bytes(out[-distance:][:length])
    out += (part * (length // len(part) + 1))[:length]
    return length


def _number(bits: Bits, width: int, widest: int) -> int:
    """A number whose width is told by ones in front of it, each of them a width further."""
    offset = 0
    while width < widest and bits.take(1):
        offset += 1 << width
        width += 1
    return offset + (bits.take(width) if width else 0)
