"""PostScript, EPS and old Illustrator documents: comments that describe them, strings, fonts, previews.

Source: PostScript Language Document Structuring Conventions 3.0; Encapsulated PostScript 3.0, sections 5 and 6
(previews, DOS header); Adobe Illustrator File Format (1998), layers (Lb, Ln) and raster comments.
Limits: nothing is run: text that a program composes glyph by glyph comes in pieces; compressed and encoded
data are passed over, except the thumbnails that stand as such.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.decoding import decode
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _iptc, _layertree, _picture, _refs, _xmp
from indexer.handlers._layertree import Leaf
from indexer.handlers._picture import FIELD_CHARS, read_text
from indexer.handlers._ps_tokens import COMMENT, NAME, STRING, WORD, tokens
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Text
from indexer.timestamps import from_exif

READ: Final = 64 * MIB
"""Bytes of the program that are gone through; what follows in honest files is pixels."""
_PIECE: Final = 4 * MIB
_DOS: Final = b"\xc5\xd0\xd3\xc6"
_COMMENTS: Final = {
    b"Title": "title", b"Creator": "creator", b"For": "for", b"Author": "author", b"CreationDate": "date",
    b"Copyright": "copyright", b"Routing": "routing", b"Pages": "pages", b"BoundingBox": "bounding_box",
    b"LanguageLevel": "language_level", b"DocumentData": "data", b"AI8_CreatorVersion": "creator_version",
    b"AI5_FileFormat": "ai_format", b"AI9_DataStream": "ai_data",
}  # fmt: skip
_WORDY: Final = frozenset(("title", "creator", "for", "author", "copyright", "routing"))
_FONTS: Final = (
    b"DocumentFonts", b"DocumentNeededFonts", b"DocumentSuppliedFonts", b"DocumentNeededResources", b"IncludeFont",
)  # fmt: skip
_NO_FONTS: Final = (b"font", b"file", b"procset", b"encoding", b"form", b"pattern")
STRINGS: Final = 500_000
LAYERS: Final = 20_000
_FILES: Final = (b"DocumentFiles", b"IncludeFile", b"DocumentNeededFiles", b"PlacedFile")
_STAMP: Final = re.compile(r"(?:D:)?(\d{4})[-:/]?(\d\d)[-:/]?(\d\d)[T ]?(\d\d):?(\d\d):?(\d\d)?")
_BOX: Final = re.compile(rb"(-?\d{1,9})(?:\.\d*)?\s+(-?\d{1,9})(?:\.\d*)?\s+(-?\d{1,9})(?:\.\d*)?\s+(-?\d{1,9})")
_PACKET, _PACKET_END = b"<x:xmpmeta", b"</x:xmpmeta>"
_LONG: Final = re.compile(rb"[^\r\n]{4096,}+")
_LETTERS: Final = re.compile(r"[^\W\d_]")


class PostScript(Handler):
    name = "postscript"
    version = 2
    media_types = ("application/postscript", "image/x-eps", "application/eps", "application/illustrator")
    signatures = (Signature(b"%!PS"), Signature(b"%!\n"), Signature(b"%!\r"), Signature(b"\x04%!PS"), Signature(_DOS))
    suffixes = (".ps", ".eps", ".epsf", ".epsi", ".ai", ".eps2", ".eps3")
    fields: ClassVar[dict[str, str]] = {
        **_picture.FIELDS,
        **_layertree.declared("postscript"),
        **_xmp.FIELDS,
        **_iptc.FIELDS,
        **_refs.FIELDS,
        **{f"postscript.{name}": f"{name.replace('_', ' ')} as its comments say" for name in _COMMENTS.values()},
        "postscript.font": "font that is used, or held",
        "postscript.preview": "form of the preview that stands in the file",
    }
    reads = "title, creator, dates and fonts from its comments, strings, layers, XMP, previews"
    needs = ("lxml",)
    rank = 66
    container = True

    def claims(self, stream: Stream) -> str | None:
        head = stream.head
        if head.startswith(_DOS):
            return "image/x-eps"
        line = head[:80].split(b"\n")[0].split(b"\r")[0]
        if b"Adobe Illustrator" in head[:1024] or b"%AI" in head[:4096]:
            return "application/illustrator"
        return "image/x-eps" if b"EPSF" in line else self.media_types[0]

    def read(self, stream: Stream) -> Iterator[Fact]:
        start, end = 0, stream.size
        if stream.head.startswith(_DOS):
            numbers = [int.from_bytes(stream.head[at : at + 4], "little") for at in range(4, 28, 4)]
            start, end = numbers[0], numbers[0] + numbers[1]
            yield from _previews(stream, numbers)
            if end > stream.size:
                yield Problem("truncated", f"the program ends at {end}, the file at {stream.size}")
        yield from _Program().read(stream, start, min(end, stream.size))


def _previews(stream: Stream, numbers: list[int]) -> Iterator[Fact]:
    """The pictures that the header of DOS and Windows points to."""
    for name, at, length in (("preview.wmf", numbers[2], numbers[3]), ("preview.tif", numbers[4], numbers[5])):
        if length and at < stream.size:
            yield Field("postscript.preview", name.rpartition(".")[2])
            yield _picture.member(stream, name, at, min(length, stream.size - at), "preview")


class _Program:
    """What the tokens told so far."""

    def __init__(self) -> None:
        self.said: dict[str, bytes] = {}
        self.fonts: dict[bytes, None] = {}
        self.files: dict[bytes, None] = {}
        self.layers: list[bytes] = []
        self.strings: list[bytes] = []
        self.continued = b""
        self.gathering: bytes | None = None
        self.photoshop = b""

    def read(self, stream: Stream, start: int, end: int) -> Iterator[Fact]:
        """The facts of a program, gone through in pieces that end with a line."""
        position, held = start, b""
        blocks = _picture.Blocks()
        while position < min(end, start + READ):
            data = held + stream.at(position, min(_PIECE, end - position))
            position += _PIECE
            cut = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1 if position < end else len(data)
            if position < end and (begun := data.rfind(_PACKET)) > data.rfind(_PACKET_END):
                cut = begun
            held, data = (data[cut:], data[:cut]) if len(data) - cut < MIB else (b"", data)
            while (begun := data.find(_PACKET)) >= 0:
                stop = data.find(_PACKET_END, begun)
                stop = len(data) if stop < 0 else stop + len(_PACKET_END)
                yield from blocks.read(_xmp.read_xmp, data[begun:stop])
                self._go_through(data[:begun])
                data = data[stop:]
            self._go_through(data)
        yield from self._facts()
        if start + READ < end:
            yield Problem("limit", f"the program is longer than {READ} bytes", resolution="the rest was not looked at")

    def _go_through(self, data: bytes) -> None:
        name = b""
        for kind, value in tokens(_LONG.sub(b"", data)):
            if kind == COMMENT:
                self._comment(value)
            elif kind == STRING and len(self.strings) < STRINGS:
                self.strings.append(value)
            elif kind == NAME:
                if name == b"FontName":
                    self.fonts[value] = None
                name = value
            elif kind == WORD:
                if value == b"Ln" and self.strings:
                    self.layers.append(self.strings.pop())
                elif value == b"findfont" and name:
                    self.fonts[name] = None

    def _comment(self, value: bytes) -> None:
        if self.gathering is not None and value.startswith(b" "):
            self.gathering += value[1:] if len(self.gathering) < _PIECE else b""
            return
        key, colon, rest = value.lstrip(b"%").partition(b":")
        if not colon:
            key, _, rest = key.partition(b" ")
        if value.startswith(b"%+"):
            key, rest = self.continued, value[2:]
        self.continued = key
        rest = rest.strip()
        if key == b"BeginPhotoshop":
            self.gathering = b""
        elif key == b"EndPhotoshop":
            self.photoshop, self.gathering = self.gathering or b"", None
        if b"(atend)" in rest:
            return
        words = b" ".join(body for kind, body in tokens(rest) if kind == STRING) if rest[:1] == b"(" else rest
        if key in _COMMENTS and words:
            self.said.setdefault(_COMMENTS[key], words)
        elif key in _FONTS:
            self.fonts.update(dict.fromkeys(word for word in rest.split() if word not in _NO_FONTS))
        elif key in _FILES and words:
            self.files[words] = None

    def _facts(self) -> Iterator[Fact]:
        codec = _codec([*self.said.values(), *self.strings, *self.layers, *self.files])
        words: list[str] = []
        for name, raw in self.said.items():
            text = read_text(raw, codec)[:FIELD_CHARS]
            if not text:
                continue
            yield Field(f"postscript.{name}", text)
            words += [text] * (name in _WORDY)
            if name == "date":
                yield from _stamp(text)
        if box := _BOX.match(self.said.get("bounding_box", b"")):
            left, bottom, right, top = (int(number) for number in box.groups())
            if right > left and top > bottom:
                yield Field("picture.width", right - left)
                yield Field("picture.height", top - bottom)
        yield from (Field("postscript.font", read_text(font)[:FIELD_CHARS]) for font in list(self.fonts)[:5_000])
        yield from _refs.Once().fields(read_text(name, codec) for name in self.files)
        yield from _layertree.tree_facts("postscript", [Leaf(read_text(name, codec)) for name in self.layers[:LAYERS]])
        digits = re.sub(rb"[^0-9A-Fa-f]+", b"", self.photoshop)
        yield from _iptc.read_resources(bytes.fromhex(digits[: len(digits) & ~1].decode()))
        if words:
            yield Text("\n".join(dict.fromkeys(words)), "comments")
        shown = (_shown(raw, codec) for raw in self.strings)
        if body := "\n".join(text for text in shown if text):
            yield Text(body, "strings")


def _shown(raw: bytes, codec: str) -> str:
    """A string as text, where it is one: glyph numbers and packed data are not."""
    if raw.startswith(b"\xfe\xff"):
        return raw[2:].decode("utf-16-be", "replace").strip("\0 ")
    if sum(byte < 32 and byte not in b"\t\r\n" for byte in raw) * 8 > len(raw):
        return ""
    text = read_text(raw, codec)
    return text if _LETTERS.search(text) else ""


def _codec(parts: list[bytes]) -> str:
    strange = b"\n".join(part for part in parts if not part.isascii() and not part.startswith(b"\xfe\xff"))[: 64 << 10]
    if not strange:
        return ""
    found = decode(strange)
    return "latin-1" if found.lossy else found.codec


def _stamp(text: str) -> Iterator[Fact]:
    """The date where it is written in a form that has one meaning."""
    stamp = None
    if match := _STAMP.search(text):
        year, month, day, hour, minute, second = match.groups(default="00")
        stamp = from_exif("B", f"{year}-{month}-{day} {hour}:{minute}:{second}", "postscript.CreationDate")
    if stamp:
        yield stamp
