"""Logs of daemons: xferlog, vsftpd, proftpd, rsync, and the system log with what logins, mail and file servers tell.

The system log tells no year and no zone; the year is the last one in which the day was not after the file was
written, and the event says so. Newer system logs with full times are read too.

Source: xferlog(5); vsftpd 3, logging.c; ProFTPD, SystemLog; OpenSSH, auth.c and session.c; vfs_full_audit(8);
Linux-PAM, pam_unix; RFC 3164; RFC 5424, section 6; Dovecot, login_log_format; Postfix, smtpd(8); Pure-FTPd, log
messages; Samba, auth_log.c.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from ipaddress import ip_address

from search.events.event import NO_YEAR, WALL, Event, Take, from_iso, latest_year, moment, month_number
from search.events.proxies import read_haproxy
from search.events.servers import PROGRAMS, read_server
from search.events.transfers import Ties, read_rsync, read_sftp, read_vsftpd

_CTIME = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) ([A-Z][a-z]{2}) ([ \d]\d) (\d\d):(\d\d):(\d\d) (\d{4})"
_XFER = re.compile(
    rf"{_CTIME} (\d{{1,9}}) (\S{{1,255}}) (\d{{1,18}}) (.{{1,4096}}) [ab] \S{{1,8}} "
    r"([oid]) [agr] (\S{1,255}) \S{1,64} [01] (\S{1,255}) ([ci])",
    re.ASCII,
)
_XFER_WAYS = {"o": "download", "i": "upload", "d": "delete"}
_VSFTPD = re.compile(rf"{_CTIME} \[pid \d+\] (.*)", re.ASCII | re.DOTALL)
_RSYNCD = re.compile(r"(\d{4})/(\d\d)/(\d\d) (\d\d:\d\d:\d\d) \[(\d{1,10})\] (.*)", re.ASCII | re.DOTALL)
_SYSLOG = re.compile(
    r"(?:<\d{1,3}>)?(?:([A-Z][a-z]{2}) ([ \d]\d) (\d\d):(\d\d):(\d\d)|"
    r"(\d{4}-\d\d-\d\d[T ][\d:.,]{8,18}(?:Z|[+-]\d\d:?\d\d)?)) "
    r"(\S{1,255}) ([^\s:\[\]]{1,64})(?:\[(\d{1,10})\])?(?: [^\s:]{1,255})?: ?(.*)",
    re.ASCII,
)
_SYSLOG_FRAME = re.compile(
    r"<\d{1,3}>1 (\d{4}-\d\d-\d\dT[\d:.]{8,18}(?:Z|[+-]\d\d:\d\d)) (\S{1,255}) (\S{1,48}) (\S{1,128}) \S{1,32} "
    r"(?:-|(?:\[[^\"\]]{1,64}(?:\"(?:[^\"\\]|\\.)*\"[^\"\]]{0,64})*\])+)(?: (?:\ufeff)?(.*))?",
    re.ASCII,
)
"""A line as it was sent: a priority, version 1, a full time, structured data before the message."""
_PROFTPD = re.compile(
    r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) (\S{1,255}) proftpd\[\d{1,10}\]:? (\S{1,255}) "
    r"\(([^\[\]()]{0,255})\[([^\[\]]{1,64})\]\):? (.*)",
    re.ASCII,
)
_CLIENT = re.compile(r"\S{1,255} \([^\[\]()]{0,255}\[([^\[\]]{1,64})\]\) ?[-:]? ?(.*)")
_PORT = r"(?: port \d{1,5})?"
_SSH_END = rf"from (?P<address>\S+){_PORT}(?: ssh2?)?(?:: .*)?"
_SSH_LEFT = r"(?:Connection (?:closed|reset) by|Disconnected from|Received disconnect from) "
_SSH_LEAVES = ("Connection ", "Disconnected ", "Received ")
_SSH: tuple[tuple[str | tuple[str, ...], re.Pattern[str], str], ...] = (
    ("Accepted ", re.compile(rf"Accepted (?P<how>\S+) for (?P<user>.*) {_SSH_END}"), "login"),
    ("Failed ", re.compile(rf"Failed (?P<how>\S+) for (?:invalid user )?(?P<user>.*) {_SSH_END}"), "login failed"),
    ("Invalid ", re.compile(rf"Invalid user (?P<user>.*) from (?P<address>\S+){_PORT}"), "unknown user"),
    ("Connection ", re.compile(rf"Connection from (?P<address>\S+){_PORT} on .*"), "connect"),
    (
        _SSH_LEAVES,
        re.compile(rf"{_SSH_LEFT}(?:authenticating |invalid )?user (?P<user>.*) (?P<address>\S+) port \d+.*"),
        "disconnect",
    ),
    (
        _SSH_LEAVES,
        re.compile(rf"{_SSH_LEFT}(?P<address>\S+?){_PORT}(?::(?: ?\d+:)? (?P<how>.*)| \[preauth\])?"),
        "disconnect",
    ),
)
_REPEATED = re.compile(r"message repeated (\d{1,6}) times: \[ ?(?!message repeated )(.*)\]", re.DOTALL)
"""How rsyslog writes what came several times: one event here, which says how often."""
_PAM = re.compile(
    r"pam_\w+\((?P<how>[^)]{1,64})\): session (opened|closed) for user (?P<user>\S+?)(?:\(uid=\d+\))?"
    r"(?: by ([^\s()]{0,255}).*)?"
)
_PAM_FAILED = re.compile(
    r"pam_\w+\((?P<how>[^)]{1,64})\): authentication failure;.* rhost=(?P<address>\S*)(?: {1,2}user=(?P<user>.*))?"
)
_SU = re.compile(
    r"(?:(?P<bad>FAILED SU|FAILED su) |Successful su )?(?:\(to (?P<path>\S+)\) (?P<user>\S+)(?: on (?P<how>\S+))?"
    r"|for (?P<target>\S+) by (?P<caller>\S+))"
)
"""Of both, the user who asks and the one he becomes."""
_FROM_CHILD = " [postauth]"
_TIED = ("sshd", "rsync", "internal-sftp", "sftp-server")
_SSH_BEGINS = ("login", "connect")
"""What a process of sshd says before it works for somebody."""
_NEW_USER = re.compile(r"new user: name=(?P<user>[^,]+),.*")
_FTP_USER = re.compile(
    r"USER (?P<user>.*?)(?: \(Login failed\))?: "
    r"(?P<how>Login successful|Incorrect password|no such user found.*?|Limit .*|Invalid shell.*)\.?"
)
_FAR = r"[^\n]{0,400}?"
_TOLD: tuple[tuple[str, re.Pattern[str], str, str], ...] = tuple(
    (program, re.compile(pattern, re.DOTALL), mark, action)
    for program, mark, action, pattern in (
        ("dovecot", "rip=", "login",
         rf"(?P<how>\w{{1,20}})-login: (?:Info: )?Login: user=<(?P<user>[^<>]*)>, {_FAR}\brip=(?P<address>[^\s,]+).*"),
        ("dovecot", "rip=", "login failed",
         rf"(?P<how>\w{{1,20}})-login: {_FAR}\bauth failed{_FAR}: user=<(?P<user>[^<>]*)>, {_FAR}"
         r"\brip=(?P<address>[^\s,]+).*"),
        ("postfix/", "client=", "login",
         r"\w{5,20}: client=[^\s\[]*\[(?P<address>[^\]\s]+)\], sasl_method=(?P<how>[^\s,]+), "
         r"sasl_username=(?P<user>[^\s,]+).*"),
        ("postfix/", "]: SASL ", "login failed",
         rf"warning: [^\s\[]*\[(?P<address>[^\]\s]+)\]: SASL (?P<how>\S+) authentication failed"
         rf"(?:{_FAR}sasl_username=(?P<user>\S+)|.*)"),
        ("pure-ftpd", "@", "login",
         r"\([^@\s]*@(?P<address>[^)\s]+)\) \[\w+\] (?P<user>.+) is now logged in"),
        ("pure-ftpd", ") [", "login failed",
         r"\([^@\s]*@(?P<address>[^)\s]+)\) \[\w+\] Authentication failed for user \[(?P<user>.*)\]"),
        ("pure-ftpd", ") [", "upload",
         r"\((?P<user>[^@\s]*)@(?P<address>[^)\s]+)\) \[\w+\] (?P<path>/.*) uploaded {1,2}\((?P<how>\d+ bytes).*\)"),
        ("pure-ftpd", ") [", "download",
         r"\((?P<user>[^@\s]*)@(?P<address>[^)\s]+)\) \[\w+\] (?P<path>/.*) downloaded {1,2}\((?P<how>\d+ bytes).*\)"),
        ("smbd", "remote host [", "login",
         rf"\s*Auth: \[(?P<how>[^\]]*)\] user \[[^\]]*\]\\\[(?P<user>[^\]]*)\] {_FAR}status \[NT_STATUS_OK\] {_FAR}"
         r"remote host \[ipv[46]:(?P<address>[\da-fA-F.:]+):\d+\].*"),
        ("smbd", "remote host [", "login failed",
         rf"\s*Auth: \[(?P<how>[^\]]*)\] user \[[^\]]*\]\\\[(?P<user>[^\]]*)\] {_FAR}status \[NT_STATUS_(?!OK\])\w+\] "
         rf"{_FAR}remote host \[ipv[46]:(?P<address>[\da-fA-F.:]+):\d+\].*"),
    )
)  # fmt: skip
"""What mail servers, pure-ftpd and Samba tell: program, message, and a mark that stands in it once.

Where the mark stands more often, a name that somebody tried may hold it, and the address is not believed."""
_TELLERS = tuple(dict.fromkeys(name for name, *_ in _TOLD))
_OPERATION = re.compile(r"[a-z_]{2,40}")


def open_xferlog(written: datetime | None) -> Take:
    """A reader of transfer logs; their times are local."""

    def take(number: int, line: str) -> Event | bool:
        match = _XFER.fullmatch(line)
        at = _ctime(match) if match else None
        if not match or at is None:
            return False
        _, address, size, path, way, user, identity, state = match.groups()[6:]
        detail = f"authenticated as {identity}" if identity not in ("*", user) else ""
        status = "ok" if state == "c" else "incomplete"
        return Event(number, at, WALL, address, user, _XFER_WAYS[way], path, status, int(size), "", detail)

    return take


def open_vsftpd(written: datetime | None) -> Take:
    """A reader of vsftpd's own log; its times are local."""

    def take(number: int, line: str) -> Event | bool:
        match = _VSFTPD.fullmatch(line)
        at = _ctime(match) if match else None
        return False if not match or at is None else read_vsftpd(Event(number, at, WALL), match[7])

    return take


def open_rsyncd(written: datetime | None) -> Take:
    """A reader of the log of an rsync daemon; its times are local."""
    ties = Ties()

    def take(number: int, line: str) -> Event | bool:
        match = _RSYNCD.fullmatch(line)
        time = from_iso(f"{match[1]}-{match[2]}-{match[3]} {match[4]}") if match else None
        if not match or time is None:
            return False
        told = read_rsync(Event(number, *time), match[6])
        return ties.join(told, match[5]) if isinstance(told, Event) else told

    return take


def open_proftpd(written: datetime | None) -> Take:
    """A reader of ProFTPD's own log; its times are local."""

    def take(number: int, line: str) -> Event | bool:
        match = _PROFTPD.fullmatch(line)
        time = from_iso(match[1]) if match else None
        if not match or time is None:
            return False
        return _proftpd(Event(number, *time, match[5]), match[6])

    return take


def open_syslog(written: datetime | None) -> Take:
    """A reader of system logs: lines of other programs are understood, and hold no event."""
    messages = Messages()

    def take(number: int, line: str) -> Event | bool:
        match = _SYSLOG.fullmatch(line)
        if not match:
            frame = _SYSLOG_FRAME.fullmatch(line)
            time = from_iso(frame[1]) if frame else None
            if not frame or not time:
                return False
            return messages.read(Event(number, *time), frame[2], frame[3], frame[4], frame[5] or "")
        month, day, hour, minute, second, full, host, program, process, message = match.groups()
        zone = NO_YEAR
        if full:
            time = from_iso(full)
            if time is None:
                return False
            at, zone = time
        else:
            year = latest_year(written, month_number(month), int(day)) if written and month_number(month) else None
            held = moment(year, month_number(month), int(day), int(hour), int(minute), int(second)) if year else None
            if held is None:
                return False
            at = held
        return messages.read(Event(number, at, zone), host, program, process or "", message)

    return take


class Messages:
    """Reads messages of programs one after the other: what a session said at its beginning holds to its end."""

    def __init__(self) -> None:
        self._ties = Ties()

    def read(self, event: Event, host: str, program: str, process: str, message: str) -> Event | bool:
        """The event that a program tells in a message; True where it tells none.

        Args:
            event: its place and time.
            process: its id; empty where it is not known.
        """
        told = read_message(event, program, message)
        if told is True or not process or not isinstance(told, Event) or not program.startswith(_TIED):
            return told
        if not program.startswith("sshd"):
            return self._ties.join(told, host, program, process)
        if told.address and told.action not in _SSH_BEGINS:
            return told
        # Its connection ends before its session does.
        return self._ties.join(told, host, program, process, ends=("logout",))


def read_message(event: Event, program: str, message: str) -> Event | bool:
    """The event that a program tells in a message; True where it tells none.

    Args:
        event: its place and time.
    """
    if message.startswith("message repeated ") and (again := _REPEATED.fullmatch(message)):
        told = read_message(event, program, again[2])
        repeated = f"repeated {again[1]} times"
        return told._replace(detail=f"{told.detail}, {repeated}".strip(", ")) if isinstance(told, Event) else told
    if program.startswith("sshd"):
        for begins, pattern, action in _SSH:
            if message.startswith(begins) and (match := pattern.fullmatch(message)):
                return _fill(event, match, action, "failed" if "failed" in action else "")
        if message.endswith(_FROM_CHILD):
            # A login that sees no socket of the system log has its SFTP server tell sshd.
            return read_sftp(event, message.removesuffix(_FROM_CHILD))
    if begin := _BEGINS.get(program[:4]):
        name, told_by = begin
        return told_by(event, program, message) if program.startswith(name) else True
    if program == "su" and (match := _SU.fullmatch(message)):
        good = not match["bad"]
        return _fill(event, match, "su", "ok" if good else "failed")
    if program.startswith(("smbd", "audit")) and message.count("|") >= 3:
        return _samba(event, message)
    if program.startswith("proftpd"):
        match = _CLIENT.fullmatch(message)
        return _proftpd(event._replace(address=match[1]), match[2]) if match else True
    if program.startswith(_TELLERS):
        for name, pattern, mark, action in _TOLD:
            if program.startswith(name) and (match := pattern.fullmatch(message)):
                told = _fill(event, match, action, "failed" if action == "login failed" else "ok")
                return told if message.count(mark) == 1 else told._replace(address="")
    if message.startswith("pam_"):
        return _signed(event, message, program) or True
    if program == "sudo":
        user, colon, rest = message.strip().partition(" : ")
        _, found, command = rest.partition(" ; COMMAND=")
        return event._replace(user=user, action="sudo", path=command) if colon and found else True
    if program.startswith(("useradd", "adduser")) and (match := _NEW_USER.fullmatch(message)):
        return _fill(event, match, "account created")
    return True


def _signed(event: Event, message: str, program: str = "") -> Event | None:
    """What PAM tells through a program."""
    if match := _PAM.fullmatch(message):
        # sshd tells of its logins itself, with the address.
        action = "session opened" if match[2] == "opened" else "logout"
        told = _fill(event, match, action)
        return told._replace(detail=f"{told.detail}, by {match[4]}") if match[4] else told
    if program != "sshd" and (match := _PAM_FAILED.fullmatch(message)):
        told = _fill(event, match, "login failed", "failed")
        return told if message.count("rhost=") == 1 else told._replace(address="")
    return None


def _vsftpd(event: Event, program: str, message: str) -> Event | bool:
    return _signed(event, message) or read_vsftpd(event, message) or True


_BEGINS: dict[str, tuple[str, Callable[[Event, str, str], Event | bool]]] = {
    "inte": ("internal-sftp", lambda event, _, message: read_sftp(event, message)),
    "sftp": ("sftp-server", lambda event, _, message: read_sftp(event, message)),
    "rsyn": ("rsync", lambda event, _, message: read_rsync(event, message)),
    "hapr": ("haproxy", lambda event, _, message: read_haproxy(event, message)),
    "vsft": ("vsftpd", _vsftpd),
    **{name[:4]: (name, read_server) for name in PROGRAMS},
}
"""Programs by the first letters of their names, and what reads their messages."""


def _fill(event: Event, match: re.Match[str], action: str, status: str = "") -> Event:
    held = {name: (value or "").strip() for name, value in match.groupdict().items()}
    return event._replace(
        address=held.get("address", ""),
        user=held.get("user") or held.get("caller", ""),
        action=action,
        path=held.get("path") or held.get("target", ""),
        status=status,
        detail=held.get("how", ""),
    )


def _proftpd(event: Event, message: str) -> Event | bool:
    match = _FTP_USER.fullmatch(message)
    if match:
        good = match["how"] == "Login successful"
        action, status = ("login", "ok") if good else ("login failed", "failed")
        return event._replace(user=match["user"], action=action, status=status, detail=match["how"])
    if message.startswith("FTP session opened"):
        return event._replace(action="connect")
    if message.startswith("FTP session closed"):
        return event._replace(action="disconnect")
    return True


def _samba(event: Event, message: str) -> Event | bool:
    """`prefix|operation|result|file`, the prefix being what smb.conf says: users, addresses and shares in any order."""
    parts = message.split("|")
    for at in range(2, len(parts)):
        if (parts[at] == "ok" or parts[at].startswith("fail (")) and _OPERATION.fullmatch(parts[at - 1]):
            break
    else:
        return True
    prefix, operation, rest = parts[: at - 1], parts[at - 1], parts[at + 1 :]
    address = next((each for each in prefix if _is_address(each)), "")
    others = [each for each in prefix if each != address]
    good = parts[at] == "ok"
    if operation == "connect":
        action, path = "login" if good else "login failed", ""
    elif operation == "disconnect":
        action, path = "logout", ""
    else:
        action = operation
        path = rest[-1] if operation in ("open", "openat", "create_file") and rest else "|".join(rest)
    detail = " ".join([*others[1:], *(rest if not path else rest[:-1] if path == rest[-1] else [])])
    status = "ok" if good else parts[at]
    return event._replace(
        address=address, user=others[0] if others else "", action=action, path=path, status=status, detail=detail
    )


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _ctime(match: re.Match[str]) -> int | None:
    month, day, hour, minute, second, year = match.groups()[:6]
    return moment(int(year), month_number(month), int(day), int(hour), int(minute), int(second))
