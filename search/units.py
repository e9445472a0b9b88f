"""Sizes and dates as queries write them: `1.5mb`, `2024-01`, `2024-01-05T10:30+09:00`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_NUMBER = re.compile(r"([+-]?\d+(?:\.\d+)?)\s*(b|kb|mb|gb|tb)?", re.IGNORECASE)
_POWERS = {"": 0, "b": 0, "kb": 1, "mb": 2, "gb": 3, "tb": 4}
_DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:[T ](\d\d)(?::(\d\d)(?::(\d\d)(\.\d{1,6})?)?)?(Z|[+-]\d\d:?\d\d)?)?)?)?",
    re.IGNORECASE,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(at: datetime) -> int:
    """Microseconds since 1970, as dates are compared."""
    return (at - _EPOCH) // _MICROSECOND


def number_of(word: str) -> float | int | None:
    """The number, a unit of powers of 1024 multiplied in; None where it is none."""
    match = _NUMBER.fullmatch(word)
    if not match:
        return None
    value = float(match[1]) * 1024 ** _POWERS[(match[2] or "").lower()]
    return int(value) if value.is_integer() else value


def date_span(word: str) -> tuple[int, int] | None:
    """First microsecond of the year, month, day, minute or second, and the first after it."""
    match = _DATE.fullmatch(word)
    if not match:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        start = datetime(
            int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=UTC
        )
        if zone and zone not in "zZ":
            sign = -1 if zone[0] == "-" else 1
            start -= sign * timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
    except (ValueError, OverflowError):
        return None
    begin = micros(start)
    if month is None:
        days = 366 if int(year) % 4 == 0 and (int(year) % 100 != 0 or int(year) % 400 == 0) else 365
        return begin, begin + days * 86_400_000_000
    if day is None:
        following = (int(year) * 12 + int(month)) % 12 + 1
        next_year = int(year) + (following == 1)
        last = (datetime(next_year, following, 1, tzinfo=UTC) - start).days if next_year < 10_000 else 31
        return begin, begin + last * 86_400_000_000
    if fraction:
        begin += int(fraction[1:].ljust(6, "0"))
        return begin, begin + 10 ** (7 - len(fraction))
    unit = 1 if second else 60 if minute else 3600 if hour else 86_400
    return begin, begin + unit * 1_000_000
