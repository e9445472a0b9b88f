"""The disk inside VMDK images: one sparse file, or a descriptor and the extents that it names.

Source: "Virtual Disk Format 5.0", VMware, 2011; "VMware Virtual Disk Format 1.1" for the older COWD extents.
"""

from __future__ import annotations

import re
import struct
import zlib
from array import array
from functools import lru_cache

from msgspec import Struct, field

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._image import (
    BlockImage,
    FileImage,
    Image,
    JoinedImage,
    MissingImage,
    PartImage,
    ZeroImage,
    open_sibling,
    read_exactly,
)
from indexer.handlers._image_parents import ParentOf
from indexer.limits import MIB

SPARSE, COWD, SE = b"KDMV", b"COWD", b"\xbe\xba\xfe\xca"
TEXT = b"# Disk DescriptorFile"
MOST_TEXT = MIB
MOST_GRAIN = 16 * MIB
MOST_TABLES = 64 * MIB
AT_END = (1 << 64) - 1
EXTENT = re.compile(
    r'^\s*(RW|RDONLY|NOACCESS)\s+(\d{1,18})\s+([A-Z]+)(?:\s+"([^"\n]*)"(?:\s+(\d{1,18}))?)?', re.MULTILINE
)
EXTENT_NAME = re.compile(r"(.+)-(?:flat|delta|[sf]\d{3}|sesparse|rdmp?)(\.vmdk)", re.IGNORECASE | re.DOTALL)
ENTRY = re.compile(r'^\s*([A-Za-z0-9_.]+)\s*=\s*"?([^"\n]*?)"?\s*$', re.MULTILINE)


class Extent(Struct, frozen=True):
    """One line of a descriptor; sizes and offsets in sectors."""

    access: str
    sectors: int
    kind: str
    name: str
    offset: int


class Descriptor(Struct, frozen=True):
    """What the text of a descriptor tells."""

    entries: dict[str, str] = field(default_factory=dict)
    extents: tuple[Extent, ...] = ()

    @property
    def parent(self) -> str:
        """The name of the image that this one tells the changes of, or an empty string."""
        return (
            self.entries.get("parentFileNameHint", "")
            if self.entries.get("parentCID", "ffffffff") != "ffffffff"
            else ""
        )


def is_image(stream: Stream) -> bool:
    """Whether a descriptor or the mark of an extent stands there."""
    return stream.head.startswith((SPARSE, COWD, SE)) or stream.head[:512].lstrip(b"\r\n\xef\xbb\xbf ").startswith(TEXT)


def is_whole(stream: Stream) -> bool:
    """Whether the file holds the whole disk: a sparse extent that names no other file."""
    if not stream.head.startswith(SPARSE):
        return False
    descriptor = read_descriptor(stream)
    return not descriptor.parent and len(descriptor.extents) == 1


def read_descriptor(stream: Stream) -> Descriptor:
    """The descriptor: the file itself, or the text inside a sparse extent; empty where there is none."""
    if stream.head.startswith(SPARSE):
        at, sectors = struct.unpack_from("<QQ", stream.head.ljust(512, b"\0"), 28)
        raw = stream.at(at * 512, min(sectors * 512, MOST_TEXT)) if at else b""
    elif stream.head.startswith((COWD, SE)):
        raw = b""
    else:
        raw = stream.at(0, MOST_TEXT)
    raw = raw.split(b"\0")[0]
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        named = re.search(rb'encoding\s*=\s*"(GBK|Shift_JIS|windows-\d+|EUC-KR|Big5)"', raw, re.IGNORECASE)
        text = raw.decode(named[1].decode("ascii") if named else "latin-1", "replace")
    extents = tuple(
        Extent(access, int(sectors), kind, name or "", int(offset or 0))
        for access, sectors, kind, name, offset in EXTENT.findall(text)
    )
    return Descriptor(dict(ENTRY.findall(text)), extents)


def owner_of(stream: Stream) -> str:
    """The name of the descriptor that lists this file as one of several extents, or an empty string."""
    match = EXTENT_NAME.fullmatch(stream.name)
    found = open_sibling(stream, match[1] + match[2]) if match else None
    if found is None or not is_image(found):
        return ""
    return found.name if any(each.name == stream.name for each in read_descriptor(found).extents) else ""


def open_image(stream: Stream, parent_of: ParentOf) -> Image:
    """The disk, whole; extents that are not there read as errors.

    Raises:
        EvidenceError: where the descriptor or the header cannot be.
    """
    descriptor = read_descriptor(stream)
    size = sum(each.sectors for each in descriptor.extents) * 512
    parent = parent_of(descriptor.parent, size) if descriptor.parent else None
    if stream.head[:4] not in (SPARSE, COWD, SE):
        if not descriptor.extents:
            raise EvidenceError("corrupt", "VMDK: the descriptor names no extent")
        parts: list[Image] = []
        for each in descriptor.extents:
            below = PartImage(parent, sum(part.size for part in parts), each.sectors * 512) if parent else None
            parts.append(_open_extent(stream, each, below))
        return parts[0] if len(parts) == 1 else JoinedImage(parts)
    return _open_sparse(stream, parent)


def _open_extent(stream: Stream, extent: Extent, parent: Image | None) -> Image:
    size = extent.sectors * 512
    if extent.kind == "ZERO" or extent.access == "NOACCESS":
        return ZeroImage(size)
    found = open_sibling(stream, extent.name)
    if found is None:
        return MissingImage(size, f"VMDK: the extent {extent.name!r} is not beside it")
    if extent.kind in ("FLAT", "VMFS"):
        return FileImage(found, extent.offset * 512, size)
    try:
        return _open_sparse(found, parent, size)
    except EvidenceError as error:
        return MissingImage(size, f"VMDK: the extent {extent.name!r} cannot be read: {error.message}")


def _open_sparse(stream: Stream, parent: Image | None, size: int | None = None) -> Image:
    if stream.head.startswith(SE):
        raise EvidenceError("unsupported", "VMDK: the space-efficient sparse format")
    head = read_exactly(stream, 0, 512)
    if head[:4] == COWD:
        _, capacity, grain, directory_at = struct.unpack_from("<IIII", head, 8)
        return _Sparse(stream, parent, _Shape(capacity if size is None else size // 512, grain, 4096, directory_at, 0))
    if head[:4] != SPARSE:
        raise EvidenceError("corrupt", "VMDK: an extent without its mark")
    if struct.unpack_from("<Q", head, 56)[0] == AT_END:
        head = stream.at(max(0, stream.size - 1024), 512)
        if head[:4] != SPARSE:
            raise EvidenceError("truncated", "VMDK: the footer that tells where the tables lie is not there")
    flags, capacity, grain = struct.unpack_from("<IQQ", head, 8)
    entries, directory_at = struct.unpack_from("<I8xQ", head, 44)
    return _Sparse(
        stream, parent, _Shape(capacity if size is None else size // 512, grain, entries, directory_at, flags)
    )


class _Shape(Struct, frozen=True):
    """Numbers of a sparse extent; sizes and offsets in sectors."""

    capacity: int
    grain: int
    entries: int
    directory_at: int
    flags: int


class _Sparse(BlockImage):
    def __init__(self, stream: Stream, parent: Image | None, shape: _Shape) -> None:
        if not 1 <= shape.grain * 512 <= MOST_GRAIN or not 1 <= shape.entries <= 1 << 20:
            raise EvidenceError("corrupt", f"VMDK: grains of {shape.grain} sectors, tables of {shape.entries}")
        super().__init__(shape.capacity * 512, shape.grain * 512, parent)
        self._stream = stream
        self._shape = shape
        self._zeroed = bool(shape.flags & 4)
        self._packed = bool(shape.flags & 1 << 16)
        count = -(-shape.capacity // (shape.grain * shape.entries))
        if count * 4 > MOST_TABLES:
            raise EvidenceError("corrupt", f"VMDK: {count} tables of grains")
        self._directory = array("I", read_exactly(stream, shape.directory_at * 512, count * 4))
        used = [each for each in self._directory if each]
        if len(set(used)) < len(used):
            raise EvidenceError("corrupt", "VMDK: two parts of the disk share a table")
        self._table = lru_cache(64)(self._read_table)
        self._unpacked = lru_cache(32)(self._unpack)

    def absent(self, index: int) -> int:
        first, second = divmod(index, self._shape.entries)
        if first >= len(self._directory) or not self._directory[first]:
            return self._shape.entries - second
        entry = self._table(self._directory[first])[second]
        return int(not entry or (entry == 1 and self._zeroed))

    def fetch(self, index: int, start: int, length: int) -> bytes | None:
        first, second = divmod(index, self._shape.entries)
        table_at = self._directory[first] if first < len(self._directory) else 0
        entry = self._table(table_at)[second] if table_at else 0
        if not entry:
            return None
        if entry == 1 and self._zeroed:
            return bytes(length)
        if not self._packed:
            return read_exactly(self._stream, entry * 512 + start, length)
        return self._unpacked(entry)[start : start + length].ljust(length, b"\0")

    def _read_table(self, sector: int) -> array[int]:
        return array("I", read_exactly(self._stream, sector * 512, self._shape.entries * 4))

    def _unpack(self, sector: int) -> bytes:
        """A packed grain: where it belongs, how long it is, and its zlib stream."""
        size = int.from_bytes(read_exactly(self._stream, sector * 512, 12)[8:], "little")
        try:
            data = zlib.decompressobj().decompress(
                self._stream.at(sector * 512 + 12, min(size, 2 * self.block)), self.block
            )
        except zlib.error as error:
            raise EvidenceError("corrupt", f"VMDK: the grain at sector {sector} does not unpack") from error
        return data
