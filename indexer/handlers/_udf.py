"""UDF as it stands: volume descriptors, partitions, file entries, files as extents of the image.

Source: ECMA-167 (3rd edition): 3/8.4.2, 3/10 (volume), 4/8.10 and 4/14.6 (strategies 4 and 4096), 4/14 (files, free
blocks); OSTA UDF 2.60: 2.2.8 to 2.2.10 (partitions).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

from msgspec import Struct

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._archive import FILE, FOLDER, SYMLINK
from indexer.handlers._udf_places import (
    Extent,
    Missing,
    Partition,
    Pieces,
    Plain,
    Sparable,
    Virtual,
    is_table,
    read_spares,
    read_table,
)
from indexer.handlers._udf_values import Address, address_at, device_of, name_of, read_time, tag_of, u16, u32
from indexer.limits import MIB
from indexer.model import Problem, Timestamp

_BLOCKS = (2048, 512, 4096)
_ANCHOR = 256
_POINTER, _PARTITION, _LOGICAL, _END = 2, 5, 6, 8
_FILE_SET, _EXTENT, _ENTRY, _LATER_ENTRY, _BITMAP, _LONG_ENTRY = 256, 258, 261, 248, 264, 266
_METADATA, _VIRTUAL, _SPARABLE = b"*UDF Metadata Partition", b"*UDF Virtual Partition", b"*UDF Sparable Partition"
_MOST_DESCRIPTORS, _MOST_MAPS, _MOST_LATER = 256, 64, 1000
_MOST_TABLE, _MOST_TRIES = 16 * MIB, 64
_MOST_BLOCKS = 4_000_000
"""Blocks that are looked at for the table of virtual ones: a disc's 8 GB."""
_MOST_EXTENTS = 100_000
STREAMS = "streams"
_KINDS = {
    13: STREAMS,
    4: FOLDER,
    5: FILE,
    6: "block-device",
    7: "character-device",
    9: "fifo",
    10: "socket",
    12: SYMLINK,
    0: FILE,
}
_REAL_TIME = 249
_TIMES = (("M", "modified", 84), ("A", "accessed", 72), ("C", "metadata", 96))
_LONG_TIMES = (("M", "modified", 92), ("A", "accessed", 80), ("C", "metadata", 116), ("B", "created", 104))


class Node(Struct):
    """One file, folder or stream of one.

    Attributes:
        path: the raw names from the root down.
        stream: the raw name of a stream of the file at the path.
        streams: where the file's folder of streams is told of.
        number: the number that the names of the file have too.
        mode: -1 where nothing is known of it.
        lost: whether its bytes are gone.
    """

    path: tuple[bytes, ...]
    kind: str
    size: int
    extents: list[Extent]
    inline: bytes | None
    times: list[Timestamp]
    mode: int
    owner: tuple[int, ...]
    number: int = 0
    device: tuple[int, ...] = ()
    streams: Address | None = None
    stream: bytes = b""
    hidden: bool = False
    deleted: bool = False
    lost: bool = False
    link: str = ""
    problems: tuple[Problem, ...] = ()


class Udf:
    """The file system of an image; `label` is the name of its volume.

    Raises:
        EvidenceError: corrupt, where it cannot be begun; unsupported, where its blocks lie in a way not read here.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._block = 0
        descriptors = self._find()
        partitions = {u16(each, 22): each for each in descriptors if tag_of(each) == _PARTITION}
        starts = {number: u32(each, 188) * self._block for number, each in partitions.items()}
        self._free = [found for each in partitions.values() for found in self._read_free(each)]
        """Where a partition begins, and a bit for each of its blocks, set where it is free."""
        logical = next((each for each in reversed(descriptors) if tag_of(each) == _LOGICAL), b"")
        if not logical or u32(logical, 212) != self._block:
            raise EvidenceError("corrupt", "UDF: no descriptor of a logical volume")
        self.label = name_of(logical[84 : 84 + min(logical[211], 127)])
        self._partitions: list[Partition] = []
        self._read_maps(logical, starts)
        files = self._descriptor(address_at(logical, 248))
        if tag_of(files) != _FILE_SET:
            raise EvidenceError("corrupt", "UDF: no descriptor of a set of files")
        self.root = address_at(files, 400)

    def _find(self) -> list[bytes]:
        """The descriptors of the volume."""
        for block in _BLOCKS:
            last = self._stream.size // block - 1
            for place in (_ANCHOR, last - _ANCHOR, last, 2 * _ANCHOR):
                anchor = self._stream.at(place * block, 512)
                if tag_of(anchor) != _POINTER or u32(anchor, 12) != place:
                    continue
                self._block = block
                for size, start in (struct.unpack_from("<II", anchor, at) for at in (16, 24)):
                    found = self._read_sequence(start, size)
                    if any(tag_of(each) == _LOGICAL for each in found):
                        return found
        raise EvidenceError("corrupt", "UDF: no descriptors of a volume")

    def _read_sequence(self, start: int, size: int) -> list[bytes]:
        found = []
        for number in range(min(size // self._block, _MOST_DESCRIPTORS)):
            data = self._stream.at((start + number) * self._block, self._block)
            if tag_of(data) in (_END, 0):
                break
            found.append(data)
        return sorted(found, key=lambda data: u32(data, 16))

    def _read_free(self, partition: bytes) -> Iterator[tuple[int, bytes]]:
        start, size, block = u32(partition, 188), u32(partition, 64) & 0x3FFFFFFF, u32(partition, 68)
        data = self._stream.at((start + block) * self._block, min(size, _MOST_TABLE)) if size else b""
        if tag_of(data) == _BITMAP:
            yield start, data[24 : 24 + u32(data, 20)]

    def _read_maps(self, logical: bytes, starts: dict[int, int]) -> None:
        """The partitions by their numbers in the volume."""
        at, files = 440, []
        for number in range(min(u32(logical, 268), _MOST_MAPS)):
            kind, size = logical[at : at + 2].ljust(2, b"\0")
            held = logical[at : at + size].ljust(64, b"\0")
            at += size
            mark = held[5:28].rstrip(b"\0")
            if kind != 1 and mark not in (_METADATA, _VIRTUAL, _SPARABLE):
                raise EvidenceError("unsupported", f"UDF: partition {number} is of an unknown kind")
            start = starts.get(u16(held, 4 if kind == 1 else 38))
            if start is None:
                self._partitions.append(Missing())
            elif kind != 1 and mark == _SPARABLE:
                self._partitions.append(Sparable(start, *read_spares(self._stream, held, self._block)))
            else:
                # One that is in a file stands for the partition below until that file is read.
                self._partitions.append(Plain(start))
                if kind != 1:
                    files.append((number, mark, start, held))
        for number, mark, start, held in files:
            if mark == _METADATA:
                self._partitions[number] = Pieces(self._either(number, u32(held, 40), u32(held, 44)).extents)
            else:
                table = read_table(self._find_table(number, start))
                self._partitions[number] = Virtual(Plain(start), self._block, table)

    def _either(self, number: int, *blocks: int) -> Node:
        """The first file entry that can be read."""
        for block in blocks[:-1]:
            with suppress(EvidenceError):
                return self.entry(Address(number, block, self._block))
        return self.entry(Address(number, blocks[-1], self._block))

    def _find_table(self, number: int, start: int) -> bytes:
        """The table of virtual blocks: the last there is, mostly in the last block of the disc.

        Raises:
            EvidenceError: corrupt, where there is none.
        """
        first, last, tries = start // self._block, self._stream.size // self._block - 1, 0
        for block in islice(range(last, first - 1, -1), _MOST_BLOCKS):
            head = self._stream.at(block * self._block, 28)
            if tag_of(head) not in (_ENTRY, _LONG_ENTRY) or head[27] not in (0, 248):
                continue
            tries += 1
            if tries > _MOST_TRIES:
                break
            with suppress(EvidenceError):
                data = self.read(self.entry(Address(number, block - first, self._block)), _MOST_TABLE)
                if is_table(head[27], data):
                    return data
        raise EvidenceError("corrupt", "UDF: the disc has no table of its virtual blocks")

    def _places(self, address: Address) -> Iterator[Extent]:
        """Where in the image an extent of a partition lies.

        Raises:
            EvidenceError: corrupt.
        """
        if address.partition >= len(self._partitions):
            raise EvidenceError("corrupt", f"UDF: there is no partition {address.partition}")
        return self._partitions[address.partition].places(address.block * self._block, address.size)

    def _descriptor(self, address: Address) -> bytes:
        place, _ = next(self._places(address._replace(size=self._block)))
        return self._stream.at(place, self._block)

    def _newest(self, address: Address) -> bytes:
        """The descriptor of a file entry, on a disc written once the last that was put in its place."""
        data = self._descriptor(address)
        for _ in range(_MOST_LATER):
            if u16(data, 20) != 4096 or tag_of(data) not in (_ENTRY, _LONG_ENTRY):
                break
            with suppress(EvidenceError):
                later = self._descriptor(address._replace(block=address.block + 1))
                if tag_of(later) == _LATER_ENTRY:
                    address = address_at(later, 36)
                    data = self._descriptor(address)
                    continue
            break
        return data

    def entry(self, address: Address) -> Node:
        """The file entry at an address.

        Raises:
            EvidenceError: corrupt.
        """
        data = self._newest(address)
        tag = tag_of(data)
        if tag not in (_ENTRY, _LONG_ENTRY) or u16(data, 20) not in (4, 4096):
            raise EvidenceError("corrupt", f"UDF: no file entry at block {address.block} of {address.partition}")
        if len(data) < self._block:
            raise EvidenceError("truncated", f"UDF: the file entry at block {address.block} is not whole")
        is_long = tag == _LONG_ENTRY
        kinds = _LONG_TIMES if is_long else _TIMES
        times = [read_time(kind, data[at : at + 12], f"udf.{name}") for kind, name, at in kinds]
        size = int.from_bytes(data[56:64], "little")
        more, held = struct.unpack_from("<II", data, 208 if is_long else 168)
        begin = (216 if is_long else 176) + more
        permissions = u32(data, 44)
        node = Node(
            (),
            _KINDS.get(data[27], FILE if data[27] >= _REAL_TIME else "special"),
            size,
            [],
            None,
            [stamp for stamp in times if stamp],
            (permissions >> 10 & 7) << 6 | (permissions >> 5 & 7) << 3 | permissions & 7,
            (u32(data, 36), u32(data, 40)),
            u32(data, 200 if is_long else 160),
            device_of(data[begin - more : begin]) if more else (),
            address_at(data, 152) if is_long and u32(data, 152) else None,
        )
        way = u16(data, 34) & 7
        listed = data[begin : begin + held]
        if way == 3:
            node.inline = listed[:size]
        elif way in (0, 1):
            extents = self._extents(listed, size, address.partition, is_long=way == 1)
            node.extents = list(islice(extents, _MOST_EXTENTS))
        else:
            raise EvidenceError("unsupported", "UDF: extents of a kind that no disc has")
        return node

    def _extents(self, listed: bytes, size: int, partition: int, *, is_long: bool) -> Iterator[Extent]:
        """The extents of a file, cut at its size."""
        width, at, count = 16 if is_long else 8, 0, 0
        seen: set[int] = set()
        while at + width <= len(listed) and size > 0 and count < _MOST_EXTENTS:
            count += 1
            length, block = struct.unpack_from("<II", listed, at)
            number = u16(listed, at + 8) if is_long else partition
            kind, length = length >> 30, length & 0x3FFFFFFF
            at += width
            if not length:
                return
            if kind == 3:
                data = self._descriptor(Address(number, block, length))
                if tag_of(data) != _EXTENT or block in seen:
                    raise EvidenceError("corrupt", "UDF: the list of a file's extents does not go on")
                seen.add(block)
                listed, at = data[24 : 24 + u32(data, 20)], 0
                continue
            length = min(length, size)
            size -= length
            if kind:
                yield -1, length
            else:
                yield from self._places(Address(number, block, length))

    def used(self, node: Node) -> int:
        """How many of a deleted file's bytes lie in blocks that are not free, where a bitmap tells."""
        used = seen = 0
        for start, size in node.extents:
            seen += size
            if seen > self._stream.size:  # no file is larger
                break
            for begin, free in self._free:
                first, last = start // self._block - begin, -(-(start + size) // self._block) - begin
                if first >= 0 and last <= len(free) * 8:
                    bits = int.from_bytes(free[first // 8 : -(-last // 8)], "little") >> first % 8
                    unused = (bits & (1 << (last - first)) - 1).bit_count()
                    used += min(size, (last - first - unused) * self._block)
        return used

    def read(self, node: Node, most: int) -> bytes:
        """Up to `most` bytes of a file."""
        if node.inline is not None:
            return node.inline[:most]
        held = bytearray()
        for start, size in node.extents:
            size = min(size, most - len(held))
            held += bytes(size) if start < 0 else self._stream.at(start, size)
        return bytes(held)
