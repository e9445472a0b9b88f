"""Records of captured network traffic: packets with their times, in both file formats.

Source: IETF drafts opsawg-pcap and opsawg-pcapng.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from indexer.errors import EvidenceError
from indexer.handler import Stream

CLASSIC: Final = {
    b"\xd4\xc3\xb2\xa1": ("<", 6),
    b"\xa1\xb2\xc3\xd4": (">", 6),
    b"\x4d\x3c\xb2\xa1": ("<", 9),
    b"\xa1\xb2\x3c\x4d": (">", 9),
}
"""By the first four bytes: order of bytes, decimals of a second."""
NEW: Final = b"\x0a\x0d\x0d\x0a"
_PACKET: Final = 1 << 20
_WINDOW: Final = 1 << 20
_BLOCK: Final = 64 << 20
_INTERFACES: Final = 1000


class Packet(NamedTuple):
    """One packet: when it came in nanoseconds since 1970 (-1 where that is not recorded), on what link, its bytes."""

    time: int
    link: int
    data: bytes


class Note(NamedTuple):
    """Something that the capture says of itself."""

    name: str
    text: str


class _Window:
    """Bytes of a stream by offset, read a million at a time."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._begin = 0
        self._held = b""

    def at(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes."""
        start = offset - self._begin
        if start < 0 or start + size > len(self._held):
            self._begin, start = offset, 0
            self._held = self._stream.at(offset, max(size, _WINDOW))
        return self._held[start : start + size]


def read_records(stream: Stream) -> Iterator[Packet | Note]:
    """Packets and notes in the order of the file.

    Raises:
        EvidenceError: after the last one that could be had.
    """
    window = _Window(stream)
    if stream.head.startswith(NEW):
        yield from _read_new(stream, window)
        return
    order, decimals = CLASSIC[stream.head[:4]]
    if stream.size < 24:
        raise EvidenceError("truncated", "the head is cut")
    link = struct.unpack_from(f"{order}I", stream.head, 20)[0] & 0xFFFF
    layout, factor, at = struct.Struct(f"{order}4I"), 10 ** (9 - decimals), 24
    while at < stream.size:
        head = window.at(at, 16)
        if len(head) < 16:
            raise EvidenceError("truncated", f"a packet's head breaks off at {at}")
        seconds, fraction, kept, _ = layout.unpack(head)
        if kept > _PACKET:
            raise EvidenceError("corrupt", f"a packet of {kept} bytes at {at}")
        data = window.at(at + 16, kept)
        yield Packet(seconds * 1_000_000_000 + fraction * factor, link, data)
        if len(data) < kept:
            raise EvidenceError("truncated", f"a packet breaks off at {at}")
        at += 16 + kept


def _read_new(stream: Stream, window: _Window) -> Iterator[Packet | Note]:
    at, order = 0, "<"
    links: list[tuple[int, int]] = []
    while at < stream.size:
        head = window.at(at, 12)
        if len(head) < 12:
            raise EvidenceError("truncated", f"a block's head breaks off at {at}")
        if head[:4] == NEW:
            order = "<" if head[8:] == b"\x4d\x3c\x2b\x1a" else ">"
            links = []
        kind, size = struct.unpack_from(f"{order}II", head)
        if size < 12 or size % 4 or size > _BLOCK:
            raise EvidenceError("corrupt", f"a block of {size} bytes at {at}")
        body = window.at(at + 8, size - 12)
        yield from _block(kind, body, order, links)
        if len(body) < size - 12:
            raise EvidenceError("truncated", f"a block breaks off at {at}")
        at += size


def _block(kind: int, body: bytes, order: str, links: list[tuple[int, int]]) -> Iterator[Packet | Note]:
    if kind == 0x0A0D0D0A:
        names = {1: "comment", 2: "hardware", 3: "os", 4: "application"}
        yield from _notes(_options(body[16:], order), names)
    elif kind == 1 and len(body) >= 8 and len(links) < _INTERFACES:
        options = list(_options(body[8:], order))
        resolution = next((value[0] for code, value in options if code == 9 and value), 6)
        factor = 10**9 >> (resolution & 0x7F) if resolution & 0x80 else 10 ** max(0, 9 - resolution)
        links.append((struct.unpack_from(f"{order}H", body)[0], max(1, factor)))
        yield from _notes(iter(options), {1: "comment", 2: "interface", 3: "interface", 12: "os"})
    elif kind == 6 and len(body) >= 20:
        number, high, low, kept, _ = struct.unpack_from(f"{order}5I", body)
        link, factor = links[number] if number < len(links) else (1, 1000)
        yield Packet((high << 32 | low) * factor, link, body[20 : 20 + kept])
        yield from _notes(_options(body[20 + (kept + 3) // 4 * 4 :], order), {1: "comment"})
    elif kind == 3 and len(body) >= 4:
        yield Packet(-1, links[0][0] if links else 1, body[4:])
    elif kind == 4:
        yield from _names(body, order)


def _options(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        code, size = struct.unpack_from(f"{order}HH", data, at)
        if not code:
            return
        yield code, data[at + 4 : at + 4 + size]
        at += 4 + (size + 3) // 4 * 4


def _notes(options: Iterator[tuple[int, bytes]], names: dict[int, str]) -> Iterator[Note]:
    for code, value in options:
        if name := names.get(code):
            yield Note(name, value.decode("utf-8", "replace").rstrip("\0"))


def _names(body: bytes, order: str) -> Iterator[Note]:
    """Names of hosts, as the capturing machine knew them."""
    for code, value in _options(body, order):
        skip = {1: 4, 2: 16}.get(code)
        if skip:
            for name in value[skip:].split(b"\0"):
                if name:
                    yield Note("name", name.decode("utf-8", "replace"))
