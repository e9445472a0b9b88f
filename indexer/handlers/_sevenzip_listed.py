"""The directory of a 7z archive as 7-Zip lists it, where py7zr cannot read it.

Source: 7-Zip 26 manual, command line ("l -slt").
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from indexer.errors import EvidenceError
from indexer.handlers._p7z import Record, list_members
from indexer.handlers._sevenzip import Directory, Entry
from indexer.model import Timestamp
from indexer.timestamps import from_filetime


def list_directory(path: str, password: str) -> Directory:
    """The directory by 7-Zip.

    Raises:
        EvidenceError: where 7-Zip cannot open it; `trouble` holds what it met later.
    """
    records = list_members(path, kind="7z", password=password)
    archive = next(records, {})
    entries: list[Entry] = []
    position = 0
    trouble = None
    try:
        for record in records:
            entry = _entry_of(record, position)
            position += entry.size
            entries.append(entry)
    except EvidenceError as error:
        trouble = error
    methods = [name.partition(":")[0] for name in archive.get("Method", "").split()]
    return Directory(entries, [], list(dict.fromkeys(methods)), archive.get("Solid") == "+", trouble)


def _entry_of(record: Record, start: int) -> Entry:
    size = int(record["Size"]) if record.get("Size", "").isdigit() else 0
    flags, _, mode = record.get("Attributes", "").partition(" ")
    kind = {"d": "directory", "l": "symlink", "p": "fifo", "c": "character-device", "b": "block-device"}.get(
        mode[:1], "directory" if "D" in flags else "file"
    )
    if record.get("Anti") == "+":
        kind = "anti-item"
    crc = record.get("CRC", "")
    return Entry(
        name=record["Path"],
        kind=kind,
        size=size,
        crc=int(crc, 16) if crc else None,
        folder=-1 if not size else 0,
        start=start,
        position=start,
        attributes=None,
        times=tuple(_printed_times(record)),
        method=" ".join(name.partition(":")[0] for name in record.get("Method", "").split()),
        encrypted=record.get("Encrypted") == "+",
    )


def _printed_times(record: Record) -> Iterator[Timestamp]:
    for kind, key, origin in (
        ("M", "Modified", "7z.mtime"),
        ("A", "Accessed", "7z.atime"),
        ("B", "Created", "7z.ctime"),
    ):
        text, _, fraction = record.get(key, "").partition(".")
        try:
            at = datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
            part = int(fraction.ljust(7, "0")[:7] or 0)
        except ValueError:
            continue
        ticks = int((at - datetime(1601, 1, 1, tzinfo=UTC)).total_seconds()) * 10_000_000 + part
        if stamp := from_filetime(kind, ticks, origin):
            yield stamp
