"""StuffIt, the archive of the Macintosh: both forks with type, creator and dates; all methods, given `unar`.

Stored and run-length coded forks are undone here. For the others a small archive is made of the fork alone,
which the optional program `unar` unpacks; size and CRC-16 are checked here.

Source: the archive's layout as described by "StuffIt 1.5.1 file format" (M. Fair, 1988) and by the notes of
The Unarchiver (XADMaster, StuffIt 5); CRC-16 of ARC.
Limits: without `unar`, LZW, Huffman and the later methods are named only; StuffIt X (`.sitx`) is recognised
only; encrypted forks are told, not opened.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from functools import partial
from typing import BinaryIO, ClassVar

from msgspec import Struct

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._crc16 import crc16
from indexer.handlers._mac import FIELDS, RESOURCES, decode_name, finder_fields, local_time
from indexer.handlers._streams import Slice, open_chunks
from indexer.handlers._unar import NEEDS, unpack
from indexer.model import Cause, Child, Fact, Field, Problem, Timestamp

CLASSIC, LATER, NEWEST = b"SIT!", b"StuffIt (c)1997-", (b"StuffIt!", b"StuffIt?")
LAUNCHER = b"rLau"
HEAD, ENTRY = 22, 112
FOLDER, FOLDER_END, ENCRYPTED = 32, 33, 16
METHODS = {
    0: "stored",
    1: "run lengths",
    2: "LZW",
    3: "Huffman",
    5: "LZAH",
    6: "fixed Huffman",
    8: "MW",
    13: "LZ and Huffman",
    14: "installer",
    15: "Arsenic",
}
RUNS, ARSENIC = 1, 15
MARK = 0xA5A5A5A5
REPEAT = 0x90
PIECE = 64 * 1024
MOST_ENTRIES = 100_000
DEEPEST = 256
MOST_PATH = 4096
FOLDER_FLAG = 0x40


class Fork(Struct, frozen=True):
    """The bytes of a fork: how they are packed, and where."""

    method: int
    size: int
    packed: int
    crc: int
    start: int


class StuffIt(Handler):
    name = "stuffit"
    version = 2
    media_types = ("application/x-stuffit", "application/x-sit", "application/x-stuffitx")
    signatures = (Signature(CLASSIC), Signature(LATER), *(Signature(mark) for mark in NEWEST))
    suffixes = (".sit", ".sitx", ".sea")
    fields: ClassVar[Mapping[str, str]] = {
        **FIELDS,
        "archive.method": "compression of a fork",
        "archive.crc": "CRC-16 as recorded",
        "encryption.method": "what encrypts a fork",
    }
    reads = "both forks of the files with type, creator, dates; methods but stored and run lengths by unar"
    needs = (NEEDS,)
    rank = 56
    container = True

    def claims(self, stream: Stream) -> str | None:
        head = stream.head
        if head.startswith(NEWEST):
            return self.media_types[2]
        return self.media_types[0] if head.startswith(LATER) or head[10:14] == LAUNCHER else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        if stream.head.startswith(NEWEST):
            raise EvidenceError("unsupported", "StuffIt X: recognised, not opened")
        yield from _later(stream) if stream.head.startswith(LATER) else _classic(stream)


def _classic(stream: Stream) -> Iterator[Fact]:
    at = HEAD
    folders: list[bytes] = []
    end = min(stream.size, max(int.from_bytes(stream.at(6, 4), "big"), HEAD))
    for _ in range(MOST_ENTRIES):
        entry = stream.at(at, ENTRY)
        if at >= end:
            break
        if len(entry) < ENTRY or crc16(entry[:110]) != int.from_bytes(entry[110:], "big"):
            cause: Cause = "truncated" if len(entry) < ENTRY else "corrupt"
            yield Problem(cause, f"no valid header at {at}", resolution="kept so far")
            return
        sizes = struct.unpack_from(">IIIIHH", entry, 84)
        rest = Fork(entry[0], sizes[0], sizes[2], sizes[4], at + ENTRY)
        data = Fork(entry[1], sizes[1], sizes[3], sizes[5], at + ENTRY + sizes[2])
        at += ENTRY
        if FOLDER_END in (entry[0], entry[1]):
            del folders[-1:]
            continue
        raw = b"/".join((*folders, entry[3 : 3 + min(entry[2], 63)]))
        stamps = _times(*struct.unpack_from(">II", entry, 76))
        if FOLDER in (entry[0], entry[1]):
            folders = [*folders, entry[3 : 3 + min(entry[2], 63)]][:DEEPEST]
            yield Child(decode_name(raw), raw, None, timestamps=stamps, fields=(Field("file.kind", "directory"),))
            continue
        yield from _members(stream, raw, data, rest, stamps, entry[66:76])
        at += rest.packed + data.packed
    if at < stream.size and end < stream.size and stream.at(at, 4096).strip(b"\0"):
        yield Problem("corrupt", f"{stream.size - at} bytes behind the end, at {at}")


def _later(stream: Stream) -> Iterator[Fact]:
    """StuffIt 5: entries one behind the other, each with the place of its folder's."""
    left, at = struct.unpack(">HI", stream.at(92, 6).ljust(6, b"\0"))
    if not left:
        yield Problem("corrupt", "the archive says that it is empty")
    folders: dict[int, bytes] = {}
    for _ in range(MOST_ENTRIES):
        if left <= 0:
            return
        head = stream.at(at, 48)
        size = int.from_bytes(head[6:8], "big")
        second = stream.at(at + size, 36)
        if len(head) < 48 or len(second) < 32 or int.from_bytes(head[:4], "big") != MARK:
            cause: Cause = "truncated" if len(head) < 48 or len(second) < 32 else "corrupt"
            yield Problem(cause, f"no valid header at {at}", resolution="kept so far")
            return
        flags = head[9]
        born, changed, _, _, above, length = struct.unpack_from(">IIIIIH", head, 10)
        plain, packed, crc = struct.unpack_from(">IIH", head, 34)
        if flags & FOLDER_FLAG and plain == 0xFFFFFFFF:
            at += len(head)  # stands behind every folder; nothing is known of it
            continue
        left -= 1
        raw = folders.get(above, b"") + stream.at(at + 48 + (0 if flags & FOLDER_FLAG else head[47]), length)
        stamps = _times(born, changed)
        start = at + size + (36 if head[4] == 1 else 32)
        if flags & FOLDER_FLAG:
            yield Child(decode_name(raw), raw, None, timestamps=stamps, fields=(Field("file.kind", "directory"),))
            folders[at] = raw[:MOST_PATH] + b"/"
            left += int.from_bytes(head[46:48], "big")
            at = start
            continue
        rest = Fork(0, 0, 0, 0, start)
        if second[1] & 1:
            told = struct.unpack(">IIHxxBB", stream.at(start, 14).ljust(14, b"\0"))
            rest = Fork(told[3], told[0], told[1], told[2], start + 14 + told[4])
        data = Fork(head[46] | (ENCRYPTED if flags & 0x20 else 0), plain, packed, crc, rest.start + rest.packed)
        yield from _members(stream, raw, data, rest, stamps, second[4:14])
        at = data.start + data.packed


def _times(born: int, changed: int) -> tuple[Timestamp, ...]:
    stamps = (local_time("B", born, "stuffit.created"), local_time("M", changed, "stuffit.modified"))
    return tuple(stamp for stamp in stamps if stamp)


def _members(
    stream: Stream, raw: bytes, data: Fork, rest: Fork, stamps: tuple[Timestamp, ...], finder: bytes
) -> Iterator[Child]:
    """The data fork, and the resource fork where it holds anything."""
    name = decode_name(raw)
    told = tuple(finder_fields(finder))
    yield Child(name, raw, partial(_open, stream, data), timestamps=stamps, fields=(*told, *_fork_fields(data)))
    if rest.size:
        fields = (Field("file.kind", "stream"), *_fork_fields(rest))
        yield Child(name + RESOURCES, raw + RESOURCES.encode(), partial(_open, stream, rest), fields=fields)


def _fork_fields(fork: Fork) -> Iterator[Field]:
    if fork.size:
        yield Field("archive.method", METHODS.get(fork.method & 15, str(fork.method)))
        yield Field("archive.crc", f"{fork.crc:04x}")
    if fork.method & ENCRYPTED:
        yield Field("encryption.method", "StuffIt")


def _open(stream: Stream, fork: Fork) -> BinaryIO:
    if not fork.size:
        return open_chunks(iter(()))
    if fork.method & ENCRYPTED:
        raise EvidenceError("encrypted", "StuffIt's own encryption: no program here opens it")
    if fork.method & 15 not in METHODS:
        raise EvidenceError("unsupported", f"the method {fork.method & 15}")
    chunks = _checked(_unpack(stream, fork), fork)
    return open_chunks(chunks, next(chunks, b""))  # what gives no byte at all does not open


def _checked(chunks: Iterator[bytes], fork: Fork) -> Iterator[bytes]:
    crc = made = 0
    for chunk in chunks:
        piece = chunk[: fork.size - made]
        made += len(piece)
        # Arsenic keeps a CRC-32 of its own among the packed bytes; the program checks it.
        crc = crc16(piece, crc)
        yield piece
    if made < fork.size:
        cause: Cause = "truncated" if fork.method & 15 <= RUNS else "corrupt"
        raise EvidenceError(cause, f"{made} of {fork.size} bytes are here")
    if crc != fork.crc and fork.method & 15 != ARSENIC:
        raise EvidenceError("corrupt", "the CRC-16 does not fit the content")


def _unpack(stream: Stream, fork: Fork) -> Iterator[bytes]:
    if fork.method & 15 > RUNS:
        yield from unpack(_archive_of(stream, fork), fork.size, stream.scratch)
        return
    part = Slice(stream, fork.start, fork.packed)
    held, last = b"", b""
    while data := part.read(PIECE):
        if fork.method & 15 == RUNS:
            chunk, held, last = _expand(held + data, last)
            yield chunk
        else:
            yield data


def _archive_of(stream: Stream, fork: Fork) -> Iterator[bytes]:
    """An archive of the old kind with one file, named `x`, whose data fork this is."""
    entry = struct.pack(">BBB63s18xIIIIHH6x", 0, fork.method & 15, 1, b"x", 0, fork.size, 0, fork.packed, 0, fork.crc)
    entry += crc16(entry).to_bytes(2, "big")
    yield struct.pack(">4sHI4sB7x", CLASSIC, 1, HEAD + ENTRY + fork.packed, LAUNCHER, 1) + entry
    part = Slice(stream, fork.start, fork.packed)
    while data := part.read(PIECE):
        yield data


def _expand(data: bytes, last: bytes) -> tuple[bytes, bytes, bytes]:
    """Bytes with their runs undone, what waits for its count, and the last byte given."""
    out = bytearray()
    at = 0
    while (mark := data.find(REPEAT, at)) >= 0 and mark + 1 < len(data):
        out += data[at:mark]
        count = data[mark + 1]
        out += (out[-1:] or last) * (count - 1) if count else b"\x90"
        at = mark + 2
    end = mark if mark >= 0 else len(data)
    out += data[at:end]
    return bytes(out), data[end:], bytes(out[-1:]) or last
