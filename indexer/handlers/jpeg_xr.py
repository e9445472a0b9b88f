"""JPEG XR pictures: shape, EXIF, XMP, colour profile.

Source: ITU-T T.832 | ISO/IEC 29199-2, annex A (file format).
Limits: the coded picture is not decoded; pages behind the first are told by their number.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _exif, _picture, _xmp
from indexer.handlers._ifd import Ifds
from indexer.model import Fact, Field, Problem

_WIDTH, _HEIGHT, _START, _LENGTH = 0xBC80, 0xBC81, 0xBCC0, 0xBCC1
_RESOLUTION: Final = 0xBC82
PAGES: Final = 1000


class JpegXr(Handler):
    name = "jpeg-xr"
    media_types = ("image/jxr", "image/vnd.ms-photo")
    signatures = (Signature(b"II\xbc\x01"), Signature(b"II\xbc\0"))
    suffixes = (".jxr", ".wdp", ".hdp")
    fields: ClassVar[dict[str, str]] = {**_picture.FIELDS, **_exif.FIELDS, **_xmp.FIELDS}
    reads = "dimensions, EXIF, XMP, colour profile"
    needs = ("exifread", "lxml")

    def read(self, stream: Stream) -> Iterator[Fact]:
        ifds = Ifds(lambda at, length: (b"II*\0" + stream.at(4, length))[:length] if not at else stream.at(at, length))
        pages = []
        for page in ifds.chain():
            pages.append(page)
            if len(pages) >= PAGES:
                break
        if not pages:
            raise EvidenceError("truncated", "the first directory is missing")
        first = pages[0]
        yield from _picture.shape(ifds.number(first, _WIDTH), ifds.number(first, _HEIGHT), frames=len(pages))
        yield from _exif.read_exif(ifds)
        blocks = _picture.Blocks()
        if packet := ifds.value(first, 700):
            yield from blocks.read(_xmp.read_xmp, packet)
        if profile := ifds.value(first, 34675):
            yield from _picture.profile(profile)
        end = ifds.number(first, _START) + ifds.number(first, _LENGTH)
        if end > stream.size:
            yield Problem("truncated", f"the picture ends at {end}, the file at {stream.size}")
        for dots in ifds.numbers(first, _RESOLUTION, 1):
            yield Field("picture.dpi", round(dots, 2))
