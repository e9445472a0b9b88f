"""Rows of spreadsheet cells as text whose locators name the cells; dates by their number format.

Source: ECMA-376 part 1, 18.8.30 (number formats), 18.17.4 (date systems); for spreadsheets of both families.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import lru_cache

from indexer.model import Text

GAP = 64
"""Empty cells between two filled ones, from which on a row's text is given out in two pieces."""
_REFERENCE = re.compile(r"\$?([A-Za-z]{1,3})\$?(\d{1,7})")
_MOST_CODE = 1000
"""Characters of a number format that are looked at; spreadsheets write 255 at most."""
_LITERAL = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?!h+\]|m+\]|s+\])[^\]]*\]', re.IGNORECASE)
_DATES = {*range(14, 18), 22, *range(27, 32), 36, *range(50, 55), 57, 58}
_TIMES = {*range(18, 22), *range(32, 36), 45, 46, 47, 55, 56}


@lru_cache(maxsize=4096)
def column_name(index: int) -> str:
    """The letters of a column counted from 0: 0 is A, 26 is AA."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def position(reference: str) -> tuple[int, int] | None:
    """Column from 0 and row from 1 of a reference such as B7, or None."""
    match = _REFERENCE.fullmatch(reference)
    return (column_of_letters(match[1]), int(match[2])) if match else None


def column_of(reference: str) -> int | None:
    """Column from 0 of a reference such as B7, or None."""
    letters = reference.rstrip("0123456789")
    if 0 < len(letters) < len(reference) <= len(letters) + 7 and letters.isascii() and letters.isalpha():
        return column_of_letters(letters) if len(letters) <= 3 else None
    place = position(reference)
    return place[0] if place else None


@lru_cache(maxsize=4096)
def column_of_letters(letters: str) -> int:
    """Column from 0 of its letters."""
    column = 0
    for letter in letters.upper():
        column = column * 26 + ord(letter) - 64
    return column - 1


def row_texts(sheet: str, row: int, cells: list[tuple[int, str]]) -> Iterator[Text]:
    """A row's filled cells with a tab for each column between them, and a locator such as `Sheet1!A7:F7`.

    Args:
        cells: column from 0 and text, ascending, none empty.
    """
    start = 0
    for end in range(1, len(cells) + 1):
        if end < len(cells) and 0 < cells[end][0] - cells[end - 1][0] <= GAP:
            continue
        first, last = cells[start][0], cells[end - 1][0]
        locator = f"{sheet}!{column_name(first)}{row}"
        if last != first:
            locator += f":{column_name(last)}{row}"
        pieces = [cells[start][1]]
        for before, (column, text) in zip(cells[start : end - 1], cells[start + 1 : end], strict=True):
            pieces.append("\t" * (column - before[0]) + text)
        yield Text("".join(pieces), locator)
        start = end


def run_text(sheet: str, row: int, first: int, texts: Sequence[str]) -> Text:
    """The same of two and more cells without an empty one between them."""
    locator = f"{sheet}!{column_name(first)}{row}:{column_name(first + len(texts) - 1)}{row}"
    return Text("\t".join(texts), locator)


def run_texts(sheet: str, numbers: Sequence[int], first: int, rows: Sequence[Sequence[str]]) -> list[Text]:
    """The same of rows that fill the same cells, as many as have a number."""
    if not numbers:
        return []
    start, end = f"{sheet}!{column_name(first)}", f":{column_name(first + len(rows[0]) - 1)}"
    return [
        Text("\t".join(texts), f"{start}{number}{end}{number}") for number, texts in zip(numbers, rows, strict=False)
    ]


def one_line(text: str) -> str:
    """A cell's text without tabs and line ends, which part cells and rows."""
    return " ".join(text.split()) if "\n" in text or "\t" in text or "\r" in text else text


def format_kind(number: int, code: str) -> str:
    """`date`, `time`, `elapsed` or an empty string: what a number format makes of a number."""
    if not code:
        return "date" if number in _DATES else "elapsed" if number == 46 else "time" if number in _TIMES else ""
    bare = _LITERAL.sub("", code[:_MOST_CODE].split(";", maxsplit=1)[0]).lower()
    if "general" in bare or re.search(r"[0#?]", bare.replace(".0", "").replace("ss0", "ss")):
        return ""
    if re.search(r"[ydge年月日]", bare) or ("m" in bare and not re.search(r"[hs]", bare)):
        return "date"
    if re.search(r"\[[hms]", bare):
        return "elapsed"
    return "time" if re.search(r"[hs]", bare) else ""


def show_date(serial: float, kind: str, *, from_1904: bool = False) -> str:
    """ISO date and time of a serial number; an empty string where there is none.

    Day 60 of the 1900 system is the 29th of February 1900, which never was: it is shown all the same.
    """
    if not 0 <= serial < 2_958_466:
        return ""
    days, seconds = divmod(round(serial * 86400), 86400)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    if kind == "elapsed" or (kind == "time" and not days):
        return f"{days * 24 + seconds // 3600:02}{clock[2:]}"
    if from_1904:
        day = datetime(1904, 1, 1) + timedelta(days=days)
    elif days == 60:
        return "1900-02-29"
    else:
        day = datetime(1899, 12, 31 if days < 60 else 30) + timedelta(days=days)
    return f"{day:%Y-%m-%d}" + f" {clock}" * bool(seconds)


def show_number(text: str) -> str:
    """A stored number as people write it: 15 digits at most, no exponent where it can be helped."""
    if text.lstrip("-").isdigit():
        return text
    try:
        value = float(text)
    except ValueError:
        return text
    shown = format(value, ".15g")
    if "n" in shown:  # nan, inf
        return text
    if "e" in shown and 1e-9 < abs(value) < 1e21:
        shown = format(value, ".15f").rstrip("0").rstrip(".")
    return shown
