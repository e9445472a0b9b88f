"""UDF as it stands: volume descriptors, the tree of folders, files as extents of the image.

Folders are walked without recursion, each once, so that loops end.

Source: ECMA-167 (3rd edition): 3/8.4.2, 3/10 (volume), 4/14 (files), 4/14.14 (allocation); OSTA UDF 2.60, 2.1.1
(names), 2.2.10 (metadata partition). Entries that were deleted are given where their file entry is still there.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

from msgspec import Struct

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._archive import FILE, FOLDER, MOST_TARGET, SYMLINK
from indexer.limits import MIB
from indexer.model import Timestamp

_BLOCKS = (2048, 512, 4096)
_ANCHOR = 256
_PRIMARY, _POINTER, _PARTITION, _LOGICAL, _END = 1, 2, 5, 6, 8
_FILE_SET, _NAME, _EXTENT, _ENTRY, _LONG_ENTRY = 256, 257, 258, 261, 266
_MOST_DESCRIPTORS, _MOST_MAPS = 256, 64
_MOST_EXTENTS = 100_000
_MOST_FOLDER = 64 * MIB
_MOST_RECORDS = 2_000_000
_IS_HIDDEN, _IS_FOLDER, _IS_DELETED, _IS_PARENT = 1, 2, 4, 8
_KINDS = {4: FOLDER, 5: FILE, 6: "block-device", 7: "character-device", 9: "fifo", 10: "socket", 12: SYMLINK, 0: FILE}
_REAL_TIME = 249
_TIMES = (("M", "modified", 84), ("A", "accessed", 72), ("C", "metadata", 96))
_LONG_TIMES = (("M", "modified", 92), ("A", "accessed", 80), ("C", "metadata", 116), ("B", "created", 104))

Extent = tuple[int, int]
"""Where in the image it begins, -1 where zeros stand for it, and its size."""


class Address(NamedTuple):
    """A place in a partition."""

    partition: int
    block: int
    size: int


class Node(Struct):
    """One file or folder; `path` holds the raw names from the root down."""

    path: tuple[bytes, ...]
    kind: str
    size: int
    extents: list[Extent]
    inline: bytes | None
    times: list[Timestamp]
    mode: int
    owner: tuple[int, int]
    hidden: bool = False
    deleted: bool = False
    link: str = ""


class Udf:
    """The file system of an image; `label` is the name of its volume.

    Raises:
        EvidenceError: corrupt, where it cannot be begun; unsupported, where its blocks lie in a way not read here.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._block = 0
        descriptors = self._find()
        starts = {_u16(each, 22): _u32(each, 188) for each in descriptors if _tag(each) == _PARTITION}
        logical = next((each for each in reversed(descriptors) if _tag(each) == _LOGICAL), b"")
        if not logical or _u32(logical, 212) != self._block:
            raise EvidenceError("corrupt", "UDF: no descriptor of a logical volume")
        self.label = name_of(logical[84 : 84 + min(logical[211], 127)])
        self._starts: list[int] = []
        """First block of each partition, by its number in the volume; -1 for the metadata partition."""
        self._metadata: list[Extent] = []
        self._reached: list[int] = [0]
        """Bytes of the metadata partition up to each of its extents, and in all."""
        metadata = self._read_maps(logical, starts)
        if metadata:
            entry = self._entry(Address(metadata[0], metadata[1], self._block))
            self._metadata = entry.extents
            self._reached += accumulate(size for _, size in entry.extents)
        files = self._descriptor(_long(logical, 248))
        if _tag(files) != _FILE_SET:
            raise EvidenceError("corrupt", "UDF: no descriptor of a set of files")
        self._root = _long(files, 400)

    def _find(self) -> list[bytes]:
        """The descriptors of the volume."""
        for block in _BLOCKS:
            last = self._stream.size // block - 1
            for place in (_ANCHOR, last - _ANCHOR, last):
                anchor = self._stream.at(place * block, 512)
                if _tag(anchor) != _POINTER or _u32(anchor, 12) != place:
                    continue
                self._block = block
                for size, start in (struct.unpack_from("<II", anchor, at) for at in (16, 24)):
                    found = self._read_sequence(start, size)
                    if any(_tag(each) == _LOGICAL for each in found):
                        return found
        raise EvidenceError("corrupt", "UDF: no descriptors of a volume")

    def _read_sequence(self, start: int, size: int) -> list[bytes]:
        found = []
        for number in range(min(size // self._block, _MOST_DESCRIPTORS)):
            data = self._stream.at((start + number) * self._block, self._block)
            if _tag(data) in (_END, 0):
                break
            found.append(data)
        return found

    def _read_maps(self, logical: bytes, starts: dict[int, int]) -> tuple[int, int] | None:
        """Where the file entry of the metadata partition stands, if there is one: partition and block."""
        at, metadata = 440, None
        for number in range(min(_u32(logical, 268), _MOST_MAPS)):
            kind, size = logical[at : at + 2].ljust(2, b"\0")
            if kind == 1:
                self._starts.append(starts.get(_u16(logical, at + 4), -2))
            elif kind == 2 and b"*UDF Metadata Partition" in logical[at : at + 32]:
                under = starts.get(_u16(logical, at + 38), -2)
                below = next((place for place, start in enumerate(self._starts) if start == under), -1)
                metadata = below, _u32(logical, at + 40)
                self._starts.append(-1)
            else:
                raise EvidenceError("unsupported", f"UDF: partition {number} is virtual or sparable")
            at += size
        return metadata

    def _places(self, address: Address) -> Iterator[Extent]:
        """Where in the image an extent of a partition lies; of the metadata partition in several pieces.

        Raises:
            EvidenceError: corrupt.
        """
        start = self._starts[address.partition] if address.partition < len(self._starts) else -2
        if start >= 0:
            yield (start + address.block) * self._block, address.size
            return
        if start == -2:
            raise EvidenceError("corrupt", f"UDF: there is no partition {address.partition}")
        at, left = address.block * self._block, address.size
        for number in range(bisect_right(self._reached, at) - 1, len(self._metadata)):
            first, size = self._metadata[number]
            skipped = at - self._reached[number]
            size = min(left, size - skipped)
            yield (first + skipped if first >= 0 else -1), size
            at, left = at + size, left - size
            if left <= 0:
                return
        raise EvidenceError("corrupt", "UDF: a block lies outside of the metadata")

    def _descriptor(self, address: Address) -> bytes:
        place, _ = next(self._places(address._replace(size=self._block)))
        return self._stream.at(place, self._block)

    def _entry(self, address: Address) -> Node:
        """The file entry at an address.

        Raises:
            EvidenceError: corrupt.
        """
        data = self._descriptor(address)
        tag = _tag(data)
        if tag not in (_ENTRY, _LONG_ENTRY) or _u16(data, 20) not in (4, 4096):
            raise EvidenceError("corrupt", f"UDF: no file entry at block {address.block} of {address.partition}")
        if len(data) < self._block:
            raise EvidenceError("truncated", f"UDF: the file entry at block {address.block} is not whole")
        is_long = tag == _LONG_ENTRY
        kinds = _LONG_TIMES if is_long else _TIMES
        times = [read_time(kind, data[at : at + 12], f"udf.{name}") for kind, name, at in kinds]
        size = int.from_bytes(data[56:64], "little")
        more, held = struct.unpack_from("<II", data, 208 if is_long else 168)
        begin = (216 if is_long else 176) + more
        permissions = _u32(data, 44)
        node = Node(
            (),
            _KINDS.get(data[27], FILE if data[27] >= _REAL_TIME else "special"),
            size,
            [],
            None,
            [stamp for stamp in times if stamp],
            (permissions >> 10 & 7) << 6 | (permissions >> 5 & 7) << 3 | permissions & 7,
            (_u32(data, 36), _u32(data, 40)),
        )
        way = _u16(data, 34) & 7
        listed = data[begin : begin + held]
        if way == 3:
            node.inline = listed[:size]
        elif way in (0, 1):
            node.extents = list(self._extents(listed, size, address.partition, is_long=way == 1))
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
            number = _u16(listed, at + 8) if is_long else partition
            kind, length = length >> 30, length & 0x3FFFFFFF
            at += width
            if not length:
                return
            if kind == 3:
                data = self._descriptor(Address(number, block, length))
                if _tag(data) != _EXTENT or block in seen:
                    raise EvidenceError("corrupt", "UDF: the list of a file's extents does not go on")
                seen.add(block)
                listed, at = data[24 : 24 + _u32(data, 20)], 0
                continue
            length = min(length, size)
            size -= length
            if kind:
                yield -1, length
            else:
                yield from self._places(Address(number, block, length))

    def walk(self) -> Iterator[Node | EvidenceError]:
        """Every file and folder below the root, and what could not be followed."""
        waiting: list[tuple[tuple[bytes, ...], Address, bool]] = [((), self._root, False)]
        seen: set[tuple[int, int]] = set()
        left = _MOST_RECORDS
        while waiting:
            path, address, is_deleted = waiting.pop()
            if (address.partition, address.block) in seen:
                continue
            seen.add((address.partition, address.block))
            below = []
            try:
                for flags, raw, place in self._names(self._entry(address)):
                    left -= 1
                    if left < 0:
                        yield EvidenceError("limit", f"UDF: more than {_MOST_RECORDS} entries")
                        return
                    gone = is_deleted or bool(flags & _IS_DELETED)
                    try:
                        node = self._entry(place)
                    except EvidenceError as error:
                        if not gone:  # what is deleted is seldom there
                            yield error
                        continue
                    node.path, node.hidden, node.deleted = (*path, raw), bool(flags & _IS_HIDDEN), gone
                    if node.kind == SYMLINK:
                        node.link = _target(self.read(node, MOST_TARGET))
                    yield node
                    if node.kind == FOLDER and not gone:
                        below.append((node.path, place, gone))
            except EvidenceError as error:
                yield error
            waiting += reversed(below)

    def _names(self, folder: Node) -> Iterator[tuple[int, bytes, Address]]:
        """Flags, name and place of each entry of a folder.

        Raises:
            EvidenceError: corrupt, truncated; after the last good entry.
        """
        if folder.kind != FOLDER:
            raise EvidenceError("corrupt", "UDF: a folder is none")
        data, at = self.read(folder, _MOST_FOLDER), 0
        while at + 38 <= len(data):
            if _tag(data[at : at + 16]) != _NAME:
                raise EvidenceError("corrupt", f"UDF: no name at {at} of a folder")
            flags, length = data[at + 18], data[at + 19]
            begin = at + 38 + _u16(data, at + 36)
            if not flags & _IS_PARENT and length:
                yield flags, data[begin : begin + length], _long(data, at + 20)
            at = (begin + length + 3) & ~3
        if len(data) < folder.size:
            raise EvidenceError("truncated", f"UDF: {folder.size - len(data)} bytes of a folder are missing")

    def read(self, node: Node, most: int) -> bytes:
        """Up to `most` bytes of a file."""
        if node.inline is not None:
            return node.inline[:most]
        held = bytearray()
        for start, size in node.extents:
            size = min(size, most - len(held))
            held += bytes(size) if start < 0 else self._stream.at(start, size)
        return bytes(held)


def name_of(raw: bytes) -> str:
    """A compressed Unicode name: behind a byte that says how wide its characters are."""
    if raw[:1] in (b"\x10", b"\xff"):
        return raw[1:].decode("utf-16-be", "replace")
    return raw[1:].decode("latin-1")


def _target(data: bytes) -> str:
    """Where a link leads: its parts, a kind and a name each."""
    parts, at = [], 0
    while at + 4 <= len(data):
        kind, size = data[at], data[at + 1]
        name = name_of(data[at + 4 : at + 4 + size])
        parts.append({1: "", 2: "", 3: "..", 4: "."}.get(kind, name))
        at += 4 + size
    return "/".join(parts) or "/" * bool(data)


@lru_cache(maxsize=4096)
def read_time(kind: str, raw: bytes, origin: str) -> Timestamp | None:
    """Twelve bytes: zone, year down to seconds, and three pairs of digits behind them."""
    if len(raw) < 12 or not any(raw[2:]):
        return None
    zone, year, month, day, hour, minute, second, centi, hundreds, micro = struct.unpack("<Hh8B", raw)
    minutes = (zone & 0xFFF) - (0x1000 if zone & 0x800 else 0)
    is_local, is_known = zone >> 12 == 1, zone >> 12 == 0 or abs(minutes) < 1440
    try:
        micros = min(centi, 99) * 10_000 + min(hundreds, 99) * 100 + min(micro, 99)
        offset = timezone(timedelta(minutes=minutes)) if is_local and is_known else UTC
        at = datetime(year, month, day, hour, minute, second, micros, tzinfo=offset).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return Timestamp(kind, at, origin, 1e-6, zone_known=is_known)


def _tag(data: bytes) -> int:
    """Which descriptor begins here; 0 where none does."""
    head = data[:16]
    if len(head) < 16 or (sum(head) - head[4]) & 0xFF != head[4]:
        return 0
    return _u16(head, 0)


def _long(data: bytes, at: int) -> Address:
    size, block, partition = struct.unpack_from("<IIH", data.ljust(at + 16, b"\0"), at)
    return Address(partition, block, size & 0x3FFFFFFF)


def _u16(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "little")


def _u32(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")
