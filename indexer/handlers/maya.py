"""Maya scenes, as text (.ma) and binary (.mb): files they use, names of nodes, notes, who wrote them with what.

Source: Maya ASCII file format (Autodesk documentation); the IFF structure of .mb files as Maya writes it.
Limits: geometry, curves and settings are not read; lines of numbers are left out of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.decoding import decode_as
from indexer.detection import detect
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _refs
from indexer.handlers._picture import FIELD_CHARS
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Text

CHUNKS: Final = 5_000_000
GROUP: Final = 256 << 10
_KEPT: Final = MIB
_INSIDE: Final = (b"FOR4", b"LIS4", b"CAT4", b"PRO4", b"FOR8", b"LIS8", b"CAT8", b"PRO8")
_SAYING: Final = frozenset(b"FINF INFO CREA FREF FRDI RFRN CHNG MADE VERS NOTE".split()) | {b"STR "}
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.){2,2000}+)"')
_TOLD: Final = re.compile(r'fileInfo "(\w{1,60})" "((?:[^"\\]|\\.){0,1000}+)"')
_RUN: Final = re.compile(rb"[\x20-\x7e\x80-\xff]{3,}")


class Maya(Handler):
    name = "maya"
    media_types = ("application/x-maya", "application/x-maya-binary")
    signatures = (Signature(b"//Maya ASCII"), Signature(b"FOR4"), Signature(b"FOR8"))
    suffixes = (".ma", ".mb")
    fields: ClassVar[dict[str, str]] = {
        **_refs.FIELDS,
        "maya.node": "name of a node",
        "maya.about.*": "what the scene says of itself: maya.about.application, maya.about.osv",
        "maya.changed": "when it was last written, as its first lines say",
    }
    reads = "files it uses, names of nodes, notes, program and system"

    def claims(self, stream: Stream) -> str | None:
        head = stream.head
        if head[:6] == b"//Maya":
            return self.media_types[0]
        return self.media_types[1] if b"Maya" in head[8:24] else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        found = _Found()
        if stream.head[:6] == b"//Maya":
            yield from _read_text(stream, found)
        else:
            yield from _read_chunks(stream, found)
        yield from found.rest()


class _Found:
    """Names, paths and words, each told once."""

    def __init__(self) -> None:
        self.nodes, self.paths = _refs.Once("maya.node"), _refs.Once()
        self._words: dict[str, None] = {}
        self._size = 0

    def say(self, text: str) -> Iterator[Fact]:
        """One piece of text."""
        text = text.strip()
        if not _refs.has_words(text):
            return
        yield from self.paths.fields((text,) if _refs.is_path(text) else _refs.paths_in(text))
        if text not in self._words:
            self._words[text] = None
            self._size += len(text) + 1
            if self._size > GROUP:
                yield from self.rest()

    def rest(self) -> Iterator[Fact]:
        """The words that wait."""
        if self._words:
            yield Text("\n".join(self._words), "words")
        self._words, self._size = {}, 0


def _read_text(stream: Stream, found: _Found) -> Iterator[Fact]:
    codec = detect(stream.at(0, MIB)).codec
    rest = b""
    for position in range(0, stream.size, MIB):
        data = rest + stream.at(position, MIB)
        cut = data.rfind(b"\n") + 1 or len(data)
        text, rest = decode_as(data[:cut], codec)[0], data[cut:]
        if len(rest) > 16 * MIB:
            rest = b""
        yield from _lines(text, found)
    yield from _lines(decode_as(rest, codec)[0], found)


def _lines(text: str, found: _Found) -> Iterator[Fact]:
    for line in text.split("\n"):
        if line.startswith("//"):
            if line.startswith("//Last modified:"):
                yield Field("maya.changed", line[16:].strip()[:FIELD_CHARS])
            yield from found.say(line[2:])
        elif '"' in line:
            if match := _TOLD.match(line):
                yield Field(f"maya.about.{match[1].lower()}", match[2])
            quoted = _QUOTED.findall(line)
            if line.startswith("createNode") and " -n " in line and quoted:
                yield from found.nodes.fields(quoted[:1])
            elif line.startswith(("file ", "requires", "\tsetAttr", "\trename", "addAttr")) and quoted:
                names = (each for each in quoted if _refs.is_file_name(each) and ("/" in each or line[:4] == "file"))
                yield from found.paths.fields(names)
            for each in quoted:
                yield from found.say(each.replace("\\n", "\n").replace('\\"', '"').replace("\\\\", "\\"))


def _read_chunks(stream: Stream, found: _Found) -> Iterator[Fact]:
    wide = stream.head[:4] == b"FOR8"
    size, step = (8, 16) if wide else (4, 8)
    runs = [(0, stream.size)]
    for _ in range(CHUNKS):
        while runs and runs[-1][0] + step > runs[-1][1]:
            runs.pop()
        if not runs:
            return
        position, stop = runs.pop()
        head = stream.at(position, step + 4)
        kind, length = head[:4], int.from_bytes(head[step - size : step], "big")
        end = position + step + length
        if end > stop:
            yield Problem("truncated", f"a chunk at {position} ends at {end}, what holds it at {stop}")
        runs.append((end + (-end % size), stop))
        if kind in _INSIDE and len(runs) < 64:
            runs.append((position + step + (8 if wide else 4), min(end, stop)))
        elif kind in _SAYING:
            data = stream.at(position + step, min(length, _KEPT))
            texts = [match[0].decode("utf-8", "replace") for match in _RUN.finditer(data)]
            if kind == b"CREA" and texts:
                yield from found.nodes.fields(texts[:1])
            for text in texts:
                yield from found.say(text)
