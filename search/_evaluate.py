"""A query tree answered on one segment of an index: document numbers, each with its score.

The engine gives a segment's postings through `Segment`; all that a query means is decided here, so
that two engines that give the same postings give the same answers and the same scores.

Scores. A term of the text or of a name counts `idf * tf * (K1 + 1) / (tf + K1 * norm)` with
`idf = ln(1 + (N - n + 0.5) / (n + 0.5))` over the live items of the whole index, times the field's boost.
For the text `norm = 1 - B + B * length / PIVOT`, the length being its number of positions; elsewhere
it is 1. The pivot is fixed, not the average length: what else lies in the index then moves a score
only through N and n. A term with a wildcard counts its field's boost, a phrase as its terms together, And
and Or as what matched of them; keywords, whole values, numbers, Every and Not count nothing.

Source: Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond (2009).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol

from search import analysis, schema
from search.tree import And, Every, FuzzyTerm, Not, NumericRange, Or, Phrase, Prefix, Query, Term, Wildcard
from search.tree import Sequence as Row

K1 = 1.2
B = 0.75
PIVOT = 1000.0

Scores = dict[int, float]
Idf = Callable[[str, str], float]
_LEAVES = (Term, Prefix, Wildcard, FuzzyTerm)


class Segment(Protocol):
    """What an engine tells of one segment; fields as in the tree (`name`, `=name`, `exif.model`)."""

    def live(self) -> Collection[int]:
        """The documents that are not deleted."""

    def holding(self, field: str) -> Collection[int]:
        """The live documents that have the field."""

    def postings(self, field: str, term: str) -> dict[int, Sequence[int]]:
        """Live documents with the term; positions ascending, empty for keywords and whole values."""

    def terms(self, field: str, prefix: str) -> Iterable[str]:
        """The field's terms that begin with the prefix."""

    def between(self, query: NumericRange) -> Collection[int]:
        """The live documents with a value in the range."""

    def length(self, document: int) -> int:
        """The number of positions of the document's text."""


def is_scored(field: str) -> bool:
    """Whether terms of the field count towards the score."""
    return not field.startswith("=") and schema.TYPES.get(field, "name") in ("text", "name")


def evaluate(node: Query, segment: Segment, idf: Idf) -> Scores:
    """The segment's live documents that answer the tree, with their scores."""
    if isinstance(node, And):
        return _all(node, segment, idf)
    if isinstance(node, Or):
        found: Scores = {}
        for part in node.subqueries:
            for document, score in evaluate(part, segment, idf).items():
                found[document] = found.get(document, 0.0) + score
        return found
    if isinstance(node, Not):
        return dict.fromkeys(set(segment.live()) - evaluate(node.query, segment, idf).keys(), 0.0)
    if isinstance(node, Every):
        return dict.fromkeys(segment.live() if node.fieldname is None else segment.holding(node.fieldname), 0.0)
    if isinstance(node, NumericRange):
        return dict.fromkeys(segment.between(node), 0.0)
    if isinstance(node, Phrase):
        return _row([Term(node.fieldname, word) for word in node.words], node.slop, segment, idf)
    if isinstance(node, Row):
        return _row(node.subqueries, node.slop, segment, idf)
    if isinstance(node, _LEAVES):
        return _leaf(node, _postings(node, segment), segment, idf)
    raise TypeError(f"no engine knows {type(node).__name__}")


def _all(node: And, segment: Segment, idf: Idf) -> Scores:
    found: Scores | None = None
    for part in (part for part in node.subqueries if not isinstance(part, Not)):
        scores = evaluate(part, segment, idf)
        found = scores if found is None else {doc: found[doc] + scores[doc] for doc in found if doc in scores}
        if not found:
            return {}
    if found is None:
        found = dict.fromkeys(segment.live(), 0.0)
    for part in node.subqueries:
        if isinstance(part, Not):
            for document in evaluate(part.query, segment, idf):
                found.pop(document, None)
    return found


def _leaf(node: Query, postings: dict[int, Sequence[int]], segment: Segment, idf: Idf) -> Scores:
    field = node.fieldname
    if not is_scored(field):
        return dict.fromkeys(postings, 0.0)
    boost = schema.BOOSTS.get(field, 1.0)
    if not isinstance(node, Term):
        return dict.fromkeys(postings, boost)
    weight = boost * idf(field, node.text) * (K1 + 1) if postings else 0.0
    scores: Scores = {}
    for document, places in postings.items():
        norm = 1 - B + B * segment.length(document) / PIVOT if field == "text" else 1.0
        scores[document] = weight * len(places) / (len(places) + K1 * norm)
    return scores


def _postings(node: Query, segment: Segment) -> dict[int, Sequence[int]]:
    """A leaf's documents and positions; those of several terms in one."""
    if isinstance(node, Term):
        return segment.postings(node.fieldname, node.text)
    merged: dict[int, set[int]] = {}
    for term in expand(node, segment):
        for document, places in segment.postings(node.fieldname, term).items():
            merged.setdefault(document, set()).update(places)
    return {document: sorted(places) for document, places in merged.items()}


def expand(node: Query, segment: Segment) -> Iterable[str]:
    """The terms of the segment that a leaf with an open end stands for."""
    if isinstance(node, Prefix):
        return segment.terms(node.fieldname, node.text)
    if isinstance(node, Wildcard):
        literal = node.text[: min(node.text.find(char) % (len(node.text) + 1) for char in "*?\\")]
        pattern = analysis.glob(node.text)
        return (term for term in segment.terms(node.fieldname, literal) if pattern.match(term))
    prefix = node.text[: node.prefixlength]
    terms = segment.terms(node.fieldname, prefix)
    return (term for term in terms if is_near(term, node.text, node.maxdist))


def is_near(one: str, other: str, most: int) -> bool:
    """Whether at most so many letters must be added, dropped, changed or swapped with the next."""
    if abs(len(one) - len(other)) > most:
        return False
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, char in enumerate(one, 1):
        following = [i]
        for j, against in enumerate(other, 1):
            cost = min(row[j] + 1, following[j - 1] + 1, row[j - 1] + (char != against))
            if i > 1 and j > 1 and char == other[j - 2] and one[i - 2] == against:
                cost = min(cost, before[j - 2] + 1)
            following.append(cost)
        if min(following) > most:
            return False
        before, row = row, following
    return row[-1] <= most


Spans = list[tuple[int, int]]
"""First and last position of each occurrence, ascending."""


def join(parts: Sequence[Spans], slop: int) -> Spans:
    """Occurrences of all the parts in order, each 1 to `slop` positions after the end of the one before."""
    found = parts[0]
    known: dict[int, dict[int, list[int]]] = {}  # by the identity of a part: words come again in long phrases
    for part in parts[1:]:
        if not found:
            break
        if slop == 1:
            ends = known.get(id(part))
            if ends is None:
                ends = known[id(part)] = {}
                for start, end in part:
                    ends.setdefault(start, []).append(end)
            found = list(dict.fromkeys((first, end) for first, last in found for end in ends.get(last + 1, ())))
            continue
        joined: set[tuple[int, int]] = set()
        starts = [start for start, _ in part]
        for first, last in found:
            at = bisect_right(starts, last)
            while at < len(part) and starts[at] <= last + slop:
                joined.add((first, part[at][1]))
                at += 1
        found = sorted(joined)
    return found


def _row(parts: Sequence[Query], slop: int, segment: Segment, idf: Idf) -> Scores:
    spans = _spans(parts, slop, segment, None)
    if not spans:
        return {}
    scores = dict.fromkeys(spans, 0.0)
    for part in parts:
        for document, score in evaluate(part, segment, idf).items():
            if document in scores:
                scores[document] += score
    return scores


def _spans(parts: Sequence[Query], slop: int, segment: Segment, within: Collection[int] | None) -> dict[int, Spans]:
    """The documents in which the parts stand in a row, and where."""
    places: list[dict[int, Spans]] = []
    known: dict[Query, dict[int, Spans]] = {}
    for part in parts:
        if isinstance(part, Term) and part in known:
            places.append(known[part])
            continue
        if isinstance(part, Phrase):
            found = _spans([Term(part.fieldname, word) for word in part.words], part.slop, segment, within)
        elif isinstance(part, Row):
            found = _spans(part.subqueries, part.slop, segment, within)
        else:
            found = {
                document: [(place, place) for place in positions]
                for document, positions in _postings(part, segment).items()
                if within is None or document in within
            }
        if not found:
            return {}
        within = found
        places.append(found)
        if isinstance(part, Term):
            known[part] = found
    joined = {document: join([found[document] for found in places], slop) for document in within or ()}
    return {document: spans for document, spans in joined.items() if spans}
