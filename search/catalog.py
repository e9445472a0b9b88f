"""The catalog of a case: every item at its place, what was read of it, and the journal of the run.

    sources   what was received, as the analyst described it
    items     one row an item: its place, size, digests, and the facts its place alone tells
    readings  what a handler made of some bytes, once for all items that hold them
    problems  one row an item and cause, for counting and filtering
    roots     the journal: a file of a source is `open` until everything below it is kept
    pending   the journal: members in the spool, with the ids of the containers around them
    stale     items that the index does not hold as they are now
    runs      when, with which versions, options and limits, and how much

Items and the journal share a transaction, so that a kill at any moment leaves both or neither.
It fulfils `indexer.ingest.Ledger` together with the texts; see `search/case.py`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from indexer.model import (
    Digests,
    Field,
    Found,
    Hop,
    Item,
    Known,
    Problem,
    Provenance,
    Reading,
    Run,
    Source,
    Spent,
    Timestamp,
)
from indexer.names import last_part
from search.database import Database, Row

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
CREATE TABLE IF NOT EXISTS fields (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS roots (id BLOB PRIMARY KEY, source TEXT NOT NULL, state TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pending (
    id BLOB PRIMARY KEY, root BLOB NOT NULL, above BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS stale (id BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS runs (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
"""

_ITEM = "id, source, hops, name, size, media_type, md5, sha1, sha256, own, reading"
_Facts = tuple[tuple[Field, ...], tuple[Timestamp, ...], tuple[Problem, ...]]
_encode = msgspec.msgpack.Encoder().encode
_decode_facts = msgspec.msgpack.Decoder(_Facts).decode
_decode_hops = msgspec.msgpack.Decoder(tuple[Hop, ...]).decode
_decode_source = msgspec.msgpack.Decoder(Source).decode
_decode_run = msgspec.msgpack.Decoder(Run).decode


class Catalog:
    """The catalog, one file of the case."""

    def __init__(self, path: Path, *, write: bool) -> None:
        self._database = Database(path, _SCHEMA, write=write)
        self._field_names = {name for (name,) in self._database.rows("SELECT name FROM fields")}

    def commit(self) -> None:
        """Makes everything so far durable."""
        self._database.commit()

    def close(self) -> None:
        """Closes the file."""
        self._database.close()

    # -- sources and runs ----------------------------------------------------------------------

    def keep_source(self, source: Source) -> None:
        """Keeps the description of a source."""
        self._database.write("INSERT OR REPLACE INTO sources VALUES (?, ?)", (source.name, _encode(source)))

    def sources(self) -> dict[str, Source]:
        """Every source by its name, in order of names."""
        rows = self._database.rows("SELECT name, body FROM sources ORDER BY name")
        return {name: _decode_source(body) for name, body in rows}

    def keep_run(self, run: Run) -> None:
        """Keeps the record of a run; the same id replaces it."""
        self._database.write("INSERT OR REPLACE INTO runs VALUES (?, ?)", (run.id, _encode(run)))

    def runs(self) -> list[Run]:
        """All runs, the oldest first."""
        return [_decode_run(body) for (body,) in self._database.rows("SELECT body FROM runs ORDER BY id")]

    # -- the journal ---------------------------------------------------------------------------

    def root_state(self, root: str) -> str:
        """`open`, `done`, or nothing."""
        row = self._database.row("SELECT state FROM roots WHERE id = ?", (bytes.fromhex(root),))
        return str(row[0]) if row else ""

    def open_root(self, root: str, source: str) -> None:
        """From here until `close_root`, the root is not whole."""
        self._database.write("INSERT OR REPLACE INTO roots VALUES (?, ?, 'open')", (bytes.fromhex(root), source))

    def close_root(self, root: str) -> None:
        """Everything below the root is kept."""
        self._database.write("UPDATE roots SET state = 'done' WHERE id = ?", (bytes.fromhex(root),))

    def open_roots(self) -> int:
        """How many roots a run has left unfinished."""
        row = self._database.row("SELECT count(*) FROM roots WHERE state = 'open'")
        return int(row[0]) if row else 0

    def pend(self, place: Provenance) -> None:
        """A member is in the spool."""
        above = b"".join(
            bytes.fromhex(Provenance(place.source, place.hops[:length]).id) for length in range(1, len(place.hops))
        )
        values = (bytes.fromhex(place.id), bytes.fromhex(place.root.id), above)
        self._database.write("INSERT OR REPLACE INTO pending VALUES (?, ?, ?)", values)

    def unpend(self, place: Provenance) -> None:
        """The member is read."""
        self._database.write("DELETE FROM pending WHERE id = ?", (bytes.fromhex(place.id),))

    def spent(self, root: str, *, resumed: bool) -> dict[str, Spent]:
        """What is kept below a root and what each subtree cost.

        Args:
            resumed: leaves out the containers of pending members, and forgets that those were
                pending: they are found again by walking.
        """
        key = bytes.fromhex(root)
        skipped = set()
        if resumed:
            for identity, above in list(self._database.rows("SELECT id, above FROM pending WHERE root = ?", (key,))):
                skipped |= {above[start : start + 16] for start in range(0, len(above), 16)} | {identity}
            self._database.write("DELETE FROM pending WHERE root = ?", (key,))
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

    def forget(self, root: str) -> None:
        """Drops a root with everything below it; readings move to another item that shares them."""
        key = bytes.fromhex(root)
        self._database.write("DELETE FROM pending WHERE root = ?", (key,))
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
                statement = f"SELECT {_ITEM} FROM items WHERE reading = ?"  # noqa: S608
                for shared in list(self._database.rows(statement, (row[0],))):
                    other = self._join(shared)[0]
                    chosen[other.id] = other
        kept = [item for item in chosen.values() if not any(each in chosen for each in _above(item.provenance))]
        return sorted(kept, key=lambda item: (str(item.provenance), item.id))

    def reopen_container(self, container: Item) -> dict[str, Spent]:
        """Makes a container ready to be walked again for the members that could not be opened.

        Drops those members and what was read of the container itself; returns the others, which
        need no reading.
        """
        key = bytes.fromhex(container.id)
        rows = self._database.rows("SELECT id, status FROM items WHERE parent = ? AND reading IS NULL", (key,))
        self.forget_below([identity.hex() for identity, status in list(rows) if status != "read"])
        self._database.write("DELETE FROM readings WHERE key = (SELECT reading FROM items WHERE id = ?)", (key,))
        return self.spent(container.provenance.root.id, resumed=False)

    def rename_members(self, container: Provenance, names: Mapping[Hop, str]) -> int:
        """Gives members other names, and everything below them the paths that follow; returns how many items."""
        depth = len(container.hops)
        renamed = 0
        waiting = deque([bytes.fromhex(container.id)])
        while waiting:
            parent = waiting.popleft()
            for identity, source, hops in list(
                self._database.rows("SELECT id, source, hops FROM items WHERE parent = ?", (parent,))
            ):
                old = _decode_hops(hops)
                if old[depth] in names:
                    new = (*old[:depth], replace(old[depth], name=names[old[depth]]), *old[depth + 1 :])
                    path = _storable(str(Provenance(source, new)))
                    self._database.write(
                        "UPDATE items SET hops = ?, path = ?, name = ? WHERE id = ?",
                        (_encode(new), path, _storable(last_part(new[-1].name)), identity),
                    )
                    self._database.write("INSERT OR IGNORE INTO stale VALUES (?)", (identity,))
                    renamed += 1
                waiting.append(identity)
        return renamed

    def _drop(self, where: str, values: Sequence[bytes]) -> None:
        write = self._database.write
        chosen = f"SELECT id FROM items WHERE {where}"  # noqa: S608 - `where` is one of two literals above
        write(f"INSERT OR IGNORE INTO stale {chosen}", values)
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
        cost = Known(0, 0, 0)
        if reading and found.known:
            held = self._reading(bytes.fromhex(reading.key))
            if held is None:
                return None
            reading, first = held
            if reading.members:
                cost = self._copy_below(first, found.provenance)
        elif reading:
            self._keep_reading(reading, bytes.fromhex(found.provenance.id))
        self._insert([self._row(found, reading)])
        self._keep_problems(found.provenance.id, found.problems, reading)
        self._keep_field_names(found.fields, reading.fields if reading and not found.known else ())
        return cost

    def _keep_reading(self, reading: Reading, item: bytes) -> None:
        facts = _encode((reading.fields, reading.timestamps, reading.problems))
        self._database.write(
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

    def _reading(self, key: bytes) -> tuple[Reading, bytes] | None:
        row = self._database.row(
            "SELECT handler, version, language, has_content, members, chunks, chars, facts, item "
            "FROM readings WHERE key = ?",
            (key,),
        )
        if row is None:
            return None
        fields, timestamps, problems = _decode_facts(row[7])
        handler, version, language, has_content, members, chunks, chars = row[:7]
        reading = Reading(
            key.hex(),
            handler,
            version,
            language,
            bool(has_content),
            members,
            chunks,
            chars,
            fields,
            timestamps,
            problems,
        )
        return reading, row[8]

    def _row(self, found: Found, reading: Reading | None) -> Row:
        provenance = found.provenance
        parent = provenance.parent
        digests = found.digests
        return (
            bytes.fromhex(provenance.id),
            bytes.fromhex(parent.id) if parent else None,
            bytes.fromhex(provenance.root.id),
            provenance.source,
            _storable(str(provenance)),
            _storable(found.name),
            found.size,
            found.media_type,
            bytes.fromhex(digests.md5) if digests else None,
            bytes.fromhex(digests.sha1) if digests else None,
            bytes.fromhex(digests.sha256) if digests else None,
            found.join(reading).status,
            bytes.fromhex(reading.key) if reading else None,
            _encode(provenance.hops),
            _encode((found.fields, found.timestamps, found.problems)),
        )

    def _insert(self, rows: Sequence[Row]) -> None:
        self._database.write_all(
            "INSERT OR REPLACE INTO items (id, parent, root, source, path, name, size, media_type, md5, sha1, sha256, "
            "status, reading, hops, own) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
        self._database.write_all("INSERT OR IGNORE INTO stale VALUES (?)", ((row[0],) for row in rows))

    def _keep_problems(self, identity: str, own: Sequence[Problem], reading: Reading | None) -> None:
        problems = (*own, *(reading.problems if reading else ()))
        key = bytes.fromhex(identity)
        self._database.write("DELETE FROM problems WHERE id = ?", (key,))
        if problems:
            rows = ((key, problem.cause, problem.handler) for problem in problems)
            self._database.write_all("INSERT OR IGNORE INTO problems VALUES (?, ?, ?)", rows)

    def _keep_field_names(self, *groups: Sequence[Field]) -> None:
        fresh = {field.name for group in groups for field in group} - self._field_names
        if fresh:
            self._field_names |= fresh
            self._database.write_all("INSERT OR IGNORE INTO fields VALUES (?)", ((name,) for name in sorted(fresh)))

    def _copy_below(self, first: bytes, place: Provenance) -> Known:
        """Copies every item below `first` to below `place`; texts and readings are shared."""
        start = self._database.row("SELECT hops FROM items WHERE id = ?", (first,))
        depth = len(_decode_hops(start[0])) if start else 0
        size = members = height = 0
        waiting = deque([first])
        while waiting:
            above = waiting.popleft()
            rows = self._database.rows(
                f"SELECT {_ITEM} FROM items WHERE parent = ? ORDER BY number",  # noqa: S608
                (above,),
            )
            for row in list(rows):
                found, key = _found(row)
                hops = (*place.hops, *found.provenance.hops[depth:])
                moved = replace(found, provenance=Provenance(place.source, hops))
                held = self._reading(key) if key else None
                reading = held[0] if held else None
                self._insert([self._row(moved, reading)])
                self._keep_problems(moved.provenance.id, moved.problems, reading)
                size += found.size or 0
                members += 1
                height = max(height, len(hops) - len(place.hops))
                waiting.append(row[0])
        return Known(size, members, height)

    # -- looking up ----------------------------------------------------------------------------

    def item(self, identity: str) -> Item | None:
        """One item without its texts."""
        row = self._database.row(f"SELECT {_ITEM} FROM items WHERE id = ?", (bytes.fromhex(identity),))  # noqa: S608
        return self._join(row)[0] if row else None

    def with_reading(self, identity: str) -> tuple[Item, Reading | None] | None:
        """One item without its texts, and the reading under which they are kept."""
        row = self._database.row(f"SELECT {_ITEM} FROM items WHERE id = ?", (bytes.fromhex(identity),))  # noqa: S608
        return self._join(row) if row else None

    def items(self) -> Iterator[tuple[Item, Reading | None]]:
        """Every item, sorted by provenance path."""
        for row in self._database.rows(f"SELECT {_ITEM} FROM items ORDER BY path, id"):  # noqa: S608
            yield self._join(row)

    def children(self, identity: str | None) -> Iterator[Item]:
        """The members of an item, or the roots of all sources, sorted by path."""
        if identity is None:
            rows = self._database.rows(f"SELECT {_ITEM} FROM items WHERE parent IS NULL ORDER BY path, id")  # noqa: S608
        else:
            rows = self._database.rows(
                f"SELECT {_ITEM} FROM items WHERE parent = ? ORDER BY path, id",  # noqa: S608
                (bytes.fromhex(identity),),
            )
        for row in rows:
            yield self._join(row)[0]

    def same_bytes(self, sha256: str) -> list[str]:
        """Ids of all items with these bytes, sorted by path."""
        rows = self._database.rows("SELECT id FROM items WHERE sha256 = ? ORDER BY path, id", (bytes.fromhex(sha256),))
        return [identity.hex() for (identity,) in rows]

    def ids_beginning(self, prefix: str, most: int = 10) -> list[str]:
        """Ids that begin with these hex digits."""
        low = bytes.fromhex(prefix.ljust(32, "0"))
        high = bytes.fromhex(prefix.ljust(32, "f"))
        rows = self._database.rows("SELECT id FROM items WHERE id BETWEEN ? AND ? LIMIT ?", (low, high, most))
        return [identity.hex() for (identity,) in rows]

    def ids_at(self, path: str, most: int = 10) -> list[str]:
        """Ids of the items at a printed provenance path."""
        rows = self._database.rows("SELECT id FROM items WHERE path = ? LIMIT ?", (path, most))
        return [identity.hex() for (identity,) in rows]

    def with_problem(self, cause: str = "", handler: str = "") -> Iterator[Item]:
        """Items that have a problem, by cause and by the handler that met it, sorted by path."""
        condition, values = "1", []
        for column, value in (("cause", cause), ("handler", handler)):
            if value:
                condition += f" AND {column} = ?"
                values.append(value)
        columns = ", ".join(f"items.{column}" for column in _ITEM.split(", "))
        rows = self._database.rows(
            f"SELECT {columns} FROM items WHERE id IN (SELECT id FROM problems WHERE {condition}) "  # noqa: S608
            "ORDER BY path, id",
            values,
        )
        for row in rows:
            yield self._join(row)[0]

    def read_by_older(self, versions: dict[str, int]) -> Iterator[Item]:
        """Items whose handler has a newer version now, sorted by path."""
        for row in self._database.rows(f"SELECT {_ITEM} FROM items WHERE reading IS NOT NULL ORDER BY path, id"):  # noqa: S608
            item, reading = self._join(row)
            if reading and reading.version < versions.get(reading.handler, 0):
                yield item

    def field_names(self) -> list[str]:
        """Every field name that an item of this case carries, sorted."""
        return sorted(self._field_names)

    def counts(self, column: str) -> dict[str, int]:
        """Items by `status`, `source` or `media_type`; problems by `cause`."""
        statements = {
            "status": "SELECT status, count(*) FROM items GROUP BY 1 ORDER BY 2 DESC, 1",
            "source": "SELECT source, count(*) FROM items GROUP BY 1 ORDER BY 1",
            "media_type": "SELECT media_type, count(*) FROM items GROUP BY 1 ORDER BY 2 DESC, 1",
            "cause": "SELECT cause, count(DISTINCT id) FROM problems GROUP BY 1 ORDER BY 2 DESC, 1",
        }
        return dict(self._database.rows(statements[column]))

    def totals(self) -> tuple[int, int]:
        """Number of items, and the sum of their sizes in bytes."""
        row = self._database.row("SELECT count(*), coalesce(sum(size), 0) FROM items")
        return (int(row[0]), int(row[1])) if row else (0, 0)

    def _join(self, row: Row) -> tuple[Item, Reading | None]:
        found, key = _found(row)
        held = self._reading(key) if key else None
        reading = held[0] if held else None
        return found.join(reading), reading

    # -- the index's due -----------------------------------------------------------------------

    def stale(self, most: int) -> list[str]:
        """Ids that the index does not hold as they are now; some may be gone from the catalog."""
        return [identity.hex() for (identity,) in self._database.rows("SELECT id FROM stale LIMIT ?", (most,))]

    def freshen(self, ids: Iterable[str]) -> None:
        """These are in the index now."""
        self._database.write_all("DELETE FROM stale WHERE id = ?", ((bytes.fromhex(each),) for each in ids))

    def make_all_stale(self) -> None:
        """Everything is to be indexed anew."""
        self._database.write("INSERT OR IGNORE INTO stale SELECT id FROM items")


def _above(place: Provenance) -> Iterator[str]:
    while place := place.parent:  # type: ignore[assignment]
        yield place.id


def _found(row: Row) -> tuple[Found, bytes | None]:
    _, source, hops, name, size, media_type, md5, sha1, sha256, own, reading = row
    fields, timestamps, problems = _decode_facts(own)
    digests = Digests(md5.hex(), sha1.hex(), sha256.hex()) if sha256 else None
    provenance = Provenance(source, _decode_hops(hops))
    return Found(provenance, name, size, media_type, digests, fields, timestamps, problems), reading


def _storable(text: str) -> str:
    """Text that SQLite takes: a raw name's surrogates are shown as U+FFFD, its bytes are in `hops`."""
    return text.encode("utf-8", "replace").decode() if not text.isascii() else text
