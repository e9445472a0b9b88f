"""The folded checksum against the plain one, bit by bit."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from indexer.handlers._crc16 import LAST, crc16


def plainly(data: bytes, crc: int = 0) -> int:
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


def test_the_check_value_of_the_catalogues() -> None:
    assert crc16(b"123456789") == 0xBB3D


@given(st.binary(max_size=40), st.integers(0, 0xFFFF))
def test_short_data(data: bytes, crc: int) -> None:
    assert crc16(data, crc) == plainly(data, crc)


def test_long_data_of_every_remainder() -> None:
    chance = random.Random(5)
    for size in (*range(40, 300), *range(2 * LAST - 1, 2 * LAST + 12), 3 * LAST - 1, 32767, 40_000):
        data, crc = chance.randbytes(size), chance.randrange(1 << 16)
        assert crc16(data, crc) == plainly(data, crc)


def test_pieces_go_on_where_the_last_ended() -> None:
    data = random.Random(6).randbytes(50_001)
    assert crc16(data[20_001:], crc16(data[:20_001])) == crc16(data)
