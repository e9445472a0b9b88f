"""Watch-lists: ten thousand words and expressions asked for at once, and what is new of them.

A list is TOML, CSV or plain lines:

    [[term]]                     term,group,aliases,note
    term = "무적"                "Paper Whale",shows,"紙鯨;종이고래",working title
    group = "shows"
    aliases = ["无敌", "Wudi"]   # or plain lines: one term a line, /an expression/ too,
    note = "a title"             # [group] before the terms of a group, # before a remark

A literal is looked up by the rules of the index: full and half width, traditional and simplified, composed or
not, and counted where the index says that it stands. An expression between slashes is RE2's, tried once on every text.
What fields say counts in items where neither text nor name says it. What is summed up of items stands in columns, a
million in some hundred megabytes (`columns`); no item is opened but those that are shown.
"""

from __future__ import annotations

import csv
import io
import tomllib
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Any

from indexer.errors import QueryError, UsageError, reason_of
from indexer.model import Item, Text
from search.case import Case
from search.engine.columns import (
    NEVER,
    AnyOf,
    Array,
    Columns,
    chosen_rows,
    columns_of,
    distinct,
    hex_of,
    moment_of,
    not_in,
    readings_among,
    rows_reading,
    total_of,
)
from search.grep import compile_pattern, compile_set, said_in
from search.hits import highlight, leaves
from search.query import parse
from search.report import Cell, Column, Report, colophon_of, sheet_of
from search.sanitise import storable
from search.schema import META
from search.tree import Or, Query, field_of

MOST = 200_000
"""Terms of a list."""
_COLUMNS = (
    Column("group"), Column("term"), Column("hits", "number"), Column("items", "number"), Column("unique", "number"),
    Column("families", "number"), Column("sources"), Column("first", "time"), Column("last", "time"), Column("id"),
    Column("path", shown=False), Column("locator", shown=False), Column("snippet"), Column("aliases", shown=False),
    Column("note", shown=False),
)  # fmt: skip
_GROUPS = (*_COLUMNS[:1], Column("terms", "number"), *_COLUMNS[2:9])


@dataclass(frozen=True, slots=True)
class Entry:
    """One term of a list, with its other spellings; `line` is where it stands."""

    term: str
    group: str = ""
    aliases: tuple[str, ...] = ()
    note: str = ""
    line: int = 0

    @property
    def literals(self) -> list[str]:
        """What is looked up in the index."""
        return [each for each in (self.term, *self.aliases) if not _is_expression(each)]

    @property
    def expressions(self) -> list[str]:
        """What is tried on every text, without the slashes."""
        return [each[1:-1] for each in (self.term, *self.aliases) if _is_expression(each)]


@dataclass(frozen=True, slots=True)
class _Tally:
    """What was found of a term or a group."""

    hits: int = 0
    items: int = 0
    unique: int = 0
    families: int = 0
    sources: str = ""
    first: datetime | None = None
    last: datetime | None = None
    best: str = ""

    @classmethod
    def of(cls, columns: Columns, rows: Array, hits: int) -> _Tally:
        """The sums over rows that differ."""
        if not len(rows):
            return cls()
        times = columns.at[rows]
        times = times[times != NEVER]
        return cls(
            hits,
            len(rows),
            len(distinct(columns.content[rows], 2 * len(columns.ids))),
            len(distinct(columns.family[rows], len(columns.ids))),
            ", ".join(sorted(columns.sources[at] for at in distinct(columns.source[rows], len(columns.sources)))),
            moment_of(int(times.min())) if len(times) else None,
            moment_of(int(times.max())) if len(times) else None,
            columns.id(int(rows.min())),
        )

    def cells(self) -> tuple[Cell, ...]:
        return self.hits, self.items, self.unique, self.families, self.sources, self.first, self.last


def read_list(path: Path) -> list[Entry]:
    """The terms of a watch-list file.

    Raises:
        UsageError: it cannot be read; the message names the line.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {reason_of(error)}; a watch-list is UTF-8: TOML, CSV or plain lines") from error
    read = {".toml": _from_toml, ".csv": _from_csv}.get(path.suffix.lower(), _from_lines)
    try:
        entries = list(read(text))
    except (tomllib.TOMLDecodeError, csv.Error, KeyError, TypeError) as error:
        raise UsageError(f"{path}: {error}") from error
    for entry in entries:
        for expression in entry.expressions:
            try:
                compile_pattern(expression)
            except QueryError as error:
                raise UsageError(f"{path}, line {entry.line}: /{expression}/: {error}") from error
        try:
            _tree(entry)
        except QueryError as error:
            raise UsageError(f"{path}, line {entry.line}: {entry.term}: {error}; or write /an expression/") from error
    if not entries:
        raise UsageError(f"{path}: there is no term in it; a watch-list is UTF-8: TOML, CSV or plain lines")
    if len(entries) > MOST:
        raise UsageError(f"{path}: {len(entries):,} terms; a list has at most {MOST:,}")
    return entries


def watch(case: Case, entries: Sequence[Entry], *, since: int = 0, misses: bool = False) -> Report:
    """What the case holds of a watch-list, by term and by group.

    Args:
        since: only items that came after this run, with bytes that were not there before.
        misses: with the terms of which there is nothing.

    Raises:
        UsageError: there is no such run, or it did not end.
    """
    only = case.catalog.new_after(_last_item(case, since)) if since else None
    tallies, groups = _gather(case, entries, only)
    names = [entry.group for entry in entries]
    colophon = colophon_of(case, "watch", terms=len(entries), groups=len(set(names)), since=since)
    rows = partial(_rows, case, entries, tallies, misses)
    sheets = (sheet_of("terms", _COLUMNS, rows), sheet_of("groups", _GROUPS, partial(_group_rows, entries, groups)))
    return Report(case, colophon, sheets)


def date_of(item: Item) -> datetime | None:
    """When an item is dated: its modified time, or where there is none the earliest of all."""
    times = [stamp.at for stamp in item.timestamps]
    return next((stamp.at for stamp in item.timestamps if stamp.kind == "M"), min(times, default=None))


def _gather(case: Case, entries: Sequence[Entry], only: set[str] | None) -> tuple[list[_Tally], dict[str, _Tally]]:
    """What there is of each entry, and of each group."""
    columns = columns_of(case.catalog)
    chosen = chosen_rows(columns, only)
    parts = [_leaves(entry) for entry in entries]
    expressed = _search(case, entries, columns, chosen)
    # Terms that begin alike follow each other: the index keeps their lists.
    order = sorted(range(len(entries)), key=lambda at: (entries[at].group, str(parts[at])))
    ids, counts = case.index.tally([leaf for at in order for leaf in parts[at]])
    rows_of = columns.find(ids)
    tallies = [_Tally()] * len(entries)
    groups: dict[str, _Tally] = {}
    for name, members in groupby(order, key=lambda at: entries[at].group):
        every = AnyOf(len(columns.ids))
        hits = 0
        for at in members:
            found = [(rows_of[documents], times) for documents, times in islice(counts, len(parts[at]))]
            told = [each for each, leaf in zip(found, parts[at], strict=True) if field_of(leaf) != META]
            said = [not_in(each, told) for each, leaf in zip(found, parts[at], strict=True) if field_of(leaf) == META]
            rows, times = total_of([*told, *said, *expressed.get(at, ())], chosen)
            tallies[at] = _Tally.of(columns, rows, int(times.sum()))
            every.add(rows)
            hits += tallies[at].hits
        if hits:
            groups[name] = _Tally.of(columns, every.rows(), hits)
    return tallies, groups


def _search(
    case: Case, entries: Sequence[Entry], columns: Columns, chosen: Array
) -> dict[int, list[tuple[Array, Array]]]:
    """For each entry with expressions the rows whose texts or fields they match, and how often; each is read once."""
    searched = [(number, each) for number, entry in enumerate(entries) for each in entry.expressions]
    if not searched:
        return {}
    every = compile_set([each for _, each in searched])
    each_alone = [compile_pattern(each) for _, each in searched]

    def count(texts: Iterable[Text]) -> dict[int, int]:
        counts: Counter[int] = Counter()
        for text in texts:
            for place in every.Match(storable(text.body)) or ():
                counts[place] += sum(1 for _ in each_alone[place].finditer(text.body))
        return +counts

    found: dict[int, tuple[array[int], array[int]]] = {}
    for reading in readings_among(columns, chosen):
        key = hex_of(columns.readings[reading])
        read = case.catalog.reading(key)
        in_texts = count(case.texts.of(key, int(columns.chunks[reading])))
        for place, hits in {**count(said_in(read.fields if read else ())), **in_texts}.items():
            readings, counts = found.setdefault(searched[place][0], (array("q"), array("q")))
            readings.append(reading)
            counts.append(hits)
    return {number: [rows_reading(columns, *held)] for number, held in found.items()}


def _leaves(entry: Entry) -> list[Query]:
    """What the entry's literals ask for, in the text, in the name and in fields."""
    tree = _tree(entry)
    return list(leaves(tree)) if tree is not None else []


def _tree(entry: Entry) -> Query | None:
    """Any of the entry's literals, each as it stands: nothing in it is an operator."""
    trees = [
        parse('"' + "".join(f"\\{char}" if char in '\\"' else char for char in each) + '"') for each in entry.literals
    ]
    return Or(trees) if len(trees) > 1 else trees[0] if trees else None


def _rows(case: Case, entries: Sequence[Entry], tallies: list[_Tally], misses: bool) -> Iterator[tuple[Cell, ...]]:
    order = sorted(range(len(entries)), key=lambda at: (entries[at].group, -tallies[at].items, entries[at].term))
    for at in order:
        entry, tally = entries[at], tallies[at]
        if not tally.items and not misses:
            continue
        identity, path, locator, snippet = _best(case, entry, tally)
        aliases = ", ".join(entry.aliases)
        yield (entry.group, entry.term, *tally.cells(), identity, path, locator, snippet, aliases, entry.note)


def _best(case: Case, entry: Entry, tally: _Tally) -> tuple[str, str, str, str]:
    """The item that answers best, and the passage in it."""
    tree = _tree(entry)
    identity = tally.best
    if not identity:
        return "", "", "", ""
    item = case.catalog.item(identity)
    if item is None:
        return identity, "", "", ""
    texts = case.texts_of(identity)
    if tree is not None:
        place = str(item.provenance)
        marks = highlight(tree, texts, name=item.name, path=place, fields=item.fields, limit=1)
        if marks:
            return identity, str(item.provenance), marks[0].locator, marks[0].text
    for expression in entry.expressions:
        pattern = compile_pattern(expression)
        for text in chain(texts, said_in(item.fields)):
            match = pattern.search(text.body)
            if match:
                start, end = match.span()
                return identity, str(item.provenance), text.locator, text.body[max(0, start - 60) : end + 60]
    return identity, str(item.provenance), "", ""


def _group_rows(entries: Sequence[Entry], groups: dict[str, _Tally]) -> Iterator[tuple[Cell, ...]]:
    terms = Counter(entry.group for entry in entries)
    for name, tally in sorted(groups.items()):
        yield (name, terms[name], *tally.cells())


def _last_item(case: Case, number: int) -> int:
    run = next((each for each in case.catalog.runs() if each.id == number), None)
    if run is None:
        raise UsageError("no such run; runs are numbered from 1, and `archivore audit show` lists them; or say last")
    if "last_item" not in run.options:
        raise UsageError(f"run {number} did not end; the same ingest again ends it")
    return int(run.options["last_item"])


def _is_expression(term: str) -> bool:
    return len(term) > 2 and term.startswith("/") and term.endswith("/")


def _from_toml(text: str) -> Iterator[Entry]:
    rows: list[dict[str, Any]] = tomllib.loads(text).get("term", [])
    at = 0
    lines = text.split("\n")
    for row in rows:
        at = next((number for number in range(at, len(lines)) if lines[number].strip() == "[[term]]"), at) + 1
        yield Entry(
            str(row["term"]),
            str(row.get("group", "")),
            tuple(map(str, row.get("aliases", ()))),
            str(row.get("note", "")),
            at,
        )


def _from_csv(text: str) -> Iterator[Entry]:
    reader = csv.DictReader(io.StringIO(text))
    if "term" not in (reader.fieldnames or ()):
        raise KeyError("the first line names the columns: term, and if wanted group, aliases, note")
    for row in reader:
        if row["term"].strip():
            aliases = tuple(each.strip() for each in (row.get("aliases") or "").split(";") if each.strip())
            yield Entry(row["term"].strip(), row.get("group") or "", aliases, row.get("note") or "", reader.line_num)


def _from_lines(text: str) -> Iterator[Entry]:
    group = ""
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if line.startswith("[") and line.endswith("]"):
            group = line[1:-1].strip()
        elif line and not line.startswith("#"):
            yield Entry(line, group, line=number)
