"""CSV as Timesketch and Plaso take it: one event a line, with the three columns that they ask for.

`message`, `datetime` and `timestamp_desc` come first; `timestamp` is in microseconds since 1970. Where the zone
of a time is not known, `zone` says so and the wall clock stands as if it were UTC. Events of logs, where the report
has them, stand among the times, `display_name` and `filename` being of their log.

Source: Timesketch, Import from CSV; Plaso, l2tcsv and dynamic output.
"""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from heapq import merge
from pathlib import Path

from indexer.model import print_time
from search.events.event import summed_up
from search.exports._file import whole_file
from search.report import Report
from search.sanitise import cell
from search.timeline import MEANING, in_order

_HEAD = (
    "message", "datetime", "timestamp_desc", "timestamp", "zone", "resolution", "data_type", "source_short",
    "display_name", "filename", "size", "sha256_hash", "item",
)  # fmt: skip
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STEP = timedelta(microseconds=1)


def write(path: Path, report: Report) -> int:
    """Writes every recorded time of the report's items and returns how many they were."""
    count = 0
    rows = merge(
        in_order(report.items), report.events() if report.events else (), key=lambda row: row[0].replace(tzinfo=UTC)
    )
    with whole_file(path, newline="") as file:
        table = csv.writer(file, quoting=csv.QUOTE_ALL)
        table.writerow(_HEAD)
        for at, kind, origin, zone, resolution, identity, place, name, size, sha256, *said in rows:
            meaning = MEANING.get(kind, kind)
            moment = at.replace(tzinfo=UTC)
            message = f"{name}: {summed_up(said) if said else meaning}"
            table.writerow(
                (
                    cell(message),
                    print_time(moment),
                    cell(f"{meaning} ({origin})"),
                    (moment - _EPOCH) // _STEP,
                    zone,
                    resolution,
                    "archivore:log:event" if said else "archivore:item:time",
                    "LOG" if said else "FILE",
                    cell(place),
                    cell(name),
                    "" if size is None else size,
                    sha256 or "",
                    identity,
                )
            )
            count += 1
    return count
