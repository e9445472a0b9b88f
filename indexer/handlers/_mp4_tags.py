"""Tags of MP4 and QuickTime files: iTunes lists, QuickTime's user data and keys, 3GPP's boxes, XMP.

Source: Apple QuickTime File Format, "User Data Atoms", "Metadata"; ISO/IEC 14496-12, 8.10; 3GPP TS 26.244,
clause 8; the list of iTunes as programs write it.
Limits: numbers in lists other than counts of tracks are shown as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from indexer.handler import Stream
from indexer.handlers import _xmp
from indexer.handlers._boxes import Box, boxes
from indexer.handlers._id3 import GENRES
from indexer.handlers._media import Tags, clock, cover
from indexer.handlers._picture import Blocks
from indexer.limits import MIB
from indexer.model import Fact, Field, Text

VALUE: Final = 64 * MIB
KEYS: Final = 10_000
_NAMES: Final = {
    b"\xa9nam": "title", b"\xa9ART": "artist", b"aART": "album artist", b"\xa9alb": "album", b"\xa9wrt": "composer",
    b"\xa9gen": "genre", b"\xa9day": "date", b"\xa9cmt": "comment", b"\xa9too": "encoder", b"\xa9swr": "encoder",
    b"\xa9enc": "encoded by", b"\xa9cpy": "copyright", b"cprt": "copyright", b"desc": "description",
    b"ldes": "long description", b"\xa9des": "description", b"\xa9inf": "information", b"\xa9lyr": "lyrics",
    b"\xa9grp": "grouping", b"tvsh": "show", b"tven": "episode", b"\xa9dir": "director", b"\xa9prd": "producer",
    b"\xa9aut": "author", b"\xa9key": "keywords", b"\xa9xyz": "location", b"\xa9mak": "make", b"\xa9mod": "model",
    b"titl": "title", b"auth": "author", b"perf": "artist", b"dscp": "description", b"albm": "album",
    b"gnre": "genre", b"kywd": "keywords", b"loci": "location name", b"purd": "purchase date", b"apID": "account",
    b"ownr": "owner", b"name": "name", b"\xa9src": "source", b"\xa9ope": "original artist", b"keyw": "keywords",
}  # fmt: skip
_KEYS: Final = {
    "com.apple.quicktime.location.ISO6709": "location",
    "com.apple.quicktime.creationdate": "creation date",
    "com.apple.quicktime.make": "make",
    "com.apple.quicktime.model": "model",
    "com.apple.quicktime.software": "encoder",
    "com.apple.quicktime.title": "title",
    "com.apple.quicktime.comment": "comment",
    "com.apple.quicktime.description": "description",
    "com.apple.quicktime.author": "artist",
    "com.apple.quicktime.keywords": "keywords",
    "com.apple.quicktime.copyright": "copyright",
}


def read_user_data(stream: Stream, box: Box, tags: Tags) -> Iterator[Fact]:
    """Puts what a `udta` box holds into `tags`; gives covers and what XMP says."""
    for entry in boxes(stream, box.start, min(box.end, stream.size)):
        data = entry.data(stream, 4096)
        if entry.kind == b"meta":
            yield from read_meta(stream, entry, tags)
        elif entry.kind == b"XMP_":
            yield from Blocks().read(_xmp.read_xmp, entry.data(stream, VALUE))
        elif entry.kind == b"chpl":
            yield from _nero_chapters(entry.data(stream, MIB))
        elif entry.kind[:1] == b"\xa9":
            size = int.from_bytes(data[:2], "big")
            tags.add(_NAMES.get(entry.kind, _label(entry.kind)), data[4 : 4 + size])
        elif entry.kind in _NAMES and data[:4] == b"\0\0\0\0":
            tags.add(_NAMES[entry.kind], _wide(data[6:]))


def read_meta(stream: Stream, box: Box, tags: Tags) -> Iterator[Fact]:
    """Puts the list in a `meta` box into `tags`; gives covers."""
    start = box.start if stream.at(box.start + 4, 4) == b"hdlr" else box.start + 4
    keys: list[str] = []
    for inner in boxes(stream, start, min(box.end, stream.size)):
        if inner.kind == b"keys":
            keys = _keys(inner.data(stream, MIB))
        elif inner.kind == b"ilst":
            yield from _list(stream, inner, keys, tags)
        elif inner.kind == b"xml ":
            yield Text(inner.data(stream, MIB)[4:].decode("utf-8", "replace"), "xml")


def _keys(data: bytes) -> list[str]:
    found: list[str] = []
    position = 8
    while position + 8 <= len(data) and len(found) < KEYS:
        size = int.from_bytes(data[position : position + 4], "big")
        if size < 8:
            break
        found.append(data[position + 8 : position + size].decode("utf-8", "replace"))
        position += size
    return found


def _list(stream: Stream, box: Box, keys: list[str], tags: Tags) -> Iterator[Fact]:
    covers = 0
    for entry in boxes(stream, box.start, min(box.end, stream.size)):
        number = int.from_bytes(entry.kind, "big")
        key = keys[number - 1] if 0 < number <= len(keys) else ""
        name = _KEYS.get(key) or key.rpartition("com.apple.quicktime.")[2] or _NAMES.get(entry.kind, _label(entry.kind))
        for part in boxes(stream, entry.start, min(entry.end, stream.size)):
            if part.kind == b"name":
                name = part.data(stream, 1000)[4:].decode("utf-8", "replace")
            elif part.kind == b"data" and entry.kind == b"covr":
                covers += 1
                yield cover(part.data(stream, VALUE)[8:], covers)
            elif part.kind == b"data":
                _value(entry.kind, name, part.data(stream, MIB), tags)


def _value(kind: bytes, name: str, data: bytes, tags: Tags) -> None:
    form, value = int.from_bytes(data[:4], "big") & 0xFFFFFF, data[8:]
    if kind == b"gnre" and len(value) >= 2:
        number = int.from_bytes(value[:2], "big")
        tags.add(name, GENRES[number - 1] if 0 < number <= len(GENRES) else str(number))
    elif kind in (b"trkn", b"disk"):
        first, whole = int.from_bytes(value[2:4], "big"), int.from_bytes(value[4:6], "big")
        tags.add("track" if kind == b"trkn" else "disc", f"{first}/{whole}" if whole else str(first))
    elif form == 1:
        tags.add(name, value)
    elif form == 2:
        tags.add(name, value.decode("utf-16-be", "replace"))
    elif form in (0, 21, 22) and len(value) in (1, 2, 4, 8):
        tags.add(name, str(int.from_bytes(value, "big", signed=form == 21)))
    elif form == 0:
        tags.add(name, value)


def _label(kind: bytes) -> str:
    return kind.decode("latin-1").strip("\xa9 ")


def _wide(data: bytes) -> str | bytes:
    text = data.decode("utf-16", "replace") if data[:2] in (b"\xfe\xff", b"\xff\xfe") else data.split(b"\0")[0]
    return text.split("\0")[0] if isinstance(text, str) else text


def _nero_chapters(data: bytes) -> Iterator[Fact]:
    """Chapters in the list that Nero's programs introduced: times in 100 ns and names."""
    position, lines = 9, []
    for _ in range(data[8] if len(data) > 8 else 0):
        size = (data[position + 8 : position + 9] or b"\0")[0]
        name = data[position + 9 : position + 9 + size].decode("utf-8", "replace")
        lines.append(f"{clock(int.from_bytes(data[position : position + 8], 'big') / 1e7)} {name}")
        yield Field("media.chapter", name)
        position += 9 + size
    if lines:
        yield Text("\n".join(lines), "chapters")
