"""RAR 1.5 to 7: members with names, times and owners, solid and encrypted ones, sets of volumes.

The blocks are read here, so that raw names, both forms of a name and damaged archives give what they
hold; packed bytes go through 7-Zip, in one process for all members, and are cut by their sizes. Members
that are stored as they are need no program.

Source: RAR technote of unRAR 3; "RAR 5.0 archive format" (rarlab.com).
Limits: a set is joined up to its first gap, and again behind it; RAR 1.3 (before 1994) is not read; of a directory that
is encrypted the 8-bit names are not had; packed comments are not read; recovery records are not used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import ClassVar

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._archive import FILE, FOLDER, LINK, SYMLINK, Names, kind_of_mode
from indexer.handlers._p7z import list_members
from indexer.handlers._p7z_entries import FIELDS, STREAM, Entry, find_password, list_entries, list_with_password, stored
from indexer.handlers._p7z_members import Members
from indexer.handlers._rar import (
    END,
    HOSTS,
    MAIN,
    MEMBER,
    NEW,
    OLD,
    SERVICE,
    UNIX,
    Block,
    Damage,
    find_start,
)
from indexer.handlers._rar_set import MOST_BLOCKS, VolumeSet, find_set, is_volume, merge, next_name, open_volume
from indexer.handlers._rar_set import NAMES as VOLUME_NAMES
from indexer.handlers._streams import slack
from indexer.model import Fact, Field, Problem
from indexer.passwords import Password

KINDS_5 = {"Rar5": True, "Rar": False}
METHODS = ("store", "fastest", "fast", "normal", "good", "best")
NEW_LINKS = {1: SYMLINK, 2: SYMLINK, 3: SYMLINK, 4: LINK, 5: "copy"}
WINDOWS_LETTERS = ((0x1, "R"), (0x2, "H"), (0x4, "S"), (0x10, "D"), (0x20, "A"))
MOST_COMMENT = 64 * 1024


class RarArchive(Handler):
    name = "rar"
    media_types = ("application/vnd.rar", "application/x-rar", "application/x-rar-compressed")
    signatures = (Signature(OLD), Signature(NEW), Signature(b"MZ"), Signature(b"\x7fELF"))
    suffixes = (".rar", ".cbr", ".r00", ".rev")
    fields: ClassVar[Mapping[str, str]] = {
        **FIELDS,
        "rar.format": "4 for the blocks of RAR 1.5 to 4, 5 for those of RAR 5 to 7",
        "rar.offset": "where the archive begins in a self-extracting program",
        "rar.version": "number of a kept earlier version of a member",
        "rar.size_unknown": "the size was not known when the member was packed",
        "rar.blake2sp": "BLAKE2sp digest as recorded",
        "rar.user": "owner's name",
        "rar.group": "group's name",
        "rar.uid": "owner's number",
        "rar.gid": "group's number",
        "rar.next_volume": "name of the volume that follows and is not here",
        "archive.volumes": "volumes that were joined",
        "archive.part_of": "name of the volume in which the whole set is read",
    }
    reads = "members with times, attributes, owners and links; solid and encrypted ones; sets of volumes joined"
    needs = ("p7z",)
    rank = 46
    uses_name = True
    volumes = True
    volume_names = VOLUME_NAMES
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if find_start(stream) else None

    def is_volume(self, stream: Stream) -> bool:
        return is_volume(stream)

    def read(self, stream: Stream) -> Iterator[Fact]:
        offset, new = find_start(stream) or (0, False)
        if offset:
            yield Field("rar.offset", offset)
        own = open_volume(stream, stream.name)
        if own is None:
            return
        yield Field("rar.format", 5 if new else 4)
        found = find_set(stream, own, new)
        joined, volumes = found.join()
        if found.part_of:
            if (number := _number(volumes[0], new)) is not None:
                yield Field("archive.volume", number + 1)
            yield Field("archive.part_of", found.part_of)
            if found.missing:
                yield Problem("truncated", f"{found.missing} is not here")
            return
        if sum(map(len, volumes)) >= MOST_BLOCKS:
            yield Problem("limit", f"more than {MOST_BLOCKS} blocks", resolution="stopped there")
        if len(volumes) > 1:
            yield Field("archive.volumes", len(volumes))
        blocks = merge(volumes)
        yield from _labels(joined, blocks, new)
        yield from _volume(found, volumes, blocks)
        end = 0
        for volume, each in zip(found.volumes, volumes, strict=True):
            end += volume.stream.size
            yield from _damage(joined, each, end, new)
        needed = any(block.locked or (block.size and (block.method or block.encrypted)) for block in blocks)
        with found.path() if needed else nullcontext("") as path:
            yield from _read(joined, path, blocks, "Rar5" if new else "Rar", iter(stream.passwords))


def _labels(stream: Stream, blocks: list[Block], new: bool) -> Iterator[Fact]:
    if _flags(blocks, new) & (4 if new else 8):
        yield Field("archive.solid", True)
    comment = next((block for block in blocks if block.service == b"CMT"), None)
    if comment and not comment.method and not comment.encrypted:
        text = stream.at(comment.start, min(comment.packed, MOST_COMMENT)).rstrip(b"\0")
        yield Field("archive.comment", Names((text,)).decode(text))


def _damage(stream: Stream, blocks: list[Block | Damage], size: int, new: bool) -> Iterator[Fact]:
    """What is damaged in a volume that ends at `size`, or lies behind its end."""
    for block in blocks:
        if isinstance(block, Damage):
            yield block.problem
            if block.end > block.at:
                yield slack(stream, block.at, block.end - block.at, f"[damaged at {block.at}]")
    last = blocks[-1] if blocks else None
    if isinstance(last, Block) and last.end > size:
        yield Problem("truncated", f"{last.end - size} bytes are missing at the end", resolution="kept so far")
    elif new and isinstance(last, Block) and last.type != END and not last.locked:
        yield Problem("truncated", "the archive ends without its last block", resolution="kept so far")
    elif isinstance(last, Block) and last.type == END and last.end < size:
        rest = size - last.end
        yield Problem("corrupt", f"{rest} bytes behind the end, at {last.end}", resolution="kept as a member")
        yield slack(stream, last.end, rest, "[after the archive]")


def _flags(blocks: Sequence[Block | Damage], new: bool) -> int:
    main = next((block for block in blocks if isinstance(block, Block) and block.type == MAIN), None)
    return (main.attributes if new else main.flags) if main else 0


def _number(blocks: list[Block | Damage], new: bool) -> int | None:
    """The number of a volume from 0, where it is told."""
    main = next((block for block in blocks if isinstance(block, Block) and block.type == MAIN), None)
    if main and new:
        return main.volume or 0
    ends = (block.volume for block in blocks if isinstance(block, Block) and block.type == END)
    number = next(ends, None)
    return 0 if number is None and _flags(blocks, new) & 0x100 else number


def _volume(found: VolumeSet, volumes: list[list[Block | Damage]], blocks: list[Block]) -> Iterator[Fact]:
    """The number of the first volume, and which one is missing before it and behind the last."""
    new = found.new
    if not _flags(blocks, new) & 1:
        return
    number = _number(volumes[0], new)
    if number is not None:
        yield Field("archive.volume", number + 1)
    called = f"volume {number + 1}" if number is not None and len(volumes) == 1 else "this volume"
    members = [block for block in blocks if block.type == MEMBER]
    if found.missing or (members and members[0].before):
        missing = found.missing or "the volume before"
        yield Problem("truncated", f"{called}: the set begins before it, and {missing} is not here")
    ends = [block for block in volumes[-1] if isinstance(block, Block) and block.type == END]
    if any((end.attributes if new else end.flags) & 1 for end in ends) or any(each.after for each in members):
        following = next_name(found.volumes[-1].name)
        if following:
            yield Field("rar.next_volume", following)
        yield Problem("truncated", f"the set goes on in {following or 'the next volume'}, which is not here")


def _read(stream: Stream, path: str, blocks: list[Block], kind: str, passwords: Iterator[Password]) -> Iterator[Fact]:
    new = kind == "Rar5"
    method = "AES-256" if new else "AES-128"
    if any(block.locked for block in blocks):
        yield Field("encryption.method", method)
        yield Field("encryption.names", True)
        records, password = list_with_password(path, kind, passwords)
        yield password.field()
        _, listed, _ = list_entries(iter(records), "rar", zone_known=new)
        yield from Members(path, kind, listed, password, method).facts()
        return
    found = [block for block in blocks if _is_member(block)]
    names = Names(block.raw for block in found if block.name is None)
    yield from names.fields()
    entries: list[Entry] = []
    for block in found:
        entry = _entry(stream, block, names)
        if block.type == SERVICE and entries:
            entry.name, entry.raw = entries[-1].name + entry.name, entries[-1].raw + entry.raw
        entries.append(entry)
    if any(not entry.here or entry.needs_password for entry in entries if entry.size):
        yield from _ask(path, kind, entries)
    found_password = None
    if any(entry.needs_password for entry in entries):
        found_password = find_password(path, kind, entries, passwords)
        if found_password:
            yield found_password.field()
    yield from Members(path, kind, entries, found_password, method).facts()


def _cipher(block: Block) -> str:
    if block.new:
        return "AES-256"
    return "AES-128" if block.version >= 29 else "RAR 2"


def _is_member(block: Block) -> bool:
    """Files and folders; and the alternate streams of Windows, which are kept as services."""
    return block.type == MEMBER or (block.type == SERVICE and block.service == b"STM")


def _ask(path: str, kind: str, entries: list[Entry]) -> Iterator[Problem]:
    """Gives the entries the names that 7-Zip has for them, in the order in which both list them."""
    try:
        _, listed, trouble = list_entries(list_members(path, kind=kind), "rar", zone_known=False)
    except EvidenceError as error:
        yield error.problem("", "only what is stored unpacked is kept")
        return
    # Where a volume is missing, the members that it cuts say so.
    if trouble and trouble.cause != "encrypted" and not any(entry.problems for entry in entries):
        yield trouble.problem("", "members read as far as 7-Zip got")
    waiting = iter(listed)
    record = next(waiting, None)
    path = ""
    for entry in entries:
        if entry.kind == STREAM:
            entry.path = path  # not listed, but it comes out behind its file
        elif record and record.size == entry.size and (record.kind == FOLDER) == (entry.kind == FOLDER):
            entry.path = path = record.path
            record = next(waiting, None)


def _entry(stream: Stream, block: Block, names: Names) -> Entry:
    kind = FOLDER if block.folder else FILE
    fields = list(block.fields)
    if block.host == UNIX:
        if not block.folder:
            kind = kind_of_mode(block.attributes)
        fields.insert(0, Field("file.mode", f"{block.attributes & 0o7777:04o}"))
    else:
        letters = "".join(letter for bit, letter in WINDOWS_LETTERS if block.attributes & bit)
        if letters:
            fields.append(Field("archive.attributes", letters))
    link = ""
    if block.link:
        kind = NEW_LINKS.get(block.link[0], SYMLINK)
        link = Names((block.link[1],)).decode(block.link[1])
    name = block.name if block.name is not None else names.decode(block.raw)
    if block.type == SERVICE:
        kind = STREAM
    if block.host < len(HOSTS):
        fields.append(Field("archive.host", HOSTS[block.host]))
    if not block.folder and 0 <= block.method < len(METHODS):
        fields.append(Field("archive.method", METHODS[block.method]))
    if block.crc is not None:
        fields.append(Field("archive.crc", f"{block.crc:08x}"))
    if block.solid:
        fields.append(Field("archive.solid", True))
    if block.encrypted:
        fields.append(Field("encryption.method", _cipher(block)))
    problems: list[Problem] = []
    if block.before:
        problems.append(Problem("truncated", "begins in the volume before"))
    if block.after:
        problems.append(Problem("truncated", "goes on in the next volume"))
    limit = stream.limits.dictionary
    here = stored(stream, block.start, block.packed, block.pieces) if not block.method else None
    refused = None
    if block.method and block.window > limit:
        refused = EvidenceError("limit", f"dictionary: {block.window} bytes asked for, {limit} allowed")
    return Entry(
        "",
        name,
        block.raw,
        kind,
        block.size,
        None if block.encrypted or block.before else block.crc,
        here,
        block.encrypted,
        link,
        tuple(block.times),
        tuple(fields),
        tuple(problems),
        refused,
    )
