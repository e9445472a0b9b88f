"""OpenPGP messages that a password opens: keys of passwords, and the message behind them, piece by piece.

Source: RFC 9580 sections 3.7 (keys of passwords), 5.3, 5.7, 5.13 (versions 1 and 2); the LibrePGP draft sections
5.3 (version 5) and 5.16 (messages in chunks).
Limits: keys by Argon2, and the ciphers IDEA, Twofish and Camellia, are named, not opened.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from indexer.errors import EvidenceError
from indexer.handlers._ciphers import spellings
from indexer.handlers._pgp import (
    FOR_KEY,
    FOR_PASSWORD,
    MARKER,
    SEALED,
    SEALED_CHECKED,
    SEALED_CHUNKS,
    Feed,
    begins_message,
    next_packet,
    skip,
)

_NAMES: Final = {
    1: "IDEA", 2: "3DES", 3: "CAST5", 4: "Blowfish", 7: "AES-128", 8: "AES-192", 9: "AES-256", 10: "Twofish",
    11: "Camellia-128", 12: "Camellia-192", 13: "Camellia-256",
}  # fmt: skip
_CIPHERS: Final = {
    2: ("DES3", 24, 8), 3: ("CAST", 16, 8), 4: ("Blowfish", 16, 8),
    7: ("AES", 16, 16), 8: ("AES", 24, 16), 9: ("AES", 32, 16),
}  # fmt: skip
"""Module, bytes of a key, bytes of a block."""
_MODES: Final = {1: ("EAX", 16), 2: ("OCB", 15), 3: ("GCM", 12)}
"""Modes that tell whether anything was changed, with the bytes of their nonces."""
_HASHES: Final = {
    1: "md5", 2: "sha1", 3: "ripemd160", 8: "sha256", 9: "sha384", 10: "sha512", 11: "sha224",
    12: "sha3_256", 14: "sha3_512",
}  # fmt: skip
_TAG: Final = 16
_CHECK: Final = 22
"""Bytes of the packet that ends a message of version 1: its head and a SHA-1."""
_LARGEST: Final = 1 << 26
_MOST_PACKETS, _LONGEST, _HEAD = 200, 1 << 10, 8
_STEP: Final = 1 << 16


class Key(NamedTuple):
    """The key of one message."""

    cipher: int
    key: bytes


class Message:
    """A sealed message.

    Args:
        read_at: bytes of the file by offset and length.

    Attributes:
        kind: of the sealed packet; 0 where there is none.
        locks: what passwords open, as the file has it.
        method: what seals it, in words: `OpenPGP AES-256 OCB`.
        is_read: whether this cipher is one that can be opened here.
    """

    def __init__(self, read_at: Callable[[int, int], bytes]) -> None:
        self._read_at = read_at
        self.locks: list[bytes] = []
        self.kind = 0
        for kind, body in self._packets():
            if kind == FOR_PASSWORD:
                self.locks.append(Feed(body).take(_LONGEST))
            elif kind in (SEALED, SEALED_CHECKED, SEALED_CHUNKS):
                self.kind = kind

        cipher = mode = 0
        if self.kind == SEALED_CHUNKS or (self.locks and self.locks[0][:1] == b"\6"):
            cipher, mode = (*Feed(self._body()).take(3)[1:], 0, 0)[:2]
        elif self.locks:
            cipher = (*self.locks[0], 0, 0)[1]
        self.is_read = cipher in _CIPHERS
        self.method = " ".join(filter(None, ("OpenPGP", _NAMES.get(cipher, ""), _MODES.get(mode, ("", 0))[0])))

    def open(self, password: str) -> Key | None:
        """The key, where this is a password of the message.

        Raises:
            EvidenceError: `missing-library`.
        """
        for lock in self.locks:
            for secret in spellings(password):
                try:
                    key = _unlock(lock, secret)
                    if key and begins_message(Feed(self.plain(key)).take(_HEAD)):
                        return key
                except EvidenceError as error:
                    if error.cause == "missing-library":
                        raise
        return None

    def plain(self, key: Key) -> Iterator[bytes]:
        """What the key opens: packets again. An error tells where it was changed or cut, behind what can be read.

        Raises:
            EvidenceError: `corrupt` or `truncated`.
        """
        feed = Feed(self._body())
        if self.kind == SEALED:
            return _resynchronised(feed, key)
        head = feed.take(1)
        if self.kind == SEALED_CHECKED and head == b"\1":
            return _checked(feed, key)
        if self.kind == SEALED_CHECKED and head == b"\2":
            return _chunks(feed, b"\xd2\2", key, version=2)
        if self.kind == SEALED_CHUNKS and head == b"\1":
            return _chunks(feed, b"\xd4\1", key, version=1)
        return iter(())

    def _file(self) -> Iterator[bytes]:
        at = 0
        while piece := self._read_at(at, _STEP):
            yield piece
            at += len(piece)

    def _packets(self) -> Iterator[tuple[int, Iterator[bytes]]]:
        """What stands before the sealed packet, and this as the last."""
        feed = Feed(self._file())
        for _ in range(_MOST_PACKETS):
            kind, body = next_packet(feed)
            yield kind, body
            if kind not in (FOR_KEY, FOR_PASSWORD, MARKER):
                return
            try:
                skip(body)
            except EvidenceError:  # nothing stands behind what is cut
                return

    def _body(self) -> Iterator[bytes]:
        return next((body for kind, body in self._packets() if kind == self.kind), iter(()))


def _unlock(lock: bytes, secret: bytes) -> Key | None:
    """The key that a password gives, or opens; None where it is not the one or this is not read."""
    version, cipher, mode, spec = *(*lock[:3], 0, 0, 0)[:3], lock[3:]
    if version == 6:  # the lengths of its parts stand in it too
        cipher, mode, spec = *(*lock[2:4], 0, 0)[:2], lock[5:]
    if cipher not in _CIPHERS:
        return None
    size = _CIPHERS[cipher][1]
    if version == 4:
        key, rest = _key_of(lock[2:], secret, size)
        if not key or not rest:
            return Key(cipher, key) if key else None
        opened = _cfb(Key(cipher, key), bytes(_CIPHERS[cipher][2]))(rest)
        inner, key = opened[0], opened[1:]
        return Key(inner, key) if inner in _CIPHERS and len(key) == _CIPHERS[inner][1] else None
    key, rest = _key_of(spec, secret, size)
    if version not in (5, 6) or mode not in _MODES or not key:
        return None
    known = bytes((0xC0 | FOR_PASSWORD, version, cipher, mode))
    if version == 6:
        key = _stretched(key, b"", known, size)
    width = _MODES[mode][1]
    held = _verified(Key(cipher, key), mode, rest[:width], known, rest[width:])
    return Key(cipher, held) if held and len(held) == size else None


def _key_of(spec: bytes, secret: bytes, size: int) -> tuple[bytes, bytes]:
    """The key that a password gives by what stands first, and what stands behind that; no key where it cannot."""
    kind, hashed = (*spec[:2], 0, 0)[:2]
    length = {0: 2, 1: 10, 3: 11}.get(kind, 0)
    if not length or len(spec) < length or hashed not in _HASHES:
        return b"", b""
    salted = spec[2:10] * bool(kind) + secret
    count = max(len(salted), (16 + (spec[10] & 15)) << (spec[10] >> 4) + 6 if kind == 3 else 0)
    block = salted * (_STEP // max(1, len(salted)) + 1) or b"\0"
    key, filling = b"", 0
    while len(key) < size:
        try:
            engine = hashlib.new(_HASHES[hashed], bytes(filling), usedforsecurity=False)
        except ValueError:  # this machine has it not
            return b"", b""
        for _ in range(count // len(block)):
            engine.update(block)
        engine.update(block[: count % len(block)])
        key, filling = key + engine.digest(), filling + 1
    return key[:size], spec[length:]


def _module(cipher: int) -> Any:
    try:
        from Cryptodome.Cipher import AES, CAST, DES3, Blowfish
    except ImportError as error:
        raise EvidenceError("missing-library", "Cryptodome is needed: pip install pycryptodomex") from error
    return {"AES": AES, "CAST": CAST, "DES3": DES3, "Blowfish": Blowfish}[_CIPHERS[cipher][0]]


def _cfb(key: Key, start: bytes) -> Callable[[bytes], bytes]:
    """Decrypts pieces; each but the last is whole blocks."""
    module = _module(key.cipher)
    size = len(start)
    try:
        engine = module.new(key.key, module.MODE_CFB, iv=start, segment_size=size * 8)
    except ValueError as error:  # a key of DES that no writer would take
        raise EvidenceError("encrypted", f"a key that cannot be: {error}") from error

    def decrypt(piece: bytes) -> bytes:
        return bytes(engine.decrypt(piece + bytes(-len(piece) % size)))[: len(piece)]

    return decrypt


def _verified(key: Key, mode: int, nonce: bytes, known: bytes, sealed: bytes) -> bytes | None:
    """What was sealed in a mode that tells of changes; None where it, or the key, is another."""
    module = _module(key.cipher)
    if module.block_size != 16 or len(nonce) != _MODES[mode][1] or len(sealed) < _TAG:
        return None
    engine = module.new(key.key, getattr(module, f"MODE_{_MODES[mode][0]}"), nonce=nonce, mac_len=_TAG)
    engine.update(known)
    try:
        return bytes(engine.decrypt_and_verify(sealed[:-_TAG], sealed[-_TAG:]))
    except ValueError:
        return None


def _stretched(key: bytes, salt: bytes, known: bytes, size: int) -> bytes:
    """HKDF with SHA-256."""
    extracted = hmac.digest(salt or bytes(32), key, "sha256")
    out = block = b""
    while len(out) < size:
        block = hmac.digest(extracted, block + known + bytes((len(out) // 32 + 1,)), "sha256")
        out += block
    return out[:size]


def _resynchronised(feed: Feed, key: Key) -> Iterator[bytes]:
    """The oldest form: the cipher begins anew behind its prefix, and nothing tells of changes."""
    size = _CIPHERS[key.cipher][2]
    prefix = feed.take(size + 2)
    start = _cfb(key, bytes(size))(prefix)
    if start[-2:] != start[-4:-2] or len(prefix) < size + 2:
        raise EvidenceError("encrypted", "another key")
    decrypt = _cfb(key, prefix[2:])
    while piece := feed.take(_STEP):
        yield decrypt(piece)


def _checked(feed: Feed, key: Key) -> Iterator[bytes]:
    """Version 1: a prefix, the packets, and a packet with the SHA-1 of all before it."""
    size = _CIPHERS[key.cipher][2]
    decrypt = _cfb(key, bytes(size))
    prefix = decrypt(feed.take(2 * size))
    if prefix[size : size + 2] != prefix[size - 2 : size] or len(prefix) < 2 * size:
        raise EvidenceError("encrypted", "another key")
    digest = hashlib.sha1(prefix[: size + 2], usedforsecurity=False)
    held = prefix[size + 2 :]
    cut: EvidenceError | None = None
    while True:
        try:
            piece = feed.take(_STEP)
        except EvidenceError as error:
            cut, piece = error, b""
        if not piece:
            break
        held += decrypt(piece)
        digest.update(held[:-_CHECK])
        yield held[:-_CHECK]
        held = held[-_CHECK:]
    digest.update(held[:2])
    if held[:2] == b"\xd3\x14" and held[2:] == digest.digest():
        return
    yield held
    raise cut or EvidenceError("corrupt", "its check does not fit: it was changed after it was sealed")


def _chunks(feed: Feed, begin: bytes, key: Key, version: int) -> Iterator[bytes]:
    """Chunks that each tell of changes, and a last tag that tells how long all of it is."""
    head = feed.take(3)
    mode, power = (*head[1:], 255, 255)[:2]
    if mode not in _MODES or 1 << power + 6 > _LARGEST or (version == 2 and head[0] not in _CIPHERS):
        raise EvidenceError("unsupported", f"a message in chunks of 2^{power + 6} bytes, mode {mode}")
    size, width, known = 1 << power + 6, _MODES[mode][1], begin + head
    if version == 2:
        cipher = head[0]
        both = _stretched(key.key, feed.take(32), known, _CIPHERS[cipher][1] + width - 8)
        key, start = Key(cipher, both[: _CIPHERS[cipher][1]]), both[_CIPHERS[cipher][1] :] + bytes(8)
    else:
        start = feed.take(width)
    number = total = 0
    held = feed.take(size + 2 * _TAG)

    def opened(sealed: bytes, behind: bytes = b"") -> bytes | None:
        nonce = start[:-8] + (int.from_bytes(start[-8:], "big") ^ number).to_bytes(8, "big")
        index = number.to_bytes(8, "big") if version == 1 else b""
        return _verified(key, mode, nonce, known + index + behind, sealed)

    while len(held) > _TAG:
        chunk = held[: min(size, len(held) - 2 * _TAG) + _TAG]
        plain = opened(chunk)
        if plain is None:
            raise EvidenceError("corrupt", f"chunk {number} does not fit its check")
        yield plain
        number, total = number + 1, total + len(plain)
        held = held[len(chunk) :] + feed.take(size + _TAG)
    if opened(held, total.to_bytes(8, "big")) is None:
        raise EvidenceError("corrupt", "its last check does not fit: chunks are missing")
