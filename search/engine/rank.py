"""Hits in order, a page at a time, and how many hits have which value.

Every hit of a segment has a key, int64 or float64, smaller first: the score in millionths turned round, a
number, or a rank in the segment's vocabulary. Only as many of each segment as a page can show are brought
together: O(hits) to find them, O(page log page) to order them. What has no value comes last, either way round.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from search import schema
from search.engine.evaluate import Found
from search.engine.question import View

Array = NDArray[Any]

_MICROS = 1_000_000
_NAMES = ("name", "path")  # what has none is sorted as if it were empty
_PARTS = {"year": "Y", "month": "M", "day": "D"}


class Page(NamedTuple):
    """The number of all hits, some of them in order, and what gives the page after them."""

    total: int
    hits: list[tuple[str, float]]
    after: str


def page(
    views: Sequence[View], found: Sequence[Found], sort: str, *, reverse: bool, start: int, limit: int, after: str = ""
) -> Page:
    """Hits from `start`, at most `limit`; with `after`, of those that come after the last of another page."""
    total = sum(len(each.documents) for each in found)
    column = _Column(sort, reverse=reverse)
    last = json.loads(after) if after else None
    most = start + max(0, limit)
    gathered: list[tuple[Array, Array]] = []
    for view, each in zip(views, found, strict=True):
        documents, scores = each
        keys = column.keys(view, documents, scores)
        if last is not None:
            keep = column.behind(view, documents, keys, *last)
            documents, keys = documents[keep], keys[keep]
            scores = None if scores is None else scores[keep]
        chosen = _smallest(view, documents, keys, most)
        shown = np.zeros(len(chosen)) if scores is None else _rounded(scores[chosen])
        gathered.append((documents[chosen], shown))
    ids, keys, scores, told = column.together(views, gathered)
    order = np.lexsort((*ids[1], keys))[start:most]
    names = ids[0]
    if isinstance(names, list):
        hits = [(names[at], score) for at, score in zip(order.tolist(), scores[order].tolist(), strict=True)]
    else:
        raw = names[order].tobytes().hex()
        hits = [(raw[32 * at : 32 * at + 32], score) for at, score in enumerate(scores[order].tolist())]
    following = json.dumps([told(int(order[-1])), hits[-1][0]]) if hits else after
    return Page(total, hits, following)


def _rounded(scores: Array) -> Array:
    rounded: Array = np.rint(scores * _MICROS) / _MICROS
    return rounded


def _smallest(view: View, documents: Array, keys: Array, most: int) -> Array:
    """Which of the hits have the smallest keys; of equals, the smallest ids."""
    if len(documents) <= most:
        return np.arange(len(documents))
    if not most:
        return np.zeros(0, np.int64)
    border = np.partition(keys, most - 1)[most - 1]
    less, equal = np.flatnonzero(keys < border), np.flatnonzero(keys == border)
    room = most - len(less)
    if len(equal) > room:
        ranks = view.segment.id_ranks[documents[equal]]
        equal = equal[np.argpartition(ranks, room - 1)[:room]]
    return np.concatenate((less, equal))


class _Column:
    """What hits are sorted by."""

    def __init__(self, sort: str, *, reverse: bool) -> None:
        self.sort = sort
        self.sign = -1 if reverse else 1
        self.is_number = sort in schema.TYPES and schema.TYPES[sort] in ("number", "date")

    def keys(self, view: View, documents: Array, scores: Array | None) -> Array:
        """A key for each hit; comparable within the segment."""
        if self.sort == "score":
            if scores is None:
                return np.zeros(len(documents), np.int64)
            return self.sign * -np.rint(scores * _MICROS).astype(np.int64)
        if self._numeric(view):
            numbers = view.segment.least(self.sort)[documents]
            return np.where(np.isfinite(numbers), self.sign * numbers, math.inf)
        ranks = view.segment.ranks(self.sort)[documents].astype(np.int64)
        keys = self.sign * (2 * ranks + 1)
        return keys if self.sort in _NAMES else np.where(ranks < 0, np.iinfo(np.int64).max, keys)

    def _numeric(self, view: View) -> bool:
        return self.is_number or (self.sort not in schema.TYPES and self.sort in view.segment.number_names())

    def behind(self, view: View, documents: Array, keys: Array, value: Any, name: str) -> Array:
        """Which hits come after the one with this value and id."""
        if isinstance(value, str):
            segment = view.segment
            lexicon, term = segment.lexicons["whole"], f"{self.sort}\0{value}".encode()
            at = lexicon.lower(term) - segment.values(self.sort)[0]
            is_there = lexicon.find(term) >= 0
            border: float = self.sign * (2 * at + (1 if is_there else 0) if value or is_there else -1)
        elif value is None:
            border = math.inf if self._numeric(view) else np.iinfo(np.int64).max
        else:
            border = self.sign * (-value if self.sort == "score" else value)
        equal = np.flatnonzero(keys == border)
        behind: Array = keys > border
        names = view.segment.ids(documents[equal])
        behind[equal] = [other > name for other in names]
        return behind

    def together(self, views: Sequence[View], hits: Sequence[tuple[Array, Array]]) -> tuple[Any, Array, Array, Any]:
        """The chosen hits of all segments: ids with what they are ordered by, keys, scores, and a key as text."""
        scores = np.concatenate([np.zeros(0), *(shown for _, shown in hits)])
        pairs = [(view, documents) for view, (documents, _) in zip(views, hits, strict=True) if len(documents)]
        names: Any
        ranks: tuple[Array, ...]
        if all(view.segment.has_hex_ids for view, _ in pairs):
            words = np.concatenate(
                [np.zeros((0, 2), np.uint64), *(view.segment.id_words(documents) for view, documents in pairs)]
            )
            names, ranks = words.astype(">u8"), (words[:, 1], words[:, 0])
        else:
            names = [name for view, documents in pairs for name in view.segment.ids(documents)]
            ranks = (_ranks(names),)
        if self.sort == "score":
            keys = self.sign * -np.rint(scores * _MICROS).astype(np.int64)
            return (names, ranks), keys, scores, lambda at: round(float(scores[at]) * _MICROS)
        if any(self._numeric(view) for view, _ in pairs):
            values = np.concatenate([view.segment.least(self.sort)[documents] for view, documents in pairs])
            keys = np.where(np.isfinite(values), self.sign * values, math.inf)
            return (names, ranks), keys, scores, lambda at: float(values[at]) if math.isfinite(values[at]) else None
        texts = [text for view, documents in pairs for text in _texts(view, documents, self.sort)]
        given = [text or "" for text in texts]
        if self.sort in _NAMES:
            return (names, ranks), self.sign * _ranks(given), scores, lambda at: given[at]
        missing = np.array([text is None for text in texts], bool)
        keys = np.where(missing, np.iinfo(np.int64).max, self.sign * _ranks(given))
        return (names, ranks), keys, scores, lambda at: texts[at]


def _ranks(texts: Sequence[str]) -> Array:
    order = {text: rank for rank, text in enumerate(sorted(set(texts)))}
    return np.array([order[text] for text in texts], np.int64)


def _texts(view: View, documents: Array, name: str) -> list[str | None]:
    """The first value of each document."""
    codes = view.segment.ranks(name)[documents].tolist()
    if len(codes) < 1000:
        return [view.segment.value(name, code) if code >= 0 else None for code in codes]
    values = [term.decode().partition("\0")[2] for term in view.segment.matching("whole", f"{name}\0")]
    return [values[code] if code >= 0 else None for code in codes]


def count_values(views: Sequence[View], found: Sequence[Found], name: str) -> dict[str, int]:
    """How many hits have each value of a field, most frequent first, then by value.

    Dates count by year; `modified.month`, `sent.day` and the like by that part.
    """
    counts: dict[str, int] = {}
    field, _, part = name.rpartition(".")
    if schema.TYPES.get(name) == "date":
        field, part = name, "year"
    for view, each in zip(views, found, strict=True):
        if not len(each.documents):
            continue
        is_date = part in _PARTS and (field == "date" or field in view.segment.date_names())
        for value, count in _dates(view, each, field, part) if is_date else view.segment.counted(name, each.documents):
            counts[value] = counts.get(value, 0) + count
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def _dates(view: View, found: Found, field: str, part: str) -> list[tuple[str, int]]:
    segment = view.segment
    names = segment.date_names() if field == "date" else [field]
    held = [segment.numbers(name) for name in names]
    documents = np.concatenate([each.documents for each in held]).astype(np.int64)
    values = np.concatenate([each.values for each in held])
    mask = np.zeros(view.count, bool)
    mask[found.documents] = True
    keep = mask[documents]
    parts = (
        values[keep].astype(np.int64).astype("datetime64[us]").astype(f"datetime64[{_PARTS[part]}]").astype(np.int64)
    )
    if not len(parts):
        return []
    low = int(parts.min())
    pairs = np.unique((parts - low) * view.count + documents[keep])
    units, counts = np.unique(pairs // view.count + low, return_counts=True)
    return list(zip(units.astype(f"datetime64[{_PARTS[part]}]").astype(str).tolist(), counts.tolist(), strict=True))
