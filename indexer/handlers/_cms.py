"""Values of signed envelopes as they lie, in definite or indefinite lengths, and the people named in them.

Source: RFC 5652 (CMS); ITU-T X.690 (BER).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from indexer.decoding import decode
from indexer.handlers._der import OCTETS, OID, SET, oid
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Timestamp
from indexer.timestamps import from_iso

MOST: Final = 512 * MIB
"""Bytes of an envelope that is read."""
NAMED: Final = {
    "pkcs7.name": "name in a certificate or of a signer or a recipient",
    "pkcs7.email": "mail address in a certificate",
}
_NODES = 100_000
_DEPTH = 64
_SHOWN = 200
_COMMON_NAME, _MAIL, _SIGNING_TIME = "2.5.4.3", "1.2.840.113549.1.9.1", "1.2.840.113549.1.9.5"
_RFC822 = 0x81
_TIME = re.compile(rb"(\d\d)?(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?(\.\d{1,9})?Z\Z")


class Value(NamedTuple):
    """One value: its tag, where its content starts and ends, how deep it lies."""

    tag: int
    start: int
    end: int
    depth: int


def walk(data: bytes, problems: list[Problem]) -> Iterator[Value]:
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
        size, start = read_length(data, at + 1)
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
        yield Value(tag, start, end, len(ends))
        if tag & 0x20:
            ends.append(None if size < 0 else end)
            at = start
        else:
            at = end


def read_length(data: bytes, at: int) -> tuple[int, int]:
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


def named(data: bytes, values: list[Value]) -> Iterator[tuple[int, str]]:
    """The object identifiers, each with its place in the list."""
    for place, value in enumerate(values):
        if value.tag == OID:
            yield place, oid(data[value.start : value.end])


def people(data: bytes, values: list[Value]) -> Iterator[Fact]:
    """Names and addresses, and when it was signed."""
    names: dict[str, None] = {}
    mails: dict[str, None] = {}
    for place, name in named(data, values):
        after = values[place + 1] if place + 1 < len(values) else None
        if after is None:
            break
        if name in (_COMMON_NAME, _MAIL):
            text = text_of(data, after)
            (names if name == _COMMON_NAME else mails)[text] = None
        elif name == _SIGNING_TIME and after.tag == SET and place + 2 < len(values):
            stamp = read_time("signed", data[values[place + 2].start : values[place + 2].end], "pkcs7.signing_time")
            if stamp:
                yield stamp
    for value in values:
        raw = data[value.start : min(value.end, value.start + 300)]
        if value.tag == _RFC822 and b"@" in raw and raw.isascii():
            mails[raw.decode("ascii")] = None
    yield from (Field("pkcs7.name", name) for name in list(names)[:_SHOWN] if name)
    yield from (Field("pkcs7.email", mail) for mail in list(mails)[:_SHOWN] if mail)


def text_of(data: bytes, value: Value) -> str:
    """A string of any of the usual kinds, the start of a long one."""
    raw = data[value.start : min(value.end, value.start + 1000)]
    return raw.decode("utf-16-be", "replace") if value.tag == 0x1E else decode(raw).text


def read_time(kind: str, raw: bytes, origin: str) -> Timestamp | None:
    """A UTCTime or a GeneralizedTime, with its fraction of a second; None for what is none."""
    match = _TIME.match(raw)
    if not match:
        return None
    century, *parts, fraction = (part.decode() if part else "" for part in match.groups())
    if not parts[-1]:
        # Two digits of the year alone: the first group took them if there are only six pairs.
        parts = [century, *parts[:-1]]
        century = "19" if int(parts[0]) >= 50 else "20"
    year, month, day, hour, minute, second = parts
    return from_iso(kind, f"{century}{year}-{month}-{day}T{hour}:{minute}:{second}{fraction}Z", origin)


def octets(data: bytes, values: list[Value], place: int) -> bytes:
    """The octets that begin at this value, in one piece or in the pieces inside it."""
    first = values[place]
    if first.tag == OCTETS:
        return data[first.start : first.end]
    pieces: list[bytes] = []
    for inner in values[place + 1 :]:
        if inner.depth <= first.depth:
            break
        if inner.tag == OCTETS:
            pieces.append(data[inner.start : inner.end])
    return b"".join(pieces)
