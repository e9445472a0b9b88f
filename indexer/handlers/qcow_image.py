"""QEMU's disk images, QCOW 1 to 3: partitions and their files, packed clusters, backing files.

Source: QEMU, docs/interop/qcow2.txt.
Limits: encrypted images are told, not opened; data kept in another file are not read; of the snapshots
inside an image names and times are told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from indexer.handler import Handler, Signature, Stream
from indexer.handlers._image_parents import parents_of
from indexer.handlers._qcow import CRYPTS, DAMAGED, DIRTY, MAGIC, is_image, open_image, read_header, snapshots_of
from indexer.handlers._volumes import FIELDS, NEEDS, walk
from indexer.model import Fact, Field, Problem


class QcowImage(Handler):
    name = "qcow"
    version = 2
    media_types = ("application/x-qemu-disk", "application/x-qcow")
    signatures = (Signature(MAGIC),)
    suffixes = (".qcow2", ".qcow", ".qcow3", ".img")
    fields: ClassVar[Mapping[str, str]] = {
        **FIELDS,
        "image.snapshot": "name of a snapshot kept inside the image",
    }
    reads = "partitions and their files; the backing file beside it; names of snapshots"
    needs = ("backports.zstd", *NEEDS)
    rank = 58
    volumes = True
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if is_image(stream) else None

    def is_volume(self, stream: Stream) -> bool:
        return any(stream.head[8:16])

    def read(self, stream: Stream) -> Iterator[Fact]:
        header = read_header(stream)
        yield Field("image.version", header.version)
        yield Field("image.block_size", 1 << header.bits)
        if header.parent:
            yield Field("image.parent", header.parent)
        if header.crypt:
            yield Field("encryption.method", CRYPTS.get(header.crypt, f"method {header.crypt}"))
        yield from snapshots_of(stream, header)
        if header.features & DAMAGED:
            yield Problem("corrupt", "QCOW: the image is marked as damaged", resolution="read all the same")
        elif header.features & DIRTY:
            yield Problem("corrupt", "QCOW: the image was not closed", resolution="read all the same")
        yield from walk(open_image(stream, parents_of(stream)), stream)
