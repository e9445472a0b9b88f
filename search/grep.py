"""Regular expressions over every kept text, name and field, exact and in linear time: nothing hides behind tokens.

RE2 reads the pattern, so that no pattern can hang (no look-behind, no back-references).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from indexer.errors import QueryError
from indexer.model import Field, Highlight, Item, Text
from search.case import Case
from search.schema import key, speaks

_MEMORY = 256 << 20
"""Bytes that one compiled pattern may use."""
_AROUND = 60
"""Characters shown on either side of a match."""


@dataclass(frozen=True, slots=True)
class Match:
    """One place where the pattern matches; `start` and `end` are character offsets into the passage."""

    item: Item
    locator: str
    start: int
    end: int
    line: Highlight


def grep(case: Case, pattern: str, *, ignore_case: bool = False) -> Iterator[Match]:
    """Every match in every text, items sorted by provenance path, matches by their place.

    Then what matches in the item's name and in what its fields say, unless its text says the same.

    Raises:
        QueryError: RE2 does not take the pattern; the message says why.
    """
    expression = compile_pattern(pattern, ignore_case=ignore_case)
    nothing_in: set[str] = set()
    for item, reading in case.catalog.items():
        named = (Text(item.name, "name"), *said_in(item.fields))
        beside = [match for text in named for match in _matches(expression, item, text)]
        waiting = {_words(match) for match in beside}
        if reading is not None and reading.chunks and reading.key not in nothing_in:
            found = False
            for text in case.texts.of(reading.key, reading.chunks):
                for match in _matches(expression, item, text):
                    found = True
                    waiting.discard(_words(match))
                    yield match
            if not found:
                nothing_in.add(reading.key)
        yield from (match for match in beside if _words(match) in waiting)


def said_in(fields: Iterable[Field]) -> Iterator[Text]:
    """What fields say, as passages that are located by their names."""
    for field in fields:
        if isinstance(field.value, str) and speaks(key(field.name)):
            yield Text(field.value, field.name)


def _matches(expression: Any, item: Item, text: Text) -> Iterator[Match]:
    for match in expression.finditer(text.body):
        start, end = match.span()
        if start < end:
            yield Match(item, text.locator, start, end, _around(text.body, text.locator, start, end))


def _words(match: Match) -> str:
    (span,) = match.line.spans
    return match.line.text[slice(*span)]


def compile_pattern(pattern: str, *, ignore_case: bool = False) -> Any:
    """The expression, ready to be matched.

    Raises:
        QueryError: RE2 does not take it; the message says why.
    """
    import re2

    try:
        return re2.compile(pattern, _options(ignore_case=ignore_case))
    except re2.error as error:
        reason = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else str(error)
        raise QueryError(f"not a pattern that RE2 takes: {reason}", pattern, 0) from error


def compile_set(patterns: Sequence[str]) -> Any:
    """All expressions as one: `Match` gives the numbers of those that stand in a text, in one pass."""
    import re2

    every = re2.Set.SearchSet(_options(ignore_case=False))
    for pattern in patterns:
        every.Add(pattern)
    if patterns:
        every.Compile()
    return every


def _options(*, ignore_case: bool) -> Any:
    import re2

    options = re2.Options()
    options.max_mem = _MEMORY
    options.case_sensitive = not ignore_case
    options.log_errors = False
    options.never_nl = False
    return options


def _around(body: str, locator: str, start: int, end: int) -> Highlight:
    # No further than is shown: a line may be as long as the text, and hold as many matches.
    left = max(0, start - _AROUND)
    left = max(left, body.rfind("\n", left, start) + 1)
    right = min(len(body), end + _AROUND)
    line_end = body.find("\n", end, right)
    right = line_end if line_end >= 0 else right
    return Highlight(locator, body[left:right], ((start - left, end - left),))
