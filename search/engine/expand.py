"""The terms of a segment that a prefix, a wildcard, a fuzzy word, a range or an expression stands for.

Each gives numbers of terms, int64 ascending. A prefix is a slice and costs nothing. Patterns run as one linear
expression over the terms' bytes, a line feed after each: O(bytes), whatever the pattern. Fuzzy words compare all
terms of about the same length in one table of distances: O(terms * length^2), in arrays.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import re2
from numpy.typing import NDArray
from whoosh.query import Regex, TermRange

from indexer.errors import QueryError
from search.engine.lexicon import Lexicon
from search.engine.question import Question
from search.tree import FuzzyTerm, Prefix, Query, Wildcard

Array = NDArray[Any]

_BATCH = 1 << 16  # terms that are read in one go
_ONE = rb"(?:[\x00-\x09\x0b-\x7f]|[\xc2-\xf4][\x80-\xbf]+)"
_PIECES = re.compile(r"(?s)\\(.)|\*+|\?|[^*?\\]+|\\")


def expand(node: Query, lexicon: Lexicon, start: str, ask: Question) -> Array:
    """The numbers of the terms that answer the node; `start` is what the field's terms begin with."""
    if isinstance(node, Prefix):
        return np.arange(*lexicon.prefixed((start + _text(node.text)).encode()))
    if isinstance(node, TermRange):
        return _between(node, lexicon, start)
    if isinstance(node, FuzzyTerm):
        found = _fuzzy(node, lexicon, start, ask)
    elif isinstance(node, Wildcard):
        literal, pattern = _wildcard(node.text)
        found = _matching(pattern + rb"\n", literal, lexicon, start, ask)
    elif isinstance(node, Regex):
        found = _matching(rb"(?:" + node.text.encode() + rb")[^\n]*\n", "", lexicon, start, ask)
    else:
        found = np.array([at for at in (lexicon.find(start.encode() + word) for word in node._btexts(None)) if at >= 0])
    if len(found) > ask.limits.terms:
        ask.capped(str(node.text))
        found = found[: ask.limits.terms]
    return found


def _text(text: str | bytes) -> str:
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else text


def _between(node: TermRange, lexicon: Lexicon, start: str) -> Array:
    first, last = lexicon.prefixed(start.encode())
    if node.start is not None:
        first = max(first, lexicon.lower((start + node.start).encode() + (b"\0" if node.startexcl else b"")))
    if node.end is not None:
        last = min(last, lexicon.lower((start + node.end).encode() + (b"" if node.endexcl else b"\0")))
    return np.arange(first, max(first, last))


def _wildcard(text: str) -> tuple[str, bytes]:
    r"""What all matches begin with, and the pattern for the bytes of a term; see `analysis.glob`."""
    parts: list[bytes] = []
    literal = ""
    plain = True
    for match in _PIECES.finditer(text):
        piece = match[1] or match[0]
        if match[1] or piece[0] not in "*?":
            parts.append(re.escape(piece.encode()))
            literal += piece if plain else ""
        else:
            plain = False
            parts.append(rb"[^\n]*" if piece[0] == "*" else _ONE)
    return literal, b"".join(parts)


def _matching(pattern: bytes, literal: str, lexicon: Lexicon, start: str, ask: Question) -> Array:
    first, last = lexicon.prefixed((start + literal).encode())
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    try:
        compiled = re2.compile(rb"(?m)^" + re.escape(start.encode()) + pattern, options)
    except re2.error as error:
        raise QueryError(f"the expression cannot be understood: {error}", "", 0) from error
    found: list[Array] = []
    held = 0
    for at in range(first, last, _BATCH):
        ask.check_time()
        blob = b"\n".join([*lexicon.terms(at, min(last, at + _BATCH)), b""])
        starts = np.fromiter((match.start() for match in compiled.finditer(blob)), np.int64)
        if len(starts):
            ends = np.flatnonzero(np.frombuffer(blob, np.uint8) == ord("\n"))
            found.append(at + np.searchsorted(ends, starts))
            held += len(starts)
            if held > ask.limits.terms:
                break
    return np.concatenate([np.zeros(0, np.int64), *found])


def _fuzzy(node: FuzzyTerm, lexicon: Lexicon, start: str, ask: Question) -> Array:
    first, last = lexicon.prefixed((start + node.text[: node.prefixlength]).encode())
    skip = len(start)
    found: list[Array] = []
    for at in range(first, last, _BATCH):
        ask.check_time()
        words = b"\n".join(lexicon.terms(at, min(last, at + _BATCH))).decode().split("\n")
        sizes = np.array([len(word) - skip for word in words])
        close = np.flatnonzero(np.abs(sizes - len(node.text)) <= node.maxdist)
        if len(close):
            near = _near([words[which][skip:] for which in close.tolist()], node.text, node.maxdist)
            found.append(at + close[near])
    return np.concatenate([np.zeros(0, np.int64), *found])


def _near(words: list[str], other: str, most: int) -> Array:
    """Which words differ from the other in at most so many letters added, dropped, changed or swapped."""
    longest = max(map(len, words))
    codes = np.array(words, f"U{max(1, longest)}").view(np.uint32).reshape(len(words), -1)
    sizes = np.array([len(word) for word in words])
    against = [ord(char) for char in other]
    out = np.zeros(len(words), np.int16)
    rows = [np.tile(np.arange(len(other) + 1, dtype=np.int16), (len(words), 1))]
    out[sizes == 0] = len(other)
    for i in range(1, longest + 1):
        row = np.empty_like(rows[-1])
        row[:, 0] = i
        now = codes[:, i - 1]
        for j, code in enumerate(against, 1):
            best = np.minimum(rows[-1][:, j] + 1, row[:, j - 1] + 1)
            best = np.minimum(best, rows[-1][:, j - 1] + (now != code))
            if i > 1 and j > 1:
                swapped = (now == against[j - 2]) & (codes[:, i - 2] == code)
                best = np.where(swapped, np.minimum(best, rows[-2][:, j - 2] + 1), best)
            row[:, j] = best
        rows = [rows[-1], row]
        ended = sizes == i
        out[ended] = row[ended, -1]
    return out <= most
