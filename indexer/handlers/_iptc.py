"""IPTC facts and the Photoshop resources that hold them.

Source: IPTC-NAA Information Interchange Model 4.2, sections 3, 5 and 6; Adobe Photoshop File Formats,
"Image Resources Section".
Limits: of Photoshop's resources only captions, thumbnail and what other readers of ours take (EXIF, XMP).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from indexer.handlers._picture import FIELD_CHARS, held_member, read_text, shared_codec
from indexer.model import Fact, Field, Problem, Text
from indexer.timestamps import from_exif, from_iso

FIELDS: Final = {
    "iptc.headline": "headline",
    "iptc.caption": "caption",
    "iptc.byline": "who made the picture",
    "iptc.keywords": "one keyword",
    "iptc.city": "city",
    "iptc.country": "country",
    "iptc.date": "day of creation, as recorded",
    "iptc.charset": "codec that the datasets were found to be in, where it is not UTF-8",
    "iptc.*": "any other IPTC dataset that has a name",
}

RECORDS: Final = 5_000
_NAMES: Final = {
    5: "title",
    7: "edit_status",
    10: "urgency",
    15: "category",
    20: "supplemental_category",
    25: "keywords",
    40: "instructions",
    55: "date",
    60: "time",
    62: "digital_date",
    63: "digital_time",
    65: "program",
    70: "program_version",
    80: "byline",
    85: "byline_title",
    90: "city",
    92: "sublocation",
    95: "province",
    100: "country_code",
    101: "country",
    103: "transmission_reference",
    105: "headline",
    110: "credit",
    115: "source",
    116: "copyright",
    118: "contact",
    120: "caption",
    122: "caption_writer",
}
"""Datasets of record 2."""


def read_iptc(data: bytes) -> Iterator[Fact]:
    """The facts of a run of IPTC datasets; where the text is not UTF-8, all of it together tells the codec."""
    values, cut = _datasets(data)
    codec = shared_codec(value for _, value in values)
    if codec:
        yield Field("iptc.charset", codec)
    texts: list[str] = []
    found: dict[str, str] = {}
    for name, value in values:
        if text := read_text(value, codec):
            found.setdefault(name, text)
            yield Field(f"iptc.{name}", text[:FIELD_CHARS])
            if any(char.isalpha() for char in text):
                texts.append(text)
    for kind, day, clock in (("taken", "date", "time"), ("digitized", "digital_date", "digital_time")):
        yield from _stamp(kind, found.get(day, ""), found.get(clock, ""), f"iptc.{day}")
    if texts:
        yield Text("\n".join(texts), "iptc")
    if cut:
        yield Problem("truncated", "iptc: the last dataset ends early")


def _datasets(data: bytes) -> tuple[list[tuple[str, bytes]], bool]:
    """Name and bytes of every dataset that has a name, and whether the last one is cut off."""
    values: list[tuple[str, bytes]] = []
    position, length, value = 0, 0, b""
    while data[position : position + 1] == b"\x1c" and len(values) < RECORDS:
        record, number = data[position + 1 : position + 2], data[position + 2 : position + 3]
        length = int.from_bytes(data[position + 3 : position + 5], "big")
        position += 5
        if length & 0x8000:
            wide = length & 0x7FFF
            length = int.from_bytes(data[position : position + min(wide, 8)], "big")
            position += wide
        value = data[position : position + length]
        position += length
        if record == b"\x02" and number and (name := _NAMES.get(number[0])):
            values.append((name, value))
    return values, len(value) < length


def _stamp(kind: str, day: str, clock: str, origin: str) -> Iterator[Fact]:
    """CCYYMMDD and HHMMSS+HHMM as a time, or as a day where the clock is not given."""
    if len(day) != 8:
        return
    date = f"{day[:4]}-{day[4:6]}-{day[6:]}"
    time = f"{clock[:2]}:{clock[2:4]}:{clock[4:6]}"
    stamp = from_exif(kind, f"{date} {time}", origin, offset=clock[6:]) if clock else from_iso(kind, date, origin)
    if stamp:
        yield stamp


def resources(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of each Photoshop resource in a run of them."""
    position = 0
    while data[position : position + 4] in (b"8BIM", b"MeSa", b"AgHg", b"PHUT", b"DCSR"):
        number = int.from_bytes(data[position + 4 : position + 6], "big")
        name = data[position + 6 : position + 7]
        start = position + 6 + ((1 + name[0] + 1) & ~1 if name else 2)
        length = int.from_bytes(data[start : start + 4], "big")
        yield number, data[start + 4 : start + 4 + length]
        position = start + 4 + length + (length & 1)


def read_resources(data: bytes) -> Iterator[Fact]:
    """The IPTC datasets and the thumbnail among Photoshop resources."""
    for number, value in resources(data):
        if number == 0x0404:
            yield from read_iptc(value)
        elif number in (0x0409, 0x040C) and value[28:30] == b"\xff\xd8":
            yield held_member(value[28:], "thumbnail-photoshop.jpg", "thumbnail")
