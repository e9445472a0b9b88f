"""ORC files: columns, number of rows, who wrote them, the least and the greatest value of every column.

Source: Apache ORC specification v1: file tail, footer, column statistics.
Limits: rows are not put together: strings are carved as they stand, which in a packed file are few; of every
column the least and the greatest value are told, as the foot of the file holds them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._orc import CODECS, Message, number, numbers, parts, read_message, text, unpack_chunks
from indexer.handlers._rows import one_line, passages
from indexer.handlers._runs import carve
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem

_FOOT: Final = 64 * MIB
_COLUMNS: Final = 10_000
_TYPES: Final = (
    *("boolean", "tinyint", "smallint", "int", "bigint", "float", "double", "string", "binary", "timestamp"),
    *("list", "map", "struct", "union", "decimal", "date", "varchar", "char", "timestamp with zone", "geometry"),
)
_WRITERS: Final = {0: "Java", 1: "C++", 2: "Presto", 3: "Go", 4: "Trino", 5: "CUDF"}


class OrcTable(Handler):
    name = "orc"
    media_types = ("application/vnd.apache.orc",)
    signatures = (Signature(b"ORC"),)
    suffixes = (".orc",)
    fields: ClassVar[dict[str, str]] = {
        "orc.rows": "number of rows",
        "orc.column": "name and type of a column",
        "orc.codec": "how the file is packed",
        "orc.writer": "program that wrote it",
        "orc.stripes": "parts that rows are kept in",
        "orc.meta.*": "any other value of the foot",
    }
    reads = "columns, number of rows, least and greatest values, who wrote it"
    needs = ("cramjam", "backports.zstd", "lz4", "brotli")
    rank = 45

    def claims(self, stream: Stream) -> str | None:
        tail = stream.at(stream.size - 256, 256) if stream.size > 256 else stream.head
        whole = tail[-4:-1] == b"ORC" or b"ORC" in tail[-30:]
        return self.media_types[0] if whole or not stream.head[:64].isascii() else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        size = stream.at(stream.size - 1, 1)[0]
        end = stream.size - 1 - size
        try:
            after = read_message(stream.at(end, size))
        except EvidenceError as error:
            raise EvidenceError("truncated", "the foot, which tells of all the rest, is not here") from error
        length, codec, block = number(after, 1), number(after, 2), number(after, 3)
        if text(after, 8000) != "ORC" or not 0 < length <= min(_FOOT, end):
            raise EvidenceError("truncated", "the foot, which tells of all the rest, is not here")
        yield Field("orc.codec", CODECS.get(codec, str(codec)))
        foot = read_message(unpack_chunks(stream.at(end - length, length), codec, min(block or _FOOT, _FOOT)))
        yield Field("orc.rows", number(foot, 6))
        yield Field("orc.stripes", len(parts(foot, 3)))
        writer = f"{_WRITERS.get(number(foot, 9), number(foot, 9))} {text(foot, 12)}".strip()
        yield Field("orc.writer", writer)
        for each in parts(foot, 5):
            held = read_message(each)
            yield Field(f"orc.meta.{text(held, 1)[:200]}", text(held, 2))
        types = [read_message(each) for each in parts(foot, 4)[:_COLUMNS]]
        names = _names(types)
        for place, name in sorted(names.items()):
            kind = number(types[place], 1)
            yield Field("orc.column", f"{name} {_TYPES[kind] if kind < len(_TYPES) else kind}")
        told = parts(foot, 7)
        rows = (_spread(names[place], read_message(told[place])) for place in sorted(names) if place < len(told))
        yield from passages((row for row in rows if row), "columns", heading="column\tvalues\tleast\tgreatest")
        yield from carve(stream)
        message = f"{number(foot, 6)} rows: the rows of ORC are not put together"
        yield Problem("unsupported", message, resolution="strings indexed")


def _names(types: list[Message]) -> dict[int, str]:
    """The names of columns by their place in the list of types, those inside others behind a dot."""
    found: dict[int, str] = {}
    waiting: list[tuple[int, str]] = [(0, "")]
    while waiting and len(found) < _COLUMNS:
        place, above = waiting.pop()
        if place >= len(types):
            continue
        own = [each.decode("utf-8", "replace") for each in parts(types[place], 3)]
        for index, child in enumerate(numbers(types[place], 2)):
            if child in found or child <= place:
                continue
            name = own[index] if index < len(own) else "item"
            found[child] = f"{above}.{name}" if above else name
            waiting.append((child, found[child]))
    return {place: name for place, name in found.items() if place < len(types)}


def _spread(name: str, told: Message) -> str:
    """The least and the greatest value of a column, where they are texts, numbers or days."""
    for key in (2, 4, 7):
        for each in parts(told, key):
            held = read_message(each)
            if key == 4:
                least, greatest = text(held, 1), text(held, 2)
            else:
                least, greatest = (str(_signed(number(held, one))) for one in (1, 2))
            return f"{name}\t{number(told, 1)}\t{one_line(least)}\t{one_line(greatest)}"
    return ""


def _signed(value: int) -> int:
    return value >> 1 ^ -(value & 1)
