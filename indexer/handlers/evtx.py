"""Event logs of Windows Vista and later: every record with its time, provider, number, user and data.

Source: [MS-EVEN6] 2.2 (events, BinXml); the file and chunk headers as in the documentation of libevtx
(ElfFile, ElfChnk). Each chunk is given to the library alone, so that damage stays where it is.
Limits: messages are not put together from the providers' resource files; records in the unused rest
    of a chunk are not looked for; times of the first 50,000 records are timestamps, all stand in the text.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Iterator
from typing import Any, ClassVar, Final, NamedTuple

from msgspec import Struct

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._event_words import LEVELS, name_event, tell_logon
from indexer.handlers._runs import find_runs
from indexer.model import Fact, Field, Problem, Text, Timestamp, print_time
from indexer.timestamps import from_filetime

MAGIC: Final = b"ElfFile\0"
TIMES: Final = 50_000
"""Records whose time is a timestamp: half of the facts that one item may have."""
_HEAD: Final = 4096
_CHUNK: Final = 65536
_NAMES: Final = 1000
"""Different computers, channels, providers and users kept as fields."""
_ATTRIBUTES: Final = "#attributes"


class _Record(NamedTuple):
    number: int
    ticks: int
    at: int
    size: int


class _Span(Struct):
    """How many numbers there were, the smallest and the largest of them."""

    count: int = 0
    first: int = 0
    last: int = 0

    def add(self, number: int) -> None:
        self.first = min(self.first, number) if self.count else number
        self.last = max(self.last, number)
        self.count += 1


class Evtx(Handler):
    name = "evtx"
    media_types = ("application/x-ms-evtx",)
    signatures = (Signature(MAGIC),)
    suffixes = (".evtx",)
    fields: ClassVar[dict[str, str]] = {
        "evtx.computer": "machine that an event was recorded on",
        "evtx.channel": "log that the events belong to, such as Security",
        "evtx.provider": "program that reported events",
        "evtx.user": "security identifier of the user on whose behalf an event was recorded",
        "evtx.first_record": "number of the first record",
        "evtx.last_record": "number of the last record",
        "evtx.records": "records that were read",
        "evtx.dirty": "the log was not closed cleanly",
        "evtx.full": "the log had reached its largest size",
    }
    reads = "records with time, event, user, address, data; logons in words"
    needs = ("evtx",)
    rank = 40

    def read(self, stream: Stream) -> Iterator[Fact]:
        try:
            import evtx
        except ImportError as error:
            raise EvidenceError("missing-library", "evtx is needed: pip install evtx") from error
        head = stream.at(0, 128)
        if len(head) < 128:
            raise EvidenceError("truncated", "the header is not whole")
        (flags,) = struct.unpack_from("<I", head, 120)
        if flags & 1:
            yield Field("evtx.dirty", True)
        if flags & 2:
            yield Field("evtx.full", True)
        log = _Log(stream, evtx.PyEvtxParser)
        for index in range(-(-(stream.size - _HEAD) // _CHUNK)):
            yield from log.read_chunk(index)
        yield from log.sum_up()


class _Log:
    """What is gathered over all chunks of one log."""

    def __init__(self, stream: Stream, parser: Any) -> None:
        self._stream = stream
        self._parser = parser
        self._head = stream.at(0, _HEAD).ljust(_HEAD, b"\0")
        self._names: dict[tuple[str, str], None] = {}
        self._times = 0
        self._numbers = _Span()
        self._ticks = _Span()

    def read_chunk(self, index: int) -> Iterator[Fact]:
        """The records of one chunk, in the order of the file; those that cannot be read as strings."""
        at = _HEAD + index * _CHUNK
        chunk = self._stream.at(at, _CHUNK)
        if not chunk.strip(b"\0"):
            return
        if not chunk.startswith(b"ElfChnk\0"):
            message = f"chunk {index + 1}: no header at {at}"
            yield Problem("corrupt", message, resolution="strings indexed instead")
            yield from _strings(chunk, f"chunk {index + 1}")
            return
        if len(chunk) < _CHUNK:
            message = f"chunk {index + 1}: {_CHUNK - len(chunk)} bytes are missing"
            yield Problem("truncated", message, resolution="read up to there")
        records, fault = _walk(chunk)
        if fault and len(chunk) == _CHUNK:
            yield Problem("corrupt", f"chunk {index + 1}: {fault}", resolution="read what could be had")
        read, message = self._parse(chunk.ljust(_CHUNK, b"\0"))
        unread = 0
        for record in records:
            stamp = from_filetime("logged", record.ticks, "evtx.record")
            document = read.pop(record.number, None)
            self._numbers.add(record.number)
            if document is None:
                unread += 1
                yield from _strings(chunk[record.at : record.at + record.size], f"record {record.number}")
            else:
                yield Text(self._tell(document, stamp), f"record {record.number}")
            if stamp:
                self._ticks.add(record.ticks)
                if self._times < TIMES:
                    self._times += 1
                    yield stamp
        for number, document in read.items():
            self._numbers.add(number)
            yield Text(self._tell(document, None), f"record {number}")
        if unread or message:
            message = f"chunk {index + 1}: {unread} of {len(records)} records cannot be read: {message}"
            yield Problem("corrupt", message.rstrip(": "), resolution="strings indexed instead")

    def _parse(self, chunk: bytes) -> tuple[dict[int, Any], str]:
        """The records that the library reads, by number, and what it said of the first that it could not."""
        read: dict[int, Any] = {}
        fault = ""
        head = bytearray(self._head)
        struct.pack_into("<H", head, 42, 1)
        try:
            rows = self._parser(io.BytesIO(bytes(head) + chunk), number_of_threads=1).records_json()
        except (RuntimeError, OSError, ValueError) as error:
            return read, _first_line(error)
        for _ in range(_CHUNK // 24):
            try:
                row = next(rows, None)
                if row is None:
                    break
                read.setdefault(row["event_record_id"], json.loads(row["data"]))
            except (RuntimeError, OSError, ValueError) as error:  # a RecursionError is a RuntimeError
                fault = fault or _first_line(error)
        return read, fault

    def _tell(self, document: Any, stamp: Timestamp | None) -> str:
        """One event as text: what, when, where, by whom, and its data, one value a line."""
        event = document.get("Event") if isinstance(document, dict) else None
        event = event if isinstance(event, dict) else {}
        system = event.get("System")
        system = system if isinstance(system, dict) else {}
        provider = _attribute(system, "Provider", "Name") or _attribute(system, "Provider", "EventSourceName")
        number = _plain(system.get("EventID"))
        name = name_event(provider, int(number)) if number.isdecimal() and len(number) < 6 else ""
        level = _plain(system.get("Level"))
        level = LEVELS.get(int(level), "") if level.isdecimal() and len(level) < 4 else ""
        channel, computer = _plain(system.get("Channel")), _plain(system.get("Computer"))
        user = _attribute(system, "Security", "UserID")
        for kind, value in (("channel", channel), ("computer", computer), ("provider", provider), ("user", user)):
            if value and len(self._names) < _NAMES:
                self._names[kind, value] = None
        data = list(_flatten([(key, value) for key, value in event.items() if key not in ("System", _ATTRIBUTES)]))
        when = print_time(stamp.at) if stamp else _attribute(system, "TimeCreated", "SystemTime")
        first = [when, channel, f"event {number}" + f" ({name})" * bool(name), provider, level, computer, user]
        lines = [" | ".join(part for part in first if part), tell_logon(name, data)]
        lines += [f"{key}: {value}" if key else value for key, value in data]
        return "\n".join(line for line in lines if line)

    def sum_up(self) -> Iterator[Fact]:
        """What holds for the whole log."""
        for kind, value in self._names:
            yield Field(f"evtx.{kind}", value)
        yield Field("evtx.records", self._numbers.count)
        if self._numbers.count:
            yield Field("evtx.first_record", self._numbers.first)
            yield Field("evtx.last_record", self._numbers.last)
        for kind, ticks in (("first_logged", self._ticks.first), ("last_logged", self._ticks.last)):
            if stamp := from_filetime(kind, ticks, "evtx.record"):
                yield stamp


def _walk(chunk: bytes) -> tuple[list[_Record], str]:
    """The records of a chunk by their headers, and what broke their row."""
    (end,) = struct.unpack_from("<I", chunk.ljust(128, b"\0"), 48)
    end = min(end, len(chunk))
    records: list[_Record] = []
    at = 512
    while at + 28 <= end:
        mark, size, number, ticks = struct.unpack_from("<4sIQQ", chunk, at)
        if mark != b"**\0\0" or size < 28:
            return records, f"no record at {at}"
        records.append(_Record(number, ticks, at, size))
        at += size
    return records, ""


def _attribute(system: dict[str, Any], name: str, attribute: str) -> str:
    held = system.get(name)
    attributes = held.get(_ATTRIBUTES) if isinstance(held, dict) else None
    return _plain(attributes.get(attribute)) if isinstance(attributes, dict) else ""


def _plain(value: Any) -> str:
    """A single value as text, of an element with attributes its text."""
    if isinstance(value, dict):
        value = value.get("#text")
    return "" if value is None or isinstance(value, dict | list) else str(value).strip("\0 ")


def _flatten(pairs: list[tuple[str, Any]]) -> Iterator[tuple[str, str]]:
    """All values below, by the name of what holds them."""
    waiting = list(reversed(pairs))
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [
                (key if name in ("#text", _ATTRIBUTES) else name, each) for name, each in [*value.items()][::-1]
            ]
        elif isinstance(value, list):
            waiting += [(key, each) for each in reversed(value)]
        elif value is not None and key != "xmlns" and (text := str(value).strip("\0")):
            yield ("" if key in ("Data", "EventData") else key), text


def _strings(data: bytes, locator: str) -> Iterator[Text]:
    words = [data[run.start : run.end].decode(run.codec, "replace") for run in find_runs(data)]
    if words:
        yield Text("\n".join(words), f"strings of {locator}")


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
