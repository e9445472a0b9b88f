"""Whether the evidence still gives what the case says: every item read anew and compared with the catalog.

`Checker` stands in the store's place in a second run over the same sources: it keeps nothing, and compares
each item's size and digests with those of the item that the catalog holds at the same place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from indexer.model import Found, Known, Provenance, Spent
from search.case import Case


@dataclass(frozen=True, slots=True)
class Difference:
    """Where evidence and catalog differ: `changed`, `gone` or `new`; `closed` where no password opens it now."""

    id: str
    path: str
    difference: str
    was: str = ""
    now: str = ""

    def to_json(self) -> dict[str, str]:
        """As the public JSON has it; `was` and `now` are SHA-256."""
        return {"id": self.id, "path": self.path, "difference": self.difference, "was": self.was, "now": self.now}


class Checker:
    """Fulfils `indexer.ledger.Ledger` and keeps only what differs.

    Attributes:
        same: how many items are as the catalog has them.
        differences: what is not.
    """

    def __init__(self, case: Case) -> None:
        self.same = 0
        self.differences: list[Difference] = []
        self._catalog = case.catalog
        self._seen: dict[str, set[bytes]] = {}
        self._closed: set[bytes] = set()

    def keep(self, found: Found) -> Known:
        """Compares one item."""
        identity = found.provenance.id
        seen = self._seen.setdefault(found.provenance.root.id, set())
        if bytes.fromhex(identity) in seen:  # read twice, since a worker died
            return Known(0, 0, 0)
        held = self._catalog.item(identity)
        if held is None and self._was_skipped(found.provenance):
            return Known(0, 0, 0)
        seen.add(bytes.fromhex(identity))
        now = found.digests.sha256 if found.digests else ""
        problems = found.problems + (found.reading.problems if found.reading else ())
        closed = any(problem.cause == "encrypted" for problem in problems)
        if closed:
            self._closed.add(bytes.fromhex(identity))
        if held is None:
            self.differences.append(Difference(identity, str(found.provenance), "new", now=now))
        elif (held.digests, held.size) != (found.digests, found.size):
            was = held.digests.sha256 if held.digests else ""
            difference = "closed" if closed and not now else "changed"
            self.differences.append(Difference(identity, str(found.provenance), difference, was, now))
        else:
            self.same += 1
        return Known(0, 0, 0)

    def _was_skipped(self, place: Provenance) -> bool:
        """Whether a container around it was known, and not opened for that."""
        above = map(self._catalog.item, place.above())
        return any(field.name == "file.skipped" for item in above if item for field in item.fields)

    def gone(self, sources: Iterable[str]) -> Iterator[Difference]:
        """What the catalog holds of these sources and the evidence gives no more."""
        chosen = set(sources)
        for item, _ in self._catalog.items():
            if item.provenance.source not in chosen:
                continue
            ids = item.provenance.ids()
            if ids[-1] not in self._seen.get(ids[0].hex(), ()):
                was = item.digests.sha256 if item.digests else ""
                closed = not self._closed.isdisjoint(ids)
                yield Difference(item.id, str(item.provenance), "closed" if closed else "gone", was)

    def forget(self, root: str) -> None:
        """A root is read again from its beginning: what was compared below it counts no more."""
        forgotten = {identity.hex() for identity in self._seen.pop(root, set())}
        different = {each.id for each in self.differences}
        self.same -= len(forgotten - different)
        self.differences = [each for each in self.differences if each.id not in forgotten]

    # -- what a store would keep -----------------------------------------------------------------

    def reading_keys(self) -> Iterable[str]:
        """None: everything is to be read."""
        return ()

    def known(self, key: str) -> None:
        """Nothing is known: members must be read to be compared."""

    def keep_texts(self, key: str, number: int, body: bytes) -> None:
        """Texts are not compared: the same bytes give the same texts."""

    def root_state(self, root: str) -> str:
        """Every root is new."""
        return ""

    def open_root(self, root: str, source: str) -> None:
        """Nothing to do."""

    def close_root(self, root: str) -> None:
        """Nothing to do."""

    def pend(self, place: Provenance) -> None:
        """Nothing to do."""

    def unpend(self, place: Provenance) -> None:
        """Nothing to do."""

    def spent(self, root: str, *, resumed: bool) -> dict[str, Spent]:
        """After a worker's death all below the root is read again, and compared again."""
        return {}

    def commit(self) -> None:
        """Nothing to do."""


def check_store(case: Case, tell: Callable[[str], None] = lambda part: None) -> None:
    """Reads every byte of the index and every text of the case.

    Raises:
        StoreError: something is not what was written.
    """
    tell("index")
    case.index.verify()
    tell("texts")
    for key, chunks, _ in case.catalog.packed_readings():
        for _text in case.texts.of(key.hex(), chunks):
            pass
