"""Programs of Windows: sections, imports, resources, debug entries, read where they lie.

Source: Microsoft, "PE Format" (PE/COFF specification, revision 11); VS_VERSIONINFO as in the Windows SDK.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from msgspec import Struct

from indexer.handler import Stream
from indexer.handlers._windows import guid
from indexer.limits import MIB

EXPORT, IMPORT, RESOURCE, SECURITY, DEBUG, DELAYED, CLR = 0, 1, 2, 4, 6, 13, 14
_SECTIONS: Final = 96
"""The loader refuses more."""
_LIBRARIES: Final = 2_000
_LEAVES: Final = 10_000
"""Resources looked at; the largest shell libraries hold some thousands."""
_TEXT: Final = 512


class Section(NamedTuple):
    """One section: its name, where it stands in memory and in the file."""

    name: str
    address: int
    memory: int
    offset: int
    size: int


class Leaf(NamedTuple):
    """One resource: its type, name and language, as numbers or names, and where its data lie."""

    path: tuple[str, ...]
    offset: int
    size: int


class Program(Struct):
    """A program's headers; `fault` says what was wrong with them."""

    stream: Stream
    machine: int = 0
    flags: int = 0
    time: int = 0
    wide: bool = False
    subsystem: int = 0
    sections: tuple[Section, ...] = ()
    directories: tuple[tuple[int, int], ...] = ()
    fault: str = ""

    def offset(self, address: int) -> int:
        """Where an address in memory lies in the file; -1 where it does not."""
        for each in self.sections:
            if each.address <= address < each.address + max(each.memory, each.size):
                at = address - each.address
                return each.offset + at if at < each.size else -1
        first = min((each.address for each in self.sections), default=0)
        return address if 0 < address < first else -1

    def directory(self, number: int) -> tuple[int, int]:
        """Address and size of a table; zeros where there is none."""
        return self.directories[number] if number < len(self.directories) else (0, 0)

    def bytes_at(self, address: int, size: int) -> bytes:
        """What stands at an address in memory."""
        at = self.offset(address)
        return self.stream.at(at, size) if at >= 0 else b""

    def name_at(self, address: int) -> str:
        """The text that stands at an address in memory."""
        return self.bytes_at(address, _TEXT).partition(b"\0")[0].decode("utf-8", "replace")

    @property
    def end(self) -> int:
        """Where the last section ends in the file."""
        ends = [each.offset + each.size for each in self.sections if each.size]
        return max(ends, default=self.stream.size)


def find_header(stream: Stream) -> tuple[int, bytes]:
    """Where the newer header of a program stands, and its mark; an empty mark for programs of DOS."""
    head = stream.head[:64]
    if len(head) < 64:
        return 0, b""
    at = int.from_bytes(head[60:64], "little")
    mark = stream.at(at, 4)
    if mark == b"PE\0\0":
        return at, b"PE"
    return (at, mark[:2]) if mark[:2] in (b"NE", b"LE", b"LX") else (0, b"")


def read_program(stream: Stream) -> Program:
    """The headers, as far as they are there."""
    at, _ = find_header(stream)
    program = Program(stream)
    head = stream.at(at, 24)
    if len(head) < 24:
        program.fault = "the header is not whole"
        return program
    program.machine, count, program.time = struct.unpack_from("<HHI", head, 4)
    size, program.flags = struct.unpack_from("<HH", head, 20)
    optional = stream.at(at + 24, size)
    if len(optional) >= 96:
        program.wide = optional[:2] == b"\x0b\x02"
        (program.subsystem,) = struct.unpack_from("<H", optional, 68)
        start = 112 if program.wide else 96
        found = min(16, (len(optional) - start) // 8)
        program.directories = tuple(struct.unpack_from("<II", optional, start + 8 * number) for number in range(found))
    rows = stream.at(at + 24 + size, 40 * min(count, _SECTIONS))
    if count > _SECTIONS or len(rows) < 40 * count:
        program.fault = "the table of sections is not whole"
    sections = []
    for place in range(0, len(rows) - 39, 40):
        name = rows[place : place + 8].rstrip(b"\0").decode("utf-8", "replace")
        memory, address, length, offset = struct.unpack_from("<4I", rows, place + 8)
        sections.append(Section(name, address, memory, offset, length))
    program.sections = tuple(sections)
    if program.end > stream.size:
        program.fault = program.fault or f"{program.end - stream.size} bytes are missing at the end"
    return program


def libraries(program: Program) -> Iterator[str]:
    """The names of the libraries that the program loads, those loaded late behind the others."""
    for number, width, name_at in ((IMPORT, 20, 12), (DELAYED, 32, 4)):
        address, _ = program.directory(number)
        for row in range(_LIBRARIES if address else 0):
            data = program.bytes_at(address + row * width, width)
            place = int.from_bytes(data[name_at : name_at + 4], "little")
            if len(data) < width or not place:
                break
            if name := program.name_at(place):
                yield name


def export_name(program: Program) -> str:
    """The name that a library gives itself."""
    address, _ = program.directory(EXPORT)
    data = program.bytes_at(address, 40) if address else b""
    return program.name_at(int.from_bytes(data[12:16], "little")) if len(data) >= 16 else ""


def debug_entries(program: Program) -> Iterator[tuple[str, str]]:
    """Of each debug entry what it is: `pdb` with a path, `id` with its identifier, `repro`."""
    address, size = program.directory(DEBUG)
    data = program.bytes_at(address, min(size, 28 * 64)) if address else b""
    for place in range(0, len(data) - 27, 28):
        kind, length, _, offset = struct.unpack_from("<4I", data, place + 12)
        if kind == 16:
            yield "repro", ""
        if kind != 2:
            continue
        record = program.stream.at(offset, min(length, 4096))
        if record.startswith(b"RSDS") and len(record) > 24:
            yield "id", f"{guid(record[4:20])} {int.from_bytes(record[20:24], 'little')}"
            yield "pdb", _path(record[24:])
        elif record.startswith(b"NB10"):
            yield "pdb", _path(record[16:])


def _path(raw: bytes) -> str:
    raw = raw.partition(b"\0")[0]
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        from indexer.decoding import decode

        return decode(raw).text


def resources(program: Program) -> Iterator[Leaf]:
    """Every resource, in the order of the tree; tables that hold themselves are read once."""
    root, _ = program.directory(RESOURCE)
    start = program.offset(root) if root else -1
    if start < 0:
        return
    seen: set[int] = set()
    found = 0
    waiting: list[tuple[int, tuple[str, ...]]] = [(0, ())]
    while waiting and found < _LEAVES:
        at, path = waiting.pop()
        if at in seen or len(path) > 3:
            continue
        seen.add(at)
        head = program.stream.at(start + at, 16)
        if len(head) < 16:
            continue
        count = sum(struct.unpack_from("<HH", head, 12))
        rows = program.stream.at(start + at + 16, 8 * min(count, _LEAVES))
        below = []
        for place in range(0, len(rows) - 7, 8):
            name, target = struct.unpack_from("<II", rows, place)
            step = (*path, _resource_name(program, start, name))
            if target >> 31:
                below.append((target & 0x7FFFFFFF, step))
                continue
            entry = program.stream.at(start + target, 16)
            if len(entry) == 16:
                address, length = struct.unpack_from("<II", entry)
                found += 1
                yield Leaf(step, program.offset(address), length)
        waiting += reversed(below)


def _resource_name(program: Program, start: int, name: int) -> str:
    if not name >> 31:
        return str(name)
    at = start + (name & 0x7FFFFFFF)
    length = int.from_bytes(program.stream.at(at, 2), "little")
    return program.stream.at(at + 2, min(2 * length, _TEXT)).decode("utf-16-le", "replace")


def version_strings(data: bytes) -> Iterator[tuple[str, str, str]]:
    """Language with code page, name and value of each string of a version resource; `` for the fixed part."""
    data = data[:MIB]
    waiting: list[tuple[int, int, int, str]] = [(0, len(data), 0, "")]
    while waiting:
        at, end, depth, language = waiting.pop()
        if at + 6 > end:
            continue
        length, value_length, kind = struct.unpack_from("<HHH", data, at)
        stop = min(at + length, end) if length else end
        key, place = _key(data, at + 6, stop)
        if length >= 6:
            waiting.append((at + -(-length // 4) * 4, end, depth, language))
        if depth == 0:
            whole = value_length >= 52 and place + 52 <= len(data)
            if whole and data[place : place + 4] == b"\xbd\x04\xef\xfe":
                words = struct.unpack_from("<4I", data, place + 8)
                for name, high, low in (("FixedFileVersion", *words[:2]), ("FixedProductVersion", *words[2:])):
                    yield "", name, f"{high >> 16}.{high & 0xFFFF}.{low >> 16}.{low & 0xFFFF}"
            waiting = [(place + -(-value_length // 4) * 4, stop, 1, "")]
        elif depth == 1 and key == "StringFileInfo":
            waiting.append((place, stop, 2, ""))
        elif depth == 2:
            waiting.append((place, stop, 3, key))
        elif depth == 3:
            size = 2 * value_length if kind else value_length
            raw = data[place : min(max(place + size, place), stop)]
            value = raw[: len(raw) & ~1].decode("utf-16-le", "replace").partition("\0")[0].strip()
            if key and value:
                yield language, key, value


def _key(data: bytes, at: int, end: int) -> tuple[str, int]:
    """A name that ends with a zero, and where what follows it begins."""
    stop = at
    while stop + 2 <= end and data[stop : stop + 2] != b"\0\0":
        stop += 2
    return data[at:stop].decode("utf-16-le", "replace"), -(-(stop + 2) // 4) * 4
