"""The tree of a UDF volume: folders, files, their streams, what was deleted.

Folders are walked without recursion, each once, so that loops end. Names that were deleted come last: with their
file where its entry is still there and has not become another's, else as a name alone.

Source: ECMA-167 (3rd edition): 4/14.4 (names); OSTA UDF 2.60: 2.3.4.3 (which file a name means), 3.3.5 (named streams).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from indexer.errors import EvidenceError
from indexer.handlers._archive import FILE, FOLDER, MOST_TARGET, SYMLINK
from indexer.handlers._fs_parts import MOST_DEPTH, lost, reused
from indexer.handlers._udf import STREAMS, Node, Udf
from indexer.handlers._udf_values import Address, address_at, tag_of, target_of, u16, u32
from indexer.limits import MIB

_NAME = 257
_IS_HIDDEN, _IS_FOLDER, _IS_DELETED, _IS_PARENT = 1, 2, 4, 8
_MOST_FOLDER = 64 * MIB
_MOST_RECORDS, _MOST_GONE = 2_000_000, 200_000


class Name(NamedTuple):
    """What a folder says of one of its files; `number` is the file's, or 0."""

    folder: tuple[bytes, ...]
    raw: bytes
    flags: int
    place: Address
    number: int

    @property
    def path(self) -> tuple[bytes, ...]:
        """The raw names from the root down; made when asked for, since many wait."""
        return (*self.folder, self.raw)


class Tree:
    """The tree of a volume, to be walked once."""

    def __init__(self, udf: Udf) -> None:
        self._udf = udf
        self._left = _MOST_RECORDS
        self._living: set[int] = {udf.root.key}
        """Where the entries of files stand that are not deleted."""
        self._gone: list[Name] = []
        self._untold = 0

    def walk(self) -> Iterator[Node | EvidenceError]:
        """Every file and folder below the root, with its streams, and what could not be followed; the deleted last."""
        yield from self._below((), self._udf.root)
        while self._gone:
            names, self._gone = self._gone, []
            for name in names:
                node = self._deleted(name)
                yield node
                if node.kind == FOLDER and not node.lost and len(node.path) < MOST_DEPTH:
                    self._living.add(name.place.key)
                    with suppress(EvidenceError):  # what is deleted is seldom whole
                        for below in self._names(node.path, self._udf.entry(name.place)):
                            self._keep(below)
        if self._untold:
            yield EvidenceError("limit", f"UDF: {self._untold} more names were deleted")

    def _keep(self, name: Name) -> None:
        """Lets a deleted name wait for the end."""
        if len(self._gone) < _MOST_GONE:
            self._gone.append(name)
        else:
            self._untold += 1

    def _below(self, path: tuple[bytes, ...], address: Address) -> Iterator[Node | EvidenceError]:
        """What a folder and those below it hold."""
        folders: list[Name] = []
        while True:
            below = []
            try:
                for name in self._names(path, self._udf.entry(address)):
                    if name.flags & _IS_DELETED:
                        self._keep(name)
                        continue
                    is_new = name.place.key not in self._living
                    self._living.add(name.place.key)
                    try:
                        node = self._udf.entry(name.place)
                    except EvidenceError as error:
                        yield error
                        continue
                    node.path, node.hidden = name.path, bool(name.flags & _IS_HIDDEN)
                    yield from self._with_streams(node)
                    if node.kind == FOLDER and is_new:
                        below.append(name)
            except EvidenceError as error:
                yield error
            if below and len(path) >= MOST_DEPTH:
                yield EvidenceError("limit", f"UDF: folders lie more than {MOST_DEPTH} deep")
            else:
                folders += reversed(below)
            if not folders or self._left < 0:
                return
            name = folders.pop()
            path, address = name.path, name.place

    def _with_streams(self, node: Node) -> Iterator[Node | EvidenceError]:
        if node.kind == SYMLINK:
            node.link = target_of(self._udf.read(node, MOST_TARGET))
        yield node
        if node.streams is None:
            return
        try:
            for name in self._names((), self._udf.entry(node.streams)):
                if name.flags & _IS_DELETED:
                    continue
                stream = self._udf.entry(name.place)
                stream.path, stream.stream, stream.hidden = node.path, name.raw, node.hidden
                stream.streams = None
                yield stream
        except EvidenceError as error:
            yield error

    def _deleted(self, name: Name) -> Node:
        """What is left of a file that was deleted."""
        node, message = None, "its file entry is no longer there"
        with suppress(EvidenceError):
            node = self._udf.entry(name.place) if name.place.size else None
        if node and (name.place.key in self._living or (name.number and node.number and name.number != node.number)):
            node, message = None, "its file entry belongs to another name now"
        if node is None:
            kind = FOLDER if name.flags & _IS_FOLDER else FILE
            node = Node((), kind, 0, [], None, [], -1, (), lost=True, problems=lost(message, "name kept"))
        elif used := self._udf.used(node):
            held = sum(size for start, size in node.extents if start >= 0)
            node.lost = used >= held
            node.problems = lost("all its blocks are in use again") if node.lost else reused(used, held)
        if node.kind == SYMLINK and not node.lost:
            node.link = target_of(self._udf.read(node, MOST_TARGET))
        node.path, node.hidden, node.deleted = name.path, bool(name.flags & _IS_HIDDEN), True
        return node

    def _names(self, path: tuple[bytes, ...], folder: Node) -> Iterator[Name]:
        """What stands in a folder.

        Raises:
            EvidenceError: corrupt, truncated, after the last good entry; limit.
        """
        if folder.kind not in (FOLDER, STREAMS):
            raise EvidenceError("corrupt", "UDF: a folder is none")
        data, at = self._udf.read(folder, _MOST_FOLDER), 0
        while at + 38 <= len(data):
            if tag_of(data[at : at + 16]) != _NAME:
                raise EvidenceError("corrupt", f"UDF: no name at {at} of a folder")
            flags, length = data[at + 18], data[at + 19]
            begin = at + 38 + u16(data, at + 36)
            if not flags & _IS_PARENT and length:
                self._left -= 1
                if self._left < 0:
                    raise EvidenceError("limit", f"UDF: more than {_MOST_RECORDS} entries")
                raw = data[begin : begin + length]
                yield Name(path, raw, flags, address_at(data, at + 20), u32(data, at + 32))
            at = (begin + length + 3) & ~3
        if len(data) < folder.size:
            raise EvidenceError("truncated", f"UDF: {folder.size - len(data)} bytes of a folder are missing")
