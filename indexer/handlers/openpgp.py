"""OpenPGP as files: messages, keys and signatures, in bytes or as text; who may open them, who made them.

Encrypted messages are named with the keys they are for, and opened where a password does. What is only signed or
packed is a member.

Source: RFC 9580 (OpenPGP), sections 4 (packets), 5 (their kinds), 6.2 (as text); RFC 4880 before it.
Limits: messages for keys are named, not opened; no signature is verified; key material is not told.
"""

from __future__ import annotations

import binascii
import bz2
import re
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping
from functools import partial
from io import BytesIO
from typing import BinaryIO, ClassVar, NamedTuple

from indexer.decoding import decode
from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._pgp import read_literal
from indexer.handlers._pgp_lock import Message
from indexer.handlers._streams import open_chunks
from indexer.limits import MIB
from indexer.model import Child, Fact, Field, Problem, Text, Timestamp
from indexer.passwords import Passwords
from indexer.timestamps import from_unix

_MOST, _UNPACKED = 256 * MIB, 256 * MIB
_PACKETS, _NESTED = 20_000, 8
_ARMOUR = re.compile(
    rb"-----BEGIN PGP (MESSAGE|PUBLIC KEY BLOCK|PRIVATE KEY BLOCK|SIGNATURE)(?:, PART [^-\r\n]{1,20})?-----[ \t]*\r?\n"
    rb"((?:[A-Za-z]{1,20}: [^\r\n]{0,500}\r?\n|(?!))*+)(?:[ \t]*\r?\n)?([A-Za-z0-9+/=\s]*+)"
)
_SIGNED_TEXT = b"-----BEGIN PGP SIGNED MESSAGE-----"
_FOR_KEY, _SIGNATURE, _FOR_PASSWORD, _SECRET, _PUBLIC, _SECRET_SUB, _PACKED = 1, 2, 3, 5, 6, 7, 8
_SEALED, _LITERAL, _USER, _PUBLIC_SUB, _SEALED_CHECKED, _SEALED_NEW, _ONE_PASS = 9, 11, 13, 14, 18, 20, 4
_KINDS = {
    _FOR_KEY: "encrypted message",
    _FOR_PASSWORD: "encrypted message",
    _SEALED: "encrypted message",
    _SEALED_CHECKED: "encrypted message",
    _SEALED_NEW: "encrypted message",
    _SECRET: "private key",
    _PUBLIC: "public key",
    _SIGNATURE: "signature",
    _ONE_PASS: "signed message",
    _PACKED: "packed message",
    _LITERAL: "message",
}
_FIRST = {_FOR_KEY: b"\2\3\6", _SIGNATURE: b"\2\3\4\5\6", _FOR_PASSWORD: b"\4\5\6", _SECRET: b"\2\3\4\5\6"}
_FIRST |= {_PUBLIC: b"\2\3\4\5\6", _ONE_PASS: b"\3\6"}
"""What the first byte of a packet may be, by kind."""


class _Packet(NamedTuple):
    kind: int
    body: bytes
    cut: bool


class Openpgp(Handler):
    name = "openpgp"
    media_types = ("application/pgp-encrypted", "application/pgp-keys", "application/pgp-signature")
    signatures = (
        Signature(b"-----BEGIN PGP "),
        *(Signature(bytes((tag << 2 | size | 0x80,))) for tag in (1, 2, 3, 5, 6) for size in (0, 1, 2)),
        *(Signature(bytes((tag | 0xC0,))) for tag in (1, 2, 3, 4, 5, 6)),
        *(Signature(bytes((_PACKED << 2 | 3 | 0x80, form))) for form in (1, 2, 3)),
    )
    suffixes = (".asc", ".pgp", ".gpg", ".sig")
    fields: ClassVar[Mapping[str, str]] = {
        "pgp.kind": "what it is: encrypted message, signed message, public key, private key, signature",
        "pgp.key_id": "number of a key that may open it or that signed it",
        "pgp.user": "who a key belongs to, as the key says",
        "pgp.version": "program that wrote it",
        "pgp.comment": "comment beside it",
        "pgp.file_name": "name the sealed or signed file had",
        "encryption.method": "what seals it for a password",
    }
    reads = "kind, keys it is for, owners of keys, times; what is signed, packed or opened by a password as a member"
    version = 2
    rank = 42
    container = True

    def claims(self, stream: Stream) -> str | None:
        head = stream.head
        if head.startswith(b"-----"):
            return self.media_types[0] if _ARMOUR.match(head) or head.startswith(_SIGNED_TEXT) else None
        tag, start, end = _packet(head, 0)
        if tag == _PACKED:
            inner = _unpacked(head[start:], 64) or b""
            return self.media_types[0] if _packet(inner, 0)[0] in (_ONE_PASS, _LITERAL, _SIGNATURE) else None
        if head[start : start + 1] not in _first_bytes(tag) or not start < end <= stream.size:
            return None
        if end == stream.size:
            return self.media_types[0]
        after = _packet(stream.at(end, 16), 0)[0]
        return self.media_types[0] if after in (*_KINDS, _USER, _PUBLIC_SUB, _SECRET_SUB) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        data = stream.at(0, min(stream.size, _MOST))
        opened = not data.startswith(b"-----") and (yield from _opened(Message(stream.at), stream.passwords))
        if stream.size > _MOST and not opened:
            yield Problem("limit", f"more than {_MOST} bytes", resolution="read up to there")
        if not data.startswith(b"-----"):
            yield from _describe(data, opened)
            return
        if data.startswith(_SIGNED_TEXT):
            yield Field("pgp.kind", "signed message")
            yield Text(decode(data).text.replace("\r\n", "\n"), "text")
        for match in _ARMOUR.finditer(data):
            for line in match[2].splitlines():
                name, _, value = decode(line).text.partition(": ")
                if name in ("Version", "Comment"):
                    yield Field(f"pgp.{name.lower()}", value)
            data = _unarmoured(match[3])
            message = Message(lambda at, size, data=data: data[at : at + size])  # type: ignore[misc]
            yield from _describe(data, (yield from _opened(message, stream.passwords)))


def _first_bytes(tag: int) -> tuple[bytes, ...]:
    return tuple(bytes((byte,)) for byte in _FIRST.get(tag, b""))


def _unarmoured(text: bytes) -> bytes:
    # The checksum stands behind a line that begins with an equals sign.
    body = re.sub(rb"[^A-Za-z0-9+/]", b"", re.split(rb"\n=[A-Za-z0-9+/]{4}", text)[0])
    body = body[: len(body) - (len(body) % 4 == 1)]
    return binascii.a2b_base64(body + b"=" * (-len(body) % 4))


def _packet(data: bytes, at: int) -> tuple[int, int, int]:
    """Kind of the packet at a place, where its body starts and ends; kind 0 where there is none."""
    head = data[at : at + 6]
    if len(head) < 2 or not head[0] & 0x80:
        return 0, 0, 0
    if not head[0] & 0x40:
        kind, form = head[0] >> 2 & 15, head[0] & 3
        if form == 3:
            return kind, at + 1, len(data)
        size = 1 << form
        return kind, at + 1 + size, at + 1 + size + int.from_bytes(head[1 : 1 + size], "big")
    kind, first = head[0] & 63, head[1]
    if first < 192:
        return kind, at + 2, at + 2 + first
    if first < 224:
        return kind, at + 3, at + 3 + (first - 192 << 8) + int.from_bytes(head[2:3], "big") + 192
    if first == 255:
        return kind, at + 6, at + 6 + int.from_bytes(head[2:6], "big")
    return kind, at + 2, -(1 << (first & 31))


def _packets(data: bytes) -> Iterator[_Packet]:
    at = count = 0
    while at < len(data) and count < _PACKETS:
        kind, start, end = _packet(data, at)
        if not kind:
            return
        body = data[start : max(start, end)]
        if end < 0:
            body, end = _joined(data, start, -end)
        yield _Packet(kind, body, end > len(data))
        at, count = max(end, at + 1), count + 1


def _joined(data: bytes, at: int, size: int) -> tuple[bytes, int]:
    """A body in pieces, each with its own length; the last has a plain one."""
    joined = bytearray(data[at : at + size])
    at += size
    while at < len(data):
        first = data[at]
        if 224 <= first < 255:
            start, size = at + 1, 1 << (first & 31)
        else:
            _, start, end = _packet(b"\xc1" + data[at : at + 5], 0)
            start, size = at + start - 1, end - start
        joined += data[start : start + size]
        at = start + size
        if not 224 <= first < 255:
            break
    return bytes(joined), at


def _opened(message: Message, passwords: Passwords) -> Generator[Fact, None, bool]:
    """What a password opens, and whether one did."""
    if not message.kind or not message.locks:
        return False
    yield Field("encryption.method", message.method)
    if not message.is_read:
        yield Problem("encrypted", f"{message.method}, a cipher that is not read", resolution="named, not opened")
        return True
    for password in passwords:
        if key := message.open(password.text):
            yield password.field()
            try:
                held = read_literal(message.plain(key))
            except EvidenceError as error:
                yield error.problem("openpgp")
            else:
                yield from _file(held.name, held.at, lambda: open_chunks(read_literal(message.plain(key)).pieces))
            return True
    return False


def _describe(data: bytes, opened: bool) -> Iterator[Fact]:
    """What the packets say.

    Args:
        opened: whether the sealed one is told already.
    """
    told = False
    sealed: list[str] = []
    room = _UNPACKED
    waiting = [(data, 0)]
    while waiting:
        data, depth = waiting.pop()
        for packet in _packets(data):
            if not told and packet.kind in _KINDS:
                told = True
                yield Field("pgp.kind", _KINDS[packet.kind])
            if packet.cut and not opened:
                yield Problem("truncated", "the last packet is cut", resolution="read as far as it goes")
            if packet.kind == _FOR_KEY and packet.body[:1] == b"\3":
                sealed.append(packet.body[1:9].hex())
            elif packet.kind == _FOR_PASSWORD:
                sealed.append("a password")
            elif packet.kind in (_SEALED, _SEALED_CHECKED, _SEALED_NEW):
                yield from (Field("pgp.key_id", key) for key in sealed if key != "a password")
                for_whom = ", ".join(sealed[:20]) or "a key that is not named"
                if not opened:
                    yield Problem("encrypted", f"an OpenPGP message for {for_whom}", resolution="named, not opened")
            elif packet.kind == _USER:
                yield Field("pgp.user", decode(packet.body[:2000]).text)
            elif packet.kind in (_PUBLIC, _SECRET, _SIGNATURE):
                yield from _times(packet)
            elif packet.kind == _LITERAL and len(packet.body) > 6:
                yield from _literal(packet.body)
            elif packet.kind == _PACKED:
                inner = _unpacked(packet.body, room) if room else b""
                if inner is None:
                    yield Problem("corrupt", "a packed message does not unpack", resolution="left out")
                elif depth >= _NESTED:
                    yield Problem("limit", f"packed more than {_NESTED} times over", resolution="left out")
                else:
                    room -= len(inner)
                    waiting.append((inner, depth + 1))
                    if not room:
                        yield Problem("limit", f"unpacks to {_UNPACKED} bytes or more", resolution="read up to there")


def _times(packet: _Packet) -> Iterator[Fact]:
    body, origin = packet.body, "pgp.signature" if packet.kind == _SIGNATURE else "pgp.key"
    stamp: Timestamp | None = None
    if packet.kind != _SIGNATURE and len(body) > 5:
        stamp = from_unix("B", int.from_bytes(body[1:5], "big"), origin)
    elif body[:1] == b"\3" and len(body) > 15:
        stamp = from_unix("signed", int.from_bytes(body[3:7], "big"), origin)
        yield Field("pgp.key_id", body[7:15].hex())
    elif body[:1] in (b"\4", b"\5"):
        for kind, value in _details(body):
            if kind == 2 and len(value) == 4:
                stamp = from_unix("signed", int.from_bytes(value, "big"), origin)
            elif kind == 16 and len(value) == 8:
                yield Field("pgp.key_id", value.hex())
    if stamp:
        yield stamp


def _details(body: bytes) -> Iterator[tuple[int, bytes]]:
    """The details of a signature: those that are signed, then the others."""
    at = 4
    for _ in range(2):
        size = int.from_bytes(body[at : at + 2], "big")
        part, at = body[at + 2 : at + 2 + size], at + 2 + size
        place = 0
        while place < len(part):
            _, start, end = _packet(b"\xc1" + part[place : place + 5], 0)
            start, end = place + start - 1, place + end - 1
            if end <= start or start >= len(part):
                break
            yield part[start] & 127, part[start + 1 : end]
            place = end


def _literal(body: bytes) -> Iterator[Fact]:
    size = body[1]
    at = int.from_bytes(body[2 + size : 6 + size], "big")
    yield from _file(body[2 : 2 + size], at, partial(BytesIO, body[6 + size :]))


def _file(raw: bytes, at: int, opener: Callable[[], BinaryIO]) -> Iterator[Fact]:
    name = decode(raw).text
    stamp = from_unix("M", at, "pgp.literal")
    stamps = (stamp,) if stamp and stamp.at.year > 1970 else ()
    if name:
        yield Field("pgp.file_name", name)
    yield Child(name or "content", raw or b"content", opener, stamps)


def _unpacked(body: bytes, most: int) -> bytes | None:
    form, data = body[:1], body[1:]
    try:
        if form == b"\0":
            return data[:most]
        if form in (b"\1", b"\2"):
            return zlib.decompressobj(-15 if form == b"\1" else 15).decompress(data, most)
        if form == b"\3":
            return bz2.BZ2Decompressor().decompress(data, most)
    except (zlib.error, OSError):
        return None
    return None
