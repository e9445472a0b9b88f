"""MP3 and other MPEG audio: tags of every kind, covers, length, bitrate.

Source: ISO/IEC 11172-3, 2.4.1.3 (frame header); ISO/IEC 13818-3; Xing, LAME and VBRI headers as their
programs write them; ID3 and APE tags as in `_id3.py`.
Limits: nothing is decoded; where no header tells the number of frames, length comes from the first frame's bitrate.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar, Final

from msgspec import Struct

from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _id3, _media
from indexer.limits import KIB
from indexer.model import Fact, Field, Problem

_SEARCH: Final = 64 * KIB
"""How far behind the tags the first frame is looked for."""
_PROGRAM: Final = re.compile(rb"[A-Za-z]{1,5} ?\d")
_RATES: Final = (44100, 48000, 32000)
_BITRATES: Final = {
    (1, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Thousands of bits a second by version (2: also 2.5) and layer (2: also 3 there)."""


class Frame(Struct, frozen=True):
    """What one frame header says."""

    version: str
    layer: int
    bitrate: int
    rate: int
    channels: int
    length: int
    samples: int


class Mp3(Handler):
    name = "mp3"
    version = 2
    media_types = ("audio/mpeg", "audio/mp3", "audio/x-mpeg", "audio/mpeg3")
    signatures = (
        Signature(b"ID3"),
        *(Signature(bytes((0xFF, second))) for second in (0xFB, 0xFA, 0xF3, 0xF2, 0xE3, 0xE2, 0xFD, 0xFC)),
    )
    suffixes = (".mp3", ".mp2", ".mpga", ".m2a")
    fields: ClassVar[dict[str, str]] = {**_media.FIELDS}
    reads = "tags in every encoding, covers, length, bitrate"
    container = True

    def claims(self, stream: Stream) -> str | None:
        head = stream.head
        if size := _id3.size_of(head[:10]):
            after = stream.at(size, 4)
            return None if after in (b"fLaC", b"TTA1", b"OggS", b"wvpk") else self.media_types[0]
        frame = _frame(head[:4])
        if not frame:
            return None
        second = _frame(stream.at(frame.length, 4))
        return self.media_types[0] if second and second.rate == frame.rate else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        tags = _media.Tags()
        start = 0
        while size := _id3.size_of(stream.at(start, 10)):
            yield from _id3.read_id3(stream.at(start, min(size, _id3.TAG_BYTES)), tags)
            start += size
        end = _id3.read_tail(stream, stream.size, tags)
        yield from tags.facts()
        yield from _sound(stream, start, end)


def _frame(head: bytes) -> Frame | None:
    """A frame header, or None where these four bytes are none."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version = {0: 2.5, 2: 2, 3: 1}.get(head[1] >> 3 & 3)
    layer = 4 - (head[1] >> 1 & 3)
    rate_number, bitrate_number = head[2] >> 2 & 3, head[2] >> 4
    if version is None or layer == 4 or rate_number == 3 or bitrate_number in (0, 15):
        return None
    rate = _RATES[rate_number] // {1: 1, 2: 2, 2.5: 4}[version]
    key = (1, layer) if version == 1 else (2, 1 if layer == 1 else 2)
    bitrate = _BITRATES[key][bitrate_number] * 1000
    samples = 384 if layer == 1 else 576 if layer == 3 and version != 1 else 1152
    padding = head[2] >> 1 & 1
    length = (12 * bitrate // rate + padding) * 4 if layer == 1 else samples // 8 * bitrate // rate + padding
    return Frame(f"{version:g}", layer, bitrate, rate, 1 if head[3] >> 6 == 3 else 2, length, samples)


def _sound(stream: Stream, start: int, end: int) -> Iterator[Fact]:
    data = stream.at(start, _SEARCH)
    at = data.find(b"\xff")
    frame = None
    while at >= 0 and not (frame := _frame(data[at : at + 4])):
        at = data.find(b"\xff", at + 1)
    if not frame:
        yield Problem("truncated" if len(data) < _SEARCH else "corrupt", "no frame of sound follows the tags")
        return
    yield Field("media.codec", f"MPEG-{frame.version} Layer {'I' * frame.layer}")
    yield Field("media.sample_rate", frame.rate)
    yield Field("media.channels", frame.channels)
    first = data[at : at + 4096]
    count, size, variable, program = _counts(first)
    seconds = count * frame.samples / frame.rate
    if not count:
        size = end - start - at
        seconds = size * 8 / frame.bitrate
    # The frame that holds the count of the others is coded on its own.
    second = _frame(stream.at(start + at + frame.length, 4)) or frame
    bitrate = round((size or end - start - at) * 8 / seconds) if variable and seconds else second.bitrate
    yield from _media.length(seconds)
    yield Field("media.bitrate", bitrate)
    yield Field("media.variable_bitrate", variable)
    yield from _media.told("encoder", program)


def _counts(first: bytes) -> tuple[int, int, bool, str]:
    """Frames, bytes, whether the bitrate varies, and the program, by the header that some programs write."""
    place = next((at for mark in (b"Xing", b"Info") if 0 < (at := first.find(mark, 4, 64)) < 60), 0)
    if place:
        flags = int.from_bytes(first[place + 4 : place + 8], "big")
        position = place + 8
        count = int.from_bytes(first[position : position + 4], "big") if flags & 1 else 0
        position += 4 * (flags & 1)
        size = int.from_bytes(first[position : position + 4], "big") if flags & 2 else 0
        program = first[place + 120 : place + 129].split(b"\0")[0]
        written = program.decode("ascii").strip() if _PROGRAM.match(program) and program.isascii() else ""
        return count, size, first[place : place + 4] == b"Xing", written
    if first[36:40] == b"VBRI":
        return int.from_bytes(first[50:54], "big"), int.from_bytes(first[46:50], "big"), True, ""
    return 0, 0, False, ""
