"""lzop: blocks of LZO1X with checksums, unpacked here; the name and time in the header.

Source: lzop 1.04 (manual, and the order of the values in its header); Linux, Documentation/staging/lzo.rst.
Limits: files in one that have names of their own are read one within the other's tail; filters are not undone.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import ClassVar

from msgspec import Struct

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._archive import Names
from indexer.handlers._lzo import unpack
from indexer.handlers._streams import FIELDS, Beginning, Unpacking, content_name, read_frames
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem
from indexer.timestamps import from_unix

MAGIC = b"\x89LZO\0\r\n\x1a\n"
ADLER, ADLER_PACKED, EXTRA, CRC, CRC_PACKED, FILTERED = 0x1, 0x2, 0x40, 0x100, 0x200, 0x800
NEWER = 0x0940
MOST_BLOCK = 64 * MIB


class LzopStream(Handler):
    name = "lzop"
    media_types = ("application/x-lzop",)
    signatures = (Signature(MAGIC),)
    suffixes = (".lzo", ".tzo")
    fields: ClassVar[Mapping[str, str]] = {
        "lzop.blocks": "how many blocks, where there are several",
        "file.mode": "permission bits of the packed file, octal",
        "names.*": "how the name was decoded",
        **FIELDS,
    }
    reads = "the content with the name, mode and time of the header, each block's checksum compared"
    needs = ("lzallright",)
    rank = 60
    uses_name = True
    container = True

    def read(self, stream: Stream) -> Iterator[Fact]:
        header = _read_header(stream)
        if header.mode:
            yield Field("file.mode", f"{header.mode & 0o7777:04o}")
        names = Names((header.name,))
        yield from names.fields()
        name, raw = content_name(stream, self.suffixes, "content"), None
        if header.name:
            name, raw = names.decode(header.name), header.name
        stamp = from_unix("M", header.mtime, "lzop.mtime") if header.mtime else None
        blocks = _Blocks(header)
        unpacking = Unpacking(stream, blocks.begin, (_Wrong,), lambda error: EvidenceError("corrupt", str(error)))
        yield from read_frames(stream, unpacking, "lzop.blocks", name, raw, (stamp,) if stamp else ())
        if header.filtered:
            yield Problem("unsupported", "the content went through a filter, which is not undone")
        if not blocks.ended and not unpacking.error:
            yield Problem("truncated", "the mark behind the last block is missing", resolution="kept what decodes")


class _Header(Struct, frozen=True):
    length: int
    flags: int
    mode: int
    mtime: int
    name: bytes

    @property
    def filtered(self) -> bool:
        return bool(self.flags & FILTERED)


class _Wrong(Exception):  # noqa: N818 - it carries an EvidenceError out of a decoder
    """What is wrong with a block."""


def _read_header(stream: Stream, at: int = 0) -> _Header:
    """The header of a part.

    Raises:
        EvidenceError: truncated.
    """
    data = stream.at(at, 4096)
    try:
        version = struct.unpack_from(">H", data, 9)[0]
        newer = version >= NEWER
        place = 16 if newer else 14
        flags = struct.unpack_from(">I", data, place + (1 if newer else 0))[0]
        place += 5 if newer else 4
        place += 4 * bool(flags & FILTERED)
        mode, mtime = struct.unpack_from(">II", data, place)
        place += 12 if newer else 8
        length = data[place]
        name = data[place + 1 : place + 1 + length]
        place += 1 + length + 4
        if flags & EXTRA:
            place += 8 + struct.unpack_from(">I", data, place)[0]
    except (struct.error, IndexError) as error:
        raise EvidenceError("truncated", "the header is cut short") from error
    return _Header(place, flags, mode, mtime, name)


class _Blocks:
    """Finds the blocks one after another; `ended` once the mark behind the last was met."""

    def __init__(self, header: _Header) -> None:
        self._header = header
        self.ended = False

    def begin(self, stream: Stream, offset: int) -> Beginning:
        if not offset:
            return self._header.length
        head = stream.at(offset, len(MAGIC))
        if self.ended:
            return self._next_part(stream, offset) if head == MAGIC else None
        if len(head) < 4:
            return None
        if head[:4] == bytes(4):
            self.ended = True
            return 4
        size = int.from_bytes(head[:4], "big")
        if size > MOST_BLOCK or int.from_bytes(head[4:8], "big") > size:
            return None
        return lambda: _Block(self._header.flags)

    def _next_part(self, stream: Stream, offset: int) -> Beginning:
        """The header of a part that goes on with the content: it has no name, or the same one."""
        try:
            header = _read_header(stream, offset)
        except EvidenceError:
            return None
        if header.name not in (b"", self._header.name):
            return None
        self._header, self.ended = header, False
        return header.length


class _Block:
    """One block."""

    def __init__(self, flags: int) -> None:
        self._flags = flags
        self._held = b""
        self._fault = ""
        self.eof = False
        self.needs_input = True
        self.unused_data = b""

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        if self._fault:
            raise _Wrong(self._fault)
        self._held += data
        if len(self._held) < 8:
            return b""
        size, packed = struct.unpack_from(">II", self._held)
        start = 8 + 4 * (bool(self._flags & ADLER) + bool(self._flags & CRC))
        if packed < size:
            start += 4 * (bool(self._flags & ADLER_PACKED) + bool(self._flags & CRC_PACKED))
        if len(self._held) < start + packed:
            return b""
        body, self.unused_data = self._held[start : start + packed], self._held[start + packed :]
        content = body if packed == size else unpack(body, size)
        self._check(content, size)
        self.eof = not self._fault
        self.needs_input = False
        return content

    def _check(self, content: bytes, size: int) -> None:
        """What the block holds is given first; the fault is told when more is asked for."""
        at = 8
        for flag, compute in ((ADLER, zlib.adler32), (CRC, zlib.crc32)):
            if self._flags & flag:
                if int.from_bytes(self._held[at : at + 4], "big") != compute(content):
                    self._fault = "the checksum of a block does not fit its content"
                at += 4
        if len(content) != size:
            self._fault = "a block does not unpack to its length"
