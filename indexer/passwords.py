"""Passwords the analyst gave, offered to handlers within a budget, never stored in the case.

What worked is recorded by its line number only: the passwords file is evidence of its own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from indexer.model import Field


@dataclass(frozen=True, slots=True)
class Password:
    """One candidate; `origin` says where it stands, such as `line 3`."""

    text: str
    origin: str

    def field(self) -> Field:
        """The field that records that this candidate opened the item."""
        return Field("encryption.password", self.origin)


class Passwords:
    """The candidates for one item. Iterating stops when the budget is spent; `tried` counts."""

    def __init__(self, candidates: tuple[Password, ...] = (), tries: int = 1_000, seconds: float = 60.0) -> None:
        self._candidates = candidates
        self._tries = tries
        self._seconds = seconds
        self.tried = 0

    def __iter__(self) -> Iterator[Password]:
        started = time.monotonic()
        for candidate in self._candidates:
            if self.tried >= self._tries or time.monotonic() - started > self._seconds:
                return
            self.tried += 1
            yield candidate

    def __len__(self) -> int:
        return len(self._candidates)


def parse_passwords(text: str) -> tuple[Password, ...]:
    """One candidate a line, as it stands but for the line end; empty lines are skipped, not counted out."""
    lines = text.removeprefix("\ufeff").split("\n")
    return tuple(
        Password(line.rstrip("\r"), f"line {number}") for number, line in enumerate(lines, 1) if line.rstrip("\r")
    )
