"""Logs of a case read into its store of events: once for each reading, and only what came since."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import datetime

from indexer.errors import UsageError
from indexer.model import Item, Reading
from search.case import Case
from search.database import is_made
from search.events.event import Event, Format
from search.events.sniff import HANDLERS, LEAST_VERSION, LONGEST, tell_format, units_of
from search.events.store import FILE, EventStore

Tell = Callable[[str, int], None]


def update(case: Case, tell: Tell = lambda path, count: None) -> None:
    """Reads the logs that are not read yet.

    Args:
        tell: called with the path of each log and the number of its events.

    Raises:
        UsageError: DuckDB is missing, or the case cannot be written and its logs were never read.
        LockedError: another process does so already.
        StoreError: the disk is full, or the store damaged.
    """
    path = case.path / FILE
    last = case.catalog.last_item()
    known: int | None = None
    if is_made(path):
        with EventStore(case.path) as store:
            known = store.state()
            if known == last and not _gone(case, store):
                return
    if not os.access(case.path, os.W_OK):
        if is_made(path) and known is not None:
            return
        raise UsageError(f"{case.path}: cannot be written, and its logs were not read yet; ask once where it can")
    with EventStore(case.path, write=True) as store:
        state = store.state()
        if state is None or _gone(case, store):
            store.clear()
            state = 0
        _read_new(case, store, state, tell)
        store.read_paths()
        store.keep_state(last)


def _gone(case: Case, store: EventStore) -> bool:
    return any(case.catalog.first_with(key) is None for key in store.logs().values())


def _read_new(case: Case, store: EventStore, after: int, tell: Tell) -> None:
    seen = store.keys()
    others: list[bytes] = []
    for item, reading in case.catalog.read_by(tuple(HANDLERS), after):
        key = bytes.fromhex(reading.key)
        if key in seen or reading.version < LEAST_VERSION.get(reading.handler, 0):
            continue
        seen.add(key)
        format_ = tell_format(reading.handler, case.texts.of(reading.key, min(1, reading.chunks)))
        if format_ is None:
            others.append(key)
            continue
        events = store.take(key, format_.name, format_.unit, _events(case, reading, format_, _written(case, item)))
        tell(str(item.provenance), events)
    store.pass_over(others)


def _events(case: Case, reading: Reading, format_: Format, written: datetime | None) -> Iterator[Event | int]:
    take = format_.open(written)
    bounded = format_.unit == "line"
    for number, unit in enumerate(units_of(reading.handler, case.texts.of(reading.key, reading.chunks)), 1):
        found = False if bounded and len(unit) > LONGEST else take(number, unit)
        if isinstance(found, Event):
            yield found
        elif not found and unit.strip():
            yield number


def _written(case: Case, item: Item) -> datetime | None:
    """When a log was last written, or else when its source was acquired, or else when the case first took it in."""
    for stamp in item.timestamps:
        if stamp.kind == "M":
            return stamp.at
    source = case.catalog.sources().get(item.provenance.source)
    if source and source.acquired_at:
        return source.acquired_at
    runs = case.catalog.runs()
    return runs[0].started if runs else None
