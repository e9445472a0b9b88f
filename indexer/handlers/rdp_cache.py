"""Bitmap caches of the remote desktop client (Cache*.bin): the tiles of the screens that a user saw.

Source: the file as mstsc of Windows 7 to 11 writes it: a mark, then tiles of key, size and 32-bit pixels.
Limits: tiles are not put together into screens; the older packed caches (bcache*.bmc) are left to strings.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import partial
from typing import BinaryIO, ClassVar, Final

from indexer.handler import Handler, Signature, Stream
from indexer.handlers._streams import open_chunks
from indexer.model import Child, Fact, Field, Problem

_MARK: Final = b"RDP8bmp\0"
_LARGEST: Final = 256
_HEADER: Final = 54


class RdpCache(Handler):
    name = "rdp-cache"
    media_types = ("application/x-rdp-bitmap-cache",)
    signatures = (Signature(_MARK),)
    suffixes = (".bin",)
    fields: ClassVar[dict[str, str]] = {
        "rdp_cache.version": "version of the cache",
        "rdp_cache.tiles": "number of tiles",
        "file.kind": "tile",
    }
    reads = "every tile of the remote screen as a picture"
    rank = 40
    container = True

    def read(self, stream: Stream) -> Iterator[Fact]:
        yield Field("rdp_cache.version", int.from_bytes(stream.at(8, 4), "little"))
        at, count = 12, 0
        while at + 12 <= stream.size:
            _, width, height = struct.unpack("<QHH", stream.at(at, 12))
            size = width * height * 4
            if not 0 < width <= _LARGEST or not 0 < height <= _LARGEST:
                if stream.at(at, 4096).strip(b"\0"):
                    yield Problem("corrupt", f"no tile at {at}", resolution="read up to there")
                break
            if at + 12 + size > stream.size:
                yield Problem("truncated", f"the tile at {at} is not whole", resolution="read up to there")
                break
            count += 1
            name = f"tile {count:05}.bmp"
            opening = partial(_open, stream, at + 12, width, height)
            yield Child(name, name.encode(), opening, fields=(Field("file.kind", "tile"),))
            at += 12 + size
        yield Field("rdp_cache.tiles", count)


def _open(stream: Stream, at: int, width: int, height: int) -> BinaryIO:
    """The tile as a BMP: its pixels as they are, the rows from the top."""
    size = width * height * 4
    head = struct.pack("<2sIII", b"BM", _HEADER + size, 0, _HEADER)
    head += struct.pack("<IiiHHIIiiII", 40, width, -height, 1, 32, 0, size, 0, 0, 0, 0)
    return open_chunks(iter((head, stream.at(at, size))))
