"""MIDI files: texts, names of tracks and instruments, lyrics, markers with their times.

Source: Standard MIDI Files 1.0 (RP-001), sections 2 to 4; RP-017 (lyrics).
Limits: notes are not read; messages of makers only where they hold text.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import ClassVar, Final, NamedTuple

from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _media
from indexer.handlers._picture import FIELD_CHARS, read_text, shared_codec
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Text

TRACKS: Final = 65_535
TRACK_BYTES: Final = 16 * MIB
EVENTS: Final = 5_000_000
TEXTS: Final = 100_000
_KINDS: Final = {
    1: "text", 2: "copyright", 3: "track name", 4: "instrument", 5: "lyrics", 6: "marker", 7: "cue",
    8: "program", 9: "device",
}  # fmt: skip
_LENGTHS: Final = {8: 2, 9: 2, 10: 2, 11: 2, 12: 1, 13: 1, 14: 2}


class _Said(NamedTuple):
    """A text in a track, and the tick at which it stands."""

    track: int
    kind: int
    tick: int
    raw: bytes


class Midi(Handler):
    name = "midi"
    media_types = ("audio/midi", "audio/x-midi", "audio/mid")
    signatures = (Signature(b"MThd\0\0"),)
    suffixes = (".mid", ".midi", ".kar", ".smf")
    fields: ClassVar[dict[str, str]] = {
        **_media.FIELDS,
        "midi.tracks": "tracks that the header counts",
        "midi.instrument": "name of an instrument",
    }
    reads = "texts, names of tracks and instruments, lyrics and markers with their times, length"

    def read(self, stream: Stream) -> Iterator[Fact]:
        head = stream.at(0, 14)
        yield Field("midi.tracks", int.from_bytes(head[10:12], "big"))
        division = int.from_bytes(head[12:14], "big")
        position = 8 + int.from_bytes(head[4:8], "big")
        said: list[_Said] = []
        tempos: list[tuple[int, int]] = []
        ticks, cut, track = 0, False, 0
        while track < TRACKS and len(head := stream.at(position, 8)) == 8:
            size = int.from_bytes(head[4:8], "big")
            if head[:4] == b"MTrk":
                track += 1
                data = stream.at(position + 8, min(size, TRACK_BYTES))
                ticks = max(ticks, _read_track(data, track, said, tempos))
            cut = position + 8 + size > stream.size
            position += 8 + size
        clock = _Clock(division, tempos)
        yield from _media.length(clock.at(ticks))
        yield from _texts(said, clock)
        if cut:
            yield Problem("truncated", f"the last track ends at {position}, the file at {stream.size}")


class _Clock:
    """Seconds of a tick, by the tempos that hold until then."""

    def __init__(self, division: int, tempos: list[tuple[int, int]]) -> None:
        self._rate = 0.0
        if division & 0x8000:
            self._rate = 1.0 / ((256 - (division >> 8)) * (division & 255) or 1)
        self._division = division or 1
        self._ticks, self._tempos, self._seconds = [0], [500_000], [0.0]
        for tick, tempo in sorted(tempos):
            self._seconds.append(self.at(tick))
            self._ticks.append(tick)
            self._tempos.append(tempo)

    def at(self, tick: int) -> float:
        """Seconds from the start."""
        if self._rate:
            return tick * self._rate
        place = bisect_right(self._ticks, tick) - 1
        return self._seconds[place] + (tick - self._ticks[place]) * self._tempos[place] / self._division / 1e6


def _read_track(data: bytes, track: int, said: list[_Said], tempos: list[tuple[int, int]]) -> int:
    """Gathers the texts and tempos of a track; returns its length in ticks."""
    at, tick, status = 0, 0, 0
    for _ in range(EVENTS):
        if at >= len(data):
            break
        step, at = _number(data, at)
        tick += step
        if at >= len(data):
            break
        if data[at] & 0x80:
            status = data[at]
            at += 1
        if status in (0xFF, 0xF0, 0xF7):
            kind = data[at] if status == 0xFF and at < len(data) else 0
            length, at = _number(data, at + (status == 0xFF))
            body = data[at : at + length]
            at += length
            if status == 0xFF and 1 <= kind <= 9 and body.strip(b"\0 ") and len(said) < TEXTS:
                said.append(_Said(track, kind, tick, body))
            elif kind == 0x51 and len(body) == 3 and len(tempos) < TEXTS:
                tempos.append((tick, int.from_bytes(body, "big")))
            elif kind == 0x2F:
                break
        elif status >> 4 in _LENGTHS:
            at += _LENGTHS[status >> 4]
        else:
            at += 1
    return tick


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A number of up to four bytes, seven bits in each, and where it ends."""
    value = 0
    for place in range(at, min(at + 4, len(data))):
        value = value << 7 | data[place] & 127
        if data[place] < 128:
            return value, place + 1
    return value, min(at + 4, len(data))


def _texts(said: list[_Said], clock: _Clock) -> Iterator[Fact]:
    """Names as fields, every text with its time, the syllables of a song as one text."""
    codec = shared_codec(each.raw for each in said)
    if codec:
        yield Field("media.charset", codec)
    sung: dict[int, list[str]] = {}
    for each in said:
        text = read_text(each.raw, codec)
        kind = _KINDS[each.kind]
        if each.kind == 5:
            # Syllables keep the blanks that part words; a stroke begins a line.
            raw = re.sub(r"[/\\\r]", "\n", each.raw.decode(codec or "utf-8", "replace"))
            sung.setdefault(each.track, []).append(raw)
            continue
        if not text:
            continue
        if each.kind in (2, 3, 4):
            name = {2: "media.copyright", 3: "media.track_name", 4: "midi.instrument"}[each.kind]
            yield Field(name, text[:FIELD_CHARS])
        yield Text(text, f"track {each.track}, {kind}, {_media.clock(clock.at(each.tick))}")
    for track, parts in sung.items():
        yield Text("".join(parts).strip(), f"track {track}, lyrics")
