"""Rows of any table, log or listing as passages, each with the numbers of its first and last row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from indexer.model import Text

PASSAGE: Final = 32 * 1024
ROWS: Final = 200
LONGEST: Final = 128 * 1024
"""Characters of one row that are kept; the rest of it is left out and said so."""


def passages(rows: Iterable[str], label: str, *, heading: str = "", first: int = 1) -> Iterator[Text]:
    """Passages with locators like `cuts, rows 1-200`; `heading` stands before the first row of each."""
    held: list[str] = []
    size, begin = 0, first
    for number, row in enumerate(rows, first):
        if len(row) > LONGEST:
            row = f"{row[:LONGEST]} [cut: {len(row) - LONGEST} more characters]"
        held.append(row)
        size += len(row) + 1
        if len(held) >= ROWS or size >= PASSAGE:
            yield _passage(held, label, heading, begin)
            held, size, begin = [], 0, number + 1
    if held:
        yield _passage(held, label, heading, begin)


def _passage(held: list[str], label: str, heading: str, begin: int) -> Text:
    last = begin + len(held) - 1
    place = f"{label} {begin}" if last == begin else f"{label} {begin}-{last}"
    return Text("\n".join([heading, *held] if heading else held), place)


def one_line(value: str) -> str:
    """A value as a cell: tabs and line ends become spaces."""
    return " ".join(value.split()) if ("\n" in value or "\t" in value or "\r" in value) else value
