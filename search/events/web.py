"""Access logs of web servers: common, combined, with a virtual host before them; IIS and other W3C logs.

What follows the fields that are known (a response time, a forwarded address) is left out. FTP servers write these
formats too, with commands in the place of methods.

Source: Apache HTTP Server, mod_log_config; nginx, ngx_http_log_module; W3C, Extended Log File Format; Microsoft,
W3C logging.
"""

from __future__ import annotations

import re
from datetime import datetime

from search.events.event import KNOWN, Event, Take, from_clf, from_iso

_QUOTED = r'"((?:[^"\\]++|\\.)*+)"'
_LINE = re.compile(
    # A name before an address is the virtual host.
    r"(?:(?P<host>\S{1,255}) (?=[\da-fA-F]{0,4}[.:\d][\da-fA-F:.]{1,45} ))?"
    r"(?P<address>\S{1,255}) (?P<ident>\S{1,255}) (?P<user>.{1,255}?) "
    rf"\[(?P<time>[^\]]{{20,32}})\] {_QUOTED} (?P<status>\d{{3}}|-) (?P<size>\d{{1,18}}|-)"
    rf"(?: {_QUOTED} {_QUOTED})?(?: .*)?",
    re.ASCII | re.DOTALL,
)
_USUAL = re.compile(
    r'(\S{1,255}) - (\S{1,255}) \[([^\]]{26})\] "(?!PASS )([A-Z]{1,24}) ([^"\\ ]*+) HTTP/[\d.]{1,8}" '
    r'(\d{3}) (\d{1,18}|-)(?: "([^"\\]*+)" "([^"\\]*+)")?',
    re.ASCII | re.DOTALL,
)
"""What most lines are, for speed; whatever is none of these is read by the whole rule, which reads these alike."""
_LOGINS = {"230": "login", "232": "login", "530": "login failed"}
"""What an FTP server answers to a password."""


def open_access(written: datetime | None) -> Take:
    """A reader of common and combined logs; every time in them has a zone."""

    def take(number: int, line: str) -> Event | bool:
        match = _USUAL.fullmatch(line)
        if not match:
            return read_access(number, line)
        address, user, time, method, path, status, size, referrer, agent = match.groups()
        at = from_clf(time)
        return at is not None and Event(
            number,
            at,
            KNOWN,
            address,
            "" if user == "-" else user,
            method,
            path,
            status,
            None if size == "-" else int(size),
            "" if agent is None or agent == "-" else agent,
            "" if referrer is None or referrer == "-" else f"from {referrer}",
        )

    return take


def read_access(number: int, line: str) -> Event | bool:
    """The event of a line of an access log; False where it is none."""
    match = _LINE.fullmatch(line)
    if not match:
        return False
    host, address, _, user, time, request, status, size, referrer, agent = match.groups()
    at = from_clf(time)
    if at is None:
        return False
    method, path, rest = split_request(request)
    told = (f"host {host}" if host else "", f"from {referrer}" if referrer not in (None, "-") else "", rest)
    return Event(
        number,
        at,
        KNOWN,
        address,
        "" if user == "-" else user,
        sign_in(method, status) or method,
        path,
        "" if status == "-" else status,
        None if size == "-" else int(size),
        "" if agent in (None, "-") else agent,
        "; ".join(part for part in told if part),
    )


def open_w3c(written: datetime | None) -> Take:
    """A reader of W3C logs: the line of fields says what stands where; times are UTC."""
    names: list[str] = []
    day = ""

    def take(number: int, line: str) -> Event | bool:
        nonlocal names, day
        if line.startswith("#"):
            word, _, rest = line.partition(" ")
            if word == "#Fields:":
                names = rest.split()
            elif word == "#Date:":
                day = rest[:10]
            return word in ("#Fields:", "#Date:", "#Software:", "#Version:", "#Start-Date:", "#End-Date:", "#Remark:")
        values = line.split("\t" if "\t" in line else " ")  # CloudFront has tabs
        if not names or len(values) != len(names):
            return False
        held = {name: value for name, value in zip(names, values, strict=True) if value != "-"}
        time = from_iso(f"{held.get('date', day)} {held.get('time', '')}")
        size = held.get("sc-bytes", "")
        if time is None or not (not size or (size.isascii() and size.isdigit())):
            return False
        path, query = held.get("cs-uri-stem", held.get("cs-uri", "")), held.get("cs-uri-query", "")
        method, status = held.get("cs-method", ""), held.get("sc-status", "")
        referrer = held.get("cs(Referer)", "")
        return Event(
            number,
            time[0],
            KNOWN,
            held.get("c-ip", ""),
            held.get("cs-username", ""),
            sign_in(method, status) or method,
            f"{path}?{query}" if query else path,
            status,
            int(size[:18]) if size else None,
            held.get("cs(User-Agent)", "").replace("+", " "),
            f"from {referrer}" if referrer else "",
        )

    return take


def split_request(request: str) -> tuple[str, str, str]:
    """Method, path, and what is neither; a request that is none of HTTP or FTP is all in the third."""
    method, _, rest = request.partition(" ")
    if not (method.isascii() and method.replace("-", "").replace("_", "").isalpha() and len(method) <= 24):
        return "", "", "" if request == "-" else request
    path, space, protocol = rest.rpartition(" ")
    if space and protocol.startswith("HTTP/"):
        return method, path, ""
    return method, rest, ""


def sign_in(method: str, status: str) -> str:
    """What the answer to a password of FTP means; nothing for other requests."""
    return _LOGINS.get(status, "") if method == "PASS" else ""
