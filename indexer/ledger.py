"""What a run needs of a store: items, the texts that were read, and a journal of what is under way.

`indexer.ingest` calls it, `search.case` fulfils it, and so does `search.verify`, which only compares.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from indexer.model import Found, Known, Provenance, Spent


class Ledger(Protocol):
    """What a run needs of a store. Every call may raise StoreError, which ends the run."""

    def reading_keys(self) -> Iterable[str]:
        """The keys of all readings that are kept."""

    def known(self, key: str) -> Known | None:
        """The cost of a reading that is kept whole, with everything below it."""

    def keep_texts(self, key: str, number: int, body: bytes) -> None:
        """Keeps one packed chunk of a reading's texts."""

    def keep(self, found: Found) -> Known | None:
        """Keeps an item, and where it is known, copies the members; returns what that cost.

        None where the reading that it relies on was dropped since `known` was asked.
        """

    def root_state(self, root: str) -> str:
        """`open`, `done`, or nothing, for the id of a file in a source."""

    def open_root(self, root: str, source: str) -> None:
        """From here until `close_root`, the root is not whole."""

    def close_root(self, root: str) -> None:
        """Everything below the root is kept."""

    def pend(self, place: Provenance) -> None:
        """A member is in the spool, or dropped and read again; it and its containers are not whole."""

    def unpend(self, place: Provenance) -> None:
        """The member is read."""

    def spent(self, root: str, *, resumed: bool) -> dict[str, Spent]:
        """What is kept below a root; with `resumed`, without the containers of pending members."""

    def forget(self, root: str) -> None:
        """Drops everything below a root, and the root itself."""

    def commit(self) -> None:
        """Makes everything so far durable."""
