"""Members that may be volumes of a set: found by name and bytes, kept until their container has ended.

A member streams by while its container is walked once, and the next volume comes after it. So those
that may belong to a set are put on a shelf, and visited when all of them are there.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO, cast

from msgspec import Struct

from indexer.errors import EvidenceError, StoreError, reason_of
from indexer.handler import Handler, Stream
from indexer.model import Digests, Problem
from indexer.names import last_part
from indexer.places import Avoided, Place
from indexer.spool import CHUNK, Spool
from indexer.volumes import Names, Siblings, Span, join_patterns

_NO_ROOM = (-1, -1)


class VolumeNames:
    """Which members must wait for their siblings, by what handlers declare.

    Args:
        fence: calls what handlers write and turns whatever it raises into a Problem.
    """

    def __init__(self, handlers: Sequence[Handler], spool: Spool, fence: Callable[..., Any]) -> None:
        self._spool = spool
        self._fence = fence
        self._any = join_patterns(each for handler in handlers for each in handler.volume_names)
        self._each = [(handler, found) for handler in handlers if (found := join_patterns(handler.volume_names))]

    def match(self, name: str) -> bool:
        """Whether a member is called as volumes are."""
        return bool(self._any and self._any.fullmatch(last_part(name)))

    def hold(self, name: str, held: BinaryIO) -> bool:
        """Whether a member must wait: by its name, then by its bytes, which are at their start afterwards."""
        if not self.match(name):
            return False
        bare = last_part(name)
        stream = Stream(held, name=bare, limits=self._spool.limits, scratch=self._spool.folder)
        waits = any(
            pattern.fullmatch(bare) and self._fence(handler.is_volume, stream) is True
            for handler, pattern in self._each
        )
        held.seek(0)
        return waits


class Waiting(Struct):
    """The members of one container that wait for its last one, in its order; `locked` if one stayed closed."""

    shelf: Shelf
    members: list[tuple[Place, BinaryIO, Digests, list[Problem], Avoided | None]] = []
    locked: bool = False


class Shelf:
    """Members of one container that may be volumes of sets, kept until its last member is here.

    They lie one behind the other in one unlinked file, so that a thousand of them cost one
    descriptor. What finds no room is not kept: asking for it says so.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._file: BinaryIO | None = None
        self._folders: dict[str, Names[tuple[int, int]]] = {}
        self._end = 0

    def keep(self, name: str, held: BinaryIO) -> BinaryIO | None:
        """A copy of a member's bytes that lasts as long as the shelf; None where there is no room.

        Leaves `held` at its start.
        """
        size = held.seek(0, 2)
        held.seek(0)
        folder, bare = _split(name)
        names = self._folders.setdefault(folder, Names())
        if self._end + size > self._spool.limits.spool_bytes:
            names.add(bare, _NO_ROOM)
            return None
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._spool.folder)  # noqa: SIM115 - closed in `close`
            while chunk := held.read(CHUNK):
                self._file.write(chunk)
            self._file.flush()
            held.seek(0)
        except OSError as error:
            raise StoreError(f"{self._spool.folder}: the spool cannot be written: {reason_of(error)}") from error
        names.add(bare, (self._end, size))
        self._end += size
        return cast(BinaryIO, Span(self._file.fileno(), self._end - size, size))

    def beside(self, name: str) -> Siblings:
        """Opens kept members of the folder that the member `name` lies in."""
        names = self._folders.get(_split(name)[0], Names())

        def open_sibling(wanted: str) -> BinaryIO | None:
            span = names.find(wanted)
            if span == _NO_ROOM:
                limit = self._spool.limits.spool_bytes
                raise EvidenceError("limit", f"spool_bytes: no room for {wanted} within {limit} bytes of volumes")
            if span is None or self._file is None:
                return None
            return cast(BinaryIO, Span(self._file.fileno(), *span))

        return open_sibling

    def close(self) -> None:
        """Drops everything."""
        if self._file:
            self._file.close()


def _split(name: str) -> tuple[str, str]:
    bare = last_part(name)
    return name[: len(name.rstrip("/\\")) - len(bare)], bare
