"""The index brought up to the catalog: beside a run while it goes on, and to the end after it.

What the index lacks is written down in the catalog as stale. A batch is taken (and marked so), built by
processes of their own from the case's files, committed, and only then forgotten; an item that changed
meanwhile is stale again, and a batch that a kill cut short is taken once more.

One thread waits for those processes, so that a run never waits for the index and searches see what was
found a minute ago. Only the run's own thread touches the catalog.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

from indexer.errors import ArchivoreError, StoreError
from search.catalog import Catalog
from search.index import Index

BATCH = 50_000
"""Items taken at a time."""
_WORTH = 10_000
"""Items that must be due before a run's index is brought up to date, and the seconds between."""
_SECONDS = 20.0


class Upkeep:
    """Keeps one index up to one catalog.

    Args:
        reader: `module:function` that gives documents for (`argument`, ids) in another process.
    """

    def __init__(self, catalog: Catalog, index: Index, reader: str, argument: Path) -> None:
        self._catalog = catalog
        self._index = index
        self._reader = reader
        self._argument = str(argument)
        self._thread: Thread | None = None
        self._failed: ArchivoreError | None = None
        self._built = False
        self._begun = time.monotonic()
        self._taken = 0

    def go_on(self) -> None:
        """Called now and then while a run goes on: begins a batch, or ends one that is done. Never waits.

        Raises:
            StoreError: the batch failed.
        """
        if self._thread and not self._thread.is_alive():
            self._end()
        if not self._thread and time.monotonic() - self._begun > _SECONDS and self._catalog.is_stale(_WORTH):
            self._begin()

    def finish(self, tell: Callable[[int], None] = lambda count: None) -> int:
        """Takes what is left, batch by batch, and returns how many items that were.

        Raises:
            StoreError: a batch failed; what was committed before it stays.
        """
        done = 0
        while self._thread or self._catalog.is_stale(1):
            if not self._thread:
                self._begin(resting=True)
            self._end()
            done += self._taken
            tell(done)
        return done

    def wait(self) -> None:
        """Waits for a batch that is under way; whether it failed is not asked."""
        if self._thread:
            self._thread.join()
            self._thread = None

    def _begin(self, *, resting: bool = False) -> None:
        kept, gone = self._catalog.take_stale(BATCH)
        self._catalog.commit()
        if resting:
            self._catalog.rest()
        self._begun = time.monotonic()
        self._taken = len(kept) + len(gone)
        self._thread = Thread(target=self._build, args=(kept, gone), name="index")
        self._thread.start()

    def _build(self, kept: list[str], gone: list[str]) -> None:
        self._built = False
        try:
            self._index.delete(gone)
            self._index.add_beside(self._reader, self._argument, kept)
            self._index.commit()
            self._built = True
        except ArchivoreError as error:
            self._failed = error

    def _end(self) -> None:
        self.wait()
        if self._failed:
            failed, self._failed = self._failed, None
            raise failed
        if not self._built:
            raise StoreError(f"{self._argument}: the index could not be brought up to date; reindex builds it anew")
        self._catalog.freshen()
        self._catalog.commit()
