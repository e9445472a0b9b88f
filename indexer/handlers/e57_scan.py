"""Scans of buildings (E57): identifiers, scanner and its serial number, times, names, all texts.

Source: ASTM E2807-11, sections 7 (file structure, checksums) and 8 (XML section).
Limits: points and pictures are not read; checksums are taken out, not compared.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _refs
from indexer.handlers._markup import plain
from indexer.handlers._picture import FIELD_CHARS
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Text, Timestamp

XML: Final = 64 * MIB
_ELEMENT: Final = re.compile(
    r"<([A-Za-z]\w{0,60})(?:\s[^<>]{0,400})?>(?:<!\[CDATA\[((?:[^\]]|\](?!\]>)|(?!)){0,100000}+)\]\]>|([^<]{1,10000}+))<"
)
_EPOCH: Final = datetime(1980, 1, 6, tzinfo=UTC)
_KEPT: Final = frozenset(
    ("guid", "name", "description", "sensorVendor", "sensorModel", "sensorSerialNumber", "sensorHardwareVersion")
) | frozenset(("sensorSoftwareVersion", "sensorFirmwareVersion", "e57LibraryVersion", "coordinateMetadata"))
_MOMENT: Final = re.compile(
    r"<(creationDateTime|acquisitionStart|acquisitionEnd|acquisitionDateTime)[^<>]{0,200}>\s{0,99}"
    r"<dateTimeValue[^<>]{0,200}>([-+\d.eE]{1,40})<"
)


class E57Scan(Handler):
    name = "e57"
    media_types = ("model/e57",)
    signatures = (Signature(b"ASTM-E57"),)
    suffixes = (".e57",)
    fields: ClassVar[dict[str, str]] = {
        "e57.version": "version of the format",
        "e57.*": "element of the description, by its own name: e57.guid, e57.sensorserialnumber",
    }
    reads = "identifiers, scanner, times, names, all texts of the description"

    def read(self, stream: Stream) -> Iterator[Fact]:
        head = stream.at(0, 48)
        if len(head) < 48:
            raise EvidenceError("truncated", "the head is cut off")
        major, minor, size, start, length, page = struct.unpack_from("<IIQQQQ", head, 8)
        yield Field("e57.version", f"{major}.{minor}")
        if not 64 <= page <= MIB or start >= stream.size:
            raise EvidenceError("corrupt", "the description does not lie in the file")
        raw = _unpaged(stream, start, min(length, XML), page)
        xml = raw.decode("utf-8", "replace")
        once: dict[str, _refs.Once] = {}
        words: dict[str, None] = {}
        for match in _ELEMENT.finditer(xml):
            text = match[2] if match[2] is not None else plain(match[3])
            if not (text := text.strip()):
                continue
            if match[1] in _KEPT:
                name = f"e57.{match[1].lower()}"
                yield from once.setdefault(name, _refs.Once(name)).fields((text[:FIELD_CHARS],))
            if _refs.has_words(text):
                words[text] = None
        for match in _MOMENT.finditer(xml):
            try:
                at = _EPOCH + timedelta(seconds=float(match[2]))
            except (ValueError, OverflowError):
                continue
            # Whether leap seconds are counted is not told.
            yield Timestamp("B" if match[1][0] == "c" else "taken", at, f"e57.{match[1]}", 20.0)
        if words:
            yield Text("\n".join(words), "description")
        if len(raw) < length or size > stream.size:
            yield Problem("truncated", f"the head tells of {size} bytes, there are {stream.size}")


def _unpaged(stream: Stream, start: int, length: int, page: int) -> bytes:
    """Bytes from a place in the file on, without the checksum at the end of each page."""
    out, position = bytearray(), start
    while len(out) < length:
        left = page - 4 - position % page
        data = stream.at(position, max(0, left))
        if not data and left > 0:
            break
        out += data
        position += left + 4
    return bytes(out[:length])
