"""Files that are one file in pieces: views that join them, and how a sibling's name is matched.

A set of volumes is found by name and proven by its bytes; what a handler asks for is a bare name,
and is looked for in the item's own folder only. A view copies nothing: it reads from the files it
was made of, which stay open as long as it does.
"""

from __future__ import annotations

import io
import os
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import BinaryIO, Generic, TypeVar

Held = TypeVar("Held")
Siblings = Callable[[str], BinaryIO | None]
"""Opens another file of the same folder by its bare name; None where there is none."""


def no_siblings(name: str) -> BinaryIO | None:
    """None: for items that stand alone."""
    return None


def is_bare(name: str) -> bool:
    """Whether a name that evidence gave stays in its folder: no separators, no steps upwards."""
    return name not in ("", ".", "..") and not any(char in "/\\\0" for char in name)


class Names(Generic[Held]):
    """What lies in one folder by its name; the first of two that share a name is meant."""

    def __init__(self) -> None:
        self._exact: dict[str, Held] = {}
        self._folded: dict[str, Held] = {}

    def add(self, name: str, held: Held) -> None:
        """Adds what lies there under a name."""
        self._exact.setdefault(name, held)
        self._folded.setdefault(name.casefold(), held)

    def find(self, name: str) -> Held | None:
        """What bears this very name, else what bears one that differs in case only."""
        return self._exact[name] if name in self._exact else self._folded.get(name.casefold())


class _View(io.BufferedIOBase):
    """A read-only, seekable view of `size` bytes; what it is made of says how to read at an offset."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self._at = 0

    def at(self, offset: int, length: int) -> bytes:
        """Some bytes from `offset`, fewer than `length` where a piece ends."""
        raise NotImplementedError

    def readable(self) -> bool:
        """True, as io asks for it."""
        return True

    def seekable(self) -> bool:
        """True, as io asks for it."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As io has it; never before the start."""
        self._at = max(0, offset + (0, self._at, self.size)[whence])
        return self._at

    def tell(self) -> int:
        """The position."""
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """Bytes from the position; fewer than asked for only at the end."""
        left = max(0, self.size - self._at)
        left = left if size is None or size < 0 else min(size, left)
        pieces = []
        while left > 0:
            piece = self.at(self._at, left)
            if not piece:
                break
            self._at += len(piece)
            left -= len(piece)
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def readinto(self, buffer: object) -> int:
        """Fills a buffer, as io has it."""
        with memoryview(buffer).cast("B") as view:  # type: ignore[arg-type]
            data = self.read(len(view))
            view[: len(data)] = data
        return len(data)


class Span(_View):
    """A range of a file of ours that others read from too: it has a position of its own."""

    def __init__(self, descriptor: int, start: int, size: int) -> None:
        super().__init__(size)
        self._descriptor = descriptor
        self._start = start

    def at(self, offset: int, length: int) -> bytes:
        """Bytes from `offset`, never behind the range."""
        return os.pread(self._descriptor, min(length, self.size - offset), self._start + offset)


class Joined(_View):
    """Files one behind the other, as one; a number among them is a hole of so many zeros.

    Args:
        parts: seekable files, which stay the caller's to close.
    """

    def __init__(self, parts: Sequence[BinaryIO | int]) -> None:
        self._parts = tuple(parts)
        sizes = [part if isinstance(part, int) else part.seek(0, os.SEEK_END) for part in parts]
        self.starts = (0, *accumulate(sizes))
        """Where each part begins; the last of them is the end."""
        super().__init__(self.starts[-1])

    def cut(self, size: int) -> bool:
        """Ends the view at `size`; whether there was more."""
        over = self.size > size
        self.size = min(self.size, size)
        return over

    def at(self, offset: int, length: int) -> bytes:
        """Bytes from `offset` to the end of the part that holds it, at the most."""
        number = bisect_right(self.starts, offset) - 1
        if not 0 <= number < len(self._parts):
            return b""
        length = min(length, self.starts[number + 1] - offset)
        part = self._parts[number]
        if isinstance(part, int):
            return bytes(min(length, 1 << 20))
        part.seek(offset - self.starts[number])
        return part.read(length)


def join_patterns(patterns: Iterable[str]) -> re.Pattern[str] | None:
    """One pattern for names that match any of these from start to end, in any case; None for none."""
    found = [f"(?:{pattern})" for pattern in patterns]
    return re.compile("|".join(found), re.IGNORECASE) if found else None
