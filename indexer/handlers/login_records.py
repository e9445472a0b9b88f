"""Records of logins on Linux (utmp, wtmp, btmp, lastlog): who, where from, on which line, when.

Source: Linux man-pages, utmp(5) and lastlog(8); glibc's bits/utmp.h, with times of 32 and of 64 bits.
Limits: records of other systems (BSD, Solaris, macOS) and of machines with the other byte order are not
    read; a user number in lastlog is not turned into a name.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address
from typing import ClassVar, Final, NamedTuple

from indexer.handler import CONTROLS, Handler, Stream
from indexer.handlers._moments import Moments, moment, print_moment, tell_lines
from indexer.model import Fact, Field, Problem, Timestamp

_NARROW: Final = struct.Struct("<HHi32s4s32s256shhiii16s20x")
_WIDE: Final = struct.Struct("<HHi32s4s32s256shhqqq16s20x4x")
_LAST: Final = struct.Struct("<I32s256s")
_TYPES: Final = (
    *("empty", "run level", "boot", "new time", "old time", "started", "waits for a login", "login", "logout"),
    "accounting",
)
_RUN_LEVEL, _LOGIN = 1, 7
_NAMED: Final = re.compile(r"(?:utmp|wtmp|btmp|utmpx|wtmpx|btmpx|lastlog)(?:[-._].*)?", re.IGNORECASE)
_WORD: Final = re.compile(rb"[\x20-\x7e\x80-\xff]*\Z")
_SIGNS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_EARLIEST, _LATEST = 315_532_800, 4_102_444_800
"""From 1980 to 2100."""
_LOOKED_AT: Final = 64
_STAMPS: Final = 20_000
_NAMES: Final = 2_000
_CHUNK: Final = 4_096
"""Records read at a time."""


class _Entry(NamedTuple):
    at: datetime | None
    parts: tuple[str, ...]
    told: tuple[tuple[str, str], ...]
    event: str


class LoginRecords(Handler):
    name = "logins"
    version = 2
    media_types = ("application/x-utmp", "application/x-lastlog")
    holds = CONTROLS
    fields: ClassVar[dict[str, str]] = {
        "login.log": "what the log tells of: logins, failed logins, last logins",
        "login.records": "number of records that are not empty",
        "login.user": "name of a user",
        "login.host": "host that a user came from",
        "login.address": "network address that a user came from",
        "login.line": "terminal that a user was on",
    }
    reads = "user, line, host, address and time of every login, logout and start"
    rank = 62
    uses_name = True

    def claims(self, stream: Stream) -> str | None:
        if _NAMED.fullmatch(stream.name) and stream.name.lower().startswith("lastlog"):
            return self.media_types[1] if _is_lastlog(stream) else None
        head = stream.head
        if head[4:8] == b"" or head[0] > 9 or head[1:4] != b"\0\0\0":
            return None
        return self.media_types[0] if _layout(stream) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        layout = _LAST if stream.name.lower().startswith("lastlog") else _layout(stream) or _NARROW
        failed = stream.name.lower().startswith("btmp")
        event = "last_login" if layout is _LAST else "failed_login" if failed else "login"
        yield Field("login.log", {"last_login": "last logins", "failed_login": "failed logins"}.get(event, "logins"))
        log = _Log(event)
        yield from tell_lines(log.tell(stream, layout), "records")
        yield from log.sum_up()
        if over := stream.size % layout.size:
            yield Problem("truncated", f"the last record has {over} of {layout.size} bytes", resolution="left out")


class _Log:
    """What one log has told so far."""

    def __init__(self, event: str) -> None:
        self._event = event
        self._moments = Moments()
        self._names: dict[tuple[str, str], None] = {}
        self._stamps: list[Timestamp] = []
        self._count = 0

    def tell(self, stream: Stream, layout: struct.Struct) -> Iterator[str]:
        """A line for every record that is not empty."""
        empty = bytes(layout.size)
        for start in range(0, stream.size - layout.size + 1, layout.size * _CHUNK):
            chunk = stream.at(start, layout.size * _CHUNK)
            if not chunk.strip(b"\0"):
                continue
            for at in range(0, len(chunk) - layout.size + 1, layout.size):
                raw = chunk[at : at + layout.size]
                if raw == empty:
                    continue
                entry = _last(raw, (start + at) // layout.size) if layout is _LAST else _entry(layout, raw, self._event)
                yield self._keep(entry)

    def _keep(self, entry: _Entry) -> str:
        self._count += 1
        for told in entry.told:
            if told[1] and len(self._names) < _NAMES:
                self._names[told] = None
        if entry.at and entry.event:
            self._moments.add(entry.at)
            if len(self._stamps) < _STAMPS:
                self._stamps.append(Timestamp(entry.event, entry.at, "utmp.record"))
        return " | ".join(part for part in (print_moment(entry.at) or "(no time)", *entry.parts) if part)

    def sum_up(self) -> Iterator[Fact]:
        """What holds for the whole log."""
        yield Field("login.records", self._count)
        yield from (Field(f"login.{kind}", name) for kind, name in self._names)
        yield from self._moments.stamps(self._event, "utmp.record")
        yield from self._stamps


def _entry(layout: struct.Struct, raw: bytes, event: str) -> _Entry:
    kind, _, pid, line, _, user, host, _, _, _, seconds, part, address = layout.unpack(raw)
    at = moment(seconds * 1_000_000 + (part if 0 <= part < 1_000_000 else 0), 1e-6) if seconds else None
    names = {"user": _word(user), "host": _word(host), "address": _address(address), "line": _word(line)}
    what = _TYPES[kind] if kind < len(_TYPES) else f"type {kind}"
    if kind == _RUN_LEVEL and names["user"] == "runlevel":
        names["user"] = chr(pid & 255) if 32 < pid & 255 < 127 else ""
    is_login = kind == _LOGIN or (event == "failed_login" and bool(names["user"]))
    parts = (
        "failed login" if is_login and event == "failed_login" else what,
        names["user"],
        f"on {names['line']}" if names["line"] else "",
        f"from {names['host']}" if names["host"] else "",
        names["address"] if names["address"] != names["host"] else "",
        f"pid {pid}" if pid and kind != _RUN_LEVEL else "",
    )
    return _Entry(at, parts, tuple(names.items()) if is_login else (), event if is_login else "")


def _last(raw: bytes, number: int) -> _Entry:
    seconds, line, host = _LAST.unpack(raw)
    names = {"line": _word(line), "host": _word(host)}
    parts = (
        "last login",
        f"uid {number}",
        f"on {names['line']}" if names["line"] else "",
        f"from {names['host']}" if names["host"] else "",
    )
    return _Entry(moment(seconds), parts, tuple(names.items()), "last_login")


def _word(raw: bytes) -> str:
    # A sign that ends a line would make another record of what is behind it.
    return _SIGNS.sub("\ufffd", raw.split(b"\0", 1)[0].decode("utf-8", "replace").strip())


def _address(raw: bytes) -> str:
    if not raw.strip(b"\0"):
        return ""
    return str(IPv4Address(raw[:4]) if not raw[4:].strip(b"\0") else IPv6Address(raw))


def _layout(stream: Stream) -> struct.Struct | None:
    """How the records lie, if all of the first ones make sense so."""
    for layout in (_NARROW, _WIDE):
        if stream.size < layout.size:
            continue
        head = stream.at(0, layout.size * _LOOKED_AT)
        count = len(head) // layout.size
        kinds = [_makes_sense(layout, head[at * layout.size : (at + 1) * layout.size]) for at in range(count)]
        if all(kind is not None for kind in kinds) and any(kinds):
            return layout
    return None


def _makes_sense(layout: struct.Struct, raw: bytes) -> int | None:
    """The type of a record, None where it can be none."""
    kind, gap, pid, line, _, user, host, _, _, _, seconds, part, _ = layout.unpack(raw)
    if kind > 9 or gap or pid < 0 or not 0 <= part < 1_000_000 or (kind and not _EARLIEST < seconds < _LATEST):
        return None
    words = (line, user, host)
    if any(not _WORD.match(word.split(b"\0", 1)[0]) for word in words):
        return None
    return int(kind) if any(word.strip(b"\0") for word in words) or not kind else None


def _is_lastlog(stream: Stream) -> bool:
    """Whether the first records that are not empty make sense."""
    if stream.size < _LAST.size or stream.size % _LAST.size:
        return False
    found = 0
    for start in range(0, min(stream.size, 64 << 20), _LAST.size * _CHUNK):
        chunk = stream.at(start, _LAST.size * _CHUNK)
        if not chunk.strip(b"\0"):
            continue
        for seconds, line, host in _LAST.iter_unpack(chunk[: len(chunk) // _LAST.size * _LAST.size]):
            if seconds or line.strip(b"\0"):
                words = all(_WORD.match(word.split(b"\0", 1)[0]) for word in (line, host))
                if not words or not _EARLIEST < seconds < _LATEST:
                    return False
                found += 1
                if found >= _LOOKED_AT:
                    return True
    return found > 0
