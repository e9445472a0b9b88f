"""EGG, ALZip's newer archive: every method and cipher of its own, solid ones, volumes, comments, damaged ones.

Source: OctopusET, "EGG Archive Format Specification" 1.0 (reverse-engineered); KS X 3246 for LEA.
Limits: AZO and LEA are undone at about 50 KB a second; archives whose names are encrypted are told, not
opened; a volume behind the first gives what begins in it.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Generator, Iterator, Mapping
from functools import partial
from itertools import groupby
from typing import BinaryIO, ClassVar

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _azo
from indexer.handlers._archive import FIELDS as ARCHIVE_FIELDS
from indexer.handlers._archive import FILE, FOLDER, Gap, Names, kind_of_mode, tell_gap
from indexer.handlers._egg_locks import Decrypter, Lock
from indexer.handlers._egg_records import ARCHIVE, Block, Member, Prefix, Remark, read_prefix, walk
from indexer.handlers._keyring import Keyring
from indexer.handlers._spans import Span, join
from indexer.handlers._streams import Slice, open_chunks
from indexer.handlers._tap import Tap
from indexer.handlers._zip_methods import unpack
from indexer.model import Child, Fact, Field, Problem, Timestamp
from indexer.timestamps import from_filetime, from_unix

METHODS = {0: "stored", 1: "deflate", 2: "bzip2", 3: "AZO", 4: "LZMA"}
AS_IN_ZIP = {1: 8, 2: 12, 4: 14}
LZMA_HEAD, ZIP_LZMA_HEAD = 4, b"\0\0\5\0"
"""Before the properties of LZMA stand four bytes; zip has others there."""
FOLDER_BIT = 0x80
LETTERS = ((0x1, "R"), (0x2, "H"), (0x4, "S"), (0x8, "L"), (0x80, "D"))
VOLUME = re.compile(r"(.*\.vol)([0-9]{1,6})(\.egg)", re.IGNORECASE | re.DOTALL)
MOST_VOLUMES = 10_000
PIECE = 64 * 1024
DEEPEST = 64

Part = tuple[Member, Block, bytes]
"""A block with its member and the member's password."""
Running = dict[tuple[int, int], Decrypter]
"""Ciphers by member and by the packed byte they have come to: a member's blocks are encrypted as one."""


class EggArchive(Handler):
    name = "egg"
    media_types = ("application/x-egg", "application/vnd.egg", "application/x-egg-compressed")
    signatures = (Signature(ARCHIVE),)
    suffixes = (".egg",)
    fields: ClassVar[Mapping[str, str]] = {
        **ARCHIVE_FIELDS,
        "archive.method": "compression of a member",
        "archive.crc": "CRC-32 as recorded",
        "archive.attributes": "Windows attributes, as letters",
        "archive.comment": "comment on the archive or on a member",
        "archive.solid": "several members are packed as one",
        "archive.volumes": "files that make up the archive, where there are several",
        "archive.uid": "owner's number",
        "archive.gid": "group's number",
        "encryption.*": "method, and which password fitted",
    }
    reads = "members of every method, names in any code page, times, comments; encrypted ones by password; volumes"
    rank = 55
    volumes = True
    volume_names = (r".*\.vol[0-9]{1,6}\.egg",)
    container = True

    def is_volume(self, stream: Stream) -> bool:
        return bool(read_prefix(stream).following)

    def read(self, stream: Stream) -> Iterator[Fact]:
        prefix = read_prefix(stream)
        spans = _volumes(stream, prefix)
        if len(spans) > 1:
            yield Field("archive.volumes", len(spans))
            stream = join(stream, spans)
        elif prefix.following:
            yield Problem("truncated", "one of several volumes: the set goes on in the next, which is not here")
        if prefix.previous:
            yield Problem("truncated", "one of several volumes: the set begins in another")
        if prefix.locked:
            yield Field("encryption.method", "whole archive")
            yield Problem("encrypted", "the names are encrypted too")
        if prefix.solid:
            yield Field("archive.solid", True)
        yield from _Archive(stream, prefix).facts()


class _Archive:
    """The members of one archive, and what they share: names, passwords, one run of packed data."""

    def __init__(self, stream: Stream, prefix: Prefix) -> None:
        self._stream = stream
        self._prefix = prefix
        parts = list(walk(stream, prefix.end))
        self._parts = parts[: stream.limits.members]
        self._members = [part for part in self._parts if isinstance(part, Member)]
        self._places = {member.number: member for member in reversed(self._members)}
        page = next((member.page for member in self._members if member.page), 0)
        self._names = Names((member.name for member in self._members), _codec(page))
        self._keys = Keyring(stream)
        self._secrets: dict[int, bytes] = {}
        self._tap: Tap | None = None
        self._offsets: dict[int, int] = {}

    def facts(self) -> Iterator[Fact]:
        """Every record of the archive as facts, in its order."""
        yield from self._names.fields()
        for part in self._parts:
            if isinstance(part, Gap):
                yield from tell_gap(self._stream, part)
            elif isinstance(part, Remark):
                yield Field("archive.comment", _text(part.text, part.page))
            else:
                yield self._child(part)
                if part.end > self._stream.size:
                    message = f"the archive breaks off in the member at {part.at}"
                    yield Problem("truncated", message, resolution="kept so far")

    def _child(self, member: Member) -> Child:
        kind = kind_of_mode(member.posix[0]) if member.posix else FILE
        if member.attributes & FOLDER_BIT:
            kind = FOLDER
        fields = [Field("file.kind", kind)] if kind != FILE else []
        times: list[Timestamp | None] = [from_filetime("M", member.filetime, "egg.mtime")]
        if member.posix:
            mode, user, group, seconds = member.posix
            fields += [Field("file.mode", f"{mode & 0o7777:04o}"), Field("archive.uid", user)]
            fields.append(Field("archive.gid", group))
            times.append(from_unix("M", seconds, "egg.posix_mtime"))
        if letters := "".join(letter for bit, letter in LETTERS if member.attributes & bit):
            fields.append(Field("archive.attributes", letters))
        fields += [Field("archive.method", METHODS.get(each, str(each))) for each in _methods(member)]
        if len(member.blocks) == 1:
            fields.append(Field("archive.crc", f"{member.blocks[0].crc:08x}"))
        fields += [Field("archive.comment", _text(text, page)) for text, page in member.comments]
        if member.lock:
            lock = Lock(member.lock)
            fields.append(Field("encryption.method", lock.name))
            if lock.known and (found := self._keys.find(lock.fits, partial(self._unpack, member))):
                fields.append(found[0].field())
                self._secrets[member.at] = found[1]
        return Child(
            self._name(member),
            member.name,
            partial(self._open, member) if kind == FILE else None,
            timestamps=tuple(stamp for stamp in times if stamp),
            fields=tuple(fields),
        )

    def _name(self, member: Member) -> str:
        name = "[encrypted name]" if member.hidden else self._names.decode(member.name)
        for _ in range(DEEPEST):
            above = self._places.get(member.above) if member.above is not None else None
            if above is None or above is member:
                break
            name = f"{self._names.decode(above.name).rstrip('/')}/{name}"
            member = above
        return name

    def _open(self, member: Member) -> BinaryIO:
        secret = self._secrets.get(member.at, b"")
        if member.lock and not secret:
            lock = Lock(member.lock)
            if not lock.known:
                raise EvidenceError("unsupported", f"encryption: {lock.name}")
            raise EvidenceError("encrypted", f"{lock.name}: no password fits")
        chunks = self._from_run(member) if self._prefix.solid else self._unpack(member, secret)
        return open_chunks(chunks, next(chunks, b""))

    def _unpack(self, member: Member, secret: bytes) -> Iterator[bytes]:
        made = 0
        running: Running = {}
        for block in member.blocks:
            for chunk in _proven(_decode(self._stream, [(member, block, secret)], block.size, running), block):
                made += len(chunk)
                yield chunk
        if made != member.size:
            raise EvidenceError("corrupt", f"{made} bytes, where {member.size} were recorded")

    def _from_run(self, member: Member) -> Iterator[bytes]:
        """A member of a solid archive, out of the one run that gives all of them."""
        if self._tap is None:
            self._tap = Tap(self._run())
            at = 0
            for each in self._members:
                for block in each.blocks:
                    self._offsets[block.start] = at
                    at += block.size
        for block in member.blocks:
            yield from _proven(self._tap.take(self._offsets[block.start], block.size), block)

    def _run(self) -> Generator[bytes, None, None]:
        parts: list[Part] = []
        for member in self._members:
            if member.lock and member.at not in self._secrets and (found := self._try_alone(member)):
                self._secrets[member.at] = found
            parts += [(member, block, self._secrets.get(member.at, b"")) for block in member.blocks]
        for _, group in groupby(parts, key=lambda part: part[1].method):
            run = list(group)
            yield from _decode(self._stream, run, sum(block.size for _, block, _ in run), {})

    def _try_alone(self, member: Member) -> bytes:
        lock = Lock(member.lock)
        return next((secret for secret in self._secrets.values() if lock.known and lock.fits(secret)), b"")


def _methods(member: Member) -> list[int]:
    return list(dict.fromkeys(block.method for block in member.blocks))


def _codec(page: int) -> str:
    return "utf-8" if page == 65001 else f"cp{page}" if page else ""


def _text(raw: bytes, page: int) -> str:
    return Names((raw,), _codec(page)).decode(raw)


def _volumes(stream: Stream, prefix: Prefix) -> list[Span]:
    """The parts of the set that begins here; each volume names the next one by its number."""
    spans: list[Span] = [(stream.file, 0, stream.size)]
    match = VOLUME.fullmatch(stream.name)
    following = prefix.following
    if prefix.previous or not following or not match:
        return spans
    number = int(match[2])
    while following and len(spans) < MOST_VOLUMES:
        number += 1
        file = stream.sibling(f"{match[1]}{number}{match[3]}")
        if file is None:
            break
        volume = Stream(file)
        head = read_prefix(volume)
        if head.number != following or not volume.head.startswith(ARCHIVE):
            break
        spans.append((file, head.end, max(0, volume.size - head.end)))
        following = head.following
    return spans


def _proven(chunks: Iterator[bytes], block: Block) -> Iterator[bytes]:
    crc = 0
    for chunk in chunks:
        crc = zlib.crc32(chunk, crc)
        yield chunk
    if crc != block.crc:
        raise EvidenceError("corrupt", "the CRC-32 does not fit the content")


def _decode(stream: Stream, parts: list[Part], size: int, running: Running) -> Iterator[bytes]:
    """What the packed bytes of these blocks, all of one method, give as one stream."""
    method = parts[0][1].method
    pieces = partial(_pieces, stream, parts, running)
    if method == 0:
        yield from pieces()
    elif method == 3:
        yield from _azo.decode(pieces())
    elif method in AS_IN_ZIP:
        wanted = partial(_with_head, pieces) if method == 4 else pieces
        yield from unpack(AS_IN_ZIP[method], wanted, size, 0, stream.limits, lambda spare: None)
    else:
        raise EvidenceError("unsupported", f"the method {method}")


def _with_head(pieces: partial[Iterator[bytes]]) -> Iterator[bytes]:
    skip = LZMA_HEAD
    yield ZIP_LZMA_HEAD
    for piece in pieces():
        yield piece[skip:]
        skip = max(0, skip - len(piece))


def _pieces(stream: Stream, parts: list[Part], running: Running) -> Iterator[bytes]:
    """The packed bytes of these blocks, decrypted."""
    for member, block, secret in parts:
        part = Slice(stream, block.start, block.packed)
        cipher = None
        if member.lock:
            cipher = running.pop((member.at, block.before), None)
            cipher = cipher or Lock(member.lock).start(secret, block.before, _before(stream, member, block))
        while data := part.read(PIECE):
            yield cipher.decrypt(data) if cipher else data
        if cipher:
            running[member.at, block.before + block.packed] = cipher


def _before(stream: Stream, member: Member, block: Block) -> Iterator[bytes]:
    """The packed bytes of the member that stand before a block."""
    for each in member.blocks:
        if each is block:
            return
        yield from iter(partial(Slice(stream, each.start, each.packed).read, PIECE), b"")
