"""Texts in Flash films: fields, and glyphs turned back into characters by the code tables of fonts.

Source: SWF File Format Specification, version 19, chapter 10.
Limits: fonts without a code table (DefineFont alone) tell nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from indexer.handlers._picture import read_text

TEXTS: Final = 200_000
_MARKUP: Final = re.compile(r"<[^<>]{0,2000}>")


def edit_text(data: bytes) -> Iterator[str]:
    """The variable and the first words of a text field."""
    if len(data) < 5:
        return
    bits = data[2] >> 3
    position = 2 + (5 + 4 * bits + 7) // 8
    first, second = (*data[position : position + 2], 0, 0)[:2]
    position += 2
    if first & 1:
        position += 2
    if second & 0x80:
        position = data.find(b"\0", position) + 1 or len(data)
    if first & 1 or second & 0x80:
        position += 2
    if first & 4:
        position += 4
    if first & 2:
        position += 2
    if second & 0x20:
        position += 9
    variable, _, rest = data[position:].partition(b"\0")
    if name := read_text(variable):
        yield name
    if first & 0x80:
        text = read_text(rest.split(b"\0")[0])
        if second & 2:
            text = _MARKUP.sub("", text.replace("</p>", "\n"))
        if text.strip():
            yield text.strip()


class Fonts:
    """Code tables by font, and the texts that wait for them."""

    def __init__(self) -> None:
        self._codes: dict[int, list[int]] = {}
        self._texts: list[tuple[int, bytes]] = []

    def take(self, code: int, data: bytes) -> Iterator[bytes]:
        """Keeps what a tag says of fonts or glyphs; gives names of fonts."""
        number = int.from_bytes(data[:2], "little")
        if code in (11, 33):
            if len(self._texts) < TEXTS:
                self._texts.append((code, data))
        elif code in (13, 62) and len(data) > 3:
            size = data[2]
            yield data[3 : 3 + size].split(b"\0")[0]
            is_wide = code == 62 or bool((data[3 + size : 4 + size] or b"\0")[0] & 1)
            self._codes[number] = _numbers(data[4 + size + (code == 62) :], 2 if is_wide else 1)
        elif code in (48, 75) and len(data) > 5:
            flags, size = data[2], data[4]
            yield data[5 : 5 + size].split(b"\0")[0]
            at = 5 + size
            count = int.from_bytes(data[at : at + 2], "little")
            step = 4 if flags & 8 else 2
            table = at + 2 + step * count
            offset = int.from_bytes(data[table : table + step], "little")
            wide = 2 if flags & 4 else 1
            self._codes[number] = _numbers(data[at + 2 + offset :][: wide * count], wide)

    def texts(self) -> Iterator[str]:
        """The words of every text whose font tells them."""
        for code, data in self._texts:
            if text := "".join(self._runs(code, data)).strip():
                yield text

    def _runs(self, code: int, data: bytes) -> Iterator[str]:
        position = 2
        for kind in ("rectangle", "matrix"):
            reader = _Bits(data, position)
            if kind == "rectangle":
                reader.take(4 * reader.take(5))
            else:
                for _ in range(2):
                    if reader.take(1):
                        reader.take(2 * reader.take(5))
                reader.take(2 * reader.take(5))
            position = (reader.at + 7) // 8
        glyph_bits, advance_bits = (*data[position : position + 2], 0, 0)[:2]
        position += 2
        codes: list[int] = []
        while position < len(data) and data[position]:
            flags = data[position]
            position += 1
            if flags & 8:
                codes = self._codes.get(int.from_bytes(data[position : position + 2], "little"), [])
                position += 2
            position += (4 if code == 33 else 3) if flags & 4 else 0
            if flags & 2:
                position += 2
            if flags & 1:
                position += 2
            if flags & 8:
                position += 2
            if flags & 3:
                yield "\n"
            count = (data[position : position + 1] or b"\0")[0]
            reader = _Bits(data, position + 1)
            for _ in range(count):
                glyph = reader.take(glyph_bits)
                reader.take(advance_bits)
                yield chr(codes[glyph]) if glyph < len(codes) else ""
            position = (reader.at + 7) // 8


class _Bits:
    """Numbers of so many bits; past the end they are 0."""

    def __init__(self, data: bytes, start: int) -> None:
        self._data = data
        self.at = 8 * start

    def take(self, count: int) -> int:
        """The next number."""
        begin, end = self.at, self.at + count
        self.at = end
        if (end + 7) // 8 > len(self._data):
            return 0
        chunk = self._data[begin // 8 : (end + 7) // 8]
        return int.from_bytes(chunk, "big") >> (-end & 7) & (1 << count) - 1


def _numbers(data: bytes, size: int) -> list[int]:
    return [int.from_bytes(data[at : at + size], "little") for at in range(0, len(data) - size + 1, size)]
