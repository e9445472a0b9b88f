"""Matroska and WebM films: times, tracks, tags, chapters, attachments, subtitles.

Source: RFC 9559 (Matroska), sections 5 and 11; RFC 8794 (EBML).
Limits: nothing is decoded; of pictured subtitles only the track is named; blocks in encrypted or
bzip2-packed tracks are not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final

from msgspec import Struct, field

from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _media, _picture
from indexer.handlers._ebml import Element, elements, variable
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Text, Timestamp

LINES: Final = 100_000
"""Lines of subtitles read from one file."""
_HEAD, _SEGMENT, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
_LEVEL: Final = frozenset(
    (0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1043A770, 0x1254C367, 0x1941A469, 0x1C53BB6B, _CLUSTER, 0xEC, 0xBF)
)
_KINDS: Final = {1: "video", 2: "audio", 3: "complex", 16: "logo", 17: "subtitles", 18: "buttons", 32: "control"}
_OF_SEGMENT: Final = {
    0x7BA9: "title", 0x4D80: "muxing program", 0x5741: "encoder", 0x7384: "file name", 0x3C83AB: "previous file",
    0x3E83BB: "next file",
}  # fmt: skip


class Track(Struct):
    """A track of subtitles as text: where its lines go."""

    coding: str
    language: str
    packing: int = -1
    prefix: bytes = b""
    lines: list[str] = field(default_factory=list)


class Film(Struct):
    """What is known of the segment while it is walked."""

    scale: int = 1_000_000
    tracks: dict[int, Track] = field(default_factory=dict)
    lines: int = 0


class Matroska(Handler):
    name = "matroska"
    media_types = ("video/x-matroska", "video/webm", "audio/x-matroska", "audio/webm", "video/matroska")
    signatures = (Signature(b"\x1a\x45\xdf\xa3"),)
    suffixes = (".mkv", ".webm", ".mka", ".mks", ".mk3d")
    fields: ClassVar[dict[str, str]] = {
        **_media.FIELDS,
        "matroska.doctype": "the format that the file says it has",
        "refers_to": "path or name of another file that this one uses",
    }
    reads = "times, tracks and codings, tags, chapters, attachments, subtitles"
    container = True

    def claims(self, stream: Stream) -> str | None:
        head = stream.head[:256]
        return "video/webm" if b"webm" in head[:64] else "video/x-matroska" if b"matroska" in head else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        tags, film, end, problem = _media.Tags(), Film(), 0, None
        for outer in elements(stream, 0, stream.size):
            if outer.number == _HEAD:
                for inner in elements(stream, outer.start, outer.end):
                    if inner.number == 0x4282:
                        yield Field("matroska.doctype", inner.text(stream))
            elif outer.number == _SEGMENT:
                yield from _segment(stream, outer, film, tags)
            elif outer.number not in (0xEC, 0xBF):
                break
            end = outer.end
            if end > stream.size:
                problem = Problem("truncated", f"the film ends at {end}, the file at {stream.size}")
        yield from tags.facts()
        for number, track in sorted(film.tracks.items()):
            if track.lines:
                yield Text("\n".join(track.lines), f"subtitles {number} {track.language}".strip())
        if film.lines >= LINES:
            yield Problem("limit", f"more than {LINES} lines of subtitles", resolution="stopped there")
        if problem:
            yield problem
        else:
            yield from _media.leftover(stream, end)


def _segment(stream: Stream, segment: Element, film: Film, tags: _media.Tags) -> Iterator[Fact]:
    position, end = segment.start, min(segment.end, stream.size)
    while position < end:
        moved = False
        for inner in elements(stream, position, end):
            position, moved = inner.end, True
            if position > end and segment.end <= stream.size and not inner.open:
                yield Problem("corrupt", f"element {inner.number:X} ends at {position}, the film at {end}")
            if inner.number == _CLUSTER:
                stop = _cluster(stream, inner, film) if film.tracks or inner.open else inner.end
                if inner.open:
                    # A live recording does not know how long its clusters are: each ends where the next begins.
                    position = stop
                    break
            elif inner.number == 0x1549A966:
                yield from _about(stream, inner, film, tags)
            elif inner.number == 0x1654AE6B:
                for entry in elements(stream, inner.start, min(inner.end, end)):
                    if entry.number == 0xAE:
                        yield from _track(stream, entry, film, tags)
            elif inner.number == 0x1043A770:
                yield from _chapters(stream, inner)
            elif inner.number == 0x1254C367:
                _read_tags(stream, inner, tags)
            elif inner.number == 0x1941A469:
                yield from _attachments(stream, inner)
        else:
            return
        if not moved:
            return


def _about(stream: Stream, box: Element, film: Film, tags: _media.Tags) -> Iterator[Fact]:
    ticks = 0.0
    for inner in elements(stream, box.start, box.end):
        if inner.number == 0x2AD7B1:
            film.scale = inner.whole(stream) or film.scale
        elif inner.number == 0x4489:
            ticks = inner.real(stream)
        elif inner.number == 0x4461:
            nanoseconds = inner.whole(stream, signed=True)
            at = datetime(2001, 1, 1, tzinfo=UTC) + timedelta(microseconds=nanoseconds // 1000)
            yield Timestamp("B", at, "matroska.DateUTC", 1e-6)
        elif name := _OF_SEGMENT.get(inner.number):
            tags.add(name, inner.text(stream))
            if inner.number in (0x3C83AB, 0x3E83BB):
                yield Field("refers_to", inner.text(stream))
    yield from _media.length(ticks * film.scale / 1e9)


def _track(stream: Stream, box: Element, film: Film, tags: _media.Tags) -> Iterator[Fact]:
    held = {inner.number: inner for inner in elements(stream, box.start, box.end)}

    def text(number: int) -> str:
        return held[number].text(stream) if number in held else ""

    def whole(number: int) -> int:
        return held[number].whole(stream) if number in held else 0

    kind, coding = whole(0x83), text(0x86)
    language = text(0x22B59D) or text(0x22B59C)
    yield Field("media.track_kind", _KINDS.get(kind, str(kind)))
    yield from _media.told("codec", coding)
    yield from _media.told("track_name", text(0x536E))
    yield from _media.told("language", language if language != "und" else "")
    if kind == 1 and (each := whole(0x23E383)):
        yield Field("media.frame_rate", round(1e9 / each, 3))
    for outer, names in ((0xE0, {0xB0: "width", 0xBA: "height"}), (0xE1, {0x9F: "channels", 0x6264: "bits"})):
        if outer in held:
            for inner in elements(stream, held[outer].start, held[outer].end):
                if name := names.get(inner.number):
                    yield from _media.told(name, inner.whole(stream))
                elif inner.number == 0xB5:
                    yield from _media.told("sample_rate", round(inner.real(stream)))
    track = Track(coding, language)
    readable = _packing(stream, held.get(0x6D80), track)
    if not readable:
        yield Field("media.encrypted", True)
    if kind == 17 and readable and coding.startswith(("S_TEXT", "D_WEBVTT")) and len(film.tracks) < 100:
        film.tracks[whole(0xD7)] = track
        if head := held[0x63A2].data(stream) if 0x63A2 in held else b"":
            track.lines += head.decode("utf-8", "replace").splitlines()[:1000]


def _packing(stream: Stream, box: Element | None, track: Track) -> bool:
    """Takes how the track's blocks are packed; whether they can be read at all."""
    if box is None:
        return True
    for encoding in elements(stream, box.start, box.end):
        for inner in elements(stream, encoding.start, encoding.end):
            if inner.number == 0x5035:
                return False
            if inner.number == 0x5034:
                track.packing = 0
                for part in elements(stream, inner.start, inner.end):
                    if part.number == 0x4254:
                        track.packing = part.whole(stream)
                    elif part.number == 0x4255:
                        track.prefix = part.data(stream, 4096)
    return True


def _chapters(stream: Stream, box: Element) -> Iterator[Fact]:
    lines: list[str] = []
    waiting = [box]
    while waiting and len(lines) < 10_000:
        start, names = 0, []
        for inner in elements(stream, (last := waiting.pop()).start, min(last.end, stream.size)):
            if inner.number in (0x45B9, 0xB6):
                waiting.append(inner)
            elif inner.number == 0x91:
                start = inner.whole(stream)
            elif inner.number == 0x80:
                names += [each.text(stream) for each in elements(stream, inner.start, inner.end) if each.number == 0x85]
        for name in names:
            yield Field("media.chapter", name)
            lines.append(f"{_media.clock(start / 1e9)} {name}")
    if lines:
        yield Text("\n".join(sorted(lines)), "chapters")


def _read_tags(stream: Stream, box: Element, tags: _media.Tags) -> None:
    for tag in elements(stream, box.start, min(box.end, stream.size)):
        for simple in elements(stream, tag.start, min(tag.end, stream.size)):
            if simple.number != 0x67C8:
                continue
            held = {inner.number: inner for inner in elements(stream, simple.start, simple.end)}
            if 0x45A3 in held and 0x4487 in held:
                tags.add(held[0x45A3].text(stream), held[0x4487].text(stream))


def _attachments(stream: Stream, box: Element) -> Iterator[Fact]:
    for number, entry in enumerate(elements(stream, box.start, min(box.end, stream.size)), 1):
        held = {inner.number: inner for inner in elements(stream, entry.start, entry.end)}
        if 0x465C in held:
            name = held[0x466E].text(stream) if 0x466E in held else f"attachment-{number}"
            data = held[0x465C]
            kind = "cover" if name.lower().startswith("cover.") else "attachment"
            yield _picture.member(stream, name, data.start, data.end - data.start, kind)


def _cluster(stream: Stream, cluster: Element, film: Film) -> int:
    """Takes the lines of subtitles in a cluster; where it ends."""
    base, position = 0, cluster.start
    for inner in elements(stream, cluster.start, min(cluster.end, stream.size)):
        if cluster.open and inner.number in _LEVEL - {0xEC, 0xBF}:
            return position
        position = inner.end
        if inner.number == 0xE7:
            base = inner.whole(stream)
        elif inner.number == 0xA3:
            _block(stream, inner, base, film)
        elif inner.number == 0xA0 and film.tracks:
            for part in elements(stream, inner.start, inner.end):
                if part.number == 0xA1:
                    _block(stream, part, base, film)
    return position


def _block(stream: Stream, block: Element, base: int, film: Film) -> None:
    head = stream.at(block.start, 12)
    number, size = variable(head, 0)
    track = film.tracks.get(number)
    if not track or not size or film.lines >= LINES:
        return
    at = base + int.from_bytes(head[size : size + 2], "big", signed=True)
    data = stream.at(block.start + size + 3, min(block.end - block.start - size - 3, MIB))
    if track.packing == 3:
        data = track.prefix + data
    elif track.packing == 0:
        data = _picture.inflate(data, MIB)[0]
    text = data.decode("utf-8", "replace").strip("\0\r\n")
    if track.coding in ("S_TEXT/ASS", "S_TEXT/SSA"):
        text = text.split(",", 8)[-1]
    film.lines += 1
    track.lines.append(f"{_media.clock(at * film.scale / 1e9)} {text}")
