"""Virtual disks of every image format: bytes at an offset, with nothing unpacked ahead.

Most formats keep the disk in blocks of one size and a table that says where each block lies; such a
reader tells of one block only, and `BlockImage` makes a disk of it. A block that is stored nowhere
reads as zeros, and `data_from` steps over such blocks by the table.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from indexer.errors import EvidenceError
from indexer.handler import Stream

PAGE = 4096
"""What is asked for alone where more cannot be read at once."""
MOST_SIZE = 1 << 62
"""A larger disk is a lie: sums of offsets have to stay in 64 bits for the libraries that read them."""


class Image(ABC):
    """A virtual disk of `size` bytes."""

    def __init__(self, size: int) -> None:
        if not 0 <= size <= MOST_SIZE:
            raise EvidenceError("corrupt", f"a disk of {size} bytes cannot be")
        self.size = size

    @abstractmethod
    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes from `offset`: fewer than `length` only at the end, none outside.

        Raises:
            EvidenceError: where the image holds no readable bytes for the range.
        """

    def data_from(self, offset: int) -> int:
        """The first offset, not before this one, at which bytes may be stored; the size where there is none."""
        return min(offset, self.size)

    def missing(self) -> tuple[str, ...]:
        """What is not there of the files that the image is made of, a sentence each."""
        return ()


class FileImage(Image):
    """A file, or a part of one, that holds the disk byte by byte.

    Args:
        size: bytes of the disk; those behind the end of the file cannot be read.
    """

    def __init__(self, stream: Stream, start: int = 0, size: int | None = None) -> None:
        super().__init__(max(0, stream.size - start) if size is None else size)
        self._stream = stream
        self._start = start

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes from `offset`, as they stand in the file."""
        length = min(length, self.size - offset)
        if offset < 0 or length <= 0:
            return b""
        return read_exactly(self._stream, self._start + offset, length)

    def data_from(self, offset: int) -> int:
        """The offset, as far as the file goes."""
        return offset if self._start + offset < self._stream.size else self.size

    def missing(self) -> tuple[str, ...]:
        """What the file lacks at its end."""
        short = self._start + self.size - self._stream.size
        return (f"{short} bytes are missing at the end of the image",) if short > 0 else ()


class ZeroImage(Image):
    """A disk, or a part of one, of which nothing is stored: all zeros."""

    def read_at(self, offset: int, length: int) -> bytes:
        """Zeros."""
        return bytes(max(0, min(length, self.size - offset))) if offset >= 0 else b""

    def data_from(self, offset: int) -> int:
        """The end: there is nothing."""
        return self.size


class JoinedImage(Image):
    """Disks one behind another, as one: the parts of a split image."""

    def __init__(self, parts: Sequence[Image]) -> None:
        super().__init__(sum(part.size for part in parts))
        self._parts = [part for part in parts if part.size]
        self._ends = list(accumulate(part.size for part in self._parts))

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes from `offset`, out of as many parts as they lie in."""
        if offset < 0:
            return b""
        pieces: list[bytes] = []
        number = bisect_right(self._ends, offset)
        while length > 0 and number < len(self._parts):
            piece = self._parts[number].read_at(offset - self._start(number), length)
            pieces.append(piece)
            offset += len(piece)
            length -= len(piece)
            number += 1
        return b"".join(pieces)

    def data_from(self, offset: int) -> int:
        """The first offset at which a part may store bytes."""
        for number in range(bisect_right(self._ends, offset), len(self._parts)):
            found = self._parts[number].data_from(max(0, offset - self._start(number)))
            if found < self._parts[number].size:
                return self._start(number) + found
        return self.size

    def missing(self) -> tuple[str, ...]:
        """What is not there, of any part."""
        return tuple(dict.fromkeys(reason for part in self._parts for reason in part.missing()))

    def _start(self, number: int) -> int:
        return self._ends[number] - self._parts[number].size


class PartImage(Image):
    """A range of a disk as a disk of its own; it ends where the disk around it ends."""

    def __init__(self, whole: Image, start: int, size: int) -> None:
        super().__init__(max(0, min(size, whole.size - start)))
        self._whole = whole
        self._start = start

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes from `offset` of the range."""
        length = min(length, self.size - offset)
        return self._whole.read_at(self._start + offset, length) if offset >= 0 and length > 0 else b""

    def data_from(self, offset: int) -> int:
        """What the disk around it says."""
        return max(0, min(self._whole.data_from(self._start + offset) - self._start, self.size))

    def missing(self) -> tuple[str, ...]:
        """What is not there of the disk around it."""
        return self._whole.missing()


class MissingImage(Image):
    """A disk, or a part of one, whose file is not there: every read says so."""

    def __init__(self, size: int, reason: str) -> None:
        super().__init__(size)
        self._reason = reason

    def read_at(self, offset: int, length: int) -> bytes:
        """Nothing outside; inside it raises."""
        if not 0 <= offset < self.size or length <= 0:
            return b""
        raise EvidenceError("unreadable", self._reason)

    def data_from(self, offset: int) -> int:
        """The end: nothing can be read."""
        return self.size

    def missing(self) -> tuple[str, ...]:
        """Why it is not there."""
        return (self._reason,)


class BlockImage(Image):
    """A disk in blocks of one size, found through a table.

    Args:
        block: bytes of a block.
        parent: what the image tells the changes of; what is not stored here is read from there.
    """

    def __init__(self, size: int, block: int, parent: Image | None = None) -> None:
        super().__init__(size)
        self.block = block
        self._parent = parent

    @abstractmethod
    def fetch(self, index: int, start: int, length: int) -> bytes | None:
        """A part of one block, exactly `length` bytes; None where it is stored nowhere.

        Raises:
            EvidenceError: where it cannot be read.
        """

    def absent(self, index: int) -> int:
        """How many blocks from this one on are known to be stored nowhere; 0 where this one is, or may be."""
        return 0

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes from `offset`, block by block; zeros for what is stored nowhere."""
        if offset < 0:
            return b""
        length = min(length, self.size - offset)
        pieces: list[bytes] = []
        while length > 0:
            index, start = divmod(offset, self.block)
            wanted = min(length, self.block - start)
            data = self.fetch(index, start, wanted)
            pieces.append(self.below(offset, wanted) if data is None else data)
            offset += wanted
            length -= wanted
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def below(self, offset: int, length: int) -> bytes:
        """What the parent has there; zeros where there is no parent, or where it is smaller."""
        data = self._parent.read_at(offset, length) if self._parent else b""
        return data.ljust(length, b"\0")

    def data_from(self, offset: int) -> int:
        """The first offset in a block that may be stored, here or in the parent."""
        while offset < self.size:
            step = self.absent(offset // self.block)
            if not step:
                return offset
            end = (offset // self.block + step) * self.block
            if self._parent and (found := self._parent.data_from(offset)) < min(end, self._parent.size):
                return found
            offset = end
        return self.size

    def missing(self) -> tuple[str, ...]:
        """What is not there of its parents."""
        return self._parent.missing() if self._parent else ()


class Forgiving(Image):
    """A disk of which zeros are read where nothing else can be; it counts them and keeps the first reason."""

    def __init__(self, disk: Image) -> None:
        super().__init__(disk.size)
        self._disk = disk
        self.lost = 0
        self.first: EvidenceError | None = None

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes from `offset`, never an error."""
        length = min(length, self.size - offset)
        if offset < 0 or length <= 0:
            return b""
        try:
            return self._disk.read_at(offset, length)
        except EvidenceError as error:
            self.first = self.first or error
            if length <= PAGE:
                self.lost += length
                return bytes(length)
        ends = [*range(offset - offset % PAGE + PAGE, offset + length, PAGE), offset + length]
        return b"".join(self.read_at(at, end - at) for at, end in zip([offset, *ends], ends, strict=False))

    def data_from(self, offset: int) -> int:
        """The disk's own answer; where its tables cannot be read, the offset."""
        try:
            return self._disk.data_from(offset)
        except EvidenceError:
            return min(offset, self.size)


def read_exactly(stream: Stream, offset: int, length: int) -> bytes:
    """`length` bytes of the image's file.

    Raises:
        EvidenceError: truncated, where the file ends before them.
    """
    data = stream.at(offset, length)
    if len(data) < length:
        raise EvidenceError("truncated", f"the image ends at {stream.size}; {length} bytes at {offset} were asked for")
    return data


def open_sibling(stream: Stream, name: str) -> Stream | None:
    """Another file of the same folder as a stream, or None; only the last part of the name is looked for."""
    last = re.split(r"[/\\]", name)[-1]
    if not last or last in (".", "..") or last == stream.name:
        return None
    file = stream.sibling(last)
    return Stream(file, name=last, limits=stream.limits, siblings=stream.sibling) if file else None
