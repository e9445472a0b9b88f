"""Installers and wrappings of one file: whatever is damaged or cut off, nothing leaves the crawl."""

from __future__ import annotations

import io
import random
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from crawling import crawl_bytes
from indexer.handler import Stream
from indexer.registry import all_handlers

FIXTURES = Path(__file__).parents[3] / "fixtures"
NAMES = ("macbinary", "binhex", "apple-double", "stuffit", "msi", "inno", "installshield", "ms-lz", "sfx-settings")
HANDLERS = [handler for handler in all_handlers() if handler.name in (*NAMES, "strings")]
SAMPLES = [path for name in NAMES for path in sorted((FIXTURES / name).glob("*/input*"))]


@settings(max_examples=200)
@example(path=FIXTURES / "ms-lz/good/input.tx_", seed=1971)
@given(path=st.sampled_from(SAMPLES), seed=st.integers(0, 10**9))
def test_damage_never_leaves_the_crawl(path: Path, seed: int) -> None:
    dice = random.Random(seed)
    data = bytearray(path.read_bytes())
    for _ in range(dice.randrange(6)):
        data[dice.randrange(len(data))] = dice.choice((0, 255, dice.randrange(256)))
    if dice.randrange(2):
        del data[dice.randrange(len(data)) :]
    for item in crawl_bytes(bytes(data), path.name, handlers=HANDLERS):
        assert all(problem.cause != "crash" for problem in item.problems), item.problems


@settings(max_examples=200)
@given(st.binary(max_size=400))
def test_claims_never_raise(data: bytes) -> None:
    for handler in HANDLERS:
        marks = [mark.magic for mark in handler.signatures] or [b""]
        for mark in marks:
            handler.claims(Stream(io.BytesIO(mark + data)))
