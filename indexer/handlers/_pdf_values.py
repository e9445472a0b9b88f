"""Values of a PDF file as they are written, and where an object that one refers to stands.

Source: ISO 32000-2, 7.2 (characters), 7.3 (objects), 7.5.6 (incremental updates), 7.5.7 (object streams).
Limits: of one value 4,000 parts, 16 deep; 2,000,000 objects of one file.
"""

from __future__ import annotations

import mmap
import re
from array import array
from bisect import bisect_left, bisect_right
from functools import cached_property
from typing import Final, NamedTuple, TypeAlias

from indexer.handlers._pdf_objects import number_of, object_streams, span_of, stream_of
from indexer.limits import KIB, MIB

Value: TypeAlias = "bool | int | float | str | bytes | Reference | list[Value] | dict[str, Value] | None"
"""Names are str, strings are bytes."""
HEAD: Final = 16 * KIB
"""Of an object: as far as its value is read."""
_PARTS, _DEPTH, _STEPS = 4_000, 16, 8
_OBJECTS: Final = 2_000_000
_TOKEN: Final = re.compile(
    rb"[\0\t\n\f\r ]*(?:(?P<open><<|\[)|(?P<close>>>|\])|/(?P<name>[^\0\t\n\f\r ()<>\[\]{}/%]{0,200})"
    rb"|(?P<reference>\d{1,9})[\0\t\n\f\r ]{1,3}\d{1,5}[\0\t\n\f\r ]{1,3}R\b"
    rb"|(?P<number>[+-]?(?:\d{1,12}(?:\.\d{0,12})?|\.\d{1,12}))|(?P<word>[a-z]{1,12})"
    rb"|(?P<string>\()|<(?P<digits>[^>]{0,8192})>|(?P<comment>%[^\r\n]*))"
)
_WORDS: Final = {b"true": True, b"false": False, b"null": None}
_HEX: Final = re.compile(r"#([0-9A-Fa-f]{2})")
_OCTAL: Final = re.compile(rb"[0-7]{1,3}")
_IN_STRING: Final = re.compile(rb"[()\\\r]")
_LINE_END: Final = re.compile(rb"\r?\n|\r")
_ESCAPES: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}
_PAIR: Final = re.compile(rb"(\d{1,9})\s+(\d{1,9})\s+")


class Reference(NamedTuple):
    """The number of another object."""

    number: int


def parse(data: bytes, at: int = 0) -> Value:
    """The value that stands there; one that breaks off ends where its sound parts do."""
    levels: list[tuple[bytes, list[Value]]] = [(b"", [])]
    for _ in range(_PARTS):
        token = _TOKEN.match(data, at)
        if not token or (token["word"] and token["word"] not in _WORDS):
            break
        at = token.end()
        if token["open"]:
            if len(levels) > _DEPTH:
                break
            levels.append((token["open"], []))
        elif token["close"]:
            if len(levels) == 1:
                break
            _close(levels)
        elif token["string"]:
            held, at = literal(data, at - 1)
            levels[-1][1].append(held)
        elif not token["comment"]:
            levels[-1][1].append(_simple(token))
        if len(levels) == 1 and levels[0][1]:
            break
    while len(levels) > 1:
        _close(levels)
    return levels[0][1][0] if levels[0][1] else None


def _close(levels: list[tuple[bytes, list[Value]]]) -> None:
    opened, parts = levels.pop()
    if opened == b"[":
        levels[-1][1].append(parts)
    else:
        pairs = zip(parts[::2], parts[1::2], strict=False)
        levels[-1][1].append({key: value for key, value in pairs if isinstance(key, str)})


def _simple(token: re.Match[bytes]) -> Value:
    kind, text = token.lastgroup, token[token.lastgroup or 0]
    if kind == "name":
        return _HEX.sub(lambda found: chr(int(found[1], 16)), text.decode("latin-1"))
    if kind == "reference":
        return Reference(int(text))
    if kind == "number":
        return float(text) if b"." in text else int(text)
    if kind == "digits":
        return from_digits(text)
    return _WORDS[text]


def from_digits(text: bytes) -> bytes:
    """The bytes of hexadecimal digits; what is none is passed over."""
    digits = re.sub(rb"[^0-9A-Fa-f]", b"", text)
    return bytes.fromhex((digits + b"0" * (len(digits) % 2)).decode("ascii"))


def literal(data: bytes, at: int) -> tuple[bytes, int]:
    """The bytes of the string in brackets that begins here, as far as it goes, and where it ends."""
    out = bytearray()
    depth, at = 1, at + 1
    while found := _IN_STRING.search(data, at):
        out += data[at : found.start()]
        char, at = found[0], found.end()
        if char == b"\\":
            if octal := _OCTAL.match(data, at):
                out.append(int(octal[0], 8) & 255)
                at = octal.end()
            elif end := _LINE_END.match(data, at):
                at = end.end()
            else:
                out += _ESCAPES.get(data[at : at + 1], data[at : at + 1])
                at += 1
            continue
        if char == b"\r":
            char = b"\n"
            at += data[at : at + 1] == b"\n"
        depth += (char == b"(") - (char == b")")
        if not depth:
            return bytes(out), at
        out += char
    return bytes(out + data[at:]), len(data)


class Objects:
    """The objects of a file that is at hand as a whole; they are looked for when the first is asked for."""

    def __init__(self, data: bytes | mmap.mmap) -> None:
        self.data = data
        self._held: tuple[int, bytes] = (-1, b"")

    def follow(self, value: Value, near: int) -> Value:
        """The value itself, or the one it refers to; None where there is none.

        Args:
            near: where the reference stands: of several objects of one number, that of the same saving is taken.
        """
        for _ in range(_STEPS):
            if not isinstance(value, Reference):
                return value
            place = self.place(value, near)
            value = self._packed(value.number) if place is None else self.at(place)
        return None

    def at(self, place: int) -> Value:
        """The value of the object that begins here; it ends at the next one at the latest."""
        end = self.data.find(b" obj", place + 4, place + HEAD)
        return parse(self.data[place + 4 : end if end >= 0 else place + HEAD])

    def place(self, reference: Reference, near: int) -> int | None:
        """Where the object begins; None where it stands in no place of its own."""
        numbers, all_places = self._places
        first, last = bisect_left(numbers, reference.number), bisect_right(numbers, reference.number)
        if last - first < 2:
            return all_places[first] if last > first else None
        ended = bisect_left(self._ends, near)
        if ended < len(self._ends):
            last = bisect_left(all_places, self._ends[ended], first, last)
        return all_places[max(first, last - 1)]

    def span(self, place: int, entries: dict[str, Value]) -> tuple[int, int]:
        """Where the stream of the object that begins here begins and ends; both 0 where it has none."""
        length = self.follow(entries.get("Length"), place)
        return span_of(self.data, place, length if isinstance(length, int) else None)

    @cached_property
    def _places(self) -> tuple[array[int], array[int]]:
        """The numbers of all objects in their order, and beside each where it begins."""
        numbers, places = array("q"), array("q")
        data, at = self.data, self.data.find(b" obj")
        while at >= 0 and len(places) < _OBJECTS:
            numbers.append(number_of(data, at))
            places.append(at)
            at = data.find(b" obj", at + 4)
        order = sorted(range(len(numbers)), key=numbers.__getitem__)
        return array("q", map(numbers.__getitem__, order)), array("q", map(places.__getitem__, order))

    @cached_property
    def _ends(self) -> array[int]:
        ends, at = array("q"), self.data.find(b"%%EOF")
        while at >= 0:
            ends.append(at)
            at = self.data.find(b"%%EOF", at + 5)
        return ends

    @cached_property
    def _in_streams(self) -> dict[int, tuple[int, int]]:
        """The place of the object stream, and the offset in it, by number."""
        found: dict[int, tuple[int, int]] = {}
        for place, held in object_streams(self.data):
            entries = self.at(place)
            first = entries.get("First") if isinstance(entries, dict) else None
            if isinstance(first, int):
                for number, offset in _PAIR.findall(held[:first].rstrip() + b" "):
                    if len(found) < _OBJECTS:
                        found[int(number)] = (place, first + int(offset))
        return found

    def _packed(self, number: int) -> Value:
        place, offset = self._in_streams.get(number, (-1, 0))
        if place < 0:
            return None
        if self._held[0] != place:
            self._held = (place, stream_of(self.data, place, MIB))
        return parse(self._held[1][: offset + HEAD], offset)
