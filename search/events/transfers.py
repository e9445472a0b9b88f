"""What file servers tell in messages: rsync daemons, SFTP of OpenSSH, vsftpd; and who a process works for.

A process names the address once, when a session begins; its later lines get it from there, by host and process id,
and only where they name no other user.

Source: rsync, clientserver.c and log.c (`log format`); OpenSSH, sftp-server.c; vsftpd 3, logging.c.
"""

from __future__ import annotations

import re

from search.events.event import Event

_HELD = 10_000
"""Sessions that are held at a time; the oldest is forgotten first."""
_FAR = r"\S{1,255} \((?P<address>[^()\s]{1,255})\)"
_RSYNC: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(pattern, re.DOTALL), action, status)
    for pattern, action, status in (
        (rf"connect from {_FAR}", "connect", ""),
        (rf"rsync (?:on|to) (?P<path>.*) from (?P<user>[^\s@]{{1,255}})@{_FAR}", "login", "ok"),
        (rf"rsync (?:on|to) (?P<path>.*) from {_FAR}", "connect", "ok"),
        (rf"rsync allowed access on module (?P<path>.*) from {_FAR}", "connect", "ok"),
        (rf"rsync denied on module (?P<path>.*) from {_FAR}", "connect", "failed"),
        (rf"unknown module '(?P<path>.*)' tried from {_FAR}", "connect", "failed"),
        (r"(?P<how>sent \d{1,20} bytes  received \d{1,20} bytes  total size \d{1,20})", "disconnect", ""),
    )
)
_RSYNC_REFUSED = re.compile(
    rf"auth failed on module (?P<path>.{{1,255}}?) from {_FAR}(?:(?: for (?P<user>.*))?: (?P<how>[^:]*))?", re.DOTALL
)
_RSYNC_FILE = re.compile(
    r"(send|recv|del\.) (\S{1,255}) \[([^\[\]\s]{1,255})\] (\S{1,255}) \(([^()]{0,255})\) (.*) (\d{1,18})", re.DOTALL
)
_RSYNC_WAYS = {"send": "download", "recv": "upload", "del.": "delete"}
_SFTP: tuple[tuple[str, re.Pattern[str], str], ...] = tuple(
    (begins, re.compile(pattern, re.DOTALL), action)
    for begins, pattern, action in (
        ("session o", r"session opened for local user (?P<user>.*) from \[(?P<address>[^\[\]\s]+)\]", "connect"),
        ("session c", r"session closed for local user (?P<user>.*) from \[(?P<address>[^\[\]\s]+)\]", "disconnect"),
        ("open ", r'open "(?P<path>.*)" flags (?P<how>\S+) mode 0\d*', "open"),
        ("opendir ", r'opendir "(?P<path>.*)"', "list"),
        ("remove ", r'remove name "(?P<path>.*)"', "delete"),
        ("mkdir ", r'mkdir name "(?P<path>.*)" mode 0\d*', "create folder"),
        ("rmdir ", r'rmdir name "(?P<path>.*)"', "delete folder"),
        ("rename ", r'rename old "(?P<path>.*)" new "(?P<how>.*)"', "rename"),
        ("posix-rename ", r'posix-rename old "(?P<path>.*)" new "(?P<how>.*)"', "rename"),
    )
)
_SFTP_CLOSE = re.compile(r'(?:forced )?close "(.*)" bytes read (\d{1,18}) written (\d{1,18})', re.DOTALL)
_CLIENT = 'Client "'
_VSFTPD = re.compile(
    r"(?:\[([^\]]{0,255})\] )?((?:OK|FAIL) )?([A-Z][A-Za-z ]{1,24}): Client \"([^\"]{1,255})\"(.*)",
    re.ASCII | re.DOTALL,
)
_VSFTPD_FILE = re.compile(r', "(.*)"(?:, (\d{1,18}) bytes)?(?:, [\d.]{1,32}Kbyte/sec)?', re.ASCII | re.DOTALL)
_VSFTPD_WORDS = {"LOGIN": "login", "CONNECT": "connect"}
_VSFTPD_FILELESS = ("LOGIN", "CONNECT", "FTP command", "FTP response")


class Ties:
    """The address and the user that each process works for."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, ...], tuple[str, str]] = {}

    def holds(self, *process: str) -> bool:
        """Whether a process works for somebody."""
        return process in self._held

    def join(self, event: Event, *process: str, ends: tuple[str, ...] = ("logout", "disconnect")) -> Event:
        """The event, with the address and the user that an earlier event of the process named.

        Args:
            ends: the actions after which a process works for nobody.
        """
        address, user = self._held.get(process, ("", ""))
        if event.address:
            known = user if event.address == address and event.action != "connect" else ""
            self._held.pop(process, None)
            self._held[process] = event.address, event.user or known
            if len(self._held) > _HELD:
                del self._held[next(iter(self._held))]
        elif address and (not event.user or not user or event.user == user):
            event = event._replace(address=address, user=event.user or user)
            if event.action == "login":
                self._held[process] = address, event.user
        if event.address and event.action in ends:
            self._held.pop(process, None)
        return event


def read_rsync(event: Event, message: str) -> Event | bool:
    """The event that an rsync daemon tells in a message; True where it tells none."""
    file = _RSYNC_FILE.fullmatch(message)
    if file:
        way, _, address, module, user, path, size = file.groups()
        action, told = _RSYNC_WAYS[way], f"module {module}"
        return event._replace(address=address, user=user, action=action, path=path, size=int(size), detail=told)
    for pattern, action, status in _RSYNC:
        if match := pattern.fullmatch(message):
            return _fill(event, match, action, status)
    if match := _RSYNC_REFUSED.fullmatch(message):
        # The module is one of the server's; the name that was tried stands behind the address.
        return _fill(event, match, "login failed", "failed")
    return True


def read_sftp(event: Event, message: str) -> Event | bool:
    """The event that the SFTP server of OpenSSH tells in a message; True where it tells none."""
    if "close " in message[:16] and (closed := _SFTP_CLOSE.fullmatch(message)):
        path, read, written = closed[1], int(closed[2]), int(closed[3])
        if read and written:
            return event._replace(action="write", path=path, size=written, detail=f"{read} bytes read")
        if read or written:
            return event._replace(action="upload" if written else "download", path=path, size=read or written)
        return True
    for begins, pattern, action in _SFTP:
        if message.startswith(begins) and (match := pattern.fullmatch(message)):
            return _fill(event, match, action, "")
    return True


def read_vsftpd(event: Event, message: str) -> Event | bool:
    """The event that vsftpd tells; False where it is none of its messages."""
    match = _VSFTPD.fullmatch(message)
    if not match:
        return False
    if message.count(_CLIENT) > 1:  # a name or a path says it too: whoever came could write any address there
        return event._replace(action="unclear", detail=message)
    user, result, what, address, rest = match.groups()
    result = (result or "").strip()
    action = _VSFTPD_WORDS.get(what, what.lower())
    status = {"OK": "ok", "FAIL": "failed"}.get(result, "")
    if what == "LOGIN" and result == "FAIL":
        action = "login failed"
    file = None if what in _VSFTPD_FILELESS else _VSFTPD_FILE.fullmatch(rest)
    path, size = (file[1], int(file[2]) if file[2] else None) if file else ("", None)
    detail = "" if file else rest.removeprefix(", ")
    return event._replace(
        address=address, user=user or "", action=action, path=path, status=status, size=size, detail=detail
    )


def _fill(event: Event, match: re.Match[str], action: str, status: str) -> Event:
    held = match.groupdict()
    return event._replace(
        address=held.get("address") or "",
        user=held.get("user") or "",
        action=action,
        path=held.get("path") or "",
        status=status,
        detail=held.get("how") or "",
    )
