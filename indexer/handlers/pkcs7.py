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
from typing import ClassVar

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._cms import MOST, NAMED, Value, named, octets, people, read_length, walk
from indexer.handlers._der import OID, SEQUENCE, oid
from indexer.model import Child, Fact, Field, Problem

_PEM = re.compile(rb"-----BEGIN (?:PKCS7|CMS|PKCS #7 SIGNED DATA)-----\s+([A-Za-z0-9+/=\s]+)-----END")
_KINDS = {
    "1.2.840.113549.1.7.1": "data",
    "1.2.840.113549.1.7.2": "signed",
    "1.2.840.113549.1.7.3": "encrypted",
    "1.2.840.113549.1.7.6": "encrypted",
    "1.2.840.113549.1.9.16.1.9": "compressed",
    "1.2.840.113549.1.9.16.1.23": "encrypted",
}
_CONTENT = bytes.fromhex("06092a864886f70d0107")


class Pkcs7(Handler):
    name = "pkcs7"
    version = 2
    media_types = ("application/pkcs7-mime", "application/pkcs7-signature")
    signatures = (
        Signature(bytes((SEQUENCE,))),
        Signature(b"-----BEGIN PKCS"),
        Signature(b"-----BEGIN CMS"),
    )
    suffixes = (".p7m", ".p7s", ".p7c", ".p7z", ".p7b")
    fields: ClassVar[Mapping[str, str]] = {
        "pkcs7.kind": "what the envelope is: signed, encrypted, compressed",
        **NAMED,
    }
    reads = "what was signed as a member; names and addresses of signers and recipients; encrypted ones named"
    rank = 40
    container = True

    def claims(self, stream: Stream) -> str | None:
        head = stream.head
        if head.startswith(b"-----"):
            return self.media_types[0] if _PEM.search(stream.at(0, 1 << 20)) else None
        _, at = read_length(head, 1)
        if head[at : at + 1] != b"\x06" or at + 20 > len(head):
            return None
        kind = _KINDS.get(oid(head[at + 2 : at + 2 + head[at + 1]]), "data")
        return None if kind == "data" else self.media_types[0]

    def read(self, stream: Stream) -> Iterator[Fact]:
        data = _bytes_of(stream)
        problems: list[Problem] = []
        values = list(walk(data, problems))
        kind = next((_KINDS[name] for _, name in named(data, values) if name in _KINDS), "")
        if kind:
            yield Field("pkcs7.kind", kind)
        yield from people(data, values)
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
    if stream.size > MOST:
        raise EvidenceError("limit", f"an envelope of more than {MOST} bytes")
    data = stream.at(0, stream.size)
    if data.startswith(b"-----") and (match := _PEM.search(data)):
        body = re.sub(rb"[^A-Za-z0-9+/]", b"", match[1])
        body = body[: len(body) - (len(body) % 4 == 1)]
        return binascii.a2b_base64(body + b"=" * (-len(body) % 4))
    return data


def _content(data: bytes, values: list[Value]) -> bytes | None:
    """What was signed; None where the signature stands alone.

    It is the octets behind the second name that says what a content is, in one piece or in many.
    """
    seen = 0
    for place, value in enumerate(values):
        if (value.tag == OID and data[value.start - 2 : value.start + 8] == _CONTENT) or (
            value.tag == OID and oid(data[value.start : value.end]).startswith("1.2.840.113549.1.9.16.1.")
        ):
            seen += 1
        if seen < 2 or value.tag != OID:
            continue
        rest = values[place + 1 : place + 2]
        # What stands beside the name is the content; one level up it would be the certificates.
        if not rest or rest[0].tag != 0xA0 or rest[0].depth != value.depth:
            return None
        return octets(data, values, place + 1)
    return None
