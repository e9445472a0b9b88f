"""EXIF facts: every tag by its name, times with their offsets, the place in degrees, the thumbnail.

Tags are read by exifread, directory by directory, so that a broken one costs only itself. Values that
it leaves out (longer than 1000 numbers) or reads as ASCII only (comments, Windows titles) are decoded
here from the bytes it points to. What it cannot walk (BigTIFF, a directory it fails on) is walked here.

Source: Exif 3.0 (CIPA DC-008-2023), sections 4.6 and 4.7; Windows Explorer's XP tags as in MS-WIC.
Limits: maker notes as far as exifread names their tags; unknown tags only where they hold text.
"""

from __future__ import annotations

import importlib
import logging
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from msgspec import Struct

from indexer.errors import EvidenceError
from indexer.handlers._ifd import RATIOS, SIZES, Directory, Ifds, decode_numbers
from indexer.handlers._picture import FIELD_CHARS, held_member, read_text, shared_codec
from indexer.model import Fact, Field, Problem, Scalar, Text, Timestamp
from indexer.timestamps import from_exif

FIELDS: Final = {
    "exif.make": "maker of the camera or scanner",
    "exif.model": "model of the camera or scanner",
    "exif.serial": "serial number of the camera body",
    "exif.lens_model": "model of the lens",
    "exif.software": "program or firmware that wrote the picture",
    "exif.artist": "who made the picture",
    "exif.copyright": "copyright notice",
    "exif.image_description": "description of the picture",
    "exif.user_comment": "comment, in the character set it names",
    "exif.xp_title": "title given in Windows",
    "exif.xp_comment": "comment given in Windows",
    "exif.xp_author": "author given in Windows",
    "exif.xp_keywords": "keywords given in Windows",
    "exif.orientation": "how the picture is to be turned",
    "exif.exposure_time": "seconds of exposure, as a fraction",
    "exif.charset": "codec that the tags were found to be in, where it is not UTF-8",
    "exif.*": "any other EXIF tag by its name, maker notes as exif.maker_*",
    "gps.latitude": "degrees, north positive",
    "gps.longitude": "degrees, east positive",
    "gps.altitude": "metres, below sea level negative",
    "gps.*": "any other tag of the place",
}

READS: Final = 400_000
"""Reads that exifread may ask for; the largest honest maker note needs 70 000."""
READ_BYTES: Final = 1 << 16
FAILURES: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What exifread raises on damaged blocks: index, value and division errors were measured on mutated samples."""

_NAMES: Final = {
    0xA436: "ImageTitle",
    0xA437: "Photographer",
    0xA438: "ImageEditor",
    0xA439: "CameraFirmware",
    0xA43A: "RAWDevelopingSoftware",
    0xA43B: "ImageEditingSoftware",
    0xA43C: "MetadataEditingSoftware",
    0xC614: "UniqueCameraModel",
    0xC62F: "BodySerialNumber",
    0xC68B: "OriginalRawFileName",
}
"""Tags that exifread has no name for."""
_ASCII: Final = 2
_WRITTEN: Final = (_ASCII, 129)
"""Field types of text: ASCII by its name, UTF-8 since Exif 3.0."""
_RENAMED: Final = {"body_serial_number": "serial", "serial_number": "serial", "maker_serial_number": "serial"}
_STRUCTURE: Final = frozenset(
    {
        "ApplicationNotes",
        "ColorMap",
        "ExifOffset",
        "GPSInfo",
        "InterColorProfile",
        "InteroperabilityOffset",
        "IPTC/NAA",
        "JPEGInterchangeFormat",
        "JPEGInterchangeFormatLength",
        "JPEGTables",
        "MakerNote",
        "OffsetSchema",
        "Padding",
        "PrintIM",
        "StripByteCounts",
        "StripOffsets",
        "SubIFDs",
        "TileByteCounts",
        "TileOffsets",
        "TransferFunction",
    }
)
"""Tags that say where things stand, or hold what is read elsewhere."""
_WIDE: Final = frozenset({"XPTitle", "XPComment", "XPAuthor", "XPKeywords", "XPSubject"})
_TIMES: Final = (
    ("taken", "DateTimeOriginal", "OffsetTimeOriginal", "SubSecTimeOriginal"),
    ("digitized", "DateTimeDigitized", "OffsetTimeDigitized", "SubSecTimeDigitized"),
    ("M", "DateTime", "OffsetTime", "SubSecTime"),
)
_SILENT: Final = re.compile(r"DateTime|OffsetTime|SubSec|Version|Interoperability|GPS")
_EDGE: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[^A-Za-z0-9]+")


class Tag(Struct, frozen=True):
    """One tag as found; `printed` is its value in words where a table has them."""

    group: str
    name: str
    kind: int
    raw: bytes
    printed: str = ""


class _Metered:
    """The file that exifread sees: reads are bounded in length and number, no position is an error."""

    def __init__(self, at: Callable[[int, int], bytes]) -> None:
        self._at = at
        self._position = 0
        self._left = READS

    def seek(self, position: int, whence: int = 0) -> int:
        self._position = position + (self._position if whence else 0)
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, count: int = -1) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise EvidenceError("limit", f"exif: more than {READS} values")
        if self._position < 0 or self._position >= 1 << 62:
            return b""
        data = self._at(self._position, READ_BYTES if count < 0 else min(count, READ_BYTES))
        self._position += len(data)
        return data


def read_exif_block(block: bytes) -> Iterator[Fact]:
    """The facts of an EXIF block that begins with its TIFF header, its thumbnail last.

    Raises:
        EvidenceError: where the block has no header or a directory cannot be read.
    """
    ifds = Ifds(lambda start, length: block[start : start + length])
    yield from read_exif(ifds)
    directories = ifds.chain()
    next(directories, None)
    second = next(directories, None)
    if second:
        start, length = ifds.number(second, 0x201), ifds.number(second, 0x202)
        data = block[start : start + length] if start > 0 and length > 0 else b""
        if data[:2] == b"\xff\xd8":
            yield held_member(data, "thumbnail.jpg", "thumbnail")


def read_exif(ifds: Ifds) -> Iterator[Fact]:
    """The facts of the first directory and those that hang on it.

    Raises:
        EvidenceError: missing-library.
    """
    tags, problems = _tags(ifds)
    codec = shared_codec(tag.raw.rstrip(b"\0") for tag in tags if tag.kind in _WRITTEN)
    if codec:
        yield Field("exif.charset", codec)
    texts: list[str] = []
    for tag in tags:
        yield from _tag_facts(tag, ifds.order, codec, texts)
    named = {tag.name: tag for tag in tags if tag.group != "MakerNote"}
    yield from _place(named, ifds.order)
    yield from _times(named)
    if texts:
        yield Text("\n".join(dict.fromkeys(texts)), "exif")
    yield from problems


def _tags(ifds: Ifds) -> tuple[list[Tag], list[Problem]]:
    """Every tag in the order of the file, and what went wrong."""
    if ifds.big:
        return _walk_tags(ifds)
    reader = _library("core.exif_header").ExifHeader
    logging.getLogger("exifread").disabled = True
    header = reader(_Metered(ifds.at), "I" if ifds.order == "<" else "M", 0, 0, False)
    problems: list[Problem] = []

    def follow(step: Callable[[], None]) -> None:
        try:
            step()
        except EvidenceError as error:
            problems.append(error.problem(""))
        except FAILURES as error:
            problems.append(Problem("corrupt", f"exif: {type(error).__name__}: {error}"[:200]))

    follow(lambda: header.dump_ifd(ifds.first, "Image"))
    link = header.tags.get("Image ExifOffset")
    if link is not None and link.values and isinstance(link.values[0], int) and link.values[0] != ifds.first:
        follow(lambda: header.dump_ifd(link.values[0], "EXIF"))
    found = [_converted(key, tag, ifds) for key, tag in header.tags.items()]
    if problems:
        walked, trouble = _walk_tags(ifds)
        have = {(tag.group, tag.name) for tag in found}
        found += [tag for tag in walked if (tag.group, tag.name) not in have]
        problems += trouble
    elif "EXIF MakerNote" in header.tags and "Image Make" in header.tags:
        before = len(header.tags)
        # A maker note has no fixed form: one that exifread does not follow is no damage.
        follow(header.decode_maker_note)
        problems = [problem for problem in problems if problem.cause == "limit"]
        found += [_converted(key, tag, ifds) for key, tag in list(header.tags.items())[before:]]
    return found, problems


def _converted(key: str, tag: Any, ifds: Ifds) -> Tag:
    group, _, name = key.partition(" ")
    printed = str(tag.printable)
    if group == "MakerNote":
        # Offsets in maker notes are relative to where exifread alone knows.
        if int(tag.field_type) == _ASCII:
            return Tag(group, name, _ASCII, tag.values if isinstance(tag.values, bytes) else str(tag.values).encode())
        return Tag(group, name, 0, b"", printed if len(printed) <= 100 else "")
    raw = ifds.at(tag.field_offset, min(tag.field_length, 1 << 20))
    return Tag(group, _NAMES.get(tag.tag, name), int(tag.field_type), raw, printed if tag.prefer_printable else "")


def _walk_tags(ifds: Ifds) -> tuple[list[Tag], list[Problem]]:
    """The same without exifread's reader: its names, our walk."""
    tables = _library("tags.exif")
    found: list[Tag] = []
    try:
        image = ifds.directory(ifds.first)
        found += _named(ifds, image, "Image", tables.EXIF_TAGS)
        for link, group, names in ((0x8769, "EXIF", tables.EXIF_TAGS), (0x8825, "GPS", tables.GPS_TAGS)):
            if start := ifds.number(image, link):
                found += _named(ifds, ifds.directory(start), group, names)
    except EvidenceError as error:
        return found, [error.problem("")]
    return found, []


def _library(module: str) -> Any:
    try:
        return importlib.import_module(f"exifread.{module}")
    except ImportError as error:
        raise EvidenceError("missing-library", "exifread is not installed: pip install exifread") from error


def _named(ifds: Ifds, directory: Directory, group: str, names: dict[int, Any]) -> Iterator[Tag]:
    for entry in directory.entries.values():
        name, table = names.get(entry.tag, (f"Tag 0x{entry.tag:04X}", None))[:2]
        raw = ifds.raw(entry)
        values = decode_numbers(raw, entry.kind, ifds.order, 1)
        printed = str(table.get(int(values[0]), "")) if isinstance(table, dict) and values else ""
        yield Tag(group, _NAMES.get(entry.tag, name), entry.kind, raw, printed)


def _tag_facts(tag: Tag, order: str, codec: str, texts: list[str]) -> Iterator[Fact]:
    """A tag as a field; what a person may have written is added to `texts`."""
    if tag.name in _STRUCTURE or (tag.group == "GPS" and tag.name in _PLACE):
        return
    value = _value(tag, order, codec)
    if value is None or value == "":
        return
    name = _EDGE.sub("_", tag.name).strip("_").lower()
    if tag.group == "MakerNote":
        name = f"maker_{name}"
    family = "gps" if tag.group == "GPS" else "exif"
    name = _RENAMED.get(name, name).removeprefix("gps_" if family == "gps" else "")
    yield Field(f"{family}.{name}", value[:FIELD_CHARS] if isinstance(value, str) else value)
    written = tag.kind in _WRITTEN or tag.name in _WIDE or tag.name == "UserComment"
    if isinstance(value, str) and written and not _SILENT.search(tag.name):
        texts.append(value)


def _value(tag: Tag, order: str, codec: str) -> Scalar | None:
    """A value that people can read, or None where there is none."""
    if tag.name == "UserComment" or tag.name in ("GPSProcessingMethod", "GPSAreaInformation"):
        return decode_comment(tag.raw, order)
    if tag.name in _WIDE:
        return tag.raw.decode("utf-16-le", "replace").split("\0")[0].strip()
    if tag.kind in _WRITTEN:
        parts = [read_text(part, codec) for part in tag.raw.split(b"\0")]
        return "; ".join(filter(None, parts)) if tag.name == "Copyright" else parts[0]
    if tag.group == "MakerNote":
        return (
            tag.printed[:FIELD_CHARS].strip() if tag.name != "Unknown" and not tag.name.startswith("Tag 0x") else None
        )
    if tag.name.startswith("Tag 0x"):
        return None
    if tag.printed:
        return tag.printed.strip()
    if tag.kind == 7 or (tag.kind == 1 and len(tag.raw) > 4):
        text = tag.raw.strip(b"\0 ")
        printable = text.isascii() and text.decode("ascii").isprintable()
        return text.decode("ascii") if printable else text.hex() if len(text) <= 16 else None
    if tag.kind in RATIOS and tag.name == "ExposureTime" and len(tag.raw) >= 8:
        above, below = (
            int.from_bytes(part, "little" if order == "<" else "big") for part in (tag.raw[:4], tag.raw[4:8])
        )
        return f"1/{round(below / above)}" if 0 < above < below else _number(tag, order)
    return _number(tag, order)


def _number(tag: Tag, order: str) -> Scalar | None:
    numbers = [round(each, 6) if isinstance(each, float) else each for each in _numbers(tag, order, 17)]
    if len(numbers) < 2:
        return numbers[0] if numbers else None
    return ", ".join(str(each) for each in numbers[:16]) + (", ..." if len(numbers) > 16 else "")


def _numbers(tag: Tag, order: str, most: int) -> tuple[float, ...]:
    return decode_numbers(tag.raw, tag.kind, order, most) if tag.kind in SIZES else ()


def decode_comment(raw: bytes, order: str) -> str:
    """A comment that begins with the eight-byte name of its character set."""
    charset, body = raw[:8].rstrip(b"\0 ").upper(), raw[8:]
    if charset == b"UNICODE":
        return _utf16(body, order)
    if charset == b"JIS":
        return body.rstrip(b"\0 ").decode("iso2022_jp", "replace").strip()
    if charset in (b"ASCII", b""):
        return read_text(body.split(b"\0")[0] if charset else body)
    return read_text(raw)


def _utf16(body: bytes, order: str) -> str:
    """UTF-16 in the order of its mark, else of the block, else of the other where all else is ASCII turned round."""
    if body[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return body.decode("utf-16", "replace").strip("\0 ")
    usual, other = ("utf-16-le", "utf-16-be") if order == "<" else ("utf-16-be", "utf-16-le")
    text = body.decode(usual, "replace").strip("\0 ")
    turned = sum(1 for char in text if not ord(char) & 0xFF)
    return body.decode(other, "replace").strip("\0 ") if turned * 2 > len(text) else text


_PLACE: Final = frozenset(
    {
        "GPSLatitude",
        "GPSLatitudeRef",
        "GPSLongitude",
        "GPSLongitudeRef",
        "GPSAltitude",
        "GPSAltitudeRef",
        "GPSDate",
        "GPSTimeStamp",
        "GPSVersionID",
    }
)


def _place(named: dict[str, Tag], order: str) -> Iterator[Fact]:
    """The place as signed numbers, and the satellites' time."""
    for axis, most, positive, negative in (("Latitude", 90, "N", "S"), ("Longitude", 180, "E", "W")):
        tag, sign = named.get(f"GPS{axis}"), named.get(f"GPS{axis}Ref")
        side = sign.raw[:1].decode("latin-1").upper() if sign else ""
        parts = _numbers(tag, order, 3) if tag else ()
        degrees = sum(part / 60**power for power, part in enumerate(parts))
        if parts and side in (positive, negative) and 0 <= degrees <= most:
            yield Field(f"gps.{axis.lower()}", round(-degrees if side == negative else degrees, 7))
    if height := _numbers(named["GPSAltitude"], order, 1) if "GPSAltitude" in named else ():
        below = named["GPSAltitudeRef"].raw[:1] == b"\x01" if "GPSAltitudeRef" in named else False
        yield Field("gps.altitude", round(-height[0] if below else height[0], 3))
    date, clock = named.get("GPSDate"), named.get("GPSTimeStamp")
    day = re.match(rb"(\d{4})[:-](\d\d)[:-](\d\d)", date.raw) if date else None
    hours = _numbers(clock, order, 3) if clock else ()
    if day and len(hours) == 3:
        try:
            start = datetime(int(day[1]), int(day[2]), int(day[3]), tzinfo=UTC)
            at = start + timedelta(hours=hours[0], minutes=hours[1], seconds=hours[2])
        except (ValueError, OverflowError):
            return
        yield Timestamp("gps", at, "exif.GPSTimeStamp")


def _times(named: dict[str, Tag]) -> Iterator[Timestamp]:
    def text(name: str) -> str:
        return named[name].raw.split(b"\0")[0].decode("latin-1") if name in named else ""

    for kind, name, offset, subsecond in _TIMES:
        stamp = from_exif(kind, text(name), f"exif.{name}", offset=text(offset), subsecond=text(subsecond))
        if stamp:
            yield stamp
