"""The write-ahead log of an SQLite database: its frames, which of them were committed, how they apply.

A frame counts where its salts are the header's and its checksum carries on from the frame before it;
what stands behind the last such commit is older: the log is written over from its start.

Source: the SQLite database file format, section 4 (the write-ahead log).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, Final

from msgspec import Struct, field

MAGIC: Final = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")
_HEADER, _FRAME = 32, 24
_PAGES: Final = frozenset(1 << power for power in range(9, 17))


class Log(Struct):
    """A log that was walked once.

    Attributes:
        committed: page number -> offset of its newest committed content in the log.
        size: pages of the database after the last commit; 0 where nothing was committed.
        frames: frames that stand in the log, old ones too.
        valid: frames that belong to the log's present round.
        stale: offsets of page content that is not the newest committed one, with the page numbers.
    """

    page: int
    committed: dict[int, int] = field(default_factory=dict)
    size: int = 0
    frames: int = 0
    valid: int = 0
    commits: int = 0
    stale: list[tuple[int, int]] = field(default_factory=list)


def page_size(head: bytes) -> int:
    """The page size that a log's header tells; 0 where the bytes are no log."""
    if len(head) < _HEADER or not head.startswith(MAGIC):
        return 0
    size = int.from_bytes(head[8:12], "big")
    return size if size in _PAGES else 0


def read_log(file: BinaryIO) -> Log | None:
    """Every frame of a log, judged; None where the bytes are no log."""
    file.seek(0)
    head = file.read(_HEADER)
    page = page_size(head)
    if not page:
        return None
    log = Log(page)
    order = ">" if head[3] & 1 else "<"
    sums = _add(head[:24], order, (0, 0))
    going = sums == struct.unpack(">II", head[24:32])
    waiting: dict[int, int] = {}
    everything: list[tuple[int, int]] = []
    at = _HEADER
    while len(frame := file.read(_FRAME + page)) == _FRAME + page:
        number, size = struct.unpack_from(">II", frame)
        log.frames += 1
        everything.append((number, at + _FRAME))
        if going and frame[8:16] == head[16:24]:
            sums = _add(frame[_FRAME:], order, _add(frame[:8], order, sums))
            going = sums == struct.unpack_from(">II", frame, 16)
        else:
            going = False
        if going and number:
            log.valid += 1
            waiting[number] = at + _FRAME
            if size:
                log.committed.update(waiting)
                log.size, waiting = size, {}
                log.commits += 1
        at += _FRAME + page
    newest = set(log.committed.values())
    log.stale = [(number, offset) for number, offset in everything if offset not in newest]
    return log


def apply_log(log: Log, file: BinaryIO, copy: BinaryIO) -> int:
    """Writes the committed pages over a copy of the database, and returns how many.

    A page behind the end that the last commit tells, or further than pages can be, is not written.
    """
    count = 0
    most = copy.seek(0, 2) // log.page + log.frames
    for number, offset in sorted(log.committed.items()):
        if number <= min(log.size, most):
            file.seek(offset)
            data = file.read(log.page)
            copy.seek((number - 1) * log.page)
            copy.write(data)
            count += 1
    return count


def _add(data: bytes, order: str, sums: tuple[int, int]) -> tuple[int, int]:
    """The running checksum with these bytes, a multiple of eight, added."""
    first, second = sums
    words: Iterator[int] = iter(struct.unpack(f"{order}{len(data) // 4}I", data))
    for even in words:
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + next(words) + first) & 0xFFFFFFFF
    return first, second
