"""The index of a case: the only door to the engine.

An index is a folder of segments (engine/format.py, engine/store.py) and is at the same time one of Whoosh's:
`Index` is a `whoosh.index.Index`, its `reader()` a `whoosh.reading.IndexReader`, queries are Whoosh's own.
Everything in it comes from the case and can be built again from it: damage is told as a StoreError that says so.
Where only the newest generation is damaged, the one before answers, `fallen` says so, and nothing is written
until the index is built again.

Order: score rounded to six decimals, highest first, then id; or a field, then id. It depends on what
the index holds, not on the order, the batches or the number of commits in which it came.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.engine import _whoosh  # noqa: F401

# isort: split
from whoosh.index import Index as WhooshIndex

from indexer.errors import QueryError, StoreError, reason_of
from search import analysis, schema
from search.engine import store
from search.engine.evaluate import Found, evaluate
from search.engine.question import Limits, Question, View, check_depth, physical
from search.engine.rank import Page, count_values, page
from search.engine.store import Generation
from search.schema import DEFAULT_FIELDS, Document
from search.sounds import notes_of
from search.tree import Query

if TYPE_CHECKING:
    from whoosh.fields import Schema
    from whoosh.reading import IndexReader

    from search.engine.read import Segment
    from search.engine.write import Changes


class Index(WhooshIndex):  # type: ignore[misc] # whoosh has no types
    """An open index. One may write; any number may read, and see what was committed when they asked.

    Attributes:
        limits: what a question may cost.
        notes: what the last answer leaves out and what names were asked for as, in words.
    """

    def __init__(self, folder: Path, generation: Generation) -> None:
        self.folder = folder
        self.limits = Limits()
        self.notes: tuple[str, ...] = ()
        self._generation = generation
        self._changes: Changes | None = None

    @classmethod
    def create(cls, folder: Path | str) -> Index:
        """A new, empty index in a folder that is empty or does not exist yet.

        Raises:
            StoreError: something is there already, or it cannot be written.
        """
        folder = Path(folder)
        with _storing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise StoreError(f"{folder} is not empty: an index is never made over something else")
            return cls(folder, _changes(folder, anew=True).commit())

    @staticmethod
    def stands_in(folder: Path) -> bool:
        """Whether an index was ever whole in this folder, be it damaged now."""
        return any((folder / name).exists() for name in (store.NEWEST, store.PREVIOUS))

    @classmethod
    def open(cls, folder: Path | str) -> Index:
        """The index in this folder.

        Raises:
            StoreError: there is none, it is damaged, or its terms were made by other rules: rebuild it.
        """
        folder = Path(folder)
        return cls(folder, store.load(folder, analysis.fingerprint()))

    def close(self) -> None:
        """Give up what was not committed and close the files."""
        self.cancel()

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
        with self._writing() as changes:
            for document in documents:
                changes.add(document)
                count += 1
        return count

    def add_beside(self, reader: str, argument: str, ids: Sequence[str], *, processes: int = 0) -> int:
        """The number of ids whose documents other processes, one for each core, were told to add.

        Args:
            reader: `module:function`; called there as `function(argument, ids)`, it gives the documents.
            argument: what it needs to find them, such as the path of the case.
            ids: of documents that are all different; older ones with these ids are replaced.
            processes: how many; 0 for as many as there are cores.

        Raises: see `add`.
        """
        with self._writing() as changes:
            changes.add_beside(reader, argument, ids, processes or len(os.sched_getaffinity(0)))
        return len(ids)

    def delete(self, ids: Iterable[str]) -> int:
        """The number of documents deleted; ids that are not there are passed over. Raises: see `add`."""
        names = list(ids)
        with self._writing() as changes:
            return changes.delete(names)

    def commit(self) -> None:
        """Make what was added and deleted visible. Raises: see `add`."""
        if self._changes is not None:
            with self._writing() as changes:
                self._generation = changes.commit()
            self._changes = None

    def cancel(self) -> None:
        """Give up what was added and deleted since the last commit."""
        changes, self._changes = self._changes, None
        if changes is not None:
            changes.cancel()

    def rebuild(self, documents: Iterable[Document]) -> int:
        """The number of documents in an index built anew, which then takes the place of this one.

        Raises:
            StoreError: it could not be built; the old one stays.
        """
        self.cancel()
        with _storing(self.folder):
            self._changes = _changes(self.folder, anew=True)
        count = self.add(documents)
        self.commit()
        return count

    @contextmanager
    def _writing(self) -> Iterator[Changes]:
        """The changes; whatever goes wrong, they are given up, so that the lock is free again."""
        with _storing(self.folder):
            if self._changes is None:
                known = [part.view.segment for part in self._generation.parts]
                self._changes = _changes(self.folder, known)
            try:
                yield self._changes
            except BaseException:
                self.cancel()
                raise

    # -- reading

    def search(
        self, tree: Query, *, limit: int = 10, sort: str = "score", reverse: bool = False, offset: int = 0
    ) -> tuple[int, list[tuple[str, float]]]:
        """The exact number of hits, and ids with scores from `offset`, at most `limit`.

        Args:
            tree: from `query.parse`, or any of Whoosh's.
            sort: `score`, or any field with whole values, numbers or dates; items without one come last.
            reverse: the sort's order turned round; ids still ascend among equals.

        Raises:
            QueryError: the query is too deep, or takes too long.
            StoreError: the index is damaged.
        """
        found = self.page(tree, limit=limit, sort=sort, reverse=reverse, offset=offset)
        return found.total, found.hits

    def page(
        self,
        tree: Query,
        *,
        limit: int = 10,
        sort: str = "score",
        reverse: bool = False,
        offset: int = 0,
        after: str = "",
    ) -> Page:
        """The same, with what gives the page after this one: pages stay in step whatever is added meanwhile.

        Args:
            after: as a former page's `after` gave it.
        """
        views, found = self._ask(tree)
        try:
            return page(views, found, sort, reverse=reverse, start=offset, limit=limit, after=after)
        except (ValueError, TypeError) as error:
            if not after:
                raise
            raise QueryError(f"{after} is not where a page ended", after, 0) from error

    def ids(self, tree: Query, *, sort: str = "score", reverse: bool = False) -> Iterator[str]:
        """The ids of all hits, in order; see `search`."""
        return (name for name, _ in self.search(tree, limit=len(self), sort=sort, reverse=reverse)[1])

    def facets(self, tree: Query, names: Sequence[str]) -> dict[str, dict[str, int]]:
        """For each field, how many of all hits have each value, the most frequent first.

        Args:
            names: fields with whole values; dates count by year, `modified.month` and `sent.day` by that part.
        """
        views, found = self._ask(tree)
        return {name: count_values(views, found, name) for name in names}

    def tally(self, leaves: Sequence[Query]) -> tuple[bytes, Iterator[tuple[Any, Any]]]:
        """The ids of all documents, 16 bytes each, and for each leaf which of them it stands in, and how often.

        Args:
            leaves: terms, prefixes, and phrases and rows of these, in the text, the name or `meta`.
        """
        from search.engine.tally import tally

        views = self._views()
        ask = Question(views, replace(self.limits, seconds=math.inf), _by_matchers)
        return b"".join(view.segment.raw_ids() for view in views), tally(leaves, views, ask)

    def fields(self) -> dict[str, schema.FieldType]:
        """The dynamic fields that the index holds, with their types; what `query.parse` wants to know."""
        found: dict[str, schema.FieldType] = {}
        for view in self._views():
            for term in view.segment.matching("has", ""):
                name, _, kind = term.decode().partition("\0")
                if name not in schema.TYPES and (kind or name not in found) and view.holding("has", term.decode()):
                    found[name] = "date" if kind else "name"
        return dict(sorted(found.items()))

    def held(self, terms: Iterable[str]) -> set[str]:
        """Those of many terms that a text, a name or a field has; of single characters those that begin a term."""
        left = sorted({term for term in terms if term}, key=str.encode)
        found: set[str] = set()
        for view in self._views():
            for field in DEFAULT_FIELDS:
                left = [term for term in left if term not in found]
                name, start = physical(field)
                found |= view.segment.held(name, left, start)
        return found

    def following(self, char: str) -> set[str]:
        """The characters that stand behind one in a run, in the text, the name or a field of any item."""
        found: set[str] = set()
        for view in self._views():
            for field in DEFAULT_FIELDS:
                name, start = physical(field)
                terms = (term.decode().removeprefix(start) for term in view.segment.matching(name, start + char))
                found |= {term[1] for term in terms if len(term) == 2}
        return found

    def __len__(self) -> int:
        return sum(view.live_count for view in self._views())

    @property
    def fallen(self) -> str:
        """Why an older generation answers; empty where the newest does."""
        self._views()
        return self._generation.fallen

    def verify(self) -> None:
        """Read every byte of the index.

        Raises:
            StoreError: a file is not what was written.
        """
        for view in self._views():
            view.segment.file.verify()
        if self.fallen:
            raise StoreError(f"{self.folder}: {self.fallen}; build the index again from the case (reindex)")

    def _views(self) -> list[View]:
        """The segments of the latest commit."""
        if store.stamp_of(self.folder) != self._generation.stamp:
            known = [part.view.segment for part in self._generation.parts]
            self._generation = store.load(self.folder, analysis.fingerprint(), known)
        return [part.view for part in self._generation.parts]

    def _ask(self, tree: Query) -> tuple[list[View], list[Found]]:
        views = self._views()
        check_depth(tree, self.limits.depth)
        ask = Question(views, self.limits, _by_matchers)
        found = [evaluate(tree, view, ask) for view in views]
        self.notes = (*ask.notes, *notes_of(tree))
        return views, found

    # -- what whoosh asks of an index

    @property
    def schema(self) -> Schema:
        """Whoosh's schema: every field there can be."""
        from search.engine import matchers

        return matchers.Schema()

    def reader(self, reuse: object = None) -> IndexReader:
        """Whoosh's reader over the latest commit."""
        from search.engine import matchers

        return matchers.readers(self._views(), self._generation.number)

    def is_empty(self) -> bool:
        """Whether nothing is held."""
        return not self._views()

    def latest_generation(self) -> int:
        """The number of the latest commit."""
        self._views()
        return self._generation.number

    def doc_count(self) -> int:
        """The number of live documents."""
        return len(self)


def _changes(folder: Path, known: Sequence[Segment] = (), *, anew: bool = False) -> Changes:
    from search.engine.write import Changes  # takes long to import, and no question needs it

    return Changes(folder, analysis.fingerprint(), known, anew=anew)


def _by_matchers(node: Query, view: View, ask: Question) -> tuple[Any, Any]:
    from search.engine import matchers  # takes long to import, and few questions need it

    return matchers.by_matchers(node, view, ask)


@contextmanager
def _storing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"{folder}: {reason_of(error)}") from error
