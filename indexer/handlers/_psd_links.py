"""Smart objects of a Photoshop document: embedded files as members, linked ones by their paths; notes.

Source: Adobe Photoshop File Formats Specification (2019), "Linked Layer", "Annotations".
Limits: what a linked file was when it was last seen is kept by Photoshop for some versions only.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Final

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._picture import FIELD_CHARS, Window, read_text
from indexer.handlers._psd_layers import Block
from indexer.handlers._psd_values import Cursor, as_lines, read_descriptor
from indexer.limits import MIB
from indexer.model import Child, Fact, Field, Problem, Text, Timestamp
from indexer.timestamps import from_exif

LINKS: Final = 20_000
HEAD: Final = MIB
"""What stands before the embedded bytes: names, types, a small descriptor."""
NOTES: Final = 10_000
LINKED_KEYS: Final = frozenset((b"lnkD", b"lnk2", b"lnk3", b"lnkE"))
_PATHS: Final = ("fullPath", "originalPath", "relPath")


def read_links(stream: Stream, block: Block, users: Mapping[str, list[str]]) -> Iterator[Fact]:
    """The files that a block of links holds or names.

    Args:
        users: by identifier, the layers that show the file.
    """
    position, end = block.start, block.start + block.length
    for _ in range(LINKS):
        length = int.from_bytes(stream.at(position, 8), "big")
        start = position + 8
        if start + length > end or length < 16:
            if end - position > 16:
                yield Problem(
                    "truncated", f"an embedded file at {position} ends at {start + length}, its block at {end}"
                )
            return
        try:
            yield from _link(stream, start, length, users)
        except EvidenceError as error:
            yield Problem(error.cause, f"smart object at {position}: {error.message}")
        position = start + (length + 3 & ~3)


def _link(stream: Stream, start: int, length: int, users: Mapping[str, list[str]]) -> Iterator[Fact]:
    cursor = Cursor(stream.at(start, min(length, HEAD)))
    kind, version = cursor.take(4), cursor.number(4)
    identifier = cursor.pascal().decode("latin-1")
    name = cursor.wide()
    file_type = cursor.take(8)[:4].decode("latin-1").strip("\0 ")
    size, has_descriptor = cursor.number(8), cursor.number(1)
    if has_descriptor:
        cursor.take(4)
        read_descriptor(cursor)
    if kind == b"liFE":
        cursor.take(4)
        values = read_descriptor(cursor)
        named = dict.fromkeys(str(value) for key, value in values if key.rpartition("/")[2] in _PATHS and value)
        yield from (Field("refers_to", path[:FIELD_CHARS]) for path in named or (name,) if path)
        if version > 3 and (stamp := _linked_time(cursor)):
            yield stamp
        cursor.take(8)
    elif kind == b"liFA":
        cursor.take(8)
        yield Field("refers_to", name[:FIELD_CHARS])
    layers = tuple(Field("psd.shown_by", path[:FIELD_CHARS]) for path in users.get(identifier, ()))
    if kind == b"liFD" or (kind == b"liFE" and version > 2 and size):
        here = min(size, length - cursor.position)
        if here < size:
            yield Problem("truncated", f"smart object {name!r}: {here} of {size} bytes are there")
        name = name or identifier or "smart object"
        window = partial(Window, stream, start + cursor.position, here)
        fields = (Field("file.kind", "smart object"), Field("psd.link_id", identifier), *layers)
        fields += (Field("psd.file_type", file_type),) * bool(file_type)
        raw = name.encode("utf-8", "surrogatepass")
        yield Child(name, raw, lambda: io.BufferedReader(window()), fields=fields)


def _linked_time(cursor: Cursor) -> Timestamp | None:
    """The time of the linked file when it was placed: a wall clock of no zone."""
    year, month, day, hour, minute = cursor.number(4), *cursor.take(4)
    seconds = cursor.double()
    try:
        at = datetime(year, month, day, hour, minute, int(seconds), tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return Timestamp("linked file modified", at, "psd.lnkE", 1.0, zone_known=False)


def read_notes(data: bytes) -> Iterator[Fact]:
    """The notes that people pinned to the picture.

    Raises:
        EvidenceError: truncated.
    """
    cursor = Cursor(data)
    cursor.take(4)
    for _ in range(min(cursor.number(4), NOTES)):
        inner = Cursor(cursor.take(max(0, cursor.number(4) - 4)))
        if inner.take(4) != b"txtA":
            continue
        inner.take(4 + 32 + 10)
        author, title, changed = (read_text(inner.pascal(2)) for _ in range(3))
        inner.take(8)
        body = read_note(inner.take(inner.number(4)))
        yield Field("psd.note_author", author)
        yield Text("\n".join(filter(None, (title, body))), f"note by {author}" if author else "note")
        digits = changed.removeprefix("D:")
        date = f"{digits[:4]}:{digits[4:6]}:{digits[6:8]} {digits[8:10]}:{digits[10:12]}:{digits[12:14]}"
        if stamp := from_exif("edited", date, "psd.Anno", offset=digits[14:].replace("'", "")):
            yield stamp


def read_note(data: bytes) -> str:
    """A note's text: UTF-16 where it is marked so, else in a code page."""
    if data[:2] in (b"\xfe\xff", b"\xff\xfe"):
        return as_lines(data.decode("utf-16", "replace"))
    return as_lines(read_text(data))
