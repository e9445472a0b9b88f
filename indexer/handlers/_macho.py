"""Load commands and signatures of Mach-O programs.

Source: Apple, <mach-o/loader.h>, <mach-o/fat.h>, <mach-o/nlist.h>; xnu, osfmk/kern/cs_blobs.h (signatures).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from indexer.handler import Stream
from indexer.limits import MIB

THIN: Final = {
    b"\xfe\xed\xfa\xce": (">", 32),
    b"\xce\xfa\xed\xfe": ("<", 32),
    b"\xfe\xed\xfa\xcf": (">", 64),
    b"\xcf\xfa\xed\xfe": ("<", 64),
}
FAT: Final = {b"\xca\xfe\xba\xbe": 20, b"\xca\xfe\xba\xbf": 32}
MOST_PARTS: Final = 32
_COMMANDS: Final = 20_000
_MOST: Final = 16 * MIB
CODE_DIRECTORY, ENTITLEMENTS, CMS = 0xFADE0C02, 0xFADE7171, 0xFADE0B01


class Part(NamedTuple):
    """A program for one processor inside a fat file."""

    machine: int
    offset: int
    size: int


class Command(NamedTuple):
    """One load command with its bytes."""

    kind: int
    data: bytes


def fat_parts(stream: Stream) -> list[Part]:
    """The programs in a fat file; none where it is none (a Java class begins alike)."""
    width = FAT.get(stream.head[:4], 0)
    count = int.from_bytes(stream.head[4:8], "big")
    if not width or not 0 < count <= MOST_PARTS:
        return []
    layout = struct.Struct(">IIIII" if width == 20 else ">IIQQII")
    rows = [
        layout.unpack(stream.head[8 + at * width : 8 + (at + 1) * width].ljust(width, b"\0")) for at in range(count)
    ]
    return [Part(row[0], row[2], row[3]) for row in rows]


class Macho:
    """One program."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.order, self.bits = THIN[stream.head[:4]]
        self.machine, _, self.kind, self.count, self._size, self.flags = struct.unpack_from(
            f"{self.order}6I", stream.head.ljust(32, b"\0"), 4
        )

    def commands(self) -> Iterator[Command]:
        """The load commands, as far as they make sense."""
        at = 32 if self.bits == 64 else 28
        data = self.stream.at(at, min(self._size, _MOST))
        at = 0
        for _ in range(min(self.count, _COMMANDS)):
            if at + 8 > len(data):
                return
            kind, size = struct.unpack_from(f"{self.order}II", data, at)
            if size < 8:
                return
            yield Command(kind & 0x7FFFFFFF, data[at : at + size])
            at += size

    def segment_end(self, command: Command) -> int:
        """Where the bytes of a segment end in the file; 0 for other commands."""
        layout = {0x19: f"{self.order}QQ", 0x01: f"{self.order}II"}.get(command.kind)
        at = 40 if command.kind == 0x19 else 32
        if layout is None or len(command.data) < at + struct.calcsize(layout):
            return 0
        return int(sum(struct.unpack_from(layout, command.data, at)))

    def numbers(self, data: bytes, at: int, count: int) -> tuple[int, ...]:
        """Numbers of four bytes in the order of the program."""
        return struct.unpack_from(f"{self.order}{count}I", data.ljust(at + 4 * count, b"\0"), at)

    def text(self, data: bytes, at: int) -> str:
        """The text whose place in a command stands at `at`."""
        (start,) = self.numbers(data, at, 1)
        return data[start:].split(b"\0")[0].decode("utf-8", "replace") if 8 <= start < len(data) else ""

    def sections(self, data: bytes) -> Iterator[tuple[str, int, int]]:
        """Name, place and size of the sections of a segment."""
        wide = self.bits == 64
        start, step = (72, 80) if wide else (56, 68)
        (count,) = self.numbers(data, 64 if wide else 48, 1)
        for at in range(start, min(start + count * step, len(data) - step + 1), step):
            name = data[at : at + 16].rstrip(b"\0").decode("latin-1")
            if wide:
                size, offset = struct.unpack_from(f"{self.order}QI", data, at + 40)
            else:
                size, offset = struct.unpack_from(f"{self.order}II", data, at + 36)
            yield name, offset, size

    def debug_names(self, data: bytes) -> Iterator[str]:
        """Source files and objects that the table of symbols names."""
        start, count, names_at, names_size = self.numbers(data, 8, 4)
        names = self.stream.at(names_at, min(names_size, _MOST * 4))
        layout = struct.Struct(self.order + ("IBBHQ" if self.bits == 64 else "IBBHI"))
        raw = self.stream.at(start, min(count * layout.size, _MOST * 4))
        folder = ""
        for row in layout.iter_unpack(raw[: len(raw) // layout.size * layout.size]):
            if row[1] not in (0x64, 0x66) or row[0] >= len(names):
                continue
            name = names[row[0] : row[0] + 4096].split(b"\0")[0].decode("utf-8", "replace")
            if name.endswith("/"):
                folder = name
            elif name:
                yield name if name.startswith("/") or row[1] == 0x66 else folder + name


def signature_blobs(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and bytes of the parts of a signature."""
    if len(data) < 12 or data[:4] != b"\xfa\xde\x0c\xc0":
        return
    count = int.from_bytes(data[8:12], "big")
    for number in range(min(count, 100)):
        offset = int.from_bytes(data[16 + 8 * number : 20 + 8 * number], "big")
        kind, size = struct.unpack_from(">II", data[offset : offset + 8].ljust(8, b"\0"))
        if 8 <= size <= len(data) - offset:
            yield kind, data[offset : offset + size]
