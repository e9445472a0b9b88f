"""Two languages side by side in the evidence, mined into a glossary: what a translator left behind.

Where notes in one language stand beside their translation, the same two phrases meet again and again. They are
looked for in four ways, each a row's `way`:

    cells   parts of one line or row: `修改 / 수정`, `原画(원화)`, columns of a sheet
    lines   one line and the next
    runs    two passages of one item that follow one another, such as two text layers
    files   two items of one folder whose names have the same numbers, line by line

A phrase counts under its words alone, without numbering and punctuation at its ends. What is longer than a
sentence is no phrase. What is found is summed up by a temporary database that spills to disk, so that millions of
phrases need little memory.

The glossary can be given back to a query (`--expand`): a word of it is then asked for together with what it was
paired with, and the answer says so.
"""

from __future__ import annotations

import csv
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from indexer.errors import UsageError, reason_of
from indexer.escapes import recorded
from indexer.languages import language_of
from indexer.model import Reading, Text
from search import analysis
from search.answers import matching_readings
from search.case import Case
from search.report import Cell, Column, Report, colophon_of, sheet_of
from search.sanitise import storable

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


_NEEDED = defaultdict(
    lambda: re.compile("(?!)"),
    {
        "zh": re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"),
        "ja": re.compile("[\u3040-\u30ff\uff66-\uff9d\u4e00-\u9fff]"),
        "ko": re.compile("[\u1100-\u11ff\u3130-\u318f\uac00-\ud7ff]"),
        "ru": re.compile("[\u0400-\u04ff]"),
        "ar": re.compile("[\u0600-\u06ff]"),
        "en": re.compile("[A-Za-z\u00c0-\u024f]"),
    },
)
"""Characters without which nothing is in a language."""
_SCHEMA = """
CREATE TABLE found (number INTEGER PRIMARY KEY, unit INTEGER, one TEXT, other TEXT, way TEXT, locator TEXT);
CREATE TABLE held (unit INTEGER, holder INTEGER, PRIMARY KEY (unit, holder)) WITHOUT ROWID;
CREATE TABLE holders (number INTEGER PRIMARY KEY, id TEXT, path TEXT);
"""
_SUMS = """
SELECT one, other, count(*), count(DISTINCT holder), group_concat(DISTINCT way),
    min(holder * 4294967296 + found.number)
FROM found JOIN held USING (unit) GROUP BY one, other HAVING count(*) >= ? ORDER BY 3 DESC, 1, 2
"""
_Found = tuple[str, str, str, str]
"""Way, phrase of the first language, phrase of the second, and locator."""


class _Waiting(NamedTuple):
    """A text that may have another beside it."""

    language: str
    path: str
    reading: Reading
    lines: int


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
        raise UsageError(f"{path}: {reason_of(error)}; a glossary is UTF-8: TSV or CSV, two phrases a line") from error
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
    with closing(sqlite3.connect("", isolation_level=None)) as database:
        database.execute("PRAGMA cache_size=-65536")
        database.execute("PRAGMA journal_mode=OFF")
        database.executescript(f"{_SCHEMA} BEGIN")
        _gather(database, case, (first, second), query)
        for one, other, count, items, ways, place in database.execute(_SUMS, (least,)):
            number, found = divmod(place, 1 << 32)
            (locator,) = database.execute("SELECT locator FROM found WHERE number = ?", (found,)).fetchone()
            identity, path = database.execute("SELECT id, path FROM holders WHERE number = ?", (number,)).fetchone()
            yield one, other, count, items, ", ".join(sorted(ways.split(","))), identity, path, locator


def _gather(database: sqlite3.Connection, case: Case, languages: tuple[str, str], query: str) -> None:
    """Puts every pair there is into the database, those inside a text once for all items that share it."""
    units: dict[bytes, int] = {}
    folders: dict[str, dict[str, _Waiting]] = {}
    count = 0
    for number, (item, reading) in enumerate(matching_readings(case, query)):
        if reading is None or not reading.chunks:
            continue
        path = storable(str(item.provenance))
        key = bytes.fromhex(reading.key)
        unit = units.get(key)
        texts: Sequence[Text] = ()
        if unit is None:
            texts = tuple(case.texts.of(reading.key, reading.chunks))
            phrases = list(_in_item(texts, languages))
            count += bool(phrases)
            unit = units[key] = count if phrases else 0
            _keep(database, unit, phrases)
        holder = [unit] if unit else []
        # Parallel files: the same folder, the same numbers in the name, the same number of lines.
        for open_folder in [each for each in folders if each and not path.startswith(f"{each}/")]:
            del folders[open_folder]  # in the order of paths nothing of it follows
        if item.language in languages and (lines := _lines(texts or case.texts.of(reading.key, reading.chunks))):
            folder, _, name = path.rpartition("/")
            waiting = folders.setdefault(folder, {})
            digits = "".join(char for char in name if char.isdigit())
            held = waiting.pop(digits, None)
            if held is None or held.language == item.language or held.lines != len(lines):
                waiting[digits] = _Waiting(item.language, path, reading, len(lines))
            else:
                other = _lines(case.texts.of(held.reading.key, held.reading.chunks))
                sides = (lines, other) if item.language == languages[0] else (other, lines)
                count += 1
                holder.append(count)
                _keep(database, count, _beside(*sides, languages, held.path))
        if holder:
            database.execute("INSERT INTO holders VALUES (?, ?, ?)", (number, item.id, path))
            database.executemany("INSERT INTO held VALUES (?, ?)", ((each, number) for each in holder))


def _beside(ones: list[str], others: list[str], languages: tuple[str, str], path: str) -> Iterator[_Found]:
    """The lines of two files that have as many."""
    for number, (one, other) in enumerate(zip(ones, others, strict=True), 1):
        if (language_of(one), language_of(other)) == languages:
            yield "files", one, other, f"line {number}, with {path}"


def _keep(database: sqlite3.Connection, unit: int, found: Iterable[_Found]) -> None:
    for way, *phrases, locator in found:
        one, other = (_NUMBERING.sub("", phrase).strip(_ENDS) for phrase in phrases)
        if one and other and max(len(one), len(other)) <= LONGEST:
            database.execute(
                "INSERT INTO found (unit, one, other, way, locator) VALUES (?, ?, ?, ?, ?)",
                (unit, one, other, way, locator),
            )


def _in_item(texts: Sequence[Text], languages: tuple[str, str]) -> Iterator[_Found]:
    """Every pair in one item."""
    both = set(languages)
    before: tuple[str, str] = ("", "")
    for text in recorded(texts):
        now = ("", "")
        if any(_NEEDED[language].search(text.body) for language in languages):
            lines = [line.strip() for line in text.body.splitlines()[:_MOST_LINES] if line.strip()]
            if all(_NEEDED[language].search(text.body) for language in languages):
                yield from _in_lines(lines, languages, text.locator)
            if len(lines) == 1 and not _cells(lines[0], languages):
                now = (language_of(lines[0]), lines[0])
        if {before[0], now[0]} == both:
            one, other = (before[1], now[1]) if before[0] == languages[0] else (now[1], before[1])
            yield "runs", one, other, text.locator
        before = now


def _in_lines(lines: list[str], languages: tuple[str, str], locator: str) -> Iterator[_Found]:
    """The pairs within lines, and between one and the next."""
    mixed = [_cells(line, languages) for line in lines]
    for at, found in enumerate(mixed):
        for one, other in found:
            yield "cells", one, other, f"{locator}, line {at + 1}"
    told = [language_of(line) for line in lines]
    for (at, left), (_, right) in pairwise(enumerate(told)):
        if {left, right} == set(languages) and not mixed[at] and not mixed[at + 1]:
            one, other = (lines[at], lines[at + 1]) if left == languages[0] else (lines[at + 1], lines[at])
            yield "lines", one, other, f"{locator}, line {at + 1}"


def _cells(line: str, languages: tuple[str, str]) -> list[tuple[str, str]]:
    """The pairs among the parts of one line."""
    if not all(_NEEDED[language].search(line) for language in languages):
        return []
    return _neighbours([part.strip() for part in _PARTS.split(line) if part and part.strip()], languages)


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


def _lines(texts: Iterable[Text]) -> list[str]:
    return [line.strip() for text in recorded(texts) for line in text.body.splitlines() if line.strip()][:_MOST_LINES]
