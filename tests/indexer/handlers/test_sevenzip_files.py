"""The columns of a 7z directory: what other writers leave out, and what is refused."""

from __future__ import annotations

import importlib
import io
import struct

import pytest

from crawling import crawl_bytes
from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._sevenzip import Directory, check_start, read_directory, read_packed_directory
from indexer.handlers._sevenzip_blocks import decode, unpack_directory, unpack_small
from indexer.handlers.sevenzip import SevenZip
from indexer.limits import Limits

make = importlib.import_module("7z.make")
COPY = b"\x01\x01\x00"
"""A block of one coder that packs nothing."""
NAMES = "夜\0a\\b\0c\0d\0".encode("utf-16-le")
TICKS = 133_000_000_000_000_000


def directory(streams: bytes, *properties: bytes, count: int = 4) -> Directory:
    """A directory of `count` members, read."""
    return read_directory(b"\1" + streams + b"\5" + bytes((count,)) + b"".join(properties) + b"\0\0")


def part(kind: int, data: bytes) -> bytes:
    return bytes((kind, len(data))) + data


def blocks(sizes: bytes, more: bytes) -> bytes:
    """Stored blocks of these sizes, with the CRCs 1, 2, 3 ..."""
    packed = b"\x06\0" + bytes((len(sizes),)) + b"\x09" + sizes + b"\0"
    crcs = b"".join(struct.pack("<I", number + 1) for number in range(len(sizes)))
    coders = b"\x07\x0b" + bytes((len(sizes),)) + b"\0" + COPY * len(sizes) + b"\x0c" + sizes + b"\x0a\1" + crcs
    return b"\x04" + packed + coders + b"\0" + more + b"\0"


def test_members_get_the_sums_of_their_blocks_where_no_others_are_kept() -> None:
    read = directory(blocks(b"\7\5", b""), part(0x11, b"\0" + NAMES), part(0x0E, b"\x60"))
    assert [(entry.folder, entry.size, entry.crc) for entry in read.entries] == [
        (0, 7, 1),
        (-1, 0, None),
        (-1, 0, None),
        (1, 5, 2),
    ]
    assert [entry.kind for entry in read.entries] == ["file", "directory", "directory", "file"]
    assert not read.solid


def test_a_block_without_members_holds_none() -> None:
    counts = b"\x08\x0d\2\0\2\x09\3\4\x0a\1" + struct.pack("<4I", 10, 11, 12, 13) + b"\0"
    read = directory(blocks(b"\7\5\6", counts), part(0x11, b"\0" + NAMES))
    assert [(entry.folder, entry.start, entry.position, entry.size, entry.crc) for entry in read.entries] == [
        (0, 0, 0, 3, 10),
        (0, 3, 3, 4, 11),
        (2, 0, 7, 4, 12),
        (2, 4, 11, 2, 13),
    ]
    assert read.solid


def test_columns_with_gaps() -> None:
    read = directory(
        b"",
        part(0x0E, b"\xf0"),
        part(0x0F, b"\x40"),
        part(0x19, b"\0\0"),
        part(0x11, b"\0" + NAMES),
        part(0x12, b"\0\x10\0" + struct.pack("<Q", TICKS)),
        part(0x14, b"\0\x30\0" + struct.pack("<2Q", 0, TICKS)),
        part(0x15, b"\0\xa0\0" + struct.pack("<2I", 0x10, 0x20)),
    )
    assert [entry.name for entry in read.entries] == ["夜", "a/b", "c", "d"]
    assert [entry.attributes for entry in read.entries] == [0x10, None, 0x20, None]
    assert [entry.kind for entry in read.entries] == ["directory", "file", "file", "directory"]
    assert [[stamp.origin for stamp in entry.times] for entry in read.entries] == [
        [],
        [],
        [],
        ["7z.mtime", "7z.ctime"],
    ]


def test_members_without_names_or_anything() -> None:
    assert [(entry.name, entry.times) for entry in directory(b"", count=2).entries] == [("contents", ())] * 2
    assert read_directory(b"\1\0").entries == []


@pytest.mark.parametrize(
    ("streams", "properties"),
    [
        (b"", [part(0x11, b"\0" + NAMES[:-2])]),
        (b"", [part(0x11, b"\1" + NAMES)]),
        (b"", [part(0x11, b"\0\x00\xd8" + NAMES)]),
        (b"", [part(0x14, b"\1\0" + bytes(31))]),
        (b"", [part(0x10, b"\xf0")]),
        (b"", [part(0x0E, b"")]),
        (blocks(b"\7\5", b""), [part(0x11, b"\0" + NAMES)]),
    ],
    ids=["names break off", "names elsewhere", "half a character", "times break off", "anti", "no bits", "no block"],
)
def test_what_cannot_be_read_here_is_left_to_the_program(streams: bytes, properties: list[bytes]) -> None:
    with pytest.raises(EvidenceError) as caught:
        directory(streams, *properties)
    assert caught.value.cause == "corrupt"


@pytest.mark.parametrize("count", [b"\xe0\xff\xff\x7f", b"\xff" + b"\xff" * 8])
def test_a_number_of_members_is_no_reason_to_reserve_room(count: bytes) -> None:
    with pytest.raises(EvidenceError, match="members"):
        read_directory(b"\1\5" + count + bytes(90))


def test_small_blocks_unpack_alike_either_way() -> None:
    stream = Stream(io.BytesIO(make.SINGLE))
    folders = read_directory(check_start(stream)).folders
    assert len(folders) == 3
    for folder in folders:
        assert unpack_small(stream, folder) == b"".join(decode(stream, folder, None)) != b""
    folders[0].packed = 20
    assert len(unpack_small(stream, folders[0]) or b"") < folders[0].unpacksizes[-1]
    folders[1].coders[0]["properties"] = b"\xff\0\0\1\0"
    assert unpack_small(stream, folders[1]) is None


def test_a_small_block_is_held_to_the_limit_of_windows() -> None:
    items = crawl_bytes(make.SINGLE, "shelf.7z", handlers=[SevenZip()], limits=Limits(dictionary=1 << 10))
    assert [problem.cause for item in items[1:] for problem in item.problems] == ["limit"] * 3


def test_a_packed_directory_answers_for_its_checksum() -> None:
    stream = Stream(io.BytesIO(make.SOLID))
    (folder,) = read_packed_directory(check_start(stream), 1 << 30)
    assert read_directory(unpack_directory(stream, [folder], None)).entries
    folder.crc = 1
    with pytest.raises(EvidenceError, match="CRC"):
        unpack_directory(stream, [folder], None)
    folder.unpacksizes = [1 << 40]
    with pytest.raises(EvidenceError, match="directory: 1099511627776 bytes"):
        unpack_directory(stream, [folder], None)
