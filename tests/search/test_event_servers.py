"""Logs of proxies, clouds and other servers: what their lines say, what a client cannot make them say."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from indexer.model import Text
from search.events.event import KNOWN, NO_YEAR, WALL, Event
from search.events.sniff import HANDLERS, LONGEST, tell_format

WRITTEN = datetime(2024, 4, 3, 12, 0, tzinfo=UTC)
BUCKET = (
    "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be salt-cuts [02/Apr/2024:10:11:12 +0000] "
    "175.45.176.9 arn:aws:iam::123456789012:user/kimd 3E57427F3EXAMPLE REST.GET.OBJECT S03/C034.png "
    '"GET /salt-cuts/S03/C034.png HTTP/1.1" 200 - 4741 4741 70 10 "-" "aws-cli/2.1" - x SigV4 - host TLSV1.2 - -'
)
LOGS = {
    "squid": (
        "1712052672.123    345 175.45.176.9 TCP_MISS/200 12345 GET http://salt.example/a kimd "
        "HIER_DIRECT/9.9.9.9 text/html",
        ("175.45.176.9", "kimd", "GET", "http://salt.example/a", "200", 12345), KNOWN),
    "s3": (BUCKET,
           ("175.45.176.9", "arn:aws:iam::123456789012:user/kimd", "GET", "/salt-cuts/S03/C034.png", "200", 4741),
           KNOWN),
    "balancer": (
        "https 2024-04-02T10:11:12.186641Z app/salt/50dc6c495c0c9188 175.45.176.9:2817 10.0.0.1:80 0.086 0.048 0.037 "
        '200 200 34 366 "GET https://salt.example:443/a HTTP/1.1" "curl/7.46.0" ECDHE TLSv1.2 arn:aws:x "Root=1" "-"',
        ("175.45.176.9", "", "GET", "https://salt.example:443/a", "200", 366), KNOWN),
    "fail2ban": ("2024-04-02 10:11:12,123 fail2ban.actions        [881]: NOTICE  [sshd] Ban 175.45.176.9",
                 ("175.45.176.9", "", "ban", "", "", None), WALL),
    "postgresql": ("2024-04-02 10:11:12.123 UTC [881] LOG:  connection received: host=175.45.176.9 port=50122",
                   ("175.45.176.9", "", "connect", "", "", None), KNOWN),
    "mysql-error": (
        "2024-04-02T10:11:12.123456Z 12 [Note] [MY-010926] [Server] Access denied "
        "for user 'x'@'9.9.9.9'@'175.45.176.9' "
        "(using password: YES)", ("175.45.176.9", "x'@'9.9.9.9", "login failed", "", "failed", None), KNOWN),
    "xrdp": (
        "[20240402-10:11:12] [INFO ] ++ created session (access granted): username kimd, ip ::ffff:175.45.176.9:50122 "
        "- socket: 12", ("::ffff:175.45.176.9", "kimd", "login", "", "ok", None), WALL),
    "exim": ("2024-04-02 10:11:12 1rrXyZ-0001Ab-2C <= kimd@salt.example H=pc7.example ([9.9.9.9]) [175.45.176.9]:50122 "
             "P=esmtpsa X=TLS1.3 A=plain_login:kimd S=4741 id=1@salt.example",
             ("175.45.176.9", "kimd", "login", "", "ok", None), WALL),
    "openvpn": ("2024-04-02 10:11:12 us=12 175.45.176.9:50122 [kimd] Peer Connection Initiated with "
                "[AF_INET]175.45.176.9:50122",
                ("175.45.176.9", "kimd", "login", "", "ok", None), WALL),
}  # fmt: skip


def read(name: str, *lines: str) -> list[Event | bool]:
    format_ = next(each for row in HANDLERS.values() for each in row if each.name == name)
    take = format_.open(WRITTEN)
    return [take(number, line) for number, line in enumerate(lines, 1)]


def one(name: str, line: str) -> Event:
    (found,) = read(name, line)
    assert isinstance(found, Event), found
    return found


def said(event: Event) -> tuple[str, ...]:
    return event.address, event.user, event.action


@pytest.mark.parametrize("name", LOGS)
def test_lines_are_whole_and_their_format_is_told(name: str) -> None:
    line, want, zone = LOGS[name]
    found = one(name, line)
    assert (found[3:9], found.zone) == (want, zone)
    whole = datetime(2024, 4, 2, 10, 11, 12, tzinfo=UTC).timestamp()
    assert found.at // 1_000_000 == whole
    format_ = tell_format("text", [Text(f"{line}\n" * 3)])
    assert format_ and format_.name == name


@pytest.mark.parametrize("name", LOGS)
def test_other_lines_are_not_understood(name: str) -> None:
    line = LOGS[name][0]
    for bad in ("", "x", line[:25], "\x1b]0;x\x07", line.replace("2024", "20x4").replace("1712052672", "17120x"),
                f" {line}", f"x{line[:60]}"):  # fmt: skip
        assert not isinstance(read(name, bad)[0], Event), bad
    assert read(name, "Dear Ri, please correct C034.") == [False]


@pytest.mark.parametrize("name", LOGS)
@pytest.mark.parametrize(
    "piece", ["a", " ", "(", '"', '\\"', "[x] ", "A=a:b ", "' ", "1 ", "H=x [1.1.1.1] ", "{}", "/"]
)
def test_long_lines_cost_little(name: str, piece: str) -> None:
    line = LOGS[name][0]
    for place in (len(line) // 3, len(line) // 2, len(line) - 2):
        long = (line[:place] + piece * LONGEST)[:LONGEST]
        start = time.process_time()
        read(name, long)
        assert time.process_time() - start < 5


def test_postgresql_joins_by_process() -> None:
    head = "2024-04-02 10:11:12.123 KST [881] "
    found = read("postgresql", *(head + each for each in (
        "LOG:  connection received: host=175.45.176.9 port=50122",
        'kimd@cuts FATAL:  password authentication failed for user "kimd"',
        "kimd@cuts LOG:  connection authorized: user=kimd database=cuts",
        "kimd@cuts LOG:  connection received: host=9.9.9.9 port=1",
        "kimd@cuts ERROR:  syntax error",
        "kimd@cuts LOG:  disconnection: session time: 0:00:01.2 user=kimd database=cuts host=175.45.176.9 port=50122",
    )), "\tFROM cuts", head.replace("881", "882") + "LOG:  connection authorized: user=kimd database=cuts")  # fmt: skip
    assert [said(each) if isinstance(each, Event) else each for each in found] == [
        ("175.45.176.9", "", "connect"),
        ("175.45.176.9", "kimd", "login failed"),
        ("175.45.176.9", "kimd", "login"),
        ("", "", "connect"),
        True,
        ("175.45.176.9", "kimd", "logout"),
        True,
        ("", "kimd", "login"),
    ]
    assert isinstance(found[0], Event) and found[0].zone == WALL


@pytest.mark.parametrize(
    ("name", "line", "want"),
    [
        ("fail2ban", "2024-04-02 10:11:12,123 fail2ban.filter [881]: INFO    [sshd] Found 1.2.3.4 - "
         "2024-04-02 10:11:11",
         ("1.2.3.4", "", "found by fail2ban")),
        ("exim", "2024-04-02 10:11:12 login authenticator failed for (x) [1.2.3.4]:55: 535 Incorrect "
         "authentication data "
         "(set_id=a [9.9.9.9])", ("1.2.3.4", "a [9.9.9.9]", "login failed")),
        ("exim", "2024-04-02 10:11:12 H=(x) [1.2.3.4] F=<a@b> rejected RCPT <c@d>: relay not permitted",
         ("1.2.3.4", "", "refused")),
        ("openvpn", "Tue Apr  2 10:11:12 2024 kimd/1.2.3.4:55 SIGTERM[soft,remote-exit] received, "
         "client-instance exiting",
         ("1.2.3.4", "kimd", "logout")),
        ("openvpn", "Tue Apr  2 10:11:12 2024 us=5 1.2.3.4:55 TLS Auth Error: Auth Username/Password "
         "verification failed",
         ("1.2.3.4", "", "login failed")),
        ("xrdp", "[20240402-10:11:12] [INFO ] AUTHFAIL: user=a ip=9.9.9.9 time=1 ip=1.2.3.4 time=1712",
         ("1.2.3.4", "a ip=9.9.9.9 time=1", "login failed")),
        ("mysql-error", "2024-04-02 10:11:12 12 [Warning] Aborted connection 12 to db: 'cuts' user: 'kimd' "
         "host: '1.2.3.4' "
         "(Got timeout reading communication packets)", ("1.2.3.4", "kimd", "disconnect")),
        ("s3", BUCKET.replace("GET.OBJECT", "PUT.OBJECT").replace('"GET /salt-cuts/S03/C034.png HTTP/1.1"', "-"),
         ("175.45.176.9", "arn:aws:iam::123456789012:user/kimd", "REST.PUT.OBJECT")),
        ("balancer", '2024-04-02T10:11:12.945958Z salt 1.2.3.4:2817 10.0.0.1:80 0.000073 0.001048 0.000057 '
         '200 200 0 29 '
         '"GET http://salt.example:80/ HTTP/1.1" "curl/7.38.0" - -', ("1.2.3.4", "", "GET")),
    ],
)  # fmt: skip
def test_other_messages(name: str, line: str, want: tuple[str, ...]) -> None:
    assert said(one(name, line)) == want


def test_a_quoted_sender_of_mail_is_not_believed() -> None:
    line = '2024-04-02 10:11:12 1rrXyZ-0001Ab-2C <= "a H=(x) [9.9.9.9] b"@d H=h [1.2.3.4] P=smtp S=1'
    assert read("exim", line) == [True]


HAPROXY = (
    "Apr  2 10:11:13 gate haproxy[881]: 175.45.176.9:50122 [02/Apr/2022:10:11:12.655] www static/srv1 10/0/30/69/109 "
    '200 2750 - - ---- 1/1/1/1/0 0/0 {9.9.9.9} {} "GET /a HTTP/1.1"'
)


def test_haproxy_says_the_year() -> None:
    found = one("syslog", HAPROXY)
    assert found[3:9] == ("175.45.176.9", "", "GET", "/a", "200", 2750)
    assert (found.at // 1_000_000, found.zone) == (datetime(2022, 4, 2, 10, 11, 12, tzinfo=UTC).timestamp(), WALL)
    sent = one("syslog", HAPROXY.replace("Apr  2 10:11:13", "2022-04-02T10:11:13+00:00"))
    assert (sent.at // 1_000_000, sent.zone) == (datetime(2022, 4, 2, 10, 11, 13, tzinfo=UTC).timestamp(), KNOWN)
    plain = "1.2.3.4:33313 [06/Feb/2009:12:12:51.443] fnt bck/srv1 0/0/5007 212 -- 0/0/0/0/3 0/0"
    plain = f"Apr  2 10:11:12 gate haproxy[881]: {plain}"
    assert one("syslog", plain)[3:9] == ("1.2.3.4", "", "connect", "", "", 212)
    assert read("syslog", HAPROXY.partition(": ")[0] + ": Proxy www started.") == [True]
    start = time.process_time()
    read("syslog", HAPROXY[:-20] + "{x} " * 16_000, HAPROXY[:160] + "a " * 32_000)
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    ("message", "want"),
    [
        ("fail2ban.actions[8]: NOTICE [sshd] Ban 1.2.3.4", ("1.2.3.4", "", "ban")),
        ("fail2ban.actions[8]: [sshd] Ban 1.2.3.4", ("1.2.3.4", "", "ban")),
        ("ovpn-server[8]: 1.2.3.4:55 [kimd] Peer Connection Initiated with [AF_INET]1.2.3.4:55",
         ("1.2.3.4", "kimd", "login")),
        ("xrdp-sesman[8]: [INFO ] ++ created session (access granted): username kimd, ip 1.2.3.4:5 - socket: 12",
         ("1.2.3.4", "kimd", "login")),
        ("kernel: [  12.5] wireguard: wg0: Receiving handshake initiation from peer 3 (1.2.3.4:51820)",
         ("1.2.3.4", "", "connect")),
        ("kernel: [  12.5] usb 1-1: new device", None),
    ],
)  # fmt: skip
def test_programs_tell_the_same_in_the_system_log(message: str, want: tuple[str, ...] | None) -> None:
    (found,) = read("syslog", f"Apr  2 10:11:12 box {message}")
    assert (said(found) if isinstance(found, Event) else None) == want
    assert found == (found if want else True)
    assert not isinstance(found, Event) or found.zone == NO_YEAR


CADDY = (
    "level: info\nts: 1712052672.5\nmsg: handled request\nrequest:\nremote_ip: 175.45.176.9\nmethod: GET\n"
    "host: salt.example\nuri: /a\nheaders:\nUser-Agent:\n{}\ntls:\nresumed: false\nuser_id: \nsize: 5\nstatus: 200"
)


def test_headers_of_a_client_are_not_believed() -> None:
    assert one("json", CADDY.format("curl"))[3:9] == ("175.45.176.9", "", "GET", "/a", "200", 5)
    for forged in ("remote_addr: 9.9.9.9", "StartUTC: 2000-01-01T00:00:00Z", "request: PUT /x HTTP/1.1"):
        assert one("json", CADDY.format(forged))[1:9] == one("json", CADDY.format("curl"))[1:9]
    assert one("json", CADDY.format("status: 500\nuser_id: root"))[3:9] == ("175.45.176.9", "", "GET", "/a", "", 5)


def test_an_exported_journal_is_read_by_the_rules_of_system_logs() -> None:
    entry = "__CURSOR: s=1\n__REALTIME_TIMESTAMP: 1712052672123456\nSYSLOG_IDENTIFIER: sshd\n_PID: 7\nMESSAGE: {}"
    first, second, third = read("json", *(entry.format(each) for each in (
        "Accepted publickey for pak from 1.2.3.4 port 55 ssh2",
        "pam_unix(sshd:session): session closed for user pak\n\tAccepted publickey for x from 9.9.9.9 port 1 ssh2",
        "Server listening",
    )))  # fmt: skip
    assert isinstance(first, Event) and isinstance(second, Event)
    assert (first.at, first.zone, said(first)) == (1_712_052_672_123_456, KNOWN, ("1.2.3.4", "pak", "login"))
    assert (said(second), third) == (("1.2.3.4", "pak", "logout"), True)
    assert read("json", entry.format("x").replace("1712052672123456", "soon")) == [False]


def test_lines_of_containers_are_those_of_their_programs() -> None:
    record = "log: {}\n\t\nstream: stdout\ntime: 2024-04-02T10:11:12.5Z"
    web = '1.2.3.4 - pak [02/Apr/2024:10:11:11 +0000] "GET /a HTTP/1.1" 200 5 "-" "-"'
    fault = "2024/04/02 19:11:12 [error] 7#0: *5 no, client: 1.2.3.4, server: x"
    first, second, third = read("json", *(record.format(each) for each in (web, fault, "started")))
    assert isinstance(first, Event) and isinstance(second, Event)
    assert (said(first), said(second), third) == (("1.2.3.4", "pak", "GET"), ("1.2.3.4", "", "error"), True)
    assert (second.at // 1_000_000, second.zone) == (datetime(2024, 4, 2, 10, 11, 12, tzinfo=UTC).timestamp(), KNOWN)


def test_samba_audits_logins_as_json() -> None:
    record = (
        "timestamp: 2024-04-02T10:11:12.123456+0800\ntype: Authentication\nAuthentication:\nstatus: {}\n"
        "remoteAddress: ipv4:1.2.3.4:50122\nserviceDescription: SMB2\nclientDomain: STUDIO\nclientAccount: pak"
    )
    assert said(one("json", record.format("NT_STATUS_OK"))) == ("1.2.3.4", "STUDIO\\pak", "login")
    assert one("json", record.format("NT_STATUS_WRONG_PASSWORD"))[5:8] == ("login failed", "", "failed")
