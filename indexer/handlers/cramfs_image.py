"""CramFS, the packed file system of small devices, in both byte orders.

Source: Linux, Documentation/filesystems/cramfs.rst and the layout in include/uapi/linux/cramfs_fs.h.
Limits: the format keeps no times; of the owner's number it keeps 16 bits, of the group's 8; blocks that lie
elsewhere or as they are (an extension of 2017) are told, not read; pages are taken to be of 4 KiB.
"""

from __future__ import annotations

import stat
import zlib
from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal, NamedTuple

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._archive import FILE, SYMLINK, Names, kind_of_mode
from indexer.handlers._streams import open_chunks
from indexer.model import Child, Fact, Field, Problem

LITTLE, BIG = b"\x45\x3d\xcd\x28", b"\x28\xcd\x3d\x45"
MARK = b"Compressed ROMFS"
HEAD, INODE, PAGE = 76, 12, 4096
ROOT = 64
CHECKED, EXTENDED = 1, 0x800
"""Flags: the superblock has size and CRC-32 of the image; blocks may be told of by pointers of another form."""
MOST_PACKED = 2 * PAGE
MOST_ENTRIES = 1_000_000
MOST_TARGET = 1 << 16
SCAN = 1 << 20
Order = Literal["little", "big"]


class Inode(NamedTuple):
    """One file or folder; `path` holds the raw names from the root down."""

    path: tuple[bytes, ...]
    mode: int
    user: int
    group: int
    size: int
    place: int


class CramfsImage(Handler):
    name = "cramfs"
    media_types = ("application/x-cramfs",)
    signatures = (Signature(LITTLE), Signature(BIG))
    suffixes = (".cramfs",)
    fields: ClassVar[Mapping[str, str]] = {
        "cramfs.name": "name of the volume",
        "file.kind": "what a member is where it is not a plain file",
        "file.link_target": "where a link points",
        "file.mode": "permission bits, octal",
        "archive.uid": "owner's number",
        "archive.gid": "group's number",
        "names.*": "how the names were decoded",
    }
    reads = "files with modes, owners and links; the checksum of the image compared"
    rank = 57
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if stream.head[16:32] == MARK and stream.size >= HEAD else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        order: Order = "little" if stream.head.startswith(LITTLE) else "big"
        size, flags = (int.from_bytes(stream.head[at : at + 4], order) for at in (4, 8))
        if name := stream.head[48:64].rstrip(b"\0"):
            yield Field("cramfs.name", name.decode("utf-8", "replace"))
        if flags & CHECKED and size > stream.size:
            message = f"{size - stream.size} bytes are missing at the end"
            yield Problem("truncated", message, resolution="read as far as it goes")
        elif flags & CHECKED and _crc(stream, size) != int.from_bytes(stream.head[32:36], order):
            yield Problem("corrupt", "the CRC-32 does not fit the image", resolution="read all the same")
        names = Names(part.path[-1] for part in _walk(stream, order) if isinstance(part, Inode))
        yield from names.fields()
        for part in _walk(stream, order):
            if isinstance(part, EvidenceError):
                yield part.problem("", "the rest is read")
            else:
                yield _child(stream, part, order, names, extended=bool(flags & EXTENDED))


def _crc(stream: Stream, size: int) -> int:
    """The CRC-32 of the image, reckoned with zeros in its own place."""
    crc = zlib.crc32(stream.at(36, HEAD - 36), zlib.crc32(bytes(4), zlib.crc32(stream.head[:32])))
    for at in range(HEAD, size, SCAN):
        crc = zlib.crc32(stream.at(at, min(SCAN, size - at)), crc)
    return crc


def _inode(data: bytes, order: Order, above: tuple[bytes, ...]) -> tuple[Inode, int]:
    """An inode without its name, and the length of that: bit fields, filled from the end that the order begins at."""
    mode, user = (int.from_bytes(data[at : at + 2], order) for at in (0, 2))
    sizes, places = (int.from_bytes(data[at : at + 4], order) for at in (4, 8))
    if order == "little":
        size, group, width, place = sizes & 0xFFFFFF, sizes >> 24, places & 63, places >> 6
    else:
        size, group, width, place = sizes >> 8, sizes & 0xFF, places >> 26, places & 0x3FFFFFF
    return Inode(above, mode, user, group, size, 4 * place), 4 * width


def _walk(stream: Stream, order: Order) -> Iterator[Inode | EvidenceError]:
    """Everything below the root, folder by folder; an entry comes once, however many folders hold it."""
    waiting, seen = [_inode(stream.at(ROOT, INODE), order, ())[0]], set[int]()
    while waiting:
        folder = waiting.pop()
        at, end = folder.place, folder.place + folder.size
        while at < end and at not in seen:
            if len(seen) >= MOST_ENTRIES:
                yield EvidenceError("limit", f"more than {MOST_ENTRIES} entries")
                return
            seen.add(at)
            head = stream.at(at, INODE)
            inode, width = _inode(head, order, folder.path)
            name = stream.at(at + INODE, width)
            if len(head) < INODE or len(name) < width:
                yield EvidenceError("truncated", f"a folder breaks off at {at}")
                break
            if not name.strip(b"\0"):
                yield EvidenceError("corrupt", f"an entry without a name at {at}")
                break
            inode = inode._replace(path=(*folder.path, name.rstrip(b"\0")))
            yield inode
            if stat.S_ISDIR(inode.mode) and inode.size:
                waiting.append(inode)
            at += INODE + width


def _child(stream: Stream, inode: Inode, order: Order, names: Names, *, extended: bool) -> Child:
    kind = kind_of_mode(inode.mode)
    fields = [] if kind == FILE else [Field("file.kind", kind)]
    problems: list[Problem] = []
    if kind == SYMLINK:
        try:
            if inode.size > MOST_TARGET:
                raise EvidenceError("corrupt", f"a link's target of {inode.size} bytes")
            target = b"".join(_content(stream, inode, order, extended))
            fields.append(Field("file.link_target", Names((target,)).decode(target)))
        except EvidenceError as error:
            problems.append(error.problem(""))
    fields.append(Field("file.mode", f"{inode.mode & 0o7777:04o}"))
    fields += [Field("archive.uid", str(inode.user)), Field("archive.gid", str(inode.group))]
    return Child(
        "/".join(map(names.decode, inode.path)),
        b"/".join(inode.path),
        (lambda: open_chunks(_content(stream, inode, order, extended))) if kind == FILE else None,
        fields=tuple(fields),
        problems=tuple(problems),
    )


def _content(stream: Stream, inode: Inode, order: Order, extended: bool) -> Iterator[bytes]:
    """The blocks of a file; the places of their ends stand in front of them.

    Raises:
        EvidenceError: after the last good block.
    """
    count = -(-inode.size // PAGE)
    at = inode.place + 4 * count
    for number in range(count):
        pointer = stream.at(inode.place + 4 * number, 4)
        end = int.from_bytes(pointer, order)
        if extended and end >> 30:
            raise EvidenceError("unsupported", "a block that lies elsewhere, or as it is")
        if len(pointer) < 4 or end > stream.size:
            raise EvidenceError("truncated", f"the block {number} lies behind the end")
        wanted = min(PAGE, inode.size - number * PAGE)
        if not 0 <= end - at <= MOST_PACKED:
            raise EvidenceError("corrupt", f"the block {number} has no size that can be")
        yield _block(stream.at(at, end - at), wanted, number) if end > at else bytes(wanted)
        at = end


def _block(packed: bytes, wanted: int, number: int) -> bytes:
    try:
        data = zlib.decompressobj().decompress(packed, wanted)
    except zlib.error as error:
        raise EvidenceError("corrupt", f"the block {number} does not unpack") from error
    if len(data) < wanted:
        raise EvidenceError("corrupt", f"the block {number} unpacks to {len(data)} of {wanted} bytes")
    return data
