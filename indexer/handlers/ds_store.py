"""What the Finder of macOS remembers of a folder (.DS_Store): names of files, comments, where trash came from.

Names stay after their files are gone; names in blocks that are in use no more are told as strings.

Source: the format as Mac::Finder::DSStore (W. Surman) and "DS_Store Format" (M. Dilger) describe it.
Limits: settings of windows and icons are named by their codes, their values are not told.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import datetime
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._moments import APPLE, moment, print_moment, tell_lines
from indexer.handlers._runs import find_runs
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Text, Timestamp
from indexer.timestamps import from_hfs

_MOST: Final = 64 * MIB
_NAMES: Final = 20_000
_FIXED: Final = {b"long": 4, b"shor": 4, b"bool": 1, b"type": 4, b"comp": 8, b"dutc": 8}
_TOLD: Final = {
    "cmmt": "comment",
    "ptbL": "was in",
    "ptbN": "was called",
    "modD": "modified",
    "moDD": "modified",
    "logS": "size",
    "lg1S": "size",
    "phyS": "size on disk",
    "ph1S": "size on disk",
    "extn": "suffix",
    "vSrn": "version",
}


class DsStore(Handler):
    name = "ds-store"
    media_types = ("application/x-apple-dsstore",)
    signatures = (Signature(b"\0\0\0\1Bud1"),)
    suffixes = (".ds_store",)
    fields: ClassVar[dict[str, str]] = {
        "dsstore.name": "name of a file or folder that was there",
        "dsstore.comment": "comment that was given to a file in the Finder",
        "dsstore.put_back": "where a file in the trash came from",
        "dsstore.records": "number of records",
    }
    reads = "names of files, comments, where trash came from, times; names left in unused blocks"
    rank = 40

    def read(self, stream: Stream) -> Iterator[Fact]:
        store = _Store(stream.at(0, min(stream.size, _MOST)))
        yield from tell_lines(store.tell(), "records")
        yield from (Field("dsstore.name", name) for name in store.names)
        yield from store.facts
        yield Field("dsstore.records", store.records)
        if left := store.left_over():
            yield Text(left, "strings in unused blocks")
        yield from store.problems


class _Store:
    """The blocks of one file, and what was found in them."""

    def __init__(self, data: bytes) -> None:
        if len(data) < 36:
            raise EvidenceError("truncated", f"{len(data)} bytes where the header alone takes 36")
        self._data = data
        self.names: dict[str, None] = {}
        self.facts: list[Fact] = []
        self.problems: list[Problem] = []
        self.records = 0
        self._used: list[tuple[int, int]] = [(0, 36)]
        offset, size = struct.unpack_from(">II", data, 8)
        self._used.append((offset + 4, offset + 4 + size))
        self._root = data[offset + 4 : offset + 4 + size]
        count = int.from_bytes(self._root[:4], "big")
        self._count = min(count, len(self._root) // 4 - 2)

    def _block(self, number: int) -> bytes:
        if not 0 <= number < self._count:
            return b""
        (address,) = struct.unpack_from(">I", self._root, 8 + 4 * number)
        start, size = (address & ~31) + 4, 1 << (address & 31)
        self._used.append((start, start + size))
        return self._data[start : start + size]

    def _tree(self) -> int:
        """The number of the first node of the tree of records.

        Raises:
            EvidenceError: where there is none.
        """
        at = 8 + 4 * (self._count + -self._count % 256)
        count = int.from_bytes(self._root[at : at + 4], "big")
        at += 4
        for _ in range(min(count, 1000)):
            size = self._root[at] if at < len(self._root) else 0
            name, number = self._root[at + 1 : at + 1 + size], self._root[at + 1 + size : at + 5 + size]
            at += 5 + size
            if name == b"DSDB" and len(number) == 4:
                return int.from_bytes(self._block(int.from_bytes(number, "big"))[:4], "big")
        raise EvidenceError("corrupt", "no tree of records is named")

    def tell(self) -> Iterator[str]:
        """A line for each record, in the order of the tree."""
        waiting: list[int] = [self._tree()]
        seen: set[int] = set()
        while waiting:
            number = waiting.pop()
            if number in seen:
                self.problems.append(Problem("corrupt", f"node {number} comes twice", resolution="read once"))
                continue
            seen.add(number)
            block = self._block(number)
            if len(block) < 8:
                self.problems.append(Problem("corrupt", f"node {number} is not here", resolution="left out"))
                continue
            last, count = struct.unpack_from(">II", block)
            at, below = 8, []
            for _ in range(count):
                if last:
                    below.append(int.from_bytes(block[at : at + 4], "big"))
                    at += 4
                after, line = self._record(block, at)
                if not after:
                    self._used[-1] = (self._used[-1][0], self._used[-1][0] + at)
                    self.problems.append(Problem("corrupt", f"node {number} breaks off", resolution="read up to there"))
                    break
                at = after
                yield line
            if last:
                waiting += [last, *reversed(below)]

    def _record(self, block: bytes, at: int) -> tuple[int, str]:
        """Where the record at a place ends, and what it says; 0 where there is none."""
        length = int.from_bytes(block[at : at + 4], "big")
        start = at + 4 + 2 * length
        kind = block[start + 4 : start + 8]
        if not length or len(kind) < 4:
            return 0, ""
        name = block[at + 4 : start].decode("utf-16-be", "replace")
        code = block[start : start + 4].decode("latin-1")
        at = start + 8
        if kind in (b"blob", b"ustr"):
            size = int.from_bytes(block[at : at + 4], "big") * (2 if kind == b"ustr" else 1)
            at += 4
        else:
            size = _FIXED.get(kind, 0)
        raw = block[at : at + size]
        if (not size and kind not in (b"blob", b"ustr")) or len(raw) < size:
            return 0, ""
        self.records += 1
        if len(self.names) < _NAMES:
            self.names[name] = None
        return at + size, " | ".join(part for part in (name, self._value(code, kind, raw)) if part)

    def _value(self, code: str, kind: bytes, raw: bytes) -> str:
        told = _TOLD.get(code, code.strip())
        if kind == b"ustr":
            text = raw.decode("utf-16-be", "replace")
            if code == "cmmt":
                self.facts.append(Field("dsstore.comment", text))
            elif code == "ptbL":
                self.facts.append(Field("dsstore.put_back", text))
            return f"{told}: {text}"
        if told == "modified":
            at = _time(kind, raw)
            if at:
                self.facts.append(Timestamp("member_modified", at, f"dsstore.{code}"))
            return f"{told}: {print_moment(at)}"
        if kind in (b"long", b"shor", b"comp") and len(told) > 4:
            return f"{told}: {int.from_bytes(raw, 'big')}"
        return told

    def left_over(self) -> str:
        """Readable text of the bytes that no block in use covers."""
        rest = bytearray(self._data)
        for start, end in self._used:
            end = min(end, len(rest))
            rest[start:end] = bytes(max(0, end - start))
        data = bytes(rest)
        return "\n".join(data[run.start : run.end].decode(run.codec, "replace") for run in find_runs(data))


def _time(kind: bytes, raw: bytes) -> datetime | None:
    if kind == b"dutc":
        stamp = from_hfs("M", int.from_bytes(raw, "big") >> 16, "dsstore")
        return stamp.at if stamp else None
    return moment(struct.unpack("<d", raw)[0], 1.0, APPLE) if len(raw) == 8 else None
