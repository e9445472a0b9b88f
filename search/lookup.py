"""What the catalog holds, looked up: items with their readings, sources, runs, counts. Never writes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from indexer.model import (
    Digests,
    Field,
    Found,
    Hop,
    Item,
    Problem,
    Provenance,
    Reading,
    Run,
    Source,
    Timestamp,
)
from search.database import Database, Row

ITEM = "id, source, hops, name, size, media_type, md5, sha1, sha256, own, reading"
_ITEM_COLUMNS = ITEM.count(",") + 1
_Facts = tuple[tuple[Field, ...], tuple[Timestamp, ...], tuple[Problem, ...]]
encode = msgspec.msgpack.Encoder().encode
decode_facts = msgspec.msgpack.Decoder(_Facts).decode
decode_times = msgspec.msgpack.Decoder(tuple[msgspec.Raw, tuple[Timestamp, ...], msgspec.Raw]).decode
"""Of facts as they are kept only the times, the second of three."""
decode_hops = msgspec.msgpack.Decoder(tuple[Hop, ...]).decode
_decode_source = msgspec.msgpack.Decoder(Source).decode
_decode_run = msgspec.msgpack.Decoder(Run).decode


@dataclass(frozen=True, slots=True)
class Place:
    """Where some bytes lie in a source; the path is without the source's name."""

    id: str
    path: str
    size: int | None
    media_type: str
    sha256: str


_PLACE = "id, substr(path, length(source) + 2), size, media_type, sha256"


class Lookup:
    """The reading half of the catalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def sources(self) -> dict[str, Source]:
        """Every source by its name, in order of names."""
        rows = self._database.rows("SELECT name, body FROM sources ORDER BY name")
        return {name: _decode_source(body) for name, body in rows}

    def runs(self) -> list[Run]:
        """All runs, the oldest first."""
        return [_decode_run(body) for (body,) in self._database.rows("SELECT body FROM runs ORDER BY id")]

    def item(self, identity: str) -> Item | None:
        """One item without its texts."""
        row = self._database.row(f"SELECT {ITEM} FROM items WHERE id = ?", (bytes.fromhex(identity),))  # noqa: S608
        return self._join(row)[0] if row else None

    def with_reading(self, identity: str) -> tuple[Item, Reading | None] | None:
        """One item without its texts, and the reading under which they are kept."""
        row = self._database.row(f"SELECT {ITEM} FROM items WHERE id = ?", (bytes.fromhex(identity),))  # noqa: S608
        return self._join(row) if row else None

    def with_readings(self, ids: Sequence[str]) -> Iterator[tuple[Item, Reading | None]]:
        """Those of a few hundred items that there are, without their texts; in the order of their ids."""
        columns = ", ".join(f"items.{column}" for column in ITEM.split(", "))
        rows = self._database.rows(
            f"SELECT {columns}, readings.* FROM items LEFT JOIN readings ON readings.key = items.reading "  # noqa: S608
            f"WHERE items.id IN ({', '.join('?' * len(ids))}) ORDER BY items.id",
            [bytes.fromhex(each) for each in ids],
        )
        for row in rows:
            found, key = found_in(row[:_ITEM_COLUMNS])
            reading = _reading_in(row[_ITEM_COLUMNS:]) if key and row[_ITEM_COLUMNS] else None
            yield found.join(reading), reading

    def items(
        self, is_wanted: Callable[[bytes], bool] = lambda identity: True
    ) -> Iterator[tuple[Item, Reading | None]]:
        """Every item, sorted by provenance path.

        Args:
            is_wanted: asked of the 16 bytes of each id; what is not wanted is not put together.
        """
        for row in self._database.rows(f"SELECT {ITEM} FROM items ORDER BY path, id"):  # noqa: S608
            if is_wanted(row[0]):
                yield self._join(row)

    def packed(self) -> Iterator[tuple[bytes, bytes, bytes]]:
        """Id, packed facts (`decode_times`) and key of the reading of every item, as they lie in the file."""
        return self._database.rows("SELECT id, own, reading FROM items")

    def packed_in_order(self) -> Iterator[Row]:
        """Id, parent, source, media type, SHA-256, packed facts and reading of every item, as `items` sorts them."""
        return self._database.rows(
            "SELECT id, parent, source, media_type, sha256, own, reading FROM items ORDER BY path, id"
        )

    def packed_readings(self) -> Iterator[tuple[bytes, int, bytes]]:
        """Key, chunks and packed facts of every reading, sorted by key."""
        return self._database.rows("SELECT key, chunks, facts FROM readings ORDER BY key")

    def read_by(
        self, handlers: Sequence[str], after: int = 0, *, with_text: bool = True
    ) -> Iterator[tuple[Item, Reading]]:
        """Items that these handlers read, kept after the item of a number, sorted by path."""
        marks = ", ".join("?" for _ in handlers)
        rows = self._database.rows(
            f"SELECT {ITEM} FROM items WHERE number > ? AND "  # noqa: S608
            f"reading IN (SELECT key FROM readings WHERE chunks >= ? AND handler IN ({marks})) ORDER BY path, id",
            (after, with_text, *handlers),
        )
        for row in rows:
            item, reading = self._join(row)
            if reading:
                yield item, reading

    def first_with(self, key: str) -> Item | None:
        """The first item by path that holds a reading, without its texts."""
        row = self._database.row(
            f"SELECT {ITEM} FROM items WHERE reading = ? ORDER BY path, id LIMIT 1",  # noqa: S608
            (bytes.fromhex(key),),
        )
        return self._join(row)[0] if row else None

    def named(self, names: Sequence[str]) -> Iterator[Item]:
        """Items with bytes that have one of a few hundred names, without their texts, sorted by path."""
        marks = ", ".join("?" for _ in names)
        rows = self._database.rows(
            f"SELECT {ITEM} FROM items WHERE name IN ({marks}) AND sha256 NOT NULL ORDER BY path, id",  # noqa: S608
            names,
        )
        for row in rows:
            yield self._join(row)[0]

    def children(self, identity: str | None) -> Iterator[Item]:
        """The members of an item, or the roots of all sources, sorted by path."""
        if identity is None:
            rows = self._database.rows(f"SELECT {ITEM} FROM items WHERE parent IS NULL ORDER BY path, id")  # noqa: S608
        else:
            rows = self._database.rows(
                f"SELECT {ITEM} FROM items WHERE parent = ? ORDER BY path, id",  # noqa: S608
                (bytes.fromhex(identity),),
            )
        for row in rows:
            yield self._join(row)[0]

    def count_members(self, identity: str) -> int:
        """How many items lie directly in an item."""
        row = self._database.row("SELECT count(*) FROM items WHERE parent = ?", (bytes.fromhex(identity),))
        return int(row[0]) if row else 0

    def count_below(self, identity: str) -> int:
        """How many items lie in an item, all the way down."""
        row = self._database.row(
            "WITH RECURSIVE below (id) AS (SELECT id FROM items WHERE parent = ? UNION ALL "
            "SELECT items.id FROM items JOIN below ON items.parent = below.id) SELECT count(*) FROM below",
            (bytes.fromhex(identity),),
        )
        return int(row[0]) if row else 0

    def same_bytes(self, sha256: str) -> list[str]:
        """Ids of all items with these bytes, sorted by path."""
        rows = self._database.rows("SELECT id FROM items WHERE sha256 = ? ORDER BY path, id", (bytes.fromhex(sha256),))
        return [identity.hex() for (identity,) in rows]

    def same_reading(self, key: str) -> list[str]:
        """Ids of all items with this reading, sorted by path."""
        rows = self._database.rows("SELECT id FROM items WHERE reading = ? ORDER BY path, id", (bytes.fromhex(key),))
        return [identity.hex() for (identity,) in rows]

    def texts_read(self) -> Iterator[tuple[str, int]]:
        """The keys of all readings with text, and their chunks."""
        rows = self._database.rows("SELECT key, chunks FROM readings WHERE chunks > 0 ORDER BY key")
        return ((key.hex(), chunks) for key, chunks in rows)

    def pictures(self) -> Iterator[Item]:
        """One item for each picture of other bytes, sorted by path."""
        return self._of_other_bytes("media_type LIKE 'image/%'")

    def videos(self) -> Iterator[Item]:
        """One item for each video of other bytes, sorted by path."""
        return self._of_other_bytes(
            "media_type LIKE 'video/%' OR media_type IN ('application/vnd.rn-realmedia', 'application/vnd.ms-asf')"
        )

    def _of_other_bytes(self, where: str) -> Iterator[Item]:
        rows = self._database.rows(
            f"SELECT {ITEM} FROM items WHERE number IN (SELECT min(number) FROM items "  # noqa: S608
            f"WHERE ({where}) AND sha256 NOT NULL AND size > 0 GROUP BY sha256) ORDER BY path, id"
        )
        return (found_in(row)[0].join(None) for row in rows)

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
        columns = ", ".join(f"items.{column}" for column in ITEM.split(", "))
        rows = self._database.rows(
            f"SELECT {columns} FROM items WHERE id IN (SELECT id FROM problems WHERE {condition}) "  # noqa: S608
            "ORDER BY path, id",
            values,
        )
        for row in rows:
            yield self._join(row)[0]

    def digests(self) -> Iterator[tuple[str, Digests]]:
        """Id and digests of everything with bytes."""
        for identity, md5, sha1, sha256 in self._database.rows(
            "SELECT id, md5, sha1, sha256 FROM items WHERE sha256 NOT NULL"
        ):
            yield identity.hex(), Digests(md5.hex(), sha1.hex(), sha256.hex())

    def last_item(self) -> int:
        """The number of the item that was kept last."""
        row = self._database.row("SELECT coalesce(max(number), 0) FROM items")
        return int(row[0]) if row else 0

    def new_after(self, number: int) -> set[str]:
        """Ids of items kept after this one, whose bytes were not held before."""
        rows = self._database.rows(
            "SELECT id FROM items WHERE number > ?1 AND NOT EXISTS ("
            "SELECT 1 FROM items AS held WHERE held.sha256 = items.sha256 AND held.number <= ?1)",
            (number,),
        )
        return {identity.hex() for (identity,) in rows}

    def read_by_older(self, versions: dict[str, int]) -> Iterator[Item]:
        """Items whose handler has a newer version now, sorted by path."""
        for row in self._database.rows(f"SELECT {ITEM} FROM items WHERE reading IS NOT NULL ORDER BY path, id"):  # noqa: S608
            item, reading = self._join(row)
            if reading and reading.version < versions.get(reading.handler, 0):
                yield item

    def reading_keys(self) -> Iterator[str]:
        """The keys of all readings."""
        return (key.hex() for (key,) in self._database.rows("SELECT key FROM readings"))

    def reading_sizes(self) -> Iterator[tuple[str, int, int]]:
        """Key, chunks and characters of all readings, sorted by key."""
        for key, chunks, chars in self._database.rows("SELECT key, chunks, chars FROM readings ORDER BY key"):
            yield key.hex(), chunks, chars

    def reading(self, key: str) -> Reading | None:
        """The reading of this key."""
        held = self._reading(bytes.fromhex(key))
        return held[0] if held else None

    def counts(self, column: str) -> dict[str, int]:
        """Items by `status`, `source` or `media_type`; problems by `cause`."""
        statements = {
            "status": "SELECT status, count(*) FROM items GROUP BY 1 ORDER BY 2 DESC, 1",
            "source": "SELECT source, count(*) FROM items GROUP BY 1 ORDER BY 1",
            "media_type": "SELECT media_type, count(*) FROM items GROUP BY 1 ORDER BY 2 DESC, 1",
            "cause": "SELECT cause, count(DISTINCT id) FROM problems GROUP BY 1 ORDER BY 2 DESC, 1",
        }
        return dict(self._database.rows(statements[column]))

    def totals(self, source: str = "") -> tuple[int, int]:
        """Number of items of a source or of all, and the sum of their sizes in bytes."""
        statement = "SELECT count(*), coalesce(sum(size), 0) FROM items"
        if source:
            row = self._database.row(f"{statement} WHERE path >= ? AND path < ?", _span(source))
        else:
            row = self._database.row(statement)
        return (int(row[0]), int(row[1])) if row else (0, 0)

    def files_in(self, source: str) -> int:
        """Number of items of a source that have bytes."""
        statement = "SELECT count(*) FROM items WHERE path >= ? AND path < ? AND sha256 NOT NULL"
        row = self._database.row(statement, _span(source))
        return int(row[0]) if row else 0

    def digest_of_source(self, source: str) -> str:
        """SHA-256 over the lines `sha256  path` of all files that lie directly in a source, sorted by path."""
        rows = self._database.rows(
            "SELECT lower(hex(sha256)), path FROM items "
            "WHERE path >= ? AND path < ? AND parent IS NULL AND sha256 NOT NULL ORDER BY path, id",
            _span(source),
        )
        hasher = hashlib.sha256()
        start = len(source) + 1
        for digest, path in rows:
            hasher.update(f"{digest}  {path[start:]}\n".encode())
        return hasher.hexdigest()

    # -- places, for comparing sources ------------------------------------------------------------

    def places(self, source: str) -> Iterator[Place]:
        """Everything with bytes in a source, sorted by path."""
        statement = f"SELECT {_PLACE} FROM items WHERE path >= ? AND path < ? AND sha256 NOT NULL ORDER BY path, id"  # noqa: S608
        return map(_place, self._database.rows(statement, _span(source)))

    def places_of(self, sha256: str, source: str) -> list[Place]:
        """Where these bytes lie in a source, sorted by path."""
        statement = f"SELECT {_PLACE} FROM items WHERE sha256 = ? AND source = ? ORDER BY path, id"  # noqa: S608
        return [_place(row) for row in self._database.rows(statement, (bytes.fromhex(sha256), source))]

    def at_place(self, source: str, path: str) -> bool:
        """Whether anything lies at this path of a source."""
        return self._database.row("SELECT 1 FROM items WHERE path = ?", (f"{source}:{path}",)) is not None

    def members_of(self, identity: str) -> list[tuple[str, bytes]]:
        """Names and digests of what lies directly in a container, sorted."""
        rows = self._database.rows("SELECT name, sha256 FROM items WHERE parent = ?", (bytes.fromhex(identity),))
        return sorted((name, sha256 or b"") for name, sha256 in rows)

    def seen_in(self, sources: Sequence[str]) -> Iterator[tuple[str, str, int, str, str, int, int]]:
        """Each digest in these sources: name, size, first, last, in how many of them, at how many places."""
        order = " ".join("WHEN ? THEN ?" for _ in sources)
        ranked = [each for number, name in enumerate(sources) for each in (name, number)]
        marks = ", ".join("?" for _ in sources)
        statement = (
            f"SELECT sha256, min(name), max(size), min(CASE source {order} END), max(CASE source {order} END), "  # noqa: S608
            f"count(DISTINCT source), count(*) FROM items WHERE source IN ({marks}) AND sha256 NOT NULL "
            "GROUP BY sha256 ORDER BY 4, 2, 1"
        )
        for sha256, name, size, first, last, snapshots, held in self._database.rows(
            statement, (*ranked, *ranked, *sources)
        ):
            yield sha256.hex(), name, size, sources[first], sources[last], snapshots, held

    def _join(self, row: Row) -> tuple[Item, Reading | None]:
        found, key = found_in(row)
        held = self._reading(key) if key else None
        reading = held[0] if held else None
        return found.join(reading), reading

    def _reading(self, key: bytes) -> tuple[Reading, bytes] | None:
        row = self._database.row("SELECT * FROM readings WHERE key = ?", (key,))
        return (_reading_in(row), row[1]) if row else None


def _reading_in(row: Row) -> Reading:
    """A row of the table of readings as a value."""
    key, _, handler, version, language, has_content, members, chunks, chars, facts = row
    fields, timestamps, problems = decode_facts(facts)
    return Reading(
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


def found_in(row: Row) -> tuple[Found, bytes | None]:
    """An item at its place, and the key of its reading."""
    _, source, hops, name, size, media_type, md5, sha1, sha256, own, reading = row
    fields, timestamps, problems = decode_facts(own)
    digests = Digests(md5.hex(), sha1.hex(), sha256.hex()) if sha256 else None
    provenance = Provenance(source, decode_hops(hops))
    return Found(provenance, name, size, media_type, digests, fields, timestamps, problems), reading


def _span(source: str) -> tuple[str, str]:
    """The bounds of the printed paths of a source."""
    return f"{source}:", f"{source};"


def _place(row: Row) -> Place:
    identity, path, size, media_type, sha256 = row
    return Place(identity.hex(), path, size, media_type, sha256.hex())
