"""The disk inside a VDI image of VirtualBox.

Source: VirtualBox, VDICore.h (structures VDIPREHEADER and VDIHEADER1PLUS), as its user manual names them.
"""

from __future__ import annotations

import struct
import uuid
from array import array

from msgspec import Struct

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._image import BlockImage, Image, MissingImage, read_exactly
from indexer.handlers._image_parents import ParentOf
from indexer.limits import MIB

MAGIC = b"\x7f\x10\xda\xbe"
KINDS = {1: "dynamic", 2: "fixed", 3: "undo", 4: "differencing"}
NOWHERE, ZEROS = 0xFFFFFFFF, 0xFFFFFFFE
MOST_BLOCK = 256 * MIB


class Header(Struct, frozen=True):
    """What the header tells."""

    kind: int
    program: str
    comment: str
    map_at: int
    data_at: int
    size: int
    block: int
    extra: int
    blocks: int
    ident: str
    parent: str


def is_image(stream: Stream) -> bool:
    """Whether the mark stands there."""
    return stream.head[64:68] == MAGIC


def read_header(stream: Stream) -> Header:
    """The header of version 1.

    Raises:
        EvidenceError: for the version before it, and where its numbers cannot be.
    """
    head = read_exactly(stream, 0, 512)
    if int.from_bytes(head[70:72], "little") != 1:
        raise EvidenceError("unsupported", "VDI: a version before 1.0")
    size, block, extra, blocks = struct.unpack_from("<QIII", head, 368)
    if not 512 <= block <= MOST_BLOCK or block % 512 or size > blocks * block:
        raise EvidenceError("corrupt", f"VDI: {blocks} blocks of {block} bytes for a disk of {size}")
    program, comment = (head[at:end].split(b"\0")[0].decode("utf-8", "replace") for at, end in ((0, 64), (84, 340)))
    ident, parent = (str(uuid.UUID(bytes_le=head[at : at + 16])) for at in (392, 440))
    kind, map_at, data_at = (int.from_bytes(head[at : at + 4], "little") for at in (76, 340, 344))
    return Header(kind, program.strip("\n <>"), comment, map_at, data_at, size, block, extra, blocks, ident, parent)


def open_image(stream: Stream, parent_of: ParentOf) -> Image:
    """The disk. A parent is named by its identifier alone, so that none is looked for.

    Raises:
        EvidenceError: where the header or the map cannot be.
    """
    header = read_header(stream)
    missing = MissingImage(header.size, f"what did not change lies in its parent {header.parent}, which has no name")
    return _Vdi(stream, header, missing if header.kind == 4 else None)


class _Vdi(BlockImage):
    def __init__(self, stream: Stream, header: Header, parent: Image | None) -> None:
        super().__init__(header.size, header.block, parent)
        self._stream = stream
        self._header = header
        self._table = array(
            "I", read_exactly(stream, header.map_at, min(header.blocks, -(-header.size // header.block)) * 4)
        )

    def absent(self, index: int) -> int:
        return int(self._table[index] >= ZEROS)

    def fetch(self, index: int, start: int, length: int) -> bytes | None:
        number = self._table[index]
        if number >= ZEROS:
            return bytes(length) if number == ZEROS else None
        at = self._header.data_at + number * (self.block + self._header.extra) + self._header.extra
        return read_exactly(self._stream, at + start, length)
