"""Body file of The Sleuth Kit: one line an item and source of times, for `mactime` and timeline tools.

    MD5|name|inode|mode_as_string|UID|GID|size|atime|mtime|ctime|crtime

An item has as many lines as structures recorded times of it: its file system, its archive's entry, its own
metadata. Lines after the first name the structure, as `($FILE_NAME)` does elsewhere; named events (`sent`) stand
in the place of the modified time. Times are whole seconds since 1970, 0 where there is none; a wall clock of
an unknown zone is written as if it were UTC. The inode is the item's id. Events of logs, where the report has them,
follow the items: a line each, named after their log and what they say, their time as the modified one.

Source: The Sleuth Kit, body file version 3.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from indexer.model import Hit, Item, Timestamp
from search.events.event import summed_up
from search.exports._file import whole_file
from search.report import Report
from search.sanitise import visible

_SLOTS = "AMCB"


def write(path: Path, report: Report) -> int:
    """Writes every item's lines, then every event's, and returns how many items and events they were."""
    count = 0
    with whole_file(path) as file:
        for row in report.items() if report.items else ():
            file.writelines(_lines(row.item if isinstance(row, Hit) else row))
            count += 1
        for at, _, origin, _, _, identity, place, _, size, _, *said in report.events() if report.events else ():
            told = f"{place} ({origin}: {summed_up(said)})"
            seconds = int(cast(datetime, at).replace(tzinfo=UTC).timestamp())
            file.write(f"0|{_name(told)}|{identity}|-|0|0|{size or 0}|0|{seconds}|0|0\n")
            count += 1
    return count


def _lines(item: Item) -> Iterator[str]:
    groups: dict[str, dict[str, Timestamp]] = {"": {}}
    for stamp in item.timestamps:
        structure = stamp.origin.rpartition(".")[0] if stamp.kind in _SLOTS else f"{stamp.kind}: {stamp.origin}"
        group = groups.setdefault(structure, {})
        group.setdefault(stamp.kind if stamp.kind in _SLOTS else "M", stamp)
    first, *others = [(name, times) for name, times in groups.items() if times] or [("", {})]
    values = {field.name: str(field.value) for field in item.fields}
    for name, times in (("", first[1]), *others):
        shown = _name(str(item.provenance)) + (f" ({visible(name)})" if name else "")
        md5 = item.digests.md5 if item.digests else "0"
        owner = f"{_number(values.get('file.uid'))}|{_number(values.get('file.gid'))}"
        mode = visible(values.get("file.mode", "")).replace("|", "") or "-"
        seconds = "|".join(str(int(times[slot].at.timestamp())) if slot in times else "0" for slot in _SLOTS)
        yield f"{md5}|{shown}|{item.id}|{mode}|{owner}|{item.size or 0}|{seconds}\n"


def _name(text: str) -> str:
    return visible(text).replace("|", "\\x7c")


def _number(value: str | None) -> str:
    return value if value and value.isascii() and value.isdigit() else "0"
