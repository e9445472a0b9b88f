"""Apple's disk images (UDIF): their partitions, to be read in turn.

7-Zip lists them, with what it proves of the whole image. Partitions that are stored are read where they lie,
packed ones are unpacked here or, where a run is under ADC or LZFSE, by 7-Zip.

Source: "Demystifying the DMG File Format", Jonathan Levin, 2013; 7-Zip 26.
Limits: encrypted images are told, not opened; images without the trailer (raw ones) are disk images of
another kind. LIMITS
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import BinaryIO, ClassVar
from zlib import crc32

from indexer.errors import EvidenceError
from indexer.handler import CONTROLS, Handler, Stream
from indexer.handlers._p7z_entries import FIELDS, Entry
from indexer.handlers._p7z_members import read_archive
from indexer.handlers._udif import STEP, Piece, as_stored, read_partitions, unpack
from indexer.model import Fact, Field

ENCRYPTED = b"encrcdsa"


class DmgImage(Handler):
    name = "dmg"
    version = 2
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
        labels = {"Method": "archive.method", "Comment": "archive.comment"}
        yield from read_archive(stream, "Dmg", "dmg", labels, arrange=partial(_arrange, stream))


def _arrange(stream: Stream, entries: Sequence[Entry]) -> None:
    """Where our reading of the list agrees with that of 7-Zip, the bytes come from here."""
    partitions: list[list[Piece]] = []
    with suppress(EvidenceError):
        partitions = read_partitions(stream)
    if len(partitions) != len(entries):
        return
    for entry, pieces in zip(entries, partitions, strict=True):
        if pieces and sum(piece.size for piece in pieces) == entry.size:
            entry.here = partial(unpack, stream, pieces)
            entry.view = partial(_view, stream, pieces, entry.crc)


def _view(stream: Stream, pieces: list[Piece], crc: int | None) -> BinaryIO | None:
    view = as_stored(stream, pieces)
    if view is None or crc is None:
        return view
    found = 0
    while chunk := view.read(STEP):
        found = crc32(chunk, found)
    view.seek(0)
    return view if found == crc else None
