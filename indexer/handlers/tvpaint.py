"""TVPaint Animation projects: names of projects, scenes, clips and layers, size, sounds, notes, paths.

Source: none published; the tree of nodes and the clips' chunks as TVPaint 9 to 11 write them.
Limits: no picture is decoded; of a layer its name, range and state are read; palettes and brushes are not.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import ClassVar, Final, NamedTuple

from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _layertree, _picture, _refs
from indexer.handlers._layertree import Leaf
from indexer.handlers._picture import FIELD_CHARS, read_text
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Text

NODES: Final = 1_000_000
CHUNKS: Final = 2_000_000
LAYERS: Final = 20_000
WORDS: Final = 4 * MIB
_HEAD: Final = 24
_MARKS: Final = (bytes.fromhex("000f1f02191b"), bytes.fromhex("00105aafaaab"))
_PROJECT: Final = bytes.fromhex("3384780e")
_PAIRS: Final = {
    bytes.fromhex("3385553a"): "project", bytes.fromhex("338a9608"): "thumbnail", bytes.fromhex("e5cb5e68"): "object",
    bytes.fromhex("3388da98"): "scene", bytes.fromhex("3387e34a"): "clip",
}  # fmt: skip
_LINES: Final = {
    bytes.fromhex("04566928"): "sound", bytes.fromhex("338e0aea"): "labels", bytes.fromhex("e5cadeac"): "object",
}  # fmt: skip
_CLIP: Final = bytes.fromhex("33871154")
_SPOKEN: Final = frozenset((b"ANNO", b"XSRC", b"AUTH", b"NAME", b"(c) "))


class _Node(NamedTuple):
    """One node that holds data rather than nodes."""

    kind: bytes
    start: int
    size: int


class TvPaint(Handler):
    name = "tvpaint"
    media_types = ("application/x-tvpaint",)
    signatures = (Signature(_PROJECT), *(Signature(mark, 10) for mark in _MARKS))
    suffixes = (".tvpp", ".tvpx")
    fields: ClassVar[dict[str, str]] = {
        **_picture.FIELDS,
        **_layertree.declared("tvpaint"),
        **_refs.FIELDS,
        "tvpaint.scenes": "scenes in the project",
        "tvpaint.clips": "clips in the project",
        "tvpaint.name": "name of a project, scene or clip",
        "tvpaint.author": "who made it, as the project says",
    }
    reads = "names of scenes, clips and layers, size, notes, sounds, paths"
    rank = 40

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if stream.head[10:16] in _MARKS else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        names, authors, refs = _refs.Once("tvpaint.name"), _refs.Once("tvpaint.author"), _refs.Once()
        counts = {"scene": 0, "clip": 0}
        shaped, end = False, 0
        for node in _leaves(stream):
            end = node.start + node.size
            if what := _PAIRS.get(node.kind):
                counts[what] = counts.get(what, 0) + 1
                pairs = _pairs(stream.at(node.start, min(node.size, WORDS)))
                for key, value in pairs:
                    if "name" in key.lower():
                        yield from names.fields((value,))
                    elif "author" in key.lower():
                        yield from authors.fields((value,))
                    yield from refs.fields(_refs.paths_in(value))
                if body := "\n".join(f"{key}: {value}" for key, value in pairs if _refs.has_words(value)):
                    yield Text(body, f"{what} {counts[what]}")
            elif what := _LINES.get(node.kind):
                body = read_text(stream.at(node.start, min(node.size, WORDS)))
                yield from refs.fields(_refs.paths_in(body))
                if _refs.has_words(body):
                    yield Text(body, what)
            elif node.kind == _CLIP:
                for fact in _clip(stream, node, max(1, counts["clip"]), refs):
                    if isinstance(fact, Field) and fact.name.startswith("picture."):
                        if shaped:
                            continue
                        shaped = fact.name == "picture.frames"
                    yield fact
        yield Field("tvpaint.scenes", counts["scene"])
        yield Field("tvpaint.clips", counts["clip"])
        if end > stream.size:
            yield Problem("truncated", f"the last node ends at {end}, the file at {stream.size}")


def _leaves(stream: Stream) -> Iterator[_Node]:
    """The nodes without nodes inside, in the order of the file; where none is due it ends."""
    position = 0
    for _ in range(NODES):
        head = stream.at(position, 2 * _HEAD)
        if len(head) < _HEAD or head[10:16] not in _MARKS:
            return
        if head[34:40] in _MARKS:
            position += _HEAD
            continue
        size = int.from_bytes(head[16:24], "big")
        yield _Node(head[:4], position + _HEAD, size)
        position += _HEAD + size


def _pairs(data: bytes) -> list[tuple[str, str]]:
    """Names and values, each a count of letters and the letters in UTF-16."""
    words: list[str] = []
    count, at = int.from_bytes(data[:4], "big"), 4
    while len(words) < 2 * count and at + 2 <= len(data):
        end = at + 2 + 2 * int.from_bytes(data[at : at + 2], "big")
        words.append(data[at + 2 : end].decode("utf-16-be", "replace").strip("\0 "))
        at = end
    return list(zip(words[::2], words[1::2], strict=False))


def _clip(stream: Stream, node: _Node, number: int, refs: _refs.Once) -> Iterator[Fact]:
    """The chunks of a clip: its size, its layers, its notes."""
    position, end = node.start + 12, min(node.start + node.size, stream.size)
    leaves: list[Leaf] = []
    for _ in range(CHUNKS):
        head = stream.at(position, 8)
        if len(head) < 8 or position + 8 > end or not head[:4].strip().isalnum():
            break
        kind, size = head[:4], int.from_bytes(head[4:8], "big")
        data = stream.at(position + 8, min(size, WORDS)) if kind in _READ else b""
        if kind == b"DLOC" and len(data) >= 4:
            yield from _picture.shape(*struct.unpack_from(">HH", data))
        elif kind == b"LNAM" and len(leaves) < LAYERS:
            leaves.append(Leaf(read_text(data.split(b"\0")[0])))
        elif kind == b"LNAW" and leaves and not data.startswith(b"\0") and data.split(b"\0")[0]:
            leaves[-1] = Leaf(read_text(data.split(b"\0")[0]))
        elif kind == b"LRHD" and leaves and len(data) >= 32:
            numbers = struct.unpack_from(">16H", data)
            marks = (f"pictures {numbers[3]}-{numbers[5]}",)
            leaves[-1] = Leaf(leaves[-1].name, (), marks, not numbers[15] & 1, bool(numbers[15] & 16))
        elif kind in _SPOKEN and _refs.has_words(body := read_text(data).replace("\0", "\n").strip()):
            yield from refs.fields(_refs.paths_in(body))
            yield Text(body[: FIELD_CHARS * 64], f"clip {number}, {kind.decode().strip()}")
        position += 8 + size + (size & 1)
    for fact in _layertree.tree_facts("tvpaint", leaves):
        yield Text(fact.body, f"clip {number}, {fact.locator}") if isinstance(fact, Text) else fact


_READ: Final = _SPOKEN | {b"DLOC", b"LNAM", b"LNAW", b"LRHD"}
