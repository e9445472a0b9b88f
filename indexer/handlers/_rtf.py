"""Rich text as tokens, and the bytes in it as text.

Source: Rich Text Format specification 1.9.1: "Conventions", "Character set", "Unicode RTF", "Font table".
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from indexer.handlers._ole import codec_of

WORD, SYMBOL, BYTE, OPEN, CLOSE, TEXT, BINARY = range(7)
Token = tuple[int, str, int, int, int]
"""Kind, name, number (or -1), and where it starts and ends."""
NO_NUMBER = -(1 << 40)
CHARSETS = {77: 10000, 78: 10001, 79: 10003, 80: 10008, 81: 10002, 128: 932, 129: 949, 130: 1361, 134: 936, 136: 950}
CHARSETS |= {161: 1253, 162: 1254, 163: 1258, 177: 1255, 178: 1256, 186: 1257, 204: 1251, 222: 874, 238: 1250}
CHARSETS |= {254: 437, 255: 850}
EASTERN = (932, 936, 949, 950, 1361)
_TOKEN = re.compile(rb"\\([a-zA-Z]{1,32})(-?\d{1,10})? ?|\\'([0-9a-fA-F]{2})|\\(.)|([{}])|([^\\{}]+)|(\\)", re.DOTALL)
_MOST_BINARY = 1 << 32


def tokens(data: bytes) -> Iterator[Token]:
    """Every token; the bytes behind `bin` are one."""
    at = 0
    while match := _TOKEN.match(data, at):
        start, at = at, match.end()
        kind = match.lastindex
        if kind == 6:
            yield TEXT, "", NO_NUMBER, start, at
        elif kind in (1, 2):
            name, written = str(match[1], "ascii"), match[2]
            number = int(written) if written else NO_NUMBER
            if name == "bin" and 0 < number < _MOST_BINARY:
                start, at = at, min(at + number, len(data))
                yield BINARY, "", number, start, at
            else:
                yield WORD, name, number, start, at
        elif kind == 3:
            yield BYTE, "", int(match[3], 16), start, at
        elif kind == 4:
            yield SYMBOL, chr(match[4][0]), NO_NUMBER, start, at
        elif kind == 5:
            yield (OPEN if match[5] == b"{" else CLOSE), "", NO_NUMBER, start, at


class Fonts:
    """Which code page each font's bytes are in."""

    def __init__(self) -> None:
        self.default = 1252
        self.first = 0
        self._pages: dict[int, int] = {}

    def define(self, font: int, charset: int) -> None:
        """A font's character set; one that is unknown or neutral follows the document."""
        if charset in CHARSETS and len(self._pages) < 1 << 16:
            self._pages[font] = CHARSETS[charset]

    def define_page(self, font: int, code_page: int) -> None:
        """A font's code page, where it is named itself."""
        if code_page > 0 and len(self._pages) < 1 << 16:
            self._pages[font] = code_page

    def decode(self, data: bytes, font: int) -> str:
        """Bytes in this font as text."""
        if data.isascii():
            return data.decode("ascii")
        page = self._pages.get(font)
        if page is None and self.default in EASTERN:
            # Western fonts stand in eastern documents: bytes that make no eastern text are western.
            try:
                return data.decode(codec_of(self.default))
            except UnicodeDecodeError:
                return data.decode("cp1252", "replace")
        return data.decode(codec_of(page or self.default), "replace")
