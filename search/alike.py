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
ITEM_COLUMNS = (
    Column("id"), Column("path"), Column("size", "number"), Column("media_type"),
    Column("width", "number", shown=False), Column("height", "number", shown=False),
)  # fmt: skip
_COLUMNS = (Column("likeness", "number"), Column("kind"), *ITEM_COLUMNS)


@dataclass(frozen=True, slots=True)
class Looked:
    """What came of looking at a picture."""

    item: Item
    body: bytes
    problem: str = ""


Looking = Callable[[Iterable[Item]], Iterator[Looked]]


class Keys:
    """Keys of one length, taken as hex digits by their number; a million of them are a few dozen megabytes."""

    def __init__(self) -> None:
        self._whole = bytearray()
        self._count = 0

    def passing(self, rows: Iterable[tuple[bytes, bytes]]) -> Iterator[bytes]:
        """The bodies of rows of a key and a body; the keys stay here."""
        for key, body in rows:
            self._whole += key
            self._count += 1
            yield body

    def __getitem__(self, at: int) -> str:
        size = len(self._whole) // self._count
        return self._whole[at * size : (at + 1) * size].hex()


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

        count = 0
        for key, chunks in self.case.catalog.texts_read() if self._write else ():
            if self._has("texts", key):
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
        new = (
            item
            for item in self.case.catalog.pictures()
            if item.digests and not self._has("pictures", item.digests.sha256)
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

    def notes(self) -> tuple[str, ...]:
        """What an answer about pictures leaves out, in words."""
        count = self.problems()
        return (f"{count:,} pictures could not be looked at, and are not compared.",) if count else ()

    def signature(self, kind: str, key: str) -> bytes:
        """What is kept of a text or a picture; nothing where there is none."""
        row = self._database.row(f"SELECT body FROM {kind}s WHERE key = ?", (bytes.fromhex(key),))  # noqa: S608
        return bytes(row[0]) if row else b""

    def load(self, kind: str) -> tuple[Keys, Texts | Pictures]:
        """All keys and signatures of a kind, in the order of the keys."""
        from search.signatures import Pictures, Texts

        keys = Keys()
        rows = self._database.rows(f"SELECT key, body FROM {kind}s WHERE body != x'' ORDER BY key")  # noqa: S608
        return keys, (Texts if kind == "text" else Pictures)(keys.passing(rows))

    def ids_of(self, kind: str, key: str) -> list[str]:
        """The items that hold a text or a picture, sorted by path."""
        catalog = self.case.catalog
        return catalog.same_reading(key) if kind == "text" else catalog.same_bytes(key)

    def sizes_of(self, key: str) -> tuple[int | None, int | None]:
        """Width and height of a picture."""
        row = self._database.row("SELECT width, height FROM pictures WHERE key = ?", (bytes.fromhex(key),))
        return (row[0], row[1]) if row else (None, None)

    def _has(self, table: str, key: str) -> bool:
        # What waits to be written is of keys that are not asked for again.
        statement = f"SELECT 1 FROM {table} WHERE key = ?"  # noqa: S608
        return self._database.row(statement, (bytes.fromhex(key),), apart=True) is not None


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
    if "picture" in asked:
        notes = (*notes, *alike.notes())

    def rows() -> Iterator[tuple[Cell, ...]]:
        for share, kind, item, sizes in found:
            yield (round(share, 3), kind, item.id, str(item.provenance), item.size, item.media_type, *sizes)

    items = dict.fromkeys(item for _, _, item, _ in found)
    colophon = colophon_of(case, "similar", "", **options)
    return Report(case, colophon, (sheet_of("similar", _COLUMNS, rows),), lambda: iter(items), notes)


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
