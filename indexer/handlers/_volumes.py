"""The walk over a disk: its partition table, the file system of each volume, and what lies in none.

A volume of a table is a member (`p1`) that carries what is known of it; the files in it are members
below its name (`p1/Users/...`). A disk that is one file system has no such prefix. A volume that no
reader knows is given as it is, and so are the stretches between volumes that are not all zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import BinaryIO

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._filesystems import FIELDS as VOLUME_FIELDS
from indexer.handlers._filesystems import NEEDS, name_file_system, walk_file_system
from indexer.handlers._image import PAGE, Forgiving, Image, PartImage
from indexer.handlers._lvm import read_volumes
from indexer.handlers._partitions import Partition, Table, read_table
from indexer.handlers._streams import open_chunks
from indexer.handlers._volume_marks import Lock, kind_of, lock_of, mirrored
from indexer.limits import GIB, MIB
from indexer.model import Child, Fact, Field, Problem, Timestamp, replace

__all__ = ["FIELDS", "NEEDS", "walk"]

LOGICAL = "logical"
STEP = MIB
PIECE = GIB
"""A longer stretch that lies in no volume is given in parts: each is spooled whole."""
MOST_LOST = GIB
"""Where more than this cannot be read, nothing behind it is looked for."""
READ = frozenset({"ntfs", "exfat", "xfs", "btrfs", "apfs", "hfs", "ext", "fat"})
"""File systems whose files are given; a volume with any other one is given as it is."""
ALIGN = 64 * MIB
"""Parts begin at multiples of this, where what lies before holds nothing."""

FIELDS: Mapping[str, str] = {
    **VOLUME_FIELDS,
    "file.kind": f"partition: a volume whose files are members beside it; {VOLUME_FIELDS['file.kind']}",
    "image.kind": "variant of the image's format",
    "image.version": "version of the image's format",
    "image.block_size": "bytes that the image stores or leaves out together",
    "image.id": "identifier of the image",
    "image.program": "what wrote the image",
    "image.comment": "remark kept in the image",
    "image.parent": "image of which this one tells only the changes",
    "image.parent_id": "identifier of that image",
    "image.part_of": "the file to open for the whole image, of which this one is a part",
    "image.size": "bytes of the disk, as it was in use",
    "image.table": "kind of the partition table",
    "image.sector_size": "bytes that the partition table counts as one sector",
    "image.disk_id": "identifier of the disk, in its partition table",
    "image.partitions": "partitions that the table lists",
    "partition.type": "what the table says the partition is for",
    "partition.code": "the same as the number or identifier in the table",
    "partition.label": "name in the table",
    "partition.id": "identifier of the partition in the table",
    "partition.start": "offset on the disk, in bytes",
    "partition.size": "bytes of the partition",
    "partition.empty": "all its bytes are zero",
    "partition.bootable": "the table marks it as the one to start from",
    "file.offset": "where bytes of no volume stand on the disk",
    "encryption.method": "what encrypts a volume, and its cipher where the header tells",
}


def walk(image: Image, stream: Stream, *, virtual: bool = True) -> Iterator[Fact]:
    """Everything on a disk: its table, its volumes and their files, the rest that is not zeros.

    Args:
        virtual: whether the disk's bytes differ from the file's, so that a disk that nobody knows is a member.

    Raises:
        EvidenceError: where the whole disk is encrypted, or where nothing is known and it is not virtual.
    """
    yield Field("image.size", image.size)
    for reason in image.missing():
        yield Problem("unreadable", reason, resolution="what is there is read")
    view = Forgiving(image)
    table = read_table(view) if not _is_volume(kind_of(view)) else None
    if table is None:
        yield from _walk_bare(image, stream, virtual)
        return
    yield Field("image.table", table.kind)
    yield Field("image.sector_size", table.sector)
    if table.ident.strip("0-"):
        yield Field("image.disk_id", table.ident)
    yield Field("image.partitions", len(table.partitions))
    yield from table.problems
    reach = max((each.end for each in table.partitions), default=0)
    if reach > image.size:
        yield Problem("truncated", f"the partitions reach to {reach}, the disk ends at {image.size}")
    seen: set[int] = set()
    for each in table.partitions:
        yield from _walk_partition(image, each, seen, stream)
        seen.add(each.start)
    yield from _loose(image, _between(image, table), stream)


def _is_volume(kind: str) -> bool:
    """Whether what stands at the start is a volume for certain, so that no table is looked for."""
    return bool(kind) and kind not in ("swap", "UFS", "LVM2")


def _walk_bare(image: Image, stream: Stream, virtual: bool) -> Iterator[Fact]:
    """A disk without a table, as one volume."""
    yield Field("image.table", "none")
    view = Forgiving(image)
    kind = kind_of(view)
    if lock := lock_of(view, 0, kind):
        yield from _lock_fields(lock)
        raise EvidenceError("encrypted", f"the whole disk is encrypted with {lock.kind}")
    if name_file_system(view, 0, image.size) in READ:
        yield from walk_file_system(image, 0, image.size, "", stream.passwords)
        return
    if kind:
        yield Field("filesystem.kind", kind)
    if kind == "LVM2":
        yield from _walk_logical(image, "", stream)
        return
    if inner := mirrored(view, 0):
        yield from _walk_mirror(image, inner, "", stream)
        return
    if not virtual:
        raise EvidenceError("unsupported", f"no reader for {kind or 'what is on the disk'}")
    yield from _loose(image, [(0, image.size)], stream)


def _walk_partition(image: Image, one: Partition, seen: set[int], stream: Stream) -> Iterator[Fact]:
    """One volume: what is known of it before its first file goes onto the member that stands for it."""
    fields = list(_fields(one))
    if one.start >= image.size:
        problem = Problem("truncated", f"{one.name} starts at {one.start}, the disk ends at {image.size}")
        yield _whole(one, fields, [problem])
        return
    problems = []
    if one.end > image.size:
        problems.append(Problem("truncated", f"{one.name} reaches to {one.end}, the disk ends at {image.size}"))
    if one.start in seen:
        yield _whole(one, fields, [*problems, Problem("corrupt", f"{one.name} starts where another partition does")])
        return
    size = min(one.size, image.size - one.start)
    view = Forgiving(image)
    if one.code != LOGICAL and (inner := mirrored(view, one.start)):
        yield _whole(one, [*fields, Field("filesystem.kind", "Linux RAID")], problems)
        yield from _walk_mirror(image, (one.start + inner[0], inner[1]), f"{one.name}-", stream)
        return
    kind = kind_of(view, one.start)
    lock = lock_of(view, one.start, kind)
    if lock:
        fields += _lock_fields(lock)
        yield _whole(one, fields, [*problems, Problem("encrypted", f"encrypted with {lock.kind}")])
    elif name_file_system(view, one.start, size) in READ:
        yield from _walk_volume(image, one, size, fields, problems, stream)
    elif kind == "LVM2" and one.code != LOGICAL:
        yield _whole(one, [*fields, Field("filesystem.kind", kind)], problems)
        yield from _walk_logical(PartImage(image, one.start, size), f"{one.name}-", stream)
    else:
        fields += [Field("filesystem.kind", kind)] if kind else []
        yield from _give_unknown(image, one, size, fields, problems, stream)


def _walk_mirror(image: Image, inner: tuple[int, int], prefix: str, stream: Stream) -> Iterator[Fact]:
    """What a member of a mirror mirrors, as one more volume."""
    disk = PartImage(image, *inner)
    yield from _walk_partition(disk, Partition(f"{prefix}mirror", 0, disk.size, "Linux RAID 1", LOGICAL), set(), stream)


def _give_unknown(
    image: Image, one: Partition, size: int, fields: list[Field], problems: list[Problem], stream: Stream
) -> Iterator[Fact]:
    """A volume that no reader knows, as it is; in parts where it is large, and without bytes where all are zero."""
    view = Forgiving(image)
    end = one.start + size
    if _first_used(view, one.start, end) >= end:
        # Nothing is stored there; whether that means zeros, or that nobody knows, a read at both ends tells.
        for at in (one.start, max(one.start, end - STEP)):
            view.read_at(at, min(STEP, end - at))
        lost = [view.first.problem("")] if view.first else []
        yield _whole(one, fields if lost else [*fields, Field("partition.empty", True)], [*problems, *lost])
    elif size <= PIECE:
        yield _whole(one, fields, problems, opening=partial(_open, image, one.start, size))
    else:
        yield _whole(one, fields, problems)
        yield from _loose(image, [(one.start, one.start + size)], stream, f"{one.name}/")


def _walk_logical(image: Image, prefix: str, stream: Stream) -> Iterator[Fact]:
    """The logical volumes on a physical one, each like a partition."""
    try:
        for each in read_volumes(image):
            for reason in each.disk.missing():
                yield Problem("unreadable", f"{prefix}{each.name}: {reason}", resolution="what is there is read")
            label = f"{each.group}/{each.name}"
            one = Partition(f"{prefix}{each.name}", 0, each.disk.size, "LVM logical volume", LOGICAL, label, each.ident)
            yield from _walk_partition(each.disk, one, set(), stream)
    except EvidenceError as error:
        yield error.problem("", "its volumes are not read")


def _walk_volume(
    image: Image, one: Partition, size: int, fields: list[Field], problems: list[Problem], stream: Stream
) -> Iterator[Fact]:
    """The file system of one volume; an error ends it as a problem, so that the next volume is read."""
    facts = _guarded(walk_file_system(image, one.start, size, f"{one.name}/", stream.passwords))
    stamps: list[Timestamp] = []
    first: Child | None = None
    for fact in facts:
        if isinstance(fact, Child):
            first = fact
            break
        if isinstance(fact, Field):
            fields.append(fact)
        elif isinstance(fact, Problem):
            problems.append(fact)
        elif isinstance(fact, Timestamp):
            stamps.append(fact)
        else:
            yield fact
    failed = first is None and bool(problems)
    opening = partial(_open_strictly, image, one.start, size) if failed and size <= PIECE else None
    yield _whole(one, fields, problems, stamps, opening)
    if failed and not opening:
        yield from _loose(image, [(one.start, one.start + size)], stream, f"{one.name}/")
    if first is not None:
        yield first
        for fact in facts:
            yield replace(fact, message=f"{one.name}: {fact.message}") if isinstance(fact, Problem) else fact


def _guarded(facts: Iterator[Fact]) -> Iterator[Fact]:
    try:
        yield from facts
    except EvidenceError as error:
        yield error.problem("")


def _lock_fields(lock: Lock) -> Iterator[Field]:
    yield Field("encryption.method", f"{lock.kind} {lock.detail}".strip())


def _fields(one: Partition) -> Iterator[Field]:
    yield Field("partition.type", one.kind)
    if one.code != one.kind:
        yield Field("partition.code", one.code)
    if one.label:
        yield Field("partition.label", one.label)
    if one.ident:
        yield Field("partition.id", one.ident)
    if one.code != LOGICAL:
        yield Field("partition.start", one.start)
    yield Field("partition.size", one.size)
    if one.bootable:
        yield Field("partition.bootable", True)


def _whole(
    one: Partition,
    fields: list[Field],
    problems: list[Problem],
    stamps: list[Timestamp] | None = None,
    opening: Callable[[], BinaryIO] | None = None,
) -> Child:
    """The member that stands for a volume; with its bytes where nothing in it could be read."""
    if opening is None:
        fields = [Field("file.kind", "partition"), *fields]
    return Child(one.name, one.name.encode(), opening, tuple(stamps or ()), tuple(fields), tuple(problems))


# -- what lies in no volume --------------------------------------------------------------------


def _between(image: Image, table: Table) -> list[tuple[int, int]]:
    """The ranges that neither the table nor a partition takes up."""
    taken = sorted([*table.own, *((each.start, each.end) for each in table.partitions)])
    found, at = [], 0
    for start, end in taken:
        if start > at:
            found.append((at, min(start, image.size)))
        at = max(at, end)
    found.append((at, image.size))
    return [(start, end) for start, end in found if start < end]


def _loose(image: Image, ranges: list[tuple[int, int]], stream: Stream, prefix: str = "") -> Iterator[Fact]:
    """Ranges as members, from their first byte that is not zero, in parts, those of zeros left out."""
    left = stream.limits.item_bytes
    view = Forgiving(image)
    for start, end in ranges:
        at = start
        while at < end:
            at = _first_used(view, at, end)
            if at >= end:
                break
            stop = _end_of_part(view, at, end)
            if stop - at > left:
                message = f"item_bytes: more than {stream.limits.item_bytes} bytes lie in no volume"
                yield Problem("limit", message, resolution="the rest is not given")
                return
            left -= stop - at
            name = f"{prefix}[unallocated at {at}]"
            fields = (Field("file.kind", "unallocated"), Field("file.offset", at))
            yield Child(name, name.encode(), partial(_open, image, at, stop - at), fields=fields)
            at = stop
    if view.first:
        message = f"{view.lost} bytes in no volume cannot be read: {view.first.message}"
        yield Problem(view.first.cause, message, resolution="left out")


def _first_used(image: Forgiving, at: int, end: int) -> int:
    """The offset of the sector with the first byte that is not zero; `end` where there is none."""
    while (at := image.data_from(at)) < end and image.lost < MOST_LOST:
        data = image.read_at(at, min(STEP, end - at))
        rest = data.lstrip(b"\0")
        if rest:
            found = at + len(data) - len(rest)
            return max(at, found - found % 512)
        at += len(data)
    return end


def _end_of_part(image: Image, at: int, end: int) -> int:
    """Where a part that begins at `at` ends: before a long stretch that is stored nowhere, or at its largest."""
    stop = min(end, at + PIECE)
    mark = at
    while (mark := mark - mark % ALIGN + ALIGN) < stop:
        if image.data_from(mark) >= min(mark + ALIGN, end):
            return mark
    return stop


def _open(image: Image, start: int, size: int) -> BinaryIO:
    return open_chunks(_pour(image, start, size))


def _open_strictly(image: Image, start: int, size: int) -> BinaryIO:
    """The bytes of a volume whose structures failed: they end where the image does not give them."""
    return open_chunks(_pour_strictly(image, start, start + size))


def _pour_strictly(image: Image, start: int, end: int) -> Iterator[bytes]:
    for at in range(start, end, STEP):
        stop = min(at + STEP, end)
        try:
            yield image.read_at(at, stop - at)
        except EvidenceError:
            # Down to the page that cannot be read: that one raises again.
            for page in range(at, stop, PAGE):
                yield image.read_at(page, min(PAGE, stop - page))


def _pour(image: Image, start: int, size: int) -> Iterator[bytes]:
    """The bytes of a range, zeros for what cannot be read.

    Raises:
        EvidenceError: after the last byte, where there were such zeros.
    """
    view = Forgiving(image)
    for at in range(start, start + size, STEP):
        yield view.read_at(at, min(STEP, start + size - at))
    if view.first:
        raise EvidenceError(view.first.cause, f"{view.lost} bytes given as zeros: {view.first.message}")
