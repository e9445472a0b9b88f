"""JPEG pictures: shape, comments, EXIF, XMP, IPTC, content credentials, thumbnails, and what stands after the picture.

Source: ITU-T T.81, annex B (markers); JFIF 1.02 and its extension; Exif 3.0, 4.7.2 (APP1); Adobe XMP
Specification Part 3, section 1.1.3 (APP1, extended XMP); ICC.1:2022, B.4 (APP2); CIPA DC-007 (MPF).
Limits: no pixel is decoded; other applications' segments are not read.
"""

from __future__ import annotations

import re
import struct
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import ClassVar, Final

from msgspec import Struct

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _c2pa, _exif, _iptc, _picture, _xmp
from indexer.handlers._ifd import Ifds
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem

SEGMENTS: Final = 20_000
"""A profile or an extended XMP of 16 MiB needs some 260 segments."""
PREVIEWS: Final = 64
_MODES: Final = {1: "L", 3: "RGB", 4: "CMYK"}
_CODINGS: Final = {0: "baseline", 1: "extended", 2: "progressive", 3: "lossless", 9: "arithmetic", 10: "arithmetic"}
_BARE: Final = frozenset(bytes((code,)) for code in (0x01, *range(0xD0, 0xD9)))
"""Markers that stand alone."""
_MARKER: Final = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_XMP: Final = b"http://ns.adobe.com/xap/1.0/\0"
_XMP_MORE: Final = b"http://ns.adobe.com/xmp/extension/\0"


class Segment(Struct, frozen=True):
    """One marker segment before the picture's end: its code, and where its payload stands."""

    code: int
    start: int
    length: int


class Jpeg(Handler):
    name = "jpeg"
    version = 2
    media_types = ("image/jpeg",)
    signatures = (Signature(b"\xff\xd8\xff"),)
    suffixes = (".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".thm", ".mpo")
    fields: ClassVar[dict[str, str]] = {
        **_picture.FIELDS,
        **_exif.FIELDS,
        **_xmp.FIELDS,
        **_iptc.FIELDS,
        **_c2pa.FIELDS,
        "jpeg.coding": "baseline, extended, progressive, lossless or arithmetic",
        "jpeg.comment": "a comment in the picture",
    }
    reads = "dimensions, comments, EXIF, XMP, IPTC, content credentials, thumbnails, what stands after the picture"
    needs = ("exifread", "lxml")
    container = True

    def read(self, stream: Stream) -> Iterator[Fact]:
        segments, end, problem = walk(stream)
        yield from _shape(stream, segments, problem)
        blocks = _gather(stream, segments)
        for comment in blocks["comment"]:
            yield from _picture.said("jpeg.comment", _picture.read_text(comment), "comment")
        metadata = _picture.Blocks()
        for kind, reader in _READERS.items():
            for block in blocks[kind]:
                yield from metadata.read(reader, block)
        ranges = yield from _previews(stream, segments)
        if problem:
            yield problem
        if end:
            yield from _leftovers(stream, end, ranges)


def walk(stream: Stream) -> tuple[list[Segment], int, Problem | None]:
    """The segments of the first picture, where it ends (0: not found), and what was wrong first."""
    segments: list[Segment] = []
    problem: Problem | None = None
    position = 2
    for _ in range(SEGMENTS):
        head = stream.at(position, 4)
        code, length = head[1:2], int.from_bytes(head[2:4], "big")
        if len(head) < 2:
            return segments, 0, problem or Problem("truncated", f"no end of picture: the file ends at {stream.size}")
        if head[0] != 0xFF:
            problem = problem or Problem("corrupt", f"no marker at {position}", resolution="read on at the next one")
            position = _next_marker(stream, position)
        elif code == b"\xd9":
            return segments, position + 2, problem
        elif code == b"\xff":
            position = _next_marker(stream, position)
        elif code in _BARE:
            position += 2
        elif length < 2:
            problem = problem or Problem("corrupt", f"a segment of {length} bytes at {position}")
            position = _next_marker(stream, position + 2)
        else:
            segments.append(Segment(code[0], position + 4, length - 2))
            position += 2 + length
            if position > stream.size:
                cut = Problem("truncated", f"a segment ends at {position}, the file at {stream.size}")
                return segments, 0, problem or cut
            if code == b"\xda":
                position = _next_marker(stream, position)
    return segments, 0, problem or Problem("limit", f"more than {SEGMENTS} segments", resolution="stopped there")


def _next_marker(stream: Stream, start: int) -> int:
    """Where the next marker stands, coded pixels passed over; the end of the file where there is none."""
    while start < stream.size:
        data = stream.at(start, MIB)
        if match := _MARKER.search(data):
            return start + match.start()
        # A lone FF at the edge of the window may begin a marker.
        start += len(data) - (data[-1:] == b"\xff" and len(data) > 1)
        if len(data) == 1:
            break
    return stream.size


def _shape(stream: Stream, segments: list[Segment], problem: Problem | None) -> Iterator[Fact]:
    for segment in segments:
        if 0xC0 <= segment.code <= 0xCF and segment.code not in (0xC4, 0xC8, 0xCC):
            head = stream.at(segment.start, 6)
            if len(head) == 6:
                height, width = int.from_bytes(head[1:3], "big"), int.from_bytes(head[3:5], "big")
                yield from _picture.shape(width, height, _MODES.get(head[5], ""), head[0])
                yield Field("jpeg.coding", _CODINGS.get(segment.code - 0xC0, "other"))
                break
    else:
        yield Problem(problem.cause if problem else "corrupt", "no frame header: the dimensions are not known")
    for segment in segments:
        head = stream.at(segment.start, 12)
        if segment.code == 0xE0 and head[:5] == b"JFIF\0" and head[7:8] in (b"\x01", b"\x02"):
            across = int.from_bytes(head[8:10], "big")
            yield Field("picture.dpi", round(across * (2.54 if head[7] == 2 else 1.0), 2))
            break


def _gather(stream: Stream, segments: list[Segment]) -> dict[str, list[bytes]]:
    """The blocks of metadata by kind, put together where they were cut into segments."""
    blocks: dict[str, list[bytes]] = defaultdict(list)
    more: dict[bytes, dict[int, bytes]] = defaultdict(dict)
    icc: dict[int, bytes] = {}
    photoshop: list[bytes] = []
    credentials: list[bytes] = []
    for segment in segments:
        if segment.code != 0xFE and not 0xE0 <= segment.code <= 0xEF:
            continue
        data = stream.at(segment.start, segment.length)
        if segment.code == 0xFE:
            blocks["comment"].append(data)
        elif segment.code == 0xE1 and data[:6] in (b"Exif\0\0", b"Exif\0\xff"):
            # A block longer than a segment goes on in the next one, which has no header of its own.
            if blocks["exif"] and data[6:8] not in (b"II", b"MM"):
                blocks["exif"][-1] += data[6:]
            else:
                blocks["exif"].append(data[6:])
        elif segment.code == 0xE1 and data.startswith(_XMP):
            blocks["xmp"].append(data[len(_XMP) :])
        elif segment.code == 0xE1 and data.startswith(_XMP_MORE):
            head = len(_XMP_MORE)
            more[data[head : head + 32]][int.from_bytes(data[head + 36 : head + 40], "big")] = data[head + 40 :]
        elif segment.code == 0xE2 and data[:12] == b"ICC_PROFILE\0":
            icc.setdefault(data[12] if len(data) > 12 else 0, data[14:])
        elif segment.code == 0xED and data[:14] == b"Photoshop 3.0\0":
            photoshop.append(data[14:])
        elif segment.code == 0xEB:
            credentials.append(data)
        elif segment.code == 0xE0 and data[:6] == b"JFXX\0\x10":
            blocks["jfxx"].append(data[6:])
    blocks["xmp"] += [b"".join(parts[start] for start in sorted(parts)) for parts in more.values()]
    if icc:
        blocks["icc"].append(b"".join(icc[number] for number in sorted(icc)))
    if photoshop:
        blocks["photoshop"].append(b"".join(photoshop))
    blocks["c2pa"] += _c2pa.joined(credentials)
    return blocks


def _read_jfxx(data: bytes) -> Iterator[Fact]:
    if data[:2] == b"\xff\xd8":
        yield _picture.held_member(data, "thumbnail-jfxx.jpg", "thumbnail")


_READERS: Final[dict[str, Callable[[bytes], Iterator[Fact]]]] = {
    "icc": _picture.profile,
    "exif": _exif.read_exif_block,
    "xmp": _xmp.read_xmp,
    "photoshop": _iptc.read_resources,
    "jfxx": _read_jfxx,
    "c2pa": _c2pa.read_store,
}


def _previews(stream: Stream, segments: list[Segment]) -> Generator[Fact, None, list[tuple[int, int]]]:
    """The other pictures of a multi-picture file; returns where they stand."""
    ranges: list[tuple[int, int]] = []
    for segment in segments:
        if segment.code != 0xE2 or stream.at(segment.start, 4) != b"MPF\0":
            continue
        base = segment.start + 4
        try:
            ifds = Ifds(partial(_from, stream, base))
            entries = ifds.value(ifds.directory(ifds.first), 0xB002, 16 * PREVIEWS)
        except EvidenceError as error:
            yield error.problem("")
            continue
        number_at = struct.Struct(ifds.order + "I").unpack_from
        for number in range(1, len(entries) // 16):
            (length,), (offset,) = number_at(entries, 16 * number + 4), number_at(entries, 16 * number + 8)
            start = base + offset
            if offset and stream.at(start, 2) == b"\xff\xd8":
                ranges.append((start, min(start + length, stream.size)))
                yield _picture.member(stream, f"preview-{number + 1}.jpg", start, length, "preview")
    return ranges


def _from(stream: Stream, base: int, start: int, length: int) -> bytes:
    return stream.at(base + start, length)


def _leftovers(stream: Stream, end: int, ranges: list[tuple[int, int]]) -> Iterator[Fact]:
    """What stands after the picture and belongs to no other picture of the file."""
    for start, stop in sorted(ranges):
        yield from _picture.leftover(stream, end, start)
        end = max(end, stop)
    yield from _picture.leftover(stream, end)
