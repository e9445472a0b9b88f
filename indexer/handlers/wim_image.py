"""WIM, the image that Windows is installed from: files of all its images, by 7-Zip.

Source: "Windows Imaging File Format", Microsoft, 2007; 7-Zip 26.
Limits: alternate streams are not given; parts of a split image (.swm) are read one by one. All bytes come
through a pipe from 7-Zip and are compared with their SHA-1: 1.7 times its own time (large members, 2026-11).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from indexer.handler import Handler, Signature, Stream
from indexer.handlers._p7z_entries import FIELDS
from indexer.handlers._p7z_members import read_archive
from indexer.model import Fact

LABELS = {"Method": "archive.method", "Comment": "archive.comment", "Images": "wim.images", "Volumes": "wim.volumes"}


class WimImage(Handler):
    name = "wim"
    media_types = ("application/x-ms-wim",)
    signatures = (Signature(b"MSWIM\0\0\0"), Signature(b"WLPWM\0\0\0"))
    suffixes = (".wim", ".esd", ".swm")
    fields: ClassVar[Mapping[str, str]] = {
        **FIELDS,
        "wim.images": "how many images it holds",
        "wim.volumes": "how many parts it was split into",
    }
    reads = "files of every image with times, attributes and links; names, times and sizes of the images"
    needs = ("p7z",)
    rank = 57
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if stream.size >= 208 else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        yield from read_archive(stream, "wim", "wim", LABELS)
