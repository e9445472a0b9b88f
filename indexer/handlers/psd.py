"""Photoshop documents: layer tree, text layers, smart objects, notes, XMP with its history, thumbnail.

Source: Adobe Photoshop File Formats Specification (2019): header, image resources, layers, image data;
the large form (PSB) of each.
Limits: no pixel is decoded; masks, effects, paths and settings of adjustments are not read; what stands
after the picture is shown where the pixels are stored plain or run-length coded.
"""

from __future__ import annotations

import array
import sys
from collections import defaultdict
from collections.abc import Iterator
from typing import ClassVar, Final

from msgspec import Struct

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _exif, _iptc, _layertree, _picture, _xmp
from indexer.handlers._picture import FIELD_CHARS
from indexer.handlers._psd_layers import Layer, Layers, blocks, read_layers
from indexer.handlers._psd_links import LINKED_KEYS, read_links, read_notes
from indexer.handlers._psd_values import Cursor, read_descriptor
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Text

RESOURCES: Final = 64 * MIB
"""Bytes of image resources that are looked at; XMP with a long list of ancestors takes some MiB."""
_MODES: Final = {0: "1", 1: "L", 2: "P", 3: "RGB", 4: "CMYK", 7: "multichannel", 8: "L", 9: "LAB"}
_LAYER_KEYS: Final = frozenset((b"Layr", b"Lr16", b"Lr32"))


class Header(Struct, frozen=True):
    """The first 26 bytes."""

    big: bool
    channels: int
    height: int
    width: int
    bits: int
    mode: int


class Psd(Handler):
    name = "psd"
    version = 2
    media_types = ("image/vnd.adobe.photoshop", "image/x-photoshop", "application/x-photoshop")
    signatures = (Signature(b"8BPS\0\1"), Signature(b"8BPS\0\2"))
    suffixes = (".psd", ".psb", ".psdt", ".pdd")
    fields: ClassVar[dict[str, str]] = {
        **_picture.FIELDS,
        **_exif.FIELDS,
        **_xmp.FIELDS,
        **_iptc.FIELDS,
        "psd.big": "whether it is a large document (PSB)",
        **_layertree.declared("psd"),
        "psd.font": "a font that a text layer uses",
        "psd.channel": "name of a channel beside the colours",
        "psd.comp": "name of a layer comp",
        "psd.written_by": "program that wrote the file last, as the file says",
        "psd.caption": "caption in the file's own resource",
        "psd.url": "address that the picture is linked with",
        "psd.printer": "name of the printer it was last set up for",
        "psd.note_author": "who pinned a note to the picture",
        "psd.shown_by": "of an embedded file: a layer that shows it",
        "psd.link_id": "of an embedded file: its identifier",
        "psd.file_type": "of an embedded file: its type code",
        "refers_to": "path or name of another file that this one uses",
    }
    reads = "layer tree, text layers and fonts, smart objects, notes, EXIF, XMP and its history, thumbnail"
    needs = ("exifread", "lxml")
    container = True

    def read(self, stream: Stream) -> Iterator[Fact]:
        header = _header(stream)
        yield from _picture.shape(header.width, header.height, _MODES.get(header.mode, ""), header.bits)
        yield Field("psd.big", header.big)
        position = 26
        position += 4 + int.from_bytes(stream.at(position, 4), "big")
        start, end = position + 4, position + 4 + int.from_bytes(stream.at(position, 4), "big")
        yield from _resources(stream.at(start, min(end - start, RESOURCES)))
        if end - start > RESOURCES:
            yield Problem("limit", f"more than {RESOURCES} bytes of image resources", resolution="cut there")
        wide = 8 if header.big else 4
        start, end = end + wide, end + wide + int.from_bytes(stream.at(end, wide), "big")
        if end > stream.size or start > stream.size:
            yield Problem("truncated", f"the layers end at {end}, the file at {stream.size}")
        yield from _layers(stream, start, min(end, stream.size), header.big)
        if pixels := _pixels_end(stream, end, header):
            yield from _picture.leftover(stream, pixels)


def _header(stream: Stream) -> Header:
    head = stream.at(0, 26)
    if len(head) < 26:
        raise EvidenceError("truncated", "the header is cut off")
    cursor = Cursor(head, 4)
    big = cursor.number(2) == 2
    cursor.take(6)
    return Header(big, *(cursor.number(size) for size in (2, 4, 4, 2, 2)))


def _layers(stream: Stream, start: int, end: int, big: bool) -> Iterator[Fact]:
    """The layer tree, texts, smart objects and notes."""
    wide = 8 if big else 4
    first = start + wide
    position = first + int.from_bytes(stream.at(start, wide), "big")
    layers = read_layers(stream, first, min(position, end), big=big) if position > first else Layers()
    # The global mask stands between the layers and the blocks of the whole document.
    position += 4 + int.from_bytes(stream.at(position, 4), "big")
    rest = list(blocks(stream, position, end, big=big))
    for block in rest:
        if block.key in _LAYER_KEYS and block.length > 2 and not layers.found:
            layers = read_layers(stream, block.start, block.start + block.length, big=big)
    yield from _tree(layers.found)
    yield from layers.problems
    users: dict[str, list[str]] = defaultdict(list)
    for layer in layers.found:
        if layer.smart_id:
            users[layer.smart_id].append(layer.leaf.path)
    for block in rest:
        if block.key in LINKED_KEYS:
            yield from read_links(stream, block, users)
        elif block.key == b"Anno":
            try:
                yield from read_notes(stream.at(block.start, min(block.length, RESOURCES)))
            except EvidenceError as error:
                yield Problem(error.cause, f"notes: {error.message}")


def _tree(layers: list[Layer]) -> Iterator[Fact]:
    yield from _layertree.tree_facts("psd", [layer.leaf for layer in layers])
    yield from (Field("psd.font", font) for font in dict.fromkeys(font for layer in layers for font in layer.fonts))
    yield from dict.fromkeys(layer.edited for layer in layers if layer.edited)


def _resources(data: bytes) -> Iterator[Fact]:
    """What the image resources say."""
    yield from _iptc.read_resources(data)
    metadata = _picture.Blocks()
    for number, value in _iptc.resources(data):
        if number in (1058, 1059):
            yield from metadata.read(_exif.read_exif_block, value)
        elif number == 1060:
            yield from metadata.read(_xmp.read_xmp, value)
        elif number == 1039:
            yield from _picture.profile(value)
        elif reader := _OWN.get(number):
            try:
                yield from reader(Cursor(value))
            except EvidenceError as error:
                yield Problem(error.cause, f"image resource {number}: {error.message}")


def _resolution(cursor: Cursor) -> Iterator[Fact]:
    yield Field("picture.dpi", round(cursor.number(4) / 65536, 2))


def _caption(cursor: Cursor) -> Iterator[Fact]:
    yield from _picture.said("psd.caption", _picture.read_text(cursor.pascal()), "caption")


def _channels(cursor: Cursor) -> Iterator[Fact]:
    while cursor.position < len(cursor.data):
        if name := cursor.wide():
            yield Field("psd.channel", name[:FIELD_CHARS])


def _address(cursor: Cursor) -> Iterator[Fact]:
    if address := _picture.read_text(cursor.data):
        yield Field("psd.url", address[:FIELD_CHARS])


def _writer(cursor: Cursor) -> Iterator[Fact]:
    cursor.take(5)
    yield Field("psd.written_by", cursor.wide())


def _comps(cursor: Cursor) -> Iterator[Fact]:
    cursor.take(4)
    for path, value in read_descriptor(cursor):
        if path == "list/Nm  ":
            yield Field("psd.comp", str(value)[:FIELD_CHARS])
        elif path == "list/comment" and value:
            yield Text(str(value), "comment of a layer comp")


def _printer(cursor: Cursor) -> Iterator[Fact]:
    cursor.take(4)
    for path, value in read_descriptor(cursor):
        if path.endswith("printerName") and value:
            yield Field("psd.printer", str(value)[:FIELD_CHARS])


_OWN: Final = {
    1005: _resolution,
    1008: _caption,
    1035: _address,
    1045: _channels,
    1057: _writer,
    1065: _comps,
    1082: _printer,
}


def _pixels_end(stream: Stream, start: int, header: Header) -> int:
    """Where the merged picture ends, or 0 where that cannot be told without decoding it."""
    rows, packing = header.channels * header.height, stream.at(start, 2)
    if packing == b"\0\0":
        return start + 2 + rows * ((header.width * header.bits + 7) // 8)
    if packing != b"\0\1":
        return 0
    end = start + 2 + rows * (4 if header.big else 2)
    if end > stream.size:
        return 0
    total = 0
    for position in range(start + 2, end, MIB):
        counts = array.array("I" if header.big else "H", stream.at(position, min(MIB, end - position)))
        if sys.byteorder == "little":
            counts.byteswap()
        total += sum(counts)
    return end + total
