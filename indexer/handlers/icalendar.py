"""Calendars: appointments, tasks, journals, with who is asked to come, alarms and attached files.

A time in a named zone is only as good as the zone's rules: those in the file itself are followed, no others, so
that the same calendar says the same on every machine. Without them the wall clock is kept, its zone not known.

Source: RFC 5545 (iCalendar), RFC 5546 (methods), vCalendar 1.0 (versit, 1996).
Limits: repeated entries are told once, with their rule; what a calendar only points to is not fetched.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from io import BytesIO
from typing import ClassVar

from indexer.handler import Handler, Stream
from indexer.handlers._agenda import CALENDAR
from indexer.handlers._calendar_zones import Zone, moment
from indexer.handlers._content_lines import Line, begins_with, codec_of, lines_of, parts_of, plain
from indexer.model import Child, Fact, Field, Problem, Text

_KINDS = {"vevent": "event", "vtodo": "todo", "vjournal": "journal", "vfreebusy": "freebusy"}
_FIELDS = {
    "summary": "calendar.summary",
    "location": "calendar.location",
    "organizer": "calendar.organizer",
    "attendee": "calendar.attendee",
    "status": "calendar.status",
    "rrule": "calendar.rule",
    "uid": "calendar.uid",
    "url": "calendar.url",
    "dalarm": "calendar.alarm",
    "aalarm": "calendar.alarm",
}
_TIMES = {
    "dtstart": "start",
    "dtend": "end",
    "due": "due",
    "completed": "completed",
    "created": "B",
    "dcreated": "B",
    "last-modified": "M",
    "dtstamp": "stamped",
    "recurrence-id": "instance",
}
_SHOWN = frozenset({*_FIELDS, "description", "comment", "contact", "categories", "resources", "request-status"})
_DEPTH = 32
_LINES = 10_000
"""Lines of an entry that are held at once; a longer one comes in pieces."""


class Icalendar(Handler):
    name = "icalendar"
    media_types = ("text/calendar", "text/x-vcalendar")
    suffixes = (".ics", ".vcs", ".ifb", ".ical")
    holds = b":"
    fields: ClassVar[Mapping[str, str]] = {
        **CALENDAR,
        "calendar.entries": "how many entries the calendar holds",
        "calendar.product": "program that wrote it",
        "calendar.name": "name of the calendar",
    }
    reads = "events, tasks, journals: what, when, where, who; alarms; attached files as members"
    rank = 55
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if begins_with(stream, b"VCALENDAR") else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        codec = codec_of(stream)
        zones = _zones(stream)
        numbers: Counter[str] = Counter()
        above: list[str] = []
        entry: list[tuple[str, Line]] = []
        kind = ""
        for line in lines_of(stream):
            if line.name == "begin":
                above.append(line.raw.strip().decode("latin-1").lower())
                if not kind and above[-1] in _KINDS:
                    kind, entry = above[-1], []
                if len(above) > _DEPTH:
                    yield Problem("limit", f"parts more than {_DEPTH} deep", resolution="read up to there")
                    break
            elif line.name == "end":
                ended = above.pop() if above else ""
                if kind and ended == kind:
                    numbers[kind] += 1
                    yield from _read_entry(_KINDS[kind], numbers[kind], entry, zones, codec)
                    kind = ""
            elif kind:
                entry.append((above[-1] if above else "", line))
                if len(entry) == _LINES:
                    yield from _read_entry(_KINDS[kind], numbers[kind] + 1, entry, zones, codec)
                    entry = []
            elif above == ["vcalendar"]:
                yield from _of_calendar(line, codec)
        if kind:
            numbers[kind] += 1
            yield from _read_entry(_KINDS[kind], numbers[kind], entry, zones, codec)
        if above:
            yield Problem("truncated", f"{above[-1]} has no end", resolution="read as far as it goes")
        yield Field("calendar.entries", numbers.total())


def _zones(stream: Stream) -> dict[str, Zone]:
    """The zones whose rules stand in the file."""
    zones: dict[str, Zone] = {}
    zone: Zone | None = None
    for line in lines_of(stream):
        part = line.raw.strip().upper() if line.name in ("begin", "end") else b""
        if part == b"VTIMEZONE":
            zone = Zone() if line.name == "begin" else None
        elif zone is None:
            continue
        elif line.name == "tzid":
            zones.setdefault(line.text("").strip(), zone)
        elif line.name == "begin":
            zone.begin()
        elif line.name != "end":
            zone.take(line.name, line.text(""))
    return zones


def _of_calendar(line: Line, codec: str) -> Iterator[Fact]:
    value = plain(line.text(codec)).strip()
    if line.name == "method":
        yield Field("calendar.method", value.lower())
    elif line.name == "prodid":
        yield Field("calendar.product", value)
    elif line.name in ("x-wr-calname", "name"):
        yield Field("calendar.name", value)
        yield Text(value, "calendar name")
    elif line.name in ("x-wr-caldesc", "description"):
        yield Text(value, "calendar description")


def _read_entry(
    kind: str, number: int, entry: list[tuple[str, Line]], zones: Mapping[str, Zone], codec: str
) -> Iterator[Fact]:
    yield Field("calendar.kind", kind)
    shown: list[str] = []
    files: list[Child] = []
    named: dict[str, None] = {}
    for part, line in entry:
        name, origin = line.name, f"icalendar.{kind}.{number}.{line.name}"
        alarm = part == "valarm"
        if name == "attach" and (line.is_binary or line.raw[:5].lower() == b"data:"):
            files.append(_attached(line, f"{kind} {number} attachment {len(files) + 1}"))
            continue
        text = line.text(codec)
        value = _person(line, text) if name in ("organizer", "attendee") else plain(text).strip()
        if name == "attach":
            yield Field("calendar.attachment", value)
            shown.append(f"attachment: {value}")
        elif alarm and name == "trigger":
            yield Field("calendar.alarm", value)
        elif alarm and name in ("description", "summary"):
            shown.append(f"alarm: {value}")
        elif name in _TIMES and not alarm:
            zone = line.first("tzid")
            if zone:
                named[zone] = None
            stamp = moment(_TIMES[name], value, origin, zone, zones.get(zone))
            if stamp:
                yield stamp
            shown.append(f"{name}: {value}{f' ({zone})' if zone else ''}")
        elif name in _SHOWN and value:
            shown.append(f"{name}: {', '.join(parts_of(text, ',')) if name == 'categories' else value}")
            if field := _FIELDS.get(name):
                yield Field(field, value)
    yield from (Field("calendar.zone", zone) for zone in named)
    yield Text("\n".join(shown), f"{kind} {number}")
    yield from files


def _person(line: Line, text: str) -> str:
    """Who it is, with the name and the answer that stand beside the address."""
    address = re.sub(r"^mailto:", "", text.strip(), flags=re.IGNORECASE)
    name, answer = line.first("cn"), line.first("partstat") or line.first("status")
    who = f"{name} <{address}>" if name and name != address else address
    return f"{who}: {answer.lower()}" if answer else who


def _attached(line: Line, name: str) -> Child:
    kind = line.first("fmttype")
    if line.raw[:5].lower() == b"data:":
        head, _, raw = line.raw.partition(b",")
        kind = kind or head[5:].split(b";")[0].decode("latin-1")
        line = line._replace(raw=raw)
    label = line.first("filename") or line.first("x-filename") or line.first("x-apple-filename") or name
    fields = (Field("calendar.attachment", kind),) if kind else ()
    return Child(label, label.encode("utf-8", "surrogatepass"), partial(BytesIO, line.data()), fields=fields)
