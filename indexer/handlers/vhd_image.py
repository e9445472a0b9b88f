"""Disk images of Virtual PC and Hyper-V (VHD): partitions and their files, out of all three kinds.

Source: "Virtual Hard Disk Image Format Specification" 1.0, Microsoft, 2006.
Limits: of several places where a parent may lie only the image's own folder is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from indexer.handler import CONTROLS, Handler, Stream
from indexer.handlers._image_parents import parents_of
from indexer.handlers._vhd import DIFFERENCING, KINDS, MAGIC, SINCE, is_image, open_image, read_footer, read_parent
from indexer.handlers._volumes import FIELDS, NEEDS, walk
from indexer.model import Fact, Field, Problem
from indexer.timestamps import from_unix


class VhdImage(Handler):
    name = "vhd"
    version = 2
    media_types = ("application/x-virtualbox-vhd", "application/x-vhd")
    suffixes = (".vhd", ".avhd", ".vpc")
    holds = CONTROLS
    fields: ClassVar[Mapping[str, str]] = {
        **FIELDS,
        "image.system": "system on which the image was written",
    }
    reads = "partitions and their files; when it was written; the parent beside it"
    needs = NEEDS
    rank = 58
    volumes = True
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if is_image(stream) else None

    def is_volume(self, stream: Stream) -> bool:
        return stream.head.startswith(MAGIC) and stream.head[60:64] == DIFFERENCING.to_bytes(4, "big")

    def read(self, stream: Stream) -> Iterator[Fact]:
        footer = read_footer(stream)
        yield Field("image.kind", KINDS.get(footer.kind, f"type {footer.kind}"))
        yield Field("image.id", footer.ident)
        yield Field("image.program", footer.program)
        yield Field("image.system", footer.system)
        if stamp := from_unix("written", footer.written + SINCE, "vhd.footer"):
            yield stamp
        if footer.kind == DIFFERENCING:
            parent = read_parent(stream, footer)
            yield Field("image.parent", parent.name)
            yield Field("image.parent_id", parent.ident)
        if not footer.whole:
            yield Problem("corrupt", "VHD: the checksum of the footer does not fit", resolution="read all the same")
        yield from walk(open_image(stream, parents_of(stream)), stream)
