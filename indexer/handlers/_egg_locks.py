"""How members of EGG archives are encrypted: ZipCrypto, AES and LEA, each from any byte of a member on.

Source: OctopusET, "EGG Archive Format Specification" 1.0, section 12.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Protocol

from indexer.errors import EvidenceError
from indexer.handlers._ciphers import PkzipCipher
from indexer.handlers._lea import LeaCounter

METHODS = {0: "ZipCrypto", 1: "AES-128", 2: "AES-256", 5: "LEA-128", 6: "LEA-256"}
ITERATIONS = 1000
PIECE = 64 * 1024


class Decrypter(Protocol):
    """What gives plain bytes one piece after another."""

    def decrypt(self, data: bytes, /) -> bytes: ...


class Lock:
    """The encryption of one member.

    Args:
        record: the method and its data.
    """

    def __init__(self, record: bytes) -> None:
        self._method = record[0]
        self._data = record[1:]
        self.name = METHODS.get(self._method, f"method {self._method}")
        self._length = 32 if self._method in (2, 6) else 16
        self.known = self._method in METHODS and len(self._data) >= (16 if not self._method else self._length // 2 + 2)

    def fits(self, secret: bytes) -> bool:
        """The quick check: one wrong password of 256 passes it under ZipCrypto, else one of 65,536."""
        if not self._method:
            return PkzipCipher(secret).decrypt(self._data[:12])[-1] == self._data[15]
        salt = self._length // 2
        return self._derive(secret)[2 * self._length :] == self._data[salt : salt + 2]

    def start(self, secret: bytes, at: int, before: Iterator[bytes]) -> Decrypter:
        """What decrypts from byte `at` of the member on.

        Args:
            before: the encrypted bytes up to there; only ZipCrypto has to read them.
        """
        if not self._method:
            cipher = PkzipCipher(secret)
            cipher.decrypt(self._data[:12])
            for piece in before:
                cipher.decrypt(piece)
            return cipher
        key = self._derive(secret)[: self._length]
        return LeaCounter(key, at) if self._method > 2 else _aes(key, at)

    def _derive(self, secret: bytes) -> bytes:
        salt = self._data[: self._length // 2]
        return hashlib.pbkdf2_hmac("sha1", secret, salt, ITERATIONS, 2 * self._length + 2)


def _aes(key: bytes, at: int) -> Decrypter:
    try:
        from Cryptodome.Cipher import AES
        from Cryptodome.Util import Counter
    except ImportError as error:
        raise EvidenceError("missing-library", "AES needs pycryptodomex: pip install pycryptodomex") from error
    counter = Counter.new(128, initial_value=1 + at // 16, little_endian=True)
    cipher: Decrypter = AES.new(key, AES.MODE_CTR, counter=counter)
    cipher.decrypt(bytes(at % 16))
    return cipher
