"""Several segments made one, without their deleted documents.

Vocabularies are merged a stretch of terms at a time, all segments side by side; the lists of a term follow each
other in the order of the segments, so nothing is sorted again: every number moves to

    start of its term + what earlier segments have of the term + its place in its own list

O(numbers), in arrays; terms cost one look-up in a dictionary each. Memory: about `_BATCH` numbers in one
stretch, or one term's list, and the lists of one step of terms, in 4 bytes a number; nothing for each place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.engine.build import write_hex_ids, write_ids, write_numbers
from search.engine.codes import before
from search.engine.format import Writer, narrow
from search.engine.layout import FIELDS, PLACED, FieldWriter
from search.engine.question import View
from search.engine.read import Places
from search.engine.terms import STEP

Array = NDArray[Any]

_BATCH = 1 << 20
_TERMS = 1 << 15


def merge(views: Sequence[View], path: Path) -> None:
    """Write one segment that holds the live documents of all.

    Raises:
        OSError: the disk is full, or the like.
        DamageError: a segment is damaged.
    """
    moves = _moves(views)
    total = sum(view.live_count for view in views)
    with Writer(path) as writer:
        about: dict[str, Any] = {"documents": total, "universes": {}, "terms": {}}
        ids, about["ids"] = _ids(views, writer)
        for field in FIELDS:
            about["universes"][field], about["terms"][field] = _field(views, moves, total, field, writer, ids)
        about["numbers"] = write_numbers(writer, _numbers(views, moves), total)
        writer.finish(about)


def _ids(views: Sequence[View], writer: Writer) -> tuple[Array | None, str]:
    if all(view.segment.has_hex_ids for view in views):
        raw = [view.segment.file.arrays["ids"].all().reshape(-1, 16) for view in views]
        return write_hex_ids(writer, np.concatenate([ids[view.live()] for ids, view in zip(raw, views, strict=True)]))
    return write_ids(writer, [name for view in views for name in view.segment.ids(view.live())])


def _moves(views: Sequence[View]) -> list[Array]:
    """For each view the new number of each document; -1 where it is deleted."""
    moves: list[Array] = []
    base = 0
    for view in views:
        move = np.full(view.count, -1, np.int32)
        move[view.live()] = np.arange(base, base + view.live_count, dtype=np.int32)
        base += view.live_count
        moves.append(move)
    return moves


def _numbers(views: Sequence[View], moves: Sequence[Array]) -> Iterator[tuple[str, Array, Array]]:
    for name in sorted({name for view in views for name in view.segment.number_names()}):
        values: list[Array] = []
        documents: list[Array] = []
        for view, move in zip(views, moves, strict=True):
            held = view.segment.read_numbers(name)
            moved = move[held.documents]
            values.append(held.values[moved >= 0])
            documents.append(moved[moved >= 0])
        yield name, np.concatenate(values), np.concatenate(documents)


class _Moved:
    """How the numbers in one view's lists of one field change."""

    def __init__(self, view: View, move: Array, field: str, base: int) -> None:
        self.base = base
        self.move = move
        self.size = view.count
        self.placed = field in PLACED
        self.places: Places | None = None
        if self.placed and view.dead is None:
            self.size = int(view.segment.file.arrays[f"{field}.lengths"].all().sum(dtype=np.int64))
        elif self.placed:
            self.places = Places(view.segment, field)  # nothing that lives longer than the merge
            lengths = np.diff(self.places.ends, prepend=0)
            kept = np.where(move >= 0, lengths, 0)
            self.size = int(kept.sum())
            self.shift = before(kept) + base - (self.places.ends - lengths)

    def __call__(self, values: Array) -> tuple[Array, Any, Array | None]:
        """The new numbers, which of the old ones are kept, and whose these are where documents are gone."""
        if not self.placed:
            moved = self.move[values]
            keep = moved >= 0
            return moved[keep], keep, None
        if self.places is None:
            return values + self.base, slice(None), None
        documents = self.places.documents(values)
        keep = self.move[documents] >= 0
        return (values + self.shift[documents])[keep], keep, documents[keep]


def _field(
    views: Sequence[View], moves: Sequence[Array], total: int, field: str, writer: Writer, ids: Array | None
) -> tuple[int, int]:
    moved: list[_Moved] = []
    base = 0
    for view, move in zip(views, moves, strict=True):
        moved.append(_Moved(view, move, field, base))
        base += moved[-1].size
    placed = field in PLACED
    if placed:
        _passages(views, field, writer)
    out = FieldWriter(writer, field, max(base, 1) if placed else total, ids)
    kind = np.uint32 if out.universe < 1 << 32 else np.int64
    waiting: list[tuple[Array, ...]] = []
    for *terms, values in _stretches(views, moved, field, kind):
        out.add_lists(terms[2], values)
        waiting.append(tuple(terms))
        if sum(len(held[1]) for held in waiting) >= STEP:
            waiting = [_write(out, waiting, placed=placed, whole_steps=True)]
    _write(out, waiting, placed=placed, whole_steps=False)
    out.finish()
    return out.universe, out.terms


def _write(out: FieldWriter, waiting: list[tuple[Array, ...]], *, placed: bool, whole_steps: bool) -> tuple[Array, ...]:
    """Write the terms that wait, or as many as are whole steps; the rest is returned."""
    blob, sizes, counts, docs = (np.concatenate(parts) for parts in zip(*waiting, strict=True))
    cut = len(sizes) // STEP * STEP if whole_steps else len(sizes)
    a = int(sizes[:cut].sum())
    if cut or not (whole_steps or out.terms):
        out.add(blob[:a], sizes[:cut], counts[:cut], docs[:cut] if placed else None)
    return blob[a:].copy(), sizes[cut:], counts[cut:], docs[cut:]


def _passages(views: Sequence[View], field: str, writer: Writer) -> None:
    """Write the passages that stay."""
    lengths: list[Array] = []
    held: list[Array] = []
    for view in views:
        get = view.segment.file.arrays.__getitem__
        in_each = get(f"{field}.held").all()
        live = view.live()
        keep = np.zeros(view.count, bool)
        keep[live] = True
        lengths.append(get(f"{field}.lengths").all()[np.repeat(keep, in_each)])
        held.append(in_each[live])
    writer.add(f"{field}.lengths", narrow(np.concatenate(lengths).astype(np.int64)))
    writer.add(f"{field}.held", narrow(np.concatenate(held).astype(np.int64)))


def _stretches(views: Sequence[View], moved: Sequence[_Moved], field: str, kind: Any) -> Iterator[tuple[Array, ...]]:
    """Terms in order with their merged lists: bytes, sizes, counts, documents, values."""
    lexicons = [view.segment.lexicons[field] for view in views]
    numbers, terms = 2 * _BATCH // len(lexicons), 2 * _TERMS // len(lexicons)
    starts = [0] * len(lexicons)
    limits = [0] * len(lexicons)  # how far each may go at once: what one has much of, others may have nothing of
    while True:
        borders: list[bytes] = []
        for at, lexicon in enumerate(lexicons):
            if limits[at] <= starts[at] < lexicon.count:
                counts = np.cumsum(lexicon.counts(starts[at], min(lexicon.count, starts[at] + terms)))
                limits[at] = starts[at] + max(1, int(np.searchsorted(counts, numbers)))
            if limits[at] < lexicon.count:
                borders += lexicon.terms(limits[at], limits[at] + 1)
        ends = [lexicon.lower(min(borders)) if borders else lexicon.count for lexicon in lexicons]
        yield _stretch(lexicons, moved, starts, ends, kind)
        if not borders:
            return
        starts = ends


def _stretch(
    lexicons: Sequence[Any], moved: Sequence[_Moved], starts: Sequence[int], ends: Sequence[int], kind: Any
) -> tuple[Array, ...]:
    parts = list(zip(lexicons, moved, starts, ends, strict=True))
    held = [lexicon.terms(start, end) for lexicon, _, start, end in parts]
    terms = sorted(set().union(*held))
    number = {term: at for at, term in enumerate(terms)}
    each: list[tuple[Array, Array]] = []  # of each segment: the values, and how many of them each term has
    docs = np.zeros(len(terms), np.int64)
    for (lexicon, move, start, end), own in zip(parts, held, strict=True):
        where = np.fromiter((number[term] for term in own), np.int32, len(own))
        counts = lexicon.counts(start, end)
        values, keep, owners = move(lexicon.values(start, end))
        of = np.repeat(where, counts)[keep]
        each.append((values.astype(kind), np.bincount(of, minlength=len(terms))))
        if owners is None:
            docs[where] += lexicon.documents(start, end)
        elif len(of):
            docs += np.bincount(of[np.append(True, (np.diff(of) != 0) | (np.diff(owners) != 0))], minlength=len(terms))
    totals = np.sum([now for _, now in each], axis=0) if terms else np.zeros(0, np.int64)
    merged = np.zeros(int(totals.sum()), kind)
    free = before(totals)
    for values, now in each:
        merged[np.repeat(free - before(now), now) + np.arange(len(values))] = values
        free = free + now
    raw = [terms[at] + b"\n" for at in np.flatnonzero(totals).tolist()]
    sizes = np.array([len(term) for term in raw], np.int64)
    return np.frombuffer(b"".join(raw), np.uint8), sizes, totals[totals > 0], docs[totals > 0], merged
