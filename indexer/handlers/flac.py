"""FLAC sound: comments, pictures, length, shape of the samples.

Source: RFC 9639, sections 8.2 to 8.8.
Limits: nothing is decoded; cue sheets, seek tables and applications' blocks are not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _id3, _media, _vorbis
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem

BLOCKS: Final = 10_000
_KEPT: Final = 64 * MIB


class Flac(Handler):
    name = "flac"
    version = 2
    media_types = ("audio/flac", "audio/x-flac")
    signatures = (Signature(b"fLaC"), Signature(b"ID3"))
    suffixes = (".flac",)
    fields: ClassVar[dict[str, str]] = {**_media.FIELDS}
    reads = "tags, pictures, length"
    container = True

    def claims(self, stream: Stream) -> str | None:
        size = _id3.size_of(stream.head[:10])
        return self.media_types[0] if stream.at(size, 4) == b"fLaC" else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        tags = _media.Tags()
        position = _id3.size_of(stream.at(0, 10))
        if position:
            yield from _id3.read_id3(stream.at(0, min(position, _id3.TAG_BYTES)), tags)
        position += 4
        pictures, problem = 0, None
        for _ in range(BLOCKS):
            head = stream.at(position, 4)
            kind, length = head[:1], int.from_bytes(head[1:4], "big")
            if len(head) < 4 or position + 4 + length > stream.size:
                problem = Problem("truncated", f"a block at {position} is cut off")
            number = (kind or b"\x7f")[0] & 127
            data = stream.at(position + 4, min(length, _KEPT)) if number in (0, 4, 6) else b""
            position += 4 + length
            if number == 0:
                yield from stream_facts(data)
            elif number == 4:
                yield from _vorbis.read_comments(data, tags)
            elif number == 6:
                pictures += 1
                yield from _vorbis.read_picture(data, pictures)
            if problem or not head or head[0] & 128:
                break
        _id3.read_tail(stream, stream.size, tags)
        yield from tags.facts()
        if problem:
            yield problem


def stream_facts(data: bytes) -> Iterator[Fact]:
    """What the first block says of the sound."""
    if len(data) < 18:
        yield Problem("truncated", "the block that tells of the sound is cut off")
        return
    packed = int.from_bytes(data[10:18], "big")
    rate, total = packed >> 44, packed & (1 << 36) - 1
    yield Field("media.codec", "FLAC")
    yield Field("media.sample_rate", rate)
    yield Field("media.channels", (packed >> 41 & 7) + 1)
    yield Field("media.bits", (packed >> 36 & 31) + 1)
    if rate:
        yield from _media.length(total / rate)
