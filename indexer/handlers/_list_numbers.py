"""Numbers of lists as Word writes them before a paragraph.

Source: [MS-OSHARED] 2.2.1.3 (MSONFC); ECMA-376 part 1, 17.18.59 (ST_NumberFormat), 17.9 (numbering).
Numbers of a kind that is not known here are left out: no guess is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

NONE: Final = 255
BULLET: Final = 23
LEVELS: Final = 9
_VALUES = (1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1)
_ROMAN = tuple(zip(_VALUES, ["m", "cm", "d", "cd", "c", "xc", "l", "xl", "x", "ix", "v", "iv", "i"], strict=True))
_FULL_WIDTH = str.maketrans("0123456789", "０１２３４５６７８９")
_IDEOGRAPHS = "〇一二三四五六七八九"
_GANADA, _CHOSUNG = "가나다라마바사아자차카타파하", "ㄱㄴㄷㄹㅁㅂㅅㅇㅈㅊㅋㅌㅍㅎ"


class Level(Struct):
    """One level of a list: where it starts, how its numbers are written, and what stands around them.

    In `text` a character below 9 stands for the number of the level that it counts from 0.
    """

    start: int = 1
    form: int = NONE
    legal: bool = False
    text: str = ""
    restart: int = -1
    """The first level, counted from 1, that does not begin this one anew; 0: none does; -1: this one."""
    width: int = 0
    """Figures that a number has at least."""


class Counts:
    """How far the lists have come."""

    def __init__(self) -> None:
        self._counts: dict[object, list[int | None]] = {}
        self._begun: set[tuple[object, int]] = set()

    def number(self, name: object, levels: Sequence[Level], level: int, used: object, starts: dict[int, int]) -> str:
        """The number before a paragraph, which counts from now on; empty where it has none that we can write.

        Args:
            name: the list that counts.
            used: what refers to it, which may let levels start anew.
            starts: where they do, the first time that they are met.
        """
        if not 0 <= level < min(len(levels), LEVELS):
            return ""
        counts = self._counts.setdefault(name, [None] * LEVELS)
        before = counts[level]
        if level in starts and (used, level) not in self._begun:
            before = starts[level] - 1
        self._begun.add((used, level))
        counts[level] = levels[level].start if before is None else before + 1
        for above in range(level):
            counts[above] = levels[above].start if counts[above] is None else counts[above]
        for below in range(level + 1, len(levels)):
            restart = levels[below].restart
            if restart < 0 or level < restart:
                counts[below] = None
        return _written(levels, level, counts)


def _written(levels: Sequence[Level], level: int, counts: list[int | None]) -> str:
    pieces = []
    for char in levels[level].text:
        if ord(char) >= LEVELS:
            pieces.append(char)
            continue
        if ord(char) >= len(levels):
            return ""
        named = levels[ord(char)]
        if named.form == NONE:
            continue
        shown = digits(counts[ord(char)] or 0, 0 if levels[level].legal else named.form)
        if not shown:
            return ""
        pieces.append(shown.rjust(named.width, "0"))
    return "".join(pieces) if levels[level].form != BULLET else ""


def digits(number: int, form: int) -> str:
    """A number as a list writes it: figures, Roman numerals, letters of several scripts; empty for other ways."""
    if form in _PLAIN:
        return _PLAIN[form](number)
    if not 0 < number < 4000:
        return ""
    return _POSITIVE[form](number) if form in _POSITIVE else ""


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10 if number % 100 not in (11, 12, 13) else 0, "th")
    return f"{number}{ending}"


def _roman(number: int) -> str:
    shown = ""
    for value, letters in _ROMAN:
        shown += letters * (number // value)
        number %= value
    return shown


def _letter(number: int) -> str:
    return chr(ord("a") + (number - 1) % 26) * ((number - 1) // 26 + 1)


def _of(letters: str) -> Callable[[int], str]:
    return lambda number: letters[number - 1] if number <= len(letters) else ""


def _counted(number: int) -> str:
    """Chinese and Japanese numbers below a hundred, which both write alike."""
    tens, ones = divmod(number, 10)
    if tens > 9:
        return ""
    return (_IDEOGRAPHS[tens] if tens > 1 else "") + ("十" if tens else "") + (_IDEOGRAPHS[ones] if ones else "")


_PLAIN: Final[dict[int, Callable[[int], str]]] = {
    0: str,
    5: _ordinal,
    14: lambda number: str(number).translate(_FULL_WIDTH),
    15: str,
    19: lambda number: str(number).translate(_FULL_WIDTH),
    22: lambda number: f"{number:02}",
    57: lambda number: f"- {number} -",
}
_POSITIVE: Final[dict[int, Callable[[int], str]]] = {
    1: lambda number: _roman(number).upper(),
    2: _roman,
    3: lambda number: _letter(number).upper(),
    4: _letter,
    10: lambda number: "".join(_IDEOGRAPHS[int(figure)] for figure in str(number)),
    11: _counted,
    18: lambda number: chr(0x2460 + number - 1) if number <= 20 else "",
    24: _of(_GANADA),
    25: _of(_CHOSUNG),
    26: lambda number: chr(0x2488 + number - 1) if number <= 20 else "",
    27: lambda number: chr(0x2474 + number - 1) if number <= 20 else "",
    33: _counted,
    37: _counted,
}
