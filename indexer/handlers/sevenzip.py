"""7z: members with names, times and attributes, every method, encrypted ones, self-extracting ones.

py7zr reads the blocks and decodes them one by one, fed in small pieces so that neither input nor output
piles up; the members' names, times and attributes are read here, a column at a time. So read, 50,000
members of 1 kB in one block take 0.5 s of processor time, a little less than 7-Zip writing them into
memory; with a block for each 2.2 s, a third more than 7-Zip: half of it LZMA, a quarter py7zr's reading
of the blocks (2026-11).
7-Zip takes over where py7zr cannot read a method or a directory, and where each of many blocks has
a key of its own: one process gives all members in the order of the archive, and the sizes cut them
apart. Every member's CRC is checked on the way, whoever decoded it.

Source: 7zFormat.txt of the LZMA SDK; Methods.txt for the numbers of the methods.
Limits: without its directory, which stands at the end, nothing of an archive is read (pieces called
.7z.001, .7z.002 are joined before they come here); in a damaged archive of a method that only 7-Zip has, two
hundred members behind the damage are tried one by one, the rest is not read.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property, lru_cache, partial
from typing import BinaryIO, ClassVar

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._p7z import stream_members
from indexer.handlers._sevenzip import (
    MAGIC,
    START,
    UNIX,
    Directory,
    Entry,
    Folder,
    Window,
    check_cycles,
    check_start,
    read_directory,
    read_packed_directory,
)
from indexer.handlers._sevenzip_blocks import MOST_KEYS, decode, salt_of, unpack_directory, unpack_small
from indexer.handlers._sevenzip_listed import list_directory
from indexer.handlers._streams import open_chunks
from indexer.handlers._tap import Tap
from indexer.limits import MIB
from indexer.model import Child, Fact, Field
from indexer.passwords import Password

MOST_RUNS = 200
"""Members behind a damaged one for which 7-Zip is started anew."""
ONLY_HERE = frozenset({"ZSTD", "Brotli", "LZ4"})
MOST_TARGET = 4096


class SevenZip(Handler):
    name = "7z"
    version = 2
    media_types = ("application/x-7z-compressed",)
    signatures = (Signature(MAGIC), Signature(b"MZ"), Signature(b"\x7fELF"))
    suffixes = (".7z", ".cb7", ".exe")
    fields: ClassVar[Mapping[str, str]] = {
        "7z.method": "compression methods, of the archive and of each member",
        "7z.solid": "several members are packed as one block",
        "7z.blocks": "how many blocks",
        "7z.crc": "CRC-32 as recorded",
        "7z.attributes": "Windows attributes, hexadecimal",
        "7z.offset": "where the archive begins in a self-extracting program",
        "file.kind": "what a member is where it is not a plain file",
        "file.link_target": "where a link points",
        "file.mode": "permission bits, octal",
        "encryption.*": "method, whether the names are encrypted too, and which password fitted",
    }
    reads = "members with times, attributes and methods; encrypted ones with a password; self-extracting programs"
    needs = ("py7zr", "p7z")
    rank = 45
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if _find_start(stream) >= 0 else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        offset = max(0, _find_start(stream))
        inner = stream
        if offset:
            yield Field("7z.offset", offset)
        whole = Window(stream, offset)
        inner = Stream(whole, limits=stream.limits, scratch=stream.scratch)  # type: ignore[arg-type]
        with inner.path() as path:
            yield from _read(inner, path, iter(stream.passwords))


def _find_start(stream: Stream) -> int:
    """Where the archive begins: at 0, or within the first MiB of a program; -1 where there is none."""
    if stream.head.startswith(MAGIC):
        return 0
    if not stream.head.startswith((b"MZ", b"\x7fELF")):
        return -1
    start = stream.at(0, MIB + START)
    at = start.find(MAGIC)
    while at >= 0:
        head = start[at : at + START]
        if len(head) == START and zlib.crc32(head[12:]) == struct.unpack_from("<I", head, 8)[0]:
            return at
        at = start.find(MAGIC, at + 1)
    return -1


def _read(stream: Stream, path: str, passwords: Iterator[Password]) -> Iterator[Fact]:
    try:
        import py7zr  # noqa: F401
    except ImportError as error:
        raise EvidenceError("missing-library", "7z: pip install py7zr") from error
    data = check_start(stream)
    if not data:
        return
    packed = read_packed_directory(data, stream.limits.dictionary)
    encrypted = any(folder.encrypted for folder in packed)
    if encrypted:
        yield Field("encryption.method", "AES-256")
        yield Field("encryption.names", True)
    directory, password = _directory(stream, path, data, packed, passwords)
    yield from _labels(directory, encrypted)
    if directory.trouble:
        yield directory.trouble.problem("", "members listed as far as 7-Zip got")
    locked = _cheapest_proof(directory)
    if locked and password is None:
        password = _try_passwords(stream, path, directory, locked, passwords)
    if password is not None:
        yield password.field()
    with_7zip = _Members(stream, path, directory, password)
    try:
        for entry in directory.entries:
            yield _child(entry, with_7zip)
    finally:
        with_7zip.close()


def _directory(
    stream: Stream, path: str, data: bytes, packed: list[Folder], passwords: Iterator[Password]
) -> tuple[Directory, Password | None]:
    """The directory, and the password that opened it where it is encrypted.

    Args:
        data: the directory as it lies.
        packed: the blocks in which it is packed, if it is.
    """
    if any(folder.encrypted for folder in packed):
        for password in passwords:
            with suppress(EvidenceError):
                return read_directory(unpack_directory(stream, packed, password.text)), password
        raise EvidenceError("encrypted", "the directory is encrypted: no password fits")
    try:
        return read_directory(unpack_directory(stream, packed, None) if packed else data), None
    except EvidenceError:
        directory = list_directory(path, "")
        if not directory.entries:
            raise
        return directory, None


def _labels(directory: Directory, encrypted: bool) -> Iterator[Field]:
    if directory.methods:
        yield Field("7z.method", " ".join(directory.methods))
    if directory.folders:
        yield Field("7z.blocks", len(directory.folders))
    if directory.solid:
        yield Field("7z.solid", True)
    if not encrypted and any(entry.encrypted for entry in directory.entries):
        yield Field("encryption.method", "AES-256")


def _cheapest_proof(directory: Directory) -> Entry | None:
    """The encrypted member whose end is reached first; one with a CRC, since it proves a password."""
    proving = (entry for entry in directory.entries if entry.encrypted and entry.size and entry.crc is not None)
    return min(proving, key=lambda entry: entry.start + entry.size, default=None)


def _try_passwords(
    stream: Stream, path: str, directory: Directory, entry: Entry, passwords: Iterator[Password]
) -> Password | None:
    for password in passwords:
        members = _Members(stream, path, directory, password)
        try:
            with suppress(EvidenceError):
                for _ in members.chunks(entry):
                    pass
                return password
        finally:
            members.close()
    return None


class _Members:
    """The bytes of members, from 7-Zip in one go or from py7zr block by block."""

    def __init__(self, stream: Stream, path: str, directory: Directory, password: Password | None) -> None:
        self._stream = stream
        self._path = path
        self._folders = directory.folders
        self._password = password.text if password else None
        keys = {
            salt_of(folder.coders[0]) if folder.sealed else folder.offset
            for folder in self._folders
            if folder.encrypted
        }
        locked = password is None and any(entry.encrypted for entry in directory.entries)
        here = bool(self._folders) and all(folder.read_here for folder in self._folders)
        # Of a member that is locked, or packed by what 7-Zip has not, its stream holds nothing: it
        # could no longer be cut by the sizes.
        gaps = locked or any(ONLY_HERE.intersection(folder.methods) for folder in self._folders)
        self._all_at_once = not self._folders or (not gaps and (not here or len(keys) > MOST_KEYS))
        self._tap: Tap | None = None
        self._folder = -1
        self._entries = directory.entries
        self._runs = 0

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        """One member's bytes.

        Raises:
            EvidenceError: encrypted, limit, unsupported, corrupt, truncated; after the last good byte.
        """
        if entry.encrypted and self._password is None:
            raise EvidenceError("encrypted", "AES-256: no password fits")
        if entry.folder >= 0 and self._folders:
            self._check(self._folders[entry.folder])
        crc = 0
        try:
            for chunk in self._take(entry):
                crc = zlib.crc32(chunk, crc)
                yield chunk
            if entry.crc is not None and crc != entry.crc:
                raise EvidenceError("corrupt", "the CRC-32 does not fit the content")
        except EvidenceError:
            if self._all_at_once:
                # 7-Zip may have given less than the size: nothing behind this can be cut rightly.
                self._all_at_once = False
                self.close()
            raise

    def at_hand(self, entry: Entry) -> bytes | None:
        """All of a small member that is a block of its own or was unpacked with the one before it; its CRC fits."""
        if entry.crc is None:
            return None
        if not self._all_at_once and entry.folder != self._folder:
            return self._alone(entry)
        start = entry.position if self._all_at_once else entry.start
        data = self._tap.at_hand(start, entry.size) if self._tap else None
        if self._tap is None or data is None or zlib.crc32(data) != entry.crc:
            return None
        self._tap.skip(start + entry.size)
        return data

    def _alone(self, entry: Entry) -> bytes | None:
        folder = self._folders[entry.folder] if self._folders else None
        if folder is None or folder.unpacksizes[-1] != entry.size or folder.memory > self._stream.limits.dictionary:
            return None
        data = unpack_small(self._stream, folder)
        return data if data is not None and zlib.crc32(data) == entry.crc and len(data) == entry.size else None

    def _check(self, folder: Folder) -> None:
        limit = self._stream.limits.dictionary
        if folder.memory > limit:
            raise EvidenceError("limit", f"dictionary: {folder.memory} bytes asked for, {limit} allowed")
        for coder in folder.coders:
            check_cycles(coder)

    def _take(self, entry: Entry) -> Iterator[bytes]:
        if self._all_at_once:
            if self._tap is None:
                self._tap = Tap(stream_members(self._path, kind="7z", password=self._password or ""))
            return self._tap.take(entry.position, entry.size)
        if not self._folders or not self._folders[entry.folder].tried_here:
            self._runs += 1
            if self._runs <= MOST_RUNS and self._names[entry.name] == 1:
                self.close()
                password = self._password or ""
                self._tap = Tap(stream_members(self._path, kind="7z", password=password, names=(entry.name,)))
                return self._tap.take(0, entry.size)
            raise EvidenceError("unsupported", f"{entry.method}: only 7-Zip reads it, and it stopped before")
        if self._folder != entry.folder or self._tap is None or self._tap.position > entry.start:
            self.close()
            self._folder = entry.folder
            self._tap = Tap(decode(self._stream, self._folders[entry.folder], self._password))
        return self._tap.take(entry.start, entry.size)

    @cached_property
    def _names(self) -> Counter[str]:
        return Counter(entry.name for entry in self._entries)

    def close(self) -> None:
        """Ends whatever runs."""
        if self._tap:
            self._tap.close()
        self._tap = None
        self._folder = -1


def _child(entry: Entry, members: _Members) -> Child:
    fields = _shared_fields(entry.kind, entry.attributes, entry.method)
    if entry.crc is not None:
        fields += (Field("7z.crc", f"{entry.crc:08x}"),)
    opening: Callable[[], BinaryIO] | None = None
    target = _target(entry, members) if entry.kind == "symlink" else ""
    if target:
        fields += (Field("file.link_target", target),)
    elif entry.kind in ("file", "symlink"):
        opening = partial(_open, entry, members)
    return Child(entry.name, entry.name.encode("utf-16-le", "surrogatepass"), opening, entry.times, fields)


def _open(entry: Entry, members: _Members) -> BinaryIO:
    """A member as a stream; what gives no byte at all fails here, so that no empty item stands for it."""
    if not entry.size:
        return io.BytesIO()
    data = members.at_hand(entry)
    if data is not None:
        return io.BytesIO(data)
    chunks = members.chunks(entry)
    return open_chunks(chunks, next(chunks, b""))


def _target(entry: Entry, members: _Members) -> str:
    """Where a link points: the member's bytes, if they are a short text."""
    if not 0 < entry.size <= MOST_TARGET:
        return ""
    try:
        return b"".join(members.chunks(entry)).decode("utf-8")
    except (EvidenceError, UnicodeDecodeError):
        return ""


@lru_cache(maxsize=256)
def _shared_fields(kind: str, attributes: int | None, method: str) -> tuple[Field, ...]:
    """What members have in common with many others of their archive."""
    fields = []
    if kind != "file":
        fields.append(Field("file.kind", kind))
    if attributes is not None:
        if attributes & UNIX:
            fields.append(Field("file.mode", f"{attributes >> 16 & 0o7777:04o}"))
        fields.append(Field("7z.attributes", f"{attributes & 0x7FFF:#06x}"))
    if method:
        fields.append(Field("7z.method", method))
    return tuple(fields)
