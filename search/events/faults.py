"""Error logs of nginx and Apache: which client asked for what, and what was wrong with it; their times are local.

Lines of servers that name no client are understood, and hold no event.

Source: nginx, ngx_log.c and ngx_http_request.c; Apache HTTP Server, ErrorLogFormat and log.c of 2.2 and 2.4.
"""

from __future__ import annotations

import re
from datetime import datetime

from search.events.event import WALL, Event, Take, from_iso, moment, month_number
from search.events.web import split_request

_NGINX = re.compile(
    r"(\d{4})/(\d\d)/(\d\d) (\d\d:\d\d:\d\d) \[([a-z]{4,6})\] \d{1,10}#\d{1,10}: (.*)", re.ASCII | re.DOTALL
)
_CLIENT = ", client: "
_NGINX_CLIENT = re.compile(r'(?:\*\d{1,20} )?(.*?), client: ([^\s,"]{1,255})(?:, (.*))?', re.DOTALL)
_NGINX_REQUEST = re.compile(r'(?:server: [^",]{0,255}, )?request: "([^"]*)"(?:, .*)?', re.DOTALL)
_APACHE = re.compile(
    r"\[(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) ([A-Z][a-z]{2}) (\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{6}))? (\d{4})\] "
    r"\[(?:[\w-]{0,64}:)?([a-z]{4,6}\d?)\] (?:\[pid \d{1,10}(?::tid \d{1,20})?\] )?"
    r"(?:\[client ([^\]\s]{1,255})\] )?(.*)",
    re.ASCII | re.DOTALL,
)
_APACHE_PORT = re.compile(r"([\d.]{7,15}|\[?[\da-fA-F:.]*:[\da-fA-F:.]*?\]?):\d{1,5}", re.ASCII)
"""2.4 writes a port behind the address; that of an IPv6 address stands behind its last colon."""


def open_nginx_error(written: datetime | None) -> Take:
    """A reader of error logs of nginx."""

    def take(number: int, line: str) -> Event | bool:
        match = _NGINX.fullmatch(line)
        if not match:
            return False
        year, month, day, clock, level, said = match.groups()
        time = from_iso(f"{year}-{month}-{day} {clock}")
        if time is None:
            return False
        client = _NGINX_CLIENT.fullmatch(said)
        if not client:
            return True
        if said.count(_CLIENT) > 1:  # the path or the request says it too: whoever asked could write any address there
            return Event(number, *time, "", "", "error", "", level, None, "", said)
        asked = _NGINX_REQUEST.fullmatch(client[3] or "")
        method, path, _ = split_request(asked[1]) if asked else ("", "", "")
        return Event(number, *time, client[2], "", method or "error", path, level, None, "", client[1])

    return take


def open_apache_error(written: datetime | None) -> Take:
    """A reader of error logs of Apache, of 2.2 and 2.4."""

    def take(number: int, line: str) -> Event | bool:
        match = _APACHE.fullmatch(line)
        if not match:
            return False
        month, day, hour, minute, second, part, year, level, client, said = match.groups()
        at = moment(int(year), month_number(month), int(day), int(hour), int(minute), int(second))
        if at is None:
            return False
        if client is None:
            return True
        with_port = _APACHE_PORT.fullmatch(client) if part else None
        address = with_port[1].strip("[]") if with_port else client
        return Event(number, at + int(part or 0), WALL, address, "", "error", "", level, None, "", said)

    return take
