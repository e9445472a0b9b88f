"""The texts of a drawing's objects: names of layers and blocks, what is written, paths of pictures and references.

From 2010 on every object ends in a run of its strings. Before that strings stand anywhere among bits:
they are found by their length, at each of the eight places a byte may begin.

Source: Open Design Specification for .dwg files 5.4.1, chapters 2 (bit codes), 20 (objects), 23 (object map).
Limits: which string of an object is which is known for names of layers, blocks, styles and the like only;
    strings of less than 3 characters are not looked for in drawings before 2010.
"""

from __future__ import annotations

import re
import struct
from bisect import bisect
from collections.abc import Iterator
from typing import Final, NamedTuple

from indexer.likelihood import table

OBJECTS: Final = 2_000_000
STRING: Final = 64 << 10
KINDS: Final = {51: "dwg.layer", 49: "dwg.block", 53: "dwg.style", 82: "dwg.layout"}
_DISTANCES: Final = bytes(range(255, 0, -1))
_SEARCHED: Final = 1 << 20
_RUN: Final = re.compile(rb"(?<![\t\n\r\x20-\x7e\x80-\xff])[\t\n\r\x20-\x7e\x80-\xff]{3,}+\0")
_ESCAPE: Final = re.compile(r"\\U\+([0-9A-Fa-f]{4})|\\M\+([1-5])([0-9A-Fa-f]{4})")
_MULTI: Final = {"1": "cp932", "2": "cp950", "3": "cp949", "4": "johab", "5": "gbk"}
_LETTERS: Final = re.compile(rb"[A-Za-z0-9 ]")
_LANGUAGES: Final = {"cp932": "ja", "gb18030": "hans", "cp949": "ko", "johab": "ko", "cp950": "hant", "big5": "hant"}
_SENSIBLE: Final = -8.2
"""Nats a character that East Asian text may cost; chance costs 10 to 13."""
_PROPERTIES: Final = b"DWGPROPS COOKIE"


class Said(NamedTuple):
    """One string of an object, and the field that it belongs in where that is known."""

    field: str
    text: str


def read_bits(data: bytes, place: int, count: int) -> int:
    """The number that stands in these bits, highest first; bits outside the data are not there."""
    held = int.from_bytes(data[place >> 3 : place + count + 7 >> 3], "big")
    return held >> (-(place + count) & 7) & ((1 << count) - 1)


def _short(data: bytes, place: int) -> int:
    held = read_bits(data, place, 16)
    return held >> 8 | (held & 0xFF) << 8


def _bit_short(data: bytes, place: int) -> tuple[int, int]:
    kind = read_bits(data, place, 2)
    if kind == 0:
        return _short(data, place + 2), place + 18
    if kind == 1:
        return read_bits(data, place + 2, 8), place + 10
    return (0, 256)[kind - 2], place + 2


def _chars(data: bytes, place: int, *, signed: bool) -> tuple[int, int]:
    """A number in groups of seven bits; the last group of a signed one has six and the sign."""
    value = shift = 0
    while place < len(data) and shift < 64:
        byte = data[place]
        place += 1
        if byte & 0x80:
            value |= (byte & 0x7F) << shift
            shift += 7
        elif signed:
            value |= (byte & 0x3F) << shift
            return (-value if byte & 0x40 else value), place
        else:
            return value | byte << shift, place
    return 0, len(data)


def _places(handles: bytes) -> Iterator[int]:
    """Where the objects begin."""
    place, left = 0, OBJECTS
    while place + 2 <= len(handles):
        size = int.from_bytes(handles[place : place + 2], "big")
        if size <= 2:
            return
        end, location = min(place + size, len(handles)), 0
        at = place + 2
        while at < end and left > 0:
            _, at = _chars(handles, at, signed=False)
            step, at = _chars(handles, at, signed=True)
            location += step
            left -= 1
            yield location
        place += size + 2


def strings_of_objects(objects: bytes, handles: bytes) -> Iterator[Said]:
    """Every string of a drawing of 2010 or later, object by object."""
    for place in _places(handles):
        if not 0 <= place < len(objects) - 4:
            continue
        size = int.from_bytes(objects[place : place + 2], "little")
        place += 2
        if size & 0x8000:
            size = size & 0x7FFF | int.from_bytes(objects[place : place + 2], "little") << 15
            place += 2
        references, place = _chars(objects, place, signed=False)
        data = objects[place : place + min(size, 1 << 24)]
        yield from _strings_of(data, size * 8 - references)


def _strings_of(data: bytes, end: int) -> Iterator[Said]:
    if not 34 < end <= len(data) * 8 or not read_bits(data, end - 1, 1):
        return
    head = read_bits(data, 0, 2)
    kind = read_bits(data, 2, 8) if head == 0 else -1
    stop = end - 17
    size = _short(data, stop)
    if size & 0x8000:
        stop -= 16
        size = size & 0x7FFF | _short(data, stop) << 15
    place, first = stop - size, True
    while 0 <= place < stop - 1:
        length, place = _bit_short(data, place)
        if place + 16 * length > stop:
            return
        raw = read_bits(data, place, 16 * length).to_bytes(2 * length, "big")
        place += 16 * length
        if text := raw.decode("utf-16-le", "replace").strip("\0"):
            yield Said(KINDS.get(kind, "") if first else "", text)
        first = False


def strings_among_bits(data: bytes, codec: str) -> Iterator[Said]:
    """The strings that stand with their length among the bits, one megabyte after the other."""
    for start in range(0, len(data), _SEARCHED):
        piece = data[start : start + _SEARCHED + STRING]
        number = int.from_bytes(piece, "big")
        found: list[tuple[int, int, str]] = []
        for shift in range(8):
            shifted = (number << shift).to_bytes(len(piece) + 1, "big")[1:]
            for at, length, text in _counted(shifted, codec):
                if at < _SEARCHED:
                    found.append((at * 8 + shift, (at + length) * 8 + shift, text))
        # A string shows at wrong places of the byte too, but then seldom whole: the longest is the right one.
        taken: list[tuple[int, int, str]] = []
        for each in sorted(found, key=lambda each: (each[0] - each[1], each[0])):
            place = bisect(taken, each)
            if (place and taken[place - 1][1] > each[0]) or (place < len(taken) and taken[place][0] < each[1]):
                continue
            taken.insert(place, each)
        yield from (Said("", text) for _, _, text in taken)


def _counted(data: bytes, codec: str) -> Iterator[tuple[int, int, str]]:
    """Runs of characters that end in a zero and have their length before them: place, length, text."""
    for match in _RUN.finditer(data):
        begin, end = match.span()
        for at in _lengths(data, max(begin, 3), end):
            if text := _readable(data[at : end - 1], codec):
                yield at, end - at, text
            break


def _lengths(data: bytes, begin: int, end: int) -> Iterator[int]:
    """The places from `begin` on that have before them how far it is to `end`."""
    for at in range(max(begin, end - STRING), end - 255):
        if data[at - 3] & 3 == 0 and data[at - 2] | data[at - 1] << 8 == end - at:
            yield at
    begin = max(begin, end - 255)
    before, distances = data[begin - 1 : end - 3], _DISTANCES[255 - end + begin : 253]
    # Two numbers differ by no byte where a length is the distance.
    differ = int.from_bytes(before, "big") ^ int.from_bytes(distances, "big")
    same = differ.to_bytes(len(before), "big")
    place = same.find(0)
    while place >= 0:
        if data[begin + place - 2] & 3 == 1:
            yield begin + place
        place = same.find(0, place + 1)


def _readable(raw: bytes, codec: str) -> str:
    """The text, or nothing where it does not look like one."""
    if raw.isascii():
        return raw.decode() if len(_LETTERS.findall(raw)) >= 0.5 * len(raw) and not raw.isspace() else ""
    language = _LANGUAGES.get(codec, "")
    if len(_LETTERS.findall(raw)) < (0 if language else 0.7 * len(raw)):
        return ""
    try:
        text = raw.decode(codec)
    except (UnicodeDecodeError, LookupError):
        return ""
    sense = not language or table(language).score(text) > _SENSIBLE * len(text)
    return text if sense and text.isprintable() else ""


def plain(text: str) -> str:
    """A string of an older drawing with its escapes for other scripts undone."""

    def char(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1], 16))
        return bytes.fromhex(match[3]).decode(_MULTI[match[2]], "replace")

    return _ESCAPE.sub(char, text).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def summary_among_bits(data: bytes, codec: str) -> dict[int, list[str | float]]:
    """The properties that a drawing of 14 or 2000 keeps in a record of their own: code -> values."""
    for start in range(0, len(data), _SEARCHED):
        piece = data[start : start + _SEARCHED + STRING]
        number = int.from_bytes(piece, "big")
        for shift in range(8):
            shifted = (number << shift).to_bytes(len(piece) + 1, "big")[1:]
            at = shifted.find(_PROPERTIES)
            if at < 0:
                continue
            at += len(_PROPERTIES)
            found: dict[int, list[str | float]] = {}
            while at + 5 <= len(shifted):
                (code,) = struct.unpack_from("<H", shifted, at)
                if code in (40, 41, 42) and at + 10 <= len(shifted):
                    found.setdefault(code, []).append(struct.unpack_from("<d", shifted, at + 2)[0])
                    at += 10
                elif code in (2, 3, 4, 6, 7, 8, 9) or 300 <= code < 310 or code == 1:
                    (length,) = struct.unpack_from("<H", shifted, at + 2)
                    text = shifted[at + 5 : at + 5 + length].decode(codec, "replace").strip("\0")
                    found.setdefault(code, []).append(plain(text))
                    at += 5 + length
                elif code == 90:
                    at += 6
                else:
                    break
            if found:
                return found
    return {}
