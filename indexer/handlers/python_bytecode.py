"""Compiled Python: its source file with size and time, texts and names in it, the version it was compiled by.

Source: CPython, Python/marshal.c (objects), Lib/importlib/_bootstrap_external.py (the head and its magic numbers),
Objects/codeobject.c (what a code object holds, which changed in 3.8 and 3.11); PEP 552 (heads with a hash).
Limits: code is not taken apart; from Python 2.3 on.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import ClassVar, Final, NamedTuple

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.limits import MIB
from indexer.model import Fact, Field, Text
from indexer.timestamps import from_unix

_MOST: Final = 64 * MIB
_OBJECTS: Final = 2_000_000
_DEEPEST: Final = 200
_VERSIONS: Final = (
    (62011, 62030, "2.3"), (62041, 62070, "2.4"), (62071, 62139, "2.5"), (62151, 62169, "2.6"),
    (62171, 62219, "2.7"), (3000, 3139, "3.0"), (3141, 3159, "3.1"), (3160, 3189, "3.2"), (3190, 3239, "3.3"),
    (3250, 3319, "3.4"), (3320, 3359, "3.5"), (3360, 3379, "3.6"), (3390, 3399, "3.7"), (3400, 3419, "3.8"),
    (3420, 3429, "3.9"), (3430, 3449, "3.10"), (3450, 3499, "3.11"), (3500, 3549, "3.12"), (3550, 3599, "3.13"),
    (3600, 3649, "3.14"), (3650, 3699, "3.15"),
)  # fmt: skip
"""First and last magic number of each version."""
_FIXED: Final = {b"i": 4, b"I": 8, b"g": 8, b"y": 16}
_NOTHING: Final = frozenset((b"0", b"N", b"F", b"T", b"S", b"."))
_COUNTED: Final = {b"s": 4, b"t": 4, b"a": 4, b"A": 4, b"u": 4, b"z": 1, b"Z": 1, b"f": 1, b"x": 1}
"""Objects that are bytes, by the width of their length."""
_TEXTS: Final = frozenset((b"s", b"t", b"a", b"A", b"u", b"z", b"Z"))


class _Code(NamedTuple):
    """What a code object says of itself."""

    path: str
    first_line: int
    name: str


class PythonBytecode(Handler):
    name = "python-bytecode"
    media_types = ("application/x-bytecode.python",)
    signatures = (Signature(b"\r\n", 2),)
    suffixes = (".pyc", ".pyo")
    fields: ClassVar[dict[str, str]] = {
        "pyc.python": "version of Python that compiled it",
        "pyc.source": "path of its source, as it was when it was compiled",
        "pyc.source_size": "bytes of its source, modulo 4 GiB",
        "pyc.source_hash": "hash of its source, in hex digits",
    }
    reads = "path, size and time of its source; texts and names in it; version of Python"
    rank = 58

    def claims(self, stream: Stream) -> str | None:
        version = _version(stream.head)
        start = _start(version)
        return self.media_types[0] if version and stream.head[start : start + 1] in (b"c", b"\xe3") else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        data = stream.at(0, min(stream.size, _MOST))
        version = _version(data)
        yield Field("pyc.python", ".".join(map(str, version)))
        if version >= (3, 7) and data[4] & 1:
            yield Field("pyc.source_hash", data[8:16].hex())
        else:
            at = 8 if version >= (3, 7) else 4
            if stamp := from_unix("source modified", int.from_bytes(data[at : at + 4], "little"), "pyc.head"):
                yield stamp
            if version >= (3, 3):
                yield Field("pyc.source_size", int.from_bytes(data[at + 4 : at + 8], "little"))
        walk = _Walk(data, _start(version), version)
        trouble: EvidenceError | None = None
        try:
            walk.object()
        except EvidenceError as error:
            trouble = error
        yield from walk.facts()
        if trouble:
            raise trouble


def _version(head: bytes) -> tuple[int, ...]:
    """The version of Python by the magic number, empty where it is none."""
    magic = int.from_bytes(head[:2], "little")
    found = next((name for first, last, name in _VERSIONS if first <= magic <= last), "")
    return tuple(map(int, found.split("."))) if found and len(head) > 16 else ()


def _start(version: tuple[int, ...]) -> int:
    """Where the first object stands."""
    return 16 if version >= (3, 7) else 12 if version >= (3, 3) else 8


class _Walk:
    """Goes through the objects of a file and keeps the words in them.

    Args:
        at: where the first object stands.
        version: of Python.
    """

    def __init__(self, data: bytes, at: int, version: tuple[int, ...]) -> None:
        self._data = data
        self._at = at
        self._version = version
        self._left = _OBJECTS
        self._kept: list[str] = []
        """What a later object may point at, as text."""
        self._interned: list[str] = []
        self._texts: dict[str, None] = {}
        self._names: dict[str, None] = {}
        self._codes: list[_Code] = []
        self._into = self._texts

    def facts(self) -> Iterator[Fact]:
        """What was found so far: the source, what it defines by its lines, texts, and other names."""
        for path in dict.fromkeys(code.path for code in self._codes if code.path):
            yield Field("pyc.source", path)
        defined = sorted((code.first_line, code.name) for code in self._codes if not code.name.startswith("<"))
        if defined:
            yield Text("\n".join(f"{line}: {name}" for line, name in defined), "definitions")
        if texts := [text for text in self._texts if text not in self._names]:
            yield Text("\n".join(texts), "texts")
        if names := [name for name in self._names if not name.startswith("<")]:
            yield Text("\n".join(names), "names")

    def object(self, depth: int = 0) -> str:
        """Goes over one object; gives it, where it is a text.

        Raises:
            EvidenceError: `truncated`, `corrupt` or `limit`.
        """
        self._left -= 1
        if depth > _DEEPEST or self._left < 0:
            raise EvidenceError("limit", f"more than {_OBJECTS} objects, or {_DEEPEST} inside each other")
        first = self._take(1)[0]
        kind, is_kept = bytes((first & 0x7F,)), bool(first & 0x80)
        place = len(self._kept)
        if is_kept:
            self._kept.append("")
        text = self._value(kind, depth)
        if is_kept:
            self._kept[place] = text
        return text

    def _value(self, kind: bytes, depth: int) -> str:
        if kind in _NOTHING:
            return ""
        if kind in _FIXED:
            self._take(_FIXED[kind])
            return ""
        if kind in _COUNTED:
            raw = self._take(self._number(_COUNTED[kind]))
            if kind == b"x":
                self._take(self._number(1))
            return self._word(raw, is_interned=kind == b"t") if kind in _TEXTS else ""
        if kind == b"l":
            self._take(2 * abs(struct.unpack("<i", self._take(4))[0]))
            return ""
        if kind in (b"r", b"R"):
            return self._pointed(self._number(4), self._kept if kind == b"r" else self._interned)
        if kind in (b"(", b"[", b"<", b">", b")"):
            for _ in range(self._number(1 if kind == b")" else 4)):
                self.object(depth + 1)
            return ""
        if kind == b"{":
            while self._data[self._at : self._at + 1] not in (b"0", b""):
                self.object(depth + 1)
            self._take(1)
            return ""
        if kind == b":":
            for _ in range(3):
                self.object(depth + 1)
            return ""
        if kind == b"c":
            self._code(depth)
            return ""
        raise EvidenceError("corrupt", f"no object of Python at {self._at - 1}")

    def _code(self, depth: int) -> None:
        """A function, a class or a module; its names are told apart from its texts."""
        version, outer = self._version, self._into
        numbers = 4 if version < (3,) else 6 if (3, 8) <= version < (3, 11) else 5
        self._take(4 * numbers)
        self._into = {}
        self.object(depth + 1)  # the code itself
        self._into = self._texts
        self.object(depth + 1)
        self._into = self._names
        self.object(depth + 1)
        self.object(depth + 1)  # names of variables
        if version < (3, 11):
            self.object(depth + 1)
            self.object(depth + 1)
        else:
            self._into = {}
            self.object(depth + 1)  # their kinds
        self._into = {}
        path = self.object(depth + 1)
        self._into = self._names
        name = self.object(depth + 1)
        if version >= (3, 11):
            name = self.object(depth + 1)
        self._codes.append(_Code(path, self._number(4), name))
        self._into = {}
        self.object(depth + 1)
        if version >= (3, 11):
            self.object(depth + 1)
        self._into = outer

    def _word(self, raw: bytes, *, is_interned: bool) -> str:
        text = raw.decode("utf-8", "replace")
        if is_interned and self._version < (3,):
            self._interned.append(text)
        if text.strip() and all(letter.isprintable() or letter in "\t\r\n" for letter in text):
            self._into.setdefault(text)
        return text

    def _pointed(self, number: int, held: list[str]) -> str:
        if number >= len(held):
            raise EvidenceError("corrupt", f"object {number} stands nowhere before {self._at}")
        if held[number]:
            self._into.setdefault(held[number])
        return held[number]

    def _number(self, width: int) -> int:
        return int.from_bytes(self._take(width), "little")

    def _take(self, size: int) -> bytes:
        if size > len(self._data) - self._at:
            raise EvidenceError("truncated", f"an object at {self._at} goes on beyond the end")
        self._at += size
        return self._data[self._at - size : self._at]
