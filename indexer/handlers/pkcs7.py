"""Signed and encrypted envelopes (S/MIME, CMS): what was signed as a member, and who signed.

The structure is read as it lies, in definite or indefinite lengths, down to the few values that are
told; signatures are not checked.

Source: RFC 5652 (CMS); RFC 8551 (S/MIME); RFC 2315 (PKCS #7); ITU-T X.690 (BER); RFC 7468 (PEM).
Limits: encrypted envelopes are named, not opened; no signature and no certificate is verified.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator, Mapping
from functools import partial
from io import BytesIO
from typing import ClassVar, NamedTuple

from indexer.decoding import decode
from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.limits import MIB
from indexer.model import Child, Fact, Field, Problem, Timestamp
from indexer.timestamps import from_iso

_MOST = 512 * MIB
_NODES = 100_000
_DEPTH = 64
_SHOWN = 200
_PEM = re.compile(rb"-----BEGIN (?:PKCS7|CMS|PKCS #7 SIGNED DATA)-----\s+([A-Za-z0-9+/=\s]+)-----END")
_KINDS = {
    "1.2.840.113549.1.7.1": "data",
    "1.2.840.113549.1.7.2": "signed",
    "1.2.840.113549.1.7.3": "encrypted",
    "1.2.840.113549.1.7.6": "encrypted",
    "1.2.840.113549.1.9.16.1.9": "compressed",
    "1.2.840.113549.1.9.16.1.23": "encrypted",
}
_COMMON_NAME, _MAIL, _SIGNING_TIME = "2.5.4.3", "1.2.840.113549.1.9.1", "1.2.840.113549.1.9.5"
_OID = bytes.fromhex("06092a864886f70d0107")
_SEQUENCE, _SET, _OCTETS, _NAME, _UTC, _LONG_TIME, _RFC822 = 0x30, 0x31, 0x04, 0x06, 0x17, 0x18, 0x81
_UTC_TIME = re.compile(rb"(\d\d)?(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?Z\Z")


class _Value(NamedTuple):
    """One value: its tag, where its content starts and ends, how deep it lies."""

    tag: int
    start: int
    end: int
    depth: int


class Pkcs7(Handler):
    name = "pkcs7"
    media_types = ("application/pkcs7-mime", "application/pkcs7-signature")
    signatures = (
        Signature(bytes((_SEQUENCE,))),
        Signature(b"-----BEGIN PKCS"),
        Signature(b"-----BEGIN CMS"),
    )
    suffixes = (".p7m", ".p7s", ".p7c", ".p7z", ".p7b")
    fields: ClassVar[Mapping[str, str]] = {
        "pkcs7.kind": "what the envelope is: signed, encrypted, compressed",
        "pkcs7.name": "name in a certificate or of a signer or a recipient",
        "pkcs7.email": "mail address in a certificate",
    }
    reads = "what was signed as a member; names and addresses of signers and recipients; encrypted ones named"
    rank = 40
    container = True

    def claims(self, stream: Stream) -> str | None:
        head = stream.head
        if head.startswith(b"-----"):
            return self.media_types[0] if _PEM.search(stream.at(0, 1 << 20)) else None
        _, at = _length(head, 1)
        if head[at : at + 1] != b"\x06" or at + 20 > len(head):
            return None
        kind = _KINDS.get(_oid(head[at + 2 : at + 2 + head[at + 1]]), "data")
        return None if kind == "data" else self.media_types[0]

    def read(self, stream: Stream) -> Iterator[Fact]:
        data = _bytes_of(stream)
        problems: list[Problem] = []
        values = list(_walk(data, problems))
        kind = next((_KINDS[name] for _, name in _named(data, values) if name in _KINDS), "")
        if kind:
            yield Field("pkcs7.kind", kind)
        yield from _people(data, values)
        if kind == "encrypted":
            yield Problem("encrypted", "an envelope of S/MIME", resolution="named, not opened")
        elif kind == "signed":
            body = _content(data, values)
            if body is not None:
                yield Child("content", b"content", partial(BytesIO, body))
        elif kind == "compressed":
            yield Problem("unsupported", "a compressed envelope", resolution="not opened")
        yield from problems


def _bytes_of(stream: Stream) -> bytes:
    if stream.size > _MOST:
        raise EvidenceError("limit", f"an envelope of more than {_MOST} bytes")
    data = stream.at(0, stream.size)
    if data.startswith(b"-----") and (match := _PEM.search(data)):
        body = re.sub(rb"[^A-Za-z0-9+/]", b"", match[1])
        body = body[: len(body) - (len(body) % 4 == 1)]
        return binascii.a2b_base64(body + b"=" * (-len(body) % 4))
    return data


def _walk(data: bytes, problems: list[Problem]) -> Iterator[_Value]:
    """Every value in reading order; what holds others comes before them."""
    ends: list[int | None] = []
    at = told = 0
    while at < len(data):
        while ends and ends[-1] is not None and at >= ends[-1]:
            ends.pop()
        if not ends and told:
            return
        tag = data[at]
        if tag == 0 and data[at : at + 2] == b"\0\0" and ends and ends[-1] is None:
            ends.pop()
            at += 2
            continue
        size, start = _length(data, at + 1)
        if tag & 31 == 31 or size == -2:
            problems.append(Problem("corrupt", f"no value at {at}", resolution="read up to there"))
            return
        end = len(data) if size < 0 else start + size
        if end > len(data):
            problems.append(Problem("truncated", f"a value at {at} ends behind the end", resolution="read to the end"))
            end = len(data)
        told += 1
        if told > _NODES or len(ends) >= _DEPTH:
            problems.append(
                Problem("limit", f"more than {_NODES} values, or {_DEPTH} deep", resolution="read up to there")
            )
            return
        yield _Value(tag, start, end, len(ends))
        if tag & 0x20:
            ends.append(None if size < 0 else end)
            at = start
        else:
            at = end


def _length(data: bytes, at: int) -> tuple[int, int]:
    """The size of a value and where it starts; -1 where it ends by a mark, -2 where it is none."""
    if at >= len(data):
        return -2, at
    first = data[at]
    if first < 0x80:
        return first, at + 1
    if first == 0x80:
        return -1, at + 1
    count = first & 0x7F
    return (int.from_bytes(data[at + 1 : at + 1 + count], "big"), at + 1 + count) if count <= 8 else (-2, at)


def _oid(raw: bytes) -> str:
    parts: list[int] = []
    number = 0
    for byte in raw[:64]:
        number = number << 7 | byte & 0x7F
        if not byte & 0x80:
            parts.append(number)
            number = 0
    if not parts:
        return ""
    first = min(parts[0] // 40, 2)
    return ".".join(str(part) for part in (first, parts[0] - 40 * first, *parts[1:]))


def _named(data: bytes, values: list[_Value]) -> Iterator[tuple[int, str]]:
    """The object identifiers, each with its place in the list."""
    for place, value in enumerate(values):
        if value.tag == _NAME:
            yield place, _oid(data[value.start : value.end])


def _people(data: bytes, values: list[_Value]) -> Iterator[Fact]:
    names: dict[str, None] = {}
    mails: dict[str, None] = {}
    for place, name in _named(data, values):
        after = values[place + 1] if place + 1 < len(values) else None
        if after is None:
            break
        if name in (_COMMON_NAME, _MAIL):
            text = _text(data, after)
            (names if name == _COMMON_NAME else mails)[text] = None
        elif name == _SIGNING_TIME and after.tag == _SET and place + 2 < len(values):
            stamp = _time(data[values[place + 2].start : values[place + 2].end])
            if stamp:
                yield stamp
    for value in values:
        raw = data[value.start : min(value.end, value.start + 300)]
        if value.tag == _RFC822 and b"@" in raw and raw.isascii():
            mails[raw.decode("ascii")] = None
    yield from (Field("pkcs7.name", name) for name in list(names)[:_SHOWN] if name)
    yield from (Field("pkcs7.email", mail) for mail in list(mails)[:_SHOWN] if mail)


def _text(data: bytes, value: _Value) -> str:
    raw = data[value.start : min(value.end, value.start + 1000)]
    return raw.decode("utf-16-be", "replace") if value.tag == 0x1E else decode(raw).text


def _time(raw: bytes) -> Timestamp | None:
    match = _UTC_TIME.match(raw)
    if not match:
        return None
    century, *parts = (part.decode() if part else "" for part in match.groups())
    if not parts[-1]:
        # Two digits of the year alone: the first group took them if there are only six pairs.
        parts = [century, *parts[:-1]]
        century = "19" if int(parts[0]) >= 50 else "20"
    year, month, day, hour, minute, second = parts
    return from_iso("signed", f"{century}{year}-{month}-{day}T{hour}:{minute}:{second}Z", "pkcs7.signing_time")


def _content(data: bytes, values: list[_Value]) -> bytes | None:
    """What was signed; None where the signature stands alone.

    It is the octets behind the second name that says what a content is, in one piece or in many.
    """
    seen = 0
    for place, value in enumerate(values):
        if (value.tag == _NAME and data[value.start - 2 : value.start + 8] == _OID) or (
            value.tag == _NAME and _oid(data[value.start : value.end]).startswith("1.2.840.113549.1.9.16.1.")
        ):
            seen += 1
        if seen < 2 or value.tag != _NAME:
            continue
        rest = values[place + 1 : place + 2]
        # What stands beside the name is the content; one level up it would be the certificates.
        if not rest or rest[0].tag != 0xA0 or rest[0].depth != value.depth:
            return None
        pieces: list[bytes] = []
        for inner in values[place + 2 :]:
            if inner.depth <= rest[0].depth:
                break
            if inner.tag == _OCTETS:
                pieces.append(data[inner.start : inner.end])
        return b"".join(pieces)
    return None
