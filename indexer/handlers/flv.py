"""Flash video (FLV): the metadata that programs write at its beginning, tracks.

Source: Adobe Flash Video File Format Specification 10.1, annex E; AMF 0 (2007).
Limits: nothing is decoded; metadata behind the first tags is not looked for; AMF 3 values are not read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _media
from indexer.handlers._psd_values import Cursor
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Timestamp

TAGS: Final = 200
"""Tags looked at from the beginning."""
VALUES: Final = 20_000
_DEEPEST: Final = 20
_VIDEO: Final = {2: "Sorenson H.263", 3: "screen video", 4: "VP6", 5: "VP6 alpha", 6: "screen video 2", 7: "AVC"}
_SOUND: Final = {
    0: "PCM",
    1: "ADPCM",
    2: "MP3",
    3: "PCM",
    5: "Nellymoser 8 kHz",
    6: "Nellymoser",
    10: "AAC",
    11: "Speex",
}
_NUMBERS: Final = {"width": "width", "height": "height", "framerate": "frame_rate", "audiosamplerate": "sample_rate"}
_QUIET: Final = ("filepositions", "times", "filesize", "datasize", "videosize", "audiosize", "lasttimestamp")
Value = str | float | bool | datetime


class Flv(Handler):
    name = "flv"
    media_types = ("video/x-flv",)
    signatures = (Signature(b"FLV\x01"),)
    suffixes = (".flv", ".f4f")
    fields: ClassVar[dict[str, str]] = {**_media.FIELDS}
    reads = "metadata, cue points, tracks and codings"

    def read(self, stream: Stream) -> Iterator[Fact]:
        tags = _media.Tags()
        position = int.from_bytes(stream.at(5, 4), "big") + 4
        codings: dict[str, None] = {}
        for _ in range(TAGS):
            head = stream.at(position, 12)
            if len(head) < 12:
                if position > stream.size:
                    yield Problem("truncated", f"a tag ends at {position}, the file at {stream.size}")
                break
            kind, size = head[0] & 31, int.from_bytes(head[1:4], "big")
            if kind == 18:
                try:
                    yield from _metadata(Cursor(stream.at(position + 11, min(size, 16 * MIB))), tags)
                except EvidenceError as error:
                    yield error.problem("")
            elif kind == 9:
                codings[_VIDEO.get(head[11] & 15, f"video {head[11] & 15}")] = None
            elif kind == 8:
                codings[_SOUND.get(head[11] >> 4, f"sound {head[11] >> 4}")] = None
            else:
                yield Problem("corrupt", f"no tag at {position}")
                break
            position += 11 + size + 4
        yield from (Field("media.codec", coding) for coding in codings)
        yield from tags.facts()


def _metadata(cursor: Cursor, tags: _media.Tags) -> Iterator[Fact]:
    """What a script tag says; only the metadata is understood.

    Raises:
        EvidenceError: where its values cannot be followed; those before are told.
    """
    for name, value in _values(cursor):
        local = name.rpartition("/")[2]
        if local == "duration" and isinstance(value, float):
            yield from _media.length(value)
        elif local in _NUMBERS and isinstance(value, float):
            yield from _media.told(_NUMBERS[local], round(value, 3) if local == "framerate" else round(value))
        elif isinstance(value, datetime):
            yield Timestamp("B", value, f"flv.{local[:60]}", 0.001)
        elif isinstance(value, str) and value:
            tags.add("title" if local == "title" else "creation date" if local == "creationdate" else local, value)
            if local == "name":
                yield Field("media.chapter", value)
        elif isinstance(value, float) and not local.endswith("id") and not name.startswith(_QUIET):
            tags.add(local, f"{value:g}")


def _values(cursor: Cursor) -> Iterator[tuple[str, Value]]:
    """Every plain value with the names that lead to it."""
    waiting: list[tuple[str, int, bool]] = [("", 1 << 30, False)]
    for _ in range(VALUES):
        while waiting and not waiting[-1][1]:
            waiting.pop()
        if not waiting or cursor.position >= len(cursor.data):
            return
        if len(waiting) > _DEEPEST:
            raise EvidenceError("limit", f"the metadata are nested deeper than {_DEEPEST} levels")
        path, left, named = waiting.pop()
        waiting.append((path, left - 1, named))
        if named:
            name = cursor.take(cursor.number(2)).decode("utf-8", "replace")
            path = f"{path}/{name}" if path else name
        kind = cursor.number(1)
        if kind == 9:
            waiting.pop()
        elif kind in (3, 8):
            if kind == 8:
                cursor.take(4)
            waiting.append((path, 1 << 30, True))
        elif kind == 10:
            waiting.append((path, cursor.number(4), False))
        elif kind == 0:
            yield path, cursor.double()
        elif kind == 1:
            yield path, bool(cursor.number(1))
        elif kind in (2, 12):
            text = cursor.take(cursor.number(2 if kind == 2 else 4)).decode("utf-8", "replace")
            if path:
                yield path, text
        elif kind == 11:
            milliseconds = struct.unpack(">d", cursor.take(10)[:8])[0]
            if 0 < milliseconds < 1e14:
                yield path, datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
        elif kind not in (5, 6):
            raise EvidenceError("unsupported", f"the metadata hold a value of type {kind}")
