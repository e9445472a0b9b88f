"""Tar headers as they stand: a walk over members, gaps and leftovers, one at a time.

Source: POSIX.1-2001 pax (ustar and extended headers); GNU tar manual, "Basic Tar Format" and "Storing
Sparse Files"; star(5); Solaris tar ('X' headers).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

from msgspec import Struct, field

from indexer.handler import Stream
from indexer.model import Cause, Problem

BLOCK = 512
MOST_RECORDS = 8 << 20
"""Bytes of one extended header or long name that are read; real ones have a few hundred."""
MOST_EXTENTS = 200_000
SCAN = 1 << 20

FILE, LINK, SYMLINK, CHARACTER, DEVICE, FOLDER, FIFO = (
    "file",
    "hardlink",
    "symlink",
    "character-device",
    "block-device",
    "directory",
    "fifo",
)
KINDS = {
    b"1": LINK,
    b"2": SYMLINK,
    b"3": CHARACTER,
    b"4": DEVICE,
    b"5": FOLDER,
    b"6": FIFO,
    b"D": "directory-listing",
    b"V": "volume-label",
    b"M": "continued",
}
HEADER = "extended-header"
Extents = tuple[tuple[int, int], ...]


class Member(Struct):
    """One member: its header block, the names that count, where its bytes are."""

    at: int
    block: bytes
    kind: str
    name: bytes
    link: bytes
    start: int
    size: int
    records: dict[bytes, bytes]
    unicode_name: bool = False
    """The name came from a pax record, which is UTF-8 by definition."""
    extents: Extents | None = None
    real_size: int = 0
    problems: list[Problem] = field(default_factory=list)


class Gap(Struct, frozen=True):
    """Bytes that belong to no member: behind the end of the archive, or in place of a header.

    None of them where what stands there comes as members, behind the gap.
    """

    at: int
    size: int
    cause: Cause
    message: str
    name: str


def number(raw: bytes) -> int | None:
    """The value of a numeric field: octal digits, or base 256 where the first bit is set."""
    if raw[0] & 0x80:
        value = int.from_bytes(raw, "big")
        bits = 8 * len(raw)
        return value - (1 << bits) if raw[0] & 0x40 else value & ~(1 << (bits - 1))
    text = raw.partition(b"\0")[0].strip(b" ")
    if not text:
        return 0
    try:
        return int(text, 8) if text.isdigit() else None
    except ValueError:
        return None


def is_header(block: bytes) -> bool:
    """Whether the checksum of a block fits, summed over unsigned bytes or, as old ones did, signed."""
    if len(block) < BLOCK:
        return False
    held = block[148:156]
    stored = number(held)
    if not stored:
        return False
    # Adler-32's low half is a byte sum (modulo 65,521) at the speed of C.
    total = stored + sum(held) - 8 * 32
    if zlib.adler32(block) & 0xFFFF == (1 + total) % 65521:
        return True
    others = block[:148] + block[156:]
    return stored == 8 * 32 + sum(others) - 256 * sum(1 for byte in others if byte > 127)


def walk(stream: Stream) -> Iterator[Member | Gap]:
    """Members in the order of the archive, and what lies between and behind them.

    Damage costs one gap: the walk goes on at the next block whose checksum fits. Zero blocks do not
    end it either, since archives are joined with cat and tapes hold several.
    """
    position = 0
    settings: dict[bytes, bytes] = {}
    extra = _Extra()
    while position < stream.size:
        block = stream.at(position, BLOCK)
        if not is_header(block):
            blank = not block.strip(b"\0")
            if blank:
                position = _skip_zeros(stream, position)
                if position >= stream.size or is_header(stream.at(position, BLOCK)):
                    continue
            found = _find_header(stream, position + BLOCK)
            yield _gap(position, found, stream.size, blank)
            position = found
            continue
        flag = block[156:157]
        size = number(block[124:136])
        start = position + BLOCK
        if flag in b"LKxXgN" and flag != b"\0":
            extra.headers.append(Member(position, block, HEADER, _name(block), b"", start, max(size or 0, 0), {}))
            position = extra.add(stream, flag, start, size, settings)
            continue
        member = _member(block, position, flag, size, settings, extra)
        extra = _Extra()
        position = _place(stream, member)
        yield member
    if extra.headers:
        at = extra.headers[0].at
        message = f"the archive ends behind an extended header at {at}, where its member should begin"
        yield Gap(at, 0, "truncated", message, "")
        yield from extra.headers


def _gap(at: int, end: int, size: int, blank: bool) -> Gap:
    """What stands from `at` to `end`, behind blank blocks or in place of a header."""
    if blank and end >= size:
        return Gap(at, size - at, "corrupt", f"{size - at} bytes behind the end, at {at}", "[after the archive]")
    if blank:
        return Gap(
            at, end - at, "corrupt", f"{end - at} bytes between two archives, at {at}", f"[between archives at {at}]"
        )
    if end < size:
        return Gap(
            at, end - at, "corrupt", f"no valid header at {at}; the next one stands at {end}", f"[damaged at {at}]"
        )
    cause: Cause = "truncated" if size - at < BLOCK else "corrupt"
    return Gap(at, size - at, cause, f"no valid header from {at} to the end", f"[damaged at {at}]")


class _Extra:
    """What headers in front of a member say of it."""

    def __init__(self) -> None:
        self.headers: list[Member] = []
        """The headers themselves: members where no other follows."""
        self.records: list[tuple[bytes, bytes]] = []
        self.name = b""
        self.link = b""
        self.problems: list[Problem] = []

    def add(self, stream: Stream, flag: bytes, start: int, size: int | None, settings: dict[bytes, bytes]) -> int:
        """Reads one such header; returns where the next one begins."""
        if size is None or size < 0:
            self._tell("corrupt", f"an extended header ({flag!r}) has no valid size")
            return start
        data = stream.at(start, min(size, MOST_RECORDS))
        if size > MOST_RECORDS:
            self._tell("limit", f"an extended header of {size} bytes, read up to {MOST_RECORDS}")
        elif len(data) < size:
            self._tell("truncated", f"an extended header breaks off after {len(data)} of {size} bytes")
        if flag == b"L":
            self.name = data.partition(b"\0")[0]
        elif flag == b"K":
            self.link = data.partition(b"\0")[0]
        elif flag in b"xXg":
            records, whole = parse_records(data)
            if not whole and len(data) == size:
                self._tell("corrupt", "a record of an extended header does not hold together")
            if flag == b"g":
                settings.update(records)
            else:
                self.records += records
        return start + _padded(size)

    def _tell(self, cause: Cause, message: str) -> None:
        self.problems.append(Problem(cause, message, resolution="what is good of it is used"))


def parse_records(data: bytes) -> tuple[list[tuple[bytes, bytes]], bool]:
    """Pax records, `length key=value`, up to the first bad one; and whether there was none."""
    records: list[tuple[bytes, bytes]] = []
    position = 0
    while position < len(data):
        if data[position] == 0:
            return records, not data[position:].strip(b"\0")
        digits, space, _ = data[position : position + 20].partition(b" ")
        if not space or not digits.isdigit():
            return records, False
        end = position + int(digits)
        record = data[position + len(digits) + 1 : end]
        key, equals, value = record.partition(b"=")
        if end > len(data) or not equals or not key or not value.endswith(b"\n"):
            return records, False
        records.append((key, value[:-1]))
        position = end
    return records, True


def _member(
    block: bytes, at: int, flag: bytes, size: int | None, settings: dict[bytes, bytes], extra: _Extra
) -> Member:
    records = dict(settings)
    records.update(extra.records)
    name = _name(block)
    kind = KINDS.get(flag, FILE)
    if kind == FILE and flag in b"\0" and name.endswith(b"/") and not extra.name:
        kind = FOLDER
    member = Member(
        at=at,
        block=block,
        kind=kind,
        name=extra.name or name,
        link=extra.link or block[157:257].partition(b"\0")[0],
        start=at + BLOCK,
        size=0,
        records=records,
        problems=extra.problems,
    )
    if records:
        _apply(member)
        if records.get(b"size"):
            size = int(records[b"size"]) if records[b"size"].isdigit() and len(records[b"size"]) < 20 else None
    if size is None or size < 0:
        member.problems.append(Problem("corrupt", "the size is not a number that can be", resolution="read as 0"))
        size = 0
    member.size = member.real_size = size
    if flag == b"S":
        member.extents = ()
    elif records and any(key.startswith(b"GNU.sparse.") for key in records):
        member.extents = _extents_of_records(member, extra.records)
    return member


def _name(block: bytes) -> bytes:
    """The name as the header itself has it."""
    name = block[:100].partition(b"\0")[0]
    if block[257:263] == b"ustar\0" and block[345]:
        width = 131 if block[508:512] == b"tar\0" else 155
        name = block[345 : 345 + width].partition(b"\0")[0] + b"/" + name
    return name


def _apply(member: Member) -> None:
    records = member.records
    binary = records.get(b"hdrcharset", b"").upper() == b"BINARY"
    if path := records.get(b"GNU.sparse.name") or records.get(b"path"):
        member.name, member.unicode_name = path, not binary
    if target := records.get(b"linkpath"):
        member.link = target


def _place(stream: Stream, member: Member) -> int:
    """Settles where a member's bytes are; returns where the next header begins."""
    if member.block[156:157] == b"S":
        _read_old_sparse(stream, member)
    elif member.records.get(b"GNU.sparse.major") == b"1" and member.records.get(b"GNU.sparse.minor") == b"0":
        _read_sparse_map(stream, member)
    end = member.start + _padded(member.size)
    if member.kind in (LINK, SYMLINK, CHARACTER, DEVICE, FOLDER, FIFO, "volume-label") and member.size:
        # Most writers give these a size without bytes, some give a hard link its file's bytes.
        follows = stream.at(member.start, BLOCK)
        behind = stream.at(end, BLOCK)
        if member.kind != LINK or not behind or is_header(follows) or not follows.strip(b"\0"):
            member.size = 0
            return member.start
    return end


def _read_old_sparse(stream: Stream, member: Member) -> None:
    """The map of an old GNU sparse member: four entries in the header, 21 in each block behind it."""
    entries: list[tuple[int, int]] = []
    good = _add_entries(entries, member.block[386:482])
    more = member.block[482]
    while more and len(entries) < MOST_EXTENTS:
        block = stream.at(member.start, BLOCK)
        if len(block) < BLOCK:
            good = False
            break
        good = _add_entries(entries, block[:504]) and good
        more = block[504]
        member.start += BLOCK
    real = number(member.block[483:495])
    _settle(member, entries if good else None, real)


def _add_entries(entries: list[tuple[int, int]], raw: bytes) -> bool:
    for at in range(0, len(raw), 24):
        if not raw[at]:
            return True
        offset, length = number(raw[at : at + 12]), number(raw[at + 12 : at + 24])
        if offset is None or length is None:
            return False
        entries.append((offset, length))
    return True


def _extents_of_records(member: Member, local: list[tuple[bytes, bytes]]) -> Extents | None:
    """The map of pax sparse versions 0.0 and 0.1; None for 1.0, which keeps it with the data."""
    records = member.records
    if records.get(b"GNU.sparse.major", b"0") != b"0":
        return None
    listed = records.get(b"GNU.sparse.map")
    if listed is not None:
        values = listed.split(b",", 2 * MOST_EXTENTS) if listed else []
    else:
        values = [value for key, value in local if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes")]
    numbers = [_decimal(value) for value in values]
    pairs = list(zip(numbers[::2], numbers[1::2], strict=False))
    entries = [(start, length) for start, length in pairs if start is not None and length is not None]
    whole = len(entries) * 2 == len(values)
    _settle(member, entries if whole else None, _decimal(records.get(b"GNU.sparse.size", b"")))
    return member.extents


def _read_sparse_map(stream: Stream, member: Member) -> None:
    """The map of pax sparse version 1.0: decimal lines in front of the data, filled up to a block."""
    numbers: list[int] = []
    position, end = member.start, member.start + member.size
    rest, wanted = b"", 1
    value: int | None = 0
    good = True
    while good and len(numbers) < wanted:
        block = stream.at(position, BLOCK) if position < end else b""
        position += BLOCK
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            value = _decimal(line)
            if value is None or len(numbers) == wanted:
                break
            numbers.append(value)
            wanted = 1 + 2 * numbers[0]
        done = len(numbers) == wanted
        good = done or (bool(block) and len(rest) < 24 and value is not None and wanted <= 1 + 2 * MOST_EXTENTS)
    real = _decimal(member.records.get(b"GNU.sparse.realsize", b""))
    entries = list(zip(numbers[1::2], numbers[2::2], strict=False))
    if good:
        member.size = max(0, end - position)
        member.start = position
    _settle(member, entries if good else None, real)


def _settle(member: Member, entries: list[tuple[int, int]] | None, real: int | None) -> None:
    """Keeps a sparse map that holds together, else says so and leaves the bytes as they lie."""
    reached = total = 0
    for start, length in entries or ():
        if start < reached or length < 0:
            entries = None
            break
        reached = start + length
        total += length
    if entries is None or real is None or real < reached or total > member.size or len(entries) > MOST_EXTENTS:
        member.extents = None
        member.problems.append(
            Problem("corrupt", "the map of a sparse member does not hold together", resolution="its bytes as they lie")
        )
        return
    member.extents = tuple(entry for entry in entries if entry[1])
    member.real_size = real


def _decimal(text: bytes) -> int | None:
    return int(text) if text.isdigit() and len(text) < 20 else None


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _skip_zeros(stream: Stream, position: int) -> int:
    """The first block from `position` that is not all zero, or the end."""
    while chunk := stream.at(position, SCAN):
        rest = chunk.lstrip(b"\0")
        if rest:
            return position + (len(chunk) - len(rest)) // BLOCK * BLOCK
        position += len(chunk)
    return stream.size


_CHECKSUM = re.compile(rb"[ 0-7]{4,7}[\0 ]{1,2}")


def _find_header(stream: Stream, position: int) -> int:
    """The next block from `position` whose checksum fits, or the end."""
    while chunk := stream.at(position, SCAN):
        for at in range(0, len(chunk) - BLOCK + 1, BLOCK):
            if _CHECKSUM.match(chunk, at + 148) and is_header(chunk[at : at + BLOCK]):
                return position + at
        position += len(chunk)
    return stream.size
