"""Features of texts gathered and kept: once for each reading, however many items share it.

    features.sqlite
      done      which readings were gone through, by which version of the rules, and what texts they had then
      features  one row a reading, type and value: how often it stands there, where first, and the line around it

All of it can be made again from the texts, so it is neither packed nor counted as evidence. What is new in the
case is gone through when features are asked for; items that have some are then indexed anew.

Where there is much to read, processes of their own read it (`python -m search.featuring`), each a part of the keys:
a line of JSON `{"case": ..., "keys": [...], "paths": [...]}` goes in, a line for each reading, or a part of one that
holds very much, comes out: `[key, bytes, [[type, value, hits, locator, context], ...]]`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from indexer.errors import ArchivoreError, StoreError, reason_of
from indexer.model import Field, Reading
from search._candidates import VERSION, features_in
from search.case import FEATURES, Case
from search.database import Database, is_made
from search.sanitise import storable

_SCHEMA = """
CREATE TABLE IF NOT EXISTS done (
    key BLOB PRIMARY KEY, version INTEGER NOT NULL, chunks INTEGER NOT NULL, chars INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS features (
    key BLOB NOT NULL, type TEXT NOT NULL, value TEXT NOT NULL, hits INTEGER NOT NULL,
    locator TEXT NOT NULL, context TEXT NOT NULL, PRIMARY KEY (key, type, value)
) WITHOUT ROWID;
"""
_ROUND = 256_000_000
"""Characters of text after which what was found is made durable."""
_KEYS = 50_000
"""Readings of a round."""
_WORTH = 4_000_000
"""Characters for which starting processes is worth it."""
_HELD = 20_000
"""Different features of one reading held in memory at a time."""
_INDEXED = 50_000
"""Features of one reading that the index is given; the table of features has all."""
_TOGETHER = 100_000
"""Features of several readings that are held at a time."""

Part = tuple[str, int, list[list[Any]]]


@dataclass(frozen=True, slots=True)
class Gathered:
    """What was gone through: readings, bytes of text, seconds, and how many readings had features."""

    readings: int = 0
    bytes: int = 0
    seconds: float = 0.0
    featured: int = 0


class Features:
    """The store of features of a case."""

    def __init__(self, folder: Path, *, write: bool = False) -> None:
        self.path = folder / FEATURES
        self._database = Database(self.path, _SCHEMA, write=write)

    def close(self) -> None:
        """Closes the file; what was not committed is gone."""
        self._database.close()

    def commit(self) -> None:
        """Makes everything so far durable."""
        self._database.commit()

    def fields_of(self, keys: Sequence[str]) -> tuple[dict[str, list[Field]], frozenset[str]]:
        """The features of a few hundred readings, as fields, by reading; and those readings that are to be asked alone.

        All features of one reading are given, but those of many may be too many to hold.
        """
        found: dict[str, list[Field]] = {}
        count = 0
        marks = ", ".join("?" * len(keys))
        statement = f"SELECT key, type, value FROM features WHERE key IN ({marks}) ORDER BY key, type, value"  # noqa: S608
        for key, kind, value in self._database.rows(statement, [bytes.fromhex(key) for key in keys]):
            fields = found.setdefault(key.hex(), [])
            if len(fields) < _INDEXED:
                fields.append(Field(kind, value))
                count += 1
            if count > _TOGETHER:
                del found[key.hex()]
                return found, frozenset(each for each in keys if each >= key.hex())
        return found, frozenset()

    def done(self) -> Iterator[tuple[str, int, int, int]]:
        """Key, version, chunks and characters of the readings that were gone through, sorted by key."""
        for key, *rest in self._database.rows("SELECT * FROM done ORDER BY key"):
            yield (key.hex(), *rest)

    def forget(self, key: str) -> None:
        """Drops what is held of a reading."""
        self._database.write("DELETE FROM features WHERE key = ?", (bytes.fromhex(key),))
        self._database.write("DELETE FROM done WHERE key = ?", (bytes.fromhex(key),))

    def keep(self, key: str, rows: list[list[Any]]) -> None:
        """Keeps features of a reading; what is there already counts up."""
        self._database.write_all(
            "INSERT INTO features VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (key, type, value) DO UPDATE SET hits = hits + excluded.hits",
            ((bytes.fromhex(key), *row) for row in rows),
        )

    def end(self, done: Due) -> None:
        """Marks a reading as gone through."""
        self._database.write(
            "INSERT OR REPLACE INTO done VALUES (?, ?, ?, ?)",
            (bytes.fromhex(done.key), VERSION, done.chunks, done.chars),
        )


@dataclass(frozen=True, slots=True)
class Due:
    """A reading to go through, or one that is gone; `held`: something was gathered from it before."""

    key: str
    chunks: int = 0
    chars: int = 0
    held: bool = False
    gone: bool = False


def due(case: Case) -> Iterator[Due]:
    """The readings to go through, and those that are gone, sorted by key, as they are found."""
    store = Features(case.path) if is_made(case.path / FEATURES) else None
    try:
        held = store.done() if store else iter(())
        there = case.catalog.reading_sizes()
        old, new = next(held, None), next(there, None)
        while old or new:
            if new is None or (old and old[0] < new[0]):
                assert old is not None
                yield Due(old[0], held=True, gone=True)
                old = next(held, None)
            elif old is None or new[0] < old[0]:
                yield Due(*new)
                new = next(there, None)
            else:
                if old[1:] != (VERSION, *new[1:]):
                    yield Due(*new, held=True)
                old, new = next(held, None), next(there, None)
    finally:
        if store:
            store.close()


def update(case: Case, *, jobs: int = 0, tell: Callable[[int], None] = lambda done: None) -> Gathered:
    """Goes through what is new, brings the index up to it, and returns how much that was.

    Args:
        case: open for writing.
        jobs: processes at the most; one a core where 0.
        tell: called with the number of readings gone through so far.

    Raises:
        StoreError: a text is damaged, the disk is full, or a process died.
    """
    begun = time.monotonic()
    readings = size = featured = 0
    with closing(Features(case.path, write=True)) as store:
        for batch in _rounds(due(case)):
            for each in batch:
                if each.held:
                    store.forget(each.key)
                    case.catalog.make_stale_sharing(each.key)
            found: set[str] = set()
            fresh = [each for each in batch if not each.gone]
            for key, count, rows in _gather(case.path, fresh, jobs or len(os.sched_getaffinity(0))):
                size += count
                if rows:
                    found.add(key)
                    store.keep(key, rows)
            for each in fresh:
                store.end(each)
            for key in sorted(found):
                case.catalog.make_stale_sharing(key)
            # Stale first: what is indexed once too often does no harm.
            case.catalog.commit()
            store.commit()
            featured += len(found)
            readings += len(fresh)
            tell(readings)
    seconds = time.monotonic() - begun
    case.update_index()
    return Gathered(readings, size, seconds, featured)


def _rounds(waiting: Iterable[Due]) -> Iterator[list[Due]]:
    batch: list[Due] = []
    chars = 0
    for each in waiting:
        batch.append(each)
        chars += each.chars
        if chars >= _ROUND or len(batch) >= _KEYS:
            yield batch
            batch, chars = [], 0
    if batch:
        yield batch


def _gather(path: Path, batch: list[Due], jobs: int) -> Iterator[Part]:
    """The features of these readings, found here where they are few, else by processes of their own."""
    if jobs < 2 or sum(each.chars for each in batch) < _WORTH:
        yield from parts_of(path, [each.key for each in batch])
        return
    shares: list[list[str]] = [[] for _ in range(jobs)]
    loads = [0] * jobs
    for each in sorted(batch, key=lambda each: (-each.chars, each.key)):
        least = loads.index(min(loads))
        shares[least].append(each.key)
        loads[least] += each.chars + 100
    with ExitStack() as stack:
        running: list[tuple[subprocess.Popen[str], IO[str]]] = []
        try:
            for keys in shares:
                answers: IO[str] = stack.enter_context(tempfile.TemporaryFile("w+", encoding="ascii", dir=path))
                running.append((_start(path, sorted(keys), answers), answers))
            for child, answers in running:
                if child.wait():
                    raise StoreError("gathering features: a process ended before its work was done")
                answers.seek(0)
                yield from _answers(answers)
        finally:
            for child, _ in running:
                if child.poll() is None:
                    child.kill()
                child.wait()


def _start(path: Path, keys: list[str], answers: IO[str]) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        # -I: nothing is imported from the folder one stands in
        [sys.executable, "-I", "-m", "search.featuring"],
        stdin=subprocess.PIPE,
        stdout=answers,
        text=True,
        process_group=0,  # Ctrl-C is the parent's to handle, which ends this one
    )
    assert child.stdin is not None
    told = {"case": str(path), "keys": keys, "paths": [entry for entry in sys.path if entry]}
    child.stdin.write(json.dumps(told) + "\n")
    child.stdin.close()
    return child


def _answers(lines: IO[str]) -> Iterator[Part]:
    for line in lines:
        told = json.loads(line)
        if isinstance(told, dict):
            raise StoreError(f"gathering features: {told['error']}")
        yield told[0], told[1], told[2]


def parts_of(path: Path, keys: Sequence[str]) -> Iterator[Part]:
    """The features of each of these readings of the case in this folder, in the order of the keys."""
    with Case(path) as case:
        for key in keys:
            reading = case.catalog.reading(key)
            if reading is None:
                continue
            size = 0
            found: dict[tuple[str, str], list[Any]] = {}
            for locator, body, start in _bodies(case, reading):
                size += len(body) if body.isascii() else len(body.encode("utf-8", "replace"))
                for each in features_in(body, reading.language):
                    if each.start < start:
                        continue
                    held = found.get((each.type, each.value))
                    if held:
                        held[2] += not start
                    else:
                        found[each.type, each.value] = [each.type, each.value, 1, locator, each.context]
                    if len(found) >= _HELD:
                        yield key, 0, list(found.values())
                        found = {}
            yield key, size, list(found.values())


def _bodies(case: Case, reading: Reading) -> Iterator[tuple[str, str, int]]:
    """The texts and then the fields of a reading: where, what, and from which byte on features count.

    A field's name stands before its value, as it tells what the value is: `pe.version: 10.2.1.4` is no address.
    What a field says is no further hit where the text says it too: many texts begin with what the fields hold.
    """
    for text in case.texts.of(reading.key, reading.chunks):
        yield storable(text.locator), text.body, 0
    for field in reading.fields:
        if isinstance(field.value, str):
            yield f"field {field.name}", f"{field.name}: {field.value}", len(field.name.encode()) + 2


def work(orders: IO[str], answers: IO[str]) -> None:
    """Does one part of the work, as the module says."""
    told = json.loads(orders.readline())
    sys.path += [entry for entry in told["paths"] if entry not in sys.path]
    try:
        for part in parts_of(Path(told["case"]), told["keys"]):
            answers.write(json.dumps(part) + "\n")
    except (ArchivoreError, OSError) as error:
        answers.write(json.dumps({"error": reason_of(error)}) + "\n")
    answers.flush()


if __name__ == "__main__":
    work(sys.stdin, sys.stdout)
