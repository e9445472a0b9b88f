"""XMP that stands in a file of its own: sidecars of pictures, metadata parts of packages.

Source: ISO 16684-1:2019, sections 7.3 (packet) and 7.4 (x:xmpmeta).
Limits: as in every other file that holds XMP: properties nested deeper than six levels; unknown qualifiers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import ClassVar

from indexer.handler import Handler, Stream
from indexer.handlers import _xmp
from indexer.limits import MIB
from indexer.model import Fact, Problem

_MOST = 16 * MIB
_START = re.compile(
    rb"\s*+(?:<\?xml [^>]{0,200}\?>\s*+)?(?:<\?xpacket [^>]{0,200}\?>\s*+)?<[\w.-]{1,20}:(?:xmpmeta|xapmeta)\b"
)


class XmpPacket(Handler):
    name = "xmp"
    version = 2
    media_types = ("application/rdf+xml", "application/xmp+xml")
    suffixes = (".xmp",)
    holds = b"<"
    fields: ClassVar[Mapping[str, str]] = _xmp.FIELDS
    reads = "every property by its name, times, the editing history, thumbnails"
    needs = ("lxml",)
    rank = 58
    container = True

    def claims(self, stream: Stream) -> str | None:
        head = stream.head[:2048]
        if head[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in head[:4]:
            head = head.replace(b"\0", b"").lstrip(b"\xff\xfe")
        return self.media_types[0] if _START.match(head.removeprefix(b"\xef\xbb\xbf")) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        yield from _xmp.read_xmp(stream.at(0, _MOST))
        if stream.size > _MOST:
            yield Problem("limit", f"more than {_MOST} bytes of XMP", resolution="read up to there")
