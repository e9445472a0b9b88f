"""Transport files of SAS: every data set's rows, columns with labels and formats, times, system.

Source: SAS technical papers "Record Layout of a SAS Version 5 or 6 Data Set in SAS Transport (XPORT) Format" and
"Record Layout for a SAS Version 8 or 9 Data Set in SAS Transport Format".
Limits: files of PROC CPORT; formats beyond dates and times. Years have two digits: 69 to 99 are read as of the
last century. The encoding of texts is not written in a file and is judged by the texts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import ClassVar, Final, NamedTuple

from indexer.decoding import decode_as
from indexer.detection import detect
from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._flow import label
from indexer.handlers._rows import one_line, passages
from indexer.handlers._sas import show_value
from indexer.model import Fact, Field, Problem, Timestamp

_HEADER: Final = b"HEADER RECORD*******"
_LIBRARIES: Final = (_HEADER + b"LIBRARY HEADER RECORD!!!!!!!", _HEADER + b"LIBV8   HEADER RECORD!!!!!!!")
_MEMBER: Final = _HEADER + b"MEMB"
_RECORD: Final = 80
_CHUNK: Final = _RECORD * 8192
_SAMPLE: Final = 64 * 1024
_SAMPLED: Final = 64
"""Data sets whose texts are asked for the encoding."""
_MOST_COLUMNS: Final = 32_767
_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_TIME: Final = re.compile(r"(\d\d)([A-Z]{3})(\d\d):(\d\d):(\d\d):(\d\d)")
_SPECIAL: Final = b"._ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class _Column(NamedTuple):
    name: bytes
    label: bytes
    format: bytes
    offset: int
    size: int
    is_text: bool


class _Set(NamedTuple):
    """A data set: its head, its columns, where its rows lie and how many there are at most."""

    name: bytes
    title: bytes
    release: bytes
    system: bytes
    created: bytes
    modified: bytes
    columns: list[_Column]
    start: int
    end: int
    declared: int | None


class SasTransport(Handler):
    name = "sas-transport"
    media_types = ("application/x-sas-xport",)
    signatures = tuple(Signature(magic) for magic in _LIBRARIES)
    suffixes = (".xpt", ".xport", ".v8xpt", ".stx")
    fields: ClassVar[Mapping[str, str]] = {
        "sas.name": "name of a data set",
        "sas.label": "label of a data set",
        "sas.rows": "rows of a data set",
        "sas.column": "name of a column, with its label",
        "sas.codec": "encoding that the texts were read by",
        "sas.release": "release of the program",
        "sas.system": "system that it ran on",
    }
    reads = "rows and columns of every data set, labels, times, release and system"
    rank = 30

    def read(self, stream: Stream) -> Iterator[Fact]:
        head = stream.at(0, 3 * _RECORD)
        if len(head) < 3 * _RECORD:
            raise EvidenceError("truncated", "the header is not whole")
        yield from _stamps(head[144:160], head[160:176], "sas.library")
        for name, value in (("release", head[104:112]), ("system", head[112:120])):
            if text := _plain(value):
                yield Field(f"sas.{name}", text)
        sets: list[_Set] = []
        fault: EvidenceError | None = None
        try:
            for held in _sets(stream):
                sets.append(held)
        except EvidenceError as error:
            fault = error
        codec = _guess(stream, sets)
        if sets:
            yield Field("sas.codec", codec)
        for held in sets:
            yield from _tell(stream, held, codec)
        if stream.size % _RECORD:
            yield Problem("truncated", "the last record is not whole", resolution="kept the rest")
        if fault:
            yield Problem(fault.cause, fault.message, resolution="read up to there")
        elif not sets:
            yield Problem("truncated", "no data set", resolution="kept the header")


def _plain(data: bytes) -> str:
    return data.decode("latin-1").strip(" \0")


def _stamps(created: bytes, modified: bytes, origin: str) -> Iterator[Timestamp]:
    for kind, text in (("B", created), ("M", modified)):
        match = _TIME.fullmatch(text.decode("latin-1"))
        if not match or match[2] not in _MONTHS:
            continue
        year = int(match[3]) + (1900 if match[3] >= "69" else 2000)
        month, day, (hour, minute, second) = _MONTHS.index(match[2]) + 1, int(match[1]), map(int, match.groups()[3:])
        try:
            at = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        except ValueError:
            continue
        yield Timestamp(kind, at, f"{origin}.{'created' if kind == 'B' else 'modified'}", zone_known=False)


def _number(data: bytes) -> int:
    """The digits that a header record counts with, blanks before and after them left out."""
    digits = data.split()[0] if data.split() else b""
    return int(digits) if digits.isdigit() else 0


def _padded(size: int) -> int:
    return -(-size // _RECORD) * _RECORD


def _sets(stream: Stream) -> Iterator[_Set]:
    at = 3 * _RECORD
    while at < stream.size:
        if not stream.at(at, len(_MEMBER)).startswith(_MEMBER):
            raise EvidenceError("corrupt", f"no data set at {at}")
        held = _set(stream, at)
        yield held
        at = held.end


def _set(stream: Stream, at: int) -> _Set:
    head = stream.at(at, 5 * _RECORD)
    if len(head) < 5 * _RECORD or not head.startswith(_HEADER + b"NAM", 4 * _RECORD):
        raise EvidenceError("truncated", f"the head of the data set at {at} is not whole")
    long = head.startswith(_MEMBER + b"V8")
    width = _number(head[74:78])
    if width not in (136, 140):
        raise EvidenceError("corrupt", f"columns are described in {width} bytes")
    name, rest = (head[168:200], 208) if long else (head[168:176], 184)
    count = min(_number(head[372:378] if long else head[374:378]), _MOST_COLUMNS)
    at += 5 * _RECORD
    described = stream.at(at, count * width)
    if len(described) < count * width:
        raise EvidenceError("truncated", f"the columns of {_plain(name)} are not whole")
    columns = [_column(described[place : place + width], long=long) for place in range(0, count * width, width)]
    if any(not column.size for column in columns) or sum(column.size for column in columns) > _width(columns):
        raise EvidenceError("corrupt", f"columns of {_plain(name)} without a width, or one upon another")
    at += _padded(count * width)
    mark = stream.at(at, _RECORD)
    if mark.startswith((_HEADER + b"LABELV8", _HEADER + b"LABELV9")):
        at = _long_labels(stream, at + _RECORD, columns, _number(mark[48:]), b"LABELV9" in mark)
        mark = stream.at(at, _RECORD)
    if not mark.startswith(_HEADER + b"OBS"):
        raise EvidenceError("corrupt" if mark else "truncated", f"no rows follow the columns of {_plain(name)}")
    at += _RECORD
    declared = _number(mark[48:]) if mark.startswith(_HEADER + b"OBSV8") and mark[48:].strip(b" 0\0") else None
    return _Set(
        name,
        head[272:312],
        head[rest : rest + 8],
        head[rest + 8 : rest + 16],
        head[224:240],
        head[240:256],
        columns,
        at,
        _end(stream, at),
        declared,
    )


def _column(data: bytes, *, long: bool) -> _Column:
    kind, size = int.from_bytes(data[0:2], "big"), int.from_bytes(data[4:6], "big")
    name = data[88:120].strip(b" \0") if long else b""
    offset = int.from_bytes(data[84:88], "big")
    return _Column(name or data[8:16].strip(b" \0"), data[16:56], data[56:64], offset, size, kind == 2)


def _long_labels(stream: Stream, at: int, columns: list[_Column], count: int, formats: bool) -> int:
    """Names and labels that did not fit; where the header behind them stands."""
    start, head = at, 10 if formats else 6
    for _ in range(min(count, len(columns))):
        lead = stream.at(at, head)
        number, *sizes = (int.from_bytes(lead[place : place + 2], "big") for place in range(0, head, 2))
        at += head
        texts = []
        for size in sizes:
            texts.append(stream.at(at, size))
            at += size
        if not 1 <= number <= len(columns):
            break
        column = columns[number - 1]
        column = column._replace(name=texts[0].strip(b" \0") or column.name, label=texts[1])
        columns[number - 1] = column._replace(format=texts[2]) if formats and texts[2] else column
    return start + _padded(at - start)


def _end(stream: Stream, at: int) -> int:
    """Where the next data set begins, or the end."""
    while data := stream.at(at, _CHUNK + len(_MEMBER)):
        found = data.find(_MEMBER)
        while found >= 0:
            if found % _RECORD == 0:
                return at + found
            found = data.find(_MEMBER, found + 1)
        at += _CHUNK
    return stream.size


def _tell(stream: Stream, held: _Set, codec: str) -> Iterator[Fact]:
    name, lossy = decode_as(held.name.strip(b" \0"), codec)
    yield Field("sas.name", name)
    yield from _stamps(held.created, held.modified, "sas")
    if title := decode_as(held.title.strip(b" \0"), codec)[0]:
        yield Field("sas.label", title)
    titles = []
    for column in held.columns:
        text, lost = decode_as(column.name, codec)
        about, more = decode_as(column.label.strip(b" \0"), codec)
        lossy += lost + more
        titles.append(text)
        yield Field("sas.column", text + label(about, bracketed=True))
    table = _Table(stream, held, codec)
    yield from passages(table.lines(), f"{label(name)}, rows", heading="\t".join(titles))
    yield Field("sas.rows", table.told)
    if lossy + table.lossy:
        yield Problem("lossy-text", f"{lossy + table.lossy} bytes are not {codec}", resolution="shown as U+FFFD")
    if held.declared is not None and table.told < held.declared:
        yield Problem("truncated", f"{table.told} of {held.declared} rows are here", resolution="kept the rest")


def _width(columns: list[_Column]) -> int:
    return max((column.offset + column.size for column in columns), default=0)


def _guess(stream: Stream, sets: list[_Set]) -> str:
    """The encoding that names, labels and the first rows of all data sets speak for."""
    pieces: list[bytes] = []
    for held in sets[:_SAMPLED]:
        pieces += [held.title.strip(b" \0"), *(column.label.strip(b" \0") for column in held.columns)]
        width = _width(held.columns)
        data = stream.at(held.start, min(held.end - held.start, _SAMPLE))
        for start in range(0, len(data) if width else 0, width or 1):
            row = data[start : start + width]
            pieces += [row[column.offset :][: column.size].strip(b" \0") for column in held.columns if column.is_text]
    codec = detect(b"\n".join(pieces)[: 2 * _SAMPLE]).codec
    return "cp1252" if codec.startswith(("utf-16", "utf-32")) else codec


class _Table:
    """Rows of a data set as lines; counts what it told and what could not be decoded."""

    def __init__(self, stream: Stream, held: _Set, codec: str) -> None:
        self._stream, self._held, self._codec = stream, held, codec
        self.told = self.lossy = 0

    def lines(self) -> Iterator[str]:
        """The rows; blanks that fill the last record are none."""
        held, width = self._held, _width(self._held.columns)
        if not width:
            return
        count = (held.end - held.start) // width
        if held.declared is not None:
            count = min(count, held.declared)
        step = max(1, _CHUNK // width)
        for first in range(0, count, step):
            data = self._stream.at(held.start + first * width, min(step, count - first) * width)
            for at in range(0, len(data) - width + 1, width):
                left = held.end - held.start - first * width - at
                if held.declared is None and left < _RECORD and not data[at:].strip(b" "):
                    return
                self.told += 1
                yield "\t".join(one_line(self._cell(column, data, at)) for column in held.columns).rstrip("\t")

    def _cell(self, column: _Column, data: bytes, row: int) -> str:
        raw = data[row + column.offset : row + column.offset + column.size]
        if not column.is_text:
            return _show(raw, column.format)
        text, lost = decode_as(raw.rstrip(b" \0"), self._codec)
        self.lossy += lost
        return text


def _show(raw: bytes, form: bytes) -> str:
    """A number of IBM's kind, cut to its size; a missing one as the point or the letter that marks it."""
    if not 2 <= len(raw) <= 8:
        return ""
    if raw[0] in _SPECIAL and not any(raw[1:]):
        return "" if raw[:1] == b"." else f".{raw[:1].decode('ascii')}"
    fraction = int.from_bytes(raw[1:].ljust(7, b"\0"), "big")
    value = math.ldexp(fraction, 4 * ((raw[0] & 0x7F) - 64) - 56)
    return show_value(-value if raw[0] & 0x80 else value, _plain(form))
