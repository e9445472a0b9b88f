"""Values inside Photoshop's structures: strings, descriptors, the text engine's data.

Source: Adobe Photoshop File Formats Specification (2019), "Descriptor structure", "Type tool object
setting"; the engine's data is written in the object syntax of PDF (ISO 32000-1, 7.3).
Limits: of a descriptor plain values and paths are kept; references and pixel data are passed over.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from indexer.errors import EvidenceError

Value = str | int | float | bool | bytes

DEPTH: Final = 60
"""Structures inside structures; Photoshop's own end at about 12."""
_TOKEN: Final = re.compile(rb"<<|>>|\[|\]|/[^\s<>\[\]()/]{1,200}|\((?:[^\\()]|\\.)*+\)|[\w.+-]+", re.DOTALL)
_ESCAPE: Final = re.compile(rb"\\(.)", re.DOTALL)


class Cursor:
    """Reads values one after another.

    Raises:
        EvidenceError: truncated, where the bytes end before a value does.
    """

    def __init__(self, data: bytes, position: int = 0) -> None:
        self.data = data
        self.position = position

    def take(self, count: int) -> bytes:
        """Exactly `count` bytes."""
        end = self.position + count
        if count < 0 or end > len(self.data):
            raise EvidenceError("truncated", f"a value ends at {end}, its structure at {len(self.data)}")
        taken, self.position = self.data[self.position : end], end
        return taken

    def number(self, size: int, *, signed: bool = False) -> int:
        """A whole number, high byte first."""
        return int.from_bytes(self.take(size), "big", signed=signed)

    def double(self) -> float:
        """A number of eight bytes."""
        return float(struct.unpack(">d", self.take(8))[0])

    def wide(self) -> str:
        """A Unicode string with its count of characters before it."""
        return self.take(2 * self.number(4)).decode("utf-16-be", "replace").rstrip("\0")

    def pascal(self, padding: int = 1) -> bytes:
        """A string with its length in one byte before it, padded as a whole."""
        length = self.number(1)
        text = self.take(length)
        self.take(-(1 + length) % padding)
        return text

    def key(self) -> str:
        """An identifier: four characters, or a counted string."""
        return self.take(self.number(4) or 4).decode("latin-1")


def read_descriptor(cursor: Cursor) -> list[tuple[str, Value]]:
    """Path and value of every plain value in a descriptor, in its order; lists share one path.

    Raises:
        EvidenceError: where it is cut off, nested too deeply, or holds an unknown type.
    """
    found: list[tuple[str, Value]] = []
    waiting: list[tuple[int, str, bool]] = []

    def enter(path: str) -> None:
        cursor.wide()
        cursor.key()
        waiting.append((cursor.number(4), path, True))

    enter("")
    while waiting:
        left, path, named = waiting.pop()
        if not left:
            continue
        if len(waiting) > DEPTH:
            raise EvidenceError("limit", f"a descriptor is nested deeper than {DEPTH} levels")
        waiting.append((left - 1, path, named))
        if named:
            path = f"{path}/{cursor.key()}" if path else cursor.key()
        kind = cursor.take(4)
        if kind == b"ObAr":
            cursor.number(4)
        if kind in (b"Objc", b"GlbO", b"ObAr"):
            enter(path)
        elif kind == b"VlLs":
            waiting.append((cursor.number(4), path, False))
        elif kind == b"obj ":
            for _ in range(cursor.number(4)):
                _skip_reference(cursor)
        else:
            found.append((path, _plain(kind, cursor)))
    return found


def _plain(kind: bytes, cursor: Cursor) -> Value:
    if kind == b"TEXT":
        return cursor.wide()
    if kind == b"long":
        return cursor.number(4, signed=True)
    if kind == b"comp":
        return cursor.number(8, signed=True)
    if kind == b"bool":
        return bool(cursor.number(1))
    if kind == b"doub":
        return cursor.double()
    if kind == b"UntF":
        cursor.take(4)
        return cursor.double()
    if kind == b"UnFl":
        cursor.take(4)
        return cursor.take(8 * cursor.number(4))
    if kind == b"enum":
        cursor.key()
        return cursor.key()
    if kind in (b"type", b"GlbC"):
        cursor.wide()
        return cursor.key()
    if kind in (b"tdta", b"alis"):
        return cursor.take(cursor.number(4))
    if kind == b"Pth ":
        return _path(cursor.take(cursor.number(4)))
    raise EvidenceError("unsupported", f"a descriptor holds a value of type {kind!r}")


def _path(data: bytes) -> str:
    """A path as Windows and macOS alike write it: a signature, two counts in low order first, UTF-16."""
    wide = "utf-16-le" if data[:4] == b"utxt"[::-1] or data[4:6] != b"\0\0" else "utf-16-be"
    return data[12:].decode(wide, "replace").rstrip("\0")


def _skip_reference(cursor: Cursor) -> None:
    kind = cursor.take(4)
    if kind in (b"Idnt", b"indx"):
        cursor.take(4)
        return
    cursor.wide()
    cursor.key()
    if kind == b"prop":
        cursor.key()
    elif kind == b"Enmr":
        cursor.key()
        cursor.key()
    elif kind == b"rele":
        cursor.take(4)
    elif kind == b"name":
        cursor.wide()
    elif kind != b"Clss":
        raise EvidenceError("unsupported", f"a descriptor refers to something by {kind!r}")


class EngineText(Struct, frozen=True):
    """What the text engine's data say: the text as edited, and the fonts that its runs use."""

    text: str
    fonts: tuple[str, ...]


def read_engine(data: bytes) -> EngineText:
    """Text and fonts of a type layer; empty where the data hold none."""
    text, fonts, used = "", [], dict[int, None]()
    for path, value in _engine_values(data):
        if path[-2:] == ("Editor", "Text") and not text:
            text = _string(value)
        elif path[0:1] == ("ResourceDict",) and path[-2:] == ("FontSet", "Name"):
            fonts.append(_string(value))
        elif path[-2:] == ("StyleSheetData", "Font") and "RunArray" in path and value.isdigit() and len(value) < 9:
            used[int(value)] = None
    return EngineText(text, tuple(dict.fromkeys(fonts[number] for number in used if number < len(fonts))))


def _engine_values(data: bytes) -> Iterator[tuple[tuple[str, ...], bytes]]:
    """Every plain value with the keys that lead to it; lists add no key."""
    path: list[str] = []
    key = ""
    for match in _TOKEN.finditer(data):
        token = match[0]
        if token in (b"<<", b"["):
            if len(path) > DEPTH:
                return
            path.append(key)
            key = ""
        elif token in (b">>", b"]"):
            key = path.pop() if path else ""
        elif token[:1] == b"/":
            key = token[1:].decode("latin-1")
        else:
            yield tuple(part for part in (*path, key) if part), token


def engine_strings(data: bytes) -> Iterator[str]:
    """The texts among the engine's data that are written in UTF-16: words, names of fonts and styles."""
    for match in _TOKEN.finditer(data):
        if match[0].startswith(b"(\xfe\xff") and (text := as_lines(_string(match[0]))):
            yield text


def _string(token: bytes) -> str:
    raw = _ESCAPE.sub(rb"\1", token[1:-1])
    text = raw.decode("utf-16", "replace") if raw[:2] in (b"\xfe\xff", b"\xff\xfe") else raw.decode("latin-1")
    return text.rstrip("\0")


def as_lines(text: str) -> str:
    """Text with the marks of paragraphs and forced breaks as line ends."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\x03", "\n").rstrip("\0\n")
