"""Vorbis comments and FLAC's blocks, as FLAC and Ogg files hold them.

Source: RFC 9639, section 8 (metadata blocks); Vorbis I specification, section 5 (comment header).
Limits: cue sheets and seek tables are not read.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Final

from indexer.handlers._media import Tags, cover
from indexer.model import Child, Problem

COMMENTS: Final = 10_000
_NAMES: Final = {
    "tracknumber": "track", "albumartist": "album artist", "encoded-by": "encoded by", "encodedby": "encoded by",
    "unsyncedlyrics": "lyrics", "organization": "publisher",
}  # fmt: skip


def read_comments(data: bytes, tags: Tags) -> Iterator[Child | Problem]:
    """Puts the comments of one header into `tags`; gives pictures among them as members."""
    size = int.from_bytes(data[:4], "little")
    tags.add("encoder", data[4 : 4 + size])
    if size + 8 > len(data):
        yield Problem("truncated", "the header of comments is cut off")
        return
    position = 4 + size
    count = int.from_bytes(data[position : position + 4], "little")
    position += 4
    pictures = 0
    for _ in range(min(count, COMMENTS)):
        length = int.from_bytes(data[position : position + 4], "little")
        entry = data[position + 4 : position + 4 + length]
        if len(entry) < length or position + 4 > len(data):
            yield Problem("truncated", "a comment is cut off")
            return
        position += 4 + length
        name, _, value = entry.partition(b"=")
        label = name.decode("utf-8", "replace").lower()
        if label in ("metadata_block_picture", "coverart"):
            try:
                picture = base64.b64decode(value, validate=True)
            except (binascii.Error, ValueError):
                yield Problem("corrupt", "a cover is not written in base64")
                continue
            pictures += 1
            yield from read_picture(picture, pictures) if label[0] == "m" else (cover(picture, pictures),)
        else:
            tags.add(_NAMES.get(label, label), value)


def read_picture(data: bytes, number: int) -> Iterator[Child]:
    """The picture in a picture block."""
    position = 4
    parts = []
    for _ in range(2):
        length = int.from_bytes(data[position : position + 4], "big")
        parts.append(data[position + 4 : position + 4 + length])
        position += 4 + length
    length = int.from_bytes(data[position + 16 : position + 20], "big")
    picture = data[position + 20 : position + 20 + length]
    if picture:
        yield cover(picture, number, parts[1].decode("utf-8", "replace"), int.from_bytes(data[:4], "big"))
