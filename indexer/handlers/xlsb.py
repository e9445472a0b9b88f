"""Binary Excel workbooks: every sheet cell by cell, hidden ones too, with comments and properties.

Source: [MS-XLSB] 2.1.4 (records), 2.3.2 (record numbers), 2.4 (records), 2.5.123 (RK numbers).
Limits: the text of formulas, defined names' ranges, pivot caches and links to other workbooks are not
read; their parts are members. Formats as for the other workbooks.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._cells import column_name, one_line
from indexer.handlers._cellstyles import Row, Styles
from indexer.handlers._drawingml import SKIPPED, read_graphics, read_shapes, read_vml, skip_kinds
from indexer.handlers._flow import label
from indexer.handlers._hidden_lines import HIDDEN_FIELDS, Hidden, hidden_sheet
from indexer.handlers._ooxml import FIELDS, Package, claimed, media_types, read_properties
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Text

STRING_CHARS = 128 * MIB
"""Characters of shared strings held while the sheets are read; what is beyond is given out by itself."""
_RECORD = 16 * MIB
_ROW, _NAME, _ITEM, _FORMAT, _XF = 0, 39, 19, 44, 47
_PROPERTIES, _SHEET, _LINK, _BEGIN_XFS, _END_XFS = 153, 156, 494, 617, 618
_COLUMNS, _PROTECTION = 60, 535
_AUTHOR, _COMMENT, _COMMENT_TEXT = 632, 635, 637
_ERRORS = {0: "#NULL!", 7: "#DIV/0!", 15: "#VALUE!", 23: "#REF!", 29: "#NAME?", 36: "#NUM!", 42: "#N/A"}
_REAL, _STRING, _BOOL, _ERROR = (5, 9), (6, 8), (4, 10), (3, 11)


class Xlsb(Handler):
    name = "xlsb"
    version = 3
    media_types = media_types("xlsb")
    signatures = (Signature(b"PK\3\4"),)
    suffixes = (".xlsb",)
    fields: ClassVar[Mapping[str, str]] = {
        **FIELDS,
        "xlsx.sheet": "name of a sheet",
        **HIDDEN_FIELDS,
    }
    reads = "cells of all sheets with their places, comments, names, drawings; properties, links, members"
    rank = 30
    container = True

    def claims(self, stream: Stream) -> str | None:
        return claimed(stream, self.name)

    def read(self, stream: Stream) -> Iterator[Fact]:
        package = Package(stream)
        yield from read_properties(package)
        yield from _Book(package).read()
        yield from read_graphics(package)
        yield from package.links()
        if package.has_macros:
            yield Field("office.macros", True)
        skip_kinds(package, SKIPPED)
        yield from package.parts.members()
        yield from package.parts.problems


class _Book:
    """A workbook: its strings and styles, and its sheets in order."""

    def __init__(self, package: Package) -> None:
        self.package = package
        self.styles = Styles()
        self.strings: list[str] = []

    def read(self) -> Iterator[Fact]:
        main = self.package.main()
        relations = self.package.relations(main)
        parts = {relation.kind: relation.target for relation in relations}
        targets = {relation.id: relation.target for relation in relations}
        sheets: list[tuple[str, str]] = []
        for kind, data in self._records(main):
            if kind == _SHEET:
                state, key, name = _sheet_entry(data)
                sheets.append((name, targets.get(key, "")))
                yield Field("xlsx.sheet", name)
                if state:
                    yield from hidden_sheet(name, very=state == 2)
            elif kind == _PROPERTIES:
                self.styles.from_1904 = bool(_unpack("<I", data, 0)[0] & 1)
            elif kind == _NAME:
                yield Text(_string(data, 9)[0], "defined name")
        self._read_styles(parts.get("styles", ""))
        yield from self._read_strings(parts.get("sharedstrings", ""))
        for name, part in sheets:
            yield from self._read_sheet(name, part)

    def _records(self, part: str) -> Iterator[tuple[int, bytes]]:
        if part not in self.package.parts:
            return
        try:
            yield from _records(self.package.parts.pieces(part))
        except EvidenceError as error:
            message = f"{part}: {error.message}"
            self.package.parts.problems.append(Problem(error.cause, message, resolution="read up to there"))

    def _read_styles(self, part: str) -> None:
        in_cells = False
        for kind, data in self._records(part):
            if kind == _FORMAT:
                self.styles.define(_unpack("<H", data, 0)[0], _string(data, 2)[0])
            elif kind in (_BEGIN_XFS, _END_XFS):
                in_cells = kind == _BEGIN_XFS
            elif kind == _XF and in_cells:
                self.styles.append(_unpack("<HH", data, 0)[1])

    def _read_strings(self, part: str) -> Iterator[Fact]:
        held, over = 0, False
        for kind, data in self._records(part):
            if kind != _ITEM:
                continue
            text = one_line(_string(data, 1)[0])
            held += len(text) + 50
            if held <= STRING_CHARS:
                self.strings.append(text)
                continue
            if not over:
                message = f"more than {STRING_CHARS} characters of shared strings"
                yield Problem("limit", message, resolution="read without their cells")
            over = True
            yield Text(text, "shared string")

    def _read_sheet(self, sheet: str, part: str) -> Iterator[Fact]:
        sheet = label(sheet)
        relations = {relation.id: relation for relation in self.package.relations(part)}
        row, hidden = Row(), Hidden(sheet)
        for kind, data in self._records(part):
            if kind == _ROW:
                yield from row.end(sheet)
                row.number = _unpack("<I", data, 0)[0] + 1
                if len(data) > 11 and data[11] & 0x10:
                    hidden.add_rows(row.number, row.number)
            elif kind == _COLUMNS:
                first, last = _unpack("<II", data, 0)
                if len(data) > 16 and data[16] & 1:
                    hidden.add_columns(first, last)
            elif kind == _PROTECTION:
                if any(data[2:6]):
                    yield Field("xlsx.protected_sheet", sheet)
            elif 1 < kind < 12:
                column, style = _unpack("<II", data, 0)
                row.add(column, *self._value(kind, data, style & 0xFFFFFF))
            elif kind == _LINK:
                first, _, column, _ = _unpack("<IIII", data, 0)
                key, at = _string(data, 16)
                location, at = _string(data, at)
                hint, _ = _string(data, at)
                target = relations[key].target if key in relations else location
                yield Text(f"{target} {hint}".strip(), f"{sheet}!{column_name(column)}{first + 1} link")
        yield from row.end(sheet)
        yield from hidden.facts()
        for relation in relations.values():
            if relation.kind == "comments":
                yield from self._read_comments(sheet, relation.target)
            elif relation.kind == "drawing":
                yield from read_shapes(self.package.events(relation.target), f"{sheet} drawing")
            elif relation.kind == "vmldrawing":
                yield from read_vml(self.package.events(relation.target), f"{sheet} drawing")
            elif relation.kind == "xlbinaryindex":
                self.package.parts.take(relation.target)

    def _value(self, kind: int, data: bytes, style: int) -> tuple[str, str]:
        """The cell's value, and the form in which it is shown."""
        if kind == 7:
            index = _unpack("<I", data, 8)[0]
            return (self.strings[index] if index < len(self.strings) else ""), ""
        if kind in _STRING:
            return one_line(_string(data, 8)[0]), ""
        if kind in _BOOL:
            return ("TRUE" if _unpack("<B", data, 8)[0] else "FALSE"), ""
        if kind in _ERROR:
            return _ERRORS.get(_unpack("<B", data, 8)[0], "#ERROR"), ""
        number = _unpack("<d", data, 8)[0] if kind in _REAL else _rk(_unpack("<I", data, 8)[0])
        text = repr(number)
        return self.styles.value(text, style), self.styles.shown(text, style)

    def _read_comments(self, sheet: str, part: str) -> Iterator[Text]:
        authors: list[str] = []
        locator = ""
        for kind, data in self._records(part):
            if kind == _AUTHOR:
                authors.append(_string(data, 0)[0])
            elif kind == _COMMENT:
                author, first, _, column, _ = _unpack("<IIIII", data, 0)
                by = label(authors[author], bracketed=True) if author < len(authors) else ""
                locator = f"{sheet}!{column_name(column)}{first + 1} comment{by}"
            elif kind == _COMMENT_TEXT:
                yield Text(_string(data, 1)[0], locator)


def _sheet_entry(data: bytes) -> tuple[int, str, str]:
    """State, relation and name of a sheet; the first Excel that wrote this format had four more bytes."""
    for start in (8, 12):
        key, at = _string(data, start)
        name, end = _string(data, at)
        if end == len(data):
            break
    return _unpack("<I", data, 0)[0], key, name


def _records(pieces: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Number and data of every record.

    Raises:
        EvidenceError: after the last whole record.
    """
    held = b""
    for piece in pieces:
        held += piece
        at = 0
        while header := _header(held, at):
            kind, start, size = header
            if size > _RECORD:
                raise EvidenceError("limit", f"record {kind} of {size} bytes")
            if start + size > len(held):
                break
            yield kind, held[start : start + size]
            at = start + size
        held = held[at:]
    if held:
        raise EvidenceError("truncated", "the last record is not whole")


def _header(data: bytes, at: int) -> tuple[int, int, int] | None:
    """Number, start and size of the record at `at`; None where more bytes are needed."""
    if at >= len(data):
        return None
    kind = data[at]
    at += 1
    if kind & 0x80:
        if at >= len(data):
            return None
        kind = kind & 0x7F | (data[at] & 0x7F) << 7
        at += 1
    size = 0
    for shift in (0, 7, 14, 21):
        if at >= len(data):
            return None
        size |= (data[at] & 0x7F) << shift
        at += 1
        if not data[at - 1] & 0x80:
            break
    return kind, at, size


def _unpack(form: str, data: bytes, at: int) -> tuple[int, ...]:
    """The numbers at `at`; zeros stand for bytes that are missing."""
    size = struct.calcsize(form)
    return struct.unpack(form, data[at : at + size].ljust(size, b"\0"))


def _string(data: bytes, at: int) -> tuple[str, int]:
    """The counted UTF-16 text at `at`, and where it should end; all ones for a count mean that there is none."""
    count = _unpack("<I", data, at)[0]
    at += 4
    if count == 0xFFFFFFFF:
        return "", at
    end = at + 2 * count
    return data[at:end].decode("utf-16-le", "replace"), end


def _rk(number: int) -> float:
    """A number packed into 30 bits, with a mark for an integer and one for hundredths."""
    if number & 2:
        value: float = (number >> 2) - (1 << 30 if number & 0x80000000 else 0)
    else:
        value = struct.unpack("<d", struct.pack("<Q", (number & 0xFFFFFFFC) << 32))[0]
    return value / 100 if number & 1 else value
