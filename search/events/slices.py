"""Events by time, a stretch of hours after the other: however many there are, few are sorted together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from search.events.store import EventStore

_TOGETHER = 200_000
"""Events of a stretch; an hour that has more is a stretch of its own."""
_REST = timedelta(hours=1) - timedelta(microseconds=1)


def in_time_order(store: EventStore, columns: str, where: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
    """These columns of the events that are meant, by time, then by log and line.

    Args:
        where: a condition in SQL, with `values` for its marks.
    """
    hours = store.rows(
        f"SELECT date_trunc('hour', moment) AS hour, count(*) FROM events WHERE {where} GROUP BY hour ORDER BY hour",
        values,
    )
    statement = f"SELECT {columns} FROM events WHERE {where} AND moment BETWEEN ? AND ? ORDER BY moment, reading, line"
    for first, last in stretches(hours):
        yield from store.rows(statement, [*values, first, last])


def stretches(hours: Iterable[tuple[datetime, int]]) -> Iterator[tuple[datetime, datetime]]:
    """First and last moment of stretches, given hours with the number of their events."""
    first = last = None
    together = 0
    for hour, count in hours:
        if first and last and together + count > _TOGETHER:
            yield first, last
            first, together = None, 0
        first = first or hour
        last = hour + _REST
        together += count
    if first and last:
        yield first, last
