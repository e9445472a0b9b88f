"""One run: sources listed, roots handed to workers, findings kept, deaths survived, resumed exactly.

    listing ──> roots ──┐
    spilled members ────┼─> Pool ──> Texts, Item ──> Ledger.keep...
    roots of the dead ──┘        └─> Spilled       ──> waits in the spool for an idle worker

What the run needs of a store is the protocol `Ledger`; what it tells the outside are plain events.
The journal is the ledger's: a root is open until everything below it is kept, and a member in the
spool is pending until it is; so a run that was killed starts again at the roots that are open, and
skips what they hold already. Dated 2026-11: journal and items share one transaction, because two
files that must agree after a power cut are one file too many.

Shared work must not change what is found. Only one limit spans items that different workers read:
the root's. A root that outgrows it is read once more, from its start, by one worker alone.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import FrameType

from msgspec import Struct, field
from msgspec.structs import replace

from indexer import frames
from indexer.errors import Interrupted, StoreError
from indexer.events import Died, Event, Progress
from indexer.facts import without_bytes
from indexer.ledger import Ledger
from indexer.limits import MIB, Limits
from indexer.model import Found, Problem, Source, Spent
from indexer.passwords import Password
from indexer.places import Avoided, Place
from indexer.sources import list_source
from indexer.workers import Death, Pool, Worker

Again = tuple[Source, Place, Mapping[str, Spent], tuple[Password, ...]]
"""An item to be read again: its source and place, members that need no reading, passwords for it alone."""
_COMMIT_SECONDS = 2.0
_EVENT_SECONDS = 0.2
_AT_ONCE = 32
"""Small jobs that a worker may hold, so that it never waits for the next while the writer is busy."""
_SMALL = MIB
"""Bytes of a small job, and of all that a worker holds."""
_CARRIED = 1024
"""Bytes of a member that a small job may carry: all jobs of a worker must find room on the way to it, or the parent
waits for a worker that waits for the parent."""


class _Root(Struct):
    """A file of a source while anything below it is still to be done."""

    source: Source
    place: Place
    size: int
    outstanding: int = 0
    bytes: int = 0
    members: int = 0
    deaths: int = 0
    alone: bool = False
    avoid: dict[str, Avoided] = field(default_factory=dict)
    spooled: dict[str, int] = field(default_factory=dict)
    """Ids of members that wait in the spool or are read from it, with their sizes."""


class _Work(Struct):
    """A job and where it belongs."""

    job: frames.Job
    root: str
    size: int

    @property
    def weight(self) -> int:
        """Bytes, below `_SMALL` where a worker may have it beside others."""
        light = self.job.held is None or self.size <= _CARRIED
        return self.size if light and self.size < _SMALL and not self.job.done else _SMALL


class Ingest:
    """Runs jobs over a pool of workers and keeps what they find.

    Args:
        ledger: the store.
        scratch: a folder of our own for members in the spool; emptied first.
        jobs: worker processes; one a core where 0.
        tell: called with events.
        handler_files: Python files with further handlers; for tests.
        skip: a file of hash sets; what they know is not read further.
        ocr: whether words drawn on pictures are read too.
        ready: called with the versions of the handlers by their names, before anything they found is kept.
    """

    def __init__(
        self,
        ledger: Ledger,
        scratch: Path,
        *,
        limits: Limits | None = None,
        passwords: tuple[Password, ...] = (),
        jobs: int = 0,
        tell: Callable[[Event], None] = lambda event: None,
        handler_files: tuple[str, ...] = (),
        skip: Path | None = None,
        ocr: bool = False,
        ready: Callable[[dict[str, str]], None] = lambda versions: None,
    ) -> None:
        self._ledger = ledger
        self._scratch = scratch
        self._limits = limits or Limits()
        self._count = jobs or len(os.sched_getaffinity(0))
        self._hello = frames.Hello(self._limits, passwords, handler_files, str(scratch), str(skip or ""), ocr)
        self._tell = tell
        self._ready = ready
        self._roots: dict[str, _Root] = {}
        self._work: dict[int, _Work] = {}
        self._queue: deque[_Work] = deque()
        self._numbers = 0
        self._spool_bytes = 0
        self._listed = False
        self._stopped_by = 0
        self._counts = {"items": 0, "bytes": 0, "problems": 0, "roots_found": 0, "roots_done": 0, "deaths": 0}
        self._bytes_found = 0
        self._bytes_read = 0
        self._started = time.monotonic()

    def run(self, sources: Iterable[Source]) -> dict[str, int]:
        """Walks sources to their end and returns the counts.

        Raises:
            Interrupted: by SIGINT or SIGTERM; everything found so far is kept.
            StoreError: the store failed; what was committed is safe.
        """
        return self._drive(self._roots_of(sources))

    def finish(self, sources: Iterable[Source]) -> dict[str, int]:
        """Walks what a run that was stopped left open in sources, and nothing new; returns the counts.

        Raises as `run` does.
        """
        return self._drive(self._roots_of(sources, begun=True))

    def read_again(self, places: Iterable[Again]) -> dict[str, int]:
        """Reads single items anew, found again by their provenance; returns the counts.

        Each comes with the members that need no reading, and with passwords for it alone. The ledger
        must have forgotten the rest.
        Raises as `run` does.
        """
        return self._drive(self._again(places))

    # -- the loop ------------------------------------------------------------------------------

    def _drive(self, coming: Iterator[_Work]) -> dict[str, int]:
        self._empty_scratch()
        before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        pool = Pool(self._hello, self._count)
        try:
            for key in self._ledger.reading_keys():
                pool.sieve.add(key)
            committed = told = time.monotonic()
            while self._fill(pool, coming):
                for worker, said in pool.hear(0.1):
                    self._take(pool, worker, said)
                now = time.monotonic()
                if now - committed > _COMMIT_SECONDS:
                    self._ledger.commit()
                    committed = time.monotonic()
                if now - told > _EVENT_SECONDS:
                    self._report(pool)
                    told = now
                if self._stopped_by:
                    self._ledger.commit()
                    name = signal.Signals(self._stopped_by).name
                    raise Interrupted(f"stopped by {name}; the same command goes on from here", self._stopped_by)
            self._ledger.commit()
            self._report(pool)
        finally:
            pool.close()
            for number, handler in before.items():
                signal.signal(number, handler)
            self._empty_scratch()
        return self._counts

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stopped_by = number

    def _empty_scratch(self) -> None:
        self._scratch.mkdir(exist_ok=True)
        for path in self._scratch.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()

    def _roots_of(self, sources: Iterable[Source], *, begun: bool = False) -> Iterator[_Work]:
        for source in sources:
            for entry in list_source(source):
                identity = entry.place.provenance.id
                state = self._ledger.root_state(identity)
                if begun and not state:
                    continue
                self._counts["roots_found"] += 1
                if state == "done":
                    self._counts["roots_done"] += 1
                    continue
                if entry.kind != "file":
                    media_type = f"inode/{entry.kind}"
                    self._ledger.open_root(identity, source.name)
                    self._keep(without_bytes(entry.place, media_type), identity)
                    self._ledger.close_root(identity)
                    self._counts["roots_done"] += 1
                    continue
                self._bytes_found += entry.size
                done = self._ledger.spent(identity, resumed=True) if state == "open" else {}
                self._ledger.open_root(identity, source.name)
                yield self._work_for(source, entry.place, identity, entry.size, done=done, alone=self._count == 1)

    def _again(self, places: Iterable[Again]) -> Iterator[_Work]:
        """All are open before the first is read: a run that is stopped leaves none behind."""
        works = []
        for source, place, done, passwords in places:
            root = place.provenance.root.id
            self._ledger.open_root(root, source.name)
            self._ledger.pend(place.provenance)
            work = self._work_for(source, place, root, 0, done=done, alone=True)
            work.job = replace(work.job, passwords=passwords)
            works.append(work)
        return iter(works)

    def _work_for(
        self,
        source: Source,
        place: Place,
        root: str,
        size: int,
        *,
        spooled: str = "",
        held: bytes | None = None,
        done: Mapping[str, Spent] | None = None,
        alone: bool = False,
    ) -> _Work:
        self._numbers += 1
        state = self._roots.setdefault(root, _Root(source, place, size, alone=alone))
        state.outstanding += 1
        job = frames.Job(self._numbers, place, source, spooled, held, dict(done or {}), dict(state.avoid), state.alone)
        self._work[job.number] = _Work(job, root, size)
        return self._work[job.number]

    def _fill(self, pool: Pool, coming: Iterator[_Work]) -> bool:
        """Gives idle workers something to do; False once there is nothing left anywhere."""
        while True:
            worker = min(pool.workers, key=_load)
            work = self._next(coming) if _load(worker) < _AT_ONCE else None
            if work is None:
                break
            weight = work.weight
            if worker.jobs and weight == _SMALL:
                self._queue.appendleft(work)
                break
            worker.give(work.job, weight)
        hungry = self._listed and len(self._queue) < self._count and self._spool_bytes < self._limits.spool_bytes
        for worker in pool.workers:
            worker.board.wanted = hungry
        return bool(self._work)

    def _next(self, coming: Iterator[_Work]) -> _Work | None:
        if self._queue:
            return self._queue.popleft()
        work = next(coming, None)
        self._listed = work is None
        return work

    # -- what workers say ----------------------------------------------------------------------

    def _take(self, pool: Pool, worker: Worker, said: frames.FromWorker | Death) -> None:
        if worker not in pool.workers and not isinstance(said, Death):
            return  # it was replaced after it had said this
        match said:
            case frames.Ready():
                self._ready(said.versions)
            case frames.Texts():
                self._ledger.keep_texts(said.key, said.number, said.body)
            case frames.Item():
                root = self._work[worker.jobs[0]].root
                if not self._keep(said.found, root) or self._outgrown(root):
                    self._read_alone(pool, root)
            case frames.Ask():
                worker.tell(frames.Answer(self._ledger.known(said.key)))
            case frames.Spilled():
                self._spill(self._work[worker.jobs[0]], said)
            case frames.Done():
                work = self._work.pop(said.number)
                worker.had(work.weight)
                self._finish(work)
            case frames.Broken():
                raise StoreError(said.message)
            case Death():
                self._survive(worker, said)
            case _:
                raise AssertionError(said)

    def _keep(self, found: Found, identity: str) -> bool:
        """Keeps an item below the root of this id; false where what it relies on was dropped."""
        cost = self._ledger.keep(found)
        if cost is None:
            return False
        self._counts["items"] += 1 + cost.members
        self._counts["bytes"] += (found.size or 0) + cost.bytes
        self._counts["problems"] += len(found.problems) + (len(found.reading.problems) if found.reading else 0)
        root = self._roots.get(identity)
        if root and len(found.provenance.hops) > 1:
            root.members += 1 + cost.members
            root.bytes += (found.size or 0) + cost.bytes
        elif root:
            root.members += cost.members
            root.bytes += cost.bytes
            self._bytes_read += found.size or 0
        return True

    def _spill(self, work: _Work, said: frames.Spilled) -> None:
        place = said.place.provenance
        self._ledger.pend(place)
        self._roots[work.root].spooled[place.id] = said.size
        self._spool_bytes += said.size
        self._queue.append(
            self._work_for(work.job.source, said.place, work.root, said.size, spooled=said.path, held=said.held)
        )

    def _finish(self, work: _Work) -> None:
        root = self._roots[work.root]
        root.outstanding -= 1
        if work.job.is_spilled:
            self._drop_spooled(work)
            self._ledger.unpend(work.job.place.provenance)
        if not root.outstanding:
            self._ledger.close_root(work.root)
            self._counts["roots_done"] += 1
            del self._roots[work.root]

    def _drop_spooled(self, work: _Work) -> None:
        if work.job.spooled:
            Path(work.job.spooled).unlink(missing_ok=True)
        self._spool_bytes -= work.size
        self._roots[work.root].spooled.pop(work.job.place.provenance.id, None)

    # -- deaths and limits ---------------------------------------------------------------------

    def _survive(self, worker: Worker, death: Death) -> None:
        """Queues the dead worker's jobs again; what it died of is read with more care."""
        jobs = [self._work[number] for number in worker.jobs if number in self._work]
        if death.item and jobs:
            work = jobs[0]
            root = self._roots[work.root]
            root.deaths += 1
            self._counts["deaths"] += 1
            self._tell(Died(death.path, death.problem))
            before = root.avoid.get(death.item) or Avoided(death.problem, 0)
            problem = before.problem if before.deaths else death.problem
            root.avoid[death.item] = Avoided(problem, before.deaths + (not death.drawn))
            if root.deaths > self._limits.deaths:
                given_up = Problem(
                    "limit", f"deaths: more than {self._limits.deaths} workers lost", resolution="given up"
                )
                root.avoid[work.job.place.provenance.id] = Avoided(given_up, 2)
            done = self._ledger.spent(work.root, resumed=False)
            waiting = {identity: Spent(size, size, 1) for identity, size in root.spooled.items()}
            waiting.pop(work.job.place.provenance.id, None)
            work.job = replace(work.job, done={**done, **waiting}, avoid=dict(root.avoid))
        self._queue.extendleft(reversed(jobs))

    def _outgrown(self, identity: str) -> bool:
        root = self._roots.get(identity)
        if root is None or root.alone:
            return False
        return root.bytes > self._limits.root_bytes or root.members > self._limits.root_members

    def _read_alone(self, pool: Pool, identity: str) -> None:
        """Starts a root anew, in one worker: shared work cannot tell where its limits cut."""
        root = self._roots[identity]
        ours = {number for number, work in self._work.items() if work.root == identity}
        for worker in list(pool.workers):
            if worker.jobs and ours.intersection(worker.jobs):
                self._queue.extendleft(self._work[number] for number in reversed(worker.jobs) if number not in ours)
                pool.replace(worker)
        self._queue = deque(work for work in self._queue if work.job.number not in ours)
        for number in ours:
            work = self._work.pop(number)
            if work.job.is_spilled:
                self._drop_spooled(work)
        self._ledger.forget(identity)
        self._ledger.open_root(identity, root.source.name)
        self._roots[identity] = _Root(root.source, root.place, root.size, alone=True, avoid=root.avoid)
        self._queue.appendleft(self._work_for(root.source, root.place, identity, root.size, alone=True))

    def _report(self, pool: Pool) -> None:
        reading = sum(worker.board.read[0] for worker in pool.workers)
        self._tell(
            Progress(
                items=self._counts["items"],
                bytes=max(self._counts["bytes"], reading),
                problems=self._counts["problems"],
                roots_done=self._counts["roots_done"],
                roots_found=self._counts["roots_found"],
                seconds=time.monotonic() - self._started,
                bytes_read=self._bytes_read,
                bytes_found=self._bytes_found,
                listed=self._listed,
                working_on=tuple(worker.board.item[1] for worker in pool.workers),
            )
        )


def _load(worker: Worker) -> int:
    """How many jobs a worker has; as many as it may have, where they are not small together."""
    return len(worker.jobs) if worker.weight < _SMALL else _AT_ONCE
