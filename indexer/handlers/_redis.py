"""Strings and numbers as Redis writes them to its snapshot.

Source: Redis 7 sources, rdb.h and rdb.c; LibLZF, lzf_d.c for how packed strings are written.
"""

from __future__ import annotations

from typing import Final

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.limits import MIB

_MOST: Final = 512 * MIB
_WINDOW: Final = 1 << 20


class Cursor:
    """Reads a stream from one place on."""

    def __init__(self, stream: Stream, at: int) -> None:
        self._stream = stream
        self.at = at
        self._begin = 0
        self._held = b""

    def take(self, size: int) -> bytes:
        """Exactly `size` bytes.

        Raises:
            EvidenceError: where there are fewer.
        """
        start = self.at - self._begin
        if start + size > len(self._held):
            if size > self._stream.size - self.at:
                raise EvidenceError("truncated", f"{size} bytes are not there at {self.at}")
            self._begin, start = self.at, 0
            self._held = self._stream.at(self.at, max(size, _WINDOW))
        self.at += size
        return self._held[start : start + size]

    def length(self) -> tuple[int, bool]:
        """A length, and whether it is the mark of a string that is written in another way."""
        first = self.take(1)[0]
        kind = first >> 6
        if kind == 0:
            return first & 0x3F, False
        if kind == 1:
            return (first & 0x3F) << 8 | self.take(1)[0], False
        if kind == 3:
            return first & 0x3F, True
        return int.from_bytes(self.take(8 if first == 0x81 else 4), "big"), False

    def count(self) -> int:
        """A length that may not be a mark."""
        value, mark = self.length()
        if mark:
            raise EvidenceError("corrupt", f"no length at {self.at}")
        return value

    def string(self) -> bytes:
        """A string, unpacked; numbers as their digits."""
        value, mark = self.length()
        if not mark:
            return self.take(value)
        if value < 3:
            return str(int.from_bytes(self.take(1 << value), "little", signed=True)).encode()
        if value != 3:
            raise EvidenceError("corrupt", f"a string of unknown kind {value} at {self.at}")
        packed, size = self.count(), self.count()
        if size > min(_MOST, packed * 300):
            raise EvidenceError("corrupt", f"a string of {size} bytes packed into {packed}")
        return unpack_lzf(self.take(packed), size)


def unpack_lzf(data: bytes, size: int) -> bytes:
    """The content of a string packed by LZF.

    Raises:
        EvidenceError: where it is damaged.
    """
    out = bytearray()
    at = 0
    while at < len(data) and len(out) < size:
        control = data[at]
        at += 1
        if control < 32:
            out += data[at : at + control + 1]
            at += control + 1
            continue
        length = control >> 5
        if length == 7:
            length += int.from_bytes(data[at : at + 1], "big")
            at += 1
        start = len(out) - ((control & 0x1F) << 8 | int.from_bytes(data[at : at + 1], "big")) - 1
        at += 1
        if start < 0:
            raise EvidenceError("corrupt", "a packed string copies what was not yet there")
        for place in range(start, start + length + 2):
            out.append(out[place])
    if len(out) != size:
        raise EvidenceError("corrupt", f"a packed string has {len(out)} of {size} bytes")
    return bytes(out)
