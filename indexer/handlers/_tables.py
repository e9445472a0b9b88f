"""Rows of known tables in an SQLite database that stands inside another file.

Nothing of the database but its columns is run: no views, triggers or functions of the evidence.

Source: the SQLite database file format; sqlite.org/security.html.
Limits: what a damaged page hides is not searched for.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import BinaryIO, Final

from indexer.errors import EvidenceError, StoreError

Row = dict[str, object]

STEPS: Final = 100_000
MOST_STEPS: Final = 500_000_000
"""Steps of SQLite's machine for all queries on one database: seconds of work."""
LONGEST: Final = 256 << 20
FAILURES: Final = (sqlite3.Error, MemoryError, ValueError)
"""What a damaged file makes the library raise; a damaged length is asked of the allocator first."""


@contextmanager
def open_tables(data: BinaryIO, scratch: str | None, size: int) -> Iterator[sqlite3.Connection]:
    """A read-only connection to a copy without a name.

    Args:
        scratch: the folder for the copy.
        size: bytes of the database; no value can be longer.

    Raises:
        EvidenceError: where it cannot be opened.
        StoreError: where the copy cannot be written.
    """
    with tempfile.NamedTemporaryFile(dir=scratch, suffix=".sqlite") as copy:
        try:
            while chunk := data.read(1 << 20):
                copy.write(chunk)
            copy.flush()
        except OSError as error:
            raise StoreError(f"{scratch}: the scratch copy cannot be written: {error.strerror}") from error
        connection = sqlite3.connect(f"file:{copy.name}?mode=ro&immutable=1", uri=True, isolation_level=None)
    with closing(connection):
        connection.text_factory = bytes
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, min(LONGEST, max(size, 1 << 16)))
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        try:
            for pragma in ("trusted_schema=OFF", "cell_size_check=ON", "mmap_size=0", "writable_schema=ON"):
                connection.execute(f"PRAGMA {pragma}")
        except FAILURES as error:
            raise EvidenceError("corrupt", f"the database cannot be opened: {error}") from error
        connection.set_authorizer(_authorize)
        steps = iter(range(MOST_STEPS // STEPS))
        connection.set_progress_handler(lambda: next(steps, -1) == -1, STEPS)
        yield connection


def _authorize(action: int, first: str | None, _second: str | None, _database: str | None, by: str | None) -> int:
    """Reading columns, not through a view; asking for the columns of a table; nothing else."""
    if action == sqlite3.SQLITE_SELECT or (action == sqlite3.SQLITE_READ and by is None):
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_OK if action == sqlite3.SQLITE_PRAGMA and first == "table_xinfo" else sqlite3.SQLITE_DENY


def read_rows(tables: sqlite3.Connection, name: str, most: int) -> Iterator[Row]:
    """The rows of a table by column, up to `most`; none where there is no such table.

    Raises:
        EvidenceError: where the table is damaged, after the rows before that.
    """
    try:
        # Computed columns (kinds 2 and 3) would run expressions of the evidence.
        listed = tables.execute(f'PRAGMA table_xinfo("{name}")').fetchall()
        columns = [row[1].decode("utf-8", "replace") for row in listed if row[6] < 2]
        if not columns:
            return
        chosen = ", ".join('"' + column.replace('"', '""') + '"' for column in columns)
        for values in tables.execute(f'SELECT {chosen} FROM "{name}" NOT INDEXED LIMIT {most}'):  # noqa: S608
            yield dict(zip(columns, values, strict=True))
    except FAILURES as error:
        raise EvidenceError("corrupt", f"table {name}: {error}") from error
