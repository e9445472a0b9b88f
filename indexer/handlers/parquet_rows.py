"""Parquet files: rows, columns, who wrote them; the values of lists by their columns.

Source: Apache Parquet format 2.11: file layout, metadata, logical types.
Limits: values written as deltas (encodings 5, 6, 7), as split bytes (9), by lzo or Hadoop's LZ4, and encrypted
columns are named, not read; decimals are the numbers as stored; more than two million rows of one group, and
columns of lists or in lists, are told by column.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, zip_longest
from typing import Any, ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._parquet import CODECS, Column, Piece, read_values
from indexer.handlers._rows import one_line, passages
from indexer.handlers._thrift import Compact
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem

_MAGIC: Final = b"PAR1"
_FOOT: Final = 256 * MIB
_CELLS: Final = 2_000_000
_COLUMNS: Final = 10_000
_TYPES: Final = ("boolean", "int32", "int64", "int96", "float", "double", "bytes", "fixed bytes")


class ParquetRows(Handler):
    name = "parquet"
    media_types = ("application/vnd.apache.parquet",)
    signatures = (Signature(_MAGIC), Signature(b"PARE"))
    suffixes = (".parquet",)
    fields: ClassVar[dict[str, str]] = {
        "parquet.rows": "number of rows, by the end of the file",
        "parquet.column": "name and type of a column",
        "parquet.codec": "how pages are packed",
        "parquet.created_by": "program that wrote it",
        "parquet.meta.*": "any other value of the end of the file",
    }
    reads = "rows with the names of their columns, types, the program that wrote them"
    needs = ("cramjam", "backports.zstd", "brotli", "lz4")
    rank = 40

    def read(self, stream: Stream) -> Iterator[Fact]:
        if stream.head.startswith(b"PARE"):
            raise EvidenceError("encrypted", "the end of the file is encrypted")
        tail = stream.at(stream.size - 8, 8)
        size = int.from_bytes(tail[:4], "little")
        if tail[4:] != _MAGIC or not 0 < size <= min(_FOOT, stream.size - 12):
            raise EvidenceError("truncated", "the end of the file, which tells of all the rest, is not here")
        about = Compact(stream.at(stream.size - 8 - size, size)).struct()
        yield Field("parquet.rows", about.get(3, 0) if isinstance(about.get(3), int) else 0)
        if isinstance(made := about.get(6), bytes):
            yield Field("parquet.created_by", made.decode("utf-8", "replace"))
        for each in _maps(about.get(5)):
            key, value = each.get(1, b""), each.get(2, b"")
            if isinstance(key, bytes) and isinstance(value, bytes) and key != b"ARROW:schema":
                yield Field(f"parquet.meta.{key.decode('utf-8', 'replace')}", value.decode("utf-8", "replace"))
        columns = _columns(_maps(about.get(2)))
        for column in columns[:_COLUMNS]:
            yield Field("parquet.column", f"{column.name} {_TYPES[column.kind]}")
        done = 0
        told: set[str] = set()
        for group in _maps(about.get(4)):
            pieces = [_piece(_part(each)) for each in _maps(group.get(1))]
            for piece in pieces:
                if (codec := CODECS.get(piece.codec, "?")) not in told:
                    told.add(codec)
                    yield Field("parquet.codec", codec)
            count = group.get(3)
            rows = count if isinstance(count, int) else 0
            yield from _group(stream, columns, pieces, done, rows)
            done += rows


def _group(stream: Stream, columns: list[Column], pieces: list[Piece], done: int, rows: int) -> Iterator[Fact]:
    """One group of rows: as rows where all columns have one value each, else by column."""
    faults: list[Problem] = []
    flat = [pair for pair in zip(columns, pieces, strict=False) if not pair[0].repeats]
    lists = [pair for pair in zip(columns, pieces, strict=False) if pair[0].repeats]
    if rows > _CELLS:
        flat, lists = [], flat + lists
    if flat:
        readers = [_cells(stream, column, piece, faults) for column, piece in flat]
        heading = "\t".join(column.name for column, _ in flat)
        yield from passages(_lines(readers, rows), "rows", heading=heading, first=done + 1)
    for column, piece in lists:
        values = (cell for cell in _cells(stream, column, piece, faults) if cell)
        yield from passages(values, f"column {column.name}, from row {done + 1}, values")
    yield from faults


def _lines(readers: list[Iterator[str | None]], rows: int) -> Iterator[str]:
    for cells in islice(zip_longest(*readers), rows):
        yield "\t".join(cell or "" for cell in cells)


def _cells(stream: Stream, column: Column, piece: Piece, faults: list[Problem]) -> Iterator[str | None]:
    try:
        for value in read_values(stream, column, piece):
            yield None if value is None else one_line(value)
    except EvidenceError as error:
        faults.append(Problem(error.cause, f"{column.name}: {error.message}", resolution="left out from there on"))


def _columns(schema: list[dict[int, Any]]) -> list[Column]:
    """The leaves of the schema, in the order in which groups hold them."""
    found: list[Column] = []
    above: list[list[Any]] = []  # the groups around: name, children left, nulls, repeats
    for number, each in enumerate(schema):
        raw, children = each.get(4, b""), each.get(5, 0)
        name = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else ""
        nulls = (above[-1][2] if above else 0) + (each.get(3) in (1, 2) and number > 0)
        repeats = (above[-1][3] if above else 0) + (each.get(3) == 2)
        if above:
            above[-1][1] -= 1
        if isinstance(children, int) and children > 0:
            above.append([name if number else "", children, nulls, repeats])
        elif number:
            path = ".".join([group[0] for group in above if group[0]] + [name])
            kind = each.get(1)
            if not isinstance(kind, int) or not 0 <= kind < len(_TYPES):
                raise EvidenceError("corrupt", f"a column of unknown type: {path}")
            size, converted, logical = each.get(2), each.get(6), each.get(10)
            found.append(
                Column(
                    path,
                    kind,
                    size if isinstance(size, int) else 0,
                    converted if isinstance(converted, int) else -1,
                    logical if isinstance(logical, dict) else {},
                    nulls,
                    repeats,
                )
            )
        while above and above[-1][1] <= 0:
            above.pop()
    return found


def _piece(about: dict[int, Any]) -> Piece:
    """Where a column's pages stand: its dictionary first, where it has one."""
    numbers = {key: value for key, value in about.items() if isinstance(value, int)}
    starts = [numbers[key] for key in (9, 11) if numbers.get(key, 0) > 0]
    return Piece(numbers.get(4, 0), numbers.get(5, 0), min(starts, default=0), numbers.get(7, 0))


def _part(chunk: dict[int, Any]) -> dict[int, Any]:
    held = chunk.get(3)
    return held if isinstance(held, dict) else {}


def _maps(value: Any) -> list[dict[int, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
