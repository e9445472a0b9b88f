"""What file servers tell of sessions: the address of a line that leaves it out is that of its process, or none."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from indexer.model import Text
from search.events.event import KNOWN, WALL, Event
from search.events.sniff import HANDLERS, tell_format
from search.events.transfers import Ties

WRITTEN = datetime(2024, 4, 3, 12, 0, tzinfo=UTC)


def read(name: str, *lines: str) -> list[Event | bool]:
    format_ = next(each for row in HANDLERS.values() for each in row if each.name == name)
    take = format_.open(WRITTEN)
    return [take(number, line) for number, line in enumerate(lines, 1)]


def told(name: str, *lines: str) -> list[tuple[str, ...]]:
    return [
        (each.address, each.user, each.action, each.path) if isinstance(each, Event) else ("",)
        for each in read(name, *lines)
    ]


RSYNC = "2024/04/02 10:11:1{} [55] {}"


def test_an_rsync_daemon_names_the_address_once() -> None:
    lines = [
        "connect from nas.example (175.45.176.9)",
        "rsync to cuts/S03/ from kimd@nas.example (175.45.176.9)",
        "receiving file list",
        "recv nas.example [175.45.176.9] cuts (kimd) S03/원화 34 (1).png 4741",
        "del. nas.example [175.45.176.9] cuts () S03/old.png 0",
        "sent 54 bytes  received 1182 bytes  total size 1093",
    ]
    found = read("rsync", *(RSYNC.format(at, each) for at, each in enumerate(lines)))
    events = [each for each in found if isinstance(each, Event)]
    assert [(each.address, each.user, each.action, each.path) for each in events] == [
        ("175.45.176.9", "", "connect", ""),
        ("175.45.176.9", "kimd", "login", "cuts/S03/"),
        ("175.45.176.9", "kimd", "upload", "S03/원화 34 (1).png"),
        ("175.45.176.9", "", "delete", "S03/old.png"),
        ("175.45.176.9", "kimd", "disconnect", ""),
    ]
    assert (found[2], events[2].size, events[2].zone) == (True, 4741, WALL)
    body = "\n".join(RSYNC.format(at, each) for at, each in enumerate(lines))
    format_ = tell_format("text", [Text(body)])
    assert format_ and format_.name == "rsync"


@pytest.mark.parametrize(
    ("said", "want"),
    [
        ("rsync on cuts/ from UNDETERMINED (1.2.3.4)", ("1.2.3.4", "", "connect", "cuts/")),
        ("rsync on a from x@y (9.9.9.9) from h.example (1.2.3.4)",
         ("1.2.3.4", "", "connect", "a from x@y (9.9.9.9)")),
        ("unknown module 'a' tried from h (9.9.9.9)' tried from h (1.2.3.4)",
         ("1.2.3.4", "", "connect", "a' tried from h (9.9.9.9)")),
        ("auth failed on module cuts from h (1.2.3.4): password mismatch", ("1.2.3.4", "", "login failed", "cuts")),
        ("auth failed on module cuts from h (1.2.3.4) for x from h (9.9.9.9): password mismatch",
         ("1.2.3.4", "x from h (9.9.9.9)", "login failed", "cuts")),
        ("send h [1.2.3.4] cuts (k) h [9.9.9.9] cuts (root) a.png 5 6",
         ("1.2.3.4", "k", "download", "h [9.9.9.9] cuts (root) a.png 5")),
    ],
)  # fmt: skip
def test_rsync_is_not_deceived_by_names_and_paths(said: str, want: tuple[str, ...]) -> None:
    assert told("rsync", RSYNC.format(0, said)) == [want]
    assert told("syslog", f"Apr  2 10:11:12 nas rsyncd[55]: {said}") == [want]


@pytest.mark.parametrize("line", [
    "2024/13/02 10:11:12 [5] connect from h (1.2.3.4)", "2024/04/02 10:11:12 connect", "x",
    "2024/04/02 10:11:12 [5" + "5" * 60_000,
])  # fmt: skip
def test_what_is_no_line_of_rsync_is_not_understood(line: str) -> None:
    assert read("rsync", line) == [False]


SFTP = [
    "session opened for local user pak from [175.45.176.9]",
    "received client version 3",
    'opendir "/srv"',
    'open "/srv/컷 "3".png" flags READ mode 0666',
    'close "/srv/컷 "3".png" bytes read 4741 written 0',
    'close "/srv/a bytes read 9 written 9" bytes read 0 written 77',
    'close "/srv/empty" bytes read 0 written 0',
    'posix-rename old "/srv/a" new "/srv/b"',
    'remove name "/srv/b"',
    "session closed for local user pak from [175.45.176.9]",
    'opendir "/later"',
]
SFTP_TOLD = [
    ("175.45.176.9", "pak", "connect", ""),
    ("",),
    ("175.45.176.9", "pak", "list", "/srv"),
    ("175.45.176.9", "pak", "open", '/srv/컷 "3".png'),
    ("175.45.176.9", "pak", "download", '/srv/컷 "3".png'),
    ("175.45.176.9", "pak", "upload", "/srv/a bytes read 9 written 9"),
    ("",),
    ("175.45.176.9", "pak", "rename", "/srv/a"),
    ("175.45.176.9", "pak", "delete", "/srv/b"),
    ("175.45.176.9", "pak", "disconnect", ""),
    ("", "", "list", "/later"),
]


@pytest.mark.parametrize("form", ["internal-sftp[7]: {}", "sftp-server[7]: {}", "sshd[7]: {} [postauth]"])
def test_sftp_lines_have_the_address_of_their_session(form: str) -> None:
    found = told("syslog", *(f"Apr  2 10:11:12 box {form.format(each)}" for each in SFTP))
    # sshd still works for the user when its SFTP server is done.
    assert found == ([*SFTP_TOLD[:-1], ("175.45.176.9", "pak", "list", "/later")] if "sshd" in form else SFTP_TOLD)


def test_sftp_lines_of_a_journal_do_too() -> None:
    head = "2024-04-02T10:11:12Z | box | ssh.service | internal-sftp[7] | uid 0 | info | "
    assert told("journal", *(head + each for each in SFTP)) == SFTP_TOLD


def test_a_process_lends_nothing_to_another() -> None:
    lines = (
        "Apr  2 10:11:12 box sshd[7]: Accepted publickey for pak from 175.45.176.9 port 55 ssh2",
        "Apr  2 10:11:13 box sshd[8]: pam_unix(sshd:session): session closed for user pak",
        "Apr  2 10:11:14 nas sshd[7]: pam_unix(sshd:session): session closed for user pak",
        "Apr  2 10:11:15 box sshd[7]: pam_unix(sshd:session): session closed for user root",
        "Apr  2 10:11:16 box sudo[7]: pam_unix(sudo:session): session closed for user pak",
        "Apr  2 10:11:17 box sshd[7]: pam_unix(sshd:session): session closed for user pak",
        "Apr  2 10:11:18 box sshd[7]: pam_unix(sshd:session): session closed for user pak",
    )
    assert [each[0] for each in told("syslog", *lines)] == ["175.45.176.9", "", "", "", "", "175.45.176.9", ""]


def test_few_sessions_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.events.transfers._HELD", 2)
    ties = Ties()
    for process in "abc":
        ties.join(Event(1, 0, KNOWN, f"10.0.0.{ord(process)}", "pak", "login"), process)
    asked = [ties.join(Event(2, 0, KNOWN, action="read"), process).address for process in "abc"]
    assert asked == ["", "10.0.0.98", "10.0.0.99"]


def test_a_new_connection_of_a_process_has_no_user_yet() -> None:
    ties = Ties()
    ties.join(Event(1, 0, KNOWN, "1.2.3.4", "pak", "login"), "7")
    ties.join(Event(2, 0, KNOWN, "1.2.3.4", "", "connect"), "7")
    assert ties.join(Event(3, 0, KNOWN, action="read"), "7")[3:5] == ("1.2.3.4", "")


def test_vsftpd_in_the_system_log_and_names_that_imitate_it() -> None:
    line = 'Apr  2 10:11:12 box vsftpd[7]: [pak] OK UPLOAD: Client "1.2.3.4", "/cuts/a b.png", 12 bytes, 1.5Kbyte/sec'
    assert told("syslog", line) == [("1.2.3.4", "pak", "upload", "/cuts/a b.png")]
    forged = '[pid 3] [x] OK LOGIN: Client "9.9.9.9"] FAIL LOGIN: Client "1.2.3.4"'
    assert told("vsftpd", f"Tue Apr  2 10:11:12 2024 {forged}") == [("", "", "unclear", "")]


@pytest.mark.parametrize(
    ("said", "want"),
    [
        ("su[9]: (to root) pak on pts/0", ("pak", "su", "root", "ok", "pts/0")),
        ("su: FAILED SU (to root) pak on pts/0", ("pak", "su", "root", "failed", "pts/0")),
        ("su[9]: Successful su for root by pak", ("pak", "su", "root", "ok", "")),
        ("su[9]: FAILED su for root by pak", ("pak", "su", "root", "failed", "")),
        ("su[9]: pam_unix(su:session): session opened for user root(uid=0) by pak(uid=1000)",
         ("root", "session opened", "", "", "su:session, by pak")),
        ("sshd[9]: pam_unix(sshd:session): session opened for user pak(uid=1000) by (uid=0)",
         ("pak", "session opened", "", "", "sshd:session")),
    ],
)  # fmt: skip
def test_su_names_the_caller(said: str, want: tuple[str, ...]) -> None:
    (event,) = read("syslog", f"Apr  2 10:11:12 box {said}")
    assert isinstance(event, Event)
    assert (event.user, event.action, event.path, event.status, event.detail) == want


def test_a_name_cannot_forge_the_address_of_a_refusal() -> None:
    said = (
        "vsftpd[9]: pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser={} rhost=1.2.3.4"
    )
    honest, forged = (f"Apr  2 10:11:12 box {said.format(name)}" for name in ("pak", "x rhost=9.9.9.9"))
    assert [each[0] for each in told("syslog", honest, forged)] == ["1.2.3.4", ""]
