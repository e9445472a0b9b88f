"""What a line of a log says, and the times it says it in."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

KNOWN = "UTC"
WALL = "unknown"
NO_YEAR = "unknown, year assumed"
"""What is known of a time's zone; a wall clock stands as if it were UTC."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = 86_400
_FIRST = date(1970, 1, 1).toordinal()
_MONTHS = {
    name: number
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), 1
    )
}
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?\s?(Z|[+-]\d\d:?\d\d|[+-]\d\d)?", re.ASCII
)
_CLF = re.compile(r"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-]\d{4})", re.ASCII)


class Event(NamedTuple):
    """One event; what a log does not say is an empty string, or None for a number.

    `at` is in microseconds since 1970, and `zone` says what is known of it. `action` is the method as the log has
    it, or one of our words: login, login failed, logout, connect, disconnect, download, upload, read, write, ...
    """

    line: int
    at: int
    zone: str
    address: str = ""
    user: str = ""
    action: str = ""
    path: str = ""
    status: str = ""
    size: int | None = None
    agent: str = ""
    detail: str = ""


Take = Callable[[int, str], Event | bool]
"""A reader of lines: the event of a line; True where it is understood and holds none; False where it is not."""


@dataclass(frozen=True, slots=True)
class Format:
    """A format of logs: what it is called, what its places are called, and how a reader of it is made.

    Args:
        open: makes a reader; it is given the time that the file was last written, for logs that tell no year.
        frame: lines are known by their frame; most of them need not hold an event.
        look: how one of the first lines begins, where that is quickly told.
    """

    name: str
    open: Callable[[datetime | None], Take]
    unit: str = "line"
    frame: bool = False
    look: re.Pattern[str] | None = None


@lru_cache(maxsize=4096)
def seconds_of_day(year: int, month: int, day: int) -> int | None:
    """Seconds from 1970 to the beginning of a day; None where there is no such day."""
    try:
        return (date(year, month, day).toordinal() - _FIRST) * _DAY
    except ValueError:
        return None


def moment(year: int, month: int, day: int, hour: int, minute: int, second: int) -> int | None:
    """Microseconds since 1970; None where there is no such time."""
    start = seconds_of_day(year, month, day)
    if start is None or hour > 23 or minute > 59 or second > 60:
        return None
    return (start + hour * 3600 + minute * 60 + second) * 1_000_000


def month_number(name: str) -> int:
    """The number of a month's English abbreviation; 0 where it is none."""
    return _MONTHS.get(name, 0)


@lru_cache(maxsize=4096)
def from_clf(text: str) -> int | None:
    """The time in an access log: `02/Apr/2024:00:07:41 +0800`."""
    match = _CLF.fullmatch(text)
    if not match:
        return None
    day, month, year, hour, minute, second, zone = match.groups()
    at = moment(int(year), month_number(month), int(day), int(hour), int(minute), int(second))
    return None if at is None else at - _offset(zone) * 1_000_000


def from_iso(text: str) -> tuple[int, str] | None:
    """A time of ISO 8601 with what is known of its zone."""
    match = _ISO.fullmatch(text)
    if not match:
        return None
    year, month, day, hour, minute, second, part, zone = match.groups()
    at = moment(int(year), int(month), int(day), int(hour), int(minute), int(second))
    if at is None:
        return None
    at += int((part or "").ljust(6, "0")[:6])
    return (at - _offset(zone) * 1_000_000, KNOWN) if zone else (at, WALL)


@lru_cache(maxsize=4096)
def latest_year(written: datetime, month: int, day: int) -> int | None:
    """The last year in which a day was not after the file was written; None where no year has this day."""
    last = written.date() + timedelta(days=1)
    for year in range(last.year, max(last.year - 9, 1), -1):
        try:
            if date(year, month, day) <= last:
                return year
        except ValueError:
            continue
    return None


def summed_up(said: Sequence[object]) -> str:
    """What an event of a log says, as one line: address, user, action, target and status."""
    return " ".join(str(each) for each in said[:5] if each)


def _offset(zone: str) -> int:
    """Seconds east of UTC."""
    if zone == "Z":
        return 0
    digits = zone[1:].replace(":", "").ljust(4, "0")
    seconds = int(digits[:2]) * 3600 + int(digits[2:]) * 60
    return -seconds if zone[0] == "-" else seconds
