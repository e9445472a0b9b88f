"""What one question carries through the segments: limits, what all segments hold together, what to tell.

View       a segment as one generation of the index sees it: uint8[documents / 8] of deleted ones aside
Question   limits, and the idf of each term over all views, counted once
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.errors import QueryError
from search import schema
from search.engine.read import Segment
from search.tree import Query

Array = NDArray[Any]

K1 = 1.2
B = 0.75
PIVOT = 1000.0


def physical(field: str) -> tuple[str, str]:
    """Where a field of the tree is kept, and what its terms begin with there."""
    if field.startswith("="):
        return "whole", f"{field[1:]}\0"
    if field in ("text", "name", "path"):
        return field, ""
    return ("whole" if schema.TYPES.get(field) == "keyword" else "fields"), f"{field}\0"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a question may cost."""

    terms: int = 50_000
    """Terms of one segment that a wildcard, a fuzzy word or a regular expression may stand for."""
    seconds: float = 20.0
    """Time for the whole answer."""
    depth: int = 150
    """Nodes of the tree within each other."""


class View:
    """A segment without the documents that are deleted."""

    def __init__(self, segment: Segment, dead: Array | None = None) -> None:
        self.segment = segment
        self.count = segment.count
        self.dead = dead if dead is not None and dead.any() else None
        self.live_count = self.count - (int(self.dead.sum()) if self.dead is not None else 0)
        self._held: dict[tuple[str, str], tuple[Array, Array]] = {}

    def live(self) -> Array:
        """The documents that are not deleted."""
        return np.arange(self.count) if self.dead is None else np.flatnonzero(~self.dead)

    def alive(self, documents: Array) -> Any:
        """An index that picks the live ones of documents."""
        return slice(None) if self.dead is None else ~self.dead[documents]

    def postings(self, field: str, term: str) -> tuple[Array, Array]:
        """The live documents with the term, ascending, and how often each has it."""
        documents, times = self.segment.postings(field, term)
        if self.dead is None or not len(documents):
            return documents, times
        alive = self.alive(documents)
        return documents[alive], times[alive] if len(times) else times

    def holding(self, field: str, term: str) -> int:
        """How many live documents have the term."""
        if self.dead is not None:
            return len(self.postings(field, term)[0])
        return self.segment.holding(field, term)

    def places_of(self, field: str, term: str) -> Array:
        """Where the term stands, deleted documents included."""
        return self.segment.places_of(field, term)

    @cached_property
    def norms(self) -> Array:
        """`K1 * norm` of each document's text."""
        norms: Array = K1 * (1 - B + B * self.segment.places("text").lengths / PIVOT)
        return norms


class Question:
    """One question to all views."""

    def __init__(
        self,
        views: Sequence[View],
        limits: Limits,
        by_matchers: Callable[[Query, View, Question], tuple[Array, Array]],
    ) -> None:
        self.views = views
        self.limits = limits
        self.notes: list[str] = []
        self.live = sum(view.live_count for view in views)
        self._by_matchers = by_matchers
        self._until = time.monotonic() + limits.seconds
        self._idf: dict[tuple[str, str], float] = {}

    def check_time(self) -> None:
        """See that there is time left.

        Raises:
            QueryError: there is none.
        """
        if time.monotonic() > self._until:
            raise QueryError(f"the query takes longer than {self.limits.seconds:g} seconds; ask for less", "", 0)

    def capped(self, text: str) -> None:
        """Tell that not all terms were looked at."""
        note = f"{text} stands for more than {self.limits.terms} terms, of which only the first were searched for; " \
            "raise the limit of terms, or write more of the word"  # fmt: skip
        if note not in self.notes:
            self.notes.append(note)

    def idf(self, field: str, text: str) -> float:
        """How much a term tells: the fewer live documents have it, the more."""
        key = field, text
        if key not in self._idf:
            name, start = physical(field)
            self.learn(field, [text], [sum(view.holding(name, start + text) for view in self.views)])
        return self._idf[key]

    def knows(self, field: str, text: str) -> bool:
        """Whether the term was counted already."""
        return (field, text) in self._idf

    def learn(self, field: str, texts: Sequence[str], holding: Sequence[int]) -> None:
        """Take how many live documents have each term."""
        for text, count in zip(texts, holding, strict=True):
            self._idf[field, text] = math.log(1 + (self.live - count + 0.5) / (count + 0.5))

    def by_matchers(self, node: Query, view: View) -> tuple[Array, Array]:
        """The answer to a node that the arrays do not know, from whoosh's own matchers."""
        return self._by_matchers(node, view, self)


def check_depth(tree: Query, most: int) -> None:
    """See that the tree is not nested deeper than `most`.

    Raises:
        QueryError: it is.
    """
    level = [tree]
    for _ in range(most):
        following: list[Query] = []
        for node in level:
            following.extend(getattr(node, "subqueries", ()))
            for name in ("query", "child", "a", "b"):
                inner = getattr(node, name, None)
                if isinstance(inner, Query):
                    following.append(inner)
        if not following:
            return
        level = following
    raise QueryError(f"the query is nested deeper than {most}", "", 0)
