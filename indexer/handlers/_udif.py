"""Partitions of Apple's disk images: the runs of each, where they lie, and their bytes.

Source: "Demystifying the DMG File Format", Jonathan Levin, 2013: the trailer, the lists of runs, the kinds of runs.
Limits: runs under ADC and LZFSE are not unpacked here, nor are images whose data do not begin with the file.
"""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from collections import deque
from collections.abc import Iterator
from functools import partial
from itertools import accumulate
from typing import BinaryIO, NamedTuple, cast

from msgspec import Struct

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._disk import DiskView
from indexer.handlers._image import FileImage
from indexer.handlers._plist import List, Map, read_xml
from indexer.handlers._streams import OUTPUT, Decoder, Slice
from indexer.limits import GIB, MIB
from indexer.volumes import Joined

STEP = MIB
SECTOR = 512
MOST_XML = 64 * MIB
MOST_PROVEN = 4 * GIB
"""Bytes read ahead for their CRC-32; it is told of a larger partition once it has been given."""
_MOST_SECTORS = 1 << 54
_HEAD, _RUN = 204, 40
_CRC = (2, 32)
_ZERO, _STORED, _IGNORED = 0, 1, 2
_ZLIB, _BZIP2, _XZ = 0x80000005, 0x80000006, 0x80000008
_COMMENT, _END = 0x7FFFFFFE, 0xFFFFFFFF
METHODS = {_ZERO: "Zero0", _STORED: "Copy", _IGNORED: "Zero2", _ZLIB: "ZLIB", _BZIP2: "BZip2", _XZ: "XZ"}


class Piece(NamedTuple):
    """A run: `size` bytes of the partition, which come from `held` bytes of the file at `at`."""

    kind: int
    size: int
    at: int
    held: int


class Partition(Struct, frozen=True):
    """One partition; `checksum` is the kind of the one recorded, its bits and its value."""

    name: str
    pieces: list[Piece]
    start: int
    checksum: tuple[int, int, bytes]

    @property
    def size(self) -> int:
        """Bytes that it unpacks to."""
        return sum(piece.size for piece in self.pieces)

    @property
    def crc(self) -> int | None:
        """CRC-32 of all but the runs to be ignored, where one is recorded."""
        kind, bits, value = self.checksum
        return int.from_bytes(value[:4], "big") if (kind, bits) == _CRC else None


def read_partitions(stream: Stream) -> list[Partition]:
    """The partitions of a sound image in the order of its list.

    Raises:
        EvidenceError: corrupt, unsupported: where the image does not fit what it says, or has what is not read here.
    """
    trailer = stream.at(stream.size - SECTOR, SECTOR).ljust(SECTOR, b"\0")
    fork, length, start, size = struct.unpack(">QQ176xQQ", trailer[24:232])
    text = stream.at(start, min(size, MOST_XML))
    if trailer[:4] != b"koly" or fork or start + size > stream.size or not text.startswith(b"<?xml"):
        raise EvidenceError("unsupported", "the list of the partitions is not where it mostly is")
    top, fault = read_xml(iter((text,)))
    forks = top.get("resource-fork") if isinstance(top, Map) else None
    listed = forks.get("blkx") if isinstance(forks, Map) else None
    found = [ref() for ref in listed.items] if isinstance(listed, List) else []
    partitions = [_partition(each) for each in found if isinstance(each, Map)]
    starts = [0, *accumulate(each.size // SECTOR for each in partitions)]
    sectors = int.from_bytes(trailer[492:500], "big")
    if fault or not partitions or starts != [*(each.start for each in partitions), sectors]:
        raise EvidenceError("corrupt", "the partitions do not follow one another")
    _prove(trailer[352:], (each.checksum[2] for each in partitions))
    _prove(trailer[80:], (part for part in iter(partial(Slice(stream, 0, length).read, STEP), b"")))
    return partitions


def _prove(told: bytes, chunks: Iterator[bytes]) -> None:
    if struct.unpack_from(">II", told) == _CRC:
        found = 0
        for chunk in chunks:
            found = zlib.crc32(chunk, found)
        if found != int.from_bytes(told[8:12], "big"):
            raise EvidenceError("corrupt", "a CRC-32 of the image does not fit")


def _partition(told: Map) -> Partition:
    """A partition out of its list of runs.

    Raises:
        EvidenceError: unsupported, where one of them is unknown, or where they do not follow one another.
    """
    table, name = told.get("Data"), told.get("Name") or told.get("CFName") or ""
    wrong = EvidenceError("unsupported", "a list of runs is not as it mostly is")
    if not isinstance(table, bytes) or table[:8] != b"mish\0\0\0\1" or len(table) < _HEAD or any(table[24:32]):
        raise wrong
    if not isinstance(name, str) or not name.isprintable() or "&" in name or "<" in name:
        raise wrong
    start, whole, count = struct.unpack_from(">QQ", table, 8) + struct.unpack_from(">I", table, 200)
    kind, bits = struct.unpack_from(">II", table, 64)
    if _HEAD + count * _RUN != len(table) or bits > 1024:
        raise wrong
    pieces: list[Piece] = []
    reached = 0
    for at in range(_HEAD, len(table), _RUN):
        way, first, sectors, begin, held = struct.unpack_from(">I4xQQQQ", table, at)
        if first != reached:
            raise wrong
        if way == _END:
            if reached != whole or at + _RUN != len(table):
                raise wrong
            return Partition(name.lstrip(), pieces, start, (kind, bits, table[72 : 72 + bits // 8]))
        if way == _COMMENT or not sectors:
            continue
        reached += sectors
        if way not in METHODS or reached >= _MOST_SECTORS or (way == _STORED and held != sectors * SECTOR):
            raise wrong
        pieces.append(Piece(way, sectors * SECTOR, begin, held))
    raise wrong


def as_stored(stream: Stream, partition: Partition) -> BinaryIO | None:
    """A partition as it lies in the file, seekable; None where a run is packed, not all there or not as recorded."""
    parts: list[BinaryIO | int] = []
    for kind, size, at, _ in partition.pieces:
        if kind in (_ZERO, _IGNORED):
            parts.append(size)
        elif kind == _STORED and at + size <= stream.size:
            parts.append(cast(BinaryIO, DiskView(FileImage(stream, at, size))))
        else:
            return None
    if partition.crc is not None:
        if partition.size > MOST_PROVEN:
            return None
        try:
            deque(unpack(stream, partition), maxlen=0)
        except EvidenceError:
            return None
    return cast(BinaryIO, Joined(parts))


def unpack(stream: Stream, partition: Partition) -> Iterator[bytes]:
    """The bytes of a partition, run after run; zeros for what is missing before other bytes.

    Raises:
        EvidenceError: corrupt, truncated; after the last good byte.
    """
    crc = owed = 0
    trouble: EvidenceError | None = None
    for piece in partition.pieces:
        left = piece.size
        try:
            for chunk in _run(stream, piece):
                yield from _zeros(owed)
                owed = 0
                left -= len(chunk)
                if piece.kind != _IGNORED:
                    crc = zlib.crc32(chunk, crc)
                yield chunk
        except EvidenceError as error:
            trouble = trouble or error
            owed += left
    if trouble is None and partition.crc not in (None, crc):
        trouble = EvidenceError("corrupt", "the CRC-32 does not fit the content")
    if trouble:
        raise trouble


def _zeros(size: int) -> Iterator[bytes]:
    for done in range(0, size, STEP):
        yield bytes(min(STEP, size - done))


def _run(stream: Stream, piece: Piece) -> Iterator[bytes]:
    if piece.kind in (_ZERO, _IGNORED):
        return _zeros(piece.size)
    if piece.kind == _STORED:
        return iter(partial(Slice(stream, piece.at, piece.size).read, STEP), b"")
    return _unpack_run(stream, piece)


def _unpack_run(stream: Stream, piece: Piece) -> Iterator[bytes]:
    packed = Slice(stream, piece.at, piece.held)
    decoder = _decoder(piece.kind)
    left = piece.size
    try:
        while left > 0:
            data = packed.read(STEP) if decoder.needs_input and not decoder.eof else b""
            chunk = b"" if decoder.eof else decoder.decompress(data, min(OUTPUT, left))
            if not chunk and not data:
                raise EvidenceError("corrupt", f"a run of the partition unpacks to {left} bytes less than it should")
            left -= len(chunk)
            yield chunk
    except (zlib.error, OSError, lzma.LZMAError) as error:
        raise EvidenceError("corrupt", "a run of the partition does not unpack") from error


def _decoder(kind: int) -> Decoder:
    return _Inflater() if kind == _ZLIB else bz2.BZ2Decompressor() if kind == _BZIP2 else lzma.LZMADecompressor()


class _Inflater:
    """Zlib's decompressor with the ways of the other two."""

    unused_data = b""

    def __init__(self) -> None:
        self._decoder = zlib.decompressobj()

    @property
    def eof(self) -> bool:
        return self._decoder.eof

    @property
    def needs_input(self) -> bool:
        return not self._decoder.unconsumed_tail

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        return self._decoder.decompress(data or self._decoder.unconsumed_tail, max_length)
