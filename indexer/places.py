"""Where the walk goes, what is known of it beforehand, and where its findings are sent."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import BinaryIO, Protocol

from msgspec import Struct, field

from indexer.model import Field, Found, Known, Problem, Provenance, Spent, Text, Timestamp


class Place(Struct, frozen=True, array_like=True):
    """A spot in the evidence that is to be visited, and what its container already said of it."""

    provenance: Provenance
    timestamps: tuple[Timestamp, ...] = ()
    fields: tuple[Field, ...] = ()
    problems: tuple[Problem, ...] = ()
    ancestors: tuple[str, ...] = ()
    """SHA-256 of every container around it, outermost first."""


def key_at(key: str, place: Place) -> str:
    """The key of a reading that no other place shares: it came of more than the item's own bytes."""
    return hashlib.sha256(f"{key}\0{place.provenance.id}".encode()).hexdigest()[:32]


class Avoided(Struct, frozen=True, array_like=True):
    """An item that killed a worker: read as strings at the first time, not opened at the second.

    A death while drawn words were looked for is none of its reading: `deaths` is 0, it is read without them.
    """

    problem: Problem
    deaths: int


class Task(Struct):
    """What to walk, and what is known of it from an earlier attempt.

    `alone` keeps every member in this worker and enforces the root's limits, so that what is cut
    off never depends on how work was shared.
    """

    done: Mapping[str, Spent] = field(default_factory=dict)
    avoid: Mapping[str, Avoided] = field(default_factory=dict)
    alone: bool = True

    def spent_at(self, place: Place) -> Spent | None:
        """What a place cost before; mostly nothing is told of any, and no id need be made to know it."""
        return self.done.get(place.provenance.id) if self.done else None

    def avoided_at(self, place: Place) -> Avoided | None:
        """What a worker died of at a place."""
        return self.avoid.get(place.provenance.id) if self.avoid else None


class Outlet(Protocol):
    """Where the crawler's findings go."""

    def enter(self, provenance: Provenance, deadline: float) -> None:
        """This item is the innermost one now; it must show life before `deadline` (monotonic)."""

    def leave(self) -> None:
        """Back in the container."""

    def tick(self, deadline: float) -> None:
        """Still alive; the new deadline of the innermost item."""

    def drawn(self) -> None:
        """Of the innermost item, only words drawn on it are still to be read."""

    def known(self, key: str) -> Known | None:
        """Whether this content needs no reading."""

    def text(self, key: str, number: int, texts: Sequence[Text]) -> None:
        """Chunk `number` of a reading's texts."""

    def item(self, found: Found) -> None:
        """One finished item."""

    def spill(self, place: Place, held: BinaryIO, size: int) -> bool:
        """Offers a member to an idle worker; True where it was taken, and is no longer ours."""
