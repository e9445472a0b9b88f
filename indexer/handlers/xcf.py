"""Pictures of GIMP: layer tree, text layers and fonts, channels, paths, notes, EXIF and XMP.

Source: GIMP, devel-docs/xcf.txt and parasites.txt; modes of layers as GIMP 2.10 numbers them.
Limits: no pixel is decoded; links of GIMP 3.2 to other files are not read; CinePaint's files of the same name neither.
"""

from __future__ import annotations

import html
import re
import struct
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _exif, _iptc, _layertree, _picture, _xmp
from indexer.handlers._layertree import Leaf
from indexer.handlers._picture import FIELD_CHARS
from indexer.handlers._xcf import PATHS, VECTORS, Place, parasites_of, path_names, words_of
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
_OPACITY, _BLEND, _VISIBLE, _RESOLUTION, _PARASITES, _LOCKED, _GROUP, _WAY = 6, 7, 8, 19, 21, 28, 29, 30
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
        at = Place(stream, 14, wide=version > 10)
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


def _described(at: Place) -> Iterator[Fact]:
    """What the picture's own properties say."""
    blocks = _picture.Blocks()
    for kind, value in at.properties():
        if kind == _RESOLUTION and len(value) == 8:
            (dots,) = struct.unpack(">f", value[:4])
            if 0 < dots < 1_000_000:
                yield Field("picture.dpi", round(dots, 2))
        elif kind == _PARASITES:
            for name, body in parasites_of(value):
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
        elif kind in (PATHS, VECTORS):
            yield from (Field("xcf.path", name[:FIELD_CHARS]) for name in path_names(kind, value))


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
        at = Place(stream, pointer + 12, wide=wide)
        name, held = "", dict[int, bytes]()
        try:
            name = at.string()
            held.update(at.properties())
        except EvidenceError as error:
            problems.append(Problem(error.cause, f"layer {number + 1} of {len(pointers)}: {error.message}"))
            if not name:
                continue
        spent += at.position - pointer
        if spent > stream.size:
            problems.append(Problem("corrupt", "layers lie in each other", resolution=f"read up to layer {number}"))
            break
        steps = held.get(_WAY, b"")
        way = struct.unpack(f">{len(steps) // 4}I", steps[: len(steps) & ~3]) or (above,)
        above += not steps
        if _GROUP in held:
            groups[way] = name
        words, used = words_of(dict(parasites_of(held.get(_PARASITES, b""))).get("gimp-text-layer", b""))
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


def _named(stream: Stream, pointer: int, wide: bool, field: str, *, skip: int) -> Iterator[Fact]:
    """The name of what stands at an address, as a field."""
    try:
        name = Place(stream, pointer + skip, wide=wide).string()
    except EvidenceError as error:
        yield Problem(error.cause, f"{field.removeprefix('xcf.')}: {error.message}")
    else:
        if name:
            yield Field(field, name[:FIELD_CHARS])
