"""Ciphers that archives share: the stream cipher of PKZIP, and AES as WinZip writes it.

Source: APPNOTE.TXT 6.3.10 section 6.1 (traditional encryption); WinZip "AES Encryption
Information: Encryption Specification AE-1 and AE-2"; `_four_keys.c` derives its keys side by side.
"""

from __future__ import annotations

import hashlib
import hmac
import zlib
from collections.abc import Iterator
from functools import lru_cache
from importlib import import_module
from typing import Any

from indexer.errors import EvidenceError

CODECS = ("utf-8", "cp949", "gb18030", "cp932", "big5", "cp1251", "cp866", "cp1252", "cp850", "cp437")
"""How writers of archives turned a password into bytes, the likeliest first."""

BLOCK = 64
"""Bytes of a password beyond which HMAC takes its digest."""
FOUR_KEYS: Any
"""The keys of a member all at once, in a quarter of the time; None where there was no compiler."""
try:
    FOUR_KEYS = import_module("indexer.handlers._four_keys")
except ImportError:
    FOUR_KEYS = None

_CRC = tuple(zlib.crc32(bytes((value,)), 0xFFFFFFFF) ^ 0xFFFFFFFF for value in range(256))
_KEYSTREAM = bytes((word | 2) * ((word | 2) ^ 1) >> 8 & 0xFF for word in range(0, 1 << 16, 4))
"""Byte of the key stream by bits 2 to 15 of the third key: bits 0 and 1 never matter."""


def spellings(password: str) -> list[bytes]:
    """The bytes a password may have been typed as; one entry where it is plain ASCII."""
    found: dict[bytes, None] = {}
    for codec in CODECS:
        try:
            found.setdefault(password.encode(codec))
        except UnicodeEncodeError:
            continue
    return list(found)


class PkzipCipher:
    """The traditional cipher of PKZIP: three 32-bit keys that change with every plain byte.

    Args:
        password: as bytes; see `spellings`.
    """

    HEADER = 12
    """Bytes of random data before the member; the last one, or two, tell a wrong password."""

    def __init__(self, password: bytes) -> None:
        self._keys = (0x12345678, 0x23456789, 0x34567890)
        first, second, third = self._keys
        crc = _CRC
        for byte in password:
            first = crc[(first ^ byte) & 0xFF] ^ first >> 8
            second = ((second + (first & 0xFF)) * 134775813 + 1) & 0xFFFFFFFF
            third = crc[(third ^ second >> 24) & 0xFF] ^ third >> 8
        self._keys = (first, second, third)

    def decrypt(self, data: bytes) -> bytes:
        """The plain bytes of the next `data`; about 3 MB a second."""
        first, second, third = self._keys
        crc, keystream = _CRC, _KEYSTREAM
        plain = bytearray(data)
        for at, byte in enumerate(data):
            byte ^= keystream[third >> 2 & 0x3FFF]
            plain[at] = byte
            first = crc[(first ^ byte) & 0xFF] ^ first >> 8
            second = ((second + (first & 0xFF)) * 134775813 + 1) & 0xFFFFFFFF
            third = crc[(third ^ second >> 24) & 0xFF] ^ third >> 8
        self._keys = (first, second, third)
        return bytes(plain)


class WinzipAes:
    """Keys of one AE-1 or AE-2 member.

    Args:
        strength: 1, 2 or 3 for 128, 192 or 256 bits.
        salt: `salt_length(strength)` bytes that stand before the member.
    """

    ITERATIONS = 1000
    CODE = 10
    """Bytes of the authentication code after the member."""

    def __init__(self, password: bytes, salt: bytes, strength: int) -> None:
        length = 8 * (strength + 1)
        keys = _derive(password, salt, self.ITERATIONS, 2 * length + 2)
        self._key = keys[:length]
        self._authentication = keys[length : 2 * length]
        self.verifier = keys[2 * length :]

    @staticmethod
    def salt_length(strength: int) -> int:
        """Bytes of salt for a strength of 1, 2 or 3."""
        return 4 * (strength + 1)

    def decrypt(self, pieces: Iterator[bytes], code: bytes) -> Iterator[bytes]:
        """The plain pieces of a member; the code is checked after the last.

        Raises:
            EvidenceError: `corrupt`, where the authentication code does not fit.
        """
        try:
            from Cryptodome.Cipher import AES
            from Cryptodome.Util import Counter
        except ImportError as error:
            raise EvidenceError("missing-library", "AES needs pycryptodomex: pip install pycryptodomex") from error
        counter = Counter.new(128, initial_value=1, little_endian=True)
        cipher = AES.new(self._key, AES.MODE_CTR, counter=counter)
        seal = hmac.new(self._authentication, digestmod="sha1")
        for piece in pieces:
            seal.update(piece)
            yield cipher.decrypt(piece)
        if len(code) == self.CODE and not hmac.compare_digest(seal.digest()[: self.CODE], code):
            raise EvidenceError("corrupt", "the authentication code (HMAC) does not fit the encrypted bytes")

    def proves(self, pieces: Iterator[bytes], code: bytes) -> bool:
        """Whether the authentication code fits, without decrypting."""
        seal = hmac.new(self._authentication, digestmod="sha1")
        for piece in pieces:
            seal.update(piece)
        return hmac.compare_digest(seal.digest()[: self.CODE], code)


@lru_cache(maxsize=2)
def _derive(password: bytes, salt: bytes, iterations: int, length: int) -> bytes:
    """The keys of a member: first to see whether the password fits, soon after to open it."""
    if FOUR_KEYS and len(password) <= BLOCK:
        return bytes(FOUR_KEYS.derive(password, salt, iterations, length))
    return hashlib.pbkdf2_hmac("sha1", password, salt, iterations, length)
