"""Texts at rest: small chunks as they are, larger ones in a frame, damage found in both."""

from __future__ import annotations

import pytest

from indexer.errors import StoreError
from indexer.model import Text
from indexer.packing import pack_texts, unpack_texts

SMALL = [Text("배경 검토", "page 1"), Text("原画", "")]
LARGE = [Text("the same line again\n" * 400, "lines 1-400")]


@pytest.mark.parametrize("texts", [SMALL, LARGE, []], ids=["small", "large", "none"])
def test_what_was_packed_comes_out(texts: list[Text]) -> None:
    assert list(unpack_texts(pack_texts(texts))) == texts


def test_only_large_chunks_are_compressed() -> None:
    assert "배경".encode() in pack_texts(SMALL)
    assert len(pack_texts(LARGE)) < 200


@pytest.mark.parametrize("texts", [SMALL, LARGE], ids=["small", "large"])
def test_one_changed_byte_anywhere_is_damage(texts: list[Text]) -> None:
    packed = pack_texts(texts)
    for at in range(len(packed)):
        damaged = packed[:at] + bytes((packed[at] ^ 0x10,)) + packed[at + 1 :]
        try:
            assert list(unpack_texts(damaged)) == texts, at
        except StoreError:
            continue


@pytest.mark.parametrize("texts", [SMALL, LARGE], ids=["small", "large"])
def test_a_chunk_that_is_cut_off_is_damage(texts: list[Text]) -> None:
    packed = pack_texts(texts)
    for end in range(len(packed)):
        with pytest.raises(StoreError):
            unpack_texts(packed[:end])
