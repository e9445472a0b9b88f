"""The same segments through whoosh's own reader interface, so that any of its queries works on them.

    Reader     whoosh.reading.IndexReader over one view: terms, postings, lengths, ids as the only stored field
    Listing    a matcher over one list, with positions for whoosh's spans
    adapted    the tree as whoosh's matchers answer it: what has no terms here (numbers, the presence of a field)
               and what stands for many terms becomes one list each; all joins stay whoosh's

Positions are those of the field's row of places, with `GAP` more at each new passage. This path is plain Python,
one document at a time: it serves nodes that `evaluate` does not know, and the test that both paths agree.
"""

from __future__ import annotations

from collections import abc
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from whoosh import fields, formats, matching, scoring
from whoosh.query import Query as WhooshQuery
from whoosh.query import Regex, TermRange
from whoosh.query.terms import PatternQuery
from whoosh.reading import IndexReader, TermInfo, TermNotFound
from whoosh.searching import Searcher

from search import schema
from search.engine import evaluate as arrays
from search.engine.expand import expand
from search.engine.layout import PLACED
from search.engine.question import K1, Question, View, physical
from search.tree import Every, FuzzyTerm, Not, NumericRange, Phrase, Query, Sequence, Term

Array = NDArray[Any]

GAP = 256
"""Positions between two passages: more than any phrase may reach over."""
_OPEN = (PatternQuery, FuzzyTerm, TermRange, Regex)


class _Places(formats.Positions):  # type: ignore[misc] # whoosh has no types
    """Positions that are lists already."""

    def decode_positions(self, value: list[int]) -> list[int]:
        return value


class _Field(fields.FieldType):  # type: ignore[misc] # the same
    """A field whose terms are made by our own analysis."""

    analyzer = vector = column_type = None
    scorable = stored = unique = False

    def __init__(self, form: formats.Format) -> None:
        self.format = form

    def index(self, value: object, **_: object) -> Iterator[Any]:
        raise NotImplementedError("documents come in by way of the index")


_PLACED, _LISTED = _Field(_Places()), _Field(formats.Existence())


class Schema(fields.Schema):  # type: ignore[misc] # the same
    """Every field there can be: those of `search.schema`, and any that a handler yields."""

    def __contains__(self, name: str) -> bool:
        return True

    def __getitem__(self, name: str) -> _Field:
        return _PLACED if physical(name)[0] in PLACED else _LISTED


class Reader(IndexReader):  # type: ignore[misc] # the same
    """One view, as whoosh reads it."""

    def __init__(self, view: View, generation: int = -1) -> None:
        self.view = view
        self.schema = Schema()
        self.is_closed = False
        self._generation = generation

    def __contains__(self, term: tuple[str, bytes | str]) -> bool:
        name, key = self._key(*term)
        return self.view.segment.lexicons[name].find(key.encode()) >= 0

    def _key(self, field: str, text: bytes | str) -> tuple[str, str]:
        name, start = physical(field)
        return name, start + (text.decode("utf-8", "replace") if isinstance(text, bytes) else text)

    def generation(self) -> int:
        """The generation of the index."""
        return self._generation

    def indexed_field_names(self) -> list[str]:
        """The names of all fields that hold terms."""
        names = {term.decode().partition("\0")[0] for term in self.view.segment.matching("has", "")}
        whole = {term.decode().partition("\0")[0] for term in self.view.segment.matching("whole", "")}
        return sorted(names | whole)

    def all_terms(self) -> Iterator[tuple[str, bytes]]:
        """Every field with every term."""
        for field in self.indexed_field_names():
            for term in self.lexicon(field):
                yield field, term

    def lexicon(self, field: str) -> Iterator[bytes]:
        """The terms of a field."""
        return self.expand_prefix(field, b"")

    def expand_prefix(self, field: str, prefix: bytes | str) -> Iterator[bytes]:
        """The terms of a field that begin with the prefix."""
        name, key = self._key(field, prefix)
        skip = len(physical(field)[1].encode())
        return (term[skip:] for term in self.view.segment.matching(name, key))

    def terms_from(self, field: str, prefix: bytes | str) -> Iterator[tuple[str, bytes]]:
        """The terms of a field from this one on."""
        name, start = physical(field)
        lexicon = self.view.segment.lexicons[name]
        first, last = lexicon.lower(self._key(field, prefix)[1].encode()), lexicon.prefixed(start.encode())[1]
        skip = len(start.encode())
        return (
            (field, term[skip:]) for at in range(first, last, 4096) for term in lexicon.terms(at, min(last, at + 4096))
        )

    def iter_from(self, field: str, text: bytes | str) -> Iterator[tuple[tuple[str, bytes], TermInfo]]:
        """The same with what is known of each."""
        for name, term in self.terms_from(field, text):
            yield (name, term), self.term_info(name, term)

    def __iter__(self) -> Iterator[tuple[tuple[str, bytes], TermInfo]]:
        for field, term in self.all_terms():
            yield (field, term), self.term_info(field, term)

    def known_of(self, field: str, text: bytes | str) -> TermInfo:
        """How many documents hold the term, and how often."""
        documents, times = self._postings(field, text)
        if not len(documents):
            if (field, text) not in self:
                raise TermNotFound(f"{field}:{text!r}")
            return TermInfo(0, 0, 0, 0, 0, 0, 0)  # all its documents are deleted
        weight, top = (float(times.sum()), float(times.max())) if len(times) else (float(len(documents)), 1.0)
        return TermInfo(weight, len(documents), 0, 0xFFFFFFFF, top, int(documents[0]), int(documents[-1]))

    term_info = known_of

    def _postings(self, field: str, text: bytes | str) -> tuple[Array, Array]:
        return self.view.postings(*self._key(field, text))

    def doc_frequency(self, field: str, text: bytes | str) -> int:
        """How many live documents hold the term."""
        return len(self._postings(field, text)[0])

    def frequency(self, field: str, text: bytes | str) -> float:
        """How often the term stands in live documents."""
        documents, times = self._postings(field, text)
        return float(times.sum()) if len(times) else float(len(documents))

    def has_deletions(self) -> bool:
        """Whether documents are deleted."""
        return self.view.dead is not None

    def is_deleted(self, document: int) -> bool:
        """Whether the document is deleted."""
        return self.view.dead is not None and bool(self.view.dead[document])

    def all_doc_ids(self) -> Iterator[int]:
        """The live documents."""
        return iter(self.view.live().tolist())

    def doc_count_all(self) -> int:
        """The number of documents, deleted ones too."""
        return self.view.count

    def doc_count(self) -> int:
        """The number of live documents."""
        return self.view.live_count

    def stored_fields(self, document: int) -> dict[str, str]:
        """The id."""
        return {"id": self.view.segment.ids(np.array([document]))[0]}

    def doc_field_length(self, document: int, field: str, default: int = 0) -> int:
        """The number of positions of a field in a document."""
        if field not in PLACED:
            return default
        return int(self.view.segment.places(field).lengths[document])

    def field_length(self, field: str) -> int:
        """The number of positions of a field in live documents."""
        return int(self.view.segment.places(field).lengths[self.view.live()].sum()) if field in PLACED else 0

    def min_field_length(self, field: str) -> int:
        """The fewest positions of a field."""
        return int(self.view.segment.places(field).lengths.min(initial=0)) if field in PLACED else 0

    def max_field_length(self, field: str) -> int:
        """The most positions of a field."""
        return int(self.view.segment.places(field).lengths.max(initial=0)) if field in PLACED else 0

    def has_vector(self, document: int, field: str) -> bool:
        """Never: texts are read again for highlights."""
        return False

    def codec(self) -> None:
        """None: the files are our own."""
        return

    def close(self) -> None:
        """Nothing is held."""
        self.is_closed = True

    def postings(self, field: str, text: bytes | str, scorer: Any = None) -> matching.Matcher:
        """A matcher over the live documents with the term."""
        documents, times = self._postings(field, text)
        if not len(documents):
            if (field, text) not in self:
                raise TermNotFound(f"{field}:{text!r}")
            return matching.NullMatcher()
        name, key = self._key(field, text)
        positions = _positions(self.view, name, self.view.places_of(name, key)) if name in PLACED else None
        weights = times.tolist() if len(times) else [1.0] * len(documents)
        return Listing(documents.tolist(), weights, positions, scorer, (field, text))


def _positions(view: View, name: str, places: Array) -> dict[int, list[int]]:
    """The positions of places, by document."""
    held = view.segment.places(name)
    spaced = places + GAP * np.searchsorted(held.passages, places, "right")
    out: dict[int, list[int]] = {}
    for document, position in zip(held.documents(places).tolist(), spaced.tolist(), strict=True):
        out.setdefault(document, []).append(position)
    return out


class Listing(matching.ListMatcher):  # type: ignore[misc] # the same
    """Documents with weights, positions and a scorer."""

    def __init__(
        self,
        documents: list[int],
        weights: list[float],
        positions: dict[int, list[int]] | None,
        scorer: Any,
        term: Any = None,
        position: int = 0,
    ) -> None:
        values = None if positions is None else [positions[document] for document in documents]
        super().__init__(documents, weights, values, _PLACED.format, scorer, position, term=term)
        self._positions = positions

    def copy(self) -> Listing:
        """Another that stands at the same document."""
        return Listing(self._ids, self._weights, self._positions, self._scorer, self._term, self._i)

    def value_as(self, form: str) -> list[int]:
        """The positions; nothing else is kept."""
        return list(self._values[self._i]) if self._values else []

    def supports(self, form: str) -> bool:
        """Whether positions are kept."""
        return form == "positions" and self._values is not None

    def weight(self) -> float:
        """The weight in this document."""
        return float(self._weights[self._i])

    def score(self) -> float:
        """What the document counts."""
        return float(self._scorer.score(self)) if self._scorer else self.weight()

    def supports_block_quality(self) -> bool:
        """No: every document is looked at."""
        return False


class Weighting(scoring.WeightingModel):  # type: ignore[misc] # the same
    """The scores of `evaluate`."""

    def __init__(self, view: View, ask: Question) -> None:
        self.view = view
        self.ask = ask

    def scorer(self, searcher: Searcher, field: str, text: bytes, qf: float = 1) -> scoring.BaseScorer:
        """What a term counts."""
        if not arrays.is_scored(field):
            return _Scorer(0.0, None)
        idf = self.ask.idf(field, text.decode("utf-8", "replace") if isinstance(text, bytes) else text)
        weight = schema.BOOSTS.get(field, 1.0) * idf * (K1 + 1)
        return _Scorer(weight, self.view.norms if field == "text" else None)


class _Scorer(scoring.BaseScorer):  # type: ignore[misc] # the same
    def __init__(self, weight: float, norms: Array | None) -> None:
        self.weight = weight
        self.norms = norms

    def score(self, matcher: matching.Matcher) -> float:
        times = matcher.weight()
        return float(self.weight * times / (times + (K1 if self.norms is None else self.norms[matcher.id()])))


class _Listed(WhooshQuery):  # type: ignore[misc] # the same
    """A part of a tree that is one list of documents."""

    boost = 1.0

    def __init__(self, field: str, documents: Array, weight: float, positions: dict[int, list[int]] | None) -> None:
        self.fieldname = field
        self._held = documents.tolist(), weight, positions

    def matcher(self, searcher: Searcher, context: Any = None) -> matching.Matcher:
        documents, weight, positions = self._held
        if not documents:
            return matching.NullMatcher()
        return Listing(documents, [weight] * len(documents), positions, None, (self.fieldname, b""))

    def estimate_size(self, reader: IndexReader) -> int:
        return len(self._held[0])

    estimate_min_size = estimate_size

    def field(self) -> str:
        return self.fieldname


def adapted(node: Query, view: View, ask: Question) -> Query:
    """The tree with what whoosh's matchers cannot find here as lists."""
    if isinstance(node, Not):  # whoosh's own scores what it does not exclude
        keep = np.setdiff1d(view.live(), matched(adapted(node.query, view, ask), view, ask)[0])
        return _Listed("", keep, 0.0, None)
    if isinstance(node, NumericRange | Every):
        return _Listed(node.fieldname or "", arrays.evaluate(node, view, ask).documents, 0.0, None)
    if isinstance(node, _OPEN):
        return _opened(node, view, ask)
    if isinstance(node, Term | Phrase) or node.is_leaf():
        return node
    made = node.apply(lambda part: adapted(part, view, ask))
    if isinstance(node, Sequence):  # which `apply` leaves out
        made.slop, made.ordered = node.slop, node.ordered
    return made


def _opened(node: Query, view: View, ask: Question) -> Query:
    field = node.fieldname
    name, start = physical(field)
    lexicon = view.segment.lexicons[name]
    values = np.unique(lexicon.values_of(expand(node, lexicon, start, ask)))
    weight = schema.BOOSTS.get(field, 1.0) * node.boost if arrays.is_scored(field) else 0.0
    if name not in PLACED:
        return _Listed(field, values[view.alive(values)], weight, None)
    documents = np.unique(view.segment.places(name).documents(values))
    return _Listed(field, documents[view.alive(documents)], weight, _positions(view, name, values))


def matched(tree: Query, view: View, ask: Question) -> tuple[Array, Array]:
    """The documents and scores of a tree, by whoosh's matchers alone."""
    documents: list[int] = []
    scores: list[float] = []
    searcher = Searcher(Reader(view), weighting=Weighting(view, ask))
    matcher = tree.matcher(searcher, searcher.boolean_context().set(weighting=searcher.weighting, needs_current=True))
    while matcher.is_active():
        if not len(documents) % 4096:
            ask.check_time()
        document = matcher.id()
        if view.dead is None or not view.dead[document]:
            documents.append(document)
            scores.append(matcher.score())
        matcher.next()
    return np.array(documents, np.int64), np.array(scores, np.float64)


def by_matchers(node: Query, view: View, ask: Question) -> tuple[Array, Array]:
    """A node's answer, found by whoosh's matchers."""
    return matched(adapted(node, view, ask), view, ask)


def readers(views: abc.Sequence[View], generation: int) -> IndexReader:
    """One reader over all views."""
    from whoosh.reading import MultiReader

    each = [Reader(view, generation) for view in views]
    if len(each) == 1:
        return each[0]
    return MultiReader(each, generation)
