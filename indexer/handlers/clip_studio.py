"""Clip Studio Paint documents: layer tree, text layers, canvas preview, the database inside.

A file is a run of chunks; one of them is an SQLite database, which is also given as a member.

Source: none published; chunks and tables as Clip Studio Paint 1.x to 4.x writes them.
Limits: no pixel is decoded; fonts and styles of text layers are not read; brushes and vectors stay in
the external chunks, which are not given as members.
"""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Iterator
from functools import partial
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _layertree, _picture
from indexer.handlers._layertree import Leaf
from indexer.handlers._picture import FIELD_CHARS, Window, read_text
from indexer.handlers._tables import Row, open_tables, read_rows
from indexer.model import Child, Fact, Field, Problem

CHUNKS: Final = 5_000_000
LAYERS: Final = 100_000
_BLENDS: Final = {
    1: "darken", 2: "multiply", 3: "colour burn", 4: "linear burn", 5: "subtract", 6: "darker colour", 7: "lighten",
    8: "screen", 9: "colour dodge", 10: "glow dodge", 11: "add", 12: "add (glow)", 13: "lighter colour",
    14: "overlay", 15: "soft light", 16: "hard light", 21: "difference",
}  # fmt: skip


class ClipStudio(Handler):
    name = "clip-studio"
    media_types = ("application/x-clip-studio",)
    signatures = (Signature(b"CSFCHUNK"),)
    suffixes = (".clip", ".lip", ".cmc")
    fields: ClassVar[dict[str, str]] = {
        **_picture.FIELDS,
        **_layertree.declared("clip"),
        "clip.project": "name of the project",
        "clip.external": "blocks of pixels and vectors kept beside the database",
        "clip.timeline": "name of a timeline or an animation cel track",
        "refers_to": "path or name of another file that this one uses",
    }
    reads = "layer tree, text layers, timelines, preview, the database inside"
    container = True

    def read(self, stream: Stream) -> Iterator[Fact]:
        database, problem = None, None
        external, position = 0, int.from_bytes(stream.at(16, 8), "big") or 24
        for _ in range(CHUNKS):
            head = stream.at(position, 16)
            kind, length = head[:8], int.from_bytes(head[8:16], "big")
            if len(head) < 16 or kind[:4] != b"CHNK":
                problem = Problem("truncated" if len(head) < 16 else "corrupt", f"no chunk at {position}")
                break
            if position + 16 + length > stream.size:
                problem = Problem("truncated", f"a chunk at {position} ends at {position + 16 + length}")
            if kind == b"CHNKSQLi":
                database = (position + 16, min(length, stream.size - position - 16))
            external += kind == b"CHNKExta"
            position += 16 + length
            if kind == b"CHNKFoot" or problem:
                break
        yield Field("clip.external", external)
        if database:
            try:
                yield from _tables(stream, *database)
            except EvidenceError as error:
                yield error.problem("")
            yield _picture.member(stream, "database.sqlite", *database, "database")
        else:
            yield Problem("corrupt", "no database: the layers are not known")
        if problem:
            yield problem
        else:
            yield from _picture.leftover(stream, position)


def _tables(stream: Stream, start: int, length: int) -> Iterator[Fact]:
    """What the database says.

    Raises:
        EvidenceError: where it cannot be opened.
    """
    opening = io.BufferedReader(Window(stream, start, length))
    with open_tables(opening, stream.scratch, length) as tables:
        canvas = next(iter(_rows(tables, "Canvas")), {})
        width, height = canvas.get("CanvasWidth"), canvas.get("CanvasHeight")
        if isinstance(width, int | float) and isinstance(height, int | float):
            yield from _picture.shape(round(width), round(height))
        if isinstance(dots := canvas.get("CanvasResolution"), int | float):
            yield Field("picture.dpi", dots)
        for project in _rows(tables, "Project"):
            if name := _name(project.get("ProjectName")):
                yield Field("clip.project", name)
        layers = {row["MainId"]: row for row in _rows(tables, "Layer") if isinstance(row.get("MainId"), int)}
        yield from _layertree.tree_facts("clip", _leaves(layers, canvas.get("CanvasRootFolder")))
        yield from _paths([*layers.values(), *_rows(tables, "Project")])
        for table, column in (("TimeLine", "TimeLineName"), ("AnimationCutBank", "Name"), ("Track", "TrackName")):
            for row in _rows(tables, table):
                if name := _name(row.get(column)):
                    yield Field("clip.timeline", name)
        for number, row in enumerate(_rows(tables, "CanvasPreview"), 1):
            data = row.get("ImageData")
            if isinstance(data, bytes) and data:
                yield _preview(data, number)


def _rows(tables: sqlite3.Connection, name: str) -> list[Row]:
    return list(read_rows(tables, name, LAYERS))


def _preview(data: bytes, number: int) -> Child:
    suffix = ".png" if data[:4] == b"\x89PNG" else ".jpg" if data[:2] == b"\xff\xd8" else ".bin"
    name = f"preview-{number}{suffix}"
    return Child(name, name.encode(), partial(io.BytesIO, data), fields=(Field("file.kind", "preview"),))


def _name(value: object) -> str:
    return read_text(value)[:FIELD_CHARS] if isinstance(value, bytes) else ""


def _leaves(layers: dict[object, Row], root: object) -> Iterator[Leaf]:
    """The layers from the topmost down; those that hang on nothing come last."""
    seen: set[object] = {root}
    waiting: list[tuple[object, tuple[str, ...]]] = [(each, ()) for each in _children(layers, root, seen)]
    while waiting:
        number, groups = waiting.pop()
        row = layers[number]
        leaf = _leaf(row, groups)
        yield leaf
        waiting += [(each, (*groups, leaf.name)[-_layertree.GROUPS :]) for each in _children(layers, number, seen)]
    yield from (_leaf(layers[number], ()) for number in layers if number not in seen)


def _children(layers: dict[object, Row], parent: object, seen: set[object]) -> list[object]:
    """The layers in a folder, the lowest first; none twice."""
    found = []
    number = layers.get(parent, {}).get("LayerFirstChildIndex")
    while number in layers and number not in seen:
        seen.add(number)
        found.append(number)
        number = layers[number].get("LayerNextIndex")
    return found


def _leaf(row: Row, groups: tuple[str, ...]) -> Leaf:
    opacity, blend = row.get("LayerOpacity"), row.get("LayerComposite")
    texts = _texts(row)
    marks = (
        "group" if row.get("LayerFolder") else "text" if texts else "",
        _BLENDS.get(blend, "") if isinstance(blend, int) else "",
        f"opacity {round(opacity / 2.56)} %" if isinstance(opacity, int) and opacity != 256 else "",
        "clipped" if row.get("LayerClip") else "",
        "draft" if row.get("DraftLayer") else "",
    )
    seen = row.get("LayerVisibility")
    hidden = isinstance(seen, int) and not seen & 1
    return Leaf(_name(row.get("LayerName")), groups, marks, hidden, bool(row.get("LayerLock")), "\n".join(texts))


def _texts(row: Row) -> list[str]:
    """The texts of a text layer: one, or a run of them with their lengths before them."""
    found = []
    if isinstance(first := row.get("TextLayerString"), bytes):
        found.append(read_text(first))
    data = row.get("TextLayerStringArray")
    position = 0
    while isinstance(data, bytes) and position + 4 <= len(data):
        length = int.from_bytes(data[position : position + 4], "little")
        found.append(read_text(data[position + 4 : position + 4 + length]))
        position += 4 + length
    return list(dict.fromkeys(filter(None, found)))


def _paths(rows: list[Row]) -> Iterator[Field]:
    """Columns that name files of other programs: film, sound, 3D, other pages."""
    for row in rows:
        for column, value in row.items():
            if column.endswith(("Path", "FileName")) and (name := _name(value)):
                yield Field("refers_to", name)
