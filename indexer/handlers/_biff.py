"""The records of old Excel workbooks: cut, decrypted, joined, and the texts in them.

Source: [MS-XLS] 2.1.4 (records), 2.4.265 (SST), 2.5.293 to 2.5.296 (texts), 2.2.10 (encryption);
[MS-OFFCRYPTO] 2.3.7.2 (XOR).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from indexer.errors import EvidenceError
from indexer.handlers._office_lock import Lock
from indexer.model import Cause

BOF, EOF, CONTINUE, FILEPASS = 0x809, 0x0A, 0x3C, 0x2F
_BLOCK = 1024
_HEAD, _TEXT_HEAD = struct.Struct("<HH"), struct.Struct("<HB")
_CONTINUED = CONTINUE.to_bytes(2, "little")
_PLAIN = frozenset({BOF, FILEPASS, 0x194, 0xE1, 0x1C2, 0x138})
"""Records that are never encrypted."""
_SHEET = 0x85

Record = tuple[int, int, bytes, tuple[int, ...]]
"""Offset, number, data with that of its continuations, and where in it each continuation begins."""


class Records:
    """The records of a workbook stream.

    Attributes:
        at: where the next one begins.
        fault: why they ended early, if they did.

    Args:
        data: the stream, not encrypted.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.fault: tuple[Cause, str] | None = None

    def walk(self) -> Iterator[Record]:
        """Every record from `at` on, continuations joined to what they continue; `at` may be moved meanwhile."""
        while (head := self._body()) is not None:
            at, number, data = head
            cuts: tuple[int, ...] = ()
            while self.data.startswith(_CONTINUED, self.at) and (more := self._body()):
                cuts += (len(data),)
                data += more[2]
            yield at, number, data, cuts

    def _body(self) -> tuple[int, int, bytes] | None:
        """Offset, number and data of the record at `at`, which moves on; None at the end."""
        at = self.at
        if at + 4 > len(self.data):
            return None
        number, size = _HEAD.unpack_from(self.data, at)
        if not number and not size:
            return None
        start = at + 4
        self.at = start + size
        body = self.data[start : self.at]
        if len(body) < size:
            self.fault = ("truncated", f"the record at {at} is not whole")
        return at, number, body


def decrypted(data: bytes, lock: Lock, secret: bytes) -> bytes:
    """A workbook stream in clear: the key changes every 1,024 bytes, and heads and some records are never encrypted."""
    out = bytearray(data)
    at, key, block_now = 0, b"", -1
    while at + 4 <= len(data):
        number, size = _HEAD.unpack_from(data, at)
        if not number and not size:
            break
        place, at = at + 4 + 4 * (number == _SHEET), at + 4 + size
        while number not in _PLAIN and place < min(at, len(data)):
            block, offset = divmod(place, _BLOCK)
            if block != block_now:
                key, block_now = lock.cipher(secret, block).encrypt(bytes(_BLOCK)), block
            part = data[place : min(at, place + _BLOCK - offset)]
            mask = int.from_bytes(key[offset : offset + len(part)], "little")
            out[place : place + len(part)] = (int.from_bytes(part, "little") ^ mask).to_bytes(len(part), "little")
            place += len(part)
    return bytes(out)


def wide(data: bytes, at: int, count: int) -> tuple[str, int]:
    """The text of `count` characters behind a byte of flags, and where it ends."""
    flags = data[at] if at < len(data) else 0
    at += 1
    runs = extra = 0
    if flags & 8:
        runs = int.from_bytes(data[at : at + 2], "little")
        at += 2
    if flags & 4:
        extra = int.from_bytes(data[at : at + 4], "little")
        at += 4
    size = count << (flags & 1)
    text = data[at : at + size].decode("utf-16-le" if flags & 1 else "latin-1", "replace")
    return text, at + size + 4 * runs + extra


def shared_strings(record: Record) -> Iterator[str]:
    """The texts of the shared table; a continuation may begin inside one, with a byte of flags anew.

    Raises:
        EvidenceError: where the table ends before its count.
    """
    _, _, data, cuts = record
    count = int.from_bytes(data[4:8], "little")
    ends = iter((*cuts, len(data)))
    end = next(ends)
    at, whole = 8, len(data)
    for number in range(count):
        while at >= end and end < whole:
            end = next(ends)
        if at + 3 > whole:
            raise EvidenceError("truncated", f"{count - number} shared texts are missing")
        left, flags = _TEXT_HEAD.unpack_from(data, at)
        at += 3
        size = left << (flags & 1)
        if not flags & 12 and at + size <= end:
            yield data[at : at + size].decode("utf-16-le" if flags & 1 else "latin-1", "surrogatepass")
            at += size
            continue
        runs = extra = 0
        if flags & 8:
            runs = int.from_bytes(data[at : at + 2], "little")
            at += 2
        if flags & 4:
            extra = int.from_bytes(data[at : at + 4], "little")
            at += 4
        pieces = []
        while left:
            if at >= end:
                if end >= whole:
                    break
                flags = data[at]
                at += 1
                end = next(ends)
            unit = 1 + (flags & 1)
            size = min(left * unit, end - at) // unit * unit
            if not size:
                at = end
                continue
            pieces.append(data[at : at + size].decode("utf-16-le" if flags & 1 else "latin-1", "surrogatepass"))
            left -= size // unit
            at += size
        yield "".join(pieces)
        at += 4 * runs + extra


def rks(numbers: Sequence[int]) -> list[float]:
    """Numbers packed into 30 bits, each with a mark for an integer and one for hundredths."""
    if {number & 0x80000003 for number in numbers} == {3}:
        return [(number >> 2) / 100 for number in numbers]
    return [_rk(number) for number in numbers]


def _rk(number: int) -> float:
    """A number packed into 30 bits, with a mark for an integer and one for hundredths."""
    if number & 2:
        value: float = (number >> 2) - (1 << 30 if number & 0x80000000 else 0)
    else:
        value = struct.unpack("<d", struct.pack("<Q", (number & 0xFFFFFFFC) << 32))[0]
    return value / 100 if number & 1 else value
