"""AutoCAD drawings: summary, times, programs that saved them, texts, fonts and pictures they use, preview.

Source: Open Design Specification for .dwg files 5.4.1, chapters 3 to 5 (file organisation), 11 to 16
(summary, preview, file dependencies, AppInfo), 20 (objects).
Limits: geometry and the header's variables are not read; of 2007 the compressed pages are not, so its texts
are not; which text stands in which object is known for layers, blocks, styles and layouts of 2010 and later.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _dwg_texts, _picture, _refs, _runs
from indexer.handlers._dwg_pages import Sections
from indexer.handlers._dwg_texts import Said
from indexer.handlers._picture import FIELD_CHARS
from indexer.handlers._scene import Words
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Timestamp

_RELEASES: Final = {
    b"AC1012": "13", b"AC1014": "14", b"AC1015": "2000", b"AC1018": "2004",
    b"AC1021": "2007", b"AC1024": "2010", b"AC1027": "2013", b"AC1032": "2018",
}  # fmt: skip
_MARK: Final = re.compile(rb"AC10[0-9]{2}|AC1\.[2-5][0-9]?|AC2\.[12][0-9]")
_CODECS: Final = (
    *("ascii", "ascii", *(f"iso8859_{number}" for number in range(1, 10)), "cp437", "cp850", "cp852", "cp855"),
    *("cp857", "cp860", "cp861", "cp863", "cp864", "cp865", "cp869", "cp932", "mac_roman", "big5", "cp949", "johab"),
    *("cp866", "cp1250", "cp1251", "cp1252", "gb18030", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp874"),
    *("cp932", "gb18030", "cp949", "cp950", "johab", "utf-16-le", "cp1258"),
)
_TITLES: Final = ("title", "subject", "creator", "keywords", "description", "last_modified_by", "revision")
_RECORD: Final = {
    2: "title", 3: "subject", 4: "creator", 6: "description", 7: "keywords", 8: "last_modified_by", 9: "revision",
    1: "hyperlink_base",
}  # fmt: skip
_PREVIEW: Final = bytes.fromhex("1f256d07d43628289d57ca3f9d44102b")
_PICTURES: Final = {2: ".bmp", 3: ".wmf", 6: ".png"}
_MOST: Final = 64 * MIB
_DAY: Final = 2440588
"""The Julian day of 1 January 1970."""


class Dwg(Handler):
    name = "dwg"
    media_types = ("image/vnd.dwg", "application/acad", "application/x-dwg", "image/x-dwg")
    signatures = (Signature(b"AC1"), Signature(b"AC2."))
    suffixes = (".dwg", ".dwt", ".dws")
    fields: ClassVar[dict[str, str]] = {
        **_refs.FIELDS,
        "file.kind": "of a member: preview",
        "dwg.release": "release of AutoCAD that the format belongs to",
        "dwg.code_page": "code page of its texts",
        "dwg.program": "program that saved it, as it says itself",
        "dwg.layer": "name of a layer",
        "dwg.block": "name of a block",
        "dwg.style": "name of a text style",
        "dwg.layout": "name of a layout",
        **{f"office.{name}": f"{name.replace('_', ' ')} of the drawing" for name in (*_TITLES, "hyperlink_base")},
        "office.edit_minutes": "minutes it was open for editing",
        "office.custom.*": "custom property, by its own name",
    }
    reads = (
        "summary, custom properties, times, programs that saved it, texts, layers, files it uses; preview as a member"
    )
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if _MARK.match(stream.head) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        mark = stream.head[:6]
        release = _RELEASES.get(mark, "")
        yield Field("dwg.release", release or f"before 13 ({mark.decode('latin-1')})")
        if not release:
            yield from _runs.carve(stream)
            return
        head = stream.at(0, 0x80)
        if len(head) < 0x80:
            raise EvidenceError("truncated", "the head is cut off")
        (page,) = struct.unpack_from("<H", head, 0x13)
        codec = _CODECS[page] if page < len(_CODECS) else "cp1252"
        yield Field("dwg.code_page", codec)
        yield from _preview(stream, int.from_bytes(head[13:17], "little"))
        words = Words()
        if mark < b"AC1018":
            yield from _old(stream, codec, words)
        else:
            yield from _summary(stream, head, wide=mark >= b"AC1021", codec=codec)
            yield from _programs(stream, head, words)
            try:
                yield from _sections(stream, mark, codec, words)
            except EvidenceError as error:
                yield error.problem("")
        yield from words.rest()
        if mark == b"AC1021":
            yield Problem("unsupported", "the texts of a drawing of 2007 stand in pages that are not read")


class _Cursor:
    """Reads strings and numbers one after the other; what is missing is empty."""

    def __init__(self, data: bytes, codec: str, *, wide: bool) -> None:
        self.data, self.place, self.codec, self.wide = data, 0, codec, wide

    def number(self, size: int) -> int:
        """An unsigned number."""
        self.place += size
        return int.from_bytes(self.data[self.place - size : self.place], "little")

    def text(self) -> str:
        """A string with its length in characters before it."""
        length = self.number(2) * (2 if self.wide else 1)
        return self.chars(length)

    def chars(self, length: int) -> str:
        """A string of so many bytes."""
        raw = self.data[self.place : self.place + length]
        self.place += length
        return raw.decode("utf-16-le" if self.wide else self.codec, "replace").split("\0")[0].strip()


def _moment(kind: str, day: float, milliseconds: int, origin: str) -> Iterator[Timestamp]:
    """A Julian day by the clock of the machine."""
    if day > 0:
        try:
            at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day - _DAY, milliseconds=milliseconds)
        except (OverflowError, ValueError):
            return
        yield Timestamp(kind, at.replace(microsecond=at.microsecond // 1000 * 1000), origin, 0.001, zone_known=False)


def _property(name: str, text: str) -> Iterator[Fact]:
    if text:
        yield from _picture.said(f"office.{name}", _dwg_texts.plain(text), name.partition(".")[0])


def _summary(stream: Stream, head: bytes, *, wide: bool, codec: str) -> Iterator[Fact]:
    start = int.from_bytes(head[0x20:0x24], "little")
    if not start:
        return
    data = stream.at(start, 256 << 10)
    if not data:
        yield Problem("truncated", f"the summary at {start} is missing")
        return
    cursor = _Cursor(data, codec, wide=wide)
    for name in (*_TITLES, "hyperlink_base"):
        yield from _property(name, cursor.text())
    days, milliseconds = cursor.number(4), cursor.number(4)
    if minutes := days * 1440 + milliseconds // 60_000:
        yield Field("office.edit_minutes", minutes)
    yield from _moment("B", cursor.number(4), cursor.number(4), "dwg.created")
    yield from _moment("M", cursor.number(4), cursor.number(4), "dwg.updated")
    for _ in range(min(cursor.number(2), 1000)):
        if cursor.place >= len(data):
            break
        key, value = cursor.text(), cursor.text()
        if key:
            yield from _property(f"custom.{key}", value)


def _programs(stream: Stream, head: bytes, words: Words) -> Iterator[Fact]:
    """The programs that saved the drawing: the last one, and in newer drawings those before it."""
    programs, mark = _refs.Once("dwg.program"), "AppInfoDataList".encode("utf-16-le")
    for start in struct.unpack_from("<2I", head, 0x2C):
        data = stream.at(start, 8192) if start > 0x80 else b""
        for found in re.finditer(re.escape(mark), data):
            cursor = _Cursor(data, "", wide=True)
            cursor.place = found.end() + 2
            for _ in range(min(cursor.number(4), 16)):
                cursor.place += 16
                text = cursor.text()
                if "ProductInformation" in text:
                    yield from programs.fields((text.strip('"').replace('\\"', '"'),))
                else:
                    yield from words.say(text)


def _preview(stream: Stream, start: int) -> Iterator[Fact]:
    head = stream.at(start, 21) if start else b""
    if head[:16] != _PREVIEW:
        return
    for number in range(min(head[20], 8)):
        code, place, size = struct.unpack("<BII", stream.at(start + 21 + 9 * number, 9).ljust(9, b"\0"))
        if code not in _PICTURES or not size or place >= stream.size:
            continue
        name = f"preview{_PICTURES[code]}"
        if code == 2:
            data = stream.at(place, min(size, 16 * MIB))
            yield _picture.held_member(_bitmap(data), name, "preview")
        else:
            yield _picture.member(stream, name, place, size, "preview")


def _bitmap(data: bytes) -> bytes:
    """The picture with the file head that the drawing leaves out."""
    if data[:2] == b"BM" or len(data) < 40:
        return data
    length, _, _, _, bits, packing, _, _, _, colours = struct.unpack_from("<IiiHHIIiiI", data)
    if bits <= 8:
        colours = colours or 1 << bits
    start = 14 + length + 4 * min(colours, 256) + (12 if packing == 3 and length == 40 else 0)
    return b"BM" + struct.pack("<IHHI", 14 + len(data), 0, 0, start) + data


def _old(stream: Stream, codec: str, words: Words) -> Iterator[Fact]:
    """Drawings whose objects are not compressed."""
    data = stream.at(0, _MOST)
    held = _dwg_texts.summary_among_bits(data, codec)
    for code, values in held.items():
        for value in values:
            if isinstance(value, str):
                name, _, said = value.partition("=") if code >= 300 else (_RECORD[code], "", value)
                if said:
                    yield from _property(f"custom.{name}" if code >= 300 else name, said)
            elif code == 40 and 0 < value < 100_000:
                yield Field("office.edit_minutes", int(value * 1440))
            elif code in (41, 42):
                yield from _moment(*(("B", value, 0, "dwg.created"), ("M", value, 0, "dwg.updated"))[code - 41])
    yield from _say(_dwg_texts.strings_among_bits(data, codec), words)
    if stream.size > _MOST:
        yield Problem("limit", f"texts after {_MOST} bytes are not read")


def _sections(stream: Stream, mark: bytes, codec: str, words: Words) -> Iterator[Fact]:
    """What stands in the compressed pages."""
    if mark == b"AC1021":
        return
    held = Sections(stream)
    wide = mark > b"AC1021"
    yield from _dependencies(held.read("AcDb:FileDepList"), codec, words, wide=wide)
    objects = held.read("AcDb:AcDbObjects")
    if wide:
        yield from _say(_dwg_texts.strings_of_objects(objects, held.read("AcDb:Handles")), words)
    else:
        yield from _say(_dwg_texts.strings_among_bits(objects, codec), words)


def _dependencies(data: bytes, codec: str, words: Words, *, wide: bool) -> Iterator[Fact]:
    """Fonts, pictures, references and plot settings, with the folders they were found in."""
    cursor = _Cursor(data, codec, wide=wide)
    for _ in range(min(cursor.number(4), 1000)):
        cursor.chars(cursor.number(4))
    for _ in range(min(cursor.number(4), 10_000)):
        if cursor.place >= len(data):
            return
        name, folder = cursor.chars(cursor.number(4)), cursor.chars(cursor.number(4))
        cursor.chars(cursor.number(4))
        cursor.chars(cursor.number(4))
        cursor.place += 18
        joined = f"{folder}{name}" if folder.endswith(("\\", "/")) else folder or name
        yield from words.say(joined, is_file=True)


def _say(strings: Iterator[Said], words: Words) -> Iterator[Fact]:
    once = {name: _refs.Once(name) for name in _dwg_texts.KINDS.values()}
    for field, text in strings:
        shown = _dwg_texts.plain(text)
        if field and not shown.startswith("*"):
            yield from once[field].fields((shown[:FIELD_CHARS],))
        yield from words.say(shown)
