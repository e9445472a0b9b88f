"""The tables of symbols of ar archives: which member defines what.

Source: Microsoft PE and COFF Specification, section 7 (first and second linker member); ranlib(5) of 4.4BSD.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

SYSV_64 = b"/SYM64/"
BSD = b"__.SYMDEF"
MOST_SYMBOL = 4096
Symbols = Iterator[tuple[int, str]]
"""Where the header of the member stands that defines a symbol, and the symbol."""


def read_symbols(table: bytes, name: bytes) -> Symbols:
    """The symbols in a table, up to the first that does not fit; of a table of another kind, none."""
    if name.startswith(BSD):
        return _ranlib(table, 8 if name.startswith(BSD + b"_64") else 4)
    if name == SYSV_64:
        return _counted(table, ">Q")
    if name != b"/":
        return iter(())
    # Microsoft's second table has the same name; its numbers have their low byte first.
    (count,) = struct.unpack(">I", table[:4].ljust(4, b"\xff"))
    return _counted(table, ">I") if 4 + 4 * count <= len(table) else _indexed(table)


def _counted(table: bytes, number: str) -> Symbols:
    """A count, so many places, so many names."""
    width = struct.calcsize(number)
    (count,) = struct.unpack(number, table[:width].ljust(width, b"\xff"))
    end = width * (1 + count)
    if end > len(table):
        return
    places = (place for (place,) in struct.iter_unpack(number, table[width:end]))
    yield from _join(places, table[end:])


def _indexed(table: bytes) -> Symbols:
    """Places of members, then for each symbol the number of its place, from 1; names."""
    (members,) = struct.unpack("<I", table[:4].ljust(4, b"\xff"))
    at = 4 + 4 * members
    if at + 4 > len(table):
        return
    places = [place for (place,) in struct.iter_unpack("<I", table[4:at])]
    (count,) = struct.unpack("<I", table[at : at + 4])
    end = at + 4 + 2 * count
    if end > len(table):
        return
    numbers = (number for (number,) in struct.iter_unpack("<H", table[at + 4 : end]))
    yield from _join((places[number - 1] if 0 < number <= members else -1 for number in numbers), table[end:])


def _join(places: Iterator[int], names: bytes) -> Symbols:
    start = 0
    for place in places:
        end = names.find(b"\0", start)
        if end < 0:
            return
        yield place, names[start : min(end, start + MOST_SYMBOL)].decode("utf-8", "replace")
        start = end + 1


def _ranlib(table: bytes, width: int) -> Symbols:
    """Pairs of an offset among the names and a place, in the byte order in which their size makes sense."""
    for order in ("<", ">"):
        number = order + ("Q" if width == 8 else "I")
        (size,) = struct.unpack(number, table[:width].ljust(width, b"\xff"))
        end = width + size
        if size % (2 * width) or end + width > len(table):
            continue
        names = table[end + width :]
        for offset, place in struct.iter_unpack(number + number[1], table[width:end]):
            stop = names.find(b"\0", offset, offset + MOST_SYMBOL) if offset < len(names) else -1
            if stop < 0:
                return
            yield place, names[offset:stop].decode("utf-8", "replace")
        return
