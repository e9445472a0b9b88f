"""Point clouds of laser scanners (LAS, LAZ): when and with what they were made, project, coordinate system.

Source: ASPRS LAS Specification 1.4-R15, sections 2.4 (head) and 2.5 (variable length records).
Limits: points are not read; extended records behind the points are not.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._picture import FIELD_CHARS, read_text
from indexer.model import Fact, Field, Problem, Text, Timestamp

RECORDS: Final = 10_000


class LasPoints(Handler):
    name = "las"
    media_types = ("model/x-las", "application/vnd.las", "application/vnd.laszip")
    signatures = (Signature(b"LASF"),)
    suffixes = (".las", ".laz")
    fields: ClassVar[dict[str, str]] = {
        "las.version": "version of the format",
        "las.system": "scanner, or what was done with the points",
        "las.software": "program that wrote the file",
        "las.project": "identifier of the project",
        "las.points": "how many points there are",
        "las.record": "whose record it is and what it is for",
    }
    reads = "version, scanner, program, day of making, project, coordinate system, points"

    def read(self, stream: Stream) -> Iterator[Fact]:
        head = stream.at(0, 375)
        if len(head) < 227:
            raise EvidenceError("truncated", "the head is cut off")
        yield Field("las.version", f"{head[24]}.{head[25]}")
        words = []
        for name, start in (("las.system", 26), ("las.software", 58)):
            if text := read_text(head[start : start + 32].split(b"\0")[0]):
                yield Field(name, text)
                words.append(text)
        if any(head[8:24]):
            yield Field("las.project", str(uuid.UUID(bytes_le=head[8:24])))
        day, year, size, start, records = struct.unpack_from("<HHHII", head, 90)
        if 0 < day <= 366 and 1980 <= year < 2200:
            at = datetime(year, 1, 1, tzinfo=UTC) + timedelta(days=day - 1)
            yield Timestamp("B", at, "las.created", 86400.0, zone_known=False)
        (points,) = struct.unpack_from("<I", head, 107)
        if head[25] >= 4 and len(head) >= 255:
            points = struct.unpack_from("<Q", head, 247)[0] or points
        yield Field("las.points", points)
        position = size
        for _ in range(min(records, RECORDS)):
            row = stream.at(position, 54)
            if len(row) < 54 or position + 54 > start:
                yield Problem("truncated", f"a record at {position} is cut off")
                break
            user, number, length = row[2:18].split(b"\0")[0], *struct.unpack_from("<HH", row, 18)
            yield Field("las.record", f"{read_text(user)} {number} {read_text(row[22:54].split(bytes(1))[0])}".strip())
            data = stream.at(position + 54, length).rstrip(b"\0")
            text = read_text(data) if data and min(data) >= 9 else ""
            if text.replace("\n", " ").replace("\t", " ").isprintable() and text:
                words.append(text[: 64 * FIELD_CHARS])
            position += 54 + length
        if words:
            yield Text("\n".join(words), "head")
        if start > stream.size:
            yield Problem("truncated", f"the points begin at {start}, the file ends at {stream.size}")
