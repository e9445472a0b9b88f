"""A case: one investigation, one folder on disk, one writer, many readers.

    case.toml        name, format version, when and by which version it was made, limits
    catalog.sqlite   items, readings, problems, journal, runs        (search/catalog.py)
    texts.sqlite     texts by reading, packed                        (search/texts.py)
    index/           terms, built from the two above at any time     (search/index.py)
    spool/           members on their way to a worker; empty between runs
    lock             held by the one writer, names it
    audit.jsonl      what was done and asked, each record sealing the one before (search/audit.py)

`Case` fulfils `indexer.ledger.Ledger`. Texts are committed before the catalog that points at them,
and the index after both, so that a kill at any moment leaves a case that is whole: what the catalog
names is there, and what the index lacks is written down as stale.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from indexer.errors import StoreError, UsageError, refused
from indexer.hashsets import FILE, KINDS, HashSets
from indexer.model import Field, Found, Item, Known, Provenance, Reading, Source, Spent, Text
from search.audit import Audit
from search.catalog import Catalog
from search.database import is_made
from search.folder import FORMAT, SETTINGS, is_free, new_settings, raise_format, read_settings, take_lock, whole_or_gone
from search.texts import Texts

if TYPE_CHECKING:  # the engine takes long to import, and most commands do without it
    from search.answers import Answer
    from search.clustering import Clusters
    from search.exporting import Written
    from search.featuring import Features
    from search.index import Index
    from search.naming import Naming
    from search.review import Review
    from search.schema import Document
    from search.tree import Query
    from search.upkeep import Upkeep

CLUSTERS, FEATURES = "clusters.sqlite", "features.sqlite"  # what makes them is only loaded where they are there
_FREE_FLOOR = 64 << 20
_READER = "search.case:documents_of"
_AT_ONCE = 256
"""Items looked up together for the index."""
_SHORT = 16_384
"""Characters of texts that are looked up together with others."""


class Case:
    """An open case. Use it in a `with` statement; writing needs `write=True` and takes the lock.

    Args:
        path: the case folder.

    Raises:
        UsageError: there is no case here.
        LockedError: another process is writing.
        StoreError: the case was made by a newer version, or is damaged.
    """

    def __init__(self, path: Path | str, *, write: bool = False) -> None:
        self.path = path = Path(path)
        self.settings = read_settings(path, write=write)
        with ExitStack() as failed:
            self._lock = failed.enter_context(take_lock(path / "lock")) if write else None
            if write and self.settings["format"] != FORMAT:
                raise_format(path / SETTINGS)
            self.catalog = failed.enter_context(closing(Catalog(path / "catalog.sqlite", write=write)))
            self.texts = Texts(path / "texts.sqlite", write=write)
            failed.pop_all()
        self._index: Index | None = None
        self._upkeep: Upkeep | None = None

    @classmethod
    def create(cls, path: Path, name: str = "", about: Mapping[str, str] | None = None) -> Case:
        """A new case in a new or empty folder, open for writing.

        Raises:
            UsageError: the folder holds something already.
        """
        try:
            if not is_free(path):
                raise UsageError(f"{path}: not an empty folder; a case is made in a new or empty one")
            with whole_or_gone(path):
                path.mkdir(parents=True, exist_ok=True)
                new_settings(path, name, about or {})
                case = cls(path, write=True)
                case.update_index()
                case.catalog.commit()
                return case
        except OSError as error:
            raise refused(path, error, "choose another folder for the case") from error

    def __enter__(self) -> Case:
        return self

    def __exit__(self, _kind: object, error: object, _trace: object) -> None:
        try:
            self.close()
        except (StoreError, OSError) as failed:
            if self.path.is_dir():
                raise
            error = failed
        if isinstance(error, (StoreError, OSError)) and not self.path.is_dir():
            told = "the folder of the case was moved or removed meanwhile; nothing more can be kept in it"
            raise StoreError(f"{self.path}: {told}") from error

    def close(self) -> None:
        """Closes all files and gives the lock back; what was not committed is gone."""
        self._close_index()
        self.catalog.close()
        self.texts.close()
        self.close_hashsets()
        if self._lock:
            self._lock.close()

    def _close_index(self) -> None:
        if self._upkeep:
            self._upkeep.wait()
            self._upkeep = None
        if self._index:
            self._index.close()
            self._index = None

    @property
    def name(self) -> str:
        """What the analyst calls it."""
        return str(self.settings["name"])

    @property
    def index(self) -> Index:
        """The index, opened when first asked for; a writer makes it where a kill came before it was whole."""
        if self._index is None:
            from search.index import Index

            folder = self.path / "index"
            if self._lock and not Index.stands_in(folder):
                shutil.rmtree(folder, ignore_errors=True)
                self.catalog.make_all_stale()
                self._index = Index.create(folder)
            else:
                self._index = Index.open(folder)
        return self._index

    @property
    def scratch(self) -> Path:
        """Where members wait for a worker."""
        return self.path / "spool"

    @property
    def review(self) -> Review:
        """What reviewers said of items: tags, notes, saved queries."""
        return self.catalog.review

    @cached_property
    def naming(self) -> Naming:
        """What the names of this case's items say."""
        from search.naming import Naming

        return Naming.of(self.path)

    @cached_property
    def hashsets(self) -> HashSets:
        """Lists of known and notable digests."""
        return HashSets(self.path / FILE)

    def close_hashsets(self) -> None:
        """Lets go of the lists; they are opened anew when next asked for."""
        if held := vars(self).pop("hashsets", None):
            held.close()

    def open_features(self) -> Features | None:
        """The features of the texts, open for reading; None where none were gathered."""
        if not is_made(self.path / FEATURES):
            return None
        from search.featuring import Features

        return Features(self.path)

    def open_clusters(self) -> Clusters | None:
        """The clusters of what is nearly the same, open for reading; None where none were made."""
        if not is_made(self.path / CLUSTERS):
            return None
        from search.clustering import Clusters

        return Clusters(self.path)

    @property
    def audit(self) -> Audit:
        """The log of everything that was done to the case and asked of it."""
        return Audit(self.path / "audit.jsonl")

    def record(self, event: str, **values: object) -> None:
        """Adds a record to the audit log; a case that cannot be written (on a disc, in another's care) keeps none.

        Raises:
            StoreError: the log is damaged, or the disk full.
        """
        if os.access(self.path, os.W_OK):
            self.audit.append(event, **values)

    # -- items ---------------------------------------------------------------------------------

    def find(self, word: str) -> Item:
        """The one item that `word` names: an id, the beginning of one, or a provenance path.

        Raises:
            UsageError: none, or more than one, is meant.
        """
        ids = self.catalog.ids_at(word)
        lowered = word.lower()
        if not ids and 4 <= len(lowered) <= 32 and all(char in "0123456789abcdef" for char in lowered):
            ids = self.catalog.ids_beginning(lowered)
        if len(ids) > 1:
            raise UsageError(f"{word}: {len(ids)} items are meant; give more of the id")
        item = self.catalog.item(ids[0]) if ids else None
        if item is None:
            raise UsageError(f"{word}: no such item; give an id (or its first digits) or a path as printed")
        return item

    def texts_of(self, identity: str) -> tuple[Text, ...]:
        """All texts of an item, in order."""
        held = self.catalog.with_reading(identity)
        reading = held[1] if held else None
        return tuple(self.texts.of(reading.key, reading.chunks)) if reading else ()

    def items(self, *, with_text: bool = False) -> Iterator[Item]:
        """Every item, sorted by provenance path."""
        for item, reading in self.catalog.items():
            if with_text and reading:
                item = replace(item, texts=tuple(self.texts.of(reading.key, reading.chunks)))
            yield item

    # -- answers -------------------------------------------------------------------------------

    def search(self, query: str, *, limit: int = 20, sort: str = "score", fold: bool = True) -> Answer:
        """The first hits of a query, with marked passages; see `search.answers.ask` for more.

        Raises:
            QueryError: the query cannot be understood; it knows the column.
        """
        from search.answers import ask

        return ask(self, query, limit=limit, sort=sort, fold=fold)

    def facets(self, query: str, by: Sequence[str]) -> dict[str, dict[str, int]]:
        """For each field, how many hits of the query have each value, the most frequent first.

        Raises:
            QueryError: the query cannot be understood.
        """
        return self.index.facets(self.parse(query or "*"), by)

    def parse(self, query: str) -> Query:
        """What a query means in this case: with the fields that it has, and the words that its items hold.

        Raises:
            QueryError: it means nothing; the error holds the column.
        """
        from search.query import parse

        return parse(query, self.index.fields(), self.index)

    def export(self, path: Path | str, query: str = "", *, kind: str = "", with_text: bool = False) -> Written:
        """Writes every hit, or every item, in the format of the suffix or of `kind`, and its account beside it.

        Raises:
            UsageError: no such format, or the file cannot be made there.
            QueryError: the query cannot be understood.
        """
        from search.exporting import by_suffix, export, report_of

        path = Path(path)
        return export(report_of(self, query, with_text=with_text), kind or by_suffix(path), path)

    # -- the index -----------------------------------------------------------------------------

    def update_index(self, tell: Callable[[int], None] = lambda count: None) -> int:
        """Brings the index up to the catalog and returns how many items were due.

        Args:
            tell: called with the number of items done so far.
        """
        return self._keeper().finish(tell)

    def _keeper(self) -> Upkeep:
        if self._upkeep is None:
            from search.upkeep import Upkeep

            self._upkeep = Upkeep(self.catalog, self.index, _READER, self.path)
        return self._upkeep

    def rebuild_index(self, tell: Callable[[int], None] = lambda count: None) -> int:
        """Builds the index anew beside the old one, puts it in its place, and returns the number of items."""
        from search.index import Index

        beside, place, old = (self.path / name for name in ("index.new", "index", "index.old"))
        shutil.rmtree(beside, ignore_errors=True)
        self._close_index()
        self._index = Index.create(beside)
        self.catalog.make_all_stale()
        count = self.update_index(tell)
        self._close_index()
        shutil.rmtree(old, ignore_errors=True)
        if place.exists():
            place.rename(old)
        beside.rename(place)
        shutil.rmtree(old, ignore_errors=True)
        return count

    # -- what a run needs: indexer.ledger.Ledger -----------------------------------------------

    def reading_keys(self) -> Iterable[str]:
        """The keys of all readings that are kept."""
        return self.catalog.reading_keys()

    def known(self, key: str) -> Known | None:
        """The cost of a reading that is kept whole, with everything below it."""
        return self.catalog.known(key)

    def keep_texts(self, key: str, number: int, body: bytes) -> None:
        """Keeps one packed chunk of a reading's texts."""
        self.texts.keep(key, number, body)

    def keep(self, found: Found) -> Known | None:
        """Keeps an item, and where it is known, copies the members; returns what that cost."""
        return self.catalog.keep(found)

    def root_state(self, root: str) -> str:
        """`open`, `done`, or nothing, for the id of a file in a source."""
        return self.catalog.journal.root_state(root)

    def open_root(self, root: str, source: str) -> None:
        """From here until `close_root`, the root is not whole."""
        self.catalog.journal.open_root(root, source)

    def close_root(self, root: str) -> None:
        """Everything below the root is kept."""
        self.catalog.journal.close_root(root)

    def pend(self, place: Provenance) -> None:
        """A member is in the spool; it and its containers are not whole."""
        self.catalog.journal.pend(place)

    def unpend(self, place: Provenance) -> None:
        """The member is read."""
        self.catalog.journal.unpend(place)

    def spent(self, root: str, *, resumed: bool) -> dict[str, Spent]:
        """What is kept below a root; with `resumed`, without the containers of pending members."""
        return self.catalog.journal.spent(root, resumed=resumed)

    def forget(self, root: str) -> None:
        """Drops everything below a root, and the root itself."""
        self.catalog.forget(root)

    def commit(self) -> None:
        """Makes everything so far durable, texts before what points at them.

        Raises:
            StoreError: also where the disk is about to be full: better stopped than torn.
        """
        self.texts.commit()
        self.catalog.commit()
        status = os.statvfs(self.path)
        if status.f_bavail * status.f_frsize < _FREE_FLOOR:
            raise StoreError(f"{self.path}: less than {_FREE_FLOOR >> 20} MiB free; make room and run the same again")
        self._keeper().go_on()

    def keep_source(self, source: Source) -> None:
        """Keeps a source's description.

        Raises:
            UsageError: the label is taken by a source at another path.
        """
        held = self.catalog.sources().get(source.name)
        if held and held.path != source.path:
            raise UsageError(f"{source.name}: this label is taken by {held.path}; choose another with --label")
        self.catalog.keep_source(source)


def listed(case: Case, item: Item) -> list[Field]:
    """The hash sets that an item is in, as fields."""
    return [Field(kind, name) for kind in KINDS for name in case.hashsets.names_of(item.digests, kind)]


def _keys(row: tuple[Item, Reading | None]) -> tuple[str, str]:
    """Of its reading and of its bytes."""
    item, reading = row
    return reading.key if reading else "", item.digests.sha256 if item.digests else ""


def _is_short(reading: Reading) -> bool:
    return reading.chunks == 1 and reading.chars <= _SHORT


def documents_of(path: str, ids: Iterable[str]) -> Iterator[Document]:
    """The documents of these items, for a process that builds a part of the index.

    Args:
        path: the case folder; opened for reading only.
    """
    from search.homes import users_of
    from search.schema import document_of

    with Case(Path(path)) as case, ExitStack() as stack:
        naming = case.naming
        sources = case.catalog.sources()
        features = stack.enter_context(closing(held)) if (held := case.open_features()) else None
        clusters = stack.enter_context(closing(kept)) if (kept := case.open_clusters()) else None
        waiting = iter(ids)
        while some := list(islice(waiting, _AT_ONCE)):
            tags = case.review.tags_among(some)
            rows = list(case.catalog.with_readings(some))
            made, alone = features.fields_of([each.key for _, each in rows if each]) if features else ({}, frozenset())
            joined = clusters.fields_of([*filter(None, chain.from_iterable(map(_keys, rows)))]) if clusters else {}
            short = case.texts.first_of([reading.key for _, reading in rows if reading and _is_short(reading)])
            for item, reading in rows:
                source = sources[item.provenance.source]
                texts: Iterable[Text] = ()
                named: Iterable[Field] = ()
                if reading:
                    named = made.get(reading.key, ())
                    if features and reading.key in alone:
                        named = features.fields_of([reading.key])[0].get(reading.key, ())
                    texts = short.get(reading.key) or case.texts.of(reading.key, reading.chunks)
                yield document_of(
                    item,
                    (text.body for text in texts),
                    custodian=source.custodian,
                    series=source.series,
                    tags=tags.get(item.id, ()) if tags else (),
                    derived=(
                        *naming.fields(item.provenance.hops),
                        *listed(case, item),
                        *(Field("user", user) for user, _ in users_of(item)),
                        *named,
                        *chain.from_iterable(joined.get(key, ()) for key in _keys((item, reading))),
                    ),
                )
