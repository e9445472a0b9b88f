"""The disk inside EWF2 images (Ex01), in one segment file or many.

A segment is a chain of sections that is read from its end: each section's description stands behind it.

Source: "Expert Witness Compression Format version 2", Joachim Metz, libewf documentation, sections 2 and 3.
"""

from __future__ import annotations

import bz2
import struct
import uuid
import zlib
from bisect import bisect_right
from functools import lru_cache
from typing import NamedTuple

from msgspec import Struct, field

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._ewf import MOST_CHUNK, MOST_ENTRIES, MOST_HEADER, MOST_SEGMENTS, inflate, segment_name
from indexer.handlers._image import BlockImage, open_sibling, read_exactly
from indexer.handlers._image_parents import ParentOf
from indexer.limits import MIB
from indexer.model import Problem

MAGIC = b"EVF2\r\n\x81\0"
LOGICAL = b"LEF2\r\n\x81\0"
DEVICE, CASE, TABLE, ERRORS, MD5, SHA1, NEXT, DONE = 1, 2, 4, 5, 8, 9, 13, 15
ENCRYPTED = 2
PACKED, CHECKED, FILLED = 1, 2, 4
MOST_SECTIONS = 1_000_000
RENAMED = {"nm": "a", "cn": "c", "en": "n", "ex": "e", "nt": "t", "os": "ov", "at": "m", "tt": "u", "lb": "l"}
"""Tags of version 2 by what version 1 calls the same."""
MEDIA = {"a": "RAM disk", "c": "optical", "f": "fixed", "l": "logical", "m": "memory", "p": "Palm", "r": "removable"}


class Section(NamedTuple):
    """One section: its kind, its flags, where its data stand and how long they are."""

    kind: int
    flags: int
    at: int
    size: int


class Table(NamedTuple):
    """Where the entries of some chunks stand."""

    first: int
    chunks: int
    segment: int
    at: int


class Contents(Struct):
    """What the sections of all segments tell."""

    packing: int = 1
    ident: str = ""
    segments: list[Stream] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)
    md5: str = ""
    sha1: str = ""
    unread: list[tuple[int, int]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    encrypted: bool = False
    logical: bool = False

    @property
    def chunks(self) -> int:
        """The number of the last chunk that a table lists, and 1."""
        return max((table.first + table.chunks for table in self.tables), default=0)

    def number(self, tag: str) -> int:
        """The number that a tag has, 0 where there is none."""
        text = self.values.get(tag, "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0


def is_image(stream: Stream) -> bool:
    """Whether the mark of a segment stands there."""
    return stream.head.startswith((MAGIC, LOGICAL)) and stream.size >= 96


def number_of(stream: Stream) -> int:
    """The number of a segment, from 1."""
    return int.from_bytes(stream.head[12:16], "little")


def read_contents(stream: Stream) -> Contents:
    """What the sections of this segment and those after it tell."""
    packing = int.from_bytes(stream.head[10:12], "little")
    found = Contents(packing, str(uuid.UUID(bytes_le=stream.head[16:32])), logical=stream.head.startswith(LOGICAL))
    current: Stream | None = stream
    while current is not None and len(found.segments) < MOST_SEGMENTS:
        found.segments.append(current)
        number = len(found.segments)
        sections = _sections(current)
        for section in sections:
            _read_section(found, current, section)
        end = sections[-1].kind if sections else 0
        if end == DONE:
            break
        if end != NEXT:
            message = f"EWF2: segment {number} breaks off before its last section"
            found.problems.append(Problem("truncated", message, resolution="read as far as it goes"))
            break
        name = segment_name(stream.name, number + 1)
        current = open_sibling(stream, name) if name else None
        if current is None or not is_image(current) or number_of(current) != number + 1:
            message = f"EWF2: segment {number + 1} is not beside the first"
            found.problems.append(Problem("truncated", message, resolution="read as far as it goes"))
            break
    found.tables.sort()
    return found


def _sections(stream: Stream) -> list[Section]:
    """All sections in their order; the chain only leads backward."""
    found: list[Section] = []
    at = stream.size - 64
    while at >= 32 and len(found) < MOST_SECTIONS:
        head = stream.at(at, 64)
        if len(head) < 64 or zlib.adler32(head[:60]) != int.from_bytes(head[60:], "little"):
            break
        kind, flags, before, size = struct.unpack_from("<IIQQ", head)
        found.append(Section(kind, flags, at - size, size))
        if size > at - 32 or before >= at:
            break
        at = before
    return found[::-1]


def _read_section(found: Contents, stream: Stream, section: Section) -> None:
    if section.flags & ENCRYPTED:
        found.encrypted = True
        return
    at, size = section.at, section.size
    if section.kind in (DEVICE, CASE):
        found.values = {**_read_values(stream.at(at, min(size, MOST_HEADER)), found.packing), **found.values}
    elif section.kind == TABLE:
        first, count = struct.unpack("<QI", stream.at(at, 12).ljust(12, b"\0"))
        if 0 < count <= min(MOST_ENTRIES, max(0, size - 32) // 16):
            found.tables.append(Table(first, count, len(found.segments) - 1, at + 32))
    elif section.kind == MD5:
        found.md5 = stream.at(at, 16).hex()
    elif section.kind == SHA1:
        found.sha1 = stream.at(at, 20).hex()
    elif section.kind == ERRORS:
        count = min(int.from_bytes(stream.at(at, 4), "little"), max(0, size - 32) // 16)
        rows = stream.at(at + 32, count * 16)
        found.unread += [(first, number) for first, number in struct.iter_unpack("<QI4x", rows[: len(rows) // 16 * 16])]


def _read_values(raw: bytes, packing: int) -> dict[str, str]:
    data = _unpack(raw, packing, MOST_HEADER) or raw
    text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-16-le", "replace")
    lines = text.replace("\r", "").split("\n")
    if len(lines) < 4:
        return {}
    pairs = zip(lines[2].split("\t"), lines[3].split("\t"), strict=False)
    return {RENAMED.get(tag, tag): value for tag, value in pairs}


def _unpack(data: bytes, packing: int, most: int) -> bytes:
    """What the method of the image gives, as far as it goes, at most `most` bytes."""
    if packing != 2:
        return inflate(data, most)
    try:
        return bz2.BZ2Decompressor().decompress(data, most)
    except (OSError, ValueError):
        return b""


def open_image(stream: Stream, parent_of: ParentOf | None = None) -> Ewf2Image:
    """The disk of the set of segments that begins with this one.

    Raises:
        EvidenceError: where it is encrypted, or the size of the disk cannot be.
    """
    return Ewf2Image(read_contents(stream))


class Ewf2Image(BlockImage):
    """The disk, chunk by chunk."""

    def __init__(self, contents: Contents) -> None:
        if contents.encrypted:
            raise EvidenceError("encrypted", "EWF2: the image is encrypted")
        sector, per_chunk = contents.number("bp"), contents.number("sb")
        chunk = sector * per_chunk
        if not 512 <= chunk <= MOST_CHUNK:
            raise EvidenceError("corrupt", f"EWF2: chunks of {per_chunk} sectors of {sector} bytes")
        super().__init__(contents.number("ts") * sector, chunk)
        self.contents = contents
        self._starts = [table.first for table in contents.tables]
        self._listed = contents.chunks
        self._entries = lru_cache(16)(self._read_entries)
        self._chunk = lru_cache(max(4, min(64, 8 * MIB // chunk)))(self._read_chunk)

    def absent(self, index: int) -> int:
        return max(1, self.size // self.block + 1 - index) if index >= self._listed else 0

    def missing(self) -> tuple[str, ...]:
        listed = self._listed
        return (f"EWF2: the chunks from {listed} on are in no segment",) if listed * self.block < self.size else ()

    def fetch(self, index: int, start: int, length: int) -> bytes:
        return self._chunk(index)[start : start + length].ljust(length, b"\0")

    def _read_chunk(self, index: int) -> bytes:
        number = bisect_right(self._starts, index) - 1
        table = self.contents.tables[number] if number >= 0 else Table(0, 0, 0, 0)
        if index >= table.first + table.chunks:
            raise EvidenceError("truncated", f"EWF2: chunk {index} is in no segment that is here")
        entry = self._entries(number)[(index - table.first) * 16 :][:16]
        at, size, flags = struct.unpack("<QII", entry.ljust(16, b"\0"))
        if flags & PACKED and flags & FILLED:
            return entry[:8] * (self.block // 8)
        if size > 2 * self.block + 1024:
            raise EvidenceError("corrupt", f"EWF2: chunk {index} of {size} bytes")
        data = read_exactly(self.contents.segments[table.segment], at, size)
        whole = True
        if flags & PACKED:
            data = _unpack(data, self.contents.packing, self.block)
        elif flags & CHECKED:
            data, check = data[:-4], data[-4:]
            whole = zlib.adler32(data) == int.from_bytes(check, "little")
        if not whole or len(data) < min(self.block, self.size - index * self.block):
            raise EvidenceError("corrupt", f"EWF2: the checksum of chunk {index} does not fit")
        return data

    def _read_entries(self, number: int) -> bytes:
        table = self.contents.tables[number]
        return self.contents.segments[table.segment].at(table.at, table.chunks * 16)


def tell_media(contents: Contents) -> str:
    """The kind of medium, where it is told."""
    return MEDIA.get(contents.values.get("dt", ""), "")
