"""Data sets of SAS: rows with their columns' names, labels, times, the system that wrote them.

Source: "SAS7BDAT Database Binary Format" (M. Shotwell and C. Cummins).
Limits: rows packed by Ross data compression; deleted rows; formats beyond dates and times; catalogues and views.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from typing import ClassVar

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._flow import label
from indexer.handlers._sas import Column, Reader, moment, show_value
from indexer.model import Fact, Field, Problem, Text, Timestamp

_MAGIC = bytes(12) + bytes.fromhex("c2ea8160b31411cfbd92080009c7318c181f1011")
_PIECE = 64 * 1024


class SasTable(Handler):
    name = "sas"
    media_types = ("application/x-sas-data",)
    signatures = (Signature(_MAGIC),)
    suffixes = (".sas7bdat",)
    fields: ClassVar[Mapping[str, str]] = {
        "sas.name": "name of the data set",
        "sas.rows": "rows",
        "sas.column": "name of a column, with its label",
        "sas.codec": "encoding of the texts",
        "sas.byte_order": "order of the bytes: little or big",
        "sas.bits": "width of the numbers that the system counted with",
        "sas.release": "release of the program",
        "sas.system": "system that it ran on",
        "sas.packing": "how the rows are packed",
    }
    reads = "rows and columns, labels, times, release and system"
    rank = 30

    def read(self, stream: Stream) -> Iterator[Fact]:
        reader = Reader(stream)
        held = reader.set
        for kind, seconds, origin in (("B", held.created, "sas.created"), ("M", held.modified, "sas.modified")):
            if at := moment(seconds):
                yield Timestamp(kind, at, origin, zone_known=False)
        lines: list[str] = []
        size, first, number = 0, 1, 0
        fault: EvidenceError | None = None
        try:
            for number, row in enumerate(reader.rows(), 1):
                if number == 1:
                    lines.append("\t".join(column.name for column in held.columns))
                    if any(column.label for column in held.columns):
                        lines.append("\t".join(column.label for column in held.columns))
                lines.append("\t".join(_cell(column, row, held.codec, held.byte_order) for column in held.columns))
                size += len(lines[-1])
                if size > _PIECE:
                    yield Text("\n".join(lines), f"rows {first}-{number}")
                    lines, size, first = [], 0, number + 1
        except EvidenceError as error:
            fault = error
        if lines:
            yield Text("\n".join(lines), f"rows {first}-{number}")
        yield from _describe(reader)
        if fault:
            yield Problem(fault.cause, fault.message, resolution="read up to there")
        elif held.missing and number >= held.rows:
            yield Problem("truncated", f"{held.missing} pages are not there", resolution="kept the rest")
        elif number < held.rows:
            yield Problem(
                "truncated", f"{held.rows - number} of {held.rows} rows are not there", resolution="kept the rest"
            )


def _describe(reader: Reader) -> Iterator[Field]:
    held = reader.set
    values = (("name", held.name), ("release", held.release), ("system", held.system), ("packing", held.packed))
    yield from (Field(f"sas.{name}", value) for name, value in values if value)
    yield Field("sas.rows", held.rows)
    yield Field("sas.codec", held.codec)
    yield Field("sas.byte_order", held.byte_order)
    yield Field("sas.bits", held.bits)
    for column in held.columns[:1000]:
        yield Field("sas.column", column.name + label(column.label, bracketed=True))


def _cell(column: Column, row: bytes, codec: str, order: str) -> str:
    """A text, a number, or a number that is a day or a time."""
    data = row[column.offset : column.offset + column.size]
    if column.is_text:
        return " ".join(data.decode(codec, "replace").strip(" \0").split("\t"))
    if not 3 <= len(data) <= 8:
        return ""
    padded = data.rjust(8, b"\0") if order == "little" else data.ljust(8, b"\0")
    (value,) = struct.unpack("<d" if order == "little" else ">d", padded)
    if math.isnan(value) or math.isinf(value):
        return ""
    return show_value(value, column.format)
