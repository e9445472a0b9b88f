"""A disk as every reader of images, partitions and file systems sees it: a size, and bytes at an offset.

Nothing the size of a disk is ever copied: an image format gives a reader, a partition is a range of
one, and a file system asks for the blocks that it needs.
"""

from __future__ import annotations

import io
from typing import Protocol


class DiskReader(Protocol):
    """Random access to the bytes of a disk, whatever holds them."""

    @property
    def size(self) -> int:
        """Bytes of the disk, as it was in use."""
        ...

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes from `offset`: fewer than `length` only at the end, none outside.

        Raises:
            EvidenceError: where the image holds no readable bytes for the range.
        """
        ...


class DiskRange:
    """A part of a disk as a disk of its own; it ends where the disk around it ends."""

    def __init__(self, disk: DiskReader, start: int, length: int) -> None:
        self._disk = disk
        self._start = max(0, start)
        self.size = max(0, min(length, disk.size - self._start))

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes from `offset` of the part; fewer only at its end, none outside."""
        if not 0 <= offset < self.size or length <= 0:
            return b""
        return self._disk.read_at(self._start + offset, min(length, self.size - offset))


class DiskView(io.RawIOBase):
    """A disk, or a part of one, as a seekable binary file."""

    def __init__(self, disk: DiskReader, start: int = 0, length: int | None = None) -> None:
        super().__init__()
        self._disk = DiskRange(disk, start, disk.size if length is None else length)
        self._position = 0

    def readable(self) -> bool:
        """True, as io asks for it."""
        return True

    def seekable(self) -> bool:
        """True, as io asks for it."""
        return True

    def tell(self) -> int:
        """Where the next read starts."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves to an offset from the start, the position or the end, and returns it."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._disk.size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """Up to `size` bytes; all that is left where it is negative."""
        left = max(0, self._disk.size - self._position)
        wanted = left if size is None or size < 0 else min(size, left)
        data = self._disk.read_at(self._position, wanted)
        self._position += len(data)
        return data

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fills the buffer as far as there are bytes and returns their number."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
