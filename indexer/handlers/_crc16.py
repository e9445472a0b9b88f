"""CRC-16 of LHA and StuffIt (polynomial 0x8005, bits reversed), fast for large data too.

Source: LHa for UNIX 1.14, header.doc (the check of a member). The polynomial divides x^32767 + 1, so
that stretches of 32,767 bits may be laid over one another before the table is asked.
"""

from __future__ import annotations

PERIOD = 32767
LAST = (PERIOD + 1) // 8
"""Bytes that a period fills, with one bit of zero in front."""


def _make_table() -> list[int]:
    table = list(range(256))
    for _ in range(8):
        table = [value >> 1 ^ (0xA001 if value & 1 else 0) for value in table]
    return table


_TABLE = _make_table()


def crc16(data: bytes, crc: int = 0) -> int:
    """The checksum of `data`, going on from that of what stood before it."""
    if len(data) > 2 * LAST:
        data, crc = _fold(data, crc), 0
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
