"""Pictures inside the drawings of the old Office programs, found by their own marks.

Source: [MS-ODRAW] 2.2.23 to 2.2.31 (blips).
They are looked for as bytes, not through the drawing that shows them: so those that a document no
longer shows are found too.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from functools import partial
from io import BytesIO
from typing import BinaryIO

from indexer.errors import EvidenceError
from indexer.limits import MIB
from indexer.model import Child

METAFILE = 256 * MIB
"""Bytes that one metafile may unpack to."""
_KINDS = {
    0x3D4: (0xF01A, ".emf", 1),
    0x3D5: (0xF01A, ".emf", 2),
    0x216: (0xF01B, ".wmf", 1),
    0x217: (0xF01B, ".wmf", 2),
    0x542: (0xF01C, ".pict", 1),
    0x543: (0xF01C, ".pict", 2),
    0x46A: (0xF01D, ".jpg", 1),
    0x46B: (0xF01D, ".jpg", 2),
    0x6E2: (0xF01D, ".jpg", 1),
    0x6E3: (0xF01D, ".jpg", 2),
    0x6E0: (0xF01E, ".png", 1),
    0x6E1: (0xF01E, ".png", 2),
    0x7A8: (0xF01F, ".dib", 1),
    0x7A9: (0xF01F, ".dib", 2),
    0x6E4: (0xF029, ".tif", 1),
    0x6E5: (0xF029, ".tif", 2),
}
"""Instance -> record type, suffix, and how many digests of 16 bytes stand before the picture."""
_MARKS = {struct.pack("<HH", instance << 4, kind[0]): kind for instance, kind in _KINDS.items()}


def find_pictures(data: bytes, folder: str, first: int = 1) -> Iterator[Child]:
    """Every picture in these bytes, numbered from `first` in the order in which they stand."""
    number, at = first, 0
    while (mark := _find_mark(data, at)) >= 0:
        start = mark + 4
        _, suffix, digests = _MARKS[data[mark:start]]
        size = struct.unpack_from("<I", data, start)[0] if start + 4 <= len(data) else 0
        is_meta = suffix in (".emf", ".wmf", ".pict")
        lead = 4 + 16 * digests + (34 if is_meta else 1)
        if size < lead - 4 or start + 4 + size > len(data) or size == lead - 4:
            at = mark + 1
            continue
        body = data[start + lead : start + 4 + size]
        packed = is_meta and data[start + lead - 2] == 0
        name = f"{folder}/picture{number}{suffix}"
        yield Child(name, name.encode(), partial(_open, body, suffix, packed))
        number += 1
        at = start + 4 + size


def _find_mark(data: bytes, at: int) -> int:
    """Where the next mark begins, or -1; their last byte is the same and rare in text."""
    last = data.find(b"\xf0", at + 3)
    while last >= 0 and data[last - 3 : last + 1] not in _MARKS:
        last = data.find(b"\xf0", last + 1)
    return last - 3 if last >= 0 else -1


def _open(body: bytes, suffix: str, packed: bool) -> BinaryIO:
    if packed:
        unpacker = zlib.decompressobj()
        try:
            body = unpacker.decompress(body, METAFILE)
        except zlib.error as error:
            raise EvidenceError("corrupt", f"deflate: {error}") from error
        if unpacker.unconsumed_tail:
            raise EvidenceError("limit", f"more than {METAFILE} bytes in one metafile")
    if suffix == ".pict":
        body = bytes(512) + body
    elif suffix == ".dib" and len(body) >= 40:
        body = bitmap_header(body) + body
    return BytesIO(body)


def bitmap_header(body: bytes) -> bytes:
    """What stands before a bitmap in a file of its own."""
    size, _, _, _, bits, method = struct.unpack_from("<IiiHHI", body)
    (colours,) = struct.unpack_from("<I", body, 32)
    table = 4 * (colours or (1 << bits if bits <= 8 else 0)) + (12 if method == 3 and size == 40 else 0)
    return b"BM" + struct.pack("<IHHI", 14 + len(body), 0, 0, min(14 + size + table, 14 + len(body)))
