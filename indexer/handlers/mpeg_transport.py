"""MPEG transport streams (recordings, Blu-ray, cameras): programs, streams, names, titles, times.

Source: ISO/IEC 13818-1:2022, 2.4.3 (packets) and 2.4.4 (tables); ETSI EN 300 468 V1.17.1: 5.2, 6.2 and annex A
(services, events, times, text); packets of 192 and 204 bytes as Blu-ray and broadcasters have them.
Limits: nothing is decoded; tables are looked for in the first and last megabytes; text of ARIB and the
tables of ATSC are not read; the size of pictures is told for MPEG-2 only.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final

from indexer.handler import CONTROLS, Handler, Stream
from indexer.handlers import _media, _mpeg
from indexer.handlers._picture import FIELD_CHARS, read_text
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Text, Timestamp

LOOKED_AT: Final = 16 * MIB
TAIL: Final = 2 * MIB
STREAMS: Final = 2_000
NAMES: Final = 5_000
_SYNC: Final = 0x47
_FORMS: Final = ((188, 0), (192, 4), (204, 0))
"""Bytes of a packet, and where in it the mark stands."""
_CODINGS: Final = {
    0x06: "private data",
    0x01: "MPEG-1 video", 0x02: "MPEG-2 video", 0x03: "MPEG-1 audio", 0x04: "MPEG-2 audio", 0x0F: "AAC", 0x10: "MPEG-4",
    0x11: "AAC LATM", 0x15: "metadata", 0x1B: "H.264", 0x20: "H.264 MVC", 0x24: "H.265", 0x33: "H.266", 0x42: "AVS",
    0x80: "LPCM", 0x81: "AC-3", 0x82: "DTS", 0x83: "TrueHD", 0x84: "E-AC-3", 0x85: "DTS-HD", 0x86: "DTS-HD MA",
    0x90: "PGS subtitles", 0x91: "menus", 0x92: "text subtitles", 0xEA: "VC-1", 0xD2: "AVS2",
}  # fmt: skip
_DESCRIBED: Final = {0x6A: "AC-3", 0x7A: "E-AC-3", 0x7B: "DTS", 0x59: "DVB subtitles", 0x56: "teletext"}
_VIDEO: Final = frozenset((0x01, 0x02, 0x10, 0x1B, 0x20, 0x24, 0x33, 0x42, 0xD2, 0xEA))
_TABLES: Final = {
    5: "iso8859_9", 1: "iso8859_5", 2: "iso8859_6", 3: "iso8859_7", 4: "iso8859_8", 6: "iso8859_10", 7: "iso8859_11",
    9: "iso8859_13", 10: "iso8859_14", 11: "iso8859_15", 0x11: "utf-16-be", 0x12: "euc_kr", 0x13: "gb2312",
    0x14: "big5", 0x15: "utf-8",
}  # fmt: skip
_JAPAN: Final = frozenset((4, 6, 7, 10, *range(0x7FE0, 0x7FF0), *range(0x7880, 0x7FE8)))
"""Networks whose text is in the code of ARIB."""


class MpegTransport(Handler):
    name = "mpeg-transport"
    media_types = ("video/mp2t", "video/MP2T")
    suffixes = (".ts", ".m2ts", ".mts", ".m2t", ".tp", ".trp")
    holds = CONTROLS
    fields: ClassVar[dict[str, str]] = {
        **_media.FIELDS,
        "mpeg.packet": "bytes of a packet: 188, 192 (Blu-ray, cameras) or 204",
        "mpeg.program": "number of a program",
        "mpeg.service": "name of a service as broadcast",
        "mpeg.provider": "who provides a service",
        "mpeg.network": "name of a network",
        "mpeg.event": "title of an event that is announced",
    }
    reads = "programs, codings and languages of streams, names of services, titles of events, times"
    rank = 55

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if _form(stream.head) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        size, _ = _form(stream.head) or (188, 0)
        yield Field("mpeg.packet", size)
        tables = _Tables()
        yield from tables.read(stream, 0, LOOKED_AT)
        if stream.size > LOOKED_AT:
            tail = max(LOOKED_AT, stream.size - TAIL)
            yield from tables.read(stream, tail - tail % size, TAIL + size)
        yield from tables.facts()
        if stream.size % size:
            yield Problem("truncated", f"the last packet has {stream.size % size} of {size} bytes")


def _form(head: bytes) -> tuple[int, int] | None:
    """Size of packets and place of the mark, where five in a row have it; fewer only where the file ends."""
    for size, at in _FORMS:
        marks = head[at : at + 5 * size : size]
        if len(marks) > 1 and marks.count(_SYNC) == len(marks) and (len(marks) == 5 or len(head) < 5 * size):
            return size, at
    return None


class _Tables:
    """The sections of tables as they come together out of packets, and what they said."""

    def __init__(self) -> None:
        self.sections: dict[int, bytearray] = {pid: bytearray() for pid in (0, 16, 17, 18, 20)}
        self.programs: dict[int, int] = {}
        self.streams: dict[int, tuple[int, str, list[str]]] = {}
        self.names: dict[tuple[str, str], None] = {}
        self.events: dict[tuple[str, str], None] = {}
        self.clocks: list[int] = []
        self.clock_pid = -1
        self.pictures: bytes = b""
        self.seen: set[bytes] = set()
        self.stamps: list[datetime] = []
        self.japan = False

    def read(self, stream: Stream, start: int, length: int) -> Iterator[Fact]:
        """Goes through packets; out of step it looks for the next mark."""
        size, at = _form(stream.head) or (188, 0)
        position, end = start, min(stream.size, start + length)
        lost = 0
        while position < end:
            data = stream.at(position, 4096 * size)
            place = 0
            while place + size <= len(data):
                if data[place + at] != _SYNC:
                    lost += 1
                    found = data.find(b"G", place + at + 1)
                    place = found - at if found >= 0 else len(data)
                    continue
                self._packet(data[place + at : place + at + 188])
                place += size
            if len(data) < 4096 * size:
                break
            position += max(place, size)
        if lost:
            yield Problem("corrupt", f"{lost} times a packet does not begin where one is due", resolution="looked on")

    def _packet(self, packet: bytes) -> None:
        pid = (packet[1] & 31) << 8 | packet[2]
        begins, control = packet[1] & 0x40, packet[3] >> 4 & 3
        start = 4
        if control & 2:
            if packet[4] >= 7 and packet[5] & 0x10 and self.clock_pid in (-1, pid):
                self.clock_pid = pid
                clock = int.from_bytes(packet[6:11], "big") >> 7
                self.clocks = [*self.clocks[:1], clock]
            start = 5 + packet[4]
        if not control & 1 or start >= len(packet):
            return
        if pid in self.sections:
            self._section(pid, packet[start:], bool(begins))
        elif not self.pictures and pid in self.streams and self.streams[pid][0] in (1, 2):
            found = packet.find(_mpeg.SEQUENCE, start)
            self.pictures = packet[found + 4 : found + 8] if found >= 0 else b""

    def _section(self, pid: int, payload: bytes, begins: bool) -> None:
        held = self.sections[pid]
        if begins:
            pointer = payload[0] + 1
            if held:
                held += payload[1:pointer]
                self._complete(pid)
            held[:] = payload[pointer:]
        elif held:
            held += payload
        self._complete(pid)

    def _complete(self, pid: int) -> None:
        """Reads the whole sections that have come together."""
        held = self.sections[pid]
        while len(held) >= 3 and held[0] != 0xFF:
            length = 3 + ((held[1] & 15) << 8 | held[2])
            if len(held) < length:
                return
            section = bytes(held[:length])
            del held[:length]
            if section not in self.seen and len(self.seen) < NAMES:
                self.seen.add(section)
                self._table(pid, section)
        held.clear()

    def _table(self, pid: int, section: bytes) -> None:
        kind, body = section[0], section[8:-4]
        if pid == 0 and kind == 0:
            for at in range(0, len(body) - 3, 4):
                number, place = struct.unpack_from(">HH", body, at)
                place &= 0x1FFF
                if number and len(self.programs) < STREAMS:
                    self.programs[place] = number
                    self.sections.setdefault(place, bytearray())
        elif pid in self.programs and kind == 2:
            self._map(body)
        elif kind in (0x42, 0x46):
            self.japan |= int.from_bytes(body[:2], "big") in _JAPAN
            at = 3
            while at + 5 <= len(body):
                length = int.from_bytes(body[at + 3 : at + 5], "big") & 0xFFF
                self._named(body[at + 5 : at + 5 + length])
                at += 5 + length
        elif kind in (0x40, 0x41):
            self._named(body[2 : 2 + (int.from_bytes(body[:2], "big") & 0xFFF)])
        elif 0x4E <= kind <= 0x6F:
            self._announced(body)
        elif kind in (0x70, 0x73) and (stamp := _moment(section[3:8])):
            self.stamps = [*self.stamps[:1], stamp]

    def _map(self, body: bytes) -> None:
        at = 4 + (int.from_bytes(body[2:4], "big") & 0xFFF)
        while at + 5 <= len(body) and len(self.streams) < STREAMS:
            kind, pid = body[at], int.from_bytes(body[at + 1 : at + 3], "big") & 0x1FFF
            length = int.from_bytes(body[at + 3 : at + 5], "big") & 0xFFF
            coding, languages = _CODINGS.get(kind, ""), []
            for tag, data in _descriptors(body[at + 5 : at + 5 + length]):
                if tag in (0x0A, 0x59, 0x56):
                    step = {0x0A: 4, 0x59: 8, 0x56: 5}[tag]
                    languages += [data[place : place + 3].decode("latin-1") for place in range(0, len(data) - 2, step)]
                if kind == 6:
                    coding = _DESCRIBED.get(tag, coding)
                if tag == 5 and not coding:
                    coding = data[:4].decode("latin-1").strip("\0 ")
            self.streams.setdefault(pid, (kind, coding or f"type {kind:#04x}", languages))
            at += 5 + length

    def _named(self, data: bytes) -> None:
        for tag, held in _descriptors(data):
            if tag == 0x48 and len(held) > 2:
                rest = held[2 + held[1] :]
                names = [("provider", held[2 : 2 + held[1]]), ("service", rest[1 : 1 + rest[0]] if rest else b"")]
            elif tag == 0x40:
                names = [("network", held)]
            else:
                continue
            for what, raw in names:
                text = "" if self.japan else decode_text(raw)
                if text and len(self.names) < NAMES:
                    self.names[what, text] = None

    def _announced(self, body: bytes) -> None:
        if self.japan or int.from_bytes(body[2:4], "big") in _JAPAN:
            return
        at = 6
        while at + 12 <= len(body):
            length = int.from_bytes(body[at + 10 : at + 12], "big") & 0xFFF
            begins = _moment(body[at + 2 : at + 7])
            when = f"{begins:%Y-%m-%d %H:%M} UTC" if begins else ""
            for tag, data in _descriptors(body[at + 12 : at + 12 + length]):
                if tag == 0x4D and len(data) > 4 and len(self.events) < NAMES:
                    title = decode_text(data[4 : 4 + data[3]])
                    rest = data[4 + data[3] :]
                    more = decode_text(rest[1 : 1 + rest[0]]) if rest else ""
                    self.events[title, f"{when} {title}\n{more}".strip()] = None
            at += 12 + length

    def facts(self) -> Iterator[Fact]:
        """What all tables said."""
        if len(self.clocks) == 2:
            yield from _mpeg.elapsed(*self.clocks)
        yield from (Field("mpeg.program", number) for number in dict.fromkeys(self.programs.values()))
        for kind, coding, languages in self.streams.values():
            yield Field("media.track_kind", "video" if kind in _VIDEO else "audio" if _is_sound(coding) else "other")
            yield Field("media.codec", coding[:FIELD_CHARS])
            for language in dict.fromkeys(languages):
                yield from _media.told("language", language.strip("\0 "))
        yield from _mpeg.sequence(self.pictures)
        yield from (Field(f"mpeg.{what}", text[:FIELD_CHARS]) for what, text in self.names)
        titles = dict.fromkeys(title for title, _ in self.events if title)
        yield from (Field("mpeg.event", title[:FIELD_CHARS]) for title in titles)
        for event, stamp in zip(("recorded", "ended"), self.stamps, strict=False):
            yield Timestamp(event, stamp, "mpeg.TDT")
        if self.names:
            yield Text("\n".join(f"{what}: {text}" for what, text in self.names), "services")
        if self.events:
            yield Text("\n".join(text for _, text in self.events), "events")
        if not self.programs:
            yield Problem("corrupt", "no table of programs in the packets that were looked at")


def _is_sound(coding: str) -> bool:
    return coding.startswith(("MPEG-1 a", "MPEG-2 a", "AAC", "AC-3", "E-AC-3", "DTS", "TrueHD", "LPCM", "Opus"))


def _descriptors(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 2 <= len(data):
        yield data[at], data[at + 2 : at + 2 + data[at + 1]]
        at += 2 + data[at + 1]


def decode_text(raw: bytes) -> str:
    """Text of a broadcast, which begins with the number of its table; none stands for Latin letters."""
    if not raw:
        return ""
    if raw[0] == 0x10 and len(raw) > 3:
        text = raw[3:].decode(f"iso8859_{raw[2]}" if 0 < raw[2] < 16 and raw[2] != 12 else "latin-1", "replace")
    elif raw[0] in _TABLES:
        text = raw[1:].decode(_TABLES[raw[0]], "replace")
    else:
        text = read_text(raw)
    return "".join(char for char in text if char.isprintable() and not 0x80 <= ord(char) < 0xA0).strip()


def _moment(data: bytes) -> datetime | None:
    """A day counted from 17 November 1858, and hours, minutes and seconds in decimal digits."""
    digits = data[2:5].hex()
    if len(data) < 5 or not digits.isdecimal() or data == b"\xff" * 5:
        return None
    hours, minutes, seconds = int(digits[:2]), int(digits[2:4]), int(digits[4:])
    if hours > 23 or minutes > 59 or seconds > 59:
        return None
    day = datetime(1858, 11, 17, tzinfo=UTC) + timedelta(days=int.from_bytes(data[:2], "big"))
    return day + timedelta(hours=hours, minutes=minutes, seconds=seconds)
