"""Pictures looked at: each found again in the evidence by a worker process, as many at once as asked for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from pathlib import Path
from queue import SimpleQueue

from indexer.errors import EvidenceError, UsageError
from indexer.limits import Limits
from indexer.model import Hop, Item, Provenance, Source
from indexer.passwords import Password
from indexer.workers import Fetcher
from search.alike import Looked, Looking
from search.case import Case
from search.guesses import recall_passwords

_AHEAD = 4
"""Pictures given out for each worker before the first comes back."""


def look_at(case: Case, passwords: tuple[Password, ...], limits: Limits, jobs: int = 0) -> Looking:
    """What makes likenesses of items of this case."""
    sources = case.catalog.sources()
    known = (*passwords, *recall_passwords(case))
    count = jobs or len(os.sched_getaffinity(0))

    def look(items: Iterable[Item]) -> Iterator[Looked]:
        free: SimpleQueue[Fetcher] = SimpleQueue()

        def one(item: Item) -> Looked:
            source = sources[item.provenance.source]
            if not source.path:
                return Looked(item, b"", "the evidence is not on this machine")
            fetcher = free.get()
            try:
                return Looked(item, b"".join(fetcher.fetch(source, item.provenance, look=True)))
            except EvidenceError as error:
                return Looked(item, b"", f"{error.cause}: {error.message}")
            finally:
                free.put(fetcher)

        with ExitStack() as stack:
            for _ in range(count):
                free.put(stack.enter_context(closing(Fetcher(known, limits))))
            threads = stack.enter_context(ThreadPoolExecutor(count))
            waiting: set[Future[Looked]] = set()
            for item in items:
                waiting.add(threads.submit(one, item))
                if len(waiting) >= count * _AHEAD:
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    yield from (each.result() for each in done)
            yield from (each.result() for each in waiting)

    return look


def look_at_file(path: Path, limits: Limits) -> bytes:
    """What a picture looks like that is no part of the case; it is decoded in a worker all the same.

    Raises:
        UsageError: it cannot be looked at.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    raw = os.fsencode(path.name)
    with closing(Fetcher((), limits)) as fetcher:
        try:
            place = Provenance("reference", (Hop(raw, path.name),))
            return b"".join(fetcher.fetch(Source("reference", str(path.absolute())), place, look=True))
        except EvidenceError as error:
            raise UsageError(f"{path}: {error.message}") from error
