"""The oldest methods of LHA: the adaptive code through all its changes, and windows that are not empty."""

from __future__ import annotations

import hashlib
import io
import random

import pytest

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._lha_old import ROOT, TREE, Adaptive, decode


def encode(data: bytes) -> bytes:
    """Every byte for itself, by the code's own tree."""
    code = Adaptive()
    bits = []
    for byte in data:
        path, node = [], code.above[byte + TREE]
        while node != ROOT:
            path.append(node - code.below[code.above[node]])
            node = code.above[node]
        bits += reversed(path)
        code.count(byte)
    bits += [0] * (-len(bits) % 8)
    return int("".join(map(str, bits)), 2).to_bytes(len(bits) // 8, "big")


def test_the_adaptive_code_is_halved_as_other_programs_do() -> None:
    dice = random.Random(3)
    data = bytes(dice.choices(b"abcdefgh \n" * 3 + bytes(range(256)), k=40_000))
    packed = encode(data)
    assert hashlib.sha256(packed).hexdigest() == "541c8954646baa220018ad60cb98301437677c5166a9a1f4860906d6e67acedf"
    assert b"".join(decode(Stream(io.BytesIO(packed)), b"-lh1-", 0, len(packed), len(data))) == data


@pytest.mark.parametrize(
    ("place", "content"),
    [
        (0, b"\0\0\0"),
        (13 * 65, b"AAA"),
        (3328 + 65, b"ABC"),
        (3584, b"\xff\xfe\xfd"),
        (3840, b"\0\0\0"),
        (3968, b"   "),
    ],
)
def test_the_window_of_lz5_is_not_empty(place: int, content: bytes) -> None:
    packed = bytes((0, place & 255, place >> 4 & 0xF0))
    assert b"".join(decode(Stream(io.BytesIO(packed)), b"-lz5-", 0, 3, 3)) == content


def test_what_is_cut_off_is_told_behind_the_last_byte() -> None:
    packed = encode(b"repaint the sky")
    chunks = decode(Stream(io.BytesIO(packed[:9])), b"-lh1-", 0, 9, 15)
    assert next(chunks) == b"repaint "
    with pytest.raises(EvidenceError, match="too early"):
        next(chunks)
