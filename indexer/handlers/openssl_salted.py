"""Files that `openssl enc` locked with a password, opened where a given password fits.

Neither cipher nor digest nor the number of rounds stands in the file, so the ones that the program's versions take by
themselves and manuals name are tried; a password fits where the filling of the last block and the first bytes of
what comes out cannot be chance.

Source: the manual of openssl-enc(1), options -salt, -pbkdf2, -md; EVP_BytesToKey(3); PKCS #7 (filling).
Limits: AES and 3DES in CBC, with the key by MD5, SHA-256 or 10,000 rounds of PBKDF2; nothing tells of changes.
"""

from __future__ import annotations

import hashlib
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, ClassVar, NamedTuple

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._ciphers import spellings
from indexer.handlers._streams import open_chunks
from indexer.model import Child, Fact, Field, Problem

_MARK = b"Salted__"
_SALT, _START = 8, 16
_STEP = 1 << 16
_HEAD = 512
_ROUNDS = 10_000
_CIPHERS = {"aes-256-cbc": (32, 16), "aes-128-cbc": (16, 16), "aes-192-cbc": (24, 16), "des-ede3-cbc": (24, 8)}
"""Bytes of a key and of a block."""
_MAGIC = (
    b"\x1f\x8b\x08", b"PK\3\4", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\7",
    b"%PDF-", b"SQLite format 3\0", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff",
    b"\x7fELF", b"PGDMP",
)  # fmt: skip
_SURE = 30.0
"""Bits that have to fit: of so many tries that a list of passwords makes, not one fits by chance."""


class _Opened(NamedTuple):
    """What a password opens: the cipher, how its key was made, the key and what the first block is mixed with."""

    cipher: str
    digest: str
    key: bytes
    start: bytes

    @property
    def method(self) -> str:
        return f"openssl enc {self.cipher}, key by {self.digest}"

    def engine(self, start: bytes) -> Any:
        try:
            from Cryptodome.Cipher import AES, DES3
        except ImportError as error:
            raise EvidenceError("missing-library", "Cryptodome is needed: pip install pycryptodomex") from error
        module = DES3 if self.cipher.startswith("des") else AES
        return module.new(self.key, module.MODE_CBC, iv=start)


def _chained(digest: str, secret: bytes, salt: bytes, size: int) -> bytes:
    out = last = b""
    while len(out) < size:
        last = hashlib.new(digest, last + secret + salt, usedforsecurity=False).digest()
        out += last
    return out[:size]


def _by_rounds(secret: bytes, salt: bytes, size: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", secret, salt, _ROUNDS, size)


_KEYS: Mapping[str, Callable[[bytes, bytes, int], bytes]] = {
    "PBKDF2": _by_rounds,
    "SHA-256": partial(_chained, "sha256"),
    "MD5": partial(_chained, "md5"),
}


class OpensslSalted(Handler):
    name = "openssl-salted"
    version = 2
    media_types = ("application/x-openssl-salted",)
    signatures = (Signature(_MARK),)
    suffixes = (".enc",)
    fields: ClassVar[Mapping[str, str]] = {
        "encryption.method": "what locked it",
        "encryption.salt": "the salt, in hex digits",
    }
    reads = "that a password locks it, and its salt; the file as a member where a given password opens it"
    rank = 40
    container = True
    uses_name = True

    def read(self, stream: Stream) -> Iterator[Fact]:
        salt = stream.at(len(_MARK), _SALT)
        if len(salt) < _SALT:
            raise EvidenceError("truncated", "it ends within its salt")
        yield Field("encryption.salt", salt.hex())
        for password in stream.passwords:
            if opened := _fitting(stream, password.text, salt):
                yield Field("encryption.method", opened.method)
                yield password.field()
                name = stream.name.removesuffix(".enc") or "content"
                raw = name.encode("utf-8", "surrogateescape")
                yield Child(name, raw, lambda: open_chunks(_plain(stream, opened)))
                return
        yield Field("encryption.method", "openssl enc")
        message = "locked by openssl enc; the file does not tell the cipher"
        yield Problem("encrypted", message, resolution="named, not opened")


def _fitting(stream: Stream, password: str, salt: bytes) -> _Opened | None:
    """How the password opens it; None where it does not."""
    for secret in spellings(password):
        for digest, derive in _KEYS.items():
            longest = derive(secret, salt, 48)  # a shorter one is its beginning
            for cipher, (size, block) in _CIPHERS.items():
                opened = _Opened(cipher, digest, longest[:size], longest[size : size + block])
                if stream.size >= _START + block and not (stream.size - _START) % block and _fits(stream, opened):
                    return opened
    return None


def _fits(stream: Stream, opened: _Opened) -> bool:
    block = len(opened.start)
    begin = max(_START, stream.size - 2 * block)
    before, last = stream.at(begin, stream.size - begin - block) or opened.start, stream.at(stream.size - block, block)
    try:
        filling = _filling(opened.engine(before).decrypt(last))
        head = opened.engine(opened.start).decrypt(stream.at(_START, _HEAD))
    except ValueError:  # a key of DES that no writer would take
        return False
    if stream.size - _START <= _HEAD:
        head = head[: len(head) - filling]
    return bool(filling) and 8 * filling + _sense(head) >= _SURE


def _filling(last: bytes) -> int:
    """How many bytes of a last block fill it up: as many as each of them says; 0 where they do not."""
    count = last[-1]
    return count if last.endswith(bytes((count,)) * count) and 0 < count <= len(last) else 0


def _sense(head: bytes) -> float:
    """How many bits of the first bytes are those of a known type, or of text."""
    if head[257:262] == b"ustar":
        return 40
    if magic := next((magic for magic in _MAGIC if head.startswith(magic)), b""):
        return 8 * len(magic)
    try:
        text = getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return 0
    return 1.4 * len(head) if all(letter.isprintable() or letter in "\t\r\n" for letter in text) else 0


def _plain(stream: Stream, opened: _Opened) -> Iterator[bytes]:
    engine = opened.engine(opened.start)
    for at in range(_START, stream.size, _STEP):
        piece = engine.decrypt(stream.at(at, _STEP))
        yield piece if at + _STEP < stream.size else piece[: len(piece) - _filling(piece[-len(opened.start) :])]
