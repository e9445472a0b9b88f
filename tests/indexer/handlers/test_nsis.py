"""Files of installers, out of one run of LZMA and out of blocks of their own, whole and spoilt."""

from __future__ import annotations

import io
import lzma
import struct

import pytest

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers import _nsis
from indexer.handlers._nsis import Content

PROPERTIES = b"\x5d" + struct.pack("<I", 1 << 16)
CHAIN = [{"id": lzma.FILTER_LZMA1, "lc": 3, "lp": 0, "pb": 2, "dict_size": 1 << 16}]
FIRST, SECOND = b"cut 12: retake\n" * 9, bytes(range(256)) * 40
FRONT, HEADER = bytes(_nsis.FIRST_HEADER), b"script"


def pack(data: bytes) -> bytes:
    return PROPERTIES + lzma.compress(data, lzma.FORMAT_RAW, filters=CHAIN)


def sized(data: bytes, flag: int = 0) -> bytes:
    return struct.pack("<I", len(data) | flag) + data


def solid() -> bytes:
    return FRONT + pack(sized(HEADER) + sized(FIRST) + sized(SECOND))


def apart() -> bytes:
    return FRONT + b"".join(sized(pack(data), _nsis.PACKED) for data in (HEADER, FIRST)) + sized(SECOND)


def take(content: Content, offset: int) -> tuple[bytes, str]:
    made, cause = b"", ""
    try:
        for chunk in content.file(offset):
            made += chunk
    except EvidenceError as error:
        cause = error.cause
    return made, cause


def open_solid(data: bytes) -> Content:
    return Content(Stream(io.BytesIO(data)), solid=True)


def open_apart(data: bytes) -> Content:
    return Content(Stream(io.BytesIO(data)), solid=False)


def test_files_of_one_run_come_out_in_any_order() -> None:
    content = open_solid(solid())
    behind = 4 + len(FIRST)
    assert [take(content, at) for at in (0, 0, behind, 0)] == [(FIRST, ""), (FIRST, ""), (SECOND, ""), (FIRST, "")]
    assert take(open_solid(FRONT + b"\0" + solid()[len(FRONT) :]), behind) == (SECOND, "")


def test_a_run_is_unpacked_anew_a_few_times_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_nsis, "MOST_AGAIN", 1)
    content = open_solid(solid())
    assert [take(content, 0)[1] for _ in range(3)] == ["", "", "unsupported"]


def test_what_lies_before_the_damage_in_a_run_is_kept() -> None:
    content = open_solid(solid()[:-20])
    assert take(content, 0) == (FIRST, "")
    made, cause = take(content, 4 + len(FIRST))
    assert cause == "truncated"
    assert made and SECOND.startswith(made)
    assert take(content, 1 << 30) == (b"", "truncated")


def test_files_of_their_own_are_packed_or_not() -> None:
    content = open_apart(apart())
    behind = 4 + len(pack(FIRST))
    assert [take(content, at) for at in (behind, 0)] == [(SECOND, ""), (FIRST, "")]
    assert take(open_apart(apart()[:-9]), behind) == (SECOND[:-9], "truncated")
    assert take(content, 1 << 20) == (b"", "truncated")


def test_a_spoilt_block_costs_no_other() -> None:
    at = len(FRONT) + 4 + len(pack(HEADER)) + 4
    spoilt = bytearray(apart())
    spoilt[at] = 0xFF
    assert take(open_apart(bytes(spoilt)), 0) == (b"", "corrupt")
    spoilt[at : at + 5] = b"\x5d\xff\xff\xff\xff"
    content = open_apart(bytes(spoilt))
    assert take(content, 0) == (b"", "limit")
    assert take(content, 4 + len(pack(FIRST))) == (SECOND, "")
