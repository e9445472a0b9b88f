"""ORC files: rows, columns, who wrote them, the least and the greatest value of every column.

Source: Apache ORC specification v1: file tail, footer, column statistics, stripes.
Limits: LZO is not unpacked; encrypted columns are told as their masked values; a time without zone is told by the
clock its writer's zone had on 1 January 2015, without summer time; values nested deeper than 64, and rows behind
the ten millionth, are not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, zip_longest
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._orc import CODECS, Message, Packing, number, numbers, parts, read_message, text
from indexer.handlers._orc_stripe import STRUCT, Columns, Value, read_stripe
from indexer.handlers._rows import one_line, passages
from indexer.handlers._runs import carve
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem

_FOOT: Final = 64 * MIB
_COLUMNS: Final = 10_000
_ROWS: Final = 10_000_000
_TYPES: Final = (
    *("boolean", "tinyint", "smallint", "int", "bigint", "float", "double", "string", "binary", "timestamp"),
    *("list", "map", "struct", "union", "decimal", "date", "varchar", "char", "timestamp with zone", "geometry"),
    "geography",
)
_WRITERS: Final = {0: "Java", 1: "C++", 2: "Presto", 3: "Go", 4: "Trino", 5: "CUDF"}


class OrcTable(Handler):
    name = "orc"
    version = 2
    media_types = ("application/vnd.apache.orc",)
    signatures = (Signature(b"ORC"),)
    suffixes = (".orc",)
    fields: ClassVar[dict[str, str]] = {
        "orc.rows": "number of rows",
        "orc.column": "name and type of a column",
        "orc.codec": "how the file is packed",
        "orc.writer": "program that wrote it",
        "orc.stripes": "parts that rows are kept in",
        "orc.zone": "zone of the writer, by whose clock times without zone are told",
        "orc.meta.*": "any other value of the foot",
    }
    reads = "rows with the names of their columns, least and greatest values, who wrote it"
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
        packing = Packing(codec, block)
        yield Field("orc.codec", CODECS.get(codec, str(codec)))
        foot = read_message(packing.unpack_chunks(stream.at(end - length, length)))
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
        if parts(foot, 10):
            yield Problem("encrypted", "some columns are encrypted", resolution="told as their masked values")
        rows_of = _Rows(stream, types, packing)
        yield from rows_of.facts([read_message(each) for each in parts(foot, 3)])
        faults = rows_of.faults
        if rows_of.told < number(foot, 6) and not faults:
            faults = [Problem("truncated", f"{rows_of.told} of {number(foot, 6)} rows are here")]
        yield from faults
        if faults:
            yield from carve(stream)


class _Rows:
    def __init__(self, stream: Stream, types: list[Message], packing: Packing) -> None:
        self._stream = stream
        self._types = types
        self._packing = packing
        self.told = 0
        self.faults: list[Problem] = []

    def facts(self, stripes: list[Message]) -> Iterator[Fact]:
        """The rows of all stripes; `told` and `faults` say afterwards how far it went."""
        if not self._types:
            return
        outer = self._types[0]
        table = number(outer, 1) == STRUCT
        places = [place for place in numbers(outer, 2) if 0 < place < len(self._types)] if table else [0]
        names = [one_line(each.decode("utf-8", "replace")) for each in parts(outer, 3)] if table else ["value"]
        zones: set[str] = set()
        for about in stripes:
            try:
                stripe = read_stripe(self._stream, about, self._packing)
            except EvidenceError as error:
                self.faults.append(error.problem("", "these rows are left out"))
                continue
            if stripe.zone and stripe.zone not in zones:
                zones.add(stripe.zone)
                yield Field("orc.zone", stripe.zone[:200])
            columns = Columns(stripe, self._types, self._stream)
            cells = [self._cells(columns, place, name) for place, name in zip(places, names, strict=False)]
            rows = islice(zip_longest(*cells), min(stripe.rows, _ROWS - self.told))
            lines = ("\t".join(cell or "" for cell in row) for row in rows)
            yield from passages(lines, "rows", heading="\t".join(names), first=self.told + 1)
            self.told += stripe.rows
            if self.told > _ROWS:
                self.faults.append(Problem("limit", f"more than {_ROWS} rows", resolution="read up to there"))
                return

    def _cells(self, columns: Columns, place: int, name: str) -> Iterator[Value]:
        try:
            for value in columns.values(place):
                yield None if value is None else one_line(value)
        except EvidenceError as error:
            self.faults.append(Problem(error.cause, f"{name}: {error.message}", resolution="left out from there on"))


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
