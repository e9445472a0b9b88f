"""Finds zip records in a range that no directory accounts for: one pass, linear in its length.

Source: APPNOTE.TXT 6.3.10 sections 4.3.7 to 4.3.16.
Limits: a member whose header gives no size, which no descriptor follows and which has no end mark
of its own is taken to end at the next header.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from collections.abc import Iterator

from msgspec import Struct, field

from indexer.handler import Stream
from indexer.handlers._zip_records import (
    CENTRAL,
    DESCRIPTOR,
    END,
    END64,
    LOCAL,
    STORED,
    STREAMED,
    Header,
    Window,
    is_plausible,
    read_central,
    read_local,
)

_MARK = re.compile(rb"PK(?:\x03\x04|\x01\x02|\x05\x06|\x07\x08|\x06\x06|\x06\x07)")
_SPAN = 1 << 20
DECLARED = -1
"""Where a member's own headers say how long it is."""


class Carved(Struct):
    """What stands in a range: members with where they end, directory records, and other records."""

    members: array[int] = field(default_factory=lambda: array("q"))
    ends: array[int] = field(default_factory=lambda: array("q"))
    centrals: array[int] = field(default_factory=lambda: array("q"))
    structures: list[tuple[int, int]] = field(default_factory=list)
    comments: list[bytes] = field(default_factory=list)
    """Of every end record, empty ones too."""

    def cover(self, start: int, end: int) -> None:
        """Adds a record's range, joined to the one before where they touch."""
        if self.structures and self.structures[-1][1] == start:
            start, _ = self.structures.pop()
        self.structures.append((start, end))


class Carver:
    """One range of a stream; `carve` does the work."""

    def __init__(self, stream: Stream, start: int, end: int) -> None:
        self._stream = stream
        self._start = start
        self._end = end
        self._window = Window(stream)
        self._marks = array("q")
        self._closes: dict[int, int] = {}

    def carve(self) -> Carved:
        """Every plausible record in the range that is not inside another member's data."""
        self._scan()
        found = Carved()
        cursor = self._start
        for position in self._marks:
            if position < cursor:
                continue
            mark = self._window.at(position, 4)
            if mark == LOCAL:
                cursor = self._take_member(found, position, cursor)
            elif mark == CENTRAL:
                record = read_central(self._window, position)
                if record is not None and record.end <= self._end:
                    found.centrals.append(position)
                    found.cover(position, record.end)
                    cursor = record.end
            else:
                length = self._length(mark, position)
                if length:
                    cursor = min(position + length, self._end)
                    found.cover(position, cursor)
                    if mark == END:
                        found.comments.append(self._window.at(position + 22, cursor - position - 22))
        return found

    def _scan(self) -> None:
        """Notes every mark, and for every descriptor the place where its member's data would begin."""
        for position, mark in self._hits():
            if mark == DESCRIPTOR:
                self._close(position, (self._word(position + 8, 4), self._word(position + 8, 8)))
                continue
            if mark in (LOCAL, CENTRAL):
                self._close_before(position)
            self._marks.append(position)
        self._close_before(self._end)

    def _close_before(self, position: int) -> None:
        """A descriptor may do without its mark; it then stands right before the next record, or the end."""
        self._close(position - 12, (self._word(position - 8, 4),))
        self._close(position - 20, (self._word(position - 16, 8),))

    def _hits(self) -> Iterator[tuple[int, bytes]]:
        at = self._start
        while at < self._end:
            block = self._stream.at(at, min(_SPAN + 3, self._end - at))
            for match in _MARK.finditer(block):
                if match.start() < _SPAN:
                    yield at + match.start(), match[0]
            at += _SPAN

    def _word(self, position: int, length: int) -> int:
        return int.from_bytes(self._window.at(position, length), "little") if position >= 0 else -1

    def _close(self, end: int, sizes: tuple[int, ...]) -> None:
        for size in sizes:
            if 0 <= size <= end - self._start:
                self._closes.setdefault(end - size, end)

    def _take_member(self, found: Carved, position: int, cursor: int) -> int:
        """Adds the member whose local header stands at `position`; returns where to go on."""
        header = read_local(self._window, position)
        if header is None or header.end > self._end or not is_plausible(header):
            return cursor
        data = header.end
        end = data + header.packed
        if header.flags & STREAMED and header.packed in (0, 0xFFFFFFFF):
            end = self._closes.get(data, -1)
            known = end >= 0
            if not known:
                end = self._end if self._holds_zip(header) else self._next(data)
            found.members.append(position)
            found.ends.append(end)
            return end if known else max(data, end)
        found.members.append(position)
        if end > self._stream.size and not self._holds_zip(header):
            # cut, or a lie: what follows must not be swallowed
            following = self._next(data)
            found.ends.append(DECLARED if following == self._end else following)
            return following
        found.ends.append(DECLARED)
        return min(end, self._end)

    def _holds_zip(self, header: Header) -> bool:
        return header.method == STORED and self._window.at(header.end, 4) == LOCAL

    def _next(self, position: int) -> int:
        """Where the next record after `position` begins, or the end of the range."""
        for index in range(bisect_left(self._marks, position), len(self._marks)):
            place = self._marks[index]
            mark = self._window.at(place, 4)
            if mark != LOCAL:
                return place
            header = read_local(self._window, place)
            if header is not None and is_plausible(header):
                return place
        return self._end

    def _length(self, mark: bytes, position: int) -> int:
        """Bytes of an end record of any kind; 0 where it cannot be one."""
        if mark == END:
            fixed = self._window.at(position, 22)
            return 22 + int.from_bytes(fixed[20:22], "little") if len(fixed) == 22 else 0
        if mark == END64:
            size = self._word(position + 4, 8) + 12
            return size if 56 <= size <= 1 << 16 else 0
        return 20
