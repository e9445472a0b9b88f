"""How likely a text is, in nats, under a simple picture of each language: what decides an encoding.

The same bytes decoded by several codecs give several texts; the right one is the one that somebody
could have written. Each language is a table of log probabilities of single characters, built from
ranks: characters listed by hand, most frequent first, then what the national standards call frequent
(level 1 of GB 2312, Big5 and JIS X 0208, the 2350 syllables of KS X 1001), then the rest.
Strict decoding is no proof: North Korean text passes as valid GB 18030, UHC and Big5.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable
from functools import cache
from math import log
from pathlib import Path

_RANKS = Path(__file__).with_name("encodings_ranks.json")
_ENGLISH = "etaoinsrhldcumfpgwybvkxjqz"
LOST = -18.0
"""Nats for one undecodable byte: dearer than any honest character, so that few are forgiven."""
NOISE = -20.0

_BLOCKS: tuple[tuple[int, float], ...] = (
    # First code point after the block, nats for a character that no table lists.
    (0x09, -18.0),
    (0x0B, -5.0),
    (0x0C, -16.0),
    (0x0E, -5.0),
    (0x20, -16.0),
    (0x7F, -5.5),
    (0xA0, -16.0),
    (0xC0, -10.0),
    (0x250, -10.5),
    (0x370, -15.0),
    (0x400, -9.5),
    (0x460, -9.0),
    (0x590, -14.0),
    (0x600, -10.5),
    (0x700, -10.5),
    (0xE00, -15.0),
    (0xE80, -10.5),
    (0x1100, -15.0),
    (0x1200, -13.0),
    (0x2000, -15.0),
    (0x2070, -9.0),
    (0x2190, -11.0),
    (0x2500, -11.0),
    (0x2600, -10.5),
    (0x2E80, -11.0),
    (0x3000, -14.0),
    (0x3004, -5.0),
    (0x3020, -6.5),
    (0x3040, -11.0),
    (0x3100, -9.0),
    (0x3400, -12.0),
    (0x4E00, -16.0),
    (0xA000, -13.5),
    (0xAC00, -16.0),
    (0xD7A4, -13.5),
    (0xF900, -18.0),
    (0xFB00, -13.0),
    (0xFE30, -14.0),
    (0xFE70, -12.0),
    (0xFF00, -15.0),
    (0xFF5F, -8.0),
    (0xFFA0, -10.0),
    (0xFFF0, -12.0),
    (0x10000, LOST),
    (0x1F000, -18.0),
    (0x1FB00, -12.0),
    (0x20000, -18.0),
    (0x2FA20, -16.0),
    (0x110000, NOISE),
)

_BLOCK_ENDS = [end for end, _ in _BLOCKS]
_BLOCK_NATS = [nats for _, nats in _BLOCKS]
_REMEMBERED = 66_000
"""Characters held by one table: the cost of unlisted ones is remembered, but not without end."""


class Table(dict[str, float]):
    """Character -> log probability; what is not listed is judged by its block.

    `rarity` is what it costs for a whole text to be of this kind.
    """

    rarity = 0.0

    def __missing__(self, char: str) -> float:
        nats = _BLOCK_NATS[bisect_right(_BLOCK_ENDS, ord(char))]
        if len(self) < _REMEMBERED:
            self[char] = nats
        return nats

    def score(self, text: str) -> float:
        """The log probability of `text`, character by character."""
        return sum(map(self.__getitem__, text)) - self.rarity


@cache
def ranks() -> dict[str, str]:
    """Characters by language or script, most frequent first."""
    held: dict[str, str] = json.loads(_RANKS.read_text("utf-8"))
    return held


@cache
def table(language: str) -> Table:
    """The table of one language or script: hans, ko, cyrillic, western, ...; `CYRILLIC` is all capitals."""
    result = Table(_ascii())
    if language.isupper():
        _fill_letters(result, ranks()[language.lower()].upper())
        result.rarity = 4.0
    elif language in _EAST:
        _EAST[language](result)
    elif language != "ascii":
        _fill_letters(result, ranks()[language])
    return result


def _ascii() -> dict[str, float]:
    held = {char: -2.6 - log(1 + rank / 5) for rank, char in enumerate(_ENGLISH)}
    held |= {char.upper(): nats - 2.0 for char, nats in held.items()}
    held |= dict.fromkeys("0123456789", -4.5)
    held |= {" ": -2.2, "\n": -3.5, "\r": -3.5, "-": -4.5, "_": -4.5, ".": -4.0, ",": -4.0, "\0": NOISE}
    return held


def _fill(result: Table, chars: Iterable[str], top: float, bend: float, floor: float) -> None:
    """Zipf's law with a flattened head: rank r costs `top` and the logarithm of 1 + r / bend."""
    for rank, char in enumerate(chars):
        result.setdefault(char, max(floor, top - log(1 + rank / bend)))


def _fill_flat(result: Table, chars: Iterable[str], nats: float) -> None:
    for char in chars:
        result.setdefault(char, nats)


def _fill_letters(result: Table, letters: str) -> None:
    alphabet = letters[0] not in "éáāı"
    # An alphabet is all of its words; accented letters stand between plain ones.
    top, bend = (-2.5, 6.0) if alphabet else (-5.2, 12.0)
    if alphabet:
        result.update((char, nats - 4.0) for char, nats in _ascii().items() if char.isalpha())
    for rank, char in enumerate(letters):
        nats = top - log(1 + rank / bend)
        result.setdefault(char, nats)
        if len(char.upper()) == 1:
            result.setdefault(char.upper(), nats - 2.3)
    _fill_flat(result, "\xa0", -7.5)
    _fill_flat(result, "«»“”‘’„–—…№·°€©®™§", -6.5)


def _square(codec: str, first: int, last: int, trails: Iterable[int]) -> str:
    """All characters of the rows `first` to `last` of a double-byte set."""
    rows = (bytes((lead, trail)) for lead in range(first, last + 1) for trail in trails)
    return b"".join(rows).decode(codec, "ignore")


_GR = range(0xA1, 0xFF)
_BIG5_TRAILS = (*range(0x40, 0x7F), *range(0xA1, 0xFF))


def _fill_hans(result: Table) -> None:
    _fill_flat(result, "，。", -3.6)
    _fill_flat(result, "、：；！？“”（）《》", -5.5)
    _fill(result, ranks()["hans"], -3.6, 9.0, -9.0)
    _fill_flat(result, _square("gb2312", 0xB0, 0xD7, _GR), -10.0)
    _fill_flat(result, _square("gb2312", 0xD8, 0xF7, _GR), -12.3)


def _fill_hant(result: Table) -> None:
    _fill_flat(result, "，。", -3.6)
    _fill_flat(result, "、：；！？「」（）《》『』", -5.5)
    _fill(result, ranks()["hant"], -3.6, 9.0, -9.0)
    _fill_flat(result, _square("big5", 0xA4, 0xC6, _BIG5_TRAILS), -10.0)
    _fill_flat(result, _square("big5", 0xC9, 0xF9, _BIG5_TRAILS), -12.8)


def _fill_ja(result: Table) -> None:
    _fill_flat(result, "、。", -3.8)
    _fill_flat(result, "「」（）・ー！？『』【】", -5.5)
    _fill(result, ranks()["kana"], -3.3, 10.0, -8.5)
    _fill(result, ranks()["ja"], -5.0, 25.0, -9.0)
    # Half-width kana are one byte each in Shift-JIS: cheap ones would make every high byte Japanese.
    _fill(result, _HALF_WIDTH, -5.8, 12.0, -8.0)
    level_1 = _square("euc_jp", 0xB0, 0xCF, _GR)
    _fill_flat(result, level_1, -10.3)
    _fill_flat(result, _square("euc_jp", 0xD0, 0xF4, _GR), -12.8)


def _fill_ko(result: Table) -> None:
    _fill(result, ranks()["ko"], -3.4, 14.0, -8.5)
    _fill_flat(result, _square("euc_kr", 0xB0, 0xC8, _GR), -9.8)
    _fill_flat(result, _square("euc_kr", 0xCA, 0xFD, _GR), -11.8)


_HALF_WIDTH = "ﾝｽﾄﾙﾗﾘｲｸｱｼﾞﾚﾛﾌﾟﾏｺｶﾒﾃﾊｰﾀﾑｵﾅﾐﾆｴﾁｳｾｷﾀﾞｹﾋﾉﾓｿﾂﾜﾔｻﾎﾈﾖﾕﾇﾍｯｬｭｮｧｨｩｪｫｦ｡｢｣､･"
_EAST = {"hans": _fill_hans, "hant": _fill_hant, "ja": _fill_ja, "ko": _fill_ko}
EASTERN = tuple(_EAST)
