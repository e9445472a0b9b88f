"""What the texts name: addresses, numbers and accounts, each with how often, where, and from when to when.

Users are told by the places of items too: each item in somebody's home is a hit.

Only what passes its check is a feature (`_candidates`). Counts are over the items that answer the query, or over
all; they are summed up by a temporary database that spills to disk, so that millions of values need little memory.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from indexer.errors import QueryError, StoreError, UsageError, reason_of
from indexer.model import Item
from search._candidates import TYPES, VERSION
from search.answers import matching
from search.case import FEATURES, Case
from search.database import is_made, reading_uri
from search.grep import compile_pattern, compile_set
from search.homes import users_of
from search.report import Cell, Column, Report, colophon_of, sheet_of
from search.sanitise import storable
from search.watchlist import date_of

_COLUMNS = (
    Column("type"), Column("value"), Column("hits", "number"), Column("items", "number"), Column("unique", "number"),
    Column("sources"), Column("first", "time"), Column("last", "time"), Column("id"), Column("path", shown=False),
    Column("locator", shown=False), Column("context"),
)  # fmt: skip
_CHOSEN = """
CREATE TABLE chosen (
    number INTEGER PRIMARY KEY, reading BLOB, bytes TEXT, source TEXT, at TEXT, id TEXT, path TEXT
)
"""
_PLACED = "CREATE TABLE placed (number INTEGER, value TEXT, context TEXT)"
"""Users whose homes the places of the chosen items go through."""
_NONE = "CREATE TABLE made.features (key BLOB, type TEXT, value TEXT, hits INTEGER, locator TEXT, context TEXT)"
_SUMS = """
WITH found AS (
    SELECT number, type, value, hits FROM chosen JOIN made.features ON made.features.key = chosen.reading
    UNION ALL SELECT number, 'user', value, 1 FROM placed
)
SELECT type, value, sum(hits), count(DISTINCT number), count(DISTINCT bytes), json_group_array(DISTINCT source),
    min(at), max(at), min(number)
FROM found JOIN chosen USING (number)
WHERE type IN ({types}) GROUP BY type, value HAVING sum(hits) >= ?
ORDER BY {order}, 3 DESC, 4 DESC, 2
"""
_BEST = """
SELECT id, path, locator, context FROM chosen JOIN made.features ON made.features.key = chosen.reading
WHERE number = ?1 AND type = ?2 AND value = ?3
UNION ALL SELECT id, path, 'path', context FROM placed JOIN chosen USING (number)
WHERE number = ?1 AND 'user' = ?2 AND value = ?3
LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Stops:
    """Values that are of no interest, and expressions for them; none stops nothing."""

    values: frozenset[str] = frozenset()
    expressions: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Names what is left out; empty where nothing is."""
        lines = sorted(self.values) + sorted(self.expressions)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16] if lines else ""

    @classmethod
    def of(cls, path: Path) -> Stops:
        """The stop-list in a file: one value or /expression/ a line, # before a remark.

        Raises:
            UsageError: it cannot be read, or a line is not an expression that RE2 takes.
        """
        try:
            lines = [line.strip() for line in path.read_text("utf-8-sig").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(
                f"{path}: {reason_of(error)}; a stop-list is UTF-8, one value or /expression/ a line"
            ) from error
        values: set[str] = set()
        expressions: list[str] = []
        for number, line in enumerate(lines, 1):
            if len(line) > 2 and line.startswith("/") and line.endswith("/"):
                try:
                    compile_pattern(line[1:-1])
                except QueryError as error:
                    raise UsageError(f"{path}, line {number}: {line}: {error}") from error
                expressions.append(f"(?i){line[1:-1]}")
            elif line and not line.startswith("#"):
                values.add(line.casefold())
        return cls(frozenset(values), tuple(expressions))


def features(
    case: Case, query: str = "", *, types: Sequence[str] = (), stops: Stops | None = None, least: int = 1
) -> Report:
    """The features of every hit, or of every item, type by type, the most frequent first.

    Args:
        types: only these.
        stops: what is left out.
        least: hits that a value has at least.

    Raises:
        UsageError: no such type.
        QueryError: the query cannot be understood.
    """
    for name in types:
        if name not in TYPES:
            raise UsageError(f"{name}: no such type of features; there are {', '.join(TYPES)}")
    if query:
        case.parse(query)
    chosen = [name for name in TYPES if not types or name in types]
    stopped = stops or Stops()
    rows = partial(_rows, case, query, chosen, stopped, least)
    colophon = colophon_of(
        case, "features", query, types=",".join(types), least=least, rules=VERSION, stops=stopped.digest
    )
    return Report(case, colophon, (sheet_of("features", _COLUMNS, rows),), partial(_having, case, query, chosen))


def _rows(case: Case, query: str, types: list[str], stops: Stops, least: int) -> Iterator[tuple[Cell, ...]]:
    expressions = compile_set(stops.expressions)
    with _joined(case) as database:
        database.execute(_CHOSEN)
        database.execute(_PLACED)
        placed = database.cursor()
        for row, users in _chosen(case, query):
            database.execute("INSERT INTO chosen VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            if users:
                placed.executemany("INSERT INTO placed VALUES (?, ?, ?)", ((row[0], *user) for user in users))
        database.execute("CREATE INDEX chosen_reading ON chosen (reading)")
        database.execute("CREATE INDEX placed_number ON placed (number)")
        order = "CASE type " + " ".join(f"WHEN '{name}' THEN {at}" for at, name in enumerate(types)) + " END"
        statement = _SUMS.format(types=", ".join("?" * len(types)), order=order)
        for kind, value, hits, items, unique, sources, first, last, number in database.execute(
            statement, (*types, least)
        ):
            if value.casefold() in stops.values or (stops.expressions and expressions.Match(value)):
                continue
            best = database.execute(_BEST, (number, kind, value)).fetchone()
            names = ", ".join(sorted(json.loads(sources)))
            yield kind, value, hits, items, unique, names, _time(first), _time(last), *best


def _chosen(case: Case, query: str) -> Iterator[tuple[tuple[object, ...], list[tuple[str, str]]]]:
    """The rows of the items that are asked for, each with the users whom its place tells."""
    wanted = set(case.index.ids(case.parse(query))) if query else None
    for number, (item, reading) in enumerate(case.catalog.items()):
        users = users_of(item)
        if not (reading or users) or (wanted is not None and item.id not in wanted):
            continue
        at = date_of(item)
        row = (
            number,
            bytes.fromhex(reading.key) if reading else None,
            item.digests.sha256[:24] if item.digests else item.id,
            item.provenance.source,
            at.astimezone(UTC).isoformat(timespec="microseconds") if at else None,
            item.id,
            storable(str(item.provenance)),
        )
        yield row, [(storable(user), storable(name)) for user, name in users]


def _having(case: Case, query: str, types: list[str]) -> Iterator[Item]:
    """The items behind the table, sorted by path."""
    with _joined(case) as database:
        statement = f"SELECT 1 FROM made.features WHERE key = ? AND type IN ({', '.join('?' * len(types))}) LIMIT 1"  # noqa: S608
        for item in matching(case, query):
            held = case.catalog.with_reading(item.id)
            key = bytes.fromhex(held[1].key) if held and held[1] else None
            if ("user" in types and users_of(item)) or database.execute(statement, (key, *types)).fetchone():
                yield item


@contextmanager
def _joined(case: Case) -> Iterator[sqlite3.Connection]:
    """A temporary database beside which the case's features are attached, none where none were gathered."""
    path = case.path / FEATURES
    try:
        with closing(sqlite3.connect("", uri=True)) as database:
            database.execute("PRAGMA cache_size=-65536")
            database.execute("PRAGMA journal_mode=OFF")
            database.execute("PRAGMA trusted_schema=OFF")
            if is_made(path):
                database.execute("ATTACH ? AS made", (reading_uri(path),))
            else:
                database.execute("ATTACH ':memory:' AS made")
                database.execute(_NONE)
            yield database
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {reason_of(error)}") from error


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
