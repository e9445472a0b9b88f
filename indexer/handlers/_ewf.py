"""The disk inside EWF images (E01, s01), in one segment file or many.

A segment is a chain of sections. The tables of chunks are not held: where each stands is, and the one
that a read needs is fetched, so that an image of many terabytes costs what a small one does.

Source: "Expert Witness Compression Format", Joachim Metz, libewf documentation, sections 2 to 4;
"SMART's Expert Witness Compression Format", ASR Data, for tables without a section of sectors.
"""

from __future__ import annotations

import re
import struct
import uuid
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

from msgspec import Struct, field

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._image import BlockImage, open_sibling, read_exactly
from indexer.handlers._image_parents import ParentOf
from indexer.limits import MIB
from indexer.model import Problem

MAGIC = b"EVF\x09\x0d\x0a\xff\x00"
LOGICAL = b"LVF\x09\x0d\x0a\xff\x00"
NAMED = re.compile(r"(.*\.)([a-z]x?)(\d\d|[a-z]{2})", re.IGNORECASE | re.DOTALL)
MOST_SEGMENTS = 14_971
"""From .E01 over .EAA to .ZZZ."""
MOST_SECTIONS = 1_000_000
MOST_HEADER = 4 * MIB
MOST_CHUNK = 64 * MIB
MOST_ENTRIES = 1 << 20
MEDIA = {0: "removable", 1: "fixed", 3: "optical", 14: "logical", 16: "memory"}


class Table(Struct, frozen=True):
    """Where the offsets of some chunks stand; `stop` is the end of the data they point into."""

    segment: int
    first: int
    count: int
    at: int
    origin: int
    stop: int
    copy: int = 0


class Contents(Struct):
    """What the sections of all segments tell."""

    segments: list[Stream] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    header: bytes = b""
    header2: bytes = b""
    volume: bytes = b""
    md5: str = ""
    sha1: str = ""
    unread: list[tuple[int, int]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    logical: bool = False

    @property
    def chunks(self) -> int:
        """Chunks that the tables list."""
        return self.tables[-1].first + self.tables[-1].count if self.tables else 0

    @property
    def shape(self) -> tuple[int, int, int]:
        """Sectors of a chunk, bytes of a sector, sectors in all."""
        if len(self.volume) < 20:
            raise EvidenceError("corrupt", "EWF: no section tells the size of the disk")
        per_chunk, sector, low = struct.unpack_from("<III", self.volume, 8)
        wide = int.from_bytes(self.volume[16:24], "little") if len(self.volume) > 100 else low
        return per_chunk, sector, wide

    @property
    def media(self) -> str:
        """The kind of medium, where it is told."""
        return MEDIA.get(self.volume[0], "") if len(self.volume) > 100 else ""

    @property
    def ident(self) -> str:
        """The identifier of the set of segments, where there is one."""
        raw = self.volume[64:80] if len(self.volume) > 100 else b""
        return str(uuid.UUID(bytes_le=raw)) if any(raw) else ""


def is_image(stream: Stream) -> bool:
    """Whether the mark of a segment stands there."""
    return stream.head.startswith((MAGIC, LOGICAL)) and stream.size > 89


def number_of(stream: Stream) -> int:
    """The number of a segment, from 1."""
    return int.from_bytes(stream.head[9:11], "little")


def segment_name(name: str, number: int) -> str:
    """The name of a segment of the set that `name` belongs to; empty where it is not named like one.

    >>> segment_name("daily.E01", 2), segment_name("daily.E01", 100), segment_name("daily.s01", 776)
    ('daily.E02', 'daily.EAA', 'daily.taa')
    """
    match = NAMED.fullmatch(name)
    if not match:
        return ""
    front, letter = match[1], match[2]
    if number < 100:
        return f"{front}{letter}{number:02}"
    first, rest = divmod(number - 100, 676)
    lower = letter[0].islower()
    tail = "".join(chr(ord("a" if lower else "A") + each) for each in divmod(rest, 26))
    return f"{front}{letter[:-1]}{chr(ord(letter[-1]) + first)}{tail}"


def read_contents(stream: Stream) -> Contents:
    """What the sections of this segment and those after it tell."""
    found = Contents(logical=stream.head.startswith(LOGICAL))
    current: Stream | None = stream
    while current is not None and len(found.segments) < MOST_SEGMENTS:
        found.segments.append(current)
        number = len(found.segments)
        end = _read_segment(found, current, number - 1)
        if end == "done":
            break
        if end != "next":
            message = f"EWF: segment {number} breaks off before its last section"
            found.problems.append(Problem("truncated", message, resolution="read as far as it goes"))
        current = _next_segment(stream, number + 1)
        if current is None and end == "next":
            message = f"EWF: segment {number + 1} is not beside the first"
            found.problems.append(Problem("truncated", message, resolution="read as far as it goes"))
    return found


def _next_segment(first: Stream, number: int) -> Stream | None:
    name = segment_name(first.name, number)
    found = open_sibling(first, name) if name else None
    return found if found and is_image(found) and number_of(found) == number else None


def _sections(stream: Stream) -> Iterator[tuple[str, int, int]]:
    """Kind, offset of the content and its size; the chain only leads forward."""
    at = 13
    for _ in range(MOST_SECTIONS):
        head = stream.at(at, 76)
        if len(head) < 76 or zlib.adler32(head[:72]) != int.from_bytes(head[72:], "little"):
            return
        kind = head[:16].split(b"\0")[0].decode("ascii", "replace")
        onward, size = struct.unpack_from("<QQ", head, 16)
        # Some programs give a size only here, others only by the way to the next section.
        end = min(onward if onward > at else at + max(size, 76), stream.size)
        yield kind, at + 76, max(0, end - at - 76)
        if onward <= at:
            return
        at = onward


def _read_segment(found: Contents, stream: Stream, segment: int) -> str:
    """Adds what one segment holds and returns the kind of its last section."""
    kind = ""
    sectors_end = 0
    for kind, at, size in _sections(stream):
        if kind in ("header", "header2"):
            setattr(found, kind, getattr(found, kind) or inflate(stream.at(at, min(size, MOST_HEADER)), MOST_HEADER))
        elif kind in ("volume", "disk", "data"):
            found.volume = found.volume or stream.at(at, min(size, 1052))
        elif kind == "sectors":
            sectors_end = at + size
        elif kind == "table":
            _add_table(found, stream, segment, at, size, sectors_end)
        elif kind == "table2" and found.tables and found.tables[-1].segment == segment:
            last = found.tables[-1]
            found.tables[-1] = Table(segment, last.first, last.count, last.at, last.origin, last.stop, at + 24)
        elif kind == "hash":
            found.md5 = found.md5 or _digest(stream.at(at, 16), 16)
        elif kind == "digest":
            found.md5, found.sha1 = _digest(stream.at(at, 16), 16), _digest(stream.at(at + 16, 20), 20)
        elif kind == "error2":
            count = min(int.from_bytes(stream.at(at, 4), "little"), size // 8)
            found.unread = list(struct.iter_unpack("<II", stream.at(at + 520, count * 8)[: count * 8]))
    return kind


def _digest(raw: bytes, size: int) -> str:
    return raw.hex() if len(raw) == size and any(raw) else ""


def _add_table(found: Contents, stream: Stream, segment: int, at: int, size: int, sectors_end: int) -> None:
    head = stream.at(at, 24)
    if len(head) < 24:
        return
    count, origin = struct.unpack_from("<I4xQ", head)
    if not count or count > min(MOST_ENTRIES, (size - 24) // 4):
        message = f"EWF: a table of {count} chunks in {size} bytes"
        found.problems.append(Problem("corrupt", message, resolution="left out"))
        return
    found.tables.append(Table(segment, found.chunks, count, at + 24, origin, sectors_end or at + size))


def inflate(data: bytes, most: int) -> bytes:
    """What zlib gives, as far as it goes, at most `most` bytes."""
    try:
        return zlib.decompressobj().decompress(data, most)
    except zlib.error:
        return b""


def open_image(stream: Stream, parent_of: ParentOf | None = None) -> EwfImage:
    """The disk of the set of segments that begins with this one.

    Raises:
        EvidenceError: where the size of the disk cannot be.
    """
    return EwfImage(read_contents(stream))


class EwfImage(BlockImage):
    """The disk, chunk by chunk."""

    def __init__(self, contents: Contents) -> None:
        per_chunk, sector, sectors = contents.shape
        chunk = per_chunk * sector
        if not 512 <= chunk <= MOST_CHUNK or sector not in (512, 1024, 2048, 4096):
            raise EvidenceError("corrupt", f"EWF: chunks of {per_chunk} sectors of {sector} bytes")
        super().__init__(sectors * sector, chunk)
        self.contents = contents
        self._starts = [table.first for table in contents.tables]
        self._offsets = lru_cache(16)(self._read_offsets)
        self._chunk = lru_cache(max(4, min(64, 8 * MIB // chunk)))(self._read_chunk)

    def absent(self, index: int) -> int:
        return max(1, self.size // self.block + 1 - index) if index >= self.contents.chunks else 0

    def missing(self) -> tuple[str, ...]:
        listed = self.contents.chunks
        return (f"EWF: the chunks from {listed} on are in no segment",) if listed * self.block < self.size else ()

    def fetch(self, index: int, start: int, length: int) -> bytes:
        return self._chunk(index)[start : start + length].ljust(length, b"\0")

    def _read_chunk(self, index: int) -> bytes:
        number = bisect_right(self._starts, index) - 1
        if number < 0 or index >= self.contents.chunks:
            raise EvidenceError("truncated", f"EWF: chunk {index} is in no segment that is here")
        table = self.contents.tables[number]
        at, stop, packed = self._place(number, index - table.first)
        stream = self.contents.segments[table.segment]
        wanted = min(self.block, self.size - index * self.block)
        if not 0 < stop - at <= 2 * self.block + 1024:
            raise EvidenceError("corrupt", f"EWF: chunk {index} of {stop - at} bytes")
        data = read_exactly(stream, at, stop - at)
        if packed:
            data = inflate(data, self.block)
            whole = len(data) >= wanted
        else:
            data, check = data[:-4], data[-4:]
            whole = len(data) >= wanted and zlib.adler32(data) == int.from_bytes(check, "little")
        if not whole:
            raise EvidenceError("corrupt", f"EWF: the checksum of chunk {index} does not fit")
        return data

    def _place(self, number: int, index: int) -> tuple[int, int, bool]:
        """Where a chunk starts and stops in its segment, and whether it is packed."""
        offsets, packed = self._offsets(number)
        return offsets[index], offsets[index + 1], bool(packed[index])

    def _read_offsets(self, number: int) -> tuple[array[int], bytearray]:
        """The offsets of a table with its end behind them, and which chunks are packed."""
        table = self.contents.tables[number]
        stream = self.contents.segments[table.segment]
        raw = stream.at(table.at, table.count * 4)
        if table.copy and zlib.adler32(raw) != int.from_bytes(stream.at(table.at + len(raw), 4), "little"):
            copy = stream.at(table.copy, table.count * 4)
            if zlib.adler32(copy) == int.from_bytes(stream.at(table.copy + len(copy), 4), "little"):
                raw = copy
        entries = array("I", raw[: len(raw) // 4 * 4])
        offsets = array("Q", bytes(8 * (table.count + 1)))
        packed = bytearray(table.count)
        last, wide = 0, False
        for index, entry in enumerate(entries):
            # Behind 2 GiB the mark that tells packed chunks becomes a part of the offset.
            wide = wide or (entry & 0x7FFFFFFF) < last
            last = entry if wide else entry & 0x7FFFFFFF
            offsets[index] = table.origin + last
            packed[index] = not wide and entry >> 31
        offsets[table.count] = table.stop
        return offsets, packed


def decode_header(contents: Contents) -> dict[str, str]:
    """The values of the header by their short names; the one in Unicode where there is one."""
    for raw, codec in ((contents.header2, "utf-16"), (contents.header, "")):
        if raw:
            text = raw.decode(codec, "replace") if codec else _decode_old(raw)
            lines = text.replace("\r", "").split("\n")
            for names, values in pairwise(lines):
                keys = names.split("\t")
                if len(keys) > 3 and {"c", "n", "a"} & set(keys):
                    return dict(zip(keys, values.split("\t"), strict=False))
    return {}


def _decode_old(raw: bytes) -> str:
    from indexer.names import decode_names

    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return decode_names((raw,)).names[0]
