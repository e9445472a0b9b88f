"""Counts as bars: places and lengths for the inline SVG of the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_MOST_DAYS = 62


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: its label, its count, and its share of the longest, from 0 to 1."""

    label: str
    count: int
    share: float


def bars(counts: Mapping[str, int], most: int) -> list[Bar]:
    """The largest counts, largest first, and the rest as one."""
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    shown = ordered[:most]
    if len(ordered) > most:
        shown.append((f"{len(ordered) - most} others", sum(count for _, count in ordered[most:])))
    return _shares(shown)


def days(by_day: Mapping[str, int], by_month: Mapping[str, int]) -> list[Bar]:
    """Counts in the order of time: by day where these are few, else by month, else by year."""
    chosen = by_day if len(by_day) <= _MOST_DAYS else by_month
    if len(chosen) > _MOST_DAYS:
        years: dict[str, int] = {}
        for month, count in by_month.items():
            years[month[:4]] = years.get(month[:4], 0) + count
        chosen = years
    return _shares(sorted(chosen.items()))


def _shares(pairs: list[tuple[str, int]]) -> list[Bar]:
    longest = max((count for _, count in pairs), default=1)
    return [Bar(label, count, count / longest) for label, count in pairs]
