"""Visio drawings of 2000 to 2010 (.vsd): the words of the shapes page by page, properties, other streams.

Source: the description of the format by the libvisio project: trailer, pointers, packed streams, chunks;
[MS-CFB]; [MS-OLEPS].
Limits: Visio 5 and older (their stream is a member); names of pages, shape data, where a shape stands; text of
Visio 2000 and 2002 is read as Windows-1252; a chunk that contradicts itself ends its stream.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import ClassVar, NamedTuple

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._cfb import MAGIC, compound
from indexer.handlers._flow import Flow
from indexer.handlers._ole import FIELDS, kind_of, members, read_properties
from indexer.handlers._vba import read_macros
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem

_STREAM = "visiodocument"
_MARK = b"Visio (TM) Drawing\r\n"
_MOST = 256 * MIB
_UNPACKED = 16 * MIB
_POINTERS = 100_000
_TRAILER, _PAGE, _TEXT = 0x14, 0x15, 0x0E
_VERSIONS = {6: "2000 or 2002", 11: "2003 to 2010"}
_TRAILED = frozenset((0x2C, 0x65, 0x66, 0x69, 0x6A, 0x6B, 0x70, 0x71))
_LONGER = frozenset((0x64, 0x65, 0x66, 0x69, 0x6A, 0x6B, 0x6F, 0x71, 0x92, 0xA9, 0xB4, 0xB6, 0xB9, 0xC7))
_BARE = frozenset((0x1F, 0x2D, 0xC9, 0xD1))
"""Kinds of chunks with more bytes behind them, with four more yet, and with none."""
_MARKS = str.maketrans({"\u2028": "\n", "\ufffc": "", "\x1e": "", "\0": "", "\x0b": "\n"})


class _Pointer(NamedTuple):
    """Where a stream lies in the document, and how it is kept."""

    kind: int
    offset: int
    size: int
    form: int


class Visio(Handler):
    name = "visio"
    version = 2
    media_types = ("application/vnd.visio", "application/x-visio")
    signatures = (Signature(MAGIC),)
    suffixes = (".vsd", ".vss", ".vst", ".vdw")
    fields: ClassVar[Mapping[str, str]] = {**FIELDS, "visio.version": "versions of the program that write this format"}
    reads = "text of shapes by page, properties, macros; other streams as members"
    rank = 40
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if kind_of(stream) == "ole" and _STREAM in compound(stream).entries else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        held = compound(stream)
        if held.fault:
            raise EvidenceError("corrupt", held.fault)
        yield from read_properties(held)
        taken: set[str] = set()
        yield from read_macros(held, taken)
        data = held.read(held.entries.get(_STREAM), _MOST)
        version = data[0x1A] if len(data) > 0x36 else 0
        known = data.startswith(_MARK) and version in _VERSIONS
        if known:
            yield Field("visio.version", _VERSIONS[version])
            yield from _Drawing(data, version).read()
        else:
            which = (
                f"a drawing of version {version}"
                if data.startswith(_MARK)
                else "the stream does not begin as a drawing"
            )
            yield Problem("unsupported", which, resolution="it is a member")
        yield from members(held, lambda key: key in taken or (known and key == _STREAM))
        yield from held.problems


class _Drawing:
    """The streams of a drawing, walked from the trailer."""

    def __init__(self, data: bytes, version: int) -> None:
        self._data = data
        self._version = version
        self._seen: set[tuple[int, int]] = set()
        self._pages = 0
        self._damaged: list[str] = []

    def read(self) -> Iterator[Fact]:
        flow = Flow()
        waiting = [(_pointer(self._data, 0x24)._replace(kind=_TRAILER), "document")]
        while waiting and len(self._seen) < _POINTERS:
            pointer, place = waiting.pop()
            key = (pointer.offset, pointer.size)
            if not pointer.size or key in self._seen or pointer.offset + pointer.size > len(self._data):
                continue
            self._seen.add(key)
            if pointer.kind == _PAGE:
                self._pages += 1
                place = f"page {self._pages}"
            content = self._data[pointer.offset : pointer.offset + pointer.size]
            if pointer.form & 2:
                content = unpack(content, _UNPACKED)[4:]
            if pointer.kind == _TRAILER or pointer.form >> 4 == 5:
                waiting += [(each, place) for each in reversed(list(_pointers(content)))]
            if pointer.form >> 4 == 0xD:
                for text in self._texts(content, pointer.offset):
                    yield from flow.paragraph(place, text)
        yield from flow.flush()
        if self._damaged:
            yield Problem("corrupt", "; ".join(self._damaged[:3]), resolution="read up to there")

    def _texts(self, data: bytes, start: int) -> Iterator[str]:
        """The words in a row of chunks."""
        at = 0
        while at + 19 <= len(data):
            kind, _, listed, size, level, mark = struct.unpack_from("<IIIIHB", data, at)
            if kind > 0xFF or size > len(data) - at - 19:
                if data[at:].strip(b"\0"):
                    self._damaged.append(f"no chunk at {at} of the stream at {start:#x}")
                return
            if kind == _TEXT and size > 8:
                raw = data[at + 27 : at + 19 + size]
                text = raw.decode("utf-16-le" if self._version == 11 else "cp1252", "replace").translate(_MARKS).strip()
                if text:
                    yield text
            at += 19 + size + _behind(kind, listed, level, mark, self._version)


def _behind(kind: int, listed: int, level: int, mark: int, version: int) -> int:
    """Bytes that stand behind a chunk and belong to it."""
    if kind in _BARE:
        return 0
    size = 8 * bool(listed or kind in _TRAILED)
    if version == 11:
        apart = level == 2 and (mark == 0x55 or (mark == 0x54 and kind == 0xAA))
        if listed or apart or (level == 3 and mark not in (0x50, 0x54)):
            size += 4
        if kind in _LONGER and size not in (12, 4):
            size += 4
    return size


def _pointer(data: bytes, at: int) -> _Pointer:
    kind, _, offset, size, form = struct.unpack_from("<IIIIH", data, at)
    return _Pointer(kind, offset, size, form)


def _pointers(data: bytes) -> Iterator[_Pointer]:
    """The pointers that a stream holds: their count stands where its first number says."""
    if len(data) < 8:
        return
    (start,) = struct.unpack_from("<I", data)
    if start + 8 > len(data):
        return
    (count,) = struct.unpack_from("<I", data, start)
    for number in range(min(count, (len(data) - start - 8) // 18)):
        yield _pointer(data, start + 8 + 18 * number)


def unpack(data: bytes, most: int) -> bytes:
    """What a packed stream holds, up to `most` bytes: single bytes, and copies out of the last 4096."""
    window, out = bytearray(4096), bytearray()
    at = 0
    while at < len(data) and len(out) < most:
        flags = data[at]
        at += 1
        for bit in range(8):
            if flags >> bit & 1:
                if at >= len(data):
                    break
                window[len(out) & 4095] = data[at]
                out.append(data[at])
                at += 1
                continue
            if at + 1 >= len(data):
                at = len(data)
                break
            first, second = data[at], data[at + 1]
            at += 2
            source = (second & 0xF0) << 4 | first
            source = source - 4078 if source > 4078 else source + 18
            for step in range((second & 15) + 3):
                byte = window[(source + step) & 4095]
                window[len(out) & 4095] = byte
                out.append(byte)
    return bytes(out[:most])
