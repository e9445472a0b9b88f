"""LHA (LZH), the archive of Japan: headers of levels 0 to 3, names in Shift-JIS, damaged ones too.

Members are unpacked here, at about 1 MB/s; where there is much to unpack, 7-Zip does it, as far as it
lists the same members. -lh2-, -lh3-, -pm1- and -pm2- are left to the optional program `unar`, which gets an
archive of the one member. The CRC-16 of what does not come from 7-Zip is checked here.

Source: "LHA header format" notes of LHa for UNIX 1.14 and of UNLHA32.DLL; Okumura's ar002.
Limits: without `unar`, -lh2-, -lh3- and PMarc's methods are not unpacked; archives inside self-extracting
programs are not looked for.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from functools import partial
from typing import ClassVar

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._archive import FILE, SYMLINK, Gap, Names, tell_gap
from indexer.handlers._crc16 import crc16
from indexer.handlers._lha_headers import SYSTEMS, Member, read_header, walk
from indexer.handlers._lha_old import METHODS as OLD_METHODS
from indexer.handlers._lha_old import decode as decode_old
from indexer.handlers._lzh import WINDOWS, decode
from indexer.handlers._p7z import list_members
from indexer.handlers._p7z_entries import FIELDS, Entry, list_entries, stored
from indexer.handlers._p7z_members import Members
from indexer.handlers._unar import NEEDS, unpack
from indexer.limits import KIB
from indexer.model import Fact, Field, Problem

BY_UNAR = (b"-lh2-", b"-lh3-", b"-pm1-", b"-pm2-")
STORED = (b"-lh0-", b"-lz4-", b"-lhd-", b"-pm0-")
MUCH = 256 * KIB
"""Packed bytes in all, above which starting a program costs less than unpacking here."""
LETTERS = ((0x1, "R"), (0x2, "H"), (0x4, "S"), (0x10, "D"), (0x20, "A"))


class LhaArchive(Handler):
    name = "lha"
    version = 2
    media_types = ("application/x-lzh-compressed", "application/x-lha", "application/x-lzh", "application/x-lharc")
    signatures = (Signature(b"-lh", 2), Signature(b"-lz", 2), Signature(b"-pm", 2))
    suffixes = (".lzh", ".lha")
    fields: ClassVar[Mapping[str, str]] = {
        **FIELDS,
        "lha.level": "level of a member's header",
        "lha.crc16": "CRC-16 as recorded",
        "lha.user": "owner's name",
        "lha.group": "group's name",
        "lha.uid": "owner's number",
        "lha.gid": "group's number",
        "lha.comment": "comment on a member",
    }
    reads = "members with names in any code page, times, owners; links; what a damaged archive still holds"
    needs = ("p7z", NEEDS)
    rank = 56
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if read_header(stream, 0) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        members: list[Member] = []
        for part in walk(stream):
            if isinstance(part, Gap):
                yield from tell_gap(stream, part)
                continue
            members.append(part)
            if len(members) > stream.limits.members:
                break
            if part.start + part.packed > stream.size:
                message = f"the archive breaks off in the member at {part.at}"
                yield Problem("truncated", message, resolution="kept so far")
        page = next((member.code_page for member in members if member.code_page), 0)
        names = Names((member.name for member in members), "utf-8" if page == 65001 else f"cp{page}" if page else "")
        yield from names.fields()
        entries = [_entry(stream, member, names) for member in members]
        much = sum(member.packed for member in members if member.method in WINDOWS) > MUCH
        with stream.path() as path:
            if much:
                _ask(path, members, entries)
            yield from Members(path, "Lzh", entries).facts()


def _ask(path: str, members: list[Member], entries: list[Entry]) -> None:
    """Leaves to 7-Zip what it lists as we do, member for member; all the rest is unpacked here."""
    try:
        _, listed, trouble = list_entries(list_members(path, kind="Lzh"), "lha", zone_known=False)
    except EvidenceError:
        return
    if trouble or [each.size for each in listed] != [each.size for each in entries]:
        return
    for member, entry, other in zip(members, entries, listed, strict=True):
        entry.path = other.path
        if member.method in WINDOWS:
            entry.here = None


def _entry(stream: Stream, member: Member, names: Names) -> Entry:
    name = member.unicode_name or names.decode(member.name)
    kind, link = member.kind, ""
    if kind == SYMLINK:
        name, _, link = name.partition("|")
    fields = [Field("lha.level", member.level), Field("archive.method", member.method.decode("ascii"))]
    if member.mode is not None:
        fields.append(Field("file.mode", f"{member.mode & 0o7777:04o}"))
    else:
        letters = "".join(letter for bit, letter in LETTERS if member.attributes & bit)
        fields += [Field("archive.attributes", letters)] if letters else []
    if system := SYSTEMS.get(member.system, ""):
        fields.append(Field("archive.host", system))
    for key, value in member.owner.items():
        fields.append(Field(key, names.decode(value) if isinstance(value, bytes) else value))
    if member.comment:
        fields.append(Field("lha.comment", names.decode(member.comment)))
    if kind == FILE and member.crc is not None:
        fields.append(Field("lha.crc16", f"{member.crc:04x}"))
    return Entry(
        "",
        name,
        member.name,
        kind,
        member.size,
        here=partial(_unpack, stream, member),
        link=link,
        times=tuple(member.times),
        fields=tuple(fields),
    )


def _unpack(stream: Stream, member: Member) -> Iterator[bytes]:
    if member.method in STORED:
        chunks = stored(stream, member.start, member.packed)()
    elif member.method in WINDOWS:
        chunks = decode(stream, member.method, member.start, member.packed, member.size)
    elif member.method in OLD_METHODS:
        chunks = decode_old(stream, member.method, member.start, member.packed, member.size)
    elif member.method in BY_UNAR:
        chunks = unpack(_archive_of(stream, member), member.size, stream.scratch)
    else:
        raise EvidenceError("unsupported", f"the method {member.method.decode('ascii')}")
    crc = made = 0
    for chunk in chunks:
        crc = crc16(chunk, crc)
        made += len(chunk)
        yield chunk
    if member.method in BY_UNAR and made < member.size:
        raise EvidenceError("corrupt", f"unar gives {made} of {member.size} bytes")
    if member.crc is not None and crc != member.crc:
        raise EvidenceError("corrupt", "the CRC-16 does not fit the content")


def _archive_of(stream: Stream, member: Member) -> Iterator[bytes]:
    """An archive with one member, named `x`, under a header of level 0."""
    day, sizes = 0x21 << 16, (member.packed, member.size)
    body = struct.pack("<5sIIIBB2sH", member.method, *sizes, day, 0x20, 0, b"\1x", member.crc or 0)
    yield bytes((len(body), sum(body) & 0xFF)) + body
    yield from stored(stream, member.start, member.packed)()
    yield b"\0"
