"""Library records (MARC 21 and its relatives): every field with its tag, as text.

Source: ISO 2709:2008; MARC 21 Format, "Record Structure".
Limits: MARC-8 beyond ASCII is read as the likeliest code page.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _picture, _refs
from indexer.handlers._picture import FIELD_CHARS
from indexer.model import Fact, Problem, Text

RECORDS: Final = 5_000_000
GROUP: Final = 256 << 10
_FIELDS: Final = {"100": "marc.author", "110": "marc.author", "700": "marc.author", "245": "marc.title"}


class Marc(Handler):
    name = "marc"
    media_types = ("application/marc",)
    signatures = (Signature(b"4500", 20), Signature(b"450 ", 20))
    suffixes = (".mrc", ".marc")
    fields: ClassVar[dict[str, str]] = {
        "marc.title": "title of a record",
        "marc.author": "author, or another person named in a record",
    }
    reads = "titles, authors, every field as text"

    def claims(self, stream: Stream) -> str | None:
        head = stream.head[:24]
        return self.media_types[0] if head[:5].isdigit() and head[10:17].isdigit() else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        position, lines, size = 0, list[str](), 0
        once = {name: _refs.Once(name) for name in ("marc.title", "marc.author")}
        for _ in range(RECORDS):
            while stream.at(position, 1) in (b"\n", b"\r"):
                position += 1
            head = stream.at(position, 24)
            if not head:
                break
            if len(head) < 24 or not (head[:5].isdigit() and head[12:17].isdigit()):
                yield Problem("truncated" if len(head) < 24 else "corrupt", f"no record at {position}")
                break
            length = max(int(head[:5]), 24)
            if position + length > stream.size:
                yield Problem("truncated", f"the record at {position} ends after the file")
            for tag, text in _read_record(stream.at(position, length)):
                if name := _FIELDS.get(tag):
                    yield from once[name].fields((text[:FIELD_CHARS],))
                lines.append(f"{tag} {text}")
                size += len(text) + 5
            if size > GROUP:
                yield Text("\n".join(lines), "records")
                lines, size = [], 0
            position += length
        if lines:
            yield Text("\n".join(lines), "records")


def _read_record(data: bytes) -> Iterator[tuple[str, str]]:
    """Tag and text of each field, subfields parted by spaces."""
    start = int(data[12:17])
    directory = data[24 : max(24, start - 1)]
    raws = []
    for place in range(0, len(directory) - 11, 12):
        row = directory[place : place + 12]
        if row[3:].isdigit():
            begin = start + int(row[7:])
            raws.append((row[:3].decode("latin-1"), data[begin : begin + int(row[3:7])].rstrip(b"\x1e\x1d")))
    codec = "" if data[9:10] == b"a" else _picture.shared_codec(raw for _, raw in raws)
    for tag, raw in raws:
        parts = raw.split(b"\x1f")
        shown = [parts[0]] if len(parts) == 1 else [part[1:] for part in parts[1:]]
        if text := " ".join(_picture.read_text(part, codec) for part in shown if part):
            yield tag, text
