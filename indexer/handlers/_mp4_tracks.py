"""Tracks of MP4 and QuickTime files: coding, shape, language, and the words of text tracks.

Source: ISO/IEC 14496-12:2022, 8.3 to 8.7, 12; ISO/IEC 14496-14, 5.6 (esds); ISO/IEC 14496-30 (WebVTT);
ISO/IEC 14496-12:2022, 8.6.6 (edit lists), 8.12 (protection); Apple QuickTime File Format, "Timed Metadata";
3GPP TS 26.245 (timed text); Apple QuickTime File Format, "Text Media".
Limits: closed captions inside pictures are not read; text in fragments (moof) is not read.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterator
from typing import Final

from msgspec import Struct

from indexer.handler import Stream
from indexer.handlers import _media
from indexer.handlers._boxes import Box, boxes, find
from indexer.handlers._mp4_tags import read_meta
from indexer.handlers._picture import read_text
from indexer.limits import MIB
from indexer.model import Fact, Field, Text, Timestamp
from indexer.timestamps import from_hfs

SAMPLES: Final = 50_000
"""Lines of subtitles read from one track."""
TABLE: Final = 16 * MIB
_KINDS: Final = {
    b"vide": "video", b"soun": "audio", b"text": "text", b"sbtl": "subtitles", b"subt": "subtitles",
    b"clcp": "captions", b"hint": "hint", b"tmcd": "time code", b"meta": "metadata", b"subp": "pictured subtitles",
}  # fmt: skip
_SPOKEN: Final = (b"text", b"tx3g", b"wvtt", b"stpp", b"sbtt")
_LOCKED: Final = (b"encv", b"enca", b"drms", b"drmi", b"enct")


class Sample(Struct, frozen=True):
    """One sample of a track: where it stands and when it is shown."""

    start: int
    length: int
    seconds: float


_STILL: Final = b"com.apple.quicktime.still-image-time"


def read_track(stream: Stream, box: Box, number: int, tags: _media.Tags, movie_scale: int = 0) -> Iterator[Fact]:
    """What one track says of itself; `movie_scale` is what a second of the film has ticks."""
    media = find(stream, box, b"mdia")
    if not media:
        return
    handler = find(stream, media, b"hdlr")
    head = handler.data(stream, 300) if handler else b""
    kind = head[8:12]
    yield Field("media.track_kind", _KINDS.get(kind, kind.decode("latin-1").strip("\0 ") or "unknown"))
    scale, language = yield from _header(stream, media)
    table = find(stream, media, b"minf", b"stbl")
    if table:
        coding = yield from _description(stream, table, kind, tags)
        if kind == b"vide":
            yield from _frame_rate(stream, table, scale)
        if coding == b"mebx":
            yield from _still(stream, box, table, scale, movie_scale)
        if coding in _SPOKEN and kind in (b"text", b"sbtl", b"subt"):
            yield from _words(stream, table, coding, scale, f"subtitles {number} {language}".strip())
    for inner in boxes(stream, box.start, min(box.end, stream.size)):
        if inner.kind == b"udta":
            for entry in boxes(stream, inner.start, min(inner.end, stream.size)):
                if entry.kind == b"name":
                    tags.add("track name", entry.data(stream, 1000))
        elif inner.kind == b"meta":
            yield from read_meta(stream, inner, tags)


def _header(stream: Stream, media: Box) -> Generator[Fact, None, tuple[int, str]]:
    """Yields the track's times; returns its scale and language."""
    box = find(stream, media, b"mdhd")
    data = box.data(stream, 64) if box else b""
    wide = data[:1] == b"\1"
    size = 8 if wide else 4
    yield from times(data, "mdhd")
    at = 4 + 2 * size
    scale = int.from_bytes(data[at : at + 4], "big")
    packed = int.from_bytes(data[at + 4 + size : at + 6 + size], "big")
    language = "".join(chr((packed >> shift & 31) + 96) for shift in (10, 5, 0)) if 0x400 <= packed < 0x7FFF else ""
    if language and language != "und":
        yield Field("media.language", language)
    return scale, language if language != "und" else ""


def times(data: bytes, box: str) -> Iterator[Timestamp]:
    """Creation and change, as the headers of films and tracks have them: UTC by the standard."""
    size = 8 if data[:1] == b"\1" else 4
    for kind, at in (("B", 4), ("M", 4 + size)):
        if stamp := from_hfs(kind, int.from_bytes(data[at : at + size], "big"), f"mp4.{box}"):
            yield stamp


def _description(stream: Stream, table: Box, kind: bytes, tags: _media.Tags) -> Generator[Fact, None, bytes]:
    """Yields coding and shape; returns the coding."""
    box = find(stream, table, b"stsd")
    data = box.data(stream, 8192) if box else b""
    coding, entry = data[12:16], data[8:]
    if not box or not coding:
        return b""
    yield Field("media.codec", coding.decode("latin-1").strip("\0 "))
    if coding in _LOCKED:
        yield Field("media.encrypted", True)
        yield from _protection(stream, box, coding, tags)
    if kind == b"vide" and len(entry) >= 86:
        width, height = struct.unpack_from(">HH", entry, 32)
        yield from _media.told("width", width)
        yield from _media.told("height", height)
        name = entry[51 : 51 + min(entry[50], 31)]
        yield from _media.told("encoder", read_text(name))
    elif kind == b"soun" and len(entry) >= 36:
        channels, bits, _, _, rate = struct.unpack_from(">HHHHI", entry, 24)
        yield from _media.told("channels", channels)
        yield from _media.told("bits", bits)
        yield from _media.told("sample_rate", rate >> 16)
        yield from _average_rate(entry)
    return coding


def _protection(stream: Stream, box: Box, coding: bytes, tags: _media.Tags) -> Iterator[Fact]:
    """Scheme and true coding of an encrypted track; the account that it was sold to goes into `tags`."""
    at = box.data(stream, 8192).find(b"sinf")
    about = next(boxes(stream, box.start + at - 4, box.end), None) if at >= 4 else None
    scheme = find(stream, about, b"schm") if about else None
    name = scheme.data(stream, 8)[4:] if scheme else coding
    yield Field("media.drm", name.decode("latin-1").strip("\0 "))
    if not about:
        return
    if true := find(stream, about, b"frma"):
        yield Field("media.codec", true.data(stream, 4).decode("latin-1").strip("\0 "))
    if owner := find(stream, about, b"schi", b"name"):
        tags.add("account", owner.data(stream, 1000).split(b"\0")[0])


def _still(stream: Stream, track: Box, table: Box, scale: int, movie_scale: int) -> Iterator[Fact]:
    """When the still picture of a live photo was taken: where the one sample of its track is shown."""
    described, sizes = find(stream, table, b"stsd"), find(stream, table, b"stsz")
    if not described or _STILL not in described.data(stream, 8192):
        return
    if not sizes or sizes.data(stream, 12)[8:] != b"\0\0\0\1":
        return
    edits = find(stream, track, b"edts", b"elst")
    data = edits.data(stream, 8192) if edits else b""
    form = ">QqI" if data[:1] == b"\1" else ">IiI"
    size = struct.calcsize(form)
    ticks = 0
    for duration, start, _ in struct.iter_unpack(form, data[8 : 8 + (len(data) - 8) // size * size]):
        if start >= 0:
            seconds = (ticks / movie_scale if ticks else 0.0) - (start / scale if start else 0.0)
            if seconds >= 0:
                yield Field("mp4.still_image_time", round(seconds, 6))
            return
        if not movie_scale:
            return
        ticks += duration
    if not data:
        yield Field("mp4.still_image_time", 0.0)


def _average_rate(entry: bytes) -> Iterator[Fact]:
    """The average bitrate in the decoder's own description."""
    at = entry.find(b"esds")
    position = at + 8
    for _ in range(8):
        if at < 0 or position + 2 > len(entry):
            return
        kind = entry[position]
        position += 1
        while position < len(entry) and entry[position] & 0x80:
            position += 1
        position += 1
        if kind == 4:
            average = int.from_bytes(entry[position + 9 : position + 13], "big")
            yield from _media.told("bitrate", average)
            return
        # The stream's own description stands in the element's, behind its number and flags.
        flags = entry[position + 2] if kind == 3 and position + 2 < len(entry) else 0
        position += 3 + 2 * (flags >> 7) + 2 * (flags >> 5 & 1)


def _frame_rate(stream: Stream, table: Box, scale: int) -> Iterator[Fact]:
    runs = _times_of(stream, table)
    frames, ticks = sum(count for count, _ in runs), sum(count * each for count, each in runs)
    if frames and ticks and scale:
        yield Field("media.frame_rate", round(frames * scale / ticks, 3))


def _times_of(stream: Stream, table: Box) -> list[tuple[int, int]]:
    """Counts of samples and their durations."""
    box = find(stream, table, b"stts")
    data = box.data(stream, TABLE)[8:] if box else b""
    return list(struct.iter_unpack(">II", data[: len(data) & ~7]))


def _words(stream: Stream, table: Box, coding: bytes, scale: int, locator: str) -> Iterator[Fact]:
    lines = []
    for sample in _samples(stream, table, scale):
        text = _spoken(coding, stream.at(sample.start, min(sample.length, MIB)))
        if text:
            lines.append(text if coding == b"stpp" else f"{_media.clock(sample.seconds)} {text}")
    if lines:
        yield Text("\n".join(lines), locator)


def _spoken(coding: bytes, data: bytes) -> str:
    if coding in (b"text", b"tx3g"):
        raw = data[2 : 2 + int.from_bytes(data[:2], "big")]
        wide = raw[:2] in (b"\xfe\xff", b"\xff\xfe")
        return raw.decode("utf-16", "replace").strip() if wide else read_text(raw)
    if coding == b"wvtt":
        at = data.find(b"payl")
        size = int.from_bytes(data[at - 4 : at], "big") if at >= 4 else 0
        return data[at + 4 : at - 4 + size].decode("utf-8", "replace") if size > 8 else ""
    return data.decode("utf-8", "replace")


def _samples(stream: Stream, table: Box, scale: int) -> Iterator[Sample]:
    """Where the samples stand, by the tables of sizes, chunks and times."""
    held = {box.kind: box.data(stream, TABLE) for box in boxes(stream, table.start, min(table.end, stream.size))}
    sizes = held.get(b"stsz", b"")
    fixed, count = int.from_bytes(sizes[4:8], "big"), int.from_bytes(sizes[8:12], "big")
    wide = b"co64" in held
    offsets = held.get(b"co64" if wide else b"stco", b"")[8:]
    step = 8 if wide else 4
    chunks = [int.from_bytes(offsets[at : at + step], "big") for at in range(0, len(offsets) - step + 1, step)]
    runs = held.get(b"stsc", b"")[8:]
    per_chunk = [struct.unpack_from(">II", runs, at) for at in range(0, len(runs) - 11, 12)]
    lengths = (ticks for times, ticks in _times_of(stream, table) for _ in range(min(times, SAMPLES)))
    ticks, sample, run = 0, 0, 0
    for number, start in enumerate(chunks, 1):
        while run + 1 < len(per_chunk) and per_chunk[run + 1][0] <= number:
            run += 1
        for _ in range(min(per_chunk[run][1] if per_chunk else 0, SAMPLES)):
            if sample >= min(count, SAMPLES):
                return
            at = 12 + 4 * sample
            size = fixed or int.from_bytes(sizes[at : at + 4], "big")
            yield Sample(start, size, ticks / scale if scale else 0.0)
            start += size
            sample += 1
            ticks += next(lengths, 0)
