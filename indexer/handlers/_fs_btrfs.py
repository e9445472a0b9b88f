"""Btrfs: subvolumes and snapshots, compressed files, holes, files that only earlier trees hold, free space.

Source: Btrfs documentation, "On-disk Format" and "Compression" (btrfs.readthedocs.io).
Limits: the log of the last moments is not replayed; extended attributes are not given; checksums of
    files' bytes are not compared, those of structures are. Of a snapshot only what differs from the
    subvolume it was taken from, and from the snapshot before it, is given. Deleted files are found as
    long as the four earlier trees that the super block tells of hold them. Of a file system of several
    devices, what is mirrored is read from the one at hand; stripes are not put together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import unpack_from
from typing import BinaryIO
from uuid import UUID

from msgspec import Struct

from indexer.errors import EvidenceError
from indexer.handlers._archive import FILE, FOLDER, SYMLINK, kind_of_mode
from indexer.handlers._fs_btrfs_data import (
    FIRST_FREE,
    LONG_REF,
    REF,
    Inode,
    content,
    held,
    inodes,
    read_names,
    stamp_of,
)
from indexer.handlers._fs_btrfs_space import Space
from indexer.handlers._fs_btrfs_trees import LAST, Pointer, Trees
from indexer.handlers._fs_parts import (
    MOST_DEPTH,
    ORPHANS,
    NameBytes,
    Told,
    Volume,
    check_size,
    kind_field,
    lost,
    member,
    reused,
    unallocated,
)
from indexer.handlers._streams import open_chunks
from indexer.model import Child, Fact, Field, Problem

_TOP, _TOP_FOLDER = 5, 256
_ROOT_ITEM, _BACKREF, _INDEX = 132, 144, 96
_ROOT_SIZE, _ROOT_OLD = 439, 239
_FLAGS = (
    (0x2, "no copy on write"),
    (0x4, "read-only"),
    (0x8, "not compressed"),
    (0x20, "synchronous"),
    (0x40, "immutable"),
    (0x80, "append only"),
    (0x100, "no dump"),
    (0x800, "compressed"),
    (0x100000000, "sealed"),
)
_MOST_TARGET = 4096
_MOST_PATHS = 32 << 20
"""Bytes of the paths of folders that are kept to be looked up again."""
_MOST_PLACE = 4096
_MOST_ROOTS = 1 << 16


class _Root(Struct, frozen=True):
    """A subvolume: its tree, its item in the tree of roots, and where it stands."""

    number: int
    tree: Pointer
    raw: bytes
    parent: int = 0
    folder: int = 0
    name: bytes = b""

    @property
    def uuid(self) -> bytes:
        return self.raw[247:263]

    @property
    def origin(self) -> bytes:
        """The identifier of the subvolume of which this is a snapshot; none where it is none."""
        return self.raw[263:279].strip(b"\0") and self.raw[263:279]

    @property
    def is_dropped(self) -> bool:
        return not unpack_from("<I", self.raw, 216)[0]


class _Paths:
    """The folders of one tree, by their numbers, each looked up once."""

    def __init__(self, trees: Trees, tree: Pointer) -> None:
        self._trees = trees
        self._tree = tree
        self._known: dict[int, bytes] = {}
        self._size = 0

    def of(self, folder: int) -> bytes:
        """The path of a folder with a stroke at its end; below a folder of ours where it has lost its own."""
        above: list[tuple[int, bytes]] = []
        here = folder
        path = b""
        met = {folder}
        while here != _TOP_FOLDER:
            if here in self._known:
                path = self._known[here]
                break
            low, high = (here, REF, 0), (here, LONG_REF, LAST)
            items = self._trees.items(self._tree, low, high, told=False)
            parent, name = next((pair for item in items for pair in read_names(item)), (0, b""))
            if not parent or parent in met or len(above) >= MOST_DEPTH:
                path = f"{ORPHANS}/inode-{here}/".encode()
                self._known[here] = path
                break
            met.add(parent)
            above.append((here, name))
            here = parent
        if self._size > _MOST_PATHS:
            self._known.clear()
            self._size = 0
        for number, name in reversed(above):
            path += name + b"/"
            self._known[number] = path
            self._size += len(path) + 100
        return path


class _Btrfs:
    def __init__(self, volume: Volume) -> None:
        self.volume = volume
        self.trees = Trees(volume)
        self.names = NameBytes()
        self.told: set[int] = set()
        """Tree blocks whose inodes were given."""
        self.space = Space(self.trees)

    def roots(self, pointer: Pointer, *, told: bool = True) -> dict[int, _Root]:
        """The subvolumes that a tree of roots lists; what the file system keeps for itself is left out."""
        found: dict[int, _Root] = {}
        for (number, kind, offset), data in self.trees.items(pointer, told=told):
            if kind == _ROOT_ITEM and number == 2 and told and len(data) >= _ROOT_OLD:
                self.space.tree = _tree_of(data)
            if number != _TOP and not _TOP_FOLDER <= number < FIRST_FREE:
                continue
            if kind == _ROOT_ITEM and len(data) >= _ROOT_OLD:
                found[number] = _Root(number, _tree_of(data), data.ljust(_ROOT_SIZE, b"\0"))
            elif kind == _BACKREF and number in found and len(data) > 18:
                size = unpack_from("<H", data, 16)[0]
                old = found[number]
                folder = unpack_from("<Q", data)[0]
                found[number] = _Root(number, old.tree, old.raw, offset, folder, data[18 : 18 + size])
            if len(found) > _MOST_ROOTS:
                raise EvidenceError("limit", f"Btrfs: more than {_MOST_ROOTS} subvolumes")
        return found

    def place(self, root: _Root, roots: dict[int, _Root], known: dict[int, bytes]) -> bytes:
        """The path of a subvolume with a stroke at its end; nothing for the topmost. Paths are `known` once found."""
        chain = [root]
        met = {root.number}
        path = b""
        while chain[-1].number != _TOP and chain[-1].number not in known:
            here = chain[-1]
            above = roots.get(here.parent)
            if above is None or not here.name or above.number in met or len(met) > MOST_DEPTH:
                known[here.number] = f"{ORPHANS}/subvolume-{here.number}/".encode()
                break
            met.add(above.number)
            chain.append(above)
        path = known.setdefault(chain[-1].number, b"")
        for above, here in zip(chain[:0:-1], chain[-2::-1], strict=True):
            path += _Paths(self.trees, above.tree).of(here.folder) + here.name + b"/"
            if len(path) > _MOST_PLACE:
                path = f"{ORPHANS}/subvolume-{here.number}/".encode()
            known[here.number] = path
        return path

    def show(self, raw: bytes) -> str:
        """A path as text."""
        return "/".join(map(self.names.decode, raw.split(b"/")))

    def inode(self, tree: Pointer, number: int) -> Inode | None:
        """An inode with all its names, by its number."""
        return next(inodes(self.trees, tree, number=number, told=False), None)


def _tree_of(data: bytes) -> Pointer:
    return Pointer(unpack_from("<Q", data, 176)[0], unpack_from("<Q", data, 160)[0], data[238])


def walk_btrfs(volume: Volume, prefix: str) -> Iterator[Fact]:
    """The volume's fields, its subvolumes with their members, what only earlier trees hold, the free space."""
    fs = _Btrfs(volume)
    trees = fs.trees
    head = trees.head
    yield Field("filesystem.kind", "Btrfs")
    yield Field("filesystem.block_size", trees.unit)
    yield from check_size(volume, unpack_from("<Q", head, 0xC9 + 8)[0])
    yield Field("filesystem.uuid", str(UUID(bytes=trees.fsid)))
    if label := head[0x12B:0x22B].partition(b"\0")[0]:
        yield Field("filesystem.label", fs.names.decode(label))
    if trees.trouble:
        yield Problem("corrupt", f"Btrfs: {trees.trouble}", resolution="read as it stands")
    if trees.devices > 1:
        message = f"the file system has {trees.devices} devices, one of them is at hand"
        yield Problem("unsupported", message, resolution="what lies on this one is read")
    if unpack_from("<Q", head, 0x60)[0]:
        message = "Btrfs: the log was not written back; what it holds is not applied"
        yield Problem("corrupt", message, resolution="read as the trees stand")
    listed = [trees.root(), *trees.backups()]
    current = next((each for each in listed if trees.block(each, told=each == listed[0])), None)
    if current is None:
        why = next(iter(trees.damaged.values()), "it is not there")
        raise EvidenceError("corrupt", f"Btrfs: there is no tree of roots that can be read: {why}")
    if current != listed[0]:
        message = f"Btrfs: the tree of roots is damaged; the one of generation {current.generation} is read"
        yield Problem("corrupt", message)
    roots = fs.roots(current)
    places: dict[int, bytes] = {}
    for root in roots.values():
        fs.place(root, roots, places)
    met: set[int] = set()
    for root in roots.values():
        for item in trees.items(root.tree, seen=met):
            if item.key[1] in (REF, LONG_REF):
                for _, name in read_names(item):
                    fs.names.see(name)
    yield from fs.names.fields()
    whole = trees.misses == 0
    sources = {root.uuid: root.number for root in roots.values()}
    kin: dict[bytes, list[_Root]] = {}
    for root in roots.values():
        if root.number != _TOP:
            yield _tell_root(fs, prefix, root, places, sources)
        others = kin.get(root.origin, []) if root.origin else []
        yield from _tell_tree(fs, prefix, root, places[root.number], others)
        for mark in (root.uuid, root.origin):
            kin[mark] = [*kin.get(mark, [])[:1], root]
    met = set()
    for pointer in listed:
        if pointer.generation < current.generation:
            yield from _tell_earlier(fs, prefix, pointer, roots, whole, met)
    yield from unallocated(volume, prefix, fs.space.free())
    if trees.damaged:
        place, why = min(trees.damaged.items())
        message = f"Btrfs: {len(trees.damaged)} tree blocks are damaged; of the one at address {place}: {why}"
        yield Problem("corrupt", message, resolution="what they tell of is left out")


def _tell_root(fs: _Btrfs, prefix: str, root: _Root, places: dict[int, bytes], sources: dict[bytes, int]) -> Child:
    """The member that stands for a subvolume."""
    raw = places[root.number].rstrip(b"/")
    taken = None
    if root.origin:
        source = sources.get(root.origin)
        taken = (fs.show(places[source].rstrip(b"/")) or "/") if source else str(UUID(bytes=root.origin))
    times = (("B", "root.otime", 339), ("C", "root.ctime", 327), ("received", "root.rtime", 363))
    told: Told = {
        "file.kind": "snapshot" if root.origin else "subvolume",
        "file.deleted": True if root.is_dropped else None,
        "file.flags": "read-only" if root.raw[208] & 1 else None,
        "filesystem.snapshot_of": taken,
        "filesystem.uuid": str(UUID(bytes=root.uuid)) if root.uuid.strip(b"\0") else None,
    }
    stamps = [stamp_of(kind, origin, root.raw, at) for kind, origin, at in times]
    return member(prefix, fs.show(raw), raw, stamps=stamps, fields=told)


def _tell_tree(fs: _Btrfs, prefix: str, root: _Root, place: bytes, others: list[_Root]) -> Iterator[Child]:
    """The members of a subvolume; of a snapshot those that differ from what it was taken from."""
    before = fs.trees.misses
    seen = fs.told if others else set()
    paths = _Paths(fs.trees, root.tree)
    for inode in inodes(fs.trees, root.tree, seen=seen):
        whole: Inode | None = inode
        if others:
            # What it shares with others in a block that was told is left out here.
            whole = fs.inode(root.tree, inode.number)
            if whole is None or any(whole.is_same(fs.inode(each.tree, whole.number)) for each in others):
                continue
        if whole:
            yield from _tell(fs, prefix, root, place, paths, whole, gone=root.is_dropped)
    fs.told |= seen
    if fs.trees.misses > before:
        yield from _tell_lost(fs, prefix, root, place, paths)


def _tell_lost(fs: _Btrfs, prefix: str, root: _Root, place: bytes, paths: _Paths) -> Iterator[Child]:
    """The names in folders whose inodes stood in damaged blocks."""
    there = {inode.number for inode in inodes(fs.trees, root.tree, told=False)}
    for (folder, kind, _), data in fs.trees.items(root.tree, told=False):
        if kind != _INDEX or len(data) <= 30:
            continue
        number, below = unpack_from("<QB", data)
        if below != 1 or number in there:
            continue
        raw = place + paths.of(folder) + data[30 : 30 + unpack_from("<H", data, 27)[0]]
        problem = Problem("corrupt", f"inode {number} is not on the volume")
        yield member(prefix, fs.show(raw), raw, fields={"file.inode": number}, problems=(problem,))


def _tell_earlier(
    fs: _Btrfs, prefix: str, pointer: Pointer, roots: dict[int, _Root], whole: bool, met: set[int]
) -> Iterator[Child]:
    """What an earlier tree of roots still holds and the current trees no longer do."""
    if not fs.trees.block(pointer, told=False):
        return
    earlier = fs.roots(pointer, told=False)
    places: dict[int, bytes] = {}
    note = f"a tree of generation {pointer.generation}"
    for root in earlier.values():
        now = roots.get(root.number)
        paths = _Paths(fs.trees, root.tree)
        for inode in inodes(fs.trees, root.tree, told=False, seen=fs.told):
            other = fs.inode(now.tree, inode.number) if now else None
            old = fs.inode(root.tree, inode.number)
            if old is None or not old.raw or inode.number == _TOP_FOLDER:
                continue
            if other and (not other.raw or other.generation == old.generation):
                continue
            mark = hash((root.number, old.number, old.generation))
            if mark in met:
                continue
            met.add(mark)
            place = fs.place(root, earlier, places)
            yield from _tell(fs, prefix, root, place, paths, old, gone=whole, note=note)


def _tell(
    fs: _Btrfs, prefix: str, root: _Root, place: bytes, paths: _Paths, inode: Inode, *,
    gone: bool = False, note: str | None = None,
) -> Iterator[Child]:  # fmt: skip
    """An inode as one member for each of its names."""
    if inode.number == _TOP_FOLDER:
        return
    names = [(place + paths.of(folder) + name) for folder, name in inode.names]
    if not inode.raw:
        problem = Problem("corrupt", f"inode {inode.number} is not on the volume")
        for raw in names:
            yield member(prefix, fs.show(raw), raw, fields={"file.inode": inode.number}, problems=(problem,))
        return
    links, user, group, mode = inode.owners
    kind = kind_of_mode(mode)
    gone = gone or not links
    target = None
    problems: tuple[Problem, ...] = ()
    readable = kind == FILE
    if kind == SYMLINK:
        target = fs.names.decode(_target(fs, root, inode))
    elif kind == FILE and gone:
        stored, used = fs.space.used(held(fs.trees, root.tree, inode.number)) if note else (0, 0)
        readable = not used or used < stored
        problems = reused(used, stored) if readable else lost("all its blocks are in use again")
    told: Told = {
        "file.kind": kind_field(kind),
        "file.link_target": target,
        "file.deleted": True if gone else None,
        "file.recovery": note,
        "file.inode": inode.number,
        "file.generation": inode.generation or None,
        "file.mode": f"{mode & 0o7777:04o}",
        "file.uid": user,
        "file.gid": group,
        "file.links": links if links > 1 and kind != FOLDER else None,
        "file.flags": ", ".join(name for bit, name in _FLAGS if inode.flags & bit) or None,
        "file.allocated": inode.allocated if kind == FILE and not gone else None,
    }
    for raw in names or [place + f"{ORPHANS}/inode-{inode.number}".encode()]:
        yield member(
            prefix, fs.show(raw), raw, opening=_opener(fs, root, inode, note is None) if readable else None,
            stamps=inode.stamps(), fields=told, problems=problems,
        )  # fmt: skip


def _opener(fs: _Btrfs, root: _Root, inode: Inode, told: bool) -> Callable[[], BinaryIO]:
    return lambda: open_chunks(content(fs.trees, root.tree, inode.number, inode.size, told=told))


def _target(fs: _Btrfs, root: _Root, inode: Inode) -> bytes:
    """Where a symbolic link points; nothing where that was damaged."""
    try:
        return b"".join(content(fs.trees, root.tree, inode.number, min(inode.size, _MOST_TARGET)))
    except EvidenceError as error:
        fs.volume.trouble = fs.volume.trouble or error
        return b""
