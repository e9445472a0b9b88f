"""What is asked of events, as conditions on their columns: by user, address, place, path, status and time."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from ipaddress import ip_network
from itertools import islice

from indexer.errors import UsageError
from indexer.model import Scalar
from search.addressbook import AddressBook, number_of
from search.events.store import EventStore

_TIME = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:[T ](\d\d)(?::(\d\d)(?::(\d\d))?)?)?)?)?(?:Z)?", re.ASCII)
_GLOB = re.compile(r"[*?]")
_NAMED = 10_000
"""Paths that are named one by one."""
LOCAL_PATH = (
    "coalesce((SELECT local FROM paths WHERE raw = path), "
    "try(url_decode(split_part(path, '?', 1))), split_part(path, '?', 1))"
)
"""Of a request without its query; as it stands where it does not decode to UTF-8."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which events are meant; an empty value chooses all.

    `user`, `path`, `action` and `status` may hold * and ?; `address` is one, a beginning with *, or a network such as
    175.45.176.0/22; `country` is a code, `network` a part of a network's or a kind's name; times are dates or a part
    of one: 2024, 2024-04, 2024-04-02T10:30.
    """

    user: str = ""
    address: str = ""
    country: str = ""
    network: str = ""
    action: str = ""
    path: str = ""
    status: str = ""
    since: str = ""
    until: str = ""

    def options(self) -> dict[str, Scalar]:
        """What was asked for, for the colophon."""
        return {name: value for name, value in asdict(self).items() if value}


def condition(choice: Choice, store: EventStore, book: AddressBook) -> tuple[str, list[object]]:
    """The condition in SQL, and its values; it leaves out what another reading told before.

    Raises:
        UsageError: a time or a network cannot be understood.
    """
    parts = ["NOT again"]
    values: list[object] = []
    texts = {"account": choice.user, "action": choice.action, "status": choice.status}
    for column, wanted in texts.items():
        if wanted:
            parts.append(f"lower({column}) GLOB ?")
            values.append(_glob(wanted.lower()))
    if choice.path:
        part, more = with_path(store, f"path GLOB ? OR {LOCAL_PATH} GLOB ?", [_glob(choice.path)] * 2)
        parts.append(part)
        values += more
    if choice.address and "/" not in choice.address:
        parts.append("address GLOB ?")
        values.append(_glob(choice.address))
    if "/" in choice.address or choice.country or choice.network:
        parts.append("address IN (SELECT unnest(?::VARCHAR[]))")
        values.append(list(_addresses(choice, store, book)))
    if choice.since:
        parts.append("moment >= ?")
        values.append(read_time(choice.since)[0])
    if choice.until:
        parts.append("moment < ?")
        values.append(read_time(choice.until)[1])
    return " AND ".join(parts), values


def with_path(store: EventStore, meant: str, patterns: list[str]) -> tuple[str, list[object]]:
    """The condition that an event has a path that is meant, and its values.

    Each path is looked at once, however many events share it; where few are meant, they are named.
    """
    every = "WITH every AS MATERIALIZED (SELECT DISTINCT path FROM events WHERE path <> '')"
    found = list(islice(store.rows(f"{every} SELECT path FROM every WHERE {meant}", patterns), _NAMED + 1))
    if len(found) > _NAMED:
        return f"path <> '' AND ({meant})", [*patterns]
    return "path IN (SELECT unnest(?::VARCHAR[]))", [[path for (path,) in found]]


def read_time(text: str) -> tuple[datetime, datetime]:
    """When a time, or a part of one, begins, and when it has passed; in UTC.

    Raises:
        UsageError: it is none.
    """
    match = _TIME.fullmatch(text.strip())
    try:
        if not match:
            raise ValueError
        year, month, day, hour, minute, second = (int(part) if part else None for part in match.groups())
        start = datetime(year or 0, month or 1, day or 1, hour or 0, minute or 0, second or 0)
        if month is None:
            end = start.replace(month=12, day=31) + timedelta(days=1)
        elif day is None:
            end = start + timedelta(days=monthrange(start.year, start.month)[1])
        else:
            step = timedelta(days=1) if hour is None else timedelta(hours=1) if minute is None else timedelta(minutes=1)
            end = start + (timedelta(seconds=1) if second is not None else step)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{text}: no time; write 2024, 2024-04, 2024-04-02 or 2024-04-02T10:30, in UTC") from error
    return start, end


def _addresses(choice: Choice, store: EventStore, book: AddressBook) -> Iterator[str]:
    bounds = None
    if "/" in choice.address:
        try:
            network = ip_network(choice.address, strict=False)
        except ValueError as error:
            raise UsageError(f"{choice.address}: no network; write 175.45.176.0/22") from error
        ends = [number_of(str(network[0])), number_of(str(network[-1]))]
        bounds = ends[0] or 0, ends[1] or 0
    country, part = choice.country.casefold(), choice.network.casefold()
    for address in distinct(store):
        number = number_of(address)
        if number is None or (bounds and not bounds[0] <= number <= bounds[1]):
            continue
        if country or part:
            place = book.place(address)
            if (
                country and place.country.casefold() != country
            ) or part not in f"{place.network}\n{place.kind}".casefold():
                continue
        yield address


def distinct(store: EventStore) -> Iterable[str]:
    """Every address in the logs."""
    return (address for (address,) in store.rows("SELECT DISTINCT address FROM events"))


def _glob(text: str) -> str:
    """A pattern in which only * and ? are signs."""
    return text.replace("[", "[[]") if _GLOB.search(text) or "[" in text else text


def read_gap(text: str) -> int:
    """Seconds in a length of time such as `30m`, `2h` or `90s`.

    Raises:
        UsageError: it is none.

    >>> read_gap("30m"), read_gap("2h")
    (1800, 7200)
    """
    match = re.fullmatch(r"(\d{1,7})\s*([smhd]?)", text.strip(), re.ASCII)
    seconds = int(match[1]) * {"": 60, "s": 1, "m": 60, "h": 3600, "d": 86_400}[match[2]] if match else 0
    if not seconds:
        raise UsageError(f"{text}: no length of time; write 30m, 2h or 90s")
    return seconds
