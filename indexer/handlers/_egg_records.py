"""The records of an EGG archive, in their order; what is damaged between them is a gap.

Source: OctopusET, "EGG Archive Format Specification" 1.0, sections 2 to 10.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from msgspec import Struct, field

from indexer.handler import Stream
from indexer.handlers._archive import Gap

ARCHIVE, END = b"EGGA", b"\x22\x82\xe2\x08"
SPLIT, SOLID, LOCKED = b"\x62\xa2\xf5\x24", b"\x60\xa0\xe5\x24", b"\xa8\x44\xd1\x08"
FILE_HEAD, BLOCK_HEAD = b"\xe3\x90\x85\x0a", b"\x13\x0c\xb5\x02"
NAME, REMARK, WINDOWS = b"\xac\x91\x85\x0a", b"\x72\x36\xc6\x04", b"\x0b\x95\x86\x2c"
POSIX, ENCRYPTION = b"\xe5\x22\xe9\x1e", b"\x0f\x47\xd1\x08"
HEAD = 14
HIDDEN, CODED, RELATIVE = 8, 16, 32
MOST_TEXT = 64 * 1024
MOST_BLOCKS = 100_000
MOST_RECORDS = 1000
SCAN = 1 << 20


class Prefix(Struct):
    """What stands before the first member."""

    version: int
    number: int
    previous: int = 0
    following: int = 0
    solid: bool = False
    locked: bool = False
    end: int = HEAD


class Block(Struct, frozen=True):
    """A part of a member, packed by itself."""

    method: int
    size: int
    packed: int
    crc: int
    start: int
    before: int
    """Packed bytes of the member that stand before it."""


class Member(Struct):
    """One file or folder."""

    at: int
    number: int
    size: int
    name: bytes = b""
    page: int = 0
    hidden: bool = False
    above: int | None = None
    comments: list[tuple[bytes, int]] = field(default_factory=list)
    filetime: int = 0
    attributes: int = 0
    posix: tuple[int, int, int, int] | None = None
    lock: bytes = b""
    blocks: list[Block] = field(default_factory=list)
    end: int = 0


class Remark(Struct, frozen=True):
    """A comment on the archive, and the code page it is written in."""

    text: bytes
    page: int


def read_prefix(stream: Stream) -> Prefix:
    """The records before the first member; as far as they are sound."""
    head = stream.at(0, HEAD).ljust(HEAD, b"\0")
    version, number = struct.unpack_from("<HI", head, 4)
    prefix = Prefix(version, number)
    position = HEAD
    while extra := _read_extra(stream, position):
        mark, _, data, end = extra
        if mark == SPLIT and len(data) >= 8:
            prefix.previous, prefix.following = struct.unpack_from("<II", data)
        prefix.solid |= mark == SOLID
        prefix.locked |= mark == LOCKED
        position = end
    prefix.end = position + 4 if stream.at(position, 4) == END else position
    return prefix


def _read_extra(stream: Stream, position: int) -> tuple[bytes, int, bytes, int] | None:
    """Mark, flags, data and end of a record that says its own length; None where another kind stands."""
    head = stream.at(position, 9)
    mark = head[:4]
    if len(head) < 7 or mark in (END, FILE_HEAD, BLOCK_HEAD, ARCHIVE):
        return None
    wide = head[4] & 1
    size = int.from_bytes(head[5:9] if wide else head[5:7], "little")
    start = position + (9 if wide else 7)
    if start + size > stream.size:
        return None
    return mark, head[4], stream.at(start, min(size, MOST_TEXT)), start + size


def walk(stream: Stream, position: int) -> Iterator[Member | Remark | Gap]:
    """Members and comments from the end of the prefix on."""
    while position < stream.size:
        mark = stream.at(position, 4)
        if mark == FILE_HEAD:
            member = _read_member(stream, position)
            if member:
                yield member
                position = member.end
                continue
        elif mark == REMARK and (extra := _read_extra(stream, position)):
            yield Remark(*_coded(extra[1], extra[2]))
            position = extra[3]
            continue
        elif mark == END and position + 4 == stream.size:
            return
        found = _find_member(stream, position + 1)
        end = found or stream.size
        if mark == END and not found:
            position += 4
            message = f"{end - position} bytes behind the end, at {position}"
            yield Gap(position, end - position, "corrupt", message, "[after the archive]")
        elif mark != END:
            cut = not found and (mark == FILE_HEAD or end - position < 4)
            message = f"no valid header at {position}" + (f"; the next one stands at {found}" if found else "")
            yield Gap(position, end - position, "truncated" if cut else "corrupt", message, f"[damaged at {position}]")
        if not found:
            return
        position = end
    yield Gap(stream.size, 0, "truncated", "the archive has no end mark", "")


def _find_member(stream: Stream, position: int) -> int:
    while len(data := stream.at(position, SCAN)) > 3:
        at = data.find(FILE_HEAD)
        while at >= 0:
            if _read_member(stream, position + at):
                return position + at
            at = data.find(FILE_HEAD, at + 1)
        position += len(data) - 3
    return 0


def _coded(flags: int, data: bytes) -> tuple[bytes, int]:
    """The text and its code page: UTF-8, or the one that stands before it; 0 where it is not told."""
    if not flags & CODED:
        return data, 65001
    return data[2:], int.from_bytes(data[:2], "little")


def _read_member(stream: Stream, at: int) -> Member | None:
    head = stream.at(at, 16)
    if len(head) < 16:
        return None
    member = Member(at, *struct.unpack_from("<IQ", head, 4))
    position = at + 16
    for _ in range(MOST_RECORDS):
        extra = _read_extra(stream, position)
        if extra is None:
            break
        mark, flags, data, end = extra
        if mark == NAME:
            member.hidden = bool(flags & HIDDEN)
            member.name, member.page = _coded(flags, data)
            if flags & RELATIVE:
                member.above, member.name = int.from_bytes(member.name[:4], "little"), member.name[4:]
        elif mark == REMARK and not flags & HIDDEN:
            member.comments.append(_coded(flags, data))
        elif mark == WINDOWS and len(data) >= 9:
            member.filetime, member.attributes = struct.unpack_from("<QB", data)
        elif mark == POSIX and len(data) >= 20:
            member.posix = struct.unpack_from("<IIIQ", data)
        elif mark == ENCRYPTION:
            member.lock = data
        position = end
    if stream.at(position, 4) != END:
        return None
    position += 4
    before = 0
    while len(block := stream.at(position, 22)) == 22 and block[:4] == BLOCK_HEAD and block[18:] == END:
        method, _, size, packed, crc = struct.unpack_from("<BBIII", block, 4)
        if len(member.blocks) < MOST_BLOCKS:
            member.blocks.append(Block(method, size, packed, crc, position + 22, before))
            before += packed
        position += 22 + packed
    member.end = position
    return member
