"""The disk inside a VHDX image: fixed, dynamic or differencing.

Source: [MS-VHDX] 2.2 (header section), 2.5 (block table), 2.6 (metadata).
"""

from __future__ import annotations

import struct
import uuid
from array import array
from collections.abc import Iterator

from msgspec import Struct, field

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._image import BlockImage, Image, read_exactly
from indexer.handlers._image_parents import ParentOf
from indexer.limits import KIB, MIB

MAGIC = b"vhdxfile"
BLOCKS = "2dc27766-f623-4200-9d64-115e9bfd4a08"
METADATA = "8b7ca206-4790-4b9a-b8fe-575f050f886e"
PARAMETERS = "caa16737-fa36-4d43-b3b6-33f0aa44e76b"
SIZE = "2fa54224-cd1b-4876-b211-5dbed83bf4b8"
SECTOR = "8141bf1d-a96f-4709-ba47-f233a8faab5f"
DISK_ID = "beca12ab-b2e6-4523-93ef-c309e000c746"
LOCATOR = "a8d35f2d-b30b-454d-abf7-d3d84834ab0c"
ZEROS = (2, 3)
WHOLE, PARTLY = 6, 7
MOST_BLOCK = 256 * MIB
MOST_ITEM = 64 * KIB


class Header(Struct):
    """What the headers, the regions and the metadata tell."""

    program: str = ""
    log: bool = False
    regions: dict[str, tuple[int, int]] = field(default_factory=dict)
    items: dict[str, bytes] = field(default_factory=dict)
    parent: dict[str, str] = field(default_factory=dict)
    size: int = 0
    block: int = 0
    sector: int = 512

    @property
    def differs(self) -> bool:
        """Whether the image tells only what changed."""
        return bool(int.from_bytes(self.items[PARAMETERS][4:8], "little") & 2)

    @property
    def parent_name(self) -> str:
        """The name of the parent, where its locator gives one."""
        return next((self.parent[key] for key in ("relative_path", "absolute_win32_path") if key in self.parent), "")


def is_image(stream: Stream) -> bool:
    """Whether the mark stands there."""
    return stream.head.startswith(MAGIC)


def read_header(stream: Stream) -> Header:
    """Everything that stands before the data.

    Raises:
        EvidenceError: where a region or an item that has to be there is missing.
    """
    found = Header(stream.at(8, 512).decode("utf-16-le", "replace").split("\0")[0])
    heads = [head for head in (stream.at(64 * KIB, 80), stream.at(128 * KIB, 80)) if head[:4] == b"head"]
    if heads:
        newest = max(heads, key=lambda head: int.from_bytes(head[8:16], "little"))
        found.log = any(newest[48:64])
    for at in (192 * KIB, 256 * KIB):
        table = stream.at(at, 64 * KIB)
        if table[:4] == b"regi" and not found.regions:
            for entry in struct.iter_unpack("<16sQII", _entries(table[16:], int.from_bytes(table[8:12], "little"))):
                found.regions[_guid(entry[0])] = entry[1], entry[2]
    if BLOCKS not in found.regions or METADATA not in found.regions:
        raise EvidenceError("corrupt", "VHDX: no table of regions names the block table and the metadata")
    _read_metadata(stream, found)
    return found


def _entries(table: bytes, count: int) -> bytes:
    """The entries of 32 bytes that are wholly there, as many as are told of."""
    return table[: 32 * min(count, 2047, len(table) // 32)]


def _read_metadata(stream: Stream, found: Header) -> None:
    start, _ = found.regions[METADATA]
    table = stream.at(start, 64 * KIB)
    if table[:8] == b"metadata":
        for entry in struct.iter_unpack("<16sIIII", _entries(table[32:], int.from_bytes(table[10:12], "little"))):
            found.items[_guid(entry[0])] = stream.at(start + entry[1], min(entry[2], MOST_ITEM))
    if len(found.items.get(PARAMETERS, b"")) < 8 or len(found.items.get(SIZE, b"")) < 8:
        raise EvidenceError("corrupt", "VHDX: the metadata tell no size")
    found.size = int.from_bytes(found.items[SIZE][:8], "little")
    found.block = int.from_bytes(found.items[PARAMETERS][:4], "little")
    found.sector = int.from_bytes(found.items.get(SECTOR, b"")[:4], "little") or 512
    if not MIB <= found.block <= MOST_BLOCK or found.block & found.block - 1 or found.sector not in (512, 4096):
        raise EvidenceError("corrupt", f"VHDX: blocks of {found.block} bytes, sectors of {found.sector}")
    found.parent = dict(_read_locator(found.items.get(LOCATOR, b"")))


def _read_locator(locator: bytes) -> Iterator[tuple[str, str]]:
    """The pairs by which a differencing image finds its parent."""
    for number in range(int.from_bytes(locator[18:20], "little")):
        entry = locator[20 + 12 * number : 32 + 12 * number]
        if len(entry) < 12:
            return
        key_at, value_at, key_size, value_size = struct.unpack("<IIHH", entry)
        key, value = locator[key_at : key_at + key_size], locator[value_at : value_at + value_size]
        yield key.decode("utf-16-le", "replace"), value.decode("utf-16-le", "replace")


def _guid(raw: bytes) -> str:
    return str(uuid.UUID(bytes_le=raw))


def open_image(stream: Stream, parent_of: ParentOf) -> Image:
    """The disk.

    Raises:
        EvidenceError: where the headers or the table cannot be.
    """
    header = read_header(stream)
    return _Vhdx(stream, header, parent_of(header.parent_name, header.size) if header.differs else None)


class _Vhdx(BlockImage):
    def __init__(self, stream: Stream, header: Header, parent: Image | None) -> None:
        super().__init__(header.size, header.block, parent)
        self._stream = stream
        self._sector = header.sector
        self._ratio = (1 << 23) * header.sector // header.block
        """Blocks whose changed sectors one bitmap tells; its entry stands behind theirs."""
        start, room = header.regions[BLOCKS]
        blocks = -(-header.size // header.block)
        wanted = (blocks + blocks // self._ratio + 1) * 8
        held = stream.at(start, min(wanted, room))
        self._table = array("Q", held[: len(held) // 8 * 8])

    def absent(self, index: int) -> int:
        return int(self._entry(index) & 7 not in (WHOLE, PARTLY))

    def fetch(self, index: int, start: int, length: int) -> bytes | None:
        entry = self._entry(index)
        state, at = entry & 7, entry & ~0xFFFFF
        if state == WHOLE or (state == PARTLY and self._parent is None):
            return read_exactly(self._stream, at + start, length)
        if state == PARTLY:
            return self._fetch_changed(index, at, start, length)
        return bytes(length) if state in ZEROS else None

    def _entry(self, index: int) -> int:
        number = index + index // self._ratio
        if number >= len(self._table):
            raise EvidenceError("truncated", f"VHDX: the block table ends before block {index}")
        return self._table[number]

    def _fetch_changed(self, index: int, at: int, start: int, length: int) -> bytes:
        """A part of a block in which a bitmap tells the sectors that changed."""
        group = index // self._ratio
        number = (group + 1) * self._ratio + group
        bitmap_at = self._table[number] & ~0xFFFFF if number < len(self._table) else 0
        first = index % self._ratio * (self.block // self._sector)
        pieces = []
        while length > 0:
            sector = first + start // self._sector
            wanted = min(length, self._sector - start % self._sector)
            if bitmap_at and read_exactly(self._stream, bitmap_at + sector // 8, 1)[0] >> sector % 8 & 1:
                pieces.append(read_exactly(self._stream, at + start, wanted))
            else:
                pieces.append(self.below(index * self.block + start, wanted))
            start += wanted
            length -= wanted
        return b"".join(pieces)
