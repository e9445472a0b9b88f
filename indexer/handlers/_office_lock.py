"""Encryption of the old Office programs: which key a password makes, and what a stream then holds.

Source: [MS-OFFCRYPTO] 2.3.5 (CryptoAPI), 2.3.6 (RC4), 2.3.7 (XOR); [MS-DOC] 2.2.6.
Limits: XOR obfuscation of Word documents is named, not opened.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Struct

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._cfb import Compound
from indexer.model import Fact, Field
from indexer.passwords import Password

EXCEL_DEFAULT = "VelvetSweatshop"
"""With this Excel encrypts a workbook whose sheets are merely protected: it opens them by itself."""
_WORD_BLOCK, _WORD_PLAIN = 512, 0x44


class Lock(Struct, frozen=True):
    """How a document is encrypted with RC4, as its header says."""

    salt: bytes
    verifier: bytes
    verifier_hash: bytes
    key_bytes: int = 0
    """Of the CryptoAPI form; 0 for the older one."""

    @property
    def method(self) -> str:
        """Cipher and key length in one line."""
        return f"RC4 CryptoAPI {self.key_bytes * 8} bits" if self.key_bytes else "RC4 40 bits"

    def secret(self, password: str) -> bytes:
        """What the keys of all blocks are made of."""
        raw = password.encode("utf-16-le", "surrogatepass")
        if self.key_bytes:
            return hashlib.sha1(self.salt + raw).digest()  # noqa: S324 - theirs, not ours
        first = hashlib.md5(raw).digest()[:5]  # noqa: S324
        return hashlib.md5((first + self.salt) * 16).digest()[:5]  # noqa: S324

    def cipher(self, secret: bytes, block: int) -> Any:
        """The cipher at the start of a block."""
        number = struct.pack("<I", block)
        if not self.key_bytes:
            return arc4(hashlib.md5(secret + number).digest())  # noqa: S324
        key = hashlib.sha1(secret + number).digest()[: self.key_bytes]  # noqa: S324
        return arc4(key.ljust(16, b"\0") if self.key_bytes == 5 else key)

    def opens(self, secret: bytes) -> bool:
        """Whether the password was right."""
        plain = self.cipher(secret, 0).decrypt(self.verifier + self.verifier_hash)
        digest = hashlib.sha1 if self.key_bytes else hashlib.md5
        held = digest(plain[:16]).digest()
        return bool(plain[16 : 16 + len(held)] == held)

    def decrypt(self, secret: bytes, data: bytes, size: int) -> bytes:
        """A stream that gets a new key every `size` bytes."""
        blocks = range(0, len(data), size)
        return b"".join(self.cipher(secret, at // size).decrypt(data[at : at + size]) for at in blocks)

    def find(self, passwords: Iterable[Password], default: str = "") -> tuple[bytes, Password | None] | None:
        """The secret of the first password that opens it; the default one goes without saying."""
        if default and self.opens(secret := self.secret(default)):
            return secret, None
        for password in passwords:
            if self.opens(secret := self.secret(password.text)):
                return secret, password
        return None


def read_lock(data: bytes) -> Lock:
    """The lock that an encryption header describes.

    Raises:
        EvidenceError: if it is cut, or a kind that we do not open.
    """
    major, minor = struct.unpack_from("<HH", data.ljust(4, b"\0"))
    if (major, minor) == (1, 1) and len(data) >= 52:
        return Lock(data[4:20], data[20:36], data[36:52])
    if minor == 2 and 2 <= major <= 4 and len(data) >= 12:
        size = min(struct.unpack_from("<I", data, 8)[0], len(data))
        head, rest = data[12 : 12 + size], data[12 + size :]
        if len(head) >= 20 and len(rest) >= 60:
            (key_bits,) = struct.unpack_from("<I", head, 16)
            return Lock(rest[4:20], rest[20:36], rest[40:60], min(max(key_bits or 40, 40), 128) // 8)
    raise EvidenceError("encrypted", f"encryption of version {major}.{minor}")


def arc4(key: bytes) -> Any:
    """An RC4 cipher.

    Raises:
        EvidenceError: `missing-library`.
    """
    try:
        from Cryptodome.Cipher import ARC4
    except ImportError as error:
        raise EvidenceError("missing-library", "Cryptodome is needed: pip install pycryptodomex") from error
    return ARC4.new(key)


def found_facts(lock: Lock, password: Password | None) -> Iterator[Fact]:
    """How it was encrypted, and which password opened it."""
    yield Field("encryption.method", lock.method)
    if password:
        yield password.field()


class Opened(Struct, frozen=True):
    """The streams of a Word document, decrypted where they were encrypted."""

    main: bytes
    table: bytes
    data: bytes
    facts: tuple[Fact, ...] = ()


def open_word(held: Compound, stream: Stream) -> Opened:
    """The streams of a Word document.

    Raises:
        EvidenceError: `encrypted`, if no password opens it.
    """
    main = held.read(held.get("WordDocument"))
    flags = int.from_bytes(main[10:12], "little")
    table = held.read(held.get("1Table" if flags & 0x200 else "0Table"))
    data = held.read(held.get("Data"))
    if not flags & 0x100:
        return Opened(main, table, data)
    if flags & 0x8000 or int.from_bytes(main[2:4], "little") < 0xC1:
        raise EvidenceError("encrypted", "XOR obfuscation with a password")
    lead = int.from_bytes(main[14:18], "little")
    lock = read_lock(table[:lead])
    found = lock.find(stream.passwords)
    if not found:
        raise EvidenceError("encrypted", f"{lock.method}, no given password opens it")
    secret, password = found
    plain = main[:_WORD_PLAIN] + lock.decrypt(secret, main, _WORD_BLOCK)[_WORD_PLAIN:]
    table = table[:lead] + lock.decrypt(secret, table, _WORD_BLOCK)[lead:]
    data = lock.decrypt(secret, data, _WORD_BLOCK)
    return Opened(plain, table, data, tuple(found_facts(lock, password)))
