"""Data sets of Stata: rows with the words that values stand for, labels, notes, when they were saved.

Source: StataCorp, "File formats .dta", for 102, 105, 108, 110 to 115 and 117 to 119.
Limits: formats beyond dates and times, business calendars among them. Until release 117 the encoding of texts is not
written in a file and is judged by the texts. Aliases of columns in other frames (releases 120 and 121) are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from itertools import islice, repeat
from typing import BinaryIO, ClassVar, Final, cast

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _stata
from indexer.handlers._flow import label
from indexer.handlers._rows import one_line, passages
from indexer.handlers._stata import Column, Long, Places, Reader
from indexer.handlers._streams import Slice
from indexer.handlers._survey import AT_ONCE, SAMPLE, Texts, with_label
from indexer.model import Child, Fact, Field, Problem, Text, Timestamp

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_STAMP: Final = re.compile(r" ?(\d{1,2}) ([a-z]{3}) (\d{4}) (\d\d):(\d\d)", re.IGNORECASE)
_NOTE: Final = re.compile(rb"note\d+")
_INLINE: Final = 32 * 1024
"""Bytes of a long text that stand in its row; a longer one is told whole behind the rows."""
_PIECE: Final = 64 * 1024


class Stata(Handler):
    name = "stata"
    media_types = ("application/x-stata-dta",)
    signatures = (
        Signature(_stata.NEW),
        *(Signature(bytes((release, order, 1))) for release in _stata.OLD for order in (1, 2)),
        Signature(bytes((102, 0, 1))),
    )
    suffixes = (".dta",)
    fields: ClassVar[dict[str, str]] = {
        "stata.release": "number of the file format",
        "stata.byte_order": "order of the bytes: little or big",
        "stata.label": "label of the data set",
        "stata.rows": "number of rows, by the head",
        "stata.column": "name of a column, with its label",
        "stata.codec": "encoding that the texts were read by",
    }
    reads = "rows with labels of values, columns, notes and characteristics, long texts, bytes in them, when saved"
    rank = 30
    container = True

    def claims(self, stream: Stream) -> str | None:
        head = stream.head
        if head.startswith(_stata.NEW):
            return self.media_types[0]
        release, start = head[0], 109 if head[0] >= 108 else 60 if head[0] == 105 else 42 if head[0] > 102 else 40
        if len(head) < start:
            return None
        count = int.from_bytes(head[4:6], "big" if head[1] == 1 else "little")
        kinds = head[start : start + count]
        sound = kinds and all(_stata.kind_of(release, kind) for kind in kinds)
        name = head[start + count : start + count + 1]
        return self.media_types[0] if sound and (not name or name.isalpha() or name == b"_" or name > b"\x7f") else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        reader = Reader(stream)
        yield Field("stata.release", reader.release)
        yield Field("stata.byte_order", reader.order)
        faults: list[EvidenceError] = []
        try:
            reader.describe()
        except EvidenceError as error:
            faults.append(error)
        behind = _Behind(reader) if not faults else None
        faults += behind.faults if behind else []
        texts = Texts(_sample(reader, behind), "utf-8" if reader.release >= 118 else "")
        yield from _saved(reader.stamp)
        if title := texts.read(reader.label):
            yield Field("stata.label", title)
        yield Field("stata.rows", reader.rows)
        names = [texts.read(column.name) for column in reader.columns]
        for name, column in zip(names, reader.columns, strict=True):
            yield Field("stata.column", name + label(texts.read(column.label), bracketed=True))
        yield Field("stata.codec", texts.codec)
        yield from passages(_remarks(reader, texts, notes=True), "notes")
        yield from passages(_remarks(reader, texts, notes=False), "characteristics")
        if behind and reader.start:
            table = _Table(reader, texts, behind)
            for name, held in table.sets.items():
                lines = (f"{code}\t{one_line(words)}" for code, words in held.items())
                yield from passages(lines, f"value labels {label(name)},")
            yield from passages(table.lines(), "rows", heading="\t".join(names))
            yield from _long(reader, texts, names)
            if table.told < reader.rows and reader.width:
                yield Problem("truncated", f"{table.told} of {reader.rows} rows are here", resolution="kept them")
        if texts.lossy:
            yield Problem("lossy-text", f"{texts.lossy} bytes are not {texts.codec}", resolution="shown as U+FFFD")
        yield from (Problem(fault.cause, fault.message, resolution="read up to there") for fault in faults)


class _Behind:
    """What stands behind the rows: where long values are, and labels of values."""

    def __init__(self, reader: Reader) -> None:
        self.places = Places()
        self.sets: list[tuple[bytes, dict[int, bytes]]] = []
        self.faults: list[EvidenceError] = []
        if reader.start + reader.rows * reader.width > reader.stream.size:
            return  # told with the rows
        try:
            for value in reader.long_values():
                if not self.places.add(value):
                    self.faults.append(EvidenceError("limit", "more long texts than can be found from their rows"))
                    return
            self.sets += reader.value_labels()
        except EvidenceError as error:
            self.faults.append(error)


def _sample(reader: Reader, behind: _Behind | None) -> Iterator[bytes]:
    """Names, labels, remarks, and the texts of the first rows and of some further on."""
    yield reader.label.partition(b"\0")[0]
    for column in reader.columns:
        yield column.name.partition(b"\0")[0]
        yield column.label.partition(b"\0")[0]
    left = SAMPLE
    for _, _, at, size in reader.remarks[:1000]:
        yield reader.stream.at(at, min(size, 1000)).partition(b"\0")[0]
    for _, held in behind.sets if behind else ():
        for text in held.values():
            left -= len(text)
            if left > 0:
                yield text.partition(b"\0")[0]
    if not (behind and reader.width):
        return
    with suppress(EvidenceError):  # it is told once the rows are
        for value in islice(reader.long_values(), 200):
            if value.is_text:
                yield reader.stream.at(value.at, min(value.size, 1000)).partition(b"\0")[0]
    there = min(reader.rows, (reader.stream.size - reader.start) // reader.width)
    step = max(1, SAMPLE // reader.width)
    for first in sorted({0, there // 3, there * 2 // 3, max(0, there - step)}):
        data = reader.stream.at(reader.start + first * reader.width, min(step, there - first) * reader.width)
        for row in range(0, len(data), reader.width):
            for column in reader.columns:
                if column.kind == "s":
                    at = row + column.offset
                    yield data[at : at + column.size].partition(b"\0")[0]


def _saved(stamp: bytes) -> Iterator[Timestamp]:
    match = _STAMP.match(stamp.decode("latin-1"))
    if match and match[2].lower() in _MONTHS:
        day, year, hour, minute = (int(match[part]) for part in (1, 3, 4, 5))
        try:
            at = datetime(year, _MONTHS.index(match[2].lower()) + 1, day, hour, minute, tzinfo=UTC)
        except ValueError:
            return  # 30 February: nothing was recorded
        yield Timestamp("M", at, "stata.timestamp", 60.0, zone_known=False)


def _remarks(reader: Reader, texts: Texts, *, notes: bool) -> Iterator[str]:
    """Notes and other characteristics; what the data set itself is told stands without a name."""
    for whose, name, at, size in reader.remarks:
        if name == b"note0" or (_NOTE.fullmatch(name) is not None) != notes:
            continue
        about = "" if whose == b"_dta" else texts.read(whose)
        value = one_line(texts.read(reader.stream.at(at, size)))
        if notes:
            yield f"{about}: {value}" if about else value
        else:
            yield f"{about or '_dta'}[{texts.read(name)}]\t{value}"


class _Table:
    """Rows as lines; counts what it told."""

    def __init__(self, reader: Reader, texts: Texts, behind: _Behind) -> None:
        self._reader, self._texts, self._places = reader, texts, behind.places
        self.told = 0
        self.sets: dict[str, dict[str, str]] = {}
        for name, held in behind.sets:
            shown = {_code(code, reader.release): texts.read(words) for code, words in held.items()}
            self.sets.setdefault(texts.read(name), {}).update(shown)
        self._labels = [self.sets.get(texts.read(column.labels)) for column in reader.columns]

    def lines(self) -> Iterator[str]:
        """Every row as one line."""
        reader = self._reader
        width = reader.width
        there = min(reader.rows, (reader.stream.size - reader.start) // width) if width else 0
        step = max(1, AT_ONCE // (width or 1))
        for first in range(0, there, step):
            data = reader.stream.at(reader.start + first * width, min(step, there - first) * width)
            for at in range(0, len(data) - width + 1, width):
                row = data[at : at + width]
                self.told += 1
                cells = map(self._cell, reader.columns, repeat(row), self._labels)
                yield "\t".join(cells).rstrip("\t")

    def _cell(self, column: Column, row: bytes, labels: dict[str, str] | None) -> str:
        raw = row[column.offset : column.offset + column.size]
        if column.kind == "s":
            return one_line(self._texts.read(raw))
        if column.kind == "L":
            return self._long(raw)
        value = _stata.unpack(column.kind, raw, self._reader.order, self._reader.release)
        return with_label(value if isinstance(value, str) else _stata.show(value, column.kind, column.format), labels)

    def _long(self, raw: bytes) -> str:
        reader = self._reader
        split = {117: 4, 118: 2, 119: 3}[reader.release]
        number, row = int.from_bytes(raw[:split], reader.order), int.from_bytes(raw[split:], reader.order)
        found = self._places.find(number, row) if row else None
        if found is None:
            return ""
        at, size, is_text = found
        if not is_text:
            return f"[{size} bytes]"
        text = one_line(self._texts.read(_piece(reader.stream, at, size, _INLINE)))
        return text if size <= _INLINE else f"{text} [cut: {size} bytes in all]"


def _code(code: int, release: int) -> str:
    """A code as its cell shows it."""
    highest = 2147483620
    return f".{chr(96 + code - highest - 1)}" if release >= 113 and 1 < code - highest <= 27 else str(code)


def _long(reader: Reader, texts: Texts, names: list[str]) -> Iterator[Fact]:
    """Texts that are too long for their row, and bytes: a data set may hold whole files."""
    try:
        for value in reader.long_values():
            name = names[value.column - 1] if 1 <= value.column <= len(names) else str(value.column)
            place = f"row {value.row}, {label(name)}"
            if not value.is_text:
                yield _child(reader.stream, value, place)
            elif value.size > _INLINE:
                at = 0
                while data := _piece(reader.stream, value.at + at, value.size - at, _PIECE):
                    yield Text(texts.read(data), f"{place}, from byte {at}" if at else place)
                    at += len(data)
    except EvidenceError:
        return  # the fault is known since they were first walked


def _piece(stream: Stream, at: int, size: int, most: int) -> bytes:
    """The bytes up to an end of a word, so that no character of any encoding is cut."""
    data = stream.at(at, min(size, most))
    return data if size <= most else data[: max(data.rfind(b" "), data.rfind(b"\n")) + 1] or data


def _child(stream: Stream, value: Long, place: str) -> Child:
    raw = f"{value.column}.{value.row}".encode()
    return Child(place, raw, partial(_open, stream, value))


def _open(stream: Stream, value: Long) -> BinaryIO:
    return cast(BinaryIO, Slice(stream, value.at, value.size))
