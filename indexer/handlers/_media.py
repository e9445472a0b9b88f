"""What every reader of films and sounds says in the same words: streams, tags, covers, places.

Source: ISO 6709 (points); names of tags as the formats that hold them have them.
Limits: nothing is decoded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from indexer.handler import Stream
from indexer.handlers import _picture
from indexer.handlers._picture import FIELD_CHARS, held_member, read_text, shared_codec
from indexer.model import Child, Fact, Field, Scalar, Text, replace

TAGS: Final = 5_000
"""Tags read from one file."""
TAG_CHARS: Final = 1 << 20
"""Characters kept of one tag's text; lyrics and scripts stay far below."""

NAMED: Final = {
    "title": "title",
    "artist": "artist, author or performer",
    "album": "album or product it belongs to",
    "album_artist": "artist of the album",
    "composer": "composer or writer",
    "genre": "genre",
    "date": "date as tagged",
    "track": "number in its album",
    "comment": "comment",
    "description": "description",
    "copyright": "copyright notice",
    "encoder": "program or device that wrote the file",
    "encoded_by": "who encoded it",
    "publisher": "publisher",
    "language": "language of a track",
    "lyrics": "words of a song",
    "engineer": "who worked on it",
    "keywords": "keywords",
    "show": "show or series",
    "episode": "episode",
    "location": "place as tagged",
    "make": "maker of the device",
    "model": "model of the device",
}
FIELDS: Final = {
    **{f"media.{name}": meaning for name, meaning in NAMED.items()},
    "media.tag.*": "any other tag by its name",
    "media.duration": "length in seconds",
    "media.codec": "coding of a track",
    "media.track_kind": "what a track is: video, audio, subtitles, ...",
    "media.track_name": "name of a track",
    "media.width": "width of the picture in pixels",
    "media.height": "height of the picture in pixels",
    "media.frame_rate": "pictures a second",
    "media.sample_rate": "samples a second",
    "media.channels": "channels of sound",
    "media.bits": "bits per sample",
    "media.bitrate": "bits a second, as declared or worked out",
    "media.variable_bitrate": "whether the rate of bits varies",
    "media.encrypted": "whether a track is encrypted",
    "media.drm": "scheme that protects a track, as the file names it",
    "media.chapter": "name of a chapter",
    "media.cover_kind": "of a cover: what it shows, by the list of ID3",
    "media.charset": "codec that tags without one were found to be in",
    "gps.latitude": "degrees, north positive",
    "gps.longitude": "degrees, east positive",
    "gps.altitude": "metres",
    "file.kind": "of a member: cover, attachment, subtitles, slack (bytes that stand after the film)",
}
COVERS: Final = (
    "Other", "32x32 pixels file icon", "Other file icon", "Cover (front)", "Cover (back)", "Leaflet page", "Media",
    "Lead artist", "Artist", "Conductor", "Band", "Composer", "Lyricist", "Recording location", "During recording",
    "During performance", "Movie screen capture", "A bright coloured fish", "Illustration", "Band logotype",
    "Publisher logotype",
)  # fmt: skip
"""Kinds of covers by their numbers, in ID3, FLAC and ASF alike."""
_POINT: Final = re.compile(r"([+-]\d{2}(?:\.\d{1,12})?)([+-]\d{3}(?:\.\d{1,12})?)([+-]\d{1,6}(?:\.\d{1,6})?)?")
_SUFFIXES: Final = (
    (b"\xff\xd8\xff", ".jpg"), (b"\x89PNG", ".png"), (b"GIF8", ".gif"), (b"BM", ".bmp"), (b"RIFF", ".webp"),
)  # fmt: skip


class Tags:
    """The tags of one file; texts that do not say their encoding are judged together."""

    def __init__(self) -> None:
        self._held: list[tuple[str, str | bytes]] = []

    def add(self, name: str, value: str | bytes) -> None:
        """Keeps a tag; bytes are a text of unknown encoding."""
        if len(self._held) < TAGS and value.strip():
            self._held.append((name, value[:TAG_CHARS]))

    def facts(self) -> Iterator[Fact]:
        """Every tag as a field, and all of them as one text."""
        codec = shared_codec(value for _, value in self._held if isinstance(value, bytes))
        if codec:
            yield Field("media.charset", codec)
        lines: dict[str, None] = {}
        for name, value in self._held:
            text = read_text(value, codec) if isinstance(value, bytes) else value.strip("\0 \r\n")
            if not text:
                continue
            label = slug(name)
            field = f"media.{label}" if label in NAMED else f"media.tag.{label}"
            yield Field(field, text[:FIELD_CHARS])
            if label == "location":
                yield from place(text)
            lines[f"{name}: {text}"] = None
        if lines:
            yield Text("\n".join(lines), "tags")

    def dates(self) -> Iterator[tuple[str, str]]:
        """Tags that say when the file was made, as text."""
        for name, value in self._held:
            text = value if isinstance(value, str) else value.decode("latin-1")
            # A bare date may be that of the work rather than of the file.
            if name == "creation date" or (name == "date" and "T" in text):
                yield name, text


def slug(name: str) -> str:
    """A tag's name as the end of a field's name."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()[:80]).strip("_") or "unnamed"


def told(name: str, value: Scalar) -> Iterator[Field]:
    """A field of a stream where it has a value."""
    if value:
        yield Field(f"media.{name}", value[:FIELD_CHARS] if isinstance(value, str) else value)


def length(seconds: float) -> Iterator[Field]:
    """The duration, where it can be one."""
    if 0 < seconds < 1e9:
        yield Field("media.duration", round(seconds, 3))


def place(text: str) -> Iterator[Field]:
    """Degrees of a point as ISO 6709 writes it."""
    if match := _POINT.match(text.strip()):
        north, east = float(match[1]), float(match[2])
        if abs(north) <= 90 and abs(east) <= 180:
            yield Field("gps.latitude", north)
            yield Field("gps.longitude", east)
            if match[3]:
                yield Field("gps.altitude", float(match[3]))


def cover(data: bytes, number: int, what: str = "", kind: int = -1) -> Child:
    """A picture that was found in the tags, with its description and its kind."""
    suffix = next((suffix for mark, suffix in _SUFFIXES if data.startswith(mark)), ".bin")
    child = held_member(data, f"cover-{number}{suffix}", "cover")
    shows = COVERS[kind] if 0 <= kind < len(COVERS) else ""
    return replace(child, fields=(*child.fields, *told("description", what), *told("cover_kind", shows)))


def leftover(stream: Stream, end: int) -> Iterator[Child]:
    """The bytes that stand after the end, as a member."""
    for child in _picture.leftover(stream, end):
        yield replace(child, name="[after the end]", raw_name=b"[after the end]")


def clock(seconds: float) -> str:
    """Hours, minutes, seconds and thousandths."""
    thousandths = round(max(0.0, seconds) * 1000)
    minutes, rest = divmod(thousandths, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}.{rest % 1000:03}"
