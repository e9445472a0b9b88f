"""Windows Media films and sounds (ASF): times, tracks, tags, markers, script commands, covers.

Source: Advanced Systems Format Specification 01.20.06, sections 3 and 4.
Limits: nothing is decoded; the index and the data are passed over.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import ClassVar, Final
from uuid import UUID

from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _media
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Text
from indexer.timestamps import from_filetime

OBJECTS: Final = 10_000
_HEADER: Final = UUID("75b22630-668e-11cf-a6d9-00aa0062ce6c").bytes_le
_FILE = UUID("8cabdca1-a947-11cf-8ee4-00c00c205365").bytes_le
_STREAM = UUID("b7dc0791-a9b7-11cf-8ee6-00c00c205365").bytes_le
_CONTENT = UUID("75b22633-668e-11cf-a6d9-00aa0062ce6c").bytes_le
_EXTENDED = UUID("d2d0a440-e307-11d2-97f0-00a0c95ea850").bytes_le
_CODECS = UUID("86d15240-311d-11d0-a3a4-00a0c90348f6").bytes_le
_EXTENSION = UUID("5fbf03b5-a92e-11cf-8ee3-00c00c205365").bytes_le
_LIBRARY = UUID("44231c94-9498-49d1-a141-1d134e457054").bytes_le
_MORE = UUID("c5f8cbea-5baf-4877-8467-aa8c44fa4cca").bytes_le
_MARKERS = UUID("f487cd01-a951-11cf-8ee6-00c00c205365").bytes_le
_SCRIPTS = UUID("1efb1a30-0b62-11d0-a39b-00a0c90348f6").bytes_le
_LOCKS = (
    UUID("2211b3fb-bd23-11d2-b4b7-00a0c955fc6e").bytes_le,
    UUID("298ae614-2622-4c17-b935-dae07ee9289c").bytes_le,
)
_VIDEO = UUID("bc19efc0-5b4d-11cf-a8fd-00805f5c442b").bytes_le
_AUDIO = UUID("f8699e40-5b4d-11cf-a8fd-00805f5c442b").bytes_le
_NAMES: Final = {
    "WM/AlbumTitle": "album", "WM/AlbumArtist": "album artist", "WM/Genre": "genre", "WM/Year": "date",
    "WM/TrackNumber": "track", "WM/Composer": "composer", "WM/Publisher": "publisher", "WM/EncodedBy": "encoded by",
    "WM/ToolName": "encoder", "WM/EncodingSettings": "encoder", "WM/Lyrics": "lyrics", "WM/Language": "language",
    "Author": "artist", "Title": "title", "Description": "description", "Copyright": "copyright",
}  # fmt: skip


_CONTENT_NAMES: Final = ("title", "artist", "copyright", "description", "rating")


class Asf(Handler):
    name = "asf"
    media_types = ("video/x-ms-asf", "video/x-ms-wmv", "audio/x-ms-wma", "application/vnd.ms-asf")
    signatures = (Signature(_HEADER),)
    suffixes = (".asf", ".wmv", ".wma", ".wm")
    fields: ClassVar[dict[str, str]] = {**_media.FIELDS}
    reads = "times, tracks and codings, tags, markers, script commands, covers"
    container = True

    def read(self, stream: Stream) -> Iterator[Fact]:
        size = int.from_bytes(stream.at(16, 8), "little")
        if size > stream.size:
            yield Problem("truncated", f"the header ends at {size}, the file at {stream.size}")
        tags = _media.Tags()
        runs = [(30, min(size, stream.size))]
        covers = 0
        for _ in range(OBJECTS):
            while runs and runs[-1][0] + 24 > runs[-1][1]:
                runs.pop()
            if not runs:
                break
            position, stop = runs.pop()
            head = stream.at(position, 24)
            length = int.from_bytes(head[16:24], "little")
            if length < 24:
                yield Problem("corrupt", f"an object of {length} bytes at {position}")
                continue
            runs.append((position + length, stop))
            if head[:16] == _EXTENSION and len(runs) < 4:
                runs.append((position + 46, min(position + length, stop)))
            elif head[:16] in _READERS or head[:16] in _LOCKS:
                data = stream.at(position + 24, min(length - 24, 64 * MIB))
                if head[:16] in _LOCKS:
                    yield Field("media.encrypted", True)
                    continue
                for fact in _READERS[head[:16]](data, tags):
                    if isinstance(fact, bytes):
                        covers += 1
                        yield from _cover(fact, covers)
                    else:
                        yield fact
        yield from tags.facts()


def _cover(data: bytes, number: int) -> Iterator[Fact]:
    """A picture with its kind, its length, its type and its description before it."""
    size = int.from_bytes(data[1:5], "little")
    position, words = 5, []
    for _ in range(2):
        end = position
        while end + 1 < len(data) and data[end : end + 2] != b"\0\0":
            end += 2
        words.append(data[position:end].decode("utf-16-le", "replace"))
        position = end + 2
    if picture := data[position : position + size]:
        yield _media.cover(picture, number, words[1], data[0])


def _file(data: bytes, _tags: _media.Tags) -> Iterator[Fact | bytes]:
    if len(data) < 80:
        yield Problem("truncated", "the properties of the file are cut off")
        return
    created, _, played, _, lead, _, _, _, rate = struct.unpack_from("<QQQQQIIII", data, 24)
    if stamp := from_filetime("B", created, "asf.created"):
        yield stamp
    yield from _media.length(played / 1e7 - lead / 1000)
    yield from _media.told("bitrate", rate)


def _stream(data: bytes, _tags: _media.Tags) -> Iterator[Fact | bytes]:
    kind, body = data[:16], data[54:]
    if kind == _VIDEO and len(body) >= 31:
        yield Field("media.track_kind", "video")
        width, height = struct.unpack_from("<II", body)
        yield from _media.told("width", width)
        yield from _media.told("height", height)
        yield from _media.told("codec", body[27:31].decode("latin-1").strip("\0 "))
    elif kind == _AUDIO and len(body) >= 16:
        yield Field("media.track_kind", "audio")
        form, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", body)
        yield Field("media.codec", f"0x{form:04X}")
        yield from _media.told("channels", channels)
        yield from _media.told("sample_rate", rate)
        yield from _media.told("bits", bits)
    if data[48:50] and data[49] & 0x80:
        yield Field("media.encrypted", True)


def _content(data: bytes, tags: _media.Tags) -> Iterator[Fact | bytes]:
    if len(data) < 10:
        return
    position = 10
    for name, size in zip(_CONTENT_NAMES, struct.unpack_from("<5H", data), strict=True):
        tags.add(name, data[position : position + size].decode("utf-16-le", "replace"))
        position += size
    yield from ()


def _extended(data: bytes, tags: _media.Tags) -> Iterator[Fact | bytes]:
    position = 2
    for _ in range(int.from_bytes(data[:2], "little")):
        size = int.from_bytes(data[position : position + 2], "little")
        name = data[position + 2 : position + 2 + size].decode("utf-16-le", "replace").rstrip("\0")
        position += 2 + size
        form, size = (int.from_bytes(data[at : at + 2], "little") for at in (position, position + 2))
        value = data[position + 4 : position + 4 + size]
        position += 4 + size
        yield from _valued(name, form, value, tags)


def _library(data: bytes, tags: _media.Tags) -> Iterator[Fact | bytes]:
    position = 2
    for _ in range(int.from_bytes(data[:2], "little")):
        if position + 12 > len(data):
            return
        _, _, size, form, length = struct.unpack_from("<HHHHI", data, position)
        name = data[position + 12 : position + 12 + size].decode("utf-16-le", "replace").rstrip("\0")
        position += 12 + size
        yield from _valued(name, form, data[position : position + length], tags)
        position += length


def _valued(name: str, form: int, value: bytes, tags: _media.Tags) -> Iterator[Fact | bytes]:
    if name == "WM/Picture" and form == 1 and len(value) > 10:
        yield value
    elif form == 0:
        tags.add(_NAMES.get(name, name), value.decode("utf-16-le", "replace"))
    elif form in (2, 3, 4, 5) and len(value) <= 8 and not name.startswith("WMFSDK"):
        tags.add(_NAMES.get(name, name), str(int.from_bytes(value, "little")))


def _codecs(data: bytes, _tags: _media.Tags) -> Iterator[Fact | bytes]:
    position = 20
    for _ in range(min(int.from_bytes(data[16:20], "little"), 1000)):
        position += 2
        words = []
        for _ in range(2):
            size = 2 * int.from_bytes(data[position : position + 2], "little")
            words.append(data[position + 2 : position + 2 + size].decode("utf-16-le", "replace").rstrip("\0"))
            position += 2 + size
        position += 2 + int.from_bytes(data[position : position + 2], "little")
        yield from _media.told("codec", " ".join(filter(None, words)))


def _markers(data: bytes, _tags: _media.Tags) -> Iterator[Fact | bytes]:
    lines = []
    position = 24 + int.from_bytes(data[22:24], "little")
    for _ in range(min(int.from_bytes(data[16:20], "little"), 100_000)):
        if position + 30 > len(data):
            break
        at, size = int.from_bytes(data[position + 8 : position + 16], "little"), data[position + 26 : position + 30]
        length = 2 * int.from_bytes(size, "little")
        name = data[position + 30 : position + 30 + length].decode("utf-16-le", "replace").rstrip("\0")
        lines.append(f"{_media.clock(at / 1e7)} {name}")
        yield Field("media.chapter", name)
        position += 30 + length
    if lines:
        yield Text("\n".join(lines), "chapters")


def _scripts(data: bytes, _tags: _media.Tags) -> Iterator[Fact | bytes]:
    commands, kinds = (int.from_bytes(data[at : at + 2], "little") for at in (16, 18))
    position, names, lines = 20, [], []
    for _ in range(kinds):
        size = 2 * int.from_bytes(data[position : position + 2], "little")
        names.append(data[position + 2 : position + 2 + size].decode("utf-16-le", "replace"))
        position += 2 + size
    for _ in range(commands):
        if position + 8 > len(data):
            break
        at, kind, size = struct.unpack_from("<IHH", data, position)
        words = data[position + 8 : position + 8 + 2 * size].decode("utf-16-le", "replace").rstrip("\0")
        name = names[kind] if kind < len(names) else ""
        lines.append(f"{_media.clock(at / 1000)} {name} {words}")
        position += 8 + 2 * size
    if lines:
        yield Text("\n".join(lines), "script commands")


_READERS: Final = {
    _FILE: _file,
    _STREAM: _stream,
    _CONTENT: _content,
    _EXTENDED: _extended,
    _LIBRARY: _library,
    _MORE: _library,
    _CODECS: _codecs,
    _MARKERS: _markers,
    _SCRIPTS: _scripts,
}
