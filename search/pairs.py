"""Two languages side by side in the evidence, mined into a glossary: what a translator left behind.

Where notes in one language stand beside their translation, the same two phrases meet again and again. They are
looked for in four ways, each a row's `way`:

    cells   parts of one line or row: `修改 / 수정`, `原画(원화)`, columns of a sheet
    lines   one line and the next
    runs    two passages of one item that follow one another, such as two text layers
    files   two items of one folder whose names have the same numbers, line by line

A phrase counts under its words alone, without numbering and punctuation at its ends. What is longer than a
sentence is no phrase.

The glossary can be given back to a query (`--expand`): a word of it is then asked for together with what it was
paired with, and the answer says so.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path

from indexer.errors import UsageError
from indexer.languages import language_of
from indexer.model import Text
from search import analysis
from search.answers import matching
from search.case import Case
from search.report import Cell, Column, Report, colophon_of, sheet_of

LONGEST = 60
"""Characters of a phrase."""
_MOST_LINES = 20_000
"""Of one item."""
_PARTS = re.compile(r"[\t|/／→⇒=＝()（）\[\]【】「」『』《》<>«»]+| {2,}| [-–—] ")
_COLON = re.compile(r"[:：]")
_NUMBERING = re.compile(r"^\s*[(（]?(?:\d{1,3}|[一二三四五六七八九十]{1,3}|[가나다라마바사])[.)）、．]\s*")
_ENDS = " \t\u3000.,;:、，。；：!！?？#*·•-–—_'\"“”"
_COLUMNS = (
    Column("first"), Column("second"), Column("count", "number"), Column("items", "number"), Column("way"),
    Column("id"), Column("path"), Column("locator"),
)  # fmt: skip


@dataclass(slots=True)
class _Pair:
    """What is known of two phrases that were found beside each other."""

    ways: Counter[str] = field(default_factory=Counter)
    items: set[str] = field(default_factory=set)
    id: str = ""
    path: str = ""
    locator: str = ""


def pairs(case: Case, first: str = "zh", second: str = "ko", query: str = "", *, least: int = 1) -> Report:
    """The glossary of two languages, the most frequent pairs first.

    Args:
        first: a BCP 47 primary tag, as the field `lang` has it.
        least: how often a pair must be found.

    Raises:
        QueryError: the query cannot be understood.
        UsageError: both languages are the same.
    """
    if first == second:
        raise UsageError(f"{first}: two languages make a pair")
    rows = partial(_rows, case, first, second, query, least)
    colophon = colophon_of(case, "pairs", query, first=first, second=second, least=least)
    return Report(case, colophon, (sheet_of("pairs", _COLUMNS, rows),))


def read_glossary(path: Path) -> dict[str, set[str]]:
    """What each phrase of a glossary was paired with, either way; folded as the index folds.

    Raises:
        UsageError: the file cannot be read, or has less than two columns.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}; a glossary is UTF-8: TSV or CSV, two phrases a line") from error
    glossary: dict[str, set[str]] = {}
    rows = csv.reader(text.splitlines(), delimiter="\t" if "\t" in text.partition("\n")[0] else ",")
    for number, row in enumerate(rows, 1):
        if not row or row[:2] == ["first", "second"]:
            continue
        if len(row) < 2 or not row[0].strip() or not row[1].strip():
            raise UsageError(f"{path}, line {number}: two phrases are needed, with a tab or a comma between")
        one, other = row[0].strip(), row[1].strip()
        glossary.setdefault(analysis.whole(one), set()).add(other)
        glossary.setdefault(analysis.whole(other), set()).add(one)
    return glossary


def expand(query: str, glossary: dict[str, set[str]]) -> tuple[str, list[str]]:
    """The query with what its words are paired with, and for each such word what was added."""
    notes = []

    def replaced(match: re.Match[str]) -> str:
        word = match[0]
        others = sorted(glossary.get(analysis.whole(word.strip('"')), ()))
        if not others or word in ("AND", "OR", "NOT"):
            return word
        notes.append(f"{word} expanded by {', '.join(others)}")
        said = " OR ".join('"' + other.replace("\\", "\\\\").replace('"', '\\"') + '"' for other in others)
        return f"({word} OR {said})"

    return re.sub(r'"[^"\\]*"(?!~)|(?<![^\s(])[^\s()":\\]+(?=[\s)]|$)', replaced, query), notes


def _rows(case: Case, first: str, second: str, query: str, least: int) -> Iterator[tuple[Cell, ...]]:
    found: dict[tuple[str, str], _Pair] = {}
    names: dict[tuple[str, str], tuple[str, str, str, list[str]]] = {}
    languages = (first, second)
    for item in matching(case, query):
        texts = case.texts_of(item.id)
        if not texts:
            continue
        path = str(item.provenance)
        for way, one, other, locator in _in_item(texts, languages):
            _add(found, (one, other), way, item.id, path, locator)
        # Parallel files: the same folder, the same numbers in the name, the same number of lines.
        folder, _, name = path.rpartition("/")
        lines = _lines(texts)
        if item.language not in languages or not lines:
            continue
        key = (folder, "".join(char for char in name if char.isdigit()))
        held = names.pop(key, None)
        if held is None or held[0] == item.language or len(held[3]) != len(lines):
            names[key] = (item.language, item.id, path, lines)
            continue
        ours, theirs = (lines, held[3]) if item.language == first else (held[3], lines)
        for number, (left, right) in enumerate(zip(ours, theirs, strict=True), 1):
            if language_of(left) == first and language_of(right) == second:
                _add(found, (left, right), "files", item.id, path, f"line {number}, with {held[2]}")
    order = sorted(found.items(), key=lambda pair: (-pair[1].ways.total(), pair[0]))
    for (one, other), pair in order:
        if pair.ways.total() >= least:
            ways = ", ".join(sorted(pair.ways))
            yield one, other, pair.ways.total(), len(pair.items), ways, pair.id, pair.path, pair.locator


def _add(
    found: dict[tuple[str, str], _Pair], phrases: tuple[str, str], way: str, identity: str, path: str, locator: str
) -> None:
    one, other = (_NUMBERING.sub("", phrase).strip(_ENDS) for phrase in phrases)
    if not one or not other or max(len(one), len(other)) > LONGEST:
        return
    pair = found.setdefault((one, other), _Pair(id=identity, path=path, locator=locator))
    pair.ways[way] += 1
    pair.items.add(identity)


def _in_item(texts: Sequence[Text], languages: tuple[str, str]) -> Iterator[tuple[str, str, str, str]]:
    """Way, phrase of the first language, phrase of the second, and locator, of every pair in one item."""
    before: tuple[str, str] = ("", "")
    for text in texts:
        lines = [line.strip() for line in text.body.splitlines()[:_MOST_LINES] if line.strip()]
        told = [language_of(line) for line in lines]
        mixed = []
        for line in lines:
            parts = [part.strip() for part in _PARTS.split(line) if part and part.strip()]
            mixed.append(_neighbours(parts, languages))
        for at, found in enumerate(mixed):
            for one, other in found:
                yield "cells", one, other, f"{text.locator}, line {at + 1}"
        for (at, left), (_, right) in pairwise(enumerate(told)):
            if {left, right} == set(languages) and not mixed[at] and not mixed[at + 1]:
                one, other = (lines[at], lines[at + 1]) if left == languages[0] else (lines[at + 1], lines[at])
                yield "lines", one, other, f"{text.locator}, line {at + 1}"
        now = (told[0], lines[0]) if len(lines) == 1 and not mixed[0] else ("", "")
        if {before[0], now[0]} == set(languages):
            one, other = (before[1], now[1]) if before[0] == languages[0] else (now[1], before[1])
            yield "runs", one, other, text.locator
        before = now


def _neighbours(parts: list[str], languages: tuple[str, str]) -> list[tuple[str, str]]:
    """Pairs among the parts of one line; `修改：高光 / 수정: 빛점` is two of them."""
    found: list[tuple[str, str]] = []
    told = [language_of(part) for part in parts]
    for (left, here), (right, there) in pairwise(zip(told, parts, strict=True)):
        if {left, right} != set(languages):
            continue
        one, other = (here, there) if left == languages[0] else (there, here)
        ones, others = _COLON.split(one), _COLON.split(other)
        found += zip(ones, others, strict=True) if len(ones) == len(others) else [(one, other)]
    return found


def _lines(texts: Sequence[Text]) -> list[str]:
    return [line.strip() for text in texts for line in text.body.splitlines() if line.strip()][:_MOST_LINES]
