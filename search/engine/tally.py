"""How often leaves of queries stand in each document: thousands of leaves, in whole arrays.

The terms of all leaves are looked up together first, in each segment once: a leaf with a term that a segment lacks
costs nothing there. Leaves that follow each other and share terms share the lists of these, which are kept (read.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.engine.codes import before
from search.engine.evaluate import find_spans
from search.engine.question import Question, View, physical
from search.tree import Phrase, Query, Term, field_of
from search.tree import Sequence as Row

Array = NDArray[Any]


def tally(leaves: Sequence[Query], views: Sequence[View], ask: Question) -> Iterator[tuple[Array, Array]]:
    """For each leaf the live documents it stands in, and how often; documents are counted through all views.

    Args:
        leaves: terms, prefixes, and phrases and rows of these, in fields that have places.
    """
    starts = before(np.array([view.count for view in views], np.int64)).tolist()
    lacking = [_lacking(leaves, view) for view in views]
    for at, leaf in enumerate(leaves):
        found = [
            (start + documents, times)
            for view, start, lacks in zip(views, starts, lacking, strict=True)
            if at not in lacks
            for documents, times in (_count(leaf, view, ask),)
        ]
        none = np.zeros(0, np.int64)
        yield (
            np.concatenate([none, *(documents for documents, _ in found)]),
            np.concatenate([none, *(times for _, times in found)]),
        )


def _count(leaf: Query, view: View, ask: Question) -> tuple[Array, Array]:
    """The live documents of one view that the leaf stands in, and how often."""
    places, _ = find_spans(leaf, view, ask)
    documents, times = view.segment.places(physical(field_of(leaf))[0]).counted(places)
    alive = view.alive(documents)
    return documents[alive], times[alive]


def _lacking(leaves: Sequence[Query], view: View) -> set[int]:
    """The leaves with a term that the view has not."""
    asking: dict[str, dict[bytes, list[int]]] = {}
    for at, leaf in enumerate(leaves):
        name, start = physical(field_of(leaf))
        terms = asking.setdefault(name, {})
        for word in _words(leaf):
            terms.setdefault((start + word).encode(), []).append(at)
    lacking: set[int] = set()
    for name, terms in asking.items():
        every = sorted(terms)
        for at in np.flatnonzero(view.segment.lexicons[name].find_all(every) < 0).tolist():
            lacking.update(terms[every[at]])
    return lacking


def _words(leaf: Query) -> list[str]:
    """The whole terms that a leaf is made of."""
    if isinstance(leaf, Row):
        return [word for part in leaf.subqueries for word in _words(part)]
    return list(leaf.words) if isinstance(leaf, Phrase) else [leaf.text] if isinstance(leaf, Term) else []
