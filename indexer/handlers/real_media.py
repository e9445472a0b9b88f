"""RealMedia films and sounds (.rm, .rmvb, .ra): titles in every code page, length, tracks.

Source: RealMedia File Format (RFC draft heffner-rmff), sections 5 to 8, as RealProducer writes it.
Limits: nothing is decoded; the index and the metadata section (RJMD) are not read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _media
from indexer.handlers._psd_values import Cursor
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem

CHUNKS: Final = 100_000
_TAGS: Final = ("title", "artist", "copyright", "comment")
_READ: Final = (b"PROP", b"CONT", b"MDPR")


class RealMedia(Handler):
    name = "real-media"
    media_types = ("application/vnd.rn-realmedia", "audio/x-pn-realaudio", "video/x-pn-realvideo")
    signatures = (Signature(b".RMF"), Signature(b".ra\xfd"))
    suffixes = (".rm", ".rmvb", ".ra", ".rv")
    fields: ClassVar[dict[str, str]] = {**_media.FIELDS}
    reads = "titles, length, tracks and codings"
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0 if stream.head[:4] == b".RMF" else 1]

    def read(self, stream: Stream) -> Iterator[Fact]:
        tags = _media.Tags()
        if stream.head[:4] == b".ra\xfd":
            try:
                yield from _sound(Cursor(stream.at(0, 4096)), tags)
            finally:
                yield from tags.facts()
            return
        position, problem = 0, None
        for _ in range(CHUNKS):
            head = stream.at(position, 10)
            kind, size = head[:4], int.from_bytes(head[4:8], "big")
            if len(head) < 8 or size < 8 or not kind.strip(b".").isalnum():
                break
            if position + size > stream.size:
                name = kind.decode("ascii", "replace")
                problem = Problem("truncated", f"chunk {name} ends at {position + size}, the file at {stream.size}")
            if kind in _READ:
                try:
                    yield from _chunk(kind, Cursor(stream.at(position + 10, min(size - 10, MIB))), tags)
                except EvidenceError as error:
                    yield error.problem("")
            position += size
        yield from tags.facts()
        if problem:
            yield problem
        else:
            yield from _media.leftover(stream, position)


def _chunk(kind: bytes, cursor: Cursor, tags: _media.Tags) -> Iterator[Fact]:
    """What one chunk says.

    Raises:
        EvidenceError: truncated.
    """
    if kind == b"PROP":
        _, average, _, _, _, duration = struct.unpack(">6I", cursor.take(24))
        yield from _media.told("bitrate", average)
        yield from _media.length(duration / 1000)
    elif kind == b"CONT":
        for name in _TAGS:
            tags.add(name, cursor.take(cursor.number(2)))
    else:
        cursor.take(2 + 7 * 4)
        title, media_type = cursor.pascal(), cursor.pascal()
        own = cursor.take(cursor.number(4))
        tags.add("track name", title)
        yield from _media.told("track_kind", media_type.decode("latin-1"))
        if own[4:8] == b"VIDO" and len(own) >= 16:
            width, height = struct.unpack_from(">HH", own, 12)
            yield Field("media.codec", own[8:12].decode("latin-1").strip("\0 "))
            yield from _media.told("width", width)
            yield from _media.told("height", height)


def _sound(cursor: Cursor, tags: _media.Tags) -> Iterator[Fact]:
    """The words in the header of a sound of the third kind; later kinds keep them at the same distance from their end.

    Raises:
        EvidenceError: truncated.
    """
    cursor.take(4)
    version = cursor.number(2)
    yield Field("media.codec", f"RealAudio {version}")
    if version == 3:
        cursor.take(2 + 14)
        for name in _TAGS:
            tags.add(name, cursor.pascal())
