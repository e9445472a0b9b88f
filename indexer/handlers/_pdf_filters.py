"""The bytes of a stream of a PDF file without its filters, in pieces of bounded size.

Source: ISO 32000-2, 7.4.2 to 7.4.5 (ASCIIHex, ASCII85, LZW, Flate, RunLength), 7.4.4.4 (predictors).
Limits: what one piece decodes to is lost with an error in it. The predictor of TIFF is undone for 8
and 16 bits.
"""

from __future__ import annotations

import base64
import re
import sys
import zlib
from array import array
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import accumulate
from typing import Final, NamedTuple

from indexer.errors import EvidenceError
from indexer.handlers._pdf_values import Objects, Reference, Value, from_digits
from indexer.limits import KIB, MIB

PIECE: Final = 256 * KIB
HELD: Final = 256 * MIB
"""Of a stream that is taken as a whole."""
ROW_BYTES: Final = 4 * MIB
"""Of one row: of a square picture of 16-bit CMYK that would be 1 TiB."""
_LITTLE: Final = 4 * KIB
_FULL_NAMES: Final = {
    "Fl": "FlateDecode",
    "LZW": "LZWDecode",
    "RL": "RunLengthDecode",
    "AHx": "ASCIIHexDecode",
    "A85": "ASCII85Decode",
    "DCT": "DCTDecode",
    "CCF": "CCITTFaxDecode",
}
_FILTERS: Final = 8
_CLEAR, _END, _FIRST, _CODES = 256, 257, 258, 4096


class Filter(NamedTuple):
    """One filter of a stream: its full name and its numbers."""

    name: str
    numbers: dict[str, int]

    def number(self, name: str, default: int) -> int:
        """One of its numbers."""
        return self.numbers.get(name, default)

    @property
    def predictor(self) -> int:
        """1 none, 2 that of TIFF, 10 and more those of PNG."""
        return self.number("Predictor", 1) if self.name in ("FlateDecode", "LZWDecode") else 1

    @property
    def columns(self) -> tuple[int, int, int]:
        """Pixels in a row of a predictor, their components, the bits of one."""
        return self.number("Columns", 1), self.number("Colors", 1), self.number("BitsPerComponent", 8)

    @property
    def row(self) -> int:
        """Bytes of a row, without the one that says how it is predicted."""
        columns, colours, bits = self.columns
        return (columns * colours * bits + 7) // 8


def filters_of(objects: Objects, place: int, entries: dict[str, Value]) -> list[Filter]:
    """The filters of a stream in the order in which they are undone; what its dictionary says is followed."""
    names = _listed(objects, entries.get("Filter", entries.get("F")), place)
    numbers = _listed(objects, entries.get("DecodeParms", entries.get("DP")), place)
    found = []
    for index, name in enumerate(names[:_FILTERS]):
        held = numbers[index] if index < len(numbers) else None
        values = {key: objects.follow(value, place) for key, value in held.items()} if isinstance(held, dict) else {}
        known = {key: int(value) for key, value in values.items() if isinstance(value, int)}
        found.append(Filter(_FULL_NAMES.get(str(name), str(name)), known))
    return found


def _listed(objects: Objects, value: Value, near: int) -> list[Value]:
    value = objects.follow(value, near)
    parts = value if isinstance(value, list) else [] if value is None else [value]
    return [objects.follow(part, near) for part in parts]


def bytes_of(objects: Objects, value: Value, near: int, most: int) -> bytes:
    """Those of a string, or of the stream that is referred to; empty where they cannot be had."""
    place = objects.place(value, near) if isinstance(value, Reference) else None
    if place is None:
        held = objects.follow(value, near)
        return held[:most] if isinstance(held, bytes) else b""
    held = objects.at(place)
    if not isinstance(held, dict):
        return held[:most] if isinstance(held, bytes) else b""
    filters = filters_of(objects, place, held)
    if not all(map(can_undo, filters)):
        return b""
    begin, end = objects.span(place, held)
    out = bytearray()
    with suppress(EvidenceError):
        for piece in undo(iter([objects.data[begin : min(end, begin + most + KIB)]]), filters):
            out += piece
            if len(out) >= most:
                break
    return bytes(out[:most])


def can_undo(each: Filter) -> bool:
    """Whether there is a way to undo it."""
    if each.name not in _UNDO or each.predictor == 1:
        return each.name in _UNDO
    columns, colours, bits = each.columns
    depths = (8, 16) if each.predictor == 2 else (1, 2, 4, 8, 16)
    return columns > 0 and 0 < colours <= 32 and bits in depths and each.row <= ROW_BYTES


def undo(pieces: Iterator[bytes], filters: list[Filter], *, last_predictor: bool = True) -> Iterator[bytes]:
    """What the filters lie over.

    Args:
        last_predictor: whether the last filter's predictor is undone too.

    Raises:
        EvidenceError: behind the last piece that could be had.
    """
    for index, each in enumerate(filters):
        pieces = _UNDO[each.name](pieces, each)
        if each.predictor != 1 and (last_predictor or index < len(filters) - 1):
            pieces = (_undo_tiff if each.predictor == 2 else _undo_png)(pieces, each)
    return pieces


def whole_rows(pieces: Iterator[bytes], row: int) -> Iterator[bytes]:
    """The same in pieces of whole rows; what is left at the end is dropped, also where an error ends it.

    Raises:
        EvidenceError: what the pieces raise, behind the rows before it.
    """
    held, trouble = bytearray(), None
    while True:
        try:
            piece = next(pieces, b"")
        except EvidenceError as error:
            piece, trouble = b"", error
        held += piece
        if len(held) >= max(PIECE, row) or not piece:
            whole = len(held) // row * row
            if whole:
                yield bytes(held[:whole])
                del held[:whole]
        if trouble:
            raise trouble
        if not piece:
            return


def _inflate(pieces: Iterator[bytes], _: Filter) -> Iterator[bytes]:
    engine = zlib.decompressobj()
    try:
        for piece in pieces:
            for at in range(0, len(piece), _LITTLE):
                data = piece[at : at + _LITTLE]
                while data and not engine.eof:
                    if out := engine.decompress(data, PIECE):
                        yield out
                    data = engine.unconsumed_tail
            if engine.eof:
                return
        yield engine.flush()
    except zlib.error as error:
        raise EvidenceError("corrupt", f"the deflated data are damaged: {error}") from error


def _unpack_lzw(pieces: Iterator[bytes], each: Filter) -> Iterator[bytes]:
    early = 1 if each.number("EarlyChange", 1) else 0
    start = [bytes((value,)) for value in range(256)] + [b"", b""]
    table, width, before = list(start), 9, b""
    bits = count = 0
    for piece in pieces:
        out = bytearray()
        for byte in piece:
            bits = (bits << 8 | byte) & 0xFFFFFF
            count += 8
            if count < width:
                continue
            count -= width
            code = bits >> count & ((1 << width) - 1)
            if code == _CLEAR:
                table, width, before = list(start), 9, b""
                continue
            if code == _END:
                yield bytes(out)
                return
            if code < len(table):
                entry = table[code]
            elif code == len(table) and before:
                entry = before + before[:1]
            else:
                yield bytes(out)
                raise EvidenceError("corrupt", f"LZW: the code {code} stands before it is made")
            out += entry
            if before and len(table) < _CODES:
                table.append(before + entry[:1])
                width = min(12, (len(table) + early).bit_length())
            before = entry
            if len(out) >= PIECE:
                yield bytes(out)
                out.clear()
        yield bytes(out)


def _unpack_runs(pieces: Iterator[bytes], _: Filter) -> Iterator[bytes]:
    held = b""
    for piece in pieces:
        data, at, out = held + piece, 0, bytearray()
        while at < len(data) and data[at] != 128:
            length = data[at]
            size = 2 + length if length < 128 else 2
            if at + size > len(data):
                break
            out += data[at + 1 : at + size] if length < 128 else data[at + 1 : at + 2] * (257 - length)
            at += size
        yield bytes(out)
        held = data[at:]
        if held[:1] == b"\x80":
            return
    if held:
        yield held[1:]


def _from_hex(pieces: Iterator[bytes], _: Filter) -> Iterator[bytes]:
    yield from_digits(joined(pieces).partition(b">")[0])


def _from_85(pieces: Iterator[bytes], _: Filter) -> Iterator[bytes]:
    text = re.sub(rb"[\0\s]+", b"", joined(pieces).partition(b"~")[0].removeprefix(b"<~"))
    try:
        yield base64.a85decode(text)
    except ValueError as error:
        raise EvidenceError("corrupt", f"ASCII85: {error}") from error


def joined(pieces: Iterator[bytes]) -> bytes:
    """All pieces.

    Raises:
        EvidenceError: what they raise, or `limit`.
    """
    held = bytearray()
    for piece in pieces:
        held += piece
        if len(held) > HELD:
            raise EvidenceError("limit", f"more than {HELD} bytes of a stream that is taken as a whole")
    return bytes(held)


def _undo_png(pieces: Iterator[bytes], each: Filter) -> Iterator[bytes]:
    """Each byte depends on those of its place in the pixels alone: such bytes together are a picture in gray."""
    from PIL import Image

    row, depth = each.row, -(-each.columns[1] * each.columns[2] // 8)
    across = -(-row // depth)
    above = bytes(row)
    for piece in whole_rows(pieces, row + 1):
        check_predictors(piece, row)
        rows = [b"\0" + above, *(piece[at : at + row + 1] for at in range(0, len(piece), row + 1))]
        planes = [line[:1] + line[1 + place :: depth].ljust(across, b"\0") for place in range(depth) for line in rows]
        size, packed = (across, len(planes)), zlib.compress(b"".join(planes), 0)
        plain = Image.frombytes("L", size, packed, "zip", "L", 0).tobytes()
        out = bytearray((len(rows) - 1) * across * depth)
        for place in range(depth):
            first = (place * len(rows) + 1) * across
            out[place::depth] = plain[first : first + len(out) // depth]
        made = cut(bytes(out), across * depth, row)
        above = made[-row:]
        yield made


def check_predictors(rows: bytes, row: int) -> None:
    """Refuses rows that PNG has no predictor for.

    Raises:
        EvidenceError: `corrupt`.
    """
    if (worst := max(rows[:: row + 1])) > 4:
        raise EvidenceError("corrupt", f"a row with the predictor {worst}, which there is not")


def _undo_tiff(pieces: Iterator[bytes], each: Filter) -> Iterator[bytes]:
    """With whole bytes, it is the first predictor of PNG."""
    columns, colours, bits = each.columns
    whole = whole_rows(pieces, each.row)
    if bits == 8:
        yield from _undo_png((marked(piece, each.row, b"\1") for piece in whole), each)
        return
    for piece in whole:
        samples = array("H", piece)
        if sys.byteorder == "little":
            samples.byteswap()
        for begin in range(0, len(samples), columns * colours):
            for place in range(begin, begin + colours):
                own = slice(place, begin + columns * colours, colours)
                samples[own] = array("H", (total & 0xFFFF for total in accumulate(samples[own])))
        if sys.byteorder == "little":
            samples.byteswap()
        yield samples.tobytes()


def marked(rows: bytes, row: int, mark: bytes) -> bytes:
    """The rows with one byte before each."""
    count = len(rows) // row
    if count < row:
        return b"".join([mark + rows[at : at + row] for at in range(0, len(rows), row)])
    out = bytearray(mark * (count * (row + 1)))
    for place in range(row):
        out[place + 1 :: row + 1] = rows[place::row]
    return bytes(out)


def cut(rows: bytes, row: int, kept: int) -> bytes:
    """The first bytes of each row."""
    if kept == row:
        return rows
    return b"".join([rows[at : at + kept] for at in range(0, len(rows), row)])


_UNDO: Final[dict[str, Callable[[Iterator[bytes], Filter], Iterator[bytes]]]] = {
    "FlateDecode": _inflate,
    "LZWDecode": _unpack_lzw,
    "RunLengthDecode": _unpack_runs,
    "ASCIIHexDecode": _from_hex,
    "ASCII85Decode": _from_85,
}
