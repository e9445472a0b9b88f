"""Tar of every kind: v7, ustar, GNU, pax, star, Solaris; damaged, truncated, joined ones too.

A sparse member is given as the file it was, holes and all, as long as the holes written out for one
archive stay below 128 MiB or a hundred times the archive; then its digest is the file's. Beyond that
(a kilobyte can claim terabytes) its extents are given one after another, and a problem says so.
An extended header whose member is missing is a member itself: it may hold the missing one's name.

Source: POSIX.1-2001 pax; GNU tar manual, "Basic Tar Format"; star(5).
Limits: the parts of a multi-volume archive are not joined; star's own sparse members and Solaris ACLs
are given as they lie.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from functools import lru_cache, partial
from typing import BinaryIO, ClassVar

from indexer.handler import CONTROLS, Handler, Stream
from indexer.handlers._streams import Slice, open_chunks, open_slice, slack
from indexer.handlers._tar import (
    BLOCK,
    CHARACTER,
    DEVICE,
    FILE,
    LINK,
    SYMLINK,
    Extents,
    Gap,
    Member,
    is_header,
    number,
    walk,
)
from indexer.limits import MIB
from indexer.model import Child, Fact, Field, Problem, Timestamp
from indexer.names import decode_names
from indexer.timestamps import from_unix

MOST_HOLES = 128 * MIB
"""Half a second of hashing; databases and logs with holes are smaller as a rule."""
HOLES_PER_BYTE = 100
SAMPLE = 10_000
"""Names that vote on the encoding; a walk over all of them must not keep all of them."""
MOST_VALUE = 4096
ZEROS = bytes(256 * 1024)
TIMES = {b"mtime": "M", b"atime": "A", b"ctime": "C", b"LIBARCHIVE.creationtime": "B"}
OWNERS = (b"uid", b"gid", b"uname", b"gname")
NOTHING_TOLD: tuple[bytes | None, ...] = (None,) * len(OWNERS)
SPOKEN_FOR = frozenset({b"path", b"linkpath", b"size", b"hdrcharset", *OWNERS, *TIMES})


class TarArchive(Handler):
    name = "tar"
    version = 2
    media_types = ("application/x-tar", "application/x-gtar", "application/x-ustar")
    suffixes = (".tar", ".gtar", ".ova", ".gem", ".pax", ".ustar")
    holds = CONTROLS
    fields: ClassVar[Mapping[str, str]] = {
        "file.kind": "what a member is where it is not a plain file; slack: bytes of no member; extended-header: "
        "what was told of a member that is missing",
        "file.link_target": "where a link points",
        "file.mode": "permission bits, octal",
        "file.offset": "where slack stands in the archive",
        "tar.uid": "owner's number",
        "tar.gid": "group's number",
        "tar.uname": "owner's name",
        "tar.gname": "group's name",
        "tar.device": "major and minor number of a device",
        "tar.label": "volume label of the archive",
        "tar.format": "kind of tar, by its first header",
        "tar.sparse_size": "size of a sparse file with its holes",
        "tar.sparse_extents": "runs of data in a sparse file",
        "tar.pax.*": "any other record of a member's extended header",
        "names.*": "how the names were decoded",
    }
    reads = "members with names, owners, modes and times; links; sparse files; what a damaged archive still holds"
    rank = 55
    container = True

    def claims(self, stream: Stream) -> str | None:
        block = stream.head[:BLOCK]
        if len(block) < BLOCK:
            return None
        # Without the magic, a name and a checksum in octal digits are the least.
        if block[257:262] != b"ustar" and (not block[0] or block[148:156].translate(None, b"01234567 \0")):
            return None
        if is_header(block):
            return self.media_types[0]
        # A first header that is damaged: the magic and a later header speak for it.
        known = block[257:262] == b"ustar" and any(
            is_header(stream.head[at : at + BLOCK]) for at in range(BLOCK, len(stream.head), BLOCK)
        )
        return self.media_types[0] if known else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        yield Field("tar.format", _format(stream.head))
        names = _Names(stream)
        room = max(MOST_HOLES, HOLES_PER_BYTE * stream.size)
        for part in walk(stream):
            if isinstance(part, Gap):
                whole = part.size == stream.size
                yield Problem(part.cause, part.message, resolution="" if whole else "kept as a member")
                if part.size and not whole:
                    yield slack(stream, part.at, part.size, part.name)
                continue
            if part.kind == "volume-label":
                label = Field("tar.label", names.decode(part.name, part.unicode_name))
                yield from names.news()
                yield label
                continue
            holes = part.real_size - sum(length for _, length in part.extents) if part.extents is not None else 0
            filled = holes <= room
            if filled:
                room -= holes
            child = _child(stream, part, names, filled=filled)
            yield from names.news()
            yield child
            if part.start + part.size > stream.size:
                yield Problem(
                    "truncated", f"the archive breaks off in the member at {part.at}", resolution="kept so far"
                )


class _Names:
    """Names of one archive, decoded by the codec that all of them voted for, once there is one to vote on."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._voted: dict[bytes, str] | None = None
        self._codec = "utf-8"
        self._news: list[Field] = []

    def decode(self, raw: bytes, unicode_name: bool) -> str:
        if raw.isascii():
            return raw.decode("ascii")
        if unicode_name:
            return decode_names((raw,), declared="utf-8").names[0]
        if self._voted is None:
            self._voted = self._vote()
        if raw in self._voted:
            return self._voted[raw]
        return decode_names((raw,), declared=self._codec).names[0]

    def news(self) -> list[Field]:
        """How the names are decoded, where that was settled since the last call."""
        news, self._news = self._news, []
        return news

    def _vote(self) -> dict[bytes, str]:
        sample: list[bytes] = []
        for part in walk(self._stream):
            if isinstance(part, Member) and not part.unicode_name and not part.name.isascii():
                sample.append(part.name)
                if len(sample) >= SAMPLE:
                    break
        if not sample:
            return {}
        decision = decode_names(sample)
        self._codec = decision.codec
        self._news = list(decision.fields())
        return dict(zip(sample, decision.names, strict=True))


def _format(head: bytes) -> str:
    magic = head[257:265]
    if magic == b"ustar  \0":
        return "gnu"
    if magic[:6] == b"ustar\0":
        if head[156:157] in (b"x", b"g"):
            return "pax"
        return "star" if head[508:512] == b"tar\0" else "ustar"
    return "solaris" if head[156:157] == b"X" else "v7"


def _child(stream: Stream, member: Member, names: _Names, *, filled: bool) -> Child:
    problems = list(member.problems)
    opening: Callable[[], BinaryIO] | None = None
    if member.extents is not None:
        opening = partial(_open_extents, stream, member, filled)
        if not filled:
            message = f"sparse: {len(member.extents)} runs of data in a file of {member.real_size} bytes"
            problems.append(Problem("limit", message, resolution="the data without the holes"))
    elif member.kind in (FILE, "directory-listing", "continued") or member.size:
        opening = open_slice(stream, member.start, member.size)
    return Child(
        names.decode(member.name, member.unicode_name),
        member.name,
        opening,
        timestamps=tuple(_times(member)),
        fields=tuple(_fields(member, names)),
        problems=tuple(problems),
    )


def _open_extents(stream: Stream, member: Member, filled: bool) -> BinaryIO:
    return open_chunks(_extents(stream, member.start, member.extents or (), member.real_size if filled else -1))


def _extents(stream: Stream, start: int, extents: Extents, real_size: int) -> Iterator[bytes]:
    """The runs of data, with zeros between them up to `real_size` where that is not -1."""
    reached = 0
    for offset, length in extents:
        if real_size >= 0:
            yield from _zeros(offset - reached)
        reached = offset + length
        piece = Slice(stream, start, length)
        while chunk := piece.read(len(ZEROS)):
            yield chunk
        start += length
    if real_size >= 0:
        yield from _zeros(real_size - reached)


def _zeros(count: int) -> Iterator[bytes]:
    while count > 0:
        yield ZEROS[:count]
        count -= len(ZEROS)


def _fields(member: Member, names: _Names) -> Iterator[Field]:
    block, records = member.block, member.records
    if member.kind != FILE:
        yield Field("file.kind", member.kind)
    if member.kind in (LINK, SYMLINK) and member.link:
        yield Field("file.link_target", names.decode(member.link, member.unicode_name))
    told = tuple(map(records.get, OWNERS)) if records else NOTHING_TOLD
    yield from (_same_owner if told == NOTHING_TOLD else _owner)(block[100:124], block[257:329], told)
    if member.kind in (CHARACTER, DEVICE) and block[257:262] == b"ustar":
        yield Field("tar.device", f"{number(block[329:337])}, {number(block[337:345])}")
    if member.extents is not None:
        yield Field("tar.sparse_size", member.real_size)
        yield Field("tar.sparse_extents", len(member.extents))
    for key, held in records.items():
        if key not in SPOKEN_FOR and not key.startswith(b"GNU.sparse."):
            yield Field(f"tar.pax.{key[:200].decode('utf-8', 'replace')}", held[:MOST_VALUE].decode("utf-8", "replace"))


def _owner(numbers: bytes, names: bytes, told: tuple[bytes | None, ...]) -> tuple[Field, ...]:
    """Mode and owner.

    Args:
        numbers: mode, uid and gid as the header has them.
        names: the header from its magic on.
        told: what the extended header says in place of the owner's numbers and names.
    """
    fields = []
    mode = number(numbers[:8])
    if mode is not None and mode >= 0:
        fields.append(Field("file.mode", f"{mode & 0o7777:04o}"))
    for name, recorded, raw in (("tar.uid", told[0], numbers[8:16]), ("tar.gid", told[1], numbers[16:24])):
        value = int(recorded) if recorded and recorded.isdigit() and len(recorded) < 20 else number(raw)
        if value is not None:
            fields.append(Field(name, value))
    if names[:5] == b"ustar":
        for name, recorded, raw in (("tar.uname", told[2], names[8:40]), ("tar.gname", told[3], names[40:72])):
            if owner := recorded or raw.partition(b"\0")[0]:
                fields.append(Field(name, owner.decode("utf-8", "replace")))
    return tuple(fields)


_same_owner = lru_cache(maxsize=256)(_owner)
"""For headers alone: most members of an archive have one owner, and what a record tells may be large."""


def _times(member: Member) -> Iterator[Timestamp]:
    block, records = member.block, member.records
    modified = False
    for key, kind in TIMES.items():
        if key in records and (stamp := _pax_time(kind, records[key], f"pax.{key.decode()}")):
            modified = modified or kind == "M"
            yield stamp
    if not modified:
        seconds = number(block[136:148])
        if seconds is not None and (stamp := from_unix("M", seconds, "tar.mtime")):
            yield stamp
    gnu, star = block[257:265] == b"ustar  \0", block[508:512] == b"tar\0"
    if gnu or star:
        first = 345 if gnu else 476
        for kind, origin, at in (("A", "tar.atime", first), ("C", "tar.ctime", first + 12)):
            seconds = number(block[at : at + 12])
            if seconds and (stamp := from_unix(kind, seconds, origin)):
                yield stamp


def _pax_time(kind: str, text: bytes, origin: str) -> Timestamp | None:
    """Decimal seconds with a fraction of any length."""
    if len(text) > 40:
        return None
    try:
        value = Decimal(text.decode("ascii"))
        whole = int(value.to_integral_value("ROUND_FLOOR"))
        nanoseconds = int((value - whole) * 1_000_000_000)
    except (UnicodeDecodeError, InvalidOperation, ValueError, OverflowError):
        return None
    digits = len(text.partition(b".")[2])
    return from_unix(kind, whole, origin, nanoseconds=nanoseconds, resolution=10.0 ** -min(digits, 9))
