"""APFS by libfsapfs: the files of every volume, their extended attributes, and the container's free blocks.

Source: Apple File System Reference (2020-06-22): container super block, checkpoint maps, space manager;
    libfsapfs (Python binding, LGPL) for volumes and files.
Limits: snapshots are not opened, nor are deleted entries looked for. Volumes whose keys stand in
    the security chip of their machine cannot be opened at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import unpack_from
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from indexer.errors import EvidenceError
from indexer.handlers._archive import FILE, FOLDER, SYMLINK, kind_of_mode
from indexer.handlers._disk import DiskView
from indexer.handlers._fs_parts import (
    MOST_DEPTH,
    MOST_FOLDER,
    STEP,
    Run,
    Told,
    Volume,
    check_size,
    gather,
    kind_field,
    member,
    unallocated,
    zero_bits,
)
from indexer.handlers._streams import open_chunks
from indexer.model import Child, Fact, Field, Problem, Timestamp
from indexer.passwords import Passwords
from indexer.timestamps import from_unix

if TYPE_CHECKING:
    import pyfsapfs

_ERRORS = (OSError, ValueError, OverflowError)
_INTERNAL = frozenset({"com.apple.decmpfs", "com.apple.fs.symlink"})
_MOST_BLOCKS = 1 << 16
_TIMES = (("M", "modification"), ("A", "access"), ("C", "inode_change"), ("B", "creation"), ("added", "added"))


def walk_apfs(volume: Volume, prefix: str) -> Iterator[Fact]:
    """The container's fields, its volumes with their members, then the free blocks.

    Raises:
        EvidenceError: `missing-library`, or `corrupt` where the container does not open.
    """
    try:
        import pyfsapfs
    except ImportError as error:
        raise EvidenceError("missing-library", "APFS needs libfsapfs: pip install 'archivore[disk]'") from error
    container = pyfsapfs.container()
    try:
        container.open_file_object(DiskView(volume.disk))
        count = container.number_of_volumes
        ident = container.identifier
    except _ERRORS as error:
        raise EvidenceError("corrupt", f"APFS: {error}") from error
    yield Field("filesystem.kind", "APFS")
    yield Field("filesystem.uuid", ident)
    block = volume.exact(0, 4096)
    yield Field("filesystem.block_size", unpack_from("<I", block, 36)[0])
    yield from check_size(volume, unpack_from("<I", block, 36)[0] * unpack_from("<Q", block, 40)[0])
    opened = 0
    for number in range(count):
        try:
            one = container.get_volume(number)
            name = one.name or f"volume {number + 1}"
            fields: Told = {"file.kind": "volume", "filesystem.label": one.name, "filesystem.uuid": one.identifier}
            locked = one.is_locked() and not _unlock(one, volume.passwords)
        except _ERRORS as error:
            yield Problem("corrupt", f"APFS: volume {number + 1}: {error}")
            continue
        problems = (Problem("encrypted", "no password of the case opens the volume"),) if locked else ()
        yield member(prefix, name, fields=fields, problems=problems)
        if not locked:
            opened += 1
            yield from _walk_volume(one, f"{prefix}{name}/")
    if opened:
        yield from unallocated(volume, prefix, _free(volume))


def _unlock(volume: pyfsapfs.volume, passwords: Passwords) -> bool:
    for password in passwords:
        try:
            volume.set_password(password.text)
            if volume.unlock():
                return True
        except _ERRORS:
            continue
    return False


def _walk_volume(volume: pyfsapfs.volume, prefix: str) -> Iterator[Fact]:
    try:
        root = volume.root_directory
    except _ERRORS as error:
        yield Problem("corrupt", f"APFS: {prefix}: {error}")
        return
    waiting: list[tuple[Any, str, Iterator[int]]] = [(root, "", _indices(root))]
    seen = {root.identifier}
    while waiting:
        folder, path, numbers = waiting[-1]
        number = next(numbers, None)
        if number is None:
            waiting.pop()
            continue
        try:
            entry = folder.get_sub_file_entry(number)
            name, ident, kind = entry.name, entry.identifier, kind_of_mode(entry.file_mode)
            members = list(_tell(entry, prefix, path + name, kind))
        except _ERRORS as error:
            yield Problem("corrupt", f"APFS: entry {number} of {prefix}{path}: {error}", resolution="left out")
            continue
        yield from members
        if kind == FOLDER and ident not in seen and len(waiting) < MOST_DEPTH:
            seen.add(ident)
            waiting.append((entry, f"{path}{name}/", _indices(entry)))


def _indices(entry: Any) -> Iterator[int]:
    try:
        return iter(range(entry.number_of_sub_file_entries))
    except _ERRORS:
        return iter(())


def _tell(entry: Any, prefix: str, path: str, kind: str) -> Iterator[Child]:
    """A file or folder, then its extended attributes."""
    mode = entry.file_mode
    stamps = tuple(_stamps(entry))
    links = entry.number_of_links
    fields: Told = {
        "file.kind": kind_field(kind),
        "file.link_target": entry.symbolic_link_target if kind == SYMLINK else None,
        "file.inode": entry.identifier,
        "file.mode": f"{mode & 0o7777:04o}",
        "file.uid": entry.owner_identifier,
        "file.gid": entry.group_identifier,
        "file.links": links if links > 1 and kind != FOLDER else None,
    }
    opening = _open(entry) if kind == FILE else None
    yield member(prefix, path, opening=opening, stamps=stamps, fields=fields)
    stream: Told = {"file.kind": "stream", "file.inode": entry.identifier}
    for number in range(entry.number_of_extended_attributes):
        attribute = entry.get_extended_attribute(number)
        if attribute.name not in _INTERNAL:
            name = f"{path}:{attribute.name}"
            yield member(prefix, name, opening=_open(attribute), stamps=stamps, fields=stream)


def _stamps(entry: Any) -> Iterator[Timestamp]:
    for kind, name in _TIMES:
        try:
            fine = getattr(entry, f"get_{name}_time_as_integer")()
        except _ERRORS:
            continue
        if fine:
            seconds, rest = divmod(fine, 1_000_000_000)
            stamp = from_unix(kind, seconds, f"apfs.{name}", nanoseconds=rest, resolution=1e-9)
            yield from (stamp,) if stamp else ()


def _open(source: Any) -> Callable[[], BinaryIO]:
    """An opener of the bytes of a file or of an attribute."""

    def flow() -> Iterator[bytes]:
        try:
            source.seek_offset(0, 0)
            while data := cast(bytes, source.read_buffer(STEP)):
                yield data
        except _ERRORS as error:
            raise EvidenceError("corrupt", f"APFS: {error}") from error

    return lambda: open_chunks(flow())


def _free(volume: Volume) -> Iterator[Run]:
    """The free blocks, by the space manager of the latest checkpoint."""
    head = volume.exact(0, 4096)
    unit = unpack_from("<I", head, 36)[0]
    if unit not in (4096, 8192, 16384, 32768, 65536):
        return
    blocks, base = unpack_from("<I", head, 104)[0], unpack_from("<Q", head, 112)[0]
    found: list[tuple[int, int, int]] = []
    latest = head
    for number in range(min(blocks & 0x7FFFFFFF, _MOST_BLOCKS)):
        block = volume.at((base + number) * unit, unit)
        if block[32:36] == b"NXSB" and unpack_from("<Q", block, 16) >= unpack_from("<Q", latest, 16):
            latest = block
        elif len(block) == unit and unpack_from("<I", block, 24)[0] & 0xFFFF == 0xC:
            for at in range(40, min(40 + unpack_from("<I", block, 36)[0] * 40, unit - 39), 40):
                found.append((unpack_from("<Q", block, 16)[0], *unpack_from("<QQ", block, at + 24)))
    wanted = unpack_from("<Q", latest, 152)[0]
    for place in (place for _, ident, place in sorted(found, reverse=True) if ident == wanted):
        manager = volume.at(place * unit, unit * 16)
        if len(manager) >= 88 and unpack_from("<I", manager, 24)[0] & 0xFFFF == 5:
            yield from _chunks(volume, manager, unit)
            return


def _chunks(volume: Volume, manager: bytes, unit: int) -> Iterator[Run]:
    infos, lists = unpack_from("<II", manager, 64)
    at = unpack_from("<I", manager, 80)[0]
    count = min(lists or infos, _MOST_BLOCKS, max(0, len(manager) - at) // 8)
    addresses = list(unpack_from(f"<{count}Q", manager, at))
    if lists:
        addresses = [
            address
            for place in addresses
            if len(block := volume.at(place * unit, unit)) == unit
            for address in unpack_from(f"<{min(unpack_from('<I', block, 36)[0], (unit - 40) // 8)}Q", block, 40)
        ]
    for address in addresses:
        block = volume.at(address * unit, unit)
        if len(block) < unit:
            continue
        for index in range(min(unpack_from("<I", block, 36)[0], (unit - 40) // 32)):
            _, first, size, _, bitmap = unpack_from("<QQIIQ", block, 40 + index * 32)
            bits = gather(volume, (Run(bitmap * unit, unit),), unit, MOST_FOLDER) if bitmap else b"\0" * (-(-size // 8))
            for start, length in zero_bits(bits, min(size, unit * 8)):
                yield Run((first + start) * unit, length * unit)
