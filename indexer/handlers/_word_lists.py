"""Numbers of lists in old Word documents, and where table rows end: what each paragraph's properties say.

Source: [MS-DOC] 2.4.6.1 (properties), 2.8.6 and 2.9.175 (PAPX), 2.9.131 to 2.9.150 (lists), 2.9.271 (styles).
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator

from msgspec import Struct, field

from indexer.handlers._list_numbers import Counts, Level

_ILFO, _ILVL, _ROW_END, _TABLE = 0x460B, 0x260A, 0x2417, 0xD608
_OPERANDS = (1, 1, 2, 4, 2, 2, -1, 3)
_STYLES_DEEP = 16
_PARAGRAPH = 1


class Look(Struct, frozen=True):
    """What a paragraph's properties say: its list and level, 0 for none, and whether a table row ends with it."""

    style: int = 0
    of_list: int = -1
    level: int = -1
    ends_row: bool = False


class _Used(Struct):
    """A list in use: its name, where levels start anew, and levels that are written in another way."""

    name: int
    starts: dict[int, int] = field(default_factory=dict)
    levels: dict[int, Level] = field(default_factory=dict)


class Lists:
    """The paragraph properties and the lists of one document; counts as paragraphs are asked for in their order.

    Args:
        main: the stream WordDocument.
        runs: the table of pages of paragraph properties.
        styles: the style sheet.
        lists: the table stream from the definitions of lists on.
        overrides: the table of lists in use.
    """

    def __init__(self, main: bytes, runs: bytes, styles: bytes, lists: bytes, overrides: bytes) -> None:
        self.main = main
        self.runs = runs
        self._looks = sorted(self._read_looks(), key=lambda row: row[0])
        self._starts = [row[0] for row in self._looks]
        self._of_style = list(_read_styles(styles))
        self._levels = _read_lists(lists)
        self._used = _read_overrides(overrides)
        self._counts = Counts()

    def look(self, offset: int) -> Look | None:
        """The properties of the paragraph whose mark lies at this place of the stream, where they are told."""
        row = bisect_right(self._starts, offset) - 1
        return self._looks[row][2] if row >= 0 and offset < self._looks[row][1] else None

    def number(self, look: Look) -> str:
        """The number before a paragraph, which counts from now on; empty where it has none."""
        of_list, level = look.of_list, look.level
        style, deep = look.style, 0
        while (of_list < 0 or level < 0) and style < len(self._of_style) and deep < _STYLES_DEEP:
            parent, list_of_style, level_of_style = self._of_style[style]
            of_list = list_of_style if of_list < 0 else of_list
            level = level_of_style if level < 0 else level
            style, deep = parent, deep + 1
        if not 0 < of_list <= len(self._used):
            return ""
        used = self._used[of_list - 1]
        levels = self._levels.get(used.name, [])
        if used.levels:
            levels = [used.levels.get(number, each) for number, each in enumerate(levels)]
        return self._counts.number(used.name, levels, max(level, 0), of_list, used.starts)

    def _read_looks(self) -> Iterator[tuple[int, int, Look]]:
        count = max(0, (len(self.runs) - 4) // 8)
        for row in range(min(count, len(self.main) // 512)):
            page = int.from_bytes(self.runs[4 * (count + 1) + 4 * row :][:4], "little") & 0x3FFFFF
            rows = self.main[page * 512 : page * 512 + 512]
            if len(rows) < 512:
                continue
            entries = min(rows[511], 29)
            for entry in range(entries):
                first, last = struct.unpack_from("<II", rows, 4 * entry)
                at = 2 * rows[4 * (entries + 1) + 13 * entry]
                if not at:
                    yield first, last, Look()
                    continue
                size = 2 * rows[at] - 1 if rows[at] else 2 * rows[min(at + 1, 511)]
                body = rows[at + (1 if rows[at] else 2) :][:size]
                of_list, level, ends_row = _changes(body[2:])
                yield first, last, Look(int.from_bytes(body[:2], "little"), of_list, level, ends_row)


def _changes(data: bytes) -> tuple[int, int, bool]:
    """List, level and row end that a run of properties sets; -1 where it says nothing."""
    of_list = level = -1
    ends_row = False
    at = 0
    while at + 2 <= len(data):
        code = int.from_bytes(data[at : at + 2], "little")
        at += 2
        size = _OPERANDS[code >> 13]
        if code == _TABLE:
            size = 1 + int.from_bytes(data[at : at + 2], "little")
        elif size < 0:
            size = 1 + (data[at] if at < len(data) else 0)
        value = int.from_bytes(data[at : at + size], "little")
        if code == _ILFO:
            of_list = value if value < 0x7FF else 0
        elif code == _ILVL:
            level = min(value, 8)
        elif code == _ROW_END:
            ends_row = value == 1
        at += size
    return of_list, level, ends_row


def _read_styles(data: bytes) -> Iterator[tuple[int, int, int]]:
    """What each style is made from, and its list and level."""
    at = 2 + int.from_bytes(data[:2], "little")
    width = int.from_bytes(data[4:6], "little")
    while at + 2 <= len(data):
        size = int.from_bytes(data[at : at + 2], "little")
        body = data[at + 2 : at + 2 + size]
        at += 2 + size
        found = (0xFFF, -1, -1)
        if len(body) >= 6:
            kind, parent = body[2] & 15, int.from_bytes(body[2:4], "little") >> 4
            name = width + 2 + 2 * int.from_bytes(body[width : width + 2], "little") + 2
            name += name & 1
            length = int.from_bytes(body[name : name + 2], "little")
            of_list, level, _ = _changes(body[name + 4 : name + 2 + length]) if kind == _PARAGRAPH else (-1, -1, False)
            found = (parent, of_list, level)
        yield found


def _read_lists(data: bytes) -> dict[int, list[Level]]:
    """The levels of each list by its name."""
    count = int.from_bytes(data[:2], "little")
    heads = [data[2 + 28 * row : 30 + 28 * row] for row in range(count)]
    at = 2 + 28 * count
    found: dict[int, list[Level]] = {}
    for head in heads:
        if len(head) < 28:
            break
        levels = []
        for _ in range(1 if head[26] & 1 else 9):
            level, at = _read_level(data, at)
            if not level:
                return found
            levels.append(level)
        found[int.from_bytes(head[:4], "little")] = levels
    return found


def _read_level(data: bytes, at: int) -> tuple[Level | None, int]:
    """One level, and where the next begins; None where it is cut off."""
    if at + 28 > len(data):
        return None, at
    start, form, flags = struct.unpack_from("<iBB", data, at)
    restart = data[at + 26] if flags & 8 else -1
    at += 28 + data[at + 24] + data[at + 25]
    length = int.from_bytes(data[at : at + 2], "little")
    text = data[at + 2 : at + 2 + 2 * length].decode("utf-16-le", "replace")
    return Level(start, form, bool(flags & 4), text, restart), at + 2 + 2 * length


def _read_overrides(data: bytes) -> list[_Used]:
    """The lists in use."""
    count = max(0, min(int.from_bytes(data[:4], "little"), (len(data) - 4) // 16))
    at = 4 + 16 * count
    found = []
    for row in range(count):
        head = data[4 + 16 * row : 20 + 16 * row]
        used = _Used(int.from_bytes(head[:4], "little"))
        at += 4
        for _ in range(head[12]):
            if at + 8 > len(data):
                break
            start, flags = struct.unpack_from("<iI", data, at)
            at += 8
            if flags & 0x20:
                level, at = _read_level(data, at)
                if not level:
                    break
                used.levels[flags & 15] = level
                start = level.start
            if flags & 0x10:
                used.starts[flags & 15] = start
        found.append(used)
    return found
