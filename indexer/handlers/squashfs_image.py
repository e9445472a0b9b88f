"""SquashFS, the file system of live media and of packed programs.

Version 4 is read here, block by block; the older ones, and what LZO packed, by 7-Zip.

Source: "The Squashfs 4.0 Filesystem", Linux, Documentation/filesystems/squashfs.rst; 7-Zip 26.
Limits: extended attributes are not told; the format keeps no checksums, so that what is damaged and still
unpacks goes unnoticed. Versions 1 to 3 are unpacked once before the first member is given, to see that they can be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from typing import BinaryIO, ClassVar

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._archive import FILE, SYMLINK, Names
from indexer.handlers._p7z_entries import FIELDS
from indexer.handlers._p7z_members import read_archive
from indexer.handlers._squashfs import CODECS, SUPER, Found, Image, Node
from indexer.model import Child, Fact, Field, Problem, Timestamp
from indexer.timestamps import from_unix


class SquashfsImage(Handler):
    name = "squashfs"
    version = 2
    media_types = ("application/vnd.squashfs", "application/x-squashfs")
    signatures = tuple(Signature(magic) for magic in (b"hsqs", b"sqsh", b"shsq", b"qshs"))
    suffixes = (".squashfs", ".sqsh", ".sfs", ".snap")
    fields: ClassVar[Mapping[str, str]] = {
        **FIELDS,
    }
    reads = "files with times, modes and links"
    needs = ("backports.zstd", "lz4", "p7z")
    rank = 57
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if 1 <= max(stream.head[28:30], default=0) <= 4 and stream.size >= 96 else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        head = stream.head
        new = head.startswith(b"hsqs") and int.from_bytes(head[28:30], "little") == 4 and len(head) >= SUPER.size
        if not new or int.from_bytes(head[20:22], "little") not in CODECS:
            yield from read_archive(stream, "SquashFS", "squashfs", {"Method": "archive.method"})
            return
        yield from _read(stream, Image(stream))


def _read(stream: Stream, image: Image) -> Iterator[Fact]:
    yield Field("archive.method", image.method)
    if stamp := from_unix("B", image.created, "squashfs.created"):
        yield stamp
    if image.used > stream.size:
        message = f"{image.used - stream.size} bytes are missing at the end"
        yield Problem("truncated", message, resolution="read as far as it goes")
    names = _TreeNames(image)
    for part in image.walk():
        if isinstance(part, EvidenceError):
            yield part.problem("", "the rest is read")
        else:
            yield _child(image, part, names)
    yield from names.fields()


class _TreeNames:
    """Names are UTF-8; where one is not, all of them vote on what those are that are not."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self._names: Names | None = None
        self._folder: tuple[tuple[bytes, ...], str] = (), ""

    def decode(self, path: tuple[bytes, ...]) -> str:
        """A path as text."""
        above, folder = self._folder
        if path[:-1] != above:
            folder = "".join(f"{self._decode(part)}/" for part in path[:-1])
            self._folder = path[:-1], folder
        return folder + self._decode(path[-1])

    def _decode(self, raw: bytes) -> str:
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            if self._names is None:
                found = (part for part in self._image.walk() if isinstance(part, Found))
                self._names = Names(part.path[-1] for part in found if not _is_utf8(part.path[-1]))
            return self._names.decode(raw)

    def fields(self) -> tuple[Field, ...]:
        """How the names were decoded, where UTF-8 did not read them all."""
        return self._names.fields() if self._names else ()


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _child(image: Image, found: Found, names: _TreeNames) -> Child:
    node = found.node
    fields = _fields(node.kind, node.mode, node.user, node.group)
    opening: Callable[[], BinaryIO] | None = None
    problems: tuple[Problem, ...] = ()
    if node.kind == FILE:
        opening = partial(image.open, node)
    elif node.kind == SYMLINK:
        try:
            fields = (fields[0], Field("file.link_target", _text(image, node)), *fields[1:])
        except EvidenceError as error:
            problems = (error.problem(""),)
    return Child(names.decode(found.path), b"/".join(found.path), opening, _modified(node.modified), fields, problems)


def _text(image: Image, node: Node) -> str:
    target = image.target(node)
    return target.decode("utf-8") if _is_utf8(target) else Names((target,)).decode(target)


@lru_cache(maxsize=1024)
def _fields(kind: str, mode: int, user: int | None, group: int | None) -> tuple[Field, ...]:
    """What the members of an image mostly share."""
    kinds = () if kind == FILE else (Field("file.kind", kind),)
    owners = {"archive.uid": user, "archive.gid": group}
    told = (Field(name, str(number)) for name, number in owners.items() if number is not None)
    return (*kinds, Field("file.mode", f"{mode & 0o7777:04o}"), *told)


@lru_cache(maxsize=1024)
def _modified(seconds: int) -> tuple[Timestamp, ...]:
    stamp = from_unix("M", seconds, "squashfs.modified")
    return (stamp,) if stamp else ()
