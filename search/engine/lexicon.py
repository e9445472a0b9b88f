"""The terms of one field of a segment, and the lists behind them.

    a term           binary search over every 64th term, then one step of 64: O(log T)
    its list         decoded in one go: O(n) for n numbers, about 15 ns each, 130 without the kernel
    many lists       decoded together; those between them are passed over

What is taken from the file (layout.py) is checked when it is taken (format.py).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.engine.codes import before, decode, spread
from search.engine.format import DamageError, File
from search.engine.layout import PLACED, Heads, read_heads
from search.engine.terms import STEP, restore

Array = NDArray[Any]

_KEPT = 2048  # steps whose heads are remembered
_RESTORED = 256  # steps whose terms are remembered
_FEW = 256  # lists that are checked one by one


class Lexicon:
    """The terms of one field and their lists."""

    def __init__(self, file: File, field: str) -> None:
        self.field = field
        self.count = int(file.about["terms"][field])
        self.universe = int(file.about["universes"][field])
        self._file = file
        get = file.arrays.__getitem__
        self._terms, self._heads = get(f"{field}.terms"), get(f"{field}.heads")
        self._lists, self._bases = get(f"{field}.lists"), get(f"{field}.bases")
        self._steps = len(self._bases) // 3
        self._firsts: dict[int, bytes] = {}  # first terms of steps that were looked at
        self._known: dict[int, Heads] = {}
        self._restored: dict[int, list[bytes]] = {}
        if self._steps != -(-self.count // STEP):
            raise DamageError(f"{file.path.name} holds other terms than it says")

    def lower(self, term: bytes) -> int:
        """The number of the first term that is not before this one."""
        return self._locate(term)[0]

    def find(self, term: bytes) -> int:
        """The number of the term; -1 where there is none."""
        at, is_there = self._locate(term)
        return at if is_there else -1

    def _locate(self, term: bytes) -> tuple[int, bool]:
        """The number of the first term that is not before this one, and whether it is this one."""
        low, high = 0, self._steps
        while low < high:
            middle = (low + high) // 2
            if self._first(middle) <= term:
                low = middle + 1
            else:
                high = middle
        if not low:
            return 0, False
        start = (low - 1) * STEP
        held = self.terms(start, min(self.count, low * STEP))
        place = bisect_left(held, term)
        return start + place, place < len(held) and held[place] == term

    def _first(self, step: int) -> bytes:
        known = self._firsts.get(step)
        if known is None:
            start = int(self._bases.take(3 * step, 3 * step + 1)[0])
            head: bytes = self._terms.take(start, min(start + 96, len(self._terms))).tobytes()
            end = head.find(b"\n")
            known = head[1:end] if end >= 0 else self.terms(step * STEP, step * STEP + 1)[0]
            self._firsts[step] = known
        return known

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
        """In how many documents each of these ascending terms stands, the deleted ones included."""
        return self._told(numbers).documents

    def counts_of(self, numbers: Array) -> Array:
        """How many numbers the lists of these ascending terms hold."""
        return self._told(numbers).counts

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
        held = self._restored.get(first) if last == first + 1 else None
        if held is None:
            held = self._restore(first, last)
            if last == first + 1:
                if len(self._restored) >= _RESTORED:
                    self._restored.clear()
                self._restored[first] = held
        return held[start - first * STEP : end - first * STEP]

    def _restore(self, first: int, last: int) -> list[bytes]:
        """The terms of steps [first, last)."""
        a, b = self._within(0, first, last)
        raw = self._terms.take(a, b).tobytes()
        count = min(self.count, last * STEP) - first * STEP
        try:
            return restore(raw, count, lambda start, end: self._ids(first * STEP + start, first * STEP + end))
        except (ValueError, IndexError) as error:
            raise DamageError(f"{self._file.path.name} is damaged in {self.field}: {error}") from error

    def _within(self, which: int, first: int, last: int) -> tuple[int, int]:
        """Where steps [first, last) lie in the terms (0), the heads (1) or the lists (2)."""
        column = (self._terms, self._heads, self._lists)[which]
        start = int(self._bases.take(3 * first + which, 3 * first + which + 1)[0])
        if last >= self._steps:
            return start, len(column)
        return start, int(self._bases.take(3 * last + which, 3 * last + which + 1)[0])

    def _ids(self, start: int, end: int) -> list[bytes]:
        """The ids of the first documents of terms [start, end), in hex digits."""
        told = self._told(np.arange(start, end))
        documents = self._decoded(told)[before(told.counts)]
        raw = self._file.arrays["ids"].all().reshape(-1, 16)[documents].tobytes().hex().encode()
        return [raw[at : at + 32] for at in range(0, len(raw), 32)]

    def counts(self, start: int, end: int) -> Array:
        """How many numbers the lists of terms [start, end) hold."""
        return self.counts_of(np.arange(start, end))

    def documents(self, start: int, end: int) -> Array:
        """In how many documents terms [start, end) stand, the deleted ones included."""
        return self.documents_of(np.arange(start, end))

    def values(self, start: int, end: int) -> Array:
        """The numbers in the lists of terms [start, end), list by list."""
        return self.values_of(np.arange(start, end))

    def values_of(self, numbers: Array) -> Array:
        """The numbers in the lists of these ascending terms, list by list."""
        return self._decoded(self._told(numbers))

    def _told(self, numbers: Array) -> Heads:
        """What the heads say of ascending terms."""
        if not len(numbers):
            return Heads(*np.zeros((4, 0), np.int64))
        first, last = int(numbers[0]) // STEP, int(numbers[-1]) // STEP
        if first == last:
            told = self._known.get(first)
            if told is None:
                if len(self._known) >= _KEPT:
                    self._known.clear()
                told = self._known[first] = self._read(np.array([first]))
            within = numbers - first * STEP
        else:
            steps = np.unique(numbers // STEP)
            told = self._read(steps)
            within = numbers - (steps * STEP - np.arange(len(steps)) * STEP)[np.searchsorted(steps, numbers // STEP)]
        return Heads(*(each[within] for each in told))

    def _read(self, steps: Array) -> Heads:
        """The heads of ascending steps."""
        first, last = int(steps[0]), int(steps[-1]) + 1
        bases = self._bases.take(3 * first, 3 * last).reshape(-1, 3).astype(np.int64)
        start, end = self._within(1, first, last)
        at = bases[steps - first, 1] - start
        ends = np.append(bases[1:, 1], end)[steps - first] - start
        raw = self._heads.take(start, end)
        if len(steps) < last - first:
            raw = raw[spread(at, ends - at)]
            at = before(ends - at)
        sizes = np.minimum(STEP, self.count - steps * STEP)
        try:
            lists = bases[steps - first, 2]
            return read_heads(raw, at, sizes, lists, self.universe, placed=self.field in PLACED)
        except (ValueError, IndexError) as error:
            raise DamageError(f"{self._file.path.name} is damaged in {self.field}: {error}") from error

    def _decoded(self, told: Heads) -> Array:
        if not len(told.counts):
            return np.zeros(0, np.int64)
        starts = told.starts // 8
        ends = (told.starts + told.bits + 7) // 8
        base, end = int(starts[0]), int(ends.max())
        if len(starts) <= _FEW:
            for a, b in zip(starts.tolist(), ends.tolist(), strict=True):
                self._file.check(self._lists.offset + a, self._lists.offset + b)
        else:
            self._lists.take(base, end)
        try:
            return decode(self._lists.raw[base:end], told.starts - 8 * base, told.counts, self.universe)
        except (ValueError, IndexError) as error:
            raise DamageError(f"{self._file.path.name} is damaged in {self.field}: {error}") from error
