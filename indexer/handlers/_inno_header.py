"""Where the header of an installer of Inno Setup stands, and its two compressed blocks.

Source: Inno Setup 4 to 6, Projects/Src/Struct.pas (SetupID) and Compress.pas (the compressed block).
"""

from __future__ import annotations

import lzma
import re
import struct
import zlib
from collections.abc import Iterator

from msgspec import Struct

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._inno_data import lzma_chain
from indexer.handlers._inno_versions import BEYOND, LZMA1, OLDEST, Version
from indexer.limits import MIB

MARK = b"Inno Setup Setup Data ("
SIGNATURE = re.compile(rb"Inno Setup Setup Data \(([0-9]{1,3}(?:\.[0-9]{1,3}){2,3})[a-z]?\)( \([uU]\))?")
SIGNATURE_SIZE = 64
CHUNK = 4096
"""Bytes of a packed block behind each CRC-32."""
MOST_HEADER = 64 * MIB
SCAN = 1 << 20
MOST_STRINGS = 24
"""Every version of its time has more than these before its numbers."""


class Header(Struct, frozen=True):
    """A header's mark: where the first block begins, the version, and whether its strings are UTF-16."""

    at: int
    shown: str
    wide: bool

    @property
    def version(self) -> Version:
        """The version, as numbers."""
        return tuple(int(part) for part in self.shown.split("."))


def find_header(stream: Stream) -> Header | None:
    """The last header that a block follows, else the last one: packed files may hold installers of their own."""
    last = None
    for header in _marks(stream):
        if _block_head(stream, header.at, header.version):
            return header
        last = last or header
    return last


def _marks(stream: Stream) -> Iterator[Header]:
    """All marks, from the end backwards."""
    end = stream.size
    while end > 0:
        start = max(0, end - SCAN)
        data = stream.at(start, end - start + SIGNATURE_SIZE)
        at = data.rfind(MARK, 0, end - start + len(MARK) - 1)
        while at >= 0:
            if match := SIGNATURE.match(data, at):
                shown = match[1].decode("ascii")
                wide = bool(match[2]) or int(shown.partition(".")[0]) >= 6
                yield Header(start + at + SIGNATURE_SIZE, shown, wide)
            at = data.rfind(MARK, 0, at)
        end = start


def _block_head(stream: Stream, at: int, version: Version) -> tuple[int, bool, int] | None:
    """Packed size of a block, whether it is compressed, and where it begins; None where its CRC-32 does not fit."""
    length = 5 if version >= (4, 0, 9) else 8
    head = stream.at(at, 4 + length)
    if len(head) < 4 + length or zlib.crc32(head[4:]) != int.from_bytes(head[:4], "little"):
        return None
    if length == 5:
        size, packed = struct.unpack("<IB", head[4:])
        return size, bool(packed), at + 9
    size, plain = struct.unpack("<II", head[4:])
    whole = plain if size == 0xFFFFFFFF else size
    return whole + -(-whole // CHUNK) * 4, size != 0xFFFFFFFF, at + 12


def read_block(stream: Stream, at: int, version: Version) -> tuple[bytes, int]:
    """A block, unpacked, and where the next one begins.

    Raises:
        EvidenceError: where it is cut off or damaged.
    """
    if not OLDEST <= version < BEYOND:
        age = "before 4.0" if version < OLDEST else "6.5 or later"
        raise EvidenceError("unsupported", f"a header of Inno Setup {age}")
    if at + 9 > stream.size:
        raise EvidenceError("truncated", "the installer ends before its header")
    head = _block_head(stream, at, version)
    if head is None:
        raise EvidenceError("corrupt", "the CRC-32 of the header's size does not fit")
    size, packed, at = head
    end = at + size
    data = bytearray()
    while at < end:
        piece = stream.at(at, min(4 + CHUNK, end - at))
        if len(piece) < 5:
            raise EvidenceError("truncated", "the installer ends in its header")
        if zlib.crc32(piece[4:]) != int.from_bytes(piece[:4], "little"):
            if end > stream.size:
                raise EvidenceError("truncated", "the installer ends in its header")
            raise EvidenceError("corrupt", "a CRC-32 does not fit the header")
        data += piece[4:]
        at += len(piece)
    try:
        return _unpack(bytes(data), packed, version), end
    except (lzma.LZMAError, zlib.error, ValueError) as error:
        raise EvidenceError("corrupt", f"the header of Inno Setup does not unpack: {error}"[:200]) from error


def _unpack(data: bytes, packed: bool, version: Version) -> bytes:
    if not packed or not data:
        return data
    if version < (4, 1, 6):
        return zlib.decompressobj().decompress(data, MOST_HEADER)
    chain = lzma_chain(LZMA1, data[:5])
    if chain["dict_size"] > MOST_HEADER:
        raise ValueError("the properties of LZMA do not make sense")
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[chain]).decompress(data[5:], MOST_HEADER)


def first_strings(header: bytes, wide: bool) -> Iterator[str]:
    """The strings that a header begins with; what follows them is not text."""
    position = 0
    for _ in range(MOST_STRINGS):
        size = int.from_bytes(header[position : position + 4], "little")
        raw = header[position + 4 : position + 4 + size]
        if position + 4 + size > len(header) or (wide and size % 2):
            return
        try:
            text = raw.decode("utf-16-le" if wide else "cp1252")
        except UnicodeDecodeError:
            return
        yield text.strip("\0 ")
        position += 4 + size
