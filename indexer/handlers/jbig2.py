"""JBIG2 pictures: shape, pages, comments.

Source: ITU-T T.88 (08/2018), 7.2 (segment headers), 7.4.8 (page information), 7.4.15 (extensions),
annex D.4 (file header).
Limits: no pixel is decoded; what stands behind a region of unknown length is not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final, NamedTuple

from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _picture
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Text

SEGMENTS: Final = 1_000_000
COMMENTS: Final = 1 * MIB
"""Bytes of one segment of comments."""
_PAGE, _END, _EXTENSION = 48, 51, 62
_UNKNOWN: Final = 0xFFFFFFFF
_CODECS: Final = {0x20000000: "latin-1", 0x20000002: "utf-16-be"}


class Jbig2(Handler):
    name = "jbig2"
    media_types = ("image/x-jbig2",)
    signatures = (Signature(b"\x97JB2\r\n\x1a\n"),)
    suffixes = (".jb2", ".jbig2")
    fields: ClassVar[dict[str, str]] = {**_picture.FIELDS}
    reads = "dimensions, pages, comments"

    def read(self, stream: Stream) -> Iterator[Fact]:
        flags = stream.at(8, 1)
        place = 9 if flags and flags[0] & 2 else 13
        is_sequential = bool(flags and flags[0] & 1)
        segments: list[_Segment] = []
        trouble: Problem | None = None
        while len(segments) < SEGMENTS:
            segment = _segment(stream, place)
            if segment is None or segment.length == _UNKNOWN:
                if segment is None:
                    trouble = Problem("truncated", f"no whole segment at {place}, and no end of the file")
                break
            segments.append(segment)
            place = segment.data + is_sequential * segment.length
            if segment.kind == _END:
                break
        else:
            trouble = Problem("limit", f"more than {SEGMENTS} segments", resolution="stopped there")
        if not is_sequential:
            segments = list(_placed(segments, place))
        pages = [stream.at(each.data, 16) for each in segments if each.kind == _PAGE]
        if pages and len(pages[0]) == 16:
            width, height, across = (int.from_bytes(pages[0][at : at + 4], "big") for at in (0, 4, 8))
            yield from _picture.shape(width, 0 if height == _UNKNOWN else height, "1", 1, len(pages))
            if across:
                yield Field("picture.dpi", round(across * 0.0254))
        for segment in segments:
            if segment.kind == _EXTENSION:
                yield from _comments(stream.at(segment.data, min(segment.length, COMMENTS)))
        if trouble:
            yield trouble
        elif segments and (end := segments[-1].data + segments[-1].length) > stream.size:
            yield Problem("truncated", f"the last segment ends at {end}, the file at {stream.size}")


class _Segment(NamedTuple):
    kind: int
    data: int
    length: int


def _segment(stream: Stream, place: int) -> _Segment | None:
    """The segment whose header stands here; None where it is cut off."""
    head = stream.at(place, 10)
    if len(head) < 10:
        return None
    number, count, at = int.from_bytes(head[:4], "big"), head[5] >> 5, place + 6
    if count == 7:
        count = int.from_bytes(head[5:9], "big") & 0x1FFFFFFF
        at = place + 9 + (count + 8) // 8
    at += count * (1 if number <= 256 else 2 if number <= 65_536 else 4)
    at += 4 if head[4] & 0x40 else 1
    length = stream.at(at, 4)
    return _Segment(head[4] & 63, at + 4, int.from_bytes(length, "big")) if len(length) == 4 else None


def _placed(segments: list[_Segment], place: int) -> Iterator[_Segment]:
    """The same where all data stand behind all headers."""
    for segment in segments:
        yield segment._replace(data=place)
        place += segment.length


def _comments(data: bytes) -> Iterator[Text]:
    """Names and values in turns."""
    codec = _CODECS.get(int.from_bytes(data[:4], "big"))
    if codec:
        parts = data[4:].decode(codec, "replace").split("\0")
        for name, value in zip(parts[::2], parts[1::2], strict=False):
            if value:
                yield Text(value, f"comment {name}".strip())
