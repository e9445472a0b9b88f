"""Logins that Linux keeps as records: the journal of systemd, and utmp, wtmp, btmp, lastlog.

They are read from the texts that the handlers made. Of a journal an entry is a line `time | host | unit | program[pid]
| uid | level | message`, what is not known left out; its further lines begin with a tab. Of login records a line is
`time | what | user | on line | from host | address | pid`. A logout names its line only: it ends the login before
it on that line, as last(1) has it.

Source: systemd.journal-fields(7); utmp(5); last(1).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from ipaddress import ip_address

from search.events.daemons import Messages
from search.events.event import KNOWN, Event, Take, from_iso

_PROGRAM = re.compile(r"(.+)\[(\d{1,10})\]")
_USER_NUMBER = re.compile(r"uid \d{1,10}")
_LEVELS = frozenset(("emergency", "alert", "critical", "error", "warning", "notice", "info", "debug"))
_NO_TIME = "(no time)"
_PID = re.compile(r"pid \d{1,10}")
_ACTIONS = {
    "login": "login", "failed login": "login failed", "logout": "logout", "last login": "login", "boot": "boot",
    "run level": "run level", "new time": "clock set to", "old time": "clock set from",
}  # fmt: skip
_STATUSES = {"login": "ok", "login failed": "failed"}
_OTHERS = frozenset(("empty", "started", "waits for a login", "accounting"))
_LINES = 10_000
"""Lines of which the last login is held."""
_LONGEST = 1 << 17
"""Characters of an entry; what is beyond is left out."""


def entries_of(lines: Iterable[str]) -> Iterator[str]:
    """The entries of a journal, each with its further lines."""
    held = ""
    for line in lines:
        if not line.startswith("\t"):
            if held:
                yield held
            held = line
        elif len(held) < _LONGEST:
            held += "\n" + line[1:]
    if held:
        yield held


def open_journal(written: datetime | None) -> Take:
    """A reader of entries of a journal: those of other programs are understood, and hold no event."""
    messages = Messages()

    def take(number: int, entry: str) -> Event | bool:
        if entry.startswith((_NO_TIME, "_")):
            return True
        parts = entry.split(" | ")
        time = from_iso(parts[0])
        if time is None or time[1] != KNOWN:
            return False
        for at in range(1, min(4, len(parts))):
            found = _PROGRAM.fullmatch(parts[at])
            told = bool(at + 1 < len(parts) and _USER_NUMBER.fullmatch(parts[at + 1]))
            if found or told:
                rest = parts[at + 1 + told :]
                message = " | ".join(rest[1:] if rest and rest[0] in _LEVELS else rest)
                # What programs tell stands in the message's first line; below are its further lines, and fields.
                program, process = (found[1], found[2]) if found else (parts[at], "")
                return messages.read(Event(number, *time), "", program, process, message.partition("\n")[0])
        return True

    return take


def open_logins(written: datetime | None) -> Take:
    """A reader of records of logins, logouts and starts."""
    on: dict[str, tuple[str, str]] = {}

    def take(number: int, record: str) -> Event | bool:
        moment, _, rest = record.partition(" | ")
        what, *parts = rest.split(" | ")
        if what not in _ACTIONS:
            return what in _OTHERS or what.startswith("type ")
        time = from_iso(moment)
        if time is None:
            return moment == _NO_TIME
        # From the end: a name that somebody tried may hold anything, what is behind it does not come from him.
        if parts and _PID.fullmatch(parts[-1]):
            parts.pop()
        address = parts.pop() if parts and _is_address(parts[-1]) else ""
        host = parts.pop().removeprefix("from ") if parts and parts[-1].startswith("from ") else ""
        line = parts.pop().removeprefix("on ") if parts and parts[-1].startswith("on ") else ""
        user, address, action = " | ".join(parts), address or host, _ACTIONS[what]
        told = [f"line {line}" if line else "", f"host {host}" if host not in ("", address) else ""]
        if what == "login":
            if len(on) < _LINES or line in on:
                on[line] = user, address
        elif what == "logout":
            before = on.pop(line, ("", ""))
            user, address = user or before[0], address or before[1]
        elif what == "last login":
            told.append(what)
        elif what != "failed login":
            told = []
            if what == "boot":
                on.clear()
            if user == "shutdown":
                action = user
            elif what == "run level":
                told = [f"level {user}"]
            told.append(f"kernel {host}" if host else "")
            user = address = ""
        detail = ", ".join(each for each in told if each)
        return Event(number, *time, address, user, action, "", _STATUSES.get(action, ""), None, "", detail)

    return take


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
