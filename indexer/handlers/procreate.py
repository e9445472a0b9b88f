"""Procreate drawings: layers and groups, size, names, time lapse; all members of the zip file.

Source: none published; Document.archive as Procreate 4 and 5 writes it (a keyed archive of Apple).
Limits: no pixel is decoded; tiles of layers stay in their members.
"""

from __future__ import annotations

import plistlib
import re
from collections.abc import Iterator
from typing import Any, ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _layertree, _picture
from indexer.handlers._layertree import Leaf
from indexer.handlers._parts import Parts, read_directory
from indexer.handlers._picture import FIELD_CHARS
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem

ARCHIVE: Final = "Document.archive"
ARCHIVE_BYTES: Final = 64 * MIB
LAYERS: Final = 20_000
_SIZE: Final = re.compile(r"\{\s*(\d{1,7})(?:\.\d*)?\s*,\s*(\d{1,7})")
_ERRORS: Final = (
    plistlib.InvalidFileException,
    ValueError,
    KeyError,
    IndexError,
    OverflowError,
    RecursionError,
    TypeError,
)


class Procreate(Handler):
    name = "procreate"
    media_types = ("application/x-procreate",)
    signatures = (Signature(b"PK\3\4"),)
    suffixes = (".procreate",)
    fields: ClassVar[dict[str, str]] = {
        **_picture.FIELDS,
        **_layertree.declared("procreate"),
        "procreate.name": "name of the drawing",
        "procreate.author": "who signed it",
        "procreate.strokes": "strokes that were made",
        "procreate.frame_rate": "frames a second of its animation",
        "procreate.time_lapse": "whether the drawing was recorded",
    }
    reads = "layers and groups, size, name, author, thumbnail, time lapse, all members"
    rank = 30
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if ARCHIVE.encode() in read_directory(stream) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        parts = Parts(stream)
        data = parts.read(ARCHIVE, ARCHIVE_BYTES)
        try:
            archive = _Archive(plistlib.loads(data))
        except _ERRORS as error:
            yield Problem("corrupt", f"{ARCHIVE}: {type(error).__name__}: {error}"[:200])
        else:
            yield from _document(archive)
        yield from parts.members()
        yield from parts.problems


class _Archive:
    """A keyed archive: a list of objects that name one another by number."""

    def __init__(self, plist: Any) -> None:
        objects = plist.get("$objects") if isinstance(plist, dict) else None
        if not isinstance(objects, list):
            raise EvidenceError("corrupt", f"{ARCHIVE}: no list of objects")
        self._objects = objects
        top = plist.get("$top")
        self.root = self.get(top.get("root") if isinstance(top, dict) else None)

    def get(self, value: Any) -> Any:
        """What a number stands for; anything else is itself."""
        if isinstance(value, plistlib.UID):
            return self._objects[value.data] if value.data < len(self._objects) else None
        return value

    def of(self, held: Any, *names: str) -> Any:
        """The first of these that an object has."""
        if not isinstance(held, dict):
            return None
        return next((self.get(held[name]) for name in names if name in held), None)

    def text(self, held: Any, *names: str) -> str:
        """The same as text; `$null` stands for none."""
        value = self.of(held, *names)
        return value if isinstance(value, str) and value != "$null" else ""

    def items(self, held: Any) -> list[Any]:
        """The objects in a list."""
        listed = held.get("NS.objects") if isinstance(held, dict) else held
        return listed if isinstance(listed, list) else []


def _document(archive: _Archive) -> Iterator[Fact]:
    root = archive.root
    if size := _SIZE.match(archive.text(root, "size")):
        # Sizes stand as the screen has them: across is the shorter side of a sheet held upright.
        yield from _picture.shape(int(size[1]), int(size[2]))
    yield from _picture.said("procreate.name", archive.text(root, "name"), "name")
    yield from _picture.said("procreate.author", archive.text(root, "authorName"), "author")
    if isinstance(strokes := archive.of(root, "strokeCount"), int):
        yield Field("procreate.strokes", strokes)
    if isinstance(density := archive.of(root, "SilicaDocumentArchiveDPIKey"), int | float) and density > 0:
        yield Field("picture.dpi", round(float(density), 2))
    if isinstance(rate := archive.of(archive.of(root, "animation"), "frameRate"), int):
        yield Field("procreate.frame_rate", rate)
    if isinstance(recorded := archive.of(root, "videoEnabled"), bool):
        yield Field("procreate.time_lapse", recorded)
    if profile := archive.text(archive.of(root, "colorProfile"), "SiColorProfileArchiveICCNameKey"):
        yield Field("picture.icc", profile[:FIELD_CHARS])
    yield from _layertree.tree_facts("procreate", _leaves(archive))


def _leaves(archive: _Archive) -> Iterator[Leaf]:
    """Layers and groups from the topmost down; each object once, so that a loop ends."""
    seen: set[int] = set()
    listed = archive.items(archive.of(archive.root, "layers", "unwrappedLayers"))
    waiting: list[tuple[Any, tuple[str, ...]]] = [(each, ()) for each in reversed(listed)]
    while waiting:
        value, groups = waiting.pop()
        held = archive.get(value)
        if not isinstance(held, dict) or id(held) in seen or len(seen) >= LAYERS:
            continue
        seen.add(id(held))
        name = archive.text(held, "name")
        inner = archive.items(archive.of(held, "children"))
        opacity = archive.of(held, "opacity")
        part = isinstance(opacity, int | float) and 0 <= opacity < 1
        marks = ("group" * bool(inner), f"opacity {round(opacity * 100)} %" if part else "")
        hidden, locked = archive.of(held, "hidden"), archive.of(held, "locked")
        yield Leaf(name, groups, marks, hidden is True, locked is True, archive.text(held, "text"))
        waiting += [(each, (*groups, name)[-_layertree.GROUPS :]) for each in reversed(inner)]
