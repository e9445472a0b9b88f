from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search import analysis

SCRIPTS = st.characters(min_codepoint=1) | st.sampled_from(
    "动畫画话話ｶﾞプﾟ가각한ㄱㅏéé́ßİﬁ①㍿３Ａ٣كـَזּกำ\n\r \0\ud800_-.A1b"
)
TEXTS = st.text(SCRIPTS, max_size=60) | st.text(st.sampled_from("动画\r\n a1Aé\u0301"), max_size=12)


def terms(text: str, *, split: bool = False) -> list[tuple[str, int]]:
    return [(token.term, token.position) for token in analysis.tokens(text, split=split)]


@given(TEXTS, st.booleans())
@settings(max_examples=300)
def test_offsets_point_at_what_made_the_term(text: str, split: bool) -> None:
    for token in analysis.tokens(text, split=split):
        assert 0 <= token.start < token.first_end <= token.end <= len(text)
        # The original characters alone, folded, hold the term (a bigram over a wrapped line: without the break).
        again = analysis.fold(text[token.start : token.end]).text.replace("\r", "").replace("\n", "")
        assert token.term in again


@given(TEXTS, st.booleans())
@settings(max_examples=300)
def test_composed_and_decomposed_text_give_the_same_terms(text: str, split: bool) -> None:
    composed, decomposed = unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text)
    assert terms(composed) == terms(decomposed)
    if split:
        assert analysis.elements(composed, split=True) == analysis.elements(decomposed, split=True)
    assert analysis.whole(composed) == analysis.whole(decomposed)


@given(TEXTS)
@settings(max_examples=300)
def test_the_index_counts_the_tokens_that_highlights_see(text: str) -> None:
    for split in (False, True):
        counted: dict[str, list[int]] = {}
        end = analysis.count_positions(text, counted, 7, split=split)
        seen: dict[str, list[int]] = {}
        for term, position in terms(text, split=split):
            seen.setdefault(term, []).append(position + 7)
        assert counted == seen
        assert end == max((place + 1 for places in seen.values() for place in places), default=7)
        places = sorted({place for found in counted.values() for place in found})
        assert places == list(range(7, end)), "every position is taken"
        for found in counted.values():
            assert found == sorted(set(found)), "positions ascend and no term stands twice at one"
            assert all(term == term.strip() and term for term in counted)


@given(TEXTS)
@settings(max_examples=200)
def test_folding_twice_changes_nothing(text: str) -> None:
    once = analysis.fold(text).text
    assert analysis.fold(once).text == once


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("動畫製作", "动画制作"),
        ("ＡＢＣ１２３", "abc123"),
        ("ｶﾞﾝﾀﾞﾑ", "ガンダム"),
        ("STRASSE", "straße"),
        ("İstanbul", "istanbul"),
        ("ﬁn", "fin"),
        ("\u1112\u1161\u11ab", "한"),
        ("مُحَمَّد", "محمد"),
        ("محـــمد", "محمد"),
        ("שָׁלוֹם", "שלום"),
        ("٣٤", "34"),
        ("co\u00adoperate", "cooperate"),
        ("辻\U000e0100", "辻"),
        ("乾坤", "干坤"),
        ("瞭解答覆", "了解答复"),
        ("看着", "看著"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
    ],
)
def test_spellings_that_are_one(one: str, other: str) -> None:
    assert [term for term, _ in terms(one)] == [term for term, _ in terms(other)]


def test_each_han_character_folds_once() -> None:
    for char in (chr(code) for code in (*range(0x3400, 0xA000), *range(0xF900, 0xFB00))):
        once = analysis.fold(char).text
        assert len(once) == 1, char
        assert analysis.fold(once).text == once, char


def test_hiragana_and_katakana_stay_apart() -> None:
    assert terms("あ") != terms("ア")


def test_runs_are_bigrams_and_a_last_character() -> None:
    assert terms("日本語テ") == [("日本", 0), ("本语", 1), ("语テ", 2), ("テ", 3)]
    assert terms("第3话S") == [("第", 0), ("3", 1), ("话", 2), ("s", 3)]


def test_a_wrapped_line_hides_nothing() -> None:
    assert terms("动\r\n画") == [("动", 0), ("动画", 0), ("画", 1)]
    assert terms("动\n\n画") == [("动", 0), ("画", 1)]
    assert terms("\n画") == [("画", 0)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("S01E05", [("s", 0), ("s01e05", 0), ("01", 1), ("e", 2), ("05", 3), ("s01e05", 3)]),
        ("a_b-c.d", [("a", 0), ("b", 1), ("c", 2), ("d", 3)]),
        ("CutOne", [("cut", 0), ("cutone", 0), ("one", 1), ("cutone", 1)]),
        ("HTMLPage", [("html", 0), ("htmlpage", 0), ("page", 1), ("htmlpage", 1)]),
        ("第3话", [("第", 0), ("3", 1), ("话", 2)]),
    ],
)
def test_names_are_split(name: str, expected: list[tuple[str, int]]) -> None:
    assert terms(name, split=True) == expected


def test_a_very_long_word_is_cut() -> None:
    assert [len(term) for term, _ in terms("x" * 300)] == [128, 128, 44]
    assert len(analysis.elements("x" * 300)) == 3


def test_a_query_leaves_the_end_of_its_last_run_open() -> None:
    assert [step.term for step in analysis.elements("动画制作")] == ["动画", "画制", "制作"]
    assert analysis.elements("画") == [analysis.Element("画", True, True)]
    assert analysis.elements("第3话")[-1] == analysis.Element("话", True, True)
    assert [step.term for step in analysis.elements("动画 第")] == ["动画", "画", "第"]


@pytest.mark.parametrize(
    ("pattern", "value", "matches"),
    [
        ("*.psd", "a.psd", True),
        ("*.psd", "a.psdx", False),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("[x]*", "[x]y", True),
        ("[x]*", "xy", False),
        (r"a\*b", "a*b", True),
        (r"a\*b", "axb", False),
    ],
)
def test_glob(pattern: str, value: str, matches: bool) -> None:
    assert bool(analysis.glob(pattern).match(value)) is matches


def test_every_composition_is_of_a_character_and_a_mark() -> None:
    """Rule 1 holds only if each composed character ends in marks: asked of every character there is."""
    for code in range(0x110000):
        char = chr(code)
        parts = unicodedata.normalize("NFD", char)
        if len(parts) > 1:
            assert all(analysis._is_mark(part) for part in parts[1:]), hex(code)
