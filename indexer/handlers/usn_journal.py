"""Change journals of NTFS ($UsnJrnl:$J): what was made, written, renamed and deleted, record by record.

Source: [MS-FSCC] 2.4.51 (change journal reasons); Windows SDK, USN_RECORD_V2 and V3.
Limits: records of version 4, which tell ranges of written bytes and neither name nor time, are counted only; a
folder is told by its number, since the journal holds no paths.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from struct import Struct as Layout
from typing import Final, NamedTuple

from indexer.handler import Handler, Stream
from indexer.handlers._moments import CHROME, Moments, moment, print_moment, tell_lines
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem

_PAGE: Final = 4096
_SHORTEST: Final = 48
_ONE, _LONG_ONE = Layout("<IHHQQqqIIIIHH"), Layout("<IHH16s16sqqIIIIHH")
_RANGES: Final = 4
_REASONS: Final = (
    (0x1, "overwritten"),
    (0x2, "extended"),
    (0x4, "truncated"),
    (0x10, "stream overwritten"),
    (0x20, "stream extended"),
    (0x40, "stream truncated"),
    (0x100, "created"),
    (0x200, "deleted"),
    (0x400, "extended attributes"),
    (0x800, "security"),
    (0x1000, "renamed from"),
    (0x2000, "renamed to"),
    (0x4000, "indexing"),
    (0x8000, "attributes or times"),
    (0x10000, "hard link"),
    (0x20000, "compression"),
    (0x40000, "encryption"),
    (0x80000, "object id"),
    (0x100000, "reparse point"),
    (0x200000, "stream"),
    (0x400000, "transaction"),
    (0x800000, "integrity"),
    (0x80000000, "closed"),
)
_FOLDER: Final = 0x10
_SIGNS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029|]")
"""What no name has, but a forged one: it would make lines, or parts of one."""
_EARLIEST, _LATEST = 119_600_064_000_000_000, 158_730_624_000_000_000
"""Ticks of 1980 and of 2104: nothing else is a time of a record."""


class _Record(NamedTuple):
    """One change."""

    at: datetime | None
    reasons: int
    attributes: int
    file: int
    parent: int
    name: str

    def line(self) -> str:
        """Time, what happened, name, numbers of the file and of its folder."""
        reasons = ", ".join(word for bit, word in _REASONS if self.reasons & bit) or "nothing"
        kind = "folder" if self.attributes & _FOLDER else "file"
        return (
            f"{print_moment(self.at)} | {reasons} | {self.name} | {kind} {_number(self.file)} in {_number(self.parent)}"
        )


class UsnJournal(Handler):
    name = "usn-journal"
    version = 1
    media_types = ("application/x-ntfs-usn-journal",)
    holds = b"\0"
    fields = {
        "usn.records": "records in the journal",
        "usn.deleted": "records that tell of something deleted",
        "usn.renamed": "records that tell of a new name",
    }
    reads = "every change with its time, reasons, name and the numbers of file and folder"
    rank = 30

    def claims(self, stream: Stream) -> str | None:
        """A record at the beginning, or, behind zeros, where the last page begins: none reaches over a page."""
        if _parse(stream.head[:1024]):
            return self.media_types[0]
        if stream.head[:_PAGE].strip(b"\0") or stream.size <= _PAGE:
            return None
        last = (stream.size - 1) // _PAGE * _PAGE
        return self.media_types[0] if _parse(stream.at(last, 1024)) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        journal = _Journal(stream)
        yield from tell_lines((record.line() for record in journal.records()), "records")
        yield Field("usn.records", journal.count)
        for name, count in (("usn.deleted", journal.deleted), ("usn.renamed", journal.renamed)):
            if count:
                yield Field(name, count)
        yield from journal.moments.stamps("change", "usn.record", 1e-7)
        if journal.damaged:
            yield Problem(
                "corrupt", f"pages that hold what is no record: {journal.damaged}", resolution="the rest is read"
            )


class _Journal:
    """The records in order, and what they come to."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.moments = Moments()
        self.count = self.deleted = self.renamed = self.damaged = 0

    def records(self) -> Iterator[_Record]:
        """Each record; zeros are skipped, and of a page with anything else in it the rest."""
        for start in range(0, self._stream.size, MIB):
            data = self._stream.at(start, MIB)
            if not data.strip(b"\0"):
                continue
            for page in range(0, len(data), _PAGE):
                yield from self._page(data[page : page + _PAGE])

    def _page(self, data: bytes) -> Iterator[_Record]:
        at = 0
        while at + _SHORTEST <= len(data):
            size, version = int.from_bytes(data[at : at + 4], "little"), data[at + 4]
            if not size:
                at += 8
                continue
            record = _parse(data[at:])
            if record is None and not (version == _RANGES and _SHORTEST <= size <= len(data) - at):
                self.damaged += 1
                return
            self.count += 1
            at += size + 7 & ~7
            if record:
                self.moments.add(record.at)
                self.deleted += bool(record.reasons & 0x200)
                self.renamed += bool(record.reasons & 0x2000)
                yield record
        self.damaged += bool(data[at:].strip(b"\0"))


def _parse(data: bytes) -> _Record | None:
    """The record that begins there; None where none does."""
    layout = {2: _ONE, 3: _LONG_ONE}.get(int.from_bytes(data[4:6], "little"))
    if layout is None or len(data) < layout.size:
        return None
    size, _, minor, file, parent, usn, ticks, reasons, _, _, attributes, length, start = layout.unpack_from(data)
    fits = start == layout.size and not length & 1 and size == (start + length + 7 & ~7) and size <= len(data)
    if not fits or minor or usn & 7 or not _EARLIEST < ticks < _LATEST:
        return None
    if isinstance(file, bytes):
        file, parent = (int.from_bytes(each, "little") for each in (file, parent))
    name = _SIGNS.sub("\ufffd", data[start : start + length].decode("utf-16-le", "surrogatepass"))
    return _Record(moment(ticks // 10, 1e-6, CHROME), reasons, attributes, file, parent, name)


def _number(reference: int) -> str:
    """The number of a record and how often it was used."""
    return f"{reference & 0xFFFFFFFFFFFF}-{reference >> 48}" if reference < 1 << 64 else f"{reference:032x}"
