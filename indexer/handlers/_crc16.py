"""CRC-16 of LHA and StuffIt (polynomial 0x8005, bits reversed), by whole numbers of any length.

Source: LHa for UNIX 1.14, header.doc (the check of a member). The polynomial is (x + 1)(x^15 + x + 1).
What remains of a division by x + 1 is the parity. Of the other factor, every power of two is a sum of
three terms, x^15s + x^s + 1: the front of a number is laid upon what follows it twice, and is gone. What is
left after some twenty such steps goes through a table, byte by byte. Before that, as the polynomial divides
x^32767 + 1, stretches of 32,767 bits are laid over one another.
"""

from __future__ import annotations

PERIOD = 32767
LAST = (PERIOD + 1) // 8
"""Bytes that a period fills, with one bit of zero in front."""
SHORT = 64
"""Bytes up to which the table alone is faster."""
LEFT = 120
"""Bits at which the table takes over: fifteen times eight."""


def _make_table() -> list[int]:
    table = list(range(256))
    for _ in range(8):
        table = [value >> 1 ^ (0xA001 if value & 1 else 0) for value in table]
    return table


_TABLE = _make_table()


def crc16(data: bytes, crc: int = 0) -> int:
    """The checksum of `data`, going on from that of what stood before it."""
    if len(data) <= SHORT:
        return _look_up(data, crc)
    if len(data) > 2 * LAST:
        data, crc = _fold(data, crc), 0
    # The first bit is the lowest; behind the last stand the sixteen of the checksum.
    value = int.from_bytes(data, "little") ^ crc
    parity = value.bit_count() & 1
    bits = 8 * len(data) + 16
    while bits > LEFT:
        step = 1 << ((bits - 1) // 15).bit_length() - 1
        gone = min(bits - 15 * step, 14 * step)
        front = value & (1 << gone) - 1
        value = value >> gone ^ front << 14 * step - gone ^ front << 15 * step - gone
        bits -= gone
    crc = _look_up((value & (1 << LEFT - 16) - 1).to_bytes((LEFT - 16) // 8, "little"), 0) ^ value >> LEFT - 16
    return crc if crc.bit_count() & 1 == parity else crc ^ 0xC001


def _look_up(data: bytes, crc: int) -> int:
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc


def _fold(data: bytes, crc: int) -> bytes:
    """4,096 bytes with the checksum that `data` has behind `crc`."""
    bits = 8 * len(data)
    periods = -(-bits // PERIOD)
    # the first bit is the lowest; zeros in front of the first do not count
    value = (int.from_bytes(data, "little") ^ crc) << (periods * PERIOD - bits)
    while periods > 1:
        periods = (periods + 1) // 2
        value = (value >> (periods * PERIOD)) ^ (value & ((1 << (periods * PERIOD)) - 1))
    return (value << 1).to_bytes(LAST, "little")
