"""Which addresses of Btrfs are in use, and where on the device nothing is.

Source: Btrfs documentation, "On-disk Format" (EXTENT_ITEM, METADATA_ITEM, CHUNK_ITEM).
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator

from indexer.errors import EvidenceError
from indexer.handlers._fs_btrfs_trees import LAST, SUPER_SIZE, SUPERS, Pointer, Trees
from indexer.handlers._fs_parts import Run

_EXTENT_ITEM, _METADATA_ITEM = 168, 169
_MOST = 1 << 22


class Space:
    """The stretches in use, read once where they are asked for.

    Attributes:
        tree: the root of the tree of extents, where there is one.
        is_known: whether all of it could be read.
    """

    def __init__(self, trees: Trees) -> None:
        self._trees = trees
        self.tree: Pointer | None = None
        self.is_known = False
        self._starts: array[int] | None = None
        self._ends: array[int] = array("Q")

    def _read(self) -> array[int]:
        if self._starts is not None:
            return self._starts
        starts, ends = array("Q"), self._ends
        self._starts = starts
        before = self._trees.misses
        for (place, kind, size), _ in self._trees.items(self.tree) if self.tree else ():
            if kind not in (_EXTENT_ITEM, _METADATA_ITEM):
                continue
            end = min(place + (size if kind == _EXTENT_ITEM else self._trees.node), LAST)
            if ends and place <= ends[-1]:
                ends[-1] = max(ends[-1], end)
            else:
                starts.append(place)
                ends.append(end)
            if len(starts) > _MOST:
                break
        self.is_known = self.tree is not None and self._trees.misses == before and len(starts) <= _MOST
        return starts

    def used(self, extents: Iterable[tuple[int, int]]) -> tuple[int, int]:
        """How many bytes extents have, and how many of them are in use."""
        starts = self._read()
        whole = used = 0
        for place, size in extents:
            whole += size
            index = max(bisect_right(starts, place) - 1, 0)
            while index < len(starts) and starts[index] < place + size:
                used += max(0, min(self._ends[index], place + size) - max(starts[index], place))
                index += 1
        return whole, used

    def free(self) -> Iterator[Run]:
        """What no extent owns in the chunks of this device, then what belongs to no chunk.

        Raises:
            EvidenceError: behind the latter, where the tree of extents does not tell of the chunks.
        """
        starts = self._read()
        taken = [(place, SUPER_SIZE) for place in SUPERS]
        for chunk in self._trees.chunks():
            taken += [(place, chunk.share) for place in chunk.places]
            at, end = chunk.start, chunk.start + chunk.size
            if not self.is_known or not chunk.is_whole:
                continue
            index = max(bisect_right(starts, at) - 1, 0)
            while at < end:
                until = min(starts[index], end) if index < len(starts) else end
                if until > at:
                    yield Run(chunk.places[0] + at - chunk.start, until - at)
                at = max(at, self._ends[index]) if index < len(starts) else end
                index += 1
        at = 0
        for place, size in sorted(taken):
            if place > at:
                yield Run(at, place - at)
            at = max(at, place + size)
        if at < self._trees.volume.size:
            yield Run(at, self._trees.volume.size - at)
        if not self.is_known:
            raise EvidenceError("corrupt", "what is in use is not known: the tree of extents is damaged")
