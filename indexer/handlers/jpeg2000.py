"""JPEG 2000 pictures (JP2, JPX, JPM, bare code streams): shape, comments, XMP, EXIF, XML, IPTC, profile.

Source: ISO/IEC 15444-1:2019, annexes A (SIZ, COM) and I (boxes); 15444-2, annex M (asoc, lbl); Adobe XMP Part 3.
Limits: no pixel is decoded; of a code stream only its main header is read; fragments in other files are not.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _exif, _iptc, _picture, _xmp
from indexer.handlers._boxes import Box, boxes
from indexer.model import Fact, Field, Problem, Text

MARKERS: Final = 1_000
_XMP: Final = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_EXIF: Final = b"JpgTiffExif->JP2"
_IPTC: Final = bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38")
_PHOTOSHOP: Final = bytes.fromhex("2c4c0100850440b9a03e562148d6dfeb")
_HOLDERS: Final = frozenset((b"jp2h", b"res ", b"asoc", b"jpch", b"jplh", b"uinf"))
_TYPES: Final = {b"jp2 ": "image/jp2", b"jpx ": "image/jpx", b"jpm ": "image/jpm", b"mjp2": "video/mj2"}
_CONTIGUOUS: Final = b"\xff\x4f\xff\x51"


class Jpeg2000(Handler):
    name = "jpeg2000"
    media_types = ("image/jp2", "image/jpx", "image/jpm", "image/x-jp2-codestream", "video/mj2")
    signatures = (Signature(b"\0\0\0\x0cjP  \r\n\x87\n"), Signature(_CONTIGUOUS))
    suffixes = (".jp2", ".j2k", ".jpf", ".jpx", ".jpm", ".j2c", ".jpc", ".mj2")
    fields: ClassVar[dict[str, str]] = {
        **_picture.FIELDS,
        **_exif.FIELDS,
        **_xmp.FIELDS,
        **_iptc.FIELDS,
        "jpeg2000.comment": "comment in the code stream, often the program that wrote it",
        "jpeg2000.label": "name of a part of the picture",
        "jpeg2000.url": "address of more about it",
    }
    reads = "dimensions, comments, EXIF, XMP, IPTC, XML, profile, what stands after the picture"
    needs = ("exifread", "lxml")
    rank = 40
    container = True

    def claims(self, stream: Stream) -> str | None:
        if stream.head.startswith(_CONTIGUOUS):
            return "image/x-jp2-codestream"
        return _TYPES.get(stream.head[20:24], "image/jp2")

    def read(self, stream: Stream) -> Iterator[Fact]:
        if stream.head.startswith(_CONTIGUOUS):
            yield from _code_stream(stream, 0, stream.size, shaped=False)
            return
        blocks = _picture.Blocks()
        shaped, end, problem = False, 0, None
        waiting = [boxes(stream, 0, stream.size)]
        while waiting:
            box = next(waiting[-1], None)
            if box is None:
                waiting.pop()
                continue
            if len(waiting) == 1:
                end = box.end
                if end > stream.size and problem is None:
                    kind = box.kind.decode("latin-1")
                    problem = Problem("truncated", f"box {kind} ends at {end}, the file at {stream.size}")
            if box.kind in _HOLDERS and len(waiting) < 8:
                waiting.append(boxes(stream, box.start, min(box.end, stream.size)))
            elif box.kind == b"jp2c":
                yield from _code_stream(stream, box.start, min(box.end, stream.size), shaped=shaped)
                shaped = True
            elif box.kind == b"ihdr" and not shaped:
                data = box.data(stream, 14)
                if len(data) == 14:
                    shaped = True
                    height, width, parts, depth = struct.unpack_from(">IIHB", data)
                    bits = 0 if depth == 255 else (depth & 127) + 1
                    yield from _picture.shape(width, height, {1: "L", 3: "RGB", 4: "RGBA"}.get(parts, ""), bits)
            else:
                yield from _box(stream, box, blocks)
        if problem:
            yield problem
        else:
            yield from _picture.leftover(stream, end)


def _box(stream: Stream, box: Box, blocks: _picture.Blocks) -> Iterator[Fact]:
    data = box.data(stream, _picture.INFLATED) if box.kind in _READ else b""
    if box.kind == b"colr" and data[:1] in (b"\2", b"\3"):
        yield from _picture.profile(data[3:])
    elif box.kind == b"xml ":
        yield from _xml(data, blocks)
    elif box.kind == b"uuid":
        mark, body = data[:16], data[16:]
        if mark == _XMP:
            yield from blocks.read(_xmp.read_xmp, body)
        elif mark == _EXIF:
            yield from blocks.read(_exif.read_exif_block, body.removeprefix(b"Exif\0\0"))
        elif mark == _IPTC:
            yield from blocks.read(_iptc.read_iptc, body)
        elif mark == _PHOTOSHOP:
            yield from blocks.read(_iptc.read_resources, body)
    elif box.kind == b"lbl ":
        yield from _picture.said("jpeg2000.label", _picture.read_text(data), "label")
    elif box.kind == b"url ":
        yield from _picture.said("jpeg2000.url", _picture.read_text(data[4:]), "address")
    elif box.kind == b"resc" and len(data) >= 10:
        _, _, above, below, _, power = struct.unpack_from(">HHHHbb", data)
        if below and above > 0 and abs(power) < 10:
            yield Field("picture.dpi", round(above / below * 10.0**power * 0.0254, 2))


_READ: Final = frozenset((b"colr", b"xml ", b"uuid", b"lbl ", b"url ", b"resc"))


def _xml(data: bytes, blocks: _picture.Blocks) -> Iterator[Fact]:
    """XML of any kind, XMP among it: as text."""
    if b"http://www.w3.org/1999/02/22-rdf-syntax-ns#" in data:
        yield from blocks.read(_xmp.read_xmp, data)
    elif text := _picture.read_text(data):
        yield Text(text, "xml")


def _code_stream(stream: Stream, start: int, end: int, *, shaped: bool) -> Iterator[Fact]:
    """The main header of a code stream: its size, its comments."""
    position = start + 2
    for _ in range(MARKERS):
        head = stream.at(position, 4)
        if len(head) < 4 or head[0] != 0xFF or position + 4 > end:
            yield Problem("truncated", "the header of the code stream is cut off")
            return
        length = int.from_bytes(head[2:], "big")
        if head[1] in (0x90, 0xD9):
            return
        data = stream.at(position + 4, min(max(0, length - 2), end - position - 4))
        if head[1] == 0x51 and len(data) >= 37 and not shaped:
            _, right, bottom, left, top = struct.unpack_from(">HIIII", data)
            parts = int.from_bytes(data[34:36], "big")
            mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}.get(parts, "")
            if right > left and bottom > top:
                yield from _picture.shape(right - left, bottom - top, mode, (data[36] & 127) + 1)
            else:
                yield Problem("corrupt", "the code stream has no area: the dimensions are not known")
        elif head[1] == 0x64 and data[:2] == b"\0\1":
            yield from _picture.said("jpeg2000.comment", _picture.read_text(data[2:]), "comment")
        position += 2 + max(2, length)
