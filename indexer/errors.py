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

import errno
import os
from typing import ClassVar

from indexer.model import Cause, Problem

_ON_DISK = {
    errno.ENOSPC: "the disk is full: make room",
    errno.EDQUOT: "this account may store no more on this disk: make room",
    errno.EFBIG: "a file may not grow any larger here: the file system or `ulimit -f` forbids it",
    errno.EROFS: "this disk is read-only",
    errno.EIO: "the disk fails to read or write it",
    errno.ENODEV: "the disk is gone",
    errno.EMFILE: "this process has too many files open: see `ulimit -n`",
    errno.ENFILE: "this machine has too many files open",
    errno.ENOMEM: "the memory is full",
}
_IN_WORDS = {
    **_ON_DISK,
    errno.ENOENT: "there is no such file or folder",
    errno.ENOTDIR: "a part of this path is a file, not a folder",
    errno.EISDIR: "this is a folder, not a file",
    errno.EEXIST: "this exists already",
    errno.ENOTEMPTY: "this folder is not empty",
    errno.EACCES: "this account has no right to it",
    errno.EPERM: "this account has no right to it",
    errno.ENAMETOOLONG: "this name is too long",
    errno.ELOOP: "these links lead in a circle",
    errno.EBUSY: "another process keeps it busy",
    errno.ETXTBSY: "another process keeps it busy",
    errno.EXDEV: "this is on another disk",
    errno.EINVAL: "the file system does not take this name, or cannot do this",
    errno.ESTALE: "the folder was replaced or removed meanwhile",
}
"""What the system refused, by its number: messages of its own are in its language, and name no way out."""
_DAMAGED = "it is damaged: put back a copy of it (features, alike and clusters may be removed: they are made again)"
_OF_SQLITE = {
    "SQLITE_FULL": "the disk is full: make room",
    "SQLITE_READONLY": "it is read-only here",
    "SQLITE_PERM": "this account has no right to it",
    "SQLITE_CANTOPEN": "it is not there, or this account has no right to it",
    "SQLITE_BUSY": "another process keeps it busy: try again when that has ended",
    "SQLITE_LOCKED": "another process keeps it busy: try again when that has ended",
    "SQLITE_IOERR": "the disk fails to read or write it, or is full",
    "SQLITE_NOTADB": _DAMAGED,
    "SQLITE_CORRUPT": _DAMAGED,
}


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


def reason_of(error: Exception) -> str:
    """Why something was refused, in our words and without its path: of the system, of SQLite, or of a decoder."""
    if isinstance(error, OSError):
        words = _IN_WORDS.get(error.errno or 0)
        return words or (error.strerror or str(error) or type(error).__name__).lower()
    if isinstance(error, UnicodeError):
        return "this is no text in UTF-8"
    name = getattr(error, "sqlite_errorname", "")
    return next((words for start, words in _OF_SQLITE.items() if name.startswith(start)), str(error))


def refused(path: str | os.PathLike[str], error: OSError, advice: str) -> ArchivoreError:
    """What to raise where a path of the analyst's choice was refused.

    Returns:
        A mistake that another path mends, with advice; a failure of the store where the disk is what fails.
    """
    if error.errno in _ON_DISK and error.errno != errno.EROFS:
        return StoreError(f"{os.fspath(path)}: {reason_of(error)}")
    return UsageError(f"{os.fspath(path)}: {reason_of(error)}; {advice}")
