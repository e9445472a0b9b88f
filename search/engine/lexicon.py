"""The terms of one field of a segment, and the lists behind them.

    a term           binary search over every 64th term, then one step of 64: O(log T)
    its list         decoded in one go: O(n) for n numbers, 10 to 20 ns each
    many lists       decoded together; those between them are passed over

What is taken from the file (layout.py) is checked when it is taken (format.py).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.engine.codes import before, decode, high_sizes, spread, widths
from search.engine.format import Column, DamageError, File
from search.engine.layout import PLACED, STEP, restore, small

Array = NDArray[Any]


class Lexicon:
    """The terms of one field and their lists."""

    def __init__(self, file: File, field: str) -> None:
        self.field = field
        self.count = int(file.about["terms"][field])
        self.universe = int(file.about["universes"][field])
        self._file = file
        get = file.arrays.__getitem__
        self._terms, self._counts, self._bases = get(f"{field}.terms"), get(f"{field}.counts"), get(f"{field}.bases")
        self._many_at, self._many = get(f"{field}.many_at"), get(f"{field}.many")
        self._low, self._high = get(f"{field}.low"), get(f"{field}.high")
        self._words = file.words_at(self._low.offset, len(self._low) + 1)
        self._steps = len(self._bases) // 3
        self._heads: dict[int, bytes] = {}  # first terms of steps that were looked at
        if self._steps != -(-self.count // STEP):
            raise DamageError(f"{file.path.name} holds other terms than it says")

    def lower(self, term: bytes) -> int:
        """The number of the first term that is not before this one."""
        low, high = 0, self._steps
        while low < high:
            middle = (low + high) // 2
            if self._first(middle) <= term:
                low = middle + 1
            else:
                high = middle
        if not low:
            return 0
        step = low - 1
        return step * STEP + bisect_left(self.terms(step * STEP, min(self.count, low * STEP)), term)

    def _first(self, step: int) -> bytes:
        known = self._heads.get(step)
        if known is None:
            start = int(self._bases.take(3 * step, 3 * step + 1)[0])
            head: bytes = self._terms.take(start, min(start + 96, len(self._terms))).tobytes()
            end = head.find(b"\n")
            known = head[1:end] if end >= 0 else self.terms(step * STEP, step * STEP + 1)[0]
            self._heads[step] = known
        return known

    def find(self, term: bytes) -> int:
        """The number of the term; -1 where there is none."""
        at = self.lower(term)
        return at if at < self.count and self.terms(at, at + 1) == [term] else -1

    def find_all(self, terms: list[bytes]) -> Array:
        """The number of each of many ascending terms; -1 where there is none."""
        heads = [self._first(step) for step in range(self._steps)] if len(terms) * 8 > self._steps else None
        found = np.full(len(terms), -1)
        held: list[bytes] = []
        base = limit = 0
        for at, term in enumerate(terms):
            step = max(0, (bisect_right(heads, term) if heads else self.lower(term) // STEP + 1) - 1)
            if not limit or step * STEP != base:
                base, limit = step * STEP, min(self.count, (step + 1) * STEP)
                held = self.terms(base, limit)
            place = bisect_left(held, term)
            if place < len(held) and held[place] == term:
                found[at] = base + place
        return found

    def documents_of(self, numbers: Array) -> Array:
        """In how many documents each of these terms stands, the deleted ones included."""
        if not len(numbers):
            return np.zeros(0, np.int64)
        start = int(numbers.min())
        return self.documents(start, int(numbers.max()) + 1)[numbers - start]

    def counts_of(self, numbers: Array) -> Array:
        """How many numbers the lists of these terms hold."""
        if not len(numbers):
            return np.zeros(0, np.int64)
        start = int(numbers.min())
        return self.counts(start, int(numbers.max()) + 1)[numbers - start]

    def prefixed(self, prefix: bytes) -> tuple[int, int]:
        """The numbers [start, end) of the terms that begin with the prefix."""
        after = prefix.rstrip(b"\xff")
        end = self.lower(after[:-1] + bytes((after[-1] + 1,))) if after else self.count
        return self.lower(prefix), end

    def terms(self, start: int, end: int) -> list[bytes]:
        """Terms [start, end)."""
        if start >= end:
            return []
        first, last = start // STEP, -(-end // STEP)
        a = int(self._bases.take(3 * first, 3 * first + 1)[0])
        b = int(self._bases.take(3 * last, 3 * last + 1)[0]) if last < self._steps else len(self._terms)
        return restore(self._terms.take(a, b).tobytes())[start - first * STEP : end - first * STEP]

    def counts(self, start: int, end: int) -> Array:
        """How many numbers the lists of terms [start, end) hold."""
        return self._exact(self._counts, self._many_at, self._many, start, end)

    def documents(self, start: int, end: int) -> Array:
        """In how many documents terms [start, end) stand, the deleted ones included."""
        if self.field not in PLACED:
            return self.counts(start, end)
        get = self._file.arrays.__getitem__
        held = get(f"{self.field}.docs"), get(f"{self.field}.often_at"), get(f"{self.field}.often")
        return self._exact(*held, start, end)

    def _exact(self, column: Column, beyond_at: Column, beyond: Column, start: int, end: int) -> Array:
        a, b = np.searchsorted(beyond_at.all(), (start, end)).tolist()
        return small(column.take(start, end), beyond_at.take(a, b), beyond.take(a, b), start)

    def values(self, start: int, end: int) -> Array:
        """The numbers in the lists of terms [start, end), list by list."""
        return self._decode(np.arange(start, end)) if end - start != 1 else self._one(start)

    def values_of(self, numbers: Array) -> Array:
        """The numbers in the lists of these terms, list by list."""
        return self._decode(numbers)

    def _one(self, term: int) -> Array:
        step = term // STEP
        counts = self.counts(step * STEP, term + 1)
        low = widths(counts, self.universe)
        sizes = high_sizes(counts, low, self.universe)
        _, low_at, high_at = self._bases.take(3 * step, 3 * step + 3).tolist()
        low_at += int((counts[:-1] * low[:-1]).sum())
        high_at += int(sizes[:-1].sum())
        count, width, end = int(counts[-1]), int(low[-1]), high_at + int(sizes[-1])
        self._file.check(self._low.offset + low_at // 8, self._low.offset + (low_at + count * width + 7) // 8)
        high = self._high.take(high_at // 8, -(-end // 8))
        return self._decoded(counts[-1:], np.array([low_at]), high, np.array([high_at % 8]))

    def _decode(self, numbers: Array) -> Array:
        if not len(numbers):
            return np.zeros(0, np.int64)
        steps = np.unique(numbers // STEP)
        starts = steps * STEP
        sizes = np.minimum(starts + STEP, self.count) - starts
        whole = spread(starts, sizes)  # all terms of the steps that are touched
        first, last = int(starts[0]), int(starts[-1] + sizes[-1])
        counts = self.counts(first, last)[whole - first]
        low = widths(counts, self.universe)
        highs = high_sizes(counts, low, self.universe)
        bases = (
            self._bases.take(3 * int(steps[0]), 3 * int(steps[-1]) + 3)
            .reshape(-1, 3)[steps - steps[0]]
            .astype(np.int64)
        )
        heads = before(sizes)
        low_at, high_at = before(counts * low), before(highs)
        low_at += np.repeat(bases[:, 1] - low_at[heads], sizes)
        high_at += np.repeat(bases[:, 2] - high_at[heads], sizes)
        wanted = np.repeat(heads, sizes) + whole - np.repeat(starts, sizes)  # where each term of the steps lies
        wanted = wanted[np.searchsorted(whole, numbers)]
        counts, low, highs, low_at, high_at = (each[wanted] for each in (counts, low, highs, low_at, high_at))
        lows = (int(low_at[0]), int((low_at + counts * low).max()))
        self._file.check(self._low.offset + lows[0] // 8, self._low.offset + (lows[1] + 7) // 8)
        begin, end = int(high_at[0]) // 8, -(-int((high_at + highs).max()) // 8)
        taken = self._high.take(begin, end)
        if int(numbers[-1] - numbers[0]) != len(numbers) - 1:  # the bits of lists between are left out
            ends = -(-(high_at + highs) // 8)
            pieces = ends - high_at // 8
            bits = np.unpackbits(taken[spread(high_at // 8 - begin, pieces)], bitorder="little")
            bits = bits[spread(8 * before(pieces) + high_at % 8, highs)]
            return self._decoded(counts, low_at, np.packbits(bits, bitorder="little"), before(highs))
        return self._decoded(counts, low_at, taken, high_at - 8 * begin)

    def _decoded(self, counts: Array, low_at: Array, high: Array, high_from: Array) -> Array:
        try:
            return decode(self._words, high, counts, self.universe, low_at, high_from)
        except (ValueError, IndexError) as error:
            raise DamageError(f"{self._file.path.name} is damaged in {self.field}: {error}") from error
