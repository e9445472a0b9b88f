"""Cabinets of Windows: names in any code page, stored and MSZIP read here, LZX and Quantum by 7-Zip.

Source: [MS-CAB] 2.1 to 2.4; [MS-MCI].
Limits: a set is joined up to its first gap, and again behind it, as long as one cabinet can hold it (4 GiB,
65,535 blocks a folder); cabinets inside programs are not looked for;
InstallShield's files of the same suffix are another format.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import ClassVar

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._archive import FILE, Names
from indexer.handlers._cab import (
    BOTH,
    FROM_PREVIOUS,
    METHODS,
    TO_NEXT,
    Cabinet,
    Folder,
    Member,
    Spoilt,
    place_of,
    read_cabinet,
    unpack,
)
from indexer.handlers._cab_set import find_set, is_volume, join
from indexer.handlers._p7z import list_members
from indexer.handlers._p7z_entries import FIELDS, Entry, list_entries
from indexer.handlers._p7z_members import Members
from indexer.handlers._streams import slack
from indexer.handlers._tap import Tap
from indexer.model import Fact, Field, Problem
from indexer.timestamps import from_dos

LETTERS = ((0x1, "R"), (0x2, "H"), (0x4, "S"), (0x20, "A"), (0x40, "X"))
UTF_8 = 0x80


class CabArchive(Handler):
    name = "cab"
    media_types = ("application/vnd.ms-cab-compressed", "application/x-cab")
    signatures = (Signature(b"MSCF\0\0\0\0"),)
    suffixes = (".cab", ".msu")
    fields: ClassVar[Mapping[str, str]] = {
        **FIELDS,
        "archive.volumes": "cabinets that were joined",
        "archive.part_of": "name of the cabinet in which the whole set is read",
        "cab.previous": "name of the cabinet before this one in its set",
        "cab.next": "name of the cabinet behind this one in its set",
    }
    reads = "members with names in any code page, DOS times and attributes; sets of cabinets joined"
    needs = ("p7z",)
    rank = 56
    volumes = True
    volume_names = (r".+\.cab",)
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if stream.size >= 36 and stream.head[25] <= 2 else None

    def is_volume(self, stream: Stream) -> bool:
        return is_volume(stream)

    def read(self, stream: Stream) -> Iterator[Fact]:
        cabinet = read_cabinet(stream)
        if not is_volume(stream):
            yield from _read(stream, cabinet)
            return
        yield Field("archive.volume", cabinet.number + 1)
        volumes, head = find_set(stream, cabinet)
        if head:
            yield Field("archive.part_of", head)
            yield from _trouble(stream, cabinet)
            return
        if len(volumes) > 1:
            yield Field("archive.volumes", len(volumes))
            for each in volumes:
                yield from _trouble(each.stream, each.cabinet)
        with join(volumes) as whole:
            yield from _read(whole, read_cabinet(whole))


def _read(stream: Stream, cabinet: Cabinet) -> Iterator[Fact]:
    declared = [member.name for member in cabinet.members if member.attributes & UTF_8]
    names = Names(member.name for member in cabinet.members if not member.attributes & UTF_8)
    utf_8 = Names(declared, "utf-8")
    yield from _labels(cabinet, names)
    blocks = _Blocks(stream, cabinet)
    # In the order of their bytes, as 7-Zip has them: each folder is unpacked once.
    members = sorted(cabinet.members, key=lambda member: (place_of(cabinet, member), member.offset))
    entries = [_entry(cabinet, each, utf_8 if each.attributes & UTF_8 else names, blocks) for each in members]
    with stream.path() as path:
        if any(entry.size and not entry.here and not entry.refused for entry in entries):
            yield from _ask(path, entries)
        yield from Members(path, "Cab", entries).facts()
    yield from _trouble(stream, cabinet)


def _trouble(stream: Stream, cabinet: Cabinet) -> Iterator[Fact]:
    """What is wrong with a cabinet as a file, and what stands behind it."""
    if cabinet.trouble:
        yield cabinet.trouble.problem("", "members listed so far")
    if cabinet.size > stream.size:
        message = f"{cabinet.size - stream.size} bytes are missing at the end"
        yield Problem("truncated", message, resolution="kept so far")
    if cabinet.size < stream.size:
        size = stream.size - cabinet.size
        yield Problem("corrupt", f"{size} bytes behind the end, at {cabinet.size}", resolution="kept as a member")
        yield slack(stream, cabinet.size, size, "[after the archive]")


def _labels(cabinet: Cabinet, names: Names) -> Iterator[Fact]:
    yield from names.fields()
    methods = dict.fromkeys(METHODS.get(folder.method & 15, str(folder.method & 15)) for folder in cabinet.folders)
    if methods:
        yield Field("archive.method", " ".join(methods))
    for field, said, there in (
        ("cab.previous", "begins in", cabinet.before),
        ("cab.next", "goes on in", cabinet.after),
    ):
        if there:
            name = Names((there[0],)).decode(there[0])
            yield Field(field, name)
            yield Problem("truncated", f"the set {said} {name}, which is not here")


def _ask(path: str, entries: list[Entry]) -> Iterator[Problem]:
    """Gives the entries the names that 7-Zip has for them, where it lists the same members."""
    try:
        _, listed, trouble = list_entries(list_members(path, kind="Cab"), "cab", zone_known=False)
    except EvidenceError as error:
        yield error.problem("", "only what is stored or MSZIP is kept")
        return
    if trouble:
        yield trouble.problem("", "members read as far as 7-Zip got")
    for entry, found in zip(entries, listed, strict=False):
        name, path = entry.name.replace("\\", "/"), found.path
        if entry.size != found.size or (name.isascii() and path.isascii() and name != path):
            yield Problem("corrupt", f"7-Zip lists {path!r} where the cabinet has {name!r}")
            return
        entry.path = path


class _Blocks:
    """The unpacked bytes of folders, each unpacked once as long as members are asked for in their order."""

    def __init__(self, stream: Stream, cabinet: Cabinet) -> None:
        self._stream = stream
        self._cabinet = cabinet
        self._folder: Folder | None = None
        self._tap: Tap | None = None
        self._spoilt: list[Spoilt] = []

    def take(self, folder: Folder, start: int, size: int) -> Iterator[bytes]:
        """A member's bytes.

        Raises:
            EvidenceError: after the last of them.
        """
        if self._tap is None or self._folder is not folder or self._tap.position > start:
            self._folder = folder
            self._spoilt = []
            self._tap = Tap(unpack(self._stream, self._cabinet, folder, self._spoilt))
        yield from self._tap.take(start, size)
        for begin, end, message in self._spoilt:
            if begin < start + size and end > start:
                raise EvidenceError("corrupt", message)


def _entry(cabinet: Cabinet, member: Member, names: Names, blocks: _Blocks) -> Entry:
    place = place_of(cabinet, member)
    folder = cabinet.folders[place] if place < len(cabinet.folders) else None
    fields = []
    letters = "".join(letter for bit, letter in LETTERS if member.attributes & bit)
    if letters:
        fields.append(Field("archive.attributes", letters))
    method = folder.method & 15 if folder else -1
    if folder:
        fields.append(Field("archive.method", METHODS.get(method, str(method))))
    problems: list[Problem] = []
    if member.folder in (FROM_PREVIOUS, BOTH):
        problems.append(Problem("truncated", "begins in the cabinet before"))
    if member.folder in (TO_NEXT, BOTH):
        problems.append(Problem("truncated", "goes on in the next cabinet"))
    stamp = from_dos("M", member.date, member.time, "cab.mtime")
    return Entry(
        "",
        names.decode(member.name),
        member.name,
        FILE,
        member.size,
        here=partial(blocks.take, folder, member.offset, member.size) if folder and method in (0, 1) else None,
        times=(stamp,) if stamp else (),
        fields=tuple(fields),
        problems=tuple(problems),
        refused=None if folder else EvidenceError("corrupt", "its folder is not in this cabinet"),
    )
