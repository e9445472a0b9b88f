"""SquashFS, the file system of live media and of packed programs, by 7-Zip.

Source: "The Squashfs 4.0 Filesystem", Linux, Documentation/filesystems/squashfs.rst; 7-Zip 26.
Limits: extended attributes are not told; lz4 and lzo are not unpacked. The format keeps no
checksums, so that all of it is unpacked once before the first member is given: twice the time of unsquashfs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from indexer.handler import Handler, Signature, Stream
from indexer.handlers._p7z_entries import FIELDS
from indexer.handlers._p7z_members import read_archive
from indexer.model import Fact


class SquashfsImage(Handler):
    name = "squashfs"
    media_types = ("application/vnd.squashfs", "application/x-squashfs")
    signatures = tuple(Signature(magic) for magic in (b"hsqs", b"sqsh", b"shsq", b"qshs"))
    suffixes = (".squashfs", ".sqsh", ".sfs", ".snap")
    fields: ClassVar[Mapping[str, str]] = {
        **FIELDS,
    }
    reads = "files with times, modes and links"
    needs = ("p7z",)
    rank = 57
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if 1 <= max(stream.head[28:30], default=0) <= 4 and stream.size >= 96 else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        yield from read_archive(stream, "SquashFS", "squashfs", {"Method": "archive.method"})
