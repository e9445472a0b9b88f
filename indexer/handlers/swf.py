"""Flash films (SWF): texts, names of symbols and frames, addresses, fonts, metadata, pictures and data inside.

Source: SWF File Format Specification, version 19, chapters 2 to 11, 14; AVM2 Overview, 4.3.
Limits: shapes and code are not interpreted; texts drawn with fonts that carry no code table are not read;
lossless pictures are not given as members.
"""

from __future__ import annotations

import lzma
import re
import struct
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _media, _picture, _refs, _xmp
from indexer.handlers._picture import FIELD_CHARS, held_member, read_text
from indexer.handlers._swf_text import Fonts, edit_text
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Text, Timestamp

UNPACKED: Final = 512 * MIB
"""What a packed film may become; films of several MiB are common."""
PIECE: Final = 64 << 10
TAGS: Final = 2_000_000
_STRING: Final = re.compile(rb"[\x20-\x7e\x80-\xff]{4,}")
_PRINTED: Final = re.compile(r"[^\W\d_]{2}")


class Swf(Handler):
    name = "swf"
    media_types = ("application/vnd.adobe.flash.movie", "application/x-shockwave-flash")
    signatures = (Signature(b"FWS"), Signature(b"CWS"), Signature(b"ZWS"))
    suffixes = (".swf",)
    fields: ClassVar[dict[str, str]] = {
        **_media.FIELDS,
        **_xmp.FIELDS,
        **_refs.FIELDS,
        "swf.version": "version of the format",
        "swf.frames": "frames of the main time line",
        "swf.label": "name of a frame",
        "swf.symbol": "name of a symbol or a class",
        "swf.font": "name of a font",
        "swf.protected": "whether the film is locked against import",
    }
    reads = "texts, symbol and frame names, addresses, fonts, metadata; pictures, sounds and data inside"
    needs = ("lxml",)
    container = True

    def claims(self, stream: Stream) -> str | None:
        head = stream.head[:8]
        # A text that begins with these letters would tell of a film of half a GiB or more.
        sound = len(head) == 8 and 1 <= head[3] <= 60 and int.from_bytes(head[4:], "little") < UNPACKED
        return self.media_types[0] if sound else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        yield Field("swf.version", stream.at(3, 1)[0])
        film = _Film(stream)
        first = film.take(1)
        bits = first[0] >> 3 if first else 0
        rest = film.take((5 + 4 * bits + 7) // 8 - 1)
        edges = int.from_bytes(first + rest, "big")
        if len(first + rest) < (5 + 4 * bits + 7) // 8:
            yield film.problem or Problem("truncated", "the film ends in its header")
            return
        spare = 8 * len(first + rest) - 5 - 4 * bits
        sides = [_signed(edges >> spare + bits * (3 - each) & (1 << bits) - 1, bits) for each in range(4)]
        rate, frames = struct.unpack("<HH", film.take(4).ljust(4, b"\0"))
        yield Field("media.width", round((sides[1] - sides[0]) / 20))
        yield Field("media.height", round((sides[3] - sides[2]) / 20))
        yield Field("media.frame_rate", rate / 256)
        yield Field("swf.frames", frames)
        if rate:
            yield from _media.length(frames * 256 / rate)
        yield from _tags(film)
        if film.problem:
            yield film.problem


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if bits and value >> bits - 1 else value


class _Film:
    """The film's bytes one after another, unpacked where they are packed."""

    def __init__(self, stream: Stream) -> None:
        self.problem: Problem | None = None
        self._pieces = self._unpack(stream)
        self._held = bytearray()

    def take(self, count: int) -> bytes:
        """Up to `count` bytes; fewer only at the end."""
        while len(self._held) < count:
            piece = next(self._pieces, b"")
            if not piece:
                break
            self._held += piece
        taken = bytes(self._held[:count])
        del self._held[:count]
        return taken

    def skip(self, count: int) -> None:
        """Passes over bytes without holding them."""
        while count > 0:
            taken = len(self.take(min(count, MIB)))
            if not taken:
                return
            count -= taken

    def _unpack(self, stream: Stream) -> Iterator[bytes]:
        kind = stream.at(0, 3)
        if kind == b"FWS":
            for position in range(8, stream.size, MIB):
                yield stream.at(position, MIB)
            return
        total = 0
        try:
            for piece in _inflated(stream) if kind == b"CWS" else _decoded(stream):
                total += len(piece)
                if total > UNPACKED:
                    raise EvidenceError("limit", f"more than {UNPACKED} bytes unpacked")
                yield piece
        except (zlib.error, lzma.LZMAError) as error:
            self.problem = Problem("corrupt", f"the packed film: {error}", resolution="read as far as it goes")
        except EvidenceError as error:
            self.problem = error.problem("", "read as far as it goes")


def _inflated(stream: Stream) -> Iterator[bytes]:
    engine = zlib.decompressobj()
    for position in range(8, stream.size, PIECE):
        waiting = stream.at(position, PIECE)
        while waiting and not engine.eof:
            yield engine.decompress(waiting, MIB)
            waiting = engine.unconsumed_tail
        if engine.eof:
            return
    raise EvidenceError("truncated", "the packed film has no end")


def _decoded(stream: Stream) -> Iterator[bytes]:
    """The same for LZMA, where the film's own length says where it ends."""
    engine = _lzma(stream.at(12, 5))
    left = int.from_bytes(stream.at(4, 4), "little") - 8
    for position in range(17, stream.size, PIECE):
        piece = engine.decompress(stream.at(position, PIECE), MIB)
        while piece and left > 0:
            yield piece[:left]
            left -= len(piece)
            piece = b"" if engine.eof or engine.needs_input else engine.decompress(b"", MIB)
        if engine.eof or left <= 0:
            return
    raise EvidenceError("truncated", "the packed film has no end")


def _lzma(properties: bytes) -> lzma.LZMADecompressor:
    """A decoder for the five bytes that describe the stream.

    Raises:
        EvidenceError: where they describe none.
    """
    if len(properties) < 5 or properties[0] >= 225:
        raise EvidenceError("corrupt", "the packed film: no LZMA stream")
    number = properties[0]
    filters = {
        "id": lzma.FILTER_LZMA1,
        "lc": number % 9,
        "lp": number // 9 % 5,
        "pb": number // 45,
        "dict_size": min(max(int.from_bytes(properties[1:], "little"), 4096), 256 * MIB),
    }
    try:
        return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[filters])
    except lzma.LZMAError as error:
        raise EvidenceError("corrupt", f"the packed film: {error}") from error


def _tags(film: _Film) -> Iterator[Fact]:
    fonts = Fonts()
    once = {name: _refs.Once(name) for name in ("swf.label", "swf.symbol", "swf.font", "refers_to")}
    words: dict[str, None] = {}
    waiting = 0
    members = 0
    for _ in range(TAGS):
        head = film.take(2)
        if len(head) < 2:
            film.problem = film.problem or Problem("truncated", "no end of the film")
            break
        code, length = int.from_bytes(head, "little") >> 6, int.from_bytes(head, "little") & 63
        if length == 63:
            length = int.from_bytes(film.take(4), "little")
        if code == 0 and not waiting:
            break
        if code not in _READ or length > 64 * MIB:
            # The tags of a sprite stand in its own data: they are read as they come.
            film.skip(min(length, 4) if code == 39 else length)
            waiting += 1 if code == 39 else -1 if code == 0 else 0
            continue
        data = film.take(length)
        if len(data) < length:
            film.problem = film.problem or Problem("truncated", "a tag is cut off")
        members += code in _MEMBERS
        yield from _tag(code, data, fonts, once, words, members)
    for text in fonts.texts():
        words[text] = None
    if words:
        yield Text("\n".join(words), "texts")


def _tag(
    code: int, data: bytes, fonts: Fonts, once: dict[str, _refs.Once], words: dict[str, None], number: int
) -> Iterator[Fact]:
    found: list[tuple[str, bytes]] = []
    if code == 43:
        found = [("swf.label", data.split(b"\0")[0])]
    elif code in (56, 76):
        found = [("swf.symbol", each) for each in _symbols(data)]
    elif code in (57, 71):
        found = [("refers_to", data.split(b"\0")[0])]
    elif code in (10, 11, 13, 33, 48, 62, 75):
        found = [("swf.font", name) for name in fonts.take(code, data)]
    elif code == 88:
        found = [("swf.font", each) for each in data[2:].split(b"\0")[:1]]
    elif code == 37:
        words.update(dict.fromkeys(edit_text(data)))
    elif code in (12, 59, 82):
        for match in _STRING.finditer(data):
            text = match[0].decode("utf-8", "replace").strip()
            if _PRINTED.search(text) and "\ufffd" not in text:
                words[text] = None
                yield from once["refers_to"].fields(_refs.paths_in(text) if ":" in text or "\\" in text else ())
    elif code == 77:
        yield from _picture.Blocks().read(_xmp.read_xmp, data.split(b"\0")[0])
    elif code == 24:
        yield Field("swf.protected", True)
    elif code == 41 and len(data) >= 26:
        milliseconds = int.from_bytes(data[18:26], "little")
        if 0 < milliseconds < 1 << 42:
            at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
            yield Timestamp("compiled", at, "swf.ProductInfo", 0.001)
    elif code in _MEMBERS:
        yield from _member(code, data, number)
    for name, raw in found:
        if text := read_text(raw)[:FIELD_CHARS]:
            words[text] = None
            yield from once[name].fields((text,))


def _symbols(data: bytes) -> Iterator[bytes]:
    position = 2
    for _ in range(int.from_bytes(data[:2], "little")):
        end = data.find(b"\0", position + 2)
        if end < 0:
            return
        yield data[position + 2 : end]
        position = end + 1


def _member(code: int, data: bytes, number: int) -> Iterator[Fact]:
    """Pictures, sounds and data as members."""
    if code == 87:
        yield held_member(data[6:], f"data-{number}.bin", "data")
    elif code == 14:
        if data[2:3] and data[2] >> 4 == 2:
            yield held_member(data[9:], f"sound-{number}.mp3", "sound")
    else:
        start = {21: 2, 35: 6, 90: 8}[code]
        end = start + int.from_bytes(data[2:6], "little") if code != 21 else len(data)
        # Old programs put an end and a beginning before the picture itself.
        picture = data[start:end].removeprefix(b"\xff\xd9\xff\xd8")
        suffix = ".png" if picture[:4] == b"\x89PNG" else ".gif" if picture[:3] == b"GIF" else ".jpg"
        if picture:
            yield held_member(picture, f"picture-{number}{suffix}", "picture")


_MEMBERS: Final = frozenset((14, 21, 35, 87, 90))
_READ: Final = _MEMBERS | {10, 11, 12, 13, 24, 33, 37, 41, 43, 48, 56, 57, 59, 62, 71, 75, 76, 77, 82, 88}
