"""What is nearly the same: texts with a few words changed, pictures scaled, cut, recompressed or written on.

    alike.sqlite   in the case folder: texts (key of the reading, signature), pictures (SHA-256, vectors), videos
                   (SHA-256, moments with vectors)

A picture is also like a video that shows it at some moment, and videos are alike that show the same.

It is made on demand and only for what is new in the case; it can be deleted at any time. Pictures are looked at
by whoever calls, as the evidence is opened in workers alone: `Looking` gives what `indexer.likeness` made, and of
videos `indexer.footage`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from indexer import footage, likeness
from indexer.errors import UsageError
from indexer.model import Item, Scalar
from search.case import Case
from search.database import Database, is_made
from search.report import Cell, Column, Report, colophon_of, sheet_of

if TYPE_CHECKING:
    from search.engine.signatures import Pictures, Texts

FILE = "alike.sqlite"
VERSION = 1
"""Of the signatures of texts; rises when the same text gives another."""
KINDS = ("text", "picture", "video")
LEAST = {"text": 0.5, "picture": 0.8, "video": 0.9}
"""How alike two must be: the share of pairs of terms, and the cosine of what pictures, or moments of videos, look like.

Moments of one series share their backgrounds, so that more is asked of them.
"""
_AT_ONCE = 2_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS made (kind TEXT PRIMARY KEY, version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS texts (key BLOB PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS pictures (
    key BLOB PRIMARY KEY, body BLOB NOT NULL, width INTEGER, height INTEGER, problem TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS videos (
    key BLOB PRIMARY KEY, body BLOB NOT NULL, width INTEGER, height INTEGER, problem TEXT NOT NULL
);
"""
_MADE = {"texts": VERSION, "pictures": likeness.VERSION, "videos": footage.VERSION << 8 | likeness.VERSION}
_MOMENT = 4
_FRAME = _MOMENT + likeness.SIZE * len(likeness.CROPS)
_HEAD = 4
ITEM_COLUMNS = (
    Column("id"), Column("path"), Column("size", "number"), Column("media_type"),
    Column("width", "number", shown=False), Column("height", "number", shown=False),
)  # fmt: skip
_COLUMNS = (
    Column("likeness", "number"), Column("kind"), *ITEM_COLUMNS, Column("second", "number"),
    Column("asked_second", "number"), Column("moments", "number", shown=False),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Looked:
    """What came of looking at a picture."""

    item: Item
    body: bytes
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is compared: a text or picture as a whole, or a video at one moment, in milliseconds."""

    key: str
    body: bytes
    moment: int | None = None


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
        if not write and not is_made(path):
            raise UsageError(f"{case.path}: cannot be written; likenesses are kept beside the case, copy it first")
        self._database = Database(path, _SCHEMA, write=write)
        self._write = write
        self._missing: dict[str, tuple[int, str]] = {}
        if write:
            self._drop_older()

    def close(self) -> None:
        """Closes the file."""
        self._database.close()

    def _drop_older(self) -> None:
        for kind, version in _MADE.items():
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
        from search.engine.signatures import sign_text

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
        return self._take("picture", self.case.catalog.pictures(), look, tell)

    def take_videos(self, look: Looking, tell: Callable[[int], None] = lambda count: None) -> int:
        """The same for videos."""
        return self._take("video", self.case.catalog.videos(), look, tell)

    def _take(self, kind: str, items: Iterable[Item], look: Looking, tell: Callable[[int], None]) -> int:
        new = (item for item in items if item.digests and not self._has(f"{kind}s", item.digests.sha256))
        self._missing.pop(kind, None)
        count = 0
        for looked in look(new) if self._write else ():
            if looked.item.digests is None:
                continue
            if looked.problem.startswith("missing-library"):
                self._missing[kind] = self._missing.get(kind, (0,))[0] + 1, looked.problem  # looked at when it is there
                continue
            width, height = sizes_in(looked.body)
            row = (bytes.fromhex(looked.item.digests.sha256), looked.body[_HEAD:], width, height, looked.problem)
            self._database.write_soon(f"INSERT OR REPLACE INTO {kind}s VALUES (?, ?, ?, ?, ?)", row)  # noqa: S608
            count += 1
            if not count % 200:
                self._database.commit()
                tell(count)
        self._database.commit()
        return count

    def problems(self, kind: str = "picture") -> int:
        """How many pictures, or videos, could not be looked at."""
        row = self._database.row(f"SELECT count(*) FROM {kind}s WHERE problem != ''")  # noqa: S608
        return int(row[0]) if row else 0

    def notes(self, kinds: Sequence[str]) -> tuple[str, ...]:
        """What an answer about these kinds leaves out, in words."""
        told = []
        for kind in kinds:
            count = self.problems(kind) if kind != "text" else 0
            if count:
                told.append(f"{count:,} {kind}s could not be looked at, and are not compared.")
            if kind in self._missing:
                missing, why = self._missing[kind]
                told.append(f"{missing:,} {kind}s were not looked at: {why}.")
        return tuple(told)

    def signature(self, kind: str, key: str) -> list[Seen]:
        """What is kept of a text, picture or video; nothing where there is none."""
        row = self._database.row(f"SELECT body FROM {kind}s WHERE key = ?", (bytes.fromhex(key),)) if key else None  # noqa: S608
        return list(_seen_in(kind, key, row[0])) if row else []

    def parts(self, kind: str) -> Iterator[list[Seen]]:
        """All that is kept of a kind, in the order of the keys, as much at a time as is worth counting with."""
        rows = self._database.rows(f"SELECT key, body FROM {kind}s WHERE body != x'' ORDER BY key")  # noqa: S608
        waiting = (each for key, body in rows for each in _seen_in(kind, key.hex(), body))
        while some := list(islice(waiting, _AT_ONCE)):
            yield some

    def load(self, kind: str) -> tuple[Keys, Texts | Pictures]:
        """All keys and signatures of a kind, in the order of the keys."""
        from search.engine.signatures import Pictures, Texts

        keys = Keys()
        rows = self._database.rows(f"SELECT key, body FROM {kind}s WHERE body != x'' ORDER BY key")  # noqa: S608
        return keys, (Texts if kind == "text" else Pictures)(keys.passing(rows))

    def ids_of(self, kind: str, key: str) -> list[str]:
        """The items that hold a text, picture or video, sorted by path."""
        catalog = self.case.catalog
        return catalog.same_reading(key) if kind == "text" else catalog.same_bytes(key)

    def sizes_of(self, kind: str, key: str) -> tuple[int | None, int | None]:
        """Width and height of a picture or video."""
        statement = f"SELECT width, height FROM {kind}s WHERE key = ?"  # noqa: S608
        row = self._database.row(statement, (bytes.fromhex(key),)) if kind != "text" else None
        return (row[0], row[1]) if row else (None, None)

    def _has(self, table: str, key: str) -> bool:
        # What waits to be written is of keys that are not asked for again.
        statement = f"SELECT 1 FROM {table} WHERE key = ?"  # noqa: S608
        return self._database.row(statement, (bytes.fromhex(key),), apart=True) is not None


def _seen_in(kind: str, key: str, body: bytes) -> Iterator[Seen]:
    if kind != "video":
        yield from [Seen(key, body)] if body else ()
        return
    for at in range(0, len(body) - _FRAME + 1, _FRAME):
        moment = int.from_bytes(body[at : at + _MOMENT], "little")
        yield Seen(key, body[at + _MOMENT : at + _FRAME], moment)


def sizes_in(body: bytes) -> tuple[int | None, int | None]:
    """Width and height at the head of a likeness."""
    if len(body) < _HEAD:
        return None, None
    return int.from_bytes(body[:2], "little"), int.from_bytes(body[2:_HEAD], "little")


def similar(alike: Alike, item: Item, kinds: Sequence[str] = KINDS, least: float | None = None) -> Report:
    """What is like an item, the likest first; the item itself is left out.

    Args:
        kinds: of what is looked for, of `KINDS`.
        least: from 0 to 1, in the place of `LEAST`.
    """
    held = alike.case.catalog.with_reading(item.id)
    reading = held[1] if held else None
    bytes_key = item.digests.sha256 if item.digests else ""
    asked = {kind: alike.signature(kind, bytes_key) for kind in ("picture", "video")}
    asked["text"] = alike.signature("text", reading.key if reading else "")
    notes = () if any(asked.values()) else (_nothing_to_compare(item),)
    options: dict[str, Scalar] = {"item": item.id, "kinds": ",".join(kinds), **({"least": least} if least else {})}
    return _report(alike, asked, kinds, least, options, notes, without=item.id)


def similar_to_picture(
    alike: Alike, path: Path, body: bytes, least: float | None = None, kinds: Sequence[str] = ("picture", "video")
) -> Report:
    """What is like a picture that is no part of the evidence.

    Args:
        body: what `indexer.likeness` made of it.
    """
    notes = () if body[_HEAD:] else (f"{path}: a picture of one colour is like nothing.",)
    options: dict[str, Scalar] = {"picture": str(path), **({"least": least} if least else {})}
    asked = {"picture": list(_seen_in("picture", "", body[_HEAD:]))}
    return _report(alike, asked, kinds, least, options, notes)


@dataclass(slots=True)
class _Best:
    """The likest of what was compared, and how many moments were like at all."""

    share: float
    moment: int | None
    asked: int | None
    moments: int = 0


def _report(
    alike: Alike,
    asked: dict[str, list[Seen]],
    kinds: Sequence[str],
    least: float | None,
    options: dict[str, Scalar],
    notes: tuple[str, ...],
    without: str = "",
) -> Report:
    case = alike.case
    found: dict[tuple[str, str], tuple[Item, _Best]] = {}
    for kind, key, best in _matches(alike, asked, kinds, least):
        for item in filter(None, map(case.catalog.item, alike.ids_of(kind, key))):
            held = found.get((kind, item.id))
            if item.id != without and (held is None or held[1].share < best.share):
                found[kind, item.id] = item, best
    order = sorted(found, key=lambda at: (-found[at][1].share, at[0], str(found[at][0].provenance), at[1]))

    def rows() -> Iterator[tuple[Cell, ...]]:
        for kind, identity in order:
            item, best = found[kind, identity]
            sizes = alike.sizes_of(kind, item.digests.sha256) if item.digests else (None, None)
            cells = (round(best.share, 3), kind, item.id, str(item.provenance), item.size, item.media_type, *sizes)
            yield (*cells, _seconds(best.moment), _seconds(best.asked), best.moments or None)

    def items() -> Iterator[Item]:
        return iter({at[1]: found[at][0] for at in order}.values())

    colophon = colophon_of(case, "similar", "", **options)
    looked = [kind for kind in kinds if kind != "text"]
    return Report(case, colophon, (sheet_of("similar", _COLUMNS, rows),), items, (*notes, *alike.notes(looked)))


def _seconds(moment: int | None) -> float | None:
    return None if moment is None else round(moment / 1000, 1)


def _matches(
    alike: Alike, asked: dict[str, list[Seen]], kinds: Sequence[str], least: float | None
) -> Iterator[tuple[str, str, _Best]]:
    from search.engine.signatures import Pictures, Texts

    for one, seen in asked.items():
        for kind in kinds:
            if not seen or (one == "text") != (kind == "text"):
                continue
            enough = LEAST[one if one == "video" else kind] if least is None else least
            found: dict[str, _Best] = {}
            for part in alike.parts(kind):
                kept = (Texts if kind == "text" else Pictures)(each.body for each in part)
                shares, likest = kept.likest([each.body for each in seen])
                for at in (shares >= enough).nonzero()[0].tolist():
                    share, moment = min(1.0, float(shares[at])), part[at].moment
                    best = found.setdefault(part[at].key, _Best(share, moment, seen[likest[at]].moment))
                    if share > best.share:
                        best.share, best.moment, best.asked = share, moment, seen[likest[at]].moment
                    best.moments += moment is not None
            for key, best in found.items():
                yield kind, key, best


def _nothing_to_compare(item: Item) -> str:
    return f"{item.provenance}: no text of a few words and nothing that could be looked at, so like nothing."
