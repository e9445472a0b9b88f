"""Families: a message with its attachments, all the way down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

from indexer.model import Hit, Item, Provenance
from search.case import Case
from search.kinds import coarse_type, is_message
from search.report import Cell, Column, Sheet, sheet_of

_COLUMNS = (
    Column("family"), Column("path"), Column("subject"), Column("from"), Column("sent", "time"),
    Column("hits", "number"), Column("members", "number"),
)  # fmt: skip
_KEPT = 65_536


class Families:
    """Names the family of an item by the id of the outermost message around it; the item itself where there is none."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._is_message = lru_cache(maxsize=_KEPT)(self._look_up)

    def __call__(self, place: Provenance) -> str:
        """The id of the family that a place belongs to."""
        chain = [Provenance(place.source, place.hops[: length + 1]) for length in range(len(place.hops))]
        return next((each.id for each in chain if self._is_message(each.id)), place.id)

    def _look_up(self, identity: str) -> bool:
        item = self._case.catalog.item(identity)
        return item is not None and is_message(item.media_type)


def families_sheet(case: Case, rows: Callable[[], Iterable[Item | Hit]]) -> Sheet:
    """The messages around the hits, with how many hits each family has and how many members in all."""

    def make() -> Iterator[tuple[Cell, ...]]:
        family_of = Families(case)
        counts: Counter[str] = Counter()
        for row in rows():
            item = row.item if isinstance(row, Hit) else row
            family = family_of(item.provenance)
            if family != item.id or coarse_type(item.media_type) == "mail":
                counts[family] += 1
        for family, hits in counts.items():
            message = case.catalog.item(family)
            if message is None:
                continue
            told = {field.name: str(field.value) for field in reversed(message.fields)}
            sent = next((stamp.at for stamp in message.timestamps if stamp.kind == "sent"), None)
            members = case.catalog.count_below(family)
            path = str(message.provenance)
            yield family, path, told.get("mail.subject"), told.get("mail.from"), sent, hits, members

    return sheet_of("families", _COLUMNS, make)
