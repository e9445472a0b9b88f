"""Members whose bytes 7-Zip unpacks: listed, streamed by one process in their order, cut by their sizes.

A format's handler gives entries, from a walk of its own or from 7-Zip's listing, and gets children.
What fails costs one member and one more process, which goes on behind it; members that cannot be
asked for (no password, a name that stands twice) say so.

Source: 7-Zip 26 manual, command line ("l -slt", "x -so").
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import BinaryIO

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._archive import FIELDS as ARCHIVE_FIELDS
from indexer.handlers._archive import FILE, FOLDER, LINK, MOST_TARGET, SYMLINK
from indexer.handlers._p7z import Record, list_members, stream_members
from indexer.handlers._streams import Slice, open_chunks
from indexer.limits import GIB
from indexer.model import Child, Fact, Field, Problem, Timestamp
from indexer.passwords import Password
from indexer.timestamps import from_iso

MOST_RUNS = 200
"""Times that 7-Zip is started anew behind a member that failed."""
MOST_ARGUMENTS = 60_000
"""Bytes of names in one call; the system takes twice as much in all."""
MOST_REHEARSED = 4 * GIB
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


@dataclass(slots=True)
class Entry:
    """One member.

    Attributes:
        path: its name as 7-Zip writes it, of an alternate stream that of its file; empty where not listed.
        crc: of the unpacked bytes; None where it proves nothing.
        here: gives its bytes without 7-Zip: stored as they are, or unpacked by a decoder of ours.
        needs_password: it is encrypted.
        refused: why it is not to be unpacked.
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
    size, crc = record.get("Size", ""), record.get("CRC", "")
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


def stored(stream: Stream, start: int, size: int) -> Callable[[], Iterator[bytes]]:
    """What gives bytes that lie in the archive as they are."""
    return partial(_slice, stream, start, size)


def _slice(stream: Stream, start: int, size: int) -> Iterator[bytes]:
    piece = Slice(stream, start, size)
    while chunk := piece.read(PIECE):
        yield chunk


def read_archive(
    stream: Stream, kind: str, origin: str, labels: Mapping[str, str], *, zone_known: bool = True
) -> Iterator[Fact]:
    """All that 7-Zip tells of an archive of a format for which nothing else reads it.

    Args:
        kind: the 7-Zip name of the format.
        origin: the format's name, for the origin of the times.
        labels: what 7-Zip calls a property of the archive, and the field it is told in.

    Raises:
        EvidenceError: where not even the archive's own record is had.
    """
    with stream.path() as path:
        archive, entries, trouble = list_entries(list_members(path, kind=kind), origin, zone_known=zone_known)
        for key, name in labels.items():
            if value := archive.get(key, "").strip():
                yield Field(name, value)
        yield from read_times(archive, origin, zone_known)
        if trouble:
            yield trouble.problem("", "members listed as far as 7-Zip got")
        # Folders are not always marked as such: what has members is one.
        above = {entry.path.rpartition("/")[0] for entry in entries}
        for entry in entries:
            if entry.kind == FILE and not entry.size and entry.path in above:
                entry.kind = FOLDER
        yield from Members(path, kind, entries).facts()


class Members:
    """Children out of entries, whose bytes come from as few processes as can be.

    Args:
        path: as `Stream.path` gives it.
        kind: the 7-Zip name of the format.
        method: what to say of an encrypted member.
    """

    def __init__(
        self,
        path: str,
        kind: str,
        entries: Sequence[Entry],
        password: Password | None = None,
        method: str = "encrypted",
    ) -> None:
        self._path = path
        self._kind = kind
        self._entries = entries
        self._password = password
        self._method = method
        self._secret = password.text if password else ""
        # A name that a closed member has too, or a folder, would bring out more than was planned.
        self._barred = {entry.path for entry in entries if entry.kind == FOLDER or self._closed(entry)} | {""}
        self._places = {id(entry): number for number, entry in enumerate(entries)}
        self._tap: Tap | None = None
        self._offsets: dict[int, int] = {}
        self._runs = 0
        self._alone = False

    def facts(self) -> Iterator[Child | Problem]:
        """Every entry as a child, and what 7-Zip complained of without a member to lay it on.

        The process that unpacks is ended with the generator.
        """
        try:
            for entry in self._entries:
                yield self._child(entry)
            if self._tap and (error := self._tap.last_word()):
                yield error.problem("", "kept what came out")
        finally:
            self._end()

    def _child(self, entry: Entry) -> Child:
        fields = [Field("file.kind", entry.kind)] if entry.kind != FILE else []
        opening: Callable[[], BinaryIO] | None = None
        link = entry.link
        if entry.kind == SYMLINK and not link:
            link = self._target(entry)
        if link:
            fields.append(Field("file.link_target", link))
        elif entry.kind == FILE or entry.size:
            opening = partial(self._open, entry)
        return Child(
            entry.name,
            entry.raw,
            opening,
            timestamps=entry.times,
            fields=(*fields, *entry.fields),
            problems=entry.problems,
        )

    def _open(self, entry: Entry) -> BinaryIO:
        """A member as a stream; what gives no byte at all fails here, so that no empty item stands for it."""
        chunks = self.chunks(entry)
        return open_chunks(chunks, next(chunks, b""))

    def _target(self, entry: Entry) -> str:
        if not 0 < entry.size <= MOST_TARGET:
            return ""
        try:
            return b"".join(self.chunks(entry)).decode("utf-8")
        except (EvidenceError, UnicodeDecodeError):
            return ""

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        """One member's bytes.

        Raises:
            EvidenceError: after the last good byte.
        """
        crc = 0
        for chunk in self._take(entry):
            crc = zlib.crc32(chunk, crc)
            yield chunk
        if entry.crc is not None and crc != entry.crc:
            self._barred.add(entry.path)
            self._end()
            raise EvidenceError("corrupt", "the CRC-32 does not fit the content")

    def _take(self, entry: Entry) -> Iterator[bytes]:
        if entry.refused:
            raise entry.refused
        if entry.here and not entry.needs_password:
            yield from entry.here()
            return
        if entry.needs_password and self._password is None:
            raise EvidenceError("encrypted", f"{self._method}: no password fits")
        if not entry.size:
            return
        if not entry.path:
            raise EvidenceError("unsupported", "7-Zip does not find this member")
        tap = self._tap_for(entry)
        try:
            yield from tap.take(self._offsets[id(entry)], entry.size)
            if self._alone and (error := tap.last_word()):
                raise error
        except EvidenceError:
            # Nothing behind this can be cut rightly: less came out than the sizes say.
            self._barred.add(entry.path)
            self._end()
            raise

    def _tap_for(self, entry: Entry) -> Tap:
        offset = self._offsets.get(id(entry))
        if self._tap and offset is not None and offset >= self._tap.position:
            return self._tap
        self._end()
        if self._runs >= MOST_RUNS:
            raise EvidenceError("unsupported", f"7-Zip was started {MOST_RUNS} times on this archive, and not again")
        names = self._plan(entry)
        if id(entry) not in self._offsets:
            self._offsets = {}
            raise EvidenceError("unsupported", "7-Zip cannot be asked for this member alone")
        self._runs += 1
        self._tap = Tap(stream_members(self._path, kind=self._kind, password=self._secret, names=names))
        return self._tap

    def _plan(self, wanted: Entry) -> tuple[str, ...]:
        """Sets where in the output each member will begin; gives the names to ask for, none for all of them."""
        if not self._runs and not any(self._closed(entry) for entry in self._entries) and self._is_sound():
            self._place(self._entries)
            return ()
        # Where no CRC proves it, one run that ends well stands for one member.
        self._alone = wanted.crc is None
        names: dict[str, None] = {}
        room = 0
        for entry in self._entries[self._places[id(wanted)] :]:
            if room > MOST_ARGUMENTS or (names and self._alone):
                break
            if entry.path not in self._barred and entry.size and not self._closed(entry):
                names[entry.path] = None
                room += len(entry.path.encode("utf-8", "surrogatepass")) + 9
        self._place([entry for entry in self._entries if entry.path in names])
        return tuple(names)

    def _place(self, entries: Sequence[Entry]) -> None:
        at = 0
        for entry in entries:
            if entry.path and entry.kind != FOLDER:
                self._offsets[id(entry)] = at
                at += entry.size

    def _is_sound(self) -> bool:
        """Whether the sizes will cut the output rightly: each CRC tells, or it all came out well once before."""
        files = [entry for entry in self._entries if entry.kind != FOLDER and entry.size and entry.path]
        if all(entry.crc is not None for entry in files):
            return True
        made = 0
        with suppress(EvidenceError):
            for chunk in stream_members(self._path, kind=self._kind, password=self._secret):
                made += len(chunk)
                if made > MOST_REHEARSED:
                    return True
            return made == sum(entry.size for entry in files)
        return False

    def _closed(self, entry: Entry) -> bool:
        """Whether 7-Zip must not be asked for it."""
        return bool(entry.refused) or (entry.needs_password and self._password is None)

    def _end(self) -> None:
        """Ends whatever runs."""
        if self._tap:
            self._tap.close()
        self._tap = None
        self._offsets = {}


class Tap:
    """A generator of bytes from which members are taken in their order; it can only go forward."""

    def __init__(self, chunks: Generator[bytes, None, None]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")
        self._error = EvidenceError("corrupt", "the packed data end before the members do")
        self.position = 0

    def take(self, start: int, size: int) -> Iterator[bytes]:
        """The bytes from `start`; what lies before them is dropped.

        Raises:
            EvidenceError: what ended the generator, every time it is asked for more.
        """
        end = start + size
        while self.position < end:
            if not self._rest:
                try:
                    self._rest = memoryview(next((chunk for chunk in self._chunks if chunk), b""))
                except EvidenceError as error:
                    self._error = error
                if not self._rest:
                    raise self._error
            wanted = (start if self.position < start else end) - self.position
            piece, self._rest = self._rest[:wanted], self._rest[wanted:]
            skipped = self.position < start
            self.position += len(piece)
            if not skipped:
                yield bytes(piece)

    def last_word(self) -> EvidenceError | None:
        """What the generator raises where it has nothing more to give."""
        try:
            while not self._rest:
                self._rest = memoryview(next(self._chunks))
        except StopIteration:
            return None
        except EvidenceError as error:
            return error
        return None

    def close(self) -> None:
        """Ends what gives the bytes."""
        self._chunks.close()
