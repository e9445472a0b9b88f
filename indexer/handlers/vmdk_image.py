"""Disk images of VMware (VMDK): partitions and their files, out of one file or a descriptor's extents.

Source: "Virtual Disk Format 5.0", VMware, 2011.
Limits: extents of raw devices and the space-efficient sparse format of ESXi are not read; extents are
looked for in the descriptor's own folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from indexer.handler import CONTROLS, Handler, Stream
from indexer.handlers._image_parents import parents_of
from indexer.handlers._vmdk import is_image, is_whole, open_image, owner_of, read_descriptor
from indexer.handlers._volumes import FIELDS, NEEDS, walk
from indexer.model import Fact, Field

ENTRIES = {
    "createType": "image.kind",
    "version": "image.version",
    "CID": "image.id",
    "ddb.uuid": "image.uuid",
    "ddb.adapterType": "image.adapter",
    "ddb.virtualHWVersion": "image.hardware",
    "ddb.toolsVersion": "image.tools",
    "ddb.comment": "image.comment",
}


class VmdkImage(Handler):
    name = "vmdk"
    version = 2
    media_types = ("application/x-vmdk", "application/x-vmware-vmdk")
    suffixes = (".vmdk",)
    holds = CONTROLS + b"#"
    fields: ClassVar[Mapping[str, str]] = {
        **FIELDS,
        "image.uuid": "identifier of the disk in the virtual machine",
        "image.adapter": "controller that the disk hangs on",
        "image.hardware": "version of the virtual machine",
        "image.tools": "version of VMware Tools in it",
        "image.extent": "one extent: its access, kind, name and bytes",
    }
    reads = "partitions and their files; extents and parent beside it; what the descriptor tells"
    needs = NEEDS
    rank = 58
    uses_name = True
    volumes = True
    volume_names = (r".+\.vmdk",)
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if is_image(stream) else None

    def is_volume(self, stream: Stream) -> bool:
        return not is_whole(stream)

    def read(self, stream: Stream) -> Iterator[Fact]:
        if owner := owner_of(stream):
            yield Field("image.part_of", owner)
            return
        descriptor = read_descriptor(stream)
        for key, name in ENTRIES.items():
            if key in descriptor.entries:
                yield Field(name, descriptor.entries[key])
        for each in descriptor.extents:
            yield Field(
                "image.extent", f"{each.access} {each.kind} {each.name} {each.sectors * 512}".replace("  ", " ")
            )
        if descriptor.parent:
            yield Field("image.parent", descriptor.parent)
            yield Field("image.parent_id", descriptor.entries["parentCID"])
        yield from walk(open_image(stream, parents_of(stream)), stream)
