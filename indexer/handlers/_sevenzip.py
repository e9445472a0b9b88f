"""The directory of a 7z archive as values; its blocks are read by py7zr.

Source: 7zFormat.txt of the LZMA SDK.
"""

from __future__ import annotations

import io
import lzma
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Any

from msgspec import Struct

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._sevenzip_chain import CHAINED
from indexer.handlers._sevenzip_files import Columns, Place, places, read_columns
from indexer.handlers._zstd import load_zstd
from indexer.limits import MIB
from indexer.model import Timestamp

MAGIC = b"7z\xbc\xaf\x27\x1c"
START = 32
HEADER, STREAMS, FILES, PACKED, END = b"\1", b"\4", b"\5", b"\x17", b"\0"
"""What the parts of a directory begin with."""
MOST_HEADER = 256 * MIB
MOST_CYCLES = 22
"""Power of two of the rounds that make a key; 7-Zip writes 19. Each step doubles the time of one try."""
UNIX, DIRECTORY, REPARSE = 0x8000, 0x10, 0x400
UNIX_KINDS = {0o010: "fifo", 0o020: "character-device", 0o040: "directory", 0o060: "block-device"}
UNIX_KINDS |= {0o100: "file", 0o120: "symlink", 0o140: "socket"}
AES = b"\x06\xf1\x07\x01"
METHODS = {
    b"\x00": "Copy",
    b"\x03": "Delta",
    b"\x04": "BCJ",
    b"\x05": "PPC",
    b"\x06": "IA64",
    b"\x07": "ARM",
    b"\x08": "ARMT",
    b"\x09": "SPARC",
    b"\x0a": "ARM64",
    b"\x0b": "RISCV",
    b"\x21": "LZMA2",
    b"\x03\x01\x01": "LZMA",
    b"\x03\x04\x01": "PPMD",
    b"\x03\x03\x01\x03": "BCJ",
    b"\x03\x03\x01\x1b": "BCJ2",
    b"\x03\x03\x02\x05": "PPC",
    b"\x03\x03\x04\x01": "IA64",
    b"\x03\x03\x05\x01": "ARM",
    b"\x03\x03\x07\x01": "ARMT",
    b"\x03\x03\x08\x05": "SPARC",
    b"\x04\x01\x08": "Deflate",
    b"\x04\x01\x09": "Deflate64",
    b"\x04\x02\x02": "BZip2",
    b"\x04\xf7\x11\x01": "ZSTD",
    b"\x04\xf7\x11\x02": "Brotli",
    b"\x04\xf7\x11\x04": "LZ4",
    AES: "7zAES",
}
READ_HERE = frozenset(
    {"Copy", "Delta", "BCJ", "LZMA", "LZMA2", "Deflate", "Deflate64", "BZip2", "Brotli", "ZSTD", "7zAES"}
)
"""Methods that py7zr decodes as 7-Zip does. Its other filters differ at the end of a block, and its PPMd
needs ten times as long (2026-11)."""


def parse_errors() -> tuple[type[Exception], ...]:
    """What py7zr was seen to raise on damaged archives."""
    from py7zr.exceptions import ArchiveError

    return (
        ArchiveError,
        AssertionError,
        AttributeError,
        EOFError,
        IndexError,
        KeyError,
        OSError,
        TypeError,
        ValueError,
        ZeroDivisionError,
        OverflowError,
        struct.error,
        lzma.LZMAError,
        zlib.error,
        *_codec_errors(),
    )


def _codec_errors() -> Iterator[type[Exception]]:
    with suppress(EvidenceError):
        yield load_zstd().ZstdError
    try:
        import brotli  # type: ignore[import-untyped]

        yield brotli.error
    except ImportError:
        pass


class Window(io.BufferedIOBase):
    """A stream from an offset on, without its name."""

    def __init__(self, stream: Stream, offset: int) -> None:
        super().__init__()
        self._stream = stream
        self._offset = offset
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        size = self._stream.size - self._offset
        self._at = max(0, offset + (0, self._at, size)[whence])
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        left = max(0, self._stream.size - self._offset - self._at)
        data = self._stream.at(self._offset + self._at, left if size is None or size < 0 else min(size, left))
        self._at += len(data)
        return data

    def fileno(self) -> int:
        if self._offset:
            raise OSError("only a part of the file")
        return self._stream.file.fileno()


class Folder(Struct):
    """One solid block: how it is packed and where."""

    methods: tuple[str, ...]
    coders: list[dict[str, Any]]
    unpacksizes: list[int]
    offset: int
    packed: int
    memory: int
    simple: bool
    order: tuple[int, ...] = ()
    """The coders in the order in which they are undone."""
    crc: int | None = None

    @property
    def sealed(self) -> bool:
        """Whether AES is all that has to be undone before py7zr may go on."""
        return self.simple and self.methods[0] == "7zAES" and self.order[0] == 0 and "7zAES" not in self.methods[1:]

    @property
    def encrypted(self) -> bool:
        return "7zAES" in self.methods

    @property
    def read_here(self) -> bool:
        """Whether it is decoded without 7-Zip."""
        return self.chained or (self.simple and READ_HERE.issuperset(self.methods))

    @property
    def chained(self) -> bool:
        """Whether it is decoded step by step: py7zr lacks a method, or takes them in another order."""
        if not self.simple or not {"ZSTD", "LZ4"}.intersection(self.methods) or not CHAINED.issuperset(self.methods):
            return False
        return not READ_HERE.issuperset(self.methods) or list(self.order) != sorted(self.order, reverse=True)

    @property
    def tried_here(self) -> bool:
        """Whether py7zr may try where 7-Zip failed; its PPMd asks for any memory on damaged data."""
        return self.simple and "PPMD" not in self.methods


class Entry(Struct, gc=False):
    """One member; `folder` is -1 where there is nothing packed.

    Attributes:
        start: counted from the beginning of its folder.
        position: counted from the beginning of the joined output of all folders.
    """

    name: str
    kind: str
    size: int
    crc: int | None
    folder: int
    start: int
    position: int
    attributes: int | None
    times: tuple[Timestamp, ...]
    method: str = ""
    encrypted: bool = False


class Directory(Struct):
    """Everything the headers say. Without folders it came from 7-Zip, and only 7-Zip can unpack."""

    entries: list[Entry]
    folders: list[Folder]
    methods: list[str]
    solid: bool
    trouble: EvidenceError | None = None


def check_start(stream: Stream) -> bytes:
    """The bytes of the directory as they lie, still packed perhaps.

    Raises:
        EvidenceError: corrupt, truncated.
    """
    head = stream.at(0, START)
    if len(head) < START or not head.startswith(MAGIC):
        raise EvidenceError("truncated" if MAGIC.startswith(head[:6]) else "corrupt", "no 7z start header")
    offset, size, crc = struct.unpack_from("<QQI", head, 12)
    if zlib.crc32(head[12:32]) != struct.unpack_from("<I", head, 8)[0]:
        raise EvidenceError("corrupt", "the CRC of the start header does not fit")
    if START + offset + size > stream.size:
        missing = START + offset + size - stream.size
        raise EvidenceError("truncated", f"the directory at the end is missing: {missing} bytes more were written")
    if size > MOST_HEADER:
        raise EvidenceError("limit", f"directory: {size} bytes")
    data = stream.at(START + offset, size)
    if zlib.crc32(data) != crc:
        raise EvidenceError("corrupt", "the CRC of the directory does not fit")
    return data


def read_packed_directory(data: bytes, limit: int) -> list[Folder]:
    """The blocks of a packed directory, none of a plain one; one that asks for too much is refused.

    Raises:
        EvidenceError: limit; corrupt.
    """
    if data[:1] != PACKED:
        return []
    from py7zr.archiveinfo import HeaderStreamsInfo

    try:
        folders = _folders(HeaderStreamsInfo.retrieve(io.BytesIO(data[1:])))
    except parse_errors() as error:
        raise EvidenceError("corrupt", f"7z directory: {str(error)[:200]}") from error
    for folder in folders:
        asked = max((folder.memory, *folder.unpacksizes))
        if asked > limit:
            raise EvidenceError("limit", f"dictionary: {asked} bytes asked for, {limit} allowed")
        for coder in folder.coders:
            check_cycles(coder)
    return folders


def check_cycles(coder: dict[str, Any]) -> None:
    """Refuses a key that takes hours to derive.

    Raises:
        EvidenceError: limit.
    """
    properties = coder.get("properties") or b"\0"
    power = properties[0] & 0x3F
    if coder["method"] == AES and MOST_CYCLES < power < 0x3F:
        raise EvidenceError("limit", f"key: 2^{power} rounds asked for, 2^{MOST_CYCLES} allowed")


def read_directory(data: bytes) -> Directory:
    """The directory from its plain bytes.

    Raises:
        EvidenceError: corrupt, where it cannot be read here.
    """
    try:
        return _directory_of(io.BytesIO(data))
    except parse_errors() as error:
        raise EvidenceError("corrupt", f"7z directory: {str(error)[:200]}") from error


def _directory_of(file: io.BytesIO) -> Directory:
    from py7zr.archiveinfo import StreamsInfo

    mark = file.read(2)
    streams: Any = None
    if mark == HEADER + STREAMS:
        streams = StreamsInfo.retrieve(file)
        mark = HEADER + file.read(1)
    columns = None
    if mark == HEADER + FILES:
        columns = read_columns(file)
        mark = HEADER + file.read(1)
    if mark != HEADER + END:
        raise ValueError(f"{mark.hex()} where the directory should end")
    blocks = streams is not None and streams.unpackinfo is not None
    folders = _folders(streams) if blocks else []
    entries = _entries(columns, folders, list(places(streams)) if blocks else []) if columns else []
    parts = streams.substreamsinfo if blocks else None
    return Directory(
        entries,
        folders,
        methods=list(dict.fromkeys(name for folder in folders for name in reversed(folder.methods))),
        solid=parts is not None and max(parts.num_unpackstreams_folders, default=0) > 1,
    )


def _entries(columns: Columns, folders: list[Folder], there: list[Place]) -> list[Entry]:
    if folders and columns.packed.count(True) > len(there):
        raise ValueError("more members than the blocks hold")
    packed, empty_files = iter(there), iter(columns.empty_files)
    labels = [(" ".join(reversed(folder.methods)), folder.encrypted) for folder in folders]
    nowhere: Place = (-1, 0, 0, None)
    entries: list[Entry] = []
    position = 0
    for name, has_bytes, attributes, times in zip(
        columns.names, columns.packed, columns.attributes, columns.times, strict=True
    ):
        kind = _kind(attributes)
        number, start, size, crc = next(packed, nowhere) if has_bytes else nowhere
        if not has_bytes:
            is_file = next(empty_files, False)
            if attributes is None:
                kind = "file" if is_file else "directory"
        method, encrypted = labels[number] if number >= 0 else ("", False)
        entries.append(Entry(name, kind, size, crc, number, start, position, attributes, times, method, encrypted))
        position += size
    return entries


def _folders(streams: Any) -> list[Folder]:
    """The blocks that py7zr found, each with its place in the archive."""
    folders: list[Folder] = []
    pack = streams.packinfo
    at, offset = 0, START + pack.packpos
    for folder in streams.unpackinfo.folders:
        used = len(folder.packed_indices)
        sizes = pack.packsizes[at : at + used]
        folders.append(
            Folder(
                methods=tuple(METHODS.get(coder["method"], coder["method"].hex()) for coder in folder.coders),
                coders=folder.coders,
                unpacksizes=folder.unpacksizes,
                offset=offset,
                packed=sum(sizes),
                memory=max(_memory(coder) for coder in folder.coders),
                simple=used == 1 and all(c["numinstreams"] == c["numoutstreams"] == 1 for c in folder.coders),
                order=_order(folder),
                crc=folder.crc if folder.digestdefined else None,
            )
        )
        offset += sum(sizes)
        at += used
    return folders


def _order(folder: Any) -> tuple[int, ...]:
    """The coders from the packed bytes to the plain ones, by what each takes its input from."""
    if len(folder.coders) == 1:
        return (0,)
    feeds = {bond.outcoder: bond.incoder for bond in folder.bindpairs}
    fed = set(feeds.values())
    order = [next((number for number in range(len(folder.coders)) if number not in fed), 0)]
    while len(order) < len(folder.coders) and feeds.get(order[-1], order[0]) not in order:
        order.append(feeds[order[-1]])
    return tuple(order)


@lru_cache(maxsize=256)
def _kind(attributes: int | None) -> str:
    if attributes is None:
        return "file"
    if attributes & UNIX:
        return UNIX_KINDS.get((attributes >> 16 & 0o170000) >> 9, "file")
    if attributes & REPARSE:
        return "symlink"
    return "directory" if attributes & DIRECTORY else "file"


def _memory(coder: dict[str, Any]) -> int:
    """Bytes of window or model that a coder asks for."""
    properties = coder.get("properties") or b""
    method = coder["method"]
    if method in (b"\x03\x01\x01", b"\x03\x04\x01") and len(properties) >= 5:
        return int.from_bytes(properties[1:5], "little")
    if method == b"\x21" and properties:
        power = properties[0] & 0x3F
        return (2 | power & 1) << (power // 2 + 11)
    return 0
