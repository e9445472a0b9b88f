"""Tracker modules (MOD, XM, S3M, IT): title, message, names of samples and instruments, where notes were left.

Source: ProTracker 2.3 module format; FastTracker II XM 1.04; Scream Tracker 3.20 technical reference; Impulse
Tracker 2.14 ITTECH.TXT.
Limits: patterns and samples are not read; modules of 15 samples, which have no mark, are left to strings.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _media
from indexer.handlers._picture import FIELD_CHARS, read_text, shared_codec
from indexer.model import Fact, Field, Problem, Text

_XM: Final = b"Extended Module: "
_MOD_MARKS: Final = (b"M.K.", b"M!K!", b"FLT4", b"FLT8", b"4CHN", b"6CHN", b"8CHN", b"OCTA", b"CD81")
_PATTERNS: Final = 256
_INSTRUMENTS: Final = 256
_SAMPLES: Final = 4_000


class Tracker(Handler):
    name = "tracker"
    media_types = ("audio/x-mod", "audio/x-xm", "audio/x-s3m", "audio/x-it")
    signatures = (
        Signature(_XM), Signature(b"IMPM"), Signature(b"SCRM", 44), *(Signature(mark, 1080) for mark in _MOD_MARKS),
    )  # fmt: skip
    suffixes = (".mod", ".xm", ".s3m", ".it")
    fields: ClassVar[dict[str, str]] = {
        **_media.FIELDS,
        "tracker.sample": "name of a sample or an instrument, which often holds a line of a message",
    }
    reads = "title, message, names of samples and instruments"
    rank = 62

    def claims(self, stream: Stream) -> str | None:
        head = stream.head
        if head.startswith(_XM):
            return "audio/x-xm"
        if head.startswith(b"IMPM"):
            return "audio/x-it"
        return "audio/x-s3m" if head[44:48] == b"SCRM" else self.media_types[0]

    def read(self, stream: Stream) -> Iterator[Fact]:
        head = stream.head
        if head.startswith(_XM):
            title, program, message, names = head[17:37], head[38:58], b"", _extended(stream)
        elif head.startswith(b"IMPM"):
            length, start = int.from_bytes(head[54:56], "little"), int.from_bytes(head[56:60], "little")
            told = int.from_bytes(head[46:48], "little") & 1
            title, program, names = head[4:30], b"", _impulse(stream)
            message = stream.at(start, length) if told else b""
        elif head[44:48] == b"SCRM":
            title, program, message, names = head[:28], b"", b"", _scream(stream)
        else:
            title, program, message = head[:20], b"", b""
            names = (head[20 + 30 * number : 42 + 30 * number] for number in range(31))
        held = [name.split(b"\0")[0].rstrip() for name in names]
        parts = [title, program, message, *held]
        codec = shared_codec(parts)
        yield from _media.told("title", read_text(title.split(b"\0")[0], codec))
        yield from _media.told("encoder", read_text(program, codec))
        texts = [read_text(name, codec) for name in held]
        yield from (Field("tracker.sample", text[:FIELD_CHARS]) for text in texts if text)
        if body := "\n".join(texts).strip():
            yield Text(body, "samples")
        if body := read_text(message, codec):
            yield Text(body, "message")
        if not held:
            yield Problem("truncated", "the names of samples are cut off")


def _extended(stream: Stream) -> Iterator[bytes]:
    """Names in an XM: of each instrument, and of the samples it holds."""
    head = stream.head
    patterns, instruments = (int.from_bytes(head[at : at + 2], "little") for at in (70, 72))
    position = 60 + int.from_bytes(head[60:64], "little")
    for _ in range(min(patterns, _PATTERNS)):
        entry = stream.at(position, 9)
        if len(entry) < 9:
            return
        position += int.from_bytes(entry[:4], "little") + int.from_bytes(entry[7:9], "little")
    for _ in range(min(instruments, _INSTRUMENTS)):
        entry = stream.at(position, 33)
        size, samples = int.from_bytes(entry[:4], "little"), int.from_bytes(entry[27:29], "little")
        if len(entry) < 29 or size < 29:
            return
        yield entry[4:26]
        position += size
        rest = 0
        for number in range(min(samples, 64)):
            sample = stream.at(position + 40 * number, 40)
            rest += int.from_bytes(sample[:4], "little")
            yield sample[18:40]
        position += 40 * min(samples, 64) + rest


def _scream(stream: Stream) -> Iterator[bytes]:
    """Names in an S3M, by its list of places in steps of 16 bytes."""
    orders, count = (int.from_bytes(stream.head[at : at + 2], "little") for at in (32, 34))
    for number in range(min(count, _INSTRUMENTS)):
        place = int.from_bytes(stream.at(96 + orders + 2 * number, 2), "little") * 16
        if stream.at(place + 76, 4) in (b"SCRS", b"SCRI", b"\0\0\0\0"):
            yield stream.at(place + 48, 28)


def _impulse(stream: Stream) -> Iterator[bytes]:
    """Names in an IT: of instruments, then of samples, by their lists of places."""
    orders, instruments, samples = (int.from_bytes(stream.head[at : at + 2], "little") for at in (32, 34, 36))
    tables = ((192 + orders, instruments, b"IMPI", 32), (192 + orders + 4 * instruments, samples, b"IMPS", 20))
    for table, count, mark, offset in tables:
        for number in range(min(count, _SAMPLES)):
            place = int.from_bytes(stream.at(table + 4 * number, 4), "little")
            if stream.at(place, 4) == mark:
                yield stream.at(place + offset, 26)
