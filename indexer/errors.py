"""The exception tree, with the exit code that `cli/main.py` gives each.

    ArchivoreError
    ├── EvidenceError          -    trouble in the evidence: becomes a Problem on its item, never leaves the crawler
    ├── UsageError             2    the analyst can mend it: a path, a query, an option
    │   └── QueryError         2    with the column at which the query stopped making sense
    ├── StoreError             3    our own store: disk full, damaged, not ours
    │   └── LockedError        3    another process holds the case
    └── Interrupted            130  Ctrl-C (SIGTERM: 143); the same command resumes

Trouble in the input and trouble in the store are told apart by class, so that one bad member can
never end a run, and a full disk can never be mistaken for a bad member.
"""

from __future__ import annotations

from typing import ClassVar

from indexer.model import Cause, Problem


class ArchivoreError(Exception):
    """Everything that Archivore raises on purpose."""

    exit_code: ClassVar[int] = 3


class EvidenceError(ArchivoreError):
    """Trouble in the evidence, raised by a handler or by a member's stream.

    Args:
        cause: one of the closed list in the model.
        message: one line for the analyst; what was expected and what stood there.
    """

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(message)
        self.cause: Cause = cause
        self.message = message

    def problem(self, handler: str, resolution: str = "") -> Problem:
        """The same trouble as a value to keep on the item."""
        return Problem(self.cause, self.message, handler, resolution)


class UsageError(ArchivoreError):
    """The analyst's mistake, in one line that says how to mend it."""

    exit_code = 2


class QueryError(UsageError):
    """A query that cannot be understood; `column` counts characters from 0."""

    def __init__(self, message: str, query: str, column: int) -> None:
        super().__init__(message)
        self.query = query
        self.column = column


class StoreError(ArchivoreError):
    """Our own store failed; the message names the file. What was committed is safe."""


class LockedError(StoreError):
    """Another process writes to this case; the message names it."""


class Interrupted(ArchivoreError):  # noqa: N818 - it is no error
    """The run was asked to stop and did so cleanly; `exit_code` tells by which signal."""

    exit_code = 130

    def __init__(self, message: str, signal_number: int = 2) -> None:
        super().__init__(message)
        self.signal_number = signal_number
