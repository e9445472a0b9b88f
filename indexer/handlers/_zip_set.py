"""Volumes of one zip archive (.z01, .z02, ..., .zip): found by their names, joined to one stream.

The last volume holds the directory and is called as the whole was. Offsets in its records count from
the start of the volume that they name.

Source: APPNOTE.TXT 6.3.10 section 8 (splitting and spanning), 4.4.19 (numbers of volumes).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, cast

from msgspec import Struct

from indexer.handler import Stream
from indexer.handlers._zip_records import find_archive
from indexer.model import Fact, Field, Problem
from indexer.volumes import Joined

SPLIT = b"PK\x07\x08"
NUMBERED = re.compile(r"(.+\.z)(x?)(\d{2,5})", re.IGNORECASE)
LAST = re.compile(r"(.+\.z)ip(x?)", re.IGNORECASE)
NAMES = (r".+\.zx?\d{2,5}", r".+\.zipx?")
FULL = 0xFFFF


class VolumeSet(Struct, frozen=True):
    """What is here of a split archive.

    Attributes:
        stream: all volumes as one, with zeros for those that are missing.
        starts: where each volume begins in it, or -1 where it is missing; empty for one file alone.
        part_of: the name of the volume in which the whole is read; empty where it is this one.
    """

    stream: Stream
    starts: tuple[int, ...] = ()
    number: int = 0
    part_of: str = ""
    missing: tuple[str, ...] = ()

    def facts(self) -> Iterator[Fact]:
        """Which volume it is, how many are here, which are missing."""
        if self.number:
            yield Field("archive.volume", self.number)
        if self.part_of:
            yield Field("archive.part_of", self.part_of)
        if len(self.starts) > 1:
            yield Field("archive.volumes", sum(start >= 0 for start in self.starts))
        for name in self.missing[:100]:
            yield Problem("truncated", f"{name} is not here")


def is_volume(stream: Stream) -> bool:
    """Whether the name, or the end record, says that there are other volumes."""
    return bool(NUMBERED.fullmatch(stream.name)) or _number_of_last(stream) > 0


def is_later_volume(stream: Stream) -> bool:
    """Whether this is a volume without any mark of its own: known by the first one beside it."""
    match = NUMBERED.fullmatch(stream.name)
    first = stream.sibling(_name(match, 1)) if match and int(match[3]) > 1 else None
    return first is not None and _head(first) == SPLIT


def find_set(stream: Stream) -> VolumeSet:
    """The set that a file belongs to; of itself alone where it belongs to none."""
    if match := NUMBERED.fullmatch(stream.name):
        return _by_number(stream, match)
    last = _number_of_last(stream)
    match = LAST.fullmatch(stream.name)
    if not last or not match:
        return VolumeSet(stream)
    names = [f"{match[1]}{match[2]}{number:02}" for number in range(1, last + 1)]
    parts = [stream.sibling(name) for name in names]
    return _join(stream, names, [*parts, cast(BinaryIO, stream)], last + 1)


def _by_number(stream: Stream, match: re.Match[str]) -> VolumeSet:
    number = int(match[3])
    last = f"{match[1]}ip{match[2]}"
    file = stream.sibling(last)
    if file and _number_of_last(Stream(file)) >= number:
        return VolumeSet(stream, number=number, part_of=last)
    first = stream if number == 1 else stream.sibling(_name(match, 1))
    if not first or _head(cast(BinaryIO, first)) != SPLIT:
        return VolumeSet(stream, number=number, missing=(last,))
    if number > 1:
        return VolumeSet(stream, number=number, part_of=_name(match, 1), missing=(last,))
    # The directory is gone: what is here is searched for members as one run of bytes.
    parts: list[BinaryIO] = [cast(BinaryIO, stream)]
    while following := stream.sibling(_name(match, len(parts) + 1)):
        parts.append(following)
    joined = Joined(parts)
    return VolumeSet(_stream(stream, joined), joined.starts[:-1], 1, missing=(last,))


def _join(stream: Stream, names: list[str], parts: list[BinaryIO | None], number: int) -> VolumeSet:
    here = [part for part in parts if part]
    hole = here[0].seek(0, 2)
    if 2 * len(here) <= len(parts):
        hole = 0  # what is not there must not outgrow what is
    joined = Joined([part or hole for part in parts])
    starts = tuple(start if part else -1 for start, part in zip(joined.starts, parts, strict=False))
    missing = tuple(name for name, part in zip(names, parts, strict=False) if part is None)
    return VolumeSet(_stream(stream, joined), starts, number, missing=missing)


def _stream(stream: Stream, joined: Joined) -> Stream:
    return Stream(
        cast(BinaryIO, joined),
        name=stream.name,
        limits=stream.limits,
        passwords=stream.passwords,
        scratch=stream.scratch,
    )


def _name(match: re.Match[str] | None, number: int) -> str:
    return f"{match[1]}{match[2]}{number:0{min(2, len(match[3]))}}" if match else ""


def _head(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read(len(SPLIT))


def _number_of_last(stream: Stream) -> int:
    """How many volumes stand before the one that ends here, by its end record."""
    archive = find_archive(stream, stream.size)
    return archive.disk if archive and archive.disk < FULL else 0
