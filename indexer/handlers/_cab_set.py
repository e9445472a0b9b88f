"""Cabinets of one set, written as one: folders that go on are put together, their cut blocks too.

Every cabinet names the one before it and the one behind it; the set's number and theirs prove it.

Source: [MS-CAB] 2.1 (sets), 2.3 (CFFILE: continued files), 2.4 (CFDATA: a block of size 0 goes on).
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from msgspec import Struct, field

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._archive import Names
from indexer.handlers._cab import BOTH, FROM_PREVIOUS, NEXT, PREVIOUS, TO_NEXT, Cabinet, Folder, Member, read_cabinet
from indexer.handlers._sets import MOST_VOLUMES
from indexer.names import last_part

MOST_BLOCKS = 0xFFFF
MOST_BYTES = (1 << 32) - (1 << 20)


class Volume(Struct, frozen=True):
    """One cabinet of a set and what its headers say."""

    name: str
    stream: Stream
    cabinet: Cabinet

    def neighbour(self, step: int) -> str:
        """The bare name of the cabinet before (-1) or behind (1) this one; empty where there is none."""
        names = self.cabinet.before if step < 0 else self.cabinet.after
        return last_part(Names((names[0],)).decode(names[0])) if names else ""


class _Run(Struct):
    """A folder through all cabinets that hold a part of it."""

    method: int
    pieces: list[tuple[Volume, Folder]] = field(default_factory=list)


def is_volume(stream: Stream) -> bool:
    """Whether the header names a cabinet before this one or behind it."""
    return bool(int.from_bytes(stream.at(30, 2), "little") & (PREVIOUS | NEXT))


def find_set(stream: Stream, cabinet: Cabinet) -> tuple[list[Volume], str]:
    """The cabinets from this one on, and the name of the one that the set is read in if it is another."""
    own = Volume(stream.name, stream, cabinet)
    head = own
    for _ in range(MOST_VOLUMES):
        before = _open(stream, head, -1)
        if before is None:
            break
        head = before
    if head is not own:
        return [own], head.name
    volumes = [own]
    while len(volumes) < MOST_VOLUMES and (following := _open(stream, volumes[-1], 1)):
        volumes.append(following)
    return volumes, ""


def _open(stream: Stream, volume: Volume, step: int) -> Volume | None:
    name = volume.neighbour(step)
    file = stream.sibling(name) if name else None
    if file is None:
        return None
    other = Stream(file, name=name, limits=stream.limits)
    try:
        cabinet = read_cabinet(other)
    except EvidenceError:
        return None
    same_set = other.at(0, 4) == b"MSCF" and other.at(32, 2) == volume.stream.at(32, 2)
    return Volume(name, other, cabinet) if same_set and cabinet.number == volume.cabinet.number + step else None


@contextmanager
def join(volumes: list[Volume]) -> Iterator[Stream]:
    """The set as one cabinet, in a file of ours; a single one as it is.

    Raises:
        EvidenceError: unsupported, where one cabinet cannot hold so much.
    """
    own = volumes[0].stream
    if len(volumes) == 1:
        yield own
        return
    with tempfile.TemporaryFile(dir=own.scratch) as file:
        _write(cast(BinaryIO, file), volumes, *_gather(volumes))
        yield Stream(
            cast(BinaryIO, file), name=own.name, limits=own.limits, passwords=own.passwords, scratch=own.scratch
        )


def _gather(volumes: list[Volume]) -> tuple[list[_Run], list[tuple[Member, int]]]:
    """Folders through all cabinets, and members with the number of their folder among them."""
    runs: list[_Run] = []
    members: list[tuple[Member, int]] = []
    for number, volume in enumerate(volumes):
        cabinet = volume.cabinet
        goes_on = number > 0 and any(each.folder in (FROM_PREVIOUS, BOTH) for each in cabinet.members)
        first = len(runs) - 1 if goes_on and runs else len(runs)
        for place, folder in enumerate(cabinet.folders):
            if first + place == len(runs):
                runs.append(_Run(folder.method))
            runs[first + place].pieces.append((volume, folder))
        for member in cabinet.members:
            if member.folder == TO_NEXT:
                members.append((member, TO_NEXT if number == len(volumes) - 1 else len(runs) - 1))
            elif member.folder in (FROM_PREVIOUS, BOTH):
                if not number:
                    members.append((member, FROM_PREVIOUS))
            else:
                members.append((member, first + member.folder))
    return runs, members


def _write(file: BinaryIO, volumes: list[Volume], runs: list[_Run], members: list[tuple[Member, int]]) -> None:
    before, after = volumes[0].cabinet.before, volumes[-1].cabinet.after
    names = b"".join(each + b"\0" for pair in (before, after) if pair for each in pair)
    listed = b"".join(
        struct.pack("<IIHHHH", each.size, each.offset, folder, each.date, each.time, each.attributes)
        + each.name
        + b"\0"
        for each, folder in members
    )
    start = 36 + len(names) + 8 * len(runs)
    place = file.seek(start + len(listed))
    table = b""
    for run in runs:
        count = 0
        begin = place
        for block in _blocks(run):
            count += 1
            place += file.write(block)
            if count > MOST_BLOCKS or place > MOST_BYTES:
                raise EvidenceError("unsupported", "the set holds more than one cabinet can: it is not joined")
        table += struct.pack("<IHH", begin, count, run.method)
    flags = PREVIOUS * bool(before) | NEXT * bool(after)
    head = b"MSCF" + struct.pack("<IIIIIBB", 0, place, 0, start, 0, 3, 1)
    number = volumes[0].cabinet.number
    head += struct.pack("<HHHHH", len(runs), len(members), flags, 0, number)
    file.seek(0)
    file.write(head + names + table + listed)
    file.flush()


def _blocks(run: _Run) -> Iterator[bytes]:
    """The blocks of a folder; what a cabinet's end cuts in two is one again, and has no checksum."""
    waiting = b""
    for number, (volume, folder) in enumerate(run.pieces):
        at = folder.start
        for _ in range(folder.blocks):
            head = volume.stream.at(at, 8 + volume.cabinet.reserve)
            if len(head) < 8 + volume.cabinet.reserve:
                break
            checksum, packed, size = struct.unpack_from("<IHH", head)
            data = volume.stream.at(at + len(head), packed)
            at += len(head) + packed
            if not size and number < len(run.pieces) - 1:
                waiting += data
            elif waiting:
                yield struct.pack("<IHH", 0, min(len(waiting) + packed, 0xFFFF), size) + waiting + data
                waiting = b""
            else:
                yield struct.pack("<IHH", checksum, packed, size) + data
