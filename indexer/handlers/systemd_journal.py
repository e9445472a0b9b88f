"""Journals of systemd: every entry as text, with time, host, unit, program and message.

Objects are walked in the order of the file, so that neither broken hash tables nor lost chains matter;
an entry fetches its values by their offsets. Every further line of an entry begins with a tab, so that no value looks
like an entry. Values that every entry repeats are told once, at the end.

Source: systemd, "Journal File Format" (docs/JOURNAL_FILE_FORMAT.md).
Limits: seals and hashes are not verified; values over 16 MiB are cut.
"""

from __future__ import annotations

import lzma
import struct
import uuid
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._moments import Moments, moment, print_moment, read_words, tell_lines
from indexer.handlers._zstd import load_zstd
from indexer.model import Fact, Field, Problem, Text

_MAGIC: Final = b"LPKSHHRH"
_DATA, _ENTRY = 1, 3
_XZ, _LZ4, _ZSTD = 1, 2, 4
_COMPACT: Final = 16
_MOST: Final = 16 << 20
_MEMORY: Final = 256 << 20
_HELD: Final = 64 << 20
"""Bytes of values held; when they are more, all are let go."""
_NAMES: Final = 2_000
_SEARCHED: Final = 1 << 20
"""Bytes behind a damaged object among which the next one is looked for."""
_STATES: Final = ("offline", "online", "archived")
_PRIORITIES: Final = ("emergency", "alert", "critical", "error", "warning", "notice", "info", "debug")
_TOLD: Final = frozenset(
    (
        *(b"MESSAGE", b"PRIORITY", b"SYSLOG_IDENTIFIER", b"SYSLOG_FACILITY", b"SYSLOG_PID", b"SYSLOG_TIMESTAMP"),
        *(b"SYSLOG_RAW", b"MESSAGE_ID", b"CODE_FILE", b"CODE_LINE", b"CODE_FUNC", b"TID", b"INVOCATION_ID", b"UNIT"),
    )
)
"""What stands in an entry's first line, or tells nothing."""
_FLEETING: Final = (b"_SOURCE_", b"__", b"_PID=", b"_STREAM_ID=", b"_SYSTEMD_INVOCATION_ID=", b"_AUDIT_ID=")
_DISTINCT: Final = {b"_HOSTNAME": "host", b"_SYSTEMD_UNIT": "unit", b"UNIT": "unit", b"_EXE": "program", b"_UID": "uid"}


class SystemdJournal(Handler):
    name = "journal"
    version = 2
    media_types = ("application/x-systemd-journal",)
    signatures = (Signature(_MAGIC),)
    suffixes = (".journal", ".journal~")
    fields: ClassVar[dict[str, str]] = {
        "journal.entries": "number of entries read",
        "journal.declared": "number of entries that the header tells",
        "journal.state": "offline, online (it was not closed), archived",
        "journal.machine": "identifier of the machine",
        "journal.boot": "identifier of the boot of the last entry",
        "journal.host": "name of a host",
        "journal.unit": "name of a unit",
        "journal.program": "path of a program",
        "journal.uid": "number of a user",
    }
    reads = "time, host, unit, program and message of every entry"
    rank = 40
    needs = ("backports.zstd", "lz4")

    def read(self, stream: Stream) -> Iterator[Fact]:
        head = stream.head
        if len(head) < 208:
            raise EvidenceError("truncated", f"{len(head)} bytes where the header alone takes 208")
        (declared,) = struct.unpack_from("<Q", head, 152)
        yield Field("journal.state", _STATES[head[16]] if head[16] < len(_STATES) else str(head[16]))
        yield Field("journal.machine", uuid.UUID(bytes=head[40:56]).hex)
        yield Field("journal.boot", uuid.UUID(bytes=head[56:72]).hex)
        yield Field("journal.declared", declared)
        journal = _Journal(stream)
        yield from tell_lines(journal.tell(), "entries")
        yield from journal.sum_up()
        if journal.entries < declared:
            yield Problem("truncated", f"{journal.entries} of {declared} entries are here", resolution="read so far")


class _Journal:
    """A walk over the objects of one journal."""

    def __init__(self, stream: Stream) -> None:
        self.entries = 0
        self._stream = stream
        flags, self._first, self._tail = (
            int.from_bytes(stream.head[12:16], "little"),
            *struct.unpack_from("<Q", stream.head, 88),
            *struct.unpack_from("<Q", stream.head, 136),
        )
        self._compact = bool(flags & _COMPACT)
        self._payload = 72 if self._compact else 64
        self._values: dict[int, bytes] = {}
        self._held = 0
        self._names: dict[tuple[str, str], None] = {}
        self._lasting: dict[bytes, None] = {}
        self._lasting_size = 0
        self._moments = Moments()
        self._faults: dict[str, int] = {}

    def tell(self) -> Iterator[str]:
        """One entry after the other."""
        at = max(self._first, 208)
        size = self._stream.size
        while at + 16 <= size:
            head = self._stream.at(at, 64)
            kind, flags, length = head[0], head[1], int.from_bytes(head[8:16], "little")
            if not kind and not length and at > self._tail:
                return
            if not _is_object(head) or at + length > size:
                self._fault(f"no object at {at}")
                at = self._search(at + 8)
                continue
            if kind == _ENTRY:
                yield self._entry(self._stream.at(at, min(length, 1 << 20)))
            elif kind == _DATA and length > self._payload:
                self._keep(at, flags, length)
            at += length + -length % 8

    def _search(self, at: int) -> int:
        """The next place that looks like two objects in a row, or the end."""
        end = min(self._stream.size, at + _SEARCHED)
        data = self._stream.at(at, end - at)
        for place in range(0, len(data) - 16, 8):
            head = data[place : place + 16]
            if 0 < head[0] < 8 and _is_object(head):
                length = int.from_bytes(head[8:16], "little")
                if _is_object(self._stream.at(at + place + length + -length % 8, 16)):
                    return at + place
        return self._stream.size

    def _keep(self, at: int, flags: int, length: int) -> bytes:
        """The value of a data object, from now on at hand."""
        raw = self._stream.at(at + self._payload, min(length - self._payload, _MOST))
        value = self._unpack(raw, flags)
        if self._held > _HELD:
            self._values, self._held = {}, 0
        self._values[at] = value
        self._held += len(value) + 100
        if value.startswith(b"_") and not value.startswith(_FLEETING) and self._lasting_size < _HELD:
            self._lasting[value] = None
            self._lasting_size += len(value)
        name, _, rest = value.partition(b"=")
        if (kind := _DISTINCT.get(name)) and len(self._names) < _NAMES:
            self._names[kind, read_words(rest)] = None
        return value

    def _value(self, at: int) -> bytes:
        held = self._values.get(at)
        if held is not None:
            return held
        head = self._stream.at(at, 16)
        length = int.from_bytes(head[8:16], "little")
        if len(head) < 16 or head[0] != _DATA or not self._payload < length <= self._stream.size - at:
            self._fault(f"an entry points to no value, at {at}")
            return b""
        return self._keep(at, head[1], length)

    def _unpack(self, raw: bytes, flags: int) -> bytes:
        try:
            if flags & _ZSTD:
                return _zstd(raw)
            if flags & _LZ4:
                return _lz4(raw)
            if flags & _XZ:
                return lzma.LZMADecompressor(memlimit=_MEMORY).decompress(raw, _MOST)
        except (ValueError, EOFError, lzma.LZMAError):
            self._fault("a packed value does not unpack")
            return b""
        return raw

    def _entry(self, raw: bytes) -> str:
        self.entries += 1
        (realtime,) = struct.unpack_from("<Q", raw, 24)
        at = moment(realtime, 1e-6)
        self._moments.add(at)
        step = 4 if self._compact else 16
        width = 4 if self._compact else 8
        found: dict[bytes, bytes] = {}
        more: list[str] = []
        for place in range(64, len(raw) - step + 1, step):
            offset = int.from_bytes(raw[place : place + width], "little")
            if not offset:
                continue
            name, _, value = self._value(offset).partition(b"=")
            if name in found or (not name.startswith(b"_") and name not in _TOLD and name):
                more.append(f"{read_words(name)}={read_words(value)}")
            else:
                found[name] = value
        return "\n".join((self._line(found, print_moment(at)), *more)).replace("\n", "\n\t")

    def _line(self, found: dict[bytes, bytes], when: str) -> str:
        def text(*names: bytes) -> str:
            return next((read_words(found[name]) for name in names if found.get(name)), "")

        program = text(b"SYSLOG_IDENTIFIER", b"_COMM")
        pid, uid, priority = text(b"_PID", b"SYSLOG_PID"), text(b"_UID"), text(b"PRIORITY")
        level = _PRIORITIES[int(priority)] if priority.isdecimal() and int(priority[:4]) < 8 else ""
        parts = (
            when or "(no time)",
            text(b"_HOSTNAME"),
            text(b"_SYSTEMD_UNIT", b"UNIT", b"USER_UNIT"),
            f"{program}[{pid}]" if pid else program,
            f"uid {uid}" if uid else "",
            level,
            text(b"MESSAGE"),
        )
        return " | ".join(part for part in parts if part)

    def _fault(self, message: str) -> None:
        if message in self._faults or len(self._faults) < 20:
            self._faults[message] = self._faults.get(message, 0) + 1

    def sum_up(self) -> Iterator[Fact]:
        """What holds for the whole journal."""
        lines = sorted(read_words(value) for value in self._lasting)
        if lines:
            yield Text("\n".join(lines), "values that entries share")
        yield Field("journal.entries", self.entries)
        yield from (Field(f"journal.{kind}", name) for kind, name in self._names)
        yield from self._moments.stamps("logged", "journal.entry", 1e-6)
        for message, count in self._faults.items():
            told = f"{message}, and {count - 1} more" if count > 1 else message
            yield Problem("corrupt", told, resolution="stepped over")


def _zstd(raw: bytes) -> bytes:
    """The value that a frame holds.

    Raises:
        ValueError: where there is no such frame.
    """
    zstd = load_zstd()
    try:
        return bytes(zstd.ZstdDecompressor().decompress(raw, _MOST))
    except zstd.ZstdError as error:
        raise ValueError(str(error)) from error


def _lz4(raw: bytes) -> bytes:
    """The value that a block holds, behind its size.

    Raises:
        ValueError: where there is no such block.
    """
    try:
        import lz4.block
    except ImportError as error:
        raise EvidenceError("missing-library", "lz4: pip install lz4") from error
    size = int.from_bytes(raw[:8], "little")
    if size > min(_MOST, 255 * len(raw)):
        raise ValueError(f"a value of {size} bytes")
    try:
        return bytes(lz4.block.decompress(raw[8:], uncompressed_size=size))
    except lz4.block.LZ4BlockError as error:
        raise ValueError(str(error)) from error


def _is_object(head: bytes) -> bool:
    size = int.from_bytes(head[8:16], "little")
    return len(head) >= 16 and 0 < head[0] < 8 and head[1] < 8 and head[2:8] == bytes(6) and 16 <= size <= 1 << 34
