"""Logical volumes of LVM2 as disks: the text on a physical volume, and the extents that it names.

Source: LVM2, lib/format_text/layout.h (label, areas) and lvm.conf(5) (the syntax of the text).
Limits: linear volumes on one disk are put together; stripes, mirrors, thin pools, caches and extents on
other disks are told to be missing.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from msgspec import Struct

from indexer.errors import EvidenceError
from indexer.handlers._image import Image, JoinedImage, MissingImage, PartImage
from indexer.limits import MIB

LABEL, KIND = b"LABELONE", b"LVM2 001"
AREA = b" LVM2 x[5A%r0N*>"
MOST_TEXT = 16 * MIB
MOST_SEGMENTS = 100_000
MOST_DEPTH = 16
SECTOR = 512
_TOKEN = re.compile(r'#[^\n]*|"((?:[^"\\]|\\.)*)"|([{}\[\]=,])|([^\s{}\[\]=,"#]+)')
Section = dict[str, "Section | list[str] | str"]


class LogicalVolume(Struct, frozen=True):
    """A volume by its name, with the group it belongs to and its disk."""

    name: str
    group: str
    ident: str
    disk: Image


def read_volumes(disk: Image) -> Iterator[LogicalVolume]:
    """The logical volumes whose text stands on a physical volume, in its order.

    Raises:
        EvidenceError: where there is no text.
    """
    own, text = _read_text(disk)
    top = parse_text(text)
    group = next((name for name, value in top.items() if isinstance(value, dict) and "extent_size" in value), "")
    body = top.get(group)
    if not isinstance(body, dict):
        raise EvidenceError("corrupt", "LVM2: the text lists no group of volumes")
    extent = _number(body, "extent_size") * SECTOR
    starts = {
        name: _number(each, "pe_start") * SECTOR
        for name, each in _sections(body, "physical_volumes")
        if _is_own(each, own)
    }
    for name, each in _sections(body, "logical_volumes"):
        segments = [one for key, one in each.items() if key.startswith("segment") and isinstance(one, dict)]
        parts = [_part(disk, one, extent, starts) for one in sorted(segments, key=_first)[:MOST_SEGMENTS]]
        if parts:
            whole = parts[0] if len(parts) == 1 else JoinedImage(parts)
            yield LogicalVolume(name, group, str(each.get("id", "")), whole)


def _is_own(section: Section, own: str) -> bool:
    return str(section.get("id", "")).replace("-", "") == own


def _first(segment: Section) -> int:
    return _number(segment, "start_extent")


def _part(disk: Image, segment: Section, extent: int, starts: dict[str, int]) -> Image:
    size = _number(segment, "extent_count") * extent
    stripes = segment.get("stripes")
    kind = str(segment.get("type", ""))
    if kind != "striped" or not isinstance(stripes, list) or len(stripes) != 2:
        return MissingImage(size, f"LVM2: a segment of type {kind!r} over several places is not put together")
    where, first = stripes
    if where not in starts or not first.isdigit():
        return MissingImage(size, f"LVM2: a segment lies on another disk, {where}")
    part = PartImage(disk, starts[where] + int(first[:18]) * extent, size)
    rest = size - part.size
    return (
        JoinedImage([part, MissingImage(rest, "LVM2: a segment reaches behind the end of the disk")]) if rest else part
    )


def _read_text(disk: Image) -> tuple[str, str]:
    """The identifier of the physical volume, and the newest text in its areas."""
    for at in range(0, 4 * SECTOR, SECTOR):
        label = disk.read_at(at, SECTOR)
        if label[:8] == LABEL and label[24:32] == KIND:
            break
    else:
        raise EvidenceError("corrupt", "LVM2: no label")
    header = label[int.from_bytes(label[20:24], "little") :]
    pairs = [struct.unpack_from("<QQ", header, 40 + 16 * number) for number in range(max(0, len(header) - 40) // 16)]
    # Two lists, of data and of text, each ended by a pair of zeros.
    ends = [number for number, pair in enumerate(pairs) if pair == (0, 0)]
    areas = pairs[ends[0] + 1 : ends[1]] if len(ends) > 1 else []
    for start, room in areas:
        area = disk.read_at(start, SECTOR)
        if area[4:20] != AREA:
            continue
        offset, size = struct.unpack_from("<QQ", area, 40)
        if not SECTOR <= offset < room or not 0 < size <= min(MOST_TEXT, room):
            continue
        text = disk.read_at(start + offset, min(size, room - offset))
        text += disk.read_at(start + SECTOR, size - len(text)) if len(text) < size else b""
        return header[:32].decode("ascii", "replace"), text.rstrip(b"\0").decode("utf-8", "replace")
    raise EvidenceError("corrupt", "LVM2: no area holds a text")


def parse_text(text: str) -> Section:
    """Nested sections, lists and values; what does not fit the syntax is stepped over."""
    top: Section = {}
    stack = [top]
    name, held = "", False
    items: list[str] | None = None
    for match in _TOKEN.finditer(text):
        sign, word = match[2], match[1] if match[1] is not None else match[3]
        if word is not None:
            if items is not None:
                items.append(word)
            elif held:
                stack[-1][name], held = word, False
            else:
                name = word
        elif sign == "=":
            held = True
        elif sign == "[":
            items = []
        elif sign == "]" and items is not None:
            stack[-1][name], items, held = items, None, False
        elif sign == "{" and len(stack) < MOST_DEPTH:
            inner: Section = {}
            stack[-1][name] = inner
            stack.append(inner)
        elif sign == "}" and len(stack) > 1:
            stack.pop()
    return top


def _sections(section: Section, name: str) -> Iterator[tuple[str, Section]]:
    inner = section.get(name)
    if isinstance(inner, dict):
        yield from ((key, value) for key, value in inner.items() if isinstance(value, dict))


def _number(section: Section, name: str) -> int:
    value = section.get(name, "")
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16 else 0
