"""Databases of places by address (MaxMind DB): which one it is, when it was built, in which languages.

Source: MaxMind DB File Format Specification 2.0, "Database Metadata", "Output Data Section".
Limits: what the database says of addresses is not told: it is a list that anyone may have, not evidence.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import CONTROLS, Handler, Signature, Stream
from indexer.model import Fact, Field
from indexer.timestamps import from_unix

_MARK: Final = b"\xab\xcd\xefMaxMind.com"
_TAIL: Final = 128 * 1024
_DEEPEST: Final = 8
_TOLD: Final = 200
_STRING, _MAP, _LIST, _TRUTH = 2, 7, 11, 14
_NUMBERS: Final = (5, 6, 8, 9, 10)


class MaxMind(Handler):
    name = "maxmind"
    media_types = ("application/vnd.maxmind.maxmind-db",)
    signatures = (Signature(b""),)
    suffixes = (".mmdb",)
    holds = CONTROLS
    fields: ClassVar[dict[str, str]] = {"maxmind.*": "a value of the description at its end, by its own name"}
    reads = "type, description, languages, time of building"
    rank = 60
    uses_name = True

    def claims(self, stream: Stream) -> str | None:
        # The mark stands anywhere in the last 128 KiB: only files that are called so are searched.
        mine = stream.suffix == ".mmdb" and _MARK in stream.at(max(0, stream.size - _TAIL), _TAIL)
        return self.media_types[0] if mine else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        tail = stream.at(max(0, stream.size - _TAIL), _TAIL)
        reader = _Values(tail[tail.rfind(_MARK) + len(_MARK) :])
        for name, value in reader.told("", 0):
            if name == "build_epoch" and isinstance(value, int):
                if stamp := from_unix("B", value, "maxmind.build_epoch"):
                    yield stamp
            elif name:
                yield Field(f"maxmind.{name}", value)


class _Values:
    """Values one after another, each with its type and size before it."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._count = 0

    def _take(self, size: int) -> bytes:
        if size > len(self._data) - self._at:
            raise EvidenceError("truncated", "the description breaks off")
        self._at += size
        return self._data[self._at - size : self._at]

    def told(self, name: str, depth: int) -> Iterator[tuple[str, str | int]]:
        """The next value with its name; those of maps and lists one by one.

        Raises:
            EvidenceError: where it is none.
        """
        self._count += 1
        if depth > _DEEPEST or self._count > _TOLD:
            raise EvidenceError("limit", f"more than {_TOLD} values, or nested deeper than {_DEEPEST}")
        control = self._take(1)[0]
        kind = control >> 5 or self._take(1)[0] + 7
        size = control & 31
        if size > 28:
            more = size - 28
            size = (0, 29, 285, 65821)[more] + int.from_bytes(self._take(more), "big")
        if kind == _MAP:
            for _ in range(size):
                key = next((str(value) for _, value in self.told("", depth + 1)), "")
                yield from self.told(f"{name}.{key}" if name else key, depth + 1)
        elif kind == _LIST:
            for _ in range(size):
                yield from self.told(name, depth + 1)
        elif kind == _STRING:
            yield name, self._take(size).decode("utf-8", "replace")
        elif kind in _NUMBERS:
            yield name, int.from_bytes(self._take(size), "big")
        elif kind == _TRUTH:
            yield name, size
        else:
            raise EvidenceError("corrupt", f"a value of unknown type {kind}")
