"""What a packet is: who sent it to whom, and the words of DNS, HTTP and TLS in it.

Source: RFC 791, 8200 (IP), 768 (UDP), 9293 (TCP), 1035 (DNS), 9112 (HTTP), 8446 with 6066 (TLS, server names);
the link-layer types of tcpdump.org.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from functools import lru_cache
from typing import Final, NamedTuple

_LINKS: Final = {0: 4, 1: 12, 101: -1, 108: 4, 113: 14, 228: -1, 229: -1, 276: 0, 12: -1, 14: -1}
"""By the type of the link: where the type of what is inside stands; -1 where it is always IP."""
_HTTP: Final = re.compile(
    rb"(?:(?:GET|POST|PUT|HEAD|DELETE|OPTIONS|PATCH|CONNECT|PROPFIND) [^\r\n]{1,2000} HTTP/1\.[01]"
    rb"|HTTP/1\.[01] \d{3}[^\r\n]{0,200})\r?\n"
)
_HEADERS: Final = re.compile(
    rb"^(Host|User-Agent|Referer|Location|Server|Content-Type|Authorization|Cookie|X-Forwarded-For): ?"
    rb"([^\r\n]{1,2000})",
    re.MULTILINE | re.IGNORECASE,
)
_TYPES: Final = {1: "A", 2: "NS", 5: "CNAME", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA", 33: "SRV", 65: "HTTPS"}
_DNS: Final = frozenset((53, 5353, 5355))
TCP, UDP = 6, 17
_NAMES: Final = {1: "icmp", 2: "igmp", TCP: "tcp", UDP: "udp", 47: "gre", 50: "esp", 58: "icmp6", 132: "sctp"}


class Datagram(NamedTuple):
    """Who sends to whom: addresses, ports (0 where there are none), protocol, what is inside."""

    source: str
    target: str
    protocol: int
    from_port: int
    to_port: int
    body: bytes


class Said(NamedTuple):
    """Words found in a packet: `kind` is dns, http or tls; `names` are hosts that it names."""

    kind: str
    text: str
    names: tuple[str, ...]


@lru_cache(maxsize=65536)
def _address(raw: bytes) -> str:
    return str(ipaddress.ip_address(raw))


def protocol_name(number: int) -> str:
    """A protocol as people call it."""
    return _NAMES.get(number, f"ip {number}")


def read_datagram(link: int, data: bytes) -> Datagram | None:
    """The datagram in a packet; None where it is none of IP."""
    place = _LINKS.get(link)
    if place is None:
        return None
    at = 0
    if link in (0, 108):  # loopback: a number of four bytes, in whatever order, then IP
        at = 4
    elif place >= 0:
        at = place + 2 if link != 276 else 20
        kind = data[place : place + 2]
        while kind in (b"\x81\x00", b"\x88\xa8"):
            kind, at = data[at + 2 : at + 4], at + 4
        if kind not in (b"\x08\x00", b"\x86\xdd"):
            return None
    version = data[at] >> 4 if at < len(data) else 0
    if version == 4 and at + 20 <= len(data):
        size = (data[at] & 15) * 4
        total = int.from_bytes(data[at + 2 : at + 4], "big")
        first = not int.from_bytes(data[at + 6 : at + 8], "big") & 0x1FFF
        source, target = _address(data[at + 12 : at + 16]), _address(data[at + 16 : at + 20])
        end = at + total if total >= size else len(data)
        return _inside(source, target, data[at + 9], data[at + size : end], first)
    if version == 6 and at + 40 <= len(data):
        source, target = _address(data[at + 8 : at + 24]), _address(data[at + 24 : at + 40])
        following, at = data[at + 6], at + 40
        for _ in range(8):
            if following not in (0, 43, 60) or at + 8 > len(data):
                break
            following, at = data[at], at + 8 + data[at + 1] * 8
        return _inside(source, target, following, data[at:], following != 44)
    return None


def _inside(source: str, target: str, protocol: int, body: bytes, first: bool) -> Datagram:
    if not first or protocol not in (TCP, UDP) or len(body) < 8:
        return Datagram(source, target, protocol, 0, 0, b"")
    from_port, to_port = struct.unpack_from(">HH", body)
    start = 8 if protocol == UDP else (body[12] >> 4) * 4 if len(body) > 12 else len(body)
    return Datagram(source, target, protocol, from_port, to_port, body[start:])


def read_words(datagram: Datagram) -> Said | None:
    """What the datagram says in DNS, HTTP or TLS, where it says that at its begin."""
    body = datagram.body
    if datagram.from_port in _DNS or datagram.to_port in _DNS:
        return _dns(body[2:] if datagram.protocol == TCP else body)
    if datagram.protocol != TCP or len(body) < 8:
        return None
    if body[0] == 0x16 and body[1] == 3 and body[5] == 1:
        return _tls(body)
    if match := _HTTP.match(body):
        headers = _HEADERS.findall(body, 0, 8192)
        told = [match[0].strip(), *(b"%s: %s" % pair for pair in headers)]
        names = tuple(value.decode("latin-1").strip() for name, value in headers if name.lower() == b"host")
        return Said("http", " | ".join(line.decode("utf-8", "replace") for line in told), names)
    return None


def _dns(data: bytes) -> Said | None:
    if len(data) < 12:
        return None
    _, flags, questions, answers = struct.unpack_from(">4H", data)
    if not 0 < questions <= 4 or flags & 0x0070 or flags >> 11 & 15 > 5:
        return None
    at, asked, told = 12, [], []
    for _ in range(questions):
        name, at = _name(data, at)
        if at < 0 or at + 4 > len(data):
            return None
        kind = int.from_bytes(data[at : at + 2], "big")
        asked.append((name, _TYPES.get(kind, str(kind))))
        at += 4
    for _ in range(min(answers, 50)):
        _, at = _name(data, at)
        if at < 0 or at + 10 > len(data):
            break
        kind, _, _, size = struct.unpack_from(">HHIH", data, at)
        value, at = data[at + 10 : at + 10 + size], at + 10 + size
        if kind in (1, 28) and len(value) in (4, 16):
            told.append(_address(value))
        elif kind in (2, 5, 12):
            told.append(_name(data, at - size)[0])
    names = tuple(name for name, _ in asked if name)
    text = ", ".join(f"{name} {kind}" for name, kind in asked)
    return Said("dns", f"{text} = {', '.join(told)}" if told else text, names)


def _name(data: bytes, at: int) -> tuple[str, int]:
    """A name in DNS and the place behind it, -1 where it breaks off."""
    labels: list[str] = []
    behind = -1
    for _ in range(64):
        if at >= len(data):
            return "", -1
        size = data[at]
        if size >= 0xC0:
            behind = at + 2 if behind < 0 else behind
            at = (size & 0x3F) << 8 | int.from_bytes(data[at + 1 : at + 2], "big")
            continue
        if not size:
            return ".".join(labels), at + 1 if behind < 0 else behind
        labels.append(data[at + 1 : at + 1 + size].decode("utf-8", "replace"))
        at += 1 + size
    return "", -1


def _tls(body: bytes) -> Said | None:
    """The server that a client asks for in its first words."""
    at = 43
    at += 1 + (body[at] if at < len(body) else 0)
    at += 2 + int.from_bytes(body[at : at + 2], "big")
    at += 1 + (body[at] if at < len(body) else 0)
    end = at + 2 + int.from_bytes(body[at : at + 2], "big")
    at += 2
    while at + 4 <= min(end, len(body)):
        kind, size = struct.unpack_from(">HH", body, at)
        if not kind:
            name = body[at + 9 : at + 4 + size].decode("latin-1")
            return Said("tls", name, (name,)) if name else None
        at += 4 + size
    return None
