"""LZO blocks come out the same from the library and from our own decoder, sound or not."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st
from lzallright import LZOCompressor

from indexer.handlers import _lzo
from indexer.handlers._lzo import unpack

TEXT = b"".join(b"cut %03d: cel %d, in-between %d\n" % (cut, cut % 7, cut * 31 % 23) for cut in range(200)) + bytes(900)
PACKED = LZOCompressor().compress(TEXT)


def unpack_here(data: bytes, size: int) -> bytes:
    out = bytearray()
    with suppress(IndexError):
        _lzo._unpack(data, size, out)
    return bytes(out[:size])


@given(edits=st.lists(st.tuples(st.integers(0, len(PACKED) - 1), st.integers(0, 255)), max_size=3), cut=st.integers(0))
def test_both_decoders_agree(edits: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(PACKED)
    for at, value in edits:
        data[at] = value
    del data[len(data) - cut % 50 :]
    assert unpack(bytes(data), len(TEXT)) == unpack_here(bytes(data), len(TEXT))


def test_a_sound_block_comes_back() -> None:
    assert unpack(PACKED, len(TEXT)) == unpack_here(PACKED, len(TEXT)) == TEXT


def test_a_block_that_would_fill_the_memory_is_not_given_to_the_library() -> None:
    zeros = 2 << 20
    bomb = b"\x15abcd\x20" + bytes(zeros) + b"\x01\0\0\x11\0\0"
    assert _lzo._unpack_sound(bomb, 1000) is None
    assert unpack(bomb, 1000)[:12] == b"abcddddddddd"
