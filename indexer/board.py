"""A worker's notice board: a few bytes of memory that the parent reads without asking.

    offset  size  what
    0       8     deadline, seconds of the monotonic clock, float64
    8       8     bytes read so far, uint64
    16      8     items entered so far, uint64
    24      1     1 where the parent wants members left in the spool
    25      32    id of the innermost item, ASCII; zeros between jobs
    57      1     1 where all of it was read but words drawn on it
    58      2     length of its printed path
    60      ..    the path in UTF-8, cut to fit

When a worker dies, the board still tells what it was reading. The worker writes it at every step
into and out of an item; that costs a microsecond.
"""

from __future__ import annotations

import mmap
import os
import struct

SIZE = 1024
_ITEM = 25
_HEAD = struct.Struct("<32sBH")
_DRAWN = _ITEM + 32
_PATH = _ITEM + _HEAD.size


def sign(identity: str, path: str) -> bytes:
    """Id and printed path of an item as they stand on a board: what is put up twice is made once."""
    shown = path.encode("utf-8", "replace")[: SIZE - _PATH]
    return _HEAD.pack(identity.encode(), 0, len(shown)) + shown


class Board:
    """One board, shared through a memory file; the worker gets its descriptor by inheritance."""

    def __init__(self, descriptor: int | None = None) -> None:
        if descriptor is None:
            descriptor = os.memfd_create("archivore-board")
            os.ftruncate(descriptor, SIZE)
        self.descriptor = descriptor
        self._map = mmap.mmap(descriptor, SIZE)

    @property
    def deadline(self) -> float:
        """When the innermost item must have shown life; 0 between jobs."""
        return float(struct.unpack_from("<d", self._map, 0)[0])

    @deadline.setter
    def deadline(self, at: float) -> None:
        struct.pack_into("<d", self._map, 0, at)

    @property
    def read(self) -> tuple[int, int]:
        """Bytes read and items entered since the worker started."""
        held: tuple[int, int] = struct.unpack_from("<QQ", self._map, 8)
        return held

    @read.setter
    def read(self, counts: tuple[int, int]) -> None:
        struct.pack_into("<QQ", self._map, 8, *counts)

    @property
    def wanted(self) -> bool:
        """Whether members should be left in the spool for others."""
        return self._map[24] == 1

    @wanted.setter
    def wanted(self, wanted: bool) -> None:
        self._map[24] = 1 if wanted else 0

    @property
    def item(self) -> tuple[str, str]:
        """Id and printed path of the innermost item; both empty between jobs."""
        identity, _, length = _HEAD.unpack_from(self._map, _ITEM)
        path = self._map[_PATH : _PATH + length].decode("utf-8", "replace")
        return identity.rstrip(b"\0").decode("ascii", "replace"), path

    @item.setter
    def item(self, item: tuple[str, str]) -> None:
        self.show(sign(*item))

    @property
    def drawn(self) -> bool:
        """Whether drawn words are all that is still looked for in the innermost item; the next one clears it."""
        return self._map[_DRAWN] == 1

    @drawn.setter
    def drawn(self, drawn: bool) -> None:
        self._map[_DRAWN] = drawn

    def show(self, sign: bytes) -> None:
        """Puts up what `sign` made of an item."""
        self._map[_ITEM : _ITEM + len(sign)] = sign

    def close(self) -> None:
        """Lets go of the memory."""
        self._map.close()
        os.close(self.descriptor)
