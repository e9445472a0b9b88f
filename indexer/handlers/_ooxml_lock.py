"""Encryption of the newer Office documents: which key a password makes, and what the package then holds.

Source: [MS-OFFCRYPTO] 2.3.4.4 to 2.3.4.15 (standard and agile encryption).
Limits: extensible encryption, rights management and other ciphers than AES in CBC or ECB are named, not opened.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import struct
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from indexer.errors import EvidenceError

ROUNDS = 2_000_000
"""Rounds of key derivation that a document may ask for: about 2 seconds; programs ask for 100,000."""
_SEGMENT = 4096
_STANDARD_ROUNDS = 50_000
_INPUT, _VALUE, _KEY = (bytes.fromhex(code) for code in ("fea7d2763b4b9e79", "d7aa0f6d3061344e", "146e0be7abacd0d6"))
_ATTRIBUTE = re.compile(rb"""([A-Za-z]{1,40})\s*=\s*["']([^"']{0,2000})["']""")
_HASHES = {"sha1": "sha1", "sha-1": "sha1", "sha256": "sha256", "sha384": "sha384", "sha512": "sha512", "md5": "md5"}


class Standard(Struct, frozen=True):
    """Encryption as Office 2007 does it: AES in ECB mode, SHA-1."""

    salt: bytes
    verifier: bytes
    verifier_hash: bytes
    key_bytes: int

    @property
    def method(self) -> str:
        """Cipher and key length in one line."""
        return f"standard encryption, AES {self.key_bytes * 8} bits"

    def open(self, password: str) -> bytes:
        """The key that a password makes; empty where it is not the right one."""
        digest = hashlib.sha1(self.salt + _raw(password)).digest()  # noqa: S324 - theirs, not ours
        for number in range(_STANDARD_ROUNDS):
            digest = hashlib.sha1(struct.pack("<I", number) + digest).digest()  # noqa: S324
        digest = hashlib.sha1(digest + bytes(4)).digest()  # noqa: S324
        halves = (bytes(byte ^ mask for byte in digest.ljust(64, b"\0")) for mask in (0x36, 0x5C))
        masks = (half[:20] + bytes((mask,)) * 44 for half, mask in zip(halves, (0x36, 0x5C), strict=True))
        key = b"".join(hashlib.sha1(half).digest() for half in masks)[: self.key_bytes]  # noqa: S324
        plain = aes(key).decrypt(self.verifier)
        held = aes(key).decrypt(self.verifier_hash)[:20]
        return key if hashlib.sha1(plain).digest() == held else b""  # noqa: S324

    def decrypt(self, key: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """The package in whole segments."""
        for segment in _segments(pieces):
            yield aes(key).decrypt(segment)


class Agile(Struct, frozen=True):
    """Encryption as Office 2010 and later do it: what the descriptor says of the package and of the password."""

    package: dict[str, str]
    password: dict[str, str]

    @property
    def method(self) -> str:
        """Cipher, key length and digest in one line."""
        kind = self.package.get("cipherAlgorithm", "")
        return (
            f"agile encryption, {kind} {self.package.get('keyBits', '')} bits, {self.package.get('hashAlgorithm', '')}"
        )

    def open(self, password: str) -> bytes:
        """The key of the package; empty where the password is not the right one.

        Raises:
            EvidenceError: if the descriptor asks for what we do not do.
        """
        held = self.password
        hashed, salt = _hash(held), _bytes(held, "saltValue")
        rounds, size = _number(held, "spinCount"), _number(held, "keyBits") // 8
        if not 0 <= rounds <= ROUNDS:
            raise EvidenceError("limit", f"{rounds} rounds of key derivation")
        if (
            held.get("cipherAlgorithm") != "AES"
            or held.get("cipherChaining") != "ChainingModeCBC"
            or size not in (16, 24, 32)
        ):
            raise EvidenceError("encrypted", self.method)
        digest = hashlib.new(hashed, salt + _raw(password)).digest()
        for number in range(rounds):
            digest = hashlib.new(hashed, struct.pack("<I", number) + digest).digest()

        def plain(block: bytes, name: str) -> bytes:
            key = hashlib.new(hashed, digest + block).digest()[:size].ljust(size, b"\x36")
            return bytes(aes(key, salt[:16].ljust(16, b"\x36")).decrypt(_bytes(held, name)))

        check = plain(_INPUT, "encryptedVerifierHashInput")[: len(salt)]
        value = plain(_VALUE, "encryptedVerifierHashValue")
        made = hashlib.new(hashed, check).digest()
        return plain(_KEY, "encryptedKeyValue")[:size] if value[: len(made)] == made else b""

    def decrypt(self, key: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """The package in whole segments, each with a vector of its own."""
        hashed, salt = _hash(self.package), _bytes(self.package, "saltValue")
        for number, segment in enumerate(_segments(pieces)):
            vector = hashlib.new(hashed, salt + struct.pack("<I", number)).digest()[:16].ljust(16, b"\x36")
            yield aes(key, vector).decrypt(segment)


def read_lock(data: bytes) -> Standard | Agile:
    """The lock that the stream EncryptionInfo describes.

    Raises:
        EvidenceError: `encrypted`, naming a kind that we do not open.
    """
    major, minor = struct.unpack_from("<HH", data.ljust(4, b"\0"))
    if (major, minor) == (4, 4):
        head, _, rest = data[8:].partition(b"encryptedKey ")
        package = head[head.find(b"keyData") :].partition(b">")[0]
        return Agile(_attributes(package), _attributes(rest.partition(b">")[0]))
    if minor == 2 and 2 <= major <= 4 and len(data) >= 12:
        size = min(struct.unpack_from("<I", data, 8)[0], len(data))
        head, rest = data[12 : 12 + size], data[12 + size :]
        if len(head) >= 20 and len(rest) >= 72:
            algorithm, _, key_bits = struct.unpack_from("<III", head, 8)
            if 0x660E <= algorithm <= 0x6610 and key_bits in (128, 192, 256):
                return Standard(rest[4:20], rest[20:36], rest[40:72], key_bits // 8)
            raise EvidenceError("encrypted", f"standard encryption, cipher {algorithm:#x}")
    raise EvidenceError("encrypted", f"encryption of version {major}.{minor}")


def aes(key: bytes, vector: bytes | None = None) -> Any:
    """An AES cipher: CBC with a vector, ECB without.

    Raises:
        EvidenceError: `missing-library`.
    """
    try:
        from Cryptodome.Cipher import AES
    except ImportError as error:
        raise EvidenceError("missing-library", "Cryptodome is needed: pip install pycryptodomex") from error
    return AES.new(key, AES.MODE_CBC, iv=vector) if vector else AES.new(key, AES.MODE_ECB)


def _segments(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The bytes in pieces of 4,096; the last in whole blocks."""
    held = b""
    for piece in pieces:
        held += piece
        whole = len(held) // _SEGMENT * _SEGMENT
        for at in range(0, whole, _SEGMENT):
            yield held[at : at + _SEGMENT]
        held = held[whole:]
    if rest := held[: len(held) & ~15]:
        yield rest


def _attributes(element: bytes) -> dict[str, str]:
    return {found[1].decode(): found[2].decode("utf-8", "replace") for found in _ATTRIBUTE.finditer(element[:8192])}


def _hash(held: dict[str, str]) -> str:
    name = _HASHES.get(held.get("hashAlgorithm", "").lower())
    if not name:
        raise EvidenceError("encrypted", f"agile encryption with {held.get('hashAlgorithm', 'no digest')}")
    return name


def _bytes(held: dict[str, str], name: str) -> bytes:
    try:
        data = base64.b64decode(held.get(name, ""))
    except (binascii.Error, ValueError):
        return b""
    return data if name == "saltValue" else data[: len(data) & ~15]


def _number(held: dict[str, str], name: str) -> int:
    text = held.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1


def _raw(password: str) -> bytes:
    return password.encode("utf-16-le", "surrogatepass")
