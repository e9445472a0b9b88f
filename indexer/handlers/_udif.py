"""Partitions of Apple's disk images: the runs of each, where they lie, and their bytes.

Source: "Demystifying the DMG File Format", Jonathan Levin, 2013: the trailer, the lists of runs, the kinds of runs.
Limits: runs under ADC and LZFSE are not unpacked here, nor are images whose data do not begin with the file.
"""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, cast

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._disk import DiskView
from indexer.handlers._image import FileImage
from indexer.handlers._plist import List, Map, read_xml
from indexer.handlers._streams import OUTPUT, Decoder, Slice
from indexer.limits import MIB
from indexer.volumes import Joined

STEP = MIB
SECTOR = 512
MOST_XML = 64 * MIB
_HEAD, _RUN = 204, 40
_ZERO, _STORED, _IGNORED = 0, 1, 2
_ZLIB, _BZIP2, _XZ = 0x80000005, 0x80000006, 0x80000008
_COMMENT, _END = 0x7FFFFFFE, 0xFFFFFFFF
_KNOWN = frozenset({_ZERO, _STORED, _IGNORED, _ZLIB, _BZIP2, _XZ})


class Piece(NamedTuple):
    """A run: `size` bytes of the partition, which come from `held` bytes of the file at `at`."""

    kind: int
    size: int
    at: int
    held: int


def read_partitions(stream: Stream) -> list[list[Piece]]:
    """The runs of every partition in the order of the list; none for what is not to be read here."""
    trailer = stream.at(stream.size - SECTOR, SECTOR)
    start, size = struct.unpack_from(">QQ", trailer.ljust(SECTOR, b"\0"), 216)
    if trailer[:4] != b"koly" or int.from_bytes(trailer[24:32], "big") or not 0 < size <= MOST_XML:
        return []
    text = stream.at(start, size)
    top = read_xml(iter((text,)))[0] if text.startswith(b"<?xml") else None
    forks = top.get("resource-fork") if isinstance(top, Map) else None
    listed = forks.get("blkx") if isinstance(forks, Map) else None
    found = [ref() for ref in listed.items] if isinstance(listed, List) else []
    return [_pieces(each.get("Data")) for each in found if isinstance(each, Map)]


def _pieces(table: object) -> list[Piece]:
    """The runs of one list; none where one of them is unknown, or where they do not follow one another."""
    if not isinstance(table, bytes) or len(table) < _HEAD or table[:8] != b"mish\0\0\0\1" or any(table[24:32]):
        return []
    whole, reached = int.from_bytes(table[16:24], "big") * SECTOR, 0
    pieces: list[Piece] = []
    for at in range(_HEAD, len(table) - _RUN + 1, _RUN):
        kind, first, count, begin, held = struct.unpack_from(">I4xQQQQ", table, at)
        if kind == _END:
            return pieces if reached == whole else []
        if kind == _COMMENT or not count:
            continue
        if kind not in _KNOWN or first * SECTOR != reached or (kind == _STORED and held != count * SECTOR):
            return []
        reached += count * SECTOR
        pieces.append(Piece(kind, count * SECTOR, begin, held))
    return []


def as_stored(stream: Stream, pieces: list[Piece]) -> BinaryIO | None:
    """A partition as it lies in the file, seekable; None where a run is packed or not all there."""
    parts: list[BinaryIO | int] = []
    for kind, size, at, _ in pieces:
        if kind in (_ZERO, _IGNORED):
            parts.append(size)
        elif kind == _STORED and at + size <= stream.size:
            parts.append(cast(BinaryIO, DiskView(FileImage(stream, at, size))))
        else:
            return None
    return cast(BinaryIO, Joined(parts)) if parts else None


def unpack(stream: Stream, pieces: list[Piece]) -> Iterator[bytes]:
    """The bytes of a partition, run after run.

    Raises:
        EvidenceError: corrupt, truncated; after the last good byte.
    """
    for piece in pieces:
        if piece.kind in (_ZERO, _IGNORED):
            for done in range(0, piece.size, STEP):
                yield bytes(min(STEP, piece.size - done))
        elif piece.kind == _STORED:
            part = Slice(stream, piece.at, piece.size)
            while chunk := part.read(STEP):
                yield chunk
        else:
            yield from _unpack_run(stream, piece)


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
