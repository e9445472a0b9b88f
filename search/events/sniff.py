"""Which readings are logs, and of which format: told by their first lines, never by their names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice

from indexer.escapes import recorded
from indexer.model import Text
from search.events.changes import open_usn
from search.events.daemons import open_proftpd, open_rsyncd, open_syslog, open_vsftpd, open_xferlog
from search.events.event import Event, Format
from search.events.faults import open_apache_error, open_nginx_error
from search.events.proxies import open_balancer, open_bucket, open_squid
from search.events.records import open_evtx, open_json, values_of
from search.events.servers import open_exim, open_fail2ban, open_mysql, open_postgres, open_vpn, open_xrdp
from search.events.sessions import entries_of, open_journal, open_logins
from search.events.web import open_access, open_w3c

_DAY = r"\d{4}-\d\d-\d\d[T ]"


def _look(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)


HANDLERS: dict[str, tuple[Format, ...]] = {
    "text": (
        Format("access", open_access),
        Format("w3c", open_w3c),
        Format("xferlog", open_xferlog),
        Format("vsftpd", open_vsftpd),
        Format("proftpd", open_proftpd),
        Format("rsync", open_rsyncd, look=_look(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[\d")),
        Format("nginx-error", open_nginx_error, frame=True),
        Format("apache-error", open_apache_error, frame=True),
        Format("syslog", open_syslog, frame=True),
        Format("squid", open_squid, look=_look(r"\d{9,10}\.\d{3} ")),
        Format("s3", open_bucket, look=_look(r"\S{1,128} \S{1,255} \[\d\d/")),
        Format("balancer", open_balancer, look=_look(r"(?:\w{2,5} )?\d{4}-\d\d-\d\dT[\d:.]{8,15}Z \S")),
        Format("fail2ban", open_fail2ban, frame=True, look=_look(rf"{_DAY}[\d:,]{{8,12}} fail2ban\.")),
        Format("postgresql", open_postgres, frame=True, look=_look(rf"{_DAY}[\d:.]{{8,15}} [A-Z+-]")),
        Format("mysql-error", open_mysql, frame=True, look=_look(rf"{_DAY}[\d:.]{{8,15}}Z? +\d+ \[")),
        Format("xrdp", open_xrdp, look=_look(r"\[\d{8}-\d\d:")),
        Format("exim", open_exim, look=_look(rf"{_DAY}\d\d:")),
        Format("openvpn", open_vpn, look=_look(rf"{_DAY}\d\d:|[A-Z][a-z]{{2}} [A-Z][a-z]{{2}} [ \d]\d ")),
    ),
    "json": (Format("json", open_json, unit="value"),),
    "evtx": (Format("evtx", open_evtx, unit="record", frame=True),),
    "journal": (Format("journal", open_journal, unit="entry", frame=True),),
    "logins": (Format("logins", open_logins, unit="record", frame=True),),
    "usn-journal": (Format("usn", open_usn, unit="record", frame=True),),
}
"""The formats that are looked for, by the handler that made the texts."""
LEAST_VERSION = {"json": 2, "journal": 2, "logins": 2}
"""Texts of older handlers cannot be read as records."""
LONGEST = 1 << 16
"""Characters of a line; a longer one is in no log's format."""
_TRIED = 200
"""Lines that are looked at."""
_LOOKED_AT = 10
"""Lines of which one begins as a format's lines do."""
_SURE = 0.8
"""How many of them a format must understand."""
_RECORDS: dict[str, Callable[[Iterable[str]], Iterator[str]]] = {
    "json": values_of,
    "journal": entries_of,
    "logins": iter,
    "usn-journal": iter,
}
"""What makes records of lines, where no line goes on in the next passage."""
_SOME_TIME = datetime(2000, 2, 1, tzinfo=UTC)


def units_of(handler: str, texts: Iterable[Text]) -> Iterator[str]:
    """The lines or records of a reading, whole across passages."""
    texts = recorded(texts)
    if handler == "evtx":
        return (text.body for text in texts)
    if handler in _RECORDS:
        return _RECORDS[handler](line for text in texts for line in text.body.split("\n"))
    return _lines(text.body for text in texts)


def _lines(bodies: Iterable[str]) -> Iterator[str]:
    rest = ""
    for body in bodies:
        lines = body.split("\n")
        if len(rest) <= LONGEST:
            lines[0] = rest + lines[0]
        elif len(lines) > 1:
            lines[0] = rest
        else:
            continue
        rest = lines.pop()
        yield from lines
    if rest:
        yield rest


def tell_format(handler: str, texts: Iterable[Text]) -> Format | None:
    """The format that understands most of the first lines; None where none does."""
    lines = [line for line in islice(units_of(handler, texts), _TRIED) if line.strip()]
    best: Format | None = None
    most = 0, 0
    for each in HANDLERS.get(handler, ()):
        if each.look and not any(each.look.match(line) for line in lines[:_LOOKED_AT]):
            continue
        take = each.open(_SOME_TIME)
        events = understood = 0
        for number, line in enumerate(lines, 1):
            found = take(number, line) if len(line) <= LONGEST or each.unit != "line" else False
            understood += bool(found)
            events += isinstance(found, Event)
        enough = understood >= max(1, _SURE * len(lines)) and (events or each.frame)
        if enough and (understood, events) > most:
            best, most = each, (understood, events)
    return best
