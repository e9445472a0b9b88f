"""cpio in every form: newc, newc with sums, portable octal (odc), afio's large one, old binary of either byte order.

A damaged header costs one gap: the walk goes on at the next header that makes sense. Archives that
follow one another, as in boot images, are read as one.

Source: POSIX.1-1997 pax, "cpio interchange format"; cpio(5) of FreeBSD for the binary and SVR4 forms; afio(1)
and the headers that afio 2.5 writes.
Limits: the large-file form of HP-UX is not read; what afio packed member by member stays so; an archive
split over tapes is not joined.
"""

from __future__ import annotations

import binascii
import re
import struct
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO, ClassVar

from msgspec import Struct

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._archive import (
    FIELDS,
    FILE,
    FOLDER,
    LINK,
    MOST_TARGET,
    SYMLINK,
    Gap,
    Names,
    kind_of_mode,
    mode_fields,
    skip_zeros,
    tell_gap,
)
from indexer.handlers._streams import Slice, open_chunks, open_slice
from indexer.model import Child, Fact, Field, Problem
from indexer.timestamps import from_unix

NEWC, CRC, ODC, AFIO, LITTLE, BIG = b"070701", b"070702", b"070707", b"070727", b"\xc7\x71", b"\x71\xc7"
FORMS = {
    NEWC: "newc",
    CRC: "crc",
    ODC: "odc",
    AFIO: "afio, large",
    LITTLE: "binary, little-endian",
    BIG: "binary, big-endian",
}
HEADERS = re.compile(rb"07070[127]|070727|\xc7\x71|\x71\xc7")
TRAILER = b"TRAILER!!!"
MOST_NAME = 64 * 1024
MOST_HEADER = 116
NUMBERS = re.compile(rb"[0-9A-Fa-f]{104}")
LARGE = re.compile(
    rb"070727([0-9a-f]{8})([0-9a-f]{16})m([0-7]{6})([0-9a-f]{8})([0-9a-f]{8})([0-9a-f]{8})([0-9a-f]{8})"
    rb"([0-9a-f]{16})n([0-9a-f]{4})[0-9a-f]{4}[0-9a-f]{4}s([0-9a-f]{16}):",
    re.IGNORECASE,
)
"""Device, inode, mode in octal, owner, group, links, special device, time, length of the name, size."""
SCAN = 1 << 20
PIECE = 256 * 1024


class Member(Struct):
    """One header and where its bytes are."""

    form: bytes
    at: int
    name: bytes
    mode: int
    uid: int
    gid: int
    links: int
    mtime: int
    inode: tuple[int, ...]
    device: tuple[int, ...]
    start: int
    size: int
    sum: int
    end: int

    @property
    def kind(self) -> str:
        return kind_of_mode(self.mode)


class CpioArchive(Handler):
    name = "cpio"
    version = 2
    media_types = ("application/x-cpio", "application/x-sv4cpio", "application/x-bcpio")
    signatures = tuple(Signature(magic) for magic in FORMS)
    suffixes = (".cpio", ".newc")
    fields: ClassVar[Mapping[str, str]] = {
        "cpio.format": "form of the headers, by the first of them",
        "cpio.uid": "owner's number",
        "cpio.gid": "group's number",
        "cpio.links": "how many names the file had, where more than one",
        "cpio.device": "major and minor number of a device",
        **FIELDS,
    }
    reads = "members with names, owners, modes and times, of all six forms; links; what a damaged archive still holds"
    rank = 56
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if parse_header(stream, 0) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        holders: dict[tuple[int, ...], Member] = {}
        ahead = _look_ahead(stream, holders)
        names = Names(ahead)
        # A sample of the names is enough for their encoding; the rest is walked for who holds the bytes.
        deque(ahead, maxlen=0)
        if form := FORMS.get(stream.head[:6]) or FORMS.get(stream.head[:2]):
            yield Field("cpio.format", form)
        yield from names.fields()
        for part in walk(stream):
            if isinstance(part, Gap):
                yield from tell_gap(stream, part)
                continue
            yield _child(stream, part, names, holders)
            if part.start + part.size > stream.size:
                message = f"the archive breaks off in the member at {part.at}"
                yield Problem("truncated", message, resolution="kept so far")


def parse_header(stream: Stream, at: int) -> Member | None:
    """The member whose header stands at an offset, or None where none that makes sense does."""
    head = stream.at(at, MOST_HEADER)
    if head[:6] in (NEWC, CRC):
        return _parse_newc(stream, at, head)
    if head[:6] == ODC:
        return _parse_odc(stream, at, head)
    if head[:6] == AFIO:
        return _parse_large(stream, at, head)
    if head[:2] in (LITTLE, BIG):
        return _parse_binary(stream, at, head)
    return None


def _parse_newc(stream: Stream, at: int, head: bytes) -> Member | None:
    digits = NUMBERS.match(head, 6)
    if not digits:
        return None
    ino, mode, uid, gid, links, mtime, size, *device, length, total = struct.unpack(
        ">13I", binascii.unhexlify(digits[0])
    )
    name = _name(stream, at + 110, length)
    if name is None:
        return None
    start = at + (110 + length + 3 & ~3)
    inode = (device[0], device[1], ino)
    end = start + (size + 3 & ~3)
    return Member(head[:6], at, name, mode, uid, gid, links, mtime, inode, tuple(device[2:]), start, size, total, end)


def _parse_odc(stream: Stream, at: int, head: bytes) -> Member | None:
    if len(head) < 76 or not re.fullmatch(rb"[0-7 ]{70}", head[6:76]):
        return None
    widths = (6, 6, 6, 6, 6, 6, 6, 11, 6, 11)
    values, place = [], 6
    for width in widths:
        digits = head[place : place + width].strip()
        if b" " in digits:
            return None
        values.append(int(digits or b"0", 8))
        place += width
    device, ino, mode, uid, gid, links, special, mtime, length, size = values
    name = _name(stream, at + 76, length)
    if name is None:
        return None
    start = at + 76 + length
    parts = (special >> 8, special & 0xFF)
    return Member(ODC, at, name, mode, uid, gid, links, mtime, (device, ino), parts, start, size, 0, start + size)


def _parse_large(stream: Stream, at: int, head: bytes) -> Member | None:
    found = LARGE.match(head)
    if not found:
        return None
    mode = int(found[3], 8)
    device, ino, _, uid, gid, links, special, mtime, length, size = (int(text, 16) for text in found.groups())
    name = _name(stream, at + found.end(), length)
    if name is None:
        return None
    start = at + found.end() + length
    parts = (special >> 8, special & 0xFF)
    return Member(AFIO, at, name, mode, uid, gid, links, mtime, (device, ino), parts, start, size, 0, start + size)


def _parse_binary(stream: Stream, at: int, head: bytes) -> Member | None:
    if len(head) < 26:
        return None
    order = "<" if head[:2] == LITTLE else ">"
    _, device, ino, mode, uid, gid, links, special, *rest = struct.unpack_from(f"{order}13H", head)
    # Long values hold their higher half first, whatever the byte order.
    mtime, length, size = rest[0] << 16 | rest[1], rest[2], rest[3] << 16 | rest[4]
    name = _name(stream, at + 26, length)
    if name is None or (name != TRAILER and mode >> 12 not in (1, 2, 4, 6, 8, 10, 12)):
        return None
    start = at + 26 + length + length % 2
    parts = (special >> 8, special & 0xFF)
    end = start + size + size % 2
    return Member(head[:2], at, name, mode, uid, gid, links, mtime, (device, ino), parts, start, size, 0, end)


def _name(stream: Stream, at: int, length: int) -> bytes | None:
    """The name up to its zero byte, or None where none ends there."""
    if not 1 < length <= MOST_NAME:
        return None
    held = stream.at(at, length)
    if len(held) < length or held[-1]:
        return None
    return held.partition(b"\0")[0] or None


def walk(stream: Stream) -> Iterator[Member | Gap]:
    """Members in the order of the archive, and what lies between and behind them."""
    position, ended = 0, False
    while position < stream.size:
        member = parse_header(stream, position)
        if member is None:
            start = skip_zeros(stream, position) if ended or position % 4 else position
            if ended and start != position:
                position = start
                continue
            found = _find_header(stream, position + 1)
            yield _gap(position, found, stream.size, ended)
            # Where nothing follows, what was told of the gap is enough.
            position, ended = found, found == stream.size
        elif member.name == TRAILER and skip_zeros(stream, member.start) >= min(member.end, stream.size):
            # Some fill the last tape block with zeros that they lay to the trailer.
            position, ended = member.end, True
        else:
            yield member
            position, ended = member.end, False
    if not ended and position == stream.size:
        yield Gap(stream.size, 0, "truncated", "the archive ends without its trailer", "")


def _gap(at: int, end: int, size: int, ended: bool) -> Gap:
    if ended:
        return Gap(at, end - at, "corrupt", f"{end - at} bytes behind the end, at {at}", f"[after the archive at {at}]")
    if end < size:
        message = f"no valid header at {at}; the next one stands at {end}"
        return Gap(at, end - at, "corrupt", message, f"[damaged at {at}]")
    cause = "truncated" if size - at < MOST_HEADER else "corrupt"
    return Gap(at, size - at, cause, f"no valid header from {at} to the end", f"[damaged at {at}]")  # type: ignore[arg-type]


def _find_header(stream: Stream, position: int) -> int:
    while data := stream.at(position, SCAN):
        for match in HEADERS.finditer(data):
            if parse_header(stream, position + match.start()):
                return position + match.start()
        if len(data) < SCAN:
            break
        position += len(data) - 5
    return stream.size


def _look_ahead(stream: Stream, holders: dict[tuple[int, ...], Member]) -> Iterator[bytes]:
    """Every name; `holders` is told, of files with several, the member with the bytes: newc writes them once."""
    for part in walk(stream):
        if not isinstance(part, Member):
            continue
        if part.links > 1 and part.size and part.kind == FILE and len(holders) < 100_000:
            holders.setdefault(part.inode, part)
        yield part.name


def _child(stream: Stream, member: Member, names: Names, holders: Mapping[tuple[int, ...], Member]) -> Child:
    kind, target = member.kind, b""
    opening: Callable[[], BinaryIO] | None = None
    holder = holders.get(member.inode) if member.links > 1 and kind == FILE and not member.size else None
    if holder and member.form in (NEWC, CRC):
        kind, target = LINK, holder.name
        opening = open_slice(stream, holder.start, holder.size)
    elif kind == SYMLINK and member.size <= MOST_TARGET:
        target = stream.at(member.start, member.size).rstrip(b"\0")
    elif member.size or kind == FILE:
        opening = open_slice(stream, member.start, member.size)
        if member.form == CRC and kind == FILE:
            opening = lambda: open_chunks(_summed(stream, member))  # noqa: E731
    fields = list(mode_fields(member.mode, kind))
    if target:
        fields.append(Field("file.link_target", names.decode(target)))
    fields += [Field("cpio.uid", member.uid), Field("cpio.gid", member.gid)]
    if member.links > 1 and kind != FOLDER:
        fields.append(Field("cpio.links", member.links))
    if kind.endswith("-device"):
        fields.append(Field("cpio.device", ", ".join(map(str, member.device))))
    stamp = from_unix("M", member.mtime, "cpio.mtime")
    return Child(
        names.decode(member.name), member.name, opening, timestamps=(stamp,) if stamp else (), fields=tuple(fields)
    )


def _summed(stream: Stream, member: Member) -> Iterator[bytes]:
    total = 0
    piece = Slice(stream, member.start, member.size)
    while chunk := piece.read(PIECE):
        total += sum(chunk)
        yield chunk
    if total & 0xFFFFFFFF != member.sum:
        raise EvidenceError("corrupt", "the sum in the header does not fit the content")
