"""Events of a case in columns: one DuckDB file, made from the texts of the case and never needed to keep it.

    events.duckdb   readings(number, key, format, unit, lines, events, missed, first_missed, first_at,
                             last_at): what was looked at
                    events(reading, line, moment, zone, address, account, action, path, status, size, agent, detail,
                           again)
                    paths(raw, local): paths of requests in escapes that are not just percent-encoded UTF-8

`again` marks what a reading before holds already: the log of a daily snapshot begins with the one of the day
before. Of a line that stands n times in one log and m times in another, max(n, m) count.

Measured on 10 million events of a combined log, 2 busy cores, 512 MB for the engine (2026-11): an event takes 24
bytes here, 16 in Parquet with zstd, 164 in SQLite; the histogram of addresses 1.7 s here, 2.7 s over Parquet, 23 s
in SQLite; a filter 0.2, 0.1 and 5 s; the first 50 events 0.03, 0.2 and 3 s. Parquet needs an engine all the same
(pyarrow is 170 MB and knows no windows, DuckDB 68 MB), and one file with transactions is simpler than many. DuckDB
reaches for no network here: extensions are neither loaded nor installed, and it sees no file but its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from indexer.errors import LockedError, StoreError, UsageError, reason_of
from indexer.escapes import read_paths
from search.database import is_made
from search.engine.columns import blank
from search.events.event import Event

FILE = "events.duckdb"
VERSION = 6
"""Rises when logs are to be read anew."""
_MEMORY = "512MB"
_PIECE = 50_000
"""Events that are handed over together,"""
_CHARACTERS = 1 << 25
"""or fewer, where they are as long as this."""
_TABLES = {
    "state": "version INTEGER, last_item BIGINT",
    "readings": "number INTEGER, key BLOB, format VARCHAR, unit VARCHAR, lines BIGINT, events BIGINT, missed BIGINT, "
    "first_missed BIGINT, first_at BIGINT, last_at BIGINT",
    "events": "reading INTEGER, line BIGINT, moment TIMESTAMP, zone VARCHAR, address VARCHAR, account VARCHAR, "
    "action VARCHAR, path VARCHAR, status VARCHAR, size BIGINT, agent VARCHAR, detail VARCHAR, again BOOLEAN",
    "paths": "raw VARCHAR, local VARCHAR",
}
_STAGE = (
    "CREATE OR REPLACE TEMP TABLE stage (line BIGINT, moment TIMESTAMP, zone VARCHAR, address VARCHAR, "
    "account VARCHAR, action VARCHAR, path VARCHAR, status VARCHAR, size BIGINT, agent VARCHAR, detail VARCHAR)"
)
_COLUMNS = ("line", "micros", "zone", "address", "account", "action", "path", "status", "size", "agent", "detail")
"""The fields of an event, in their order."""
_WIDTH = len(_COLUMNS)
_NUMBERS = ("line", "micros", "size")
_GIVEN = (
    "SELECT line, make_timestamp(micros), zone, address, account, action, path, status, nullif(size, -1), agent, "
    "detail FROM piece WHERE line > 0"
)
_ESCAPED = r"""
SELECT DISTINCT path FROM events
WHERE path LIKE '/%' AND path NOT IN (SELECT raw FROM paths) AND (
    contains(path, '\x') OR (contains(path, '%') AND try(url_decode(split_part(path, '?', 1))) IS NULL)
)
"""
_SAID = "moment, zone, address, account, action, path, status, size, agent, detail"
_SETTLE = f"""
INSERT INTO events
WITH counted AS (
    SELECT hash({_SAID}) AS mark, reading, count(*) AS times FROM events
    WHERE moment BETWEEN (SELECT min(moment) FROM stage) AND (SELECT max(moment) FROM stage)
        AND list_contains(?::INTEGER[], reading)
        AND hash({_SAID}) IN (SELECT hash({_SAID}) FROM stage)
    GROUP BY 1, 2
), held AS (
    SELECT mark, max(times) AS most FROM counted GROUP BY 1
), fresh AS (
    SELECT line, most, row_number() OVER (PARTITION BY mark ORDER BY line) AS nth
    FROM (SELECT line, hash({_SAID}) AS mark FROM stage) JOIN held USING (mark)
)
SELECT ?, line, {_SAID}, line IN (SELECT line FROM fresh WHERE nth <= most) FROM stage ORDER BY line
"""


class EventStore:
    """The events of one case.

    Raises:
        UsageError: DuckDB is not installed.
        LockedError: another process is reading logs into the case.
        StoreError: the file is damaged.
    """

    def __init__(self, folder: Path, *, write: bool = False) -> None:
        try:
            import duckdb
        except ImportError as error:
            raise UsageError("events of logs need DuckDB: pip install 'archivore[logs]'") from error
        self.path = folder / FILE
        self._error = duckdb.Error
        spill = folder / "events.spill"
        settings: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": _MEMORY,
            "threads": min(4, len(os.sched_getaffinity(0))),
            "temp_directory": str(spill),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
        is_new = write and not is_made(self.path)
        try:
            if is_new:
                self.path.unlink(missing_ok=True)
            self._connection = duckdb.connect(str(self.path), read_only=not write, config=settings)
            run = self._connection.execute
            run("SET enable_external_access = false")
            run("SET lock_configuration = true")
            if write:
                for name, columns in _TABLES.items():
                    run(f"CREATE TABLE IF NOT EXISTS {name} ({columns})")
        except duckdb.IOException as error:
            if "lock" in str(error).lower():
                raise LockedError(f"{self.path}: another process reads logs into this case; wait for it") from error
            if "not a valid" in str(error):
                raise StoreError(f"{self.path}: it is damaged; remove it, and the logs are read again") from error
            raise StoreError(f"{self.path}: {reason_of(error)}") from error
        except (duckdb.Error, OSError) as error:
            if is_new:
                self.path.unlink(missing_ok=True)
            raise StoreError(f"{self.path}: {reason_of(error)}") from error

    def __enter__(self) -> EventStore:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def run(self, statement: str, values: Sequence[Any] = ()) -> None:
        """Runs a statement."""
        for _ in self.rows(statement, values):
            pass

    def rows(self, statement: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of a statement, as they are made."""
        try:
            cursor = self._connection.cursor().execute(statement, values)
            while some := cursor.fetchmany(1024):
                yield from some
        except self._error as error:
            raise StoreError(f"{self.path}: {reason_of(error)}") from error

    def gathered(self, statement: str, each: Iterable[Sequence[Any]], order: str) -> Iterator[tuple[Any, ...]]:
        """The rows of a statement that is run with one list of values after the other, all of them in an order.

        What one run needs in memory is given back before the next.
        """
        try:
            cursor = self._connection.cursor()
            taking = "CREATE TEMP TABLE gathered AS "
            for values in each:
                cursor.execute(taking + statement, values)
                taking = "INSERT INTO gathered "
            cursor.execute(f"SELECT * FROM gathered ORDER BY {order}")
            while some := cursor.fetchmany(1024):
                yield from some
        except self._error as error:
            raise StoreError(f"{self.path}: {reason_of(error)}") from error

    def row(self, statement: str, values: Sequence[Any] = ()) -> tuple[Any, ...]:
        """The one row of a statement."""
        return next(self.rows(statement, values))

    # -- taking in -----------------------------------------------------------------------------

    def state(self) -> int | None:
        """The number of the item up to which logs were read; None where they are to be read anew."""
        row = next(self.rows("SELECT version, last_item FROM state"), None)
        if row is None:
            return 0
        return int(row[1]) if row[0] == VERSION else None

    def keep_state(self, last_item: int) -> None:
        """Every item up to this one was looked at."""
        self.run("DELETE FROM state")
        self.run("INSERT INTO state VALUES (?, ?)", (VERSION, last_item))

    def clear(self) -> None:
        """Drops everything."""
        for name, columns in _TABLES.items():
            self.run(f"CREATE OR REPLACE TABLE {name} ({columns})")

    def keys(self) -> set[bytes]:
        """The keys of all readings that were looked at."""
        return {bytes(key) for (key,) in self.rows("SELECT key FROM readings")}

    def logs(self) -> dict[int, str]:
        """The keys of the readings that are logs, by their numbers."""
        rows = self.rows("SELECT number, key FROM readings WHERE format <> '' ORDER BY number")
        return {number: bytes(key).hex() for number, key in rows}

    def pass_over(self, keys: Iterable[bytes]) -> None:
        """Keeps in mind that these readings are no logs."""
        held = list(keys)
        if held:
            self.run("INSERT INTO readings SELECT -1, unnest(?::BLOB[]), '', '', 0, 0, 0, 0, NULL, NULL", (held,))

    def read_paths(self) -> None:
        """Reads those paths of requests that DuckDB does not; all of them tell what encoding they are in."""
        rows = self.rows(_ESCAPED)
        while some := [path for (path,) in islice(rows, _PIECE)]:
            local = read_paths([path.partition("?")[0] for path in some])
            self.run("INSERT INTO paths SELECT unnest(?::VARCHAR[]), unnest(?::VARCHAR[])", (some, list(local)))

    def take(self, key: bytes, name: str, unit: str, found: Iterator[Event | int]) -> int:
        """Takes in one log, all of it or nothing; returns how many events it has.

        Args:
            found: its events, and the number of each line that was not understood.
        """
        connection = self._connection
        lines = missed = first_missed = events = characters = 0
        # Values without the tuples around them: what holds nothing is not gone through again by the collector.
        waiting: list[Any] = []
        try:
            connection.execute("BEGIN")
            connection.execute(_STAGE)
            intake = _Intake(connection, name)
            for each in found:
                if isinstance(each, int):
                    missed += 1
                    first_missed = first_missed or each
                    lines = each
                    continue
                lines = each.line
                waiting += each
                characters += len(each.path) + len(each.agent) + len(each.detail)
                if len(waiting) >= _PIECE * _WIDTH or characters >= _CHARACTERS:
                    events += intake.take(waiting)
                    waiting, characters = [], 0
            events += intake.take(waiting)
            number = intake.settle()
            connection.execute(
                "INSERT INTO readings VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (number, key, name, unit, lines, events, missed, first_missed, intake.first, intake.last),
            )
            connection.execute("DROP TABLE stage")
            connection.execute("COMMIT")
        except (self._error, OSError) as error:
            raise StoreError(f"{self.path}: {reason_of(error)}") from error
        return events


class _Intake:
    """One log on its way into the store.

    What lies at times of which no log of its format tells yet goes in at once; the rest waits aside, until it is
    known how often each line stands in it.
    """

    def __init__(self, connection: Any, name: str) -> None:
        self._connection = connection
        (highest,) = connection.execute("SELECT coalesce(max(number), 0) FROM readings").fetchone()
        self.number = int(max(0, highest)) + 1
        self.first: int | None = None
        self.last: int | None = None
        held = "SELECT number, first_at, last_at FROM readings WHERE format = ? AND first_at IS NOT NULL"
        self._held: list[tuple[int, int, int]] = connection.execute(held, (name,)).fetchall()
        self._near: set[int] = set()
        # One piece, filled anew each time: the engine keeps what is registered until the transaction ends.
        self._piece = blank(_PIECE, _COLUMNS, _NUMBERS)
        connection.register("piece", self._piece)

    def take(self, waiting: list[Any]) -> int:
        """Takes in some events, value after value; returns how many they are."""
        if not waiting:
            return 0
        count = len(waiting) // _WIDTH
        for at, (name, column) in enumerate(self._piece.items()):
            values = waiting[at::_WIDTH]
            column[:count] = [-1 if size is None else size for size in values] if name == "size" else values
            column[count:] = 0 if name in _NUMBERS else ""
        moments = self._piece["micros"][:count]
        first, last = int(moments.min()), int(moments.max())
        self.first = first if self.first is None else min(first, self.first)
        self.last = last if self.last is None else max(last, self.last)
        near = {number for number, start, end in self._held if start <= last and first <= end}
        self._near |= near
        if near:
            self._connection.execute(f"INSERT INTO stage {_GIVEN}")
        else:
            self._connection.execute(f"INSERT INTO events SELECT {self.number:d}, given.*, false FROM ({_GIVEN}) given")
        return count

    def settle(self) -> int:
        """Takes in what waited; returns the number of the log."""
        if self._near:
            self._connection.execute(_SETTLE, (sorted(self._near), self.number))
        self._connection.unregister("piece")
        return self.number
