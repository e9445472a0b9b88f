"""Archives of iWork '13 and later: objects by number, their texts, and the cells of tables.

Source: the description of the IWA format in "iWork '13 File Format" (S. Obriensp) and of Numbers in the notes of
the SheetJS project: blocks of Snappy, TSP.ArchiveInfo, TSWP.StorageArchive, TST.TableModelArchive, TST.Tile.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from indexer.handlers._cells import column_name
from indexer.handlers._snappy import Wrong, unpack
from indexer.limits import MIB

STORAGES, TABLE, TILE, LIST, PAYLOAD, AUTHOR, COMMENT = (2001, 2005), 6001, 6002, 6005, 6218, 212, 3056
_KEPT = frozenset((*STORAGES, TABLE, TILE, LIST, PAYLOAD, AUTHOR, COMMENT))
_MOST = 256 * MIB
_ROWS, _COLUMNS = 1_000_000, 1_000
_DAY_ZERO = datetime(2001, 1, 1)

Fields = dict[int, list["int | bytes"]]


class Held(NamedTuple):
    """One object: its number, its type, its message."""

    number: int
    kind: int
    data: bytes


def unpacked(data: bytes) -> Iterator[bytes]:
    """The content of an archive, block by block.

    Raises:
        Wrong: where a block is damaged.
    """
    at = made = 0
    while at + 4 <= len(data) and made < _MOST:
        size = int.from_bytes(data[at + 1 : at + 4], "little")
        if data[at]:
            raise Wrong(f"no block begins at {at}")
        block = unpack(data[at + 4 : at + 4 + size])
        made += len(block)
        yield block
        at += 4 + size


def objects(data: bytes) -> Iterator[Held]:
    """The objects of an archive that has been unpacked, those kinds that hold words or cells."""
    at = 0
    while at < len(data):
        size, at = _number(data, at)
        info = fields(data[at : at + size])
        at += size
        if not size:
            return
        for message in info.get(2, []):
            head = fields(message) if isinstance(message, bytes) else {}
            kind, length = whole(head, 1), whole(head, 3)
            if kind in _KEPT:
                yield Held(whole(info, 1), kind, data[at : at + length])
            at += length


def first_kind(data: bytes) -> int:
    """The type of the first object: of `Document.iwa` it tells the program."""
    size, at = _number(data, 0)
    message = fields(data[at : at + size]).get(2, [b""])[0]
    return whole(fields(message), 1) if isinstance(message, bytes) else 0


def fields(data: bytes) -> Fields:
    """The fields of one message by number; reading ends where it makes no sense any more."""
    found: Fields = {}
    at = 0
    while at < len(data):
        key, at = _number(data, at)
        kind = key & 7
        value: int | bytes
        if kind == 0:
            value, at = _number(data, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            value, at = data[at : at + size], at + size
        elif kind == 2:
            size, at = _number(data, at)
            value, at = data[at : at + size], at + size
        else:
            break
        found.setdefault(key >> 3, []).append(value)
    return found


def _number(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            return value, at
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
    return value, at


def whole(held: Fields, number: int) -> int:
    """A number field, 0 where it is not there."""
    value = held.get(number, [0])[0]
    return value if isinstance(value, int) else 0


def inner(held: Fields, number: int) -> Fields:
    """A message inside of a message."""
    value = held.get(number, [b""])[0]
    return fields(value) if isinstance(value, bytes) else {}


def string(held: Fields, number: int) -> str:
    """A text field; several of the same number one after the other."""
    return "".join(value.decode("utf-8", "replace") for value in held.get(number, []) if isinstance(value, bytes))


class Sheet(NamedTuple):
    """One table: its name and its rows, each with the number of the row and its cells."""

    name: str
    rows: list[tuple[int, list[tuple[int, str]]]]


def tables(held: dict[int, Held]) -> Iterator[Sheet]:
    """Every table with the cells that hold something."""
    for table in held.values():
        if table.kind != TABLE:
            continue
        model = fields(table.data)
        store = inner(model, 4)
        texts = _texts(held, store)
        rows: list[tuple[int, list[tuple[int, str]]]] = []
        for number, entry in enumerate(inner(store, 3).get(1, [])):
            target = fields(entry) if isinstance(entry, bytes) else {}
            tile = held.get(whole(inner(target, 2), 1))
            if tile is None or tile.kind != TILE or len(rows) > _ROWS:
                continue
            # A tile holds 256 rows; its own number tells which.
            start = (whole(target, 1) or number) * 256
            for row in fields(tile.data).get(5, []):
                info = fields(row) if isinstance(row, bytes) else {}
                if cells := list(_cells(info, texts)):
                    rows.append((start + whole(info, 1) + 1, cells))
        yield Sheet(string(model, 8), rows)


def _texts(held: dict[int, Held], store: Fields) -> dict[tuple[bool, int], str]:
    """The texts that cells refer to: plain ones by number, and formatted ones."""
    found: dict[tuple[bool, int], str] = {}
    for number, rich in ((4, False), (17, True)):
        listed = held.get(whole(inner(store, number), 1))
        for entry in fields(listed.data).get(3, []) if listed else []:
            part = fields(entry) if isinstance(entry, bytes) else {}
            text = string(part, 3)
            if rich:
                payload = held.get(whole(inner(part, 9), 1))
                storage = held.get(whole(inner(fields(payload.data), 1), 1)) if payload else None
                text = string(fields(storage.data), 3) if storage else ""
            found[rich, whole(part, 1)] = text
    return found


def _cells(row: Fields, texts: dict[tuple[bool, int], str]) -> Iterator[tuple[int, str]]:
    data, places = row.get(6, [b""])[0], row.get(7, [b""])[0]
    if not isinstance(data, bytes) or not isinstance(places, bytes):
        return
    step = 4 if whole(row, 8) else 1
    for column in range(min(len(places) // 2, _COLUMNS)):
        (place,) = struct.unpack_from("<H", places, 2 * column)
        if place != 0xFFFF and (text := _cell(data[place * step : place * step + 64], texts)):
            yield column, text


def _cell(data: bytes, texts: dict[tuple[bool, int], str]) -> str:
    """What a cell shows; numbers without their format."""
    if len(data) < 12 or data[0] != 5:
        return ""
    kind, flags, at = data[1], int.from_bytes(data[8:12], "little"), 12
    parts: dict[int, bytes] = {}
    for bit, size in ((1, 16), (2, 8), (4, 8), (8, 4), (16, 4)):
        if flags & bit:
            parts[bit], at = data[at : at + size], at + size
            if len(parts[bit]) < size:
                return ""
    if kind == 6 and 2 in parts:
        return "true" if struct.unpack("<d", parts[2])[0] else "false"
    if kind == 5 and 4 in parts:
        try:
            return str(_DAY_ZERO + timedelta(seconds=struct.unpack("<d", parts[4])[0])).removesuffix(" 00:00:00")
        except (OverflowError, ValueError):
            return ""
    for bit, rich in ((8, False), (16, True)):
        if bit in parts:
            return texts.get((rich, int.from_bytes(parts[bit], "little")), "")
    if 1 in parts:
        return _decimal(parts[1])
    return f"{struct.unpack('<d', parts[2])[0]:.15g}" if 2 in parts else ""


def _decimal(data: bytes) -> str:
    """A decimal number of 128 bits: sign, exponent, whole digits."""
    exponent = ((data[15] & 0x7F) << 7 | data[14] >> 1) - 0x1820
    digits = int.from_bytes(data[:14], "little") | (data[14] & 1) << 112
    if not -40 <= exponent <= 40:
        return ""
    number = digits * 10**exponent if exponent >= 0 else digits / 10**-exponent
    return f"{'-' if data[15] & 0x80 and digits else ''}{number:.15g}"


def place(sheet: str, row: int, cells: list[tuple[int, str]]) -> str:
    """The locator of a row's cells: `Table 1!B7:D7`."""
    first, last = column_name(cells[0][0]), column_name(cells[-1][0])
    return f"{sheet}!{first}{row}" + (f":{last}{row}" if last != first else "")
