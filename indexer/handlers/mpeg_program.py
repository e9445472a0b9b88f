"""MPEG program streams (MPG, VOB) and bare MPEG pictures: streams, shape, length, texts of encoders.

Source: ISO/IEC 11172-1, 2.4.3; ISO/IEC 13818-1:2022, 2.5.3 (packs and packets); ISO/IEC 13818-2, 6.2 (headers);
DVD-Video's use of private stream 1.
Limits: nothing is decoded; streams are looked for in the first 16 MiB, the end in the last 2 MiB.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _media, _mpeg
from indexer.handlers._picture import read_text
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Text

LOOKED_AT: Final = 16 * MIB
TAIL: Final = 2 * MIB
_PACK: Final = b"\0\0\1\xba"
_USER: Final = b"\0\0\1\xb2"
_PRIVATE: Final = ((0x80, 0x88, "AC-3"), (0x88, 0x90, "DTS"), (0xA0, 0xA8, "LPCM"), (0x20, 0x40, "DVD subtitles"))
_PRINTABLE: Final = re.compile(rb"[\x20-\x7e]{6,400}")


class MpegProgram(Handler):
    name = "mpeg-program"
    media_types = ("video/mpeg", "video/mpv", "video/dvd", "video/mp2p")
    signatures = (Signature(_PACK), Signature(_mpeg.SEQUENCE))
    suffixes = (".mpg", ".mpeg", ".vob", ".m2p", ".m1v", ".m2v", ".mpe", ".evo", ".mod", ".vro", ".sub")
    fields: ClassVar[dict[str, str]] = {**_media.FIELDS}
    reads = "streams and their codings, shape, length, what encoders left as text"
    rank = 55

    def read(self, stream: Stream) -> Iterator[Fact]:
        found = _Streams()
        if stream.head.startswith(_mpeg.SEQUENCE):
            found.pictures(stream.at(0, MIB))
        else:
            found.walk(stream.at(0, LOOKED_AT))
            if stream.size > LOOKED_AT:
                tail = stream.at(max(LOOKED_AT, stream.size - TAIL), TAIL)
                found.walk(tail[max(0, tail.find(_PACK)) :])
        yield from found.facts()


class _Streams:
    """The streams in the packets that were gone through."""

    def __init__(self) -> None:
        self.codings: dict[int, str] = {}
        self.texts: dict[str, None] = {}
        self.shape: list[Field] = []
        self.clocks: list[int] = []
        self.cut = False

    def walk(self, data: bytes) -> None:
        """Goes from packet to packet; where none is due it looks for the next pack."""
        at = 0
        while at + 6 <= len(data):
            code = data[at + 3]
            if data[at : at + 3] != b"\0\0\1" or code < 0xB9:
                found = data.find(_PACK, at + 1)
                if found < 0:
                    return
                at = found
            elif code == 0xB9:
                at += 4
            elif code == 0xBA:
                at += 14 + (data[at + 13] & 7 if at + 13 < len(data) else 0) if data[at + 4] >> 6 == 1 else 12
            else:
                end = at + 6 + int.from_bytes(data[at + 4 : at + 6], "big")
                self.cut = end > len(data)
                self._packet(code, data[at + 6 : end])
                at = end

    def _packet(self, code: int, body: bytes) -> None:
        if code in (0xBB, 0xBC, 0xBE, 0xBF) or code >= 0xF0:
            return
        start, stamp = _header(body)
        if stamp is not None:
            self.clocks = [min([stamp, *self.clocks[:1]]), max([stamp, *self.clocks[1:]])]
        if code == 0xBD:
            sub = body[start] if start < len(body) else 0
            coding = next((name for first, stop, name in _PRIVATE if first <= sub < stop), "")
            if coding:
                self.codings.setdefault(sub << 8 | code, coding)
        elif 0xC0 <= code <= 0xDF:
            self.codings.setdefault(code, "MPEG audio")
        elif code >= 0xE0:
            self.codings.setdefault(code, "video")
            if not self.shape or len(self.texts) < 10:
                self.pictures(body[start:], code)

    def pictures(self, data: bytes, code: int = 0xE0) -> None:
        """The shape of the pictures, and what their encoder left beside them."""
        at = data.find(_mpeg.SEQUENCE)
        if at >= 0 and not self.shape:
            self.shape = list(_mpeg.sequence(data[at + 4 : at + 8]))
            second = b"\0\0\1\xb5" in data[at : at + 160]
            self.codings[code] = "MPEG-2 video" if second else "MPEG-1 video"
        at = data.find(_USER)
        if at >= 0 and (said := _PRINTABLE.match(data, at + 4)):
            self.texts[read_text(said[0])] = None

    def facts(self) -> Iterator[Fact]:
        """What was found."""
        if len(self.clocks) == 2:
            yield from _mpeg.elapsed(*self.clocks)
        for code, coding in sorted(self.codings.items()):
            kind = "subtitles" if coding.endswith("subtitles") else "video" if 0xE0 <= code <= 0xEF else "audio"
            yield Field("media.track_kind", kind)
            yield Field("media.codec", coding)
        yield from self.shape
        yield from (field for text in self.texts for field in _media.told("encoder", text))
        if self.texts:
            yield Text("\n".join(self.texts), "user data")
        if not self.codings:
            yield Problem("corrupt", "no stream in the packets that were looked at")
        elif self.cut:
            yield Problem("truncated", "the last packet is cut off")


def _header(body: bytes) -> tuple[int, int | None]:
    """Where the bytes of a stream begin in its packet, and the time it is shown at, in 90 kHz."""
    if body[:1] and body[0] >> 6 == 2 and len(body) > 2:
        return 3 + body[2], _time(body[3:8]) if body[1] & 0x80 else None
    at = 0
    while at < min(len(body), 32) and body[at] == 0xFF:
        at += 1
    if body[at : at + 1] and body[at] >> 6 == 1:
        at += 2
    first = body[at] >> 4 if at < len(body) else 0
    return at + {2: 5, 3: 10}.get(first, 1), _time(body[at : at + 5]) if first in (2, 3) else None


def _time(data: bytes) -> int | None:
    if len(data) < 5:
        return None
    value = int.from_bytes(data, "big")
    return (value >> 33 & 7) << 30 | (value >> 17 & 0x7FFF) << 15 | (value >> 1 & 0x7FFF)
