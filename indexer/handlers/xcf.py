"""Pictures of GIMP: layer tree, text layers and fonts, channels, paths, notes, EXIF and XMP.

Source: GIMP, devel-docs/xcf.txt and parasites.txt; modes of layers as GIMP 2.10 numbers them.
Limits: no pixel is decoded; links of GIMP 3.2 to other files are not read; CinePaint's files of the same name neither.
"""

from __future__ import annotations

import html
import io
import re
import struct
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _exif, _iptc, _layertree, _picture, _xmp
from indexer.handlers._layertree import Leaf
from indexer.handlers._picture import FIELD_CHARS
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Text

_MAGIC: Final = b"gimp xcf "
_VERSION: Final = re.compile(rb"gimp xcf (?:file|v(\d{3}))\0")
_MODES: Final = ("RGB", "L", "P")
_BITS: Final = {
    100: 8, 150: 8, 200: 16, 250: 16, 300: 32, 350: 32, 400: 16, 450: 16, 500: 16, 550: 16, 600: 32, 650: 32,
    700: 64, 750: 64,
}  # fmt: skip
_EARLY_BITS: Final = {4: {0: 8, 1: 16, 2: 32, 3: 16, 4: 32}, 5: {500: 32, 550: 32}, 6: {500: 32, 550: 32}}
"""Of versions that GIMP wrote while it was made, where they differ."""
_BLENDS: Final = (
    "", "dissolve", "behind", "multiply", "screen", "overlay", "difference", "addition", "subtract", "darken",
    "lighten", "hue", "saturation", "colour", "value", "divide", "dodge", "burn", "hard light", "soft light",
    "grain extract", "grain merge", "colour erase", "overlay", "hue", "chroma", "colour", "lightness", "", "behind",
    "multiply", "screen", "difference", "addition", "subtract", "darken", "lighten", "hue", "saturation", "colour",
    "value", "divide", "dodge", "burn", "hard light", "soft light", "grain extract", "grain merge", "vivid light",
    "pin light", "linear light", "hard mix", "exclusion", "linear burn", "luma darken", "luma lighten", "luminance",
    "colour erase", "erase", "merge", "split", "pass through",
)  # fmt: skip
_COLOURS, _OPACITY, _BLEND, _VISIBLE, _RESOLUTION, _PARASITES, _PATHS, _VECTORS, _LOCKED, _GROUP, _PLACE = (
    1, 6, 7, 8, 19, 21, 23, 25, 28, 29, 30
)  # fmt: skip
_PAYLOAD: Final = 16 * MIB
_STRING: Final = MIB
_MOST: Final = 100_000
"""Layers, channels, properties of one list."""
_SAID: Final = re.compile(r'\((text|markup|font)((?:\s+"(?:[^"\\]|\\.){0,1000000}")+)')
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPE: Final = re.compile(r"\\([0-7]{3}|.)", re.DOTALL)
_ESCAPED: Final = {"n": "\n", "t": "\t", "r": "\n"}
_TAG: Final = re.compile(r"<[^<>]*>")
_FONT: Final = re.compile(r'<span[^<>]* font(?:_family|_desc|)="([^"]+)"')
_METADATA: Final = re.compile(r'<tag name="([\w.-]{1,200})">([^<]*)</tag>')


class Xcf(Handler):
    name = "xcf"
    media_types = ("image/x-xcf",)
    signatures = (Signature(_MAGIC),)
    suffixes = (".xcf",)
    fields: ClassVar[dict[str, str]] = {
        **_picture.FIELDS,
        **_exif.FIELDS,
        **_iptc.FIELDS,
        **_xmp.FIELDS,
        **_layertree.declared("xcf"),
        "xcf.version": "version of the format",
        "xcf.font": "font of a text layer",
        "xcf.channel": "name of a channel beside the colours, a kept selection",
        "xcf.path": "name of a path",
        "xcf.comment": "comment of the picture",
        "xcf.metadata.*": "any tag of the metadata as GIMP keeps them, by its name",
    }
    reads = "layer tree, text layers and fonts, channels, paths, comment, EXIF, XMP"
    needs = ("exifread", "lxml")
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if _VERSION.match(stream.head) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        told = _VERSION.match(stream.head)
        version = int(told[1] or 0) if told else 0
        if version >= 100:
            raise EvidenceError("unsupported", f"version {version} is CinePaint's")
        yield Field("xcf.version", version)
        at = _Place(stream, 14, wide=version > 10)
        width, height, mode = at.number(4), at.number(4), at.number(4)
        bits = 8
        if version > 3:
            precision = at.number(4)
            bits = _EARLY_BITS.get(version, {}).get(precision, _BITS.get(precision, 0))
        yield from _picture.shape(width, height, _MODES[mode] if mode < len(_MODES) else "", bits)
        yield from _described(at)
        layers, channels = at.pointers(), at.pointers()
        yield from _layers(stream, layers, at.wide)
        for pointer in channels:
            yield from _named(stream, pointer, at.wide, "xcf.channel", skip=8)
        for pointer in at.pointers() if version > 17 else ():
            yield from _named(stream, pointer, at.wide, "xcf.path", skip=0)


class _Place:
    """A place in the file that goes on as values are taken.

    Raises:
        EvidenceError: truncated, corrupt.
    """

    def __init__(self, stream: Stream, position: int, *, wide: bool) -> None:
        self._stream = stream
        self.position = position
        self.wide = wide

    def take(self, count: int) -> bytes:
        end = self.position + count
        if end > self._stream.size:
            raise EvidenceError("truncated", f"a value ends at {end}, the file at {self._stream.size}")
        data = self._stream.at(self.position, count)
        self.position = end
        return data

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def string(self) -> str:
        length = self.number(4)
        if length > _STRING:
            raise EvidenceError("corrupt", f"a name of {length} bytes at {self.position}")
        return self.take(length).rstrip(b"\0").decode("utf-8", "replace")

    def pointers(self) -> list[int]:
        """Addresses up to a zero."""
        found: list[int] = []
        while (pointer := self.number(8 if self.wide else 4)) and len(found) < _MOST:
            found.append(pointer)
        return found

    def properties(self) -> Iterator[tuple[int, bytes]]:
        """Numbers and values; of one that is too large nothing."""
        for _ in range(_MOST):
            kind, length = self.number(4), self.number(4)
            if not kind:
                return
            if kind == _COLOURS:  # some programs write a wrong length
                length = 3 * self.number(4)
            if length > _PAYLOAD:
                self.position += length
                yield kind, b""
            else:
                yield kind, self.take(length)
        raise EvidenceError("corrupt", f"more than {_MOST} properties")


def _described(at: _Place) -> Iterator[Fact]:
    """What the picture's own properties say."""
    blocks = _picture.Blocks()
    for kind, value in at.properties():
        if kind == _RESOLUTION and len(value) == 8:
            (dots,) = struct.unpack(">f", value[:4])
            if 0 < dots < 1_000_000:
                yield Field("picture.dpi", round(dots, 2))
        elif kind == _PARASITES:
            for name, body in _parasites(value):
                if name == "gimp-comment":
                    yield from _picture.said("xcf.comment", _picture.read_text(body), "comment")
                elif name == "icc-profile":
                    yield from _picture.profile(body)
                elif name == "exif-data":
                    yield from blocks.read(_exif.read_exif_block, body.removeprefix(b"Exif\0\0"))
                elif name == "gimp-xmp":
                    yield from blocks.read(_xmp.read_xmp, body)
                elif name in ("gimp-image-metadata", "gimp-metadata"):
                    yield from blocks.read(_metadata, body)
        elif kind in (_PATHS, _VECTORS):
            yield from (Field("xcf.path", name[:FIELD_CHARS]) for name in _path_names(kind, value))


def _parasites(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Names and values; a torn one ends them."""
    position = 0
    while position + 4 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        start = position + 4 + length + 8
        size = int.from_bytes(data[start - 4 : start], "big")
        if start + size > len(data):
            return
        yield (
            data[position + 4 : position + 4 + length].rstrip(b"\0").decode("utf-8", "replace"),
            data[start : start + size],
        )
        position = start + size


def _metadata(body: bytes) -> Iterator[Fact]:
    """Exiv2's tags, which GIMP keeps in XML."""
    lines = []
    for name, held in _METADATA.findall(body.decode("utf-8", "replace")):
        if value := html.unescape(held).strip():
            lines.append(f"{name}: {value}")
            yield Field(f"xcf.metadata.{name.lower()}", value[:FIELD_CHARS])
    yield Text("\n".join(lines), "metadata")


def _layers(stream: Stream, pointers: list[int], wide: bool) -> Iterator[Fact]:
    leaves: list[Leaf] = []
    fonts: dict[str, None] = {}
    problems: list[Problem] = []
    groups: dict[tuple[int, ...], str] = {}
    above = spent = 0
    for number, pointer in enumerate(pointers):
        try:
            at = _Place(stream, pointer + 12, wide=wide)
            name = at.string()
            held = dict(at.properties())
        except EvidenceError as error:
            problems.append(Problem(error.cause, f"layer {number + 1} of {len(pointers)}: {error.message}"))
            continue
        spent += at.position - pointer
        if spent > stream.size:
            problems.append(Problem("corrupt", "layers lie in each other", resolution=f"read up to layer {number}"))
            break
        place = held.get(_PLACE, b"")
        way = struct.unpack(f">{len(place) // 4}I", place[: len(place) & ~3]) or (above,)
        above += not place
        if _GROUP in held:
            groups[way] = name
        words, used = _words(dict(_parasites(held.get(_PARASITES, b""))).get("gimp-text-layer", b""))
        fonts |= dict.fromkeys(used)
        leaves.append(_leaf(name, tuple(groups.get(way[:depth], "") for depth in range(1, len(way))), held, words))
    yield from _layertree.tree_facts("xcf", leaves)
    yield from (Field("xcf.font", font[:FIELD_CHARS]) for font in fonts)
    yield from problems


def _leaf(name: str, groups: tuple[str, ...], held: dict[int, bytes], words: str) -> Leaf:
    number = {kind: int.from_bytes(value, "big") for kind, value in held.items() if len(value) == 4}
    blend, opacity = number.get(_BLEND, 0), number.get(_OPACITY, 255)
    marks = (
        "group" if _GROUP in held else "text" if words else "",
        _BLENDS[blend] if blend < len(_BLENDS) else f"mode {blend}",
        f"opacity {round(opacity / 2.55)}%" if opacity < 255 else "",
    )
    return Leaf(name, groups, marks, not number.get(_VISIBLE, 1), bool(number.get(_LOCKED, 0)), words)


def _words(data: bytes) -> tuple[str, list[str]]:
    """The text of a text layer, without its marks, and the fonts."""
    words, fonts = "", []
    for match in _SAID.finditer(data.decode("utf-8", "replace")):
        value = [_ESCAPE.sub(_unescaped, each) for each in _QUOTED.findall(match[2])]
        if match[1] == "font":
            fonts.append(next((each for each in value if each != "GimpFont"), ""))
        elif match[1] == "markup":
            fonts += _FONT.findall(value[0])
            words = html.unescape(_TAG.sub("", value[0]))
        else:
            words = value[0]
    return words, [font for font in fonts if font]


def _unescaped(match: re.Match[str]) -> str:
    escape = match[1]
    return chr(int(escape, 8)) if len(escape) == 3 else _ESCAPED.get(escape, escape)


def _named(stream: Stream, pointer: int, wide: bool, field: str, *, skip: int) -> Iterator[Fact]:
    """The name of what stands at an address, as a field."""
    try:
        name = _Place(stream, pointer + skip, wide=wide).string()
    except EvidenceError as error:
        yield Problem(error.cause, f"{field.removeprefix('xcf.')}: {error.message}")
    else:
        if name:
            yield Field(field, name[:FIELD_CHARS])


def _path_names(kind: int, data: bytes) -> Iterator[str]:
    """The names of the paths that stand in a property; a torn one ends them."""
    at = _Place(Stream(io.BytesIO(data)), 4 if kind == _PATHS else 8, wide=False)
    try:
        for _ in range(min(at.number(4), _MOST)):
            yield at.string()
            if kind == _PATHS:
                at.take(9)
                points, version = at.number(4), at.number(4)
                at.take(4 * (version - 1) + 12 * points if version < 4 else len(data))
                continue
            at.take(12)
            parasites, strokes = at.number(4), at.number(4)
            for _ in range(parasites):
                at.string()
                at.take(4)
                at.take(at.number(4))
            for _ in range(strokes):
                at.take(8)
                floats, points = at.number(4), at.number(4)
                at.take(points * (4 + 4 * floats))
    except EvidenceError:
        return
