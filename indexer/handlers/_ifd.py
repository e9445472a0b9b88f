"""The directories of a TIFF structure, as in TIFF and BigTIFF files, EXIF blocks, MPF and raw pictures.

Source: TIFF Revision 6.0, section 2; the BigTIFF Design; TIFF Technical Note 1 (SubIFDs).
Limits: values are read only where a caller asks for them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct

from indexer.errors import EvidenceError

SIZES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of one value of each field type."""
FORMATS: Final = {
    1: "B",
    3: "H",
    4: "I",
    6: "b",
    7: "B",
    8: "h",
    9: "i",
    11: "f",
    12: "d",
    13: "I",
    16: "Q",
    17: "q",
    18: "Q",
}
RATIOS: Final = {5: "I", 10: "i"}
TEXT: Final = 2
ENTRIES: Final = 1_000_000
"""Entries read from one structure in all; overlapping directories could ask for any number."""
VALUE_BYTES: Final = 1 << 20
MOST: Final = 1 << 63


class Entry(Struct, frozen=True):
    """One entry of a directory; `start` is where its value stands."""

    tag: int
    kind: int
    count: int
    start: int


class Directory(Struct, frozen=True):
    """One image file directory, and where the next one stands (0: there is none)."""

    start: int
    entries: dict[int, Entry]
    following: int
    cut: bool = False
    """Whether entries that it counts are not there."""


class Ifds:
    """Reads directories and values by their offsets.

    Args:
        at: gives up to so many bytes from an offset: `Stream.at`, or a slice of a block in memory.

    Raises:
        EvidenceError: where the header is none.
    """

    def __init__(self, at: Callable[[int, int], bytes]) -> None:
        self.at = at
        head = at(0, 16)
        if head[:2] not in (b"II", b"MM") or len(head) < 8:
            raise EvidenceError("corrupt", "no TIFF header")
        self.order = "<" if head[:1] == b"I" else ">"
        self.big = struct.unpack(self.order + "H", head[2:4])[0] == 43
        self._left = ENTRIES
        if self.big and len(head) < 16:
            raise EvidenceError("truncated", "the BigTIFF header ends early")
        self.first = int(
            struct.unpack(self.order + ("Q" if self.big else "I"), head[8:16] if self.big else head[4:8])[0]
        )

    def directory(self, start: int) -> Directory:
        """The directory at `start`.

        Raises:
            EvidenceError: where it is cut off, or too many entries were read before.
        """
        head, size = (8, 20) if self.big else (2, 12)
        count = self._number(self.at(start, head), head, "count")
        if count > 0xFFFF:
            raise EvidenceError("corrupt", f"a directory of {count} entries")
        self._left -= count
        if self._left < 0:
            raise EvidenceError("limit", f"more than {ENTRIES} directory entries")
        wide = 8 if self.big else 4
        data = self.at(start + head, count * size + wide)
        entries: dict[int, Entry] = {}
        for number in range(min(count, len(data) // size)):
            tag, kind = struct.unpack_from(self.order + "HH", data, number * size)
            (values,) = struct.unpack_from(self.order + ("Q" if self.big else "I"), data, number * size + 4)
            place = start + head + number * size + 4 + wide
            if SIZES.get(kind, 1) * values > wide:
                (place,) = struct.unpack_from(self.order + ("Q" if self.big else "I"), data, number * size + 4 + wide)
            entries.setdefault(tag, Entry(tag, kind, values, place))
        if len(data) < count * size:
            if not entries:
                raise EvidenceError("truncated", "a directory is cut off")
            return Directory(start, entries, 0, cut=True)
        end = data[count * size :]
        return Directory(start, entries, self._number(end, wide, "link") if len(end) == wide else 0)

    def chain(self) -> Iterator[Directory]:
        """The directories from the first one on.

        Raises:
            EvidenceError: where one links back, or cannot be read.
        """
        seen: set[int] = set()
        start = self.first
        while start:
            if start in seen:
                raise EvidenceError("corrupt", "the directories form a loop")
            seen.add(start)
            found = self.directory(start)
            yield found
            if found.cut:
                raise EvidenceError("truncated", "a directory counts more entries than there are")
            start = found.following

    def raw(self, entry: Entry, most: int = VALUE_BYTES) -> bytes:
        """The bytes of a value, as far as they are there and `most` allows."""
        return self.at(entry.start, min(SIZES.get(entry.kind, 1) * entry.count, most))

    def numbers(self, found: Directory, tag: int, most: int = 64) -> tuple[float, ...]:
        """The numbers of a tag, ratios divided; empty where the tag is not there or holds none."""
        entry = found.entries.get(tag)
        return decode_numbers(self.raw(entry, most * 8), entry.kind, self.order, most) if entry else ()

    def number(self, found: Directory, tag: int, default: int = 0) -> int:
        """The first number of a tag."""
        values = self.numbers(found, tag, 1)
        return int(values[0]) if values else default

    def value(self, found: Directory, tag: int, most: int = VALUE_BYTES) -> bytes:
        """The bytes of a tag, or none where it is not there."""
        entry = found.entries.get(tag)
        return self.raw(entry, most) if entry else b""

    def _number(self, data: bytes, size: int, what: str) -> int:
        if len(data) < size:
            raise EvidenceError("truncated", f"a directory lies outside the bytes ({what})")
        return int(struct.unpack(self.order + {2: "H", 4: "I", 8: "Q"}[size], data)[0])


def decode_numbers(data: bytes, kind: int, order: str, most: int = 64) -> tuple[float, ...]:
    """The numbers in a value's bytes, without what no store holds: ratios over zero, NaN, 2**63 and more."""
    if kind in RATIOS:
        count = min(len(data) // 8, most)
        parts = struct.unpack_from(f"{order}{2 * count}{RATIOS[kind]}", data)
        pairs = zip(parts[::2], parts[1::2], strict=True)
        return tuple(above / below for above, below in pairs if below)
    letter = FORMATS.get(kind)
    if not letter:
        return ()
    count = min(len(data) // SIZES[kind], most)
    values = struct.unpack_from(f"{order}{count}{letter}", data)
    return tuple(value for value in values if -MOST <= value < MOST)
