"""Truevision TGA pictures, as line art scanners and paint programs write them: shape, who, when, with what.

Source: Truevision TGA File Format Specification 2.0, fields 1 to 24 of the extension area and the footer.
Limits: no pixel is decoded, the stamp neither; files without a footer are recognised where their pixels are not packed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import CONTROLS, Handler, Stream
from indexer.handlers import _picture
from indexer.model import Fact, Field, Problem, Timestamp

_MARK: Final = b"TRUEVISION-XFILE"
_MODES: Final = {1: "P", 2: "RGB", 3: "L", 9: "P", 10: "RGB", 11: "L", 32: "P", 33: "P"}
_HEAD: Final = struct.Struct("<BBBHHBHHHHBB")


class Tga(Handler):
    name = "tga"
    media_types = ("image/x-tga", "image/tga", "image/x-targa")
    suffixes = (".tga", ".icb", ".vda", ".vst")
    holds = CONTROLS
    fields: ClassVar[dict[str, str]] = {
        **_picture.FIELDS,
        "tga.id": "identification of the picture",
        "tga.author": "who made it",
        "tga.comment": "the author's comment",
        "tga.job": "name of the job it belongs to",
        "tga.software": "program that wrote it, with its version",
        "tga.developer_tag": "number of a block of the program that wrote it",
    }
    reads = "dimensions, author, comments, job, software, time"
    rank = 70

    def claims(self, stream: Stream) -> str | None:
        if len(stream.head) < 18:
            return None
        id_length, mapped, kind, _, colours, depth, _, _, width, height, bits, _ = _HEAD.unpack_from(stream.head)
        if kind not in _MODES or mapped > 1 or bits not in (1, 8, 15, 16, 24, 32) or not width or not height:
            return None
        if stream.at(stream.size - 18, 16) == _MARK:
            return self.media_types[0]
        whole = 18 + id_length + mapped * colours * ((depth + 7) // 8) + width * height * ((bits + 7) // 8)
        return self.media_types[0] if kind < 4 and whole == stream.size else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        head = stream.at(0, 18)
        if len(head) < 18:
            raise EvidenceError("truncated", "the header is cut off")
        id_length, _, kind, _, _, _, _, _, width, height, bits, _ = _HEAD.unpack(head)
        mode = _MODES.get(kind, "")
        channel = {15: 5, 16: 5, 24: 8, 32: 8}.get(bits, bits)
        yield from _picture.shape(width, height, "RGBA" if mode == "RGB" and bits == 32 else mode, channel)
        yield from _picture.said("tga.id", _picture.read_text(stream.at(18, id_length)), "identification")
        footer = stream.at(stream.size - 26, 26)
        if footer[8:24] != _MARK:
            return
        extension, developer = struct.unpack_from("<II", footer)
        area = stream.at(extension, 495) if extension else b""
        if extension and len(area) < 495:
            yield Problem("truncated", "the extension area is cut off")
        elif extension:
            yield from _extension(area)
        count = int.from_bytes(stream.at(developer, 2), "little") if developer else 0
        for number in range(min(count, 1000)):
            entry = stream.at(developer + 2 + 10 * number, 10)
            if len(entry) == 10:
                yield Field("tga.developer_tag", int.from_bytes(entry[:2], "little"))


def _extension(area: bytes) -> Iterator[Fact]:
    author, comment, job, software = (
        _picture.read_text(part.split(b"\0")[0]) for part in (area[2:43], area[43:124], area[379:420], area[426:467])
    )
    lines = (_picture.read_text(area[at : at + 81].split(b"\0")[0]) for at in (124, 205, 286))
    comment = "\n".join(filter(None, (comment, *lines)))
    version = int.from_bytes(area[467:469], "little")
    if software and version:
        software = f"{software} {version / 100:g}"
    yield from _picture.said("tga.author", author, "author")
    yield from _picture.said("tga.comment", comment, "comment")
    yield from _picture.said("tga.job", job, "job")
    yield from _picture.said("tga.software", software, "software")
    month, day, year, hour, minute, second = struct.unpack_from("<6H", area, 367)
    try:
        at = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        at = None
    if at:
        yield Timestamp("M", at, "tga.stamp", 1.0, zone_known=False)
