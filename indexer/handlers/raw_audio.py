"""Sounds without a container (AAC in ADTS, AC-3, E-AC-3, AMR) and Monkey's Audio and WavPack: shape, length, tags.

Source: ISO/IEC 13818-7, 6.2 (ADTS); ETSI TS 102 366, 5.3 and E.1.2; RFC 4867, section 5; Monkey's Audio 3.99
headers; WavPack 4 and 5 block format.
Limits: nothing is decoded; the length of AAC and AMR is counted frame by frame in the first 64 MiB.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _id3, _media
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem

LOOKED_AT: Final = 64 * MIB
_RATES: Final = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_AC3_RATES: Final = (48000, 44100, 32000)
_AC3_BITS: Final = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
_CHANNELS: Final = (2, 1, 2, 3, 3, 4, 4, 5)
_NARROW: Final = (13, 14, 16, 18, 20, 21, 27, 32, 6, 1, 1, 1, 1, 1, 1, 1)
_WIDE: Final = (18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 1, 1, 1, 1, 1, 1)
"""Bytes of a frame by its kind, the first one counted."""
_WAVPACK_RATES: Final = (
    6000, 8000, 9600, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000, 192000,
)  # fmt: skip
_AMR: Final = {b"#!AMR\n": "audio/amr", b"#!AMR-WB\n": "audio/amr-wb", b"#!AMR_MC": "audio/amr"}


class RawAudio(Handler):
    name = "raw-audio"
    version = 2
    media_types = (
        "audio/aac", "audio/x-hx-aac-adts", "audio/ac3", "audio/vnd.dolby.dd-raw", "audio/eac3", "audio/amr",
        "audio/amr-wb", "audio/AMR", "audio/x-ape", "audio/x-wavpack",
    )  # fmt: skip
    signatures = (
        *(Signature(b"\xff" + bytes((second,))) for second in (0xF0, 0xF1, 0xF8, 0xF9)),
        *(Signature(mark) for mark in (b"\x0b\x77", b"#!AMR", b"MAC ", b"wvpk")),
    )
    suffixes = (".aac", ".adts", ".ac3", ".eac3", ".ec3", ".amr", ".awb", ".3ga", ".ape", ".wv")
    fields: ClassVar[dict[str, str]] = {**_media.FIELDS}
    reads = "coding, shape and length of the sound, tags, covers"
    rank = 52
    container = True

    def claims(self, stream: Stream) -> str | None:
        head = stream.head
        if head.startswith(b"MAC "):
            return "audio/x-ape" if len(head) >= 32 and 3000 < int.from_bytes(head[4:6], "little") < 5000 else None
        if head.startswith(b"wvpk"):
            return "audio/x-wavpack"
        if head.startswith(b"#!AMR"):
            return next((kind for mark, kind in _AMR.items() if head.startswith(mark)), None)
        if head.startswith(b"\x0b\x77"):
            size, kind = _ac3_frame(head[:8])
            return kind if size and stream.at(size, 2) in (b"\x0b\x77", b"") else None
        size = _adts_frame(head[:7])
        return "audio/aac" if size and _adts_frame(stream.at(size, 7)) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        tags = _media.Tags()
        head = stream.at(0, 64)
        if len(head) < 32 and not head.startswith(b"#!AMR"):
            raise EvidenceError("truncated", "the header is cut off")
        end = _id3.read_tail(stream, stream.size, tags)
        if head.startswith(b"MAC "):
            yield from _monkey(stream.at(0, 128))
        elif head.startswith(b"wvpk"):
            yield from _wavpack(head)
        elif head.startswith(b"#!AMR"):
            yield from _amr(stream.at(0, LOOKED_AT), end)
        elif head.startswith(b"\x0b\x77"):
            yield from _ac3(head, end)
        else:
            yield from _adts(stream.at(0, min(end, LOOKED_AT)))
        yield from tags.facts()


def _adts_frame(data: bytes) -> int:
    """Bytes of the frame that begins so; 0 where none does."""
    if len(data) < 7 or data[0] != 0xFF or data[1] & 0xF6 != 0xF0 or (data[2] >> 2 & 15) >= len(_RATES):
        return 0
    size = (data[3] & 3) << 11 | data[4] << 3 | data[5] >> 5
    return size if size >= 7 else 0


def _adts(data: bytes) -> Iterator[Fact]:
    yield Field("media.codec", ("AAC Main", "AAC LC", "AAC SSR", "AAC LTP")[data[2] >> 6])
    rate = _RATES[min(data[2] >> 2 & 15, 12)]
    yield from _media.told("sample_rate", rate)
    yield from _media.told("channels", (data[2] & 1) << 2 | data[3] >> 6)
    at = frames = 0
    while size := _adts_frame(data[at : at + 7]):
        if at + size > len(data):
            yield Problem("truncated", "the last frame is cut off")
            break
        frames += 1 + (data[at + 6] & 3)
        at += size
    yield from _media.length(frames * 1024 / rate)


def _ac3_frame(head: bytes) -> tuple[int, str]:
    """Bytes of a frame and its type; (0, "") where the numbers make none."""
    if len(head) < 6:
        return 0, ""
    if head[5] >> 3 > 10:
        return (((head[2] & 7) << 8 | head[3]) + 1) * 2, "audio/eac3"
    rate, code = head[4] >> 6, head[4] & 63
    if rate == 3 or code >= 38:
        return 0, ""
    bits = _AC3_BITS[code >> 1]
    words = bits * 96000 // _AC3_RATES[rate] + (code & 1 if rate == 1 else 0)
    return 2 * words, "audio/ac3"


def _ac3(head: bytes, end: int) -> Iterator[Fact]:
    size, kind = _ac3_frame(head)
    if kind == "audio/eac3":
        yield Field("media.codec", "E-AC-3")
        code = head[4] >> 6
        rate = (24000, 22050, 16000)[min(head[4] >> 4 & 3, 2)] if code == 3 else _AC3_RATES[code]
        blocks = 6 if code == 3 else (1, 2, 3, 6)[head[4] >> 4 & 3]
        channels = _CHANNELS[head[4] >> 1 & 7] + (head[4] & 1)
    else:
        yield Field("media.codec", "AC-3")
        rate, blocks, mode = _AC3_RATES[min(head[4] >> 6, 2)], 6, head[6] >> 5
        skipped = 2 * (mode & 1 and mode != 1) + 2 * bool(mode & 4) + 2 * (mode == 2)
        low = head[6] << 8 | head[7]
        channels = _CHANNELS[mode] + (low >> 12 - skipped & 1)
    yield from _media.told("sample_rate", rate)
    yield from _media.told("channels", channels)
    if size:
        seconds = end / size * 256 * blocks / rate
        yield from _media.told("bitrate", round(8 * end / seconds))
        yield from _media.length(seconds)


def _amr(data: bytes, end: int) -> Iterator[Fact]:
    wide = data.startswith(b"#!AMR-WB")
    yield Field("media.codec", "AMR-WB" if wide else "AMR")
    yield from _media.told("sample_rate", 16000 if wide else 8000)
    if b"_MC" in data[:12]:
        at = data.find(b"\n") + 1
        yield from _media.told("channels", data[at + 3] & 15 if len(data) > at + 3 else 0)
        return
    yield from _media.told("channels", 1)
    at, frames = 9 if wide else 6, 0
    sizes = _WIDE if wide else _NARROW
    while at < min(end, len(data)):
        at += sizes[data[at] >> 3 & 15]
        frames += 1
    yield from _media.length(frames / 50)


def _monkey(head: bytes) -> Iterator[Fact]:
    version = int.from_bytes(head[4:6], "little")
    yield Field("media.codec", f"Monkey's Audio {version / 1000:.2f}")
    if version < 3980:
        _, flags, channels, rate, _, _, frames, last = struct.unpack_from("<HHHIIIII", head, 6)
        per_frame = 73728 * 4 if version >= 3950 else 73728 if version >= 3900 else 9216
        bits = 8 if flags & 1 else 24 if flags & 8 else 16
    else:
        start = int.from_bytes(head[8:12], "little")
        if start + 24 > len(head):
            yield Problem("corrupt", "the header lies outside its place: the sound is not known")
            return
        _, _, per_frame, last, frames, bits, channels, rate = struct.unpack_from("<HHIIIHHI", head, start)
    yield from _media.told("sample_rate", rate)
    yield from _media.told("channels", channels)
    yield from _media.told("bits", bits)
    if frames and rate:
        yield from _media.length(((frames - 1) * per_frame + last) / rate)


def _wavpack(head: bytes) -> Iterator[Fact]:
    version, _, _, samples, _, _, flags = struct.unpack_from("<HBBIIII", head, 8)
    yield Field("media.codec", f"WavPack {version >> 8}.{version & 255:02x}")
    code = flags >> 23 & 15
    rate = _WAVPACK_RATES[code] if code < len(_WAVPACK_RATES) else 0
    yield from _media.told("sample_rate", rate)
    yield from _media.told("channels", 1 if flags & 4 else 2)
    yield from _media.told("bits", 8 * ((flags & 3) + 1))
    if rate and samples != 0xFFFFFFFF:
        yield from _media.length(samples / rate)
