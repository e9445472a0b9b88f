"""What the spreadsheets of Lotus and of Quattro Pro share: records, texts in their character sets, numbers, rows.

Source: Lotus, "File Formats for 1-2-3" (releases 1A, 2 and 3: records, numbers, cell formats); "Lotus Multi-Byte
Character Set" (groups); "Lotus International Character Set".
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from typing import Final

from indexer.charsets import EASTERN_CODECS
from indexer.decoding import decode_as
from indexer.detection import detect
from indexer.errors import EvidenceError
from indexer.handlers._cells import column_name, one_line, show_date, show_number
from indexer.handlers._cellstyles import Row
from indexer.handlers._numberformat import show
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Text

_SAMPLE: Final = 64 * 1024
_HELD: Final = 64 * MIB
"""What the cells may weigh whose rows are put together, at 100 and their characters each."""
_WEIGHT: Final = 100
_HIGH: Final = re.compile(rb"[\x80-\xff]")

# -- records -----------------------------------------------------------------------------------


class Records:
    """The records of a spreadsheet; `fault` says what is wrong where they end too early.

    Args:
        start: where the first one stands.
        is_long: whether the top bit of a record's number makes its size one of four bytes.
    """

    def __init__(self, data: bytes, start: int = 0, *, is_long: bool = False) -> None:
        self.data = data
        self.at = start
        self.fault: EvidenceError | None = None
        self._start = start
        self._is_long = is_long

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Number and bytes of each, the last one's as far as they are here."""
        data, size = self.data, len(self.data)
        self.at, self.fault = self._start, None
        while self.at + 4 <= size:
            number, length = struct.unpack_from("<HH", data, self.at)
            start = self.at + 4
            if self._is_long and number & 0x8000:
                number &= 0x7FFF
                length = int.from_bytes(data[self.at + 2 : self.at + 6], "little")
                start += 2
            here, self.at = self.at, start + length
            if self.at > size:
                self.fault = EvidenceError("truncated", f"the record at {here} is not whole")
                self.at = size
            yield number, data[start : start + length]
        if self.at < size and not self.fault:
            self.fault = EvidenceError("truncated", f"the record at {self.at} is not whole")


# -- texts -------------------------------------------------------------------------------------

_GROUPS: Final = {
    0x01: "cp850", 0x03: "cp1255", 0x04: "cp1256", 0x05: "cp1251", 0x06: "cp852", 0x08: "cp1254", 0x0B: "cp874",
    0x10: "cp932", 0x11: "cp949", 0x12: "cp950", 0x13: "gbk",
}  # fmt: skip
_PARTS: Final = re.compile(
    rb"([\t\n\r\x20-\xff]+)|\x14(..)|([\x10-\x13])(?:\3(.)|(..))|([\x01-\x08\x0b])(.)|\x0f.|.", re.DOTALL
)
"""Of the multi-byte set: bytes of the file's own group; characters behind a byte that names theirs; control signs."""
_PLAIN: Final = re.compile(rb"[\t\n\r\x20-\x7f]*")
_LICS: Final = dict(
    zip(
        (*range(0xA0, 0xC0), 0xD7, 0xDD, 0xF7, 0xFD),
        "ƒ¡¢£“¥₧§¤©ª«Δπ≥÷°±²³„µ¶·™¹º»¼½≤¿ŒŸœÿ",
        strict=True,
    )
)
"""Where the international set is not ISO 8859-1, from 0xA0 on."""
_LATIN: Final = frozenset({"cp1252", "cp1254", "mac_roman", *(f"iso8859_{part}" for part in (1, 3, 9, 10, 14, 15, 16))})
_DECLARED: Final = {"lmbcs": "cp850", "dos": "cp437"}
"""What texts are in that are of no eastern set, unless their bytes speak against it."""
_ACCENTS: Final = re.compile(rb"[\x80-\x9f]")


class Letters:
    """Reads the texts of a file by the character set that they speak for.

    Attributes:
        codec: its name; empty where no text needed one.
        lossy: bytes that could not be read so far.

    Args:
        kind: `lmbcs`, `lics`, or for a code page that is not told `dos` or `plain`.
    """

    def __init__(self, kind: str) -> None:
        self.codec = ""
        self.lossy = 0
        self._kind = kind
        self._sample = bytearray()

    def sample(self, raw: bytes) -> None:
        """A text that helps to tell the character set."""
        if len(self._sample) >= _SAMPLE or not _HIGH.search(raw):
            return
        for part in _PARTS.finditer(raw) if self._kind == "lmbcs" else ():
            if part[1]:
                self._sample += part[1] + b"\n"
        if self._kind != "lmbcs":
            self._sample += raw + b"\n"

    def choose(self) -> Iterator[Field]:
        """Settles the character set after the last sample; the field that names it is for the caller to declare."""
        if not _HIGH.search(self._sample):
            return
        data = bytes(self._sample)
        found = detect(data).codec
        if found not in EASTERN_CODECS and self._kind in _DECLARED:
            found = detect(data, _DECLARED[self._kind]).codec
        self.codec = "cp1252" if found.startswith(("utf-16", "utf-32")) else found
        if self._kind == "lics" and self.codec in _LATIN and not _ACCENTS.search(data):
            self.codec = "lics"
        yield Field("lotus.codec", self.codec)

    def text(self, raw: bytes) -> str:
        """A text up to its end mark, as one line."""
        raw = raw.partition(b"\0")[0]
        if _PLAIN.fullmatch(raw):
            return one_line(raw.decode("ascii"))
        return one_line(self._mixed(raw) if self._kind == "lmbcs" else self._decoded(raw, self.codec))

    def _decoded(self, raw: bytes, codec: str) -> str:
        if codec == "lics" and not _ACCENTS.search(raw):
            return raw.decode("latin-1").translate(_LICS)
        text, lossy = decode_as(raw, codec if codec and codec != "lics" else "cp1252")
        self.lossy += lossy
        return text

    def _mixed(self, raw: bytes) -> str:
        """A text in which control characters name the set of the character behind them."""
        out = []
        for part in _PARTS.finditer(raw):
            own, wide, group, single, pair, small, byte = part.groups()
            if own:
                out.append(self._decoded(own, self.codec or "cp850"))
            elif wide:
                out.append(chr(wide[1] << 8 if wide[0] == 0xF6 else wide[0] << 8 | wide[1]))
            elif group:
                out.append(self._decoded(single or pair, _GROUPS[group[0]]))
            elif small and small[0] in _GROUPS and byte[0] >= 0x80:
                out.append(self._decoded(byte, _GROUPS[small[0]]))
            elif small:
                out.append("\ufffd")
                self.lossy += 1
        return "".join(out).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


# -- numbers -----------------------------------------------------------------------------------

_DATES: Final = {2: "d-mmm-yy", 3: "d-mmm", 4: "mmm-yy", 9: "", 10: ""}
"""Formats of dates by the code's low half; the empty ones follow the reader's country."""
_TIMES: Final = {7: "h:mm:ss AM/PM", 8: "h:mm AM/PM", 11: "", 12: ""}
GENERAL: Final = 0x7F


def is_moment(code: int) -> bool:
    """Whether a cell's format makes its number a date or a time."""
    return code >> 4 & 7 == 7 and (code & 15 in _DATES or code & 15 in _TIMES)


def show_value(value: float, code: int = GENERAL) -> tuple[str, str]:
    """A number as it is kept, an ISO date where its format makes it one, and in the form that its format gives it.

    Args:
        code: the cell's format as release 2 of 1-2-3 numbers them.
    """
    if not math.isfinite(value):
        return "", ""
    kind, low = code >> 4 & 7, code & 15
    if is_moment(code):
        date = low in _DATES
        shown = show_date(value, "date" if date else "time")
        form = _DATES[low] if date else _TIMES[low]
        return shown or show_number(repr(value)), show(value, form) if form and shown else ""
    text = show_number(str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value))
    places = "." + "0" * low if low else ""
    form = {0: f"0{places}", 1: f"0{places}E+00", 3: f"0{places}%", 4: f"#,##0{places}"}.get(kind, "")
    return text, show(value, form) if form else ""


_FACTORS: Final = ((5000, 1), (500, 1), (1, 20), (1, 200), (1, 2000), (1, 20000), (1, 16), (1, 64))


def small_number(packed: int) -> float:
    """A number of 16 bits: an integer, or one times a factor that its low bits name."""
    value = packed - 0x10000 if packed & 0x8000 else packed
    if not packed & 1:
        return float(value >> 1)
    times, parts = _FACTORS[packed >> 1 & 7]
    return (value >> 4) * times / parts


def packed_number(packed: int) -> float:
    """A number of 32 bits: digits, a sign, and a power of ten to multiply or to divide by."""
    value = float(packed >> 6)
    power = 10.0 ** (packed & 15)
    value = value / power if packed & 0x10 else value * power
    return -value if packed & 0x20 else value


def extended_number(data: bytes) -> float | str:
    """A number of 80 bits; `ERR` and `NA` where it is none, and nothing where it stands for a text or a blank."""
    digits, top = struct.unpack_from("<QH", data)
    if top & 0x7FFF == 0x7FFF:
        return {0xC0: "ERR", 0xD0: "NA"}.get(digits >> 56, "")
    try:
        value = math.ldexp(digits, (top & 0x7FFF) - 16383 - 63)
    except OverflowError:
        return ""
    return -value if top & 0x8000 else value


# -- rows --------------------------------------------------------------------------------------

Cell = tuple[int, str, str]
"""Column, text, and the other form in which it is shown."""


class Grid:
    """Cells that come in any order, given out as rows of the sheets; as many are held as `_HELD` allows.

    Attributes:
        names: names of the sheets by their number; those without one are lettered, as the programs do it.
    """

    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        self._rows: dict[tuple[int, int], list[Cell]] = {}
        self._held = 0

    def name(self, sheet: int) -> str:
        """The sheet's name."""
        return self.names.get(sheet) or column_name(sheet)

    def place(self, sheet: int, row: int, column: int) -> str:
        """A cell's locator; row and column from 0."""
        return f"{self.name(sheet)}!{column_name(column)}{row + 1}"

    def add(self, sheet: int, row: int, column: int, value: tuple[str, str]) -> Iterator[Fact]:
        """Takes a cell; gives out all rows where too many are held."""
        if not value[0]:
            return
        self._rows.setdefault((sheet, row), []).append((column, *value))
        self._held += _WEIGHT + len(value[0])
        if self._held > _HELD:
            yield from self.end()

    def end(self) -> Iterator[Fact]:
        """The rows that are held, sheet by sheet."""
        line = Row()
        for sheet, row in sorted(self._rows):
            line.number = row + 1
            for column, text, shown in sorted(self._rows[sheet, row]):
                line.add(column, text, shown)
            yield from line.end(self.name(sheet))
        self._rows.clear()
        self._held = 0


# -- the whole ---------------------------------------------------------------------------------


class Book:
    """A spreadsheet that is read in two passes: what cells need to be shown, then the cells.

    Attributes:
        letters_of: the kind of its `Letters`.
        end: number of the record that is the last.
        is_long: whether records may have sizes of four bytes.
    """

    letters_of = "plain"
    end = 0x01
    is_long = False

    def __init__(self, data: bytes) -> None:
        self.records = Records(data, is_long=self.is_long)
        self.letters = Letters(self.letters_of)
        self.grid = Grid()

    def read(self) -> Iterator[Fact]:
        for number, data in self.records:
            self.learn(number, data)
            if number == self.end:
                break
        yield from self.letters.choose()
        yield from self.begin()
        ended = False
        for number, data in self.records:
            if ended := number == self.end:
                break
            yield from self.tell(number, data)
        yield from self.grid.end()
        if ended:
            yield from self.behind()
        yield from self.last()
        yield from self._close(ended=ended)

    def learn(self, number: int, data: bytes) -> None:
        """The first pass."""

    def begin(self) -> Iterator[Fact]:
        """What is said before the cells."""
        yield from ()

    def tell(self, number: int, data: bytes) -> Iterator[Fact]:
        """The second pass."""
        raise NotImplementedError

    def behind(self) -> Iterator[Fact]:
        """What stands behind the last record."""
        yield from ()

    def last(self) -> Iterator[Fact]:
        """What else is to be said in the end."""
        yield from ()

    def text(self, raw: bytes, locator: str) -> Iterator[Text]:
        """A text of its own, if there is any."""
        if body := self.letters.text(raw):
            yield Text(body, locator)

    def _close(self, *, ended: bool) -> Iterator[Fact]:
        if self.letters.lossy:
            message = f"{self.letters.lossy} bytes stand for no known character"
            yield Problem("lossy-text", message, resolution="shown as U+FFFD")
        if not ended:
            fault = self.records.fault or EvidenceError("truncated", "no end of the spreadsheet")
            yield Problem(fault.cause, fault.message, resolution="read up to there")


def labelled(raw: bytes) -> bytes:
    """The text of a label without the sign that says how it is aligned."""
    return raw[1:] if raw[:1] in (b"'", b'"', b"^", b"\\", b"|") else raw


def counted(data: bytes, at: int) -> bytes:
    """A text behind its size of one byte."""
    return data[at + 1 : at + 1 + data[at]] if at < len(data) else b""


def word(data: bytes, at: int) -> int:
    """A number of two bytes; 0 bits where the data ends."""
    return int.from_bytes(data[at : at + 2], "little")


def double(data: bytes, at: int) -> float:
    """A number of eight bytes; none where the data ends."""
    return float(struct.unpack_from("<d", data, at)[0]) if len(data) >= at + 8 else math.nan
