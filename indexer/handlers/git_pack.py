"""Packs of git: commits and tags with people and times as text, blobs as members by the paths of their trees.

Source: git's Documentation: gitformat-pack (pack, versions 2 and 3).
Limits: the index beside a pack is not needed and not asked; repositories by SHA-256 are named. A delta that
stands on an object of another pack (a thin pack) is told. Objects over 64 MiB are read where they are no deltas.
A blob is named by the first path that a tree of the same pack gives it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _git
from indexer.handlers._git import entries_of, tell_message
from indexer.handlers._git_pack import KIND_OF, Pack, Packed
from indexer.handlers._streams import open_chunks
from indexer.model import Cause, Child, Fact, Field, Problem, Timestamp
from indexer.names import decode_names

_PATHS: Final = 2_000_000
_TOLD: Final = 20_000
"""Commits and tags whose times are kept; all of them are text."""
_STEPS: Final = 200
_ONCE: Final = ("git.parent", "git.tree")
"""What one commit alone says: its text has it."""


class GitPack(Handler):
    name = "git-pack"
    media_types = ("application/x-git-pack",)
    signatures = (Signature(b"PACK\0\0\0\2"), Signature(b"PACK\0\0\0\3"))
    suffixes = (".pack",)
    fields: ClassVar[dict[str, str]] = {
        **_git.FIELDS,
        "git.objects": "objects in the pack",
        "git.commits": "commits in the pack",
        "git.path": "path of a blob in a tree",
    }
    reads = "commits and tags: people, times with zones, messages; files of every version, deltas applied"
    rank = 40
    container = True

    def read(self, stream: Stream) -> Iterator[Fact]:
        pack = Pack(stream)
        yield Field("git.objects", pack.declared)
        reading = _Reading(pack)
        yield from reading.messages()
        yield from reading.blobs()
        yield from reading.troubles()
        if pack.fault:
            yield pack.fault.problem("", "read up to there")
        else:
            yield from _checksum(stream, pack.end)


class _Reading:
    def __init__(self, pack: Pack) -> None:
        self._pack = pack
        self._above: dict[str, tuple[bytes, str]] = {}
        """By the name of an object: what the first tree that has it calls it, and that tree's name."""
        self._blobs: list[int] = []
        self._left: list[int] = list(pack.objects)
        self._problems: dict[str, Cause] = {}

    def messages(self) -> Iterator[Fact]:
        """Commits and tags; trees are remembered for the names of blobs."""
        told: set[Field] = set()
        commits, named = 0, False
        while True:
            left: list[int] = []
            for at in self._left:
                found = self._pack.objects[at]
                kind = self._pack.kind_of(found)
                if not kind:
                    left.append(at)
                    continue
                if kind == "blob":
                    self._blobs.append(at)
                    continue
                try:
                    ident, data = self._pack.name(found)
                    data = self._pack.content(found) if data is None else data
                except EvidenceError as error:
                    self._note(error)
                    continue
                if kind == "tree":
                    self._remember(ident, data)
                    continue
                commits += kind == "commit"
                for fact in tell_message(kind, ident, data):
                    if isinstance(fact, Field):
                        if fact.name in _ONCE or fact in told or len(told) >= _TOLD:
                            continue
                        told.add(fact)
                    if not isinstance(fact, Timestamp) or commits <= _TOLD:
                        yield fact
            if len(left) == len(self._left):
                if named or not left:
                    break
                named = True  # what is left may stand on blobs that no one has asked the names of yet
                for at in self._blobs:
                    self._note_name(self._pack.objects[at])
            self._left = left
        self._blobs.sort()
        yield Field("git.commits", commits)

    def _note_name(self, found: Packed) -> None:
        try:
            self._pack.name(found)
        except EvidenceError as error:
            self._note(error)

    def _remember(self, tree: str, data: bytes) -> None:
        for each in entries_of(data):
            if each.mode != "160000" and len(self._above) < _PATHS:
                self._above.setdefault(each.ident, (each.name, tree))

    def blobs(self) -> Iterator[Fact]:
        """Every blob as a member."""
        for at in self._blobs:
            found = self._pack.objects[at]
            try:
                ident, data = self._pack.name(found)
            except EvidenceError as error:
                self._note(error)
                continue
            path = self._path(ident)
            name = decode_names((path,)).names[0] if path else f"blob {ident}"
            chunks = self._pack.pieces(found) if found.kind in KIND_OF else iter((data or b"",))
            fields = (Field("git.id", ident), *((Field("git.path", name),) if path else ()))
            yield Child(name, path or name.encode(), partial(open_chunks, chunks), fields=fields)

    def _path(self, ident: str) -> bytes:
        steps: list[bytes] = []
        while ident in self._above and len(steps) < _STEPS:
            name, ident = self._above[ident]
            steps.append(name)
        return b"/".join(reversed(steps))

    def _note(self, error: EvidenceError) -> None:
        if len(self._problems) < 100:
            self._problems.setdefault(error.message, error.cause)

    def troubles(self) -> Iterator[Problem]:
        """What kept objects from being read."""
        for message in self._problems:
            yield Problem(self._problems[message], message, resolution="the others are read")
        if self._left:
            message = f"{len(self._left)} objects are deltas of objects that are not in this pack"
            yield Problem("unsupported", message, resolution="not read")


def _checksum(stream: Stream, end: int) -> Iterator[Fact]:
    digest = hashlib.sha1(usedforsecurity=False)
    at = 0
    while at < end and (piece := stream.at(at, min(1 << 20, end - at))):
        digest.update(piece)
        at += len(piece)
    recorded = stream.at(end, 20)
    if recorded != digest.digest():
        if len(recorded) < 20:
            yield Problem("truncated", "the pack's checksum is missing", resolution="all objects read")
        else:
            yield Problem("corrupt", "the pack's checksum does not fit", resolution="all objects read")
