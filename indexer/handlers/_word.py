"""The text of an old Word document: where its pieces lie, which story they belong to, what is hidden.

Source: [MS-DOC] 2.4.1 (retrieving text), 2.5 (FIB), 2.8 (PLCs), 2.9.33 (CHPX), 2.6.1 (character properties);
for Word 6 and 95 the same tables at their older places.
"""

from __future__ import annotations

import re
import struct
from array import array
from bisect import bisect_right
from collections.abc import Iterator

from indexer.errors import EvidenceError
from indexer.handlers._ole import codec_of
from indexer.handlers._word_lists import Lists

WORD_97 = 0xC1
STYLES, PARAGRAPHS, LISTS, LISTS_USED = 1, 13, 73, 74
STORIES = ("body", "footnote", "header", "macro", "comment", "endnote", "text box", "header text box")
"""In the order in which their texts follow one another."""
FOOTNOTES, COMMENT_REFS, COMMENTS, HEADERS, RUNS, CLX, OWNERS, ENDNOTES, REVISERS, BOXES, HEADER_BOXES, SAVED_BY = (
    3,
    4,
    5,
    11,
    12,
    33,
    36,
    47,
    51,
    56,
    58,
    71,
)
"""Places of the tables that we read, in the list of all of them."""
_VANISH, _DELETED, _DELETED_BY = 0x083C, 0x0800, 0x4863
_OPERANDS = (1, 1, 2, 4, 2, 2, -1, 3)
_LANGUAGES = {4: 936, 17: 932, 18: 949, 25: 1251, 34: 1251, 35: 1251, 2: 1251, 8: 1253, 31: 1254, 13: 1255, 1: 1256}
_LANGUAGES |= {
    5: 1250,
    14: 1250,
    21: 1250,
    24: 1250,
    26: 1250,
    27: 1250,
    36: 1250,
    37: 1257,
    38: 1257,
    39: 1257,
    30: 874,
}

_SURROGATE = re.compile("[\ud800-\udfff]")


class Word:
    """A document as one text, character positions as in its own tables.

    Args:
        main: the stream WordDocument.
        table: the stream that holds its tables; the same one in Word 6 and 95.

    Raises:
        EvidenceError: if the header is not whole.
    """

    def __init__(self, main: bytes, table: bytes) -> None:
        if len(main) < 0x60:
            raise EvidenceError("truncated", "the header of the text is not whole")
        self.main = main
        self.version = _u16(main, 2)
        self.is_97 = self.version >= WORD_97
        self.table = table if self.is_97 else main
        lid = _u16(main, 6)
        self.codec = codec_of(950 if lid in (0x404, 0xC04, 0x1404) else _LANGUAGES.get(lid & 0x3FF, 1252))
        counts = 0x4C if self.is_97 else 0x34
        self.lengths = [max(0, _i32(main, counts + 4 * number)) for number in range(8)]
        self.missing = 0
        self.fault = ""
        self._pieces = self._read_pieces()
        self._positions = [piece[0] for piece in self._pieces]
        self.text = "".join(self._decode(*piece[1:]) for piece in self._pieces)
        self._has_pairs = _SURROGATE.search(self.text) is not None
        self.missing += max(0, sum(self.lengths) - len(self.text))
        self.marks = self._read_marks() if self.is_97 else []

    def part(self, number: int) -> bytes:
        """One of the tables that the header lists; empty where there is none."""
        at = (0x9A if self.is_97 else 0x58) + 8 * number
        if not self.is_97 and number > CLX:
            return b""
        start, size = _u32(self.main, at), _u32(self.main, at + 4)
        return self.table[start : start + size]

    def lists(self) -> Lists | None:
        """The paragraphs' properties and lists; None in Word 6 and 95."""
        if not self.is_97:
            return None
        start = _u32(self.main, 0x9A + 8 * LISTS)
        lists = self.table[start:] if self.part(LISTS) else b""
        return Lists(self.main, self.part(PARAGRAPHS), self.part(STYLES), lists, self.part(LISTS_USED))

    def offset(self, position: int) -> int:
        """Where the character at this position lies in the stream."""
        row = bisect_right(self._positions, position) - 1
        if row < 0:
            return -1
        start, offset, _, wide = self._pieces[row]
        return offset + ((position - start) << wide)

    def story(self, number: int) -> tuple[int, int]:
        """First and last position of a story."""
        start = sum(self.lengths[:number])
        return min(start, len(self.text)), min(start + self.lengths[number], len(self.text))

    def cuts(self, number: int, width: int = 0) -> list[int]:
        """The positions of a table, from the start of its story; `width` bytes of data belong to each."""
        data = self.part(number)
        count = (len(data) - 4) // (4 + width) + 1 if len(data) >= 4 else 0
        return [_u32(data, 4 * row) for row in range(count)]

    def show(self, start: int, end: int) -> str:
        """The characters between two positions as text."""
        text = self.text[start:end]
        if not self.is_97:
            return text.encode("latin-1").decode(self.codec, "replace")
        if self._has_pairs:
            return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return text

    def runs(self, start: int, end: int) -> Iterator[tuple[int, int, str]]:
        """What lies between two positions, cut where it begins or ends to be hidden or deleted."""
        row = bisect_right(self.marks, (start, 1 << 62, "")) - 1
        for first, last, mark in self.marks[max(row, 0) :]:
            if first >= end:
                break
            if last <= start:
                continue
            if first > start:
                yield start, first, ""
            yield max(first, start), min(last, end), mark
            start = min(last, end)
        if start < end:
            yield start, end, ""

    def _decode(self, offset: int, count: int, wide: bool) -> str:
        data = self.main[offset : offset + (count << wide)]
        if wide:
            text = "".join(map(chr, array("H", data[: len(data) & ~1])))
        else:
            text = data.decode("cp1252" if self.is_97 else "latin-1", "replace")
        # What is missing keeps its place, so that the next piece is found at its own.
        self.missing += count - len(text)
        return text.ljust(count, "\0")

    def _read_pieces(self) -> list[tuple[int, int, int, bool]]:
        """Position, offset, length and width of every piece, in the order of the text."""
        data, at = self.part(CLX), 0
        while at + 3 <= len(data) and data[at] == 1:
            at += 3 + _u16(data, at + 1)
        found: list[tuple[int, int, int, bool]] = []
        if at + 5 <= len(data) and data[at] == 2:
            plc = data[at + 5 : at + 5 + _u32(data, at + 1)]
            count = max(0, (len(plc) - 4) // 12)
            total = 0
            for row in range(count):
                start, end = _u32(plc, 4 * row), _u32(plc, 4 * row + 4)
                place = _u32(plc, 4 * (count + 1) + 8 * row + 2)
                wide = self.is_97 and not place & 0x40000000
                offset = place if wide or not self.is_97 else (place & 0x3FFFFFFF) // 2
                length = min(end - start, len(self.main))
                if start != total or end <= start or length < end - start:
                    self.fault = self.fault or f"piece {row + 1} of the text has no place in it"
                if end > start and total < 2 * len(self.main):
                    found.append((start, offset, length, wide))
                    total += length
        if not found:
            start, end = _u32(self.main, 0x18), min(_u32(self.main, 0x1C), len(self.main))
            wide = self.is_97 and bool(_u16(self.main, 10) & 0x1000) and sum(self.lengths) * 2 <= end - start
            found.append((0, start, max(0, end - start) >> wide, wide))
        return found

    def _read_marks(self) -> list[tuple[int, int, str]]:
        """Positions between which characters are hidden or deleted, in their order."""
        table = self.part(RUNS)
        count = max(0, (len(table) - 4) // 8)
        authors = strings(self.part(REVISERS))
        spans: list[tuple[int, int, str]] = []
        for row in range(min(count, len(self.main) // 512)):
            page = (_u32(table, 4 * (count + 1) + 4 * row) & 0x3FFFFF) * 512
            rows = self.main[page : page + 512]
            if len(rows) == 512:
                spans += _page_spans(rows, authors)
        found = []
        spans.sort()
        starts = [span[0] for span in spans]
        for position, offset, length, wide in self._pieces:
            end = offset + (length << wide)
            for first, last, mark in spans[max(0, bisect_right(starts, offset) - 1) :]:
                if first >= end:
                    break
                if last > offset:
                    begin = position + ((max(first, offset) - offset) >> wide)
                    found.append((begin, position + ((min(last, end) - offset) >> wide), mark))
            if len(found) > 1 << 20:
                break
        return sorted(found)


def _page_spans(page: bytes, authors: list[str]) -> Iterator[tuple[int, int, str]]:
    """Offsets of the runs of one page that are hidden or deleted."""
    count = min(page[511], 101)
    for row in range(count):
        first, last = struct.unpack_from("<II", page, 4 * row)
        at = page[4 * (count + 1) + row] * 2
        if at and first < last and (mark := _mark(page[at + 1 : at + 1 + page[at]], authors)):
            yield first, last, mark


def _mark(changes: bytes, authors: list[str]) -> str:
    at, mark, author = 0, "", ""
    while at + 2 <= len(changes):
        code = _u16(changes, at)
        at += 2
        size = _OPERANDS[code >> 13]
        if size < 0:
            size = 1 + (changes[at] if at < len(changes) else 0)
        if code == _VANISH and changes[at : at + 1] == b"\1":
            mark = mark or "hidden text"
        elif code == _DELETED and changes[at : at + 1] == b"\1":
            mark = "deleted text"
        elif code == _DELETED_BY:
            number = _u16(changes, at)
            author = authors[number] if number < len(authors) else ""
        at += size
    return f"{mark} ({author})" if mark == "deleted text" and author and author != "Unknown" else mark


def strings(data: bytes) -> list[str]:
    """The texts of a table of strings."""
    if _u16(data, 0) != 0xFFFF:
        return []
    count, extra = _u16(data, 2), _u16(data, 4)
    found, at = [], 6
    for _ in range(count):
        if at + 2 > len(data):
            break
        size = 2 * _u16(data, at)
        found.append(data[at + 2 : at + 2 + size].decode("utf-16-le", "replace"))
        at += 2 + size + extra
    return found


def _u16(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "little")


def _u32(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")


def _i32(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little", signed=True)
