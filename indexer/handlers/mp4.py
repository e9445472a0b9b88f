"""MP4, QuickTime and 3GPP films and sounds: times, tracks, tags, places, covers, subtitles.

Source: ISO/IEC 14496-12:2022, 8.1 to 8.4; Apple QuickTime File Format; Adobe XMP Specification Part 3, 1.2.3.
Limits: nothing is decoded; text in fragments, closed captions in pictures and GPS tracks of cameras are
not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import ClassVar, Final

from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _c2pa, _cr3, _exif, _media, _picture, _xmp
from indexer.handlers._boxes import Box, boxes
from indexer.handlers._mp4_tags import read_meta, read_user_data
from indexer.handlers._mp4_tracks import read_track, times
from indexer.model import Fact, Field, Problem, Timestamp
from indexer.timestamps import from_iso

TRACKS: Final = 1_000
_OUTER: Final = frozenset(
    b"ftyp moov mdat free skip wide uuid meta moof mfra pnot PICT pdin styp sidx ssix emsg prft udta mpvd junk".split()
)
_XMP: Final = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_TYPES: Final = {
    b"qt  ": "video/quicktime", b"M4A ": "audio/mp4", b"M4B ": "audio/mp4", b"M4P ": "audio/mp4",
    b"F4A ": "audio/mp4", b"M4V ": "video/x-m4v", b"crx ": "image/x-canon-cr3", b"3gp": "video/3gpp",
    b"3g2": "video/3gpp2",
}  # fmt: skip


class Mp4(Handler):
    name = "mp4"
    version = 4
    media_types = (
        *("video/mp4", "audio/mp4", "video/quicktime", "video/3gpp", "video/3gpp2", "audio/3gpp", "audio/x-m4a"),
        *("video/x-m4v", "application/mp4", "image/x-canon-cr3"),
    )
    signatures = tuple(Signature(mark, 4) for mark in (b"ftyp", b"moov", b"mdat", b"wide", b"skip", b"free", b"pnot"))
    suffixes = (".mp4", ".mov", ".m4v", ".m4a", ".m4b", ".m4p", ".qt", ".3gp", ".3g2", ".f4v", ".mp4v", ".cr3")
    fields: ClassVar[dict[str, str]] = {
        **_picture.FIELDS,
        **_media.FIELDS,
        **_exif.FIELDS,
        **_xmp.FIELDS,
        **_c2pa.FIELDS,
        "mp4.brand": "the format that the file says it has",
        "mp4.tracks": "tracks in the file",
        "mp4.still_image_time": "second of the film at which the still picture of a live photo was taken",
    }
    reads = (
        "times, tracks and codings, tags, places, covers, subtitles, chapters, XMP, content credentials; raw previews"
    )
    needs = ("lxml",)
    rank = 45
    container = True

    def claims(self, stream: Stream) -> str | None:
        head = stream.head
        if head[4:8] == b"ftyp":
            return _TYPES.get(head[8:12]) or _TYPES.get(head[8:11]) or "video/mp4"
        first = next(boxes(stream, 0, stream.size), None)
        if not first:
            return None
        second = stream.at(first.end + 4, 4)
        known = second in _OUTER or (first.kind == b"moov" and stream.at(12, 4) in (b"mvhd", b"cmov", b"rmra"))
        return "video/quicktime" if known else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        tags = _media.Tags()
        end, problem, moved = 0, None, False
        for box in boxes(stream, 0, stream.size):
            if box.kind not in _OUTER:
                break
            end = box.end
            if end > stream.size:
                kind = box.kind.decode("latin-1")
                problem = Problem("truncated", f"box {kind} ends at {end}, the file at {stream.size}")
            if box.kind == b"ftyp":
                yield Field("mp4.brand", stream.at(box.start, 4).decode("latin-1").strip())
            elif box.kind == b"moov":
                moved = True
                yield from _movie(stream, box, tags)
            elif box.kind == b"meta":
                yield from read_meta(stream, box, tags)
            elif box.kind == b"uuid" and stream.at(box.start, 16) == _XMP:
                packet = stream.at(box.start + 16, min(box.end - box.start - 16, _picture.INFLATED))
                yield from _picture.Blocks().read(_xmp.read_xmp, packet)
            elif box.kind == b"uuid" and stream.at(box.start, 16) == _c2pa.BOX:
                yield from _picture.Blocks().read(_c2pa.read_store, _c2pa.unboxed(box.data(stream, _c2pa.STORE)))
            elif box.kind == b"uuid" and stream.at(box.start, 16) == _cr3.PREVIEW:
                yield from _cr3.read_preview(stream, box)
        yield from tags.facts()
        if not moved:
            yield Problem("truncated" if problem else "corrupt", "no moov box: the tracks are not known")
        if problem:
            yield problem
        else:
            yield from _media.leftover(stream, end)


def _movie(stream: Stream, movie: Box, tags: _media.Tags) -> Iterator[Fact]:
    tracks, scale, raw = 0, 0, stream.at(8, 4) == b"crx "
    seen: set[tuple[str, datetime]] = set()
    for box in boxes(stream, movie.start, min(movie.end, stream.size)):
        if box.kind == b"mvhd":
            data = box.data(stream, 120)
            for stamp in times(data, "mvhd"):
                seen.add((stamp.kind, stamp.at))
                yield stamp
            size = 8 if data[:1] == b"\1" else 4
            at = 4 + 2 * size
            scale, ticks = int.from_bytes(data[at : at + 4], "big"), int.from_bytes(data[at + 4 : at + 4 + size], "big")
            if scale and ticks != (1 << 8 * size) - 1:
                yield from _media.length(ticks / scale)
        elif box.kind == b"trak" and tracks < TRACKS:
            tracks += 1
            for fact in read_track(stream, box, tracks, tags, scale):
                if isinstance(fact, Timestamp):
                    if (fact.kind, fact.at) in seen:
                        continue
                    seen.add((fact.kind, fact.at))
                yield fact
            if raw:
                yield from _cr3.read_track(stream, box)
        elif box.kind == b"udta":
            yield from read_user_data(stream, box, tags)
        elif box.kind == b"meta":
            yield from read_meta(stream, box, tags)
        elif box.kind == b"uuid" and stream.at(box.start, 16) == _cr3.METADATA:
            yield from _cr3.read_metadata(stream, box)
        elif box.kind == b"cmov":
            yield Problem("unsupported", "the description of the tracks is compressed")
    yield Field("mp4.tracks", tracks)
    for name, value in tags.dates():
        if made := from_iso("B", value, f"mp4.{name.replace(' ', '_')}"):
            yield made
