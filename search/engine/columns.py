"""The items of a case as arrays: what answers count by, for every item at once, in the order of paths.

An item is a row. About 100 bytes a row are held, and nothing else of the items; a million take some seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.model import Timestamp
from search.kinds import is_message
from search.lookup import Lookup, decode_times
from search.units import micros

Array = NDArray[Any]

NEVER = np.iinfo(np.int64).max
"""Where there is no time."""
_AT_ONCE = 10_000
_NO_ID = bytes(16)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Columns:
    """What is known of each row; `readings` are the keys that `reading` counts through, ascending, -1 being none.

    `content` and `family` are equal for rows of equal bytes, and for those of one family; `at` is in microseconds
    since 1970, `source` counts through `sources`, `chunks` belong to the readings.
    """

    ids: Array
    content: Array
    family: Array
    source: Array
    at: Array
    reading: Array
    sources: tuple[str, ...]
    readings: Array
    chunks: Array

    def id(self, row: int) -> str:
        """The id of a row."""
        return hex_of(self.ids[row])

    def find(self, ids: bytes) -> Array:
        """The rows of ids of 16 bytes each; -1 where the catalog has no such item."""
        return _find(np.frombuffer(ids, "S16"), *self._by_id)

    def sharing(self, readings: Array) -> tuple[Array, Array]:
        """For each row that has one of these readings: the row, and the place of the reading among these."""
        order = np.argsort(self.reading, kind="stable")
        held = self.reading[order]
        low, high = np.searchsorted(held, readings), np.searchsorted(held, readings, "right")
        which = np.repeat(np.arange(len(readings)), high - low)
        within = np.arange(len(which)) - np.repeat(np.cumsum(high - low) - (high - low), high - low)
        return order[low[which] + within], which

    @cached_property
    def _by_id(self) -> tuple[Array, Array]:
        order = np.argsort(self.ids)
        return self.ids[order], order


def columns_of(catalog: Lookup) -> Columns:
    """The columns of every item that the catalog holds now."""
    keys, chunks, times = _readings(catalog)
    sources: dict[str, int] = {}
    gathered: list[tuple[Array, ...]] = []
    rows = iter(catalog.packed_in_order())
    while batch := list(islice(rows, _AT_ONCE)):
        identities, above, source_of, types, sha256s, facts, keys_read = zip(*batch, strict=True)
        gathered.append((
            _packed(identities, 16),
            _packed((each or _NO_ID for each in above), 16),
            np.array([sources.setdefault(name, len(sources)) for name in source_of], np.int32),
            np.array([is_message(kind) for kind in types], bool),
            _packed((digest[:12] if digest else _NO_ID[:12] for digest in sha256s), 12),
            np.array([digest is not None for digest in sha256s], bool),
            np.array([_dates(decode_times(each)[1]) for each in facts], np.int64).reshape(-1, 2),
            _packed((each or _NO_ID for each in keys_read), 16),
        ))  # fmt: skip
    if not gathered:
        none = np.zeros(0, np.int64)
        return Columns(none.astype("S16"), none, none, none, none, none, (), keys, chunks)
    ids, parents, source, message, digests, has_bytes, own, held = (
        np.concatenate(parts) for parts in zip(*gathered, strict=True)
    )
    del gathered
    order = np.argsort(ids)
    parent = _find(parents, ids[order], order)
    reading = _find(held, keys, np.arange(len(keys)))
    read = times[reading]
    modified = np.where(own[:, 0] == NEVER, read[:, 0], own[:, 0])
    return Columns(
        ids=ids,
        content=_content(digests, has_bytes),
        family=_families(parent, message),
        source=source,
        at=np.where(modified == NEVER, np.minimum(own[:, 1], read[:, 1]), modified),
        reading=reading,
        sources=tuple(sources),
        readings=keys,
        chunks=chunks,
    )


def chosen_rows(columns: Columns, ids: Iterable[str] | None) -> Array:
    """Whether each row is among these ids, or any; the last place is for -1, what the index has and the catalog not."""
    chosen = np.full(len(columns.ids) + 1, ids is None)
    chosen[columns.find(bytes.fromhex("".join(ids or ())))] = True
    chosen[-1] = False
    return chosen


def readings_among(columns: Columns, chosen: Array) -> list[int]:
    """The readings of the chosen rows, each once."""
    wanted = np.unique(columns.reading[chosen[:-1]])
    found: list[int] = wanted[wanted >= 0].tolist()
    return found


def rows_reading(columns: Columns, readings: Sequence[int], counts: Sequence[int]) -> tuple[Array, Array]:
    """The rows that have these readings, which may come more than once, and what was counted in all of each."""
    held, places = np.unique(np.array(readings), return_inverse=True)
    rows, which = columns.sharing(held)
    return rows, np.bincount(places, counts).astype(np.int64)[which]


def total_of(found: Sequence[tuple[Array, Array]], chosen: Array) -> tuple[Array, Array]:
    """The chosen rows, each once, and how much was counted in each."""
    found = [(rows[keep], times[keep]) for rows, times in found if len(rows) for keep in (chosen[rows],)]
    if len(found) < 2:
        return found[0] if found else (np.zeros(0, np.int64), np.zeros(0, np.int64))
    rows, places = np.unique(np.concatenate([each[0] for each in found]), return_inverse=True)
    return rows, np.bincount(places, np.concatenate([each[1] for each in found]), len(rows)).astype(np.int64)


def not_in(found: tuple[Array, Array], others: Sequence[tuple[Array, Array]]) -> tuple[Array, Array]:
    """The rows that are in none of the others, with what was counted in them."""
    rows, times = found
    keep = ~np.isin(rows, np.concatenate([np.zeros(0, np.int64), *(each for each, _ in others)]))
    return rows[keep], times[keep]


class AnyOf:
    """Rows that are in any of many arrays; no more are held than there are rows."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._waiting: list[Array] = [np.zeros(0, np.int64)]
        self._held = 0

    def add(self, rows: Array) -> None:
        """Takes rows."""
        self._waiting.append(rows)
        self._held += len(rows)
        if self._held > self._size:
            self._waiting = [self.rows()]
            self._held = 0

    def rows(self) -> Array:
        """All rows taken, each once, ascending."""
        return distinct(np.concatenate(self._waiting), self._size)


def blank(size: int, names: Iterable[str], numbers: Iterable[str]) -> dict[str, Array]:
    """A column of so many empty values for each name, of numbers or of texts."""
    return {name: np.zeros(size, np.int64) if name in numbers else np.full(size, "", object) for name in names}


def distinct(numbers: Array, size: int) -> Array:
    """The numbers, which are below `size`, each once, ascending."""
    if len(numbers) * 16 < size:
        return np.unique(numbers)
    mask = np.zeros(size, bool)
    mask[numbers] = True
    return np.flatnonzero(mask)


def hex_of(key: bytes) -> str:
    """An id or a key out of a column as hex digits."""
    return key.ljust(16, b"\0").hex()  # the column drops zeros at the end


def moment_of(at: int) -> datetime:
    """The time of so many microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=at)


def _readings(catalog: Lookup) -> tuple[Array, Array, Array]:
    """Key and chunks of each reading; dates too, with one row more, which is that of no reading."""
    keys, chunks, times = [], [], []
    rows = iter(catalog.packed_readings())
    while batch := list(islice(rows, _AT_ONCE)):
        held, sizes, facts = zip(*batch, strict=True)
        keys.append(_packed(held, 16))
        chunks.append(np.array(sizes, np.int64))
        times.append(np.array([_dates(decode_times(each)[1]) for each in facts], np.int64).reshape(-1, 2))
    times.append(np.full((1, 2), NEVER))
    none = np.zeros(0, np.int64)
    return np.concatenate([none.astype("S16"), *keys]), np.concatenate([none, *chunks]), np.concatenate(times)


def _dates(times: Sequence[Timestamp]) -> tuple[int, int]:
    """The first modified time, and the earliest of all."""
    if not times:
        return NEVER, NEVER
    modified = next((micros(each.at) for each in times if each.kind == "M"), NEVER)
    return modified, micros(min(each.at for each in times))


def _packed(values: Iterable[bytes], size: int) -> Array:
    return np.frombuffer(b"".join(values), f"S{size}")


def _find(wanted: Array, held: Array, order: Array) -> Array:
    """Where each of the wanted is: `order` of its place among those held, which ascend; -1 where it is not."""
    if not len(held):
        return np.full(len(wanted), -1)
    at = np.minimum(np.searchsorted(held, wanted), len(held) - 1)
    return np.where(held[at] == wanted, order[at], -1)


def _content(digests: Array, has_bytes: Array) -> Array:
    """A number for each row, equal where the bytes are; rows without bytes are equal to none."""
    found = np.arange(len(digests)) + len(digests)
    found[has_bytes] = np.unique(digests[has_bytes], return_inverse=True)[1]
    return found


def _families(parent: Array, message: Array) -> Array:
    """The row of the outermost message around each row, itself included; the row itself where there is none."""
    found = np.arange(len(parent))
    rows, above = found.copy(), found.copy()
    while len(rows):
        is_one = message[above]
        found[rows[is_one]] = above[is_one]
        above = parent[above]
        rows, above = rows[above >= 0], above[above >= 0]
    return found
