"""Alembic caches (Ogawa): program, time and note of the export, names of all objects, strings among the properties.

Source: the Ogawa layout of Alembic 1.5 to 1.8 (lib/Alembic/Ogawa, AbcCoreOgawa of its sources).
Limits: numbers and samples are not read; caches in HDF5 are read as HDF5.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _refs
from indexer.handlers._picture import FIELD_CHARS
from indexer.handlers._scene import Words
from indexer.model import Fact, Field, Problem, Timestamp

GROUPS: Final = 2_000_000
CHILDREN: Final = 1_000_000
HEADERS: Final = 16 << 20
STRINGS: Final = 64 << 10
_DATA: Final = 1 << 63
_MONTHS: Final = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_CTIME: Final = re.compile(r"\w{3} (\w{3}) +(\d{1,2}) (\d\d):(\d\d):(\d\d) (\d{4})")
_TEXT: Final = re.compile(rb"[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]{3,}")


class AlembicScene(Handler):
    name = "alembic"
    media_types = ("model/x-alembic",)
    signatures = (Signature(b"Ogawa"),)
    suffixes = (".abc",)
    fields: ClassVar[dict[str, str]] = {
        **_refs.FIELDS,
        "abc.about.*": "what the export says of itself: abc.about.application, abc.about.datewritten",
        "abc.object": "path of an object: /Street/Lamp",
    }
    reads = "program, time and note of the export, paths of objects, strings among the properties"

    def read(self, stream: Stream) -> Iterator[Fact]:
        held = _Ogawa(stream)
        root = held.children(int.from_bytes(stream.at(8, 8), "little"))
        if len(root) < 4:
            raise EvidenceError("truncated", "the cache was not closed, or its first group is missing")
        yield from _about(held.data(root[3], HEADERS).decode("utf-8", "replace"))
        words = Words()
        yield from _objects(held, root[2], words)
        yield from words.rest()
        if held.problem:
            yield held.problem


class _Ogawa:
    """Groups and data of a file; each group is opened once."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._seen: set[int] = set()
        self._left = CHILDREN
        self.problem: Problem | None = None

    def children(self, place: int) -> list[int]:
        """What a group holds; nothing for one that was opened before."""
        if not place or place >= _DATA or place in self._seen or len(self._seen) >= GROUPS:
            return []
        self._seen.add(place)
        count = int.from_bytes(self._stream.at(place, 8), "little")
        data = self._stream.at(place + 8, 8 * min(count, self._left))
        self._left -= len(data) // 8
        if len(data) < 8 * count:
            self.problem = Problem("truncated", f"a group at {place} has {count} parts, not all are there")
        return [int.from_bytes(data[at : at + 8], "little") for at in range(0, len(data) - 7, 8)]

    def data(self, place: int, most: int) -> bytes:
        """The bytes of a piece of data, up to `most`."""
        if place <= _DATA:
            return b""
        place -= _DATA
        return self._stream.at(place + 8, min(int.from_bytes(self._stream.at(place, 8), "little"), most))


def _about(told: str) -> Iterator[Fact]:
    """Pairs of the archive's own description."""
    for pair in told.split(";"):
        key, _, value = pair.partition("=")
        key = re.sub(r"\W", "_", key.removeprefix("_ai_").lower())[:60].strip("_")
        if key and value:
            yield Field(f"abc.about.{key}", value[:FIELD_CHARS])
            match = _CTIME.search(value) if "date" in key else None
            if match and match[1] in _MONTHS:
                day, hour, minute, second, year = (int(part) for part in match.groups()[1:])
                try:
                    at = datetime(year, _MONTHS.index(match[1]) + 1, day, hour, minute, second, tzinfo=UTC)
                except ValueError:
                    continue
                yield Timestamp("B", at, "abc.DateWritten", zone_known=False)


def _objects(held: _Ogawa, place: int, words: Words) -> Iterator[Fact]:
    """The tree of objects, with the strings of each one's properties."""
    waiting, objects = [(place, "")], _refs.Once("abc.object")
    while waiting:
        place, path = waiting.pop()
        parts = held.children(place)
        if not parts:
            continue
        names = list(_names(held.data(parts[-1], HEADERS)))
        yield from _properties(held, parts[0], words)
        inner = [part for part in parts[1:] if part < _DATA]
        for name, schema in names:
            yield from objects.fields((f"{path}/{name}",))
            yield from words.say(name)
            yield from words.say(schema)
        waiting += [(part, f"{path}/{name}") for part, (name, _) in reversed(list(zip(inner, names, strict=False)))]


def _names(data: bytes) -> Iterator[tuple[str, str]]:
    """Names of the objects that a group holds, with their own metadata where it is written out."""
    position = 0
    while position + 4 < len(data) - 32:
        length = int.from_bytes(data[position : position + 4], "little")
        name = data[position + 4 : position + 4 + length]
        position += 4 + length
        if not length or position >= len(data):
            return
        schema, index = b"", data[position]
        position += 1
        if index == 0xFF:
            length = int.from_bytes(data[position : position + 4], "little")
            schema = data[position + 4 : position + 4 + length]
            position += 4 + length
        yield name.decode("utf-8", "replace"), schema.decode("utf-8", "replace")


def _properties(held: _Ogawa, place: int, words: Words) -> Iterator[Fact]:
    """Pieces of data among the properties that are text from start to end, their key of 16 bytes apart."""
    waiting = [place]
    while waiting:
        for part in held.children(waiting.pop()):
            if part < _DATA:
                waiting.append(part)
                continue
            data = held.data(part, STRINGS)[16:]
            for raw in data.rstrip(b"\0").split(b"\0") if len(data) > 3 else ():
                if not _TEXT.fullmatch(raw):
                    break
                try:
                    yield from words.say(raw.decode("utf-8"))
                except UnicodeDecodeError:
                    break
