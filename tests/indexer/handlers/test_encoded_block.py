"""Blocks of encoded bytes: what goes in comes out, and ordinary texts are left alone."""

from __future__ import annotations

import base64
import importlib
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawling import crawl_bytes
from indexer.registry import all_handlers

FIXTURES = Path(__file__).parents[3] / "fixtures"
SAMPLES = sorted(FIXTURES.glob("encoded/*/input*"))
HANDLERS = [handler for handler in all_handlers() if handler.name in ("encoded", "text", "strings")]

make = importlib.import_module("encoded.make")


@settings(max_examples=60)
@given(data=st.binary(min_size=4, max_size=900), cut=st.integers(1, 400))
def test_every_encoding_comes_back(data: bytes, cut: int) -> None:
    import hashlib

    parts = [
        make.yenc_part("a", data, number, at, min(at + cut, len(data)), total=9)
        for number, at in enumerate(range(0, len(data), cut), 1)
    ]
    posix = b"begin-base64 600 a\n" + base64.encodebytes(data) + b"====\n"
    for text in (make.uu("a", data), make.yenc("a", data), b"".join(parts), posix):
        _, member = crawl_bytes(text, "a.txt", handlers=HANDLERS)
        assert member.digests and member.digests.sha256 == hashlib.sha256(data).hexdigest()
        assert not [problem for problem in member.problems if problem.cause in ("corrupt", "truncated")]


@pytest.mark.parametrize(
    "text",
    [
        "begin 644 with a list\nof names\nend\n",
        "=ybegin is how a block begins\n",
        "abcdefgh" * 20,
        "\n".join(["cels", "sketches", "retakes"] * 40),
        "deadbeef0123456789" * 30,
        "begin 755 run.sh\n\nnothing else\n",
        "A" * 4000,
    ],
)
def test_ordinary_texts_are_texts(text: str) -> None:
    (item,) = crawl_bytes(text.encode(), "notes.txt", handlers=HANDLERS)
    assert item.handler == "text"


@settings(max_examples=150)
@given(path=st.sampled_from(SAMPLES), seed=st.integers(0, 10**9))
def test_damage_never_leaves_the_crawl(path: Path, seed: int) -> None:
    dice = random.Random(seed)
    data = bytearray(path.read_bytes())
    for _ in range(dice.randrange(5)):
        data[dice.randrange(len(data))] = dice.randrange(256)
    del data[dice.randrange(len(data)) :]
    for item in crawl_bytes(bytes(data), path.name, handlers=HANDLERS):
        assert all(problem.cause != "crash" for problem in item.problems)
