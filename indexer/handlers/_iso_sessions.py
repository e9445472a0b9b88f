"""Sessions of a disc, each burned at one time, with descriptors of its own; places count from the start of the disc.

    first session | gap | second session ...    a disc that was burned: each session's descriptors in its sector 16,
                                                the last session's tree is what the disc shows
    last descriptors, first session | second    a disc or an image that was grown: the last descriptors are written
                                                over the first ones too, those of the sessions between stay
    second session                              taken alone: what it has of the first lies before the image

Source: ECMA-119, 8.4; ECMA-168 and the ways of mkisofs (-C, -M) and growisofs, which write them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from msgspec import Struct

from indexer.handler import Stream
from indexer.handlers._iso import SECTOR, Volume, read_volumes

_MARK = b"\1CD001\1"
_VOLUME = 16
_NEAR = 4096
"""Sectors in which the root of a session that stands alone is looked for."""
_MOST_SESSIONS = 200
_PIECE = 1 << 20


class Session(Struct):
    """The trees of a session, and the block of its boot catalogue."""

    start: int
    volumes: list[Volume]
    catalogue: int = 0
    number: int = 0

    @property
    def root(self) -> int:
        """The block of its main folder."""
        return _root(self.volumes[0])

    @property
    def end(self) -> int:
        """The sector behind it, as it says itself."""
        (size,) = struct.unpack_from("<I", self.volumes[0].data, 80)
        return self.start + int(size) * self.volumes[0].block // SECTOR


def first_session(stream: Stream) -> Session:
    """The session whose descriptors stand where those of an image do; without volumes where there is none."""
    volumes, catalogue = read_volumes(stream)
    if volumes and not _stands(stream, volumes[0]):
        root = _root(volumes[0])
        place = next((place for place in range(_VOLUME + 1, _NEAR) if _is_folder(stream, place, root)), root)
        for volume in volumes:
            volume.base = root - place
        catalogue -= root - place
    return Session(0, volumes, max(catalogue, 0))


def sessions_in(stream: Stream, start: int, end: int) -> Iterator[Session]:
    """Those whose descriptors stand in a row of sectors, and whose main folder is where they say."""
    count = 0
    for at in range(start * SECTOR, end * SECTOR, _PIECE):
        data = stream.at(at, min(_PIECE, end * SECTOR - at))
        found = data.find(_MARK)
        while found >= 0:
            if not found % SECTOR:
                sector = (at + found) // SECTOR - _VOLUME
                volumes, catalogue = read_volumes(stream, sector)
                if volumes and _stands(stream, volumes[0]):
                    yield Session(sector, volumes, catalogue)
                    count += 1
            found = data.find(_MARK, found + 1) if count < _MOST_SESSIONS else -1


def gaps_in(spans: Iterable[tuple[int, int]], end: int) -> Iterator[tuple[int, int]]:
    """The rows of sectors that none of these rows of bytes touches, behind the first descriptors.

    Args:
        spans: the sector in which each begins, and its bytes.
    """
    taken = sorted((start, start + -(-size // SECTOR)) for start, size in spans if size and start >= 0)
    reached = _VOLUME + 1
    for start, stop in [*taken, (end, end)]:
        if reached < min(start, end):
            yield reached, min(start, end)
        reached = max(reached, stop)


def _root(volume: Volume) -> int:
    return int(struct.unpack_from("<I", volume.data, 158)[0])


def _stands(stream: Stream, volume: Volume) -> bool:
    return _is_folder(stream, _root(volume) * volume.block // SECTOR, _root(volume))


def _is_folder(stream: Stream, sector: int, block: int) -> bool:
    """Whether a folder begins in a sector whose own record says that it begins in this block."""
    head = stream.at(sector * SECTOR, 34)
    return len(head) == 34 and head[0] >= 34 and head[32:34] == b"\1\0" and head[2:6] == struct.pack("<I", block)
