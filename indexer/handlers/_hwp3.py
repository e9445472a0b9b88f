"""The body of Hangul documents of version 3: paragraphs, boxes and notes inside of them, the character code.

Source: Hancom, "Hwp Document File Formats 3.0", chapters 3 to 5 (paragraphs, special characters), appendix on the
character code: two bytes, Johab for Hangul, rows of KS X 1001 for symbols and for Chinese characters.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from indexer.errors import EvidenceError
from indexer.handlers._flow import Flow
from indexer.model import Text

FONTS, FONT, STYLE = 7, 40, 20 + 31 + 187
_INFO, _SHAPE, _LINE, _CHAR_SHAPE, _CELL = 43, 187, 14, 31, 27
_DEPTH = 12
_SYMBOLS, _SYMBOLS_END, _ROW = 0x3400, 0x3880, 0x60
_HANJA, _HANJA_END = 0x4000, 0x5317
_KANA = (0x1F01, 0x1FB6, 0x3041 - 0x1F01)
_SAME = frozenset((*range(0x2030, 0x2047), *range(0x2190, 0x219C), 0x2126, 0x21CC, 0x21E8, 0x2218, 0x2219))
"""Codes that are the same in Unicode."""
_SIZES = {7: 42, 8: 48, 18: 4, 19: 4, 20: 4, 21: 4, 22: 12, 23: 5, 24: 3, 25: 3, 26: 123, 28: 32, 30: 2, 31: 2}
"""Characters that a special one takes with what follows it."""
_BLOCKS = frozenset((1, 2, 3, 4, 5, 12, 27, 29))
"""Special characters with a length and so many bytes behind them."""
_PLACES = {15: (8, "comment"), 16: (10, "header or footer"), 17: (14, "note")}
_LOST = "\ufffd"


def character(code: int) -> str:
    """A character of the document; U+FFFD where the code is not known."""
    if code < 0x80:
        return chr(code)
    try:
        if code >= 0x8000:
            return code.to_bytes(2, "big").decode("johab")
        if _SYMBOLS <= code < _SYMBOLS_END:
            row, cell = divmod(code - _SYMBOLS, _ROW)
            return bytes((0xA1 + row, 0xA0 + cell)).decode("euc_kr")
        if _HANJA <= code <= _HANJA_END:
            row, cell = divmod(code - _HANJA, 94)
            return bytes((0xCA + row, 0xA1 + cell)).decode("euc_kr")
    except UnicodeDecodeError:
        return _LOST
    if _KANA[0] <= code <= _KANA[1]:
        return chr(code + _KANA[2])
    return chr(code) if code in _SAME else _LOST


def string(data: bytes) -> str:
    """Characters up to the first zero."""
    codes = struct.unpack(f"<{len(data) // 2}H", data[: len(data) & ~1])
    found = []
    for code in codes:
        if not code:
            break
        found.append(character(code))
    return "".join(found).strip()


class Body:
    """The paragraphs; `lost` counts characters whose code is not known."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._flow = Flow()
        self._fault: EvidenceError | None = None
        self.lost = 0

    def read(self) -> Iterator[Text]:
        """The text of the document.

        Raises:
            EvidenceError: truncated or corrupt, after what could be read.
        """
        try:
            for _ in range(FONTS):
                self._skip(FONT * self._number(2))
            self._skip(STYLE * self._number(2))
            yield from self._paragraphs("body", 0)
        except EvidenceError as error:
            self._fault = error
        yield from self._flow.flush()
        if self._fault:
            raise self._fault

    def _take(self, size: int) -> bytes:
        if size > len(self._data) - self._at:
            raise EvidenceError("truncated", f"{size} bytes are wanted at {self._at} of the body, which ends before")
        piece = self._data[self._at : self._at + size]
        self._at += size
        return piece

    def _skip(self, size: int) -> None:
        if size > len(self._data) - self._at:
            raise EvidenceError("truncated", f"{size} bytes are wanted at {self._at} of the body, which ends before")
        self._at += size

    def _number(self, size: int) -> int:
        return int.from_bytes(self._take(size), "little")

    def _paragraphs(self, locator: str, depth: int) -> Iterator[Text]:
        """Paragraphs up to an empty one, which ends the list."""
        if depth > _DEPTH:
            raise EvidenceError("limit", f"boxes inside of one another, more than {_DEPTH} deep")
        while not self._fault:
            same, count, lines, shaped = struct.unpack_from("<BHHB", self._take(_INFO))
            if not count:
                return
            if not same:
                self._skip(_SHAPE)
            self._skip(lines * _LINE)
            if shaped:
                for _ in range(count):
                    if self._take(1) != b"\1":
                        self._skip(_CHAR_SHAPE)
            yield from self._paragraph(count, locator, depth)

    def _paragraph(self, count: int, locator: str, depth: int) -> Iterator[Text]:
        """One paragraph; what is boxed or noted in it comes after it."""
        words: list[str] = []
        inner: list[Text] = []
        try:
            self._characters(count, words, inner, locator, depth)
        except EvidenceError as error:
            self._fault = error
        yield from self._flow.paragraph(locator, "".join(words).strip())
        if inner:
            yield from self._flow.flush()
            yield from inner

    def _characters(self, count: int, words: list[str], inner: list[Text], locator: str, depth: int) -> None:
        read = 0
        while read < count and not self._fault:
            code = self._number(2)
            read += 1
            if code >= 32:
                char = character(code)
                self.lost += char == _LOST
                words.append(char)
            elif code == 13:
                words.append("\n")
            elif code == 9:
                words.append("\t")
                self._skip(6)
                read += 3
            elif code in _SIZES:
                words.append("-" if code == 24 else " " if code in (30, 31) else "")
                self._skip(2 * _SIZES[code] - 2)
                read += _SIZES[code] - 1
            else:
                size = int.from_bytes(self._take(6)[:4], "little")
                read += 3
                outer, self._flow = self._flow, Flow()
                try:
                    inner += self._special(code, size, locator, depth)
                finally:
                    inner += self._flow.flush()
                    self._flow = outer

    def _special(self, code: int, size: int, locator: str, depth: int) -> Iterator[Text]:
        """What stands in a box, a note or a field."""
        if code in _BLOCKS:
            self._skip(size)
        elif code == 6:
            self._skip(34)
        elif code == 10:
            info = self._take(84)
            cells = int.from_bytes(info[80:82], "little")
            self._skip(_CELL * cells)
            for _ in range(cells):
                yield from self._paragraphs(f"{locator} table", depth + 1)
                self._flow.end_cell()
            yield from self._paragraphs(f"{locator} caption", depth + 1)
        elif code == 11:
            length = self._number(4)
            self._skip(344 + length)
            yield from self._paragraphs(f"{locator} caption", depth + 1)
        elif code == 14:
            self._skip(84)
        elif code in _PLACES:
            length, place = _PLACES[code]
            self._skip(length)
            yield from self._paragraphs(place, depth + 1)
        else:
            raise EvidenceError("corrupt", f"special character {code} at {self._at} of the body")
