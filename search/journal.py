"""The journal of a run: which roots are open, which members wait in the spool, what is kept already.

    roots     a file of a source is `open` until everything below it is kept, then `done`
    pending   members in the spool, and items that are dropped and being read again, each with the ids of the
              containers around it (16 bytes each): what these hold is not whole

It lies in the catalog's file, so that items and journal are committed together: a kill at any
moment leaves both or neither.
"""

from __future__ import annotations

from indexer.model import Provenance, Spent
from search.database import Database

SCHEMA = """
CREATE TABLE IF NOT EXISTS roots (id BLOB PRIMARY KEY, source TEXT NOT NULL, state TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pending (
    id BLOB PRIMARY KEY, root BLOB NOT NULL, above BLOB NOT NULL
) WITHOUT ROWID;
"""


class Journal:
    """The journal, in the transactions of the database that it is given."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waited: set[bytes] = set()
        """Open roots with members that are pending, or were."""

    def root_state(self, root: str) -> str:
        """`open`, `done`, or nothing."""
        row = self._database.row("SELECT state FROM roots WHERE id = ?", (bytes.fromhex(root),), apart=True)
        return str(row[0]) if row else ""

    def open_root(self, root: str, source: str) -> None:
        """From here until `close_root`, the root is not whole."""
        statement = "INSERT OR REPLACE INTO roots VALUES (?, ?, 'open')"
        self._database.write(statement, (bytes.fromhex(root), source), apart=True)

    def close_root(self, root: str) -> None:
        """Everything below the root is kept."""
        key = bytes.fromhex(root)
        self._database.write("UPDATE roots SET state = 'done' WHERE id = ?", (key,), apart=True)
        if key in self._waited:
            self.clear(root)

    def open_roots(self) -> dict[str, int]:
        """How many roots a run has left unfinished in each source that has any."""
        rows = self._database.rows("SELECT source, count(*) FROM roots WHERE state = 'open' GROUP BY source")
        return {str(source): int(count) for source, count in rows}

    def pend(self, place: Provenance) -> None:
        """An item is in the spool, or is to be read again."""
        *above, identity = place.ids()
        root = (*above, identity)[0]
        self._waited.add(root)
        values = (identity, root, b"".join(above))
        self._database.write("INSERT OR REPLACE INTO pending VALUES (?, ?, ?)", values, apart=True)

    def unpend(self, place: Provenance) -> None:
        """The member is read."""
        self._database.write("DELETE FROM pending WHERE id = ?", (bytes.fromhex(place.id),), apart=True)

    def spent(self, root: str, *, resumed: bool) -> dict[str, Spent]:
        """What is kept below a root and what each subtree cost.

        Args:
            resumed: leaves out the containers of pending members, which are found again by walking. Those
                stay pending until the root is closed: a second kill must find them, and nothing may be
                copied from their containers before.
        """
        key = bytes.fromhex(root)
        skipped = set()
        if resumed:
            for identity, above in self._database.rows("SELECT id, above FROM pending WHERE root = ?", (key,)):
                skipped |= {above[start : start + 16] for start in range(0, len(above), 16)} | {identity}
                self._waited.add(key)
        rows = list(self._database.rows("SELECT id, parent, coalesce(size, 0) FROM items WHERE root = ?", (key,)))
        parents = {identity: parent for identity, parent, _ in rows}
        sizes = {identity: size for identity, _, size in rows}
        totals = {identity: [0, 0] for identity in parents}
        for identity in parents:
            container: bytes | None = identity
            while container in totals:
                totals[container][0] += sizes[identity]
                totals[container][1] += 1
                container = parents[container]
        return {
            identity.hex(): Spent(sizes[identity], *totals[identity])
            for identity in parents
            if identity not in skipped and identity != key
        }

    def clear(self, root: str) -> None:
        """No member of this root waits any more."""
        self._database.write("DELETE FROM pending WHERE root = ?", (bytes.fromhex(root),), apart=True)
