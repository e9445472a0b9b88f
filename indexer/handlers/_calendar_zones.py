"""Times of calendars, by the rules of zones that the calendar itself holds.

Source: RFC 5545, sections 3.3.5 (date and time), 3.6.5 (time zones), 3.3.10 (rules, as zones use them).
Limits: a rule other than `the n-th weekday of a month, each year` leaves the zone unknown.
"""

from __future__ import annotations

import calendar
import re
from datetime import UTC, datetime, timedelta

from msgspec import Struct, field

from indexer.model import Timestamp

_MOMENT = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)(?:T(\d\d):?(\d\d):?(\d\d)?(Z)?)?\s*\Z", re.IGNORECASE)
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)(\d\d)?\s*\Z")
_DAY = re.compile(r"([+-]?[1-5])(MO|TU|WE|TH|FR|SA|SU)\Z")
_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


class _Rule(Struct):
    """From when on an offset holds: once, or each year anew."""

    start: datetime | None = None
    offset: timedelta | None = None
    before: timedelta | None = None
    yearly: tuple[int, int, int] | None = None
    until: int = 9999
    more: list[datetime] = field(default_factory=list)
    unknown: bool = False

    def last_before(self, at: datetime) -> datetime | None:
        """The last onset not later than a wall clock."""
        if self.start is None or self.start > at:
            return None
        found = [self.start, *(each for each in self.more if each <= at)]
        if self.yearly:
            for year in (at.year - 1, at.year):
                day = _nth(year, *self.yearly)
                if self.start.year <= year <= self.until and day:
                    onset = self.start.replace(year=year, month=self.yearly[0], day=day)
                    if onset <= at:
                        found.append(onset)
        return max(found)


class Zone:
    """The rules of one zone, as they are read line by line."""

    def __init__(self) -> None:
        self._rules: list[_Rule] = []

    def begin(self) -> None:
        """A new rule starts."""
        self._rules.append(_Rule())

    def take(self, name: str, value: str) -> None:
        """One line of a rule."""
        if not self._rules:
            return
        rule = self._rules[-1]
        if name == "dtstart":
            rule.start = _wall(value)
        elif name == "tzoffsetto":
            rule.offset = _offset(value)
        elif name == "tzoffsetfrom":
            rule.before = _offset(value)
        elif name == "rdate":
            rule.more += [each for each in map(_wall, value.split(",")) if each]
        elif name == "rrule":
            _take_rule(rule, value)

    def offset_at(self, wall: datetime) -> timedelta | None:
        """How far the zone's clock is ahead of UTC then; None where the rules do not say."""
        if any(rule.unknown or rule.offset is None for rule in self._rules):
            return None
        onsets = [(onset, rule.offset) for rule in self._rules if (onset := rule.last_before(wall))]
        if onsets:
            return max(onsets, key=lambda each: each[0])[1]
        earliest = min((rule for rule in self._rules if rule.start), key=lambda rule: str(rule.start), default=None)
        return earliest.before if earliest else None


def moment(kind: str, value: str, origin: str, name: str, zone: Zone | None) -> Timestamp | None:
    """A time of a calendar; `name` is the zone it is said to be in, `zone` its rules if there are any."""
    match = _MOMENT.match(value.strip())
    wall = _wall(value)
    if not match or wall is None:
        return None
    resolution = 1.0 if match[4] else 86400.0
    wall = wall.replace(tzinfo=UTC)
    if match[7] or name.upper() in ("UTC", "GMT", "ETC/UTC", "ETC/GMT", "Z"):
        return Timestamp(kind, wall, origin, resolution)
    offset = zone.offset_at(wall.replace(tzinfo=None)) if zone and match[4] else None
    if offset is None:
        return Timestamp(kind, wall, origin, resolution, zone_known=False)
    try:
        return Timestamp(kind, wall - offset, origin, resolution)
    except OverflowError:
        return None


def _wall(value: str) -> datetime | None:
    match = _MOMENT.match(value.strip())
    if not match:
        return None
    try:
        return datetime(*(int(part or 0) for part in match.groups()[:6]))  # type: ignore[arg-type]
    except ValueError:
        return None


def _offset(value: str) -> timedelta | None:
    match = _OFFSET.match(value.strip())
    if not match:
        return None
    span = timedelta(hours=int(match[2]), minutes=int(match[3]), seconds=int(match[4] or 0))
    return -span if match[1] == "-" else span


def _take_rule(rule: _Rule, value: str) -> None:
    parts = dict(part.upper().partition("=")[::2] for part in value.strip().split(";"))
    day = _DAY.match(parts.get("BYDAY", ""))
    month = parts.get("BYMONTH", "")
    if parts.get("FREQ") != "YEARLY" or not day or not month.isdecimal() or not 1 <= int(month) <= 12:
        rule.unknown = True
        return
    rule.yearly = (int(month), int(day[1]), _DAYS.index(day[2]))
    if until := parts.get("UNTIL", "")[:4]:
        rule.until = int(until) if until.isdecimal() else 9999


def _nth(year: int, month: int, place: int, weekday: int) -> int:
    """The day of the n-th weekday of a month, counted from its end where n is negative; 0 if there is none."""
    if not 1 <= year <= 9999:
        return 0
    days = calendar.monthrange(year, month)[1]
    found = [day for day in range(1, days + 1) if calendar.weekday(year, month, day) == weekday]
    index = place - 1 if place > 0 else place
    return found[index] if -len(found) <= index < len(found) else 0
