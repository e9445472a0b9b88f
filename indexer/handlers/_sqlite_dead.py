"""What stands in an SQLite file where no row is any more: text of free pages and of gaps in pages.

Whole pages of a table are told row by row; of everything else the readable runs are taken.

Source: the SQLite database file format, sections 1.5 (the freelist), 1.6 (b-tree pages) and 2.1 (records).
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Final

from indexer.handler import Stream
from indexer.handlers._moments import read_words
from indexer.handlers._runs import find_runs
from indexer.model import Text

_BUFFER: Final = 1 << 20
_PASSAGE: Final = 16 * 1024
_SEPARATOR: Final = bytes(8)
_LEAST: Final = 8
"""Bytes that a gap must hold to be looked at."""
_WIDTHS: Final = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0)
_HEADERS: Final = {2: 12, 5: 12, 10: 8, 13: 8}


def read_dead(stream: Stream, page: int) -> Iterator[Text]:
    """Readable text of free pages and of unused room in pages, a passage for every few pages."""
    free = _free_pages(stream, page)
    held = _Held()
    for number in range(1, stream.size // page + 1):
        data = stream.at((number - 1) * page, page)
        if number in free:
            held.add_page(number, data)
        else:
            for part in _gaps(data, 100 if number == 1 else 0):
                held.add(number, part)
        if len(held.data) >= _BUFFER:
            yield from held.texts("deleted")
            held = _Held()
    yield from held.texts("deleted")


def read_pages(pages: Iterator[tuple[int, bytes]], note: str) -> Iterator[Text]:
    """Readable text of whole pages."""
    held = _Held()
    for number, data in pages:
        held.add_page(number, data)
        if len(held.data) >= _BUFFER:
            yield from held.texts(note)
            held = _Held()
    yield from held.texts(note)


class _Held:
    """Pieces of pages, gathered until there are enough of them."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._starts: list[int] = []
        self._pages: list[int] = []
        self._rows: list[tuple[int, str]] = []

    def add(self, number: int, part: bytes) -> None:
        """Keeps a piece of a page, if there is something in it."""
        part = part.strip(b"\0")
        if len(part) >= _LEAST:
            self._starts.append(len(self.data))
            self._pages.append(number)
            self.data += part + _SEPARATOR

    def add_page(self, number: int, data: bytes) -> None:
        """Keeps the rows of a page of a table, and its gaps; of another page all of it."""
        start = 100 if data.startswith(b"SQLite format 3\0") else 0
        rows = _rows(data, start)
        self._rows += ((number, row) for row in rows)
        for part in _gaps(data, start) if rows else [data]:
            self.add(number, part)

    def texts(self, note: str) -> Iterator[Text]:
        """Rows, then readable runs, in passages of 16 Ki characters."""
        yield from _passages(self._rows, f"rows {note}")
        yield from _passages(self._runs(), f"strings {note}")

    def _runs(self) -> Iterator[tuple[int, str]]:
        data = bytes(self.data)
        for run in find_runs(data):
            line = data[run.start : run.end].decode(run.codec, "replace").strip()
            yield self._pages[bisect_right(self._starts, run.start) - 1], line


def _passages(found: Iterable[tuple[int, str]], note: str) -> Iterator[Text]:
    lines: list[str] = []
    chars = first = last = 0
    for number, line in found:
        if line:
            first, last = first or number, number
            lines.append(line)
            chars += len(line)
        if chars > _PASSAGE:
            yield Text("\n".join(lines), _locator(note, first, last))
            lines, chars, first = [], 0, 0
    if lines:
        yield Text("\n".join(lines), _locator(note, first, last))


def _locator(note: str, first: int, last: int) -> str:
    return f"{note} page {first}" if first == last else f"{note} pages {first}-{last}"


def _free_pages(stream: Stream, page: int) -> frozenset[int]:
    """The free pages that the freelist names, as far as it makes sense."""
    pages = stream.size // page
    trunk = int.from_bytes(stream.at(32, 4), "big")
    found: set[int] = set()
    while 1 < trunk <= pages and trunk not in found:
        found.add(trunk)
        data = stream.at((trunk - 1) * page, page)
        after, count = struct.unpack_from(">II", data.ljust(8, b"\0"))
        count = min(count, (page - 8) // 4)
        found.update(each for each in struct.unpack_from(f">{count}I", data, 8) if 1 < each <= pages)
        trunk = after
    return frozenset(found)


def _gaps(data: bytes, start: int) -> list[bytes]:
    """The parts of a b-tree page that hold no cell; none of any other page."""
    kind = data[start] if len(data) > start + 12 else 0
    if kind not in _HEADERS:
        return []
    free, cells, content = struct.unpack_from(">HHH", data, start + 1)
    pointers = start + _HEADERS[kind] + 2 * cells
    content = content or 65536
    if not pointers <= content <= len(data):
        return []
    parts = [data[pointers:content]]
    seen: set[int] = set()
    while content <= free < len(data) - 4 and free not in seen:
        seen.add(free)
        after, size = struct.unpack_from(">HH", data, free)
        parts.append(data[free + 4 : free + size])
        free = after
    return parts


def _rows(data: bytes, start: int) -> list[str]:
    """The rows of a leaf page of a table, as far as they make sense; values that overflow are cut."""
    if len(data) < start + 8 or data[start] != 13:
        return []
    count = int.from_bytes(data[start + 3 : start + 5], "big")
    places = data[start + 8 : start + 8 + 2 * count]
    if len(places) < 2 * count:
        return []
    found = (_row(data, place) for (place,) in struct.iter_unpack(">H", places) if place >= start + 8)
    return [row for row in found if row]


def _row(data: bytes, at: int) -> str:
    size, at = _varint(data, at)
    _, at = _varint(data, at)
    width, body = _varint(data, at)
    end, value = at + width, at + width
    if not body < end <= min(at + size, len(data)):
        return ""
    cells: list[str] = []
    while body < end:
        kind, body = _varint(data, body)
        length = _WIDTHS[kind] if kind < 12 else (kind - 12) // 2
        raw = data[value : value + length]
        value += length
        if kind >= 13 and kind & 1:
            cells.append(read_words(raw))
        elif 1 <= kind <= 6:
            cells.append(str(int.from_bytes(raw, "big", signed=True)))
        elif kind == 7 and len(raw) == 8:
            cells.append(repr(struct.unpack(">d", raw)[0]))
        else:
            cells.append(str(kind - 8) if kind in (8, 9) else "")
    return "\t".join(cells).strip("\t")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of one to nine bytes, and where it ends."""
    number = 0
    for byte in data[at : at + 8]:
        at += 1
        number = number << 7 | byte & 0x7F
        if byte < 0x80:
            return number, at
    return number << 8 | int.from_bytes(data[at : at + 1], "big"), at + 1
