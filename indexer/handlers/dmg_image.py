"""Apple's disk images (UDIF): their partitions, unpacked by 7-Zip, to be read in turn.

Source: "Demystifying the DMG File Format", Jonathan Levin, 2013; 7-Zip 26.
Limits: encrypted images are told, not opened; images without the trailer (raw ones) are disk images of
another kind. Whole partitions are taken out before they are read, which takes eight times as long as
7-Zip takes for the files of one that is half empty (2026-11).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from indexer.errors import EvidenceError
from indexer.handler import CONTROLS, Handler, Stream
from indexer.handlers._p7z_entries import FIELDS
from indexer.handlers._p7z_members import read_archive
from indexer.model import Fact, Field

ENCRYPTED = b"encrcdsa"


class DmgImage(Handler):
    name = "dmg"
    media_types = ("application/x-apple-diskimage",)
    suffixes = (".dmg", ".smi")
    holds = CONTROLS
    fields: ClassVar[Mapping[str, str]] = {
        **FIELDS,
    }
    reads = "partitions by their names; whether it is encrypted"
    needs = ("p7z",)
    rank = 57
    container = True

    def claims(self, stream: Stream) -> str | None:
        trailer = stream.size >= 512 and stream.at(stream.size - 512, 8) == b"koly\0\0\0\4"
        return self.media_types[0] if trailer or stream.head.startswith(ENCRYPTED) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        if stream.head.startswith(ENCRYPTED):
            yield Field("encryption.method", "AES")
            raise EvidenceError("encrypted", "the whole disk image is encrypted; no program here opens it")
        yield from read_archive(stream, "Dmg", "dmg", {"Method": "archive.method", "Comment": "archive.comment"})
