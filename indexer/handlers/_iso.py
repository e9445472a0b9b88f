"""ISO 9660 as it stands: volume descriptors, directory trees with Joliet and Rock Ridge, zisofs.

Directories are walked without recursion, each extent once, so that loops end.

Source: ECMA-119 (ISO 9660), 8.4, 8.5, 9.1; Joliet Specification of 1995; IEEE P1281 (SUSP) and P1282
(Rock Ridge, RRIP 1.12); "El Torito" 1.0; zisofs of Linux, fs/isofs/compress.c for the format.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from itertools import pairwise

from msgspec import Struct, field

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._streams import Slice
from indexer.limits import MIB
from indexer.model import Timestamp

SECTOR = 2048
FIRST = 16 * SECTOR
JOLIET = (b"%/@", b"%/C", b"%/E")
MOST_DESCRIPTORS = 64
MOST_DIRECTORY = 64 * MIB
MOST_RECORDS = 2_000_000
MOST_CONTINUED = 32
DIRECTORY, CONTINUED = 2, 0x80
PIECE = 256 * 1024
ZISOFS = b"\x37\xe4\x53\x96\xc9\xdb\xd6\x07"


class Volume(Struct):
    """A primary or supplementary descriptor."""

    joliet: bool
    data: bytes
    base: int = 0
    """The block of the disc with which the image begins: not 0 for a later session that stands alone."""

    @property
    def block(self) -> int:
        return int.from_bytes(self.data[128:130], "little") or SECTOR

    def text(self, start: int, end: int) -> bytes:
        """A text field without its padding."""
        return self.data[start:end].rstrip(b" \0") if not self.joliet else self.data[start:end]


class Record(Struct):
    """One file or folder; `path` holds the raw names from the root down."""

    path: tuple[bytes, ...]
    flags: int
    extents: list[tuple[int, int]]
    times: list[Timestamp]
    rock: bool = False
    mode: int | None = None
    owner: tuple[int, int, int] = (0, 0, 0)
    link: bytes | None = None
    device: tuple[int, int] | None = None
    unpacked: int | None = None
    child: int | None = None
    """Where a folder stands that was moved to keep the tree flat."""
    moved: bool = False
    names: list[bytes] = field(default_factory=list)

    @property
    def folder(self) -> bool:
        return bool(self.flags & DIRECTORY) or self.child is not None

    @property
    def size(self) -> int:
        return sum(size for _, size in self.extents)


def read_volumes(stream: Stream, session: int = 0) -> tuple[list[Volume], int]:
    """The descriptors of trees in their order, and the block of the boot catalogue (0 where there is none).

    Args:
        session: the sector with which the session begins.
    """
    volumes: list[Volume] = []
    catalogue = 0
    for number in range(MOST_DESCRIPTORS):
        data = stream.at(FIRST + (session + number) * SECTOR, SECTOR)
        if len(data) < 190 or data[1:6] != b"CD001":
            break
        if data[0] == 255:
            break
        if data[0] == 0 and data[7:30] == b"EL TORITO SPECIFICATION":
            catalogue = int.from_bytes(data[71:75], "little")
        elif data[0] == 1 or (data[0] == 2 and data[88:91] in JOLIET):
            volumes.append(Volume(data[0] == 2, data))
    return volumes, catalogue


@lru_cache(maxsize=4096)
def long_time(kind: str, raw: bytes, origin: str) -> Timestamp | None:
    """Seventeen bytes: digits down to hundredths, and the zone in quarters of an hour."""
    digits = raw[:16]
    if len(raw) < 17 or not digits.isdigit() or not digits.strip(b"0"):
        return None
    text = digits.decode("ascii")
    numbers = (int(text[:4]), *(int(text[at : at + 2]) for at in range(4, 16, 2)))
    return _time(kind, numbers, raw[16], origin)


@lru_cache(maxsize=4096)
def short_time(kind: str, raw: bytes, origin: str) -> Timestamp | None:
    """Seven bytes: year from 1900 down to seconds, and the zone in quarters of an hour."""
    if len(raw) < 7 or not any(raw[:6]):
        return None
    return _time(kind, (1900 + raw[0], *raw[1:6], 0), raw[6], origin)


def _time(kind: str, numbers: tuple[int, ...], zone: int, origin: str) -> Timestamp | None:
    quarters = zone - 256 if zone > 127 else zone
    year, month, day, hour, minute, second, hundredths = numbers
    try:
        offset = timezone(timedelta(minutes=15 * quarters))
        at = datetime(year, month, day, hour, minute, second, hundredths * 10_000, tzinfo=offset).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return Timestamp(kind, at, origin, 0.01 if hundredths else 1.0)


def walk(stream: Stream, volume: Volume) -> Iterator[Record | EvidenceError]:
    """Every file and folder below the root, and what could not be followed."""
    block = volume.block
    root = volume.data[156:190]
    where, length = struct.unpack_from("<I4xI", root, 2)
    waiting: list[tuple[tuple[bytes, ...], int, int]] = [((), where - volume.base, length)]
    seen = {waiting[0][1]}
    skip, rock = _find_rock(stream, waiting[0][1] * block)
    left = MOST_RECORDS
    while waiting:
        path, start, size = waiting.pop()
        below: list[tuple[tuple[bytes, ...], int, int]] = []
        for record in _read_directory(stream, volume, path, start, size, skip if rock else -1):
            left -= 1
            if left < 0:
                yield EvidenceError("limit", f"more than {MOST_RECORDS} directory records")
                return
            if isinstance(record, EvidenceError):
                yield record
                continue
            if record.moved:
                continue
            yield record
            if record.folder:
                where, length = record.extents[0]
                if record.child is not None:
                    where = record.child - volume.base
                    length = _length_of(stream, where * block)
                if where in seen:
                    yield EvidenceError("corrupt", f"a folder leads back to block {where}: not followed")
                    continue
                seen.add(where)
                below.append((record.path, where, length))
        waiting += reversed(below)


def _length_of(stream: Stream, at: int) -> int:
    """The size of a directory, as its own first record says."""
    head = stream.at(at, 14)
    return int.from_bytes(head[10:14], "little")


def _find_rock(stream: Stream, at: int) -> tuple[int, bool]:
    """How many bytes to skip in each system use area, and whether there are any to read."""
    head = stream.at(at, 255)
    if len(head) < 34 or not head[0]:
        return 0, False
    area = head[34 : head[0]]
    if len(area) >= 7 and area[:2] == b"SP" and area[4:6] == b"\xbe\xef":
        return area[6], True
    # Some writers leave the mark out.
    return 0, area[:2] in (b"RR", b"PX", b"ER")


def _read_directory(
    stream: Stream, volume: Volume, path: tuple[bytes, ...], start: int, size: int, skip: int
) -> Iterator[Record | EvidenceError]:
    block = volume.block
    data = stream.at(start * block, min(size, MOST_DIRECTORY))
    if len(data) < size:
        yield EvidenceError("truncated", f"{size - len(data)} bytes of a directory at block {start} are missing")
    at = 0
    unfinished: Record | None = None
    while at < len(data):
        length = data[at]
        if not length:
            at = (at // SECTOR + 1) * SECTOR
            continue
        raw = data[at : at + length]
        at += length
        if length < 34 or len(raw) < length or 33 + raw[32] > length:
            yield EvidenceError("corrupt", f"a directory record at block {start} makes no sense")
            return
        name = raw[33 : 33 + raw[32]]
        if name in (b"\0", b"\1"):
            continue
        where, length = struct.unpack_from("<I4xI", raw, 2)
        stamp = short_time("M", raw[18:25], "iso.recorded")
        record = Record((*path, name), raw[25], [(where + raw[1] - volume.base, length)], [stamp] if stamp else [])
        if skip >= 0:
            place = 33 + raw[32] + (1 - raw[32] % 2) + skip
            _read_rock(stream, volume, record, raw[place:])
        if record.names:
            record.path = (*path, b"".join(record.names))
        if unfinished is not None:
            unfinished.extents += record.extents
            record = unfinished
        unfinished = record if record.flags & CONTINUED and raw[25] & CONTINUED else None
        if unfinished is None:
            yield record
    if unfinished is not None:
        yield unfinished


def _read_rock(stream: Stream, volume: Volume, record: Record, area: bytes) -> None:
    """The entries of a system use area, continued elsewhere perhaps; each place is read once."""
    seen: set[tuple[int, int]] = set()
    link: list[bytes] = []
    while area:
        following: tuple[int, int, int] | None = None
        while len(area) >= 4:
            length = area[2]
            if length < 4 or length > len(area):
                break
            kind, body = area[:2], area[4:length]
            area = area[length:]
            if kind == b"CE" and len(body) >= 24:
                following = struct.unpack_from("<I4xI4xI", body)
            elif kind == b"ST":
                break
            else:
                _read_entry(record, kind, body, link)
        area = b""
        if following and following[:2] not in seen and len(seen) < MOST_CONTINUED:
            seen.add(following[:2])
            area = stream.at((following[0] - volume.base) * volume.block + following[1], min(following[2], SECTOR))
    if link:
        record.link = b"/".join(link) if link != [b""] else b"/"


def _read_entry(record: Record, kind: bytes, body: bytes, link: list[bytes]) -> None:
    if kind == b"PX" and len(body) >= 32:
        mode, links, uid, gid = struct.unpack_from("<I4xI4xI4xI", body)
        record.mode, record.owner, record.rock = mode, (uid, gid, links), True
    elif kind == b"NM" and body:
        record.rock = True
        if not body[0] & 6:
            record.names.append(body[1:])
    elif kind == b"SL" and body:
        _read_link(body[1:], link)
    elif kind == b"TF" and body:
        _read_times(record, body)
    elif kind == b"PN" and len(body) >= 16:
        record.device = struct.unpack_from("<I4xI", body)
    elif kind == b"CL" and len(body) >= 8:
        record.child = int.from_bytes(body[:4], "little")
    elif kind == b"RE":
        record.moved = True
    elif kind == b"ZF" and body[:2] == b"pz" and len(body) >= 12:
        record.unpacked = int.from_bytes(body[4:8], "little")


def _read_link(body: bytes, link: list[bytes]) -> None:
    """The components of a link's target; one may go on in the next entry."""
    while len(body) >= 2:
        flags, length = body[0], body[1]
        part = {2: b".", 4: b"..", 8: b""}.get(flags & 14, body[2 : 2 + length])
        if link and link[-1].endswith(b"\0"):
            link[-1] = link[-1][:-1] + part
        else:
            link.append(part)
        if flags & 1:
            link[-1] += b"\0"
        body = body[2 + length :]


def _read_times(record: Record, body: bytes) -> None:
    flags, at = body[0], 1
    width, read = (17, long_time) if flags & 0x80 else (7, short_time)
    stamps = []
    for bit, kind, origin in ((1, "B", "creation"), (2, "M", "modify"), (4, "A", "access"), (8, "C", "attributes")):
        if flags & bit:
            if stamp := read(kind, body[at : at + width], f"rock_ridge.{origin}"):
                stamps.append(stamp)
            at += width
    if stamps:
        modified = any(stamp.kind == "M" for stamp in stamps)
        record.times = stamps if modified else record.times + stamps


def read_extents(stream: Stream, block: int, extents: list[tuple[int, int]]) -> Iterator[bytes]:
    """The bytes of a file, extent after extent.

    Raises:
        EvidenceError: truncated, after the last byte there is.
    """
    for start, size in extents:
        piece = Slice(stream, start * block, size)
        while chunk := piece.read(PIECE):
            yield chunk


def unpack_zisofs(stream: Stream, block: int, record: Record) -> Iterator[bytes]:
    """The bytes of a file that was packed block by block; as they lie where they do not begin so.

    Raises:
        EvidenceError: corrupt, truncated; after the last good byte.
    """
    start, size = record.extents[0]
    at = start * block
    head = stream.at(at, 16)
    if head[:8] != ZISOFS or len(head) < 16 or not 15 <= head[13] <= 17:
        yield from read_extents(stream, block, record.extents)
        return
    whole, step = int.from_bytes(head[8:12], "little"), 1 << head[13]
    count = (whole + step - 1) // step + 1
    table = stream.at(at + 4 * head[12], 4 * min(count, size // 4))
    places = struct.unpack(f"<{len(table) // 4}I", table[: len(table) // 4 * 4])
    if len(places) < count:
        raise EvidenceError("truncated", "zisofs: the table of blocks is cut short")
    left = whole
    for first, last in pairwise(places):
        if last < first or last > size:
            raise EvidenceError("corrupt", "zisofs: a block lies outside its file")
        wanted = min(step, left)
        if first == last:
            yield bytes(wanted)
        else:
            decoder = zlib.decompressobj()
            try:
                chunk = decoder.decompress(stream.at(at + first, last - first), wanted)
            except zlib.error as error:
                raise EvidenceError("corrupt", "zisofs: a block does not unpack") from error
            yield chunk
            if len(chunk) < wanted:
                raise EvidenceError("truncated", "zisofs: a block unpacks to less than it should")
        left -= wanted


def boot_images(stream: Stream, catalogue: int) -> list[tuple[int, int]]:
    """Where the boot images of a catalogue lie, block and size; the size is what is to be loaded, at least."""
    data = stream.at(catalogue * SECTOR, SECTOR)
    found = []
    if data[:1] == b"\1" and data[30:32] == b"\x55\xaa":
        for at in range(32, len(data) - 31, 32):
            if data[at] in (0x88, 0x00) and any(data[at + 1 : at + 12]):
                media, count, start = data[at + 1] & 15, *struct.unpack_from("<HI", data, at + 6)
                floppy = {1: 1_228_800, 2: 1_474_560, 3: 2_949_120}.get(media)
                found.append((start, floppy or count * 512))
    return [(start, size) for start, size in found if start and size]
