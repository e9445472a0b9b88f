"""Numbers of lists in Word's XML documents: definitions, lists in use, styles that belong to them.

Source: ECMA-376 part 1, 17.9 (numbering), 17.3.1.19 (numPr), 17.7.4 (styles).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from msgspec import Struct, field

from indexer.handlers._list_numbers import BULLET, LEVELS, NONE, Counts, Level
from indexer.handlers._parts import END, START, Event

_STYLES_DEEP: Final = 16
_OFF: Final = ("0", "false", "off")
_FORMS: Final = {
    "decimal": 0, "upperRoman": 1, "lowerRoman": 2, "upperLetter": 3, "lowerLetter": 4, "ordinal": 5,
    "ideographDigital": 10, "japaneseCounting": 11, "decimalFullWidth": 14, "decimalHalfWidth": 15,
    "decimalEnclosedCircle": 18, "decimalFullWidth2": 19, "decimalZero": 22, "bullet": BULLET, "ganada": 24,
    "chosung": 25, "decimalEnclosedFullstop": 26, "decimalEnclosedParen": 27, "taiwaneseCounting": 33,
    "chineseCounting": 37, "numberInDash": 57, "none": NONE,
}  # fmt: skip
_UNKNOWN: Final = 254
_PLACE: Final = re.compile(r"%([1-9])")
_PADDED: Final = re.compile(r"(0+)1,")
_STYLE: Final = re.compile(r"<w:pStyle w:val=[\"']([^\"'&]*+)[\"']")
_LIST: Final = re.compile(r"<w:numId w:val=[\"']([^\"'&]*+)[\"']")
_LEVEL: Final = re.compile(r"<w:ilvl w:val=[\"']([0-8])[\"']")


class Place(Struct):
    """What a paragraph, or a style, says of its list; empty and -1 where it says nothing."""

    style: str = ""
    of_list: str = ""
    level: int = -1


class _Definition(Struct):
    levels: dict[int, Level] = field(default_factory=dict)
    styles: dict[str, int] = field(default_factory=dict)
    """Styles that stand for one of the levels."""
    link: str = ""
    """The style that has the levels instead."""


class _Used(Struct):
    definition: str = ""
    starts: dict[int, int] = field(default_factory=dict)
    levels: dict[int, Level] = field(default_factory=dict)


class Numbering:
    """The lists of a document.

    Args:
        lists: the XML events of the numbering part.
    """

    def __init__(self, lists: Iterable[Event]) -> None:
        self._definitions: dict[str, _Definition] = {}
        self._used: dict[str, _Used] = {}
        self._styles: dict[str, Place] = {}
        self._default = ""
        self._levels: dict[str, list[Level]] = {}
        self._read_lists(lists)

    def __bool__(self) -> bool:
        return bool(self._used)

    def read_styles(self, events: Iterable[Event]) -> None:
        """Takes what the styles of paragraphs say of lists."""
        name, place = "", None
        for kind, tag, attributes in events:
            if kind == END:
                place = None if tag == "w:style" else place
            elif kind == START and tag == "w:style" and attributes.get("w:type", "paragraph") != "character":
                name = attributes.get("w:styleId", "")
                place = self._styles[name] = Place()
                if attributes.get("w:default", "0") not in _OFF and attributes.get("w:type") == "paragraph":
                    self._default = name
            elif kind == START and place:
                if tag == "w:basedOn":
                    place.style = attributes.get("w:val", "")
                else:
                    note(place, tag, attributes)

    def place_of(self, paragraph: str) -> Place | None:
        """What a plain paragraph's own mark-up says of its list; None where that is better left to the parser."""
        if "<w:pPr>" not in paragraph:
            return Place()
        style = _STYLE.search(paragraph) if "<w:pStyle" in paragraph else None
        place = Place(style[1] if style else "")
        if "<w:numPr>" in paragraph:
            of_list, level = _LIST.search(paragraph), _LEVEL.search(paragraph)
            if not of_list or (not level and "<w:ilvl" in paragraph):
                return None
            place.of_list, place.level = of_list[1], int(level[1]) if level else -1
        return place if style or "<w:pStyle" not in paragraph else None

    def number(self, counts: Counts, place: Place) -> str:
        """The number before a paragraph, which counts from now on; empty where it has none."""
        of_list, level = place.of_list, place.level
        style, deep = place.style or self._default, 0
        linked = ""
        while not of_list and style in self._styles and deep < _STYLES_DEEP:
            above = self._styles[style]
            of_list, linked = above.of_list, style
            level = above.level if level < 0 else level
            style, deep = above.style, deep + 1
        used = self._used.get(of_list)
        if not used:
            return ""
        name, definition = self._definition(used.definition)
        if level < 0:
            level = definition.styles.get(linked, 0)
        return counts.number(name, self._levels_of(of_list, used, definition), level, of_list, used.starts)

    def _definition(self, name: str) -> tuple[str, _Definition]:
        """The definition that has the levels: a list may point to a style, which points to it."""
        for _ in range(_STYLES_DEEP):
            found = self._definitions.get(name, _Definition())
            style = self._styles.get(found.link)
            used = self._used.get(style.of_list) if style else None
            if found.levels or not used:
                return name, found
            name = used.definition
        return name, _Definition()

    def _levels_of(self, of_list: str, used: _Used, definition: _Definition) -> list[Level]:
        if of_list not in self._levels:
            levels = definition.levels | used.levels
            self._levels[of_list] = [levels.get(number, Level()) for number in range(max(levels, default=-1) + 1)]
        return self._levels[of_list]

    def _read_lists(self, events: Iterable[Event]) -> None:
        definition = used = level = None
        number = 0
        for kind, tag, attributes in events:
            value = attributes.get("w:val", "")
            if kind == END:
                level = None if tag == "w:lvl" else level
                definition = None if tag == "w:abstractNum" else definition
                used = None if tag == "w:num" else used
            elif kind != START:
                continue
            elif tag == "w:abstractNum":
                definition = self._definitions.setdefault(attributes.get("w:abstractNumId", ""), _Definition())
            elif tag == "w:num":
                used = self._used.setdefault(attributes.get("w:numId", ""), _Used())
            elif tag in ("w:lvl", "w:lvlOverride"):
                number = min(_int(attributes.get("w:ilvl", "")), LEVELS - 1)
                if tag == "w:lvl" and (owner := used or definition):
                    level = owner.levels[number] = Level(start=0, form=0)
            elif tag == "w:startOverride" and used:
                used.starts[number] = _int(value)
            elif tag == "w:abstractNumId" and used:
                used.definition = value
            elif tag == "w:numStyleLink" and definition:
                definition.link = value
            elif tag == "w:pStyle" and definition:
                definition.styles[value] = number
            elif level:
                _read_level(level, tag, attributes)


def note(place: Place, tag: str, attributes: dict[str, str]) -> None:
    """Takes from the start of an element what it says of the list."""
    value = attributes.get("w:val", "")
    if tag == "w:numId":
        place.of_list = value
    elif tag == "w:ilvl":
        place.level = min(_int(value), LEVELS - 1)


def _read_level(level: Level, tag: str, attributes: dict[str, str]) -> None:
    value = attributes.get("w:val", "")
    if tag == "w:start":
        level.start = _int(value)
    elif tag == "w:numFmt" and not level.width:
        level.form = _FORMS.get(value, _UNKNOWN)
        if value == "custom" and (padded := _PADDED.match(attributes.get("w:format", ""))):
            level.form, level.width = 0, len(padded[1]) + 1
    elif tag == "w:lvlText":
        level.text = _PLACE.sub(lambda found: chr(int(found[1]) - 1), value)
    elif tag == "w:isLgl":
        level.legal = value not in _OFF
    elif tag == "w:lvlRestart":
        level.restart = _int(value)
    elif tag == "w:lvlPicBulletId":
        level.form = BULLET


def _int(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0
