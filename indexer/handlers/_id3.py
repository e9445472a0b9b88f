"""ID3 tags of every version, APE tags, and what is mislabelled in them.

Source: ID3v2.4.0 main structure and native frames; ID3v2.3.0; ID3v2.2.0; ID3v1.1; APEv2 (Monkey's Audio).
Limits: encrypted frames are named only; of frames without text only pictures and objects are read.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import Final

from indexer.handler import Stream
from indexer.handlers._media import Tags, cover
from indexer.handlers._picture import held_member, read_text
from indexer.limits import MIB
from indexer.model import Child, Problem

TAG_BYTES: Final = 64 * MIB
"""Bytes of a tag that are looked at; covers of several MiB are common."""
FRAMES: Final = 5_000
INFLATED: Final = 16 * MIB
_NAMES: Final = {
    "TIT2": "title", "TT2": "title", "TPE1": "artist", "TP1": "artist", "TALB": "album", "TAL": "album",
    "TPE2": "album artist", "TP2": "album artist", "TCOM": "composer", "TCM": "composer", "TCON": "genre",
    "TCO": "genre", "TDRC": "date", "TYER": "date", "TYE": "date", "TDAT": "day", "TRCK": "track", "TRK": "track",
    "TENC": "encoded by", "TEN": "encoded by", "TSSE": "encoder", "TSS": "encoder", "TCOP": "copyright",
    "TCR": "copyright", "TPUB": "publisher", "TPB": "publisher", "TLAN": "language", "TLA": "language",
    "TIT1": "grouping", "TT1": "grouping", "TIT3": "subtitle", "TT3": "subtitle", "TEXT": "lyricist",
    "TXT": "lyricist", "TOFN": "original file name", "TOF": "original file name", "TOWN": "owner",
    "TOAL": "original album", "TOPE": "original artist", "TPOS": "disc", "TPA": "disc", "TDEN": "encoding time",
    "TDTG": "tagging time", "TSRC": "isrc", "TBPM": "bpm", "TPE3": "conductor", "TPE4": "remixer",
}  # fmt: skip
GENRES: Final = (
    "Blues", "Classic Rock", "Country", "Dance", "Disco", "Funk", "Grunge", "Hip-Hop", "Jazz", "Metal", "New Age",
    "Oldies", "Other", "Pop", "R&B", "Rap", "Reggae", "Rock", "Techno", "Industrial", "Alternative", "Ska",
    "Death Metal", "Pranks", "Soundtrack", "Euro-Techno", "Ambient", "Trip-Hop", "Vocal", "Jazz+Funk", "Fusion",
    "Trance", "Classical", "Instrumental", "Acid", "House", "Game", "Sound Clip", "Gospel", "Noise", "AlternRock",
    "Bass", "Soul", "Punk", "Space", "Meditative", "Instrumental Pop", "Instrumental Rock", "Ethnic", "Gothic",
    "Darkwave", "Techno-Industrial", "Electronic", "Pop-Folk", "Eurodance", "Dream", "Southern Rock", "Comedy",
    "Cult", "Gangsta", "Top 40", "Christian Rap", "Pop/Funk", "Jungle", "Native American", "Cabaret", "New Wave",
    "Psychedelic", "Rave", "Showtunes", "Trailer", "Lo-Fi", "Tribal", "Acid Punk", "Acid Jazz", "Polka", "Retro",
    "Musical", "Rock & Roll", "Hard Rock", "Folk", "Folk-Rock", "National Folk", "Swing", "Fast Fusion", "Bebob",
    "Latin", "Revival", "Celtic", "Bluegrass", "Avantgarde", "Gothic Rock", "Progressive Rock", "Psychedelic Rock",
    "Symphonic Rock", "Slow Rock", "Big Band", "Chorus", "Easy Listening", "Acoustic", "Humour", "Speech", "Chanson",
    "Opera", "Chamber Music", "Sonata", "Symphony", "Booty Bass", "Primus", "Porn Groove", "Satire", "Slow Jam",
    "Club", "Tango", "Samba", "Folklore", "Ballad", "Power Ballad", "Rhythmic Soul", "Freestyle", "Duet",
    "Punk Rock", "Drum Solo", "A capella", "Euro-House", "Dance Hall",
)  # fmt: skip
"""Kinds of music by their numbers, as version 1 and its extension by Winamp have them."""
_GENRE: Final = re.compile(r"\((\d{1,3}|RX|CR)\)|^(\d{1,3})$")
_CODECS: Final = {0: "", 1: "utf-16", 2: "utf-16-be", 3: "utf-8"}
_ITEM: Final = re.compile(rb"(.{8})([\x20-\x7e]{2,255})\0", re.DOTALL)


def size_of(head: bytes) -> int:
    """Bytes of the ID3v2 tag that begins with these ten, or 0 where none does."""
    if len(head) < 10 or head[:3] != b"ID3" or head[3] not in (2, 3, 4) or max(head[6:10]) > 127:
        return 0
    return 10 + _seven(head[6:10]) + (10 if head[5] & 0x10 else 0)


def _seven(data: bytes) -> int:
    number = 0
    for byte in data:
        number = number << 7 | byte & 127
    return number


def read_id3(data: bytes, tags: Tags) -> Iterator[Child | Problem]:
    """Puts an ID3v2 tag's texts into `tags`; gives its pictures and objects as members."""
    version, flags, size = data[3], data[5], min(size_of(data), len(data))
    body = data[10:size]
    if size_of(data) > len(data) + 10:
        yield Problem("truncated", f"the ID3 tag has {size_of(data)} bytes, {len(data)} are there")
    if flags & 0x80 and version < 4:
        body = body.replace(b"\xff\0", b"\xff")
    position = 0
    if flags & 0x40 and version > 2:
        position = int.from_bytes(body[:4], "big") + 4 if version == 3 else _seven(body[:4])
    wide, head = (3, 6) if version == 2 else (4, 10)
    pictures = 0
    for _ in range(FRAMES):
        name = body[position : position + wide]
        if len(name) < wide or not name.isalnum():
            return
        length = int.from_bytes(body[position + wide : position + 2 * wide], "big")
        if version == 4:
            # Some programs write plain lengths where seven bits to a byte are due: what follows decides.
            sevens = _seven(body[position + 4 : position + 8])
            if _fits(body, position + 10 + sevens) or not _fits(body, position + 10 + length):
                length = sevens
        frame_flags = body[position + 9] if wide == 4 and len(body) > position + 9 else 0
        frame = body[position + head : position + head + length]
        position += head + length
        if wide == 4 and frame_flags:
            frame = _plain(frame, frame_flags, version)
        for child in _frame(name.decode("ascii"), frame, pictures + 1, tags):
            pictures += 1
            yield child


def _fits(body: bytes, position: int) -> bool:
    """Whether a frame, padding or the end stands here."""
    following = body[position : position + 4]
    return position == len(body) or following[:1] == b"\0" or (len(following) == 4 and following.isalnum())


def _plain(frame: bytes, flags: int, version: int) -> bytes:
    """A frame's bytes without what its flags put before and around them; none where it is encrypted."""
    packed, locked = (flags & 8, flags & 4) if version == 4 else (flags & 0x80, flags & 0x40)
    if locked:
        return b""
    if version == 4:
        frame = frame[(flags & 0x40 > 0) + 4 * (flags & 1) :]
        if flags & 2:
            frame = frame.replace(b"\xff\0", b"\xff")
    else:
        frame = frame[4 * (packed > 0) + (flags & 0x20 > 0) :]
    if packed:
        try:
            frame = zlib.decompressobj().decompress(frame, INFLATED)
        except zlib.error:
            return b""
    return frame


def _frame(name: str, frame: bytes, number: int, tags: Tags) -> Iterator[Child]:
    if len(frame) < 2:
        return
    coding = frame[0]
    if name in ("TXXX", "TXX"):
        label, value = _split(frame[1:], coding)
        tags.add(_said(label, coding) or "text", _text(value, coding))
    elif name in ("TCON", "TCO"):
        text = _text(frame[1:], coding)
        tags.add("genre", genre(text) if isinstance(text, str) else genre_of_bytes(text))
    elif name[0] == "T":
        tags.add(_NAMES.get(name, name), _text(frame[1:], coding))
    elif name in ("COMM", "COM", "USLT", "ULT"):
        label, value = _split(frame[4:], coding)
        kind = "lyrics" if name[0] == "U" else "comment"
        language, label_text = frame[1:4].decode("latin-1").strip("\0 "), _said(label, coding)
        if label_text and isinstance(text := _text(value, coding), str):
            tags.add(kind, f"{language} - {label_text}\n{text}")
        else:
            tags.add(kind, _text(value, coding))
    elif name[0] == "W":
        address = _split(frame[1:], coding)[1] if name in ("WXXX", "WXX") else frame
        tags.add("url", address.split(b"\0")[0])
    elif name in ("APIC", "PIC"):
        rest = frame[1:].partition(b"\0")[2] if name == "APIC" else frame[4:]
        label, picture = _split(rest[1:], coding)
        if picture:
            yield cover(picture, number, _said(label, coding), rest[0])
    elif name in ("GEOB", "GEO"):
        rest = frame[1:].partition(b"\0")[2]
        file_name, rest = _split(rest, coding)
        _, data = _split(rest, coding)
        if data:
            yield held_member(data, _said(file_name, coding) or f"object-{number}.bin", "attachment")
    elif name in ("PRIV", "UFID", "UFI"):
        tags.add("owner", frame.split(b"\0")[0])


def genre(text: str) -> str:
    """A kind of music with its numbers as words: `(17)`, `17`, `(51)(39)`, `(4)Eurodisco`."""
    return " / ".join(dict.fromkeys(said for part in text.split(" / ") for said in _genres(part)))


def genre_of_bytes(text: bytes) -> str | bytes:
    """The same of a text in an encoding that is not told."""
    return genre(text.decode("ascii")) if text.isascii() else text


def _genres(text: str) -> Iterator[str]:
    while found := _GENRE.match(text):
        number = found[1] or found[2]
        if number.isdigit():
            yield GENRES[int(number)] if int(number) < len(GENRES) else found[0]
        else:
            yield {"RX": "Remix", "CR": "Cover"}[number]
        text = text[found.end() :]
    if text:
        yield text.removeprefix("(") if text.startswith("((") else text


def _split(data: bytes, coding: int) -> tuple[bytes, bytes]:
    """A text up to its end mark, and what follows."""
    if coding not in (1, 2):
        first, _, rest = data.partition(b"\0")
        return first, rest
    at = data.find(b"\0\0")
    while at & 1 and at > 0:
        at = data.find(b"\0\0", at + 1)
    return (data, b"") if at < 0 else (data[:at], data[at + 2 :])


def _text(data: bytes, coding: int) -> str | bytes:
    """A text; bytes where the tag calls them Latin-1, which means nothing."""
    codec = _CODECS.get(coding, "")
    if not codec:
        return b" / ".join(part for part in data.split(b"\0") if part)
    if codec == "utf-16" and data[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        codec = "utf-16-le"
    text = data.decode(codec, "replace").replace("\ufeff", "")
    return " / ".join(part for part in text.split("\0") if part)


def _said(data: bytes, coding: int) -> str:
    text = _text(data, coding)
    return read_text(text) if isinstance(text, bytes) else text


def read_tail(stream: Stream, end: int, tags: Tags) -> int:
    """Puts the tags at the end of the file into `tags`; where they begin."""
    last = stream.at(end - 128, 128)
    if last[:3] == b"TAG" and len(last) == 128:
        end -= 128
        for name, start, stop in (("title", 3, 33), ("artist", 33, 63), ("album", 63, 93), ("date", 93, 97)):
            tags.add(name, last[start:stop].split(b"\0")[0].strip())
        if last[127] < len(GENRES):
            tags.add("genre", GENRES[last[127]])
        comment = last[97:127]
        if comment[28] == 0 and comment[29]:
            tags.add("track", str(comment[29]))
            comment = comment[:28]
        tags.add("comment", comment.split(b"\0")[0].strip())
    footer = stream.at(end - 32, 32)
    if footer[:8] == b"APETAGEX":
        size = int.from_bytes(footer[12:16], "little")
        begin = max(0, end - size)
        _read_ape(stream.at(begin, min(size, TAG_BYTES)), int.from_bytes(footer[16:20], "little"), tags)
        end = begin - 32 if stream.at(begin - 32, 8) == b"APETAGEX" else begin
    return end


def _read_ape(data: bytes, count: int, tags: Tags) -> None:
    position = 0
    for _ in range(min(count, FRAMES)):
        match = _ITEM.match(data, position)
        if not match:
            return
        length, flags = int.from_bytes(match[1][:4], "little"), int.from_bytes(match[1][4:], "little")
        value = data[match.end() : match.end() + length]
        position = match.end() + length
        if not flags >> 1 & 3:
            tags.add(match[2].decode("ascii"), value.replace(b"\0", b" / "))
