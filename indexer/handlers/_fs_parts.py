"""What readers of file systems have in common: a volume's bytes, runs of them as a stream, names, members.

Everything is lazy: a volume is never copied, a member's bytes are read while the crawler takes them.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import BinaryIO, NamedTuple

from indexer.errors import EvidenceError
from indexer.handlers._archive import FILE, SAMPLE, Names
from indexer.handlers._disk import DiskRange, DiskReader
from indexer.handlers._streams import open_chunks
from indexer.model import Child, Fact, Field, Problem, Scalar, Timestamp, replace
from indexer.passwords import Passwords

STEP = 1 << 20
_ZEROS = bytes(STEP)
_PAGE = 1 << 16
_PAGES = 128
_SECTOR = 512
MOST_HOLES = 4 << 30
"""Zeros given for the holes of one file: beyond that a declared size is no longer worth believing."""
MOST_UNALLOCATED = 16 << 30
"""Bytes of unallocated space given as one item."""
MOST_FOLDER = 64 << 20
"""Bytes of one folder's entries; FAT ends at 2 MiB, others with millions of names stay below this."""
MOST_DEPTH = 512
"""Folders inside folders; paths of the systems that made the volumes end long before."""
ORPHANS = "$Orphans"
"""The folder of ours for what has lost its own."""
UNALLOCATED = "$Unallocated"
HOLE = -1
Told = dict[str, Scalar | None]
"""Fields of a member; those without a value are left out."""


class Run(NamedTuple):
    """Bytes of a file that stand together on the volume; `at` is HOLE where nothing is stored."""

    at: int
    size: int


class Volume:
    """A file system's range of a disk; small reads go through a few pages held in memory.

    Attributes:
        disk: the range itself, for libraries.
        size: its bytes.
        passwords: candidates for encrypted volumes.
        trouble: the first trouble in reading structures, which were then left out.
    """

    def __init__(self, disk: DiskReader, start: int, length: int, passwords: Passwords | None = None) -> None:
        self.disk = DiskRange(disk, start, length)
        self.size = self.disk.size
        self.passwords = passwords or Passwords()
        self.trouble: EvidenceError | None = None
        self._start = start
        # Images that keep blocks apart know which of them are stored; plain disks need not.
        self._stored: Callable[[int], int] | None = getattr(disk, "data_from", None)
        self._pages: OrderedDict[int, bytes] = OrderedDict()

    def at(self, offset: int, length: int) -> bytes:
        """The bytes of a structure; fewer at the end of the volume, none where they cannot be read."""
        try:
            return self.read(offset, length)
        except EvidenceError as error:
            self.trouble = self.trouble or error
            return b""

    def read(self, offset: int, length: int) -> bytes:
        """The bytes from `offset`; fewer only at the end of the volume.

        Raises:
            EvidenceError: where the image holds no readable bytes for the range.
        """
        first, start = divmod(offset, _PAGE)
        if offset < 0 or length <= 0:
            return b""
        if length > _PAGE:
            return self.disk.read_at(offset, length)
        try:
            data = self._page(first)[start : start + length]
            if len(data) < length and start + length > _PAGE:
                data += self._page(first + 1)[: length - len(data)]
        except EvidenceError:
            # The page holds more than was asked for: what is missing may lie outside it.
            return self.disk.read_at(offset, length)
        return data

    def exact(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes.

        Raises:
            EvidenceError: `truncated` where the volume ends before them.
        """
        data = self.read(offset, length)
        if len(data) < length:
            raise EvidenceError("truncated", f"the volume ends before byte {offset + length}")
        return data

    def data_from(self, offset: int) -> int:
        """The first offset, not before this one, at which the image may hold bytes."""
        return self._stored(self._start + offset) - self._start if self._stored else offset

    def _page(self, number: int) -> bytes:
        page = self._pages.get(number)
        if page is None:
            page = self.disk.read_at(number * _PAGE, _PAGE)
            self._pages[number] = page
            if len(self._pages) > _PAGES:
                self._pages.popitem(last=False)
        else:
            self._pages.move_to_end(number)
        return page


def pour(volume: Volume, runs: Iterable[Run], size: int) -> Iterator[bytes]:
    """`size` bytes of a file from its runs; zeros for holes and for what no run covers.

    Raises:
        EvidenceError: `truncated` or `unreadable` where bytes are missing, `limit` for endless holes.
    """
    left = size
    holes = 0
    for run in chain(runs, (Run(HOLE, size),)):
        at = run.at
        here = min(run.size, left)
        while here > 0:
            step = min(here, STEP)
            if at == HOLE:
                holes += step
                if holes > MOST_HOLES:
                    raise EvidenceError("limit", f"more than {MOST_HOLES} bytes of holes in one file")
                yield bytes(step)
            else:
                try:
                    data = volume.read(at, step)
                except EvidenceError:
                    if step == _SECTOR:
                        raise
                    # What stands before the unreadable place is still given.
                    step = min(_SECTOR, here)
                    data = volume.read(at, step)
                yield data
                if len(data) < step:
                    raise EvidenceError("truncated", f"{left - len(data)} bytes lie behind the end of the volume")
                at += step
            here -= step
            left -= step
        if left <= 0:
            return


def gather(volume: Volume, runs: Iterable[Run], size: int, most: int = MOST_FOLDER) -> bytes:
    """The same bytes in one piece, at most `most` of them, down to the first trouble."""
    parts: list[bytes] = []
    try:
        parts.extend(pour(volume, runs, min(size, most)))
    except EvidenceError as error:
        volume.trouble = volume.trouble or error
    return b"".join(parts)


def opener(volume: Volume, runs: Iterable[Run], size: int) -> Callable[[], BinaryIO]:
    """An opener of a file's bytes, for a Child."""
    return lambda: open_chunks(pour(volume, runs, size))


def open_bytes(data: bytes) -> Callable[[], BinaryIO]:
    """An opener of bytes that are at hand."""
    return lambda: io.BytesIO(data)


def unallocated(volume: Volume, prefix: str, runs: Iterator[Run]) -> Iterator[Fact]:
    """The space that no file owns, in its order, as one member; none where it is all zeros."""
    chunks = _used(volume, runs)
    try:
        first = next(chunks, None)
    except EvidenceError as error:
        yield replace(error.problem(""), message=f"unallocated space: {error.message}")
        return
    if first is not None:
        fields: Told = {"file.kind": "unallocated"}
        yield member(prefix, UNALLOCATED, opening=lambda: open_chunks(chunks, first), fields=fields)


def _used(volume: Volume, runs: Iterator[Run]) -> Iterator[bytes]:
    """The bytes of runs without the steps that are all zeros."""
    given = 0
    for run in runs:
        at = run.at
        end = min(run.at + run.size, volume.size)
        while (at := volume.data_from(at)) < end:
            for chunk in pour(volume, (Run(at, min(STEP, end - at)),), min(STEP, end - at)):
                at += len(chunk)
                if chunk != _ZEROS[: len(chunk)]:
                    given += len(chunk)
                    yield chunk
            if given > MOST_UNALLOCATED:
                raise EvidenceError("limit", f"more than {MOST_UNALLOCATED} bytes")


def zero_bits(bitmap: bytes, count: int) -> Iterator[tuple[int, int]]:
    """First number and length of every run of zeros in a bitmap, lowest bit first."""
    count = min(count, len(bitmap) * 8)
    first = -1
    for index in range((count + 7) // 8):
        octet = bitmap[index]
        if octet == 0xFF and first < 0:
            continue
        if octet == 0 and first >= 0 and index * 8 + 8 <= count:
            continue
        for bit in range(min(8, count - index * 8)):
            if not octet >> bit & 1:
                first = index * 8 + bit if first < 0 else first
            elif first >= 0:
                yield first, index * 8 + bit - first
                first = -1
    if first >= 0:
        yield first, count - first


class NameBytes:
    """Names whose encoding the file system does not tell: UTF-8 where they are, else all by one vote."""

    def __init__(self) -> None:
        self._doubtful: list[bytes] = []
        self._names: Names | None = None

    def see(self, raw: bytes) -> None:
        """Lets a name vote, before the first one is decoded."""
        if not raw.isascii() and len(self._doubtful) < SAMPLE:
            try:
                raw.decode("utf-8")
            except UnicodeDecodeError:
                self._doubtful.append(raw)

    def decode(self, raw: bytes) -> str:
        """The name as text."""
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            if self._names is None:
                self._names = Names(self._doubtful or [raw])
            return self._names.decode(raw)

    def fields(self) -> tuple[Field, ...]:
        """How the names were decoded, where UTF-8 did not read them all."""
        return Names(self._doubtful).fields() if self._doubtful else ()


def member(
    prefix: str,
    path: str,
    raw: bytes | None = None,
    *,
    opening: Callable[[], BinaryIO] | None = None,
    stamps: Iterable[Timestamp | None] = (),
    fields: Mapping[str, Scalar | None] | None = None,
    problems: tuple[Problem, ...] = (),
) -> Child:
    """A member of a volume at its path; fields without a value and times that cannot be are left out."""
    told = tuple(Field(name, value) for name, value in (fields or {}).items() if value is not None)
    name = prefix + path
    raw_name = prefix.encode("utf-8", "surrogatepass") + (path.encode("utf-8", "surrogatepass") if raw is None else raw)
    return Child(name, raw_name, opening, tuple(stamp for stamp in stamps if stamp), told, problems)


def check_size(volume: Volume, size: int) -> Iterator[Problem]:
    """The problem of a volume that ends before its file system does."""
    if volume.size < size:
        message = f"the file system has {size} bytes, {volume.size} are there"
        yield Problem("truncated", message, resolution="read as far as it goes")


def lost(message: str, kept: str = "name and times kept") -> tuple[Problem, ...]:
    """The problem of a deleted entry whose bytes are gone."""
    return (Problem("unreadable", message, resolution=kept),)


def reused(used: int, held: int) -> tuple[Problem, ...]:
    """The problem of a deleted file, `used` of whose bytes lie where other files may lie now."""
    if not used:
        return ()
    message = f"{used} of {held} bytes lie in places that are in use again"
    return (Problem("corrupt", message, resolution="read as they stand"),)


def stored(runs: Iterable[Run]) -> int:
    """The bytes of runs that are no holes."""
    return sum(run.size for run in runs if run.at != HOLE)


def kind_field(kind: str) -> str | None:
    """The value of `file.kind`: none for a plain file."""
    return None if kind == FILE else kind
