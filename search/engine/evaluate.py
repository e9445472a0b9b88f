"""A query tree answered on segments, in arrays.

Every node becomes `Found`: the live documents that answer it, int64 ascending, and float64 scores beside them,
or None where nothing counts. Joins of few documents go by binary search, joins of many by one array of the
segment's size: O(documents found + segment / 8). Phrases are joins of places: the list of each word, moved
back by its place in the phrase, O(k log n) for the k places of the rarest word.

Scores. A term of the text or of a name counts `idf * tf * (K1 + 1) / (tf + K1 * norm)` with
`idf = ln(1 + (N - n + 0.5) / (n + 0.5))` over the live items of the whole index, times the field's boost.
For the text `norm = 1 - B + B * length / PIVOT`, the length being its number of positions; elsewhere
it is 1. The pivot is fixed, not the average length: what else lies in the index then moves a score
only through N and n. A term with a wildcard counts its field's boost, a phrase as its terms together, And
and Or as what matched of them; keywords, whole values, numbers, Every and Not count nothing.

Source: Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond (2009).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from whoosh.query import AndNot, Regex, Require, TermRange
from whoosh.query.terms import PatternQuery

from search import schema
from search.engine.codes import spread
from search.engine.expand import expand
from search.engine.layout import PLACED
from search.engine.question import K1, Question, View, physical
from search.engine.read import distinct, runs
from search.tree import And, Every, FuzzyTerm, Not, NumericRange, Or, Phrase, Prefix, Query, Term, field_of
from search.tree import Sequence as Row

Array = NDArray[Any]

_MANY = 64  # terms of an Or that are asked for together
_BATCH = 1 << 20  # numbers of lists that are decoded together

_OPEN = (Prefix, PatternQuery, FuzzyTerm, TermRange, Regex)


class Found(NamedTuple):
    """Documents, ascending, and their scores; None: all count nothing."""

    documents: Array
    scores: Array | None


_NOTHING = Found(np.zeros(0, np.int64), None)


def is_scored(field: str) -> bool:
    """Whether terms of the field count towards the score."""
    return not field.startswith("=") and schema.TYPES.get(field, "name") in ("text", "name")


def evaluate(node: Query, view: View, ask: Question) -> Found:
    """The view's live documents that answer the tree.

    Raises:
        QueryError: it takes too long.
        StoreError: the index is damaged.
    """
    ask.check_time()
    for kind, answer in _ANSWERS:
        if isinstance(node, kind):
            found = answer(node, view, ask)
            boost = getattr(node, "boost", 1.0)
            if boost != 1.0 and found.scores is not None:
                found = Found(found.documents, found.scores * boost)
            return found
    return Found(*ask.by_matchers(node, view))


# -- joins


def _all(node: And, view: View, ask: Question) -> Found:
    found: Found | None = None
    for part in (part for part in node.subqueries if not isinstance(part, Not)):
        other = evaluate(part, view, ask)
        found = other if found is None else _both(found, other, view.count)
        if not len(found.documents):
            return _NOTHING
    if found is None:
        found = Found(view.live(), None)
    for part in node.subqueries:
        if isinstance(part, Not):
            keep = ~_member(found.documents, evaluate(part.query, view, ask).documents, view.count)
            found = Found(found.documents[keep], None if found.scores is None else found.scores[keep])
    return found


def _and_not(node: AndNot, view: View, ask: Question) -> Found:
    return _all(And([node.a, Not(node.b)]), view, ask)  # whoosh's own looks past the first document


def _require(node: Require, view: View, ask: Question) -> Found:
    documents, scores = evaluate(node.a, view, ask)  # whoosh's own excludes what it should require
    keep = _member(documents, evaluate(node.b, view, ask).documents, view.count)
    return Found(documents[keep], None if scores is None else scores[keep])


def _member(documents: Array, others: Array, size: int) -> Array:
    """Which of the documents are among the others."""
    if not len(documents) or not len(others):
        return np.zeros(len(documents), bool)
    if len(documents) * 32 < len(others):
        at = np.searchsorted(others, documents)
        return others[np.minimum(at, len(others) - 1)] == documents
    mask = np.zeros(size, bool)
    mask[others] = True
    return mask[documents]


def _both(one: Found, other: Found, size: int) -> Found:
    if len(one.documents) <= len(other.documents):
        keep = _member(one.documents, other.documents, size)
        documents = one.documents[keep]
        first = None if one.scores is None else one.scores[keep]
        second = _scores_at(other, documents)
    else:
        keep = _member(other.documents, one.documents, size)
        documents = other.documents[keep]
        first = _scores_at(one, documents)
        second = None if other.scores is None else other.scores[keep]
    if first is None or second is None:
        return Found(documents, second if first is None else first)
    return Found(documents, first + second)


def _scores_at(found: Found, documents: Array) -> Array | None:
    """The scores of documents that are all among those found."""
    return None if found.scores is None else found.scores[np.searchsorted(found.documents, documents)]


def _any(node: Or, view: View, ask: Question) -> Found:
    if getattr(node, "minmatch", 0) > 1:
        return Found(*ask.by_matchers(node, view))
    parts: list[Found] = []
    rest = list(node.subqueries)
    if len(rest) > _MANY:
        terms: dict[str, list[Term]] = {}
        for part in rest:
            if type(part) is Term and part.boost == 1.0:
                terms.setdefault(part.fieldname, []).append(part)
        rest = [part for part in rest if type(part) is not Term or part.boost != 1.0]
        parts = [_many_terms(field, group, view, ask) for field, group in terms.items()]
    parts += [evaluate(part, view, ask) for part in rest]
    return join_any(parts, view.count)


def join_any(parts: Sequence[Found], size: int) -> Found:
    """The documents of any part, scores added in the order of the parts."""
    parts = [part for part in parts if len(part.documents)]
    if len(parts) < 2:
        return parts[0] if parts else _NOTHING
    scored = any(part.scores is not None for part in parts)
    if sum(len(part.documents) for part in parts) * 16 < size:
        documents = np.unique(np.concatenate([part.documents for part in parts]))
        if not scored:
            return Found(documents, None)
        sums = np.zeros(len(documents))
        for part in parts:
            if part.scores is not None:
                sums[np.searchsorted(documents, part.documents)] += part.scores
        return Found(documents, sums)
    mask = np.zeros(size, bool)
    dense = np.zeros(size if scored else 0)
    for part in parts:
        mask[part.documents] = True
        if part.scores is not None:
            dense[part.documents] += part.scores
    documents = np.flatnonzero(mask)
    return Found(documents, dense[documents] if scored else None)


def _not(node: Not, view: View, ask: Question) -> Found:
    mask = np.zeros(view.count, bool)
    mask[view.live()] = True
    mask[evaluate(node.query, view, ask).documents] = False
    return Found(np.flatnonzero(mask), None)


# -- leaves


def _term(node: Term, view: View, ask: Question) -> Found:
    field, text = node.fieldname, _text(node.text)
    name, start = physical(field)
    documents, times = view.postings(name, start + text)
    if not is_scored(field) or not len(documents):
        return Found(documents, None)
    return Found(documents, _weigh(field, ask.idf(field, text), documents, times, view))


def _weigh(field: str, idf: float | Array, documents: Array, times: Array, view: View) -> Array:
    weight = schema.BOOSTS.get(field, 1.0) * idf * (K1 + 1)
    weighed: Array = weight * times / (times + (view.norms[documents] if field == "text" else K1))
    return weighed


def _many_terms(field: str, terms: Sequence[Term], view: View, ask: Question) -> Found:
    """Many terms of one field at once."""
    name, start = physical(field)
    lexicon = view.segment.lexicons[name]
    asked: dict[str, int] = {}
    for term in terms:
        asked[_text(term.text)] = asked.get(_text(term.text), 0) + 1
    texts = sorted(asked)
    numbers = lexicon.find_all([(start + text).encode() for text in texts])
    held = np.flatnonzero(numbers >= 0)
    if not is_scored(field):
        return _documents_of(numbers[held], name, view, ask)
    _learn_idfs(field, texts, ask)
    weights = np.array([ask.idf(field, text) * asked[text] for text in texts])[held]
    sums = np.zeros(view.count)
    mask = np.zeros(view.count, bool)
    for part in _batches(numbers[held], lexicon):
        ask.check_time()
        of, documents, times = _entries(numbers[held[part]], name, view)
        scores = _weigh(field, weights[part][of], documents, times, view)
        sums += np.bincount(documents, scores, minlength=view.count)
        mask[documents] = True
    documents = np.flatnonzero(mask)
    return Found(documents, sums[documents])


def _entries(numbers: Array, name: str, view: View) -> tuple[Array, Array, Array]:
    """For each term and each live document with it: which term, which document, how often."""
    lexicon = view.segment.lexicons[name]
    of = np.repeat(np.arange(len(numbers)), lexicon.counts_of(numbers))
    documents = view.segment.places(name).documents(lexicon.values_of(numbers))
    keys, times = runs(of * view.count + documents)
    of, documents = np.divmod(keys, max(1, view.count))
    alive = view.alive(documents)
    return of[alive], documents[alive], times[alive]


def _learn_idfs(field: str, texts: Sequence[str], ask: Question) -> None:
    """Count for many terms at once how many live documents have each."""
    if all(ask.knows(field, text) for text in texts):
        return
    name, start = physical(field)
    holding = np.zeros(len(texts), np.int64)
    for view in ask.views:
        lexicon = view.segment.lexicons[name]
        numbers = lexicon.find_all([(start + text).encode() for text in texts])
        held = np.flatnonzero(numbers >= 0)
        if view.dead is None:
            holding[held] += lexicon.documents_of(numbers[held])
            continue
        for part in _batches(numbers[held], lexicon):
            ask.check_time()
            of, _, _ = _entries(numbers[held[part]], name, view)
            holding[held[part]] += np.bincount(of, minlength=len(held[part]))
    ask.learn(field, texts, holding.tolist())


def _batches(numbers: Array, lexicon: Any) -> list[slice]:
    """Slices of the terms whose lists are decoded together."""
    ends = np.cumsum(lexicon.counts_of(numbers)) if len(numbers) else np.zeros(0, np.int64)
    cuts = np.searchsorted(ends, np.arange(_BATCH, int(ends[-1]) + _BATCH if len(ends) else 0, _BATCH), "right")
    edges = sorted({0, *cuts.tolist(), len(numbers)})
    return [slice(a, b) for a, b in pairwise(edges)]


def _documents_of(numbers: Array, name: str, view: View, ask: Question) -> Found:
    """The live documents with any of the terms."""
    lexicon = view.segment.lexicons[name]
    parts = _batches(numbers, lexicon)
    gathered: list[Array] = []
    mask = np.zeros(view.count if len(parts) > 1 else 0, bool)
    for part in parts:
        ask.check_time()
        values = lexicon.values_of(numbers[part])
        documents = view.segment.places(name).documents(values) if name in PLACED else values
        if len(mask):
            mask[documents] = True
        else:
            gathered.append(distinct(documents, view.count))
    documents = np.flatnonzero(mask) if len(mask) else gathered[0] if gathered else _NOTHING.documents
    return Found(documents[view.alive(documents)], None)


def _open(node: Query, view: View, ask: Question) -> Found:
    field = node.fieldname
    name, start = physical(field)
    known = view.segment.beginning(name, start + _text(node.text)) if type(node) is Prefix else None
    if known is None:
        documents = _documents_of(expand(node, view.segment.lexicons[name], start, ask), name, view, ask).documents
    else:
        documents = known[view.alive(known)]
    if not is_scored(field):
        return Found(documents, None)
    return Found(documents, np.full(len(documents), schema.BOOSTS.get(field, 1.0)))


def _every(node: Every, view: View, ask: Question) -> Found:
    if node.fieldname is None:
        return Found(view.live(), None)
    return Found(view.postings("has", node.fieldname)[0], None)


def _range(node: NumericRange, view: View, ask: Question) -> Found:
    names = [node.fieldname]
    if node.fieldname == "date":
        names += view.segment.date_names()
    documents = np.concatenate([_between(node, view, name) for name in names])
    documents = distinct(documents, view.count)
    return Found(documents[view.alive(documents)], None)


def _between(node: NumericRange, view: View, name: str) -> Array:
    values, documents = view.segment.numbers(name)
    low = -math.inf if node.start is None else float(node.start)
    high = math.inf if node.end is None else float(node.end)
    start = int(np.searchsorted(values, low, "right" if node.startexcl else "left"))
    end = int(np.searchsorted(values, high, "left" if node.endexcl else "right"))
    return documents[start:end].astype(np.int64)


# -- rows of places

Spans = tuple[Array, Array]
"""Where occurrences begin and end, both included, ordered by beginning, then by end."""


def _phrase(node: Phrase | Row, view: View, ask: Question) -> Found:
    field = field_of(node)
    name, _ = physical(field)
    plain = type(node) in (Row, Phrase) and getattr(node, "ordered", True)
    if name not in PLACED or not plain or _mixed(node, field):
        return Found(*ask.by_matchers(node, view))
    spans = find_spans(node, view, ask)
    if not len(spans[0]):
        return _NOTHING
    documents = distinct(view.segment.places(name).documents(spans[0]), view.count)
    documents = documents[view.alive(documents)]
    return Found(documents, _row_scores(node, name, documents, view, ask))


def _mixed(node: Query, field: str) -> bool:
    """Whether a row holds another field, or something that has no places here."""
    if isinstance(node, Row):
        return any(_mixed(part, field) for part in node.subqueries)
    return not isinstance(node, (Term, Phrase, *_OPEN)) or node.fieldname != field


def _parts(node: Phrase | Row) -> list[Query]:
    return [Term(node.fieldname, _text(word)) for word in node.words] if isinstance(node, Phrase) else node.subqueries


def _row_scores(node: Query, name: str, documents: Array, view: View, ask: Question) -> Array:
    """What a row counts in documents that hold it."""
    if isinstance(node, Phrase | Row):
        sums = np.zeros(len(documents))
        for part in _parts(node):
            sums += _row_scores(part, name, documents, view, ask)
        return sums * node.boost
    if not isinstance(node, Term):
        return np.full(len(documents), schema.BOOSTS.get(node.fieldname, 1.0) * node.boost)
    values = view.places_of(name, physical(node.fieldname)[1] + _text(node.text))
    starts, ends = view.segment.places(name).bounds(documents)
    times = np.searchsorted(values, ends) - np.searchsorted(values, starts)
    return _weigh(node.fieldname, ask.idf(node.fieldname, _text(node.text)), documents, times, view) * node.boost


def find_spans(node: Query, view: View, ask: Question) -> Spans:
    """Where a term, an open one or a row of these stands, deleted documents included."""
    ask.check_time()
    name, start = physical(field_of(node))
    if isinstance(node, Phrase | Row):
        return _row_spans(node, name, view, ask)
    if isinstance(node, Term):
        values = view.places_of(name, start + _text(node.text))
    else:
        numbers = expand(node, view.segment.lexicons[name], start, ask)
        values = np.unique(view.segment.lexicons[name].values_of(numbers))
    return values, values


def _row_spans(node: Phrase | Row, name: str, view: View, ask: Question) -> Spans:
    each: list[Spans] = []
    for part in _parts(node):
        spans = find_spans(part, view, ask)
        if not len(spans[0]):
            return spans
        each.append(spans)
    passages = view.segment.places(name).passages
    if node.slop == 1 and all(starts is ends for starts, ends in each):
        return _consecutive([starts for starts, _ in each], passages)
    found = each[0]
    for part_spans in each[1:]:
        ask.check_time()
        found = join(found, part_spans, node.slop, passages)
    return found


def _consecutive(lists: list[Array], passages: Array) -> Spans:
    """Places where every list has the next place."""
    order = sorted(range(len(lists)), key=lambda at: len(lists[at]))
    found = lists[order[0]] - order[0]
    for at in order[1:]:
        wanted, held = found + at, lists[at]
        place = np.searchsorted(held, wanted)
        place[place == len(held)] = 0
        found = found[held[place] == wanted]
    last = found + (len(lists) - 1)
    same = np.searchsorted(passages, found, "right") == np.searchsorted(passages, last, "right")
    return found[same], last[same]


def join(one: Spans, other: Spans, slop: int, passages: Array) -> Spans:
    """Occurrences of one and then the other, which begins 1 to `slop` places after, in the same passage."""
    (firsts, lasts), (starts, ends) = one, other
    low, high = np.searchsorted(starts, lasts, "right"), np.searchsorted(starts, lasts + slop, "right")
    which, at = np.repeat(np.arange(len(firsts)), high - low), spread(low, high - low)
    same = starts[at] < passages[np.searchsorted(passages, lasts[which], "right")]
    firsts, ends = firsts[which[same]], ends[at[same]]
    order = np.lexsort((ends, firsts))
    firsts, ends = firsts[order], ends[order]
    fresh = np.ones(len(firsts), bool)
    fresh[1:] = (firsts[1:] != firsts[:-1]) | (ends[1:] != ends[:-1])
    return firsts[fresh], ends[fresh]


def _text(text: str | bytes) -> str:
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else text


_ANSWERS: tuple[tuple[Any, Callable[[Any, View, Question], Found]], ...] = (
    (And, _all), (Or, _any), (Not, _not), (Row, _phrase), (Term, _term), (_OPEN, _open), (Phrase, _phrase),
    (NumericRange, _range), (Every, _every), (AndNot, _and_not), (Require, _require),
)  # fmt: skip
