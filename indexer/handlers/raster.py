"""Old raster pictures of workstations and scanners (PCX, DCX, SGI, Sun): shape, names, pages.

Source: ZSoft PCX File Format Technical Reference Manual, revision 5; The SGI Image File Format 1.00; Sun's
rasterfile(5).
Limits: no pixel is decoded; pages of a DCX are given as members.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _picture
from indexer.model import Fact, Field, Problem

PAGES: Final = 1_023
_SGI: Final = b"\x01\xda"
_SUN: Final = b"\x59\xa6\x6a\x95"
_DCX: Final = b"\xb1\x68\xde\x3a"
_MODES: Final = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


class Raster(Handler):
    name = "raster"
    media_types = (
        "image/vnd.zbrush.pcx",
        "image/x-pcx",
        "image/x-dcx",
        "image/x-sgi",
        "image/x-rgb",
        "image/x-sun-raster",
    )
    signatures = (Signature(b"\x0a"), Signature(_SGI), Signature(_SUN), Signature(_DCX))
    suffixes = (".pcx", ".dcx", ".sgi", ".rgb", ".rgba", ".bw", ".ras", ".sun", ".im1", ".im8", ".im24", ".im32")
    fields: ClassVar[dict[str, str]] = {**_picture.FIELDS, "raster.name": "name of the picture inside the file"}
    reads = "dimensions, name, pages"
    rank = 70
    container = True

    def claims(self, stream: Stream) -> str | None:
        head = stream.head
        if head.startswith(_SUN) and len(head) >= 32:
            return "image/x-sun-raster"
        if head.startswith(_DCX):
            return "image/x-dcx"
        if head.startswith(_SGI) and len(head) >= 12:
            return "image/x-sgi" if head[2] in (0, 1) and head[3] in (1, 2) and head[5] in (1, 2, 3) else None
        if (
            len(head) < 128
            or head[0] != 10
            or head[1] not in (0, 2, 3, 4, 5)
            or head[2] > 1
            or head[3] not in (1, 2, 4, 8)
        ):
            return None
        left, top, right, bottom = struct.unpack_from("<4H", head, 4)
        fits = (
            head[3] in (1, 2, 4, 8) and left <= right and top <= bottom and head[65] in (1, 2, 3, 4) and head[64] == 0
        )
        return self.media_types[0] if fits else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        head = stream.at(0, 128)
        if len(head) < 32 or (head[0] == 10 and len(head) < 128):
            raise EvidenceError("truncated", "the header is cut off")
        if head.startswith(_SUN):
            width, height, depth, length = struct.unpack_from(">4I", head, 4)
            mode = {1: "1", 8: "P", 24: "RGB", 32: "RGBA"}.get(depth, "")
            yield from _picture.shape(width, height, mode, 1 if depth == 1 else 8)
            end = 32 + length + int.from_bytes(head[28:32], "big")
            if length and end > stream.size:
                yield Problem("truncated", f"the picture ends at {end}, the file at {stream.size}")
        elif head.startswith(_DCX):
            yield from _pages(stream)
        elif head.startswith(_SGI):
            parts = int.from_bytes(head[10:12], "big")
            width, height = struct.unpack_from(">HH", head, 6)
            yield from _picture.shape(width, height if head[5] > 1 else 1, _MODES.get(parts, ""), 8 * head[3])
            name = head[24:104].split(b"\0")[0]
            yield from _picture.said("raster.name", _picture.read_text(name), "name")
        elif head[0] != 10:
            raise EvidenceError("corrupt", "no header of a raster picture")
        else:
            left, top, right, bottom, across = struct.unpack_from("<5H", head, 4)
            planes, bits = head[65], head[3]
            mode = {(1, 1): "1", (8, 3): "RGB", (8, 4): "RGBA"}.get((bits, planes), "P")
            yield from _picture.shape(right - left + 1, bottom - top + 1, mode, bits)
            if across:
                yield Field("picture.dpi", across)


def _pages(stream: Stream) -> Iterator[Fact]:
    """The pages of a DCX, each a PCX."""
    table = stream.at(4, 4 * PAGES)
    starts: dict[int, None] = {}
    for at in range(0, len(table) - 3, 4):
        start = int.from_bytes(table[at : at + 4], "little")
        if not start or start >= stream.size:
            break
        starts[start] = None
    yield Field("picture.frames", len(starts))
    for number, start in enumerate(starts, 1):
        end = min((each for each in starts if each > start), default=stream.size)
        yield _picture.member(stream, f"page-{number:04}.pcx", start, end - start, "page")
