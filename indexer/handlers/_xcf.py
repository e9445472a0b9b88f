"""What GIMP's pictures are made of: places, properties, parasites, paths, the words of text layers.

Source: GIMP, devel-docs/xcf.txt and parasites.txt.
Limits: of paths only the names are read.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterator
from typing import Final

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.limits import MIB

COLOURS, PATHS, VECTORS = 1, 23, 25
"""Properties whose form must be known here."""
_PAYLOAD: Final = 16 * MIB
_STRING: Final = MIB
_MOST: Final = 100_000
"""Layers, channels, properties of one list."""
_SAID: Final = re.compile(r'\((text|markup|font)((?:\s+"(?:[^"\\]|\\.){0,1000000}")+)')
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPE: Final = re.compile(r"\\([0-7]{3}|.)", re.DOTALL)
_ESCAPED: Final = {"n": "\n", "t": "\t", "r": "\n"}
_TAG: Final = re.compile(r"<[^<>]*>")
_FONT: Final = re.compile(r'<span[^<>]* font(?:_family|_desc|)="([^"]+)"')


class Place:
    """A place in the file that goes on as values are taken.

    Raises:
        EvidenceError: truncated, corrupt.
    """

    def __init__(self, stream: Stream, position: int, *, wide: bool) -> None:
        self._stream = stream
        self.position = position
        self.wide = wide

    def take(self, count: int) -> bytes:
        """Exactly `count` bytes."""
        end = self.position + count
        if end > self._stream.size:
            raise EvidenceError("truncated", f"a value ends at {end}, the file at {self._stream.size}")
        data = self._stream.at(self.position, count)
        self.position = end
        return data

    def number(self, size: int) -> int:
        """A whole number, high byte first."""
        return int.from_bytes(self.take(size), "big")

    def string(self) -> str:
        """A text with its count of bytes before it."""
        length = self.number(4)
        if length > _STRING:
            raise EvidenceError("corrupt", f"a name of {length} bytes at {self.position}")
        return self.take(length).rstrip(b"\0").decode("utf-8", "replace")

    def pointers(self) -> list[int]:
        """Addresses up to a zero."""
        found: list[int] = []
        while (pointer := self.number(8 if self.wide else 4)) and len(found) < _MOST:
            found.append(pointer)
        return found

    def properties(self) -> Iterator[tuple[int, bytes]]:
        """Numbers and values; of one that is too large nothing."""
        for _ in range(_MOST):
            kind, length = self.number(4), self.number(4)
            if not kind:
                return
            if kind == COLOURS:  # some programs write a wrong length
                length = 3 * self.number(4)
            if length > _PAYLOAD:
                self.position += length
                yield kind, b""
            else:
                yield kind, self.take(length)
        raise EvidenceError("corrupt", f"more than {_MOST} properties")


def parasites_of(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Names and values; a torn one ends them."""
    position = 0
    while position + 4 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        start = position + 4 + length + 8
        size = int.from_bytes(data[start - 4 : start], "big")
        if start + size > len(data):
            return
        yield (
            data[position + 4 : position + 4 + length].rstrip(b"\0").decode("utf-8", "replace"),
            data[start : start + size],
        )
        position = start + size


def words_of(data: bytes) -> tuple[str, list[str]]:
    """The text of a text layer, without its marks, and the fonts."""
    words, fonts = "", []
    for match in _SAID.finditer(data.decode("utf-8", "replace")):
        value = [_ESCAPE.sub(_unescaped, each) for each in _QUOTED.findall(match[2])]
        if match[1] == "font":
            fonts.append(next((each for each in value if each != "GimpFont"), ""))
        elif match[1] == "markup":
            fonts += _FONT.findall(value[0])
            words = html.unescape(_TAG.sub("", value[0]))
        else:
            words = value[0]
    return words, [font for font in fonts if font]


def _unescaped(match: re.Match[str]) -> str:
    escape = match[1]
    return chr(int(escape, 8)) if len(escape) == 3 else _ESCAPED.get(escape, escape)


def path_names(kind: int, data: bytes) -> Iterator[str]:
    """The names of the paths that stand in a property; a torn one ends them."""
    at = Place(Stream(io.BytesIO(data)), 4 if kind == PATHS else 8, wide=False)
    try:
        for _ in range(min(at.number(4), _MOST)):
            yield at.string()
            if kind == PATHS:
                at.take(9)
                points, version = at.number(4), at.number(4)
                at.take(4 * (version - 1) + 12 * points if version < 4 else len(data))
                continue
            at.take(12)
            parasites, strokes = at.number(4), at.number(4)
            for _ in range(parasites):
                at.string()
                at.take(4)
                at.take(at.number(4))
            for _ in range(strokes):
                at.take(8)
                floats, points = at.number(4), at.number(4)
                at.take(points * (4 + 4 * floats))
    except EvidenceError:
        return
