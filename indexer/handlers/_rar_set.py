"""Volumes of one RAR archive: found by their names, joined block by block.

A member that goes on in the next volume becomes one block with several pieces. 7-Zip joins volumes
too, but only files of a folder: it is given copies, under names of ours.

Source: RAR technote of unRAR 3 (names of volumes, flags of a split file); "RAR 5.0 archive format".
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

from msgspec import Struct

from indexer.handler import Stream
from indexer.handlers._rar import MAIN, MEMBER, Block, Damage, find_start, walk
from indexer.handlers._sets import MOST_VOLUMES, find_head
from indexer.handlers._sevenzip import Window
from indexer.model import replace
from indexer.volumes import Joined

PART = re.compile(r"(.*\.part)(\d{1,9})(\.[^.]+)", re.IGNORECASE)
OLD_PART = re.compile(r"(.*\.)([r-z])(\d\d)", re.IGNORECASE)
PLAIN_PART = re.compile(r"(.*\.)(\d{3})")
NAMES = (r".+\.rar", r".+\.[r-z]\d\d", r".+\.part\d+\.exe", r".+\.\d{3}")
VOLUME, NEW_NAMES = 1, 0x10
MOST_BLOCKS = 2_000_000


class Volume(Struct, frozen=True):
    """One file of a set, from where its archive begins."""

    name: str
    stream: Stream


def open_volume(stream: Stream, name: str) -> Volume | None:
    """A file as a volume, less the program before it; None where it holds no archive."""
    start = find_start(stream)
    if start is None:
        return None
    if start[0]:
        stream = Stream(Window(stream, start[0]), limits=stream.limits, scratch=stream.scratch)  # type: ignore[arg-type]
    return Volume(name, stream)


def is_volume(stream: Stream) -> bool:
    """Whether the archive says that it is one of several; where all it says is encrypted, its name does."""
    start = find_start(stream)
    if start is None:
        return False
    for block in walk(Stream(Window(stream, start[0])), 0, start[1]):  # type: ignore[arg-type]
        if isinstance(block, Block) and block.type == MAIN:
            return bool((block.attributes if start[1] else block.flags) & VOLUME)
        return isinstance(block, Block) and block.locked and bool(PART.fullmatch(stream.name))
    return False


def next_name(name: str) -> str:
    """What the volume after this one is called: `cels.part2.rar` gives `cels.part3.rar`, `.rar` gives `.r00`."""
    if match := PART.fullmatch(name):
        suffix = ".rar" if match[3].lower() == ".exe" else match[3]
        return f"{match[1]}{int(match[2]) + 1:0{len(match[2])}}{suffix}"
    if name.lower().endswith((".rar", ".exe")):
        return f"{name[:-3]}{'R' if name[-3] == 'R' else 'r'}00"
    if match := OLD_PART.fullmatch(name):
        letter, number = match[2], int(match[3]) + 1
        if number > 99:
            letter, number = chr(ord(letter) + 1), 0
        return f"{match[1]}{letter}{number:02}" if letter.lower() <= "z" else ""
    if (match := PLAIN_PART.fullmatch(name)) and match[2] != "999":
        return f"{match[1]}{int(match[2]) + 1:03}"
    return ""


def _first_names(name: str) -> Iterator[str]:
    """What the first volume of this one's set may be called."""
    if match := PART.fullmatch(name):
        for number in dict.fromkeys((f"{1:0{len(match[2])}}", "1")):
            for suffix in dict.fromkeys((match[3], ".rar", ".exe")):
                yield f"{match[1]}{number}{suffix}"
    elif match := OLD_PART.fullmatch(name):
        yield f"{match[1]}rar"
        yield f"{match[1]}exe"
    elif match := PLAIN_PART.fullmatch(name):
        yield f"{match[1]}001"
    else:
        yield name


class VolumeSet(Struct, frozen=True):
    """What is here of a set.

    Attributes:
        volumes: this one and those that follow; this one alone where the whole is read elsewhere.
        part_of: the name of the volume in which the whole is read; empty where it is this one.
        missing: the name of the last volume before this one that is not here.
    """

    volumes: list[Volume]
    new: bool
    part_of: str = ""
    missing: str = ""

    @contextmanager
    def path(self) -> Iterator[str]:
        """A path under which 7-Zip finds the first volume, and the others beside it."""
        stream = self.volumes[0].stream
        if len(self.volumes) == 1:
            with stream.path() as path:
                yield path
            return
        with tempfile.TemporaryDirectory(dir=stream.scratch) as folder:
            name = first = "volume.part0001.rar" if self.new or _has_new_names(stream) else "volume.rar"
            for volume in self.volumes:
                volume.stream.seek(0)
                with (Path(folder) / name).open("xb") as file:
                    shutil.copyfileobj(volume.stream, file, 1 << 20)
                name = next_name(name)
            yield str(Path(folder) / first)

    def join(self) -> tuple[Stream, list[list[Block | Damage]]]:
        """All volumes as one stream, and the blocks of each by their place in it."""
        own = self.volumes[0].stream
        whole = Joined([cast(BinaryIO, volume.stream) for volume in self.volumes])
        stream = Stream(cast(BinaryIO, whole), limits=own.limits, scratch=own.scratch)
        found: list[list[Block | Damage]] = []
        left = MOST_BLOCKS
        for volume, start in zip(self.volumes, whole.starts, strict=False):
            blocks = [_move(block, start) for block in islice(walk(volume.stream, 0, self.new), left)]
            left -= len(blocks)
            found.append(blocks)
        return stream, found


def find_set(stream: Stream, own: Volume, new: bool) -> VolumeSet:
    """The set that a volume belongs to, by the names beside it; counted on from the last gap."""
    head, missing = find_head(
        stream.name, list(_first_names(stream.name)), next_name, lambda name: _open(stream, name, new) is not None
    )
    if head:
        return VolumeSet([own], new, head, missing)
    volumes = [own]
    while len(volumes) < MOST_VOLUMES and (following := _open(stream, next_name(volumes[-1].name), new)):
        volumes.append(following)
    return VolumeSet(volumes, new, "", missing)


def _open(stream: Stream, name: str, new: bool) -> Volume | None:
    file = stream.sibling(name) if name else None
    if file is None:
        return None
    sibling = Stream(file, limits=stream.limits, scratch=stream.scratch)
    start = find_start(sibling)
    return open_volume(sibling, name) if start and start[1] == new else None


def _has_new_names(stream: Stream) -> bool:
    main = next((block for block in walk(stream, 0, False) if isinstance(block, Block)), None)
    return bool(main and main.type == MAIN and main.flags & NEW_NAMES)


def _move(block: Block | Damage, by: int) -> Block | Damage:
    if isinstance(block, Damage):
        return replace(block, at=block.at + by, end=block.end + by)
    start = block.start + by
    return replace(block, at=block.at + by, start=start, end=block.end + by, pieces=[(start, block.packed)])


def merge(volumes: list[list[Block | Damage]]) -> list[Block]:
    """The blocks of all volumes, with one for each member that goes on from volume to volume."""
    merged: list[Block] = []
    for blocks in volumes:
        for block in blocks:
            if not isinstance(block, Block):
                continue
            last = next((each for each in reversed(merged) if each.type == MEMBER), None) if block.before else None
            if last is not None and last.after and last.raw == block.raw:
                last.pieces += block.pieces
                last.packed += block.packed
                last.after, last.crc = block.after, block.crc
                last.fields = block.fields
            else:
                merged.append(block)
    return merged
