"""What is nearly the same: texts with a few words changed, pictures scaled, cut, recompressed or written on.

    alike.sqlite   in the case folder: texts (key of the reading, signature), pictures (SHA-256, vectors)

It is made on demand and only for what is new in the case; it can be deleted at any time. Pictures are looked at
by whoever calls, as the evidence is opened in workers alone: `Looking` gives what `indexer.likeness` made.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from indexer import likeness
from indexer.errors import UsageError
from indexer.model import Item, Scalar
from search.answers import matching
from search.case import Case
from search.database import Database
from search.report import Cell, Column, Report, colophon_of, sheet_of

if TYPE_CHECKING:
    from search.signatures import Pictures, Texts

FILE = "alike.sqlite"
VERSION = 1
"""Of the signatures of texts; rises when the same text gives another."""
KINDS = ("text", "picture")
LEAST = {"text": 0.5, "picture": 0.8}
"""How alike two must be: the share of pairs of terms, and the cosine of what pictures look like."""
_AT_ONCE = 2_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS made (kind TEXT PRIMARY KEY, version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS texts (key BLOB PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS pictures (
    key BLOB PRIMARY KEY, body BLOB NOT NULL, width INTEGER, height INTEGER, problem TEXT NOT NULL
);
"""
_HEAD = 4
_ITEMS = (
    Column("likeness", "number"), Column("kind"), Column("id"), Column("path"), Column("size", "number"),
    Column("media_type"), Column("width", "number", shown=False), Column("height", "number", shown=False),
)  # fmt: skip
_CLUSTERS = (Column("cluster", "number"), Column("kind"), Column("members", "number"), *_ITEMS[2:])


@dataclass(frozen=True, slots=True)
class Looked:
    """What came of looking at a picture."""

    item: Item
    body: bytes
    problem: str = ""


Looking = Callable[[Iterable[Item]], Iterator[Looked]]


class Alike:
    """The signatures of a case; close it after use.

    Raises:
        UsageError: the case cannot be written, and has none yet.
    """

    def __init__(self, case: Case) -> None:
        self.case = case
        path = case.path / FILE
        write = os.access(case.path, os.W_OK)
        if not write and not path.exists():
            raise UsageError(f"{case.path}: cannot be written; likenesses are kept beside the case, copy it first")
        self._database = Database(path, _SCHEMA, write=write)
        self._write = write
        if write:
            self._drop_older()

    def close(self) -> None:
        """Closes the file."""
        self._database.close()

    def _drop_older(self) -> None:
        for kind, version in (("texts", VERSION), ("pictures", likeness.VERSION)):
            row = self._database.row("SELECT version FROM made WHERE kind = ?", (kind,))
            if row is None or row[0] != version:
                self._database.write(f"DELETE FROM {kind}")  # noqa: S608
                self._database.write("INSERT OR REPLACE INTO made VALUES (?, ?)", (kind, version))
        self._database.commit()

    def take_texts(self, tell: Callable[[int], None] = lambda count: None) -> int:
        """Signs the texts that are new in the case, and returns how many.

        Args:
            tell: called with the number so far.
        """
        from search.signatures import sign_text

        held = self._held("texts")
        count = 0
        for key, chunks in list(self.case.catalog.texts_read()) if self._write else ():
            if bytes.fromhex(key) in held:
                continue
            body = sign_text(text.body for text in self.case.texts.of(key, chunks))
            self._database.write_soon("INSERT OR REPLACE INTO texts VALUES (?, ?)", (bytes.fromhex(key), body))
            count += 1
            if not count % _AT_ONCE:
                self._database.commit()
                tell(count)
        self._database.commit()
        return count

    def take_pictures(self, look: Looking, tell: Callable[[int], None] = lambda count: None) -> int:
        """Looks at the pictures that are new in the case, and returns how many.

        Args:
            look: makes likenesses of items, in any order.
            tell: called with the number so far.
        """
        held = self._held("pictures")
        new = (
            item
            for item in self.case.catalog.pictures()
            if item.digests and bytes.fromhex(item.digests.sha256) not in held
        )
        count = 0
        for looked in look(new) if self._write else ():
            if looked.item.digests is None:
                continue
            width, height = sizes_in(looked.body)
            row = (bytes.fromhex(looked.item.digests.sha256), looked.body[_HEAD:], width, height, looked.problem)
            self._database.write_soon("INSERT OR REPLACE INTO pictures VALUES (?, ?, ?, ?, ?)", row)
            count += 1
            if not count % 200:
                self._database.commit()
                tell(count)
        self._database.commit()
        return count

    def problems(self) -> int:
        """How many pictures could not be looked at."""
        row = self._database.row("SELECT count(*) FROM pictures WHERE problem != ''")
        return int(row[0]) if row else 0

    def signature(self, kind: str, key: str) -> bytes:
        """What is kept of a text or a picture; nothing where there is none."""
        row = self._database.row(f"SELECT body FROM {kind}s WHERE key = ?", (bytes.fromhex(key),))  # noqa: S608
        return bytes(row[0]) if row else b""

    def load(self, kind: str) -> tuple[list[str], Texts | Pictures]:
        """All keys and signatures of a kind, in the order of the keys."""
        from search.signatures import Pictures, Texts

        keys: list[str] = []
        bodies: list[bytes] = []
        for key, body in self._database.rows(f"SELECT key, body FROM {kind}s WHERE body != x'' ORDER BY key"):  # noqa: S608
            keys.append(key.hex())
            bodies.append(body)
        return keys, (Texts if kind == "text" else Pictures)(bodies)

    def ids_of(self, kind: str, key: str) -> list[str]:
        """The items that hold a text or a picture, sorted by path."""
        catalog = self.case.catalog
        return catalog.same_reading(key) if kind == "text" else catalog.same_bytes(key)

    def sizes_of(self, key: str) -> tuple[int | None, int | None]:
        """Width and height of a picture."""
        row = self._database.row("SELECT width, height FROM pictures WHERE key = ?", (bytes.fromhex(key),))
        return (row[0], row[1]) if row else (None, None)

    def _held(self, table: str) -> set[bytes]:
        return {key for (key,) in self._database.rows(f"SELECT key FROM {table}")}  # noqa: S608


def sizes_in(body: bytes) -> tuple[int | None, int | None]:
    """Width and height at the head of a likeness."""
    if len(body) < _HEAD:
        return None, None
    return int.from_bytes(body[:2], "little"), int.from_bytes(body[2:_HEAD], "little")


def similar(alike: Alike, item: Item, kinds: Sequence[str] = KINDS, least: float | None = None) -> Report:
    """What is like an item, the likest first; the item itself is left out.

    Args:
        kinds: `text`, `picture` or both.
        least: from 0 to 1, in the place of `LEAST`.
    """
    held = alike.case.catalog.with_reading(item.id)
    reading = held[1] if held else None
    keys = {"text": reading.key if reading else "", "picture": item.digests.sha256 if item.digests else ""}
    asked = {kind: alike.signature(kind, keys[kind]) for kind in kinds if keys[kind]}
    notes = () if any(asked.values()) else (_nothing_to_compare(item),)
    options: dict[str, Scalar] = {"item": item.id, "kinds": ",".join(kinds), **({"least": least} if least else {})}
    return _report(alike, asked, least, options, notes, without=item.id)


def similar_to_picture(alike: Alike, path: Path, body: bytes, least: float | None = None) -> Report:
    """What is like a picture that is no part of the evidence.

    Args:
        body: what `indexer.likeness` made of it.
    """
    notes = () if body[_HEAD:] else (f"{path}: a picture of one colour is like nothing.",)
    options: dict[str, Scalar] = {"picture": str(path), **({"least": least} if least else {})}
    return _report(alike, {"picture": body[_HEAD:]}, least, options, notes)


def _report(
    alike: Alike,
    asked: dict[str, bytes],
    least: float | None,
    options: dict[str, Scalar],
    notes: tuple[str, ...],
    without: str = "",
) -> Report:
    case = alike.case
    found = sorted(_matches(alike, asked, least), key=lambda each: (-each[0], each[1], str(each[2].provenance)))
    found = [each for each in found if each[2].id != without]
    if "picture" in asked and alike.problems():
        notes = (*notes, _not_looked_at(alike))

    def rows() -> Iterator[tuple[Cell, ...]]:
        for share, kind, item, sizes in found:
            yield (round(share, 3), kind, item.id, str(item.provenance), item.size, item.media_type, *sizes)

    items = dict.fromkeys(item for _, _, item, _ in found)
    colophon = colophon_of(case, "similar", "", **options)
    return Report(case, colophon, (sheet_of("similar", _ITEMS, rows),), lambda: iter(items), notes)


def _matches(
    alike: Alike, asked: dict[str, bytes], least: float | None
) -> Iterator[tuple[float, str, Item, tuple[int | None, int | None]]]:
    for kind, body in asked.items():
        if not body:
            continue
        keys, kept = alike.load(kind)
        shares = kept.like(body)
        for at in (shares >= (LEAST[kind] if least is None else least)).nonzero()[0].tolist():
            for identity in alike.ids_of(kind, keys[at]):
                item = alike.case.catalog.item(identity)
                if item is not None:
                    sizes = alike.sizes_of(keys[at]) if kind == "picture" else (None, None)
                    yield min(1.0, float(shares[at])), kind, item, sizes


def _nothing_to_compare(item: Item) -> str:
    return f"{item.provenance}: no text of a few words and no picture that could be looked at, so like nothing."


def clusters(alike: Alike, query: str = "", kinds: Sequence[str] = KINDS, least: float | None = None) -> Report:
    """Items that are like one another, joined, the largest clusters first; exact copies alone make none.

    Args:
        query: only among its hits; among all items where empty.
        kinds: `text`, `picture` or both.
        least: from 0 to 1, in the place of `LEAST`.

    Raises:
        QueryError: the query cannot be understood.
    """
    from search.signatures import clusters as join

    case = alike.case
    chosen = {item.id for item in matching(case, query)} if query else None
    groups: list[tuple[str, list[Item]]] = []
    for kind in kinds:
        keys, kept = alike.load(kind)
        for rows in join(kept, LEAST[kind] if least is None else least):
            ids = (each for at in rows for each in alike.ids_of(kind, keys[at]) if chosen is None or each in chosen)
            members = [item for item in map(case.catalog.item, ids) if item is not None]
            if len({item.digests.sha256 if item.digests else item.id for item in members}) > 1:
                groups.append((kind, sorted(members, key=lambda item: (str(item.provenance), item.id))))
    groups.sort(key=lambda group: (-len(group[1]), group[0], str(group[1][0].provenance)))

    def rows_of() -> Iterator[tuple[Cell, ...]]:
        for number, (kind, members) in enumerate(groups, 1):
            for item in members:
                sizes = alike.sizes_of(item.digests.sha256) if kind == "picture" and item.digests else (None, None)
                head = (number, kind, len(members), item.id)
                yield (*head, str(item.provenance), item.size, item.media_type, *sizes)

    options: dict[str, Scalar] = {"clusters": True, "kinds": ",".join(kinds), **({"least": least} if least else {})}
    notes = (_not_looked_at(alike),) if "picture" in kinds and alike.problems() else ()
    items = dict.fromkeys(item for _, members in groups for item in members)
    colophon = colophon_of(case, "similar", query, **options)
    return Report(case, colophon, (sheet_of("clusters", _CLUSTERS, rows_of),), lambda: iter(items), notes)


def _not_looked_at(alike: Alike) -> str:
    return f"{alike.problems():,} pictures could not be looked at, and are not compared."
