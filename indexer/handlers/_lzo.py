"""LZO1X, a block at a time: by the library where the block is sound, else here, down to the last good byte.

Source: Linux, Documentation/staging/lzo.rst.
"""

from __future__ import annotations

from contextlib import suppress

from indexer.errors import EvidenceError
from indexer.limits import MIB

MOST_AT_ONCE = 256 * MIB
"""Bytes that a block may give to the library, which knows no limit of its own."""


def unpack(data: bytes, size: int) -> bytes:
    """The content of an LZO1X block, as far as it decodes."""
    whole = _unpack_sound(data, size)
    if whole is not None:
        return whole
    out = bytearray()
    with suppress(IndexError):  # it breaks off: the length tells
        _unpack(data, size, out)
    return bytes(out[:size])


def _unpack_sound(data: bytes, size: int) -> bytes | None:
    """What the library makes of a block; None where it fails, or might make too much.

    Raises:
        EvidenceError: where the library is missing.
    """
    # Three bytes give 33 at most, and each zero may be 255 more of a length.
    most = 12 * len(data) + 255 * data.count(0)
    if most > MOST_AT_ONCE:
        return None
    try:
        from lzallright import LZOCompressor, LZOError
    except ImportError as error:
        raise EvidenceError("missing-library", "lzo: pip install lzallright") from error
    try:
        return LZOCompressor.decompress(data, min(size, most))[:size]
    except LZOError:
        return None


def _unpack(data: bytes, size: int, out: bytearray) -> None:
    at, state = 0, 0
    if data[0] > 17:
        count = data[0] - 17
        out += data[1 : 1 + count]
        at, state = 1 + count, min(count, 4)
    while len(out) <= size:
        code = data[at]
        at += 1
        if code < 16 and not state:
            count, at = _count(data, at, code, 15)
            out += data[at : at + count + 3]
            at, state = at + count + 3, 4
            continue
        if code < 16:
            length = 3 if state == 4 else 2
            distance = (data[at] << 2) + (code >> 2) + (2049 if state == 4 else 1)
            at, trailing = at + 1, code & 3
        elif code < 64:
            length, at = _count(data, at, code & (7 if code < 32 else 31), 7 if code < 32 else 31)
            word = data[at] | data[at + 1] << 8
            at, trailing = at + 2, word & 3
            length += 2
            distance = (word >> 2) + (16384 + ((code & 8) << 11) if code < 32 else 1)
            if code < 32 and distance == 16384:
                return
        else:
            length = 3 + (code >> 5 & 1) if code < 128 else 5 + (code >> 5 & 3)
            distance = (data[at] << 3) + (code >> 2 & 7) + 1
            at, trailing = at + 1, code & 3
        start = len(out) - distance
        if start < 0:
            return
        part = bytes(out[start : start + length])
        out += part if len(part) == length else (part * (length // len(part) + 1))[:length]
        out += data[at : at + trailing]
        at, state = at + trailing, trailing


def _count(data: bytes, at: int, count: int, most: int) -> tuple[int, int]:
    """A length, and the offset behind it; a zero says that it goes on in bytes of 255 each."""
    if count:
        return count, at
    while not data[at]:
        most += 255
        at += 1
    return most + data[at], at + 1
