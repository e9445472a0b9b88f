"""Fonts (TrueType, OpenType, collections, WOFF): names in every language, makers, times.

Source: OpenType 1.9.1, "Organization of an OpenType font", name, head, OS/2; WOFF File Format 1.0.
Limits: outlines are not read; WOFF 2 is recognised only; PostScript fonts are left to strings.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.decoding import decode_as
from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._picture import FIELD_CHARS, inflate
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Text
from indexer.timestamps import from_hfs

FONTS: Final = 256
"""Fonts read from one collection."""
NAMES: Final = 5_000
TABLE: Final = 4 * MIB
_NAMES: Final = {
    0: "copyright", 1: "family", 2: "subfamily", 3: "unique_id", 4: "full_name", 5: "version", 6: "postscript_name",
    7: "trademark", 8: "manufacturer", 9: "designer", 10: "description", 11: "vendor_url", 12: "designer_url",
    13: "license", 14: "license_url", 16: "typographic_family", 17: "typographic_subfamily", 18: "compatible_name",
    19: "sample_text",
}  # fmt: skip
_MAC: Final = {0: "mac-roman", 1: "cp932", 2: "big5", 3: "cp949", 7: "mac-cyrillic", 25: "gb18030"}
_WINDOWS: Final = {0: "utf-16-be", 1: "utf-16-be", 2: "cp932", 3: "gb18030", 4: "big5", 5: "cp949", 10: "utf-16-be"}


class Font(Handler):
    name = "font"
    media_types = (
        *("font/ttf", "font/otf", "font/collection", "font/woff", "font/sfnt", "application/x-font-ttf"),
        *("application/vnd.ms-opentype", "application/font-sfnt"),
    )
    signatures = (*(Signature(mark) for mark in (b"\0\1\0\0\0", b"OTTO\0", b"ttcf\0", b"true\0", b"wOFF")),)
    suffixes = (".ttf", ".otf", ".ttc", ".otc", ".woff")
    fields: ClassVar[dict[str, str]] = {
        **{f"font.{name}": f"{name.replace('_', ' ')} as the font says" for name in _NAMES.values()},
        "font.fonts": "fonts in a collection",
        "font.vendor": "four letters that name the maker",
    }
    reads = "names in every language, makers, licences, times"

    def claims(self, stream: Stream) -> str | None:
        head = stream.head
        if head[:4] == b"ttcf":
            return "font/collection"
        if head[:4] == b"wOFF":
            return "font/woff"
        tables = head[12 : 12 + 16 * min(int.from_bytes(head[4:6], "big"), 100)]
        tags = [tables[at : at + 4] for at in range(0, len(tables), 16)]
        if not {b"head", b"name"} & set(tags):
            return None
        return "font/otf" if head[:4] == b"OTTO" else "font/ttf"

    def read(self, stream: Stream) -> Iterator[Fact]:
        starts = [0]
        if stream.head[:4] == b"ttcf":
            count = int.from_bytes(stream.at(8, 4), "big")
            yield Field("font.fonts", count)
            data = stream.at(12, 4 * min(count, FONTS))
            starts = [int.from_bytes(data[at : at + 4], "big") for at in range(0, len(data) - 3, 4)]
        told: set[Fact] = set()
        texts: dict[str, None] = {}
        for start in starts:
            for fact in _font(stream, start, texts):
                if fact not in told:
                    told.add(fact)
                    yield fact
        if texts:
            yield Text("\n".join(texts), "names")


def _font(stream: Stream, start: int, texts: dict[str, None]) -> Iterator[Fact]:
    tables = _tables(stream, start)
    if not tables:
        raise EvidenceError("truncated", "the list of tables is cut off")
    head = tables.get(b"head", b"")
    for kind, at in (("B", 20), ("M", 28)):
        if stamp := from_hfs(kind, int.from_bytes(head[at : at + 8], "big"), "font.head"):
            yield stamp
    if vendor := tables.get(b"OS/2", b"")[58:62].strip(b"\0 ").decode("latin-1"):
        yield Field("font.vendor", vendor)
    yield from _names(tables.get(b"name", b""), texts)


def _tables(stream: Stream, start: int) -> dict[bytes, bytes]:
    """The tables that are read, unpacked where they are packed."""
    packed = stream.at(start, 4) == b"wOFF"
    count = min(int.from_bytes(stream.at(start + (12 if packed else 4), 2), "big"), 1000)
    step, begin = (20, start + 44) if packed else (16, start + 12)
    listed = stream.at(begin, step * count)
    found: dict[bytes, bytes] = {}
    for at in range(0, len(listed) - step + 1, step):
        tag = listed[at : at + 4]
        if tag not in (b"name", b"head", b"OS/2"):
            continue
        numbers = [int.from_bytes(listed[at + each : at + each + 4], "big") for each in (4, 8, 12)]
        offset, size, whole = (numbers[0], numbers[1], numbers[2]) if packed else (numbers[1], numbers[2], numbers[2])
        data = stream.at(offset, min(size, TABLE))
        found[tag] = inflate(data, TABLE)[0] if size < whole else data
    return found


def _names(table: bytes, texts: dict[str, None]) -> Iterator[Fact]:
    count, store = int.from_bytes(table[2:4], "big"), int.from_bytes(table[4:6], "big")
    if len(table) < 6 + 12 * count:
        yield Problem("truncated", "the table of names is cut off")
    for number in range(min(count, NAMES)):
        entry = table[6 + 12 * number : 18 + 12 * number]
        if len(entry) < 12:
            return
        platform, coding, _, kind, length, offset = struct.unpack(">6H", entry)
        raw = table[store + offset : store + offset + length]
        codec = {0: "utf-16-be", 1: _MAC.get(coding, ""), 3: _WINDOWS.get(coding, "utf-16-be")}.get(platform, "")
        name = _NAMES.get(kind)
        if not codec or not name:
            continue
        text = decode_as(raw, codec)[0] if codec != "utf-16-be" else raw.decode(codec, "replace")
        text = text.strip("\0 ")
        if text:
            texts[text] = None
            yield Field(f"font.{name}", text[:FIELD_CHARS])
