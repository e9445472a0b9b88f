"""The bytes of the files inside an installer of Inno Setup: slices, chunks, ciphers, and jumps turned back.

Source: Inno Setup 4 to 6, Projects/Src: Compress.pas, CallOptimizer.pas, Extract.pas, ArcFour.pas and ChaCha20.pas.
"""

from __future__ import annotations

import bz2
import hashlib
import lzma
import re
import zlib
from collections.abc import Callable, Generator, Iterator
from itertools import chain
from typing import Any

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._inno_records import Place, Setup
from indexer.handlers._inno_versions import BZIP2, LZMA1, LZMA2, STORED, ZLIB
from indexer.handlers._tap import Tap
from indexer.passwords import Password

CHUNK = b"zlb\x1a"
SLICE = b"idska32\x1a"
SLICE_HEAD = 12
PIECE = 256 * 1024
BLOCK = 0x10000
"""No jump is turned back that reaches over such a bound."""
JUMP = re.compile(rb"[\xe8\xe9]")
DROPPED = 1000
"""Bytes of the key stream of ARC4 that are thrown away."""
MOST_ITERATIONS = 10_000_000
MOST_SLICES = 10_000
MOST_AGAIN = 100
"""Times that a chunk is unpacked anew: no installer has files that overlap in one."""
ERRORS = (lzma.LZMAError, zlib.error, OSError, EOFError, ValueError)


Decrypt = Callable[[bytes], bytes]
MISSING = EvidenceError("missing-library", "pycryptodomex: pip install pycryptodomex")


class Slices:
    """The packed bytes of all files: behind the header's own file, or in files beside it."""

    def __init__(self, find: Callable[[int], Stream | None], *, apart: bool) -> None:
        self._find = find
        self._head = SLICE_HEAD if apart else 0
        self._open: dict[int, Stream | None] = {}

    def read(self, number: int, offset: int, size: int) -> Iterator[bytes]:
        """So many bytes from an offset of a slice on, over the ends of slices.

        Raises:
            EvidenceError: where a slice is missing or ends too early.
        """
        while size > 0:
            stream = self._slice(number)
            data = stream.at(offset, min(size, PIECE))
            if not data:
                if not self._head or not stream.size or offset < self._head:
                    raise EvidenceError("truncated", f"{size} bytes of packed files are missing at the end")
                number, offset = number + 1, self._head
                continue
            offset += len(data)
            size -= len(data)
            yield data

    def _slice(self, number: int) -> Stream:
        if number not in self._open:
            self._open[number] = self._find(number) if number < MOST_SLICES else None
        stream = self._open[number]
        if stream is None:
            raise EvidenceError("truncated", f"slice {number + 1} of the packed files is not here")
        return stream


class Keys:
    """What opens the encrypted chunks of one installer.

    Args:
        setup: tells how passwords are checked.
        password: the one that fits, if any does.
    """

    def __init__(self, setup: Setup, password: Password | None) -> None:
        self._setup = setup
        self._key = b""
        self.known = password is not None
        if password is not None:
            self._key = _secret(setup, password.text)

    @property
    def salt(self) -> int:
        """Bytes of each encrypted chunk that belong to its key."""
        return 0 if self._setup.version >= (6, 4, 0) else 8

    def cipher(self, place: Place, salt: bytes) -> Decrypt:
        """What decrypts one chunk.

        Raises:
            EvidenceError: without a password that fits.
        """
        if not self.known:
            raise EvidenceError("encrypted", f"the files are encrypted with {cipher_name(self._setup)}")
        if self._setup.version >= (6, 4, 0):
            return _chacha(self._key, _nonce(self._setup, place.chunk[2], place.chunk[0]))
        digest = hashlib.sha1 if self._setup.version >= (5, 3, 9) else hashlib.md5
        return _arc4(digest(salt + self._key).digest())


def cipher_name(setup: Setup) -> str:
    """What the files are encrypted with."""
    if setup.version >= (6, 4, 0):
        return "XChaCha20"
    return "ARC4 (SHA-1)" if setup.version >= (5, 3, 9) else "ARC4 (MD5)"


def fits(setup: Setup, password: str) -> bool:
    """Whether the header says that this is the password.

    Raises:
        EvidenceError: where the library for its cipher is missing, or deriving its key would take too long.
    """
    secret = _secret(setup, password)
    if setup.version >= (6, 4, 0):
        return _chacha(secret, _nonce(setup, 0, 0xFFFFFFFF))(bytes(4)) == setup.password
    salted = b"PasswordCheckHash" + setup.salt + secret if setup.salt else secret
    if setup.version >= (5, 3, 9):
        return hashlib.sha1(salted).digest() == setup.password  # noqa: S324
    if setup.version >= (4, 2, 0):
        return hashlib.md5(salted).digest() == setup.password  # noqa: S324
    return zlib.crc32(salted).to_bytes(4, "little") == setup.password


def _secret(setup: Setup, password: str) -> bytes:
    """The password as the installer hashes it, or the key derived from it."""
    wide = password.encode("utf-16-le", "surrogatepass")
    if setup.version < (6, 4, 0):
        return wide if setup.wide else password.encode(setup.codec, "replace")
    iterations = int.from_bytes(setup.salt[16:20], "little")
    if not 0 < iterations <= MOST_ITERATIONS:
        raise EvidenceError("unsupported", f"its key is derived in {iterations} rounds")
    return hashlib.pbkdf2_hmac("sha256", wide, setup.salt[:16], iterations, 32)


def _nonce(setup: Setup, start: int, first: int) -> bytes:
    base = setup.salt[20:44]
    mask = start.to_bytes(8, "little") + first.to_bytes(4, "little")
    return bytes(a ^ b for a, b in zip(base, mask.ljust(24, b"\0"), strict=True))


def _arc4(key: bytes) -> Decrypt:
    try:
        from Cryptodome.Cipher import ARC4
    except ImportError as error:
        raise MISSING from error
    return ARC4.new(key, drop=DROPPED).decrypt


def _chacha(key: bytes, nonce: bytes) -> Decrypt:
    try:
        from Cryptodome.Cipher import ChaCha20
    except ImportError as error:
        raise MISSING from error
    return ChaCha20.new(key=key, nonce=nonce).decrypt


def open_chunk(slices: Slices, setup: Setup, keys: Keys, place: Place, dictionary: int) -> Generator[bytes, None, None]:
    """The unpacked bytes of a whole chunk.

    Raises:
        EvidenceError: where it is damaged, cut off or encrypted.
    """
    first, _, offset, packed = place.chunk
    # The salt of a key stands before the chunk's own bytes and is not counted among them.
    salt = keys.salt if "encrypted" in place.flags else 0
    head, pieces = _behead(slices.read(first, offset, len(CHUNK) + salt + packed), len(CHUNK) + salt)
    if not head.startswith(CHUNK):
        raise EvidenceError("corrupt", f"no chunk of packed files begins at {offset} of slice {first + 1}")
    if "encrypted" in place.flags:
        pieces = map(keys.cipher(place, head[len(CHUNK) :]), pieces)
    method = setup.method if "compressed" in place.flags else STORED
    yield from _unpacked(pieces, BZIP2 if "bzipped" in place.flags else method, dictionary)


def _behead(pieces: Iterator[bytes], size: int) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes, fewer only where there are no more, and the pieces behind them."""
    head = b""
    while len(head) < size and (piece := next(pieces, b"")):
        head += piece
    return head[:size], chain((head[size:],) if head[size:] else (), pieces)


def _unpacked(pieces: Iterator[bytes], method: int, dictionary: int) -> Iterator[bytes]:
    if method == STORED:
        yield from pieces
        return
    head, pieces = _behead(pieces, {LZMA1: 5, LZMA2: 1}.get(method, 0))
    try:
        decoder = _decoder(method, head, dictionary)
        for piece in pieces:
            yield from _pump(decoder, piece)
    except ERRORS as error:
        raise EvidenceError("corrupt", f"the packed files do not unpack: {error}"[:200]) from error


def _pump(decoder: Any, data: bytes) -> Iterator[bytes]:
    """What comes out when these bytes go in."""
    while not decoder.eof:
        made = decoder.decompress(data, PIECE)
        data = getattr(decoder, "unconsumed_tail", b"")
        if made:
            yield made
        if not data and len(made) < PIECE:
            return


def _decoder(method: int, head: bytes, dictionary: int) -> Any:
    if method == ZLIB:
        return zlib.decompressobj()
    if method == BZIP2:
        return bz2.BZ2Decompressor()
    filters = lzma_chain(method, head)
    if filters["dict_size"] > dictionary:
        raise EvidenceError("limit", f"its dictionary of {filters['dict_size']} bytes is larger than {dictionary}")
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[filters])


def lzma_chain(method: int, head: bytes) -> dict[str, int]:
    """The filter that five bytes (LZMA) or one byte (LZMA2) of properties stand for.

    Raises:
        ValueError: where they make no sense.
    """
    if method == LZMA2:
        if not head or head[0] > 40:
            raise ValueError("the properties of LZMA2 make no sense")
        size = 0xFFFFFFFF if head[0] == 40 else (2 | head[0] & 1) << (head[0] // 2 + 11)
        return {"id": lzma.FILTER_LZMA2, "dict_size": size}
    if len(head) < 5 or head[0] >= 225:
        raise ValueError("the properties of LZMA make no sense")
    size = int.from_bytes(head[1:5], "little")
    code = head[0]
    return {
        "id": lzma.FILTER_LZMA1,
        "lc": code % 9,
        "lp": code // 9 % 5,
        "pb": code // 45,
        "dict_size": max(size, 4096),
    }


def turn_back(pieces: Iterator[bytes], version: tuple[int, ...]) -> Iterator[bytes]:
    """Pieces of a program, with the targets of its calls and jumps relative again."""
    if version < (5, 2, 0):
        return _turn_old(pieces)
    return _turn_blocks(pieces, flips=version >= (5, 3, 9))


def _turn_old(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """All four bytes of every target, to the end of the file."""
    offset = 0
    rest = b""
    for piece in pieces:
        data = bytearray(rest + piece)
        at = 0
        kept = len(data)
        while match := JUMP.search(data, at):
            at = match.end()
            if at + 4 > len(data):
                kept = match.start()
                break
            target = int.from_bytes(data[at : at + 4], "little") - (offset + at + 4)
            data[at : at + 4] = (target & 0xFFFFFFFF).to_bytes(4, "little")
            at += 4
        yield bytes(data[:kept])
        offset += kept
        rest = bytes(data[kept:])
    if len(rest) > 1:
        size = len(rest) - 1
        target = int.from_bytes(rest[1:], "little") - (offset + 5)
        rest = rest[:1] + (target % (1 << 8 * size)).to_bytes(size, "little")
    yield rest


def _turn_blocks(pieces: Iterator[bytes], *, flips: bool) -> Iterator[bytes]:
    offset = 0
    held = bytearray()
    for piece in pieces:
        held += piece
        while len(held) >= BLOCK:
            yield _turn_block(held[:BLOCK], offset, flips)
            offset += BLOCK
            del held[:BLOCK]
    yield _turn_block(held, offset, flips)


def _turn_block(data: bytearray, offset: int, flips: bool) -> bytes:
    at = 0
    while (match := JUMP.search(data, at)) and match.end() + 4 <= len(data):
        at = match.end()
        if data[at + 3] in (0x00, 0xFF):
            target = (int.from_bytes(data[at : at + 3], "little") - (offset + at + 4)) & 0xFFFFFF
            data[at : at + 3] = target.to_bytes(3, "little")
            if flips and target & 0x800000:
                data[at + 3] ^= 0xFF
        at += 4
    return bytes(data)


class Unpacking:
    """Files of chunks one after another: a chunk that several share is unpacked once."""

    def __init__(self, slices: Slices, setup: Setup, keys: Keys, dictionary: int) -> None:
        self._slices = slices
        self._setup = setup
        self._keys = keys
        self._dictionary = dictionary
        self._chunk: tuple[int, int, int, int] | None = None
        self._tap = Tap(_nothing())
        self._again = 0

    def read(self, place: Place) -> Generator[bytes, None, None]:
        """The bytes of one file; what differs from its digest is told at the end.

        Raises:
            EvidenceError: for a damaged, encrypted or missing chunk, and for a digest that does not fit.
        """
        if self._chunk != place.chunk or self._tap.position > place.at:
            if self._chunk and self._chunk[:3] == place.chunk[:3]:
                self._again += 1
            if self._again > MOST_AGAIN:
                raise EvidenceError("corrupt", f"more than {MOST_AGAIN} packed files overlap")
            self._chunk = place.chunk
            self._tap = Tap(open_chunk(self._slices, self._setup, self._keys, place, self._dictionary))
        pieces = self._tap.take(place.at, place.size)
        if "filtered" in place.flags:
            pieces = turn_back(pieces, self._setup.version)
        kind, expected = place.digest
        check = _Check(kind)
        for piece in pieces:
            check.update(piece)
            yield piece
        if check.digest() != expected:
            raise EvidenceError("corrupt", f"its {kind} is not the one recorded")


def _nothing() -> Generator[bytes, None, None]:
    yield from ()


class _Check:
    """A digest of any of the kinds that installers record."""

    def __init__(self, kind: str) -> None:
        self._sum = {"adler32": zlib.adler32, "crc32": zlib.crc32}.get(kind)
        self._value = 1 if kind == "adler32" else 0
        self._hash = None if self._sum else hashlib.new(kind, usedforsecurity=False)

    def update(self, data: bytes) -> None:
        """Takes more bytes."""
        if self._sum:
            self._value = self._sum(data, self._value)
        elif self._hash:
            self._hash.update(data)

    def digest(self) -> bytes:
        """The digest so far."""
        return self._hash.digest() if self._hash else self._value.to_bytes(4, "little")
