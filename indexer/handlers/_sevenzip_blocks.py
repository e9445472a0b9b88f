"""Blocks of 7z unpacked by py7zr's decoders, fed in small pieces; AES is undone on the way to them.

py7zr derives a key in a loop of Python, anew for every block: 0.1 s each. Here the bytes of all rounds
are laid out at once, 0.02 s, and the blocks of an archive share the key (2026-11).

Source: 7zFormat.txt of the LZMA SDK; 7-Zip 26, 7zAes.cpp for the layout of the properties and the rounds.
"""

from __future__ import annotations

import hashlib
import lzma
import zlib
from collections.abc import Generator, Iterator
from contextlib import suppress
from functools import lru_cache, partial
from typing import Any

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._sevenzip import MOST_HEADER, Folder, parse_errors
from indexer.handlers._sevenzip_chain import decode_chain
from indexer.limits import MIB

MOST_KEYS = 8
"""Keys derived and kept; 7-Zip writes archives with one."""
PIECE, SMALL_PIECE = 16 * 1024, 1024
"""Packed bytes given to py7zr at a time: its ZSTD decoder ignores how much output it is asked for."""
CIPHER_BLOCK = 16
OUTPUT = 4 * MIB
SMALL_BLOCK = 64 * 1024
COLUMN = 1 << 16
"""Rounds laid out at once, of which the two lowest bytes of their numbers stay as they are."""
WIDE = 128
"""Bytes of salt and password above which as many rounds would take too much memory."""


def salt_of(coder: dict[str, Any]) -> tuple[int, bytes, bytes]:
    """Power of two of the rounds, salt and initial vector of AES.

    Raises:
        EvidenceError: corrupt.
    """
    properties = bytes(coder.get("properties") or b"")
    first, second = (properties + b"\0\0")[:2]
    salt_size = (first >> 7) + (second >> 4) if first & 0xC0 else 0
    vector_size = (first >> 6 & 1) + (second & 15) if first & 0xC0 else 0
    rest = properties[2:] if first & 0xC0 else b""
    if not properties or len(rest) < salt_size + vector_size:
        raise EvidenceError("corrupt", "7zAES: the properties break off")
    return first & 0x3F, rest[:salt_size], rest[salt_size : salt_size + vector_size].ljust(CIPHER_BLOCK, b"\0")


@lru_cache(maxsize=MOST_KEYS)
def derive(password: str, salt: bytes, power: int) -> bytes:
    """The key: SHA-256 over salt, password and number of 2^`power` rounds, up to 2^32."""
    secret = salt + password.encode("utf-16-le", "surrogatepass")
    if power == 0x3F:
        return (secret + bytes(32))[:32]
    lowest = 2 if len(secret) <= WIDE else 1
    step = min(1 << power, COLUMN if lowest == 2 else 256)
    width, low = len(secret) + 8, len(secret)
    rounds = bytearray((secret + bytes(8)) * step)
    rounds[low::width] = (bytes(range(256)) * 256)[:step]
    if lowest == 2:
        rounds[low + 1 :: width] = b"".join(bytes((number,)) * 256 for number in range(256))[:step]
    digest = hashlib.sha256()
    for number in range(0, 1 << power, step):
        for place in range(lowest, 4):
            rounds[low + place :: width] = bytes((number >> 8 * place & 0xFF,)) * step
        digest.update(rounds)
    return digest.digest()


class Feed:
    """The packed bytes of a block, a small piece at a time, a tiny one from `tiny_from` on; decrypted with a password.

    Attributes:
        at: offset behind what was given.
        last: offset of what was given last.
    """

    def __init__(self, stream: Stream, folder: Folder, password: str | None = None, tiny_from: int | None = None):
        self._stream = stream
        self.at = self.last = folder.offset
        self._end = folder.offset + folder.packed
        self._piece = SMALL_PIECE if "ZSTD" in folder.methods else PIECE
        self._tiny_from = self._end if tiny_from is None else tiny_from
        self._cipher = _cipher(folder, password) if password is not None else None
        self._rest = b""

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, none at the end."""
        wanted = min(size, self._piece if self.at < self._tiny_from else CIPHER_BLOCK)
        if self._rest:
            data, self._rest = self._rest[:wanted], self._rest[wanted:]
            return data
        self.last = self.at
        if self._cipher is None:
            data = self._stream.at(self.at, min(wanted, self._end - self.at))
            self.at += len(data)
            return data
        data = self._stream.at(self.at, min(-(-wanted // CIPHER_BLOCK) * CIPHER_BLOCK, self._end - self.at))
        self.at += len(data)
        plain: bytes = self._cipher.decrypt(data[: len(data) // CIPHER_BLOCK * CIPHER_BLOCK])
        self._rest = plain[wanted:]
        return plain[:wanted]


def _cipher(folder: Folder, password: str) -> Any:
    from Cryptodome.Cipher import AES

    power, salt, vector = salt_of(folder.coders[0])
    return AES.new(derive(password, salt, power), AES.MODE_CBC, vector)


def decode(stream: Stream, folder: Folder, password: str | None) -> Generator[bytes, None, None]:
    """A whole block by py7zr's decoders, down to the last good byte.

    A decoder that raises keeps what it had decoded in that call to itself, so a second one is fed the
    same, and the last piece in crumbs. Not where nothing came at all from an encrypted block: that is
    a wrong password.

    Raises:
        EvidenceError: after the last good byte.
    """
    if folder.chained:
        names = tuple(folder.methods[number] for number in folder.order)
        coders = [folder.coders[number] for number in folder.order]
        pieces = iter(partial(Feed(stream, folder).read, PIECE), b"")
        yield from decode_chain(pieces, names, coders, stream.limits.dictionary)
        return
    if folder.encrypted and password is None:
        raise EvidenceError("encrypted", "AES-256: no password fits")
    secret = password if folder.sealed else None
    feed = Feed(stream, folder, secret)
    delivered = 0
    try:
        for chunk in _pump(feed, folder, password):
            delivered += len(chunk)
            yield chunk
    except parse_errors() as error:
        if delivered or not folder.encrypted:
            rest, known = bytearray(), delivered
            with suppress(EvidenceError, *parse_errors()):
                for chunk in _pump(Feed(stream, folder, secret, feed.last), folder, password):
                    rest += chunk[known:]
                    known = max(0, known - len(chunk))
            yield bytes(rest)
        raise EvidenceError("corrupt", f"{' '.join(reversed(folder.methods))}: the data do not decode") from error


def _pump(feed: Feed, folder: Folder, password: str | None) -> Iterator[bytes]:
    from py7zr.compressor import SevenZipDecompressor
    from py7zr.exceptions import PasswordRequired, UnsupportedCompressionMethodError

    left = folder.unpacksizes[-1] if folder.unpacksizes else 0
    coders, sizes, packed = folder.coders, folder.unpacksizes, folder.packed
    if folder.sealed:
        coders, sizes, packed, password = coders[1:], sizes[1:], min(packed, sizes[0]), None
    try:
        decoder = SevenZipDecompressor(coders, packed, sizes, None, password) if coders else None
        while left > 0:
            before = feed.at
            chunk = decoder.decompress(feed, min(left, OUTPUT)) if decoder else feed.read(min(left, OUTPUT))
            if not chunk and feed.at == before:
                raise EvidenceError("truncated", f"the packed data end {left} bytes too early")
            left -= len(chunk)
            yield bytes(chunk)
    except PasswordRequired as error:
        raise EvidenceError("encrypted", "AES-256: no password fits") from error
    except UnsupportedCompressionMethodError as error:
        raise EvidenceError(
            "unsupported", f"{' '.join(reversed(folder.methods))}: {str(error.message)[:200]}"
        ) from error


def unpack_small(stream: Stream, folder: Folder) -> bytes | None:
    """A small block of LZMA alone in one call, with a window no larger than itself; None for any other.

    An archive that is not solid has a block for every member, and most of the time goes into making decoders.
    """
    size = folder.unpacksizes[-1]
    if len(folder.methods) != 1 or not 0 < size <= SMALL_BLOCK or folder.packed > SMALL_BLOCK:
        return None
    name, properties = folder.methods[0], folder.coders[0].get("properties") or b""
    window = {"dict_size": max(4096, size)}
    if name == "LZMA" and len(properties) == 5:
        rest, lc = divmod(properties[0], 9)
        filters = {"id": lzma.FILTER_LZMA1, "lc": lc, "lp": rest % 5, "pb": rest // 5, **window}
    elif name == "LZMA2":
        filters = {"id": lzma.FILTER_LZMA2, **window}
    else:
        return None
    try:
        decoder = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[filters])
        return decoder.decompress(stream.at(folder.offset, folder.packed), size)
    except (lzma.LZMAError, ValueError):
        return None


def unpack_directory(stream: Stream, folders: list[Folder], password: str | None) -> bytes:
    """The plain directory.

    Raises:
        EvidenceError: where it does not unpack, as with a wrong password.
    """
    asked = sum(folder.unpacksizes[-1] for folder in folders)
    if asked > MOST_HEADER:
        raise EvidenceError("limit", f"directory: {asked} bytes")
    plain = b""
    for folder in folders:
        part = b"".join(decode(stream, folder, password))
        if folder.crc is not None and zlib.crc32(part) != folder.crc:
            raise EvidenceError("corrupt", "the CRC of the directory does not fit")
        plain += part
    return plain
