"""The parts of an ELF file that tell what it is: header, segments, sections, notes, the dynamic table.

Source: System V ABI, chapters 4 and 5 (ELF-32 and ELF-64); Linux Standard Base, notes; elf(5).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from functools import cached_property
from typing import Final, NamedTuple

from indexer.handler import Stream
from indexer.limits import MIB

LOAD, DYNAMIC, INTERP, NOTE = 1, 2, 3, 4
NOBITS: Final = 8
_COMPRESSED: Final = 0x800
_SECTIONS: Final = 100_000
_MOST: Final = 64 * MIB
_HEADERS: Final = {1: struct.Struct("16sHHIIIIIHHHHHH"), 2: struct.Struct("16sHHIQQQIHHHHHH")}


class Header(NamedTuple):
    """What the first bytes tell."""

    ident: bytes
    kind: int
    machine: int
    version: int
    entry: int
    segments_at: int
    sections_at: int
    flags: int
    size: int
    segment_size: int
    segment_count: int
    section_size: int
    section_count: int
    names: int


class Segment(NamedTuple):
    """A part that is loaded, or that tells how."""

    kind: int
    offset: int
    address: int
    size: int


class Section(NamedTuple):
    """A part with a name."""

    name: str
    kind: int
    flags: int
    offset: int
    size: int
    link: int
    entry: int


class Elf:
    """One file; nothing in it is believed before it was held against the file's size."""

    def __init__(self, stream: Stream, order: str, bits: int) -> None:
        self.stream = stream
        self._order = order
        self.bits = bits
        layout = struct.Struct(order + _HEADERS[bits].format)
        self.header = Header._make(layout.unpack(stream.head[: layout.size]))

    def at(self, offset: int, size: int) -> bytes:
        """Bytes of the file, at most 64 MiB."""
        return self.stream.at(offset, min(size, _MOST)) if 0 <= offset < self.stream.size else b""

    @cached_property
    def segments(self) -> list[Segment]:
        """The segments, as far as they are there."""
        layout = struct.Struct(self._order + ("IIIIIIII" if self.bits == 1 else "IIQQQQQQ"))
        if self.header.segment_size != layout.size:
            return []
        raw = self.at(self.header.segments_at, layout.size * self.header.segment_count)
        rows = layout.iter_unpack(raw[: len(raw) // layout.size * layout.size])
        if self.bits == 1:
            return [Segment(row[0], row[1], row[2], row[4]) for row in rows]
        return [Segment(row[0], row[2], row[3], row[5]) for row in rows]

    @cached_property
    def sections(self) -> list[Section]:
        """The sections, as far as they are there."""
        head = self.header
        layout = struct.Struct(self._order + ("IIIIIIIIII" if self.bits == 1 else "IIQQQQIIQQ"))
        if head.section_size != layout.size:
            return []
        count = head.section_count
        first = self.at(head.sections_at, layout.size)
        if not count and len(first) == layout.size:
            count = layout.unpack(first)[5]
        raw = self.at(head.sections_at, layout.size * min(count, _SECTIONS))
        rows = list(layout.iter_unpack(raw[: len(raw) // layout.size * layout.size]))
        names = self.at(rows[head.names][4], rows[head.names][5]) if head.names < len(rows) else b""
        return [Section(word(names, row[0]), row[1], row[2], row[4], row[5], row[6], row[9]) for row in rows]

    def section(self, name: str) -> bytes:
        """The content of a section, unpacked where it is packed with zlib."""
        found = next((each for each in self.sections if each.name == name and each.kind != NOBITS), None)
        if found is None:
            return b""
        data = self.at(found.offset, found.size)
        if not found.flags & _COMPRESSED:
            return data
        start = 12 if self.bits == 1 else 24
        if int.from_bytes(data[:4], "little" if self._order == "<" else "big") != 1:
            return b""
        try:
            return zlib.decompressobj().decompress(data[start:], _MOST)
        except zlib.error:
            return b""

    def notes(self) -> Iterator[tuple[bytes, int, bytes]]:
        """Owner, type and content of every note, of the segments or else of the sections."""
        places = [(each.offset, each.size) for each in self.segments if each.kind == NOTE]
        places = places or [(each.offset, each.size) for each in self.sections if each.kind == 7]
        for offset, size in places[:1000]:
            data = self.at(offset, size)
            at = 0
            while at + 12 <= len(data):
                owner, length, kind = struct.unpack_from(self._order + "III", data, at)
                start = at + 12 + owner + -owner % 4
                if start + length > len(data):
                    break
                yield data[at + 12 : at + 12 + owner].rstrip(b"\0"), kind, data[start : start + length]
                at = start + length + -length % 4

    def dynamic(self) -> Iterator[tuple[int, str]]:
        """Number and text of the entries of the dynamic table that have one."""
        table = next((each for each in self.segments if each.kind == DYNAMIC), None)
        if table is None:
            return
        layout = struct.Struct(self._order + ("iI" if self.bits == 1 else "qQ"))
        raw = self.at(table.offset, table.size)
        rows = list(layout.iter_unpack(raw[: len(raw) // layout.size * layout.size]))
        ends = next((place for place, row in enumerate(rows) if row[0] == 0), len(rows))
        rows = rows[:ends]
        held = dict(rows)
        strings = self.at(self._offset(held.get(5, 0)), held.get(10, 0))
        for kind, value in rows:
            if kind in (1, 14, 15, 29):
                yield kind, word(strings, value)

    def _offset(self, address: int) -> int:
        """Where in the file an address of memory lies; -1 where it does not."""
        for each in self.segments:
            if each.kind == LOAD and each.address <= address < each.address + each.size:
                return address - each.address + each.offset
        return -1

    def source_files(self) -> Iterator[str]:
        """Names of source files in the table of symbols."""
        for each in self.sections:
            if each.kind != 2 or each.link >= len(self.sections):
                continue
            names = self.at(self.sections[each.link].offset, self.sections[each.link].size)
            layout = struct.Struct(self._order + ("IIIBBH" if self.bits == 1 else "IBBHQQ"))
            raw = self.at(each.offset, each.size)
            place = 3 if self.bits == 1 else 1
            for row in layout.iter_unpack(raw[: len(raw) // layout.size * layout.size]):
                if row[place] & 15 == 4 and (name := word(names, row[0])):
                    yield name

    @property
    def end(self) -> int:
        """Where the file ends by what it tells of itself."""
        head = self.header
        ends = [each.offset + each.size for each in self.segments]
        ends += [each.offset + each.size for each in self.sections if each.kind not in (0, NOBITS)]
        ends.append(head.sections_at + head.section_size * max(head.section_count, 1) if head.sections_at else 0)
        ends.append(head.segments_at + head.segment_size * head.segment_count)
        return max(ends)


def word(names: bytes, at: int) -> str:
    """The text that stands at a place of a table of strings."""
    if not 0 <= at < len(names):
        return ""
    end = names.find(b"\0", at, at + 4096)
    return names[at : end if end >= 0 else at + 4096].decode("utf-8", "replace")


def open_elf(stream: Stream) -> Elf | None:
    """The file, None where its first bytes are no ELF header."""
    head = stream.head
    if not head.startswith(b"\x7fELF") or len(head) < 64 or head[4] not in (1, 2) or head[5] not in (1, 2):
        return None
    elf = Elf(stream, "<" if head[5] == 1 else ">", head[4])
    held = elf.header
    makes_sense = held.version == 1 and held.size == (52 if elf.bits == 1 else 64) and held.kind and held.machine
    return elf if makes_sense else None
