"""Events of logs among the recorded times of items: one timeline of both.

A query chooses items, and their times; the events are those of every log, as what happened around the times of some
items is what is asked for. Neither is held: the times of items come from their sorted store, the events from theirs,
and the two are merged as they are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from heapq import merge
from typing import Any

from msgspec.structs import replace

from indexer.model import Item
from search.case import Case
from search.events.ask import Opened, clock, notes_of
from search.events.build import Tell, update
from search.events.slices import in_time_order
from search.report import Cell, Column, Report, colophon_of, sheet_of
from search.timeline import STEPS, Step, histogram, timeline

_SAID = (
    Column("address"), Column("user"), Column("action"), Column("target"), Column("status"),
    Column("agent", shown=False), Column("detail", shown=False), Column("locator", shown=False),
)  # fmt: skip
"""What an event says beyond a time; `target` is its path, as `path` is the log's."""
_NOTHING: tuple[Cell, ...] = (None,) * len(_SAID)
_HIDDEN = ("resolution", "name", "size", "sha256")
_ALL = "NOT again"


def timeline_with_events(case: Case, query: str = "", *, tell: Tell = lambda path, count: None) -> Report:
    """The times of every hit, or of every item, and all events, the earliest first; an item before an event.

    Raises:
        QueryError: the query cannot be understood.
        UsageError: DuckDB is missing.
        StoreError: the store of events is damaged.
    """
    update(case, tell)
    alone = timeline(case, query)
    (times,) = alone.sheets
    columns = tuple(replace(each, shown=each.name not in _HIDDEN) for each in times.columns)

    def rows() -> Iterator[tuple[Cell, ...]]:
        items = ((*row.cells, *_NOTHING) for row in times.rows())
        yield from merge(items, _events(case), key=_moment)

    with closing(Opened(case)) as opened:
        notes = notes_of(opened)
    return replace(
        alone,
        colophon=colophon_of(case, "timeline", query, events=True),
        sheets=(sheet_of("timeline", (*columns, *_SAID), rows),),
        notes=notes,
        events=lambda: _events(case),
    )


def histogram_with_events(
    case: Case, query: str, step: Step, *, tell: Tell = lambda path, count: None
) -> dict[str, int]:
    """How many recorded times and events fall into each hour, day, month or year.

    Raises as `timeline_with_events` does.
    """
    update(case, tell)
    counts = dict(histogram(case, query, step))
    with closing(Opened(case)) as opened:
        statement = f"SELECT date_trunc('{step}', moment) AS step, count(*) FROM events WHERE {_ALL} GROUP BY step"
        for begin, count in opened.store.rows(statement):
            # Days and longer steps are dates.
            name = datetime(begin.year, begin.month, begin.day, getattr(begin, "hour", 0)).isoformat()[: STEPS[step]]
            counts[name] = counts.get(name, 0) + count
    return dict(sorted(counts.items()))


def _events(case: Case) -> Iterator[tuple[Cell, ...]]:
    """The events of every log in the columns of the timeline, the earliest first."""
    wanted = "moment, zone, address, account, action, path, status, size, agent, detail, reading, line"
    with closing(Opened(case)) as opened:
        formats = dict(opened.store.rows("SELECT number, format FROM readings WHERE format <> ''"))
        logs = {number: _place(item) for number, item in opened.logs.items()}
        for moment, zone, address, user, action, path, status, size, agent, detail, reading, line in in_time_order(
            opened.store, wanted, _ALL
        ):
            identity, place, name, sha256 = logs[reading]
            told = (address, user, action, path, status, agent, detail, f"{opened.units[reading]} {line}")
            about = (clock(moment, zone), "event", f"event.{formats[reading]}", zone, None)
            yield (*about, identity, place, name, size, sha256, *told)


def _place(item: Item) -> tuple[str, str, str, str | None]:
    return item.id, str(item.provenance), item.name, item.digests.sha256 if item.digests else None


def _moment(row: tuple[Any, ...]) -> datetime:
    at: datetime = row[0]
    return at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo else at
