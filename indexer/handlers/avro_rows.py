"""Avro data files: rows by their own schema, the schema, who wrote it.

Source: Apache Avro 1.12 specification: schema, binary encoding, object container files, logical types.
Limits: values nested deeper than 64 are not read; decimals are told in hex; a file over its block of 256 MiB is told.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._column_codecs import MOST, unpack
from indexer.handlers._rows import one_line, passages
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Text

_HEAD: Final = 16 * MIB
_DEEPEST: Final = 64
_SHOWN: Final = 32
_ITEMS: Final = 1_000_000
_MICRO: Final = {"timestamp-millis": 1000, "timestamp-micros": 1, "local-timestamp-millis": 1000}


class AvroRows(Handler):
    name = "avro"
    media_types = ("application/avro", "application/vnd.apache.avro")
    signatures = (Signature(b"Obj\x01"),)
    suffixes = (".avro",)
    fields: ClassVar[dict[str, str]] = {
        "avro.codec": "how blocks are packed",
        "avro.schema": "name of the schema of a row",
        "avro.column": "name of a column",
        "avro.rows": "number of rows that were read",
        "avro.meta.*": "any other value of the head",
    }
    reads = "rows with the names of their columns, the schema"
    needs = ("cramjam", "backports.zstd")
    rank = 40

    def read(self, stream: Stream) -> Iterator[Fact]:
        head = _Bytes(stream.at(0, min(stream.size, _HEAD)), 4)
        meta: dict[str, bytes] = {}
        while count := head.long():
            if count < 0:
                head.long()
            for _ in range(abs(count)):
                key = head.text()[:200]
                meta[key] = head.bytes()
        sync = head.take(16)
        codec = meta.pop("avro.codec", b"null").decode("ascii", "replace")
        yield Field("avro.codec", codec)
        raw = meta.pop("avro.schema", b"")
        for key, value in meta.items():
            yield Field(f"avro.meta.{key}", value.decode("utf-8", "replace"))
        yield Text(raw.decode("utf-8", "replace"), "schema")
        try:
            schema = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise EvidenceError("corrupt", "the schema is no JSON") from error
        columns: list[str] = []
        if isinstance(schema, dict):
            columns = [str(each.get("name")) for each in _fields_of(schema)]
            yield Field("avro.schema", f"{schema.get('namespace', '')}.{schema.get('name', '')}".strip("."))
            yield from (Field("avro.column", column) for column in columns)
        rows = _Rows(stream, head.at, sync, codec, schema)
        yield from passages(rows.lines(), "rows", heading="\t".join(columns))
        yield Field("avro.rows", rows.count)
        if rows.fault:
            yield rows.fault


def _fields_of(schema: dict[str, Any]) -> list[dict[str, Any]]:
    fields = schema.get("fields")
    return [each for each in fields if isinstance(each, dict)] if isinstance(fields, list) else []


class _Bytes:
    """Avro's binary encoding."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data = data
        self.at = at

    @property
    def left(self) -> int:
        return len(self._data) - self.at

    def take(self, length: int) -> bytes:
        if not 0 <= length <= self.left:
            raise EvidenceError("truncated", f"{length} bytes are not there at {self.at}")
        self.at += length
        return self._data[self.at - length : self.at]

    def long(self) -> int:
        if self.at < len(self._data) and (byte := self._data[self.at]) < 0x80:
            self.at += 1
            return byte >> 1 ^ -(byte & 1)
        value = shift = 0
        while shift < 70:
            if self.at >= len(self._data):
                raise EvidenceError("truncated", f"a number breaks off at {self.at}")
            byte = self._data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value >> 1 ^ -(value & 1)
            shift += 7
        raise EvidenceError("corrupt", f"a number without end at {self.at}")

    def bytes(self) -> bytes:
        return self.take(self.long())

    def text(self) -> str:
        return self.bytes().decode("utf-8", "replace")


class _Rows:
    def __init__(self, stream: Stream, at: int, sync: bytes, codec: str, schema: Any) -> None:
        self._stream = stream
        self._at = at
        self._sync = sync
        self._codec = codec
        self._schema = schema
        self._named: dict[str, Any] = {}
        self.count = 0
        self.fault: Problem | None = None

    def lines(self) -> Iterator[str]:
        """Every row as one line; `fault` says afterwards what ended them."""
        try:
            self._learn(self._schema)
            for count, data in self._blocks():
                for _ in range(count):
                    yield self._line(data)
                    self.count += 1
        except EvidenceError as error:
            self.fault = error.problem("", "read up to there")

    def _learn(self, schema: Any) -> None:
        """Remembers the types that have names; those of the outermost level come first."""
        waiting = [schema]
        for _ in range(100_000):
            if not waiting:
                return
            each = waiting.pop(0)
            if isinstance(each, list):
                waiting += each
            elif isinstance(each, dict):
                if isinstance(name := each.get("name"), str) and each.get("type") in ("record", "enum", "fixed"):
                    self._named.setdefault(name, each)
                    self._named.setdefault(f"{each.get('namespace', '')}.{name}", each)
                waiting += _fields_of(each)
                waiting += [each[key] for key in ("type", "items", "values") if isinstance(each.get(key), dict | list)]

    def _blocks(self) -> Iterator[tuple[int, _Bytes]]:
        while self._at < self._stream.size:
            head = _Bytes(self._stream.at(self._at, 20))
            count, size = head.long(), head.long()
            if count < 0 or not 0 <= size <= MOST:
                raise EvidenceError("corrupt", f"a block of {count} rows in {size} bytes at {self._at}")
            data = self._stream.at(self._at + head.at, size)
            if len(data) < size:
                raise EvidenceError("truncated", f"the block at {self._at} breaks off")
            packed = data[:-4] if self._codec == "snappy" else data
            held = unpack(self._codec, packed)
            if count > max(len(held), 1) * 8:
                raise EvidenceError("corrupt", f"{count} rows in {len(held)} bytes")
            yield count, _Bytes(held)
            self._at += head.at + size + 16
            if self._stream.at(self._at - 16, 16) != self._sync:
                raise EvidenceError("corrupt", f"the mark behind the block at {self._at} is not the file's")

    def _line(self, data: _Bytes) -> str:
        schema = self._schema
        if isinstance(schema, dict) and schema.get("type") == "record":
            return "\t".join(one_line(self._show(data, each.get("type"), 1)) for each in _fields_of(schema))
        return one_line(self._show(data, schema, 0))

    def _show(self, data: _Bytes, schema: Any, depth: int) -> str:
        """The next value by its type, as text."""
        if depth > _DEEPEST:
            raise EvidenceError("limit", f"values nested deeper than {_DEEPEST}")
        if isinstance(schema, list):
            number = data.long()
            if not 0 <= number < len(schema):
                raise EvidenceError("corrupt", f"a union has no type {number}")
            return self._show(data, schema[number], depth + 1)
        about = schema if isinstance(schema, dict) else {}
        kind = about.get("type") if about else schema
        if isinstance(kind, str) and kind in _PLAIN:
            return _plain(data, kind, str(about.get("logicalType", "")))
        if kind == "record":
            parts = _fields_of(about)
            return (
                "{" + ", ".join(f"{p.get('name')}: {self._show(data, p.get('type'), depth + 1)}" for p in parts) + "}"
            )
        if kind == "enum":
            number, symbols = data.long(), about.get("symbols")
            known = isinstance(symbols, list) and 0 <= number < len(symbols)
            return str(symbols[number]) if known and isinstance(symbols, list) else str(number)
        if kind == "fixed":
            size = about.get("size")
            return _hex(data.take(size if isinstance(size, int) else 0))
        if kind in ("array", "map"):
            return self._many(data, about, depth, named=kind == "map")
        if isinstance(kind, str) and kind in self._named:
            return self._show(data, self._named[kind], depth + 1)
        if isinstance(kind, dict | list):
            return self._show(data, kind, depth + 1)
        raise EvidenceError("corrupt", f"a type that the schema does not tell: {str(kind)[:60]}")

    def _many(self, data: _Bytes, about: dict[str, Any], depth: int, *, named: bool) -> str:
        found: list[str] = []
        while count := data.long():
            if count < 0:
                count = -count
                data.long()
            if len(found) + count > _ITEMS:
                raise EvidenceError("limit", f"a list of more than {_ITEMS} values")
            for _ in range(count):
                key = f"{data.text()}: " if named else ""
                found.append(key + self._show(data, about.get("values" if named else "items"), depth + 1))
        return f"[{', '.join(found)}]"


_PLAIN: Final = frozenset(("null", "boolean", "int", "long", "float", "double", "bytes", "string"))


def _plain(data: _Bytes, kind: str, logical: str) -> str:
    if kind == "string":
        return data.text()
    if kind == "null":
        return ""
    if kind == "boolean":
        return "true" if data.take(1) != b"\0" else "false"
    if kind in ("int", "long"):
        return _number(data.long(), logical)
    if kind == "bytes":
        return _hex(data.bytes())
    size, form = (4, "<f") if kind == "float" else (8, "<d")
    return f"{struct.unpack(form, data.take(size))[0]:g}"


def _number(value: int, logical: str) -> str:
    try:
        if logical == "date":
            return (date(1970, 1, 1) + timedelta(days=value)).isoformat()
        if "timestamp" in logical:
            at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=value * _MICRO.get(logical, 1))
            return f"{at:%Y-%m-%d %H:%M:%S.%f}" + ("" if logical.startswith("local") else "Z")
    except OverflowError:
        pass  # no calendar has it: the number itself is told
    return str(value)


def _hex(data: bytes) -> str:
    try:
        return data.decode() if data.isascii() and data.decode().isprintable() else _digits(data)
    except UnicodeDecodeError:
        return _digits(data)


def _digits(data: bytes) -> str:
    return f"0x{data.hex()}" if len(data) <= _SHOWN else f"[{len(data)} bytes: 0x{data[:8].hex()}...]"
