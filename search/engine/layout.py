"""What a segment's arrays are called, and how the terms of a field and where they stand are written.

A segment holds `documents` documents, numbered from 0; those whose texts are of one script are neighbours. `about`
in the head of its file:

    {"documents": n, "ids": "hex" | "text", "universes": {field: U}, "terms": {field: T},
     "numbers": [[name, count, distinct], ...]}

Documents                        ids       uint8[16 n], or the ids in UTF-8 with id_sizes uint16[n]
Numbers and dates, by name       numbers   float64, the distinct ones, ascending within a name
                                 number_counts  how many documents have each: uint8 to 32
                                 number_docs    the documents of each, ascending within a number: uint8 to 32
Each field of FIELDS:
    F.terms      uint8           the T terms in ascending order of their UTF-8, in steps of 64 (terms.py)
    F.heads      uint8           of each step, in numbers of nibbles (three bits, and a fourth where more follow): how
                                 many places each term has; of those with several how many more that is than their
                                 documents (fields of PLACED only), then the bits of each one's list, as what they are
                                 above `expected`, times two, or below, times two less one
    F.lists      uint8           the lists (codes.py), below U = universes[F]; a step begins with a byte
    F.bases      uint32 or 64[3 b]  where each of the b steps begins in F.terms, F.heads, F.lists
    F.lengths    uint8 to 32     places of each passage, F.held: passages of each document (PLACED only)

The terms of PLACED fields have places: passages stand one after the other in one row of U places, so that a
list of places tells document, frequency and position at once. A passage is one text, one name, one value.
The lists of the other fields are document numbers, and U is the number of documents.

    text, name, path   term                              fields   field NUL term; of many fields also "meta" NUL term
    whole              field NUL whole value             has      field, or field NUL "date"

Terms of one field name, and those that begin alike, are neighbours: a prefix is one slice of each array.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from search.engine.codes import before, encode, spread, width_of
from search.engine.format import Writer
from search.engine.terms import STEP, shorten

Array = NDArray[Any]

PLACED = ("text", "name", "path", "fields")
LISTED = ("whole", "has")
FIELDS = (*PLACED, *LISTED)
_BATCH = 1 << 21  # numbers that are coded in one go


class Heads(NamedTuple):
    """Of terms: the numbers in each list, its documents, its bits, and the bit at which it begins."""

    counts: Array
    documents: Array
    bits: Array
    starts: Array


class FieldWriter:
    """Writes the terms of one field, ascending: `add_lists` for some, `add` them, and at last `finish`."""

    def __init__(self, writer: Writer, field: str, universe: int, ids: Array | None = None) -> None:
        self.writer = writer
        self.field = field
        self.universe = universe
        self.terms = 0
        self._ids = ids if field == "whole" else None
        self._bases: list[Array] = []
        for name in ("terms", "heads", "lists"):
            self.writer.add(f"{field}.{name}", np.zeros(0, np.uint8))
        self._size = 0  # of the lists of all steps added
        self._listed = 0
        self._bits = np.zeros(0, np.int64)  # of the lists of terms that are not added yet
        self._firsts = np.zeros(0, np.uint32)  # the first values of these lists, where ids are wanted
        self._begun = 0  # bits of the step that is under way
        self._byte = np.zeros(0, np.uint8)  # its last one, where it is not full

    def add_lists(self, counts: Array, values: Array) -> None:
        """Write the lists of the next terms, in parts as they come.

        Args:
            counts: how many values each has.
            values: the values, ascending within each term.
        """
        counts = counts.astype(np.int64)
        room = min(-self._listed % STEP, len(counts))
        cut = int(counts[:room].sum())
        for some, held in ((counts[:room], values[:cut]), (counts[room:], values[cut:])):
            if len(some):
                self._list(some, held)

    def _list(self, counts: Array, values: Array) -> None:
        """Write lists that go on with the step that is under way and end in it, or begin with a step."""
        stream, bits = encode(values, counts, self.universe, STEP)
        self._bits = np.concatenate((self._bits, bits))
        if self._ids is not None:
            self._firsts = np.concatenate((self._firsts, values[before(counts)].astype(np.uint32)))
        self._listed += len(counts)
        shift = self._begun % 8
        if shift:
            wide = np.append(stream, np.uint8(0)).astype(np.uint16) << np.uint16(shift)
            wide[1:] |= wide[:-1] >> np.uint16(8)
            wide[0] |= self._byte[0]
            stream = wide.astype(np.uint8)[: -(-(shift + int(bits.sum())) // 8)]
        open_terms = self._listed % STEP
        self._begun = int(bits[-open_terms:].sum()) + self._begun * (len(bits) < open_terms) if open_terms else 0
        end = len(stream) - (self._begun % 8 > 0)
        self._byte = stream[end:].copy()
        self.writer.add(f"{self.field}.lists", stream[:end])

    def add(self, blob: Array, sizes: Array, counts: Array, docs: Array | None) -> None:
        """Append terms whose lists are written; a multiple of `STEP`, but at the end.

        Args:
            blob: the bytes of the terms, uint8, a line feed after each.
            sizes: how many bytes each has, with the line feed.
            counts: how many values each has.
            docs: in how many documents each stands; None where values are documents.
        """
        assert self.terms % STEP == 0
        count = len(sizes)
        bits, self._bits = self._bits[:count], self._bits[count:]
        owners = None if self._ids is None or not count else self._ids[self._firsts[:count]]
        self._firsts = self._firsts[count:]
        terms, term_sizes = shorten(blob, sizes.astype(np.int64), owners)
        heads, head_sizes = _heads(counts.astype(np.int64), docs, bits, self.universe)
        steps = np.arange(0, count, STEP)
        list_sizes = -(-np.add.reduceat(bits, steps) // 8) if len(steps) else steps
        starts = [self.writer.size(f"{self.field}.{name}") for name in ("terms", "heads")]
        each = zip((*starts, self._size), (term_sizes, head_sizes, list_sizes), strict=True)
        self._bases.append(np.stack([before(of) + start for start, of in each], axis=1))
        self._size += int(list_sizes.sum())
        self.writer.add(f"{self.field}.terms", terms)
        self.writer.add(f"{self.field}.heads", heads)
        self.terms += count

    def add_all(self, blob: Array, sizes: Array, counts: Array, docs: Array | None, values: Array) -> None:
        """Write all terms there are with their lists, in parts of bounded size, and finish."""
        ends, blob_ends = np.cumsum(counts, dtype=np.int64), np.cumsum(sizes, dtype=np.int64)
        start = 0
        while start < len(sizes) or not self.terms:
            used = int(ends[start - 1]) if start else 0
            end = int(np.searchsorted(ends, used + _BATCH))
            end = min(max(start + STEP, start + (end - start) // STEP * STEP), len(sizes))
            a, b = (int(blob_ends[at - 1]) if at else 0 for at in (start, end))
            c, d = (int(ends[at - 1]) if at else 0 for at in (start, end))
            self.add_lists(counts[start:end], values[c:d])
            self.add(blob[a:b], sizes[start:end], counts[start:end], None if docs is None else docs[start:end])
            start = end
            if start >= len(sizes):
                break
        self.finish()

    def finish(self) -> None:
        """Write what is left of the last step, and where the steps begin."""
        self.writer.add(f"{self.field}.lists", self._byte)
        bases = np.concatenate(self._bases).ravel()
        self.writer.add(f"{self.field}.bases", bases.astype(np.uint32 if bases.max(initial=0) < 1 << 32 else np.uint64))


def expected(counts: Array, universe: int) -> Array:
    """About the bits of lists of these counts."""
    return counts * (np.frexp(np.maximum(universe // np.maximum(counts, 1), 1).astype(np.float64))[1] + 1)


def _heads(counts: Array, docs: Array | None, bits: Array, universe: int) -> tuple[Array, Array]:
    """What is told of each term, and the bytes of each step."""
    several = np.flatnonzero(counts > 1)
    off = bits[several] - expected(counts[several], universe)
    parts = [(np.arange(len(counts)), counts), (several, np.where(off < 0, -2 * off - 1, 2 * off))]
    if docs is not None:
        parts.insert(1, (several, counts[several] - docs[several].astype(np.int64)))
    steps = np.concatenate([of // STEP * len(parts) + at for at, (of, _) in enumerate(parts)])
    order = np.argsort(steps, kind="stable")
    numbers = np.concatenate([held for _, held in parts])[order]
    of = steps[order] // len(parts)
    widths = np.maximum(1, (np.frexp(numbers.astype(np.float64))[1] + 2) // 3)
    nibbles = np.bincount(of, widths, minlength=-(-len(counts) // STEP)).astype(np.int64)
    padding = before(nibbles % 2)
    starts = before(widths) + padding[of]
    out = np.zeros(int((nibbles + nibbles % 2).sum()), np.uint8)
    for at in range(int(widths.max(initial=0))):
        here = np.flatnonzero(widths > at)
        more = (widths[here] > at + 1) * 8
        out[starts[here] + at] = (numbers[here] >> (3 * at) & 7) | more
    return out[::2] | out[1::2] << np.uint8(4), (nibbles + 1) // 2


def read_heads(raw: Array, at: Array, sizes: Array, lists: Array, universe: int, *, placed: bool) -> Heads:
    """What was told of the terms of several steps.

    Args:
        raw: the heads of the steps, one after the other.
        at: where each step begins in it.
        sizes: the terms of each.
        lists: where the lists of each begin, in bytes.
        universe: of the field.
        placed: whether documents were told.

    Raises:
        IndexError: numbers are missing.
    """
    nibbles = np.stack((raw & np.uint8(15), raw >> np.uint8(4)), axis=1).ravel()
    ends = np.flatnonzero(nibbles < 8)
    starts = np.concatenate((np.zeros(1, np.int64), ends[:-1] + 1))
    widths = ends - starts + 1
    numbers = np.zeros(len(ends), np.int64)
    for each in range(int(widths.max(initial=0))):
        here = np.flatnonzero(widths > each) if each else slice(None)
        numbers[here] |= (nibbles[starts[here] + each] & 7).astype(np.int64) << (3 * each)
    first = np.searchsorted(starts, 2 * at)
    counts = numbers[spread(first, sizes)]
    several = counts > 1
    many = np.add.reduceat(several, before(sizes), dtype=np.int64)
    documents = counts.copy()
    if placed:
        documents[several] -= numbers[spread(first + sizes, many)]
    off = numbers[spread(first + sizes + (many if placed else 0), many)]
    bits = np.where(counts == 1, width_of(universe), 0)
    bits[several] = expected(counts[several], universe) + np.where(off & 1, -(off + 1) // 2, off // 2)
    within = before(bits)
    return Heads(counts, documents, bits, within + np.repeat(8 * lists - within[before(sizes)], sizes))
