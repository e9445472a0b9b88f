"""The disk inside a QCOW image, versions 1 to 3.

Source: QEMU, docs/interop/qcow2.txt; QEMU, block/qcow.c for the layout of version 1.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from functools import lru_cache

from msgspec import Struct

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._image import BlockImage, Image, read_exactly
from indexer.handlers._image_parents import ParentOf
from indexer.handlers._zstd import unpack_zstd
from indexer.limits import MIB
from indexer.model import Fact, Field
from indexer.timestamps import from_unix

MAGIC = b"QFI\xfb"
MOST_L1 = 32 * MIB
MOST_SNAPSHOTS = 1000
CRYPTS = {1: "AES-CBC", 2: "LUKS"}
DIRTY, DAMAGED, EXTERNAL, PACKING, EXTENDED = 1, 2, 4, 8, 16
OFFSET = 0x00FFFFFFFFFFFE00


class Header(Struct, frozen=True):
    """What the first bytes tell; `entry` is the size of an entry of the second table."""

    version: int
    size: int
    bits: int
    l2_bits: int
    l1_at: int
    l1_count: int
    crypt: int
    parent: str
    features: int = 0
    packing: int = 0
    snapshots: int = 0
    snapshots_at: int = 0

    @property
    def entry(self) -> int:
        return 16 if self.features & EXTENDED else 8


def is_image(stream: Stream) -> bool:
    """Whether the mark stands there."""
    return stream.head.startswith(MAGIC) and stream.head[4:8] in (b"\0\0\0\1", b"\0\0\0\2", b"\0\0\0\3")


def read_header(stream: Stream) -> Header:
    """The header of any version.

    Raises:
        EvidenceError: where its numbers cannot be.
    """
    head = read_exactly(stream, 0, 48) + stream.at(48, 64)
    head = head.ljust(112, b"\0")
    version, name_at, name_size = struct.unpack_from(">IQI", head, 4)
    parent = stream.at(name_at, min(name_size, 1023)).decode("utf-8", "replace") if name_at else ""
    if version == 1:
        size, bits, l2_bits, crypt, l1_at = struct.unpack_from(">QBBxxIQ", head, 24)
        count = -(-size >> (bits + l2_bits)) if bits + l2_bits < 64 else 1
        header = Header(1, size, bits, l2_bits, l1_at, count, crypt, parent)
    else:
        bits, size, crypt, count, l1_at = struct.unpack_from(">IQIIQ", head, 20)
        snapshots, snapshots_at = struct.unpack_from(">IQ", head, 60)
        features, length = (int.from_bytes(head[72:80], "big"), head[100:104]) if version == 3 else (0, b"")
        packing = head[104] if int.from_bytes(length, "big") > 104 and features & PACKING else 0
        l2_bits = bits - (4 if features & EXTENDED else 3)
        header = Header(
            version, size, bits, l2_bits, l1_at, count, crypt, parent, features, packing, snapshots, snapshots_at
        )
    if not 9 <= header.bits <= 21 or not 0 < header.l2_bits <= 18 or header.l1_count * 8 > MOST_L1:
        raise EvidenceError("corrupt", f"QCOW: clusters of 2^{bits} bytes, {header.l1_count} tables")
    return header


def snapshots_of(stream: Stream, header: Header) -> Iterator[Fact]:
    """Names and times of the snapshots kept inside the image."""
    at = header.snapshots_at
    for _ in range(min(header.snapshots, MOST_SNAPSHOTS)):
        head = stream.at(at, 40)
        if len(head) < 40:
            return
        ident, named, seconds, nanoseconds = struct.unpack_from(">HHII", head, 12)
        extra = int.from_bytes(head[36:40], "big")
        name_at = at + 40 + extra + ident
        yield Field("image.snapshot", stream.at(name_at, named).decode("utf-8", "replace"))
        if stamp := from_unix("snapshot", seconds, "qcow.snapshot", nanoseconds=nanoseconds, resolution=1e-9):
            yield stamp
        at = (name_at + named + 7) & ~7


def open_image(stream: Stream, parent_of: ParentOf) -> Image:
    """The disk.

    Raises:
        EvidenceError: where it is encrypted, or keeps its data in another file.
    """
    header = read_header(stream)
    if header.crypt:
        raise EvidenceError("encrypted", f"QCOW: encrypted with {CRYPTS.get(header.crypt, 'an unknown method')}")
    if header.features & ~(DIRTY | DAMAGED | PACKING | EXTENDED):
        what = "its data lie in another file" if header.features & EXTERNAL else f"features {header.features:#x}"
        raise EvidenceError("unsupported", f"QCOW: {what}")
    return _Qcow(stream, header, parent_of(header.parent, header.size) if header.parent else None)


class _Qcow(BlockImage):
    def __init__(self, stream: Stream, header: Header, parent: Image | None) -> None:
        super().__init__(header.size, 1 << header.bits, parent)
        self._stream = stream
        self._header = header
        self._span = 1 << header.l2_bits
        table = read_exactly(stream, header.l1_at, header.l1_count * 8) if header.l1_count else b""
        mask = OFFSET if header.version > 1 else (1 << 63) - 1
        self._l1 = [each & mask for each in struct.unpack(f">{header.l1_count}Q", table)]
        used = [each for each in self._l1 if each]
        if len(set(used)) < len(used):
            raise EvidenceError("corrupt", "QCOW: two parts of the disk share a table")
        self._l2 = lru_cache(16)(self._read_l2)
        self._unpacked = lru_cache(32)(self._unpack)

    def absent(self, index: int) -> int:
        first, second = divmod(index, self._span)
        if first >= len(self._l1):
            return max(1, (self.size >> self._header.bits) + 1 - index)
        if not self._l1[first]:
            return self._span - second
        return int(not self._entry(index)[0])

    def fetch(self, index: int, start: int, length: int) -> bytes | None:
        entry, alive = self._entry(index)
        if self._header.version == 1:
            if entry >> 63:
                return self._unpacked(entry)[start : start + length]
            return read_exactly(self._stream, entry + start, length) if entry else None
        if entry >> 62 & 1:
            return self._unpacked(entry)[start : start + length]
        offset = entry & OFFSET
        if self._header.entry == 16:
            return self._fetch_parts(index, offset, alive, start, length)
        if entry & 1 and self._header.version > 2:
            return bytes(length)
        return read_exactly(self._stream, offset + start, length) if offset else None

    def _fetch_parts(self, index: int, offset: int, alive: int, start: int, length: int) -> bytes:
        """A cluster of 32 parts, each of which is stored, all zeros, or the parent's."""
        part = self.block // 32
        pieces = []
        while length > 0:
            number = start // part
            wanted = min(length, part - start % part)
            if alive >> number & 1:
                pieces.append(read_exactly(self._stream, offset + start, wanted))
            elif alive >> (number + 32) & 1:
                pieces.append(bytes(wanted))
            else:
                pieces.append(self.below(index * self.block + start, wanted))
            start += wanted
            length -= wanted
        return b"".join(pieces)

    def _entry(self, index: int) -> tuple[int, int]:
        """The entry of a cluster, and of its parts where it has any."""
        first, second = divmod(index, self._span)
        if first >= len(self._l1) or not self._l1[first]:
            return 0, 0
        size = self._header.entry
        entry = self._l2(self._l1[first])[second * size : (second + 1) * size]
        return int.from_bytes(entry[:8], "big"), int.from_bytes(entry[8:], "big")

    def _read_l2(self, offset: int) -> bytes:
        return read_exactly(self._stream, offset, self._span * self._header.entry)

    def _unpack(self, entry: int) -> bytes:
        bits = self._header.bits
        if self._header.version == 1:
            offset, size = entry & (1 << (63 - bits)) - 1, entry >> (63 - bits) & self.block - 1
        else:
            split = 62 - (bits - 8)
            offset = entry & (1 << split) - 1
            size = ((entry >> split & (1 << (bits - 8)) - 1) + 1) * 512 - offset % 512
        packed = self._stream.at(offset, size)
        data = _inflate(packed, self.block) if not self._header.packing else unpack_zstd(packed, self.block)
        if len(data) < self.block:
            raise EvidenceError("corrupt", f"QCOW: the packed cluster at {offset} does not unpack")
        return data


def _inflate(packed: bytes, size: int) -> bytes:
    try:
        return zlib.decompressobj(-15).decompress(packed, size)
    except zlib.error:
        return b""
