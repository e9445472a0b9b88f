"""The files' bytes of installers of NSIS that are packed by LZMA or not at all, found by their offsets.

Packed as one (solid), everything is one run of LZMA: the size of the header, the header, then each file
behind its size. Else the header and each file are blocks of their own; the highest bit of a block's
size says whether it is packed.

Source: NSIS 3.x, Source/exehead/fileform.c (GetCompressedDataFromDataBlock) and fileform.h; 7-Zip 26 lists
the offsets.
"""

from __future__ import annotations

import lzma
import re
from collections.abc import Iterator
from typing import BinaryIO, cast

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._disk import DiskView
from indexer.handlers._image import FileImage
from indexer.handlers._inno_data import lzma_chain
from indexer.handlers._inno_versions import LZMA1
from indexer.handlers._streams import Beginning, Slice, Unpacking
from indexer.handlers._tap import Tap

FIRST_HEADER = 28
PACKED = 1 << 31
PIECE = 256 * 1024
PLAIN_LZMA = re.compile(r"LZMA(:\d+)?")
MOST_AGAIN = 100
"""Times that what is packed as one is unpacked anew: files that stand twice share their bytes."""


class Content:
    """The bytes of an installer's files, in the order of their offsets.

    Args:
        stream: the installer from its first header on.
    """

    def __init__(self, stream: Stream, *, solid: bool) -> None:
        self._stream = stream
        self._solid = solid
        self._tap: Tap | None = None
        self._taps = 0
        self._header = 0

    def file(self, offset: int) -> Iterator[bytes]:
        """The bytes of the file whose size stands at an offset behind the header.

        Raises:
            EvidenceError: after the last good byte.
        """
        yield from self._from_run(offset) if self._solid else self._from_block(offset)

    def _from_run(self, offset: int) -> Iterator[bytes]:
        if self._tap is None or self._tap.position > 4 + self._header + offset:
            if self._taps > MOST_AGAIN:
                raise EvidenceError("unsupported", f"it was unpacked {MOST_AGAIN} times, and is not again")
            self._taps += 1
            self._tap = Tap(_unpack(self._stream, FIRST_HEADER, self._stream.size - FIRST_HEADER).chunks())
            self._header = _word(self._tap.take(0, 4))
        start = 4 + self._header + offset
        size = _word(self._tap.take(start, 4))
        yield from self._tap.take(start + 4, size)

    def _from_block(self, offset: int) -> Iterator[bytes]:
        header = _word(iter((self._stream.at(FIRST_HEADER, 4),)))
        start = FIRST_HEADER + 4 + header % PACKED + offset
        size = _word(iter((self._stream.at(start, 4),)))
        if size & PACKED:
            yield from _unpack(self._stream, start + 4, size % PACKED).chunks()
            return
        block = Slice(self._stream, start + 4, size)
        while piece := block.read(PIECE):
            yield piece


def _word(pieces: Iterator[bytes]) -> int:
    data = b"".join(pieces)
    if len(data) < 4:
        raise EvidenceError("truncated", "the size of a file is missing")
    return int.from_bytes(data, "little")


def _unpack(stream: Stream, start: int, size: int) -> Unpacking:
    part = Stream(cast(BinaryIO, DiskView(FileImage(stream), start, size)), limits=stream.limits)
    return Unpacking(part, _begin, (lzma.LZMAError,), _translate)


def _begin(stream: Stream, offset: int) -> Beginning:
    """Five bytes of properties, perhaps a zero before them that says that nothing is filtered, and one frame."""
    head = stream.at(0, 6)
    first = int(head[:1] == b"\0")
    properties = head[first : first + 5]
    if not offset:
        return first + len(properties)
    if offset > first + len(properties):
        return None
    try:
        chain = lzma_chain(LZMA1, properties)
    except ValueError as error:
        raise EvidenceError("corrupt", f"LZMA: {error}") from error
    if chain["dict_size"] > stream.limits.dictionary:
        raise EvidenceError("limit", f"dictionary: {chain['dict_size']} bytes, {stream.limits.dictionary} allowed")
    return lambda: lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[chain])


def _translate(error: Exception) -> EvidenceError:
    return EvidenceError("corrupt", f"LZMA: {error}")
