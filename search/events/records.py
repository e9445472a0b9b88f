"""Logs that are kept as records: JSON of web servers, clouds, containers, journals and Samba; Windows event logs.

They are read from the texts that the handlers made: of JSON a line `key: value` for each value, a further line of a
value beginning with a tab; of event logs a passage for each record. A record of JSON begins where the first key
comes again.

Source: nginx, log_format escape=json; Caddy, structured logging; Traefik, access logs; Nextcloud, admin manual,
logging and admin_audit; Microsoft, Appendix L: Events to Monitor.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from search.events.daemons import Messages, open_syslog
from search.events.event import KNOWN, Event, Take, from_clf, from_iso
from search.events.faults import open_apache_error, open_nginx_error
from search.events.web import open_access, split_request

_TIMES = (
    "time_iso8601", "time_local", "@timestamp", "timestamp", "time", "StartUTC", "ts", "msec", "datetime", "date",
)  # fmt: skip
_ADDRESSES = (
    "remote_addr", "remoteAddr", "remote_ip", "client_ip", "clientip", "ClientHost", "remote_host", "remoteHost",
    "remoteIP", "c_ip", "ip", "client",
)  # fmt: skip
_USERS = ("remote_user", "remoteUser", "user_id", "ClientUsername", "username", "user")
_METHODS = ("request_method", "RequestMethod", "method", "verb")
_PATHS = ("request_uri", "RequestPath", "uri", "url", "path", "request_path")
_STATUSES = ("status", "DownstreamStatus", "status_code", "response", "code")
_SIZES = ("body_bytes_sent", "bytes_sent", "DownstreamContentSize", "bytes", "size", "response_size")
_AGENTS = ("http_user_agent", "user_agent", "userAgent", "request_User-Agent", "agent", "User-Agent")
_NONE = ("", "-", "--", "null")
_SECONDS = re.compile(r"(\d{9,10})(?:\.(\d{1,9}))?", re.ASCII)
_MESSAGE = re.compile(
    r"(?P<what>Login successful|Login attempt|Login failed|Logout occurred|"
    r"(?:File|Folder)(?: with id \"\d{1,20}\")? (?P<deed>accessed|created|written to|updated|deleted|copied|renamed))"
    r"(?: from)?:? \"(?P<first>.*?)\"(?: to \"(?P<second>.*)\")?"
    r"(?: \(Remote IP: \"?(?P<address>[^\s\")]{1,64})\"?\))?\.?",
    re.DOTALL,
)
_DEEDS = {
    "accessed": "read", "created": "create", "written to": "write", "updated": "write", "deleted": "delete",
    "copied": "copy", "renamed": "rename",
}  # fmt: skip
_SIGNS = {
    "Login successful": "login", "Login attempt": "login attempt", "Login failed": "login failed",
    "Logout occurred": "logout",
}  # fmt: skip
_HEADERS = "headers:"
_STARTED = "__REALTIME_TIMESTAMP"
_SAMBA_PEER = re.compile(r"ipv[46]:([\da-fA-F.:]{2,45}):\d{1,5}", re.ASCII)
_LONGEST = 1 << 17
"""Characters of a record; what is beyond is left out."""
_EVENT = re.compile(r"event (\d{1,5})(?: \((.*)\))?")
_SOURCES = ("IpAddress", "Address", "ClientAddress", "ClientIP", "SourceNetworkAddress", "Param3")
_WHO = ("TargetUserName", "User", "UserName", "AccountName", "Param1")
_DOMAIN = ("TargetDomainName", "Domain", "DomainName", "AccountDomain", "Param2")
_ABOUT = ("logon", "logoff", "session", "credentials", "ticket", "remote desktop", "account")
_RENAMED = {
    "logon": "login",
    "network logon": "login",
    "logoff": "logout",
    "logoff asked for": "logout",
    "remote desktop: session logon": "login",
    "remote desktop: user authenticated": "login",
    "remote desktop: session logoff": "logout",
}


def values_of(lines: Iterable[str]) -> Iterator[str]:
    """The records of a JSON log, each as its lines."""
    first = ""
    held: list[str] = []
    size = 0
    for line in lines:
        key = line.partition(":")[0]
        if not first and not line.startswith("\t"):
            first = key
        if held and key == first:
            yield "\n".join(held)
            held, size = [], 0
        if size < _LONGEST:
            held.append(line)
            size += len(line)
    if held:
        yield "\n".join(held)


def open_json(written: datetime | None) -> Take:
    """A reader of records of web servers and of Nextcloud, one object at a time."""
    messages = Messages()
    readers = [make(written) for make in (open_access, open_nginx_error, open_apache_error, open_syslog)]

    def take(number: int, record: str) -> Event | bool:
        held: dict[str, str] = {}
        key = ""
        for line in record.split("\n"):
            if line == _HEADERS:
                # Below stand what clients wrote, in lists: a value there looks like a name and its value.
                return _caddy(number, held, record)
            if line.startswith("\t"):
                if key:
                    held[key] += "\n" + line[1:]
                continue
            key, colon, value = line.partition(": ")
            if not colon or key in held:
                key = ""
            else:
                held[key] = value
        if "MESSAGE" in held and _STARTED in held:
            return _entry(number, held, messages)
        time = _time(held)
        if time is None:
            return False
        if "log" in held and "stream" in held and "time" in held and len(held) <= 4:
            return _contained(number, held["log"].strip("\n"), time, readers)
        if held.get("type") == "Authentication" and "remoteAddress" in held:
            return _samba(number, time, held)
        if "reqId" in held and "app" in held and "message" in held:
            return _cloud(number, time, held)
        method, path, rest = split_request(held["request"]) if held.get("request") else ("", "", "")
        address, path = _first(held, _ADDRESSES), path or _first(held, _PATHS)
        if not address or not (path or rest):
            return False
        size = _first(held, _SIZES)
        return Event(
            number,
            *time,
            address,
            _first(held, _USERS),
            method or _first(held, _METHODS),
            path,
            _first(held, _STATUSES),
            int(size) if size.isascii() and size.isdigit() and len(size) < 19 else None,
            _first(held, _AGENTS),
            rest,
        )

    return take


def open_evtx(written: datetime | None) -> Take:
    """A reader of the passages of Windows event logs: logons, sessions, accounts."""

    def take(number: int, record: str) -> Event | bool:
        head, _, rest = record.partition("\n")
        parts = head.split(" | ")
        time = from_iso(parts[0])
        match = next((found for part in parts[1:4] if (found := _EVENT.fullmatch(part))), None)
        if time is None or match is None:
            return False
        name = match[2] or ""
        if not any(word in name for word in _ABOUT):
            return True
        held: dict[str, str] = {}
        for line in rest.split("\n"):
            key, colon, value = line.partition(": ")
            if colon:
                held.setdefault(key, value.strip())
        user, domain = _first(held, _WHO), _first(held, _DOMAIN)
        failed = "failed" in name
        kind = held.get("LogonType", "")
        machine = held.get("WorkstationName", held.get("ClientName", ""))
        told = [match[0], f"logon type {kind}" if kind else "", f"machine {machine}" if machine not in _NONE else ""]
        return Event(
            number,
            *time,
            _first(held, _SOURCES),
            f"{domain}\\{user}" if user and domain and "\\" not in user else user,
            "login failed" if failed and "logon" in name else _RENAMED.get(name, name),
            held.get("ProcessName", "") if not failed else "",
            "failed" if failed else "",
            None,
            "",
            ", ".join(each for each in told if each),
        )

    return take


def _time(held: Mapping[str, str]) -> tuple[int, str] | None:
    for name in _TIMES:
        text = held.get(name, "")
        if not text:
            continue
        if found := from_iso(text):
            # Names ending so, and all that are written with a zone, are known; others are wall clocks.
            return (found[0], KNOWN) if name in ("StartUTC", "@timestamp") else found
        if (at := from_clf(text)) is not None:
            return at, KNOWN
        if match := _SECONDS.fullmatch(text):
            return int(match[1]) * 1_000_000 + int((match[2] or "").ljust(6, "0")[:6]), KNOWN
    return None


def _caddy(number: int, held: Mapping[str, str], record: str) -> Event | bool:
    """An event of Caddy: before the headers names are believed; of what is behind them only what is said once."""
    time, address = _time(held), _first(held, _ADDRESSES)
    if time is None or not address or "uri" not in held:
        return False
    later = {name: re.findall(rf"(?m)^{name}: (.*)$", record) for name in ("user_id", "status", "size")}
    user, status, size = (each[0] if len(each) == 1 else "" for each in later.values())
    return Event(
        number,
        *time,
        address,
        "" if user in _NONE else user,
        held.get("method", ""),
        held["uri"],
        status,
        int(size) if size.isascii() and size.isdigit() and len(size) < 19 else None,
        "",
        f"host {held['host']}" if held.get("host") else "",
    )


def _entry(number: int, held: Mapping[str, str], messages: Messages) -> Event | bool:
    """What an entry of a journal tells that was exported as JSON."""
    micros = held[_STARTED]
    if not (micros.isascii() and micros.isdigit() and len(micros) < 18):
        return False
    program = held.get("SYSLOG_IDENTIFIER") or held.get("_COMM", "")
    process = held.get("_PID") or held.get("SYSLOG_PID", "")
    message = held["MESSAGE"].partition("\n")[0]
    return messages.read(Event(number, int(micros), KNOWN), held.get("_HOSTNAME", ""), program, process, message)


def _contained(number: int, line: str, time: tuple[int, str], readers: Iterable[Take]) -> Event | bool:
    """What a line tells that a container wrote; where it says no zone, it is of the time when it was taken down."""
    for take in readers:
        found = take(number, line) if len(line) < _LONGEST // 2 else False
        if isinstance(found, Event):
            return found if found.zone == KNOWN else found._replace(at=time[0], zone=time[1])
    return True


def _samba(number: int, time: tuple[int, str], held: Mapping[str, str]) -> Event:
    """A login that Samba audits as JSON."""
    match = _SAMBA_PEER.fullmatch(held["remoteAddress"])
    domain, user = _first(held, ("clientDomain",)), _first(held, ("clientAccount",))
    good = held.get("status") == "NT_STATUS_OK"
    return Event(
        number,
        *time,
        match[1] if match else "",
        f"{domain}\\{user}" if domain and user else user,
        "login" if good else "login failed",
        "",
        "ok" if good else "failed",
        None,
        "",
        _first(held, ("serviceDescription",)),
    )


def _cloud(number: int, time: tuple[int, str], held: Mapping[str, str]) -> Event:
    """An event of Nextcloud or ownCloud: what the message tells, or else the request."""
    message = held["message"]
    event = Event(
        number,
        *time,
        _first(held, ("remoteAddr",)),
        _first(held, ("user",)),
        _first(held, ("method",)),
        _first(held, ("url",)),
        "",
        None,
        _first(held, ("userAgent",)),
        message,
    )
    match = _MESSAGE.fullmatch(message)
    if not match:
        return event
    if match["deed"]:
        return event._replace(action=_DEEDS[match["deed"]], path=match["first"])
    action = _SIGNS[match["what"]]
    user = match["first"] or event.user
    status = {"login": "ok", "login failed": "failed"}.get(action, "")
    return event._replace(action=action, user=user, address=match["address"] or event.address, path="", status=status)


def _first(held: Mapping[str, str], names: Iterable[str]) -> str:
    return next((held[name] for name in names if held.get(name, "") not in _NONE), "")
