"""Blender files: names of everything inside, the files they use, texts, the path they were saved under.

Every file carries a description of its own structures (DNA): the fields that hold names and paths are
found by it, whatever the version.

Source: the .blend format as Blender 2.4 to 5.0 write it (doc/blender_file_format of its sources).
Limits: compressed files are read as the file inside the compression; geometry and settings are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar, Final, Literal, NamedTuple

from msgspec import Struct

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _refs
from indexer.handlers._picture import read_text
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Text

BLOCKS: Final = 5_000_000
DNA: Final = 16 * MIB
BLOCK_BYTES: Final = 4 * MIB
FIELDS_SEEN: Final = 2_000_000
"""Fields looked at, inner structures counted each time; Blender 4 has some 60 000."""
LAYERS: Final = 8
"""Structures inside structures that are looked into."""
_ARRAY: Final = re.compile(rb"(\w{1,80})\[(\d{1,5})\]\Z")
_PATHS: Final = frozenset((b"filepath", b"filename", b"dir", b"filepath_abs", b"cachedir", b"pic", b"name_full"))
_OLD_PATHS: Final = frozenset((b"Image", b"Library", b"bSound", b"VFont", b"MovieClip", b"StripElem", b"FileGlobal"))
_NAMES: Final = frozenset((b"name", b"info", b"line"))
_HEAD: Final = re.compile(rb"BLENDER(?:([-_])([vV])(\d{3})|(\d\d)([-_])(\d\d)([vV])(\d{4}))")


class Place(NamedTuple):
    """A fixed run of characters in a structure."""

    start: int
    length: int
    is_path: bool


class Layout(Struct, frozen=True):
    """How blocks are laid out in this file."""

    order: Literal["little", "big"]
    pointer: int
    start: int
    wide: bool

    @property
    def head(self) -> int:
        """Bytes of a block's head."""
        return 32 if self.wide else 16 + self.pointer

    def block(self, data: bytes) -> tuple[bytes, int, int, int]:
        """Code, length, structure and count."""

        def number(start: int, size: int) -> int:
            return int.from_bytes(data[start : start + size], self.order)

        if self.wide:
            return data[:4], number(16, 8), number(4, 4), number(24, 8)
        return data[:4], number(4, 4), number(8 + self.pointer, 4), number(12 + self.pointer, 4)


class Blender(Handler):
    name = "blender"
    media_types = ("application/x-blender",)
    signatures = (Signature(b"BLENDER"),)
    suffixes = (".blend", ".blend1", ".blend2")
    fields: ClassVar[dict[str, str]] = {
        **_refs.FIELDS,
        "blender.version": "version that wrote the file",
        "blender.object": "name of a data block with its kind: OBHair, SCCut012, IMbg_012.png",
    }
    reads = "names of all data, paths of files it uses, texts"

    def read(self, stream: Stream) -> Iterator[Fact]:
        layout, version = _layout(stream.at(0, 17))
        yield Field("blender.version", version)
        places = _places(stream, layout)
        objects, paths = _refs.Once("blender.object"), _refs.Once()
        words: dict[str, None] = {}
        for code, start, length, number, count in _blocks(stream, layout):
            if code in (b"ENDB", b"DNA1") or number >= len(places) or not places[number][1]:
                continue
            size, fields = places[number]
            data = stream.at(start, min(length, size * count, BLOCK_BYTES))
            for base in range(0, len(data) - size + 1 if size else 0, size or 1):
                for place in fields:
                    raw = data[base + place.start : base + place.start + place.length].split(b"\0")[0]
                    text = read_text(raw) if len(raw) > 1 else ""
                    if not text or not text.isprintable():
                        continue
                    words[text] = None
                    if place.is_path and (_refs.is_file_name(text) or text.startswith("//")):
                        yield from paths.fields((text,))
                    elif code.rstrip(b"\0").isupper() and len(code.rstrip(b"\0")) == 2 and not place.is_path:
                        yield from objects.fields((text,) if text[:2] == code[:2].decode("latin-1") else ())
        if words:
            yield Text("\n".join(words), "names")
        if not _ends(stream):
            yield Problem("truncated", "no end of file mark")


def _layout(head: bytes) -> tuple[Layout, str]:
    match = _HEAD.match(head)
    if not match:
        raise EvidenceError("corrupt", "the header is not complete")
    order: Literal["little", "big"] = "little" if b"v" in (match[2], match[7]) else "big"
    if match[4]:
        number = int(match[8])
        return Layout(order, 8, int(match[4]), True), f"{number // 100}.{number % 100}"
    number = int(match[3])
    return Layout(order, 8 if match[1] == b"-" else 4, 12, False), f"{number // 100}.{number % 100:02}"


def _blocks(stream: Stream, layout: Layout) -> Iterator[tuple[bytes, int, int, int, int]]:
    """Code, start, length, structure and count of every block."""
    position = layout.start
    for _ in range(BLOCKS):
        data = stream.at(position, layout.head)
        if len(data) < layout.head:
            return
        code, length, number, count = layout.block(data)
        yield code, position + layout.head, length, number, count
        if code == b"ENDB":
            return
        position += layout.head + length


def _ends(stream: Stream) -> bool:
    return b"ENDB" in stream.at(max(0, stream.size - 64), 64)


def _places(stream: Stream, layout: Layout) -> list[tuple[int, list[Place]]]:
    """Size of each structure and where it keeps names and paths.

    Raises:
        EvidenceError: where the file does not describe its structures.
    """
    for code, start, length, _, _ in _blocks(stream, layout):
        if code == b"DNA1":
            return _Dna(stream.at(start, min(length, DNA)), layout).places()
    raise EvidenceError("truncated", "the description of the structures is missing")


class _Dna:
    """The description: names, types, lengths, and the fields of each structure."""

    def __init__(self, data: bytes, layout: Layout) -> None:
        self.data = data
        self.order = layout.order
        self.pointer = layout.pointer
        self.position = 4
        self.names = self._strings(b"NAME")
        self.types = self._strings(b"TYPE")
        self._find(b"TLEN")
        self.lengths = [self._number(2) for _ in self.types]
        self._find(b"STRC")
        self.structures: list[tuple[int, list[tuple[int, int]]]] = []
        for _ in range(min(self._number(4), 20_000)):
            kind, count = self._number(2), self._number(2)
            self.structures.append((kind, [(self._number(2), self._number(2)) for _ in range(min(count, 5000))]))
        self.by_type = dict(self.structures)
        self._left = FIELDS_SEEN

    def _number(self, size: int) -> int:
        if self.position + size > len(self.data):
            raise EvidenceError("corrupt", "the description of the structures ends early")
        self.position += size
        return int.from_bytes(self.data[self.position - size : self.position], self.order)

    def _find(self, mark: bytes) -> None:
        at = self.data.find(mark, self.position, self.position + 8)
        if at < 0:
            raise EvidenceError("corrupt", f"no {mark.decode()} in the description of the structures")
        self.position = at + 4

    def _strings(self, mark: bytes) -> list[bytes]:
        self._find(mark)
        found = []
        for _ in range(min(self._number(4), 200_000)):
            end = self.data.find(b"\0", self.position)
            if end < 0:
                raise EvidenceError("corrupt", "the description of the structures ends early")
            found.append(self.data[self.position : end])
            self.position = end + 1
        return found

    def places(self) -> list[tuple[int, list[Place]]]:
        """For every structure its size, and where names and paths stand in it."""
        return [(self._length(kind), list(self._inside(kind, 0, 0))) for kind, _ in self.structures]

    def _length(self, kind: int) -> int:
        return self.lengths[kind] if kind < len(self.lengths) else 0

    def _inside(self, kind: int, start: int, depth: int) -> Iterator[Place]:
        owner = self.types[kind] if kind < len(self.types) else b""
        for field_type, field_name in self.by_type.get(kind, ()):
            self._left -= 1
            if self._left < 0:
                raise EvidenceError("limit", f"more than {FIELDS_SEEN} fields in the description of the structures")
            name = self.names[field_name] if field_name < len(self.names) else b""
            count = 1
            for each in re.findall(rb"\[(\d{1,6})\]", name):
                count = min(count * int(each), 1 << 24)
            type_name = self.types[field_type] if field_type < len(self.types) else b""
            match = _ARRAY.match(name)
            if match and type_name == b"char" and match[1] in _PATHS | _NAMES:
                yield Place(start, int(match[2]), match[1] in _PATHS or (match[1] == b"name" and owner in _OLD_PATHS))
            elif name[:1] not in (b"*", b"(") and field_type in self.by_type and depth < LAYERS and count == 1:
                yield from self._inside(field_type, start, depth + 1)
            start += (self.pointer if name[:1] in (b"*", b"(") else self._length(field_type)) * count
