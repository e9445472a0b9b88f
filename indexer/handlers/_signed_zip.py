"""Who signed a zip file of a program: certificates in META-INF, and in the block before the directory.

Source: JAR File Specification, "Signed JAR File"; "APK Signature Scheme v2" and "v3" (source.android.com).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from indexer.handler import Stream
from indexer.handlers import _x509
from indexer.handlers._parts import Parts
from indexer.handlers._pe_signature import read_signature
from indexer.limits import MIB
from indexer.model import Fact, Field, Timestamp

_SUFFIXES: Final = (".rsa", ".dsa", ".ec")
_MAGIC: Final = b"APK Sig Block 42"
_SCHEMES: Final = {0x7109871A: "v2", 0xF05368C0: "v3", 0x1B93AD61: "v3.1"}
_MOST: Final = 16 * MIB
_SIGNERS: Final = 20


def signer_facts(parts: Parts) -> Iterator[Fact]:
    """The certificates of signatures in META-INF."""
    names = [name for name in parts.names if name.startswith("meta-inf/") and name.endswith(_SUFFIXES)]
    told = False
    for info in parts.infos:
        if info.filename.lower() not in names[:_SIGNERS]:
            continue
        signature = read_signature(parts.read(info.filename, _MOST))
        if signature is None:
            continue
        if not told:
            yield Field("signature.scheme", "v1")
            told = True
        for each in signature.certificates:
            yield Field("certificate.subject", each.subject)
            yield Field("certificate.issuer", each.issuer)
            yield Field("certificate.serial", each.serial)
        yield from (Timestamp("signed", at, "pkcs7.signing_time") for at in signature.times)


def block_facts(stream: Stream) -> Iterator[Fact]:
    """The certificates of signatures in the block before the directory."""
    tail = stream.at(max(0, stream.size - 65557), 65557)
    end = tail.rfind(b"PK\5\6")
    if end < 0 or end + 20 > len(tail):
        return
    (directory,) = struct.unpack_from("<I", tail, end + 16)
    foot = stream.at(directory - 24, 24)
    if foot[8:] != _MAGIC:
        return
    (size,) = struct.unpack_from("<Q", foot)
    begin = directory - size
    if not 24 < size <= _MOST or begin < 0:
        return
    block = stream.at(begin, size - 24)
    at = 0
    told: set[bytes] = set()
    while at + 12 <= len(block):
        length, ident = struct.unpack_from("<QI", block, at)
        if length < 4 or at + 8 + length > len(block):
            return
        if ident in _SCHEMES:
            yield Field("signature.scheme", _SCHEMES[ident])
            for certificate in _certificates(block[at + 12 : at + 8 + length]):
                if certificate not in told and _x509.kind_of(certificate) == "certificate":
                    told.add(certificate)
                    yield from _x509.tell("certificate", certificate)
        at += 8 + length


def _certificates(value: bytes) -> Iterator[bytes]:
    for signer in _split(next(_split(value), b"")):
        signed = next(_split(signer), b"")
        inner = list(_split(signed))
        if len(inner) > 1:
            yield from _split(inner[1])


def _split(data: bytes) -> Iterator[bytes]:
    """The values that stand one behind another, each behind its length."""
    at = 0
    for _ in range(_SIGNERS):
        if at + 4 > len(data):
            return
        (length,) = struct.unpack_from("<I", data, at)
        yield data[at + 4 : at + 4 + length]
        at += 4 + length
