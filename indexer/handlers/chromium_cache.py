"""Entries of Chromium's Simple Cache: the page, picture or download, its address, times and headers.

Linux, Android and ChromeOS keep what was loaded so, one entry a file named `<16 hex>_0`; compiled scripts
lie in caches of the same form. A content coding is undone: the member is what the page was made of.

Source: Chromium's net/disk_cache/simple/simple_entry_format.h (versions 5 to 9), simple_index_file.cc.
Limits: certificates of the server are not given; two content codings on top of one another are not undone;
    what was loaded in parts (`_s`) is given in the parts that lie there.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import BinaryIO, ClassVar, Final, NamedTuple, cast

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._chromium_cache import FIELDS, Told, give_part, read_entry
from indexer.handlers._moments import CHROME, Moments, moment, print_moment, tell_lines
from indexer.handlers._spans import join
from indexer.limits import KIB, MIB
from indexer.model import Fact, Field, Problem

_MARK: Final = bytes.fromhex("305c72a71b6dfbfc")
_END: Final = bytes.fromhex("d8410d97456ffaf4")
_PART: Final = bytes.fromhex("6b67536501bf97eb")
_INDEX: Final = b"oy retne"
_HEAD, _TAIL, _PART_HEAD, _DIGEST = 24, 24, 32, 32
_HAS_SUM, _HAS_DIGEST = 1, 2
_MOST_KEY: Final = 64 * KIB
_MOST_PARTS: Final = 100_000


class _End(NamedTuple):
    """The record behind a stream."""

    flags: int
    checksum: int
    size: int


class ChromiumCache(Handler):
    name = "chromium-cache"
    media_types = ("application/x-chromium-cache", "application/x-chromium-cache-index")
    signatures = (Signature(_MARK), Signature(_INDEX, 8))
    fields: ClassVar[Mapping[str, str]] = {
        **FIELDS,
        "cache.entries": "number of entries that an index lists",
    }
    reads = "address, times, server and headers of what was loaded; the page or file itself, unpacked"
    needs = ("brotli", "backports.zstd")
    rank = 40
    container = True

    def claims(self, stream: Stream) -> str | None:
        if stream.head.startswith(_MARK):
            version, size = struct.unpack_from("<II", stream.head.ljust(16, b"\0"), 8)
            if not size and stream.size == _HEAD:
                return self.media_types[1]
            return self.media_types[0] if 1 <= version < 100 and 0 < size <= _MOST_KEY else None
        return self.media_types[1] if len(stream.head) >= 40 else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        if not stream.head.startswith(_MARK):
            yield from _read_index(stream)
            return
        size = int.from_bytes(stream.head[12:16], "little")
        if not size:
            return
        key = stream.at(_HEAD, size)
        if len(key) < size:
            raise EvidenceError("truncated", "it ends inside the key")
        start = _HEAD + size
        if stream.at(start, 8) == _PART:
            told = read_entry(key, ())
            yield from told.fields
            yield from _read_parts(stream, start, str(told.fields[0].value))
        else:
            yield from _read_streams(stream, key, start)


def _read_streams(stream: Stream, key: bytes, start: int) -> Iterator[Fact]:
    """Streams 1 and 0 of a `_0`, stream 2 of a `_1`."""
    end = stream.size - _TAIL
    last = _end_at(stream, end) if end >= start else None
    if last is None:
        yield Problem("truncated", "the record at the end is missing", resolution="read what is there")
        yield from _read_cut(stream, key, start)
        return
    end -= _DIGEST if last.flags & _HAS_DIGEST else 0
    between = end - last.size - _TAIL
    first = _end_at(stream, between) if between >= start else None
    if first is None and last.flags & _HAS_DIGEST:
        yield Problem("corrupt", "the size of stream 0 does not fit", resolution="looked for its beginning")
        yield from _read_cut(stream, key, start)
        return
    if first is None:
        yield from _check(stream, last, 2, start, stream.size - _TAIL)
        yield from _tell(read_entry(key, (None, None, _part(stream, start, stream.size - _TAIL))))
        return
    yield from _check(stream, last, 0, between + _TAIL, end)
    yield from _check(stream, first, 1, start, between)
    if last.flags & _HAS_DIGEST and stream.at(end, _DIGEST) != hashlib.sha256(key).digest():
        yield Problem("corrupt", "the digest of the key does not fit it")
    yield from _tell(read_entry(key, (_part(stream, between + _TAIL, end), _part(stream, start, between))))


def _read_cut(stream: Stream, key: bytes, start: int) -> Iterator[Fact]:
    """An entry whose last record does not help: the body ends where the first one stands, or is all that is left."""
    between = _find(stream, _END, start)
    head = _part(stream, between + _TAIL, stream.size) if between < stream.size else None
    yield from _tell(read_entry(key, (head, _part(stream, start, between))))


def _read_parts(stream: Stream, at: int, address: str) -> Iterator[Fact]:
    """The parts of a body that was loaded in parts, those that touch as one."""
    parts: list[tuple[int, int, int]] = []
    while at < stream.size and len(parts) < _MOST_PARTS:
        head = stream.at(at, _PART_HEAD)
        if len(head) < _PART_HEAD or not head.startswith(_PART):
            yield Problem("corrupt", f"no part begins at {at}", resolution="read up to there")
            break
        offset, size = struct.unpack_from("<qq", head, 8)
        at += _PART_HEAD
        if not 0 <= size <= stream.size - at:
            yield Problem("truncated", f"the part at {at} is not whole", resolution="read as far as it goes")
            size = stream.size - at
        parts.append((offset, at, size))
        at += size
    runs: list[list[tuple[int, int, int]]] = []
    for part in sorted(parts):
        if runs and sum(runs[-1][-1][::2]) == part[0]:
            runs[-1].append(part)
        else:
            runs.append([part])
    for run in runs:
        spans = [(cast(BinaryIO, stream), place, size) for _, place, size in run]
        whole = join(stream, spans)
        yield give_part(address, run[0][0], whole)


def _read_index(stream: Stream) -> Iterator[Fact]:
    """When each entry was used last, by the number that its file is named with."""
    (count,) = struct.unpack_from("<Q", stream.head, 20)
    there = min(count, (stream.size - 40) // 24)
    moments = Moments()

    def lines() -> Iterator[str]:
        for number in range(there):
            name, used, packed = struct.unpack("<QqQ", stream.at(40 + 24 * number, 24))
            at = moment(used, 1e-6, CHROME)
            moments.add(at)
            yield f"{print_moment(at) or '(no time)'} | used | {name:016x} | {packed >> 8 << 8} bytes"

    yield Field("cache.entries", there)
    yield from tell_lines(lines(), "entries")
    yield from moments.stamps("used", "chromium_cache_index.last_used")
    if there < count:
        yield Problem("truncated", f"it lists {count} entries, {there} are there")


def _tell(told: Told) -> Iterator[Fact]:
    yield from told.fields
    yield from told.timestamps
    yield from told.members


def _part(stream: Stream, start: int, end: int) -> Stream:
    return join(stream, [(cast(BinaryIO, stream), start, end - start)])


def _end_at(stream: Stream, at: int) -> _End | None:
    record = stream.at(at, _TAIL)
    return _End(*struct.unpack_from("<III", record, 8)) if record.startswith(_END) and len(record) == _TAIL else None


def _check(stream: Stream, end: _End, number: int, start: int, stop: int) -> Iterator[Problem]:
    if not end.flags & _HAS_SUM:
        return
    checksum = 0
    for at in range(start, stop, MIB):
        checksum = zlib.crc32(stream.at(at, min(MIB, stop - at)), checksum)
    if checksum != end.checksum:
        yield Problem("corrupt", f"the checksum of stream {number} does not fit it")


def _find(stream: Stream, mark: bytes, at: int) -> int:
    """Where a mark stands next, or the end."""
    while piece := stream.at(at, MIB):
        found = piece.find(mark)
        if found >= 0:
            return at + found
        at += len(piece) - len(mark) + 1 if len(piece) == MIB else len(piece)
    return stream.size
