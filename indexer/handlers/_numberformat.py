"""Numbers as a spreadsheet shows them, by their number format.

Source: ECMA-376 part 1, 18.8.30 (numFmt) and 18.8.31 (format codes).
Formats that depend on the reader's own country are not followed, nor are conditions: no guess is shown.
"""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from fractions import Fraction
from functools import lru_cache

from msgspec import Struct, field

BUILT_IN = {
    1: "0",
    2: "0.00",
    3: "#,##0",
    4: "#,##0.00",
    9: "0%",
    10: "0.00%",
    11: "0.00E+00",
    12: "# ?/?",
    13: "# ??/??",
    15: "d-mmm-yy",
    16: "d-mmm",
    17: "mmm-yy",
    18: "h:mm AM/PM",
    19: "h:mm:ss AM/PM",
    20: "h:mm",
    21: "h:mm:ss",
    37: "#,##0_);(#,##0)",
    38: "#,##0_);(#,##0)",
    39: "#,##0.00_);(#,##0.00)",
    40: "#,##0.00_);(#,##0.00)",
    45: "mm:ss",
    46: "[h]:mm:ss",
    48: "##0.0E+0",
}
"""Formats that a number alone stands for, but for those that follow the reader's country."""

_TOKEN = re.compile(
    r'"([^"]*)"?|\\(.)|_(.)|\*(.)|\[\$([^\]-]*)(?:-[^\]]*)?\]|\[([^\]]*)\]'
    r"|(AM/PM|A/P|General)|(E[+-])|(yyyy|yy?|e+|m{1,5}|d{1,4}|h{1,2}|s{1,2}(?:\.0{1,3})?)|([0#?])|(.)",
    re.IGNORECASE | re.DOTALL,
)
_MONTHS: tuple[str, ...] = ("January", "February", "March", "April", "May", "June", "July")
_MONTHS = (*_MONTHS, "August", "September", "October", "November", "December")
_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_MOST_CODE = 255


class _Section(Struct):
    """One of up to four parts of a format: tokens of a kind and a text."""

    tokens: list[tuple[str, str]] = field(default_factory=list)
    plain: bool = False
    """Whether it cannot be followed: a condition, text, or General."""

    def has(self, *kinds: str) -> bool:
        return any(kind in kinds for kind, _ in self.tokens)


def show(value: float, code: str, *, from_1904: bool = False) -> str:
    """The number as it is shown; an empty string where the format is not one that we follow."""
    sections = _parse(code[:_MOST_CODE])
    if not sections or abs(value) >= 1e15 or math.isnan(value):
        return ""
    section = sections[0]
    magnitude = value
    if len(sections) > 1 and value < 0:
        section, magnitude = sections[1], -value
    elif len(sections) > 2 and value == 0:
        section = sections[2]
    if section.plain:
        return ""
    if section.has("date", "elapsed"):
        return _show_date(section, value, from_1904=from_1904).strip()
    if not section.has("digit"):
        return ""
    shown = _show_number(section, abs(magnitude))
    negative = magnitude < 0 and any(char in "123456789" for char in shown)
    return ("-" * negative + shown).strip()


@lru_cache(maxsize=1024)
def _parse(code: str) -> tuple[_Section, ...]:
    sections = [_Section()]
    for match in _TOKEN.finditer(code):
        quoted, escaped, space, _, currency, bracket, word, power, date, digit, other = match.groups()
        tokens = sections[-1].tokens
        if quoted is not None or escaped is not None:
            tokens.append(("literal", quoted if quoted is not None else escaped))
        elif space is not None:
            tokens.append(("literal", " "))
        elif currency is not None:
            tokens.append(("literal", currency))
        elif bracket is not None:
            if re.fullmatch(r"h+|m+|s+", bracket, re.IGNORECASE):
                tokens.append(("elapsed", bracket.lower()))
            elif bracket[:1] in "<>=":
                sections[-1].plain = True
        elif word:
            if word.lower() == "general":
                sections[-1].plain = True
            tokens.append(("noon", word))
        elif power:
            tokens.append(("power", power))
        elif date:
            tokens.append(("date", date.lower().replace("e", "yyyy") if date[0] in "eE" else date.lower()))
        elif digit:
            tokens.append(("digit", digit))
        elif other == ";":
            sections.append(_Section())
        elif other == "@":
            sections[-1].plain = True
        elif other is not None:
            tokens.append((other if other in ".,%/" else "literal", other))
    return tuple(sections[:4])


def _show_date(section: _Section, serial: float, *, from_1904: bool) -> str:
    if not 0 <= serial < 2_958_466:
        return ""
    seconds = round(serial * 86400, 3)
    day = timedelta(seconds=seconds)
    at = (datetime(1904, 1, 1) if from_1904 else datetime(1899, 12, 31 if serial < 60 else 30)) + day
    noon = any(kind == "noon" for kind, _ in section.tokens)
    out: list[str] = []
    for index, (kind, text) in enumerate(section.tokens):
        if kind == "date":
            out.append(_date_part(text, at, noon, _is_minute(section.tokens, index)))
        elif kind == "elapsed":
            unit = {"h": 3600, "m": 60, "s": 1}[text[0]]
            out.append(str(int(seconds // unit)).zfill(len(text)))
        elif kind == "noon":
            shown = "PM" if at.hour >= 12 else "AM"
            out.append(shown if len(text) > 3 else shown[0])
        elif kind == "digit":
            return ""
        else:
            out.append(text)
    return "".join(out)


def _is_minute(tokens: list[tuple[str, str]], index: int) -> bool:
    """Whether an m stands for minutes: hours before it, or seconds after it."""
    before = [text for kind, text in tokens[:index] if kind in ("date", "elapsed")]
    after = [text for kind, text in tokens[index + 1 :] if kind in ("date", "elapsed")]
    return bool((before and before[-1][0] == "h") or (after and after[0][0] == "s"))


def _date_part(text: str, at: datetime, noon: bool, minute: bool) -> str:
    size = len(text)
    if text[0] == "y":
        return f"{at.year:04}" if size > 2 else f"{at.year % 100:02}"
    if text[0] == "d":
        name = _DAYS[at.weekday()]
        return name if size == 4 else name[:3] if size == 3 else str(at.day).zfill(size)
    if text[0] == "h":
        return str((at.hour % 12 or 12) if noon else at.hour).zfill(size)
    if text[0] == "s":
        whole, dot, part = text.partition(".")
        return str(at.second).zfill(len(whole)) + dot + f"{at.microsecond:06}"[: len(part)]
    if minute:
        return str(at.minute).zfill(size)
    name = _MONTHS[at.month - 1]
    return {3: name[:3], 4: name, 5: name[0]}.get(size) or str(at.month).zfill(size)


def _show_number(section: _Section, value: float) -> str:
    tokens = list(section.tokens)
    number = Decimal(format(value, ".15g"))
    number *= 100 ** sum(kind == "%" for kind, _ in tokens)
    if section.has("/"):
        return _show_fraction(tokens, number)
    digits = [index for index, (kind, _) in enumerate(tokens) if kind == "digit"]
    dot = next((index for index, (kind, _) in enumerate(tokens) if kind == "."), len(tokens))
    power = next((index for index, (kind, _) in enumerate(tokens) if kind == "power"), len(tokens))
    whole = [index for index in digits if index < min(dot, power)]
    after = [index for index in digits if dot < index < power]
    last = max(digits)
    commas = [index for index, (kind, _) in enumerate(tokens) if kind == ","]
    grouped = any(whole and whole[0] < index < whole[-1] for index in commas)
    trailing = [index for index in commas if index > (whole[-1] if whole else -1) and index in (last + 1, dot - 1)]
    number = number.scaleb(-3 * len(trailing))
    exponent = 0
    if power < len(tokens) and number:
        exponent = number.adjusted()
        number = number.scaleb(-exponent)
    try:
        rounded = number.quantize(Decimal(1).scaleb(-len(after)), ROUND_HALF_UP)
    except InvalidOperation:
        return ""
    units, _, decimals = f"{rounded:f}".partition(".")
    places = _place_units(tokens, whole, units.lstrip("0"), grouped)
    decimals = decimals.ljust(len(after), "0")
    for position, index in enumerate(after):
        rest = decimals[position:].strip("0")
        places[index] = decimals[position] if rest or tokens[index][1] == "0" else " " * (tokens[index][1] == "?")
    out: list[str] = []
    for index, (kind, text) in enumerate(tokens):
        if kind == "digit":
            if index > power:
                continue
            out.append(places.get(index, ""))
        elif kind == "power":
            width = sum(each > power for each in digits)
            sign = "-" if exponent < 0 else "+" * (text[1] == "+")
            out.append("E" + sign + str(abs(exponent)).zfill(width))
        elif kind in (",", "noon"):
            continue
        else:
            out.append(text)
    return "".join(out)


def _place_units(tokens: list[tuple[str, str]], whole: list[int], units: str, grouped: bool) -> dict[int, str]:
    """The digits before the point by the placeholders they stand at; the first one takes what is over."""
    places: dict[int, str] = {}
    count = 0
    for index in reversed(whole):
        take = units if index == whole[0] else units[-1:]
        units = "" if index == whole[0] else units[:-1]
        shown = ""
        for digit in reversed(take or {"0": "0", "?": " "}.get(tokens[index][1], "")):
            comma = "," if grouped and count and count % 3 == 0 and digit != " " else ""
            shown = digit + comma + shown
            count += 1
        places[index] = shown
    return places


def _show_fraction(tokens: list[tuple[str, str]], number: Decimal) -> str:
    """Whole and fraction, the closest that fits the places below the stroke."""
    stroke = next(index for index, (kind, _) in enumerate(tokens) if kind == "/")
    below = "".join(text for kind, text in tokens[stroke + 1 :] if kind in ("digit", "literal"))
    above = [text for kind, text in tokens[:stroke] if kind in ("digit", "literal")]
    fixed = re.match(r"[1-9]\d*", below)
    exact = Fraction(number)
    mixed = " " in "".join(above).strip()
    units = int(exact) if mixed else 0
    if fixed:
        bottom = int(fixed[0])
        top = round((exact - units) * bottom)
    else:
        near = (exact - units).limit_denominator(10 ** min(6, max(1, below.count("?") + below.count("#"))) - 1)
        top, bottom = near.numerator, near.denominator
    if mixed and top == bottom:
        units, top = units + 1, 0
    if not top:
        return str(units)
    return f"{units} {top}/{bottom}" if units else f"{top}/{bottom}"
