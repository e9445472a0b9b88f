"""What reviewers say of items: tags, notes, and queries kept under a name; never set by a search.

    tags     one row an item and tag, with who set it and when
    notes    what was written about an item, in order
    queries  saved queries by name

They lie in the catalog's file and hang on an item's id, which is its place in the evidence: a `retry`, a
`reindex` or a new ingest of the same evidence does not touch them. Tags are terms of the index (`tag:notable`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from indexer.errors import UsageError
from indexer.model import print_time
from search.audit import reviewer
from search.database import Database

SCHEMA = """
CREATE TABLE IF NOT EXISTS tags (
    id BLOB NOT NULL, tag TEXT NOT NULL, who TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (id, tag)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS tags_tag ON tags (tag);
CREATE TABLE IF NOT EXISTS notes (
    number INTEGER PRIMARY KEY, id BLOB NOT NULL, body TEXT NOT NULL, who TEXT NOT NULL, at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS notes_id ON notes (id);
CREATE TABLE IF NOT EXISTS queries (
    name TEXT PRIMARY KEY, query TEXT NOT NULL, who TEXT NOT NULL, at TEXT NOT NULL
) WITHOUT ROWID;
"""
USUAL = ("responsive", "privileged", "notable")
"""Tags that reviewers elsewhere use; any other name will do."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A tag, a note or a saved query: what was said, by whom, when (ISO 8601, UTC)."""

    text: str
    who: str
    at: str

    def to_json(self) -> dict[str, str]:
        """As the public JSON has it."""
        return {"text": self.text, "who": self.who, "at": self.at}


class Review:
    """The reviewers' part of a case; changes are durable after the case's commit."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def tag(self, ids: Iterable[str], tag: str) -> list[str]:
        """Puts a tag on items and returns the ids of those that had it not.

        Raises:
            UsageError: the tag is empty, or holds what no query could ask for.
        """
        tag = checked_name(tag)
        return [each for each in ids if not self._has(each, tag) and self._insert(each, tag)]

    def untag(self, ids: Iterable[str], tag: str) -> list[str]:
        """Takes a tag from items and returns the ids of those that had it."""
        tag = checked_name(tag)
        had = [each for each in ids if self._has(each, tag)]
        for each in had:
            self._database.write("DELETE FROM tags WHERE id = ? AND tag = ?", (bytes.fromhex(each), tag))
            self._stale(each)
        return had

    def note(self, identity: str, body: str) -> None:
        """Writes a note about an item."""
        self._database.write(
            "INSERT INTO notes (id, body, who, at) VALUES (?, ?, ?, ?)", (bytes.fromhex(identity), body, *_now())
        )

    def save(self, name: str, query: str) -> None:
        """Keeps a query under a name; one of the same name is replaced."""
        self._database.write("INSERT OR REPLACE INTO queries VALUES (?, ?, ?, ?)", (name, query, *_now()))

    def drop(self, name: str) -> None:
        """Forgets a saved query.

        Raises:
            UsageError: there is none of this name.
        """
        self.saved_query(name)
        self._database.write("DELETE FROM queries WHERE name = ?", (name,))

    def tags_of(self, identity: str) -> tuple[Mark, ...]:
        """The tags of an item, by name."""
        return self._marks("SELECT tag, who, at FROM tags WHERE id = ? ORDER BY tag", identity)

    def tags_among(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """The names of the tags of those of a few hundred items that have any."""
        found: dict[str, list[str]] = {}
        rows = self._database.rows(
            f"SELECT id, tag FROM tags WHERE id IN ({', '.join('?' * len(ids))}) ORDER BY id, tag",  # noqa: S608
            [bytes.fromhex(each) for each in ids],
        )
        for identity, tag in rows:
            found.setdefault(identity.hex(), []).append(tag)
        return found

    def notes_of(self, identity: str) -> tuple[Mark, ...]:
        """The notes about an item, the oldest first."""
        return self._marks("SELECT body, who, at FROM notes WHERE id = ? ORDER BY number", identity)

    def counts(self) -> dict[str, int]:
        """How many items have each tag, the most frequent first."""
        return dict(self._database.rows("SELECT tag, count(*) FROM tags GROUP BY 1 ORDER BY 2 DESC, 1"))

    def saved(self) -> Iterator[tuple[str, Mark]]:
        """Every saved query by its name."""
        for name, query, who, at in self._database.rows("SELECT name, query, who, at FROM queries ORDER BY name"):
            yield name, Mark(query, who, at)

    def saved_query(self, name: str) -> str:
        """The query saved under a name.

        Raises:
            UsageError: there is none of this name.
        """
        row = self._database.row("SELECT query FROM queries WHERE name = ?", (name,))
        if row is None:
            raise UsageError(f"{name}: no query is saved under this name; `archivore saved` lists them")
        return str(row[0])

    def _marks(self, statement: str, identity: str) -> tuple[Mark, ...]:
        return tuple(Mark(*row) for row in self._database.rows(statement, (bytes.fromhex(identity),)))

    def _has(self, identity: str, tag: str) -> bool:
        held = self._database.row("SELECT 1 FROM tags WHERE id = ? AND tag = ?", (bytes.fromhex(identity), tag))
        return held is not None

    def _insert(self, identity: str, tag: str) -> bool:
        self._database.write("INSERT INTO tags VALUES (?, ?, ?, ?)", (bytes.fromhex(identity), tag, *_now()))
        self._stale(identity)
        return True

    def _stale(self, identity: str) -> None:
        self._database.write("INSERT OR REPLACE INTO stale (id) VALUES (?)", (bytes.fromhex(identity),))


def checked_name(name: str) -> str:
    """A tag's or a list's name that a query can ask for.

    Raises:
        UsageError: it is empty, or holds what no query could ask for.
    """
    name = name.strip()
    if not name or any(not (char.isalnum() or char in "._-") for char in name):
        raise UsageError(f"{name!r}: a name is made of letters, digits, '.', '_' and '-', such as {', '.join(USUAL)}")
    return name


def _now() -> tuple[str, str]:
    return reviewer(), print_time(datetime.now(UTC).replace(microsecond=0))
