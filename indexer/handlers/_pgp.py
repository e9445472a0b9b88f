"""Packets of OpenPGP as they come: bodies in pieces of any size, and the file that a message holds.

Source: RFC 9580 sections 4.2 (lengths), 5.6 (packed), 5.9 (literal).
"""

from __future__ import annotations

import bz2
import zlib
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from indexer.errors import EvidenceError

FOR_KEY: Final = 1
SIGNATURE: Final = 2
FOR_PASSWORD: Final = 3
ONE_PASS: Final = 4
PACKED: Final = 8
SEALED: Final = 9
MARKER: Final = 10
LITERAL: Final = 11
SEALED_CHECKED: Final = 18
SEALED_CHUNKS: Final = 20
PADDING: Final = 21
_STEP: Final = 1 << 18
_DEEPEST: Final = 8


class Literal(NamedTuple):
    """A file inside a message: its name, its time in Unix seconds or 0, and its bytes."""

    name: bytes
    at: int
    pieces: Iterator[bytes]


class Feed:
    """Pieces of any size, taken by the byte."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._held = b""
        self._error: EvidenceError | None = None

    def take(self, size: int) -> bytes:
        """So many bytes, fewer only at the end or before an error; they are joined, and so few."""
        parts: list[bytes] = []
        try:
            while size and (piece := self.some(size)):
                parts.append(piece)
                size -= len(piece)
        except EvidenceError as error:
            if not parts:
                raise
            self._error = error
        return b"".join(parts)

    def some(self, most: int) -> bytes:
        """The next bytes that are there, at most so many; none at the end."""
        if self._error:
            raise self._error
        if not self._held:
            self._held = next((piece for piece in self._pieces if piece), b"")
        piece, self._held = self._held[:most], self._held[most:]
        return piece

    def rest(self) -> Iterator[bytes]:
        """All that is left."""
        while piece := self.some(_STEP):
            yield piece


def next_packet(feed: Feed) -> tuple[int, Iterator[bytes]]:
    """Kind and body of the next packet, kind 0 where there is none; the body is read before the next one.

    Raises (while the body is read):
        EvidenceError: `truncated`, after all that is there.
    """
    first = feed.take(1)
    if not first or not first[0] & 0x80:
        return 0, iter(())
    if first[0] & 0x40:
        return first[0] & 63, _pieces(feed)
    kind, form = first[0] >> 2 & 15, first[0] & 3
    return kind, feed.rest() if form == 3 else _body(feed, int.from_bytes(feed.take(1 << form), "big"))


def skip(body: Iterator[bytes]) -> None:
    """Reads what is left of a body."""
    for _piece in body:
        pass


def read_literal(pieces: Iterator[bytes]) -> Literal:
    """The file that a message holds, signed, packed or plain. Its pieces end when all of the message was read.

    Raises:
        EvidenceError: `corrupt`, `limit` or what the pieces raise.
    """
    feed = Feed(pieces)
    for _ in range(_DEEPEST):
        kind, body = next_packet(feed)
        while kind in (ONE_PASS, SIGNATURE, MARKER, PADDING):
            skip(body)
            kind, body = next_packet(feed)
        inner = Feed(body)
        if kind == LITERAL:
            inner.take(1)
            name = inner.take(int.from_bytes(inner.take(1), "big"))
            return Literal(name, int.from_bytes(inner.take(4), "big"), _to_the_end(inner.rest(), pieces))
        if kind != PACKED:
            raise EvidenceError("corrupt", "no file in the message")
        feed = Feed(_unpacked(inner))
    raise EvidenceError("limit", f"packed more than {_DEEPEST} times over")


def begins_message(head: bytes) -> bool:
    """Whether the first bytes of what was opened are those of a packet that may stand there."""
    feed = Feed([head])
    kind, body = next_packet(feed)
    first = Feed(body).some(1)
    match kind:
        case 8:
            return first in (b"\0", b"\1", b"\2", b"\3")
        case 11:
            return first in (b"b", b"t", b"u", b"l", b"1", b"m")
        case 4 | 2:
            return first in (b"\3", b"\4", b"\5", b"\6")
    return kind in (MARKER, PADDING)


def _pieces(feed: Feed) -> Iterator[bytes]:
    """A body of the newer form: in pieces, each with its own length, or in one."""
    while True:
        first = int.from_bytes(feed.take(1), "big")
        if 224 <= first < 255:
            yield from _body(feed, 1 << (first & 31))
            continue
        if first == 255:
            size = int.from_bytes(feed.take(4), "big")
        elif first >= 192:
            size = (first - 192 << 8) + int.from_bytes(feed.take(1), "big") + 192
        else:
            size = first
        yield from _body(feed, size)
        return


def _body(feed: Feed, size: int) -> Iterator[bytes]:
    while size:
        piece = feed.some(min(size, _STEP))
        if not piece:
            raise EvidenceError("truncated", f"{size} bytes of a packet are missing")
        size -= len(piece)
        yield piece


def _unpacked(feed: Feed) -> Iterator[bytes]:
    form = feed.take(1)
    if form == b"\0":
        yield from feed.rest()
        return
    if form not in (b"\1", b"\2", b"\3"):
        raise EvidenceError("unsupported", f"packed by method {form.hex() or 'none'}")
    try:
        if form == b"\3":
            engine = bz2.BZ2Decompressor()
            while not engine.eof:
                packed = feed.some(_STEP) if engine.needs_input else b""
                if engine.needs_input and not packed:
                    raise EvidenceError("truncated", "a packed message ends early")
                yield engine.decompress(packed, _STEP)
            return
        inflater = zlib.decompressobj(-15 if form == b"\1" else 15)
        while not inflater.eof:
            packed = inflater.unconsumed_tail or feed.some(_STEP)
            plain = inflater.decompress(packed, _STEP)
            if not packed and not plain:
                raise EvidenceError("truncated", "a packed message ends early")
            yield plain
    except (zlib.error, OSError) as error:
        raise EvidenceError("corrupt", f"a packed message: {error}") from error


def _to_the_end(pieces: Iterator[bytes], message: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces, and then what the message has behind them: it is checked where it ends."""
    yield from pieces
    skip(message)
