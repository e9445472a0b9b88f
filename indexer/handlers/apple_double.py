"""AppleSingle and AppleDouble (`._name`): forks, the Finder's data, dates, and attributes such as where it came from.

Source: RFC 1740; XNU, bsd/vfs/vfs_xattr.c (how attributes lie behind the Finder's data).
Limits: icons and the data of ProDOS and AFP servers are given as members, not read.
"""

from __future__ import annotations

import plistlib
import re
import struct
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import ClassVar, NamedTuple
from xml.parsers.expat import ExpatError

from indexer.handler import Handler, Signature, Stream
from indexer.handlers._mac import FIELDS, RESOURCES, decode_name, finder_fields
from indexer.handlers._streams import open_slice
from indexer.model import Child, Fact, Field, Problem, Timestamp
from indexer.timestamps import from_dos, from_unix

SINGLE, DOUBLE = b"\x00\x05\x16\x00", b"\x00\x05\x16\x07"
EPOCH = 946_684_800
"""2000-01-01, from which its dates count."""
NEVER = -0x80000000
MOST_ENTRIES = 200
MOST_TEXT = 64 * 1024
NAMES = {1: "data", 2: "rsrc", 5: "icon", 6: "colour icon", 11: "prodos", 12: "msdos", 13: "short name", 14: "afp"}
DATES = ("B", "created"), ("M", "modified"), ("backup", "backup"), ("A", "accessed")
ATTRIBUTES = b"ATTR"
ATTRIBUTES_AT = 34
"""Behind 32 bytes of the Finder's, and two to fill up."""
TOLD = {
    "com.apple.metadata:kMDItemWhereFroms": "mac.where_from",
    "com.apple.metadata:kMDItemDownloadedDate": "mac.downloaded",
    "com.apple.metadata:_kMDItemUserTags": "mac.tag",
    "com.apple.metadata:kMDItemFinderComment": "mac.comment",
    "com.apple.quarantine": "mac.quarantine",
}
OPENED = "com.apple.lastuseddate#PS"
QUARANTINED = re.compile(r"[0-9a-fA-F]{1,4};([0-9a-fA-F]{8});")


class Entry(NamedTuple):
    """One part: what it is, and where it stands."""

    kind: int
    at: int
    size: int


class AppleDouble(Handler):
    name = "apple-double"
    version = 2
    media_types = ("multipart/appledouble", "application/applefile", "application/x-applesingle")
    signatures = (Signature(SINGLE), Signature(DOUBLE))
    suffixes = ()
    fields: ClassVar[Mapping[str, str]] = {
        **FIELDS,
        "mac.where_from": "address that the file was downloaded from, or the page that led to it",
        "mac.downloaded": "when it was downloaded",
        "mac.quarantine": "what the system noted of a downloaded file: flags, time, program, event",
        "mac.tag": "tag that the user gave it",
        "mac.attribute": "name of an extended attribute",
        "mac.name": "name of the file, as recorded",
    }
    reads = "forks, type, creator, dates, comment, attributes: where a file was downloaded from, when, by what"
    rank = 54
    uses_name = True
    container = True

    def claims(self, stream: Stream) -> str | None:
        head = stream.head
        if len(head) < 26 or head[4:8] not in (b"\0\1\0\0", b"\0\2\0\0"):
            return None
        return self.media_types[0] if head.startswith(DOUBLE) else "application/applefile"

    def read(self, stream: Stream) -> Iterator[Fact]:
        count = int.from_bytes(stream.at(24, 2), "big")
        table = stream.at(26, 12 * min(count, MOST_ENTRIES))
        entries = [Entry(*struct.unpack_from(">III", table, at)) for at in range(0, len(table) - 11, 12)]
        if len(entries) < count:
            yield Problem("truncated", f"{len(entries)} of {count} entries are here")
        raw = b"".join(stream.at(entry.at, min(entry.size, MOST_TEXT)) for entry in entries if entry.kind == 3)
        name = decode_name(raw) if raw else stream.name.removeprefix("._") or "[file]"
        if raw:
            yield Field("mac.name", name)
        for entry in entries:
            yield from _tell(stream, entry, name)


def _tell(stream: Stream, entry: Entry, name: str) -> Iterator[Fact]:
    if entry.kind == 3 or not entry.size:
        return
    if entry.kind == 4:
        yield Field("mac.comment", decode_name(stream.at(entry.at, min(entry.size, MOST_TEXT))))
    elif entry.kind == 8:
        yield from _dates(stream.at(entry.at, 16))
    elif entry.kind == 9:
        yield from finder_fields(stream.at(entry.at, 10))
        yield from _attributes(stream, entry.at + ATTRIBUTES_AT, name)
    elif entry.kind == 12:
        date, time = struct.unpack(">HH", stream.at(entry.at, 4).ljust(4, b"\0"))
        if stamp := from_dos("M", date, time, "applefile.msdos"):
            yield stamp
    elif entry.kind in (1, 2):
        behind = RESOURCES if entry.kind == 2 else ""
        kind = (Field("file.kind", "stream"),) if behind else ()
        yield Child(name + behind, (name + behind).encode(), open_slice(stream, entry.at, entry.size), fields=kind)
    else:
        yield _stream(stream, name, NAMES.get(entry.kind, str(entry.kind)), entry.at, entry.size)


def _stream(stream: Stream, name: str, part: str, at: int, size: int) -> Child:
    full = f"{name}:{part}"
    return Child(full, full.encode(), open_slice(stream, at, size), fields=(Field("file.kind", "stream"),))


def _dates(data: bytes) -> Iterator[Timestamp]:
    values = struct.unpack(f">{len(data) // 4}i", data[: len(data) // 4 * 4])
    for (kind, name), seconds in zip(DATES, values, strict=False):
        if seconds not in (NEVER, 0) and (stamp := from_unix(kind, EPOCH + seconds, f"applefile.{name}")):
            yield stamp


def _attributes(stream: Stream, at: int, name: str) -> Iterator[Fact]:
    head = stream.at(at, 36)
    if len(head) < 36 or head[:4] != ATTRIBUTES:
        return
    count = int.from_bytes(head[34:36], "big")
    at += 36
    for _ in range(min(count, MOST_ENTRIES)):
        record = stream.at(at, 11)
        if len(record) < 11:
            yield Problem("truncated", "the list of attributes breaks off")
            return
        start, size, _, length = struct.unpack(">IIHB", record)
        key = stream.at(at + 11, length).rstrip(b"\0").decode("utf-8", "replace")
        at += -(-(11 + length) // 4) * 4
        yield Field("mac.attribute", key)
        yield from _value(stream, name, key, start, size)


def _value(stream: Stream, name: str, key: str, start: int, size: int) -> Iterator[Fact]:
    data = stream.at(start, min(size, MOST_TEXT))
    field = TOLD.get(key, "")
    if key == OPENED and len(data) == 16:
        seconds, nanoseconds = struct.unpack("<QQ", data)
        stamp = from_unix("opened", seconds, "applefile.lastuseddate", nanoseconds=nanoseconds, resolution=1e-6)
        yield from (stamp,) if stamp else ()
        return
    if not field:
        if size:
            yield _stream(stream, name, key, start, size)
        return
    try:
        value = plistlib.loads(data) if data.startswith((b"bplist", b"<?xml")) else data.decode("utf-8").rstrip("\0")
    except (ValueError, KeyError, IndexError, OverflowError, RecursionError, struct.error, ExpatError) as error:
        yield Problem("corrupt", f"the attribute {key} does not decode: {error}"[:200])
        return
    if field == "mac.quarantine" and (found := QUARANTINED.match(str(value))):
        stamp = from_unix("downloaded", int(found[1], 16), "applefile.quarantine")
        yield from (stamp,) if stamp else ()
    for each in value if isinstance(value, list) else [value]:
        # What holds other values could hold them without end.
        text = str(each) if isinstance(each, str | int | float | datetime) else ""
        if text:
            yield Field(field, text.partition("\n")[0] if field == "mac.tag" else text)
