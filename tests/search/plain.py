"""What queries mean, in plain Python over documents in memory: slow, short, and what the engine is held against."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC

from search import analysis, schema
from search.near import Spans, is_near, join
from search.schema import Document
from search.tree import And, Every, FuzzyTerm, Not, NumericRange, Or, Phrase, Prefix, Query, Term, Wildcard
from search.tree import Sequence as Row
from search.units import micros

K1 = 1.2
B = 0.75
PIVOT = 1000.0

Scores = dict[int, float]
Idf = Callable[[str, str], float]
GAP = 256
_LEAVES = (Term, Prefix, Wildcard, FuzzyTerm)


def is_scored(field: str) -> bool:
    """Whether terms of the field count towards the score."""
    return not field.startswith("=") and schema.TYPES.get(field, "name") in ("text", "name")


def evaluate(node: Query, segment: Plain, idf: Idf) -> Scores:
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


def _all(node: And, segment: Plain, idf: Idf) -> Scores:
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


def _leaf(node: Query, postings: dict[int, Sequence[int]], segment: Plain, idf: Idf) -> Scores:
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


def _postings(node: Query, segment: Plain) -> dict[int, Sequence[int]]:
    """A leaf's documents and positions; those of several terms in one."""
    if isinstance(node, Term):
        return segment.postings(node.fieldname, node.text)
    merged: dict[int, set[int]] = {}
    for term in expand(node, segment):
        for document, places in segment.postings(node.fieldname, term).items():
            merged.setdefault(document, set()).update(places)
    return {document: sorted(places) for document, places in merged.items()}


def expand(node: Query, segment: Plain) -> Iterable[str]:
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


def _row(parts: Sequence[Query], slop: int, segment: Plain, idf: Idf) -> Scores:
    spans = spans_of(parts, slop, segment, None)
    if not spans:
        return {}
    scores = dict.fromkeys(spans, 0.0)
    for part in parts:
        for document, score in evaluate(part, segment, idf).items():
            if document in scores:
                scores[document] += score
    return scores


def spans_of(parts: Sequence[Query], slop: int, segment: Plain, within: Collection[int] | None) -> dict[int, Spans]:
    """The documents in which the parts stand in a row, and where."""
    places: list[dict[int, Spans]] = []
    known: dict[Query, dict[int, Spans]] = {}
    for part in parts:
        if isinstance(part, Term) and part in known:
            places.append(known[part])
            continue
        if isinstance(part, Phrase):
            found = spans_of([Term(part.fieldname, word) for word in part.words], part.slop, segment, within)
        elif isinstance(part, Row):
            found = spans_of(part.subqueries, part.slop, segment, within)
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


class Plain:
    """Documents in memory, as an index that is read in one go."""

    def __init__(self, documents: Iterable[Document]) -> None:
        self.documents = list({document.id: document for document in documents}.values())
        self.held: dict[tuple[str, str], dict[int, list[int]]] = {}
        self.numbers: dict[str, list[tuple[float, int]]] = {}
        self.has: dict[str, set[int]] = {}
        self.lengths: list[int] = []
        for number, document in enumerate(self.documents):
            self._add(number, document)

    def _add(self, number: int, document: Document) -> None:
        def place(field: str, values: Iterable[str], *, split: bool) -> int:
            position = length = 0
            for value in values:
                counted: dict[str, list[int]] = {}
                end = analysis.count_positions(value, counted, position, split=split)
                for term, places in counted.items():
                    self.held.setdefault((field, term), {}).setdefault(number, []).extend(places)
                length += end - position
                position = end + GAP
            return length

        def has(field: str) -> None:
            self.has.setdefault(field, set()).add(number)

        def whole(field: str, value: str) -> None:
            self.held.setdefault((f"={field}", analysis.whole(value)), {})[number] = []
            if schema.TYPES.get(field) == "keyword":
                self.held.setdefault((field, analysis.whole(value)), {})[number] = []

        def count(field: str, value: float) -> None:
            if math.isfinite(value):
                self.numbers.setdefault(field, []).append((float(value), number))

        whole("id", document.id)
        self.lengths.append(place("text", document.texts, split=False))
        if document.texts:
            has("text")
        for field, value in (("name", document.name), ("path", document.path)):
            if value:
                has(field)
                whole(field, value)
                place(field, [value], split=True)
        if document.size is not None:
            has("size")
            count("size", document.size)
        values: dict[str, list[str]] = {}
        said: list[str] = []
        for raw, given in document.fields:
            field = schema.key(raw)
            text = str(given).lower() if isinstance(given, bool) else str(given)
            has(field)
            whole(field, text)
            if schema.TYPES.get(field) != "keyword":
                values.setdefault(field, []).append(text)
                if isinstance(given, str) and schema.speaks(field):
                    said.append(text)
                if not isinstance(given, bool) and isinstance(given, int | float):
                    count(field, float(given))
                elif analysis.reads_as_number(text):
                    count(field, float(text))
        if said:
            has("meta")
            values["meta"] = list(dict.fromkeys(said))
        for field, texts in values.items():
            place(field, texts, split=True)
        for kind, at in document.times:
            field = schema.key(schema.KINDS.get(kind, kind))
            for name in (field, "date"):
                has(name)
                count(name, micros(at.astimezone(UTC)))

    def live(self) -> list[int]:
        return list(range(len(self.documents)))

    def holding(self, field: str) -> Collection[int]:
        return self.has.get(field, set())

    def postings(self, field: str, term: str) -> dict[int, Sequence[int]]:
        return dict(self.held.get((field, term), {}))

    def terms(self, field: str, prefix: str) -> Iterable[str]:
        return [term for name, term in self.held if name == field and term.startswith(prefix)]

    def between(self, query: NumericRange) -> Collection[int]:
        low = -math.inf if query.start is None else query.start
        high = math.inf if query.end is None else query.end
        return {
            number
            for value, number in self.numbers.get(query.fieldname, ())
            if (low < value or (low == value and not query.startexcl))
            and (value < high or (value == high and not query.endexcl))
        }

    def length(self, document: int) -> int:
        return self.lengths[document]

    def idf(self, field: str, term: str) -> float:
        holding = len(self.postings(field, term))
        return math.log(1 + (len(self.documents) - holding + 0.5) / (holding + 0.5))

    def answer(self, tree: Query) -> dict[str, float]:
        """The ids that answer, with their scores."""
        return {self.documents[at].id: round(score, 6) for at, score in evaluate(tree, self, self.idf).items()}
