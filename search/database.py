"""One SQLite file of a case: opened safely, one transaction at a time, every error named with its file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from indexer.errors import StoreError

Row = tuple[Any, ...]


class Database:
    """A connection; WAL, so that readers never wait for the writer.

    Args:
        write: false opens it for reading only; a missing file is then an error.
        schema: statements that make the tables where they are missing.
    """

    def __init__(self, path: Path, schema: str, *, write: bool) -> None:
        self.path = path
        self._in_transaction = False
        try:
            mode = "rwc" if write else "ro"
            # The folder is the analyst's own and may hold ?, # and %: the URI must not read them.
            uri = path.absolute().as_uri() + f"?mode={mode}"
            self._connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=30)
            self._connection.execute("PRAGMA trusted_schema=OFF")
            if write:
                self._connection.execute("PRAGMA journal_mode=WAL")
                self._connection.execute("PRAGMA synchronous=NORMAL")
                self._connection.executescript(schema)
            self._connection.execute("PRAGMA cache_size=-65536")
            self._connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        except sqlite3.Error as error:
            raise StoreError(f"{path}: {error}") from error

    def write(self, statement: str, values: Sequence[Any] = ()) -> None:
        """Runs a statement inside the open transaction, which it opens where there is none."""
        try:
            self._begin()
            self._connection.execute(statement, values)
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}") from error

    def write_all(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Runs a statement for every row inside the open transaction."""
        try:
            self._begin()
            self._connection.executemany(statement, rows)
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}") from error

    def row(self, statement: str, values: Sequence[Any] = ()) -> Row | None:
        """The first row, or None."""
        try:
            row: Row | None = self._connection.execute(statement, values).fetchone()
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}") from error
        return row

    def rows(self, statement: str, values: Sequence[Any] = ()) -> Iterator[Row]:
        """All rows, as they are read."""
        try:
            yield from self._connection.execute(statement, values)
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}") from error

    def commit(self) -> None:
        """Makes the open transaction durable."""
        if not self._in_transaction:
            return
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}") from error
        self._in_transaction = False

    def close(self) -> None:
        """Closes the file; what was not committed is gone."""
        self._connection.close()

    def _begin(self) -> None:
        if not self._in_transaction:
            self._connection.execute("BEGIN IMMEDIATE")
            self._in_transaction = True
