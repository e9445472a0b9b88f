"""What data sets of Stata and of SPSS have in common: bytes taken in turn, texts of one encoding, numbers as seen.

Source: none; what is shown is chosen for people who read and search it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal

from indexer.charsets import find_codec
from indexer.decoding import decode_as
from indexer.detection import detect
from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._flow import label
from indexer.handlers._rows import one_line

AT_ONCE: Final = 1 << 20
SAMPLE: Final = 64 * 1024
"""Bytes of texts that are asked for the encoding."""
_HIGH: Final = bytes(range(0x80, 0x100))
_EXACT: Final = float(1 << 53)


class Cursor:
    """Takes bytes one after another from a place on.

    Every call raises EvidenceError (truncated) where the stream ends before what is asked for.
    """

    def __init__(self, stream: Stream, at: int, order: Literal["little", "big"] = "little") -> None:
        self.stream, self.at, self.order = stream, at, order

    @property
    def left(self) -> int:
        """Bytes between here and the end."""
        return max(0, self.stream.size - self.at)

    def take(self, size: int) -> bytes:
        """The next bytes."""
        if not 0 <= size <= self.left:
            raise EvidenceError("truncated", f"{size} bytes are wanted at {self.at}, {self.left} are there")
        data = self.stream.at(self.at, size)
        self.at += size
        return data

    def skip(self, size: int) -> None:
        """Steps over bytes that are there."""
        if not 0 <= size <= self.left:
            raise EvidenceError("truncated", f"{size} bytes are wanted at {self.at}, {self.left} are there")
        self.at += size

    def number(self, size: int, *, signed: bool = False) -> int:
        """The next whole number."""
        return int.from_bytes(self.take(size), self.order, signed=signed)

    def numbers(self, size: int, count: int, *, signed: bool = False) -> list[int]:
        """The next whole numbers."""
        data = self.take(size * count)
        return [int.from_bytes(data[at : at + size], self.order, signed=signed) for at in range(0, size * count, size)]


class Texts:
    """Bytes as text by one encoding; `lossy` counts those that could not be read."""

    def __init__(self, sample: Iterable[bytes], declared: str = "") -> None:
        """Judges the sample.

        Args:
            sample: texts of the file, as many as are wanted.
            declared: the encoding that the format or the file tells; believed unless the bytes are not of it.
        """
        self.codec = find_codec(declared)
        self.lossy = 0
        data = b"\n".join(sample)
        high = len(data) - len(data.translate(None, _HIGH))
        if self.codec and 4 * decode_as(data, self.codec)[1] <= high:
            return
        found = detect(data, self.codec).codec
        unlikely = found == "ascii" or found.startswith(("utf-16", "utf-32"))
        self.codec = (self.codec or "cp1252") if unlikely else found

    def read(self, data: bytes) -> str:
        """The text up to its first zero byte."""
        text, lost = decode_as(data.partition(b"\0")[0], self.codec)
        self.lossy += lost
        return text


def show_number(value: float) -> str:
    """A number as people write it: whole ones with all their digits, others with 15 at most."""
    return str(int(value)) if abs(value) <= _EXACT and value == int(value) else f"{value:.15g}"


def with_label(shown: str, labels: Mapping[str, str] | None) -> str:
    """A value with the words that it stands for, where it has any."""
    words = labels.get(shown) if labels else None
    return shown + label(one_line(words), bracketed=True) if words else shown


def clock(seconds: float) -> str:
    """Hours, minutes and seconds; decimals where there are any."""
    whole, part = divmod(round(abs(seconds) * 1000), 1000)
    sign = "-" if seconds < 0 and (whole or part) else ""
    return f"{sign}{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}" + (f".{part:03}" if part else "")
