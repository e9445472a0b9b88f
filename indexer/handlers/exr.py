"""OpenEXR pictures: shape, channels and layers, every attribute that the programs wrote, parts.

Source: OpenEXR, "Reading and Writing Image Files" and "File Layout" (version 2 files, multi-part).
Limits: no pixel is decoded; matrices and previews are passed over.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _picture, _refs
from indexer.handlers._picture import FIELD_CHARS, read_text
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Text
from indexer.timestamps import from_exif

HEAD: Final = 16 * MIB
"""Bytes of all headers; those of a render with hundreds of layers take some KiB."""
ATTRIBUTES: Final = 20_000
_NUMBERS: Final = {"int": "<i", "float": "<f", "double": "<d", "rational": "<iI"}
_OWN: Final = frozenset(("channels", "dataWindow", "displayWindow", "chunkCount", "lineOrder", "compression", "tiles"))


class Exr(Handler):
    name = "exr"
    media_types = ("image/x-exr", "image/aces")
    signatures = (Signature(b"\x76\x2f\x31\x01"),)
    suffixes = (".exr", ".sxr")
    fields: ClassVar[dict[str, str]] = {
        **_picture.FIELDS,
        **_refs.FIELDS,
        "exr.channel": "name of a channel; a layer's name stands before the dot",
        "exr.part": "name of a part",
        "exr.attribute.*": "an attribute by its name: exr.attribute.owner, exr.attribute.comments",
    }
    reads = "dimensions, channels and layers, attributes, parts"

    def read(self, stream: Stream) -> Iterator[Fact]:
        data = stream.at(0, HEAD)
        several = len(data) > 5 and bool(data[5] & 0x10)
        position, parts, offset = 8, 0, ""
        words: dict[str, None] = {}
        paths, channels = _refs.Once(), _refs.Once("exr.channel")
        for _ in range(ATTRIBUTES):
            name, kind, value, position = _attribute(data, position)
            if not name:
                parts += 1
                if position < 0:
                    yield Problem("truncated", "the header is cut off")
                if position < 0 or not several or data[position : position + 1] in (b"\0", b""):
                    break
                continue
            if name == "utcOffset" and kind == "float" and len(value) == 4:
                seconds = round(struct.unpack("<f", value)[0]) if value[3:] not in (b"\x7f", b"\xff") else 0
                minutes = abs(seconds) // 60
                # The offset is what local time lacks to UTC: its sign is turned round.
                offset = f"{'-' if seconds > 0 else '+'}{minutes // 60:02}:{minutes % 60:02}" if minutes < 1440 else ""
            if name == "dataWindow" and len(value) == 16 and not parts:
                left, top, right, bottom = struct.unpack("<4i", value)
                yield from _picture.shape(right - left + 1, bottom - top + 1)
            elif name == "channels":
                yield from channels.fields(_channels(value))
            elif name == "capDate":
                capture = value.decode("latin-1")
                if stamp := from_exif("taken", capture, "exr.capDate", offset=offset):
                    yield stamp
            if name not in _OWN and (text := _text(kind, value)):
                field = "exr.part" if name == "name" else f"exr.attribute.{_slug(name)}"
                yield Field(field, text[:FIELD_CHARS])
                yield from paths.fields((text,) if _refs.is_path(text) else ())
                if kind in ("string", "stringvector"):
                    words[f"{name}: {text}"] = None
        if words:
            yield Text("\n".join(words), "attributes")


def _attribute(data: bytes, position: int) -> tuple[str, str, bytes, int]:
    """Name, type, value and what follows; no name at the end of a header, a place below 0 where it is cut off."""
    if data[position : position + 1] == b"\0":
        return "", "", b"", position + 1
    first = data.find(b"\0", position, position + 256)
    second = data.find(b"\0", first + 1, first + 257)
    if first < 0 or second < 0 or second + 5 > len(data):
        return "", "", b"", -1
    size = int.from_bytes(data[second + 1 : second + 5], "little")
    end = second + 5 + size
    if end > len(data):
        return "", "", b"", -1
    name, kind = data[position:first].decode("latin-1"), data[first + 1 : second].decode("latin-1")
    return name, kind, data[second + 5 : end], end


def _channels(value: bytes) -> Iterator[str]:
    position = 0
    while position < len(value) and value[position]:
        end = value.find(b"\0", position)
        if end < 0:
            return
        yield value[position:end].decode("utf-8", "replace")
        position = end + 17


def _text(kind: str, value: bytes) -> str:
    if kind == "string":
        return read_text(value)
    if kind == "stringvector":
        words, position = [], 0
        while position + 4 <= len(value):
            size = int.from_bytes(value[position : position + 4], "little")
            words.append(read_text(value[position + 4 : position + 4 + size]))
            position += 4 + size
        return ", ".join(words)
    form = _NUMBERS.get(kind)
    if form and len(value) == struct.calcsize(form):
        return "/".join(f"{each:g}" for each in struct.unpack(form, value))
    return ""


def _slug(name: str) -> str:
    return "".join(char if char.isascii() and char.isalnum() else "_" for char in name.lower()[:60]).strip("_") or "x"
