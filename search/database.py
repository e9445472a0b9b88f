"""One SQLite file of a case: opened safely, one transaction at a time, every error named with its file."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from indexer.errors import StoreError, reason_of

Row = tuple[Any, ...]
_MANY = 500
"""Rows of one statement that wait at most."""
_WAL_PAGES = 8192
"""Pages that gather in the log before they are copied: those that change again and again are copied once."""
_READING, _WRITING = 8_192, 65_536
"""KiB of pages held: a reader has what the system holds of the file, a writer also what has changed."""


def is_made(path: Path) -> bool:
    """Whether a store is there; a full disk, or a kill, leaves a file without a byte, which is none."""
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def reading_uri(path: Path) -> str:
    """What opens a database for reading only, on a disc that nobody can write too.

    There the shared memory of its log cannot be made, and without it the file is opened only where it is said that
    it does not change. The folder is the analyst's own and may hold ?, # and %: the URI does not read them.
    """
    memory, log = (path.with_name(path.name + suffix) for suffix in ("-shm", "-wal"))
    still = not os.access(path.parent, os.W_OK) and not memory.exists() and not is_made(log)
    return path.absolute().as_uri() + ("?mode=ro&immutable=1" if still else "?mode=ro")


def remove_database(path: Path) -> None:
    """Takes away a database that could not be made whole, so that nobody takes it for one."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


class Database:
    """A connection; WAL, so that readers never wait for the writer.

    Args:
        write: false opens it for reading only; a missing file is then an error.
        schema: statements that make the tables where they are missing.
    """

    def __init__(self, path: Path, schema: str, *, write: bool) -> None:
        self.path = path
        self._in_transaction = False
        self._soon: dict[str, list[Sequence[Any]]] = {}
        is_new = write and not is_made(path)
        try:
            uri = path.absolute().as_uri() + "?mode=rwc" if write else reading_uri(path)
            with ExitStack() as failed:
                connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=30)
                failed.callback(connection.close)
                connection.execute("PRAGMA trusted_schema=OFF")
                if write:
                    connection.execute("PRAGMA journal_mode=WAL")
                    connection.execute("PRAGMA synchronous=NORMAL")
                    connection.execute(f"PRAGMA wal_autocheckpoint={_WAL_PAGES}")
                    connection.executescript(f"BEGIN;{schema};COMMIT;")
                connection.execute(f"PRAGMA cache_size=-{_WRITING if write else _READING}")
                connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
                failed.pop_all()
            self._connection = connection
        except sqlite3.Error as error:
            if is_new:
                remove_database(path)
            raise StoreError(f"{path}: {reason_of(error)}") from error

    def write(self, statement: str, values: Sequence[Any] = (), *, apart: bool = False) -> None:
        """Runs a statement inside the open transaction, which it opens where there is none.

        Args:
            apart: it concerns no table that `write_soon` fills, so that what waits there may wait on.
        """
        try:
            if not apart:
                self._flush()
            self._begin()
            self._connection.execute(statement, values)
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {reason_of(error)}") from error

    def write_soon(self, statement: str, values: Sequence[Any]) -> None:
        """Runs a statement for a row later, with others like it; always before the tables are looked at again."""
        rows = self._soon.setdefault(statement, [])
        rows.append(values)
        if len(rows) >= _MANY:
            try:
                self._flush()
            except sqlite3.Error as error:
                raise StoreError(f"{self.path}: {reason_of(error)}") from error

    def write_all(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Runs a statement for every row inside the open transaction."""
        try:
            self._flush()
            self._begin()
            self._connection.executemany(statement, rows)
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {reason_of(error)}") from error

    def row(self, statement: str, values: Sequence[Any] = (), *, apart: bool = False) -> Row | None:
        """The first row, or None; `apart` as for `write`."""
        try:
            if not apart:
                self._flush()
            row: Row | None = self._connection.execute(statement, values).fetchone()
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {reason_of(error)}") from error
        return row

    def rows(self, statement: str, values: Sequence[Any] = ()) -> Iterator[Row]:
        """All rows, as they are read."""
        try:
            self._flush()
            # Not `yield from`: that would close the cursor of a database which may be closed by then.
            for row in self._connection.execute(statement, values):  # noqa: UP028
                yield row
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {reason_of(error)}") from error

    def commit(self) -> None:
        """Makes the open transaction durable."""
        if not self._in_transaction and not self._soon:
            return
        try:
            self._flush()
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {reason_of(error)}") from error
        self._in_transaction = False

    def rest(self) -> None:
        """Gives the memory of the pages it holds back to the system, for other processes; they are read again."""
        try:
            self._connection.execute("PRAGMA shrink_memory")
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {reason_of(error)}") from error
        from ctypes import CDLL  # takes longer to load than a reader may wait

        trim = getattr(CDLL(None), "malloc_trim", None)  # what was freed in between stays with us otherwise
        if trim:
            trim(0)

    def close(self) -> None:
        """Closes the file; what was not committed is gone."""
        self._connection.close()

    def _flush(self) -> None:
        if self._soon:
            self._begin()
            soon, self._soon = self._soon, {}
            for statement, rows in soon.items():
                self._connection.executemany(statement, rows)

    def _begin(self) -> None:
        if not self._in_transaction:
            self._connection.execute("BEGIN IMMEDIATE")
            self._in_transaction = True
