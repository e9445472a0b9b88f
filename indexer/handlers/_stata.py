"""Data sets of Stata, all releases: where things stand in a file, as bytes; and how values are shown.

Source: StataCorp, "File formats .dta", for 102, 105, 108, 110 to 115 and 117 to 119.
"""

from __future__ import annotations

import math
import re
import struct
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final, Literal

from msgspec import Struct

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._survey import Cursor, clock, show_number

NEW: Final = b"<stata_dta><header>"
OLD: Final = (102, 103, 104, 105, 108, 110, 111, 113, 114, 115)
_KINDS: Final = {65526: "d", 65527: "f", 65528: "l", 65529: "i", 65530: "b", 32768: "L"}
_MIDDLE: Final = {255: "d", 254: "f", 253: "l", 252: "i", 251: "b"}
_SIZES: Final = {"d": 8, "f": 4, "l": 4, "i": 2, "b": 1, "L": 8}
_HIGHEST: Final = {"b": 100, "i": 32740, "l": 2147483620}
_HIGHEST_OLD: Final = {"b": 126, "i": 32766, "l": 2147483646}
_FLOAT_MISSING, _DOUBLE_MISSING = 2.0**127, 2.0**1023
_EARLY_MISSING: Final = 2.0**333
"""What a missing number was until release 105."""
_FORMAT: Final = re.compile(r"%-?t?([dcCwmqhy])")
_EPOCH: Final = datetime(1960, 1, 1)
_LEAPS: Final = (
    "1972-07 1973-01 1974-01 1975-01 1976-01 1977-01 1978-01 1979-01 1980-01 1981-07 1982-07 1983-07 1985-07 1988-01 "
    "1990-01 1991-01 1992-07 1993-07 1994-07 1996-01 1997-07 1999-01 2006-01 2009-01 2012-07 2015-07 2017-01"
)
_LEAP_SECONDS: Final = [
    int((datetime.strptime(month, "%Y-%m") - _EPOCH).total_seconds()) + number
    for number, month in enumerate(_LEAPS.split())
]
"""Seconds since 1960, those before counted, at which one was put in."""
_MOST_LABELS: Final = 64 << 20
_MOST_LONG: Final = 1 << 23


class Column(Struct):
    """One column: its names and labels as bytes, how it is shown, where in a row it stands."""

    kind: str
    offset: int
    size: int
    name: bytes
    format: str
    labels: bytes
    label: bytes


class Long(Struct):
    """A text or bytes that stand behind the rows."""

    column: int
    row: int
    is_text: bool
    at: int
    size: int


class Reader:
    """A data set; its parts are known as far as they were read.

    Raises:
        EvidenceError: corrupt or truncated.
    """

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.rows = self.width = self.start = 0
        self.label = self.stamp = b""
        self.columns: list[Column] = []
        self.remarks: list[tuple[bytes, bytes, int, int]] = []
        """Whose, called how, where, of how many bytes."""
        head = stream.at(0, 80)
        self.new = head.startswith(NEW)
        if self.new:
            match = re.match(rb"<stata_dta><header><release>(\d{3})</release><byteorder>([LM])SF</byteorder><K>", head)
            if not match or match[1] not in (b"117", b"118", b"119"):
                raise EvidenceError("corrupt", "the head is of no known release")
            self.release = int(match[1])
            self.order: Literal["little", "big"] = "little" if match[2] == b"L" else "big"
            self._cursor = Cursor(stream, match.end(), self.order)
        else:
            if len(head) < 4 or head[0] not in OLD:
                raise EvidenceError("corrupt", "the head is of no known release")
            self.release = head[0]
            self.order = "big" if head[1] == 1 else "little"
            self._cursor = Cursor(stream, 4, self.order)
        release = self.release
        self._name = 129 if release >= 118 else 33 if release >= 110 else 9
        self._format = 57 if release >= 118 else 49 if release >= 114 else 12 if release >= 105 else 7
        self._label = 321 if release >= 118 else 81 if release >= 108 else 32

    def describe(self) -> None:
        """Reads the head, the columns and where remarks stand."""
        count = self._head()
        kinds = self._kinds(count)
        names = self._each("varnames", count, self._name)
        width = 4 if self.release == 119 else 2
        self._open("sortlist")
        self._cursor.skip(width * (count + 1))
        self._close("sortlist")
        formats = self._each("formats", count, self._format)
        sets = self._each("value_label_names", count, self._name)
        labels = self._each("variable_labels", count, self._label)
        for (kind, size), name, form, held, text in zip(kinds, names, formats, sets, labels, strict=True):
            shown = form.partition(b"\0")[0].decode("latin-1")
            self.columns.append(Column(kind, self.width, size, name, shown, held.partition(b"\0")[0], text))
            self.width += size
        self._find_remarks()
        self._open("data")
        self.start = self._cursor.at

    def _open(self, tag: str) -> None:
        self._expect(f"<{tag}>")

    def _close(self, tag: str) -> None:
        self._expect(f"</{tag}>")

    def _expect(self, tag: str) -> None:
        if self.new and self._cursor.take(len(tag)) != tag.encode():
            raise EvidenceError("corrupt", f"no {tag} at {self._cursor.at - len(tag)}")

    def _each(self, tag: str, count: int, size: int) -> list[bytes]:
        self._open(tag)
        data = self._cursor.take(count * size)
        self._close(tag)
        return [data[at : at + size] for at in range(0, count * size, size)]

    def _head(self) -> int:
        """How many columns there are."""
        cursor, release = self._cursor, self.release
        count = cursor.number(4 if release == 119 else 2)
        self._expect("</K><N>")
        self.rows = cursor.number(8 if release >= 118 else 4 if release >= 103 else 2)
        self._expect("</N><label>")
        long = cursor.number(2 if release >= 118 else 1) if self.new else 81 if release >= 108 else 32
        self.label = cursor.take(long)
        self._expect("</label><timestamp>")
        if release >= 105:
            self.stamp = cursor.take(cursor.number(1) if self.new else 18)
        self._expect("</timestamp></header><map>")
        if self.new:
            cursor.skip(14 * 8)
        self._expect("</map>")
        return count

    def _kinds(self, count: int) -> list[tuple[str, int]]:
        self._open("variable_types")
        numbers = self._cursor.numbers(2 if self.new else 1, count)
        self._close("variable_types")
        return [self._kind(number) for number in numbers]

    def _kind(self, number: int) -> tuple[str, int]:
        found = kind_of(self.release, number)
        if found is None:
            raise EvidenceError("corrupt", f"a column of the unknown type {number}")
        return found

    def _find_remarks(self) -> None:
        """Where notes and other characteristics stand; what else an old file keeps there is stepped over."""
        if self.release < 105:
            return
        cursor = self._cursor
        self._open("characteristics")
        while True:
            if self.new:
                tag = cursor.take(4)
                if tag != b"<ch>":
                    cursor.at -= 4
                    self._close("characteristics")
                    return
                kind, size = 1, cursor.number(4)
            else:
                kind, size = cursor.number(1), cursor.number(4 if self.release >= 110 else 2)
                if not kind and not size:
                    return
            at = cursor.at
            cursor.skip(size)
            if kind == 1 and size > 2 * self._name and len(self.remarks) < 100_000:
                names = self.stream.at(at, 2 * self._name)
                whose, name = (names[part : part + self._name].partition(b"\0")[0] for part in (0, self._name))
                self.remarks.append((whose, name, at + 2 * self._name, size - 2 * self._name))
            if self.new:
                self._close("ch")

    # -- behind the rows -----------------------------------------------------------------------

    def _behind(self) -> Cursor:
        cursor = Cursor(self.stream, min(self.start + self.rows * self.width, self.stream.size), self.order)
        self._cursor = cursor
        self._close("data")
        return cursor

    def long_values(self) -> Iterator[Long]:
        """Where long values stand, in their order; afterwards `value_labels` may follow.

        Raises:
            EvidenceError: corrupt or truncated; after those before.
        """
        if not self.new:
            return
        cursor = self._behind()
        self._open("strls")
        while (tag := cursor.take(3)) == b"GSO":
            column, row = cursor.number(4), cursor.number(8 if self.release >= 118 else 4)
            kind, size = cursor.number(1), cursor.number(4)
            at = cursor.at
            cursor.skip(size)
            yield Long(column, row, kind == 130, at, size)
        cursor.at -= len(tag)
        self._close("strls")

    def value_labels(self) -> Iterator[tuple[bytes, dict[int, bytes]]]:
        """Sets of labels by their names; to be asked once all long values were.

        Raises:
            EvidenceError: corrupt or truncated; after those before.
        """
        if not self.columns:
            return
        cursor = self._cursor if self.new else self._behind()
        self._open("value_labels")
        first = cursor.at
        while cursor.left:
            if cursor.at - first > _MOST_LABELS:
                raise EvidenceError("limit", f"labels of values take more than {_MOST_LABELS} bytes")
            if self.release <= 105:
                count = cursor.number(2)
                name = cursor.take(10)[:9]
                codes = cursor.numbers(2, count, signed=True)
                texts = cursor.take(8 * count)
                yield name, {code: texts[8 * at : 8 * at + 8] for at, code in enumerate(codes)}
                continue
            if self.new and (tag := cursor.take(5)) != b"<lbl>":
                cursor.at -= len(tag)
                self._close("value_labels")
                return
            cursor.skip(4)
            name = cursor.take(self._name)
            cursor.skip(3)
            count, size = cursor.numbers(4, 2)
            places = cursor.numbers(4, count)
            codes = cursor.numbers(4, count, signed=True)
            texts = cursor.take(size)
            yield name, _labels(places, codes, texts)
            if self.new:
                self._close("lbl")


def _labels(places: list[int], codes: list[int], texts: bytes) -> dict[int, bytes]:
    """Labels by their codes; together they are never longer than the texts that they stand in."""
    found: dict[int, bytes] = {}
    left = len(texts)
    for place, code in zip(places, codes, strict=True):
        end = texts.find(b"\0", place, place + left)
        found[code] = texts[place : end if end >= 0 else place + left]
        left -= len(found[code])
        if left <= 0:
            break
    return found


class Places:
    """Where long values stand, by the pair of numbers that a row holds instead of them."""

    def __init__(self) -> None:
        self._keys, self._at, self._sizes = array("Q"), array("Q"), array("Q")
        self._sorted = True

    def add(self, value: Long) -> bool:
        """Whether it was kept: there is an end to what fits."""
        if len(self._keys) >= _MOST_LONG:
            return False
        key = (value.row << 24 | value.column & 0xFFFFFF) & (1 << 64) - 1
        self._sorted = self._sorted and (not self._keys or key >= self._keys[-1])
        self._keys.append(key)
        self._at.append(value.at)
        self._sizes.append(value.size << 1 | value.is_text)
        return True

    def find(self, column: int, row: int) -> tuple[int, int, bool] | None:
        """Place, size, and whether it is a text."""
        if not self._sorted:
            order = sorted(range(len(self._keys)), key=self._keys.__getitem__)
            self._keys = array("Q", [self._keys[at] for at in order])
            self._at = array("Q", [self._at[at] for at in order])
            self._sizes = array("Q", [self._sizes[at] for at in order])
            self._sorted = True
        key = (row << 24 | column & 0xFFFFFF) & (1 << 64) - 1
        index = bisect_right(self._keys, key) - 1
        if index < 0 or self._keys[index] != key:
            return None
        return self._at[index], self._sizes[index] >> 1, bool(self._sizes[index] & 1)


def kind_of(release: int, number: int) -> tuple[str, int] | None:
    """A column's kind (`s` is a text) and its bytes in a row."""
    if release >= 117:
        kind = _KINDS.get(number, "s" if 1 <= number <= 2045 else "")
        return (kind, _SIZES.get(kind, number)) if kind else None
    if release >= 111:
        kind = _MIDDLE.get(number, "s" if 1 <= number <= 244 else "")
        return (kind, _SIZES.get(kind, number)) if kind else None
    if number > 127:
        return "s", number - 127
    kind = chr(number) if number in b"bilfd" else ""
    return (kind, _SIZES[kind]) if kind else None


def unpack(kind: str, data: bytes, order: str, release: int) -> float | int | str:
    """A number, or the mark of a missing one: nothing, or a point and a letter."""
    sign = "<" if order == "little" else ">"
    if kind in "bil":
        whole = int.from_bytes(data, "little" if order == "little" else "big", signed=True)
        highest = (_HIGHEST if release >= 113 else _HIGHEST_OLD)[kind]
        return whole if whole <= highest else _mark(whole - highest - 1)
    (value,) = struct.unpack(sign + kind, data)
    if math.isnan(value) or math.isinf(value) or (release <= 105 and value == _EARLY_MISSING):
        return ""
    if kind == "f" and value >= _FLOAT_MISSING:
        return _mark(int.from_bytes(struct.pack(">f", value), "big") - 0x7F000000 >> 11)
    if kind == "d" and value >= _DOUBLE_MISSING:
        return _mark(int.from_bytes(struct.pack(">d", value), "big") - 0x7FE0000000000000 >> 40)
    return float(value)


def _mark(number: int) -> str:
    return f".{chr(96 + number)}" if 1 <= number <= 26 else ""


def show(value: float | int, kind: str, form: str) -> str:
    """A number, or the day, the time, the month that its format makes of it."""
    match = _FORMAT.match(form)
    if match and (match[0][-2] == "t" or match[1] == "d"):
        shown = _moment(value, match[1])
        if shown:
            return shown
    if kind == "f" and value != int(value):
        short = f"{value:.7g}"
        return short if struct.pack("f", float(short)) == struct.pack("f", value) else f"{value:.9g}"
    return show_number(value)


def _moment(value: float, kind: str) -> str:
    whole = math.floor(value)
    if not -12_000_000 < whole < 2_000_000 and kind not in "cC":
        return ""
    try:
        if kind == "d":
            return f"{_EPOCH + timedelta(days=whole):%Y-%m-%d}"
        if kind in "cC":
            if kind == "C":
                value -= 1000 * bisect_right(_LEAP_SECONDS, value / 1000)
            day, rest = divmod(round(value), 86_400_000)
            return f"{_EPOCH + timedelta(days=day):%Y-%m-%d} {clock(rest / 1000)}"
    except OverflowError:
        return ""
    parts = {"w": (52, "w"), "m": (12, "-"), "q": (4, "q"), "h": (2, "h"), "y": (1, "")}
    count, sign = parts[kind]
    year, part = divmod(whole, count)
    if kind == "y":
        return str(whole)
    return f"{1960 + year}{sign}{part + 1:02}" if kind == "m" else f"{1960 + year}{sign}{part + 1}"
