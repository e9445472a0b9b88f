"""Portable files of SPSS: lines of 80 characters, numbers to the base of 30.

Source: GNU PSPP developers' guide, "Portable File Format".
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._spss import Dictionary, Value, Variable

TAG: Final = b"SPSSPORT"
_HEAD: Final = 464
_LINE: Final = 80
_MOST_LINE: Final = 1 << 16
_DIGITS: Final = {code: value for value, code in enumerate(b"0123456789ABCDEFGHIJKLMNOPQRST")}
_MOST_DIGITS: Final = 200
_MOST_TEXT: Final = 1 << 16


class PortableFile:
    """A portable file; `held` is filled by `describe`, and rows may be asked for once."""

    def __init__(self, stream: Stream) -> None:
        self.held = Dictionary(packing="portable")
        self._stream = stream
        self._lines = self._joined()
        self._data, self._at = b"", 0
        self._ready = False

    def _joined(self) -> Iterator[bytes]:
        """Lines without their ends; blanks that were cut off are put back."""
        self._stream.file.seek(0)
        while line := self._stream.file.readline(_MOST_LINE):
            body = line.rstrip(b"\r\n")
            yield body.ljust(_LINE) if line.endswith(b"\n") else body

    def _take(self, size: int) -> bytes:
        while len(self._data) - self._at < size:
            line = next(self._lines, None)
            if line is None:
                raise EvidenceError("truncated", "the file ends in the middle of a record")
            self._data, self._at = self._data[self._at :] + line, 0
        piece = self._data[self._at : self._at + size]
        self._at += size
        return piece

    def _number(self) -> float | None:
        """A number; None where none is known."""
        code = self._take(1)
        while code == b" ":
            code = self._take(1)
        if code == b"*":
            self._take(1)
            return None
        digits = bytearray()
        while code != b"/":
            digits += code
            if len(digits) > _MOST_DIGITS:
                raise EvidenceError("corrupt", "a number without an end")
            code = self._take(1)
        return _value(bytes(digits))

    def _whole(self) -> int:
        value = self._number()
        if value is None or value != int(value):
            raise EvidenceError("corrupt", "a count that is not a whole number")
        return int(value)

    def _text(self) -> bytes:
        size = self._whole()
        if not 0 <= size <= _MOST_TEXT:
            raise EvidenceError("corrupt", f"a text of {size} characters")
        return self._take(size)

    def describe(self) -> None:
        """Reads everything before the rows.

        Raises:
            EvidenceError: corrupt or truncated.
        """
        self._take(_HEAD - len(TAG))
        if self._take(len(TAG)) != TAG:
            raise EvidenceError("corrupt", "the mark of a portable file is not where it belongs")
        held = self.held
        held.release = self._take(1).decode("latin-1")
        day, time = self._text(), self._text().strip()
        if day.isdigit() and time.isdigit():
            try:
                at = datetime.strptime(f"{day.decode()}{time.decode().rjust(6, '0')}", "%Y%m%d%H%M%S")
                held.created = at.replace(tzinfo=UTC)
            except ValueError:
                held.created = None  # no day of a calendar: nothing was recorded
        while (tag := self._take(1)) != b"F":
            if tag == b"Z":
                return
            self._record(tag)
        self._ready = True

    def _record(self, tag: bytes) -> None:
        held = self.held
        if tag == b"1":
            held.program = self._text()
        elif tag == b"2":
            held.author = self._text()
        elif tag == b"3":
            held.label = self._text()
        elif tag in (b"4", b"5"):
            self._number()
        elif tag == b"6":
            held.weight = self._text()
        elif tag == b"7":
            width, name = self._whole(), self._text()
            formats = [self._whole() for _ in range(6)]
            if not 0 <= width <= _MOST_TEXT:
                raise EvidenceError("corrupt", f"a column of {width} characters")
            held.variables.append(Variable(name, width, formats[0]))
        elif tag in (b"8", b"9", b"A", b"B", b"C"):
            if not held.variables:
                raise EvidenceError("corrupt", "something is told of a column before there is one")
            variable = held.variables[-1]
            if tag == b"C":
                variable.label = self._text()
            else:
                for _ in range(2 if tag == b"B" else 1):
                    self._value(variable)
        elif tag == b"D":
            self._labels()
        elif tag == b"E":
            held.documents += [self._text().rstrip() for _ in range(self._whole())]
        else:
            raise EvidenceError("corrupt", f"a record of the unknown type {tag.decode('latin-1')!r}")

    def _value(self, variable: Variable) -> Value:
        return self._text().rstrip() if variable.width else self._number()

    def _labels(self) -> None:
        names = [self._text() for _ in range(self._whole())]
        found = [variable for variable in self.held.variables if variable.name in names]
        if not found:
            raise EvidenceError("corrupt", "labels of no column")
        for _ in range(self._whole()):
            value, text = self._value(found[0]), self._text()
            for variable in found:
                if value is not None:
                    variable.labels[value] = text

    def rows(self) -> Iterator[list[Value]]:
        """The rows in their order.

        Raises:
            EvidenceError: corrupt or truncated; after the rows before.
        """
        variables = self.held.variables
        while self._ready and variables:
            while (first := self._take(1)) == b" ":
                pass
            if first == b"Z":
                return
            self._at -= 1
            yield [self._value(variable) for variable in variables]


def _value(data: bytes) -> float:
    """A number to the base of 30: a sign, digits, a point, a power."""
    sign = -1.0 if data.startswith(b"-") else 1.0
    digits = data.removeprefix(b"-")
    power, at = 0, max(digits.find(b"+"), digits.find(b"-"))
    if at > 0:
        power = int(_integer(digits[at + 1 :])) * (-1 if digits[at : at + 1] == b"-" else 1)
        digits = digits[:at]
    whole, _, part = digits.partition(b".")
    try:
        return sign * _integer(whole + part) * float(30) ** (power - len(part))
    except OverflowError:
        raise EvidenceError("corrupt", "a number larger than any") from None


def _integer(digits: bytes) -> int:
    number = 0
    for code in digits:
        if code not in _DIGITS:
            raise EvidenceError("corrupt", f"{chr(code)!r} is no digit")
        number = number * 30 + _DIGITS[code]
    return number
