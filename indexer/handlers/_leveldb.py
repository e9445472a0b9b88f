"""Entries of LevelDB: out of the blocks of its tables, and out of the batches in its logs.

Source: LevelDB, doc/table_format.md, doc/log_format.md, doc/impl.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._column_codecs import unpack
from indexer.limits import MIB

MAGIC: Final = b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"
FOOTER: Final = 48
_BLOCK: Final = 64 * MIB
_PAGE: Final = 32768
_CODECS: Final = {0: "none", 1: "snappy", 2: "zstandard"}
_ORDER: Final = 8


class Entry(NamedTuple):
    """A key and its value as they were written: by which change, and whether that took the key away."""

    order: int
    deleted: bool
    key: bytes
    value: bytes


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A number and the place behind it.

    Raises:
        EvidenceError: where it has no end.
    """
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
    raise EvidenceError("corrupt", "a number without end")


def _handle(data: bytes, at: int) -> tuple[int, int, int]:
    offset, at = varint(data, at)
    size, at = varint(data, at)
    return offset, size, at


class Table:
    """A table: its blocks in the order of their index; `faults` tells of blocks that could not be read."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.faults: list[EvidenceError] = []
        self.blocks = 0

    def entries(self) -> Iterator[Entry]:
        """Every entry.

        Raises:
            EvidenceError: where the index cannot be read.
        """
        foot = self._stream.at(self._stream.size - FOOTER, FOOTER)
        _, _, at = _handle(foot, 0)
        offset, size, _ = _handle(foot, at)
        for _, value in _pairs(self._block(offset, size)):
            try:
                offset, size, _ = _handle(value, 0)
                self.blocks += 1
                for key, held in _pairs(self._block(offset, size)):
                    if len(key) >= _ORDER:
                        mark = int.from_bytes(key[-_ORDER:], "little")
                        yield Entry(mark >> 8, not mark & 0xFF, key[:-_ORDER], held)
            except EvidenceError as error:
                if len(self.faults) < 100:
                    self.faults.append(error)

    def _block(self, offset: int, size: int) -> bytes:
        data = self._stream.at(offset, size + 1) if size <= _BLOCK else b""
        if len(data) < size + 1 or not size:
            raise EvidenceError("truncated", f"the block at {offset} is not here")
        return unpack(_CODECS.get(data[size], str(data[size])), data[:size], _BLOCK)


def _pairs(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys, each put together from the one before it, and values."""
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 - 4 * restarts
    if end < 0:
        raise EvidenceError("corrupt", f"a block of {len(block)} bytes with {restarts} restarts")
    key, at = b"", 0
    while at < end:
        shared, at = varint(block, at)
        own, at = varint(block, at)
        size, at = varint(block, at)
        if shared > len(key) or at + own + size > end:
            raise EvidenceError("corrupt", f"an entry leads out of its block at {at}")
        key = key[:shared] + block[at : at + own]
        yield key, block[at + own : at + own + size]
        at += own + size


def read_log(stream: Stream) -> Iterator[Entry]:
    """The entries of a log in the order in which they were written.

    Raises:
        EvidenceError: after the last one that could be had.
    """
    for record in _records(stream):
        if len(record) < 12:
            raise EvidenceError("corrupt", f"a batch of {len(record)} bytes")
        order, count = int.from_bytes(record[:8], "little"), int.from_bytes(record[8:12], "little")
        at = 12
        for number in range(count):
            if at >= len(record):
                raise EvidenceError("corrupt", f"a batch of {count} entries has {number}")
            kind = record[at]
            if kind > 1:
                raise EvidenceError("corrupt", f"an entry of unknown kind {kind}")
            key, at = _slice(record, at + 1)
            value = b""
            if kind:
                value, at = _slice(record, at)
            yield Entry(order + number, not kind, key, value)


def _slice(data: bytes, at: int) -> tuple[bytes, int]:
    size, at = varint(data, at)
    if at + size > len(data):
        raise EvidenceError("truncated", "an entry breaks off")
    return data[at : at + size], at + size


def _records(stream: Stream) -> Iterator[bytes]:
    """Records, put together from their parts; zeros at the end of a page are stepped over."""
    held = bytearray()
    at = 0
    while at + 7 <= stream.size:
        left = _PAGE - at % _PAGE
        if left < 7:
            at += left
            continue
        head = stream.at(at, 7)
        size, kind = int.from_bytes(head[4:6], "little"), head[6]
        if not kind and not size:
            at += left
            continue
        if kind > 4 or size > left - 7:
            raise EvidenceError("corrupt", f"no record begins at {at}")
        part = stream.at(at + 7, size)
        if len(part) < size:
            raise EvidenceError("truncated", f"the record at {at} breaks off")
        at += 7 + size
        if kind in (1, 2):
            held.clear()
        held += part
        if len(held) > _BLOCK:
            raise EvidenceError("limit", f"a record of more than {_BLOCK} bytes")
        if kind in (1, 4):
            yield bytes(held)


def is_log(head: bytes) -> bool:
    """Whether a log begins here: a record whose batch begins with a key that is in it."""
    if len(head) < 22 or head[6] not in (1, 2):
        return False
    size = int.from_bytes(head[4:6], "little")
    record = head[7 : 7 + size]
    count = int.from_bytes(record[8:12], "little")
    if len(record) < 14 or size > _PAGE - 7 or not 0 < count < 1 << 20 or record[12] > 1 or record[6:8] != b"\0\0":
        return False
    if head[6] == 2 and size != _PAGE - 7:
        return False
    if int.from_bytes(record[:8], "little") > 1 << 40:
        return False
    return _fits(head, record) if head[6] == 1 and len(record) == size else record[13] < 0x80


def _fits(head: bytes, record: bytes) -> bool:
    """Whether the checksum of the first record is its own."""
    crc = 0xFFFFFFFF
    for byte in head[6:7] + record:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return int.from_bytes(head[:4], "little") == (crc >> 15 | crc << 17 & 0xFFFFFFFF) + 0xA282EAD8 & 0xFFFFFFFF


def _crc_table() -> list[int]:
    table = list(range(256))
    for _ in range(8):
        table = [value >> 1 ^ (0x82F63B78 if value & 1 else 0) for value in table]
    return table


_CRC: Final = _crc_table()
