"""Files sealed together with tokens of time stamps: the file as a member, when it was stamped and by whom.

Source: RFC 5544 (TimeStampedData); RFC 3161 (tokens); RFC 4998 (evidence records); ITU-T X.690 (BER).
Limits: no token, no digest and no certificate is verified; lists of revoked certificates are not told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from io import BytesIO
from typing import ClassVar, Final, NamedTuple

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _cms, _der
from indexer.model import Child, Fact, Field, Problem

_KIND: Final = bytes.fromhex("060b2a864886f70d010910011f")
_STAMP: Final = "1.2.840.113549.1.9.16.1.4"
_DIGESTS: Final = {
    "1.2.840.113549.2.5": "md5",
    "1.3.14.3.2.26": "sha1",
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
    "2.16.840.1.101.3.4.2.4": "sha224",
}
_IA5, _UTF8, _PIECES = 0x16, 0x0C, 0x24
_LAYOUT: Final = [_der.INTEGER, _der.OID, _der.SEQUENCE, _der.INTEGER, 0x18]
"""What a token begins with: version, rules, imprint, serial number, time."""
_EVIDENCE: Final = {0xA0: "tokens", 0xA1: "evidence record", 0xA2: "other"}
_FIELD_DEPTH = 3


class TimestampedData(Handler):
    name = "timestamped"
    media_types = ("application/timestamped-data",)
    signatures = (Signature(bytes((_der.SEQUENCE,))),)
    suffixes = (".tsd",)
    fields: ClassVar[Mapping[str, str]] = {
        "timestamped.name": "name of the file, as it is sealed in",
        "timestamped.media_type": "media type of the file, as it is sealed in",
        "timestamped.uri": "where the file is, as it is sealed in",
        "timestamped.evidence": "what tells the time: tokens, an evidence record",
        "timestamped.digest": "digest that a token was made for, with its algorithm",
        "timestamped.serial": "serial number of a token",
        "timestamped.policy": "object identifier of the rules by which a token was made",
        **_cms.NAMED,
    }
    reads = "the sealed file as a member; when it was stamped, over which digest; names of who stamped it"
    rank = 39
    container = True

    def claims(self, stream: Stream) -> str | None:
        size, at = _cms.read_length(stream.head, 1)
        return self.media_types[0] if size != -2 and stream.head[at : at + len(_KIND)] == _KIND else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        if stream.size > _cms.MOST:
            raise EvidenceError("limit", f"an envelope of more than {_cms.MOST} bytes")
        data = stream.at(0, stream.size)
        problems: list[Problem] = []
        values = list(_cms.walk(data, problems))
        held = _sealed(data, values)
        if held.uri:
            yield Field("timestamped.uri", held.uri)
        if held.name:
            yield Field("timestamped.name", held.name)
        if held.media_type:
            yield Field("timestamped.media_type", held.media_type)
        if held.evidence:
            yield Field("timestamped.evidence", held.evidence)
        else:
            problems.append(Problem("truncated", "no token of a time stamp", resolution="kept the rest"))
        yield from _tokens(data, values)
        yield from _cms.people(data, values)
        if held.content >= 0:
            name = held.name or "content"
            yield Child(name, name.encode(), partial(BytesIO, _cms.octets(data, values, held.content)))
        yield from problems


class _Sealed(NamedTuple):
    """What stands beside the tokens; `content` is the place of its value, -1 where there is none."""

    uri: str
    name: str
    media_type: str
    evidence: str
    content: int


def _sealed(data: bytes, values: list[_cms.Value]) -> _Sealed:
    uri = name = media_type = evidence = ""
    content, above = -1, 0
    for place, value in enumerate(values):
        if value.depth == _FIELD_DEPTH:
            above = value.tag
            if value.tag == _IA5:
                uri = _cms.text_of(data, value)
            elif value.tag in (_der.OCTETS, _PIECES) and content < 0:
                content = place
            elif value.tag in _EVIDENCE:
                evidence = _EVIDENCE[value.tag]
                break
        elif value.depth == _FIELD_DEPTH + 1 and above == _der.SEQUENCE:
            if value.tag == _UTF8:
                name = _cms.text_of(data, value)
            elif value.tag == _IA5:
                media_type = _cms.text_of(data, value)
    return _Sealed(uri, name, media_type, evidence, content)


def _tokens(data: bytes, values: list[_cms.Value]) -> Iterator[Fact]:
    for place, name in _cms.named(data, values):
        following = values[place + 1 : place + 3]
        if name != _STAMP or len(following) < 2 or following[1].tag not in (_der.OCTETS, _PIECES):
            continue
        parts = _der.sequence(_cms.octets(data, values, place + 2))
        if [part.tag for part in parts[:5]] != _LAYOUT:
            continue
        _, policy, imprint, serial, time = parts[:5]
        yield Field("timestamped.policy", _der.oid(policy.body))
        if digest := _digest(imprint):
            yield Field("timestamped.digest", digest)
        yield Field("timestamped.serial", serial.body[:64].hex())
        if stamp := _cms.read_time("stamped", time.body, "tsp.gen_time"):
            yield stamp


def _digest(part: _der.Part) -> str:
    """The algorithm and the digest of an imprint, or an empty string."""
    inner = part.parts
    if len(inner) < 2 or inner[1].tag != _der.OCTETS:
        return ""
    algorithm = next((each for each in inner[0].parts if each.tag == _der.OID), None)
    name = _der.oid(algorithm.body) if algorithm else ""
    return f"{_DIGESTS.get(name, name)} {inner[1].body[:64].hex()}"
