"""The catalog of a case: every item at its place, what was read of it, and the journal of the run.

    sources   what was received, as the analyst described it
    items     one row an item: its place, size, digests, and the facts its place alone tells
    readings  what a handler made of some bytes, once for all items that hold them
    problems  one row an item and cause, for counting and filtering
    stale     items that the index does not hold as they are now
    runs      when, with which versions, options and limits, and how much

The journal of a run (search/journal.py) and what reviewers say (search/review.py) lie in the same file
and share its transactions.
It fulfils `indexer.ledger.Ledger` together with the texts; see `search/case.py`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from indexer.model import (
    Found,
    Hop,
    Item,
    Known,
    Provenance,
    Reading,
    Run,
    Source,
    Spent,
    status_of,
)
from search import journal, review
from search.database import Database
from search.lookup import ITEM, Lookup, decode_hops, encode, found_in
from search.sanitise import storable

_SCHEMA = """
CREATE TABLE IF NOT EXISTS sources (name TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS items (
    number INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE, parent BLOB, root BLOB NOT NULL, source TEXT NOT NULL,
    path TEXT NOT NULL, name TEXT NOT NULL, size INTEGER, media_type TEXT NOT NULL,
    md5 BLOB, sha1 BLOB, sha256 BLOB, status TEXT NOT NULL, reading BLOB,
    hops BLOB NOT NULL, own BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS items_parent ON items (parent);
CREATE INDEX IF NOT EXISTS items_root ON items (root);
CREATE INDEX IF NOT EXISTS items_path ON items (path, id);
CREATE INDEX IF NOT EXISTS items_sha256 ON items (sha256);
CREATE INDEX IF NOT EXISTS items_reading ON items (reading);
CREATE TABLE IF NOT EXISTS readings (
    key BLOB PRIMARY KEY, item BLOB NOT NULL, handler TEXT NOT NULL, version INTEGER NOT NULL,
    language TEXT NOT NULL, has_content INTEGER NOT NULL, members INTEGER NOT NULL,
    chunks INTEGER NOT NULL, chars INTEGER NOT NULL, facts BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS problems (
    id BLOB NOT NULL, cause TEXT NOT NULL, handler TEXT NOT NULL, PRIMARY KEY (id, cause, handler)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS problems_cause ON problems (cause, handler);
CREATE TABLE IF NOT EXISTS stale (id BLOB PRIMARY KEY, taken INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS runs (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
"""


class Catalog(Lookup):
    """The catalog, one file of the case."""

    def __init__(self, path: Path, *, write: bool) -> None:
        super().__init__(Database(path, _SCHEMA + journal.SCHEMA + review.SCHEMA, write=write))
        self.journal = journal.Journal(self._database)
        self.review = review.Review(self._database)

    def commit(self) -> None:
        """Makes everything so far durable."""
        self._database.commit()

    def rest(self) -> None:
        """Gives back what memory it can, while others work."""
        self._database.rest()

    def close(self) -> None:
        """Closes the file."""
        self._database.close()

    # -- sources and runs ----------------------------------------------------------------------

    def keep_source(self, source: Source) -> None:
        """Keeps the description of a source."""
        self._database.write("INSERT OR REPLACE INTO sources VALUES (?, ?)", (source.name, encode(source)))

    def keep_run(self, run: Run) -> None:
        """Keeps the record of a run; the same id replaces it."""
        self._database.write("INSERT OR REPLACE INTO runs VALUES (?, ?)", (run.id, encode(run)))

    # -- dropping ------------------------------------------------------------------------------

    def forget(self, root: str) -> None:
        """Drops a root with everything below it; readings move to another item that shares them."""
        key = bytes.fromhex(root)
        self.journal.clear(root)
        self._drop("root = ?", (key,))

    def forget_below(self, ids: Iterable[str]) -> None:
        """Drops items with everything below them."""
        waiting = deque(bytes.fromhex(identity) for identity in ids)
        while waiting:
            identity = waiting.popleft()
            waiting += [row[0] for row in self._database.rows("SELECT id FROM items WHERE parent = ?", (identity,))]
            self._drop("id = ?", (identity,))

    def outermost(self, items: Iterable[Item]) -> list[Item]:
        """These items and all that share their readings, without those inside another of them."""
        chosen: dict[str, Item] = {}
        for item in items:
            chosen[item.id] = item
            row = self._database.row("SELECT reading FROM items WHERE id = ?", (bytes.fromhex(item.id),))
            if row and row[0]:
                statement = f"SELECT {ITEM} FROM items WHERE reading = ?"  # noqa: S608
                for shared in list(self._database.rows(statement, (row[0],))):
                    other = self._join(shared)[0]
                    chosen[other.id] = other
        kept = [item for item in chosen.values() if not any(each in chosen for each in item.provenance.above())]
        return sorted(kept, key=lambda item: (str(item.provenance), item.id))

    def reopen_container(self, container: Item) -> dict[str, Spent]:
        """Makes a container ready to be walked again for the members that could not be opened.

        Drops those members and what was read of the container itself; returns the others, which
        need no reading.
        """
        key = bytes.fromhex(container.id)
        rows = self._database.rows("SELECT id, status FROM items WHERE parent = ? AND reading IS NULL", (key,))
        self.forget_below([identity.hex() for identity, status in list(rows) if status != "read"])
        self._database.write("DELETE FROM problems WHERE id = ?", (key,))
        self._database.write("DELETE FROM readings WHERE key = (SELECT reading FROM items WHERE id = ?)", (key,))
        return self.journal.spent(container.provenance.root.id, resumed=False)

    def rename_members(self, container: Provenance, names: Mapping[Hop, str]) -> int:
        """Gives members other names, and everything below them the paths that follow; returns how many items."""
        from indexer.names import last_part  # brings all that tells encodings

        depth = len(container.hops)
        renamed = 0
        waiting = deque([bytes.fromhex(container.id)])
        while waiting:
            parent = waiting.popleft()
            for identity, source, hops in list(
                self._database.rows("SELECT id, source, hops FROM items WHERE parent = ?", (parent,))
            ):
                old = decode_hops(hops)
                if old[depth] in names:
                    new = (*old[:depth], replace(old[depth], name=names[old[depth]]), *old[depth + 1 :])
                    path = storable(str(Provenance(source, new)))
                    self._database.write(
                        "UPDATE items SET hops = ?, path = ?, name = ? WHERE id = ?",
                        (encode(new), path, storable(last_part(new[-1].name)), identity),
                    )
                    self._database.write("INSERT OR REPLACE INTO stale (id) VALUES (?)", (identity,))
                    renamed += 1
                waiting.append(identity)
        return renamed

    def _drop(self, where: str, values: Sequence[bytes]) -> None:
        write = self._database.write
        chosen = f"SELECT id FROM items WHERE {where}"  # noqa: S608 - `where` is one of two literals above
        write(f"INSERT OR REPLACE INTO stale (id) {chosen}", values)
        write(f"DELETE FROM problems WHERE id IN ({chosen})", values)  # noqa: S608
        write(f"CREATE TEMP TABLE orphaned AS SELECT key FROM readings WHERE item IN ({chosen})", values)  # noqa: S608
        write(f"DELETE FROM items WHERE {where}", values)  # noqa: S608
        write(
            "UPDATE readings SET item = coalesce((SELECT id FROM items WHERE reading = readings.key LIMIT 1), x'') "
            "WHERE key IN (SELECT key FROM orphaned)"
        )
        write("DELETE FROM readings WHERE item = x''")
        write("DROP TABLE orphaned")

    # -- keeping -------------------------------------------------------------------------------

    def known(self, key: str) -> Known | None:
        """What a copy of a reading costs, where it is kept whole with everything below it."""
        row = self._database.row("SELECT item, members FROM readings WHERE key = ?", (bytes.fromhex(key),))
        if row is None:
            return None
        if not row[1]:
            return Known(0, 0, 0)
        held = self._database.row(
            "SELECT 1 FROM items JOIN pending ON pending.root = items.root WHERE items.id = ? LIMIT 1", (row[0],)
        )
        if held:
            return None
        # A limit that fired below may not fire at another depth, nor with another budget: read anew.
        cost = self._database.row(
            """
            WITH RECURSIVE below (id, size, height) AS (
                SELECT id, coalesce(size, 0), 1 FROM items WHERE parent = ?1
                UNION ALL
                SELECT items.id, coalesce(items.size, 0), height + 1 FROM items JOIN below ON items.parent = below.id
            )
            SELECT sum(size), count(*), max(height),
                (SELECT count(*) FROM problems JOIN below USING (id) WHERE cause = 'limit')
            FROM below
            """,
            (row[0],),
        )
        return Known(cost[0], cost[1], cost[2]) if cost and cost[1] and not cost[3] else None

    def keep(self, found: Found) -> Known | None:
        """Keeps an item, and where it is known, copies the members.

        Returns:
            What the copy cost; None where the reading it relies on was dropped meanwhile.
        """
        reading = found.reading
        ids = found.provenance.ids()
        cost = Known(0, 0, 0)
        if reading and found.known:
            held = self._reading(bytes.fromhex(reading.key))
            if held is None:
                return None
            reading, first = held
            if reading.members:
                cost = self._copy_below(first, found.provenance)
        elif reading:
            self._keep_reading(reading, ids[-1])
        self._insert(found, ids, reading)
        return cost

    def _keep_reading(self, reading: Reading, item: bytes) -> None:
        facts = encode((reading.fields, reading.timestamps, reading.problems))
        self._database.write_soon(
            "INSERT OR REPLACE INTO readings VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                bytes.fromhex(reading.key),
                item,
                reading.handler,
                reading.version,
                reading.language,
                reading.has_content,
                reading.members,
                reading.chunks,
                reading.chars,
                facts,
            ),
        )

    def _insert(self, found: Found, ids: tuple[bytes, ...], reading: Reading | None) -> None:
        """Keeps an item.

        Args:
            ids: of all containers around it, from the root inwards, and its own.
        """
        provenance = found.provenance
        digests = found.digests
        problems = found.problems + (reading.problems if reading else ())
        row = (
            ids[-1],
            ids[-2] if len(ids) > 1 else None,
            ids[0],
            provenance.source,
            storable(str(provenance)),
            storable(found.name),
            found.size,
            found.media_type,
            bytes.fromhex(digests.md5) if digests else None,
            bytes.fromhex(digests.sha1) if digests else None,
            bytes.fromhex(digests.sha256) if digests else None,
            status_of(problems, has_content=bool(reading and reading.has_content)),
            bytes.fromhex(reading.key) if reading else None,
            encode(provenance.hops),
            encode((found.fields, found.timestamps, found.problems)),
        )
        self._database.write_soon(
            "INSERT OR REPLACE INTO items (id, parent, root, source, path, name, size, media_type, md5, sha1, sha256, "
            "status, reading, hops, own) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            row,
        )
        self._database.write_soon("INSERT OR REPLACE INTO stale (id) VALUES (?)", ids[-1:])
        for problem in problems:
            values = (ids[-1], problem.cause, problem.handler)
            self._database.write_soon("INSERT OR IGNORE INTO problems VALUES (?, ?, ?)", values)

    def _copy_below(self, first: bytes, place: Provenance) -> Known:
        """Copies every item below `first` to below `place`; texts and readings are shared."""
        start = self._database.row("SELECT hops FROM items WHERE id = ?", (first,))
        depth = len(decode_hops(start[0])) if start else 0
        size = members = height = 0
        waiting = deque([first])
        while waiting:
            above = waiting.popleft()
            rows = self._database.rows(
                f"SELECT {ITEM} FROM items WHERE parent = ? ORDER BY number",  # noqa: S608
                (above,),
            )
            for row in list(rows):
                found, key = found_in(row)
                hops = (*place.hops, *found.provenance.hops[depth:])
                moved = replace(found, provenance=Provenance(place.source, hops))
                held = self._reading(key) if key else None
                reading = held[0] if held else None
                self._insert(moved, moved.provenance.ids(), reading)
                size += found.size or 0
                members += 1
                height = max(height, len(hops) - len(place.hops))
                waiting.append(row[0])
        return Known(size, members, height)

    # -- the index's due -----------------------------------------------------------------------

    def is_stale(self, least: int) -> bool:
        """Whether at least so many items are not in the index as they are now."""
        row = self._database.row("SELECT count(*) FROM (SELECT 1 FROM stale LIMIT ?)", (least,))
        return bool(row and row[0] >= least)

    def take_stale(self, most: int) -> tuple[list[str], list[str]]:
        """Marks items as about to be indexed; the ids of those that there are, and of those that are gone."""
        self._database.write("UPDATE stale SET taken = 0 WHERE taken")
        self._database.write("UPDATE stale SET taken = 1 WHERE id IN (SELECT id FROM stale LIMIT ?)", (most,))
        kept: list[str] = []
        gone: list[str] = []
        statement = (
            "SELECT id, EXISTS (SELECT 1 FROM items WHERE items.id = stale.id) FROM stale WHERE taken ORDER BY id"
        )
        for identity, is_kept in self._database.rows(statement):
            (kept if is_kept else gone).append(identity.hex())
        return kept, gone

    def freshen(self) -> None:
        """What was taken is in the index now, but for what has changed since."""
        self._database.write("DELETE FROM stale WHERE taken")

    def make_stale(self, identity: str) -> None:
        """An item is to be indexed anew."""
        self._database.write("INSERT OR REPLACE INTO stale (id) VALUES (?)", (bytes.fromhex(identity),))

    def make_stale_sharing(self, key: str) -> None:
        """All items that share a reading are to be indexed anew."""
        self._database.write(
            "INSERT OR REPLACE INTO stale (id) SELECT id FROM items WHERE reading = ?", (bytes.fromhex(key),)
        )

    def make_all_stale(self) -> None:
        """Everything is to be indexed anew."""
        self._database.write("INSERT OR REPLACE INTO stale (id) SELECT id FROM items")
