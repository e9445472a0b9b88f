"""Members as 7-Zip lists them, and the passwords that open them.

Source: 7-Zip 26 manual, command line ("l -slt").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial

from msgspec import Struct

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._archive import FIELDS as ARCHIVE_FIELDS
from indexer.handlers._archive import FILE, FOLDER, LINK, SYMLINK
from indexer.handlers._p7z import Record, list_members, stream_members
from indexer.handlers._streams import Slice
from indexer.model import Field, Problem, Timestamp, replace
from indexer.passwords import Password
from indexer.timestamps import from_iso

MOST_MEMBERS = 1_000_000
PIECE = 256 * 1024
STREAM = "alternate-stream"
CLOCK = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.(\d{1,9}))?")
UNIX_MODE = re.compile(r"[-dlbcps][-r][-w]")
DETAILS = {"Method": "archive.method", "User ID": "archive.uid", "Group ID": "archive.gid", "SHA-1": "archive.sha1"}
TIMES = {"Modified": "M", "Accessed": "A", "Changed": "C", "Metadata Changed": "C", "Created": "B"}

FIELDS: Mapping[str, str] = {
    **ARCHIVE_FIELDS,
    "archive.method": "compression methods, of the archive and of each member",
    "archive.crc": "CRC-32 as recorded",
    "archive.uid": "owner's number",
    "archive.gid": "group's number",
    "archive.sha1": "SHA-1 as recorded",
    "archive.attributes": "Windows attributes, as letters",
    "archive.comment": "comment in the archive",
    "archive.host": "system that packed it",
    "archive.solid": "several members are packed as one block",
    "archive.volume": "number of this volume, from 1",
    "encryption.*": "method, whether the names are encrypted too, and which password fitted",
}


class Entry(Struct):
    """One member.

    Attributes:
        path: its name as 7-Zip writes it, of an alternate stream that of its file; empty where not listed.
        crc: of the unpacked bytes; None where it proves nothing.
        here: gives its bytes without 7-Zip: stored as they are, or unpacked by a decoder of ours.
        needs_password: it is encrypted.
        refused: why it is not to be unpacked.
        sha1: of the unpacked bytes, in small letters; empty where none is recorded.
    """

    path: str
    name: str
    raw: bytes
    kind: str
    size: int
    crc: int | None = None
    here: Callable[[], Iterator[bytes]] | None = None
    needs_password: bool = False
    link: str = ""
    times: tuple[Timestamp, ...] = ()
    fields: tuple[Field, ...] = ()
    problems: tuple[Problem, ...] = ()
    refused: EvidenceError | None = None
    sha1: str = ""


def list_entries(
    records: Iterator[Record], origin: str, *, zone_known: bool
) -> tuple[Record, list[Entry], EvidenceError | None]:
    """What 7-Zip lists: the archive's own record, its members, and what went wrong behind them.

    Args:
        origin: the format's name, for the origin of the times.
        zone_known: whether the format keeps times in UTC.

    Raises:
        EvidenceError: where not even the archive's own record was printed.
    """
    archive: Record | None = None
    entries: list[Entry] = []
    try:
        for record in records:
            if archive is None:
                archive = record
            elif len(entries) < MOST_MEMBERS:
                entries.append(_entry(record, origin, zone_known))
    except EvidenceError as error:
        if archive is None:
            raise
        return archive, entries, error
    return archive or {}, entries, None


def _entry(record: Record, origin: str, zone_known: bool) -> Entry:
    path = record["Path"]
    attributes = record.get("Attributes", "")
    letters, _, mode = attributes.rpartition(" ") if UNIX_MODE.search(attributes) else (attributes, "", "")
    mode = mode or record.get("Mode", "")
    link = record.get("Symbolic Link", "")
    kind = FILE
    if record.get("Folder") == "+" or letters.startswith("D") or mode[:1] == "d":
        kind = FOLDER
    elif link or mode[:1] == "l":
        kind = SYMLINK
    elif record.get("Hard Link"):
        kind, link = LINK, record["Hard Link"]
    elif mode[:1] in "bcps" and mode:
        kind = {"b": "block-device", "c": "character-device", "p": "fifo", "s": "socket"}[mode[0]]
    size, crc, sha1 = (record.get(key, "") for key in ("Size", "CRC", "SHA-1"))
    fields = []
    if len(mode) >= 10:
        fields.append(Field("file.mode", f"{_permissions(mode):04o}"))
    if letters.strip():
        fields.append(Field("archive.attributes", letters.strip()))
    for key, name in DETAILS.items():
        if value := record.get(key, ""):
            fields.append(Field(name, value[:200]))
    return Entry(
        path,
        path,
        path.encode("utf-8", "surrogatepass"),
        kind,
        int(size) if size.isdigit() else 0,
        int(crc, 16) if re.fullmatch(r"[0-9A-F]{8}", crc) and kind == FILE else None,
        sha1=sha1.lower() if re.fullmatch(r"[0-9A-Fa-f]{40}", sha1) and kind == FILE else "",
        needs_password=record.get("Encrypted") == "+",
        link=link,
        times=tuple(read_times(record, origin, zone_known)),
        fields=tuple(fields),
    )


def _permissions(mode: str) -> int:
    bits = 0
    for letter in mode[1:10]:
        bits = bits << 1 | (letter not in "-ST")
    return bits


def read_times(record: Record, origin: str, zone_known: bool) -> Iterator[Timestamp]:
    """The times of a record, which 7-Zip was told to print in UTC."""
    for key, kind in TIMES.items():
        if match := CLOCK.fullmatch(record.get(key, "")):
            text = match[1].replace(" ", "T") + (f".{match[2]}" if match[2] else "") + "Z"
            if stamp := from_iso(kind, text, f"{origin}.{key.partition(' ')[0].lower()}"):
                yield replace(stamp, zone_known=zone_known)


def find_password(path: str, kind: str, entries: Sequence[Entry], candidates: Iterator[Password]) -> Password | None:
    """The candidate that unpacks the smallest encrypted member, or None."""
    locked = [entry for entry in entries if entry.needs_password and entry.path and entry.kind == FILE and entry.size]
    if not locked:
        return None
    smallest = min(locked, key=lambda entry: entry.size)
    for candidate in candidates:
        with suppress(EvidenceError):
            size = sum(map(len, stream_members(path, kind=kind, password=candidate.text, names=(smallest.path,))))
            if size >= smallest.size:
                return candidate
    return None


def list_with_password(path: str, kind: str, candidates: Iterator[Password]) -> tuple[list[Record], Password]:
    """The listing of an archive whose directory is encrypted, and the candidate that opened it.

    Raises:
        EvidenceError: encrypted, where none does.
    """
    for candidate in candidates:
        with suppress(EvidenceError):
            if records := list(list_members(path, kind=kind, password=candidate.text)):
                return records, candidate
    raise EvidenceError("encrypted", "the names are encrypted too: no password fits")


def stored(
    stream: Stream, start: int, size: int, pieces: Sequence[tuple[int, int]] = ()
) -> Callable[[], Iterator[bytes]]:
    """What gives bytes that lie in the archive as they are, in several pieces perhaps."""
    return partial(_slices, stream, pieces or ((start, size),))


def _slices(stream: Stream, pieces: Sequence[tuple[int, int]]) -> Iterator[bytes]:
    for start, size in pieces:
        piece = Slice(stream, start, size)
        while chunk := piece.read(PIECE):
            yield chunk
