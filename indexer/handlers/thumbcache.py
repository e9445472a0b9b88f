"""Thumbnail caches of Windows Vista and later (thumbcache_*.db): every thumbnail as a picture.

Source: the thumbnail cache format as documented by libyal (CMMM and IMMM files, versions 20 to 32).
Limits: the cache does not hold the names of the pictured files, only their digests; of an index file
    (IMMM) only the version is read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.handler import Handler, Signature, Stream
from indexer.handlers._streams import open_slice
from indexer.limits import MIB
from indexer.model import Child, Fact, Field, Problem

_MARK: Final = b"CMMM"
_VERSIONS: Final = {20: "Windows Vista", 21: "Windows 7", 30: "Windows 8", 31: "Windows 8.1", 32: "Windows 10"}
_NAME: Final = 1024
_STEP: Final = MIB


class Thumbcache(Handler):
    name = "thumbcache"
    media_types = ("application/x-ms-thumbcache",)
    signatures = (Signature(_MARK), Signature(b"IMMM"))
    suffixes = (".db",)
    fields: ClassVar[dict[str, str]] = {
        "thumbcache.version": "version of the format, with the Windows that writes it",
        "thumbcache.count": "number of entries, with and without a picture",
        "thumbcache.hash": "digest that stands for the pictured file",
        "file.kind": "thumbnail",
    }
    reads = "each thumbnail as a member, by the digest of its file"
    rank = 40
    container = True

    def claims(self, stream: Stream) -> str | None:
        version = int.from_bytes(stream.head[4:8], "little")
        return self.media_types[0] if 10 <= version < 100 else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        (version,) = struct.unpack_from("<I", stream.head.ljust(8, b"\0"), 4)
        yield Field("thumbcache.version", f"{version} ({_VERSIONS.get(version, 'unknown')})")
        if stream.head.startswith(b"IMMM"):
            return
        at = _find(stream, 8)
        count = 0
        while at >= 0:
            count += 1
            head = stream.at(at, 56)
            size = int.from_bytes(head[4:8], "little")
            yield from _entry(stream, at, head, version)
            following = at + size
            if size < 48 or following > stream.size:
                message = f"the entry at {at} says that it has {size} bytes"
                yield Problem("corrupt", message, resolution="looked for the next")
                following = _find(stream, at + 4)
            elif stream.at(following, 4) != _MARK:
                # Unused room ends the file; anything else stands between two entries.
                following = _find(stream, following)
            at = following if 0 <= following < stream.size else -1
        yield Field("thumbcache.count", count)


def _entry(stream: Stream, at: int, head: bytes, version: int) -> Iterator[Fact]:
    """One entry; those without picture are only counted."""
    start = 24 if version == 20 else 16
    if len(head) < start + 12:
        return
    name_size, padding, size = struct.unpack_from("<III", head, start)
    width = 48 if version == 21 else 56
    digest = f"{int.from_bytes(head[8:16], 'little'):016x}"
    data_at = at + width + name_size + padding
    if not size or data_at >= stream.size:
        return
    name = stream.at(at + width, min(name_size, _NAME)).decode("utf-16-le", "replace").strip("\0") or digest
    raw = name.encode("utf-8", "surrogatepass")
    fields = (Field("file.kind", "thumbnail"), Field("thumbcache.hash", digest))
    yield Child(name, raw, open_slice(stream, data_at, size), fields=fields)


def _find(stream: Stream, at: int) -> int:
    """Where the next entry begins; -1 where there is none."""
    while at < stream.size:
        piece = stream.at(at, _STEP)
        found = piece.find(_MARK)
        if found >= 0:
            return at + found
        at += max(1, len(piece) - 3)
        if len(piece) < 4:
            break
    return -1
