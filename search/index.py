"""The index of a case: the only door to the engine.

An index is a folder. `index.json` names the folder that holds the engine's files and the rules of
analysis that its terms were made with; `rebuild` fills a new folder and then changes that one name.
Everything in an index comes from the case and can be built again from it: damage is told as a
StoreError that says so, and nothing here is repaired.

Engine: whoosh 2.7.4, of which only the storage of postings is used (`_whoosh.py`), with its unpickling
fenced (`_safe_pickle.py`); what a query means and how hits are ranked stands in `_evaluate.py`.

Order: score rounded to six decimals, highest first, then id; or a field, then id. It depends on what
the index holds, not on the order, the batches or the number of commits in which it came.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from whoosh.filedb.filestore import FileStorage
from whoosh.index import FileIndex, LockError
from whoosh.index import IndexError as BrokenIndexError
from whoosh.query import Query

from indexer.errors import LockedError, StoreError
from search import _evaluate, _safe_pickle, analysis, schema
from search._whoosh import COLUMNS, SCHEMA, Segment, reading, values_of
from search.schema import Document

_safe_pickle.install()

FORMAT = 1
_WRITE_ERRORS = (OSError, BrokenIndexError)


class Index:
    """An open index. One may write; any number may read, and see what was committed when they asked."""

    def __init__(self, folder: Path, engine: FileIndex) -> None:
        self.folder = folder
        self._engine = engine
        self._writer: Any = None
        self._pending: set[str] = set()
        self._segments: list[Segment] | None = None
        self._generation = -1

    @classmethod
    def create(cls, folder: Path | str) -> Index:
        """A new, empty index in a folder that is empty or does not exist yet.

        Raises:
            StoreError: something is there already, or it cannot be written.
        """
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise StoreError(f"{folder} is not empty: an index is never made over something else")
            engine = _new_engine(folder, "0")
        except OSError as error:
            raise StoreError(f"{folder}: {error.strerror or error}") from error
        return cls(folder, engine)

    @classmethod
    def open(cls, folder: Path | str) -> Index:
        """The index in this folder.

        Raises:
            StoreError: there is none, it is damaged, or its terms were made by other rules: rebuild it.
        """
        folder = Path(folder)
        with reading(folder):
            stamp = json.loads((folder / "index.json").read_text(encoding="utf-8"))
            part = str(stamp["part"])
            if stamp["format"] != FORMAT or stamp["analysis"] != analysis.fingerprint() or not part.isdecimal():
                raise StoreError(f"{folder} was built by another version; build the index again from the case")
            return cls(folder, FileIndex(FileStorage(str(folder / part)), schema=SCHEMA))

    def close(self) -> None:
        """Give up what was not committed and close the files."""
        self.cancel()
        self._forget()

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- writing

    def add(self, documents: Iterable[Document]) -> int:
        """The number of documents added; one of the same id, added before, is replaced.

        Raises:
            LockedError: another process writes to this index.
            StoreError: the disk is full or the index damaged; what was committed is safe.
        """
        count = 0
        try:
            for document in documents:
                if document.id in self._pending:
                    self.commit()
                values = values_of(document)
                with self._writing() as writer:
                    self._drop(writer, document.id)
                    writer.add_document(**values)
                self._pending.add(document.id)
                count += 1
        except BaseException:
            self.cancel()  # also where the documents themselves could not be had
            raise
        return count

    def delete(self, ids: Iterable[str]) -> int:
        """The number of documents deleted; ids that are not there are passed over. Raises: see `add`."""
        count = 0
        for name in ids:
            if name in self._pending:
                self.commit()
            with self._writing() as writer:
                count += self._drop(writer, name)
        return count

    def commit(self) -> None:
        """Make what was added and deleted visible. Raises: see `add`."""
        if self._writer is not None:
            with self._writing() as writer:
                writer.commit()
            self._writer = None
            self._pending.clear()

    def cancel(self) -> None:
        """Give up what was added and deleted since the last commit."""
        writer, self._writer = self._writer, None
        self._pending.clear()
        if writer is not None and not writer.is_closed:
            try:
                writer.cancel()
            except _WRITE_ERRORS:
                writer.writelock.release()  # a full disk must not leave the index locked

    def rebuild(self, documents: Iterable[Document]) -> int:
        """The number of documents in an index built anew, which then takes the place of this one.

        Raises:
            StoreError: it could not be built; the old one stays.
        """
        self.cancel()
        old = Path(self._engine.storage.folder)
        part = str(int(old.name) + 1)
        target = self.folder / part
        try:
            shutil.rmtree(target, ignore_errors=True)
            fresh = Index(self.folder, _new_engine(self.folder, part, stamp=False))
            with fresh:
                count = fresh.add(documents)
                fresh.commit()
            _stamp(self.folder, part)
        except BaseException as error:
            shutil.rmtree(target, ignore_errors=True)
            if isinstance(error, OSError):
                raise StoreError(f"{target}: {error.strerror or error}") from error
            raise
        self._forget()
        self._engine = fresh._engine
        for path in self.folder.iterdir():
            if path.name.isdecimal() and path.name != part:
                shutil.rmtree(path, ignore_errors=True)
        return count

    def _drop(self, writer: Any, name: str) -> int:
        found = 0
        base = 0
        for segment in self._committed():
            for document in segment.find(name):
                if not writer.is_deleted(base + document):
                    writer.delete_document(base + document)
                    found += 1
            base += segment.reader.doc_count_all()
        return found

    @contextmanager
    def _writing(self) -> Iterator[Any]:
        """The writer; whatever goes wrong, it is cancelled, so that the lock is free again."""
        try:
            if self._writer is None:
                self._writer = self._engine.writer(limitmb=256, compound=False)
            yield self._writer
        except LockError as error:
            raise LockedError(f"{self.folder}: another process writes to this index") from error
        except BaseException as error:
            self.cancel()
            if isinstance(error, _WRITE_ERRORS):
                raise StoreError(f"{self.folder}: {getattr(error, 'strerror', None) or error}") from error
            raise

    # -- reading

    def search(
        self, tree: Query, *, limit: int = 10, sort: str = "score", reverse: bool = False, offset: int = 0
    ) -> tuple[int, list[tuple[str, float]]]:
        """The exact number of hits, and ids with scores from `offset`, at most `limit`.

        Args:
            tree: from `query.parse`.
            sort: one of `schema.SORTS`; items without a size or a date come last.
            reverse: the sort's order turned round; ids still ascend among equals.

        Raises:
            StoreError: the index is damaged.
        """
        hits = self._hits(tree, sort, reverse)
        return len(hits), hits[offset : offset + limit]

    def ids(self, tree: Query, *, sort: str = "score", reverse: bool = False) -> Iterator[str]:
        """The ids of all hits, in order; see `search`."""
        return (name for name, _ in self._hits(tree, sort, reverse))

    def fields(self) -> dict[str, schema.FieldType]:
        """The dynamic fields that the index holds, with their types; what `query.parse` wants to know."""
        found: dict[str, schema.FieldType] = {}
        with reading(self.folder):
            for segment in self._committed():
                for term in segment.lexicon("has", ""):
                    name, _, kind = term.partition("\0")
                    if name not in schema.TYPES and (kind or name not in found):
                        found[name] = "date" if kind else "name"
        return dict(sorted(found.items()))

    def __len__(self) -> int:
        with reading(self.folder):
            return sum(segment.reader.doc_count() for segment in self._committed())

    def _hits(self, tree: Query, sort: str, reverse: bool) -> list[tuple[str, float]]:
        with reading(self.folder):
            segments = self._committed()
            live = sum(segment.reader.doc_count() for segment in segments)
        known: dict[tuple[str, str], float] = {}

        def idf(field: str, term: str) -> float:
            key = field, term
            if key not in known:
                holding = sum(len(segment.postings(field, term)) for segment in segments)
                known[key] = math.log(1 + (live - holding + 0.5) / (holding + 0.5))
            return known[key]

        rows: list[tuple[Any, str, float]] = []
        try:
            for segment in segments:
                scores = _evaluate.evaluate(tree, segment, idf)
                with reading(self.folder):
                    names = segment.column("id")
                    keys = None if sort == "score" else segment.column(f"sort_{sort}")
                    for document, score in scores.items():
                        score = round(score, 6)
                        rows.append((keys[document] if keys else -score, names[document].decode(), score))
        finally:
            for segment in segments:
                segment.forget()
        rows.sort(key=lambda row: row[1])
        missing = COLUMNS[f"sort_{sort}"].default_value() if sort in ("size", "date") else None
        rows.sort(key=lambda row: row[0], reverse=reverse)
        if missing is not None:
            rows.sort(key=lambda row: row[0] == missing)
        return [(name, score) for _, name, score in rows]

    def _committed(self) -> list[Segment]:
        """The segments of the latest commit."""
        generation = self._engine.latest_generation()
        if self._segments is None or generation != self._generation:
            self._forget()
            reader = self._engine.reader()
            self._segments = [Segment(self.folder, leaf) for leaf, _ in reader.leaf_readers() if leaf.doc_count_all()]
            self._generation = generation
        return self._segments

    def _forget(self) -> None:
        for segment in self._segments or ():
            segment.reader.close()
        self._segments = None


def _new_engine(folder: Path, part: str, *, stamp: bool = True) -> FileIndex:
    (folder / part).mkdir()
    engine = FileIndex.create(FileStorage(str(folder / part)), SCHEMA)
    if stamp:
        _stamp(folder, part)
    return engine


def _stamp(folder: Path, part: str) -> None:
    fresh = folder / "index.json.new"
    fresh.write_text(json.dumps({"format": FORMAT, "analysis": analysis.fingerprint(), "part": part}) + "\n")
    fresh.replace(folder / "index.json")
