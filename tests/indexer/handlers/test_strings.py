"""Strings: runs across buffers, constant memory, little noise, nothing that can crash."""

from __future__ import annotations

import io
import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.handler import Stream
from indexer.handlers import _runs
from indexer.handlers.strings import Strings
from indexer.limits import Limits
from indexer.model import Text

WORDS = {
    "utf-8": "여름 바다 제작위원회",
    "cp949": "여름 바다 제작위원회 원화",
    "gb18030": "请把第三集的背景重新上色以后交回",
    "cp932": "修正した原画をサーバーに置いてください",
    "cp950": "請把第三集的背景重新上色以後交回",
    "utf-16-le": "请把第三集的背景重新上色以后交回",
    "utf-16-be": "여름 바다 제작위원회 원화",
}


def read(data: bytes, limits: Limits | None = None) -> list[Text]:
    facts = list(Strings().read(Stream(io.BytesIO(data), limits=limits)))
    assert all(isinstance(fact, Text) for fact in facts)
    return [fact for fact in facts if isinstance(fact, Text)]


@pytest.mark.parametrize("codec", WORDS)
@pytest.mark.parametrize("offset", [0, 1, 4095, (1 << 20) - 7, (1 << 20) + 3])
def test_words_are_found_wherever_they_stand(codec: str, offset: int) -> None:
    data = bytes(offset) + b"\0\0\1\2" + WORDS[codec].encode(codec) + b"\2\1\0\0" + bytes(70_000)
    (text,) = read(data)
    assert text == Text(WORDS[codec], f"strings {codec} @{offset + 4:#x}")


def test_ascii_in_utf_16() -> None:
    assert [text.body for text in read(b"\0\0\1\1" + "Scene 12".encode("utf-16-le") + b"\1\1")] == ["Scene 12"]
    assert [text.locator for text in read(b"\1\1\1\1" + "Scene 12".encode("utf-16-be"))] == ["strings utf-16-be @0x4"]


def test_short_names_with_numbers_are_kept_and_fill_is_not() -> None:
    data = b"\0\1S1_C02\0\1" + b"\xcc" * 64 + b"\0AAAAAAAAAAAA\0" + b"w\0v\0" * 40 + b"\0"
    assert [text.body for text in read(data)] == ["S1_C02"]


def test_noise_gives_hardly_anything() -> None:
    texts = read(random.Random(5).randbytes(1 << 20))
    eastern = [text for text in texts if "utf-8" not in text.locator]
    assert sum(len(text.body) for text in texts) < (1 << 20) // 100
    assert sum(len(text.body) for text in eastern) < 200


def test_long_runs_lose_nothing_between_pieces() -> None:
    data = "".join(f"reel {number} of the harbour film\n" for number in range(60_000)).encode()
    joined = "".join(text.body for text in read(data)).replace("\n", "")
    assert joined == data.decode().replace("\n", "")


def test_passages_are_bounded_and_far_runs_stand_apart() -> None:
    data = b"first words here\0" + bytes(200_000) + b"second words here\0"
    assert [text.locator for text in read(data)] == ["strings utf-8 @0x0", f"strings utf-8 @{200_017:#x}"]


def test_the_limit_of_characters_stops_it() -> None:
    assert len(read(b"some words and more\0" * 20_000, Limits(text_chars=1_000))) < 3


@settings(max_examples=60)
@given(st.binary(max_size=400))
def test_any_bytes_are_read(data: bytes) -> None:
    runs = _runs.find_runs(data)
    assert all(left.end <= right.start for left, right in pairwise(runs))
    assert all(0 <= run.start < run.end <= len(data) for run in runs)
    read(data)


@settings(max_examples=30)
@given(st.sampled_from(sorted(WORDS)), st.integers(0, 200), st.integers(1, 255))
def test_damage_only_costs_the_words_it_hits(codec: str, position: int, value: int) -> None:
    data = bytearray(b"\0\0\0\0" + WORDS[codec].encode(codec) + b"\0\0\0\0harbour lights\0")
    data[position % (len(data) - 20)] ^= value
    assert "harbour lights" in "".join(text.body for text in read(bytes(data)))
