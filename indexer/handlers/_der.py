"""Values of DER: tag, body and whole, side by side, for readers of certificates and keys.

Source: ITU-T X.690.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, NamedTuple

INTEGER, BITS, OCTETS, OID, SEQUENCE, SET = 0x02, 0x03, 0x04, 0x06, 0x30, 0x31
_MOST: Final = 200_000


class Part(NamedTuple):
    """One value; `whole` has its tag and length too."""

    tag: int
    body: bytes
    whole: bytes

    @property
    def parts(self) -> list[Part]:
        """What it holds, where it is a sequence or a set."""
        return list(read_parts(self.body))

    @property
    def number(self) -> int:
        """Its value as an integer."""
        return int.from_bytes(self.body, "big", signed=True)


def read_parts(data: bytes) -> Iterator[Part]:
    """The values that stand side by side; ends where they break."""
    at = 0
    for _ in range(_MOST):
        if at + 2 > len(data):
            return
        start = at
        tag, size = data[at], data[at + 1]
        at += 2
        if size & 0x80:
            width = size & 0x7F
            if not 0 < width <= 4:
                return
            size = int.from_bytes(data[at : at + width], "big")
            at += width
        if at + size > len(data):
            return
        yield Part(tag, data[at : at + size], data[start : at + size])
        at += size


def sequence(data: bytes) -> list[Part]:
    """The values inside the sequence that the bytes are; none where they are none."""
    first = next(read_parts(data), None)
    return first.parts if first and first.tag == SEQUENCE else []


def declared_size(head: bytes) -> int:
    """How many bytes the sequence at the start takes with its head; 0 where there is none."""
    if len(head) < 2 or head[0] != SEQUENCE:
        return 0
    size = head[1]
    if size < 0x80:
        return 2 + size
    width = size & 0x7F
    return 2 + width + int.from_bytes(head[2 : 2 + width], "big") if 0 < width <= 4 else 0


def oid(body: bytes) -> str:
    """An object identifier with dots."""
    numbers: list[int] = []
    number = 0
    for byte in body[:64]:
        number = number << 7 | byte & 0x7F
        if byte < 0x80:
            numbers.append(number)
            number = 0
    if not numbers:
        return ""
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))


def text_of(part: Part) -> str:
    """A string of any of the usual kinds."""
    codec = {0x1E: "utf-16-be", 0x1C: "utf-32-be", 0x14: "latin-1"}.get(part.tag, "utf-8")
    return part.body.decode(codec, "replace")


def time_of(part: Part) -> datetime | None:
    """A UTCTime or a GeneralizedTime; None for what is none."""
    text = part.body.decode("ascii", "replace")
    if part.tag == 0x17 and len(text) == 13:
        text = ("20" if text < "50" else "19") + text
    if part.tag not in (0x17, 0x18) or len(text) != 15 or not text.endswith("Z") or not text[:14].isdecimal():
        return None
    numbers = [int(text[:4]), *(int(text[at : at + 2]) for at in range(4, 14, 2))]
    try:
        return datetime(*numbers, tzinfo=UTC)  # type: ignore[misc, arg-type]
    except ValueError:
        return None
