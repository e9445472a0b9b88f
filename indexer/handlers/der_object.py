"""Certificates, requests, lists of revoked ones and keys in bytes (DER), and key stores (PKCS #12).

Source: ITU-T X.690; RFC 5280, RFC 2986, RFC 5958, RFC 8017, RFC 5915, RFC 7292.
Limits: nothing is verified or decrypted; what is in a key store is not listed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _x509
from indexer.handlers._der import declared_size
from indexer.model import Fact, Field, Problem, Text

_TYPES: Final = {
    "certificate": "application/pkix-cert",
    "certificate request": "application/pkcs10",
    "revocation list": "application/pkix-crl",
    "PKCS #12 key store": "application/x-pkcs12",
}
_KEY = "application/x-der-key"
_MOST: Final = 64 << 20
_SLACK: Final = 16
"""Bytes that may stand behind the value: line ends, padding."""


class DerObject(Handler):
    name = "der"
    media_types = (*_TYPES.values(), _KEY)
    signatures = (Signature(b"\x30"),)
    suffixes = (".der", ".cer", ".crt", ".p12", ".pfx", ".crl", ".key", ".p8", ".csr")
    fields: ClassVar[dict[str, str]] = dict(_x509.FIELDS)
    reads = "certificates, requests, keys: names, validity, digests; private keys and key stores are named, never shown"
    # Behind signed envelopes, which begin alike.
    rank = 41

    def claims(self, stream: Stream) -> str | None:
        size = declared_size(stream.head)
        if not size <= stream.size <= size + _SLACK or size > _MOST:
            return None
        kind = _x509.kind_of(stream.at(0, size))
        return _TYPES.get(kind, _KEY) if kind else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        data = stream.at(0, min(stream.size, _MOST))
        kind = _x509.kind_of(data)
        facts = list(_x509.tell(kind, data))
        yield Text(
            "\n".join([kind, *(f"{each.name}: {each.value}" for each in facts if isinstance(each, Field))]), kind
        )
        yield from facts
        if kind.startswith(("encrypted", "PKCS #12")):
            yield Problem("encrypted", f"{kind}: locked by a password", resolution="named, not opened")
