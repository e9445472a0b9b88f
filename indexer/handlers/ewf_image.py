"""EnCase and SMART images (E01, s01): partitions and their files, who acquired what, digests compared.

Source: "Expert Witness Compression Format", Joachim Metz, libewf documentation.
Limits: logical evidence (L01) is told, its files are not given; digests are compared with the data of
disks up to 4 GiB, and each chunk's checksum whenever it is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._acquisition import FIELDS as ACQUISITION
from indexer.handlers._acquisition import compare, tell_unread, tell_values
from indexer.handlers._ewf import (
    LOGICAL,
    MAGIC,
    EwfImage,
    decode_header,
    is_image,
    number_of,
    read_contents,
    segment_name,
)
from indexer.handlers._image import open_sibling
from indexer.handlers._volumes import FIELDS, NEEDS, walk
from indexer.model import Fact, Field


class EwfDisk(Handler):
    name = "ewf"
    version = 2
    media_types = ("application/x-ewf", "application/x-encase")
    signatures = (Signature(MAGIC), Signature(LOGICAL))
    suffixes = (".e01", ".s01", ".l01")
    fields: ClassVar[Mapping[str, str]] = {
        **FIELDS,
        **ACQUISITION,
    }
    reads = "partitions and their files out of all segments; case, examiner, dates; digests, compared with the data"
    needs = NEEDS
    rank = 58
    uses_name = True
    volumes = True
    volume_names = (r".*\.[els]\d\d", r".*\.e[a-z]{2}")
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if is_image(stream) else None

    def is_volume(self, stream: Stream) -> bool:
        return is_image(stream)

    def read(self, stream: Stream) -> Iterator[Fact]:
        number = number_of(stream)
        if number > 1:
            yield Field("image.segment", number)
            first = segment_name(stream.name, 1)
            if first and open_sibling(stream, first):
                yield Field("image.part_of", first)
                return
            raise EvidenceError("truncated", f"EWF: segment {number}; the first is not beside it")
        contents = read_contents(stream)
        yield Field("image.segments", len(contents.segments))
        yield from tell_values(decode_header(contents))
        if contents.media:
            yield Field("image.media", contents.media)
        if contents.ident:
            yield Field("image.id", contents.ident)
        for name, digest in (("image.md5", contents.md5), ("image.sha1", contents.sha1)):
            if digest:
                yield Field(name, digest)
        yield from tell_unread(contents.unread)
        yield from contents.problems
        if contents.logical:
            raise EvidenceError("unsupported", "EWF: logical evidence; its files are not given")
        image = EwfImage(contents)
        yield Field("image.block_size", image.block)
        yield from walk(image, stream)
        if not contents.problems:
            yield from compare(image, {"md5": contents.md5, "sha1": contents.sha1})
