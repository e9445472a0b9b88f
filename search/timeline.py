"""Every recorded time of the matching items in order: MACB, EXIF, document, mail, archive member, log.

Times are sorted by a temporary database that spills to disk, so that millions of them need little memory.
A time whose zone is not known is the wall clock of the machine that wrote it, set among the others as if
it were UTC, and says so in its own column (and is printed without the `Z` of UTC).
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

from indexer.model import Hit, Item, print_time
from search.answers import chosen, matching
from search.case import Case
from search.lookup import decode_times
from search.report import Cell, Column, Report, colophon_of, sheet_of
from search.sanitise import storable

Step = Literal["hour", "day", "month", "year"]
STEPS: dict[str, int] = {"hour": 13, "day": 10, "month": 7, "year": 4}
"""How many characters of an ISO time name the step."""
MEANING = {
    "M": "content modified",
    "A": "last read",
    "C": "metadata changed",
    "B": "created",
}
"""The kinds of times that have a letter, in words."""
_COLUMNS = (
    Column("time", "time"), Column("kind"), Column("origin"), Column("zone"), Column("resolution", "number"),
    Column("id"), Column("path"), Column("name", shown=False), Column("size", "number"),
    Column("sha256", shown=False),
)  # fmt: skip
_INSERT = "INSERT INTO times VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


def timeline(case: Case, query: str = "") -> Report:
    """The times of every hit, or of every item, the earliest first, then by path and kind.

    Raises:
        QueryError: the query cannot be understood.
    """
    items: Callable[[], Iterator[Item | Hit]] = partial(matching, case, query)
    sheet = sheet_of("timeline", _COLUMNS, partial(in_order, items))
    return Report(case, colophon_of(case, "timeline", query), (sheet,), items)


def histogram(case: Case, query: str, step: Step) -> dict[str, int]:
    """How many recorded times fall into each hour, day, month or year."""
    hours: Counter[tuple[int, int, int, int]] = Counter()
    sharing: Counter[bytes] = Counter()
    with chosen(case, query) as is_hit:
        for identity, own, reading in case.catalog.packed():
            if is_hit(identity):
                hours.update(_hours(own))
                sharing[reading] += 1
    for key, _, facts in case.catalog.packed_readings():
        if count := sharing[key]:
            for hour in _hours(facts):
                hours[hour] += count
    counts: Counter[str] = Counter()
    for hour, count in hours.items():
        counts[print_time(datetime(*hour, tzinfo=UTC))[: STEPS[step]]] += count
    return dict(sorted(counts.items()))


def _hours(facts: bytes) -> list[tuple[int, int, int, int]]:
    """The hour of every time among packed facts."""
    return [(at.year, at.month, at.day, at.hour) for stamp in decode_times(facts)[1] for at in (stamp.at,)]


def in_order(items: Callable[[], Iterator[Item | Hit]] | None) -> Iterator[tuple[Any, ...]]:
    """A tuple for each recorded time, in the order of the sheet's columns; a naive time is of an unknown zone."""
    with closing(sqlite3.connect("")) as database:
        database.execute("PRAGMA cache_size=-65536")
        database.execute("PRAGMA journal_mode=OFF")
        database.execute(
            "CREATE TABLE times (at TEXT, kind TEXT, origin TEXT, zone TEXT, resolution REAL, "
            "id TEXT, path TEXT, name TEXT, size INTEGER, sha256 TEXT)"
        )
        database.executemany(_INSERT, (row for each in (items() if items else ()) for row in _times(each)))
        for at, kind, origin, zone, *rest in database.execute(
            "SELECT * FROM times ORDER BY at, path, kind, origin, id"
        ):
            moment = datetime.fromisoformat(at)
            yield (moment.replace(tzinfo=UTC) if zone == "UTC" else moment, kind, origin, zone, *rest)


def _times(row: Item | Hit) -> Iterator[tuple[Cell, ...]]:
    item = row.item if isinstance(row, Hit) else row
    digest = item.digests.sha256 if item.digests else None
    for stamp in item.timestamps:
        at = stamp.at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
        zone = "UTC" if stamp.zone_known else "unknown"
        place = (item.id, storable(str(item.provenance)), storable(item.name), item.size, digest)
        yield (at, stamp.kind, stamp.origin, zone, stamp.resolution, *place)
