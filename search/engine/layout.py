"""What a segment's arrays are called, and how the terms of a field and where they stand are written.

A segment holds `documents` documents, numbered from 0. `about` in the head of its file:

    {"documents": n, "ids": "hex" | "text", "universes": {field: U}, "terms": {field: T},
     "numbers": [[name, count], ...]}

Documents                        ids       uint8[16 n], or the ids in UTF-8 with id_sizes uint16[n]
Numbers and dates, by name       numbers   float64, ascending within a name
                                 number_docs uint32, the document of each
Each field of FIELDS:
    F.terms      uint8           the T terms in ascending order of their UTF-8, each as 32 + s, the bytes that follow
                                 the s bytes it shares with the term before, line feed; s is 0 at every 64th term
    F.counts     uint8[T]        how many numbers the term's list has; 255: see F.many
    F.many_at, F.many  uint32    terms with 255 or more, and how many those have
    F.docs, F.often_at, F.often  the same for the number of documents (fields of PLACED only)
    F.bases      uint64[3 b]     for every 64th term: byte in F.terms, bit in F.low, bit in F.high
    F.low, F.high  uint8         the lists (codes.py), below U = universes[F]
    F.lengths    uint8 to 32     places of each passage, F.held: passages of each document (PLACED only)

The terms of PLACED fields have places: passages stand one after the other in one row of U places, so that a
list of places tells document, frequency and position at once. A passage is one text, one name, one value.
The lists of the other fields are document numbers, and U is the number of documents.

    text, name, path   term                              fields   field NUL term
    whole              field NUL whole value             has      field, or field NUL "date"

Terms of one field name, and those that begin alike, are neighbours: a prefix is one slice of each array.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.engine.codes import before, encode, spread
from search.engine.format import Writer

Array = NDArray[Any]

PLACED = ("text", "name", "path", "fields")
LISTED = ("whole", "has")
FIELDS = (*PLACED, *LISTED)
STEP = 64
"""Terms from one entry of `bases` to the next."""
_BATCH = 1 << 21  # numbers that are coded in one go
_TOP = 255
_MOST_SHARED = 200


class FieldWriter:
    """Writes the terms of one field in ascending order, in parts of a multiple of `STEP` terms but the last."""

    def __init__(self, writer: Writer, field: str, universe: int) -> None:
        self.writer = writer
        self.field = field
        self.universe = universe
        self.terms = 0

    def add(self, blob: Array, sizes: Array, counts: Array, docs: Array | None, values: Array) -> None:
        """Append terms.

        Args:
            blob: the bytes of the terms, uint8, a line feed after each.
            sizes: how many bytes each has, with the line feed.
            counts: how many values each has.
            docs: in how many documents each stands; None where values are documents.
            values: the values, ascending within each term.
        """
        assert self.terms % STEP == 0
        add, field = self.writer.add, self.field
        low, high, low_at, high_at = encode(values, counts, self.universe)
        blob, sizes = _shorten(blob, sizes)
        steps = np.stack(
            (
                before(sizes)[::STEP] + self.writer.size(f"{field}.terms"),
                low_at[::STEP] + 8 * self.writer.size(f"{field}.low"),
                high_at[::STEP] + 8 * self.writer.size(f"{field}.high"),
            ),
            axis=1,
        )
        add(f"{field}.bases", steps.astype(np.uint64).ravel())
        add(f"{field}.terms", blob)
        self._small("counts", "many", counts)
        if docs is not None:
            self._small("docs", "often", docs)
        add(f"{field}.low", low)
        add(f"{field}.high", high)
        self.terms += len(sizes)

    def _small(self, name: str, beyond: str, numbers: Array) -> None:
        add, field = self.writer.add, self.field
        large = np.flatnonzero(numbers >= _TOP)
        add(f"{field}.{name}", np.minimum(numbers, _TOP).astype(np.uint8))
        add(f"{field}.{beyond}_at", (large + self.terms).astype(np.uint32))
        add(f"{field}.{beyond}", numbers[large].astype(np.uint32))

    def add_all(self, blob: Array, sizes: Array, counts: Array, docs: Array | None, values: Array) -> None:
        """Append terms, however many, in parts of bounded size; see `add`."""
        ends, blob_ends = np.cumsum(counts), np.cumsum(sizes)
        start = 0
        while start < len(sizes) or not self.terms:
            used = int(ends[start - 1]) if start else 0
            end = int(np.searchsorted(ends, used + _BATCH))
            end = min(max(start + STEP, start + (end - start) // STEP * STEP), len(sizes))
            a, b = (int(blob_ends[at - 1]) if at else 0 for at in (start, end))
            c, d = (int(ends[at - 1]) if at else 0 for at in (start, end))
            each = None if docs is None else docs[start:end]
            self.add(blob[a:b], sizes[start:end], counts[start:end], each, values[c:d])
            start = end
            if start >= len(sizes):
                break


def _shorten(blob: Array, sizes: Array) -> tuple[Array, Array]:
    """The terms without what each shares with the one before, and their new sizes."""
    starts = before(sizes)
    shared = np.zeros(len(sizes), np.int64)
    alike = np.flatnonzero(np.arange(len(sizes)) % STEP)
    for at in range(_MOST_SHARED):
        alike = alike[blob[starts[alike] + at] == blob[starts[alike - 1] + at]]  # line feeds never are: terms differ
        if not len(alike):
            break
        shared[alike] += 1
    kept = sizes - shared
    out = np.empty(int(kept.sum()) + len(sizes), np.uint8)
    heads = before(kept + 1)
    rest = np.ones(len(out), bool)
    rest[heads] = False
    out[heads] = 32 + shared
    out[rest] = blob[spread(starts + shared, kept)]
    return out, kept + 1


def restore(raw: bytes) -> list[bytes]:
    """The terms whose bytes these are; the first of them shares nothing."""
    term = b""
    terms: list[bytes] = []
    for piece in raw.split(b"\n")[:-1]:
        term = term[: piece[0] - 32] + piece[1:]
        terms.append(term)
    return terms


def small(counts: Array, beyond_at: Array, beyond: Array, start: int) -> Array:
    """The counts of terms from `start`, those of 255 and more put right."""
    out = counts.astype(np.int64)
    if len(beyond_at):
        out[beyond_at - start] = beyond
    return out
