"""Access logs of proxies and of stores in the cloud: Squid, HAProxy, load balancers and buckets of Amazon.

Source: Squid, logformat (squid); HAProxy, configuration manual, 8.2 (log formats); Amazon, S3 server access log
format, access logs of classic and of application load balancers.
"""

from __future__ import annotations

import re
from datetime import datetime

from search.events.event import KNOWN, NO_YEAR, WALL, Event, Take, from_clf, from_iso
from search.events.web import split_request

_QUOTED = r'"((?:[^"\\]++|\\.)*+)"'
_SQUID = re.compile(
    r"(\d{9,10})\.(\d{3}) {1,7}-?\d{1,12} (\S{1,255}) (\w{1,64})/(\d{3}) (\d{1,18}) (\S{1,32}) (\S{1,16384}) "
    r"(\S{1,255}) (\w{1,64}/\S{1,255}) \S{1,255}(?: .*)?",
    re.ASCII,
)
_BUCKET = re.compile(
    r"\S{1,128} (\S{1,255}) \[([^\]]{26})\] (\S{1,64}) (\S{1,512}) \S{1,64} ([A-Z]{2,9}\.[A-Z_.]{2,64}) (\S{1,8192}) "
    rf"(?:{_QUOTED}|-) (\d{{3}}|-) \S{{1,64}} (\d{{1,18}}|-) (?:\d{{1,18}}|-) (?:\d{{1,18}}|-) (?:\d{{1,18}}|-) "
    rf"(?:{_QUOTED}|-) (?:{_QUOTED}|-)(?: .*)?",
    re.ASCII,
)
_BALANCER = re.compile(
    r"(?:(?:https?|h2|grpcs|wss?) )?(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}Z) (\S{1,255}) "
    r"([\da-fA-F.:]{2,45}):\d{1,5} (?:\S{1,64}) -?[\d.]{1,20} -?[\d.]{1,20} -?[\d.]{1,20} (\d{3}|-) (?:\d{3}|-) "
    rf"\d{{1,18}} (\d{{1,18}}) {_QUOTED} {_QUOTED}(?: .*)?",
    re.ASCII,
)
_HAPROXY = re.compile(
    r"(?P<address>[\da-fA-F.:]{2,45}):\d{1,5} \[(?P<time>\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d)\.\d{3}\] "
    r"(?P<front>\S{1,255}) (?P<back>\S{1,255}) [\d/+-]{5,80} (?:(?P<status>-?\d{1,3}) )?\+?(?P<size>\d{1,18}) "
    r"(?:\S{1,4096} \S{1,4096} )?[A-Za-z-]{2,4} \d[\d/+]{3,60} \d{1,9}/\d{1,9}(?P<rest>(?: .*)?)",
    re.ASCII,
)
_HAPROXY_REQUEST = re.compile(r'(?: \{[^"]{0,8192}\})? "([^"]*)"?')
_HAPROXY_CONNECT = re.compile(
    r"Connect from (?P<address>[\da-fA-F.:]{2,45}):\d{1,5} to \S{1,255} \((?P<front>[^()]{1,255})\)", re.ASCII
)


def open_squid(written: datetime | None) -> Take:
    """A reader of access logs of Squid in its own format; their times are seconds since 1970."""

    def take(number: int, line: str) -> Event | bool:
        match = _SQUID.fullmatch(line)
        if not match:
            return False
        second, part, address, result, status, size, method, path, user, peer = match.groups()
        at = int(second) * 1_000_000 + int(part) * 1_000
        user = "" if user == "-" else user
        status = "" if status == "000" else status
        return Event(number, at, KNOWN, address, user, method, path, status, int(size), "", f"{result}, {peer}")

    return take


def open_bucket(written: datetime | None) -> Take:
    """A reader of access logs of Amazon S3; every time in them has a zone."""

    def take(number: int, line: str) -> Event | bool:
        match = _BUCKET.fullmatch(line)
        at = from_clf(match[2]) if match else None
        if not match or at is None:
            return False
        bucket, _, address, user, deed, key, request, status, size, referrer, agent = match.groups()
        method, path, rest = split_request(request or "")
        told = (f"{deed} in {bucket}", f"from {referrer}" if referrer not in (None, "-") else "", rest)
        return Event(
            number,
            at,
            KNOWN,
            "" if address == "-" else address,
            "" if user == "-" else user,
            method or deed,
            path or ("" if key == "-" else key),
            "" if status == "-" else status,
            None if size == "-" else int(size),
            "" if agent in (None, "-") else agent,
            "; ".join(part for part in told if part),
        )

    return take


def open_balancer(written: datetime | None) -> Take:
    """A reader of access logs of load balancers of Amazon; their times are UTC."""

    def take(number: int, line: str) -> Event | bool:
        match = _BALANCER.fullmatch(line)
        time = from_iso(match[1]) if match else None
        if not match or time is None:
            return False
        _, name, address, status, size, request, agent = match.groups()
        method, path, rest = split_request(request)
        status, agent = ("" if each == "-" else each for each in (status, agent))
        detail = f"balancer {name}" + f"; {rest}" * bool(rest)
        return Event(number, *time, address, "", method, path, status, int(size), agent, detail)

    return take


def read_haproxy(event: Event, message: str) -> Event | bool:
    """The event that HAProxy tells in a message; True where it tells none.

    It says the year, where the system log does not.
    """
    if match := _HAPROXY_CONNECT.fullmatch(message):
        return event._replace(address=match["address"], action="connect", detail=match["front"])
    match = _HAPROXY.fullmatch(message)
    if not match:
        return True
    if event.zone == NO_YEAR:
        at = from_clf(f"{match['time']} +0000")
        if at is None:
            return True
        event = event._replace(at=at, zone=WALL)
    asked = _HAPROXY_REQUEST.fullmatch(match["rest"])
    method, path, rest = split_request(asked[1]) if asked else ("", "", "")
    status = match["status"] or ""
    detail = f"{match['front']} {match['back']}" + f"; {rest}" * bool(rest)
    return event._replace(
        address=match["address"],
        action=method or "connect",
        path=path,
        status="" if status.startswith("-") else status,
        size=int(match["size"]),
        detail=detail,
    )
