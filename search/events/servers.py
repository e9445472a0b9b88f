"""What other servers tell of who came: fail2ban, Exim, OpenVPN, xrdp, PostgreSQL, MySQL and MariaDB, WireGuard.

Each is a frame of its lines and a table of the messages that hold an event. Their times are local unless they say a
zone; of PostgreSQL the name of the zone is taken only where it is UTC.

Source: fail2ban, actions.py and filter.py; Exim specification, chapter 52 (log files); OpenVPN, multi.c and ssl.c;
xrdp, sesman; PostgreSQL, chapter 20.8 (error reporting and logging); MySQL manual, 5.4.2 (the error log); Linux,
drivers/net/wireguard.
Limits: general logs of MySQL are not read, as whoever may ask can write lines of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime

from search.events.event import KNOWN, WALL, Event, Take, from_iso, moment, month_number
from search.events.transfers import Ties

Told = tuple[tuple[re.Pattern[str], str, str], ...]
"""Messages with the action and the status that they mean."""


def _table(*rows: tuple[str, str, str]) -> Told:
    return tuple((re.compile(pattern, re.ASCII | re.DOTALL), action, status) for pattern, action, status in rows)


_HOST = r"(?:H=)?(?:[^\s()\[\]]{1,255} )?(?:\([^\s()]{0,255}\) )?\[(?P<address>[\da-fA-F.:]{2,45})\](?::\d{1,5})?"
_PEER = r"(?:(?:udp|tcp)[46]?(?:-server)?:)?(?P<address>[\da-fA-F.:]{2,45}):\d{1,5}"
_BAN = _table(
    (r"(?:[A-Z]{4,9} +)?\[(?P<how>[^\[\]\s]{1,64})\] (?:Restore )?Ban (?P<address>\S{1,64})", "ban", ""),
    (r"(?:[A-Z]{4,9} +)?\[(?P<how>[^\[\]\s]{1,64})\] Unban (?P<address>\S{1,64})", "unban", ""),
    (r"(?:[A-Z]{4,9} +)?\[(?P<how>[^\[\]\s]{1,64})\] Found (?P<address>\S{1,64})(?: - .*)?", "found by fail2ban", ""),
)
_EXIM = _table(
    (rf"\w{{1,64}} authenticator failed for {_HOST}(?: I=\S{{1,64}})?: 5\d\d [^()]{{0,200}}"
     r"(?:\(set_id=(?P<user>.*)\))?", "login failed", "failed"),
    (rf"[\w-]{{16,23}} <= (?P<how>[^\s\"]{{1,255}}) {_HOST} (?:[A-Z]{{1,3}}=\S{{1,255}} ){{0,9}}"
     r"A=\w{1,64}:(?P<user>\S{1,255})(?: .*)?", "login", "ok"),
    (rf"[\w-]{{16,23}} <= (?P<how>[^\s\"]{{1,255}}) {_HOST}(?: .*)?", "receive", ""),
    (rf"(?:[\w-]{{16,23}} )?{_HOST} (?:[A-Z]{{1,3}}=\S{{1,255}} ){{0,9}}rejected (?P<how>.*)", "refused", "failed"),
)  # fmt: skip
_VPN = _table(
    (rf"{_PEER} \[(?P<user>[^\[\]]{{1,64}})\] Peer Connection Initiated with .*", "login", "ok"),
    (rf"{_PEER} TLS: Initial packet from .*", "connect", ""),
    (rf"{_PEER} (?P<how>TLS Auth Error: .*|VERIFY ERROR: .*)", "login failed", "failed"),
    (rf"(?P<user>[^/]{{1,64}})/{_PEER} SIG\S{{1,64}} received, client-instance exiting", "logout", ""),
)
_XRDP = _table(
    (r"(?:\(\d+\)){0,2}(?:\[\w{4,8} {0,2}\] )?\+\+ (?P<how>created|reconnected) session(?: \(access granted\))?: "
     r"username (?P<user>.{1,255}), ip (?P<address>[\da-fA-F.:]{2,45}):\d{1,5}(?: - socket: \d{1,9})?", "login", "ok"),
    (r"(?:\(\d+\)){0,2}(?:\[\w{4,8} {0,2}\] )?AUTHFAIL: user=(?P<user>.{0,255}) "
     r"ip=(?P<address>[\da-fA-F.:]{2,45}) time=\d{1,12}", "login failed", "failed"),
    (r"(?:\(\d+\)){0,2}(?:\[\w{4,8} {0,2}\] )?Socket \d{1,9}: AF_INET6? connection received from "
     r"(?P<address>[\da-fA-F.:]{2,45}) port \d{1,5}", "connect", ""),
)  # fmt: skip
_POSTGRES = _table(
    (r"LOG: connection received: host=(?P<address>\S{1,255})(?: port=\d{1,5})?", "connect", ""),
    (r"LOG: connection authorized: user=(?P<user>\S{1,255})(?: (?P<how>.*))?", "login", "ok"),
    (r'FATAL: (?P<how>[\w ]{1,40}) failed for user "(?P<user>.*)"', "login failed", "failed"),
    (r'FATAL: (?P<how>no pg_hba\.conf entry) for host "(?P<address>[^"\s]{1,64})", user "(?P<user>.*)", database ".*',
     "login failed", "failed"),
    (r"LOG: disconnection: session time: [\d:.]{1,32} user=(?P<user>\S{1,255}) database=.* "
     r"host=(?P<address>\S{1,255})(?: port=\d{1,5})?", "logout", ""),
)  # fmt: skip
_MYSQL = _table(
    (r"Access denied for user '(?P<user>.*)'@'(?P<address>[^'\s]{0,255})' \((?P<how>using password: (?:YES|NO))\)",
     "login failed", "failed"),
    (r"Aborted connection \d{1,20} to db: '.*' user: '(?P<user>.*)' host: '(?P<address>[^'\s]{0,255})' \((?P<how>.*)\)",
     "disconnect", ""),
)  # fmt: skip
_WIREGUARD = _table(
    (r"(?:\[ *[\d.]{1,20}\] )?wireguard: \S{1,32}: Receiving handshake initiation from (?P<how>peer \d{1,9}) "
     r"\((?P<address>[^\s/]{1,64}):\d{1,5}\)", "connect", ""),
)  # fmt: skip
_MESSAGES: tuple[tuple[str, Told], ...] = (
    ("fail2ban", _BAN),
    ("exim", _EXIM),
    ("ovpn-", _VPN),
    ("openvpn", _VPN),
    ("xrdp", _XRDP),
    ("kernel", _WIREGUARD),
)
PROGRAMS = tuple(name for name, _ in _MESSAGES)
"""Programs that tell the same in the system log."""
_CLOCK = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,6})?"
_FAIL2BAN_LINE = re.compile(rf"({_CLOCK}) fail2ban\.\w{{1,32}} *(?:\[\d{{1,10}}\])?: [A-Z]{{4,9}} +(.*)", re.ASCII)
_EXIM_LINE = re.compile(rf"({_CLOCK}(?: [+-]\d{{4}})?) (?:\[\d{{1,10}}\] )?(.*)", re.ASCII)
_VPN_LINE = re.compile(rf"({_CLOCK}) (?:us=\d{{1,6}} )?(.*)", re.ASCII)
_VPN_OLD = re.compile(
    r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) ([ \d]\d) (\d\d):(\d\d):(\d\d) (\d{4}) (?:us=\d{1,6} )?(.*)", re.ASCII
)
_XRDP_LINE = re.compile(
    r"\[(\d{4})(\d\d)(\d\d)-(\d\d:\d\d:\d\d(?:\.\d{3})?(?:[+-]\d{4})?)\] (\[\w{4,8} {0,2}\] .*)", re.ASCII
)
_POSTGRES_LINE = re.compile(
    rf"({_CLOCK}) ([A-Z]{{2,5}}|[+-]\d\d) \[(\d{{1,10}})\](?: \[?\S{{1,255}}@\S{{1,255}})? "
    r"(LOG|FATAL|ERROR|WARNING|NOTICE|PANIC|INFO|DETAIL|HINT|STATEMENT|CONTEXT|QUERY):  ?(.*)",
    re.ASCII,
)
_MYSQL_LINE = re.compile(
    rf"({_CLOCK}Z?) +\d{{1,20}} \[(?:Note|Warning|ERROR|System)\] (?:\[MY-\d{{6}}\] \[\w{{1,32}}\] )?(.*)", re.ASCII
)
_LONGEST = 8192
"""Characters of a message that holds an event."""


def read_server(event: Event, program: str, message: str) -> Event | bool:
    """The event that one of `PROGRAMS` tells in the system log; True where it tells none."""
    return next((_read(event, told, message) for name, told in _MESSAGES if program.startswith(name)), True)


def _read(event: Event, told: Told, message: str) -> Event | bool:
    if len(message) > _LONGEST:
        return True
    for pattern, action, status in told:
        if match := pattern.fullmatch(message):
            held = match.groupdict()
            address = held.get("address") or ""
            return event._replace(
                address="" if address == "[local]" else address,
                user=held.get("user") or "",
                action=action,
                status=status,
                detail=held.get("how") or "",
            )
    return True


def _framed(frame: re.Pattern[str], told: Told) -> Callable[[datetime | None], Take]:
    """What makes readers of lines that are a time and a message."""

    def open_log(written: datetime | None) -> Take:
        def take(number: int, line: str) -> Event | bool:
            match = frame.fullmatch(line)
            time = from_iso(match[1]) if match else None
            return _read(Event(number, *time), told, match[2]) if match and time else False

        return take

    return open_log


open_fail2ban = _framed(_FAIL2BAN_LINE, _BAN)
open_exim = _framed(_EXIM_LINE, _EXIM)
open_mysql = _framed(_MYSQL_LINE, _MYSQL)


def open_vpn(written: datetime | None) -> Take:
    """A reader of the log of an OpenVPN server, of old and new times."""

    def take(number: int, line: str) -> Event | bool:
        if match := _VPN_LINE.fullmatch(line):
            time = from_iso(match[1])
            return _read(Event(number, *time), _VPN, match[2]) if time else False
        old = _VPN_OLD.fullmatch(line)
        if not old:
            return False
        month, day, hour, minute, second, year, message = old.groups()
        at = moment(int(year), month_number(month), int(day), int(hour), int(minute), int(second))
        return False if at is None else _read(Event(number, at, WALL), _VPN, message)

    return take


def open_xrdp(written: datetime | None) -> Take:
    """A reader of logs of xrdp and its session manager."""

    def take(number: int, line: str) -> Event | bool:
        match = _XRDP_LINE.fullmatch(line)
        time = from_iso(f"{match[1]}-{match[2]}-{match[3]} {match[4]}") if match else None
        return _read(Event(number, *time), _XRDP, match[5]) if match and time else False

    return take


def open_postgres(written: datetime | None) -> Take:
    """A reader of logs of PostgreSQL: a connection names its address once; further lines begin with a tab."""
    ties = Ties()

    def take(number: int, line: str) -> Event | bool:
        if line.startswith("\t"):
            return True
        match = _POSTGRES_LINE.fullmatch(line)
        time = from_iso(match[1]) if match else None
        if not match or time is None:
            return False
        told = _read(
            Event(number, time[0], KNOWN if match[2] in ("UTC", "GMT") else WALL), _POSTGRES, f"{match[4]}: {match[5]}"
        )
        if not isinstance(told, Event):
            return told
        if told.action == "connect" and ties.holds(match[3]):
            # It is connected already: whoever may raise messages can write such a line.
            return told._replace(address="", detail=match[5])
        return ties.join(told, match[3])

    return take
