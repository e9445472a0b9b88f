"""What a 7z directory says of its members, a column at a time.

py7zr makes a table of every member, reads every name character by character and every number by itself,
and goes through all of them again to find their blocks: 0.7 s of processor time for 50,000 members, of
which this leaves a tenth (2026-11). The blocks and the sizes in them are still read by py7zr.

Source: 7zFormat.txt of the LZMA SDK, "Files Info" and "SubStreams Info".
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from msgspec import Struct

from indexer.model import Timestamp
from indexer.timestamps import from_filetime

END, EMPTY_STREAM, EMPTY_FILE, NAME, ATTRIBUTES, PADDING = 0x00, 0x0E, 0x0F, 0x11, 0x15, 0x19
TIMES = {0x14: ("M", "7z.mtime"), 0x13: ("A", "7z.atime"), 0x12: ("B", "7z.ctime")}
MOST_FILES = 1 << 23
MOST_NAME = 1 << 16
NO_NAME = "contents"
Place = tuple[int, int, int, int | None]
"""Number of a block, start in it, size, CRC."""


class Columns(Struct):
    """One value for each member in every column.

    Attributes:
        packed: whether a member has bytes in a block.
        empty_files: whether a member that has none is a file, for those alone.
    """

    names: list[str]
    packed: list[bool]
    empty_files: list[bool]
    attributes: list[int | None]
    times: list[tuple[Timestamp, ...]]


def read_columns(file: io.BytesIO) -> Columns:
    """The columns of the members.

    Raises:
        ValueError, struct.error: where they are not as they should be, or are what 7-Zip alone reads.
    """
    from py7zr.archiveinfo import read_boolean, read_uint64

    count = read_uint64(file)
    if count > min(MOST_FILES, file.getbuffer().nbytes):
        raise ValueError(f"{count} members")
    columns = Columns([NO_NAME] * count, [True] * count, [], [None] * count, [])
    stamps: dict[int, list[Timestamp | None]] = {}
    while kind := _number(file):
        data = io.BytesIO(file.read(read_uint64(file)))
        if kind == EMPTY_STREAM:
            columns.packed = [not each for each in read_boolean(data, count)]
        elif kind == EMPTY_FILE:
            columns.empty_files = read_boolean(data, columns.packed.count(False))
        elif kind == NAME:
            columns.names = _names(data, count)
        elif kind == ATTRIBUTES:
            columns.attributes = _numbers(data, count, "I")
        elif kind in TIMES:
            label, origin = TIMES[kind]
            ticks = _numbers(data, count, "Q")
            stamps[kind] = [from_filetime(label, each or 0, origin) for each in ticks]
        elif kind != PADDING:
            raise ValueError(f"a property of kind {kind:#x}")
    columns.times = _rows([stamps[kind] for kind in TIMES if kind in stamps], count)
    return columns


def _number(file: io.BytesIO) -> int:
    return struct.unpack("B", file.read(1))[0]  # type: ignore[no-any-return]


def _names(data: io.BytesIO, count: int) -> list[str]:
    if _number(data):
        raise ValueError("names in another stream")
    names = data.read().decode("utf-16-le").replace("\\", "/").split("\0")
    if len(names) <= count or max(map(len, names)) > MOST_NAME:
        raise ValueError("the names break off")
    return names[:count]


def _numbers(data: io.BytesIO, count: int, form: str) -> list[int | None]:
    """A number for each member that has one."""
    from py7zr.archiveinfo import read_boolean

    defined = read_boolean(data, count, checkall=True)
    if _number(data):
        raise ValueError("numbers in another stream")
    some = sum(defined)
    numbers = struct.unpack(f"<{some}{form}", data.read(some * struct.calcsize("<" + form)))
    if some == count:
        return list(numbers)
    following = iter(numbers)
    return [next(following) if each else None for each in defined]


def _rows(columns: list[list[Timestamp | None]], count: int) -> list[tuple[Timestamp, ...]]:
    if not columns:
        return [()] * count
    return [tuple(filter(None, row)) for row in zip(*columns, strict=True)]


def places(streams: Any) -> Iterator[Place]:
    """Where each packed member lies, by the blocks that py7zr read."""
    parts = streams.substreamsinfo
    at = found = 0
    for number, folder in enumerate(streams.unpackinfo.folders):
        count = parts.num_unpackstreams_folders[number] if parts else 1
        if parts and parts.unpacksizes is not None:
            # Of a block without members py7zr keeps a size all the same.
            sizes = parts.unpacksizes[at : at + count]
            at += max(1, count)
        else:
            sizes = [folder.get_unpack_size()] * count
        crcs = _crcs(parts, found, count)
        if count == 1 and folder.digestdefined:
            crcs = [folder.crc]
        found += count
        yield from zip([number] * count, accumulate(sizes, initial=0), sizes, crcs, strict=False)


def _crcs(parts: Any, start: int, count: int) -> list[int | None]:
    if not parts:
        return [None] * count
    end = start + count
    pairs = zip(parts.digests[start:end], parts.digestsdefined[start:end], strict=True)
    return [crc if defined else None for crc, defined in pairs]
