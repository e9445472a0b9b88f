"""MATLAB files of versions 4 and 5 to 7: names, types and shapes of variables, characters as text, head.

Source: MAT-File Format, MathWorks, chapter 1 (level 5) and 2 (level 4).
Limits: numbers are not read; objects and functions are told by name; files of version 7.3 are read as HDF5.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import ClassVar, Final, Literal

from indexer.errors import EvidenceError
from indexer.handler import Handler, Stream
from indexer.handlers import _refs
from indexer.handlers._picture import FIELD_CHARS
from indexer.handlers._scene import Words
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Timestamp

VARIABLES: Final = 200_000
INFLATED: Final = 64 * MIB
DEEPEST: Final = 30
_HEAD: Final = re.compile(rb"MATLAB 5\.0 MAT-file")
_MADE: Final = re.compile(r"Platform: ([^,]{1,40}), Created on: \w{3} (\w{3}) +(\d{1,2}) (\d\d):(\d\d):(\d\d) (\d{4})")
_MONTHS: Final = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_CLASSES: Final = (
    *("", "cell", "struct", "object", "char", "sparse", "double", "single", "int8", "uint8", "int16", "uint16"),
    *("int32", "uint32", "int64", "uint64", "function", "opaque", "object"),
)
_SIZES: Final = (8, 4, 4, 2, 2, 1)
_NAME: Final = re.compile(rb"[A-Za-z]\w{0,62}\0")

Order = Literal["little", "big"]


class Matlab(Handler):
    name = "matlab"
    media_types = ("application/x-matlab-data",)
    suffixes = (".mat",)
    holds = b"\0"
    fields: ClassVar[dict[str, str]] = {
        **_refs.FIELDS,
        "matlab.made_by": "what the head says: program, platform, time",
        "matlab.variable": "name of a variable with its type and shape",
    }
    reads = "names, types and shapes of variables, characters as text, platform and time"
    rank = 70

    def claims(self, stream: Stream) -> str | None:
        head = stream.head
        if _HEAD.match(head) and head[126:128] in (b"IM", b"MI"):
            return self.media_types[0]
        return self.media_types[0] if head[:4] in _FIRST and _old_head(stream, 0) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        words = Words("characters")
        if not _HEAD.match(stream.head):
            yield from _read_old(stream, words)
            return
        yield from _made(stream.head[:116].split(b"\0")[0].decode("latin-1").strip())
        order: Order = "little" if stream.head[126:128] == b"IM" else "big"
        position = 128
        for _ in range(VARIABLES):
            if position + 8 > stream.size:
                break
            kind, size = (int.from_bytes(stream.at(position + each, 4), order) for each in (0, 4))
            data = stream.at(position + 8, min(size, INFLATED))
            position += 8 + size + (-size % 8 if kind != 15 else 0)
            if position - 7 > stream.size:
                yield Problem("truncated", f"a variable ends at {position}, the file at {stream.size}")
            if kind == 15:
                try:
                    data = zlib.decompressobj().decompress(data, INFLATED)
                except zlib.error as error:
                    yield Problem("corrupt", f"a compressed variable: {error}")
                    continue
                kind, data = int.from_bytes(data[:4], order), data[8:]
            if kind == 14:
                yield from _matrix(data, order, words)
        yield from words.rest()


def _made(said: str) -> Iterator[Fact]:
    yield Field("matlab.made_by", said[:FIELD_CHARS])
    match = _MADE.search(said)
    if match and match[2] in _MONTHS:
        day, hour, minute, second, year = (int(part) for part in match.groups()[2:])
        try:
            at = datetime(year, _MONTHS.index(match[2]) + 1, day, hour, minute, second, tzinfo=UTC)
        except ValueError:
            return
        yield Timestamp("B", at, "matlab.created", zone_known=False)


def _parts(data: bytes, order: Order) -> Iterator[tuple[int, bytes]]:
    """The elements that lie one after the other: type and bytes."""
    place = 0
    while place + 8 <= len(data):
        kind = int.from_bytes(data[place : place + 4], order)
        if kind >> 16:
            size, kind, start, step = kind >> 16, kind & 0xFFFF, place + 4, 8
        else:
            size, start = int.from_bytes(data[place + 4 : place + 8], order), place + 8
            step = 8 + size + -size % 8
        yield kind, data[start : start + size]
        place += step


def _matrix(data: bytes, order: Order, words: Words) -> Iterator[Fact]:
    """A variable and everything in it."""
    waiting, left, once = [(data, "", 0)], VARIABLES, _refs.Once("matlab.variable")
    while waiting:
        data, above, depth = waiting.pop()
        parts = list(_parts(data, order))
        if len(parts) < 3 or len(parts[0][1]) < 8:
            continue
        number = int.from_bytes(parts[0][1][:4], order) & 0xFF
        kind = _CLASSES[number] if number < len(_CLASSES) else "unknown"
        sizes = [int.from_bytes(parts[1][1][at : at + 4], order) for at in range(0, min(len(parts[1][1]), 128), 4)]
        name = parts[2][1].decode("utf-8", "replace") or "?"
        path = above or name
        yield from once.fields((f"{path} {kind} ({' x '.join(map(str, sizes))})",))
        yield from words.say(path.rpartition(".")[2])
        if kind == "char" and len(parts) > 3:
            for text in _rows(*parts[3], sizes, order):
                yield from words.say(text, keep=True)
        inner = [part for each, part in parts[3:] if each == 14]
        labels = [f"{path}{{}}"] * len(inner)
        if kind in ("struct", "object"):
            width = next(
                (int.from_bytes(part[:4], order) for each, part in parts[3:] if each == 5 and len(part) == 4), 0
            )
            lists = [part for each, part in parts[3:] if each == 1]
            held = lists[-1] if lists and 0 < width < 1024 else b""
            fields = [held[at : at + width].split(b"\0")[0].decode("latin-1") for at in range(0, len(held), width or 1)]
            labels = [f"{path}.{fields[at % len(fields)]}" if fields else path for at in range(len(inner))]
        left -= len(inner)
        if depth < DEEPEST and left > 0:
            waiting += [(part, label, depth + 1) for part, label in reversed(list(zip(inner, labels, strict=True)))]
        elif inner:
            yield Problem("limit", f"{path[:80]} is nested too deep or holds too much", resolution="left out")


def _rows(kind: int, raw: bytes, sizes: list[int], order: Order) -> Iterator[str]:
    """The rows of a matrix of characters, which is kept column by column."""
    if kind in (4, 17):
        text = raw.decode("utf-16-le" if order == "little" else "utf-16-be", "replace")
    else:
        text = raw.decode("utf-8" if kind == 16 else "latin-1", "replace")
    rows = sizes[0] if sizes else 1
    for row in range(min(rows, len(text))):
        yield text[row::rows].rstrip()


# -- version 4 ---------------------------------------------------------------------------------


def _firsts() -> frozenset[bytes]:
    """The first four bytes that a file of version 4 can begin with."""
    found = set()
    for machine, precision, kind in (
        (machine, each, kind) for machine in (0, 1) for each in range(6) for kind in range(3)
    ):
        found.add(struct.pack(">I" if machine else "<I", 1000 * machine + 10 * precision + kind))
    return frozenset(found)


_FIRST: Final = _firsts()


def _old_head(stream: Stream, place: int) -> tuple[Order, int, int, int, int, int] | None:
    """Order, type, rows, columns, bytes and start of a variable of version 4, where one can be here."""
    head = stream.at(place, 20 + 64)
    if head[:4] not in _FIRST or len(head) < 22:
        return None
    order: Order = "little" if not head[3] and struct.unpack_from("<I", head)[0] < 1000 else "big"
    kind, rows, columns, imaginary, length = struct.unpack_from("<5I" if order == "little" else ">5I", head)
    name = head[20 : 20 + length]
    if not 2 <= length <= 64 or imaginary > 1 or not _NAME.fullmatch(name):
        return None
    size = rows * columns * _SIZES[kind // 10 % 10] * (1 + imaginary)
    if not size or place + 20 + length + size > stream.size:
        return None
    return order, kind, rows, columns, size, place + 20 + length


def _read_old(stream: Stream, words: Words) -> Iterator[Fact]:
    place, once = 0, _refs.Once("matlab.variable")
    for _ in range(VARIABLES):
        if place >= stream.size:
            break
        held = _old_head(stream, place)
        if held is None:
            yield from words.rest()
            raise EvidenceError("corrupt", f"no variable at {place}")
        order, kind, rows, columns, size, start = held
        name = stream.at(place + 20, start - place - 21).decode("ascii")
        is_text = kind % 10 == 1
        yield from once.fields((f"{name} {('matrix', 'char', 'sparse')[kind % 10]} ({rows} x {columns})",))
        yield from words.say(name)
        if is_text and size <= MIB:
            width = _SIZES[kind // 10 % 10]
            forms = "dfiHhB"
            form = f"{'<' if order == 'little' else '>'}{rows * columns}{forms[kind // 10 % 10]}"
            numbers = struct.unpack(form, stream.at(start, rows * columns * width))
            text = "".join(chr(int(each)) if 0 <= each < 0xD800 else "?" for each in numbers)
            for row in range(rows):
                yield from words.say(text[row::rows], keep=True)
        place = start + size
    yield from words.rest()
