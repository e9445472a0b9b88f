"""ARJ: members with names in any code page, times and comments, unpacked here; damaged archives too.

Unpacking here gives about 1 MB/s; where there is much to unpack in one volume, 7-Zip does it, as far
as it lists the same members.

Source: ARJ technical information (TECHNOTE.TXT of ARJ 2.x); the packing is LHA's with a wider window.
Limits: encrypted ("garbled") members are told, not opened; a set of
volumes is joined up to its first gap, and again behind it; chapters and extended attributes are not told.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import BinaryIO, ClassVar, NamedTuple

from msgspec import Struct

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._archive import FIELDS as ARCHIVE_FIELDS
from indexer.handlers._archive import FILE, FOLDER, Gap, Names, tell_gap
from indexer.handlers._arj_fastest import decode_fastest
from indexer.handlers._lzh import decode
from indexer.handlers._p7z import list_members
from indexer.handlers._p7z_entries import list_entries
from indexer.handlers._p7z_members import Members
from indexer.handlers._sets import MOST_VOLUMES, find_head
from indexer.handlers._streams import Slice, open_chunks
from indexer.model import Child, Fact, Field, Problem, Timestamp
from indexer.timestamps import from_dos, from_unix

MARK = b"\x60\xea"
LEAST, MOST = 30, 2600
GARBLED, VOLUME, CONTINUED = 1, 4, 8
MAIN, DIRECTORY, LABEL = 2, 3, 4
METHODS = ("stored", "most", "medium", "fast", "fastest")
FASTEST = 4
SYSTEMS: tuple[str, ...] = (
    "MS-DOS",
    "PRIMOS",
    "Unix",
    "Amiga",
    "Mac OS",
    "OS/2",
    "Apple GS",
    "Atari",
    "NeXT",
    "VAX VMS",
)
SYSTEMS += ("Windows 95", "Windows NT")
UNIX_SYSTEMS = frozenset({2, 8})
WINDOW = b"-lh7-"
"""The method of LHA whose codes ARJ uses."""
NUMBERED = re.compile(r"(.+\.a)(\d\d)", re.IGNORECASE)
SCAN = 1 << 20
PIECE = 256 * 1024
MUCH = 256 * 1024
"""Packed bytes in all, above which starting a program costs less than unpacking here."""
Openers = dict[int, Callable[[], BinaryIO]]


class Member(Struct):
    """One header and where its bytes are."""

    at: int
    system: int
    flags: int
    method: int
    kind: int
    time: int
    packed: int
    size: int
    crc: int
    mode: int
    name: bytes
    comment: bytes
    start: int


class Piece(NamedTuple):
    """What one volume holds of a member."""

    stream: Stream
    member: Member


class ArjArchive(Handler):
    name = "arj"
    version = 2
    media_types = ("application/x-arj",)
    signatures = (Signature(MARK),)
    suffixes = (".arj",)
    fields: ClassVar[Mapping[str, str]] = {
        **ARCHIVE_FIELDS,
        "archive.method": "compression of a member",
        "archive.host": "system that packed it",
        "archive.crc": "CRC-32 as recorded",
        "archive.comment": "comment on the archive or on a member",
        "arj.name": "what the archive was called when it was made",
        "archive.volume": "number of the volume of a set, from 1",
        "archive.volumes": "volumes that were joined",
        "archive.part_of": "name of the volume in which the whole set is read",
        "arj.volume_label": "the member is a volume's label",
        "encryption.*": "method",
    }
    reads = "members with names in any code page, times, comments; what a damaged archive still holds; sets of volumes"
    needs = ("p7z",)
    rank = 56
    volumes = True
    volume_names = (r".+\.arj", r".+\.a\d\d")
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if read_header(stream, 0) else None

    def is_volume(self, stream: Stream) -> bool:
        main = read_header(stream, 0)
        return main is not None and bool(main.flags & VOLUME or NUMBERED.fullmatch(stream.name))

    def read(self, stream: Stream) -> Iterator[Fact]:
        numbered = NUMBERED.fullmatch(stream.name)
        if numbered:
            yield Field("archive.volume", int(numbered[2]) + 1)
        volumes = [stream]
        if self.is_volume(stream):
            first = f"{numbered[1]}rj" if numbered else stream.name
            head, missing = find_head(stream.name, [first], _next_name, lambda name: bool(_open_volume(stream, name)))
            if head:
                yield Field("archive.part_of", head)
            if missing:
                yield Problem("truncated", f"the set begins before this volume, and {missing} is not here")
            if head:
                return
            name = stream.name
            while len(volumes) < MOST_VOLUMES and (following := _open_volume(stream, name := _next_name(name))):
                volumes.append(following)
            main = read_header(volumes[-1], 0)
            if len(volumes) > 1:
                yield Field("archive.volumes", len(volumes))
            if main and main.flags & VOLUME:
                yield Problem("truncated", f"the set goes on in {name or 'another volume'}, which is not here")
        yield from _read(volumes)


def _next_name(name: str) -> str:
    if name.lower().endswith(".arj"):
        return f"{name[:-2]}01"
    numbered = NUMBERED.fullmatch(name)
    return f"{numbered[1]}{int(numbered[2]) + 1:02}" if numbered and numbered[2] != "99" else ""


def _open_volume(stream: Stream, name: str) -> Stream | None:
    file = stream.sibling(name) if name else None
    volume = Stream(file, name=name, limits=stream.limits) if file else None
    return volume if volume and read_header(volume, 0) else None


def _read(volumes: list[Stream]) -> Iterator[Fact]:
    with _ask(volumes) as openers:
        yield from _tell(volumes, openers)


def _tell(volumes: list[Stream], openers: Openers) -> Iterator[Fact]:
    names = Names(part.name for volume in volumes for part in walk(volume) if isinstance(part, Member))
    yield from names.fields()
    taken: set[tuple[int, int]] = set()
    for number, stream in enumerate(volumes):
        for part in walk(stream):
            if isinstance(part, Gap):
                yield from tell_gap(stream, part)
            elif part.kind == MAIN:
                yield from _labels(part, names) if not number else ()
            elif (number, part.at) not in taken:
                pieces = _collect(volumes, number, part)
                taken |= {(number + step, piece.member.at) for step, piece in enumerate(pieces)}
                yield _child(pieces, names, openers.get(part.at) or partial(_open, pieces))
                if part.start + part.packed > stream.size:
                    message = f"the archive breaks off in the member at {part.at}"
                    yield Problem("truncated", message, resolution="kept so far")


@contextmanager
def _ask(volumes: list[Stream]) -> Iterator[Openers]:
    """Opens by 7-Zip, for each offset of a member, what it lists as we do and is much in all."""
    packed: list[Member] = []
    for part in walk(volumes[0]):
        if isinstance(part, Gap) or (part.kind != MAIN and part.flags & (GARBLED | VOLUME | CONTINUED)):
            packed = []
            break
        packed += [part] * (part.kind != MAIN)
    if len(volumes) > 1 or sum(part.packed for part in packed if part.method) < MUCH:
        yield {}
        return
    with volumes[0].path() as path:
        try:
            _, entries, trouble = list_entries(list_members(path, kind="Arj"), "arj", zone_known=False)
        except EvidenceError:
            entries, trouble = [], None
        if trouble or [(each.size, each.crc or 0) for each in entries] != [(each.size, each.crc) for each in packed]:
            yield {}
            return
        members = Members(path, "Arj", entries)
        try:
            yield {part.at: partial(members.open, entry) for part, entry in zip(packed, entries, strict=True)}
        finally:
            members.close()


def _collect(volumes: list[Stream], number: int, part: Member) -> list[Piece]:
    """A member, and where it goes on in the volumes that follow."""
    pieces = [Piece(volumes[number], part)]
    while part.flags & VOLUME and number + 1 < len(volumes):
        number += 1
        members = (each for each in walk(volumes[number]) if isinstance(each, Member) and each.kind != MAIN)
        following = next(members, None)
        if following is None or not following.flags & CONTINUED or following.name != part.name:
            break
        part = following
        pieces.append(Piece(volumes[number], part))
    return pieces


def walk(stream: Stream) -> Iterator[Member | Gap]:
    """Members in the order of the archive, and what lies between and behind them."""
    position = 0
    while position < stream.size:
        if stream.at(position, 4) == MARK + b"\0\0":
            position += 4
            if position < stream.size:
                message = f"{stream.size - position} bytes behind the end, at {position}"
                yield Gap(position, stream.size - position, "corrupt", message, "[after the archive]")
            return
        member = read_header(stream, position)
        if member is None:
            found = _find_header(stream, position + 1)
            cut = not found and stream.size - position < LEAST
            message = f"no valid header at {position}" + (f"; the next one stands at {found}" if found else "")
            end = found or stream.size
            yield Gap(position, end - position, "truncated" if cut else "corrupt", message, f"[damaged at {position}]")
            position = end
            continue
        yield member
        position = member.start + (0 if member.kind == MAIN else member.packed)


def _find_header(stream: Stream, position: int) -> int:
    while data := stream.at(position, SCAN):
        at = data.find(MARK)
        while at >= 0:
            if read_header(stream, position + at):
                return position + at
            at = data.find(MARK, at + 1)
        if len(data) < SCAN:
            break
        position += len(data) - 1
    return 0


def read_header(stream: Stream, at: int) -> Member | None:
    """The member whose header stands at an offset, or None where its CRC does not fit."""
    head = stream.at(at, 4)
    length = int.from_bytes(head[2:], "little") if head[:2] == MARK else 0
    if not LEAST <= length <= MOST:
        return None
    data = stream.at(at + 4, length + 4)
    if len(data) < length + 4 or zlib.crc32(data[:length]) != int.from_bytes(data[length:], "little"):
        return None
    first = data[0]
    if not LEAST <= first <= length:
        return None
    system, flags, method, kind, _, time, packed, size, crc, _, mode = struct.unpack_from("<3x5BIIIIHH", data)
    name, _, rest = data[first:length].partition(b"\0")
    start = at + 8 + length
    for _ in range(100):  # extended headers, which end with one of no length
        extension = int.from_bytes(stream.at(start, 2), "little")
        start += 2
        if not extension:
            break
        start += extension + 4
    comment = rest.partition(b"\0")[0]
    return Member(at, system, flags, method, kind, time, packed, size, crc, mode, name, comment, start)


def _labels(main: Member, names: Names) -> Iterator[Fact]:
    if main.name:
        yield Field("arj.name", names.decode(main.name))
    if main.comment:
        yield Field("archive.comment", Names((main.comment,)).decode(main.comment))
    stamp = _time("B", main.time, main.system, "arj.created")
    if stamp:
        yield stamp


def _time(kind: str, value: int, system: int, origin: str) -> Timestamp | None:
    if system in UNIX_SYSTEMS:
        return from_unix(kind, value, origin)
    return from_dos(kind, value >> 16, value & 0xFFFF, origin)


def _child(pieces: list[Piece], names: Names, opening: Callable[[], BinaryIO]) -> Child:
    member, last = pieces[0].member, pieces[-1].member
    kind = FOLDER if member.kind == DIRECTORY else FILE
    fields = [Field("file.kind", kind)] if kind != FILE else []
    if member.system in UNIX_SYSTEMS and member.mode:
        fields.append(Field("file.mode", f"{member.mode & 0o7777:04o}"))
    if member.system < len(SYSTEMS):
        fields.append(Field("archive.host", SYSTEMS[member.system]))
    if member.kind == LABEL:
        fields.append(Field("arj.volume_label", True))
    if kind == FILE:
        method = METHODS[member.method] if member.method < len(METHODS) else str(member.method)
        fields += [Field("archive.method", method), Field("archive.crc", f"{member.crc:08x}")]
    if member.comment:
        fields.append(Field("archive.comment", Names((member.comment,)).decode(member.comment)))
    if member.flags & GARBLED:
        fields.append(Field("encryption.method", "ARJ"))
    problems: list[Problem] = []
    if last.flags & VOLUME:
        problems.append(Problem("truncated", "goes on in the next volume"))
    if member.flags & CONTINUED:
        problems.append(Problem("truncated", "begins in the volume before"))
    stamp = _time("M", member.time, member.system, "arj.mtime")
    return Child(
        names.decode(member.name),
        member.name,
        opening if kind == FILE else None,
        timestamps=(stamp,) if stamp else (),
        fields=tuple(fields),
        problems=tuple(problems),
    )


def _open(pieces: list[Piece]) -> BinaryIO:
    for _, member in pieces:
        if member.flags & GARBLED:
            raise EvidenceError("encrypted", "ARJ's own encryption: no program here opens it")
        if member.method > FASTEST:
            raise EvidenceError("unsupported", f"the method {member.method}")
    return open_chunks(chunk for piece in pieces for chunk in _unpack(*piece))


def _unpack(stream: Stream, member: Member) -> Iterator[bytes]:
    """A member's bytes, or a piece's: each piece is packed by itself."""
    crc = 0
    place = member.start, member.packed, member.size
    packed = decode_fastest(stream, *place) if member.method == FASTEST else decode(stream, WINDOW, *place)
    for chunk in packed if member.method else _slices(stream, member):
        crc = zlib.crc32(chunk, crc)
        yield chunk
    if crc != member.crc:
        raise EvidenceError("corrupt", "the CRC-32 does not fit the content")


def _slices(stream: Stream, member: Member) -> Iterator[bytes]:
    piece = Slice(stream, member.start, member.packed)
    while chunk := piece.read(PIECE):
        yield chunk
