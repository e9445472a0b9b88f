"""Disk images of Hyper-V (VHDX): partitions and their files, out of all three kinds.

Source: [MS-VHDX] 2.0.
Limits: the log of an image that was not closed is not played back, and that is told.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import ClassVar

from indexer.handler import Handler, Signature, Stream
from indexer.handlers._image_parents import parents_of
from indexer.handlers._vhdx import DISK_ID, MAGIC, open_image, read_header
from indexer.handlers._volumes import FIELDS, NEEDS, walk
from indexer.model import Fact, Field, Problem


class VhdxImage(Handler):
    name = "vhdx"
    version = 2
    media_types = ("application/x-vhdx",)
    signatures = (Signature(MAGIC),)
    suffixes = (".vhdx", ".avhdx")
    fields: ClassVar[Mapping[str, str]] = {**FIELDS}
    reads = "partitions and their files; the parent beside it"
    needs = NEEDS
    rank = 58
    volumes = True
    container = True

    def read(self, stream: Stream) -> Iterator[Fact]:
        header = read_header(stream)
        yield Field("image.program", header.program)
        yield Field("image.block_size", header.block)
        ident = header.items.get(DISK_ID, b"")
        if len(ident) == 16:
            yield Field("image.id", str(uuid.UUID(bytes_le=ident)))
        if header.differs:
            yield Field("image.parent", header.parent_name)
            if "parent_linkage" in header.parent:
                yield Field("image.parent_id", header.parent["parent_linkage"].strip("{}"))
        if header.log:
            message = "VHDX: the image was not closed; what its log holds is not in the blocks yet"
            yield Problem("corrupt", message, resolution="read without the log")
        yield from walk(open_image(stream, parents_of(stream)), stream)
