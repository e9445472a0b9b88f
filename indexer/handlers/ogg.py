"""Ogg files (Vorbis, Opus, Speex, FLAC, Theora): streams, comments, pictures, length.

Source: RFC 3533 (pages); Vorbis I, 4.2.2 and 5; RFC 7845, section 5 (Opus); Theora, 6.2 and 6.3;
the mapping of FLAC to Ogg (RFC 9639, 10.1).
Limits: nothing is decoded; of Kate and skeleton streams only the coding is named.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final

from msgspec import Struct, field

from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _media, _vorbis
from indexer.limits import KIB, MIB
from indexer.model import Fact, Field, Problem

PAGES: Final = 4_000
"""Pages read for headers; a cover of 60 MiB takes a thousand."""
STREAMS: Final = 100
PACKET: Final = 64 * MIB


class Track(Struct):
    """One logical stream: its first packets, and what they tell."""

    packets: list[bytes] = field(default_factory=list)
    waiting: bytearray = field(default_factory=bytearray)
    rate: int = 0
    skip: int = 0


class Ogg(Handler):
    name = "ogg"
    media_types = ("audio/ogg", "video/ogg", "application/ogg", "audio/vorbis", "audio/opus")
    signatures = (Signature(b"OggS\0"),)
    suffixes = (".ogg", ".oga", ".ogv", ".ogx", ".opus", ".spx")
    fields: ClassVar[dict[str, str]] = {**_media.FIELDS}
    reads = "streams, tags, pictures, length"
    container = True

    def claims(self, stream: Stream) -> str | None:
        return "video/ogg" if b"theora" in stream.head[:512] else "audio/ogg"

    def read(self, stream: Stream) -> Iterator[Fact]:
        tags = _media.Tags()
        tracks: dict[bytes, Track] = {}
        position, problem = 0, None
        for _ in range(PAGES):
            size, problem = _page(stream, position, tracks)
            position += size
            if problem or not size or all(len(each.packets) > 2 for each in tracks.values()):
                break
        for track in tracks.values():
            yield from _track(track, tags)
        yield from tags.facts()
        yield from _length(stream, tracks)
        if problem:
            yield problem


def _page(stream: Stream, position: int, tracks: dict[bytes, Track]) -> tuple[int, Problem | None]:
    """Takes the packets of one page; its length, 0 at the end."""
    head = stream.at(position, 27)
    if not head:
        return 0, None
    if head[:4] != b"OggS" or len(head) < 27:
        return 0, Problem("corrupt", f"no page at {position}")
    sizes = stream.at(position + 27, head[26])
    body = stream.at(position + 27 + len(sizes), sum(sizes))
    if len(body) < sum(sizes) or len(sizes) < head[26]:
        return 0, Problem("truncated", f"the page at {position} is cut off")
    serial = head[14:18]
    if serial not in tracks and len(tracks) >= STREAMS:
        return 27 + len(sizes) + len(body), None
    track = tracks.setdefault(serial, Track())
    at = 0
    for size in sizes:
        if len(track.packets) < 3 and len(track.waiting) < PACKET:
            track.waiting += body[at : at + size]
        at += size
        if size < 255 and len(track.packets) < 3:
            track.packets.append(bytes(track.waiting))
            track.waiting.clear()
    return 27 + len(sizes) + len(body), None


def _track(track: Track, tags: _media.Tags) -> Iterator[Fact]:
    first, second = (*track.packets[:2], b"", b"")[:2]
    if first[:7] == b"\x01vorbis":
        yield Field("media.codec", "Vorbis")
        track.rate = int.from_bytes(first[12:16], "little")
        yield from _sound(first[11:12], track.rate)
        highest, nominal, lowest = (int.from_bytes(first[at : at + 4], "little", signed=True) for at in (16, 20, 24))
        if nominal > 0:
            yield Field("media.bitrate", nominal)
        yield Field("media.variable_bitrate", not highest == nominal == lowest)
        yield from _vorbis.read_comments(second[7:], tags)
    elif first[:8] == b"OpusHead":
        yield Field("media.codec", "Opus")
        track.rate, track.skip = 48000, int.from_bytes(first[10:12], "little")
        yield from _sound(first[9:10], int.from_bytes(first[12:16], "little"))
        yield from _vorbis.read_comments(second[8:], tags)
    elif first[:8] == b"Speex   ":
        yield Field("media.codec", "Speex")
        track.rate = int.from_bytes(first[36:40], "little")
        yield from _sound(first[48:49], track.rate)
        yield from _vorbis.read_comments(second, tags)
    elif first[:5] == b"\x7fFLAC":
        yield Field("media.codec", "FLAC")
        packed = int.from_bytes(first[27:35], "big")
        track.rate = packed >> 44
        yield from _sound(bytes(((packed >> 41 & 7) + 1,)), track.rate)
        if second[:1] and second[0] & 127 == 4:
            yield from _vorbis.read_comments(second[4:], tags)
    elif first[:7] == b"\x80theora":
        yield Field("media.codec", "Theora")
        yield Field("media.width", int.from_bytes(first[14:17], "big"))
        yield Field("media.height", int.from_bytes(first[17:20], "big"))
        above, below = int.from_bytes(first[22:26], "big"), int.from_bytes(first[26:30], "big")
        if above and below:
            yield Field("media.frame_rate", round(above / below, 3))
        yield from _vorbis.read_comments(second[7:], tags)
    else:
        name = first[:8].strip(b"\0\x80 ").decode("latin-1")
        yield from _media.told("codec", name if name.isprintable() else "unknown")


def _sound(channels: bytes, rate: int) -> Iterator[Field]:
    yield from _media.told("sample_rate", rate)
    yield from _media.told("channels", (channels or b"\0")[0])


def _length(stream: Stream, tracks: dict[bytes, Track]) -> Iterator[Fact]:
    """The duration by the last page, and what stands behind it."""
    tail_at = max(0, stream.size - 128 * KIB)
    tail = stream.at(tail_at, 128 * KIB)
    at = tail.rfind(b"OggS\0")
    if at < 0 or len(tail) < at + 27:
        return
    track = tracks.get(tail[at + 14 : at + 18])
    granule = int.from_bytes(tail[at + 6 : at + 14], "little", signed=True)
    if track and track.rate and granule > track.skip:
        yield from _media.length((granule - track.skip) / track.rate)
    sizes = tail[at + 27 : at + 27 + tail[at + 26]]
    yield from _media.leftover(stream, tail_at + at + 27 + len(sizes) + sum(sizes))
