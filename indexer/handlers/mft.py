"""Master file tables of NTFS that were taken out of their volumes: every record as a file, as the volume would give it.

Small files, and small streams beside files, lie in their records: they are members with their bytes.

Source: see `_fs_ntfs_records.py`.
Limits: of a file in many fragments the record that continues the first may be missed, and its size with it; owners
are told where a record itself names them; what lies in clusters is not here.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import unpack_from

from indexer.handler import Handler, Signature, Stream
from indexer.handlers._filesystems import FIELDS
from indexer.handlers._fs_ntfs import walk_table
from indexer.handlers._fs_parts import Volume
from indexer.handlers._image import FileImage
from indexer.model import Fact, Problem

_SECTOR = 512
_SIZES = (512, 1024, 2048, 4096)


class Mft(Handler):
    name = "mft"
    version = 1
    media_types = ("application/x-ntfs-mft",)
    signatures = (Signature(b"FILE"), Signature(b"BAAD"))
    suffixes = (".mft",)
    fields = FIELDS
    reads = "every file and folder, deleted ones too, with path, recorded size and all times; small files whole"
    rank = 30
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if _record_size(stream.head) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        size = _record_size(stream.head)
        yield from walk_table(Volume(FileImage(stream), 0, stream.size), size)
        if stream.size % size:
            yield Problem("truncated", "it ends inside a record", resolution="read up to there")


def _record_size(head: bytes) -> int:
    """Bytes of a record, as the first one says; 0 where this is no table."""
    if len(head) < 48:
        return 0
    fix, fixes = unpack_from("<HH", head, 4)
    first, flags, used, size = unpack_from("<HHII", head, 20)
    fits = size in _SIZES and fixes == size // _SECTOR + 1 and 0x28 <= fix <= 0x30
    fits = fits and flags < 16 and fix + 2 * fixes <= first <= used <= size
    return size if fits and head[size : size + 4] in (b"FILE", b"BAAD", bytes(4), b"") else 0
