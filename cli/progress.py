"""Progress of a run on stderr: drawn where it is a terminal, JSON lines where asked, else silent."""

from __future__ import annotations

import json
import sys
from typing import Any

from msgspec.structs import asdict

from cli.console import note, shorten, size_of
from indexer.events import Died, Event, Progress
from search.sanitise import visible


class Reporter:
    """Takes a run's events and shows them. Use it in a `with` statement."""

    def __init__(self, *, as_json: bool = False) -> None:
        self._as_json = as_json
        self._live: Any = None

    def __enter__(self) -> Reporter:
        if not self._as_json and sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(stderr=True), transient=True, refresh_per_second=5)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def tell(self, event: Event) -> None:
        """Shows one event."""
        if self._as_json:
            row = {"event": type(event).__name__.lower()}
            if isinstance(event, Progress):
                row |= asdict(event)
            else:
                row |= {"path": event.path, "cause": event.problem.cause, "message": event.problem.message}
            note(json.dumps(row))
        elif isinstance(event, Died):
            self._say(f"{event.problem.cause}: {visible(event.path)}: {event.problem.message}; read again with care")
        elif self._live:
            from rich.text import Text

            self._live.update(Text(_drawn(event, self._live.console.width), no_wrap=True, overflow="ellipsis"))

    def indexed(self, count: int) -> None:
        """Shows how many items the index has taken in."""
        if self._as_json:
            note(json.dumps({"event": "indexed", "items": count}))
        elif self._live:
            self._live.update(f"{count:,} items indexed")

    def _say(self, line: str) -> None:
        if self._live:
            self._live.console.print(line, markup=False, highlight=False)
        else:
            note(line)


def _drawn(event: Progress, room: int) -> str:
    rate = event.items / event.seconds if event.seconds else 0.0
    left = ""
    if event.listed and event.bytes_read:
        seconds = event.seconds / event.bytes_read * max(0, event.bytes_found - event.bytes_read)
        left = f", about {seconds:.0f} s left" if seconds < 120 else f", about {seconds / 60:.0f} min left"
    lines = [
        f"{event.items:,} items, {size_of(event.bytes)}, {rate:,.0f} items/s, {event.problems:,} problems; "
        f"{event.roots_done:,} of {event.roots_found:,} files{'' if event.listed else ' so far'}{left}"
    ]
    lines += [f"  {shorten(visible(path), room - 2)}" for path in event.working_on if path]
    return "\n".join(lines)
