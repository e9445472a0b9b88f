"""Members whose bytes 7-Zip unpacks: listed, streamed by one process in their order, cut by their sizes.

A format's handler gives entries, from a walk of its own or from 7-Zip's listing, and gets children.
What fails costs one member and one more process, which goes on behind it; members that cannot be
asked for (no password, a name that stands twice) say so. A member with a SHA-1 is held until that fits;
where it does not, bytes of a neighbour may be among them, and the member is asked for alone. Where members
have no digest, all that comes out is held, up to a size, until the run has ended well.

Source: 7-Zip 26 manual, command line ("l -slt", "x -so").
"""

from __future__ import annotations

import hashlib
import tempfile
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import IO, BinaryIO

from indexer.errors import EvidenceError, StoreError
from indexer.handler import Stream
from indexer.handlers._archive import FILE, FOLDER, MOST_TARGET, SYMLINK
from indexer.handlers._p7z import list_members, stream_members
from indexer.handlers._p7z_entries import PIECE, Entry, list_entries, read_times
from indexer.handlers._streams import open_chunks
from indexer.handlers._tap import Tap
from indexer.limits import GIB, MIB
from indexer.model import Child, Fact, Field, Problem
from indexer.passwords import Password

MOST_RUNS = 200
"""Times that 7-Zip is started anew behind a member that failed."""
MOST_ARGUMENTS = 60_000
"""Bytes of names in one call; the system takes twice as much in all."""
MOST_REHEARSED = 4 * GIB
MOST_HELD = 256 * MIB
"""Bytes that wait for their proof: a larger member is given as it comes, a larger archive unpacked twice."""
HELD_IN_MEMORY = 16 * MIB


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
        yield from Members(path, kind, entries, scratch=stream.scratch).facts()


class Members:
    """Children out of entries, whose bytes come from as few processes as can be.

    Args:
        path: as `Stream.path` gives it.
        kind: the 7-Zip name of the format.
        method: what to say of an encrypted member.
        scratch: the folder where members wait for their SHA-1.
    """

    def __init__(
        self,
        path: str,
        kind: str,
        entries: Sequence[Entry],
        password: Password | None = None,
        method: str = "encrypted",
        scratch: str | None = None,
    ) -> None:
        self._path = path
        self._kind = kind
        self._entries = entries
        self._password = password
        self._method = method
        self._scratch = scratch
        self._secret = password.text if password else ""
        # A name that a closed member has too, or a folder, would bring out more than was planned.
        self._barred = {entry.path for entry in entries if entry.kind == FOLDER or self._closed(entry)} | {""}
        self._places = {id(entry): number for number, entry in enumerate(entries)}
        self._tap: Tap | None = None
        self._offsets: dict[int, int] = {}
        self._runs = 0
        self._alone = False
        self._misplaced = False
        self._held: IO[bytes] | None = None

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
            self.close()

    def _child(self, entry: Entry) -> Child:
        fields = [Field("file.kind", entry.kind)] if entry.kind != FILE else []
        opening: Callable[[], BinaryIO] | None = None
        link = entry.link
        if entry.kind == SYMLINK and not link:
            link = self._target(entry)
        if link:
            fields.append(Field("file.link_target", link))
        elif entry.kind == FILE or entry.size:
            opening = partial(self.open, entry)
        return Child(
            entry.name,
            entry.raw,
            opening,
            timestamps=entry.times,
            fields=(*fields, *entry.fields),
            problems=entry.problems,
        )

    def open(self, entry: Entry) -> BinaryIO:
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
        if entry.crc is None:
            yield from self._take(entry)
            return
        crc = 0
        for chunk in self._take(entry):
            crc = zlib.crc32(chunk, crc)
            yield chunk
        if crc != entry.crc:
            self._barred.add(entry.path)
            self.close()
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
        try:
            yield from self._proved(entry) if entry.sha1 else self._tapped(entry)
        except EvidenceError:
            # Nothing behind this can be cut rightly: less came out than the sizes say.
            self._barred.add(entry.path)
            self.close()
            raise

    def _tapped(self, entry: Entry, *, alone: bool = False) -> Iterator[bytes]:
        tap = self._tap_for(entry, alone=alone)
        yield from tap.take(self._offsets[id(entry)], entry.size)
        if self._alone and (error := tap.last_word()):
            raise error

    def _proved(self, entry: Entry) -> Iterator[bytes]:
        """A member's bytes where its SHA-1 fits them, else what comes out when nothing else is asked for."""
        digest = hashlib.sha1(usedforsecurity=False)
        if entry.size > MOST_HELD:
            yield from _digested(self._tapped(entry), digest)
        else:
            with tempfile.SpooledTemporaryFile(HELD_IN_MEMORY, dir=self._scratch) as held:
                with suppress(EvidenceError):
                    for chunk in _digested(self._tapped(entry), digest):
                        _write(held, chunk)
                if digest.hexdigest() == entry.sha1:
                    yield from _replay(held)
                    return
            self.close()
            digest = hashlib.sha1(usedforsecurity=False)
            yield from _digested(self._tapped(entry, alone=True), digest)
            # It is sound, so its place was wrong, and so may be all others.
            self._misplaced |= digest.hexdigest() == entry.sha1
        if digest.hexdigest() != entry.sha1:
            raise EvidenceError("corrupt", "the SHA-1 does not fit the content")

    def _tap_for(self, entry: Entry, *, alone: bool) -> Tap:
        offset = self._offsets.get(id(entry))
        if self._tap and offset is not None and offset >= self._tap.position:
            return self._tap
        self.close()
        if self._runs >= MOST_RUNS:
            raise EvidenceError("unsupported", f"7-Zip was started {MOST_RUNS} times on this archive, and not again")
        names = self._plan(entry, alone=alone)
        if id(entry) not in self._offsets:
            self._offsets = {}
            raise EvidenceError("unsupported", "7-Zip cannot be asked for this member alone")
        self._runs += 1
        if self._held and not names:
            chunks = _replay(self._held)
        else:
            chunks = stream_members(self._path, kind=self._kind, password=self._secret, names=names)
        self._tap = Tap(chunks)
        return self._tap

    def _plan(self, wanted: Entry, *, alone: bool) -> tuple[str, ...]:
        """Sets where in the output each member will begin; gives the names to ask for, none for all of them."""
        if not self._runs and not any(self._closed(entry) for entry in self._entries) and self._is_sound():
            self._place(self._entries)
            return ()
        # Where no digest proves it, one run that ends well stands for one member.
        self._alone = alone or self._misplaced or not _has_digest(wanted)
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
        """Whether the sizes will cut the output rightly: each digest tells, or it all came out well once before."""
        files = [entry for entry in self._entries if entry.kind != FOLDER and entry.size and entry.path]
        if all(map(_has_digest, files)):
            return True
        made = 0
        with ExitStack() as closing, suppress(EvidenceError):
            held = closing.enter_context(tempfile.SpooledTemporaryFile(HELD_IN_MEMORY, dir=self._scratch))
            for chunk in stream_members(self._path, kind=self._kind, password=self._secret):
                made += len(chunk)
                if made > MOST_REHEARSED:
                    return True
                if made <= MOST_HELD:
                    _write(held, chunk)
            if made != sum(entry.size for entry in files):
                return False
            if made <= MOST_HELD:
                self._held = held
                closing.pop_all()
            return True
        return False

    def _closed(self, entry: Entry) -> bool:
        """Whether 7-Zip must not be asked for it."""
        return bool(entry.refused) or (entry.needs_password and self._password is None)

    def close(self) -> None:
        """Ends whatever runs."""
        if self._tap:
            self._tap.close()
        if self._held:
            self._held.close()
        self._tap = self._held = None
        self._offsets = {}


def _has_digest(entry: Entry) -> bool:
    return entry.crc is not None or bool(entry.sha1)


def _digested(chunks: Iterator[bytes], digest: hashlib._Hash) -> Iterator[bytes]:
    for chunk in chunks:
        digest.update(chunk)
        yield chunk


def _write(held: IO[bytes], data: bytes) -> None:
    try:
        held.write(data)
    except OSError as error:
        raise StoreError(f"the scratch folder cannot be written: {error.strerror}") from error


def _replay(held: IO[bytes]) -> Generator[bytes, None, None]:
    held.seek(0)
    while chunk := held.read(PIECE):
        yield chunk
