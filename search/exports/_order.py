"""Rows in another order than they come, held by a temporary database that spills to disk; and what was seen before."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from indexer.model import Hit, Item


class Seen:
    """Keys that were seen, however many."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def add(self, key: str) -> bool:
        """Takes a key, and returns whether it is new."""
        return self._database.execute("INSERT OR IGNORE INTO seen VALUES (?)", (key,)).rowcount > 0

    def __contains__(self, key: str) -> bool:
        return self._database.execute("SELECT 1 FROM seen WHERE key = ?", (key,)).fetchone() is not None


@contextmanager
def spilling(schema: str = "") -> Iterator[sqlite3.Connection]:
    """A temporary database in one transaction, which needs no name and leaves nothing."""
    database = sqlite3.connect("", isolation_level=None)
    try:
        database.execute("PRAGMA cache_size=-65536")
        database.execute("PRAGMA journal_mode=OFF")
        database.executescript(f"CREATE TABLE seen (key TEXT PRIMARY KEY) WITHOUT ROWID; {schema}")
        database.execute("BEGIN")
        yield database
    finally:
        database.close()


def item_of(row: Item | Hit) -> Item:
    """The item of a row."""
    return row.item if isinstance(row, Hit) else row
