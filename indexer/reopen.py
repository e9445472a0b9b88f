"""Any item's bytes again, from the evidence, by its provenance alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any, BinaryIO

from indexer.crawl import Crawler
from indexer.errors import EvidenceError
from indexer.facts import clean, place_of
from indexer.model import Child, Fact, Hop, Problem, Provenance, Source, replace
from indexer.places import Place
from indexer.sources import Beside, open_evidence
from indexer.volumes import Siblings, no_siblings


@contextmanager
def reopen(source: Source, provenance: Provenance, crawler: Crawler) -> Iterator[tuple[Place, BinaryIO, Siblings]]:
    """The item's place, as its container tells of it, its bytes in a seekable file, and what lies beside it.

    Args:
        crawler: gives its handlers, passwords, limits and spool; nothing is sent to its outlet.

    Raises:
        EvidenceError: it is not there any more, or no longer opens.
    """
    raw = provenance.hops[0].raw
    with ExitStack() as stack:
        file: BinaryIO = stack.enter_context(open_evidence(source, raw))
        siblings: Siblings = stack.enter_context(closing(Beside(source, raw)))
        place = Place(provenance.root)
        for hop in provenance.hops[1:]:
            place, file, siblings = _step(place, file, siblings, hop, crawler, stack)
        yield place, file, siblings


def members(
    source: Source, container: Provenance, wanted: Collection[Hop], crawler: Crawler
) -> Iterator[tuple[Hop, BinaryIO | Problem]]:
    """The bytes of many members of one container, in its own order, each until the next is asked for.

    What is not there any more is left out.

    Args:
        crawler: as for `reopen`.

    Raises:
        EvidenceError: the container is not there any more, or no longer opens.
    """
    by_name = {(hop.raw, hop.ordinal): hop for hop in wanted}
    seen: Counter[bytes] = Counter()
    with reopen(source, container, crawler) as (place, file, siblings):
        file.seek(0)
        stream = crawler.stream(file, place, siblings)
        handler = crawler.identifier.identify(stream).handler
        with closing(_Facts(handler.read(stream) if handler else iter(()))) as facts:
            for fact in facts:
                if not by_name:
                    break
                if not isinstance(fact, Child):
                    continue
                seen[fact.raw_name] += 1
                hop = by_name.pop((fact.raw_name, seen[fact.raw_name]), None)
                if hop is None or not fact.open:
                    continue
                opened = crawler.fence(fact.open)
                if isinstance(opened, Problem):
                    yield hop, opened
                    continue
                held, _, _ = crawler.take(opened)
                try:
                    yield hop, held
                finally:
                    held.close()


def _step(
    place: Place, file: BinaryIO, siblings: Siblings, hop: Hop, crawler: Crawler, stack: ExitStack
) -> tuple[Place, BinaryIO, Siblings]:
    digests, _ = crawler.hash(file)
    stream = crawler.stream(file, place, siblings)
    handler = crawler.identifier.identify(stream).handler
    shelf = stack.enter_context(closing(crawler.shelf()))
    volume = crawler.volumes.match(hop.name)
    found: tuple[Place, BinaryIO] | None = None
    seen: Counter[bytes] = Counter()
    with closing(_Facts(handler.read(stream) if handler else iter(()))) as facts:
        for fact in facts:
            if not isinstance(fact, Child):
                continue
            seen[fact.raw_name] += 1
            meant = fact.raw_name == hop.raw and seen[fact.raw_name] == hop.ordinal
            if meant and not fact.open and fact.problems:
                raise EvidenceError(fact.problems[0].cause, fact.problems[0].message)
            if not fact.open or not (meant or (volume and crawler.volumes.match(fact.name))):
                continue
            opened = fact.open() if meant else crawler.fence(fact.open)
            if isinstance(opened, Problem):
                continue
            held, _, problems = crawler.take(opened)
            stack.callback(held.close)
            waits = crawler.volumes.hold(fact.name, held) and shelf.keep(clean(fact.name), held)
            if not meant:
                held.close()
                continue
            ancestors = (*place.ancestors, digests.sha256)
            there = place_of(fact, place.provenance.child(hop), ancestors)
            found = replace(there, problems=(*there.problems, *problems)), held
            if not waits:
                return (*found, no_siblings)
            # What is still to come may lie beside it; trouble there is not this member's.
            facts.guard(crawler.fence)
    if found:
        return (*found, shelf.beside(hop.name))
    raise EvidenceError("corrupt", f"{place.provenance} gives no member {hop} any more")


class _Facts:
    """What a handler yields; once guarded, what it raises ends it quietly."""

    def __init__(self, facts: Iterator[Fact]) -> None:
        self._facts = facts
        self._next: Callable[..., Fact | None] = next

    def guard(self, fence: Callable[..., Any]) -> None:
        """From here on, trouble is an end."""
        self._next = lambda facts, end: fence(next, facts, end)

    def __iter__(self) -> Iterator[Fact]:
        while (fact := self._next(self._facts, None)) is not None:
            yield fact

    def close(self) -> None:
        """Ends the generator."""
        getattr(self._facts, "close", lambda: None)()
