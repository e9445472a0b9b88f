"""Excel workbooks of 2002 and 2003 as one XML file: cells by row, formulas, comments, links, properties.

Source: Microsoft Office 2003 XML Reference Schemas: SpreadsheetML (urn:schemas-microsoft-com:office:spreadsheet).
Limits: values stand as they are stored, without their number formats; charts and pictures are not in such files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import ClassVar, Final

from indexer.handler import Handler, Stream
from indexer.handlers._cells import one_line, row_texts
from indexer.handlers._flow import label
from indexer.handlers._hidden_lines import HIDDEN_FIELDS, Hidden, hidden_sheet
from indexer.handlers._ooxml import FIELDS
from indexer.handlers._parts import DATA, START, XmlReader
from indexer.handlers._xml_office import OFFICE_SPACES, Properties, pieces_of
from indexer.model import Fact, Field, Problem, Text

_SPACES: Final = {
    "urn:schemas-microsoft-com:office:spreadsheet": "s",
    "urn:schemas-microsoft-com:office:excel": "x",
    **OFFICE_SPACES,
}
_ROOT: Final = re.compile(rb"<(?:[\w.-]{1,40}:)?Workbook\s")
_LARGEST: Final = 1 << 20


class ExcelXml(Handler):
    name = "excel-xml"
    version = 2
    media_types = ("application/vnd.ms-spreadsheetml",)
    suffixes = (".xml", ".xls")
    holds = b"<"
    fields: ClassVar[Mapping[str, str]] = {
        **FIELDS,
        "xlsx.sheet": "name of a sheet",
        **HIDDEN_FIELDS,
    }
    reads = "cells of all sheets with their places, formulas, comments, names; properties, links"
    needs = ("lxml",)
    rank = 56

    def claims(self, stream: Stream) -> str | None:
        head = stream.head[:8192]
        head = head.replace(b"\0", b"") if b"\0" in head[:4] else head
        return self.media_types[0] if _ROOT.search(head) and b"microsoft-com:office:spreadsheet" in head else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        reader = XmlReader(_SPACES)
        yield from _Book().read(reader, stream)
        if reader.fault:
            yield Problem("corrupt", reader.fault, resolution="read as far as it can be made out")


class _Book:
    """Where in the workbook the reader stands."""

    def __init__(self) -> None:
        self.sheet = ""
        self.row = self.column = self.width = -1
        self.hidden = Hidden("")
        self.cells: list[tuple[int, str]] = []
        self.author = ""
        self.links: dict[str, None] = {}
        self.properties = Properties()

    def read(self, reader: XmlReader, stream: Stream) -> Iterator[Fact]:
        words: list[str] | None = None
        for kind, tag, held in reader.events(pieces_of(stream)):
            if kind == DATA:
                if words is not None:
                    words.append(tag)
                self.properties.text(tag)
            elif kind == START:
                if tag in ("s:Data", "x:Visible"):
                    words = []
                self.properties.start(tag)
                yield from self._start(tag, held)
            else:
                if tag in ("s:Data", "x:Visible") and words is not None:
                    yield from self._said(tag, "".join(words))
                    words = None
                elif tag == "s:Row":
                    yield from row_texts(self.sheet, self.row + 1, self.cells)
                    self.cells = []
                elif tag == "s:Comment":
                    self.author = ""
                elif tag == "s:Worksheet":
                    yield from self.hidden.facts()
                yield from self.properties.end(tag)
        yield from row_texts(self.sheet, self.row + 1, self.cells)
        yield from (Field("office.link", link) for link in self.links)

    def _start(self, tag: str, held: dict[str, str]) -> Iterator[Fact]:
        if tag == "s:Worksheet":
            name = held.get("s:Name", "")
            self.sheet, self.row, self.column, self.width = label(name), -1, -1, -1
            self.hidden = Hidden(self.sheet)
            if name:
                yield Field("xlsx.sheet", name)
            if held.get("s:Protected") == "1":
                yield Field("xlsx.protected_sheet", name)
        elif tag == "s:Column":
            first = _place(held, self.width)
            self.width = first + _span(held)
            if held.get("s:Hidden") == "1":
                self.hidden.add_columns(first, self.width)
        elif tag == "s:Row":
            self.row, self.column, self.cells = _place(held, self.row), -1, []
            if held.get("s:Hidden") == "1":
                self.hidden.add_rows(self.row + 1, self.row + 1 + _span(held))
        elif tag == "s:Cell":
            self.column = _place(held, self.column)
            place = f"{self.sheet} row {self.row + 1}"
            if formula := held.get("s:Formula", ""):
                yield Text(formula, f"{place} formula")
            if link := held.get("s:HRef", ""):
                self.links[link] = None
                yield Text(link, f"{place} link")
        elif tag == "s:Comment":
            self.author = held.get("s:Author", "") or " "
        elif tag == "s:NamedRange":
            yield Text(held.get("s:RefersTo", ""), f"name {label(held.get('s:Name', ''))}")
        elif tag in ("x:Header", "x:Footer") and (text := held.get("x:Data", "")):
            yield Text(text, f"{self.sheet} {tag[2:].lower()}")

    def _said(self, tag: str, text: str) -> Iterator[Fact]:
        if tag == "x:Visible":
            if text.startswith("Sheet") and self.sheet:
                yield from hidden_sheet(self.sheet, very=text == "SheetVeryHidden")
        elif self.author:
            yield Text(text, f"{self.sheet} row {self.row + 1} comment{label(self.author.strip(), bracketed=True)}")
        elif text.strip():
            self.cells.append((self.column, one_line(text)))


def _span(held: dict[str, str]) -> int:
    """How many more lines are like this one."""
    more = held.get("s:Span", "")
    return min(int(more), _LARGEST) if more.isascii() and more.isdigit() and len(more) < 8 else 0


def _place(held: dict[str, str], before: int) -> int:
    """A row or column counted from 0: as it says, else the next one."""
    index = held.get("s:Index", "")
    number = int(index) - 1 if index.isascii() and index.isdigit() and len(index) < 8 else before + 1
    return min(max(number, before + 1), _LARGEST)
