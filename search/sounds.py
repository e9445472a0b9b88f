"""Names as they sound: what a name may look like in another script, as far as the index holds it.

    평양       pyongyang, pyeongyang, p'yŏngyang, 平壤
    Samjiyon   삼지연, 三池渊, samjiyeon
    无敌       wudi, wu di, 무적, mujeok
    Tanabe     タナベ, たなべ

A word in Latin letters is parted into syllables in every way that leaves none over; a syllable has its
candidates, Hangul, Han characters or kana; those are chained by the pairs of characters that the index holds,
so that nothing is made up, and each chain is spelled again: it must give the word. Spaces and hyphens
between syllables stay their bounds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import islice, product
from typing import Protocol

from search import analysis
from search.readings import (
    bare,
    by_hepburn,
    by_spelling,
    han,
    hangul_of,
    hepburn,
    hiragana,
    is_spelled,
    katakana,
    korean,
    marked,
    northern,
)
from search.tree import Or, Query


class Words(Protocol):
    """What the texts and the names of all items are made of."""

    def held(self, terms: Iterable[str]) -> set[str]:
        """Those of many terms that there are; of single characters those that begin one."""

    def following(self, char: str) -> set[str]:
        """The characters that stand behind one in a run."""


MOST_FORMS = 60
"""Of one kind that are asked for."""
_MOST_SYLLABLES = 8
_MOST_PARTINGS = 64
_MOST_SPELLINGS = 2_000
_MOST_TOLD = 24
_HANGUL = re.compile("[\uac00-\ud7a3]+")
_KANA = re.compile("[\u3041-\u3096\u30a1-\u30f6\u30fc]+")
_BREAK = re.compile(r"[\s\-‐·.]+")


class Sounds(Or):  # type: ignore[misc] # whoosh has no types
    """Any of the forms of a name; `note` tells them."""

    note = ""


def forms(word: str, words: Words) -> tuple[list[str], bool]:
    """How else a name may be written, of what the index holds, and whether there are more than are asked for.

    Args:
        word: in one script: Latin letters, Hangul, Han characters or kana.
        words: of the index.
    """
    words = _Remembered(words)
    folded = "".join(analysis.fold(word).text.split())
    kinds: list[Iterator[str]] = []
    if _HANGUL.fullmatch(folded):
        kinds = [_spellings_of_hangul(northern(folded), words), _han_read_as(folded, words), _others(folded, words)]
    elif _KANA.fullmatch(folded):
        both = (katakana(folded), hiragana(folded))
        kinds = [_present((each for each in both if each != folded), words), _spellings_of_kana(both[0], words)]
    elif folded and all(char in han().pinyin or char in han().korean for char in folded):
        readings = hangul_of(folded)
        kinds = [
            _in_latin([han().pinyin.get(char, ()) for char in folded], words),
            _present(readings, words),
            _spellings_of_hangul(readings, words),
        ]
    elif bare(word).isascii() and bare(word).isalpha():
        parts = [part for part in map(bare, _BREAK.split(word)) if part]
        kinds = _of_latin(parts, words)
    found: dict[str, None] = {}
    over = False
    for kind in kinds:
        some = list(islice(kind, MOST_FORMS + 1))
        over |= len(some) > MOST_FORMS
        found |= dict.fromkeys(some[:MOST_FORMS])
    own = _terms(word)
    return [form for form in found if _terms(form) != own], over


class _Remembered:
    """The same, each character asked for once."""

    def __init__(self, words: Words) -> None:
        self.held = words.held
        self.following = cache(words.following)


def is_name(word: str) -> bool:
    """Whether a word is in a script that `forms` reads."""
    folded = "".join(analysis.fold(word).text.split())
    east = _HANGUL.fullmatch(folded) or _KANA.fullmatch(folded)
    latin = bare(word).isascii() and bare(word).isalpha()
    return bool(east or latin or (folded and all(char in han().pinyin or char in han().korean for char in folded)))


def note_of(word: str, found: Sequence[str], *, over: bool) -> str:
    """What was asked for instead, in words."""
    if not found:
        return f"sounds:{word} stands for nothing else that this case holds."
    more = f" and {len(found) - _MOST_TOLD} more" if len(found) > _MOST_TOLD else ""
    cut = f"; of each kind only the first {MOST_FORMS} were asked for" if over else ""
    return f"sounds:{word} also stands for {', '.join(found[:_MOST_TOLD])}{more}{cut}."


def notes_of(tree: Query) -> list[str]:
    """The notes of all names in a query."""
    waiting, found = [tree], []
    while waiting:
        node = waiting.pop()
        found += [node.note] if isinstance(node, Sounds) else []
        waiting += [*getattr(node, "subqueries", ()), *filter(None, (getattr(node, "query", None),))]
    return found[::-1]


# -- from Latin letters


def _of_latin(parts: list[str], words: Words) -> list[Iterator[str]]:
    word = "".join(parts)
    spelled = [_layers(each, by_spelling()) for each in _partings(parts, by_spelling())]
    hangul = (chain for layers in spelled for chain in _chains(layers, words) if is_spelled(chain, word))
    # What no text has in Hangul may still stand there in other letters, or in Han characters.
    thought = [chain for layers in spelled for chain in _thought(layers) if is_spelled(chain, word)]
    as_korean = (chain for layers in spelled for chain in _chains(_as_han(layers), words) if _says(chain, word))
    by_pinyin = (_layers(each, han().by_pinyin) for each in _partings(parts, han().by_pinyin))
    pinyin = (chain for layers in by_pinyin for chain in _chains(layers, words))
    return [
        _unique(hangul),
        _unique(as_korean),
        _unique(pinyin),
        _unique(_kana_of(parts, words)),
        _spellings_of_hangul(thought, words),
    ]


def _partings(parts: list[str], known: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Every way to part a word into known syllables, those of fewest syllables first; bounds stay bounds."""
    found: list[list[str]] = [[]]
    for part in parts:
        ways: list[list[list[str]]] = [[[]]]
        for end in range(1, len(part) + 1):
            ways.append(
                [
                    [*way, part[start:end]]
                    for start in range(max(0, end - 7), end)
                    if part[start:end] in known
                    for way in ways[start][:_MOST_PARTINGS]
                ][:_MOST_PARTINGS]
            )
        found = [[*before, *way] for before in found for way in ways[-1]][:_MOST_PARTINGS]
    return sorted((way for way in found if 0 < len(way) <= _MOST_SYLLABLES), key=len)


def _layers(way: Sequence[str], known: Mapping[str, Sequence[str]]) -> list[Sequence[str]]:
    return [known[syllable] for syllable in way]


def _as_han(layers: list[Sequence[str]]) -> list[Sequence[str]]:
    """Han characters that are read as the layers' Hangul."""
    return [list(dict.fromkeys(char for each in layer for char in han().by_korean.get(each, ""))) for layer in layers]


def _says(chars: str, word: str) -> bool:
    return any(is_spelled(each, word) for each in hangul_of(chars))


def _thought(layers: list[Sequence[str]]) -> list[str]:
    """Words of syllables that names are made of, whether any text holds them or not."""
    usual = [[each for each in layer if each in han().by_korean] for layer in layers]
    return ["".join(each) for each in islice(product(*usual), _MOST_SPELLINGS)] if len(usual) > 1 else []


def _kana_of(parts: list[str], words: Words) -> Iterator[str]:
    for way in _partings(parts, by_hepburn()):
        layers = _layers(way, by_hepburn())
        yield from _chains(layers, words)
        yield from _chains([[hiragana(each) for each in layer] for layer in layers], words)


def _chains(layers: Sequence[Sequence[str]], words: Words) -> Iterator[str]:
    """Words that take a piece from each layer and of which the index holds every pair of neighbours."""
    if not all(layers):
        return
    within = words.held({pair for layer in layers for piece in layer for pair in _pairs(piece)})
    whole = [[piece for piece in layer if within.issuperset(_pairs(piece))] for layer in layers]
    first = words.held(whole[0]) if len(whole) == 1 else whole[0]
    ends: dict[str, list[str]] = {}
    for piece in first:
        ends.setdefault(piece[-1], []).append(piece)
    for layer in whole[1:]:
        following: dict[str, list[str]] = {}
        for last, begun in ends.items():
            behind = words.following(last)
            for piece in layer:
                if piece[0] in behind:
                    longer = following.setdefault(piece[-1], [])
                    longer += [word + piece for word in begun[: _MOST_SPELLINGS - len(longer)]]
        ends = following
    yield from sorted({word for begun in ends.values() for word in begun}, key=lambda word: (len(word), word))


def _pairs(piece: str) -> list[str]:
    return [piece[at : at + 2] for at in range(len(piece) - 1)]


# -- into Latin letters


def _spellings_of_hangul(hangul: Iterable[str], words: Words) -> Iterator[str]:
    spellings: dict[str, None] = {}
    for word in hangul:
        signs = [marked(word), tuple(each.replace("'", "ʼ") for each in marked(word))]
        for syllables in (*islice(product(*korean(word)), _MOST_SPELLINGS), *signs):
            spellings |= dict.fromkeys(_joined(syllables))
        if len(spellings) > _MOST_SPELLINGS * 10:
            break
    yield from _present(spellings, words)


def _spellings_of_kana(word: str, words: Words) -> Iterator[str]:
    sounds = hepburn(word)
    plain = ["".join(each) for each in islice(product(*sounds), _MOST_SPELLINGS)] if sounds else []
    long = [re.sub("ou|oo", "ō", re.sub("uu", "ū", each)) for each in plain]
    yield from _present(dict.fromkeys((*plain, *long)), words)


def _in_latin(readings: Sequence[tuple[str, ...]], words: Words) -> Iterator[str]:
    spellings: dict[str, None] = {}
    marked_too = [(*each, *(one.replace("v", "ü") for one in each if "v" in one)) for each in readings]
    for syllables in islice(product(*marked_too), _MOST_SPELLINGS):
        spellings |= dict.fromkeys(_joined(syllables))
    yield from _present(spellings, words)


def _joined(syllables: Sequence[str]) -> tuple[str, ...]:
    """Syllables as one word, each alone, and the first, or the last, apart as family names are."""
    if len(syllables) < 2:
        return ("".join(syllables),)
    first, rest = syllables[0], syllables[1:]
    return ("".join(syllables), " ".join(syllables), f"{first} {''.join(rest)}", f"{''.join(rest)} {first}")


# -- between scripts


def _han_read_as(hangul: str, words: Words) -> Iterator[str]:
    for word in northern(hangul):
        yield from _chains([han().by_korean.get(each, "") for each in word], words)


def _others(hangul: str, words: Words) -> Iterator[str]:
    return _present(northern(hangul)[1:], words)


def _present(spellings: Iterable[str], words: Words) -> Iterator[str]:
    """The words of which the index holds every term."""
    terms = {word: _terms(word) for word in spellings if word}
    there = words.held({term for each in terms.values() for term in each})
    return (word for word, each in terms.items() if each and set(each) <= there)


def _terms(word: str) -> list[str]:
    return [step.term for step in analysis.elements(word)]


def _unique(words: Iterable[str]) -> Iterator[str]:
    return iter(dict.fromkeys(islice(words, MOST_FORMS * 4)))
