"""How an embedded object looked when it was last shown (OlePres streams): the picture as a member.

Source: [MS-OLEDS] 2.3.4 (OLEPresentationStream), 2.3.1 (clipboard formats).
Limits: what the picture was drawn for (a printer or screen) and the table of further formats are skipped.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import partial
from io import BytesIO
from typing import ClassVar, NamedTuple

from indexer.handler import Handler, Signature, Stream
from indexer.handlers._blips import METAFILE, bitmap_header
from indexer.handlers._streams import open_slice
from indexer.model import Child, Fact, Field, Problem

_BITMAP = 8
_FORMATS = {3: ".wmf", _BITMAP: ".bmp", 14: ".emf"}
_ASPECTS = {1: "content", 2: "thumbnail", 4: "icon", 8: "print"}
_HEADER = struct.Struct("<7I")
"""Aspect, index, advice, reserved, width, height, size."""


class _Shown(NamedTuple):
    """A picture in the stream: where it lies and how large it says that it is."""

    suffix: str
    aspect: int
    start: int
    size: int


class OlePresentation(Handler):
    name = "ole-presentation"
    media_types = ("application/x-ole-presentation",)
    signatures = tuple(Signature(struct.pack("<iI", -1, number)) for number in _FORMATS)
    fields: ClassVar[dict[str, str]] = {"ole.aspect": "what the picture shows: content, thumbnail, icon or print"}
    reads = "the picture in which an embedded object was shown, as a member"
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if _find(stream) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        shown = _find(stream)
        if shown is None:
            return
        yield Field("ole.aspect", _ASPECTS[shown.aspect])
        name = "presentation" + shown.suffix
        opening = open_slice(stream, shown.start, shown.size)
        if shown.suffix == ".bmp":
            body = stream.at(shown.start, min(shown.size, METAFILE))
            opening = partial(BytesIO, (bitmap_header(body) if len(body) >= 40 else b"") + body)
        yield Child(name, name.encode(), opening)
        missing = shown.start + shown.size - stream.size
        if missing > 0:
            yield Problem("truncated", f"{missing} bytes of the picture are missing", resolution="read up to there")


def _find(stream: Stream) -> _Shown | None:
    """The picture; None where the stream is none of these."""
    number, device = struct.unpack("<II", stream.at(4, 8).ljust(8, b"\0"))
    header = stream.at(8 + device, _HEADER.size)
    if not 4 <= device < stream.size or len(header) < _HEADER.size:
        return None
    aspect, index, _, _, _, _, size = _HEADER.unpack(header)
    start = 8 + device + _HEADER.size
    return _Shown(_FORMATS[number], aspect, start, size) if index == 0xFFFFFFFF and aspect in _ASPECTS else None
