"""Cabinets as they stand: header, folders, files, and the blocks of folders that are stored or MSZIP.

Source: [MS-CAB] 2.1 to 2.4, 3.1 (checksums); [MS-MCI] (MSZIP).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Generator

from msgspec import Struct, field

from indexer.errors import EvidenceError
from indexer.handler import Stream

PREVIOUS, NEXT, RESERVED = 1, 2, 4
METHODS = {0: "stored", 1: "MSZIP", 2: "Quantum", 3: "LZX"}
HISTORY = 32768
MOST_NAME = 1024
FROM_PREVIOUS, TO_NEXT, BOTH = 0xFFFD, 0xFFFE, 0xFFFF


class Folder(Struct):
    """A run of blocks that are packed as one."""

    start: int
    blocks: int
    method: int


class Member(Struct):
    """One file: its place in the unpacked bytes of its folder."""

    name: bytes
    size: int
    offset: int
    folder: int
    date: int
    time: int
    attributes: int


class Cabinet(Struct):
    """Everything the headers say; `trouble` tells where they stopped making sense."""

    size: int
    number: int
    reserve: int
    before: tuple[bytes, bytes] | None = None
    after: tuple[bytes, bytes] | None = None
    folders: list[Folder] = field(default_factory=list)
    members: list[Member] = field(default_factory=list)
    trouble: EvidenceError | None = None


def read_cabinet(stream: Stream) -> Cabinet:
    """The headers, as far as they make sense.

    Raises:
        EvidenceError: where not even the first one is whole.
    """
    head = stream.at(0, 36)
    if len(head) < 36:
        raise EvidenceError("truncated", "the header is cut short")
    size, files, folder_count, file_count, flags, _, number = struct.unpack_from("<8xI4xI4x2x5H", head)
    cabinet = Cabinet(size, number, 0)
    at = 36
    folder_reserve = 0
    if flags & RESERVED:
        header_reserve, folder_reserve, cabinet.reserve = struct.unpack("<HBB", stream.at(at, 4).ljust(4, b"\0"))
        at += 4 + header_reserve
    if flags & PREVIOUS:
        cabinet.before, at = _names(stream, at)
    if flags & NEXT:
        cabinet.after, at = _names(stream, at)
    for _ in range(folder_count):
        entry = stream.at(at, 8)
        if len(entry) < 8:
            cabinet.trouble = EvidenceError("truncated", "the list of folders is cut short")
            return cabinet
        cabinet.folders.append(Folder(*struct.unpack("<IHH", entry)))
        at += 8 + folder_reserve
    _read_members(stream, cabinet, files, file_count)
    return cabinet


def _names(stream: Stream, at: int) -> tuple[tuple[bytes, bytes], int]:
    """The names of a cabinet and of its disk, and the offset behind them."""
    data = stream.at(at, 2 * MOST_NAME)
    cabinet, _, rest = data.partition(b"\0")
    disk = rest.partition(b"\0")[0]
    return (cabinet, disk), at + len(cabinet) + len(disk) + 2


def _read_members(stream: Stream, cabinet: Cabinet, at: int, count: int) -> None:
    for number in range(count):
        entry = stream.at(at, 16 + MOST_NAME)
        name, zero, _ = entry[16:].partition(b"\0")
        if not zero:
            cause = EvidenceError("truncated", f"the list of files is cut short behind {number} of {count}")
            cabinet.trouble = cause
            return
        size, offset, folder, date, time, attributes = struct.unpack_from("<IIHHHH", entry)
        cabinet.members.append(Member(name, size, offset, folder, date, time, attributes))
        at += 16 + len(name) + 1


def place_of(cabinet: Cabinet, member: Member) -> int:
    """The number of the folder that a member's bytes are in, as far as this cabinet holds them."""
    if member.folder in (FROM_PREVIOUS, BOTH):
        return 0
    return max(0, len(cabinet.folders) - 1) if member.folder == TO_NEXT else member.folder


Spoilt = tuple[int, int, str]
"""Where unpacked bytes begin and end that do not fit their checksum, and what to say of them."""


def unpack(stream: Stream, cabinet: Cabinet, folder: Folder, spoilt: list[Spoilt]) -> Generator[bytes, None, None]:
    """The unpacked bytes of a stored or MSZIP folder, block by block; `spoilt` is told what is doubtful.

    Raises:
        EvidenceError: after the last good block.
    """
    at = folder.start
    history, made = b"", 0
    for number in range(folder.blocks):
        head = stream.at(at, 8 + cabinet.reserve)
        if len(head) < 8 + cabinet.reserve:
            raise EvidenceError("truncated", f"block {number} of {folder.blocks} is missing")
        checksum, packed, size = struct.unpack_from("<IHH", head)
        data = stream.at(at + len(head), packed)
        if not size and number == folder.blocks - 1:
            raise EvidenceError("truncated", "goes on in the next cabinet")
        at += len(head) + packed
        chunk = data if not folder.method & 15 else _inflate(data, history, number)
        history = (history + chunk)[-HISTORY:]
        if checksum and len(data) == packed and checksum != _checksum(head[4:], _checksum(data, 0)):
            spoilt.append((made, made + len(chunk), f"the checksum of block {number} does not fit"))
        made += min(len(chunk), size)
        yield chunk[:size] if len(data) == packed else chunk
        if len(data) < packed:
            raise EvidenceError("truncated", f"{packed - len(data)} bytes of block {number} are missing")
        if len(chunk) < size:
            raise EvidenceError("corrupt", f"block {number} unpacks to less than it should")


def _inflate(data: bytes, history: bytes, number: int) -> bytes:
    if data[:2] != b"CK":
        raise EvidenceError("corrupt", f"MSZIP: block {number} does not begin as it must")
    decoder = zlib.decompressobj(-15, zdict=history)
    try:
        return decoder.decompress(data[2:], 2 * HISTORY)
    except zlib.error as error:
        raise EvidenceError("corrupt", f"MSZIP: block {number} does not unpack") from error


def _checksum(data: bytes, seed: int) -> int:
    """Words of four bytes, xored; up to three bytes at the end count from the highest down."""
    whole = len(data) & ~3
    value = int.from_bytes(data[:whole], "little")
    # The halves of one number on each other, down to a word: ten times as fast as word by word.
    for power in range(max(5, (8 * whole - 1).bit_length() - 1), 4, -1):
        width = 1 << power
        value = value >> width ^ value & (1 << width) - 1
    return seed ^ value ^ int.from_bytes(data[whole:], "big")
