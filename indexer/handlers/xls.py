"""Excel 5 to 2003 workbooks: every sheet cell by cell, hidden ones too, comments, boxes, links; properties, macros.

Source: [MS-XLS] 2.3 (records by number), 2.4 (records), 2.5.10 (cells), [MS-OSHARED] 2.3.7.1 (hyperlinks).
Limits: the text of formulas, pivot caches and web queries are not read; XOR obfuscation is named, not opened.
Formats as for the other workbooks. A native reader of values alone (calamine) takes half the time.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator, Mapping
from typing import ClassVar

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._biff import BOF, EOF, FILEPASS, Record, Records, decrypted, shared_strings, wide
from indexer.handlers._biff_cells import PlainCells, note_row
from indexer.handlers._blips import find_pictures
from indexer.handlers._cells import column_name, one_line
from indexer.handlers._cellstyles import Row, Styles
from indexer.handlers._cfb import MAGIC, compound
from indexer.handlers._hidden_lines import HIDDEN_FIELDS, Hidden, hidden_sheet
from indexer.handlers._office_lock import EXCEL_DEFAULT, found_facts, read_lock
from indexer.handlers._ole import FIELDS, codec_of, kind_of, members, read_properties
from indexer.handlers._vba import read_macros
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Text

STRING_CHARS = 128 * MIB
"""Characters of shared texts held while the sheets are read; what is beyond is given out by itself."""
_LABEL, _BOOLERR, _STRING, _RSTRING, _FORMULA = 0x204, 0x205, 0x207, 0xD6, 0x06
_SST, _FORMAT, _XF, _DATEMODE = 0xFC, 0x41E, 0xE0, 0x22
_BOUNDSHEET, _NAME, _SUPBOOK, _CODEPAGE, _WRITER, _DRAWINGS = 0x85, 0x18, 0x1AE, 0x42, 0x5C, 0xEB
_ROW, _COLUMNS, _PROTECT = 0x208, 0x7D, 0x12
_NOTE, _OBJ, _TXO, _HLINK, _HEADER, _FOOTER, _CHART_TEXT = 0x1C, 0x5D, 0x1B6, 0x1B8, 0x14, 0x15, 0x100D
_ERRORS = {0: "#NULL!", 7: "#DIV/0!", 15: "#VALUE!", 23: "#REF!", 29: "#NAME?", 36: "#NUM!", 42: "#N/A"}
_CELL = struct.Struct("<HHH")
_NOTE_BOX, _MACRO_SHEET = 25, 1
_URL, _FILE = bytes.fromhex("e0c9ea79f9bace118c8200aa004ba90b"), bytes.fromhex("0303000000000000c000000000000046")
_PATH_MARKS = str.maketrans({"\1": "", "\2": "\\", "\3": "\\", "\4": "..\\", "\5": "", "\6": "", "\7": "", "\x08": ""})


class Xls(Handler):
    name = "xls"
    version = 3
    media_types = ("application/vnd.ms-excel",)
    signatures = (Signature(MAGIC),)
    suffixes = (".xls", ".xlt", ".xla", ".xlw")
    fields: ClassVar[Mapping[str, str]] = {
        **FIELDS,
        "xlsx.sheet": "name of a sheet",
        **HIDDEN_FIELDS,
        "xls.writer": "user name of who had the workbook open last",
        "xls.linked_file": "another workbook that formulas refer to",
    }
    reads = (
        "cells of all sheets with their places, comments, names, boxes, links, macros; properties, pictures, objects"
    )
    rank = 23
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if kind_of(stream) == self.name else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        held = compound(stream)
        yield from read_properties(held)
        taken: set[str] = set()
        for key in ("workbook", "book"):
            if key not in held.entries:
                continue
            taken.add(key)
            book = _Book(held.read(held.entries[key]), stream)
            try:
                yield from book.read()
            except EvidenceError as error:
                yield error.problem("", "the rest was read")
            yield from find_pictures(bytes(book.drawings), held.entries[key].name)
        yield from read_macros(held, taken)
        yield from members(held, lambda key: key in taken)
        yield from held.problems


class _Book:
    """A workbook: its texts and styles, and its sheets in the order of the file."""

    def __init__(self, data: bytes, stream: Stream) -> None:
        self.data = data
        self.drawings = bytearray()
        self._stream = stream
        self._styles = Styles()
        self._strings: list[str] = []
        self._sheets: dict[int, str] = {}
        self._codec = "cp1252"
        self._is_8 = True
        self._links: dict[str, None] = {}

    def read(self) -> Iterator[Fact]:
        yield from self._open()
        records, cells = Records(self.data), PlainCells(self.data, self._strings, self._styles)
        depth = 0
        sheet: _Sheet | None = None
        for record in records.walk():
            at, number, data, _ = record
            if number == BOF:
                depth += 1
                if depth == 1:
                    self._is_8 = _u16(data, 0) >= 0x600
                    sheet = _Sheet(self._sheets[at]) if at in self._sheets else None
            elif number == EOF:
                depth = max(0, depth - 1)
                if depth == 0 and sheet:
                    yield from sheet.end()
                    sheet = None
            elif number == _DRAWINGS:
                self.drawings += data
            elif sheet:
                yield from self._read_sheet(sheet, record)
            elif number == _SST:
                yield from self._read_strings(record)
            else:
                yield from self._read_global(number, data)
            if sheet:
                yield from cells.read(sheet.name, sheet.row, records.at, sheet.hidden)
                records.at = cells.at
        if sheet:
            yield from sheet.end()
        for link in self._links:
            yield Field("office.link", link)
        if records.fault:
            yield Problem(*records.fault, resolution="read up to there")

    def _open(self) -> Iterator[Fact]:
        """Puts the workbook in clear where it is encrypted; which password did it."""
        early = itertools.takewhile(lambda record: record[1] not in (_BOUNDSHEET, _XF, EOF), Records(self.data).walk())
        data = next((record[2] for record in early if record[1] == FILEPASS), b"")
        if not data:
            return
        if len(data) <= 6 or not _u16(data, 0):
            raise EvidenceError("encrypted", "XOR obfuscation with a password")
        lock = read_lock(data[2:])
        found = lock.find(self._stream.passwords, EXCEL_DEFAULT)
        if not found:
            raise EvidenceError("encrypted", f"{lock.method}, no given password opens it")
        self.data = decrypted(self.data, lock, found[0])
        yield from found_facts(lock, found[1])

    def _text(self, data: bytes, at: int, count_bytes: int) -> str:
        """A counted text: in version 8 with flags, before it in the workbook's code page."""
        count = int.from_bytes(data[at : at + count_bytes], "little")
        at += count_bytes
        if self._is_8:
            return wide(data, at, count)[0]
        return data[at : at + count].decode(self._codec, "replace")

    def _read_global(self, number: int, data: bytes) -> Iterator[Fact]:
        if number == _CODEPAGE:
            self._codec = codec_of({0x8000: 10000, 0x8001: 1252, 1200: 1252}.get(_u16(data, 0), _u16(data, 0)))
        elif number == _BOUNDSHEET and len(data) > 7:
            name = wide(data, 7, data[6])[0] if self._is_8 else data[7 : 7 + data[6]].decode(self._codec, "replace")
            self._sheets[int.from_bytes(data[:4], "little")] = name
            yield Field("xlsx.sheet", name)
            if data[4] & 3:
                yield from hidden_sheet(name, very=data[4] & 3 == 2)
            if data[5] == _MACRO_SHEET:
                yield Field("office.macros", True)
        elif number == _FORMAT:
            self._styles.define(_u16(data, 0), self._text(data, 2, 2 if self._is_8 else 1))
        elif number == _XF:
            self._styles.append(_u16(data, 2))
        elif number == _DATEMODE:
            self._styles.from_1904 = bool(_u16(data, 0))
        elif number == _NAME and len(data) > 14 and not data[0] & 0x20:
            name = wide(data, 14, data[3])[0] if self._is_8 else data[14 : 14 + data[3]].decode(self._codec, "replace")
            yield Text(name, "defined name")
        elif number == _WRITER and (name := self._text(data, 0, 2 if self._is_8 else 1).strip(" \0")):
            yield Field("xls.writer", name)
        elif (
            number == _SUPBOOK
            and len(data) > 4
            and (path := self._text(data, 2, 2).translate(_PATH_MARKS).strip("\0 "))
        ):
            yield Field("xls.linked_file", path)

    def _read_strings(self, record: Record) -> Iterator[Fact]:
        held, over = 0, False
        try:
            for text in shared_strings(record):
                held += len(text) + 50
                if held <= STRING_CHARS:
                    self._strings.append(one_line(text))
                    continue
                if not over:
                    message = f"more than {STRING_CHARS} characters of shared texts"
                    yield Problem("limit", message, resolution="read without their cells")
                over = True
                yield Text(text, "shared string")
        except EvidenceError as error:
            yield error.problem("", "the rest was read")

    def _read_sheet(self, sheet: _Sheet, record: Record) -> Iterator[Fact]:
        _, number, data, _ = record
        row, column, style = _CELL.unpack_from(data) if len(data) >= 6 else (0, 0, 0)
        if number in (_LABEL, _RSTRING):
            yield from sheet.add(row, column, one_line(self._text(data, 6, 2)))
        elif number == _BOOLERR and len(data) >= 8:
            yield from sheet.add(row, column, _bool_or_error(data[6], error=bool(data[7])))
        elif number == _FORMULA and len(data) >= 14:
            # What it came to is no number; a text follows in a record of its own.
            sheet.waiting = (row, column)
            if data[6] in (1, 2):
                yield from sheet.add(row, column, _bool_or_error(data[8], error=data[6] == 2))
        elif number == _STRING:
            yield from sheet.add(*sheet.waiting, one_line(self._text(data, 0, 2)))
        elif number == _ROW:
            note_row(data, sheet.hidden)
        elif number == _COLUMNS:
            if len(data) > 8 and data[8] & 1:
                sheet.hidden.add_columns(row, min(column, 255))
        elif number == _PROTECT:
            if any(data[:2]):
                yield Field("xlsx.protected_sheet", sheet.name)
        elif number == _NOTE:
            self._note(sheet, data)
        elif number == _OBJ and len(data) >= 8:
            sheet.object = (_u16(data, 4), _u16(data, 6))
        elif number == _TXO:
            yield from sheet.add_box(_box_text(record, _u16(data, 10)))
        elif number in (_HEADER, _FOOTER) and data:
            body = self._text(data, 0, 2 if self._is_8 else 1)
            yield Text(body, f"{sheet.name} {'header' if number == _HEADER else 'footer'}")
        elif number == _CHART_TEXT and len(data) > 3:
            body = wide(data, 3, data[2])[0] if self._is_8 else data[3 : 3 + data[2]].decode(self._codec, "replace")
            yield Text(body, f"{sheet.name} chart")
        elif number == _HLINK and (target := _link(data)):
            self._links[target] = None
            yield Text(target, f"{sheet.name}!{column_name(style)}{row + 1} link")

    def _note(self, sheet: _Sheet, data: bytes) -> None:
        row, column = _u16(data, 0), _u16(data, 2)
        if self._is_8:
            sheet.notes.append((row, column, _u16(data, 6), self._text(data, 8, 2)))
        elif row == 0xFFFF and sheet.old_notes:
            row, column, text = sheet.old_notes.pop()
            sheet.old_notes.append((row, column, text + data[6:].decode(self._codec, "replace")))
        else:
            sheet.old_notes.append((row, column, data[6:].decode(self._codec, "replace")))


class _Sheet:
    """One sheet being read: the row, the comments and the boxes whose texts belong to them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.waiting = (0, 0)
        self.object = (0, 0)
        self.notes: list[tuple[int, int, int, str]] = []
        self.old_notes: list[tuple[int, int, str]] = []
        self.row = Row()
        self.hidden = Hidden(name)
        self._boxes: dict[int, str] = {}

    def add(self, row: int, column: int, value: str, shown: str = "") -> Iterator[Text]:
        """A cell; gives out the row before it where another begins."""
        if row + 1 != self.row.number:
            yield from self.row.end(self.name)
            self.row.number = row + 1
        self.row.add(column, value, shown)

    def add_box(self, text: str) -> Iterator[Text]:
        """The text of a drawing object; that of a comment waits for its cell."""
        kind, number = self.object
        if kind == _NOTE_BOX:
            self._boxes[number] = text
        elif text:
            yield Text(text, f"{self.name} text box")

    def end(self) -> Iterator[Fact]:
        """The last row, what is hidden, and the comments."""
        yield from self.row.end(self.name)
        yield from self.hidden.facts()
        for row, column, number, author in self.notes:
            by = f" ({author})" if author else ""
            yield Text(self._boxes.pop(number, ""), f"{self.name}!{column_name(column)}{row + 1} comment{by}")
        for row, column, text in self.old_notes:
            yield Text(text, f"{self.name}!{column_name(column)}{row + 1} comment")
        for text in self._boxes.values():
            yield Text(text, f"{self.name} comment")


def _box_text(record: Record, count: int) -> str:
    """The text of a drawing object: in the continuations, each with a byte of flags."""
    _, _, data, cuts = record
    pieces = []
    for start, end in itertools.pairwise((*cuts, len(data))):
        if count <= 0 or start >= len(data):
            break
        unit = 1 + (data[start] & 1)
        part = data[start + 1 : min(end, start + 1 + count * unit)]
        pieces.append(part.decode("utf-16-le" if unit == 2 else "latin-1", "replace"))
        count -= len(part) // unit
    return "".join(pieces)


def _bool_or_error(value: int, *, error: bool) -> str:
    return _ERRORS.get(value, "#ERROR") if error else "TRUE" if value else "FALSE"


def _link(data: bytes) -> str:
    """The target of a hyperlink record."""
    flags, at = int.from_bytes(data[28:32], "little"), 32
    for bit in (0x10, 0x80):
        if flags & bit:
            at += 4 + 2 * int.from_bytes(data[at : at + 4], "little")
    target, size = "", 0
    if flags & 0x101 == 0x101:
        size = 2 * int.from_bytes(data[at : at + 4], "little")
        target = data[at + 4 : at + 4 + size].decode("utf-16-le", "replace")
    elif flags & 1 and data[at : at + 16] == _URL:
        size = int.from_bytes(data[at + 16 : at + 20], "little")
        target = data[at + 20 : at + 20 + size].decode("utf-16-le", "replace")
    elif flags & 1 and data[at : at + 16] == _FILE:
        size = int.from_bytes(data[at + 18 : at + 22], "little")
        target = data[at + 22 : at + 22 + size].decode("cp1252", "replace")
    # Where the record is cut, so is the target.
    return target.partition("\0")[0] if at + size <= len(data) else ""


def _u16(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "little")
