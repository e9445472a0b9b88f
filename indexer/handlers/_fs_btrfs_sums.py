"""The four checksums of Btrfs: CRC-32C, xxHash, SHA-256 and BLAKE2b.

Source: Btrfs documentation, "Checksumming"; RFC 3720, 12.1 (CRC-32C); Snappy framing format, 3 (its masked
    checksums); xxHash fast digest algorithm, XXH64.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable
from functools import cache
from struct import iter_unpack, unpack_from
from typing import Any

_FRAME = 1 << 16
"""Bytes that stand under one checksum in a frame of Snappy."""
_ALL = (1 << 64) - 1


@cache
def _crc_tables() -> tuple[array[int], array[int]]:
    """What the lower and the upper half of a word of 32 bits turn into."""
    octet = []
    for number in range(256):
        for _ in range(8):
            number = number >> 1 ^ (0x82F63B78 if number & 1 else 0)
        octet.append(number)
    high = array("I", bytes(4 << 16))
    low = array("I", bytes(4 << 16))
    for number in range(1 << 16):
        one = octet[number & 0xFF] ^ number >> 8
        two = octet[one & 0xFF] ^ one >> 8
        high[number] = two
        two = octet[two & 0xFF] ^ two >> 8
        low[number] = octet[two & 0xFF] ^ two >> 8
    return low, high


@cache
def _snappy() -> Any:
    """The library whose frames of Snappy bear the checksum of what they hold; None where it is missing."""
    try:
        from cramjam import snappy
    except ImportError:
        return None
    return snappy


def crc32c(data: bytes) -> int:
    """The CRC-32C of bytes.

    A frame of Snappy has it behind the ten bytes of the stream's mark and the four of the chunk's head, turned
    and added to: that is a hundred times as fast as what Python counts itself.
    """
    snappy = _snappy()
    if snappy is None or not 0 < len(data) <= _FRAME:
        return crc32c_slowly(data)
    frame = bytes(snappy.compress(data))
    value = unpack_from("<I", frame, 14)[0] - 0xA282EAD8 & 0xFFFFFFFF
    return int(value >> 17 | value << 15 & 0xFFFFFFFF)


def crc32c_slowly(data: bytes) -> int:
    """The CRC-32C of bytes, counted here."""
    low, high = _crc_tables()
    value = 0xFFFFFFFF
    whole = len(data) & ~3
    for (word,) in iter_unpack("<I", data[:whole]):
        word ^= value
        value = low[word & 0xFFFF] ^ high[word >> 16]
    for octet in data[whole:]:
        value ^= octet
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


_P1, _P2, _P3, _P4, _P5 = (
    0x9E3779B185EBCA87,
    0xC2B2AE3D27D4EB4F,
    0x165667B19E3779F9,
    0x85EBCA77C2B2AE63,
    0x27D4EB2F165667C5,
)


def _round(value: int, word: int) -> int:
    value = value + word * _P2 & _ALL
    return (value << 31 | value >> 33) * _P1 & _ALL


def xxhash64(data: bytes) -> int:
    """The xxHash of 64 bits, without a seed."""
    sums = [_P1 + _P2 & _ALL, _P2, 0, -_P1 & _ALL]
    whole = len(data) & ~31
    for words in iter_unpack("<4Q", data[:whole]):
        sums = [_round(value, word) for value, word in zip(sums, words, strict=True)]
    value = _P5
    if whole:
        value = sum((each << turn | each >> 64 - turn) & _ALL for each, turn in zip(sums, (1, 7, 12, 18), strict=True))
        for each in sums:
            value = ((value ^ _round(0, each)) * _P1 + _P4) & _ALL
    value = value + len(data) & _ALL
    at = whole
    for at in range(whole, len(data) - 7, 8):
        value ^= _round(0, unpack_from("<Q", data, at)[0])
        value = ((value << 27 | value >> 37) * _P1 + _P4) & _ALL
    at = len(data) & ~7
    if len(data) - at >= 4:
        value ^= unpack_from("<I", data, at)[0] * _P1 & _ALL
        value = ((value << 23 | value >> 41) * _P2 + _P3) & _ALL
        at += 4
    for octet in data[at:]:
        value ^= octet * _P5 & _ALL
        value = (value << 11 | value >> 53) * _P1 & _ALL
    value = (value ^ value >> 33) * _P2 & _ALL
    value = (value ^ value >> 29) * _P3 & _ALL
    return value ^ value >> 32


SUMS: tuple[Callable[[bytes], bytes], ...] = (
    lambda data: crc32c(data).to_bytes(4, "little"),
    lambda data: xxhash64(data).to_bytes(8, "little"),
    lambda data: hashlib.sha256(data).digest(),
    lambda data: hashlib.blake2b(data, digest_size=32).digest(),
)


def is_sound(block: bytes, kind: int) -> bool:
    """Whether a block is what its checksum says."""
    return block.startswith(SUMS[kind](block[32:]))
