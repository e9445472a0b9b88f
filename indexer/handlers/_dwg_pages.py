"""The sections of a drawing of 2004 and of 2010 and later: page map, section map, pages, their compression.

Source: Open Design Specification for .dwg files 5.4.1, chapters 3 and 4 (R2004 file organisation), 4.7 (compression).
Limits: the Reed-Solomon pages of 2007 are not read; checksums are not compared.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.limits import MIB

SECTION_BYTES: Final = 64 * MIB
"""What one section may become: the objects of large drawings have 30 MiB."""
PAGE_BYTES: Final = 2 * MIB
PAGES: Final = 100_000
SECTIONS: Final = 200
_HEAD: Final = 0x6C
_SYSTEM: Final = (0x41630E3B, 0x4163003B)
_DATA: Final = 0x4163043B
_MASK: Final = 0x4164536B


def _plain_head(data: bytes) -> bytes:
    """The head that stands at 0x80, without the random numbers it was mixed with."""
    seed, out = 1, bytearray()
    for byte in data:
        seed = (seed * 0x343FD + 0x269EC3) & 0xFFFFFFFF
        out.append(byte ^ seed >> 16 & 0xFF)
    return bytes(out)


class Sections:
    """The named sections of one drawing.

    Raises:
        EvidenceError: where the maps of pages and sections cannot be read.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        head = _plain_head(stream.at(0x80, _HEAD))
        if len(head) < _HEAD:
            raise EvidenceError("truncated", "the head of the page map is cut off")
        if head[:11] != b"AcFssFcAJMB":
            raise EvidenceError("corrupt", "the head of the page map is damaged")
        address = int.from_bytes(head[0x54:0x5C], "little") + 0x100
        (number,) = struct.unpack_from("<I", head, 0x5C)
        self._pages = self._read_pages(self._system(address))
        if number not in self._pages:
            raise EvidenceError("corrupt", "the section map is not among the pages")
        self._sections = dict(_descriptions(self._system(self._pages[number])))

    def _system(self, address: int) -> bytes:
        """A page that holds a map."""
        head = self._stream.at(address, 20)
        if len(head) < 20:
            raise EvidenceError("truncated", f"no map of the drawing at {address}")
        kind, size, packed, _, _ = struct.unpack("<5I", head)
        if kind not in _SYSTEM:
            raise EvidenceError("corrupt", f"no map of the drawing at {address}")
        return unpack(self._stream.at(address + 20, min(packed, PAGE_BYTES)), min(size, PAGE_BYTES))

    def _read_pages(self, data: bytes) -> dict[int, int]:
        """Number of a page -> where it stands."""
        pages, place, address = {}, 0, 0x100
        while place + 8 <= len(data):
            number, size = struct.unpack_from("<iI", data, place)
            pages[number] = address
            address += size
            place += 24 if number < 0 else 8
        return pages

    def read(self, name: str) -> bytes:
        """What a section holds; nothing where the drawing has none of that name.

        Raises:
            EvidenceError: where a page of it cannot be read.
        """
        if name not in self._sections:
            return b""
        size, whole, packed, pages = self._sections[name]
        out = bytearray()
        for number, start in pages:
            piece = self._page(name, number, whole, packed)
            if not start <= len(out) + whole <= SECTION_BYTES:
                raise EvidenceError("limit", f"{name} has more than {SECTION_BYTES} bytes, or a gap")
            out += bytes(max(0, start - len(out))) + piece
        return bytes(out[:size])

    def _page(self, name: str, number: int, whole: int, packed: bool) -> bytes:
        address = self._pages.get(number, -1)
        head = self._stream.at(address, 32)
        if len(head) < 32:
            raise EvidenceError("truncated", f"page {number} of {name} is missing")
        mask = _MASK ^ address
        kind, _, size, *_ = (each ^ mask for each in struct.unpack("<8I", head))
        if kind != _DATA:
            raise EvidenceError("corrupt", f"page {number} of {name} is damaged")
        data = self._stream.at(address + 32, min(size, PAGE_BYTES))
        return unpack(data, min(whole, PAGE_BYTES)) if packed else data[:whole]


def _descriptions(data: bytes) -> Iterator[tuple[str, tuple[int, int, bool, list[tuple[int, int]]]]]:
    """Name of a section -> its size, the size of its pages, whether they are packed, number and start of each."""
    (count,) = struct.unpack_from("<I", data) if len(data) >= 20 else (0,)
    place = 20
    for _ in range(min(count, SECTIONS)):
        if place + 96 > len(data):
            return
        size, pages, whole, _, packed, _, _ = struct.unpack_from("<QIIIIII", data, place)
        name = data[place + 32 : place + 96].split(b"\0")[0].decode("latin-1")
        place += 96
        found = []
        for _ in range(min(pages, PAGES)):
            if place + 16 > len(data):
                break
            number, _, start = struct.unpack_from("<iIQ", data, place)
            found.append((number, start))
            place += 16
        yield name, (size, whole, packed == 2, found)


def unpack(data: bytes, most: int) -> bytes:
    """What a compressed page holds, up to `most` bytes; what is damaged ends it early."""
    out = bytearray()
    position, end = 0, len(data)

    def run(position: int, length: int) -> tuple[int, int]:
        """A length that is continued while bytes are zero."""
        while position < end and not data[position]:
            length += 0xFF
            position += 1
        return position + 1, length + (data[position] if position < end else 0)

    def literals(position: int) -> tuple[int, int]:
        if position >= end or data[position] & 0xF0:
            return position, 0
        if data[position]:
            return position + 1, data[position] + 3
        return run(position + 1, 0x0F + 3)

    position, count = literals(0)
    while True:
        out += data[position : position + count]
        position += count
        if position + 1 >= end or len(out) >= most:
            break
        code = data[position]
        position += 1
        if code >= 0x40:
            length, back = (code >> 4) - 1, data[position] << 2 | code >> 2 & 3
            count = code & 3
            position += 1
        elif code == 0x11 or code < 0x10:
            break
        else:
            if code >= 0x20:
                length, back = code - 0x1E, 0
                if code == 0x20:
                    position, length = run(position, 0x21)
            else:
                length, back = (code & 7) + 2, 0x3FFF + ((code & 8) << 11)
                if not code & 7:
                    position, length = run(position, 9)
            if position + 1 >= end:
                break
            back += data[position] >> 2 | data[position + 1] << 6
            count = data[position] & 3
            position += 2
        if not count:
            position, count = literals(position)
        start = len(out) - back - 1
        if start < 0:
            break
        length = min(length, most - len(out))
        piece = out[start : start + length]
        out += piece if len(piece) == length else (piece * (length // len(piece) + 1))[:length]
    return bytes(out[:most])
