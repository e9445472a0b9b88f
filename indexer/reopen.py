"""Any item's bytes again, from the evidence, by its provenance alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import BinaryIO

from indexer.crawl import Crawler, place_of
from indexer.errors import EvidenceError
from indexer.model import Child, Hop, Provenance, Source
from indexer.places import Place
from indexer.sources import open_evidence


@contextmanager
def reopen(source: Source, provenance: Provenance, crawler: Crawler) -> Iterator[tuple[Place, BinaryIO]]:
    """The item's place, as its container tells of it, and its bytes in a seekable file.

    Args:
        crawler: gives its handlers, passwords, limits and spool; nothing is sent to its outlet.

    Raises:
        EvidenceError: it is not there any more, or no longer opens.
    """
    file: BinaryIO = open_evidence(source, provenance.hops[0].raw)
    place = Place(provenance.root)
    try:
        for hop in provenance.hops[1:]:
            place, member = _step(place, file, hop, crawler)
            file.close()
            file = member
        yield place, file
    finally:
        file.close()


def _step(place: Place, file: BinaryIO, hop: Hop, crawler: Crawler) -> tuple[Place, BinaryIO]:
    digests, _ = crawler.hash(file)
    stream = crawler.stream(file, place)
    handler = crawler.identifier.identify(stream).handler
    seen: Counter[bytes] = Counter()
    for fact in handler.read(stream) if handler else ():
        if not isinstance(fact, Child):
            continue
        seen[fact.raw_name] += 1
        if fact.raw_name == hop.raw and seen[fact.raw_name] == hop.ordinal and fact.open:
            with closing(fact.open()) as opened:
                held, _, problems = crawler.take(opened)
            ancestors = (*place.ancestors, digests.sha256)
            found = place_of(fact, place.provenance.child(hop), ancestors)
            return replace(found, problems=(*found.problems, *problems)), held
    raise EvidenceError("corrupt", f"{place.provenance} gives no member {hop} any more")
