"""ext2, ext3 and ext4: names, deleted entries and inodes, holes, links, free blocks.

Source: Linux, Documentation/filesystems/ext4 (super block, group descriptors, inodes, extent tree,
    directory entries, inline data); The Second Extended File System (D. Poirier, 2001-2019).
Limits: the journal is not replayed. An ext4 inode that was deleted has lost its extents: its times are
    told, its bytes are among the unallocated ones. In encrypted folders
    the names are told in hexadecimal, as encrypted; the bytes are kept as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import unpack_from
from uuid import UUID

from indexer.errors import EvidenceError
from indexer.handlers._archive import FILE, FOLDER, SYMLINK, kind_of_mode
from indexer.handlers._fs_ext_inodes import INODE_ENCRYPTED, INODE_EXTENTS, INODE_INLINE, Entry, Ext, Inode, parse_inode
from indexer.handlers._fs_parts import (
    HOLE,
    MOST_DEPTH,
    MOST_FOLDER,
    ORPHANS,
    NameBytes,
    Run,
    Told,
    Volume,
    check_size,
    gather,
    kind_field,
    lost,
    member,
    open_bytes,
    opener,
    reused,
    stored,
    unallocated,
    zero_bits,
)
from indexer.model import Child, Fact, Field, Problem
from indexer.timestamps import from_unix

_FLAGS = (
    (0x4, "compressed"),
    (0x8, "synchronous"),
    (0x10, "immutable"),
    (0x20, "append only"),
    (INODE_ENCRYPTED, "encrypted"),
    (INODE_INLINE, "inline"),
)
_MOST_TARGET = 4096
_ROOT = 2


def walk_ext(volume: Volume, prefix: str) -> Iterator[Fact]:
    """The volume's fields, its members folder by folder, deleted inodes without a name, the free blocks."""
    ext = Ext(volume)
    block = ext.super
    yield Field("filesystem.kind", ext.kind)
    yield Field("filesystem.block_size", ext.unit)
    yield from check_size(volume, ext.blocks * ext.unit)
    yield Field("filesystem.uuid", str(UUID(bytes=block[104:120])))
    if label := block[120:136].partition(b"\0")[0]:
        yield Field("filesystem.label", NameBytes().decode(label))
    if mounted := block[136:200].partition(b"\0")[0]:
        yield Field("filesystem.mounted_on", NameBytes().decode(mounted))
    mount, write = unpack_from("<II", block, 44)
    for kind, seconds, origin in (
        ("B", unpack_from("<I", block, 0x108)[0], "created"),
        ("M", write, "written"),
        ("mounted", mount, "mounted"),
        ("checked", unpack_from("<I", block, 64)[0], "checked"),
    ):
        if seconds and (stamp := from_unix(kind, seconds, f"ext.{origin}")):
            yield stamp
    if unpack_from("<I", block, 96)[0] & 0x4:
        message = "ext: the journal was not written back; what it holds is not applied"
        yield Problem("corrupt", message, resolution="read as the blocks stand")
    folders, named = _folders(ext)
    yield from ext.names.fields()
    for inode, path, raw_path, gone in folders:
        for entry in ext.folder(inode):
            yield _tell(ext, prefix, path + ext.names.decode(entry.raw), raw_path + entry.raw, entry, gone)
    yield from _orphans(ext, prefix, named)
    yield from unallocated(volume, prefix, _free(ext))


def _folders(ext: Ext) -> tuple[list[tuple[Inode, str, bytes, bool]], set[int]]:
    """Every folder with its path, and all inodes that have a name; names vote on the way."""
    found: list[tuple[Inode, bytes, bool]] = []
    named: set[int] = set()
    root = ext.inode(_ROOT)
    if root is None:
        raise EvidenceError("corrupt", "ext: there is no root folder")
    waiting = [(root, b"", False)]
    seen = {_ROOT}
    while waiting:
        inode, path, gone = waiting.pop()
        found.append((inode, path, gone))
        below = []
        for entry in ext.folder(inode):
            ext.names.see(entry.raw)
            child = None if entry.inode in seen else ext.inode(entry.inode)
            if not entry.deleted or (child and child.is_gone):
                named.add(entry.inode)
            if child and child.mode >> 12 == 4 and path.count(b"/") < MOST_DEPTH:
                lost_name = entry.deleted or gone
                if not lost_name or child.is_gone:
                    seen.add(entry.inode)
                    below.append((child, path + entry.raw + b"/", lost_name))
        waiting += reversed(below)
    return [
        (inode, "/".join(map(ext.names.decode, path.split(b"/"))), path, gone) for inode, path, gone in found
    ], named


def _tell(ext: Ext, prefix: str, path: str, raw: bytes, entry: Entry, gone: bool) -> Child:
    inode = ext.inode(entry.inode)
    deleted = entry.deleted or gone
    if inode is None:
        problem = Problem("corrupt", f"inode {entry.inode} is not on the volume")
        fields: Told = {"file.inode": entry.inode, "file.deleted": True if deleted else None}
        return member(prefix, path, raw, fields=fields, problems=(problem,))
    if deleted and not inode.is_gone:
        problems = lost(f"inode {entry.inode} belongs to another file now")
        return member(prefix, path, raw, fields={"file.inode": entry.inode, "file.deleted": True}, problems=problems)
    return _tell_inode(ext, prefix, path, raw, inode, deleted)


def _tell_inode(ext: Ext, prefix: str, path: str, raw: bytes | None, inode: Inode, deleted: bool) -> Child:
    kind = kind_of_mode(inode.mode)
    opening = target = None
    problems: tuple[Problem, ...] = ()
    if kind == SYMLINK:
        target = ext.names.decode(_target(ext, inode))
    elif kind == FILE:
        if inode.flags & INODE_ENCRYPTED:
            problems = (Problem("encrypted", "the file is encrypted by a key of its folder", resolution="kept as is"),)
        inside = (inode.held + inode.extra)[: inode.size] if inode.flags & INODE_INLINE else None
        if inside is not None:
            opening = open_bytes(inside)
        elif deleted and inode.size and not any(run.at != HOLE for run in ext.runs(inode)):
            problems = lost("the inode no longer tells where its bytes are")
        elif deleted and not inode.size:
            problems = lost("size and place of the bytes were cleared")
        elif deleted and (used := ext.used(ext.runs(inode))):
            held = stored(ext.runs(inode))
            problems = reused(used, held) if used < held else lost("all its blocks are in use again")
            opening = opener(ext.volume, ext.runs(inode), inode.size) if used < held else None
        else:
            opening = opener(ext.volume, ext.runs(inode), inode.size)
    fields: Told = {
        "file.kind": kind_field(kind),
        "file.link_target": target,
        "file.deleted": True if deleted else None,
        "file.inode": inode.number,
        "file.generation": inode.generation or None,
        "file.mode": f"{inode.mode & 0o7777:04o}",
        "file.uid": inode.uid,
        "file.gid": inode.gid,
        "file.links": inode.links if inode.links > 1 and kind != FOLDER else None,
        "file.flags": ", ".join(name for bit, name in _FLAGS if inode.flags & bit) or None,
        "file.allocated": ext.allocated(inode) if kind == FILE and not deleted else None,
    }
    return member(prefix, path, raw, opening=opening, stamps=inode.stamps, fields=fields, problems=problems)


def _target(ext: Ext, inode: Inode) -> bytes:
    """Where a symbolic link points: short targets stand in the inode."""
    size = min(inode.size, _MOST_TARGET)
    if size < 60 and not inode.flags & INODE_EXTENTS:
        return inode.held[:size]
    if inode.flags & INODE_INLINE:
        return (inode.held + inode.extra)[:size]
    return gather(ext.volume, ext.runs(inode), size)


def _orphans(ext: Ext, prefix: str, named: set[int]) -> Iterator[Child]:
    """Inodes that were in use once and that no entry names."""
    first = max(_ROOT + 1, unpack_from("<I", ext.super, 84)[0] if unpack_from("<I", ext.super, 76)[0] else 11)
    per_read = max(1, MOST_FOLDER // 64 // ext.inode_size)
    for group in range(ext.groups):
        try:
            _, _, table, flags = ext.group(group)
        except EvidenceError:
            return
        if flags & 1 and ext.read_only & 0x410:
            continue
        for start in range(0, ext.inodes_per_group, per_read):
            count = min(per_read, ext.inodes_per_group - start)
            data = gather(
                ext.volume, [Run(table * ext.unit + start * ext.inode_size, count * ext.inode_size)],
                count * ext.inode_size,
            )  # fmt: skip
            if not data.strip(b"\0"):
                continue
            for index in range(len(data) // ext.inode_size):
                number = group * ext.inodes_per_group + start + index + 1
                if number > ext.inodes:
                    return
                raw = data[index * ext.inode_size : (index + 1) * ext.inode_size]
                if number < first or number in named or raw[1] >> 4 not in (4, 8, 10):
                    continue
                inode = parse_inode(number, raw)
                yield _tell_inode(ext, prefix, f"{ORPHANS}/inode-{number}", None, inode, inode.is_gone)


def _free(ext: Ext) -> Iterator[Run]:
    held: dict[int, list[tuple[int, int]]] = {}
    for group in range(ext.groups):
        try:
            bitmap, _, _, flags = ext.group(group)
        except EvidenceError:
            return
        start = ext.first + group * ext.per_group
        count = min(ext.per_group, ext.blocks - start)
        if flags & 2 and ext.read_only & 0x410:
            held = held or _metadata(ext)
            bits = bytearray((count // ext.cluster + 8) // 8)
            for at, size in held.get(group, ()):
                for block in range(max(at, start), min(at + size, start + count)):
                    bit = (block - start) // ext.cluster
                    bits[bit // 8] |= 1 << bit % 8
            data = bytes(bits)
        else:
            data = gather(ext.volume, [Run(bitmap * ext.unit, ext.unit)], (count + 7) // 8)
        for first, size in zero_bits(data, count // ext.cluster):
            yield Run((start + first * ext.cluster) * ext.unit, size * ext.cluster * ext.unit)


def _metadata(ext: Ext) -> dict[int, list[tuple[int, int]]]:
    """Blocks that hold structures, by the group they lie in: bitmaps that were never written do not tell."""
    held: dict[int, list[tuple[int, int]]] = {}
    reserved = unpack_from("<H", ext.super, 0xCE)[0]
    descriptors = -(-ext.groups * ext.descriptor // ext.unit)
    table_blocks = -(-ext.inodes_per_group * ext.inode_size // ext.unit)
    for group in range(ext.groups):
        if ext.has_super(group):
            held.setdefault(group, []).append((ext.first + group * ext.per_group, 1 + descriptors + reserved))
        try:
            bitmap, inodes, table, _ = ext.group(group)
        except EvidenceError:
            break
        for at, size in ((bitmap, 1), (inodes, 1), (table, table_blocks)):
            home = (at - ext.first) // ext.per_group
            for near in range(home, (at + size - 1 - ext.first) // ext.per_group + 1):
                held.setdefault(near, []).append((at, size))
    return held
