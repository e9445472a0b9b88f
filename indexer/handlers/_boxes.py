"""Boxes of ISO base media and QuickTime files, walked in the file itself.

Source: ISO/IEC 14496-12:2022, 4.2; Apple QuickTime File Format, "Atoms".
Limits: none of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from indexer.handler import Stream

BOXES: Final = 200_000
"""Boxes read from one file; an hour in fragments of a second has some 20 000."""


class Box(NamedTuple):
    """One box: its type, where it and its payload begin, where it says that it ends."""

    kind: bytes
    at: int
    start: int
    end: int

    def data(self, stream: Stream, most: int) -> bytes:
        """The payload, up to `most` bytes."""
        return stream.at(self.start, min(self.end - self.start, most))


def boxes(stream: Stream, position: int, end: int) -> Iterator[Box]:
    """The boxes in a run of bytes; ends where none follows, and after one that is cut off."""
    for _ in range(BOXES):
        head = stream.at(position, 16)
        size, start = int.from_bytes(head[:4], "big"), position + 8
        if len(head) < 8 or position + 8 > end:
            return
        if size == 1:
            size, start = int.from_bytes(head[8:16], "big"), position + 16
        elif size == 0:
            size = end - position
        if size < start - position or not is_kind(head[4:8]):
            return
        yield Box(head[4:8], position, start, position + size)
        position += size


def is_kind(kind: bytes) -> bool:
    """Whether four bytes can be a box's type: letters, digits, the copyright sign, or a small number."""
    return all(32 <= byte < 127 or byte == 0xA9 for byte in kind) or (len(kind) == 4 and kind[:2] == b"\0\0")


def find(stream: Stream, box: Box, *path: bytes) -> Box | None:
    """The first box at a path inside another."""
    for kind in path:
        for inner in boxes(stream, box.start, min(box.end, stream.size)):
            if inner.kind == kind:
                box = inner
                break
        else:
            return None
    return box
