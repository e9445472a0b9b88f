"""Who signed a program: the names in the certificates of its signature, and when it was signed.

Source: RFC 5652 (CMS), RFC 5280 section 4.1 (certificates), X.690 (DER); Microsoft, "Windows
Authenticode Portable Executable Signature Format".
Limits: nothing is verified: what is read is what the file claims.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, NamedTuple

_NAMES: Final = {
    b"\x55\x04\x03": "CN",
    b"\x55\x04\x06": "C",
    b"\x55\x04\x07": "L",
    b"\x55\x04\x08": "ST",
    b"\x55\x04\x0a": "O",
    b"\x55\x04\x0b": "OU",
    b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01": "E",
}
_SIGNED_DATA: Final = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"
_SIGNING_TIME: Final = re.compile(rb"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x05\x31.\x17\x0d(\d{12})Z", re.DOTALL)
_CERTIFICATES: Final = 64
_PARTS: Final = 256


class Certificate(NamedTuple):
    """One certificate: its serial number in hex, and the names of its owner and of its issuer."""

    serial: str
    subject: str
    issuer: str


class Signature(NamedTuple):
    """A signature: the certificates in it, the serial numbers of those that signed, and the times it names."""

    certificates: tuple[Certificate, ...]
    signers: frozenset[str]
    times: tuple[datetime, ...]


class _Part(NamedTuple):
    tag: int
    body: bytes


def read_signature(data: bytes) -> Signature | None:
    """What a PKCS #7 signature says; None where the bytes are none."""
    content = next(_parts(data), None)
    inner = list(_parts(content.body)) if content and content.tag == 0x30 else []
    if len(inner) < 2 or inner[0] != _Part(6, _SIGNED_DATA):
        return None
    signed = next(_parts(inner[1].body), None)
    certificates: list[Certificate] = []
    signers: set[str] = set()
    for number, part in enumerate(_parts(signed.body) if signed else ()):
        if part.tag == 0xA0:
            found = (_certificate(each.body) for each in _parts(part.body) if each.tag == 0x30)
            certificates += [each for each in found if each][:_CERTIFICATES]
        elif part.tag == 0x31 and number > 1:
            signers.update(_signers(part.body))
    return Signature(tuple(certificates), frozenset(signers), tuple(_times(data)))


def _parts(data: bytes) -> Iterator[_Part]:
    """The parts that stand side by side in DER; ends where they break."""
    at = 0
    for _ in range(_PARTS):
        if at + 2 > len(data):
            return
        tag, size = data[at], data[at + 1]
        at += 2
        if size & 0x80:
            width = size & 0x7F
            if not 0 < width <= 4:
                return
            size = int.from_bytes(data[at : at + width], "big")
            at += width
        yield _Part(tag, data[at : at + size])
        at += size


def _certificate(body: bytes) -> Certificate | None:
    first = next(_parts(body), None)
    parts = [part for part in _parts(first.body) if part.tag != 0xA0] if first else []
    if len(parts) < 5 or parts[0].tag != 2:
        return None
    return Certificate(parts[0].body.hex(), _name(parts[4].body), _name(parts[2].body))


def _name(body: bytes) -> str:
    """A distinguished name as `CN=..., O=...`, the most telling part first."""
    found: dict[str, str] = {}
    for group in _parts(body):
        for pair in _parts(group.body):
            held = list(_parts(pair.body))
            if len(held) == 2 and held[0].tag == 6 and (kind := _NAMES.get(held[0].body)):
                codec = {0x1E: "utf-16-be", 0x14: "latin-1"}.get(held[1].tag, "utf-8")
                found[kind] = held[1].body.decode(codec, "replace")
    return ", ".join(f"{kind}={found[kind]}" for kind in ("CN", "O", "OU", "L", "ST", "C", "E") if kind in found)


def _signers(body: bytes) -> Iterator[str]:
    for part in _parts(body):
        held = list(_parts(part.body))
        if len(held) > 1 and (pair := list(_parts(held[1].body))) and len(pair) > 1:
            yield pair[1].body.hex()


def _times(data: bytes) -> Iterator[datetime]:
    for match in _SIGNING_TIME.finditer(data):
        digits = match[1].decode("ascii")
        century = "20" if digits < "50" else "19"
        try:
            yield datetime.strptime(century + digits, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        except ValueError:
            continue
