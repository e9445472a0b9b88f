"""Apple's disk images (UDIF): their partitions, to be read in turn.

Partitions that are stored are read where they lie, packed ones are unpacked here. Images that do not fit their
own checksums and sizes go through 7-Zip, and so do those with runs under ADC or LZFSE.

Source: "Demystifying the DMG File Format", Jonathan Levin, 2013; 7-Zip 26.
Limits: encrypted images are told, not opened; images without the trailer (raw ones) are disk images of
another kind. Stored ones take 1.4 times as long as 7-Zip takes for their files, as what no
file owns is read as well (2026-11).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import BinaryIO, ClassVar

from indexer.errors import EvidenceError
from indexer.handler import CONTROLS, Handler, Stream
from indexer.handlers._p7z_entries import FIELDS
from indexer.handlers._p7z_members import read_archive
from indexer.handlers._streams import open_chunks
from indexer.handlers._udif import METHODS, Partition, as_stored, read_partitions, unpack
from indexer.model import Child, Fact, Field

ENCRYPTED = b"encrcdsa"
CRC = 2
SHORT = {
    "Apple_HFS": "hfs",
    "Apple_HFSX": "hfsx",
    "Apple_UFS": "ufs",
    "Apple_APFS": "apfs",
    "Apple_ISO": "iso",
    "C12A7328-F81F-11D2-BA4B-00A0C93EC93B": "efi_sys",
    "Apple_Free": "free",
    "DDM": "ddm",
}
"""Names of members for what a partition is for, as they have been since 7-Zip gave them."""


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
        try:
            partitions = read_partitions(stream)
        except EvidenceError:
            labels = {"Method": "archive.method", "Comment": "archive.comment"}
            yield from read_archive(stream, "Dmg", "dmg", labels)
            return
        kinds = sorted({each.checksum[0] for each in partitions})
        sums = ["CRC" if kind == CRC else f"Checksum{kind}" for kind in kinds]
        yield Field("archive.method", " ".join([*_methods(partitions), *sums]))
        width = len(str(len(partitions) - 1))
        for number, each in enumerate(partitions):
            name = f"{number:0{width}}" + _name(each.name)
            opening = partial(_open, stream, each)
            told = " ".join([*_methods([each]), *_checksum(each)])
            fields = (Field("archive.method", told),) if told else ()
            yield Child(name, name.encode("utf-8", "surrogatepass"), opening, fields=fields)


def _methods(partitions: Sequence[Partition]) -> list[str]:
    return [METHODS[kind] for kind in sorted({piece.kind for each in partitions for piece in each.pieces})]


def _checksum(partition: Partition) -> list[str]:
    kind, bits, _ = partition.checksum
    if not bits:
        return []
    return ["CRC" if partition.crc is not None else f"Checksum{kind}-{bits}"]


def _name(told: str) -> str:
    """What follows the number of a partition: what it is for, where its name tells that in brackets."""
    _, opened, rest = told.partition("(")
    inside, closed, _ = rest.partition(")")
    short = (inside.partition(":")[0] if closed else "") if opened else told
    short = short.strip()
    if not short:
        return f"_{told}" if told else ""
    return "." + SHORT.get(short, short)


def _open(stream: Stream, partition: Partition) -> BinaryIO:
    if view := as_stored(stream, partition):
        return view
    chunks = unpack(stream, partition)
    return open_chunks(chunks, next(chunks, b""))
