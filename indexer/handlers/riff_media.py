"""AVI films and WAV sounds: tracks, tags in every code page, broadcast chunks, XMP, markers.

Source: RIFF and AVI as Microsoft documents them (Multimedia Programming Interface 1.0; AVIMAINHEADER,
AVISTREAMHEADER); EBU Tech 3285 (bext), 3306 (RF64); iXML 3.0; Adobe XMP Specification Part 3, 1.2.4.
Limits: nothing is decoded; subtitles in AVI streams are not read; MIDI and palettes are named only.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import ClassVar, Final

from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _id3, _media, _picture, _xmp
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Text, Timestamp
from indexer.timestamps import from_iso

CHUNKS: Final = 100_000
_KEPT: Final = 16 * MIB
_TYPES: Final = {b"AVI ": "video/x-msvideo", b"WAVE": "audio/x-wav", b"AVIX": "video/x-msvideo", b"RMID": "audio/midi"}
_INSIDE: Final = frozenset((b"hdrl", b"strl", b"INFO", b"odml", b"adtl", b"AVIX"))
_NAMES: Final = {
    b"INAM": "title", b"IART": "artist", b"IPRD": "album", b"ICMT": "comment", b"ICRD": "date", b"IGNR": "genre",
    b"ISFT": "encoder", b"ICOP": "copyright", b"IENG": "engineer", b"ISBJ": "subject", b"IKEY": "keywords",
    b"ITRK": "track", b"ISRC": "source", b"ITCH": "encoded by", b"ICMS": "commissioned by", b"IARL": "archive",
    b"IMED": "medium", b"ILNG": "language", b"IPRT": "part", b"IWRI": "writer", b"ISTR": "starring",
}  # fmt: skip
_SOUND: Final = {
    1: "PCM", 2: "ADPCM", 3: "PCM float", 6: "A-law", 7: "mu-law", 0x11: "IMA ADPCM", 0x50: "MPEG", 0x55: "MP3",
    0x92: "AC-3", 0xFF: "AAC", 0x160: "WMA 1", 0x161: "WMA 2", 0x2000: "AC-3", 0xF1AC: "FLAC", 0xFFFE: "extensible",
}  # fmt: skip
_STREAMS: Final = {b"vids": "video", b"auds": "audio", b"txts": "subtitles", b"mids": "MIDI", b"iavs": "interleaved"}


class RiffMedia(Handler):
    name = "riff-media"
    version = 2
    media_types = ("video/x-msvideo", "audio/x-wav", "audio/wav", "audio/vnd.wave", "video/avi", "audio/midi")
    signatures = (Signature(b"RIFF"), Signature(b"RF64"), Signature(b"BW64"))
    suffixes = (".avi", ".wav", ".wave", ".bwf", ".rmi", ".divx")
    fields: ClassVar[dict[str, str]] = {
        **_media.FIELDS,
        **_xmp.FIELDS,
        "wav.originator": "who or what recorded it",
        "wav.reference": "the originator's reference",
        "wav.history": "how the sound was coded, step by step",
    }
    reads = "tracks and codings, tags, broadcast data, markers, XMP, what stands after the film"
    container = True

    def claims(self, stream: Stream) -> str | None:
        return _TYPES.get(stream.head[8:12])

    def read(self, stream: Stream) -> Iterator[Fact]:
        tags = _media.Tags()
        state = _State(tags)
        position, problem = 0, None
        while position + 12 <= stream.size and stream.at(position, 4) in (b"RIFF", b"RF64", b"BW64") and not problem:
            size = int.from_bytes(stream.at(position + 4, 4), "little")
            wide = size == 0xFFFFFFFF
            end = position + 8 + (int.from_bytes(stream.at(position + 20, 8), "little") if wide else size)
            if end > stream.size:
                problem = Problem("truncated", f"the file should end at {end}, it ends at {stream.size}")
            yield from _walk(stream, position + 12, min(end, stream.size), state)
            position = end + (end & 1)
        yield from state.told()
        yield from tags.facts()
        if problem:
            yield problem
        else:
            yield from _media.leftover(stream, position)


class _State:
    """What chunks that stand apart say together."""

    def __init__(self, tags: _media.Tags) -> None:
        self.tags = tags
        self.kind = b""
        self.coding = ""
        self.rate = 0
        self.data = 0
        self.long = 0
        self.seconds = 0.0

    def told(self) -> Iterator[Fact]:
        yield from _media.length(self.seconds or (max(self.data, self.long) / self.rate if self.rate else 0))


def _walk(stream: Stream, start: int, end: int, state: _State) -> Iterator[Fact]:
    """The chunks of a run, those in lists among them in their order."""
    runs = [(start, end)]
    for _ in range(CHUNKS):
        while runs and runs[-1][0] + 8 > runs[-1][1]:
            runs.pop()
        if not runs:
            return
        position, stop = runs.pop()
        head = stream.at(position, 12)
        kind, size = head[:4], int.from_bytes(head[4:8], "little")
        if kind == b"data" and size == 0xFFFFFFFF:
            size = state.long
        runs.append((position + 8 + size + (size & 1), stop))
        if kind == b"LIST":
            if head[8:12] in _INSIDE and len(runs) < 16:
                runs.append((position + 12, min(position + 8 + size, stop)))
        elif kind == b"data":
            state.data = size
        elif kind in _READERS or kind in _NAMES or (kind[:1] == b"I" and kind.isalnum() and kind.isupper()):
            data = stream.at(position + 8, min(size, _KEPT))
            if kind in _READERS:
                yield from _READERS[kind](data, state)
            else:
                state.tags.add(_NAMES.get(kind, kind.decode("ascii")), data.split(b"\0")[0])


def _main_header(data: bytes, state: _State) -> Iterator[Fact]:
    if len(data) >= 40:
        each, _, _, _, frames, _, _, _, width, height = struct.unpack_from("<10I", data)
        yield from _media.told("width", width)
        yield from _media.told("height", height)
        if each:
            yield Field("media.frame_rate", round(1e6 / each, 3))
            state.seconds = frames * each / 1e6


def _stream_header(data: bytes, state: _State) -> Iterator[Fact]:
    state.kind, state.coding = data[:4], ""
    yield Field("media.track_kind", _STREAMS.get(data[:4], data[:4].decode("latin-1").strip("\0 ") or "unknown"))
    if data[:4] == b"vids" and (coding := data[4:8].strip(b"\0 ")):
        state.coding = coding.decode("latin-1")
        yield Field("media.codec", state.coding)
    if len(data) >= 36:
        scale, rate, _, length = struct.unpack_from("<4I", data, 20)
        if scale and rate:
            state.seconds = max(state.seconds, length * scale / rate)


def _stream_format(data: bytes, state: _State) -> Iterator[Fact]:
    if state.kind == b"auds":
        yield from _wave_format(data, state)
    elif state.kind == b"vids" and len(data) >= 20:
        coding = data[16:20].strip(b"\0 ").decode("latin-1")
        if coding.lower() != state.coding.lower():
            yield from _media.told("codec", coding)


def _wave_format(data: bytes, state: _State) -> Iterator[Fact]:
    if len(data) < 16:
        yield Problem("truncated", "the description of the sound is cut off")
        return
    form, channels, rate, each_second, _, bits = struct.unpack_from("<HHIIHH", data)
    if form == 0xFFFE and len(data) >= 26:
        form = int.from_bytes(data[24:26], "little")
    yield Field("media.codec", _SOUND.get(form, f"0x{form:04X}"))
    yield from _media.told("channels", channels)
    yield from _media.told("sample_rate", rate)
    yield from _media.told("bits", bits)
    yield from _media.told("bitrate", each_second * 8)
    state.rate = state.rate or each_second


def _long_sizes(data: bytes, state: _State) -> Iterator[Fact]:
    state.long = int.from_bytes(data[8:16], "little")
    yield from ()


def _broadcast(data: bytes, state: _State) -> Iterator[Fact]:
    state.tags.add("description", data[:256].split(b"\0")[0])
    for name, start, stop in (("wav.originator", 256, 288), ("wav.reference", 288, 320)):
        if text := _picture.read_text(data[start:stop].split(b"\0")[0]):
            yield Field(name, text)
    moment = f"{data[320:330].decode('latin-1')}T{data[330:338].decode('latin-1')}".replace("/", "-")
    if stamp := from_iso("B", moment[:11] + moment[11:].replace("-", ":"), "wav.bext"):
        yield stamp
    if text := _picture.read_text(data[602:].split(b"\0")[0]):
        yield Field("wav.history", text[: _picture.FIELD_CHARS])


def _xml(data: bytes, _state: _State) -> Iterator[Fact]:
    yield Text(_picture.read_text(data), "iXML")


def _packet(data: bytes, _state: _State) -> Iterator[Fact]:
    yield from _picture.Blocks().read(_xmp.read_xmp, data)


def _label(data: bytes, state: _State) -> Iterator[Fact]:
    state.tags.add("marker", data[4:].split(b"\0")[0])
    yield from ()


def _name(data: bytes, state: _State) -> Iterator[Fact]:
    state.tags.add("track name", data.split(b"\0")[0])
    yield from ()


def _digitized(data: bytes, state: _State) -> Iterator[Fact]:
    """The time at which a camera began: as C prints it, or in digits."""
    text = data.split(b"\0")[0].decode("latin-1").strip()
    state.tags.add("digitized", text)
    for form in ("%a %b %d %H:%M:%S %Y", "%Y-%m-%d %H:%M:%S", "%Y/%m/%d %H:%M:%S", "%Y:%m:%d %H:%M:%S"):
        try:
            at = datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
        yield Timestamp("digitized", at, "avi.IDIT", 1.0, zone_known=False)
        return


def _tagged(data: bytes, state: _State) -> Iterator[Fact]:
    if _id3.size_of(data[:10]):
        yield from _id3.read_id3(data, state.tags)


_READERS: Final = {
    b"avih": _main_header,
    b"strh": _stream_header,
    b"strf": _stream_format,
    b"strn": _name,
    b"fmt ": _wave_format,
    b"ds64": _long_sizes,
    b"bext": _broadcast,
    b"iXML": _xml,
    b"_PMX": _packet,
    b"labl": _label,
    b"note": _label,
    b"IDIT": _digitized,
    b"id3 ": _tagged,
    b"ID3 ": _tagged,
}
