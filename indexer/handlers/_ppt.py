"""The records of an old PowerPoint presentation: found through its last saving, decrypted, walked.

Source: [MS-PPT] 2.1.2 (streams), 2.3.1 (record header), 2.3.2 to 2.3.4 (user edits and their directory),
2.3.7 (encryption).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from indexer.errors import EvidenceError
from indexer.handlers._office_lock import Lock, read_lock

SLIDE, NOTES, MASTER, DOCUMENT = 1006, 1008, 1016, 1000
_EDIT, _DIRECTORY, _CURRENT, _SESSION = 4085, 6002, 4086, 12052
_ENCRYPTED = 0xF3D1C4DF
_TAG_DATA = 5003
_DEPTH = 64
_EDITS = 10_000


class Node(NamedTuple):
    """One record: `ends` marks the end of one that holds others; `body` lies between `start` and `end`."""

    kind: int
    instance: int
    start: int
    end: int
    holds: bool
    ends: bool = False


def walk(data: bytes, start: int, end: int) -> Iterator[Node]:
    """Every record between two places, what it holds after it, and its end; one that is cut ends with what holds it."""
    open_ones: list[Node] = []
    at = start
    while True:
        while open_ones and at + 8 > open_ones[-1].end:
            closed = open_ones.pop()
            at = closed.end
            yield closed._replace(ends=True)
        if at + 8 > end:
            return
        head, kind, size = struct.unpack_from("<HHI", data, at)
        limit = open_ones[-1].end if open_ones else end
        holds = (head & 15 == 15 or kind == _TAG_DATA) and len(open_ones) < _DEPTH
        node = Node(kind, head >> 4, at + 8, min(at + 8 + size, limit), holds)
        yield node
        if holds:
            open_ones.append(node)
        at = node.start if holds else node.end


class Show:
    """A presentation: which record each number stands for after the last saving.

    `fault` says what was wrong with that; then records are taken as they lie in the file.

    Args:
        data: the stream of the document.
        current: the stream that names the last saving.
    """

    def __init__(self, data: bytes, current: bytes) -> None:
        self.data = data
        self.places: dict[int, int] = {}
        self.document = 0
        self.session = 0
        self.fault = ""
        self.user = _user(current)
        self.encrypted = _u32(current, 12) == _ENCRYPTED
        at, seen = _u32(current, 16), set[int]()
        while at and at not in seen and len(seen) < _EDITS:
            seen.add(at)
            if _u16(data, at + 2) != _EDIT:
                self.fault = "the last saving is not where it should be"
                break
            self._take(_u32(data, at + 20))
            self.document = self.document or _u32(data, at + 24)
            if _u32(data, at + 4) >= 32:
                self.session = self.session or _u32(data, at + 36)
            at = _u32(data, at + 16)
        if not self.places:
            self.fault = self.fault or "there is no list of records"

    def _take(self, at: int) -> None:
        """One directory; what a later saving said of a number stays."""
        if _u16(self.data, at + 2) != _DIRECTORY:
            self.fault = "a list of records is not where it should be"
            return
        end = min(at + 8 + _u32(self.data, at + 4), len(self.data))
        at += 8
        while at + 4 <= end:
            head = _u32(self.data, at)
            first, count = head & 0xFFFFF, head >> 20
            for row in range(min(count, (end - at - 4) // 4)):
                self.places.setdefault(first + row, _u32(self.data, at + 4 + 4 * row))
            at += 4 + 4 * count

    def node(self, number: int) -> Node | None:
        """The record that a number stands for."""
        at = self.places.get(number, -1)
        return next(walk(self.data, at, len(self.data)), None) if 0 <= at <= len(self.data) - 8 else None

    def top(self) -> Iterator[Node]:
        """The outermost records as they lie in the file."""
        at = 0
        while at + 8 <= len(self.data):
            node = next(walk(self.data, at, len(self.data)))
            yield node
            at = node.end

    def lock(self) -> Lock:
        """How the presentation is encrypted.

        Raises:
            EvidenceError: if that is not told, or not in a way that we know.
        """
        node = self.node(self.session)
        if node is None or node.kind != _SESSION:
            raise EvidenceError("encrypted", "the header of the encryption is not there")
        return read_lock(self.data[node.start : node.end])

    def decrypt(self, lock: Lock, secret: bytes) -> None:
        """Every record that has a number, with the key of that number."""
        plain = bytearray(self.data)
        for number, at in self.places.items():
            if number == self.session or not 0 <= at <= len(self.data) - 8:
                continue
            head = lock.cipher(secret, number).decrypt(self.data[at : at + 8])
            end = at + 8 + _u32(head, 4)
            if end <= len(self.data):
                plain[at:end] = lock.cipher(secret, number).decrypt(self.data[at:end])
        self.data = bytes(plain)


def _user(current: bytes) -> str:
    """Who saved it last, as PowerPoint keeps it."""
    if _u16(current, 2) != _CURRENT:
        return ""
    count = _u16(current, 20)
    wide = current[32 + count : 32 + 3 * count]
    if count and len(wide) == 2 * count:
        return wide.decode("utf-16-le", "replace").strip("\0 ")
    return current[28 : 28 + count].decode("cp1252", "replace").strip("\0 ")


def _u16(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "little")


def _u32(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")
