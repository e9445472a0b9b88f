"""Parts of several files read as one: the volumes of a set, less what each of them adds."""

from __future__ import annotations

import io
import os
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import BinaryIO, cast

from indexer.handler import Stream

Span = tuple[BinaryIO, int, int]
"""A seekable file, where the part begins in it, and how long it is."""


class Spans(io.RawIOBase):
    """The parts one after another, seekable."""

    def __init__(self, spans: Sequence[Span]) -> None:
        super().__init__()
        self._spans = spans
        self._starts = [0, *accumulate(length for _, _, length in spans)]
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """The new position."""
        self._at = max(0, offset + (0, self._at, self._starts[-1])[whence])
        return self._at

    def read(self, size: int = -1) -> bytes:
        """All of the wanted bytes, fewer only at the end."""
        left = max(0, self._starts[-1] - self._at)
        left = left if size < 0 else min(size, left)
        parts = []
        while left:
            number = bisect_right(self._starts, self._at) - 1
            file, start, _ = self._spans[number]
            file.seek(start + self._at - self._starts[number])
            part = file.read(min(left, self._starts[number + 1] - self._at))
            if not part:
                break
            parts.append(part)
            self._at += len(part)
            left -= len(part)
        return b"".join(parts)


def join(stream: Stream, spans: Sequence[Span]) -> Stream:
    """The parts as one stream, with all that the first volume's stream knows."""
    return Stream(
        cast(BinaryIO, Spans(spans)),
        name=stream.name,
        limits=stream.limits,
        passwords=stream.passwords,
        scratch=stream.scratch,
    )
