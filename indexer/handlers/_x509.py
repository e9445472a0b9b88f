"""Certificates, requests, lists of revoked ones and keys in DER, as facts; no secret number is told.

Source: RFC 5280 (certificates), RFC 2986 (requests), RFC 8017 appendix A (RSA keys), RFC 5915 (EC keys),
RFC 5958 (PKCS #8), RFC 8018 (encrypted ones), RFC 7292 (PKCS #12), RFC 8410 (Ed25519).
Nothing is verified.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Any, Final

from indexer.handlers._der import (
    BITS,
    INTEGER,
    OCTETS,
    OID,
    SEQUENCE,
    SET,
    Part,
    declared_size,
    oid,
    read_parts,
    sequence,
    text_of,
    time_of,
)
from indexer.model import Fact, Field, Timestamp

FIELDS: Final = {
    "certificate.subject": "whom a certificate or a request is for",
    "certificate.issuer": "who issued it",
    "certificate.serial": "its serial number, in hex",
    "certificate.name": "another name it is valid for: host, address, mail",
    "certificate.key": "kind and size of its public key",
    "certificate.signature": "how it is signed",
    "certificate.sha1": "digest of the whole certificate",
    "certificate.sha256": "digest of the whole certificate",
    "certificate.authority": "it may issue others",
    "certificate.revoked": "how many certificates a list revokes",
    "key.private": "a private key is in it; its body is not told",
    "key.kind": "form of a key: OpenSSH private key, PKCS #8 private key, public key ...",
    "key.algorithm": "kind and size of a key",
    "key.encrypted": "whether a private key is locked by a password",
    "key.cipher": "how it is locked",
    "key.comment": "comment beside a key",
    "key.fingerprint": "digest of the public key as SSH shows it",
    "key.sha256": "digest of the public key as certificates hold it",
}
_NAMES: Final = {
    "2.5.4.3": "CN",
    "2.5.4.4": "SN",
    "2.5.4.5": "serialNumber",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "street",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.12": "title",
    "2.5.4.42": "GN",
    "1.2.840.113549.1.9.1": "E",
    "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.25": "DC",
}
_ALGORITHMS: Final = {
    "1.2.840.113549.1.1.1": "RSA",
    "1.2.840.113549.1.1.10": "RSA-PSS",
    "1.2.840.10040.4.1": "DSA",
    "1.2.840.10045.2.1": "EC",
    "1.3.101.110": "X25519",
    "1.3.101.112": "Ed25519",
    "1.3.101.113": "Ed448",
    "1.2.840.10045.3.1.7": "P-256",
    "1.3.132.0.34": "P-384",
    "1.3.132.0.35": "P-521",
    "1.3.132.0.10": "secp256k1",
    "1.2.840.113549.1.1.4": "RSA with MD5",
    "1.2.840.113549.1.1.5": "RSA with SHA-1",
    "1.2.840.113549.1.1.11": "RSA with SHA-256",
    "1.2.840.113549.1.1.12": "RSA with SHA-384",
    "1.2.840.113549.1.1.13": "RSA with SHA-512",
    "1.2.840.10045.4.3.2": "ECDSA with SHA-256",
    "1.2.840.10045.4.3.3": "ECDSA with SHA-384",
    "1.2.840.113549.1.5.13": "PBES2",
    "1.2.840.113549.1.5.12": "PBKDF2",
    "1.2.840.113549.1.12.1.3": "PBE with SHA-1 and 3DES",
    "1.2.840.113549.1.12.1.6": "PBE with SHA-1 and RC2-40",
    "1.2.840.113549.1.5.3": "PBE with MD5 and DES",
    "1.3.6.1.4.1.11591.4.11": "scrypt",
    "2.16.840.1.101.3.4.1.2": "AES-128-CBC",
    "2.16.840.1.101.3.4.1.22": "AES-192-CBC",
    "2.16.840.1.101.3.4.1.42": "AES-256-CBC",
    "1.2.840.113549.3.7": "3DES-CBC",
}
_SSH_CURVES: Final = {"P-256": "nistp256", "P-384": "nistp384", "P-521": "nistp521"}
_SAN, _CONSTRAINTS = "2.5.29.17", "2.5.29.19"
_PKCS7_DATA, _PKCS7_SIGNED = "1.2.840.113549.1.7.1", "1.2.840.113549.1.7.2"
_MOST: Final = 500


def kind_of(data: bytes) -> str:
    """What a DER value is by its shape, an empty string for what is none of ours."""
    parts = sequence(data)
    tags = [part.tag for part in parts]
    if tags == [SEQUENCE, SEQUENCE, BITS]:
        return _signed_kind(parts[0].parts)
    if tags == [SEQUENCE, BITS] and _algorithm(parts[0]):
        return "public key"
    if tags == [SEQUENCE, OCTETS] and _first_oid(parts[0]).startswith("1.2.840.113549.1."):
        return "encrypted PKCS #8 private key"
    if tags[:3] == [INTEGER, SEQUENCE, OCTETS] and _algorithm(parts[1]):
        return "PKCS #8 private key"
    if (
        tags[:2] == [INTEGER, SEQUENCE]
        and parts[0].number == 3
        and _first_oid(parts[1]) in (_PKCS7_DATA, _PKCS7_SIGNED)
    ):
        return "PKCS #12 key store"
    if len(tags) >= 9 and set(tags[:9]) == {INTEGER} and parts[0].number in (0, 1) and len(parts[1].body) > 32:
        return "RSA private key"
    if tags == [INTEGER] * 6 and parts[0].number == 0:
        return "DSA private key"
    if tags[:2] == [INTEGER, OCTETS] and parts[0].number == 1 and set(tags[2:]) <= {0xA0, 0xA1} and tags[2:]:
        return "EC private key"
    if tags == [INTEGER, INTEGER] and len(parts[0].body) > 64 and len(parts[1].body) <= 8:
        return "RSA public key"
    return ""


def _signed_kind(inner: list[Part]) -> str:
    tags = [part.tag for part in inner]
    plain = tags[1:] if tags[:1] == [0xA0] else tags
    if plain[:6] == [INTEGER, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE]:
        return "certificate"
    if tags[:3] == [INTEGER, SEQUENCE, SEQUENCE] and inner[0].number == 0:
        return "certificate request"
    plain = tags[1:] if tags[:1] == [INTEGER] else tags
    return "revocation list" if plain[:2] == [SEQUENCE, SEQUENCE] and plain[2:3] in ([0x17], [0x18]) else ""


def tell(kind: str, data: bytes) -> Iterator[Fact]:
    """The facts of a value of this kind, as far as it can be read."""
    parts = sequence(data)
    if kind == "certificate":
        yield from _certificate(parts[0].parts, data)
    elif kind == "certificate request":
        yield from _request(parts[0].parts)
    elif kind == "revocation list":
        yield from _revocations(parts[0].parts)
    elif kind:
        yield Field("key.kind", kind)
        if not kind.endswith("public key") and kind != "public key":
            yield Field("key.private", True)
            yield Field("key.encrypted", kind.startswith(("encrypted", "PKCS #12")))
        if kind.startswith("encrypted"):
            yield Field("key.cipher", cipher_of(parts[0]))
        yield from public_facts(_public(kind, parts, data))


def cipher_of(part: Part) -> str:
    """How a password locks a key, by the names of its algorithms."""
    found: dict[str, None] = {}
    waiting = [part]
    for _ in range(50):
        if not waiting:
            break
        each = waiting.pop(0)
        if each.tag == OID and (name := _ALGORITHMS.get(oid(each.body))):
            found[name] = None
        elif each.tag == SEQUENCE:
            waiting += each.parts
    return ", ".join(found) or _first_oid(part)


def public_facts(spki: bytes) -> Iterator[Fact]:
    """Kind, size and digests of a public key."""
    parts = sequence(spki)
    if len(parts) != 2:
        return
    if name := key_name(parts):
        yield Field("key.algorithm", name)
    if blob := _ssh_blob(parts):
        yield Field("key.fingerprint", fingerprint(blob))
    yield Field("key.sha256", hashlib.sha256(spki).hexdigest())


def fingerprint(blob: bytes) -> str:
    """The digest of a public key in the form of SSH, as `ssh-keygen -l` shows it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def key_name(parts: list[Part]) -> str:
    """Kind and size of a public key: `RSA 2048`, `EC P-256`, `Ed25519`."""
    name = _algorithm(parts[0])
    if name.startswith("RSA"):
        numbers = sequence(parts[1].body[1:])
        return f"{name} {numbers[0].number.bit_length()}" if numbers else name
    if name == "EC":
        held = parts[0].parts
        curve = oid(held[1].body) if len(held) > 1 and held[1].tag == OID else ""
        return f"EC {_ALGORITHMS.get(curve, curve)}".strip()
    return name or _first_oid(parts[0])


def _ssh_blob(parts: list[Part]) -> bytes:
    """The same public key as SSH writes it; empty where SSH has no such keys."""
    name = key_name(parts)
    bits = parts[1].body[1:]
    if name.startswith("RSA "):
        numbers = sequence(bits)
        if len(numbers) == 2:
            return b"".join(map(_string, (b"ssh-rsa", numbers[1].body, numbers[0].body)))
    if name == "Ed25519":
        return _string(b"ssh-ed25519") + _string(bits)
    curve = _SSH_CURVES.get(name.removeprefix("EC "), "").encode()
    return b"".join(map(_string, (b"ecdsa-sha2-" + curve, curve, bits))) if curve else b""


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _public(kind: str, parts: list[Part], data: bytes) -> bytes:
    """The public part of a key as certificates hold it; empty where it is not to be had in clear."""
    if kind == "public key":
        return data
    if kind == "RSA public key":
        return _rsa(data)
    if kind == "RSA private key":
        return _rsa(_der(SEQUENCE, parts[1].whole + parts[2].whole))
    if kind == "EC private key":
        curve = next((part.body for part in parts if part.tag == 0xA0), b"")
        return _ec(parts, curve)
    if kind == "PKCS #8 private key":
        name = _algorithm(parts[1])
        if name.startswith("RSA"):
            inner = sequence(parts[2].body)
            return _rsa(_der(SEQUENCE, inner[1].whole + inner[2].whole)) if len(inner) > 2 else b""
        if name == "EC":
            held = parts[1].parts
            return _ec(sequence(parts[2].body), held[1].whole if len(held) > 1 else b"")
        if name == "Ed25519":
            return _ed25519(parts)
    return b""


def _der(tag: int, body: bytes) -> bytes:
    size = len(body)
    width = (size.bit_length() + 7) // 8
    return (
        bytes((tag,)) + (bytes((size,)) if size < 128 else bytes((0x80 | width,)) + size.to_bytes(width, "big")) + body
    )


def _rsa(numbers: bytes) -> bytes:
    return _der(SEQUENCE, bytes.fromhex("300d06092a864886f70d0101010500") + _der(BITS, b"\0" + numbers))


def _ec(parts: list[Part], curve: bytes) -> bytes:
    """From an EC private key that has its public point with it."""
    point = next((part.parts for part in parts if part.tag == 0xA1), [])
    if not point or point[0].tag != BITS or not curve:
        return b""
    kind = _der(SEQUENCE, bytes.fromhex("06072a8648ce3d0201") + curve)
    return _der(SEQUENCE, kind + point[0].whole)


def _ed25519(parts: list[Part]) -> bytes:
    try:
        from Cryptodome.PublicKey import ECC
    except ImportError:
        return b""
    seed = next((each.body for each in read_parts(parts[2].body) if each.tag == OCTETS), b"")
    if len(seed) != 32:
        return b""
    key: Any = ECC.construct(curve="Ed25519", seed=seed)  # type: ignore[arg-type]
    raw: bytes = key.public_key().export_key(format="raw")
    return _der(SEQUENCE, bytes.fromhex("300506032b6570") + _der(BITS, b"\0" + raw))


def _first_oid(part: Part) -> str:
    held = part.parts if part.tag == SEQUENCE else []
    return oid(held[0].body) if held and held[0].tag == OID else ""


def _algorithm(part: Part) -> str:
    name = _first_oid(part)
    return _ALGORITHMS.get(name, "")


def distinguished(part: Part) -> str:
    """A distinguished name as `CN=..., O=...`, in the order it is written."""
    told = []
    for group in part.parts[:_MOST]:
        for pair in group.parts if group.tag == SET else ():
            held = pair.parts
            if len(held) == 2 and held[0].tag == OID:
                kind = oid(held[0].body)
                told.append(f"{_NAMES.get(kind, kind)}={text_of(held[1])}")
    return ", ".join(told)


def _certificate(inner: list[Part], data: bytes) -> Iterator[Fact]:
    inner = inner[1:] if inner[0].tag == 0xA0 else inner
    serial, signature, issuer, validity, subject, key = inner[:6]
    yield Field("certificate.subject", distinguished(subject))
    yield Field("certificate.issuer", distinguished(issuer))
    yield Field("certificate.serial", serial.body.hex())
    for word, part in zip(("valid_from", "valid_until"), validity.parts, strict=False):
        if at := time_of(part):
            yield Timestamp(word, at, "certificate.validity")
    extensions = next((part for part in inner[6:] if part.tag == 0xA3), None)
    if extensions:
        yield from _extensions(sequence(extensions.body))
    spki = key.parts
    if len(spki) == 2:
        yield Field("certificate.key", key_name(spki))
        yield Field("key.sha256", hashlib.sha256(key.whole).hexdigest())
    yield Field("certificate.signature", _algorithm(signature) or _first_oid(signature))
    whole = data[: declared_size(data)]
    yield Field("certificate.sha1", hashlib.sha1(whole, usedforsecurity=False).hexdigest())
    yield Field("certificate.sha256", hashlib.sha256(whole).hexdigest())


def _extensions(extensions: list[Part]) -> Iterator[Fact]:
    for each in extensions[:_MOST]:
        held = each.parts
        if len(held) < 2 or held[0].tag != OID or held[-1].tag != OCTETS:
            continue
        kind, inner = oid(held[0].body), sequence(held[-1].body)
        if kind == _SAN:
            yield from (Field("certificate.name", name) for part in inner[:_MOST] if (name := _general(part)))
        elif kind == _CONSTRAINTS and inner and inner[0].tag == 1 and inner[0].body != b"\0":
            yield Field("certificate.authority", True)


def _general(part: Part) -> str:
    """One of the names that a certificate is also valid for."""
    if part.tag in (0x81, 0x82, 0x86):
        return part.body.decode("utf-8", "replace")
    if part.tag == 0x87 and len(part.body) == 4:
        return ".".join(map(str, part.body))
    if part.tag == 0x87 and len(part.body) == 16:
        return ":".join(part.body[at : at + 2].hex() for at in range(0, 16, 2))
    if part.tag == 0xA4 and (inner := part.parts):
        return distinguished(inner[0])
    return ""


def _request(inner: list[Part]) -> Iterator[Fact]:
    yield Field("certificate.subject", distinguished(inner[1]))
    yield from public_facts(inner[2].whole)
    for attribute in (part for part in inner[3:] if part.tag == 0xA0):
        for each in attribute.parts:
            held = each.parts
            if len(held) == 2 and held[1].tag == SET and held[1].parts and held[1].parts[0].tag == SEQUENCE:
                yield from _extensions(held[1].parts[0].parts)


def _revocations(inner: list[Part]) -> Iterator[Fact]:
    inner = inner[1:] if inner[0].tag == INTEGER else inner
    yield Field("certificate.issuer", distinguished(inner[1]))
    for word, part in zip(("valid_from", "valid_until"), inner[2:4], strict=False):
        if at := time_of(part):
            yield Timestamp(word, at, "crl.update")
    entries = next((part.parts for part in inner[3:5] if part.tag == SEQUENCE), [])
    yield Field("certificate.revoked", len(entries))
