"""Images that tell only what changed: the file they grew from, looked for in the same folder.

A parent may have a parent of its own, in another format; the chain is followed to a bounded length, so
that a ring of files that name one another ends.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._image import FileImage, Image, MissingImage, open_sibling

MOST_PARENTS = 32
ParentOf = Callable[[str, int], Image]
"""From the name of a parent, and the size to assume where it is missing, to its disk."""


def parents_of(stream: Stream, depth: int = 0) -> ParentOf:
    """A function that opens a parent beside `stream`; one that is not there reads as an error."""
    return partial(_open_parent, stream, depth)


def _open_parent(stream: Stream, depth: int, name: str, size: int) -> Image:
    found = open_sibling(stream, name) if depth < MOST_PARENTS else None
    if found is None:
        return MissingImage(size, f"what did not change lies in its parent {name!r}, which is not beside it")
    try:
        return _open(found, depth + 1)
    except EvidenceError as error:
        return MissingImage(size, f"its parent {name!r} cannot be read: {error.message}")


def _open(stream: Stream, depth: int) -> Image:
    """The disk of an image in whatever format it is; any other file is a disk byte by byte."""
    from indexer.handlers import _qcow, _vdi, _vhd, _vhdx, _vmdk

    for module in (_qcow, _vhdx, _vmdk, _vdi, _vhd):
        if module.is_image(stream):
            image: Image = module.open_image(stream, parents_of(stream, depth))
            return image
    return FileImage(stream)
