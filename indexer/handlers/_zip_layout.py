"""Where everything in a zip file stands: directories, members, and the bytes that nobody accounts for.

Source: APPNOTE.TXT 6.3.10 section 4.3.6 (the whole file), 4.4.1.4 (offsets and volumes).
The file is walked once, from start to end. Only ranges that no directory covers are searched for
headers, so that a zip stored inside a member is never mistaken for members of this one.
"""

from __future__ import annotations

import heapq
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from msgspec import Struct

from indexer.handler import Stream
from indexer.handlers._zip_carve import DECLARED, Carver
from indexer.handlers._zip_facts import settled_name
from indexer.handlers._zip_records import (
    DESCRIPTOR,
    LOCAL,
    SIGNATURE,
    STREAMED,
    Archive,
    Header,
    Window,
    find_archive,
    is_plausible,
    read_central,
    read_local,
)

ELSEWHERE = -2
"""In place of a member's end: its data are in another volume, or were before the start."""
NO_RECORD = -1
NAME_REACH = 4096
"""How far before an archive the header of a member that holds it is looked for."""
SHORTEST = 30
"""Bytes of the shortest local header: a shorter gap is not searched."""


class Slack(NamedTuple):
    """A range that no record and no member accounts for."""

    start: int
    end: int


class Event(NamedTuple):
    """A local header's place, its directory record's, and where its data end (see DECLARED)."""

    position: int
    is_member: bool
    central: int
    end: int


class Spot(Struct):
    """A member as found: its headers and the range of its packed bytes, cut to what is there.

    `twin` is true where the member before it has the same bytes; `overlaps` where its header stands
    in bytes that belong to others; `rival` where it is a second view of the member before it.
    """

    position: int
    central: Header | None
    local: Header | None
    start: int = 0
    end: int = 0
    missing: int = 0
    exact: bool = True
    crc: int | None = None
    size: int | None = None
    after: int = 0
    overlaps: bool = False
    twin: bool = False
    rival: bool = False
    elsewhere: bool = False


class Layout:
    """The survey of one stream; `spots` walks it.

    Args:
        starts: where each volume of a split archive begins in the stream, -1 for a missing one.

    `archives` are the end records found and `counted` the records in their directories; `unsettled`
    holds names that do not say how they are encoded, `comments` one entry for every end record.
    Names and comments grow during the walk where ranges had to be searched.
    """

    def __init__(self, stream: Stream, starts: Sequence[int] = ()) -> None:
        self._stream = stream
        self._starts = starts
        self._locals = Window(stream)
        self._records = Window(stream)
        self._positions = array("q")
        self._centrals = array("q")
        self._ends: dict[int, int] = {}
        self._structures: list[tuple[int, int]] = []
        self._reached = 0
        self.archives: list[Archive] = []
        self.counted: list[int] = []
        self.unsettled: dict[bytes, None] = {}
        self.comments: list[bytes] = []
        self._survey()

    def _survey(self) -> None:
        """Reads every directory that an end record leads to, from the last to the first."""
        limit = self._stream.size
        while limit >= 22:
            archive = find_archive(self._stream, limit)
            if archive is None:
                return
            if not self._starts and self._is_stored(archive):
                limit = archive.base
                continue
            before = len(self._positions)
            reached, low = self._read_directory(archive)
            self.archives.append(archive)
            self.comments.append(archive.comment)
            self.counted.append(len(self._positions) - before)
            self._structures += [(archive.central, reached), (archive.central_end, archive.end)]
            limit = min(low, archive.central, archive.end_record)

    def _is_stored(self, archive: Archive) -> bool:
        """Whether an archive begins exactly where a stored member's data do: then it is that member."""
        if archive.base < SHORTEST:
            return False
        before = max(0, archive.base - NAME_REACH)
        chunk = self._stream.at(before, archive.base - before)
        at = chunk.rfind(LOCAL)
        while at >= 0:
            header = read_local(self._locals, before + at)
            if header is not None and header.end == archive.base and not header.method and is_plausible(header):
                return True
            at = chunk.rfind(LOCAL, 0, at)
        return False

    def _read_directory(self, archive: Archive) -> tuple[int, int]:
        at, low = archive.central, archive.central
        size = self._stream.size
        positions, centrals = self._positions, self._centrals
        while at < archive.central_end:
            record = read_central(self._records, at)
            if record is None:
                fixed = self._records.at(at, 6)
                if fixed.startswith(SIGNATURE) and len(fixed) == 6:
                    at = min(archive.central_end, at + 6 + int.from_bytes(fixed[4:6], "little"))
                break
            position = self._place(archive, record)
            if not 0 <= position < size:
                self._ends[at] = ELSEWHERE
                position = size
            elif position < low:
                low = position
            positions.append(position)
            centrals.append(at)
            if not record.raw.isascii() and settled_name(record) is None:
                self.unsettled.setdefault(record.raw)
            at = record.end
        return at, low

    def _place(self, archive: Archive, record: Header) -> int:
        """Where a record says that its member stands; -1 where that is in a volume that is not here."""
        if self._starts:
            start = self._starts[record.disk] if record.disk < len(self._starts) else -1
            return start + record.offset if start >= 0 else -1
        return archive.base + record.offset if record.disk == archive.disk else -1

    def spots(self) -> Iterator[Spot | Slack]:
        """Members and unaccounted ranges in the order in which they stand in the file."""
        positions, centrals = self._positions, self._centrals
        order: Iterable[int] = range(len(positions))
        if any(positions[at] > positions[at + 1] for at in range(len(positions) - 1)):
            order = sorted(order, key=positions.__getitem__)
            self._positions = array("q", (positions[at] for at in order))
            self._centrals = array("q", (centrals[at] for at in order))
        members = (
            Event(position, True, central, self._ends.get(central, DECLARED))
            for position, central in zip(self._positions, self._centrals, strict=True)
        )
        return self._walk(members, sorted(self._structures), 0, self._stream.size, carve=True)

    def _walk(
        self, members: Iterable[Event], structures: Sequence[tuple[int, int]], start: int, end: int, *, carve: bool
    ) -> Iterator[Spot | Slack]:
        cursor = start
        last: Spot | None = None
        records = (Event(begin, False, NO_RECORD, finish) for begin, finish in structures)
        for event in heapq.merge(records, members, key=_place):
            spot = self._spot(event) if event.is_member else None
            here = spot is None or spot.local is not None
            if here and event.position > cursor:
                yield from self._gap(cursor, event.position, carve=carve)
                cursor = max(event.position, self._reached)
            if spot is None:
                cursor = max(cursor, event.end)
                continue
            if spot.local is not None:
                spot.overlaps = event.position < cursor
                spot.twin = last is not None and (last.start, last.end) == (spot.start, spot.end)
                last = spot
                cursor = self._reached = max(cursor, spot.after)
            yield spot
        if cursor < end:
            yield from self._gap(cursor, end, carve=carve)

    def _gap(self, start: int, end: int, *, carve: bool) -> Iterator[Spot | Slack]:
        if not carve or end - start < SHORTEST:
            yield Slack(start, end)
            return
        carved = Carver(self._stream, start, end).carve()
        self.comments += carved.comments
        pairs, orphans = self._pair(carved.members, carved.centrals, start)
        for position in carved.members:
            header = read_local(self._locals, position)
            if header is not None and not header.raw.isascii() and settled_name(header) is None:
                self.unsettled.setdefault(header.raw)
        members = [
            Event(position, True, pairs.get(position, NO_RECORD), close)
            for position, close in zip(carved.members, carved.ends, strict=True)
        ]
        members += [Event(end, True, central, ELSEWHERE) for central in orphans]
        yield from self._walk(members, carved.structures, start, end, carve=False)

    def _pair(self, members: array[int], centrals: array[int], start: int) -> tuple[dict[int, int], list[int]]:
        """Directory records by the local header they mean, and those that mean none that is here."""
        pairs: dict[int, int] = {}
        orphans: list[int] = []
        if not centrals:
            return pairs, orphans
        sample = [record for at in centrals[:16] if (record := read_central(self._records, at))]
        bases = [0, start]
        if members and sample:
            bases.append(members[0] - sample[0].offset)
        base = max(bases, key=lambda each: sum(self._is_named(each + one.offset, one.raw) for one in sample))
        for at in centrals:
            record = read_central(self._records, at)
            if record is None:
                continue
            place = base + record.offset
            if _has(members, place) and place not in pairs:
                pairs[place] = at
            elif not self._is_named(place, record.raw):
                orphans.append(at)
        return pairs, orphans

    def _is_named(self, position: int, raw: bytes) -> bool:
        """Whether a local header with this name stands at `position`."""
        header = read_local(self._locals, position) if 0 <= position < self._stream.size else None
        return header is not None and header.raw == raw

    def _spot(self, event: Event) -> Spot:
        central = read_central(self._records, event.central) if event.central >= 0 else None
        if event.end == ELSEWHERE:
            return Spot(event.position, central, None, elsewhere=True)
        local = read_local(self._locals, event.position, central.raw if central else None)
        if local is None:
            return Spot(event.position, central, None)
        if central is not None:
            packed, crc, size = central.packed, central.crc, central.size
        else:
            packed, crc, size = local.packed, local.crc, local.size
        total = self._stream.size
        start, close = min(local.end, total), local.end + packed
        spot = Spot(event.position, central, local, start, crc=crc, size=size)
        if event.end != DECLARED and central is None:
            close = event.end
            spot.exact = False
        if close > total:
            spot.missing, close = close - total, total
        spot.end = spot.after = max(close, start)
        if local.flags & STREAMED:
            self._read_descriptor(spot, known=central is not None)
        elif not spot.exact:
            spot.crc, spot.size = local.crc, local.size
        return spot

    def _read_descriptor(self, spot: Spot, *, known: bool) -> None:
        """Takes in the descriptor after the data; without a directory, it alone knows checksum and size."""
        fixed = self._locals.at(spot.end, 24)
        at = 8 if fixed.startswith(DESCRIPTOR) else 4
        crc = int.from_bytes(fixed[at - 4 : at], "little")
        packed = spot.end - spot.start
        for width in (4, 8):
            if len(fixed) < at + 2 * width or int.from_bytes(fixed[at : at + width], "little") != packed:
                continue
            size = int.from_bytes(fixed[at + width : at + 2 * width], "little")
            if known:
                fits = size == spot.size and (at == 8 or crc == spot.crc)
            else:
                # read as four bytes, the upper half of a longer size looks like a size of nothing
                fits = width == 8 or size > 0 or not packed or fixed[at + 8 : at + 10] in (b"PK", b"")
            if not fits:
                continue
            spot.after = spot.end + at + 2 * width
            if not known:
                spot.crc, spot.size, spot.exact = crc, size, True
            return
        if known and at == 8 and crc == spot.crc and spot.end + 16 <= self._stream.size:
            spot.after = spot.end + 16  # its sizes lie
        if not known and not spot.exact:
            spot.crc = spot.size = None


def _place(event: Event) -> tuple[int, bool]:
    return event.position, event.is_member


def _has(positions: array[int], position: int) -> bool:
    at = bisect_left(positions, position)
    return at < len(positions) and positions[at] == position
