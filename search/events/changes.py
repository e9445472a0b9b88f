"""Changes of files that Windows keeps in the change journal of a volume ($UsnJrnl:$J).

They are read from the texts that the handler made: a line is `time | reasons | name | file N in M`. Reasons pile up
from when a file is opened until it is closed, each record repeats those before: an event is told for what a record adds
to them.

Source: Microsoft, winioctl.h, USN_RECORD_V2 (Reason).
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime

from search.events.event import KNOWN, Event, Take, from_iso

_RENAMES = ("renamed from", "renamed to")
_ACTIONS = (
    *(("deleted", "delete"), ("renamed from", "rename"), ("renamed to", "rename"), ("created", "create")),
    *(("overwritten", "write"), ("extended", "write"), ("truncated", "write")),
    *(("stream overwritten", "write"), ("stream extended", "write"), ("stream truncated", "write")),
    ("security", "change rights"),
)
"""What is told of several reasons, the most telling first."""
_OTHER = "change"
_OPEN = 10_000
"""Files of which it is held what was told since they were opened."""


def open_usn(written: datetime | None) -> Take:
    """A reader of records of changes."""
    told: OrderedDict[str, frozenset[str]] = OrderedDict()

    def take(number: int, line: str) -> Event | bool:
        parts = line.split(" | ")
        time = from_iso(parts[0])
        if len(parts) != 4 or time is None or time[1] != KNOWN:
            return False
        _, why, name, place = parts
        reasons = why.split(", ")
        own = place.partition(" in ")[0]
        before = told.pop(own, frozenset())
        if _RENAMES[0] in reasons:
            before = before.difference(_RENAMES)
        new = [reason for reason in reasons if reason not in before and reason != "closed"]
        if "closed" not in reasons:
            told[own] = before.union(reasons)
            if len(told) > _OPEN:
                told.popitem(last=False)
        if not new:
            return True
        action = next((action for reason, action in _ACTIONS if reason in new), _OTHER)
        return Event(number, *time, action=action, path=name, detail=f"{', '.join(new)}; {place}")

    return take
