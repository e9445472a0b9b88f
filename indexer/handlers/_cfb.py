"""Compound files: the tree of storages and streams inside of them, read where it lies.

Source: [MS-CFB] 2.2 (header), 2.3 to 2.5 (FAT, mini FAT, DIFAT), 2.6 (directory), 2.7 (user-defined data).
The tables are read sector by sector when they are asked for, so that telling one kind of document
from another costs a few reads, also of a large file; several handlers ask, the answer is kept.
"""

from __future__ import annotations

import struct
import uuid
from array import array
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from weakref import WeakKeyDictionary

from msgspec import Struct, field

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.limits import GIB, MIB
from indexer.model import Problem, Timestamp
from indexer.timestamps import from_filetime

MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
STORAGE, STREAM, ROOT = 1, 2, 5
ENTRIES = 1 << 17
"""Directory entries that are looked at; the largest mailbox seen has some thousands."""
WHOLE = GIB // 2
"""Bytes of one stream that are held at once."""
_PIECE = MIB
_LAST = 0xFFFFFFFA
"""Sector numbers from here on are marks."""
_NONE = 0xFFFFFFFF
_opened: WeakKeyDictionary[Stream, Compound] = WeakKeyDictionary()


class Entry(Struct):
    """One storage or stream; `path` is its names from the root down."""

    path: tuple[str, ...]
    kind: int
    start: int = 0
    size: int = 0
    class_id: str = ""
    created: int = 0
    modified: int = 0
    children: list[Entry] = field(default_factory=list)
    lost: bool = False

    @property
    def name(self) -> str:
        """Its own name; empty for the root."""
        return self.path[-1] if self.path else ""

    @property
    def key(self) -> str:
        """Its path as we look it up: lower case, parted by slashes."""
        return "/".join(self.path).lower()

    def timestamps(self) -> tuple[Timestamp, ...]:
        """When the storage was made and changed, where that was recorded."""
        stamps = (from_filetime("B", self.created, "ole.created"), from_filetime("M", self.modified, "ole.modified"))
        return tuple(stamp for stamp in stamps if stamp)


class Compound:
    """A compound file: `entries` by key, in the order of the directory; `problems` met while reading.

    `fault` says why there are none.
    """

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.problems: list[Problem] = []
        self.entries: dict[str, Entry] = {}
        self.root = Entry((), ROOT)
        self.fault = ""
        self._fat: dict[int, array[int]] = {}
        head = stream.at(0, 512)
        if len(head) < 512 or not head.startswith(MAGIC):
            self.fault = "the header is not whole"
            return
        self._shift, self._mini_shift = struct.unpack_from("<HH", head, 30)
        if not 7 <= self._shift <= 20 or not 4 <= self._mini_shift < self._shift:
            self.fault = f"sectors of 2^{self._shift} and 2^{self._mini_shift} bytes"
            return
        self._size = 1 << self._shift
        self._sectors = max(0, -(-stream.size // self._size) - 1)
        (self._directory,) = struct.unpack_from("<I", head, 48)
        self._cutoff, self._mini_start, _, self._difat_start, _ = struct.unpack_from("<5I", head, 56)
        self._head = array("I", head[76:512])
        try:
            self._read_directory()
        except EvidenceError as error:
            self.problems.append(Problem(error.cause, f"directory: {error.message}", resolution="read up to there"))
        if not self.entries and not self.problems:
            self.fault = "the directory is empty"

    @cached_property
    def _fat_sectors(self) -> list[int]:
        """Where the sectors of the FAT lie."""
        found = [sector for sector in self._head if sector < _LAST]
        sector, seen = self._difat_start, set[int]()
        while sector < self._sectors and sector not in seen:
            seen.add(sector)
            part = array("I", self._sector(sector).ljust(self._size, b"\xff"))
            found += [each for each in part[:-1] if each < _LAST]
            sector = part[-1]
        return found

    def _sector(self, number: int) -> bytes:
        return self.stream.at((number + 1) << self._shift, self._size)

    def _fat_part(self, row: int, sector: int) -> array[int]:
        """The part of the table of sectors in which `sector` stands.

        Raises:
            EvidenceError: if the table does not reach so far.
        """
        part = self._fat.get(row)
        if part is None:
            if row >= len(self._fat_sectors):
                raise EvidenceError("truncated", f"the table of sectors ends before sector {sector}")
            data = self._sector(self._fat_sectors[row])
            part = self._fat[row] = array("I", data[: len(data) & ~3])
        return part

    def _chain(self, start: int) -> Iterator[int]:
        """The sectors of a chain.

        Raises:
            EvidenceError: where the chain leaves the table or comes back to itself.
        """
        sector, steps, mark = start, 0, _NONE
        width, row_now, part = self._size // 4, -1, array("I")
        while sector < self._sectors:
            # A mark is left at every power of two: a circle comes by it again, whatever its length.
            if sector == mark:
                raise EvidenceError("corrupt", "a chain of sectors runs in a circle")
            steps += 1
            if not steps & (steps - 1):
                mark = sector
            yield sector
            row, column = divmod(sector, width)
            if row != row_now:
                part, row_now = self._fat_part(row, sector), row
            if column >= len(part):
                raise EvidenceError("truncated", f"the table of sectors ends before sector {sector}")
            sector = part[column]

    def _runs(self, start: int, size: int) -> Iterator[tuple[int, int]]:
        """Offset and length of the runs that a chain is made of, until `size` bytes are reached.

        Raises:
            EvidenceError: after the last run that could be had.
        """
        chain = self._chain(start)
        first = count = 0
        fault = None
        while size > count << self._shift:
            try:
                sector = next(chain, None)
            except EvidenceError as error:
                sector, fault = None, error
            if count and (sector != first + count or count << self._shift >= _PIECE):
                yield (first + 1) << self._shift, count << self._shift
                size -= count << self._shift
                count = 0
            if sector is None:
                raise fault or EvidenceError("truncated", f"a chain of sectors ends {size} bytes early")
            first = first if count else sector
            count += 1
        if size > 0:
            yield (first + 1) << self._shift, size

    def _read_directory(self) -> None:
        data = bytearray()
        fault = None
        try:
            for offset, length in self._runs(self._directory, ENTRIES * 128):
                data += self.stream.at(offset, length)
        except EvidenceError as error:
            # The directory's length stands nowhere: that its chain ends is no fault.
            if "early" not in error.message:
                fault = error
        rows = [data[at : at + 128] for at in range(0, len(data) - 127, 128)]
        seen: set[int] = set()
        waiting: list[tuple[int, Entry | None]] = [(0, None)]
        while waiting:
            number, parent = waiting.pop()
            if number in seen or number >= len(rows):
                continue
            seen.add(number)
            entry, left, right, child = _parse(rows[number], parent)
            if parent is None:
                self.root = entry
            else:
                waiting += [(right, parent), (left, parent)]
                self._keep(entry, parent)
            if entry.kind != STREAM:
                waiting.append((child, entry))
        for number, row in enumerate(rows):
            if number not in seen and row[66] == STREAM:
                entry, *_ = _parse(row, self.root)
                if entry.size:
                    entry.lost = True
                    self._keep(entry, self.root)
        if fault:
            raise fault

    def _keep(self, entry: Entry, parent: Entry) -> None:
        if entry.kind in (STORAGE, STREAM) and entry.key not in self.entries:
            parent.children.append(entry)
            self.entries[entry.key] = entry

    # -- what a stream holds -------------------------------------------------------------------

    @cached_property
    def _mini_sectors(self) -> list[int]:
        """The sectors of the stream that holds the small streams; what is missing is not there."""
        found: list[int] = []
        with suppress(EvidenceError):  # every stream in it says for itself what it misses
            found.extend(self._chain(self.root.start))
        return found

    @cached_property
    def _mini_fat(self) -> array[int]:
        data = bytearray()
        with suppress(EvidenceError):  # the table ends where its chain ends
            for offset, length in self._runs(self._mini_start, self.stream.size):
                data += self.stream.at(offset, length)
        return array("I", bytes(data[: len(data) & ~3]))

    def pieces(self, entry: Entry) -> Iterator[bytes]:
        """The bytes of a stream, piece by piece.

        Raises:
            EvidenceError: after the last piece that could be had.
        """
        if entry.size < self._cutoff:
            yield from self._mini_pieces(entry)
            return
        left = entry.size
        for offset, length in self._runs(entry.start, entry.size):
            data = self.stream.at(offset, length)
            left -= len(data)
            yield data
            if len(data) < length:
                raise EvidenceError("truncated", f"{left} bytes are missing")

    def _mini_pieces(self, entry: Entry) -> Iterator[bytes]:
        left, sector, steps = entry.size, entry.start, 0
        unit = 1 << self._mini_shift
        while left > 0:
            if sector >= len(self._mini_fat) or steps > len(self._mini_fat):
                raise EvidenceError("truncated", f"{left} bytes are missing")
            data = self._mini(sector * unit, min(unit, left))
            left -= len(data)
            yield data
            if not data:
                raise EvidenceError("truncated", f"{left} bytes are missing")
            sector, steps = self._mini_fat[sector], steps + 1

    def _mini(self, at: int, length: int) -> bytes:
        row, column = divmod(at, self._size)
        if row >= len(self._mini_sectors):
            return b""
        return self.stream.at(((self._mini_sectors[row] + 1) << self._shift) + column, length)

    def read(self, entry: Entry | None, most: int = WHOLE) -> bytes:
        """The whole of a stream, cut at `most` bytes; trouble goes to `problems`."""
        held = bytearray()
        if entry is None or entry.kind != STREAM:
            return b""
        try:
            for piece in self.pieces(entry):
                held += piece
                if len(held) > most:
                    del held[most:]
                    raise EvidenceError("limit", f"more than {most} bytes in one stream")
        except EvidenceError as error:
            message = f"{'/'.join(entry.path)}: {error.message}"
            problem = Problem(error.cause, message, resolution="read up to there")
            if problem not in self.problems:
                self.problems.append(problem)
        return bytes(held)

    def start(self, entry: Entry, most: int) -> bytes:
        """The first bytes of a stream, as many as can be had; who reads on meets the trouble there."""
        held = bytearray()
        with suppress(EvidenceError):
            for piece in self.pieces(entry):
                held += piece
                if len(held) >= most:
                    break
        return bytes(held[:most])

    def get(self, *path: str) -> Entry | None:
        """The stream or storage at this path, whatever the case of its letters."""
        return self.entries.get("/".join(path).lower())


def compound(stream: Stream) -> Compound:
    """The compound file that the stream is; opened once per item. `fault` is set where it is none."""
    found = _opened.get(stream)
    if found is None:
        found = _opened[stream] = Compound(stream)
    return found


def _parse(row: bytes | bytearray, parent: Entry | None) -> tuple[Entry, int, int, int]:
    """One entry of the directory, and the numbers of its left, right and first lower neighbour."""
    length = min(struct.unpack_from("<H", row, 64)[0], 64)
    name = bytes(row[: max(0, length - 2)]).decode("utf-16-le", "replace")
    left, right, child = struct.unpack_from("<III", row, 68)
    class_id = bytes(row[80:96])
    created, modified, start, size = struct.unpack_from("<QQIQ", row, 100)
    path = () if parent is None else (*parent.path, name)
    # Version 3 files may hold anything in the upper half of the size.
    size = size & 0xFFFFFFFF if size >> 40 else size
    text = str(uuid.UUID(bytes_le=class_id)) if any(class_id) else ""
    return Entry(path, row[66], start, size, text, created, modified), left, right, child
