"""ISO 9660 images: files by Rock Ridge, Joliet or plain names, links, boot images, UDF.

Where a disc holds several trees, the one with the best names is given, and of the others only what it
does not hold; of the sessions before the last what the last does not show any more.

Source: ECMA-119; Joliet Specification of 1995; IEEE P1282 (Rock Ridge); ECMA-167 (UDF).
Limits: of UDF, only the last session is read; what lies in no file is not given; of UDF, the streams of the
volume itself are not read, nor is the second copy of the metadata but where the first is gone.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from typing import BinaryIO, ClassVar

from indexer.errors import EvidenceError
from indexer.handler import CONTROLS, Handler, Stream
from indexer.handlers._archive import FIELDS, FILE, FOLDER, SYMLINK, Names, kind_of_mode
from indexer.handlers._iso import (
    FIRST,
    PIECE,
    SECTOR,
    Record,
    Volume,
    boot_images,
    long_time,
    read_extents,
    unpack_zisofs,
    walk,
)
from indexer.handlers._iso_sessions import Session, first_session, gaps_in, sessions_in
from indexer.handlers._streams import open_chunks, open_slice
from indexer.handlers._udf import Node, Udf
from indexer.handlers._udf_tree import Tree
from indexer.handlers._udf_values import name_of
from indexer.model import Child, Fact, Field, Problem

UDF_MARKS = (b"NSR02", b"NSR03")
LABELS = {
    "iso.system": (8, 40),
    "iso.volume": (40, 72),
    "iso.volume_set": (190, 318),
    "iso.publisher": (318, 446),
    "iso.preparer": (446, 574),
    "iso.application": (574, 702),
}
_NO_ONE = 0xFFFFFFFF
TIMES = (("B", "created", 813), ("M", "modified", 830))


class IsoImage(Handler):
    name = "iso"
    version = 6
    media_types = ("application/x-iso9660-image", "application/vnd.efi.iso")
    suffixes = (".iso", ".udf", ".cdr")
    holds = CONTROLS
    fields: ClassVar[Mapping[str, str]] = {
        **FIELDS,
        "iso.volume": "name of the volume",
        "iso.volume_set": "name of the set of volumes",
        "iso.system": "system that is to use it",
        "iso.publisher": "who published it",
        "iso.preparer": "who or what prepared it",
        "iso.application": "program that wrote it",
        "iso.tree": "whose names the members have: rock-ridge, joliet, plain, udf",
        "iso.sessions": "sessions with a tree of their own",
        "iso.session": "the session that holds it, where it is not the last",
        "iso.hidden": "the directory hides the file",
        "iso.uid": "owner's number",
        "iso.gid": "group's number",
        "iso.device": "major and minor number of a device",
        "iso.packed_size": "bytes in the image, of a file that zisofs packed",
    }
    reads = "files and folders by their best names, with times and owners; links; boot images; UDF"
    rank = 58
    container = True

    def claims(self, stream: Stream) -> str | None:
        if stream.size < FIRST + 2048:
            return None
        mark = stream.at(FIRST, 6)[1:]
        return self.media_types[0] if mark == b"CD001" or (mark == b"BEA01" and _has_udf(stream)) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        first = first_session(stream)
        later = list(sessions_in(stream, first.end, -(-stream.size // SECTOR))) if first.volumes else []
        last = later[-1] if later else first
        volumes, catalogue = last.volumes, last.catalogue
        if volumes:
            yield from _labels(volumes)
        elif not _has_udf(stream):
            raise EvidenceError("corrupt", "no descriptor of a volume stands in sector 16")
        seen: set[int] = set()
        linked: set[str] = set()
        spans: list[tuple[int, int]] = []
        if _has_udf(stream):
            yield from _read_udf(stream, seen, linked, has_others=bool(volumes))
        for tree, volume in _by_names(stream, volumes):
            yield from _read_tree(stream, tree, volume, seen, linked, spans)
        if volumes:
            yield from _read_before(stream, [first, *later], seen, linked, spans)
        for number, (start, size) in enumerate(boot_images(stream, catalogue) if catalogue else [], 1):
            if start not in seen:
                name = f"[boot image {number}]"
                opening = partial(_open, stream, 2048, Record((), 0, [(start, size)], []))
                yield Child(name, name.encode(), opening, fields=(Field("file.kind", "boot-image"),))


def _read_before(
    stream: Stream, known: list[Session], seen: set[int], linked: set[str], spans: list[tuple[int, int]]
) -> Iterator[Fact]:
    """What the sessions before the last hold that it does not show, the newest first.

    Args:
        known: the session of the first descriptors, and those that stand behind it.
        spans: where the files of the last one lie; descriptors in them belong to images among the files.
    """
    within = (each for gap in gaps_in(spans, min(known[0].end, known[-1].end)) for each in sessions_in(stream, *gap))
    sessions = {each.root: each for each in (*within, *known)}  # the last one's descriptors may stand twice
    if len(sessions) < 2:
        return
    yield Field("iso.sessions", len(sessions))
    in_order = sorted(sessions.values(), key=lambda each: each.volumes[0].base + each.root)
    for number, session in reversed(list(enumerate(in_order, 1))):
        if session is known[-1]:
            continue
        marks = (Field("iso.session", number), Field("file.deleted", True))
        for tree, volume in _by_names(stream, session.volumes):
            yield from _read_tree(stream, tree, volume, seen, linked, [], marks)


def _has_udf(stream: Stream) -> bool:
    return any(stream.at(FIRST + number * 2048, 6)[1:] in UDF_MARKS for number in range(16))


def _labels(volumes: list[Volume]) -> Iterator[Fact]:
    best = next((volume for volume in volumes if volume.joliet), volumes[0])
    for name, (start, end) in LABELS.items():
        raw = best.text(start, end)
        text = raw.decode("utf-16-be", "replace").rstrip(" \0") if best.joliet else Names((raw,)).decode(raw)
        if text.strip():
            yield Field(name, text)
    for kind, origin, at in TIMES:
        if stamp := long_time(kind, best.data[at : at + 17], f"iso.{origin}"):
            yield stamp


def _by_names(stream: Stream, volumes: list[Volume]) -> list[tuple[str, Volume]]:
    """The trees, the one with the best names first."""
    trees = []
    for volume in volumes:
        first = next((record for record in walk(stream, volume) if isinstance(record, Record)), None)
        rock = first is not None and first.rock
        trees.append(("rock-ridge" if rock else "joliet" if volume.joliet else "plain", volume))
    order = ("rock-ridge", "joliet", "plain")
    return sorted(trees, key=lambda tree: order.index(tree[0]))


def _read_udf(stream: Stream, seen: set[int], linked: set[str], *, has_others: bool) -> Iterator[Fact]:
    """The tree of UDF; `seen` is told where its files lie, `linked` which names are links."""
    try:
        udf = Udf(stream)
    except EvidenceError as error:
        yield error.problem("", "the other trees of the disc are read" if has_others else "")
        return
    if udf.label and not has_others:
        yield Field("iso.volume", udf.label)
    is_told = False
    reached = 0
    for part in Tree(udf).walk():
        if isinstance(part, EvidenceError):
            yield part.problem("", "the rest is read")
            continue
        if not is_told:
            is_told = True
            yield Field("iso.tree", "udf")
        if not part.deleted:
            reached = max(reached, *(start + size for start, size in part.extents), 0)
            seen.update(start // SECTOR for start, _ in part.extents if start >= 0 and not start % SECTOR)
        seen.add(-1)
        child = _udf_child(stream, part)
        if part.link:
            linked.add(child.name)
        yield child
    if reached > stream.size:
        yield _cut_off(stream, reached)


def _udf_child(stream: Stream, node: Node) -> Child:
    name, raw = "/".join(map(name_of, node.path)), b"/".join(node.path)
    kind = node.kind
    if node.stream:
        name, raw, kind = f"{name}:{name_of(node.stream)}", raw + b":" + node.stream, "stream"
    fields = [Field("file.kind", kind)] if kind != FILE else []
    if node.link:
        fields.append(Field("file.link_target", node.link))
    if node.mode >= 0:
        fields += _rights(node.mode, node.owner)
    if node.device:
        fields.append(Field("iso.device", ", ".join(map(str, node.device))))
    if node.hidden:
        fields.append(Field("iso.hidden", True))
    if node.deleted:
        fields.append(Field("file.deleted", True))
    opening: Callable[[], BinaryIO] | None = None
    if node.kind == FILE and not node.lost:
        opening = partial(_open_node, stream, node)
    return Child(name, raw, opening, tuple(node.times), tuple(fields), node.problems)


def _open_node(stream: Stream, node: Node) -> BinaryIO:
    if node.inline is not None:
        return io.BytesIO(node.inline)
    if len(node.extents) == 1 and node.extents[0][0] >= 0:
        return open_slice(stream, *node.extents[0])()
    return open_chunks(_node_chunks(stream, node))


def _node_chunks(stream: Stream, node: Node) -> Iterator[bytes]:
    """The bytes of a file, zeros where none are recorded.

    Raises:
        EvidenceError: truncated, after the last byte there is.
    """
    for start, size in node.extents:
        if start >= 0:
            yield from read_extents(stream, 1, [(start, size)])
            continue
        for at in range(0, size, PIECE):
            yield bytes(min(PIECE, size - at))
    if missing := node.size - sum(size for _, size in node.extents):
        raise EvidenceError("truncated", f"{missing} bytes are in no extent")


def _cut_off(stream: Stream, reached: int) -> Problem:
    message = f"files reach to {reached}, the image ends at {stream.size}"
    return Problem("truncated", message, resolution="kept so far")


def _read_tree(
    stream: Stream,
    tree: str,
    volume: Volume,
    seen: set[int],
    linked: set[str],
    spans: list[tuple[int, int]],
    marks: tuple[Field, ...] = (),
) -> Iterator[Fact]:
    """One tree; what was given before, at the same extent or as a link of the same name, is left out."""
    first = not seen
    if first:
        yield Field("iso.tree", tree)
    names = _TreeNames(stream, volume)
    reached, found = 0, {-1}
    for part in walk(stream, volume):
        if isinstance(part, EvidenceError):
            if first:
                yield part.problem("", "the rest is read")
            continue
        # An empty file has no place, whatever its record says.
        reached = max(reached, *(start * volume.block + size for start, size in part.extents if size), 0)
        spans += part.extents
        is_link = part.link is not None
        if not first and not is_link and (part.folder or not part.size or part.extents[0][0] in seen):
            continue
        raw, name = _name(part, volume, names)
        if is_link and not first and name in linked:
            continue
        if is_link:
            linked.add(name)
        yield _child(stream, volume, part, raw, name, names, marks)
        found.update(start for start, size in part.extents if size)
    seen.update(found)
    if first:
        yield from names.fields()
    if first and reached > stream.size:
        yield _cut_off(stream, reached)


class _TreeNames:
    """Where a name is not ASCII, all of the tree vote on what it is."""

    def __init__(self, stream: Stream, volume: Volume) -> None:
        self._stream = stream
        self._volume = volume
        self._names: Names | None = None

    def decode(self, raw: bytes) -> str:
        """A name, or the target of a link, as text."""
        if raw.isascii():
            return raw.decode("ascii")
        if self._names is None:
            found = walk(self._stream, self._volume)
            self._names = Names(b"/".join(part.path) for part in found if isinstance(part, Record))
        return self._names.decode(raw)

    def fields(self) -> tuple[Field, ...]:
        """How the names were decoded, where they were not all plain ASCII."""
        return self._names.fields() if self._names else ()


def _name(record: Record, volume: Volume, names: _TreeNames) -> tuple[bytes, str]:
    if volume.joliet:
        raw = b"\0/".join(record.path)
        return raw, "/".join(part.decode("utf-16-be", "replace") for part in record.path).removesuffix(";1")
    raw = b"/".join(record.path)
    name = names.decode(raw)
    return raw, name if record.rock or record.folder else name.removesuffix(";1").removesuffix(".")


def _child(
    stream: Stream,
    volume: Volume,
    record: Record,
    raw: bytes,
    name: str,
    names: _TreeNames,
    marks: tuple[Field, ...],
) -> Child:
    kind = FOLDER if record.folder else FILE
    if record.mode is not None and not record.folder:
        kind = kind_of_mode(record.mode)
    if record.link is not None:
        kind = SYMLINK
    fields = [Field("file.kind", kind)] if kind != FILE else []
    if record.link is not None:
        fields.append(Field("file.link_target", names.decode(record.link.replace(b"\0", b""))))
    if record.mode is not None:
        fields += _rights(record.mode, record.owner)
    if record.device:
        fields.append(Field("iso.device", ", ".join(map(str, record.device))))
    if record.flags & 1:
        fields.append(Field("iso.hidden", True))
    if record.unpacked is not None:
        fields.append(Field("iso.packed_size", record.size))
    opening: Callable[[], BinaryIO] | None = None
    problems: tuple[Problem, ...] = ()
    if any(start < 0 for start, size in record.extents if size):
        problems = (Problem("truncated", "lies in a session before, which this image does not hold"),)
    elif kind == FILE:
        opening = partial(_open, stream, volume.block, record)
    return Child(name, raw, opening, tuple(record.times), (*fields, *marks), problems)


@lru_cache(maxsize=1024)
def _rights(mode: int, owner: tuple[int, ...]) -> tuple[Field, ...]:
    """What the members of a disc mostly share."""
    named = zip(("iso.uid", "iso.gid"), owner, strict=False)
    owners = (Field(name, number) for name, number in named if number != _NO_ONE)
    return Field("file.mode", f"{mode & 0o7777:04o}"), *owners


def _open(stream: Stream, block: int, record: Record) -> BinaryIO:
    if record.unpacked is not None:
        return open_chunks(unpack_zisofs(stream, block, record))
    start, size = record.extents[0]
    if len(record.extents) == 1 and size <= PIECE and len(data := stream.at(start * block, size)) == size:
        return io.BytesIO(data)
    return open_chunks(read_extents(stream, block, record.extents))
