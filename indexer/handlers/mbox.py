"""Mailboxes in one file: every message a member, cut out exactly as it is stored.

A message is what stands between two `From ` lines, without the first of them and without the empty
line before the next. `>From ` quoting (mboxo, mboxrd) is left as it is: the bytes are evidence, and
which of the two dialects quoted them cannot be known. A Content-Length (mboxcl, mboxcl2) is
followed only where it lands on a `From ` line or on the end of the file.

Source: RFC 4155, appendix A; the `From ` line as Unix mail writes it: asctime(3), with a zone or not.
Limits: Babyl, the mailboxes of old Emacs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import ClassVar, NamedTuple

from indexer.decoding import decode
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._mime import Part, open_part
from indexer.mailfolders import decode_folder
from indexer.model import Child, Fact, Field, Timestamp

WINDOW = 4 << 20
LOOK = 4096
"""Bytes behind a `From ` line that must be in view to judge it."""
_MONTHS = {name: number for number, name in enumerate(b"jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)}
_FROM = re.compile(
    rb"From (?P<sender>[^\r\n]{0,500}?)[ \t]*"
    rb"(?:mon|tue|wed|thu|fri|sat|sun),?[ \t]+(?:(?P<month>[a-z]{3})[ \t]+(?P<day>\d{1,2})|(?P<day2>\d{1,2})[ \t]+"
    rb"(?P<month2>[a-z]{3})(?:[ \t]+(?P<year2>\d{4}))?)[ \t]+"
    rb"(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d))?"
    rb"(?P<zone>(?:[ \t]+(?:[+-]\d{4}|[a-z]{1,5}))*)(?:[ \t]+(?P<year>\d{4}))?(?P<zone2>[ \t]+[+-]\d{4})?"
    rb"[^\r\n]{0,200}(?:\r?\n|\r)",
    re.IGNORECASE,
)
_NEXT = re.compile(rb"[!-9;-~]{1,200}[ \t]*:|>From |\r?\n")
_MARK = re.compile(rb"From (?<=[\r\n]From )")
"""Four times as fast as with the line's end in front: what begins with fixed bytes is skipped to (2026-11)."""
_LENGTH = re.compile(rb"^content-length:[ \t]*(\d{1,15})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_EMPTY = re.compile(rb"\r\n\r\n|\n\n|\r\r")


class Message(NamedTuple):
    """Where one message stands, and the line before it."""

    envelope: bytes
    start: int
    end: int


class Mbox(Handler):
    name = "mbox"
    version = 2
    media_types = ("application/mbox",)
    signatures = (Signature(b"From "),)
    suffixes = (".mbox", ".mbx")
    fields: ClassVar[Mapping[str, str]] = {
        "mbox.envelope": "the From_ line before a message: who handed it over, and when",
        "mail.folder": "name of the folder, where the file's name holds it in modified UTF-7",
    }
    reads = "every message with its envelope line"
    rank = 58
    uses_name = True
    container = True

    def claims(self, stream: Stream) -> str | None:
        return "application/mbox" if _envelope_end(stream.head, 0) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        if folder := decode_folder(stream.name):
            yield Field("mail.folder", folder)
        for number, message in enumerate(split(stream), 1):
            part = Part("", "part", message.start, message.end)
            envelope = decode(message.envelope.strip()).text
            yield Child(
                str(number),
                str(number).encode(),
                partial(open_part, stream, part),
                tuple(_envelope_time(message.envelope)),
                (Field("mbox.envelope", envelope),),
            )


def split(stream: Stream) -> Iterator[Message]:
    """Every message of a mailbox, in its order; the first `From ` line stands at the start."""
    view = _View(stream)
    envelope = view.from_line(0)
    while envelope is not None:
        start = envelope.end
        after = view.by_length(start) or view.next_from(start)
        yield Message(envelope.line, start, view.end_before(start, after.start if after else stream.size))
        envelope = after


class _Line(NamedTuple):
    line: bytes
    start: int
    end: int


class _View:
    """A window that slides over the mailbox."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._size = stream.size
        self._at = 0
        self._held = b""

    def _reach(self, at: int, length: int) -> int:
        """Where `at` stands in the window, of which at least `length` bytes behind it are in view."""
        if not self._at <= at or min(at + length, self._size) > self._at + len(self._held):
            self._at, self._held = at, self._stream.at(at, max(WINDOW, length))
        return at - self._at

    def from_line(self, at: int) -> _Line | None:
        """The `From ` line that starts there, if it has a date and a header follows."""
        place = self._reach(at, LOOK)
        end = _envelope_end(self._held, place)
        return _Line(self._held[place:end], at, at + end - place) if end else None

    def next_from(self, at: int) -> _Line | None:
        """The next such line at or behind `at`."""
        at = max(0, at - 1)
        while at < self._size:
            place = self._reach(at, LOOK)
            match = _MARK.search(self._held, place)
            if not match:
                at = max(at + 1, self._at + len(self._held) - 5)
                if self._at + len(self._held) >= self._size:
                    return None
                continue
            mark = self._at + match.start()
            found = self.from_line(mark)
            if found:
                return found
            at = mark + 1
        return None

    def by_length(self, start: int) -> _Line | None:
        """The `From ` line to which the message's Content-Length leads, or None."""
        place = self._reach(start, LOOK)
        empty = _EMPTY.search(self._held, place)
        if not empty:
            return None
        length = _LENGTH.search(self._held, place, empty.start() + 1)
        if not length:
            return None
        end = self._at + empty.end() + int(length[1])
        for skip in (0, 1, 2):
            if end + skip < self._size and self._stream.at(end + skip, 5) == b"From ":
                return self.from_line(end + skip)
        return None

    def end_before(self, start: int, next_start: int) -> int:
        """The end of a message, without the empty line that parts it from the next."""
        tail = self._stream.at(max(start, next_start - 4), min(4, next_start - start))
        if tail.endswith(b"\r\n\r\n"):
            return next_start - 2
        return next_start - (tail.endswith((b"\n\n", b"\r\r")))


def _envelope_end(held: bytes, at: int) -> int:
    """Where a `From ` line ends that has a date and a year, and a header or an empty line behind it; or 0."""
    match = _FROM.match(held, at, at + LOOK)
    if not match or not (match["year"] or match["year2"]):
        return 0
    return match.end() if match.end() == len(held) or _NEXT.match(held, match.end()) else 0


def _envelope_time(line: bytes) -> Iterator[Timestamp]:
    match = _FROM.match(line)
    if not match:
        return
    month = _MONTHS.get((match["month"] or match["month2"]).lower(), 0)
    zones = (match["zone"] or b"").split() + (match["zone2"] or b"").split()
    offset = next((zone for zone in zones if zone[:1] in b"+-" and zone != b"-0000"), b"")
    try:
        at = datetime(
            int(match["year"] or match["year2"] or 0),
            month,
            int(match["day"] or match["day2"]),
            int(match["hour"]),
            int(match["minute"]),
            int(match["second"] or 0),
            tzinfo=UTC,
        )
        if offset:
            ahead = timedelta(hours=int(offset[1:3]), minutes=int(offset[3:5]))
            at = at + ahead if offset[:1] == b"-" else at - ahead
    except (ValueError, OverflowError):
        return
    yield Timestamp("received", at, "mbox.from", 1.0 if match["second"] else 60.0, zone_known=bool(offset))
