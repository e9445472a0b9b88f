"""Snapshots (RDB) and logs (AOF) of Redis: keys with their values and when they expire, what the server says.

Source: Redis 7 sources, rdb.h and rdb.c (versions 1 to 12); Redis documentation, "Redis serialization protocol".
Limits: values that Redis packs into one string (small lists, sets, hashes) are told by the words in them; streams
and values of modules end the reading of a snapshot.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._redis import Cursor
from indexer.handlers._rows import one_line, passages
from indexer.model import Fact, Field, Problem
from indexer.timestamps import from_unix

_COMMAND: Final = re.compile(rb"(?:#TS:\d+\r\n)?\*([1-9]\d{0,6})\r\n\$(\d{1,2})\r\n[A-Za-z]+\r\n")
_AUX, _SIZES, _MILLISECONDS, _SECONDS, _DATABASE, _END = 0xFA, 0xFB, 0xFC, 0xFD, 0xFE, 0xFF
_FREQUENCY, _IDLE, _FUNCTION = 0xF9, 0xF8, 0xF5
_KINDS: Final = {
    0: "string", 1: "list", 2: "set", 3: "sorted set", 4: "hash", 5: "sorted set", 9: "hash", 10: "list", 11: "set",
    12: "sorted set", 13: "hash", 14: "list", 16: "hash", 17: "sorted set", 18: "list", 20: "set",
}  # fmt: skip
_PACKED: Final = frozenset((9, 10, 11, 12, 13, 16, 17, 20))
_WORDS: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f\ufffd]{2,}")
_LONGEST: Final = 1 << 20
_PARTS: Final = 10_000


class RedisStore(Handler):
    name = "redis"
    media_types = ("application/x-redis-rdb", "application/x-redis-aof")
    signatures = (Signature(b"REDIS00"), Signature(b"*"), Signature(b"#TS:"))
    suffixes = (".rdb", ".aof")
    fields: ClassVar[dict[str, str]] = {
        "redis.version": "version of the layout",
        "redis.keys": "keys that were read, or commands of a log",
        "redis.aux.*": "what the server says of itself: version, memory",
    }
    reads = "keys, values, times at which they expire; commands of a log; version and time of the snapshot"
    rank = 46

    def claims(self, stream: Stream) -> str | None:
        head = stream.head
        if head.startswith(b"REDIS"):
            return self.media_types[0] if head[5:9].isdigit() else None
        return self.media_types[1] if _COMMAND.match(head) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        store = _Store(stream)
        if stream.head.startswith(b"REDIS"):
            yield Field("redis.version", int(stream.head[5:9]))
            yield from store.head()
            yield from passages(store.keys(), "keys", heading="database\tkind\tkey\texpires\tvalue")
        if not store.fault and store.cursor.at < stream.size:
            yield from passages(store.commands(), "commands")
        yield Field("redis.keys", store.count)
        if store.fault:
            yield store.fault


class _Store:
    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.cursor = Cursor(stream, 9 if stream.head.startswith(b"REDIS") else 0)
        self.count = 0
        self.fault: Problem | None = None

    def head(self) -> Iterator[Fact]:
        """What the server says of itself."""
        try:
            while self._stream.at(self.cursor.at, 1) == bytes([_AUX]):
                self.cursor.take(1)
                key, value = self.cursor.string(), self.cursor.string()
                name, text = key[:200].decode("utf-8", "replace"), value.decode("utf-8", "replace")
                if name == "ctime" and text.isdigit() and (stamp := from_unix("B", int(text[:12]), "redis.ctime")):
                    yield stamp
                else:
                    yield Field(f"redis.aux.{name}", text)
        except EvidenceError as error:
            self.fault = error.problem("", "read up to there")

    def keys(self) -> Iterator[str]:
        """A line for every key; `fault` says afterwards what ended them."""
        database, expires = 0, ""
        cursor = self.cursor
        try:
            while not self.fault:
                kind = cursor.take(1)[0]
                if kind == _END:
                    cursor.take(min(8, self._stream.size - cursor.at))
                    return
                if kind in (_AUX, _FUNCTION):
                    cursor.string()
                    if kind == _AUX:
                        cursor.string()
                elif kind == _DATABASE:
                    database = cursor.count()
                elif kind == _SIZES:
                    cursor.count(), cursor.count()
                elif kind in (_SECONDS, _MILLISECONDS):
                    size = 4 if kind == _SECONDS else 8
                    number = int.from_bytes(cursor.take(size), "little") / (1 if size == 4 else 1000)
                    stamp = from_unix("", number, "")
                    expires = f"{stamp.at:%Y-%m-%d %H:%M:%S}Z" if stamp else str(number)
                elif kind == _FREQUENCY:
                    cursor.take(1)
                elif kind == _IDLE:
                    cursor.count()
                elif kind in _KINDS:
                    key = _show(cursor.string())
                    value = _value(cursor, kind)
                    self.count += 1
                    yield f"{database}\t{_KINDS[kind]}\t{one_line(key)}\t{expires}\t{one_line(value)}"
                    expires = ""
                else:
                    raise EvidenceError("unsupported", f"a value of kind {kind} at {cursor.at - 1}")
        except EvidenceError as error:
            self.fault = error.problem("", "read up to there")

    def commands(self) -> Iterator[str]:
        """A line for every command of a log."""
        cursor = self.cursor
        try:
            while cursor.at < self._stream.size:
                line = self._line()
                if line.startswith(b"#"):
                    yield line.decode("utf-8", "replace")
                    continue
                if line[:1] != b"*" or not line[1:].isdigit() or len(line) > 8:
                    raise EvidenceError("corrupt", f"no command begins before {cursor.at}")
                words = []
                for _ in range(int(line[1:])):
                    size = self._line()
                    if size[:1] != b"$" or not size[1:].isdigit() or len(size) > 12:
                        raise EvidenceError("corrupt", f"no word begins before {cursor.at}")
                    words.append(_show(cursor.take(int(size[1:]))))
                    cursor.take(2)
                self.count += 1
                yield one_line(" ".join(words))
        except EvidenceError as error:
            self.fault = error.problem("", "read up to there")

    def _line(self) -> bytes:
        line = self._stream.at(self.cursor.at, 128).partition(b"\r\n")[0]
        self.cursor.take(len(line) + 2)
        return line


def _value(cursor: Cursor, kind: int) -> str:
    if kind == 0 or kind in _PACKED:
        return _show(cursor.string(), packed=kind in _PACKED)
    told: list[str] = []
    for number in range(cursor.count()):
        parts = [cursor.string()] if kind != 18 else []
        if kind == 3:
            size = cursor.take(1)[0]
            parts.append(cursor.take(size) if size < 253 else b"")
        elif kind == 4:
            parts.append(cursor.string())
        elif kind == 5:
            parts.append(f"{struct.unpack('<d', cursor.take(8))[0]:g}".encode())
        elif kind == 18:
            plain = cursor.count() == 1
            held = cursor.string()
            parts.append(held)
            if number < _PARTS:
                told.append(_show(held, packed=not plain))
            continue
        if number < _PARTS:
            told.append(" = ".join(_show(part, packed=kind == 14) for part in parts))
    return ", ".join(told)


def _show(data: bytes, *, packed: bool = False) -> str:
    """Bytes as text; the words in them where they are none."""
    if not packed:
        try:
            return data.decode()
        except UnicodeDecodeError:
            pass  # no text as a whole: the words in it are looked for
    return " ".join(_WORDS.findall(data[:_LONGEST].decode("utf-8", "replace")))
