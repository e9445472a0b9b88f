"""Who made a forensic image, when and with what, and whether its digests fit: for every format that tells.

Source: the formats' own pages (`_ewf`, `_ewf2`, `_aff4`) name theirs.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from indexer.errors import EvidenceError
from indexer.handlers._image import Image
from indexer.limits import GIB, MIB
from indexer.model import Fact, Field, Problem, Timestamp
from indexer.timestamps import from_unix

MOST_COMPARED = 4 * GIB
"""A larger disk is not read once more only to compare its digests."""
FIELDS: Mapping[str, str] = {
    "image.segments": "segment files that were found",
    "image.segment": "number of this segment of the set",
    "image.md5": "MD5 of the disk, as the image tells it",
    "image.sha1": "SHA-1 of the disk, as the image tells it",
    "image.verified": "digests that were computed anew and fit",
    "image.unread_sectors": "sectors that could not be read when the image was made: first and count",
    "image.media": "kind of medium",
    "acquisition.case_number": "number of the case, given when the image was made",
    "acquisition.evidence_number": "number of the piece of evidence",
    "acquisition.description": "what the piece of evidence is",
    "acquisition.examiner": "who made the image",
    "acquisition.notes": "remarks of the examiner",
    "acquisition.model": "model of the drive",
    "acquisition.serial": "serial number of the drive",
    "acquisition.label": "label of the drive",
    "acquisition.program": "program, or its version, that made the image",
    "acquisition.system": "system on which it ran",
}
KEYS = {
    "c": "acquisition.case_number",
    "n": "acquisition.evidence_number",
    "a": "acquisition.description",
    "e": "acquisition.examiner",
    "t": "acquisition.notes",
    "md": "acquisition.model",
    "sn": "acquisition.serial",
    "l": "acquisition.label",
    "av": "acquisition.program",
    "ov": "acquisition.system",
}
TIMES = {"m": "acquired", "u": "system-clock"}
_MOST_UNREAD = 1000


def tell_values(values: Mapping[str, str]) -> Iterator[Fact]:
    """Case, examiner, dates and the like, from values by the short names that E01 gives them."""
    for key, name in KEYS.items():
        if values.get(key, "").strip():
            yield Field(name, values[key].strip())
    for key, kind in TIMES.items():
        if stamp := _read_time(kind, values.get(key, ""), f"ewf.{key}"):
            yield stamp


def tell_unread(ranges: list[tuple[int, int]]) -> Iterator[Fact]:
    """Sectors that could not be read, and a problem that says how many."""
    for first, count in ranges[:_MOST_UNREAD]:
        yield Field("image.unread_sectors", f"{first} {count}")
    if ranges:
        number = sum(count for _, count in ranges)
        yield Problem("unreadable", f"{number} sectors could not be read when the image was made")


def _read_time(kind: str, text: str, origin: str) -> Timestamp | None:
    """Seconds since 1970, or in older headers a wall clock in six numbers."""
    if re.fullmatch(r"\d{9,11}", text):
        return from_unix(kind, int(text), origin)
    numbers = re.fullmatch(r"(\d{4}) (\d{1,2}) (\d{1,2}) (\d{1,2}) (\d{1,2}) (\d{1,2})", text)
    if not numbers:
        return None
    try:
        year, month, day, hour, minute, second = map(int, numbers.groups())
        at = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    return Timestamp(kind, at, origin, 1.0, zone_known=False)


def compare(image: Image, told: Mapping[str, str]) -> Iterator[Fact]:
    """The digests that an image tells, and whether its data give them.

    Args:
        told: hexadecimal digests by the name of their algorithm; empty ones are left out.
    """
    told = {name: digest for name, digest in told.items() if digest}
    if not told or image.size > MOST_COMPARED:
        return
    sums = {name: hashlib.new(name, usedforsecurity=False) for name in told}
    at = 0
    try:
        while data := image.read_at(at, MIB):
            for each in sums.values():
                each.update(data)
            at += len(data)
    except EvidenceError as error:
        yield error.problem("", "the digests were not compared")
        return
    found = {name: each.hexdigest() for name, each in sums.items()}
    if fitting := [name for name in told if found[name] == told[name]]:
        yield Field("image.verified", ", ".join(fitting))
    for name in told:
        if name not in fitting:
            message = f"the image tells {name} {told[name]}, its data give {found[name]}"
            yield Problem("corrupt", message, resolution="read all the same")
