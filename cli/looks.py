"""Pictures and videos looked at: each found again in the evidence by a worker process, as many at once as asked for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing, suppress
from itertools import groupby, islice
from pathlib import Path
from queue import SimpleQueue

from indexer.errors import EvidenceError, UsageError, refused
from indexer.limits import Limits
from indexer.model import Hop, Item, Provenance, Source
from indexer.passwords import Password
from indexer.workers import Fetcher
from search.alike import Looked, Looking
from search.case import Case
from search.guesses import recall_passwords

_AHEAD = 4
"""Groups of pictures given out for each worker before the first comes back."""
_TOGETHER = 2_000
"""Pictures of one container that are looked at in one pass."""


def look_at(
    case: Case, passwords: tuple[Password, ...], limits: Limits, jobs: int = 0, *, film: bool = False
) -> Looking:
    """What makes likenesses of items of this case, of pictures or of videos."""
    sources = case.catalog.sources()
    known = (*passwords, *recall_passwords(case))
    count = jobs or len(os.sched_getaffinity(0))

    def look(items: Iterable[Item]) -> Iterator[Looked]:
        free: SimpleQueue[Fetcher] = SimpleQueue()

        def one(fetcher: Fetcher, item: Item) -> Looked:
            source = sources[item.provenance.source]
            try:
                return Looked(item, b"".join(fetcher.fetch(source, item.provenance, look=True, film=film)))
            except EvidenceError as error:
                return Looked(item, b"", f"{error.cause}: {error.message}")

        def some(group: list[Item]) -> list[Looked]:
            place = group[0].provenance
            source = sources[place.source]
            if not source.path:
                return [Looked(item, b"", "the evidence is not on this machine") for item in group]
            fetcher = free.get()
            try:
                left = {item.provenance.hops[-1]: item for item in group}
                found: list[Looked] = []
                if place.parent and len(group) > 1:
                    with suppress(EvidenceError):  # what is left over is asked for one by one
                        for told in fetcher.look(source, place.parent, tuple(left), film=film):
                            problem = f"{told.problem.cause}: {told.problem.message}" if told.problem else ""
                            found.append(Looked(left.pop(told.hop), told.body, problem))
                return [*found, *(one(fetcher, item) for item in left.values())]
            finally:
                free.put(fetcher)

        with ExitStack() as stack:
            for _ in range(count):
                free.put(stack.enter_context(closing(Fetcher(known, limits))))
            threads = stack.enter_context(ThreadPoolExecutor(count))
            waiting: set[Future[list[Looked]]] = set()
            for group in _together(items):
                waiting.add(threads.submit(some, group))
                if len(waiting) >= count * _AHEAD:
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    yield from (looked for each in done for looked in each.result())
            yield from (looked for each in waiting for looked in each.result())

    return look


def _together(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Neighbours of one container, which is then gone through once for all of them."""
    for _, group in groupby(items, key=lambda item: item.provenance.parent or item.provenance):
        waiting = iter(group)
        while some := list(islice(waiting, _TOGETHER)):
            yield some


def look_at_file(path: Path, limits: Limits) -> bytes:
    """What a picture looks like that is no part of the case; it is decoded in a worker all the same.

    Raises:
        UsageError: it cannot be looked at.
    """
    try:
        path.open("rb").close()
    except OSError as error:
        raise refused(path, error, "give a picture") from error
    raw = os.fsencode(path.name)
    with closing(Fetcher((), limits)) as fetcher:
        try:
            place = Provenance("reference", (Hop(raw, path.name),))
            return b"".join(fetcher.fetch(Source("reference", str(path.absolute())), place, look=True))
        except EvidenceError as error:
            raise UsageError(f"{path}: {error.message}") from error
