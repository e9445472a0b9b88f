"""The languages of a text, from the scripts it is written in: zh, ko, ja, en, ru, ... or nothing.

Measured on 4 to 80 characters of Chinese, Korean, Japanese and English, counting scripts is right
more often (96 to 100 %) than any trained library that was tried, and it costs no memory.

The main language is that of the whole. Where more than one script is there, lines and table cells are looked
at one by one for others: notes in Chinese with Korean beside them are both. Chinese is told apart once more,
by characters that only the simplified or only the traditional national standard has.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import islice
from typing import NamedTuple

_SAMPLE = 20_000


class _Script(NamedTuple):
    """A script by rows of 256 characters: those that are all its own, and those that it shares."""

    whole: bytes
    shared: bytes
    its_own: re.Pattern[str]
    """What of the shared rows is the script's."""

    def count_shared(self, text: str, rows: bytes) -> int:
        """How many characters of `text` are the script's in rows that it shares, given the row of each."""
        for row in self.shared:
            if row in rows:
                return sum(map(len, self.its_own.findall(text)))
        return 0


_KANA = _Script(b"", b"\x30\xff", re.compile("[\u3040-\u30ff\uff66-\uff9d]+"))
_HANGUL = _Script(bytes((0x11, *range(0xAC, 0xD8))), b"\x31", re.compile("[\u3130-\u318f]+"))
_HAN = _Script(bytes((*range(0x34, 0x4D), *range(0x4E, 0xA0), 0xF9, 0xFA)), b"\x4d", re.compile("[\u4d00-\u4dbf]+"))
_CYRILLIC = _Script(b"\x04", b"", re.compile("(?!)"))
_ARABIC = _Script(b"\x06", b"", re.compile("(?!)"))
_LATIN = _Script(b"\x01", b"\x02", re.compile("[\u0200-\u024f]+"))
"""But for the row of ASCII and Latin-1, in which bytes are counted."""
_SCRIPTS = (_KANA, _HANGUL, _HAN, _CYRILLIC, _ARABIC, _LATIN)
_SCRIPT_OF_ROW = bytes(next((n for n, one in enumerate(_SCRIPTS) if row in one.whole), 255) for row in range(256))
_LETTERS = bytes(range(0x41, 0x5B)) + bytes(range(0x61, 0x7B))
_LATIN_1_LEAD = b"\xc3"
"""In UTF-8 the first byte of every letter of Latin-1 beyond ASCII, and of nothing else."""
_ENGLISH_SAMPLE = 4_000
_WORDS = bytes(byte | 0x20 if chr(byte).isalpha() else 0x20 for byte in range(128)) + b" " * 128
"""Letters of ASCII in lower case, white space for all else."""
_ENGLISH = frozenset(
    {
        b"the",
        b"and",
        b"of",
        b"to",
        b"in",
        b"is",
        b"for",
        b"that",
        b"with",
        b"on",
        b"not",
        b"this",
        b"from",
        b"are",
        b"be",
    }
)


_SCRIPT_SAMPLE = 4_000
_MOST_CELLS = 8
"""Lines and table cells of each script that are looked at."""
_KANA_LETTER = re.compile("[\u3041-\u30fa\uff66-\uff9d]")
_SYLLABLE = re.compile("[\uac00-\ud7a3]")
_WORDS_OF = {
    "ja": re.compile("[\u3041-\u30fa\uff66-\uff9d]{2}"),
    "ko": re.compile("[\uac00-\ud7a3]{2}"),
    "zh": re.compile("[\u3400-\u9fff\uf900-\ufaff]{2}"),
    "ru": re.compile("[\u0400-\u04ff]{4}"),
    "ar": re.compile("[\u0600-\u06ff]{4}"),
}
_BETWEEN_LATIN = re.compile("[^ -~]+")
_LATIN_RUN = 24
"""Characters of ASCII in a row that are worth a look."""
_IDEOGRAPH = "[\u3400-\u9fff\uf900-\ufaff]"
_CHINESE = re.compile(f"{_IDEOGRAPH}(?:[0-9\u3000-\u303f\uff01-\uff1f]?{_IDEOGRAPH}){{4,}}")
"""Beside Korean in one line: longer than the words that Korean itself writes in these characters."""


_FEW = (("ja", 2), ("ko", 2), ("zh", 2), ("ru", 4), ("ar", 4), ("en", 12))
"""How many characters of its script make a word or two of a language."""


class _Counts(NamedTuple):
    """Characters of each script."""

    kana: int
    hangul: int
    han: int
    cyrillic: int
    arabic: int
    latin: int

    def languages(self) -> list[str]:
        """Those whose script has enough for a word or two."""
        return [tag for count, (tag, few) in zip(self, _FEW, strict=True) if count >= few]


def languages_of(text: str) -> tuple[str, tuple[str, ...]]:
    """The main language of a text as BCP 47 tags it, empty where unsure, and what else is in it.

    What else is: the languages of single lines and cells, then `zh-Hans` and `zh-Hant` for its Chinese.
    """
    sample = text[:_SAMPLE]
    if sample.isascii():
        return _language_of_latin(sample), ()
    counts = _count(sample)
    main = _main_language(sample, counts)
    there = counts.languages()
    if len(there) < 2:
        return main, _chinese_scripts(sample[:_SCRIPT_SAMPLE]) if main == "zh" else ()
    cells = sample.replace("\t", "\n")
    kana = counts.kana > 0
    found = {language: some for language in there if (some := _cells_in(language, cells, main, kana=kana))}
    scripts = _chinese_scripts("\n".join(found.get("zh", ())))
    return main, (*sorted(found.keys() - {main}), *scripts)


def language_of(text: str) -> str:
    """The main language of a text alone."""
    sample = text[:_SAMPLE]
    return _language_of_latin(sample) if sample.isascii() else _main_language(sample, _count(sample))


def _count(sample: str) -> _Counts:
    rows = sample.encode("utf-16-le", "surrogatepass")[1::2]
    scripts = rows.translate(_SCRIPT_OF_ROW)
    counts = [scripts.count(n) + one.count_shared(sample, rows) for n, one in enumerate(_SCRIPTS)]
    single = sample.encode("utf-8", "surrogatepass")
    counts[-1] += len(single) - len(single.translate(None, _LETTERS)) + single.count(_LATIN_1_LEAD)
    return _Counts(*counts)


def _main_language(sample: str, counts: _Counts) -> str:
    kana, hangul, han, cyrillic, arabic, latin = counts
    # A Han character or a syllable says about as much as three letters.
    east = kana + hangul + han
    if east * 3 >= max(latin, cyrillic, arabic) and east >= 2:
        if kana * 8 >= east and kana >= hangul:
            return "zh" if _is_chinese_for_the_most(sample[:_SCRIPT_SAMPLE]) else "ja"
        if hangul * 4 >= east:
            return "ko"
        return "ja" if _is_japanese(frozenset(sample[:_SCRIPT_SAMPLE])) else "zh"
    if cyrillic > latin and cyrillic >= 4:
        return "ru"
    if arabic > latin and arabic >= 4:
        return "ar"
    return "en" if latin >= 12 and _is_english(sample) else ""


def _cells_in(language: str, sample: str, main: str, *, kana: bool) -> list[str]:
    """What is in a language of the first cells, each a line here, that have some of its script.

    Args:
        kana: whether there is any: only then is it looked for in each cell.
    """
    found: list[str] = []
    if language == "en":
        runs = list(islice((run for run in _BETWEEN_LATIN.split(sample) if len(run) >= _LATIN_RUN), _MOST_CELLS))
        return runs if runs and _language_of_latin(" ".join(runs)) else []
    at = 0
    for _ in range(_MOST_CELLS):
        match = _WORDS_OF[language].search(sample, at)
        if not match:
            break
        start = sample.rfind("\n", at, match.start()) + 1
        end = sample.find("\n", match.end())
        at = end if end >= 0 else len(sample)
        cell = sample[start:at]
        if language in ("ko", "zh") and not (kana and _KANA_LETTER.search(cell)):
            if language == "zh" and _SYLLABLE.search(cell):
                found += _CHINESE.findall(cell)
            elif language == "ko" or main != "ja" or not _only().chinese.isdisjoint(cell):
                found.append(cell)  # beside Japanese, what Japanese could not have written
        elif language_of(cell) == language:
            found.append(cell)
        if found and language != "zh":
            break  # one will do; only the two scripts of Chinese need more to be told apart
    return found


class _Only(NamedTuple):
    """Characters that only simplified, traditional, Chinese and Japanese text has, by the national standards.

    `strange` are those that Japanese text of the usual standard never has.
    """

    simplified: frozenset[str]
    traditional: frozenset[str]
    chinese: frozenset[str]
    japanese: frozenset[str]
    strange: frozenset[str]


@cache
def _only() -> _Only:
    block = "".join(map(chr, range(0x4E00, 0xA000)))
    mainland, taiwan, japan, usual = (
        frozenset(block.encode(codec, "ignore").decode(codec)) for codec in ("gb2312", "big5", "euc_jp", "shift_jis")
    )
    frequent = frozenset(char for char in taiwan if char.encode("big5") < b"\xc6\xa1")
    first = frozenset(char for char in usual if char.encode("shift_jis") < b"\x98\x9f")
    return _Only(
        mainland - taiwan,
        frequent - mainland,
        (mainland | frequent) - japan,
        first - mainland - taiwan,
        frozenset(block) - usual,
    )


def _is_chinese_for_the_most(text: str) -> bool:
    """Whether text with kana is Chinese but for some lines."""
    if not _only().strange.intersection(text):
        return False
    with_kana, without = 0, 0
    for line in text.split("\n"):
        count = sum(char >= "\u3041" for char in line)
        if _KANA_LETTER.search(line):
            with_kana += count
        else:
            without += count
    return without > with_kana


def _is_japanese(chars: frozenset[str]) -> bool:
    """Whether text without kana is Japanese: in characters that neither of the two scripts of Chinese has together.

    Measured on pieces of a Japanese text without its kana: of 8 characters 72 % are known, of 16 93 %; of Chinese
    in either script 1.3 % at most are taken for Japanese.
    """
    only = _only()
    if chars & only.strange:
        return False
    return bool(chars & only.japanese or (chars & only.simplified and chars & only.traditional))


def _chinese_scripts(text: str) -> tuple[str, ...]:
    chars = set(text)
    simplified, traditional = bool(chars & _only().simplified), bool(chars & _only().traditional)
    if simplified and traditional:  # a name in the other script makes no text of it: whole lines do
        only, lines = _only(), map(set, text.split("\n"))
        weights = [len(line & only.simplified) - len(line & only.traditional) for line in lines]
        simplified, traditional = max(weights) > 0 or min(weights) == 0, min(weights) < 0
    return tuple(tag for tag, there in (("zh-Hans", simplified), ("zh-Hant", traditional)) if there)


def _language_of_latin(sample: str) -> str:
    latin = len(sample) - len(sample.encode().translate(None, _LETTERS))
    return "en" if latin >= 12 and _is_english(sample) else ""


def _is_english(text: str) -> bool:
    words = text[:_ENGLISH_SAMPLE].encode("utf-8", "surrogatepass").translate(_WORDS).split()
    return sum(map(_ENGLISH.__contains__, words)) * 12 >= len(words)
