"""What a run tells the outside while it goes on: plain values that are drawn or printed as JSON."""

from __future__ import annotations

from msgspec import Struct

from indexer.model import Problem


class Progress(Struct, frozen=True):
    """How far a run is; sent a few times a second."""

    items: int
    bytes: int
    problems: int
    roots_done: int
    roots_found: int
    seconds: float
    bytes_read: int
    bytes_found: int
    listed: bool
    working_on: tuple[str, ...]


class Died(Struct, frozen=True):
    """A worker was lost on an item; it is read again with more care."""

    path: str
    problem: Problem


Event = Progress | Died
