"""Raw disk images, whole or in numbered parts: partitions, their files, what lies between them.

A whole file is a disk only where a sensible partition table or the header of a file system says so; the
mark 55 AA alone says nothing.

Source: none for the image, which is the disk itself; `_partitions` and `_volume_marks` name theirs.
Limits: file systems that no reader knows are given as they are; encrypted volumes are told, not
opened; parts are joined where they are numbered .001, .002, ... or .000, .001, ...
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import ClassVar

from indexer.handler import Handler, Stream
from indexer.handlers._image import FileImage, Image, JoinedImage, open_sibling
from indexer.handlers._partitions import read_table
from indexer.handlers._vmdk import owner_of
from indexer.handlers._volume_marks import kind_of
from indexer.handlers._volumes import FIELDS, NEEDS, walk
from indexer.limits import KIB
from indexer.model import Fact, Field

LEAST = 8 * KIB
NUMBERED = re.compile(r"(.*\.)(\d{3,5})")
MOST_PARTS = 10_000
OPTICAL = (b"CD001", b"BEA01", b"NSR02", b"NSR03")


class RawDisk(Handler):
    name = "raw-disk"
    version = 2
    media_types = ("application/x-raw-disk-image",)
    suffixes = (".dd", ".raw", ".img", ".ima", ".bin", ".dsk", ".flp", ".vfd", ".vmdk", ".001", ".000")
    fields: ClassVar[Mapping[str, str]] = {
        **FIELDS,
        "image.parts": "files that the image was split into",
    }
    reads = "partitions and their files; what lies in no partition; split images; what is encrypted, and how"
    needs = NEEDS
    rank = 59
    uses_name = True
    volumes = True
    volume_names = (r".+\.\d{3,5}", r".+-(flat|f\d{3})\.vmdk")
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if _is_disk(stream) or _first_part(stream) or owner_of(stream) else None

    def is_volume(self, stream: Stream) -> bool:
        return bool(NUMBERED.fullmatch(stream.name)) or stream.name.lower().endswith(".vmdk")

    def read(self, stream: Stream) -> Iterator[Fact]:
        if first := owner_of(stream) or ("" if _is_disk(stream) else _first_part(stream)):
            yield Field("image.part_of", first)
            return
        parts = [stream, *_next_parts(stream)]
        image: Image = FileImage(stream)
        if len(parts) > 1:
            yield Field("image.parts", len(parts))
            image = JoinedImage([FileImage(part) for part in parts])
        yield from walk(image, stream, virtual=False)


def _is_disk(stream: Stream) -> bool:
    # Quick to say for what is no disk: no header of a disk or a volume is without a stretch of zeros.
    if stream.size < LEAST or b"\0\0" not in stream.head[:4096] or stream.at(0x8001, 5) in OPTICAL:
        return False
    image = FileImage(stream)
    return bool(kind_of(image)) or read_table(image) is not None


def _first_part(stream: Stream) -> str:
    """The name of the first file of a split disk that this is a later part of, or an empty string."""
    match = NUMBERED.fullmatch(stream.name)
    if not match or int(match[2]) == 0:
        return ""
    for number in (1, 0):
        name = f"{match[1]}{number:0{len(match[2])}}"
        if name != stream.name and (first := open_sibling(stream, name)) and _is_disk(first):
            return name
    return ""


def _next_parts(stream: Stream) -> Iterator[Stream]:
    match = NUMBERED.fullmatch(stream.name)
    if not match or int(match[2]) > 1:
        return
    for number in range(int(match[2]) + 1, MOST_PARTS):
        part = open_sibling(stream, f"{match[1]}{number:0{len(match[2])}}")
        if part is None or _is_disk(part):
            return
        yield part
