"""Events of logs: every format, good, broken and hostile; counts against plain Python; what repeats counts once."""

from __future__ import annotations

import json
import os
import random
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.runs import ingest_sources, limits_of
from indexer.errors import StoreError, UsageError
from indexer.model import Source, Text
from search.case import Case
from search.events.ask import addresses, events, logins, logs, sessions
from search.events.choose import Choice, read_gap, read_time
from search.events.event import KNOWN, NO_YEAR, WALL, Event, Format, from_clf, from_iso, latest_year
from search.events.sniff import HANDLERS, LONGEST, tell_format, units_of
from search.events.store import FILE
from search.events.touching import touched
from search.exporting import TABLES, export
from search.report import Report

calmly = settings(max_examples=100)
FIXTURES = Path(__file__).parents[2] / "fixtures"
WRITTEN = datetime(2024, 4, 3, 12, 0, tzinfo=UTC)
COMBINED = (
    '175.45.176.9 - pak [02/Apr/2024:00:07:41 +0800] "GET /cuts/S03E05_C034%20v2.png?x=1 HTTP/1.1" 200 4741 '
    '"-" "Mozilla/5.0 (X11)"'
)
IIS = """#Software: Microsoft Internet Information Services 10.0
#Version: 1.0
#Date: 2024-04-02 00:00:00
#Fields: date time cs-method cs-uri-stem cs-uri-query cs-username c-ip cs(User-Agent) sc-status sc-bytes time-taken
2024-04-02 00:00:01 GET /a.png v=2 kimd 1.2.3.4 Mozilla/5.0+(X) 200 77 15
2024-04-02 00:00:02 PASS - - kimd 1.2.3.4 - 530 - 15
"""
NEXTCLOUD = {
    "reqId": "a1", "level": 1, "time": "2024-04-02T10:11:12+08:00", "remoteAddr": "175.45.176.9", "user": "--",
    "app": "admin_audit", "method": "POST", "url": "/login", "message": 'Login successful: "kimd"',
    "userAgent": "Mozilla/5.0", "version": "27.1",
}  # fmt: skip


def format_named(name: str) -> Format:
    return next(each for row in HANDLERS.values() for each in row if each.name == name)


def read(name: str, *lines: str) -> list[Event | bool]:
    take = format_named(name).open(WRITTEN)
    return [take(number, line) for number, line in enumerate(lines, 1)]


def one(name: str, line: str) -> Event:
    (found,) = read(name, line)
    assert isinstance(found, Event), found
    return found


def at(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * 1_000_000  # type: ignore[misc]


# -- lines -------------------------------------------------------------------------------------


def test_combined_lines_are_whole() -> None:
    found = one("access", COMBINED)
    want = ("175.45.176.9", "pak", "GET", "/cuts/S03E05_C034%20v2.png?x=1", "200", 4741, "Mozilla/5.0 (X11)", "")
    assert found[3:] == want
    assert (found.at, found.zone) == (at(2024, 4, 1, 16, 7, 41), KNOWN)


@pytest.mark.parametrize(
    ("line", "want"),
    [
        ('::1 - - [02/Apr/2024:00:07:41 +0000] "GET /a HTTP/1.0" 304 -', ("::1", "", "GET", "/a", "304", None, "", "")),
        (
            'www.x.example:443 1.2.3.4 - 김 [02/Apr/2024:00:07:41 +0000] "GET / HTTP/2.0" 200 5 "https://r/" "c" 0.01',
            ("1.2.3.4", "김", "GET", "/", "200", 5, "c", "host www.x.example:443; from https://r/"),
        ),
        (
            r'1.2.3.4 - - [02/Apr/2024:00:07:41 +0000] "\x16\x03\x01" 400 0 "-" "-"',
            ("1.2.3.4", "", "", "", "400", 0, "", r"\x16\x03\x01"),
        ),
        (
            '1.2.3.4 UNKNOWN kimd [02/Apr/2024:00:07:41 +0000] "PASS (hidden)" 230 -',
            ("1.2.3.4", "kimd", "login", "(hidden)", "230", None, "", ""),
        ),
        (
            r'1.2.3.4 - - [02/Apr/2024:00:07:41 +0000] "GET /a\"b HTTP/1.1" 200 5 "-" "\"[01/Jan/2000:00:00:00 +0000]"',
            ("1.2.3.4", "", "GET", r"/a\"b", "200", 5, r"\"[01/Jan/2000:00:00:00 +0000]", ""),
        ),
    ],
)
def test_access_lines_of_other_forms(line: str, want: tuple[object, ...]) -> None:
    assert one("access", line)[3:] == want


@pytest.mark.parametrize(
    "line",
    [
        "",
        "nothing of this kind",
        COMBINED.replace("02/Apr", "31/Apr"),
        COMBINED.replace("00:07:41", "24:07:41"),
        COMBINED.replace('" 200', " 200"),
        COMBINED.replace("200 4741", "200 many"),
        COMBINED[:60],
        "\x1b]0;x\x07" + "[" * 3000,
        "1.2.3.4 - " + "[02/Apr/2024:00:07:41 +0000] " * 2000,
        "1.2.3.4 - - [02/Apr/2024:00:07:41 +0000] " + '"\\' * 20_000,
    ],
)
def test_what_is_no_access_line_is_not_understood(line: str) -> None:
    assert read("access", line) == [False]


def test_a_user_cannot_forge_a_time() -> None:
    found = one("access", COMBINED.replace(" pak ", " x [01/Jan/2000:00:00:00 +0000] "))
    assert (found.user, found.at) == ("x [01/Jan/2000:00:00:00 +0000]", at(2024, 4, 1, 16, 7, 41))


def test_w3c_fields_say_what_stands_where() -> None:
    found = read("w3c", *IIS.splitlines())
    assert found[:4] == [True] * 4
    first, second = found[4:]
    assert isinstance(first, Event) and isinstance(second, Event)
    assert first[3:] == ("1.2.3.4", "kimd", "GET", "/a.png?v=2", "200", 77, "Mozilla/5.0 (X)", "")
    assert (first.at, first.zone, second.action) == (at(2024, 4, 2, 0, 0, 1), KNOWN, "login failed")
    assert read("w3c", "2024-04-02 00:00:01 GET /") == [False]
    tabs = read("w3c", "#Fields: date time c-ip cs-method", "2024-04-02\t00:00:01\t1.2.3.4\tGET")[1]
    assert isinstance(tabs, Event) and tabs[3:6] == ("1.2.3.4", "", "GET")


def test_transfer_logs() -> None:
    line = "Tue Apr  2 10:11:12 2024 3 175.45.176.7 12345 /srv/a b.png b _ {} r kimd ftp 0 * {}"
    found = one("xferlog", line.format("o", "c"))
    assert found[3:9] == ("175.45.176.7", "kimd", "download", "/srv/a b.png", "ok", 12345)
    assert (found.at, found.zone) == (at(2024, 4, 2, 10, 11, 12), WALL)
    assert one("xferlog", line.format("i", "i"))[5:8] == ("upload", "/srv/a b.png", "incomplete")
    assert read("xferlog", line.format("x", "c"), line.replace("Apr", "Apx").format("o", "c")) == [False, False]


@pytest.mark.parametrize(
    ("name", "line", "want"),
    [
        (
            "nginx-error",
            '2024/04/01 10:00:00 [error] 123#0: *5 open() "/srv/x" failed (2: No such file or directory), '
            'client: 175.45.176.8, server: _, request: "GET /cuts/C1.png HTTP/1.1", host: "salt.example"',
            (
                "175.45.176.8",
                "GET",
                "/cuts/C1.png",
                "error",
                'open() "/srv/x" failed (2: No such file or directory)',
                0,
            ),
        ),
        (
            "apache-error",
            "[Mon Apr 01 10:00:00.123456 2024] [core:error] [pid 1:tid 7] [client 175.45.176.8:4321] AH1: no such file",
            ("175.45.176.8", "error", "", "error", "AH1: no such file", 123456),
        ),
        (
            "apache-error",
            "[Mon Apr 01 10:00:00.000000 2024] [core:warn] [pid 1] [client 2001:db8::7:4321] no",
            ("2001:db8::7", "error", "", "warn", "no", 0),
        ),
        (
            "apache-error",
            "[Mon Apr 01 10:00:00 2024] [error] [client 2001:db8::7] File does not exist: /srv/x",
            ("2001:db8::7", "error", "", "error", "File does not exist: /srv/x", 0),
        ),
    ],
)
def test_error_logs_of_web_servers(name: str, line: str, want: tuple[object, ...]) -> None:
    (event,) = read(name, line)
    assert isinstance(event, Event)
    said = (event.address, event.action, event.path, event.status, event.detail)
    start = int(datetime(2024, 4, 1, 10, tzinfo=UTC).timestamp()) * 1_000_000
    assert (*said, event.at - start, event.zone) == (*want, WALL)
    told = tell_format("text", [Text(line + "\n", "line 1")])
    assert told and told.name == name


@pytest.mark.parametrize(
    ("line", "want"),
    [
        ("dovecot: imap-login: Login: user=<pak@salt.example>, method=PLAIN, rip=175.45.176.8, lip=10.0.0.2, TLS",
         ("175.45.176.8", "pak@salt.example", "login", "", "ok")),
        ("dovecot: pop3-login: Disconnected (auth failed, 2 attempts in 9 secs): user=<pak>, method=PLAIN, "
         "rip=175.45.176.8, lip=10.0.0.2", ("175.45.176.8", "pak", "login failed", "", "failed")),
        ("dovecot: imap-login: Disconnected (auth failed, 1 attempts): user=<a, rip=9.9.9.9>, rip=175.45.176.8, x",
         ("", "a, rip=9.9.9.9", "login failed", "", "failed")),
        ("postfix/smtpd[7]: 9C1A212345: client=mail.example[175.45.176.8], sasl_method=LOGIN, sasl_username=pak",
         ("175.45.176.8", "pak", "login", "", "ok")),
        ("postfix/smtpd[7]: warning: unknown[175.45.176.8]: SASL LOGIN authentication failed: UGFzc3dvcmQ6",
         ("175.45.176.8", "", "login failed", "", "failed")),
        ("pure-ftpd: (?@175.45.176.8) [INFO] pak is now logged in", ("175.45.176.8", "pak", "login", "", "ok")),
        ("pure-ftpd: (?@175.45.176.8) [WARNING] Authentication failed for user [pak]",
         ("175.45.176.8", "pak", "login failed", "", "failed")),
        ("pure-ftpd: (pak@175.45.176.8) [NOTICE] /srv/원화/컷 34.png uploaded  (1234 bytes, 56.78KB/sec)",
         ("175.45.176.8", "pak", "upload", "/srv/원화/컷 34.png", "ok")),
        (r"smbd[5]: Auth: [SMB2,(null)] user [STUDIO]\[pak] at [Mon, 01 Apr 2024 10:00:00.1 KST] with [NTLMv2] status "
         r"[NT_STATUS_OK] workstation [PC7] remote host [ipv4:175.45.176.8:50212] became [STUDIO]\[pak] [S-1-5-21-7].",
         ("175.45.176.8", "pak", "login", "", "ok")),
        (r"smbd[5]: Auth: [SMB2,(null)] user [STUDIO]\[pak] at [x] with [NTLMv2] status [NT_STATUS_WRONG_PASSWORD] "
         r"workstation [PC7] remote host [ipv4:175.45.176.8:50212] mapped to [STUDIO]\[pak].",
         ("175.45.176.8", "pak", "login failed", "", "failed")),
    ],
)  # fmt: skip
def test_mail_servers_ftp_and_samba_tell_of_logins_in_the_system_log(line: str, want: tuple[str, ...]) -> None:
    assert one("syslog", f"Apr  2 10:11:12 box {line}")[3:8] == want


def test_an_address_that_the_client_could_write_itself_is_not_believed() -> None:
    told = ', client: 9.9.9.9, server: x" failed, client: 175.45.176.8, server: _, request: "GET /a HTTP/1.1"'
    (event,) = read("nginx-error", f'2024/04/01 10:00:00 [error] 7#0: *5 open() "/srv/a{told}')
    assert isinstance(event, Event)
    assert (event.address, event.path) == ("", "")
    assert "9.9.9.9" in event.detail
    assert "175.45.176.8" in event.detail


def test_lines_of_error_logs_without_a_client_are_no_events() -> None:
    assert read("nginx-error", "2024/04/01 10:00:00 [notice] 1#1: start worker process 7", "2024/13/01 x") == [
        True,
        False,
    ]
    said = "[Mon Apr 01 10:00:00.123456 2024] [mpm_event:notice] [pid 1:tid 2] AH00489: resuming normal operations"
    assert read("apache-error", said, "[Mon Apr 31 10:00:00 2024] [error] x") == [True, False]


def test_vsftpd() -> None:
    head = "Tue Apr  2 10:11:12 2024 [pid 3] "
    assert one("vsftpd", head + 'CONNECT: Client "::ffff:1.2.3.4"')[3:6] == ("::ffff:1.2.3.4", "", "connect")
    assert one("vsftpd", head + '[kimd] OK LOGIN: Client "1.2.3.4"')[3:8] == ("1.2.3.4", "kimd", "login", "", "ok")
    assert one("vsftpd", head + '[kimd] FAIL LOGIN: Client "1.2.3.4"').action == "login failed"
    found = one("vsftpd", head + '[kimd] OK DOWNLOAD: Client "1.2.3.4", "/cuts/a "b".png", 123 bytes, 9.1Kbyte/sec')
    assert (found.action, found.path, found.size) == ("download", '/cuts/a "b".png', 123)


def test_proftpd() -> None:
    head = "2024-04-02 10:11:12,123 nas proftpd[55] nas (c.example[175.45.176.9]): "
    found = read("proftpd", *(head + each for each in (
        "FTP session opened.", "USER kimd: Login successful.", "USER kimd (Login failed): Incorrect password.", "other",
    )))  # fmt: skip
    assert [each.action if isinstance(each, Event) else each for each in found] == [
        "connect",
        "login",
        "login failed",
        True,
    ]
    assert isinstance(found[1], Event) and found[1][3:5] == ("175.45.176.9", "kimd")


SSH = "Apr  2 10:11:12 box sshd[55]: "


@pytest.mark.parametrize(
    ("line", "want"),
    [
        (SSH + "Accepted publickey for pak from 1.2.3.4 port 55 ssh2: RSA SHA256:x", ("1.2.3.4", "pak", "login")),
        (SSH + "Failed password for invalid user a b from 1.2.3.4 port 5 ssh2", ("1.2.3.4", "a b", "login failed")),
        (
            SSH + "Failed password for invalid user x from 9.9.9.9 port 1 ssh2 from 1.2.3.4 port 5 ssh2",
            ("1.2.3.4", "x from 9.9.9.9 port 1 ssh2", "login failed"),
        ),
        (SSH + "Invalid user admin from 1.2.3.4 port 55", ("1.2.3.4", "admin", "unknown user")),
        (SSH + "Disconnected from user pak 1.2.3.4 port 55", ("1.2.3.4", "pak", "disconnect")),
        (SSH + "Connection closed by 1.2.3.4 [preauth]", ("1.2.3.4", "", "disconnect")),
        (SSH + "Received disconnect from 1.2.3.4 port 5:11: bye", ("1.2.3.4", "", "disconnect")),
        (SSH + "Connection closed by invalid user a b 1.2.3.4 port 5 [preauth]", ("1.2.3.4", "a b", "disconnect")),
        (SSH + "pam_unix(sshd:session): session closed for user pak", ("", "pak", "logout")),
        ("Apr  2 10:11:12 box sudo:   pak : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/ls", ("", "pak", "sudo")),
        (
            "Apr  2 10:11:12 nas smbd_audit: STUDIO\\kimd|10.0.0.5|cuts|pread|ok|S03E05|C034.png",
            ("10.0.0.5", "STUDIO\\kimd", "pread", "S03E05|C034.png", "ok"),
        ),
        (
            "Apr  2 10:11:12 nas smbd_audit[5]: kimd|10.0.0.5|open|fail (No such file or directory)|r|a b.png",
            ("10.0.0.5", "kimd", "open", "a b.png", "fail (No such file or directory)"),
        ),
        ("Apr  2 10:11:12 nas smbd_audit: kimd|10.0.0.5|connect|ok|cuts", ("10.0.0.5", "kimd", "login", "", "ok")),
        (
            "2024-04-02T10:11:12.5+08:00 box sshd-session[5]: Accepted password for 박 from ::1 port 5 ssh2",
            ("::1", "박", "login"),
        ),
    ],
)
def test_system_logs(line: str, want: tuple[object, ...]) -> None:
    found = one("syslog", line)
    assert found[3 : 3 + len(want)] == want
    local = (at(2024, 4, 2, 10, 11, 12), NO_YEAR)
    assert (found.at, found.zone) == (local if line[0] == "A" else (at(2024, 4, 2, 2, 11, 12) + 500_000, KNOWN))


@pytest.mark.parametrize("data", ["-", '[meta seq="1"]', '[a@1 b="x \\"]\\" y" c=""][d@2]'])
def test_system_logs_as_they_are_sent(data: str) -> None:
    head = f"<38>1 2024-04-02T10:11:12.5+08:00 gate sshd 99 - {data} "
    found = one("syslog", head + "Accepted password for yun from 203.0.113.9 port 22 ssh2")
    assert (found.at, found.zone) == (at(2024, 4, 2, 2, 11, 12) + 500_000, KNOWN)
    assert found[3:6] == ("203.0.113.9", "yun", "login")
    assert read("syslog", head + "\ufeffsomething else", head.rstrip()) == [True] * 2
    assert read("syslog", head.replace("<38>1", "<38>2") + "x", head.replace("+08:00", "") + "x") == [False] * 2


def test_other_lines_of_a_system_log_are_understood_and_no_events() -> None:
    assert read("syslog", "Apr  2 10:11:12 box CRON[5]: (root) CMD (x)", "Apr  2 10:11:12 box kernel: x") == [True] * 2
    assert read("syslog", "Apr 31 10:11:12 box CRON[5]: x", "x", "Xyz  2 10:11:12 box a: b") == [False] * 3


def test_a_year_is_the_last_that_fits() -> None:
    assert latest_year(WRITTEN, 4, 4) == 2024
    assert latest_year(WRITTEN, 4, 5) == 2023
    assert latest_year(WRITTEN, 12, 31) == 2023
    assert latest_year(datetime(2023, 6, 1, tzinfo=UTC), 2, 29) == 2020
    assert latest_year(WRITTEN, 2, 30) is None


def flat(*records: dict[str, object]) -> str:
    return "\n".join(f"{key}: {value}" for record in records for key, value in record.items())


def test_records_of_nextcloud() -> None:
    found = one("json", flat(NEXTCLOUD))
    assert found[3:9] == ("175.45.176.9", "kimd", "login", "", "ok", None)
    assert (found.at, found.zone) == (at(2024, 4, 2, 2, 11, 12), KNOWN)
    deed = {**NEXTCLOUD, "user": "kimd", "message": 'File with id "5" written to: "/cuts/a "b".png"'}
    assert one("json", flat(deed))[4:7] == ("kimd", "write", '/cuts/a "b".png')
    failed = {**NEXTCLOUD, "message": 'Login failed: "admin" (Remote IP: "203.0.113.5")'}
    assert one("json", flat(failed))[3:8] == ("203.0.113.5", "admin", "login failed", "", "failed")


def test_records_of_web_servers() -> None:
    nginx = {"time_local": "02/Apr/2024:00:07:41 +0800", "remote_addr": "1.2.3.4", "remote_user": "-",
             "request": "GET /a HTTP/1.1", "status": 200, "body_bytes_sent": "12",
             "http_user_agent": "curl"}  # fmt: skip
    assert one("json", flat(nginx))[1:] == (
        at(2024, 4, 1, 16, 7, 41), KNOWN, "1.2.3.4", "", "GET", "/a", "200", 12, "curl", "",
    )  # fmt: skip
    caddy = "level: info\nts: 1712016000.25\nrequest:\nremote_ip: 1.2.3.4\nmethod: GET\nuri: /a\nstatus: 200\nsize: 5"
    assert one("json", caddy)[1:9] == (1_712_016_000_250_000, KNOWN, "1.2.3.4", "", "GET", "/a", "200", 5)
    assert read("json", "name: x\nversion: 1", "time: never\nremote_addr: 1.2.3.4\nuri: /") == [False, False]


def test_event_logs_of_windows() -> None:
    record = (
        "2024-04-02T10:11:12.5Z | Security | event 4624 (logon) | Microsoft-Windows-Security-Auditing | PC | S-1-5\n"
        "user STUDIO\\kimd, from 1.2.3.4\nTargetUserName: kimd\nTargetDomainName: STUDIO\nLogonType: 10\n"
        "IpAddress: 1.2.3.4\nWorkstationName: PC7"
    )
    found = one("evtx", record)
    assert found[3:6] == ("1.2.3.4", "STUDIO\\kimd", "login")
    assert "logon type 10" in found.detail
    assert one("evtx", record.replace("4624 (logon)", "4625 (logon failed)"))[5:8] == ("login failed", "", "failed")
    assert read("evtx", record.replace("4624 (logon)", "7036 (service changed state)"), "x") == [True, False]


def test_entries_of_a_journal_are_told_by_the_rules_of_system_logs() -> None:
    head = "2024-03-01T08:00:01.5Z | kumo | ssh.service | "
    found = one("journal", f"{head}sshd[401] | uid 0 | info | Accepted publickey for kim from 10.0.0.7 port 50122 ssh2")
    assert (found.at, found.zone) == (at(2024, 3, 1, 8, 0, 1) + 500_000, KNOWN)
    assert found[3:] == ("10.0.0.7", "kim", "login", "", "", None, "", "publickey")
    found = one("journal", f"{head}sudo[9] | notice | kim : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/cat a | b")
    assert found[4:7] == ("kim", "sudo", "/bin/cat a | b")
    found = one(
        "journal", "2024-03-01T08:00:01Z | sshd-session | uid 0 | Failed password for x from 1.2.3.4 port 5 ssh2"
    )
    assert found[3:6] == ("1.2.3.4", "x", "login failed")
    others = (
        f"{head}render[7] | uid 1 | info | sshd[1] | Accepted",
        "(no time) | kumo",
        "_BOOT_ID=1",
        "x | sshd[1] | y",
    )
    assert read("journal", *others) == [True, True, True, False]


def test_records_of_logins() -> None:
    lines = (
        "2024-03-01T08:00:00Z | boot | reboot | on ~ | from 6.1.0",
        "2024-03-01T08:01:00Z | login | kim | on pts/0 | from build.example | 10.0.0.7 | pid 4060",
        "2024-03-01T08:10:00Z | logout | on pts/0 | pid 4600",
        "2024-03-01T08:11:00Z | logout | on pts/0 | pid 4600",
        "2024-03-01T08:12:00Z | failed login | x | on pts/9 | from 9.9.9.9 | on ssh:notty | from 203.0.113.9 | pid 5",
        "2024-03-01T08:13:00Z | login | lee | on tty1 | pid 6",
        "2024-03-01T08:14:00Z | run level | shutdown | on ~ | from 6.1.0",
        "2024-03-01T08:15:00Z | boot | reboot | on ~ | from 6.1.0",
        "2024-03-01T08:16:00Z | logout | on tty1 | pid 6",
        "2024-03-01T08:17:00Z | last login | uid 1000 | on pts/0 | from 10.0.0.7",
    )
    found = [each for each in read("logins", *lines) if isinstance(each, Event)]
    assert [(each.user, each.action, each.address, each.status, each.detail) for each in found] == [
        ("", "boot", "", "", "kernel 6.1.0"),
        ("kim", "login", "10.0.0.7", "ok", "line pts/0, host build.example"),
        ("kim", "logout", "10.0.0.7", "", "line pts/0"),
        ("", "logout", "", "", "line pts/0"),
        ("x | on pts/9 | from 9.9.9.9", "login failed", "203.0.113.9", "failed", "line ssh:notty"),
        ("lee", "login", "", "ok", "line tty1"),
        ("", "shutdown", "", "", "kernel 6.1.0"),
        ("", "boot", "", "", "kernel 6.1.0"),
        ("", "logout", "", "", "line tty1"),
        ("uid 1000", "login", "10.0.0.7", "ok", "line pts/0, last login"),
    ]
    assert read("logins", "2024-03-01T08:00:00Z | waits for a login | on tty1", "(no time) | login | x", "word") == [
        True, True, False,
    ]  # fmt: skip


# -- telling logs from other texts -------------------------------------------------------------


def told(handler: str, *bodies: str) -> str:
    found = tell_format(handler, [Text(body) for body in bodies])
    return found.name if found else ""


def test_formats_are_told_by_lines() -> None:
    assert told("text", COMBINED + "\n") == "access"
    assert told("text", (COMBINED + "\n") * 8 + "odd\n") == "access"
    assert told("text", IIS) == "w3c"
    assert told("text", SSH + "Accepted publickey for pak from 1.2.3.4 port 55 ssh2\n") == "syslog"
    assert told("json", flat(NEXTCLOUD, NEXTCLOUD)) == "json"
    for body in ("", "\n\n", "Dear Ri,\nplease correct C034.\n", "#!/bin/sh\n# Fields: x\n", "x\n" * 9 + COMBINED):
        assert told("text", body) == ""
    assert told("json", "name: x\nurl: /a\ntime: 2024-04-02T10:11:12Z") == ""
    assert told("pdf", COMBINED) == ""


def test_lines_are_whole_across_passages_and_long_ones_cost_nothing() -> None:
    assert list(units_of("text", [Text("a\nb"), Text("c\nd\n"), Text("e")])) == ["a", "bc", "d", "e"]
    long = [Text("x" * LONGEST), Text("y" * LONGEST), Text("z" * LONGEST), Text("z\nnext\n")]
    first, last = units_of("text", long)
    assert len(first) > LONGEST
    assert last == "next"


def test_records_of_two_passages_are_not_joined() -> None:
    rows = [f"2024-03-01T08:0{number}:00Z | login | kim | on pts/0" for number in range(4)]
    assert list(units_of("logins", [Text("\n".join(rows[:2])), Text("\n".join(rows[2:]))])) == rows


@calmly
@given(st.sampled_from([each for row in HANDLERS.values() for each in row]), st.text(max_size=300))
def test_no_reader_raises(format_: Format, text: str) -> None:
    take = format_.open(WRITTEN)
    for line in text.split("\n"):
        assert take(1, line) is not None


@calmly
@given(st.data())
def test_no_damage_makes_a_reader_raise(data: st.DataObject) -> None:
    lines = {
        "access": COMBINED, "w3c": IIS, "syslog": SSH + "Failed password for x from 1.2.3.4 port 5 ssh2",
        "json": flat(NEXTCLOUD), "xferlog": "Tue Apr  2 10:11:12 2024 3 h 1 /a b _ o r k ftp 0 * c",
        "vsftpd": 'Tue Apr  2 10:11:12 2024 [pid 3] [k] OK UPLOAD: Client "1.2.3.4", "/a", 1 bytes',
    }  # fmt: skip
    name = data.draw(st.sampled_from(sorted(lines)))
    text = lines[name]
    place = data.draw(st.integers(0, len(text)))
    text = text[:place] + data.draw(st.text(max_size=3)) + text[place + data.draw(st.integers(0, 3)) :]
    take = format_named(name).open(WRITTEN)
    for number, line in enumerate([text] if name == "json" else text.split("\n"), 1):
        assert isinstance(take(number, line), Event | bool)


@calmly
@given(st.datetimes(datetime(1970, 1, 1), datetime(2099, 1, 1)), st.integers(-14 * 60, 14 * 60))
def test_times_are_those_of_datetime(time: datetime, east: int) -> None:
    time = time.replace(microsecond=0)
    sign = "-" if east < 0 else "+"
    zone = f"{sign}{abs(east) // 60:02}{abs(east) % 60:02}"
    want = (time - timedelta(minutes=east) - datetime(1970, 1, 1)) // timedelta(microseconds=1)
    months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
    clf = f"{time.day:02}/{months[time.month - 1]}/{time:%Y:%H:%M:%S} {zone}"
    assert from_clf(clf) == want
    assert from_iso(f"{time:%Y-%m-%dT%H:%M:%S}{zone}") == (want, KNOWN)


# -- a case ------------------------------------------------------------------------------------


def access_lines(count: int, seed: int = 7) -> list[str]:
    chooser = random.Random(seed)
    hosts = ["175.45.176.9", "210.52.109.7", "203.0.113.5", "2001:db8::7", "printer.local"]
    rows = []
    time = datetime(2024, 4, 1, tzinfo=UTC)
    for _ in range(count):
        time += timedelta(seconds=chooser.choice((0, 0, 1, 5, 2500)))
        path = f"/cuts/C{chooser.randrange(40):03}.png"
        user, status = chooser.choice(("-", "kimd", "pak")), chooser.choice((200, 304, 401, 404))
        rows.append(
            f'{chooser.choice(hosts)} - {user} [{time:%d/%b/%Y:%H:%M:%S} +0000] "GET {path} HTTP/1.1" {status} '
            f'{chooser.randrange(9)} "-" "agent {chooser.randrange(3)}"'
        )
    return rows


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    with Case.create(tmp_path / "case") as made:
        yield made


def ingest(case: Case, folder: Path) -> None:
    source = Source(folder.name, str(folder))
    ingest_sources(case, [source], limits=limits_of(case), passwords=(), jobs=1, tell=lambda _: None)


def keep(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    os.utime(path, (WRITTEN.timestamp(), WRITTEN.timestamp()))
    return folder


def rows(report: Report, sheet: int = 0) -> list[dict[str, object]]:
    return [dict(row.exact) for row in report.sheets[sheet].rows()]


def test_counts_are_those_of_plain_python(case: Case, tmp_path: Path) -> None:
    lines = access_lines(3000)
    ingest(case, keep(tmp_path / "day1", "www", "\n".join(lines) + "\n"))
    parts = [re.match(r'(\S+) - (\S+) \[(.*?)\] "GET (\S+) .*?" (\d+) (\d+)', line).groups() for line in lines]  # type: ignore[union-attr]
    found = rows(events(case, Choice()))
    assert len(found) == len(lines)
    assert [row["locator"] for row in found] == [f"line {number}" for number in range(1, 3001)]
    assert {row["log"] for row in found} == {"day1:www"}
    by_address = {row["address"]: row for row in rows(addresses(case, Choice()))}
    counts = Counter(part[0] for part in parts)
    assert {address: row["events"] for address, row in by_address.items()} == counts
    for address, row in by_address.items():
        mine = [part for part in parts if part[0] == address]
        assert row["bytes"] == sum(int(part[5]) for part in mine)
        assert row["refused"] == sum(part[4] == "401" for part in mine)
    assert by_address["175.45.176.9"]["country"] == "KP"
    assert by_address["210.52.109.7"]["kind"] == "North Korea, reported"
    assert by_address["printer.local"]["country"] == ""
    found = rows(logins(case, Choice()))
    want = Counter((part[1], "refused as user" if part[4] == "401" else "acted as user", part[0]) for part in parts)
    assert {(row["user"], row["what"], row["address"]): row["count"] for row in found} == {
        key: count for key, count in want.items() if key[0] != "-"
    }
    assert rows(events(case, Choice(user="k*", status="4*", country="kp"))) == [
        row
        for row in rows(events(case, Choice()))
        if row["user"] == "kimd" and str(row["status"])[0] == "4" and row["address"] == "175.45.176.9"
    ]
    assert len(rows(events(case, Choice(address="175.45.176.0/22")))) == counts["175.45.176.9"]
    assert len(rows(events(case, Choice(network="unicom")))) == counts["210.52.109.7"]
    day = rows(events(case, Choice(since="2024-04-02", until="2024-04-02")))
    assert len(day) == sum(part[2].startswith("02/Apr") for part in parts)


@pytest.mark.parametrize(("gap", "together"), [("30m", 2_000_000), ("30m", 100), ("1s", 100), ("1d", 2_000_000)])
def test_sessions_are_those_of_plain_python(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gap: str, together: int
) -> None:
    monkeypatch.setattr("search.events.ask._TOGETHER", together)
    lines = access_lines(800, seed=3)
    ingest(case, keep(tmp_path / "day1", "www", "\n".join(lines)))
    seconds = read_gap(gap)
    times: dict[str, list[datetime]] = {}
    said: dict[str, list[tuple[str, str, str]]] = {}
    for line in lines:
        stamp = datetime.strptime(line.split("[")[1][:20], "%d/%b/%Y:%H:%M:%S").replace(tzinfo=UTC)
        times.setdefault(line.split()[0], []).append(stamp)
        said.setdefault(line.split()[0], []).append((line.split()[2], line.split('"')[5], line.split()[6]))
    want = set()
    for address, stamps in times.items():
        begin = 0
        for place in range(1, len(stamps) + 1):
            if place == len(stamps) or (stamps[place] - stamps[place - 1]).total_seconds() > seconds:
                users, agents, paths = map(set, zip(*said[address][begin:place], strict=True))
                told = (", ".join(sorted(users - {"-"})), len(agents), len(paths))
                want.add((address, f"{stamps[begin]:%Y-%m-%dT%H:%M:%SZ}", place - begin, *told))
                begin = place
    names = ("address", "start", "events", "users", "agents", "paths")
    found = {tuple(row[name] or "" for name in names) for row in rows(sessions(case, Choice(), gap=gap))}
    assert found == want


def test_what_a_later_copy_of_a_log_repeats_counts_once(case: Case, tmp_path: Path) -> None:
    lines = access_lines(500)
    lines += lines[-3:]  # the same request thrice in a second is three events
    ingest(case, keep(tmp_path / "day1", "www", "\n".join(lines[:300])))
    assert len(rows(events(case, Choice()))) == 300
    ingest(case, keep(tmp_path / "day2", "www", "\n".join(lines)))
    assert len(rows(events(case, Choice()))) == len(lines)
    held = {row["path"]: (row["events"], row["repeated"]) for row in rows(logs(case))}
    assert held == {"day1:www": (300, 0), "day2:www": (503, 300)}


def test_logs_in_archives_and_copies_are_items_like_others(case: Case, tmp_path: Path) -> None:
    import gzip

    packed = gzip.compress("\n".join(access_lines(50)).encode(), mtime=0)
    folder = keep(tmp_path / "day1", "www.1.gz", packed)
    keep(folder, "copy/www.1.gz", packed)
    ingest(case, folder)
    (row,) = rows(logs(case))
    assert (row["path"], row["events"]) == ("day1:copy/www.1.gz!/www.1", 50)


def test_hostile_logs_are_told_and_obeyed_nowhere(case: Case, tmp_path: Path) -> None:
    evil = "\x1b]52;c;aGk=\x07\u202e"
    good = COMBINED.replace("Mozilla/5.0 (X11)", f"{evil}'); DROP TABLE events; --")
    text = "\n".join([COMBINED] * 20 + [good, "y" * (1 << 20), COMBINED.replace(" 200 ", " ok "), "", COMBINED])
    folder = keep(tmp_path / "day1", "www", text)
    keep(folder, "mixed", b"\n".join([COMBINED.encode()] * 9 + [COMBINED.replace("pak", "李").encode("gb18030")]))
    ingest(case, folder)
    held = {str(row["path"]): row for row in rows(logs(case))}
    assert (held["day1:www"]["events"], held["day1:www"]["not_understood"]) == (22, 2)
    assert held["day1:www"]["repeated"] == 9
    assert held["day1:www"]["first_not_understood"] == "line 22"
    assert held["day1:mixed"]["events"] == 10
    assert any(evil in str(row["agent"]) for row in rows(events(case, Choice())))
    for kind in TABLES:
        if kind != "pdf":
            export(events(case, Choice(user="pak")), kind, tmp_path / f"out.{kind}")
    assert "\x1b" not in (tmp_path / "out.csv").read_text("utf-8")
    for word in ("'; DROP TABLE events; --", "*", "[", "x' OR 1=1 --"):
        rows(events(case, Choice(user=word, path=word, action=word, status=word)))
    assert len(rows(events(case, Choice()))) == 23


def test_a_value_of_json_cannot_forge_a_record(case: Case, tmp_path: Path) -> None:
    forged = "x\nuserAgent: a\nversion: 1\n" + flat({**NEXTCLOUD, "user": "forged", "message": "x"})
    records = [NEXTCLOUD, {**NEXTCLOUD, "message": forged}, {**NEXTCLOUD, "user": "ri", "message": "y\r\nreqId: z"}]
    ingest(case, keep(tmp_path / "day1", "data/nextcloud.log", "\n".join(map(json.dumps, records))))
    found = rows(events(case, Choice()))
    assert [row["user"] for row in found] == ["kimd", "", "ri"]
    assert found[1]["detail"] == forged
    assert [row["locator"] for row in found] == ["value 1", "value 2", "value 3"]


def test_journals_and_records_of_logins_are_read(case: Case, tmp_path: Path) -> None:
    folder = tmp_path / "server"
    plain = (FIXTURES / "journal" / "plain" / "input.journal").read_bytes()
    keep(folder, "system.journal", plain)
    keep(folder, "wtmp", (FIXTURES / "logins" / "wtmp" / "input").read_bytes())
    keep(folder, "forged.journal", (FIXTURES / "journal" / "lines" / "input.journal").read_bytes())
    keep(folder, "logs.tar", (FIXTURES / "logins" / "named" / "input.tar").read_bytes())
    ingest(case, folder)
    assert {row["format"]: row["not_understood"] for row in rows(logs(case))} == {"journal": 0, "logins": 0}
    found = [
        (row["user"], row["what"], row["address"], row["count"], row["locator"]) for row in rows(logins(case, Choice()))
    ]
    assert sorted(found) == sorted([
        ("", "boot", "", 1, "record 1"),
        ("kim", "login", "10.0.0.7", 2, "entry 1"),
        ("kim", "logout", "10.0.0.7", 1, "record 5"),
        ("root", "login failed", "203.0.113.9", 2, "record 1"),
        ("uid 0", "login", "", 1, "record 1"),
        ("uid 1000", "login", "10.0.0.7", 1, "record 2"),
        ("uid 1003", "login", "build.kumo.example", 1, "record 3"),
        ("박감독", "login", "2001:db8::7", 1, "record 4"),
    ])  # fmt: skip


def test_touched_joins_events_to_items_by_path_and_size(case: Case, tmp_path: Path) -> None:
    folder = keep(tmp_path / "day1", "srv/cuts/C034 v2.png", "x" * 7)
    keep(folder, "srv/old/C034 v2.png", "y" * 9)
    line = '1.2.3.4 - ri [02/Apr/2024:00:07:41 +0000] "{} /cuts/C034%20v2.png?t=1 HTTP/1.1" 200 {} "-" "-"\n'
    keep(folder, "www", line.format("GET", 9) + line.format("PUT", 7) + line.format("GET", 1).replace("C034", "C035"))
    ingest(case, folder)
    found = rows(touched(case, "C034 v2.png", Choice()))
    assert [(row["action"], row["item"], row["agrees"]) for row in found] == [
        ("GET", "day1:srv/cuts/C034 v2.png", "path"),
        ("PUT", "day1:srv/cuts/C034 v2.png", "path and size"),
    ]
    assert rows(touched(case, "cuts/C034*", Choice())) == rows(touched(case, "/cuts/C034 v2.png", Choice())) == found
    only = rows(touched(case, "day1:srv/old/C034 v2.png", Choice()))
    assert [(row["item"], row["agrees"]) for row in only] == [
        ("day1:srv/old/C034 v2.png", "name and size"),
        ("day1:srv/old/C034 v2.png", "name"),
    ]
    assert rows(touched(case, "C03?*", Choice(user="nobody"))) == []


def test_a_request_in_another_encoding_stops_no_question(case: Case, tmp_path: Path) -> None:
    line = '1.2.3.4 - ri [02/Apr/2024:00:07:41 +0000] "GET /cuts/{} HTTP/1.1" 200 9 "-" "-"\n'
    named = ("%D4%AD%BB%AD_%D0%DE%B8%C4.psd", "%E5%8E%9F.psd", "C047.psd", r"\xE5\x8E\x9F\xE7\x94\xBB.psd?n=1")
    folder = keep(tmp_path / "day1", "www", "".join(map(line.format, named)))
    for name in ("C047", "原画_修改", "原画"):
        keep(folder, f"cuts/{name}.psd", "x" * 9)
    ingest(case, folder)
    for name in ("原画_修改", "原画"):  # one is GBK, the other as nginx writes it
        assert [row["item"] for row in rows(touched(case, f"{name}.psd", Choice()))] == [f"day1:cuts/{name}.psd"]
        assert len(rows(events(case, Choice(path=f"*/{name}.psd")))) == 1
    assert [row["item"] for row in rows(touched(case, "C047.psd", Choice()))] == ["day1:cuts/C047.psd"]
    assert [row["path"] for row in rows(events(case, Choice(path="*原.psd")))] == ["/cuts/%E5%8E%9F.psd"]
    assert len(rows(events(case, Choice(path="*.psd")))) == 4
    assert len(case.search("原画", fold=False).hits) == 3  # the log as well, where the words stand in escapes


def test_who_never_came_in_has_not_acted(case: Case, tmp_path: Path) -> None:
    folder = keep(
        tmp_path / "day1",
        "auth.log",
        "Apr  2 10:11:12 box sshd[1]: Invalid user admin from 103.9.9.9 port 22\n"
        "Apr  2 10:11:13 box sshd[2]: Connection closed by authenticating user root 91.1.1.1 port 22 [preauth]\n"
        "Apr  2 10:11:14 box sshd[3]: Failed password for root from 45.95.147.77 port 22 ssh2\n"
        "Apr  2 10:11:15 box sshd[3]: message repeated 5 times: [ Failed password for root from 45.95.147.77 port 22 "
        "ssh2]\n"
        "Apr  2 10:11:16 box useradd[4]: new user: name=backdoor, UID=0, GID=0, home=/root\n",
    )
    ingest(case, folder)
    assert sorted((row["user"], row["what"], row["address"], row["count"]) for row in rows(logins(case, Choice()))) == [
        ("admin", "unknown user", "103.9.9.9", 1),
        ("backdoor", "account created", "", 1),
        ("root", "disconnect", "91.1.1.1", 1),
        ("root", "login failed", "45.95.147.77", 2),
    ]
    (told,) = [row for row in rows(events(case, Choice())) if "repeated" in str(row["detail"])]
    assert told["detail"] == "password, repeated 5 times"


def test_what_is_gone_is_forgotten_and_what_is_new_is_read(case: Case, tmp_path: Path) -> None:
    folder = keep(tmp_path / "day1", "www", "\n".join(access_lines(10)))
    ingest(case, folder)
    heard: list[str] = []
    events(case, Choice(), tell=lambda path, count: heard.append(path))
    events(case, Choice(), tell=lambda path, count: heard.append(path))
    assert heard == ["day1:www"]
    case.catalog.forget(case.find("day1:www").id)
    case.commit()
    assert rows(events(case, Choice())) == []
    assert "No item" in events(case, Choice()).notes[0]


def test_a_damaged_store_is_named(case: Case, tmp_path: Path) -> None:
    ingest(case, keep(tmp_path / "day1", "www", COMBINED))
    (case.path / FILE).write_bytes(b"no database" * 500)
    with pytest.raises(StoreError, match=FILE):
        events(case, Choice())
    (case.path / FILE).unlink()
    sqlite3.connect(case.path / FILE).close()


def test_times_and_gaps_are_read_or_told() -> None:
    assert read_time("2024-02") == (datetime(2024, 2, 1), datetime(2024, 3, 1))
    assert read_time("2024") == (datetime(2024, 1, 1), datetime(2025, 1, 1))
    assert read_time("2024-04-02T10:30Z")[1] == datetime(2024, 4, 2, 10, 31)
    for word in ("", "yesterday", "2024-13", "2024-02-30", "0000", "9999"):
        with pytest.raises(UsageError):
            read_time(word)
    for word in ("", "0", "x", "-5m", "1y"):
        with pytest.raises(UsageError):
            read_gap(word)


def test_an_end_of_a_group_has_its_own_zone(case: Case, tmp_path: Path) -> None:
    access = '10.0.0.1 - kim [02/Apr/2024:07:00:00 +0900] "GET /a HTTP/1.1" 200 1 "-" "x"\n'
    transfer = "Tue Apr  2 09:01:00 2024 1 10.0.0.1 5 /a b _ i r kim ftp 0 * c\n"
    ingest(case, keep(keep(tmp_path / "day1", "access.log", access), "xferlog", transfer))
    (address,) = rows(addresses(case, Choice()))
    (login,) = rows(logins(case, Choice()))
    (session,) = rows(sessions(case, Choice(), gap="1d"))
    ends = [(address["first"], address["last"]), (login["first"], login["last"]), (session["start"], session["end"])]
    assert ends == [("2024-04-01T22:00:00Z", "2024-04-02T09:01:00")] * 3
