"""Unpacks LZ77 with Huffman codes as Windows packs prefetch files and hibernation pages.

Source: [MS-XCA] 2.1 (LZ77+Huffman), 2.2.4 (how to decode).
"""

from __future__ import annotations

from typing import Final

from indexer.errors import EvidenceError

_BLOCK: Final = 65536
_TABLE: Final = 256
_BITS: Final = 15


def unpack(data: bytes, size: int) -> bytearray:
    """`size` bytes, fewer where the packed data end or break before.

    Args:
        size: what the file declares; nothing is set aside for it.
    """
    out = bytearray()
    at = 0
    while len(out) < size and at + _TABLE + 4 <= len(data):
        try:
            at = _unpack_block(data, at, out, min(len(out) + _BLOCK, size))
        except EvidenceError:
            break
    return out


def _unpack_block(data: bytes, at: int, out: bytearray, end: int) -> int:
    """Adds what one block holds to `out`; gives the place behind it.

    Raises:
        EvidenceError: if the codes cannot be, or lead outside; what came before stands in `out`.
    """
    table, lengths = _make_table(data[at : at + _TABLE])
    at += _TABLE
    bits = int.from_bytes(data[at : at + 2], "little") << 16 | int.from_bytes(data[at + 2 : at + 4], "little")
    at += 4
    spare = 16
    size = len(data)
    while len(out) < end:
        if at > size + 4:
            raise EvidenceError("truncated", "the packed data end early")
        symbol = table[bits >> 17]
        width = lengths[symbol]
        bits = bits << width & 0xFFFFFFFF
        spare -= width
        if spare < 0:
            bits |= int.from_bytes(data[at : at + 2], "little") << -spare
            at += 2
            spare += 16
        if symbol < 256:
            out.append(symbol)
            continue
        symbol -= 256
        length, width = symbol & 15, symbol >> 4
        if length == 15:
            length = data[at] if at < size else 0
            at += 1
            if length == 255:
                length = int.from_bytes(data[at : at + 2], "little")
                at += 2
                if length < 15:
                    raise EvidenceError("corrupt", "the length of a match cannot be")
                length -= 15
            length += 15
        length = min(length + 3, end - len(out))
        distance = (1 << width) + (bits >> 32 - width if width else 0)
        bits = bits << width & 0xFFFFFFFF
        spare -= width
        if spare < 0:
            bits |= int.from_bytes(data[at : at + 2], "little") << -spare
            at += 2
            spare += 16
        start = len(out) - distance
        if start < 0:
            raise EvidenceError("corrupt", "a match begins before the data")
        if distance >= length:
            out += out[start : start + length]
        else:
            piece = bytes(out[start:])
            out += (piece * (length // distance + 1))[:length]
    return at


def _make_table(packed: bytes) -> tuple[list[int], list[int]]:
    """For every 15 bits the symbol that they begin with, and of every symbol the length of its code.

    Raises:
        EvidenceError: if the lengths are of no code.
    """
    lengths = [each for byte in packed for each in (byte & 15, byte >> 4)]
    table: list[int] = []
    for width in range(1, _BITS + 1):
        for symbol, length in enumerate(lengths):
            if length == width:
                table += [symbol] * (1 << _BITS - width)
    if len(table) != 1 << _BITS:
        raise EvidenceError("corrupt", "the lengths are of no code")
    return table, lengths
