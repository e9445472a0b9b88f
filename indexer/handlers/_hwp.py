"""The body of a Hangul document: records into paragraphs, each with the place it stands at.

Source: Hancom, "Hwp Document File Formats 5.0", revision 1.3: 3.2 (storages), 4.2 (DocInfo), 4.3 (sections);
"distribution documents", revision 1.2 (how the key is hidden).
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable, Iterator

from msgspec import Struct, field

from indexer.errors import EvidenceError
from indexer.handlers._flow import Flow
from indexer.limits import MIB
from indexer.model import Fact, Field

RECORD = 256 * MIB
"""Bytes of one record; the largest are charts and long paragraphs, far below."""
_STEP = MIB
BIN_DATA, LOCKED_KEY, CHANGER = 18, 28, 97
_PARAGRAPH, _TEXT, _CONTROL, _LIST = 66, 67, 71, 72
_SHAPE, _TABLE, _ART, _DATA, _EQUATION, _FORM, _MEMO = 76, 77, 90, 87, 88, 91, 93
_WIDE = frozenset({*range(1, 10), *range(11, 13), *range(14, 24)})
"""Characters that take eight places: their own, what they mean, and their own again."""
_RUN = re.compile(rb"(?:(?:[^\x00-\x1f].)++|.[^\x00])*+", re.DOTALL)
"""Characters up to the next that means something."""
_PLAIN = {9: "\t", 10: "\n", 24: "-", 30: "\u00a0", 31: " "}
_NOTES = {b"fn  ": "footnote", b"en  ": "endnote", b"head": "header", b"foot": "footer", b"tcmt": "hidden comment"}
_NOTES |= {b"gso ": "text box", b"%%me": "memo"}
_SHAPES = (b"gso ", b"tbl ", b"eqed")


def inflate(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """What raw deflate held.

    Raises:
        EvidenceError: after the last piece that could be had.
    """
    inflater = zlib.decompressobj(-15)
    try:
        for piece in pieces:
            while piece and not inflater.eof:
                yield inflater.decompress(piece, _STEP)
                piece = inflater.unconsumed_tail
            if inflater.eof:
                return
        while rest := inflater.decompress(inflater.unconsumed_tail, _STEP):
            yield rest
    except zlib.error as error:
        raise EvidenceError("corrupt", f"deflate: {error}") from error
    if not inflater.eof:
        raise EvidenceError("truncated", "the deflate stream has no end")


def records(pieces: Iterable[bytes]) -> Iterator[tuple[int, int, bytes]]:
    """Tag, level and data of each record.

    Raises:
        EvidenceError: after the last whole record.
    """
    held = b""
    at = 0
    fault = None
    source = iter(pieces)
    wanted = 4
    while True:
        while len(held) - at < wanted:
            try:
                piece = next(source, None)
            except EvidenceError as error:
                piece, fault = None, error
            if piece is None:
                break
            held, at = held[at:] + piece, 0
        if len(held) - at < wanted:
            break
        (head,) = struct.unpack_from("<I", held, at)
        start, size = at + 4, head >> 20
        if size == 0xFFF:
            if len(held) - at < 8:
                wanted = 8
                continue
            start, size = at + 8, struct.unpack_from("<I", held, at + 4)[0]
        if size > RECORD:
            raise EvidenceError("limit", f"a record of {size} bytes")
        if start + size > len(held):
            wanted = start + size - at
            continue
        yield head & 0x3FF, head >> 10 & 0x3FF, held[start : start + size]
        at, wanted = start + size, 4
    if fault:
        raise fault
    if at < len(held):
        raise EvidenceError("truncated", "the last record is not whole")


def unlock(data: bytes) -> bytes:
    """The key hidden in the first record of a distribution document; empty where the record is too short."""
    if len(data) < 256:
        return b""
    (state,) = struct.unpack_from("<I", data)
    start = 4 + (state & 15)
    plain = bytearray(data[:256])
    count = value = 0
    for place in range(256):
        if not count:
            state = (state * 214013 + 2531011) & 0xFFFFFFFF
            value = state >> 16 & 0xFF
            state = (state * 214013 + 2531011) & 0xFFFFFFFF
            count = (state >> 16 & 15) + 1
        if place >= 4:
            plain[place] ^= value
        count -= 1
    return bytes(plain[start : start + 16])


def text_of(data: bytes) -> str:
    """UTF-16 text; half a character at the end is left out."""
    return data[: len(data) & ~1].decode("utf-16-le", "replace")


def counted(data: bytes, at: int) -> tuple[str, int]:
    """The text at `at` behind its length, and where it ends."""
    if at + 2 > len(data):
        return "", len(data)
    (length,) = struct.unpack_from("<H", data, at)
    return text_of(data[at + 2 : at + 2 + 2 * length]), at + 2 + 2 * length


class _Place(Struct):
    """An open control: its level and kind, where it stands and its paragraphs do, and the table row being read.

    `begun` tells that what follows is its content, no longer its caption.
    """

    level: int
    kind: bytes
    outer: str
    locator: str = ""
    row: int = -1
    begun: bool = False

    def __post_init__(self) -> None:
        self.locator = self.outer


class Body(Struct):
    """Reads sections one after the other; numbers of notes run through all of them."""

    counts: dict[str, int] = field(default_factory=dict)
    links: dict[str, None] = field(default_factory=dict)
    names: dict[str, None] = field(default_factory=dict)
    faults: int = 0

    def read(self, found: Iterable[tuple[int, int, bytes]], section: int) -> Iterator[Fact]:
        """The texts of one section.

        Raises:
            EvidenceError: what `found` raises, after the texts before it.
        """
        flow = Flow()
        places = [_Place(-1, b"", f"section {section}")]
        fault = None
        source = iter(found)
        while True:
            try:
                record = next(source, None)
            except EvidenceError as error:
                record, fault = None, error
            if record is None:
                break
            tag, level, data = record
            # The paragraphs inside a control stand at the level of its lists.
            while len(places) > 1 and level <= places[-1].level:
                self._close(flow, places.pop())
            place = places[-1]
            if tag == _TEXT:
                yield from flow.paragraph(place.locator, _paragraph(data))
            elif tag == _CONTROL:
                opened = self._open(data, level, place)
                for locator, text in self._beside(data):
                    yield from flow.paragraph(locator, text)
                places.append(opened)
            elif tag == _LIST:
                self._list(flow, place, data)
            elif tag in (_TABLE, _SHAPE):
                place.begun = True
            elif tag == _MEMO:
                places.append(_Place(level - 1, b"%%me", self._number("memo")))
            elif tag == _EQUATION:
                yield from flow.paragraph(self._number("equation"), counted(data, 4)[0])
            elif tag == _ART:
                yield from flow.paragraph(self._number("text art"), counted(data, 32)[0])
            elif tag == _DATA:
                self._name(data)
            elif tag == _FORM:
                yield from flow.paragraph("form", text_of(data[14:]) if len(data) > 14 else "")
        yield from flow.flush()
        if fault:
            raise fault

    def fields(self) -> Iterator[Field]:
        """Links and names gathered on the way."""
        for link in self.links:
            yield Field("office.link", link)
        for name in self.names:
            yield Field("hwp.field_name", name)

    def _number(self, kind: str) -> str:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        return f"{kind} {self.counts[kind]}"

    def _open(self, data: bytes, level: int, outer: _Place) -> _Place:
        kind = data[3::-1] if len(data) >= 4 else b""
        return _Place(level, kind, outer.locator)

    def _close(self, flow: Flow, place: _Place) -> None:
        if place.row >= 0:
            flow.end_row()

    def _list(self, flow: Flow, place: _Place, data: bytes) -> None:
        """A list of paragraphs begins: a table's cell, a caption, a note."""
        if place.kind == b"tbl " and place.begun:
            row = struct.unpack_from("<H", data, 10)[0] if len(data) >= 12 else 0
            if row == place.row:
                flow.end_cell()
            elif place.row >= 0:
                flow.end_row()
            place.row, place.locator = row, place.outer
        elif place.kind in _NOTES and (place.begun or place.kind not in _SHAPES):
            place.locator = self._number(_NOTES[place.kind])
        elif place.kind in _SHAPES:
            place.locator = self._number("caption")

    def _beside(self, data: bytes) -> Iterator[tuple[str, str]]:
        """What a control says itself: descriptions, commands of fields, index marks, text above text."""
        kind = data[3::-1] if len(data) >= 4 else b""
        if kind in _SHAPES and len(data) > 46:
            yield "alternative text", counted(data, 44)[0]
        elif kind[:1] == b"%":
            command, _ = counted(data, 9)
            yield "field code", command
            if kind == b"%hlk":
                self.links[command.split(";")[0].replace("\\:", ":")] = None
        elif kind in (b"idxm", b"tdut"):
            first, at = counted(data, 4)
            yield ("index mark" if kind == b"idxm" else "phonetic guide"), f"{first} {counted(data, at)[0]}".strip()
        elif kind == b"tcps":
            yield "overlapping characters", counted(data, 4)[0]

    def _name(self, data: bytes) -> None:
        """The name of a field or bookmark: the only text of its set of parameters."""
        if len(data) > 12 and struct.unpack_from("<H", data, 8)[0] == 1:
            self.names[counted(data, 10)[0]] = None


def _paragraph(data: bytes) -> str:
    """The characters of a paragraph without the places of its controls."""
    units = data[: len(data) & ~1]
    out: list[str] = []
    at = 0
    while at < len(units):
        run = _RUN.match(units, at)
        end = run.end() if run else at
        out.append(text_of(units[at:end]))
        code = units[end] if end < len(units) else 0
        out.append(_PLAIN.get(code, ""))
        at = end + (16 if code in _WIDE else 2)
    return "".join(out)
