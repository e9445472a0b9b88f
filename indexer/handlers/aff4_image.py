"""AFF4 images: partitions and their files, out of maps and packed streams; who acquired what.

Source: "AFF4 Standard" 1.0a, Schatz and Cohen, 2017.
Limits: of several images in one container the first is read; containers with mere files (AFF4-L) are
read as zip; streams that lie in another container, and encrypted ones, are told to be missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._acquisition import FIELDS as ACQUISITION
from indexer.handlers._acquisition import compare
from indexer.handlers._aff4 import Container, disk_of, is_image, open_stream, read_container
from indexer.handlers._volumes import FIELDS, NEEDS, walk
from indexer.handlers._zip_records import LOCAL
from indexer.model import Fact, Field
from indexer.timestamps import from_iso

TOLD = {
    "caseName": "acquisition.case_number",
    "caseDescription": "acquisition.description",
    "examiner": "acquisition.examiner",
    "diskModel": "acquisition.model",
    "diskSerial": "acquisition.serial",
    "diskDeviceName": "acquisition.label",
    "tool": "acquisition.program",
}
TIMES = {"startTime": "acquired", "endTime": "acquired-until"}


class Aff4Image(Handler):
    name = "aff4"
    version = 2
    media_types = ("application/x-aff4",)
    signatures = (Signature(LOCAL),)
    suffixes = (".aff4", ".af4")
    fields: ClassVar[Mapping[str, str]] = {
        **FIELDS,
        **ACQUISITION,
    }
    reads = "partitions and their files; case, examiner, drive; digests, compared with the data"
    needs = ("cramjam", "lz4", *NEEDS)
    rank = 20
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if is_image(stream) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        container = read_container(stream)
        found = disk_of(container)
        if found is None:
            raise EvidenceError("unsupported", "AFF4: no disk is described")
        subject, urn = found
        yield Field("image.id", subject)
        yield from _tell(container)
        told = _digests(container, urn)
        for name, digest in told.items():
            yield Field(f"image.{name}", digest)
        image = open_stream(container, urn)
        yield from walk(image, stream)
        yield from compare(image, told)


def _tell(container: Container) -> Iterator[Fact]:
    """What any statement tells of the case and the drive, in the order of the container."""
    seen: set[tuple[str, str]] = set()
    for statements in container.graph.values():
        for predicate, values in statements.items():
            for value in values:
                if (predicate, value) in seen or not value.strip():
                    continue
                seen.add((predicate, value))
                if predicate in TOLD:
                    yield Field(TOLD[predicate], value)
                elif predicate in TIMES and (stamp := from_iso(TIMES[predicate], value, f"aff4.{predicate}")):
                    yield stamp


def _digests(container: Container, urn: str) -> dict[str, str]:
    """The digests of the stream as a whole, by their length."""
    names = {32: "md5", 40: "sha1"}
    values = container.graph.get(urn, {}).get("hash", [])
    return {names[len(each)]: each.lower() for each in values if len(each) in names and each.isalnum()}
