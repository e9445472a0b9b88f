"""Questions to the events of logs: a table of them, addresses, logins, sessions.

An event that several logs tell, as those of daily snapshots do, counts once. A time whose zone is not known is set
among the others as if it were UTC, and is printed without the `Z`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from indexer.model import Item, Scalar
from search.addressbook import AddressBook
from search.case import Case
from search.events.build import Tell, update
from search.events.choose import Choice, condition, read_gap
from search.events.event import KNOWN
from search.events.slices import in_time_order
from search.events.store import EventStore
from search.report import Cell, Column, Report, Sheet, colophon_of, sheet_of

_PLACE = (Column("country"), Column("city", shown=False), Column("network"), Column("kind"))
_EVENTS = (
    Column("time", "time"), Column("zone", shown=False), Column("address"), Column("country"),
    Column("network", shown=False), Column("kind", shown=False), Column("user"), Column("action"),
    Column("path", "request"), Column("status"), Column("bytes", "number"), Column("agent", shown=False),
    Column("detail", shown=False), Column("id", shown=False), Column("log", shown=False),
    Column("locator", shown=False),
)  # fmt: skip
_LOGS = (
    Column("id"), Column("path"), Column("format"), Column("events", "number"), Column("repeated", "number"),
    Column("not_understood", "number"), Column("first_not_understood"), Column("zone"), Column("first", "time"),
    Column("last", "time"),
)  # fmt: skip
_ADDRESSES = (
    Column("address"), *_PLACE, Column("events", "number"), Column("users"), Column("refused", "number"),
    Column("bytes", "number"), Column("first", "time"), Column("last", "time"), Column("source", shown=False),
)  # fmt: skip
_LOGINS = (
    Column("user"), Column("what"), Column("address"), *_PLACE, Column("first", "time"), Column("last", "time"),
    Column("count", "number"), Column("agents", "number"), Column("agent", shown=False), Column("zone", shown=False),
    Column("id", shown=False), Column("log", shown=False), Column("locator", shown=False),
)  # fmt: skip
_SESSIONS = (
    Column("address"), *_PLACE, Column("users"), Column("start", "time"), Column("end", "time"),
    Column("minutes", "number"), Column("events", "number"), Column("paths", "number"), Column("bytes", "number"),
    Column("refused", "number"), Column("agents", "number"), Column("zone", shown=False),
)  # fmt: skip
_TOGETHER = 2_000_000
"""Events whose sessions are worked out at a time."""
_SURE = f"min(moment) FILTER (zone = '{KNOWN}'), max(moment) FILTER (zone = '{KNOWN}')"
"""The ends of a group among those of its times whose zone is known."""
_ZONE = f"CASE WHEN bool_and(zone = '{KNOWN}') THEN '{KNOWN}' ELSE min(zone) FILTER (zone <> '{KNOWN}') END"
_REFUSED = "count(*) FILTER (status IN ('401', '403', '530', 'failed') OR action = 'login failed')"
_SIGNED = "('login', 'login failed', 'logout', 'boot', 'shutdown')"
_NO_ACTS = "('unknown user', 'connect', 'disconnect', 'account created')"
"""What is told of a user who may never have come in."""
_WHAT = (
    f"CASE WHEN action IN {_SIGNED} OR action IN {_NO_ACTS} THEN action "
    "WHEN status IN ('401', '403', '530', 'failed') THEN 'refused as user' ELSE 'acted as user' END"
)


class Opened:
    """The events of a case while one answer is made."""

    def __init__(self, case: Case) -> None:
        self.store = EventStore(case.path)
        self.book = AddressBook(case.path)
        self.logs: dict[int, Item] = {}
        for number, key in self.store.logs().items():
            item = case.catalog.first_with(key)
            if item:
                self.logs[number] = item
        self.units = dict(self.store.rows("SELECT number, unit FROM readings WHERE format <> ''"))

    def close(self) -> None:
        """Closes all files."""
        self.store.__exit__()
        self.book.close()

    def places(self, address: str) -> tuple[Cell, ...]:
        """Country, city, network and kind."""
        place = self.book.place(address)
        return place.country, place.city, place.network, place.kind

    def log(self, reading: int, line: int) -> tuple[Cell, ...]:
        """Id and path of a log, and the place in it."""
        item = self.logs[reading]
        return item.id, str(item.provenance), f"{self.units[reading]} {line}"


Make = Callable[[Opened], Iterator[tuple[Cell, ...]]]


def events(case: Case, choice: Choice, *, limit: int = 0, tell: Tell = lambda path, count: None) -> Report:
    """The events that are meant, the earliest first; beside them the logs that they are from.

    Args:
        limit: so many at the most; all where 0.

    Raises:
        UsageError: DuckDB is missing, or a time or a network cannot be understood.
        StoreError: the store is damaged.
    """

    def rows(opened: Opened) -> Iterator[tuple[Cell, ...]]:
        where, values = condition(choice, opened.store, opened.book)
        wanted = "moment, zone, address, account, action, path, status, size, agent, detail, reading, line"
        found = in_time_order(opened.store, wanted, where, values)
        for moment, zone, address, user, action, path, status, size, agent, detail, reading, line in islice(
            found, limit or None
        ):
            country, _, network, kind = opened.places(address)
            said = (user, action, path, status, size, agent, detail)
            yield (clock(moment, zone), zone, address, country, network, kind, *said, *opened.log(reading, line))

    return make_report(case, "events", choice, (("events", _EVENTS, rows), ("logs", _LOGS, _logs)), tell)


def logs(case: Case, *, tell: Tell = lambda path, count: None) -> Report:
    """The items that are logs, with their formats, and how much of them was understood."""
    return make_report(case, "logs", Choice(), (("logs", _LOGS, _logs),), tell)


def addresses(case: Case, choice: Choice, *, tell: Tell = lambda path, count: None) -> Report:
    """Every address with where it is and how much it did, the busiest first.

    Raises as `events` does.
    """

    def rows(opened: Opened) -> Iterator[tuple[Cell, ...]]:
        where, values = condition(choice, opened.store, opened.book)
        statement = (
            f"SELECT address, count(*), {_users('account')}, {_REFUSED}, sum(size)::BIGINT, min(moment), max(moment), "
            f"{_SURE} FROM events WHERE {where} AND address <> '' GROUP BY address ORDER BY 2 DESC, 1"
        )
        for address, count, users, refused, size, *ends in opened.store.rows(statement, values):
            times = _ends(*ends)
            source = opened.book.place(address).source
            yield (address, *opened.places(address), count, users, refused, size, *times, source)

    return make_report(case, "addresses", choice, (("addresses", _ADDRESSES, rows),), tell)


def logins(case: Case, choice: Choice, *, tell: Tell = lambda path, count: None) -> Report:
    """Who came in from where, and who was refused: logins, failed ones, logouts, and what was asked for under a name.

        Starts and ends of machines stand beside them.

    Raises as `events` does.
    """

    def rows(opened: Opened) -> Iterator[tuple[Cell, ...]]:
        where, values = condition(choice, opened.store, opened.book)
        first = "(moment, reading, line)"
        statement = (
            f"SELECT account, {_WHAT} AS what, address, min(moment), max(moment), {_SURE}, count(*), "
            f"count(DISTINCT agent) FILTER (agent <> ''), arg_min(agent, {first}), {_ZONE}, "
            f"arg_min(reading, {first}), arg_min(line, {first}) FROM events "
            f"WHERE {where} AND (account <> '' OR action IN {_SIGNED}) "
            "GROUP BY account, what, address ORDER BY account, 4, what, address"
        )
        for user, what, address, begin, last, *sure, count, agents, agent, zone, reading, line in opened.store.rows(
            statement, values
        ):
            times = _ends(begin, last, *sure)
            place = opened.places(address)
            yield (user, what, address, *place, *times, count, agents, agent, zone, *opened.log(reading, line))

    return make_report(case, "logins", choice, (("logins", _LOGINS, rows),), tell)


def sessions(case: Case, choice: Choice, *, gap: str = "30m", tell: Tell = lambda path, count: None) -> Report:
    """What each address did without a pause longer than the gap, the earliest first.

    Raises as `events` does.
    """
    seconds = read_gap(gap)

    def rows(opened: Opened) -> Iterator[tuple[Cell, ...]]:
        where, values = condition(choice, opened.store, opened.book)
        # Only what a session tells is carried, and a value only where it changes: sessions may be many.
        statement = f"""
            WITH marked AS (
                SELECT address, moment, path, size, zone, status, action,
                    coalesce(moment - lag(moment) OVER mine > to_seconds({seconds:d}), true) AS starts,
                    CASE WHEN starts OR account <> lag(account) OVER mine THEN account END AS name,
                    CASE WHEN agent <> '' AND (starts OR agent <> lag(agent) OVER mine) THEN hash(agent) END AS means
                FROM events WHERE {where} AND address <> '' AND hash(address) % ? = ?
                WINDOW mine AS (PARTITION BY address ORDER BY moment)
            ), counted AS (
                SELECT *, sum(starts::INTEGER) OVER (PARTITION BY address ORDER BY moment) AS session FROM marked
            )
            SELECT address, {_users("name")} AS users, min(moment) AS start, max(moment) AS stop, count(*) AS events,
                count(DISTINCT path) FILTER (path <> '') AS paths, sum(size)::BIGINT AS size, {_REFUSED} AS refused,
                coalesce(len(list_distinct(list(means) FILTER (means IS NOT NULL))), 0), {_SURE}, {_ZONE}
            FROM counted GROUP BY address, session
        """
        (events,) = opened.store.row(f"SELECT count(*) FROM events WHERE {where}", values)
        parts = 1 + events // _TOGETHER
        each = ([*values, parts, part] for part in range(parts))
        found = opened.store.gathered(statement, each, "start, address")
        for address, users, start, end, count, paths, size, refused, agents, *sure, zone in found:
            times = (*_ends(start, end, *sure), round((end - start).total_seconds() / 60, 1))
            yield (address, *opened.places(address), users, *times, count, paths, size, refused, agents, zone)

    return make_report(case, "sessions", choice, (("sessions", _SESSIONS, rows),), tell, gap=gap)


def _ends(first: datetime, last: datetime, sure_first: datetime, sure_last: datetime) -> tuple[datetime, datetime]:
    """The first and the last time of a group, each with the zone where its own is known."""
    return (
        first.replace(tzinfo=UTC) if first == sure_first else first,
        last.replace(tzinfo=UTC) if last == sure_last else last,
    )


def _users(column: str) -> str:
    """The first eight users by name, as one text."""
    return f"array_to_string(list_sort(list(DISTINCT {column}) FILTER ({column} <> ''))[1:8], ', ')"


def clock(moment: datetime, zone: str) -> datetime:
    """A time from the store; with the zone where it is known."""
    return moment.replace(tzinfo=UTC) if zone == KNOWN else moment


def _logs(opened: Opened) -> Iterator[tuple[Cell, ...]]:
    statement = f"""
        SELECT number, format, unit, any_value(readings.events), count(*) FILTER (again), any_value(missed),
            any_value(first_missed), {_ZONE}, min(moment), max(moment)
        FROM readings LEFT JOIN events ON reading = number WHERE format <> '' GROUP BY number, format, unit
    """
    found = []
    for number, name, unit, count, again, missed, line, zone, first, last in opened.store.rows(statement):
        item = opened.logs[number]
        times = (clock(first, zone), clock(last, zone)) if first else (None, None)
        where = f"{unit} {line}" if missed else ""
        found.append((item.id, str(item.provenance), name, count, again, missed, where, zone, *times))
    yield from sorted(found, key=lambda row: (row[1], row[0]))


def make_report(
    case: Case,
    command: str,
    choice: Choice,
    sheets: tuple[tuple[str, tuple[Column, ...], Make], ...],
    tell: Tell,
    **options: Scalar,
) -> Report:
    """An answer about events; what is new is read first, and a bad option told before a file is written."""
    update(case, tell)
    with closing(Opened(case)) as opened:
        condition(choice, opened.store, opened.book)
        options["address_books"] = ", ".join(opened.book.names)
        notes = notes_of(opened)
    made = tuple(sheet(case, name, columns, make) for name, columns, make in sheets)
    return Report(case, colophon_of(case, command, "", **choice.options(), **options), made, notes=notes)


def sheet(case: Case, name: str, columns: tuple[Column, ...], make: Make) -> Sheet:
    """A sheet whose rows are made from the events, opened while it is written."""

    def rows() -> Iterator[tuple[Cell, ...]]:
        with closing(Opened(case)) as opened:
            yield from make(opened)

    return sheet_of(name, columns, rows)


def notes_of(opened: Opened) -> tuple[str, ...]:
    """What an analyst must know of the events."""
    counts: Any = opened.store.row(
        "SELECT count(*) FILTER (format <> ''), coalesce(sum(missed), 0)::BIGINT FROM readings"
    )
    if not counts[0]:
        return ("No item of the case is a log of a known format.",)
    notes = []
    if counts[1]:
        notes.append(f"{counts[1]:,} lines of logs were not understood; archivore events --logs says where.")
    assumed = opened.store.row("SELECT count(*) FROM events WHERE zone <> ?", (KNOWN,))[0]
    if assumed:
        told = "have times of an unknown zone, shown without a Z; `zone` in --json and --output says more"
        notes.append(f"{assumed:,} events {told}.")
    return tuple(notes)
