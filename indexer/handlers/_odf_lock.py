"""Encrypted parts of OpenDocument files: which key a password makes, and what the part then holds.

Source: OASIS ODF 1.3 part 2, chapter 3.4 (manifest) and 4.8 (encryption); PBKDF2: RFC 8018.
Limits: the ciphers of ODF 1.1 to 1.3 (Blowfish CFB, AES CBC) with PBKDF2; not AES-GCM with Argon2.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Struct

from indexer.errors import EvidenceError
from indexer.limits import KIB

ITERATIONS = 5_000_000
"""Rounds of key derivation that a part may ask for: about 3 seconds; programs ask for 100,000."""
_CHECKED = 1 * KIB
_STEP = 64 * KIB


class Lock(Struct):
    """How one part is encrypted, as its manifest entry says."""

    cipher: str = ""
    start: bytes = b""
    derivation: str = ""
    salt: bytes = b""
    iterations: int = 0
    key_size: int = 16
    key_hash: str = "sha1"
    checksum_kind: str = ""
    checksum: bytes = b""

    def take(self, tag: str, attributes: dict[str, str]) -> None:
        """Notes one element below the manifest entry."""
        if tag == "manifest:encryption-data":
            self.checksum_kind = _last(attributes.get("manifest:checksum-type", "")).lower()
            self.checksum = _bytes(attributes.get("manifest:checksum", ""))
        elif tag == "manifest:algorithm":
            self.cipher = _last(attributes.get("manifest:algorithm-name", "")).lower()
            self.start = _bytes(attributes.get("manifest:initialisation-vector", ""))
        elif tag == "manifest:key-derivation":
            self.derivation = _last(attributes.get("manifest:key-derivation-name", "")).lower()
            self.salt = _bytes(attributes.get("manifest:salt", ""))
            self.iterations = _number(attributes.get("manifest:iteration-count", ""))
            self.key_size = _number(attributes.get("manifest:key-size", "")) or 16
        elif tag == "manifest:start-key-generation":
            self.key_hash = _last(attributes.get("manifest:start-key-generation-name", "")).lower()

    @property
    def method(self) -> str:
        """Cipher and key derivation in one line."""
        return f"{self.cipher} {self.derivation}".strip()

    @property
    def known(self) -> bool:
        """Whether we can open it, given the password."""
        return (
            self.cipher in ("aes128-cbc", "aes192-cbc", "aes256-cbc", "blowfish cfb")
            and self.derivation == "pbkdf2"
            and 0 < self.iterations <= ITERATIONS
            and self.key_size in (16, 24, 32)
            and len(self.start) == (8 if self.cipher.startswith("blowfish") else 16)
        )

    def key(self, password: str) -> bytes:
        """The key that a password makes for this part."""
        digest = hashlib.sha256 if self.key_hash == "sha256" else hashlib.sha1
        first = digest(password.encode("utf-8", "surrogatepass")).digest()
        return hashlib.pbkdf2_hmac("sha1", first, self.salt, self.iterations, self.key_size)

    def opens(self, key: bytes, pieces: Iterable[bytes]) -> bool:
        """Whether the key is right, by the checksum of the first 1,024 bytes of the packed part."""
        plain = b""
        for piece in self._decrypted(key, pieces):
            plain += piece
            if len(plain) > _CHECKED:
                break
        digest = hashlib.sha256 if self.checksum_kind.startswith("sha256") else hashlib.sha1
        shown = plain if self.checksum_kind.endswith("1k") else b""
        return bool(shown) and digest(shown[:_CHECKED]).digest() == self.checksum

    def unpacked(self, key: bytes, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The part's own bytes.

        Raises:
            EvidenceError: after the last piece that could be had.
        """
        inflater = zlib.decompressobj(-15)
        try:
            for piece in self._decrypted(key, pieces):
                while piece and not inflater.eof:
                    if plain := inflater.decompress(piece, _STEP):
                        yield plain
                    piece = inflater.unconsumed_tail
        except zlib.error as error:
            raise EvidenceError("corrupt", f"deflate after decryption: {error}") from error
        if not inflater.eof:
            raise EvidenceError("truncated", "the deflate stream has no end")

    def _decrypted(self, key: bytes, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Plain bytes in whole blocks; the padding of the last block is taken off."""
        cipher = self._cipher(key)
        block = 1 if self.cipher.startswith("blowfish") else 16
        held = b""
        for piece in pieces:
            held += piece
            whole = max(0, (len(held) - 1) // block * block) if block > 1 else len(held)
            if whole:
                yield cipher.decrypt(held[:whole])
                held = held[whole:]
        if block > 1 and len(held) == block:
            last = cipher.decrypt(held)
            yield last[: -last[-1]] if 0 < last[-1] <= block else last

    def _cipher(self, key: bytes) -> Any:
        try:
            from Cryptodome.Cipher import AES, Blowfish
        except ImportError as error:
            raise EvidenceError("missing-library", "Cryptodome is needed: pip install pycryptodomex") from error
        if self.cipher.startswith("blowfish"):
            return Blowfish.new(key, Blowfish.MODE_CFB, iv=self.start, segment_size=64)  # noqa: S304 - theirs, not ours
        return AES.new(key, AES.MODE_CBC, iv=self.start)


def _last(name: str) -> str:
    """`aes256-cbc` of a name that is an address, the name itself where it is none."""
    return name.rpartition("#")[2] if "#" in name else name


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
