from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search import analysis
from search.engine import tokens

CHARS = st.characters(min_codepoint=0) | st.sampled_from(
    "动画畫话話ｶﾞプﾟ가각한ㄱㅏéé́ßİﬁ①㍿３Ａ٣كـَזּกำ\n\r \0…½\U0001f600\ufe0f_-.A1bHTMLpageЯя"
)
TEXTS = st.lists(
    st.text(CHARS, max_size=40) | st.text(st.sampled_from("动画\r\n a1ABé\u0301c…"), max_size=12),
    min_size=1,
    max_size=6,
)


def by_arrays(texts: Sequence[str], *, split: bool) -> list[tuple[set[tuple[str, int]], int]]:
    """Terms with places, and the number of places, of each text."""
    out: list[tuple[set[tuple[str, int]], int]] = [(set(), 0)] * len(texts)
    for numbers, held in tokens.tokenise(texts, split=split):
        pairs = [(held.words[word], int(at)) for word, at in zip(held.word_of, held.word_at, strict=True)]
        for first, second, at in zip(held.first, held.second, held.pair_at, strict=True):
            pairs.append((chr(first) + (chr(second) if second else ""), int(at)))
        begin = 0
        for number, length in zip(numbers, held.lengths.tolist(), strict=True):
            out[number] = {(term, at - begin) for term, at in pairs if begin <= at < begin + length}, length
            begin += length
        assert len(set(pairs)) == len(pairs)
    return out


def by_rules(text: str, *, split: bool) -> tuple[set[tuple[str, int]], int]:
    counted: dict[str, list[int]] = {}
    end = analysis.count_positions(text, counted, split=split)
    return {(term, at) for term, places in counted.items() for at in places}, end


@given(TEXTS, st.booleans())
@settings(max_examples=500)
def test_arrays_give_the_terms_that_the_rules_give(texts: list[str], split: bool) -> None:
    assert by_arrays(texts, split=split) == [by_rules(text, split=split) for text in texts]


@pytest.mark.parametrize("split", [False, True])
def test_every_character_is_treated_alike(split: bool) -> None:
    texts = ["".join(f"A{chr(code + at)}b" for at in range(64)) for code in range(0, 0x3400, 64)]
    texts += ["".join(f"{chr(code + at)}画" for at in range(64)) for code in range(0xF900, 0x10000, 64)]
    assert by_arrays(texts, split=split) == [by_rules(text, split=split) for text in texts]


@pytest.mark.parametrize("split", [False, True])
def test_long_words_are_cut_alike(split: bool) -> None:
    texts = ["x" * 128, "x" * 129, "aB1" * 200, "y" * 500 + " z", "动" * 300]
    assert by_arrays(texts, split=split) == [by_rules(text, split=split) for text in texts]


def test_words_of_one_hash_stay_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_MULTIPLIER", np.uint64(0))
    texts = ["one two one", "three 动画 two"]
    assert by_arrays(texts, split=False) == [by_rules(text, split=False) for text in texts]
