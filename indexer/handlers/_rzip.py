"""The inner form of rzip and lrzip: chunks of literals and of copies from far back, each in a stream of its own.

A chunk holds two chains of packed blocks: one of codes (so many literals; so many bytes from so far back), one of
the literals. What was unpacked of a chunk is kept in a file, since a copy may reach back to its beginning.

Source: lrzip 0.6, doc/magic.header.txt; rzip 2.1, its manual, and the order of the values in its files.
"""

from __future__ import annotations

import bz2
import lzma
import tempfile
import zlib
from collections.abc import Iterator
from typing import IO

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._lzo import unpack as unpack_lzo
from indexer.handlers._streams import Decoder, Slice
from indexer.handlers._zip_methods import Inflate
from indexer.limits import MIB

PLAIN, BZIP2, LZO, LZMA, GZIP, ZPAQ = 3, 4, 5, 6, 7, 8
PIECE = 256 * 1024
INPUT = 64 * 1024
MOST_LZO = 64 * MIB
"""Largest LZO block: it is unpacked at once."""
ZLIB_HEAD = 2
ONES = 0xFFFFFFFF
"""The register of these CRC-32s begins with zeros and is not turned over at the end: the reverse of zlib's."""


class Chunk:
    """One chunk; `end` is the offset behind its last block, once its bytes were read.

    Args:
        at: where the headers of its two chains stand.
        width: bytes of each number in headers and codes.
        properties: five bytes of an .lzma header, for blocks of that method.
    """

    def __init__(self, stream: Stream, at: int, width: int, properties: bytes) -> None:
        head = 1 + 3 * width
        self._width = width
        self._codes = _Chain(stream, at, at, width, properties)
        self._literals = _Chain(stream, at, at + head, width, properties)
        self._least = at + 2 * head

    @property
    def end(self) -> int:
        return max(self._least, self._codes.end, self._literals.end)

    def pieces(self, history: IO[bytes]) -> Iterator[bytes]:
        """The bytes of the chunk, kept in `history` too.

        Raises:
            EvidenceError: corrupt, truncated, unsupported; after the last good byte.
        """
        history.seek(0)
        history.truncate()
        made, crc = 0, ONES
        out = bytearray()
        try:
            while part := self._next(history, made + len(out)):
                history.write(part)
                out += part
                if len(out) >= PIECE:
                    made, crc = made + len(out), zlib.crc32(out, crc)
                    yield bytes(out)
                    out.clear()
            wrong = int.from_bytes(self._codes.take(4), "little") != zlib.crc32(out, crc) ^ ONES
        except EvidenceError:
            yield bytes(out)
            raise
        yield bytes(out)
        if wrong:
            raise EvidenceError("corrupt", "the CRC-32 of a chunk does not fit its content")
        self._literals.finish()

    def _next(self, history: IO[bytes], made: int) -> bytes:
        """Literals or a copy; nothing at the end of the chunk."""
        kind, length = self._codes.take(1)[0], int.from_bytes(self._codes.take(2), "little")
        if not kind:
            return self._literals.take(length)
        distance = int.from_bytes(self._codes.take(self._width), "little")
        if not length or not 0 < distance <= made:
            raise EvidenceError("corrupt", "a copy from before the beginning, or of nothing")
        history.seek(made - distance)
        part = history.read(min(length, distance))
        history.seek(made)
        return (part * (length // len(part) + 1))[:length]


class _Chain:
    """Packed blocks, each of which names the next; `end` is the offset behind the last that was begun."""

    def __init__(self, stream: Stream, origin: int, at: int, width: int, properties: bytes) -> None:
        self._stream = stream
        self._properties = properties
        self._chunks = self._blocks(origin, at, width)
        self._held = bytearray()
        self.end = at

    def take(self, count: int) -> bytes:
        """The next bytes, as many as asked for."""
        while len(self._held) < count:
            chunk = next(self._chunks, None)
            if chunk is None:
                raise EvidenceError("truncated", "the blocks of a chunk hold too little")
            self._held += chunk
        taken = bytes(self._held[:count])
        del self._held[:count]
        return taken

    def finish(self) -> None:
        """Walks to the end of the chain, which is the end of the chunk; there is nothing left in it."""
        if self._held or any(self._chunks):
            raise EvidenceError("corrupt", "a chunk holds more literals than its codes ask for")

    def _blocks(self, origin: int, at: int, width: int) -> Iterator[bytes]:
        while True:
            head = self._stream.at(at, 1 + 3 * width)
            if len(head) < 1 + 3 * width:
                raise EvidenceError("truncated", "the header of a block is cut short")
            packed, size, following = (
                int.from_bytes(head[first : first + width], "little") for first in range(1, len(head), width)
            )
            self.end = at + len(head) + packed
            if size:
                yield from self._unpack(head[0], at + len(head), packed, size)
            if not following:
                return
            if origin + following <= at:
                raise EvidenceError("corrupt", "the chain of blocks leads back")
            at = origin + following

    def _unpack(self, kind: int, at: int, packed: int, size: int) -> Iterator[bytes]:
        """The bytes of one block."""
        left = size
        for chunk in self._open(kind, at, packed, size):
            yield chunk[:left]
            left -= len(chunk[:left])
            if not left:
                return
        raise EvidenceError("truncated", f"a block unpacks to {size - left} of {size} bytes")

    def _open(self, kind: int, at: int, packed: int, size: int) -> Iterator[bytes]:
        stream = self._stream
        if kind == PLAIN:
            piece = Slice(stream, at, packed)
            while chunk := piece.read(PIECE):
                yield chunk
        elif kind == LZO and packed <= MOST_LZO and size <= MOST_LZO:
            yield unpack_lzo(stream.at(at, packed), size)
        elif kind == BZIP2:
            yield from _pump(stream, bz2.BZ2Decompressor(), at, packed)
        elif kind == GZIP:  # behind its header, zlib's form is deflate and a checksum
            yield from _pump(stream, Inflate(), at + ZLIB_HEAD, packed - ZLIB_HEAD)
        elif kind == LZMA:
            # A window no larger than the block: what the header asks for is not allocated.
            window = max(4096, min(int.from_bytes(self._properties[1:], "little"), size))
            if window > stream.limits.dictionary:
                raise EvidenceError("limit", f"dictionary: {window} bytes asked for")
            head = self._properties[:1] + window.to_bytes(4, "little") + size.to_bytes(8, "little")
            decoder = lzma.LZMADecompressor(lzma.FORMAT_ALONE)
            yield from _pump(stream, decoder, at, packed, head)
        else:
            raise EvidenceError("unsupported", "ZPAQ" if kind == ZPAQ else f"a block of the method {kind}")


def _pump(stream: Stream, decoder: Decoder | Inflate, at: int, packed: int, first: bytes = b"") -> Iterator[bytes]:
    piece = Slice(stream, at, max(0, packed))
    try:
        if first:
            yield decoder.decompress(first, PIECE)
        while not decoder.eof:
            data = piece.read(INPUT) if decoder.needs_input else b""
            chunk = decoder.decompress(data, PIECE)
            if not data and not chunk:
                return
            yield chunk
    except (zlib.error, lzma.LZMAError, OSError, EOFError) as error:
        raise EvidenceError("corrupt", f"a block does not unpack: {error}") from error


def open_history(stream: Stream) -> IO[bytes]:
    """A file for what was unpacked, gone when it is closed."""
    return tempfile.TemporaryFile(dir=stream.scratch)
