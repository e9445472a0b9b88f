"""A segment's file: plain little-endian arrays, written once.

    offset            size     what
    0                 8        magic "ARCHSEG1"
    64                ...      the arrays, each at a multiple of 64, in the order they were written
    checked           4 * b    CRC-32 of each block of 64 KiB of everything before, b = ceil(checked / 65536)
    head              n        head, JSON: see below
    size - 16         4, 4     n, CRC-32 of the head and of the block checksums together
    size - 8          8        magic again: a file that was cut does not end with it

    head = {"format": 2, "checked": bytes, "arrays": {name: [dtype, count, offset]}, "about": {...}}

The file is mapped, not read: opening costs the head and nothing else, O(arrays). A block is checked when
it is first touched, so that a flipped bit is told by whoever would have believed it; `File.verify` checks all.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import tempfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from indexer.errors import StoreError

FORMAT = 2
MAGIC = b"ARCHSEG1"
BLOCK = 1 << 16
_TAIL = struct.Struct("<II8s")
_ALIGN = 64
_DTYPES = {"u1": np.uint8, "u2": np.uint16, "u4": np.uint32, "u8": np.uint64, "i8": np.int64, "f8": np.float64}
_IN_MEMORY = 4 << 20  # of one array, before it waits in a file

Array = NDArray[Any]


class DamageError(StoreError):
    """A file of the index is not what was written."""


def narrow(values: Array) -> Array:
    """The values in the smallest unsigned type that holds them."""
    top = int(values.max()) if len(values) else 0
    return values.astype(np.uint8 if top < 1 << 8 else np.uint16 if top < 1 << 16 else np.uint32)


class Writer:
    """Writes a segment's arrays, each in as many parts as wanted, to one file.

    Memory: `_IN_MEMORY` bytes for each array; more waits in unnamed files of the same folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._parts: dict[str, IO[bytes]] = {}
        self._dtypes: dict[str, str] = {}
        self._sizes: dict[str, int] = {}

    def add(self, name: str, values: Array) -> None:
        """Append the values to the array; its type is that of the first values."""
        if name not in self._parts:
            spool = tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=str(self.path.parent))  # noqa: SIM115
            self._parts[name] = spool
            self._dtypes[name] = values.dtype.str[1:]
            self._sizes[name] = 0
        raw = np.ascontiguousarray(values, dtype=f"<{self._dtypes[name]}")
        self._parts[name].write(raw.data.cast("B") if raw.size else b"")
        self._sizes[name] += raw.nbytes

    def size(self, name: str) -> int:
        """The bytes of the array so far."""
        return self._sizes.get(name, 0)

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        for part in self._parts.values():
            part.close()

    def finish(self, about: dict[str, Any]) -> None:
        """Write the file and see that it is on the disk."""
        arrays: dict[str, tuple[str, int, int]] = {}
        with self.path.open("wb") as file:
            out = _Checked(file)
            out.write(MAGIC)
            for name, part in self._parts.items():
                out.write(bytes(-out.size % _ALIGN))
                arrays[name] = (self._dtypes[name], self._sizes[name] // int(self._dtypes[name][1:]), out.size)
                part.seek(0)
                while piece := part.read(1 << 20):
                    out.write(piece)
            blocks = np.array(out.checksums(), "<u4").tobytes()
            told = {"format": FORMAT, "checked": out.size, "arrays": arrays, "about": about}
            head = json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
            file.write(blocks + head + _TAIL.pack(len(head), zlib.crc32(head, zlib.crc32(blocks)), MAGIC))
            file.flush()
            os.fsync(file.fileno())


class _Checked:
    """A file, and the checksums of the blocks that were written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.size = 0
        self._sums: list[int] = []
        self._current = 0

    def write(self, data: bytes) -> None:
        self.file.write(data)
        view = memoryview(data)
        while view:
            room = BLOCK - self.size % BLOCK
            self._current = zlib.crc32(view[:room], self._current)
            self.size += len(view[:room])
            view = view[room:]
            if self.size % BLOCK == 0:
                self._sums.append(self._current)
                self._current = 0

    def checksums(self) -> list[int]:
        return self._sums + ([self._current] if self.size % BLOCK else [])


class File:
    """An open segment file.

    Raises:
        DamageError: it is cut, or its head is damaged.
        StoreError: a newer version wrote it, or it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size < len(MAGIC) + _TAIL.size:
                raise DamageError(f"{path.name} is cut")
            self._map = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        self.size = size
        length, self.crc, magic = _TAIL.unpack_from(self._map, size - _TAIL.size)
        if magic != MAGIC or self._map[: len(MAGIC)] != MAGIC or length > size - _TAIL.size:
            raise DamageError(f"{path.name} is cut, or no segment of an index")
        raw = self._map[size - _TAIL.size - length : size - _TAIL.size]
        try:
            head = json.loads(raw)
            if head["format"] > FORMAT:
                raise StoreError(f"{path.name} was written by a newer version (format {head['format']}); update first")
            if head["format"] < FORMAT:
                raise StoreError(
                    f"{path.name} was built by another version; build the index again from the case (reindex)"
                )
            self._checked = int(head["checked"])
            held = self._map[self._checked : size - _TAIL.size - length]
            if zlib.crc32(raw, zlib.crc32(held)) != self.crc or len(held) != 4 * -(-self._checked // BLOCK):
                raise DamageError(f"the head of {path.name} is damaged")
            self.about: dict[str, Any] = head["about"]
            self._sums = np.frombuffer(held, "<u4")
            self.arrays = {name: self._view(*place) for name, place in head["arrays"].items()}
        except (ValueError, KeyError, TypeError) as error:
            raise DamageError(f"the head of {path.name} is damaged ({error})") from error
        self._good = bytearray(len(self._sums))

    def _view(self, dtype: str, count: int, offset: int) -> Column:
        if offset + count * int(dtype[1:]) > self._checked:
            raise DamageError(f"the head of {self.path.name} is damaged")
        kind = np.dtype(_DTYPES[dtype]).newbyteorder("<")
        return Column(self, np.frombuffer(self._map, kind, count, offset), offset)

    def check(self, start: int, end: int) -> None:
        """See that bytes [start, end) are what was written.

        Raises:
            DamageError: they are not.
        """
        first, last = start // BLOCK, -(-end // BLOCK)
        at = self._good.find(0, first, last)
        while at >= 0:
            data = memoryview(self._map)[at * BLOCK : min((at + 1) * BLOCK, self._checked)]
            if zlib.crc32(data) != self._sums[at]:
                raise DamageError(f"{self.path.name} is damaged near byte {at * BLOCK}")
            self._good[at] = 1
            at = self._good.find(0, at, last)

    def verify(self) -> None:
        """Check the whole file. Raises: see `check`."""
        self._good = bytearray(len(self._sums))
        self.check(0, self._checked)


class Column:
    """An array of a segment's file; what is taken from it is checked."""

    def __init__(self, file: File, values: Array, offset: int) -> None:
        self.file = file
        self.raw = values
        self.offset = offset

    def __len__(self) -> int:
        return len(self.raw)

    def take(self, start: int, end: int) -> Array:
        """Values [start, end)."""
        width = self.raw.itemsize
        self.file.check(self.offset + start * width, self.offset + end * width)
        return self.raw[start:end]

    def all(self) -> Array:
        """All values."""
        return self.take(0, len(self.raw))


def sync_folder(folder: Path) -> None:
    """See that the folder's names are on the disk."""
    held = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(held)
    finally:
        os.close(held)


def remove(paths: Iterable[Path]) -> None:
    """Remove files; one that is gone already is no matter."""
    for path in paths:
        path.unlink(missing_ok=True)
