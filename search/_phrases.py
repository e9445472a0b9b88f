"""Terms, phrases and wildcards of one field as nodes of the tree; `query.py` decides which is meant."""

from __future__ import annotations

import ipaddress
import re
from itertools import pairwise

from search import analysis
from search.tree import Phrase, Prefix, Query, Sequence, Term, Wildcard

STAR, ANY = "\0", "\1"
"""Unescaped wildcards, between reading a query and building its tree."""
_GAPS = {STAR: 10, ANY: 1}
_ITEMS = re.compile(rf"([{STAR}{ANY}]+)|(\s+)|[^\s{STAR}{ANY}]+")


def network(word: str) -> list[str]:
    """Patterns that together match the addresses of an IPv4 network; none where the word is no network.

    >>> [part.replace(STAR, "*") for part in network("175.45.176.0/23")]
    ['175.45.176.*', '175.45.177.*']
    """
    try:
        whole = ipaddress.IPv4Network(word, strict=False)
    except ValueError:
        return []
    octets = max(1, -(-whole.prefixlen // 8))
    parts = (str(part.network_address).split(".")[:octets] for part in whole.subnets(new_prefix=octets * 8))
    return [".".join(part) + (f".{STAR}" if octets < 4 else "") for part in parts]


def phrase(field: str, steps: list[analysis.Element]) -> Query:
    """The steps at consecutive positions."""
    if len(steps) > 1 and not steps[-1].open:
        return Phrase(field, [step.term for step in steps])
    leaves: list[Query] = [(Prefix if step.open else Term)(field, step.term) for step in steps]
    return leaves[0] if len(leaves) == 1 else Sequence(leaves, slop=1)


def _ends_early(part: Query) -> bool:
    """Whether a part ends with a bigram: its second character takes one more position."""
    while isinstance(part, Sequence):
        part = part.subqueries[-1]
    term = part.words[-1] if isinstance(part, Phrase) else part.text if isinstance(part, Term) else ""
    return len(term) == 2 and analysis.is_run(term[0])


def chain(parts: list[Query], gaps: list[int]) -> Query:
    """The parts in this order, with at most so many positions between each and the next."""
    found = parts[0]
    for (before, part), gap in zip(pairwise(parts), gaps, strict=True):
        found = Sequence([found, part], slop=gap + (2 if _ends_early(before) else 1))
    return found


def steps(field: str, folded: str) -> Query | None:
    """Folded text with wildcards as groups of consecutive terms and gaps between; None without any term.

    A wildcard belongs to the word it touches; between runs, or alone, it is a gap.
    """
    groups: list[list[Query]] = []
    gaps: list[int] = []
    gap = 0  # what stands between the last group and the next
    wild = ""  # wildcards that have touched no word yet
    word = ""
    run = ""

    def add(leaves: list[Query]) -> None:
        nonlocal gap
        if groups and not gap:
            groups[-1].extend(leaves)
        else:
            if groups:
                gaps.append(gap)
            groups.append(leaves)
        gap = 0

    def close(*, more: bool) -> None:
        """End the open word or run; `more`: another term follows at the next position."""
        nonlocal word, run
        if run:
            steps = analysis.elements(run)
            if more and not steps[-1].open:
                steps.append(analysis.Element(run[-1], False, True))
            elif more:
                steps[-1] = steps[-1]._replace(open=False)
            add([(Prefix if step.open else Term)(field, step.term) for step in steps])
        elif word:
            add(_word_leaves(field, word))
        word = run = ""

    for match in _ITEMS.finditer(folded):
        if match[1]:
            if word:
                word += match[1]
            else:
                close(more=False)
                gap += sum(_GAPS[char] for char in match[1]) if groups else 0
                wild += match[1]
        elif match[2]:
            close(more=True)
            wild = ""
        else:
            for piece, is_run in analysis.units(match[0]):
                if is_run:
                    close(more=True)
                    run = piece
                else:
                    if run:
                        close(more=True)
                    word += wild + piece
                wild = ""
    close(more=False)
    built = [_group(field, leaves) for leaves in groups]
    return chain(built, gaps) if built else None


def _word_leaves(field: str, word: str) -> list[Query]:
    """A word with its wildcards as a term's pattern; without any, as the terms it is kept as."""
    if STAR not in word and ANY not in word:
        return [Term(field, step.term) for step in analysis.elements(word, split=field != "text")]
    if word.endswith(STAR) and not set(word[:-1]) & {STAR, ANY}:
        return [Prefix(field, word[:-1])]
    return [Wildcard(field, word.replace(STAR, "*").replace(ANY, "?"))]


def _group(field: str, leaves: list[Query]) -> Query:
    if len(leaves) == 1:
        return leaves[0]
    if all(isinstance(leaf, Term) for leaf in leaves):
        return Phrase(field, [leaf.text for leaf in leaves])
    return Sequence(leaves, slop=1)


def whole_pattern(word: str) -> str:
    """A pattern for whole values: folded, what stands between the wildcards made plain."""
    parts = re.split(f"([{STAR}{ANY}])", word)
    plain = {STAR: "*", ANY: "?"}
    return "".join(plain.get(part) or re.sub(r"([*?\\])", r"\\\1", analysis.plain(part)) for part in parts)
