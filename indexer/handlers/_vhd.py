"""The disk inside a VHD image: fixed, dynamic or differencing.

Source: "Virtual Hard Disk Image Format Specification" 1.0, Microsoft, 2006.
"""

from __future__ import annotations

import struct
import uuid
from array import array

from msgspec import Struct

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._image import BlockImage, FileImage, Image, read_exactly
from indexer.handlers._image_parents import ParentOf

MAGIC = b"conectix"
FIXED, DYNAMIC, DIFFERENCING = 2, 3, 4
KINDS = {FIXED: "fixed", DYNAMIC: "dynamic", DIFFERENCING: "differencing"}
SINCE = 946_684_800
"""Seconds from 1970 to 2000, where VHD counts from."""
NOWHERE = 0xFFFFFFFF
MOST_BLOCK = 256 << 20


class Footer(Struct, frozen=True):
    """What the footer tells, or its copy in front."""

    kind: int
    size: int
    header_at: int
    written: int
    program: str
    system: str
    ident: str
    whole: bool


class Parent(Struct, frozen=True):
    """What a differencing image tells of the image it grew from."""

    name: str
    ident: str


def is_image(stream: Stream) -> bool:
    """Whether the footer or its copy stands there."""
    return stream.head.startswith(MAGIC) or _footer_bytes(stream)[:8] == MAGIC


def _footer_bytes(stream: Stream) -> bytes:
    """The last sector; programs before 2004 left out its last byte."""
    last = stream.at(max(0, stream.size - 512), 512)
    return last if last.startswith(MAGIC) else stream.at(max(0, stream.size - 511), 511) + b"\0"


def read_footer(stream: Stream) -> Footer:
    """The footer; its copy in front where the end is damaged.

    Raises:
        EvidenceError: where neither can be.
    """
    found = [raw for raw in (_footer_bytes(stream), stream.head[:512]) if raw[:8] == MAGIC and len(raw) == 512]
    raw = next((each for each in found if _is_whole(each)), found[0] if found else b"")
    if not raw:
        raise EvidenceError("truncated", "VHD: the footer is not there")
    header_at, written, made_by, made_on, size, kind = struct.unpack_from(">QI4s4x4s8xQ4xI", raw, 16)
    program, system = (each.decode("ascii", "replace").strip(" \0") for each in (made_by, made_on))
    return Footer(kind, size, header_at, written, program, system, str(uuid.UUID(bytes=raw[68:84])), _is_whole(raw))


def _is_whole(raw: bytes) -> bool:
    """Whether the checksum fits: the sum of all other bytes, inverted."""
    return ~(sum(raw) - sum(raw[64:68])) & 0xFFFFFFFF == int.from_bytes(raw[64:68], "big")


def read_parent(stream: Stream, footer: Footer) -> Parent:
    """Name and identifier of the parent, from the header of a differencing image."""
    raw = stream.at(footer.header_at, 1024).ljust(1024, b"\0")
    name = raw[64:576].decode("utf-16-be", "replace").split("\0")[0]
    return Parent(name, str(uuid.UUID(bytes=raw[40:56])))


def open_image(stream: Stream, parent_of: ParentOf) -> Image:
    """The disk.

    Raises:
        EvidenceError: where the footer or the table cannot be.
    """
    footer = read_footer(stream)
    if footer.kind == FIXED:
        return FileImage(stream, 0, footer.size)
    if footer.kind not in KINDS:
        raise EvidenceError("unsupported", f"VHD: disk type {footer.kind}")
    parent = parent_of(read_parent(stream, footer).name, footer.size) if footer.kind == DIFFERENCING else None
    return _Vhd(stream, footer, parent)


class _Vhd(BlockImage):
    def __init__(self, stream: Stream, footer: Footer, parent: Image | None) -> None:
        header = read_exactly(stream, footer.header_at, 1024)
        table_at, count, block = struct.unpack_from(">Q4xII", header, 16)
        if header[:8] != b"cxsparse" or not 512 <= block <= MOST_BLOCK or block % 512:
            raise EvidenceError("corrupt", f"VHD: no header of a dynamic disk at {footer.header_at}")
        super().__init__(footer.size, block, parent)
        self._stream = stream
        self._table = array("I", read_exactly(stream, table_at, min(count, -(-footer.size // block)) * 4))
        self._table.byteswap()
        self._bitmap = -(-(block // 512) // 4096) * 512

    def absent(self, index: int) -> int:
        if index >= len(self._table):
            return max(1, self.size // self.block + 1 - index)
        return int(self._table[index] == NOWHERE)

    def fetch(self, index: int, start: int, length: int) -> bytes | None:
        if self.absent(index):
            return None
        at = self._table[index] * 512
        if self._parent is None:
            return read_exactly(self._stream, at + self._bitmap + start, length)
        return self._fetch_changed(index, at, start, length)

    def _fetch_changed(self, index: int, at: int, start: int, length: int) -> bytes:
        """A part of a block in which a bitmap tells the sectors that changed."""
        bitmap = read_exactly(self._stream, at, self._bitmap)
        pieces = []
        while length > 0:
            here = _is_set(bitmap, start // 512)
            end = start - start % 512 + 512
            while end < start + length and _is_set(bitmap, end // 512) == here:
                end += 512
            wanted = min(end - start, length)
            if here:
                pieces.append(read_exactly(self._stream, at + self._bitmap + start, wanted))
            else:
                pieces.append(self.below(index * self.block + start, wanted))
            start += wanted
            length -= wanted
        return b"".join(pieces)


def _is_set(bitmap: bytes, number: int) -> bool:
    return bool(bitmap[number // 8] & 0x80 >> number % 8)
