"""Passwords the analyst gave, or that were found in the case, offered to handlers within a budget.

They are never stored in the case and never printed: what worked is recorded by where it stands, a line
of the analyst's file or of an item, since both can be looked up.
"""

from __future__ import annotations

import codecs
import re
import time
from collections import Counter
from collections.abc import Iterator

from msgspec import Struct

from indexer.decoding import decode, decode_as
from indexer.model import Field

_LINE = re.compile(r"(?:^|, )line \d+$")
_MOST_PLACES = 20


class Password(Struct, frozen=True):
    """One candidate; `origin` says where it stands: `line 3`, or `found in day1:memo.txt, line 3`."""

    text: str
    origin: str

    @property
    def place(self) -> str:
        """The origin without its line: what was tried is told by places."""
        return _LINE.sub("", self.origin) or "the given list"

    def field(self) -> Field:
        """The field that records that this candidate opened the item."""
        return Field("encryption.password", self.origin)


class Passwords:
    """The candidates for one item. Iterating stops when the budget is spent; `tried` counts."""

    def __init__(self, candidates: tuple[Password, ...] = (), tries: int = 1_000, seconds: float = 60.0) -> None:
        self._candidates = candidates
        self._tries = tries
        self._seconds = seconds
        self.tried = 0
        self._offered: set[int] = set()

    def __iter__(self) -> Iterator[Password]:
        started = time.monotonic()
        for number, candidate in enumerate(self._candidates):
            if self.tried >= self._tries or time.monotonic() - started > self._seconds:
                return
            self.tried += 1
            self._offered.add(number)
            yield candidate

    def fields(self) -> Iterator[Field]:
        """What was tried, for an item that stayed closed: how many candidates, and how many of which place."""
        if not self._offered:
            return
        yield Field("encryption.tried", len(self._offered))
        places = Counter(self._candidates[number].place for number in sorted(self._offered))
        for place in list(places)[:_MOST_PLACES]:
            yield Field("encryption.tried_from", f"{place}: {places[place]}")
        if len(self._offered) < len(self._candidates):
            yield Field("encryption.untried", len(self._candidates) - len(self._offered))

    def __len__(self) -> int:
        return len(self._candidates)


def decode_list(data: bytes) -> str:
    """A list as text, whoever wrote it: UTF-8, UTF-16 behind its mark, and lines of neither by the likeliest codec."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        lines = data.split(b"\n")
    foreign = b"\n".join(line for line in lines if not _is_utf8(line))
    codec = decode(foreign).codec
    return "\n".join(line.decode() if _is_utf8(line) else decode_as(line, codec)[0] for line in lines)


def _is_utf8(line: bytes) -> bool:
    try:
        return line.decode() is not None
    except UnicodeDecodeError:
        return False


def parse_passwords(text: str) -> tuple[Password, ...]:
    """One candidate a line, as it stands but for the line end; empty lines are skipped, not counted out."""
    lines = text.removeprefix("\ufeff").split("\n")
    return tuple(
        Password(line.rstrip("\r"), f"line {number}") for number, line in enumerate(lines, 1) if line.rstrip("\r")
    )
