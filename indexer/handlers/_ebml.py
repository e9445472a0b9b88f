"""Elements of EBML files, walked in the file itself.

Source: RFC 8794, sections 4 (variable size integers), 6 (elements) and 7 (types).
Limits: none of its own.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from indexer.handler import Stream
from indexer.limits import MIB

ELEMENTS: Final = 5_000_000
VALUE: Final = 16 * MIB
"""What is read of one text or number."""


class Element(NamedTuple):
    """One element: its number, where its payload begins and ends; `open` where its size is not known."""

    number: int
    start: int
    end: int
    open: bool = False

    def data(self, stream: Stream, most: int = VALUE) -> bytes:
        """The payload, up to `most` bytes."""
        return stream.at(self.start, min(self.end - self.start, most))

    def text(self, stream: Stream) -> str:
        """The payload as text."""
        return self.data(stream).split(b"\0")[0].decode("utf-8", "replace")

    def whole(self, stream: Stream, *, signed: bool = False) -> int:
        """The payload as a whole number."""
        return int.from_bytes(self.data(stream, 8), "big", signed=signed)

    def real(self, stream: Stream) -> float:
        """The payload as a floating number; 0 where it is none."""
        data = self.data(stream, 8)
        return float(struct.unpack(">d" if len(data) == 8 else ">f", data)[0]) if len(data) in (4, 8) else 0.0


def variable(data: bytes, at: int) -> tuple[int, int]:
    """A number of variable size without its mark, and how many bytes it has (0: none stands there)."""
    first = data[at] if at < len(data) else 0
    size = 9 - first.bit_length()
    if not first or at + size > len(data):
        return 0, 0
    return int.from_bytes(data[at : at + size], "big") & (1 << 7 * size) - 1, size


def elements(stream: Stream, start: int, end: int) -> Iterator[Element]:
    """The elements in a run of bytes; ends where none follows, and after one that is cut off."""
    position = start
    for _ in range(ELEMENTS):
        head = stream.at(position, 12)
        width = 9 - head[0].bit_length() if head and head[0] else 0
        if not 1 <= width <= 4 or position >= end:
            return
        number = int.from_bytes(head[:width], "big")
        length, size = variable(head, width)
        if not size:
            return
        begin = position + width + size
        unknown = length == (1 << 7 * size) - 1
        yield Element(number, begin, end if unknown else begin + length, unknown)
        if unknown:
            return
        position = begin + length
