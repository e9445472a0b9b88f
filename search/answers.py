"""A question to a case, answered: query in, hits with highlights out."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from msgspec.structs import replace

from indexer.errors import QueryError
from indexer.model import Hit, Item, Reading
from search.case import Case
from search.hits import make_hit
from search.query import parse
from search.schema import TYPES
from search.tree import And, Every, Phrase, Prefix, Query, Term, Wildcard, field_of

_PAGE = 100_000
"""Hits asked of the index at a time where all are wanted."""
_SHOWN = 8
"""Values of a field that are named where none is the one that was asked for."""
_UNLISTED = frozenset(("md5", "sha1", "sha256", "id", "parent"))
_CHUNK = 200
"""Hits asked for at a time; folding may need more than are shown."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The first hits, and how many there are in all; `next` continues after the last one shown."""

    total: int
    hits: tuple[Hit, ...]
    next: int
    """Position of the first hit not looked at; `total` where none is left."""
    notes: tuple[str, ...] = ()
    """What the answer leaves out, in words."""


def ask(
    case: Case,
    query: str,
    *,
    limit: int = 20,
    sort: str = "score",
    reverse: bool = False,
    fold: bool = True,
    start: int = 0,
) -> Answer:
    """The hits of a query, best first, or in the order of a field.

    Args:
        fold: shows items with the same bytes once; the others are the hit's duplicates.
        start: position in the order to begin at, as a former answer's `next` gave it.

    Raises:
        QueryError: the query cannot be understood.
        StoreError: the index is damaged, or behind another version: reindex.
    """
    tree = case.parse(query)
    index = case.index
    shown: set[str] = set()
    hits: list[Hit] = []
    notes: tuple[str, ...] = ()
    at, total = start, start + 1
    while len(hits) < limit and at < total:
        total, order = index.search(tree, limit=_CHUNK, sort=sort, reverse=reverse, offset=at)
        notes = index.notes
        for identity, score in order:
            if len(hits) == limit:
                break
            at += 1
            item = case.catalog.item(identity)
            if item is None:
                continue
            sha256 = item.digests.sha256 if item.digests and item.size else ""
            if fold and sha256 in shown:
                continue
            twins: list[str] = []
            if sha256:
                shown.add(sha256)
                others = case.catalog.same_bytes(sha256)
                if len(others) > 1:
                    held = set(index.ids(And([tree, parse(f"sha256:{sha256}")])))
                    twins = [each for each in others if each in held and each != identity]
            whole = replace(item, texts=case.texts_of(identity))
            hits.append(replace(make_hit(whole, score, tree), duplicates=tuple(twins)))
        if not order:
            break
    if not total:
        notes = (*notes, *_values_there_are(case, tree))
    if index.fallen:
        notes = (*notes, f"An older state of the index answers: {index.fallen}. Run archivore reindex.")
    return Answer(total, tuple(hits), at, notes)


def _values_there_are(case: Case, tree: Query) -> Iterator[str]:
    """Of each part of a query that asks for a value of a field which no item has: those that there are, in words."""
    asked = {str(leaf): leaf for leaf in tree.leaves() if isinstance(leaf, (Term, Phrase, Prefix, Wildcard))}
    for told, leaf in asked.items():
        name = field_of(leaf)
        if name in _UNLISTED or TYPES.get(name, "keyword") != "keyword":
            continue
        try:
            if case.index.search(leaf, limit=1)[0]:
                continue
        except QueryError:  # alone it takes too long: the answer was had without it
            continue
        values = [*case.index.facets(Every(), [name])[name]]
        more = f" and {len(values) - _SHOWN:,} more" if len(values) > _SHOWN else ""
        there = f"; there are {', '.join(values[:_SHOWN])}{more}" if values else ", nor any other value of that field"
        yield f"No item has {told}{there}."


def matching(case: Case, query: str) -> Iterator[Item]:
    """Every item that answers a query, or every item of the case, without texts, sorted by provenance path.

    Raises as `ask` does.
    """
    return (item for item, _ in matching_readings(case, query))


def matching_readings(case: Case, query: str) -> Iterator[tuple[Item, Reading | None]]:
    """The same, each with the reading under which its texts are kept."""
    with chosen(case, query) as is_hit:
        yield from case.catalog.items(is_hit)


@contextmanager
def chosen(case: Case, query: str) -> Iterator[Callable[[bytes], bool]]:
    """Tells of an id of 16 bytes whether it is of a hit of the query; of every one where there is no query.

    Raises as `ask` does.
    """
    if not query:
        yield lambda identity: True
        return
    with _scores(case, case.parse(query)) as score_of:
        yield lambda identity: score_of(identity) is not None


def every_hit(case: Case, query: str) -> Iterator[Hit]:
    """Every hit of a query, texts loaded, sorted by provenance path, for exports; nothing is folded away.

    Raises as `ask` does.
    """
    tree = case.parse(query)
    with _scores(case, tree) as score_of:
        for item, reading in case.catalog.items(lambda identity: score_of(identity) is not None):
            score = score_of(bytes.fromhex(item.id))
            assert score is not None
            texts = tuple(case.texts.of(reading.key, reading.chunks)) if reading else ()
            twins: tuple[str, ...] = ()
            if item.digests and item.size:
                same = case.catalog.same_bytes(item.digests.sha256)
                twins = tuple(each for each in same if each != item.id and score_of(bytes.fromhex(each)) is not None)
            yield replace(make_hit(replace(item, texts=texts), score, tree), duplicates=twins)


@contextmanager
def _scores(case: Case, tree: Query) -> Iterator[Callable[[bytes], float | None]]:
    """Gives the score of an item by the 16 bytes of its id, None where it is no hit of the query.

    They lie on disk where they are many: a million need no memory.
    """
    with closing(sqlite3.connect("")) as database:
        database.execute("PRAGMA journal_mode=OFF")
        database.execute("CREATE TABLE scores (id BLOB PRIMARY KEY, score REAL) WITHOUT ROWID")
        after = ""
        while True:
            _, hits, after = case.index.page(tree, limit=_PAGE, after=after)
            rows = ((bytes.fromhex(identity), score) for identity, score in hits)
            database.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?)", rows)
            if not after or len(hits) < _PAGE:
                break

        def score_of(identity: bytes) -> float | None:
            row = database.execute("SELECT score FROM scores WHERE id = ?", (identity,)).fetchone()
            return float(row[0]) if row else None

        yield score_of
