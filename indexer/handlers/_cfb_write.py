"""A compound file made of a tree of storages and streams: one cut out of another file, or a message of a store.

Source: [MS-CFB] 2.2 to 2.6. The same tree gives the same bytes every time.
"""

from __future__ import annotations

import struct
import uuid
from array import array
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

from indexer.errors import EvidenceError
from indexer.handlers._cfb import MAGIC, ROOT, STREAM, Compound, Entry

_FREE, _END, _FAT, _DIFAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD, 0xFFFFFFFC
_SECTOR, _MINI, _CUTOFF = 512, 64, 4096


def rebuild(held: Compound, storage: Entry) -> Iterator[bytes]:
    """A compound file with everything below a storage, in pieces.

    Raises:
        EvidenceError: at once if its streams claim more than there is; where one cannot be read to its end.
    """
    if not is_sound(held, storage):
        raise EvidenceError("corrupt", "the object claims more bytes than the file around it has")
    yield from compose(storage, held.pieces)


def compose(root: Entry, pieces: Callable[[Entry], Iterator[bytes]]) -> Iterator[bytes]:
    """A compound file with everything below an entry; `pieces` gives as many bytes as each stream's size says."""
    rows = _below(root)
    small = [entry for entry in rows if entry.kind == STREAM and 0 < entry.size < _CUTOFF]
    large = [entry for entry in rows if entry.kind == STREAM and entry.size >= _CUTOFF]
    starts: dict[int, int] = {}
    mini = _table(starts, small, _MINI, 0)
    lengths = [_up(len(rows) * 128), _up(len(mini) * 4), _up(len(mini) * _MINI)]
    first = [0, lengths[0], lengths[0] + lengths[1]]
    table = array("I")
    for length in lengths:
        _link(table, length)
    table += _table(starts, large, _SECTOR, len(table))
    count = len(table)
    tables = 1
    while tables * 128 < count + tables + _extra(tables):
        tables += 1
    yield _header(first[1] if mini else _END, lengths[1], count, tables)
    yield _directory(rows, starts, first[2] if mini else _END, len(mini) * _MINI)
    yield _padded(mini.tobytes(), b"\xff")
    yield from _filled(pieces, small, _MINI)
    yield bytes(-len(mini) * _MINI % _SECTOR)
    yield from _filled(pieces, large, _SECTOR)
    table.extend([_FAT] * tables + [_DIFAT] * _extra(tables))
    yield _padded(table.tobytes(), b"\xff")
    for number in range(_extra(tables)):
        start = count + 109 + number * 127
        part = array("I", range(start, min(start + 127, count + tables)))
        part.extend([_FREE] * (127 - len(part)))
        part.append(count + tables + number + 1 if number + 1 < _extra(tables) else _END)
        yield part.tobytes()


def is_sound(held: Compound, storage: Entry) -> bool:
    """Whether the streams below a storage claim no more bytes than the whole file has."""
    return sum(entry.size for entry in _below(storage) if entry.kind == STREAM) <= held.stream.size


def _below(storage: Entry) -> list[Entry]:
    """The storage and everything below it."""
    rows = [storage]
    for entry in rows:
        rows.extend(entry.children)
    return rows


def _up(size: int) -> int:
    return -(-size // _SECTOR)


def _padded(data: bytes, filler: bytes) -> bytes:
    return data.ljust(_up(len(data)) * _SECTOR, filler)


def _extra(tables: int) -> int:
    """Sectors for the list of the table's sectors, beyond those that the header names."""
    return -(-max(0, tables - 109) // 127)


def _link(table: array[int], length: int) -> None:
    """A chain of this length behind what the table holds."""
    if length:
        table.extend(range(len(table) + 1, len(table) + length))
        table.append(_END)


def _table(starts: dict[int, int], entries: Iterable[Entry], unit: int, at: int) -> array[int]:
    """The chains of some streams; where each starts goes to `starts`."""
    table = array("I")
    for entry in entries:
        starts[id(entry)] = start = at + len(table)
        length = -(-entry.size // unit)
        table.extend(range(start + 1, start + length))
        table.append(_END)
    return table


def _filled(pieces: Callable[[Entry], Iterator[bytes]], entries: Iterable[Entry], unit: int) -> Iterator[bytes]:
    for entry in entries:
        yield from pieces(entry)
        yield bytes(-entry.size % unit)


def _header(mini_start: int, mini_count: int, count: int, tables: int) -> bytes:
    extra = _extra(tables)
    data = MAGIC + bytes(16) + struct.pack("<HHHHH6x", 62, 3, 0xFFFE, 9, 6)
    data += struct.pack("<5I", 0, tables, 0, 0, _CUTOFF)
    data += struct.pack("<4I", mini_start, mini_count, count + tables if extra else _END, extra)
    table = array("I", range(count, count + min(tables, 109)))
    table.extend([_FREE] * (109 - len(table)))
    return data + table.tobytes()


def _directory(rows: list[Entry], starts: dict[int, int], mini_start: int, mini_size: int) -> bytes:
    numbers = {id(entry): number for number, entry in enumerate(rows)}
    right: dict[int, int] = {}
    below: dict[int, int] = {}
    for entry in rows:
        ordered = [numbers[id(child)] for child in sorted(entry.children, key=_order)]
        if ordered:
            below[id(entry)] = ordered[0]
        right |= dict(pairwise(ordered))
    data = bytearray()
    for number, entry in enumerate(rows):
        name = ("Root Entry" if not number else entry.name).encode("utf-16-le", "surrogatepass")[:62]
        data += name.ljust(64, b"\0")
        data += struct.pack("<HBBII", len(name) + 2, entry.kind if number else ROOT, 1, _FREE, right.get(number, _FREE))
        data += struct.pack("<I", below.get(id(entry), _FREE))
        data += uuid.UUID(entry.class_id).bytes_le if entry.class_id else bytes(16)
        size = mini_size if not number else entry.size if entry.kind == STREAM else 0
        start = starts.get(id(entry), _END) if number else mini_start
        data += struct.pack("<IQQIQ", 0, entry.created, entry.modified, start, size)
    return _padded(bytes(data), b"\0")


def _order(entry: Entry) -> tuple[int, str]:
    return len(entry.name.encode("utf-16-le", "surrogatepass")), entry.name.upper()
