"""What stands in the descriptors of UDF: numbers, names, times, links, devices.

Source: ECMA-167 (3rd edition): 1/7.3 (times), 3/7.2 (tags), 4/14.10.7 (devices), 4/14.16 (links); OSTA UDF 2.60, 2.1.1.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import NamedTuple

from indexer.model import Timestamp

_ATTRIBUTES, _DEVICE = 262, 12


class Address(NamedTuple):
    """A place in a partition."""

    partition: int
    block: int
    size: int

    @property
    def key(self) -> int:
        """A number that no other place has."""
        return self.partition << 32 | self.block


def name_of(raw: bytes) -> str:
    """A compressed Unicode name: behind a byte that says how wide its characters are."""
    if raw[:1] in (b"\x10", b"\xff"):
        return raw[1:].decode("utf-16-be", "replace")
    return raw[1:].decode("latin-1")


def target_of(data: bytes) -> str:
    """Where a link leads: its parts, a kind and a name each."""
    parts, at = [], 0
    while at + 4 <= len(data):
        kind, size = data[at], data[at + 1]
        name = name_of(data[at + 4 : at + 4 + size])
        parts.append({1: "", 2: "", 3: "..", 4: "."}.get(kind, name))
        at += 4 + size
    return "/".join(parts) or "/" * bool(data)


@lru_cache(maxsize=4096)
def read_time(kind: str, raw: bytes, origin: str) -> Timestamp | None:
    """Twelve bytes: zone, year down to seconds, and three pairs of digits behind them."""
    if len(raw) < 12 or not any(raw[2:]):
        return None
    zone, year, month, day, hour, minute, second, centi, hundreds, micro = struct.unpack("<Hh8B", raw)
    minutes = (zone & 0xFFF) - (0x1000 if zone & 0x800 else 0)
    is_local, is_known = zone >> 12 == 1, zone >> 12 == 0 or abs(minutes) < 1440
    try:
        micros = min(centi, 99) * 10_000 + min(hundreds, 99) * 100 + min(micro, 99)
        offset = timezone(timedelta(minutes=minutes)) if is_local and is_known else UTC
        at = datetime(year, month, day, hour, minute, second, micros, tzinfo=offset).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return Timestamp(kind, at, origin, 1e-6, zone_known=is_known)


def tag_of(data: bytes) -> int:
    """Which descriptor begins here; 0 where none does."""
    head = data[:16]
    if len(head) < 16 or (sum(head) - head[4]) & 0xFF != head[4]:
        return 0
    return u16(head, 0)


def address_at(data: bytes, at: int) -> Address:
    """The place that a long descriptor names, whose upper bits of the size say what kind it is."""
    size, block, partition = struct.unpack_from("<IIH", data.ljust(at + 16, b"\0"), at)
    return Address(partition, block, size & 0x3FFFFFFF)


def device_of(held: bytes) -> tuple[int, ...]:
    """The major and the minor number among a file's attributes, if they are there."""
    at = 24 if tag_of(held) == _ATTRIBUTES else len(held)
    while at + 24 <= len(held):
        size = u32(held, at + 8)
        if u32(held, at) == _DEVICE:
            return u32(held, at + 16), u32(held, at + 20)
        at += max(12, size)
    return ()


def u16(data: bytes, at: int) -> int:
    """A number of two bytes; what is missing of it is nought."""
    return int.from_bytes(data[at : at + 2], "little")


def u32(data: bytes, at: int) -> int:
    """A number of four bytes; what is missing of it is nought."""
    return int.from_bytes(data[at : at + 4], "little")
