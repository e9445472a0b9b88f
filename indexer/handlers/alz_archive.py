"""ALZ, the archive of ALZip that Korea used for years: names in its code page, passwords, comments, volumes.

Source: OctopusET, "ALZ Archive Format" (reverse-engineered; its maker published none).
Limits: its bzip2 is unpacked at about 0.7 MB a second; a volume behind the first is not read by itself.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from functools import partial
from typing import BinaryIO, ClassVar

from msgspec import Struct

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._alz_bzip2 import decode
from indexer.handlers._archive import FIELDS as ARCHIVE_FIELDS
from indexer.handlers._archive import FILE, FOLDER, Gap, Names, tell_gap
from indexer.handlers._ciphers import PkzipCipher
from indexer.handlers._keyring import Keyring
from indexer.handlers._spans import Span, join
from indexer.handlers._streams import Slice, open_chunks
from indexer.handlers._zip_methods import unpack
from indexer.model import Child, Fact, Field, Problem, Timestamp
from indexer.timestamps import from_dos

ARCHIVE, MEMBER, REMARKS, DIRECTORY, END = b"ALZ\x01", b"BLZ\x01", b"ELZ\x01", b"CLZ\x01", b"CLZ\x02"
SPLIT = b"CLZ\x03"
MARKS = (MEMBER, REMARKS, DIRECTORY, END, SPLIT)
HEAD, TAIL = 8, 16
"""Bytes that each volume of a set but the first begins with, and each but the last ends with."""
MOST_VOLUMES = 1000
ENCRYPTED, DESCRIBED = 1, 8
METHODS = {0: "stored", 1: "bzip2", 2: "deflate"}
DEFLATE, BZIP2 = 8, 12
"""The numbers that zip gives to these methods; the newer ALZip packs bzip2 as everybody does."""
LETTERS = ((0x1, "R"), (0x2, "H"), (0x4, "S"), (0x10, "D"), (0x20, "A"), (0x40, "L"))
WHOLE = 0xFFFFFFFF
"""In place of a member's number: the comment is on the archive."""
PIECE = 64 * 1024
MOST_COMMENTS = 10_000


class Member(Struct):
    """One header and where its bytes are."""

    at: int
    name: bytes
    attributes: int
    time: int
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    start: int


class AlzArchive(Handler):
    name = "alz"
    media_types = ("application/x-alz-compressed", "application/x-alz", "application/x-alzip")
    signatures = (Signature(ARCHIVE),)
    suffixes = (".alz",)
    fields: ClassVar[Mapping[str, str]] = {
        **ARCHIVE_FIELDS,
        "archive.method": "compression of a member",
        "archive.crc": "CRC-32 as recorded",
        "archive.attributes": "Windows attributes, as letters",
        "archive.comment": "comment on the archive or on a member",
        "archive.volumes": "files that make up the archive, where there are several",
        "encryption.*": "method, and which password fitted",
    }
    reads = "members with names in any code page, times, comments; encrypted members by password; volumes"
    rank = 55
    volumes = True
    volume_names = (r".*\.alz", r".*\.[a-j][0-9]{2}")
    container = True

    def is_volume(self, stream: Stream) -> bool:
        return stream.at(stream.size - len(END), len(END)) != END

    def read(self, stream: Stream) -> Iterator[Fact]:
        spans = _volumes(stream)
        if len(spans) > 1:
            yield Field("archive.volumes", len(spans))
            stream = join(stream, spans)
        names = Names(part.name for part in walk(stream) if isinstance(part, Member))
        yield from names.fields()
        comments = _comments(stream)
        remarks = Names(comments.values())
        if WHOLE in comments:
            yield Field("archive.comment", remarks.decode(comments[WHOLE]))
        keys = Keyring(stream)
        number = 0
        for part in walk(stream):
            if isinstance(part, Gap):
                yield from tell_gap(stream, part)
                continue
            comment = remarks.decode(comments[number]) if number in comments else ""
            number += 1
            yield _child(stream, part, names.decode(part.name), comment, keys)
            if part.start + part.packed > stream.size:
                message = f"the archive breaks off in the member at {part.at}"
                yield Problem("truncated", message, resolution="kept so far")


def _volumes(stream: Stream) -> list[Span]:
    """The parts of the set that begins here, less what each volume adds."""
    stem = stream.name[: -len(stream.suffix)] if stream.suffix == ".alz" else ""
    files: list[tuple[BinaryIO, int]] = [(stream.file, stream.size)]
    while stem and len(files) < MOST_VOLUMES:
        letter, number = divmod(len(files) - 1, 100)
        file = stream.sibling(f"{stem}.{chr(ord('a') + letter)}{number:02}")
        if file is None:
            break
        files.append((file, file.seek(0, 2)))
    last = len(files) - 1
    spans: list[Span] = []
    for place, (file, size) in enumerate(files):
        start = HEAD if place else 0
        spans.append((file, start, max(0, size - start - (TAIL if place < last else 0))))
    return spans


def walk(stream: Stream) -> Iterator[Member | Gap]:
    """Members in the order of the archive, and what lies between them that is none."""
    position = HEAD
    ended = False
    while position < stream.size:
        mark = stream.at(position, 4)
        member = _read_header(stream, position) if mark == MEMBER else None
        if member:
            yield member
            position = member.start + member.packed
            continue
        if mark == END:
            ended = True
            position += len(END)
            if position == stream.size:
                return
        found = _find(stream, position + 1, MARKS)
        end = found or stream.size
        if mark not in (REMARKS, DIRECTORY, SPLIT):
            message = f"no valid header at {position}" + (f"; the next one stands at {found}" if found else "")
            if ended:
                message = f"{end - position} bytes behind the end, at {position}"
            cut = mark == MEMBER and not found
            name = "[after the archive]" if ended else f"[damaged at {position}]"
            yield Gap(position, end - position, "truncated" if cut else "corrupt", message, name)
        position = end
    if not ended:
        yield Gap(stream.size, 0, "truncated", "the archive has no end mark", "")


def _find(stream: Stream, position: int, marks: tuple[bytes, ...]) -> int:
    """Where the next sound record stands, or 0."""
    while len(data := stream.at(position, 1 << 20)) > 3:
        at = data.find(b"LZ", 1)
        while at > 0:
            if data[at - 1 : at + 3] in marks:
                place = position + at - 1
                if data[at - 1 : at + 3] != MEMBER or _read_header(stream, place):
                    return place
            at = data.find(b"LZ", at + 1)
        position += len(data) - 3
    return 0


def _read_header(stream: Stream, at: int) -> Member | None:
    head = stream.at(at + 4, 9)
    if len(head) < 9:
        return None
    length, attributes, time, flags, _ = struct.unpack("<HBIBB", head)
    width = flags >> 4
    if width not in (0, 1, 2, 4, 8) or not length:
        return None
    method = crc = packed = size = 0
    start = at + 13
    if width:
        rest = stream.at(start, 6 + 2 * width)
        if len(rest) < 6 + 2 * width:
            return None
        method, _, crc = struct.unpack_from("<BBI", rest)
        packed = int.from_bytes(rest[6 : 6 + width], "little")
        size = int.from_bytes(rest[6 + width :], "little")
        start += len(rest)
    name = stream.at(start, length)
    if len(name) < length:
        return None
    start += length + (PkzipCipher.HEADER if flags & ENCRYPTED and width else 0)
    return Member(at, name, attributes, time, flags, method, crc, packed, size, start)


def _comments(stream: Stream) -> dict[int, bytes]:
    """Comments by the number of their member, out of the section that the tail gives the size of."""
    size = int.from_bytes(stream.at(stream.size - TAIL + 4, 4), "little")
    found: dict[int, bytes] = {}
    for behind in (TAIL + 4, TAIL, 0):
        at = stream.size - behind - size
        if 4 < size < stream.size and stream.at(at, 4) == REMARKS:
            position, end = at + 4, at + size
            while position + 6 <= end and len(found) < MOST_COMMENTS:
                number, length = struct.unpack("<IH", stream.at(position, 6))
                found.setdefault(number, stream.at(position + 6, length))
                position += 6 + length
            break
    return {number: text for number, text in found.items() if text.strip(b"\0")}


def _child(stream: Stream, member: Member, name: str, comment: str, keys: Keyring) -> Child:
    kind = FOLDER if member.attributes & 0x10 else FILE
    fields = [Field("file.kind", kind)] if kind != FILE else []
    if letters := "".join(letter for bit, letter in LETTERS if member.attributes & bit):
        fields.append(Field("archive.attributes", letters))
    if kind == FILE:
        method = METHODS.get(member.method, str(member.method))
        fields += [Field("archive.method", method), Field("archive.crc", f"{member.crc:08x}")]
    if comment:
        fields.append(Field("archive.comment", comment))
    secret = b""
    if member.flags & ENCRYPTED and kind != FOLDER:
        fields.append(Field("encryption.method", "ZipCrypto"))
        if found := keys.find(partial(_fits, stream, member), partial(_unpack, stream, member)):
            fields.append(found[0].field())
            secret = found[1]
    stamp: Timestamp | None = from_dos("M", member.time >> 16, member.time & 0xFFFF, "alz.mtime")
    return Child(
        name,
        member.name,
        None if kind == FOLDER else partial(_open, stream, member, secret),
        timestamps=(stamp,) if stamp else (),
        fields=tuple(fields),
    )


def _fits(stream: Stream, member: Member, secret: bytes) -> bool:
    last = PkzipCipher(secret).decrypt(stream.at(member.start - PkzipCipher.HEADER, PkzipCipher.HEADER))[-1:]
    return last == bytes((member.time >> 8 & 0xFF if member.flags & DESCRIBED else member.crc >> 24,))


def _open(stream: Stream, member: Member, secret: bytes) -> BinaryIO:
    if member.flags & ENCRYPTED and not secret:
        raise EvidenceError("encrypted", "ZipCrypto: no password fits")
    chunks = _unpack(stream, member, secret)
    return open_chunks(chunks, next(chunks, b""))


def _unpack(stream: Stream, member: Member, secret: bytes) -> Iterator[bytes]:
    def pieces() -> Iterator[bytes]:
        cipher = PkzipCipher(secret) if member.flags & ENCRYPTED else None
        if cipher:
            cipher.decrypt(stream.at(member.start - PkzipCipher.HEADER, PkzipCipher.HEADER))
        part = Slice(stream, member.start, member.packed)
        while data := part.read(PIECE):
            yield cipher.decrypt(data) if cipher else data

    if member.method == 0:
        chunks = pieces()
    elif member.method == 1:
        first = next(pieces(), b"")
        plain = first.startswith(b"BZh")
        chunks = unpack(BZIP2, pieces, member.size, 0, stream.limits, lambda spare: None) if plain else decode(pieces())
    elif member.method == 2:
        chunks = unpack(DEFLATE, pieces, member.size, 0, stream.limits, lambda spare: None)
    else:
        raise EvidenceError("unsupported", f"the method {member.method}")
    crc = made = 0
    for chunk in chunks:
        crc = zlib.crc32(chunk, crc)
        made += len(chunk)
        yield chunk
    if crc != member.crc:
        raise EvidenceError("corrupt", "the CRC-32 does not fit the content")
    if made != member.size:
        raise EvidenceError("corrupt", f"{made} bytes, where {member.size} were recorded")
