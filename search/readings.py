"""How names are read, syllable by syllable: Korean, Chinese and Japanese in Latin letters.

Every syllable has a set of spellings, so that whoever wrote a name by Revised Romanisation, by
McCune-Reischauer with or without its marks, or as offices in Pyongyang do (Samjiyon, Ri, Jong) is met. Sounds
that meet are written as they are spoken or as they are spelled (Silla, Baekryong). Kana are Hepburn, long
vowels marked, doubled or left out. Chinese is pinyin without tones.

Source: Romanization of Korean (2000); McCune and Reischauer (1939); Hepburn's dictionary, 3rd edition; what
Han characters are read as: `readings.txt`, whose head names where it is from.
Limits: spellings of one family alone (Rhee, Hyun, Young); Wade-Giles; Japanese readings of Han characters.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache
from itertools import islice, product
from pathlib import Path
from typing import NamedTuple

_TABLE = Path(__file__).with_name("readings.txt")
_FIRST, _LAST = 0xAC00, 0xD7A3
_INITIALS: tuple[tuple[str, ...], ...] = (
    ("g", "k"), ("kk",), ("n",), ("d", "t"), ("tt",), ("r", "l"), ("m",), ("b", "p"), ("pp",), ("s",), ("ss",),
    ("",), ("j", "ch"), ("jj", "tch"), ("ch",), ("k",), ("t",), ("p",), ("h",),
)  # fmt: skip
_VOWELS: tuple[tuple[str, ...], ...] = (
    ("a",), ("ae",), ("ya",), ("yae",), ("eo", "o"), ("e",), ("yeo", "yo"), ("ye", "e"), ("o",), ("wa",), ("wae",),
    ("oe", "oi"), ("yo",), ("u", "oo"), ("wo",), ("we",), ("wi",), ("yu",), ("eu", "u"), ("ui", "eui"), ("i",),
)  # fmt: skip
_FINALS = (
    "", "k", "k", "k", "n", "n", "n", "t", "l", "l", "l", "l", "l", "l", "l", "l", "m", "p", "p", "t", "t", "ng", "t",
    "t", "k", "t", "p", "t",
)  # fmt: skip
_CARRIED = (
    "", "g", "kk", "gs", "n", "nj", "n", "d", "r", "lg", "lm", "lb", "ls", "lt", "lp", "r", "m", "b", "bs", "s", "ss",
    "ng", "j", "ch", "k", "t", "p", "",
)  # fmt: skip
"""What a final becomes before a vowel."""
_N, _R, _M, _NONE, _S = 2, 5, 6, 11, 9
_NASAL = {"k": "ng", "t": "n", "p": "m"}
_FAMILIES = {
    "이": ("lee", "yi"), "리": ("lee",), "박": ("park",), "최": ("choi",), "임": ("lim",), "노": ("roh",),
    "로": ("roh",),    "정": ("jung", "chung"), "조": ("cho",), "유": ("yoo",), "류": ("ryoo",), "신": ("shin",),
    "심": ("shim",), "안": ("ahn",), "오": ("oh",), "우": ("woo",), "구": ("koo",),
}  # fmt: skip
"""Family names that are commonly spelled otherwise."""
_MARKED_INITIALS = (
    "k", "kk", "n", "t", "tt", "r", "m", "p", "pp", "s", "ss", "", "ch", "tch", "ch'", "k'", "t'", "p'", "h",
)  # fmt: skip
_MARKED_VOWELS = (
    "a", "ae", "ya", "yae", "ŏ", "e", "yŏ", "ye", "o", "wa", "wae", "oe", "yo", "u", "wŏ", "we", "wi", "yu", "ŭ", "ŭi",
    "i",
)  # fmt: skip
_VOICED = {0: "g", 3: "d", 7: "b", 12: "j"}
_MOST = 2_000


class _Syllable(NamedTuple):
    initial: int
    vowel: int
    final: int


def bare(text: str) -> str:
    """Latin letters in small, without marks above them and without what stands between syllables."""
    parts = unicodedata.normalize("NFD", text.casefold())
    return "".join(char for char in parts if not unicodedata.combining(char) and char not in "'’‘ʼʻ`´-‐ ·.")


def _taken_apart(hangul: str) -> list[_Syllable]:
    codes = [ord(char) - _FIRST for char in hangul]
    return [_Syllable(code // 588, code % 588 // 28, code % 28) for code in codes]


def _initials(at: _Syllable, before: _Syllable | None) -> tuple[str, ...]:
    written = _INITIALS[at.initial]
    if before is None:
        return written
    end = _FINALS[before.final]
    if at.initial == _R and end:
        return ("r", "l") if end == "l" else ("r", "l", "n")
    if at.initial == _N and end == "l":
        return ("n", "l")
    if at.initial == _S and at.vowel in (16, 20):
        return (*written, "sh")
    return written


def _finals(at: _Syllable, after: _Syllable | None) -> tuple[str, ...]:
    end = _FINALS[at.final]
    if after is None or not end:
        return (end,)
    if after.initial == _NONE and at.final != 21:
        return tuple(dict.fromkeys((_CARRIED[at.final], end)))
    if after.initial in (_N, _M, _R) and end in _NASAL:
        return (_NASAL[end], end)
    if after.initial == _R and end == "n":
        return ("l", "n")
    return (end,)


def korean(hangul: str) -> list[tuple[str, ...]]:
    """For each syllable of Hangul every spelling that it can have where it stands."""
    parts = _taken_apart(hangul)
    found: list[tuple[str, ...]] = []
    for place, part in enumerate(parts):
        before = parts[place - 1] if place else None
        after = parts[place + 1] if place + 1 < len(parts) else None
        spelled = product(_initials(part, before), _VOWELS[part.vowel], _finals(part, after))
        family = _FAMILIES.get(hangul[0], ()) if not place else ()
        found.append(tuple(dict.fromkeys((*map("".join, spelled), *family))))
    return found


def marked(hangul: str) -> tuple[str, ...]:
    """The syllables by McCune-Reischauer with its marks: p'yŏng, yang."""
    found: list[str] = []
    parts = _taken_apart(hangul)
    for place, part in enumerate(parts):
        before = _FINALS[parts[place - 1].final] if place else "k"
        after = parts[place + 1] if place + 1 < len(parts) else None
        first = _MARKED_INITIALS[part.initial]
        if before in ("", "n", "l", "m", "ng"):
            first = _VOICED.get(part.initial, first)
        if part.initial in (_R, _N) and before == "l":
            first = "l"
        elif part.initial == _R and place and before:
            first = "l" if before == "n" else "n"
        end = _FINALS[part.final]
        if after is not None and end:
            if after.initial == _NONE and part.final != 21:
                end = _CARRIED[part.final]
            elif after.initial in (_N, _M, _R) and end in _NASAL:
                end = _NASAL[end]
            elif after.initial == _R and end == "n":
                end = "l"
        found.append(first + _MARKED_VOWELS[part.vowel] + end)
    return tuple(found)


@lru_cache(maxsize=4096)
def _spelled(hangul: str) -> re.Pattern[str]:
    return re.compile("".join(f"(?:{'|'.join(each)})" for each in korean(hangul)))


def is_spelled(hangul: str, latin: str) -> bool:
    """Whether bare Latin letters spell this Hangul."""
    return bool(_spelled(hangul).fullmatch(latin))


class Han(NamedTuple):
    """Readings of Han characters, both ways; characters as the index keeps them."""

    korean: dict[str, tuple[str, ...]]
    pinyin: dict[str, tuple[str, ...]]
    by_korean: dict[str, str]
    by_pinyin: dict[str, str]


@cache
def han() -> Han:
    """The table of readings."""
    by_reading: dict[str, dict[str, str]] = {}
    rows: dict[str, str] = {}
    for line in _TABLE.read_text("utf-8").splitlines():
        if line.startswith("["):
            rows = by_reading.setdefault(line.strip("[]"), {})
        elif not line.startswith("#"):
            reading, _, chars = line.partition("\t")
            rows[reading] = chars
    pinyin = {each.replace("v", spelled): chars for each, chars in by_reading["pinyin"].items() for spelled in "vu"}
    for each, chars in by_reading["pinyin"].items():  # lu and lü may be written alike
        plain = each.replace("v", "u")
        if plain != each:
            pinyin[plain] = "".join(dict.fromkeys(by_reading["pinyin"].get(plain, "") + chars))
    return Han(_turned(by_reading["korean"]), _turned(pinyin), by_reading["korean"], pinyin)


def _turned(rows: dict[str, str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for reading, chars in rows.items():
        for char in chars:
            found.setdefault(char, []).append(reading)
    return {char: tuple(readings) for char, readings in found.items()}


def hangul_of(chars: str) -> list[str]:
    """What Han characters are in Korean, first sounds as north and south of the border write them."""
    each = [han().korean.get(char, ()) for char in chars]
    if not all(each):
        return []
    found: dict[str, None] = {}
    for reading in islice(product(*each), _MOST):
        word = "".join(reading)
        found |= dict.fromkeys((word, _southern(word[0]) + word[1:]))
    return list(found)


def _southern(syllable: str) -> str:
    """A first syllable as the south writes it: 리 is 이, 로 is 노, 녀 is 여."""
    initial, vowel, final = _taken_apart(syllable)[0]
    if initial in (_R, _N) and vowel in (2, 3, 6, 7, 12, 17, 20):
        initial = _NONE
    elif initial == _R:
        initial = _N
    return chr(_FIRST + initial * 588 + vowel * 28 + final)


def northern(hangul: str) -> list[str]:
    """The word itself and with other first sounds that the north, or the south, would write."""
    initial, vowel, final = _taken_apart(hangul)[0]
    if initial not in (_NONE, _N, _R):
        return [hangul]
    heads = (chr(_FIRST + each * 588 + vowel * 28 + final) for each in (_NONE, _N, _R))
    same = (head + hangul[1:] for head in heads if _southern(head) == _southern(hangul[0]))
    return list(dict.fromkeys((hangul, *same)))


@cache
def by_spelling() -> dict[str, tuple[str, ...]]:
    """Hangul syllables by every spelling that they can have anywhere."""
    syllables = map(chr, range(_FIRST, _LAST + 1))
    found: dict[str, list[str]] = {}
    for char in (each for each in syllables if len(each.encode("euc_kr")) == 2):  # those of KS X 1001
        part = _taken_apart(char)[0]
        neighbours = (None, *(_Syllable(initial, 0, 0) for initial in (_N, _R, _NONE)))
        spelled: set[str] = set(_FAMILIES.get(char, ()))
        for before in (None, *(_Syllable(0, 0, final) for final in (1, 8))):
            for after in neighbours:
                parts = product(_initials(part, before), _VOWELS[part.vowel], _finals(part, after))
                spelled.update(map("".join, parts))
        for each in sorted(spelled):
            found.setdefault(each, []).append(char)
    return {spelling: tuple(chars) for spelling, chars in found.items()}


_ROWS = {
    "": "アイウエオ", "k": "カキクケコ", "s": "サシスセソ", "t": "タチツテト", "n": "ナニヌネノ", "h": "ハヒフヘホ",
    "m": "マミムメモ", "r": "ラリルレロ", "g": "ガギグゲゴ", "z": "ザジズゼゾ", "d": "ダヂヅデド", "b": "バビブベボ",
    "p": "パピプペポ",
}  # fmt: skip
_HEPBURN = {"si": "shi", "ti": "chi", "tu": "tsu", "hu": "fu", "zi": "ji", "di": "ji", "du": "zu"}


@cache
def kana() -> dict[str, str]:
    """Katakana, one sound each, and how Hepburn writes it; without ッ, ー and long vowels."""
    found = {"ヤ": "ya", "ユ": "yu", "ヨ": "yo", "ワ": "wa", "ヲ": "o", "ン": "n", "ヴ": "vu"}
    for consonant, row in _ROWS.items():
        for char, vowel in zip(row, "aiueo", strict=True):
            plain = consonant + vowel
            found[char] = _HEPBURN.get(plain, plain)
            if vowel == "i" and consonant:
                stem = found[char][:-1] if found[char] in ("shi", "chi", "ji") else consonant + "y"
                found |= {char + small: stem + sound for small, sound in zip("ャュョ", "auo", strict=True)}
    for char, stem in (("フ", "f"), ("ヴ", "v")):
        found |= {char + small: stem + sound for small, sound in zip("ァィェォ", "aieo", strict=True)}
    return found | {"シェ": "she", "チェ": "che", "ジェ": "je", "ティ": "ti", "ディ": "di", "ウィ": "wi", "ウェ": "we"}


@cache
def by_hepburn() -> dict[str, tuple[str, ...]]:
    """Katakana by the letters that stand for them, doubled consonants and long vowels among them."""
    found: dict[str, list[str]] = {}
    for char, latin in kana().items():
        ends = {"o": ("", "ー", "ウ", "オ"), "u": ("", "ー", "ウ"), "a": ("", "ー"), "e": ("", "ー"), "i": ("", "ー")}
        for tail in ends.get(latin[-1], ("",)):
            found.setdefault(latin, []).append(char + tail)
            if latin[0] not in "aiueonmryw":
                for doubled in {latin[0], "t" if latin.startswith("ch") else latin[0]}:
                    found.setdefault(doubled + latin, []).append("ッ" + char + tail)
    found.setdefault("m", []).append("ン")
    return {latin: tuple(chars) for latin, chars in found.items()}


_KATAKANA = {code: code + 0x60 for code in range(0x3041, 0x3097)}
_HIRAGANA = {after: before for before, after in _KATAKANA.items()}


def katakana(text: str) -> str:
    """Hiragana as katakana."""
    return text.translate(_KATAKANA)


def hiragana(text: str) -> str:
    """Katakana as hiragana."""
    return text.translate(_HIRAGANA)


def hepburn(text: str) -> list[tuple[str, ...]]:
    """For each sound of katakana its spellings; none where something else is among them."""
    found: list[tuple[str, ...]] = []
    doubled = False
    at = 0
    while at < len(text):
        piece = text[at : at + 2] if text[at : at + 2] in kana() else text[at]
        at += len(piece)
        before = found[-1][0][-1:] if found else ""
        if piece == "ッ":
            doubled = True
            continue
        if piece == "ー":
            found.append(("", before))
        elif piece not in kana():
            return []
        elif piece == "ウ" and before in ("o", "u"):
            found.append(("u", "", before))
        elif piece == "オ" and before == "o":
            found.append(("o", ""))
        elif piece == "ン":
            found.append(("n", "m") if kana().get(text[at : at + 1], "")[:1] in ("b", "m", "p") else ("n",))
        else:
            latin = kana()[piece]
            first = "t" if latin.startswith("ch") else latin[0]
            found.append((first + latin,) if doubled else (latin,))
        doubled = False
    return found
