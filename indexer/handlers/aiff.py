"""AIFF and AIFF-C sounds: shape, names, comments with their times, markers, ID3 tags.

Source: Audio Interchange File Format 1.3 (Apple, 1989); AIFF-C draft of 1991.
Limits: nothing is decoded; instruments and MIDI data are not read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _id3, _media, _picture
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem
from indexer.timestamps import from_hfs

CHUNKS: Final = 100_000
_KEPT: Final = 16 * MIB
_NAMES: Final = {b"NAME": "title", b"AUTH": "artist", b"(c) ": "copyright", b"ANNO": "comment", b"APPL": "application"}


class Aiff(Handler):
    name = "aiff"
    version = 3
    media_types = ("audio/x-aiff", "audio/aiff")
    signatures = (Signature(b"FORM"),)
    suffixes = (".aif", ".aiff", ".aifc", ".afc")
    fields: ClassVar[dict[str, str]] = {**_media.FIELDS, "aiff.coding": "the coding in the words of the file"}
    reads = "length, shape of the sound, names, comments, markers, tags"
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if stream.head[8:12] in (b"AIFF", b"AIFC") else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        tags = _media.Tags()
        end = 8 + int.from_bytes(stream.at(4, 4), "big")
        position = 12
        for _ in range(CHUNKS):
            head = stream.at(position, 8)
            if len(head) < 8 or position >= end:
                break
            kind, size = head[:4], int.from_bytes(head[4:], "big")
            if kind in (b"COMM", b"COMT", b"MARK", b"ID3 ") or kind in _NAMES:
                yield from _chunk(kind, stream.at(position + 8, min(size, _KEPT)), tags)
            position += 8 + size + (size & 1)
        yield from tags.facts()
        if max(end, position) > stream.size + 1:
            yield Problem("truncated", f"the sound ends at {max(end, position)}, the file at {stream.size}")
        else:
            yield from _media.leftover(stream, end + (end & 1))


def _chunk(kind: bytes, data: bytes, tags: _media.Tags) -> Iterator[Fact]:
    if kind in _NAMES:
        tags.add(_NAMES[kind], data)
    elif kind == b"ID3 " and _id3.size_of(data[:10]):
        yield from _id3.read_id3(data, tags)
    elif kind == b"COMM" and len(data) >= 18:
        channels, frames, bits = struct.unpack_from(">HIH", data)
        rate = _extended(data[8:18])
        coding = data[18:22].decode("latin-1").strip("\0 ") or "PCM"
        yield Field("media.codec", "PCM" if coding in ("NONE", "twos") else coding)
        # A string behind its length, where the coding is named at all.
        if words := _picture.read_text(data[23 : 23 + data[22]] if len(data) > 22 else b""):
            yield Field("aiff.coding", words)
        yield from _media.told("channels", channels)
        yield from _media.told("bits", bits)
        yield from _media.told("sample_rate", round(rate))
        yield from _media.length(frames / rate if rate else 0)
    elif kind == b"COMT":
        position = 2
        for _ in range(int.from_bytes(data[:2], "big")):
            size = int.from_bytes(data[position + 6 : position + 8], "big")
            tags.add("comment", data[position + 8 : position + 8 + size])
            if stamp := from_hfs("commented", int.from_bytes(data[position : position + 4], "big"), "aiff.COMT"):
                yield stamp
            position += 8 + size + (size & 1)
    elif kind == b"MARK":
        position = 2
        for _ in range(int.from_bytes(data[:2], "big")):
            size = (data[position + 6 : position + 7] or b"\0")[0]
            tags.add("marker", data[position + 7 : position + 7 + size])
            position += 7 + size + (1 - size & 1)


def _extended(data: bytes) -> float:
    """A number of 80 bits; 0 where it is out of any honest range."""
    exponent, fraction = struct.unpack(">HQ", data)
    power = exponent - 16383 - 63
    return fraction * 2.0**power if -100 < power < 0 else 0.0
