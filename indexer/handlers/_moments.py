"""Records told one a line: words and times of theirs printed, the first and the last time kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from indexer.decoding import decode
from indexer.model import Text, Timestamp, print_time

UNIX = datetime(1970, 1, 1, tzinfo=UTC)
CHROME = datetime(1601, 1, 1, tzinfo=UTC)
APPLE = datetime(2001, 1, 1, tzinfo=UTC)
LINES = 200
CHARS = 64 * 1024


def moment(value: object, unit: float = 1.0, epoch: datetime = UNIX) -> datetime | None:
    """A number of units of `unit` seconds since an epoch; None for 0, for what is no number or no date."""
    if isinstance(value, bytes):
        try:
            value = float(value[:32])
        except ValueError:
            return None
    if not isinstance(value, int | float) or not value:
        return None
    try:
        if isinstance(value, int):
            return epoch + timedelta(microseconds=value * round(unit * 1e6) if unit >= 1e-6 else value // 1000)
        return epoch + timedelta(seconds=value * unit)
    except (OverflowError, ValueError):
        return None


def print_moment(at: datetime | None) -> str:
    """The time as it is printed everywhere; empty where there is none."""
    return print_time(at) if at else ""


def read_words(raw: bytes) -> str:
    """Text that is UTF-8 nearly always; otherwise by what it reads like."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return decode(raw).text


class Moments:
    """The first and the last of many times."""

    def __init__(self) -> None:
        self.first: datetime | None = None
        self.last: datetime | None = None

    def add(self, at: datetime | None) -> None:
        """Takes one more time into account; None is none."""
        if at is not None:
            self.first = min(self.first or at, at)
            self.last = max(self.last or at, at)

    def stamps(
        self, kind: str, origin: str, resolution: float = 1.0, *, zone_known: bool = True
    ) -> Iterator[Timestamp]:
        """`first_KIND` and `last_KIND`."""
        for word, at in (("first", self.first), ("last", self.last)):
            if at is not None:
                yield Timestamp(f"{word}_{kind}", at, origin, resolution, zone_known)


def tell_lines(lines: Iterable[str], noun: str, note: str = "") -> Iterator[Text]:
    """Passages of some hundred lines, with locators like `records 1-200`."""
    held: list[str] = []
    chars = done = 0
    for line in lines:
        held.append(line)
        chars += len(line)
        if len(held) >= LINES or chars > CHARS:
            yield Text("\n".join(held), _locator(noun, done, held, note))
            done += len(held)
            held, chars = [], 0
    if held:
        yield Text("\n".join(held), _locator(noun, done, held, note))


def _locator(noun: str, done: int, held: list[str], note: str) -> str:
    return f"{noun} {done + 1}-{done + len(held)} {note}".strip()
