"""Picture sequences: pictures of one folder whose names differ by one number only, each sequence as one row.

`S01_C012.0001.tga` to `S01_C012.0144.tga` is one row, `S01_C012.####.tga`, with its range, its gaps, its size
and its dates. Where a name holds several numbers, the one that its neighbours differ in counts; where two do
in turn, the last. Numbers without leading zeros go on from 9 to 10, and padded ones from 9999 to 10000.

Items are gone through once, in the order of paths; only the folders that the present one lies in are held.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from os.path import splitext
from typing import Final

from indexer.model import Item, Timestamp
from search.answers import matching
from search.case import Case
from search.kinds import coarse_type
from search.report import Cell, Column, Report, colophon_of, sheet_of

GAPS: Final = 1_000
"""Gaps kept of one sequence; how many numbers are missing is counted all the same."""
SHOWN_GAPS: Final = 40
SINGLES: Final = 10_000
"""Single pictures of one folder that wait for others whose numbers have more digits."""
_NUMBER: Final = re.compile(r"(?<![0-9])([0-9]{1,18})(?![0-9])")
_DERIVED: Final = frozenset(("thumbnail", "preview", "cover"))
"""Pictures that a program put into another file: no frames."""
_COLUMNS: Final = (
    Column("folder"), Column("pattern"), Column("first", "number"), Column("last", "number"),
    Column("count", "number"), Column("missing", "number"), Column("gaps"), Column("size", "number"),
    Column("first_date", "time"), Column("last_date", "time"), Column("id"),
)  # fmt: skip


@dataclass(slots=True)
class _Frame:
    """One picture: the parts of its name, every second one a number."""

    parts: tuple[str, ...]
    id: str
    size: int
    stamp: Timestamp | None


@dataclass(slots=True)
class _Sequence:
    """Frames that differ at one place of their names, `at`; their numbers have the same count of digits."""

    parts: tuple[str, ...]
    at: int
    first: int
    id: str
    last: int = -1
    count: int = 0
    numbers: int = 0
    size: int = 0
    gaps: list[tuple[int, int]] = field(default_factory=list)
    earliest: Timestamp | None = None
    latest: Timestamp | None = None

    @classmethod
    def of(cls, frame: _Frame, at: int) -> _Sequence:
        made = cls(frame.parts, at, int(frame.parts[at]), frame.id)
        made.add(frame)
        return made

    def add(self, frame: _Frame) -> None:
        number = int(frame.parts[self.at])
        if self.numbers and number > self.last + 1 and len(self.gaps) < GAPS:
            self.gaps.append((self.last + 1, number - 1))
        self.numbers += not self.numbers or number != self.last
        self.last = number
        self.count += 1
        self.size += frame.size
        self._date(frame.stamp)

    def join(self, other: _Sequence) -> None:
        """Takes in the sequence that goes on with one digit more."""
        if other.first > self.last + 1:
            self.gaps.append((self.last + 1, other.first - 1))
        self.gaps = [*self.gaps, *other.gaps][:GAPS]
        self.last = other.last
        self.count += other.count
        self.numbers += other.numbers
        self.size += other.size
        self._date(other.earliest)
        self._date(other.latest)

    def _date(self, stamp: Timestamp | None) -> None:
        if stamp and (self.earliest is None or stamp.at < self.earliest.at):
            self.earliest = stamp
        if stamp and (self.latest is None or stamp.at > self.latest.at):
            self.latest = stamp

    @property
    def width(self) -> int:
        return len(self.parts[self.at])

    @property
    def pattern(self) -> str:
        return "".join((*self.parts[: self.at], "#" * self.width, *self.parts[self.at + 1 :]))

    @property
    def around(self) -> tuple[str, str]:
        """The name without its number."""
        return "".join(self.parts[: self.at]), "".join(self.parts[self.at + 1 :])

    def row(self, folder: str) -> tuple[Cell, ...]:
        gaps = [str(first) if first == last else f"{first}-{last}" for first, last in self.gaps[:SHOWN_GAPS]]
        more = ", ..." * (len(self.gaps) > SHOWN_GAPS)
        missing = self.last - self.first + 1 - self.numbers
        dates = [stamp.moment if stamp else None for stamp in (self.earliest, self.latest)]
        return (
            folder, self.pattern, self.first, self.last, self.count, missing, ", ".join(gaps) + more or None,
            self.size, *dates, self.id,
        )  # fmt: skip


@dataclass(slots=True)
class _Growing:
    """The sequence that names of one shape are at; its last frame is held back, as the next may claim it."""

    frame: _Frame
    sequence: _Sequence | None = None


class _Folder:
    """The sequences of one folder while its pictures go by."""

    def __init__(self, path: str) -> None:
        self.path = path  # with the slash at its end, where it is not the source itself
        self._growing: dict[tuple[object, ...], _Growing] = {}
        self._ended: list[_Sequence] = []
        self._singles = 0

    def add(self, frame: _Frame) -> None:
        shape = tuple(len(part) if at % 2 else part for at, part in enumerate(frame.parts))
        growing = self._growing.get(shape)
        if growing is None:
            self._growing[shape] = _Growing(frame)
            return
        last, sequence = growing.frame, growing.sequence
        differ = [at for at in range(1, len(frame.parts), 2) if frame.parts[at] != last.parts[at]]
        if sequence and (not differ or differ == [sequence.at]):
            sequence.add(last)
        elif len(differ) < 2 and (sequence is None or differ[0] > sequence.at):
            if sequence:
                self._end(sequence)
            growing.sequence = _Sequence.of(last, differ[0] if differ else len(last.parts) - 2)
        else:
            self._close(growing)
            growing.sequence = None
        growing.frame = frame

    def _close(self, growing: _Growing) -> None:
        if growing.sequence:
            growing.sequence.add(growing.frame)
            self._end(growing.sequence)
        else:
            self._end(_Sequence.of(growing.frame, len(growing.frame.parts) - 2))

    def _end(self, sequence: _Sequence) -> None:
        if sequence.count == 1:
            self._singles += 1
            if self._singles > SINGLES:
                return
        self._ended.append(sequence)

    def rows(self, least: int) -> Iterator[tuple[Cell, ...]]:
        """Every sequence of at least so many frames, by pattern."""
        for growing in self._growing.values():
            self._close(growing)
        self._ended.sort(key=lambda each: (each.around, each.width, each.first, each.at))
        joined: list[_Sequence] = []
        for sequence in self._ended:
            # More digits than the ones before, and none of them a leading zero: the same counter goes on.
            goes_on = sequence.first >= 10 ** (sequence.width - 1)
            if joined and goes_on and joined[-1].around == sequence.around and joined[-1].last < sequence.first:
                joined[-1].join(sequence)
            else:
                joined.append(sequence)
        for sequence in sorted(joined, key=lambda each: (each.pattern, each.first)):
            if sequence.count >= least:
                yield sequence.row(self.path.removesuffix("/").removesuffix("!"))


def sequences(case: Case, query: str = "", *, least: int = 2) -> Report:
    """The picture sequences among the hits, or in the whole case, folder by folder.

    Args:
        least: pictures that make a sequence.

    Raises:
        QueryError: the query cannot be understood.
    """
    rows = partial(_rows, case, query, least)
    return Report(case, colophon_of(case, "sequences", query, least=least), (sheet_of("sequences", _COLUMNS, rows),))


def _rows(case: Case, query: str, least: int) -> Iterator[tuple[Cell, ...]]:
    opened: list[_Folder] = []
    for item in matching(case, query):
        source = item.provenance.source
        folder, slash, _ = str(item.provenance)[len(source) + 1 :].rpartition("/")
        folder = f"{source}:{folder}{slash}"
        while opened and not folder.startswith(opened[-1].path):
            yield from opened.pop().rows(least)
        if (frame := _frame(item)) is None:
            continue
        if not opened or opened[-1].path != folder:
            opened.append(_Folder(folder))
        opened[-1].add(frame)
    while opened:
        yield from opened.pop().rows(least)


def _frame(item: Item) -> _Frame | None:
    """The picture with the parts of its name, where it is one and its name holds a number."""
    if coarse_type(item.media_type) != "picture":
        return None
    if any(each.name == "file.kind" and each.value in _DERIVED for each in item.fields):
        return None
    stem, suffix = splitext(item.name)
    if suffix[1:].isdecimal():
        stem, suffix = item.name, ""
    parts = _NUMBER.split(stem)
    if len(parts) < 2:
        return None
    parts[-1] += suffix
    modified = [stamp for stamp in item.timestamps if stamp.kind == "M"]
    stamp = modified[0] if modified else min(item.timestamps, key=lambda each: each.at, default=None)
    return _Frame(tuple(parts), item.id, item.size or 0, stamp)
