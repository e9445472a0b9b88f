"""Hits with their highlights: where in an item the query's words stand, marked exactly.

The item's own text is analysed again, with the rules it was indexed by, so that every mark is an
offset into the text as it was read, however it was composed or widened there.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC
from functools import cache
from itertools import islice
from typing import NamedTuple

from indexer.model import Field, Highlight, Hit, Item, Text, print_time
from search import analysis, schema
from search.near import is_near, join
from search.tree import Every, FuzzyTerm, Not, NumericRange, Phrase, Prefix, Query, Term, Wildcard, field_of
from search.tree import Sequence as Row
from search.units import micros, number_of

WIDTH = 160
"""About how many characters of text a highlight shows."""
_REACH = 24  # how far an end moves to fall between words
_MOST_READ = 4_000_000  # characters of one item that are read for marks
_MOST_SHOWN = 2_000  # of one highlight, however long the phrase in it
_ENDS = frozenset(" \t\r\n\v\f.,;:!?()[]{}\"'/\\|<>。，、；：！？「」『』（）《》【】・…\u3000")

Span = tuple[int, int]


class _Mark(NamedTuple):
    start: int
    end: int
    node: int  # which of the query's leaves it answers


def make_hit(item: Item, score: float, tree: Query, *, limit: int = 3) -> Hit:
    """The hit for an item whose texts are loaded, with the best `limit` passages of its text."""
    place = str(item.provenance)
    marked = highlight(tree, item.texts, name=item.name, path=place, fields=item.fields, limit=limit)
    return Hit(item, score, (*marked, *_measured(tree, item, limit)))


def highlight(
    tree: Query,
    texts: Sequence[Text],
    *,
    name: str = "",
    path: str = "",
    fields: Sequence[Field] = (),
    limit: int = 3,
) -> tuple[Highlight, ...]:
    """The marked passages: of the text the best `limit`, best first, then name, path and fields.

    Of what is asked for in any field, `limit` passages too, of words that the others do not show.

    A passage that answers more parts of the query is better; of equals, the earlier one.
    """
    nodes: dict[str, list[Query]] = {}
    for node in leaves(tree):
        nodes.setdefault(field_of(node), []).append(node)
    found: list[tuple[int, int, int, Highlight]] = []
    left = _MOST_READ
    if "text" in nodes:
        for order, text in enumerate(texts):
            body = text.body[:left]
            for marks in _windows(_marks(nodes["text"], body, split=False)):
                passage = _cut(body, marks, text.locator)
                found.append((-len({mark.node for mark in marks}), -len(marks), order, passage))
            left -= len(body)
            if left <= 0:
                break
    found.sort(key=lambda entry: entry[:3])
    shown = [entry[3] for entry in found[:limit]]
    values = [("name", name), ("path", path), *((schema.key(field.name), str(field.value)) for field in fields)]
    for field, value in values:
        marks = _marks(nodes.get(field, ()), value, split=True)
        if any(_matches_whole(node, value) for node in nodes.get(f"={field}", ())):
            marks = [_Mark(0, len(value), 0)]
        if marks:
            shown.append(Highlight(field, value, _merge(marks)))
    shown += islice(_said(nodes.get(schema.META, ()), fields, shown), limit)
    return tuple(shown)


def _said(nodes: Sequence[Query], fields: Sequence[Field], shown: Sequence[Highlight]) -> Iterator[Highlight]:
    """The passages of fields that answer what is asked for in any of them, each word once."""
    known = {_folded(each.text[start:end]) for each in shown for start, end in each.spans}
    for field in fields if nodes else ():
        value = field.value
        if not isinstance(value, str) or not schema.speaks(schema.key(field.name)):
            continue
        for marks in _windows(_marks(nodes, value, split=True)):
            words = {_folded(value[mark.start : mark.end]) for mark in marks}
            if words - known:
                known |= words
                yield _cut(value, marks, schema.key(field.name))


def _folded(words: str) -> str:
    return analysis.fold(words).text


def _measured(tree: Query, item: Item, limit: int) -> Iterator[Highlight]:
    """Values and times that are in a range asked for, or of a field that only had to be there: `limit` of each."""
    wanted = list(_leaves(tree, (Every, NumericRange)))
    for name in dict.fromkeys(str(node.fieldname) for node in wanted):
        nodes = [node for node in wanted if node.fieldname == name]
        met = ((size, shown) for size, shown in _values(item, name) if any(_holds(node, size) for node in nodes))
        for _, shown in islice(met, limit):
            yield Highlight(name, shown, ((0, len(shown)),))


def _values(item: Item, name: str) -> Iterator[tuple[float | int | None, str]]:
    """What the item has in a field: each value as a number, if it is one, and as it is shown."""
    for field in item.fields:
        if schema.key(field.name) == name:
            yield number_of(str(field.value)), str(field.value)
    for stamp in item.timestamps:
        kind = schema.key(schema.KINDS.get(stamp.kind, stamp.kind))
        if name in (kind, "date"):
            label = stamp.origin if name == kind else f"{kind}, {stamp.origin}"
            yield micros(stamp.at.astimezone(UTC)), f"{print_time(stamp.moment)} ({label})"


def _holds(node: Query, number: float | int | None) -> bool:
    if isinstance(node, Every):
        return True
    if number is None:
        return False
    after = node.start is None or (number > node.start if node.startexcl else number >= node.start)
    return after and (node.end is None or (number < node.end if node.endexcl else number <= node.end))


def leaves(tree: Query) -> Iterator[Query]:
    """What the query asks for in words: its terms, phrases and rows, without what it excludes."""
    yield from _leaves(tree, (Row, Phrase, Term, Prefix, Wildcard, FuzzyTerm))


def _leaves(tree: Query, kinds: tuple[type[Query], ...]) -> Iterator[Query]:
    if isinstance(tree, Not):
        return
    if isinstance(tree, kinds):
        yield tree
        return
    for part in () if isinstance(tree, Row) else getattr(tree, "subqueries", ()):
        yield from _leaves(part, kinds)


def _matches_whole(node: Query, value: str) -> bool:
    folded = analysis.whole(value)
    if isinstance(node, Wildcard):
        return bool(analysis.glob(node.text).match(folded))
    return isinstance(node, Term) and node.text == folded


def _test_of(node: Query) -> Callable[[str], bool]:
    """Whether a term answers a leaf."""
    if isinstance(node, Prefix):
        return lambda term: term.startswith(node.text)
    if isinstance(node, Wildcard):
        pattern = analysis.glob(node.text)
        return lambda term: bool(pattern.match(term))
    if isinstance(node, FuzzyTerm):
        return lambda term: term[:1] == node.text[:1] and is_near(term, node.text, node.maxdist)
    return lambda term: term == node.text


def _terms_of(node: Query) -> list[Query]:
    if isinstance(node, Phrase):
        return [Term(node.fieldname, word) for word in node.words]
    return [leaf for part in node.subqueries for leaf in _terms_of(part)] if isinstance(node, Row) else [node]


def _marks(nodes: Sequence[Query], text: str, *, split: bool) -> list[_Mark]:
    """Every place in the text that answers one of the nodes, in order."""
    by_term = _tokens_of(nodes, text, split=split)
    found: list[_Mark] = []
    for number, node in enumerate(nodes) if by_term else ():
        starts, ends, spans = _occurrences(node, by_term)
        found += [_Mark(starts[first], ends[last], number) for first, last in spans]
    return sorted(set(found))


def _tokens_of(nodes: Sequence[Query], text: str, *, split: bool) -> dict[str, list[analysis.Token]]:
    """The text's tokens that any of the nodes asks for, by their terms."""
    if not nodes or not text:
        return {}
    terms = [leaf for node in nodes for leaf in _terms_of(node)]
    exact = {leaf.text for leaf in terms if isinstance(leaf, Term)}
    tests = [_test_of(leaf) for leaf in terms if not isinstance(leaf, Term)]

    @cache
    def wanted(term: str) -> bool:
        return term in exact or any(test(term) for test in tests)

    by_term: dict[str, list[analysis.Token]] = {}
    for token in analysis.tokens(text, split=split, only=wanted):
        by_term.setdefault(token.term, []).append(token)
    return by_term


def _occurrences(
    node: Query, by_term: dict[str, list[analysis.Token]]
) -> tuple[dict[int, int], dict[int, int], list[Span]]:
    """Where characters start and end by position, and the node's first and last positions."""
    if isinstance(node, Phrase | Row):
        parts = _terms_of(node) if isinstance(node, Phrase) else node.subqueries
        # Words come again in long phrases; whoosh calls rows equal that differ in their slop.
        known = {part: _occurrences(part, by_term) for part in parts if isinstance(part, Term)}
        each = [known[part] if isinstance(part, Term) else _occurrences(part, by_term) for part in parts]
        return each[0][0], each[-1][1], join([spans for _, _, spans in each], node.slop)
    starts: dict[int, int] = {}
    ends: dict[int, int] = {}
    # One character of a run is asked for as the beginning of bigrams: only it is marked.
    single = isinstance(node, Prefix) and len(node.text) == 1 and analysis.is_run(node.text)
    test = _test_of(node)
    for term in [node.text] if isinstance(node, Term) else [term for term in by_term if test(term)]:
        for token in by_term.get(term, ()):
            place = token.position
            starts[place] = min(token.start, starts.get(place, token.start))
            ends[place] = max(token.first_end if single else token.end, ends.get(place, 0))
    return starts, ends, [(place, place) for place in sorted(starts)]


def _windows(marks: list[_Mark]) -> list[list[_Mark]]:
    """The marks in groups that one highlight can show."""
    groups: list[list[_Mark]] = []
    reached = 0
    for mark in marks:
        if groups and (mark.start < reached or mark.end - groups[-1][0].start <= WIDTH * 3 // 4):
            groups[-1].append(mark)
        else:
            groups.append([mark])
        reached = max(reached, mark.end)
    return groups


def _merge(marks: Iterable[Span | _Mark]) -> tuple[Span, ...]:
    """The marks as spans that do not overlap."""
    spans: list[Span] = []
    for start, end, *_ in sorted(marks):
        if spans and start < spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        else:
            spans.append((start, end))
    return tuple(spans)


def _cut(text: str, marks: list[_Mark], locator: str) -> Highlight:
    """The passage around the marks, cut between words where that is near."""
    first, last = marks[0].start, max(mark.end for mark in marks)
    spare = max(0, WIDTH - (last - first)) // 2
    start, end = max(0, first - spare), min(len(text), last + spare, first + _MOST_SHOWN)
    if start > 0:
        near = [at for at in range(start, min(start + _REACH, first)) if text[at] in _ENDS]
        start = near[0] + 1 if near else start
        while start < first and (text[start].isspace() or unicodedata.combining(text[start])):
            start += 1
    if end < len(text):
        near = [at for at in range(end - 1, max(end - _REACH, last) - 1, -1) if text[at] in _ENDS]
        end = near[0] if near else end
        while end < len(text) and unicodedata.combining(text[end]):
            end += 1
    while start < first and text[start].isspace():
        start += 1
    while end > last and text[end - 1].isspace():
        end -= 1
    spans = tuple((a - start, min(b, end) - start) for a, b in _merge(marks) if a < end)
    return Highlight(locator, text[start:end], spans)
