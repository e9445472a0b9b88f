"""What one writer adds and deletes between two commits.

Documents gather in a builder; a full one becomes a segment file at once, which nothing names until the commit.
At the commit, where `_SAME` segments are of one tier (sizes within a factor of `_SAME`), they become one: a
document is merged once for each tier, and tiers are logarithmic in the documents.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from indexer.errors import StoreError
from search.engine import store
from search.engine.build import CHARACTERS, Builder
from search.engine.format import remove
from search.engine.merge import merge
from search.engine.question import View
from search.engine.read import Segment
from search.engine.store import Generation, Part
from search.engine.worker import build_beside, documents_of, merge_beside
from search.schema import Document

_SAME = 6
_WORTH = 1500
"""Documents for which it is worth to start a process."""
_LARGE = 100_000
"""Documents for whose merge it is."""
_USUAL = 2
"""Processes that may each fill a segment; more of them share the room of these."""


class Changes:
    """Additions and deletions that no generation holds yet; owns the lock.

    Raises:
        LockedError: another process writes to this index.
        StoreError: the newest generation is damaged, and what it held would be lost.
    """

    def __init__(self, folder: Path, analysis: str, known: Sequence[Segment], *, anew: bool = False) -> None:
        self.folder = folder
        self.analysis = analysis
        self._lock = store.take_lock(folder)
        try:
            if anew:
                self.number = 1 + max(map(_number_of, folder.iterdir()), default=0)
                self.parts: list[Part] = []
            else:
                base = store.load(folder, analysis, known)
                if base.fallen:
                    raise StoreError(f"{folder}: {base.fallen}; build the index again from the case (reindex)")
                self.number = base.number + 1
                self.parts = [Part(View(part.view.segment, part.view.dead), part.dead_name) for part in base.parts]
        except BaseException:
            self._lock.close()
            raise
        self._files = 0
        self._made: list[Path] = []
        self._builder = Builder()

    def add(self, document: Document) -> None:
        """Take a document; those of the same id are dead from now on."""
        self._builder.add(document)
        if self._builder.full:
            self.flush()

    def delete(self, ids: Sequence[str]) -> int:
        """The number of live documents with these ids, which are dead from now on."""
        self.flush()
        return self._kill(ids)

    def _kill(self, ids: Sequence[str]) -> int:
        killed = 0
        for part in self.parts:
            documents = part.view.segment.documents_of(ids)
            dead = np.zeros(part.view.count, bool) if part.view.dead is None else part.view.dead.copy()
            fresh = documents[~dead[documents]]
            if len(fresh):
                dead[fresh] = True
                killed += len(fresh)
                part.view, part.dead_name = View(part.view.segment, dead), None
        return killed

    def next_file(self) -> Path:
        """Where the next segment goes."""
        path = self.folder / f"s{self.number}-{self._files}.seg"
        self._files += 1
        self._made.append(path)
        return path

    def _marked(self) -> str:
        """A name that none had: a process that outlives a killed parent must not meet the next one's files."""
        return f"s{self.number}-{secrets.token_hex(4)}"

    def take(self, segment: Segment, dead: Sequence[int] = (), *, replaces: Sequence[str] = ()) -> None:
        """Take a segment that was written; older documents with the ids it replaces are dead from now on."""
        self._kill(replaces)
        mask = np.zeros(segment.count, bool)
        mask[list(dead)] = True
        self.parts.append(Part(View(segment, mask)))

    def flush(self) -> None:
        """Write what was gathered to a segment."""
        builder = self._builder
        if builder.count:
            self._builder = Builder(builder.characters)
            path = self.next_file()
            builder.write(path)
            self.take(Segment(path), builder.dead, replaces=list(builder.numbers_of))

    def add_beside(self, reader: str, argument: str, ids: Sequence[str], processes: int) -> None:
        """Take documents that other processes read and build; see `worker`."""
        processes = min(processes, -(-len(ids) // _WORTH))
        if processes <= 1:
            for document in documents_of(reader, argument, ids):
                self.add(document)
            return
        self.flush()
        self._kill(ids)
        size = -(-len(ids) // processes)
        parts = [ids[at : at + size] for at in range(0, len(ids), size)]
        mark = self._marked()
        files = [self.folder / f"{mark}{at}" for at in range(len(parts))]
        characters = self._builder.characters * _USUAL // max(_USUAL, len(parts))
        for path, dead in build_beside(reader, argument, parts, files, characters):
            self._made.append(path)
            self.take(Segment(path), dead)

    def commit(self) -> Generation:
        """Make it the newest generation.

        Raises:
            OSError: the disk is full, or the like.
        """
        self.flush()
        self._tidy()
        store.keep(self.folder, self.number, self.analysis, self.parts)
        stamp = store.stamp_of(self.folder)
        store.clean(self.folder)
        self._lock.close()
        return Generation(self.number, tuple(self.parts), stamp)

    def cancel(self) -> None:
        """Forget everything."""
        try:
            remove(self._made)
        finally:
            self._lock.close()

    def _tidy(self) -> None:
        """Merge where there are too many segments of one size, and where more is dead than alive."""
        self.parts = [part for part in self.parts if part.view.live_count]
        while True:
            tiers: dict[int, list[Part]] = {}
            for part in self.parts:
                tiers.setdefault(int(math.log(part.view.live_count, _SAME)), []).append(part)
            many = [parts for _, parts in sorted(tiers.items()) if len(parts) >= _SAME]
            if not many:
                many = [[part] for part in self.parts if part.view.live_count * 2 < part.view.count]
            if not many:
                return
            self._merge(many[0])

    def _merge(self, parts: Sequence[Part]) -> None:
        views = [part.view for part in parts]
        if sum(view.live_count for view in views) < _LARGE:
            path = self.next_file()
            merge(views, path)
        else:
            path = self.folder / f"{self._marked()}.seg"
            self._made.append(path)
            merge_beside(views, path)
        at = self.parts.index(parts[0])
        rest = [part for part in self.parts if part not in parts]
        self.parts = [*rest[:at], Part(View(Segment(path))), *rest[at:]]


def _number_of(path: Path) -> int:
    """The generation in a file's name; 0 where there is none."""
    head = path.name.partition("-")[0]
    return int(head[1:]) if head[:1] == "s" and head[1:].isdecimal() else 0


__all__ = ["CHARACTERS", "Changes"]
