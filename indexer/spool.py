"""Members on their way to a handler: read once, hashed as they are read, held under no name.

A member up to `limits.spool_memory` stays in memory; a larger one goes to a file that is unlinked
the moment it is made, so that nothing in the evidence ever chooses a path and a killed worker
leaves nothing behind.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable
from contextlib import closing
from typing import BinaryIO

from indexer.digests import Hasher
from indexer.errors import StoreError, reason_of
from indexer.limits import Limits
from indexer.model import Digests, Problem
from indexer.volumes import Joined

CHUNK = 1 << 20
FLOOR = 256 << 20
"""Bytes of free disk that spooling leaves alone, so that the case can still be closed in order."""

Fence = Callable[[Callable[[int], bytes], int], bytes | Problem]


class Spool:
    """Where members wait; one per worker.

    Args:
        folder: where large members go; the system's temporary folder where None.
    """

    def __init__(self, limits: Limits, folder: str | None = None) -> None:
        self.limits = limits
        self.folder = folder or tempfile.gettempdir()

    def take(self, source: BinaryIO, fence: Fence, tick: Callable[[], None]) -> tuple[BinaryIO, Digests, list[Problem]]:
        """Everything `source` gives, in a seekable file, with its digests and what went wrong.

        Closes `source`; volumes joined to one are read where they lie, and given back as they are.

        Args:
            fence: calls a read of evidence and turns whatever it raises into a Problem.
            tick: called after every chunk, so that the watchdog sees progress.
        """
        if isinstance(source, Joined):
            over = source.cut(self.limits.item_bytes)
            digests, problems = self.hash(source, fence, tick)
            source.seek(0)
            return source, digests, [*problems, *([self._cut()] if over else [])]
        with closing(source):
            return self._copy(source, fence, tick)

    def _copy(
        self, source: BinaryIO, fence: Fence, tick: Callable[[], None]
    ) -> tuple[BinaryIO, Digests, list[Problem]]:
        hasher = Hasher()
        held: BinaryIO = io.BytesIO()
        in_memory = True
        problems: list[Problem] = []
        while True:
            chunk = fence(source.read, CHUNK)
            if isinstance(chunk, Problem):
                problems.append(chunk)
                break
            if not chunk:
                break
            if hasher.size + len(chunk) > self.limits.item_bytes:
                chunk = chunk[: self.limits.item_bytes - hasher.size]
                problems.append(self._cut())
            hasher.update(chunk)
            if in_memory and hasher.size > self.limits.spool_memory:
                held, in_memory = self._to_disk(held), False
            try:
                held.write(chunk)
            except OSError as error:
                raise StoreError(f"{self.folder}: the spool cannot be written: {reason_of(error)}") from error
            tick()
            if problems:
                break
        held.seek(0)
        return held, hasher.digests(), problems

    def _cut(self) -> Problem:
        return Problem("limit", f"item_bytes: more than {self.limits.item_bytes} bytes", resolution="cut there")

    def hash(self, file: BinaryIO, fence: Fence, tick: Callable[[], None]) -> tuple[Digests, list[Problem]]:
        """The digests of a file that can be read where it lies."""
        hasher = Hasher()
        while chunk := fence(file.read, CHUNK):
            if isinstance(chunk, Problem):
                return hasher.digests(), [chunk]
            hasher.update(chunk)
            tick()
        return hasher.digests(), []

    def _to_disk(self, held: BinaryIO) -> BinaryIO:
        try:
            free = os.statvfs(self.folder)
            if free.f_bavail * free.f_frsize < FLOOR:
                raise StoreError(f"{self.folder}: less than {FLOOR >> 20} MiB free; the spool needs room")
            file = tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115 - handed to the caller, who closes it
            file.write(held.getbuffer() if isinstance(held, io.BytesIO) else held.read())
        except OSError as error:
            raise StoreError(f"{self.folder}: the spool cannot be written: {reason_of(error)}") from error
        return file
