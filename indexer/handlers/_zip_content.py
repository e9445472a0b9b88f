"""The bytes of one zip member: packed, decrypted, unpacked, checked; as a stream read once.

Source: APPNOTE.TXT 6.3.10 sections 4.3.8, 6.1; WinZip AE-1/AE-2 for the layout of encrypted members.
Shrink, reduce and implode, and large members under the old cipher, go through 7-Zip: the member is
copied into an archive of its own, so that nothing else of the evidence is parsed there.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import struct
import subprocess
import tempfile
import zlib
from collections.abc import Iterator
from typing import IO, BinaryIO, NamedTuple, cast

from msgspec import Struct

from indexer.errors import EvidenceError, StoreError
from indexer.handler import Stream
from indexer.handlers._ciphers import PkzipCipher, WinzipAes
from indexer.handlers._zip_methods import unpack
from indexer.handlers._zip_records import (
    CENTRAL,
    CENTRAL_LAYOUT,
    DEFLATED,
    DESCRIPTOR,
    END,
    END_LAYOUT,
    FULL32,
    LOCAL,
    LOCAL_LAYOUT,
    STORED,
    STREAMED,
    Header,
    method_name,
)
from indexer.passwords import Password

PIECE = 1 << 16
AT_ONCE = 1 << 20
"""A deflated member that unpacks to no more than this is inflated in one call."""
SLOW = 1 << 18
"""Bytes under the old cipher above which 7-Zip, forty times faster, decrypts."""
BY_SEVENZIP = frozenset({1, 2, 3, 4, 5, 6})


class Key(NamedTuple):
    """A password in the bytes in which it opened a member."""

    password: Password
    spelled: bytes


class Member(Struct):
    """One member as it will be read: which bytes, by which method, checked against what."""

    header: Header
    name: str
    start: int
    end: int
    method: int
    crc: int | None
    size: int | None
    encryption: str = ""
    strength: int = 0
    missing: int = 0
    """Packed bytes that the headers promise beyond the end of the item."""
    exact: bool = True
    """Whether headers say where the packed bytes end; else their own end mark does."""
    doubt: str = ""
    """What to add to every error where the key is likely, but not proven."""
    leftover: int = 0
    """Packed bytes after the end mark; known once the member was read."""


class MemberStream(io.RawIOBase):
    """A readable stream over an iterator of chunks; closing it closes the iterator."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        super().__init__()
        self._chunks = chunks
        self._rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        """The next bytes, fewer than asked where a chunk ends; empty at the end."""
        if size is None or size < 0:
            return self._rest + b"".join(self._chunks)
        chunk = self._rest or next(self._chunks, b"")
        self._rest = chunk[size:]
        return chunk[:size]

    def close(self) -> None:
        close = getattr(self._chunks, "close", None)
        if close and not self.closed:
            close()
        super().close()


def as_file(chunks: Iterator[bytes]) -> BinaryIO:
    """A readable stream over `chunks`."""
    return cast(BinaryIO, MemberStream(chunks))


def open_member(stream: Stream, member: Member, key: Key | None) -> BinaryIO:
    """A readable stream of the member's plain bytes; trouble is raised where it is met."""
    if not member.encryption and not member.missing and member.size is not None and member.size <= AT_ONCE:
        packed = member.end - member.start
        if member.method == STORED and packed == member.size:
            data = stream.at(member.start, packed)
            if len(data) == packed and zlib.crc32(data) == member.crc:
                return io.BytesIO(data)
        elif member.method == DEFLATED and packed <= AT_ONCE:
            decoder = zlib.decompressobj(-15)
            # anything unusual is left to the careful way, which keeps what decodes before the damage
            with contextlib.suppress(zlib.error):
                data = decoder.decompress(stream.at(member.start, packed), member.size + 1)
                whole = decoder.eof and not decoder.unused_data and len(data) == member.size
                if whole and zlib.crc32(data) == member.crc:
                    return io.BytesIO(data)
    return as_file(contents(stream, member, key))


def contents(stream: Stream, member: Member, key: Key | None) -> Iterator[bytes]:
    """The plain bytes of a member in chunks, then the checks.

    Raises:
        EvidenceError: truncated, corrupt, unsupported, limit or missing-library.
    """
    try:
        yield from _checked(stream, member, key)
    except EvidenceError as error:
        if not member.doubt:
            raise
        raise EvidenceError(error.cause, error.message + member.doubt) from error


def _checked(stream: Stream, member: Member, key: Key | None) -> Iterator[bytes]:
    crc = produced = 0

    def note(leftover: int) -> None:
        member.leftover = leftover

    if member.method in BY_SEVENZIP or _is_slow(member, key):
        chunks = by_sevenzip(stream, member, key)
    elif member.method == STORED:
        chunks = packed_pieces(stream, member, key)
    else:
        chunks = unpack(
            member.method,
            lambda: packed_pieces(stream, member, key),
            member.size,
            member.header.flags,
            stream.limits,
            note,
        )
    try:
        for chunk in chunks:
            crc = zlib.crc32(chunk, crc)
            produced += len(chunk)
            yield chunk
    except EvidenceError as error:
        if member.missing and error.cause == "truncated":
            raise EvidenceError("truncated", f"{member.missing} packed bytes are beyond the end") from error
        raise
    if member.missing:
        raise EvidenceError("truncated", f"{member.missing} packed bytes are beyond the end")
    if member.crc is not None and crc != member.crc:
        raise EvidenceError("corrupt", f"CRC {crc:08x} where {member.crc:08x} is recorded")
    if member.size is not None and produced != member.size:
        raise EvidenceError("corrupt", f"{produced} bytes where {member.size} are recorded")
    if member.crc is None and not member.exact:
        raise EvidenceError("truncated", "no size and no checksum are recorded: nothing shows that this is all")
    if member.leftover and member.exact:
        raise EvidenceError("corrupt", f"{member.leftover} bytes stand after the compressed data")


def raw_pieces(stream: Stream, start: int, end: int) -> Iterator[bytes]:
    """The bytes of a range as they stand."""
    while start < end:
        piece = stream.at(start, min(PIECE, end - start))
        if not piece:
            return
        start += len(piece)
        yield piece


def packed_pieces(stream: Stream, member: Member, key: Key | None) -> Iterator[bytes]:
    """The packed bytes of a member, decrypted where they need it."""
    if not member.encryption:
        yield from raw_pieces(stream, member.start, member.end)
    elif key is None:
        raise EvidenceError("encrypted", f"{member.encryption}: no password fits")
    elif member.strength:
        cipher, start, end, code = unlock_aes(stream, member, key.spelled)
        yield from cipher.decrypt(raw_pieces(stream, start, end), code)
    else:
        keys = PkzipCipher(key.spelled)
        keys.decrypt(stream.at(member.start, PkzipCipher.HEADER))
        for piece in raw_pieces(stream, member.start + PkzipCipher.HEADER, member.end):
            yield keys.decrypt(piece)


def unlock_aes(stream: Stream, member: Member, spelled: bytes) -> tuple[WinzipAes, int, int, bytes]:
    """The keys of an AES member, the range of its encrypted bytes, and its authentication code."""
    salt = WinzipAes.salt_length(member.strength)
    start = member.start + salt + 2
    # where the end is missing, so is the code
    end = member.end if member.missing else max(start, member.end - WinzipAes.CODE)
    code = b"" if member.missing else stream.at(end, WinzipAes.CODE)
    return WinzipAes(spelled, stream.at(member.start, salt), member.strength), start, end, code


def _is_slow(member: Member, key: Key | None) -> bool:
    """Whether 7-Zip should decrypt; it takes the bytes of the password as they are."""
    if key is None or member.encryption != "ZipCrypto" or member.missing:
        return False
    if not SLOW < member.end - member.start < FULL32:
        return False
    return b"\0" not in key.spelled and member.method in (STORED, DEFLATED)


def by_sevenzip(stream: Stream, member: Member, key: Key | None) -> Iterator[bytes]:
    """What 7-Zip unpacks of this one member.

    Raises:
        EvidenceError: missing-library; corrupt, where 7-Zip says so after its output.
        StoreError: where the scratch folder cannot be written.
    """
    if member.end - member.start >= FULL32:
        raise EvidenceError("unsupported", f"{method_name(member.method)}: more than 4 GiB")
    program = os.fsencode(_sevenzip(member.method))
    sealed = _is_slow(member, key)
    password = key.spelled if key and sealed else b""
    with tempfile.TemporaryFile(dir=stream.scratch) as file:
        _isolate(file, stream, member, key, sealed=sealed)
        number = file.fileno()
        try:
            process = subprocess.Popen(  # noqa: S603 - an argument list of our own
                [
                    program,
                    b"x",
                    b"-so",
                    b"-y",
                    b"-tzip",
                    b"-mmt1",
                    b"-p" + password,
                    b"--",
                    b"/proc/self/fd/%d" % number,
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=[number],
                start_new_session=True,
                env={"LC_ALL": "C.UTF-8"},
            )
        except OSError as error:
            raise EvidenceError("missing-library", f"7-Zip cannot be started: {error.strerror}") from error
        try:
            if process.stdout:
                while chunk := process.stdout.read(PIECE):
                    yield chunk
            if process.wait():
                raise EvidenceError(
                    "corrupt", f"{method_name(member.method)}: 7-Zip ends with code {process.returncode}"
                )
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            if process.stdout:
                process.stdout.close()
            process.wait()


def _isolate(file: IO[bytes], stream: Stream, member: Member, key: Key | None, *, sealed: bool) -> None:
    """Writes an archive of this one member, still under the old cipher where `sealed`."""
    # sizes stand in the headers; the flags say how implode packed, and which byte checks the password
    flags = member.header.flags & (0x6 | STREAMED) | sealed
    head = LOCAL_LAYOUT.size + 1
    file.seek(head)
    for piece in raw_pieces(stream, member.start, member.end) if sealed else packed_pieces(stream, member, key):
        _write(file, piece)
    packed, size, crc = file.tell() - head, min(member.size or 0, FULL32 - 1), member.crc or 0
    shared = (flags, member.method, member.header.time, 0x21, crc, packed, size, 1)
    if flags & STREAMED:
        _write(file, struct.pack("<4s3L", DESCRIPTOR, crc, packed, size))
    directory = file.tell()
    _write(file, CENTRAL_LAYOUT.pack(CENTRAL, 20, 20, *shared, 0, 0, 0, 0, 0, 0) + b"m")
    _write(file, END_LAYOUT.pack(END, 0, 0, 1, 1, file.tell() - directory, directory, 0))
    file.seek(0)
    _write(file, LOCAL_LAYOUT.pack(LOCAL, 20, *shared, 0) + b"m")


def _write(file: IO[bytes], data: bytes) -> None:
    try:
        file.write(data)
        file.flush()
    except OSError as error:
        raise StoreError(f"the scratch folder cannot be written: {error.strerror}") from error


def _sevenzip(method: int) -> str:
    try:
        import p7z
    except ImportError as error:
        raise EvidenceError("missing-library", f"{method_name(method)} needs 7-Zip: pip install p7z") from error
    # the program in the wheel and no other: what it gives must not depend on this machine
    return os.path.join(os.path.dirname(str(p7z.__file__)), "_vendor", "7zz")
