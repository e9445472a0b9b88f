"""Blocks of RAR archives, old (1.5 to 4) and new (5 to 7), as they stand: names, times, sizes, flags.

A block whose checksum fails ends the walk, unless one that fits stands within the next MiB.

Source: RAR technote (techdoc of unRAR 3 for the old blocks; "RAR 5.0 archive format" for the new).
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

from msgspec import Struct, field

from indexer.handler import Stream
from indexer.model import Field, Problem, Timestamp
from indexer.timestamps import from_dos, from_filetime, from_unix

OLD, NEW = b"Rar!\x1a\x07\x00", b"Rar!\x1a\x07\x01\x00"
MAIN, MEMBER, SERVICE, CRYPT, END = "main", "member", "service", "crypt", "end"
OLD_TYPES = {0x73: MAIN, 0x74: MEMBER, 0x7A: SERVICE, 0x7B: END}
NEW_TYPES = {1: MAIN, 2: MEMBER, 3: SERVICE, 4: CRYPT, 5: END}
HOSTS = ("MS-DOS", "OS/2", "Windows", "Unix", "Mac OS", "BeOS")
MOST_HEADER = 2 << 20
SCAN = 1 << 20
UNIX = 3


class Block(Struct):
    """One block; what only members have stays empty on the others.

    Attributes:
        new: whether it is of RAR 5 or later.
        flags: the block's own, as they stand.
        before, after: the data come from the volume before, go on in the next.
        pieces: where the data are, one piece a volume; none where they lie in one.
        window: bytes of dictionary that unpacking asks for.
    """

    new: bool
    at: int
    type: str
    flags: int
    start: int
    packed: int
    end: int
    size: int = 0
    raw: bytes = b""
    name: str | None = None
    folder: bool = False
    host: int = 0
    attributes: int = 0
    method: int = 0
    version: int = 0
    window: int = 0
    crc: int | None = None
    encrypted: bool = False
    solid: bool = False
    before: bool = False
    after: bool = False
    link: tuple[int, bytes] | None = None
    volume: int | None = None
    pieces: list[tuple[int, int]] = field(default_factory=list)
    times: list[Timestamp] = field(default_factory=list)
    fields: list[Field] = field(default_factory=list)
    service: bytes = b""

    @property
    def locked(self) -> bool:
        """Whether all blocks behind this one are encrypted."""
        return self.type == CRYPT or (self.type == MAIN and not self.new and bool(self.flags & 0x80))


class Damage(Struct, frozen=True):
    """Where the walk met what is no block, and where it went on."""

    at: int
    end: int
    problem: Problem


def find_start(stream: Stream) -> tuple[int, bool] | None:
    """Where an archive begins and whether it is a new one: at 0, or within the first MiB of a program."""
    if not stream.head.startswith((b"MZ", b"\x7fELF")):
        data, places = stream.head[:8], [0] if stream.head.startswith(OLD[:6]) else []
    else:
        data = stream.at(0, SCAN)
        places = [match.start() for match in re.finditer(re.escape(OLD[:6]), data)]
    for at in places[:64]:
        for mark, new in ((OLD, False), (NEW, True)):
            if data.startswith(mark, at):
                first = read_block(stream, at + len(mark), new)
                if at == 0 or (first and first.type in (MAIN, CRYPT)):
                    return at, new
    return None


def walk(stream: Stream, offset: int, new: bool) -> Iterator[Block | Damage]:
    """The blocks in their order, up to the block that ends the archive."""
    position = offset + len(NEW if new else OLD)
    while position < stream.size:
        block = read_block(stream, position, new)
        if block is None:
            found = _find_block(stream, position + 1, new)
            cause = "truncated" if not found and _breaks_off(stream, position, new) else "corrupt"
            message = f"no valid block at {position}" + (f"; the next one stands at {found}" if found else "")
            yield Damage(position, found or stream.size, Problem(cause, message))  # type: ignore[arg-type]
            if not found:
                return
            position = found
            continue
        yield block
        if block.type == END or block.locked:
            return
        position = block.end


def _breaks_off(stream: Stream, at: int, new: bool) -> bool:
    """Whether the header at an offset is longer than what is left."""
    head = stream.at(at, 7)
    if len(head) < 7:
        return True
    length = 0
    if new:
        with suppress(IndexError):
            length = 4 + _Cursor(head, 4).number()
    else:
        length = int.from_bytes(head[5:], "little")
    return at + length > stream.size


def read_block(stream: Stream, at: int, new: bool, *, quick: bool = False) -> Block | None:
    """The block at an offset, or None where its checksum does not fit; a `quick` look is for a search."""
    try:
        return _read_new(stream, at) if new else _read_old(stream, at, quick)
    except (struct.error, IndexError, OverflowError):
        return None


def _find_block(stream: Stream, position: int, new: bool) -> int:
    data = stream.at(position, SCAN)
    if not new:
        for match in re.finditer(rb"[\x74\x7a]", data):
            if (at := position + match.start() - 2) >= position and read_block(stream, at, False, quick=True):
                return at
        return 0
    for match in re.finditer(rb"(?=(?:[\x0c-\x7f]|[\x80-\xff][\x01-\x7f])\x02[\x00-\x1f])", data):
        if (at := position + match.start() - 4) >= position and read_block(stream, at, True):
            return at
    return 0


# -- RAR 1.5 to 4 -----------------------------------------------------------------------------------


def _read_old(stream: Stream, at: int, quick: bool) -> Block | None:
    head = stream.at(at, 7)
    if len(head) < 7:
        return None
    crc, number, flags, length = struct.unpack("<HBHH", head)
    if length < 7 or (quick and not 32 <= length <= 4096):
        return None
    head = stream.at(at, length)
    kind = OLD_TYPES.get(number, "other")
    # The checksum of a main or service block does not cover an old comment inside it.
    covered = head[2:13] if kind == MAIN and flags & 2 else head[2:]
    if len(head) < length or (zlib.crc32(covered) & 0xFFFF != crc and not (kind == MEMBER and flags & 8)):
        return None
    added = struct.unpack_from("<I", head, 7)[0] if flags & 0x8000 and length >= 11 else 0
    block = Block(False, at, kind, flags, at + length, added, at + length + added)
    if kind == END and flags & 8:
        place = 7 + 4 * bool(flags & 2)
        block.volume = struct.unpack_from("<H", head, place)[0]
    if kind in (MEMBER, SERVICE):
        _old_member(block, head)
    return block


def _old_member(block: Block, head: bytes) -> None:
    packed, size, block.host, crc, time, date, block.version, method, length, block.attributes = struct.unpack_from(
        "<IIBIHHBBHI", head, 7
    )
    place = 32
    flags = block.flags
    if flags & 0x100:
        high_packed, high_size = struct.unpack_from("<II", head, place)
        packed, size = packed | high_packed << 32, size | high_size << 32
        place += 8
    block.packed, block.size, block.end = packed, size, block.start + packed
    block.method = method - 0x30
    held = head[place : place + length]
    place += length
    block.before, block.after = bool(flags & 1), bool(flags & 2)
    block.encrypted, block.solid = bool(flags & 4), bool(flags & 0x10)
    block.folder = flags & 0xE0 == 0xE0 or (block.version < 20 and bool(block.attributes & 0x10))
    block.window = 0x10000 << (flags >> 5 & 7) if flags & 0xE0 != 0xE0 else 0
    block.crc = None if block.after or block.folder else crc
    plain, zero, packed_name = held.partition(b"\0")
    if block.type == SERVICE:
        block.service = held
    elif flags & 0x200 and zero:
        block.raw, block.name = plain, _unpack_name(plain, packed_name)
    elif flags & 0x200:
        block.raw, block.name = held, _utf8(held)
    else:
        block.raw = held
    if flags & 0x400:
        place += 8
    stamps = [from_dos("M", date, time, "rar.mtime")]
    if flags & 0x1000 and place + 2 <= len(head):
        stamps = list(_old_times(head, place, date, time))
    block.times = [stamp for stamp in stamps if stamp]


def _old_times(head: bytes, place: int, date: int, time: int) -> Iterator[Timestamp | None]:
    """Modified, created, accessed, archived: DOS times with up to three bytes of fraction each."""
    flags = struct.unpack_from("<H", head, place)[0]
    place += 2
    for number, (kind, origin) in enumerate((("M", "mtime"), ("B", "ctime"), ("A", "atime"), ("archived", "arctime"))):
        bits = flags >> 4 * (3 - number)
        if not bits & 8:
            if not number:
                yield from_dos("M", date, time, "rar.mtime")
            continue
        if number:
            if place + 4 > len(head):
                return
            time, date = struct.unpack_from("<HH", head, place)
            place += 4
        count = bits & 3
        ticks = int.from_bytes(bytes(3 - count) + head[place : place + count], "little")
        place += count
        stamp = from_dos(kind, date, time, f"rar.{origin}")
        if stamp:
            at = stamp.at + timedelta(seconds=bool(bits & 4), microseconds=ticks // 10)
            resolution = (1.0, 0.01, 0.0001, 1e-7)[count]
            yield Timestamp(kind, at, stamp.origin, resolution, zone_known=False)


def _unpack_name(plain: bytes, packed: bytes) -> str | None:
    """The UTF-16 name, kept as differences to the 8-bit one; None where they make no sense."""
    if not packed:
        return None
    high, place, left, bits = packed[0], 1, 0, 0
    units: list[int] = []
    while place < len(packed) and len(units) < 65536:
        if not left:
            bits, left = packed[place], 4
            place += 1
        left -= 1
        code = bits >> 6
        bits = bits << 2 & 0xFF
        step = packed[place : place + 2]
        if code == 0 and step:
            units.append(step[0])
            place += 1
        elif code == 1 and step:
            units.append(step[0] | high << 8)
            place += 1
        elif code == 2 and len(step) == 2:
            units.append(step[0] | step[1] << 8)
            place += 2
        elif code == 3 and step:
            count, correction = (step[0] & 0x7F) + 2, 0
            top = 0
            place += 1
            if step[0] & 0x80:
                if len(step) < 2:
                    break
                correction, top = step[1], high << 8
                place += 1
            run = plain[len(units) : len(units) + count]
            units += [(byte + correction & 0xFF) | top for byte in run]
    try:
        return b"".join(struct.pack("<H", unit) for unit in units).decode("utf-16-le")
    except UnicodeDecodeError:
        return None


def _utf8(raw: bytes) -> str | None:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return None


# -- RAR 5 and later --------------------------------------------------------------------------------


class _Cursor:
    """Reads a header's values one after another; raises IndexError behind its end."""

    def __init__(self, data: bytes, place: int = 0) -> None:
        self.data = data
        self.place = place

    def number(self) -> int:
        """A value of seven bits a byte, the lowest first."""
        value = 0
        for shift in range(0, 70, 7):
            byte = self.data[self.place]
            self.place += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise IndexError("a value of more than ten bytes")

    def take(self, count: int) -> bytes:
        if self.place + count > len(self.data):
            raise IndexError("behind the end of the header")
        self.place += count
        return self.data[self.place - count : self.place]

    def fixed(self, form: str) -> int:
        value: int = struct.unpack(form, self.take(struct.calcsize(form)))[0]
        return value


def _read_new(stream: Stream, at: int) -> Block | None:
    start = _Cursor(stream.at(at, 7), 4)
    length = start.number()
    if not 1 < length <= MOST_HEADER or start.place > 7:
        return None
    data = stream.at(at, start.place + length)
    if len(data) < start.place + length or zlib.crc32(data[4:]) != int.from_bytes(data[:4], "little"):
        return None
    head = _Cursor(data, start.place)
    number, flags = head.number(), head.number()
    extra = head.number() if flags & 1 else 0
    packed = head.number() if flags & 2 else 0
    begin = at + len(data)
    block = Block(True, at, NEW_TYPES.get(number, "other"), flags, begin, packed, begin + packed)
    block.before, block.after = bool(flags & 8), bool(flags & 0x10)
    if block.type == MAIN:
        block.attributes = head.number()
        if block.attributes & 2:
            block.volume = head.number()
    elif block.type == END:
        block.attributes = head.number()
    elif block.type in (MEMBER, SERVICE):
        _new_member(block, head)
    if extra and extra <= len(data):
        _new_extras(block, _Cursor(data, len(data) - extra))
    return block


def _new_member(block: Block, head: _Cursor) -> None:
    flags, block.size, block.attributes = head.number(), head.number(), head.number()
    block.folder = bool(flags & 1)
    if flags & 2 and (stamp := from_unix("M", head.fixed("<I"), "rar.mtime")):
        block.times.append(stamp)
    if flags & 4:
        crc = head.fixed("<I")
        block.crc = None if block.after or block.folder else crc
    packing = head.number()
    block.host = (2, UNIX)[min(head.number(), 1)]
    block.version, block.solid, block.method = packing & 0x3F, bool(packing & 0x40), packing >> 7 & 7
    block.window = 0x20000 << (packing >> 10 & 0x1F) if not block.folder else 0
    if flags & 8:
        block.fields.append(Field("rar.size_unknown", True))
        block.size = 0
    block.raw = head.take(head.number())
    if block.type == SERVICE:
        block.service, block.raw = block.raw, b""
    else:
        block.name = _utf8(block.raw)


def _new_extras(block: Block, extra: _Cursor) -> None:
    """Encryption, times, links, owners; a record that does not fit ends the reading of them."""
    while extra.place < len(extra.data):
        try:
            size = extra.number()
            record = _Cursor(extra.take(size))
            _new_extra(block, record.number(), record)
        except (IndexError, struct.error):
            return


def _new_extra(block: Block, kind: int, record: _Cursor) -> None:
    if block.type not in (MEMBER, SERVICE):
        return
    if kind == 1:
        block.encrypted = True
    elif kind == 2:
        if not record.number():
            block.fields.append(Field("rar.blake2sp", record.take(32).hex()))
    elif kind == 3:
        block.times = _new_times(record) or block.times
    elif kind == 4:
        record.number()
        block.fields.append(Field("rar.version", record.number()))
    elif kind == 5:
        link, _ = record.number(), record.number()
        block.link = (link, record.take(record.number()))
    elif kind == 6:
        flags = record.number()
        for bit, name in ((1, "rar.user"), (2, "rar.group")):
            if flags & bit:
                block.fields.append(Field(name, record.take(record.number()).decode("utf-8", "replace")))
        for bit, name in ((4, "rar.uid"), (8, "rar.gid")):
            if flags & bit:
                block.fields.append(Field(name, record.number()))
    elif kind == 7:
        block.raw = record.take(len(record.data) - record.place)


def _new_times(record: _Cursor) -> list[Timestamp]:
    flags = record.number()
    found: list[tuple[str, str, int]] = []
    kinds = [
        (kind, origin) for bit, kind, origin in ((2, "M", "mtime"), (4, "B", "ctime"), (8, "A", "atime")) if flags & bit
    ]
    for kind, origin in kinds:
        found.append((kind, f"rar.{origin}", record.fixed("<I" if flags & 1 else "<Q")))
    parts = [record.fixed("<I") & 0x3FFFFFFF if flags & 0x11 == 0x11 else 0 for _ in found]
    stamps = [
        from_unix(kind, value, origin, nanoseconds=part, resolution=1e-9 if flags & 0x10 else 1.0)
        if flags & 1
        else from_filetime(kind, value, origin)
        for (kind, origin, value), part in zip(found, parts, strict=True)
    ]
    return [stamp for stamp in stamps if stamp]
