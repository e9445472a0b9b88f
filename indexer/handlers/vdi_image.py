"""Disk images of VirtualBox (VDI): partitions and their files.

Source: VirtualBox, VDICore.h.
Limits: images before version 1.0 are not read; a differencing image names its parent by an identifier
alone, so that what did not change is told to be missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from indexer.handler import Handler, Signature, Stream
from indexer.handlers._image_parents import parents_of
from indexer.handlers._vdi import KINDS, MAGIC, open_image, read_header
from indexer.handlers._volumes import FIELDS, NEEDS, walk
from indexer.model import Fact, Field


class VdiImage(Handler):
    name = "vdi"
    version = 2
    media_types = ("application/x-virtualbox-vdi", "application/x-vdi-disk")
    signatures = (Signature(MAGIC, 64),)
    suffixes = (".vdi",)
    fields: ClassVar[Mapping[str, str]] = {**FIELDS}
    reads = "partitions and their files; comment, program and identifiers"
    needs = NEEDS
    rank = 58
    container = True

    def read(self, stream: Stream) -> Iterator[Fact]:
        header = read_header(stream)
        yield Field("image.kind", KINDS.get(header.kind, f"type {header.kind}"))
        yield Field("image.program", header.program)
        if header.comment:
            yield Field("image.comment", header.comment)
        yield Field("image.block_size", header.block)
        yield Field("image.id", header.ident)
        if header.parent.strip("0-"):
            yield Field("image.parent_id", header.parent)
        yield from walk(open_image(stream, parents_of(stream)), stream)
