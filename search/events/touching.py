"""Who touched a file: events whose path is meant, and the items of the case that this file is, by path and size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from indexer.errors import UsageError
from indexer.model import Item
from search.case import Case
from search.events.ask import Opened, clock, make_report
from search.events.build import Tell
from search.events.choose import LOCAL_PATH, Choice, condition, with_path
from search.events.slices import in_time_order
from search.report import Cell, Column, Report

_COLUMNS = (
    Column("time", "time"), Column("zone", shown=False), Column("address"), Column("country"),
    Column("network", shown=False), Column("user"), Column("action"), Column("path", "request"), Column("status"),
    Column("bytes", "number"), Column("id"), Column("item"), Column("agrees"), Column("items", "number", shown=False),
    Column("sha256", shown=False), Column("log_id", shown=False), Column("log", shown=False),
    Column("locator", shown=False),
)  # fmt: skip
_AT_ONCE = 400


def touched(case: Case, path: str, choice: Choice, *, tell: Tell = lambda path, count: None) -> Report:
    """Events that concern a file, the earliest first, each with the item that agrees best.

    Args:
        path: an item by its id or printed path; or a path or name as logs have it, with * and ? for anything.

    Raises as `search.events.ask.events` does.
    """
    item = _item(case, path)
    wanted = f"*{item.name}" if item else path

    def rows(opened: Opened) -> Iterator[tuple[Cell, ...]]:
        where, values = condition(choice, opened.store, opened.book)
        pattern = wanted.replace("[", "[[]")
        # A name stands at the end of a path; a path may be the end of a longer one.
        patterns = [pattern, f"*/{pattern.lstrip('/')}", pattern]
        chosen, named = with_path(opened.store, f"{LOCAL_PATH} GLOB ? OR {LOCAL_PATH} GLOB ? OR path GLOB ?", patterns)
        paths = opened.store.rows(
            f"SELECT DISTINCT {LOCAL_PATH} FROM events WHERE {where} AND {chosen}",
            [*values, *named],
        )
        finder = _Finder(case, [each for (each,) in paths], item)
        columns = f"moment, zone, address, account, action, path, {LOCAL_PATH}, status, size, reading, line"
        for moment, zone, address, user, action, raw, plain, status, size, reading, line in in_time_order(
            opened.store, columns, f"{where} AND {chosen}", [*values, *named]
        ):
            place = opened.book.place(address)
            said = (address, place.country, place.network, user, action, raw, status, size)
            log = opened.log(reading, line)
            yield (clock(moment, zone), zone, *said, *finder.best(plain, size), *log)

    return make_report(case, "touched", choice, (("touched", _COLUMNS, rows),), tell, path=path)


def _item(case: Case, word: str) -> Item | None:
    try:
        return case.find(word)
    except UsageError:
        return None


class _Finder:
    """Items by the names that logs have."""

    def __init__(self, case: Case, paths: Sequence[str], only: Item | None) -> None:
        self._items: dict[str, list[tuple[list[str], Item]]] = {}
        names = iter(sorted({_steps(path)[-1] for path in paths if _steps(path)}))
        while some := list(islice(names, _AT_ONCE)):
            for item in case.catalog.named(some):
                if only is None or item.id == only.id or (item.digests == only.digests):
                    steps = [step for hop in item.provenance.hops for step in _steps(hop.name)]
                    self._items.setdefault(item.name, []).append((steps, item))

    def best(self, path: str, size: int | None) -> tuple[Cell, ...]:
        """Id and path of the item that agrees best, in what it agrees, how many there are, and its digest."""
        steps = _steps(path)
        held = self._items.get(steps[-1], ()) if steps else ()
        if not held:
            return None, None, "", 0, None
        scores = [(_agreeing(steps, each), item.size == size, -at) for at, (each, item) in enumerate(held)]
        agreeing, same, at = max(scores)
        item = held[-at][1]
        told = ["path" if agreeing == len(steps) else f"last {agreeing} parts of the path" if agreeing > 1 else "name"]
        told += ["size"] * same
        sha256 = item.digests.sha256 if item.digests else None
        return item.id, str(item.provenance), " and ".join(told), len(held), sha256


def _steps(path: str) -> list[str]:
    return [step for step in path.replace("\\", "/").split("/") if step not in ("", ".")]


def _agreeing(left: Sequence[str], right: Sequence[str]) -> int:
    """How many components agree, from the end."""
    count = 0
    for one, other in zip(reversed(left), reversed(right), strict=False):
        if one != other:
            break
        count += 1
    return count
