"""Excel workbooks: every sheet cell by cell, hidden ones too, with formulas, comments and properties.

Source: ECMA-376 part 1, chapter 18 (SpreadsheetML); [MS-XLSX] 2.6 (threaded comments, persons).
A row is one text whose locator names its cells. Dates and times are worked out by number format and
given in ISO form, other numbers as they are stored, to 15 digits; where the sheet shows a number in
another form, that form follows as a text of its own (`Sheet1!A7:F7 shown`).
Limits: formats that follow the reader's country, conditions in formats, merged cells, layouts of pivot tables,
conditional formats and table styles are not read; a formula that is shared stands at its first cell only;
no binary sheets. Where rows change their shape from one to the next, every cell passes through Python, and
a native reader of values alone (calamine) is twice as fast; rows of one shape take as long as they take it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

from indexer.handler import Handler, Signature, Stream
from indexer.handlers._cells import column_of, one_line
from indexer.handlers._cellstyles import Row, Styles
from indexer.handlers._drawingml import SKIPPED, read_graphics, read_shapes, read_vml, skip_kinds
from indexer.handlers._flow import Flow, label
from indexer.handlers._hidden_lines import HIDDEN_FIELDS, Hidden, hidden_sheet
from indexer.handlers._ooxml import FIELDS, Package, changed_at, claimed, media_types, number_of, read_properties
from indexer.handlers._parts import DATA, END, START, Event
from indexer.handlers._sheet_rows import SheetRows, read_strings
from indexer.handlers._skim import Skim, Stretch
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Text

STRING_CHARS = 128 * MIB
"""Characters of shared strings held while the sheets are read; what is beyond is given out by itself."""
_SHEETS = ("worksheet", "chartsheet", "dialogsheet", "macrosheet", "intlmacrosheet")
_STYLING = {"styles", "calcchain", "table", "pivottable", "tablesinglecells", "sheetmetadata", "querytable"}
_CODES = re.compile(r'&(?:"[^"]*"|K[0-9A-F]{6}|\d+|[A-Z])', re.IGNORECASE)
_HEADERS = {f"x:{when}{what}": what.lower() for when in ("odd", "even", "first") for what in ("Header", "Footer")}
_OFF = ("0", "false")
_CONNECTION = ("name", "description", "connection", "command", "url", "sourceFile", "odcFile")


class Xlsx(Handler):
    name = "xlsx"
    version = 3
    media_types = media_types("xlsx")
    signatures = (Signature(b"PK\3\4"),)
    suffixes = (".xlsx", ".xlsm", ".xltx", ".xltm", ".xlam")
    fields: ClassVar[Mapping[str, str]] = {
        **FIELDS,
        "xlsx.sheet": "name of a sheet",
        **HIDDEN_FIELDS,
        "xlsx.dde_link": "program and topic that a cell asks for data by DDE, which can start commands",
        "xlsx.saved_path": "folder the workbook was last saved in",
        "xlsx.reserved_by": "who reserved the right to write",
    }
    reads = "cells of all sheets with their places, formulas, comments, names, drawings; properties, links, members"
    rank = 30
    container = True

    def claims(self, stream: Stream) -> str | None:
        return claimed(stream, self.name)

    def read(self, stream: Stream) -> Iterator[Fact]:
        package = Package(stream)
        yield from read_properties(package)
        book = _Book(package)
        yield from book.read_workbook()
        yield from book.read_strings()
        book.read_styles()
        book.read_persons()
        for name, part in book.sheets():
            yield from book.read_sheet(name, part)
        yield from read_graphics(package)
        yield from _read_others(package)
        yield from package.links()
        if package.has_macros:
            yield Field("office.macros", True)
        skip_kinds(package, _STYLING | SKIPPED)
        yield from package.parts.members()
        yield from package.parts.problems


class _Book:
    """A workbook: what the sheets need to know of its other parts."""

    def __init__(self, package: Package) -> None:
        self.package = package
        self.main = package.main()
        self.listed: list[tuple[str, str]] = []
        self.strings: list[str] = []
        self.styles = Styles()
        self.persons: dict[str, str] = {}
        self._held = 0

    def read_workbook(self) -> Iterator[Fact]:
        """Sheet names, defined names, and what the workbook says of itself."""
        name, text = "", []
        for kind, tag, attributes in self.package.events(self.main):
            if kind == DATA:
                text.append(tag)
            elif kind == END:
                if tag == "x:definedName" and name:
                    yield Text("".join(text), f"name {label(name)}")
            elif tag == "x:sheet":
                sheet = attributes.get("name", "")
                self.listed.append((sheet, attributes.get("r:id", "")))
                yield Field("xlsx.sheet", sheet)
                if (state := attributes.get("state", "visible")) != "visible":
                    yield from hidden_sheet(sheet, very=state == "veryHidden")
            elif tag == "x:workbookPr":
                self.styles.from_1904 = attributes.get("date1904", "0") in ("1", "true", "on")
            elif tag == "x:definedName":
                name, text = attributes.get("name", ""), []
            elif tag == "x:fileSharing" and (user := attributes.get("userName", "")):
                yield Field("xlsx.reserved_by", user)
            elif tag == "absPath" and (path := attributes.get("url", "")):
                yield Field("xlsx.saved_path", path)

    def read_strings(self) -> Iterator[Fact]:
        """Loads the shared strings; gives out phonetic guides, and strings that are too many to hold."""
        guides = Flow()
        text: list[str] = []
        guide: list[str] = []
        in_text = in_guide = over = False
        for part in self.package.of_kind("sharedstrings"):
            for kind, tag, _ in self._string_events(part):
                if kind == DATA:
                    if in_text:
                        (guide if in_guide else text).append(tag)
                elif tag == "x:t":
                    in_text = kind == START
                elif tag == "x:rPh":
                    in_guide = kind == START
                elif tag == "x:si" and kind == END:
                    value = one_line("".join(text))
                    self._held += len(value) + 50
                    if self._held <= STRING_CHARS:
                        self.strings.append(value)
                    else:
                        if not over:
                            message = f"more than {STRING_CHARS} characters of shared strings"
                            yield Problem("limit", message, resolution="read without their cells")
                        over = True
                        yield Text(value, "shared string")
                    yield from guides.paragraph("phonetic guide", "".join(guide))
                    text, guide = [], []
        yield from guides.flush()

    def _string_events(self, part: str) -> Iterator[Event]:
        """What is left to the parser, when the plain strings before it are among the others."""

        def read(text: str, _: Skim) -> Iterable[Stretch]:
            room = STRING_CHARS - self._held
            if 14 * len(text) <= room or len(text) + 50 * text.count("<si>") <= room:
                return read_strings(text, self._add_strings)
            return ((0, len(text)),)

        for _, events in self.package.skimmed(part, "</si>", "x", read):
            yield from events

    def _add_strings(self, strings: list[str]) -> None:
        self._held += sum(map(len, strings)) + 50 * len(strings)
        self.strings += strings

    def read_styles(self) -> None:
        """Loads the cell styles: whether they show a date or a time, and by which format."""
        in_cells = False
        for part in self.package.of_kind("styles"):
            for kind, tag, attributes in self.package.events(part):
                if tag == "x:cellXfs":
                    in_cells = kind == START
                elif kind == START and tag == "x:numFmt":
                    self.styles.define(_integer(attributes.get("numFmtId", "")), attributes.get("formatCode", ""))
                elif kind == START and tag == "x:xf" and in_cells:
                    self.styles.append(_integer(attributes.get("numFmtId", "")))

    def read_persons(self) -> None:
        """Loads the authors of threaded comments."""
        for part in self.package.of_kind("person", "persons"):
            for kind, tag, attributes in self.package.events(part):
                if kind == START and tag == "person":
                    self.persons[attributes.get("id", "")] = attributes.get("displayName", "")

    def sheets(self) -> Iterator[tuple[str, str]]:
        """Names and parts: those that the workbook lists, then those that it does not."""
        targets = {relation.id: relation.target for relation in self.package.relations(self.main)}
        listed = [(name, targets[key]) for name, key in self.listed if targets.get(key, "") in self.package.parts]
        known = {part for _, part in listed}
        yield from listed
        for part in self.package.of_kind(*_SHEETS):
            if part not in known:
                yield part, part

    def read_sheet(self, sheet: str, part: str) -> Iterator[Fact]:
        """Rows, then what hangs on them: links, headers, comments, drawings."""
        sheet = label(sheet)
        relations = {relation.id: relation for relation in self.package.relations(part)}
        row = Row()
        column, reference, style, form = -1, "", -1, "n"
        value: list[str] = []
        formula: list[str] = []
        text: list[str] | None = None
        hidden = Hidden(sheet)
        rows = SheetRows(sheet, self.styles, self.strings, self._value, row, hidden)
        for facts, events in self.package.skimmed(part, "</row>", "x", rows.read):
            yield from facts
            for kind, tag, attributes in events:
                if kind == DATA:
                    if text is not None:
                        text.append(tag)
                elif kind == START:
                    if tag == "x:row":
                        row.number = max(_integer(attributes.get("r", "")), 0) or row.number + 1
                        if attributes.get("hidden", "0") not in _OFF:
                            hidden.add_rows(row.number, row.number)
                        column, reference, style, form = -1, "", -1, "n"
                        value, formula = [], []
                    elif tag == "x:c":
                        reference, form = attributes.get("r", ""), attributes.get("t", "n")
                        place = column_of(reference)
                        column = column + 1 if place is None else place
                        style = _integer(attributes.get("s", "0"))
                        value, formula = [], []
                    elif tag in ("x:v", "x:t"):
                        text = value
                    elif tag == "x:f":
                        text = formula
                    elif tag == "x:rPh":
                        value.append(" ")
                    elif tag in _HEADERS or tag in ("x:formula1", "x:formula2"):
                        text = []
                    elif tag == "x:dataValidation":
                        for key in ("promptTitle", "prompt", "errorTitle", "error"):
                            yield Text(
                                attributes.get(key, ""), f"{sheet}!{label(attributes.get('sqref', ''))} validation"
                            )
                    elif tag == "x:col" and attributes.get("hidden", "0") not in _OFF:
                        ends = [_integer(attributes.get(key, "")) for key in ("min", "max")]
                        if min(ends) > 0:
                            hidden.add_columns(ends[0] - 1, ends[1] - 1)
                    elif tag == "x:sheetProtection" and attributes.get("sheet", "0") not in _OFF:
                        yield Field("xlsx.protected_sheet", sheet)
                    elif tag == "x:hyperlink":
                        relation = relations.get(attributes.get("r:id", ""))
                        target = relation.target if relation else attributes.get("location", "")
                        hint = attributes.get("tooltip", "")
                        yield Text(f"{target} {hint}".strip(), f"{sheet}!{label(attributes.get('ref', ''))} link")
                elif tag == "x:c":
                    stored = "".join(value)
                    shown = self.styles.shown(stored, style) if form == "n" else ""
                    row.add(column, self._value(stored, form, style), shown)
                    if formula:
                        yield Text("=" + "".join(formula), f"{sheet}!{label(reference)} formula")
                elif tag == "x:row":
                    yield from row.end(sheet)
                elif tag in ("x:v", "x:t", "x:f"):
                    text = None
                elif tag in _HEADERS and text is not None:
                    yield Text(_CODES.sub(" ", "".join(text)).strip(), f"{sheet} {_HEADERS[tag]}")
                    text = None
                elif tag in ("x:formula1", "x:formula2") and text is not None:
                    yield Text("".join(text), f"{sheet} validation")
                    text = None
        yield from row.end(sheet)
        yield from hidden.facts()
        for relation in relations.values():
            yield from self._read_attached(sheet, relation.kind, relation.target)

    def _value(self, value: str, form: str, style: int) -> str:
        if form == "s":
            index = _integer(value)
            return self.strings[index] if 0 <= index < len(self.strings) else ""
        if form == "b":
            return {"1": "TRUE", "0": "FALSE"}.get(value, value)
        if form != "n":
            return one_line(value)
        return self.styles.value(value, style)

    def _read_attached(self, sheet: str, kind: str, part: str) -> Iterator[Fact]:
        events = self.package.events(part)
        if kind == "comments":
            yield from _read_comments(events, sheet)
        elif kind == "threadedcomment":
            yield from self._read_threads(events, sheet)
        elif kind == "drawing":
            yield from read_shapes(events, f"{sheet} drawing")
        elif kind == "vmldrawing":
            yield from read_vml(events, f"{sheet} drawing")

    def _read_threads(self, events: Iterator[Event], sheet: str) -> Iterator[Fact]:
        locator, text = "", []
        for kind, tag, attributes in events:
            if kind == DATA:
                text.append(tag)
            elif kind == START and tag == "threadedComment":
                author = self.persons.get(attributes.get("personId", ""), "")
                locator = f"{sheet}!{label(attributes.get('ref', ''))} comment{label(author, bracketed=True)}"
                text = []
                yield from changed_at("commented", attributes.get("dT", ""), "office.comment")
            elif kind == END and tag == "text" and locator:
                yield Text("".join(text), locator)


def _read_comments(events: Iterator[Event], sheet: str) -> Iterator[Fact]:
    """Notes on cells; those that only announce a threaded comment are left to it."""
    authors: list[str] = []
    locator, text = "", []
    in_text = False
    for kind, tag, attributes in events:
        if kind == DATA:
            if in_text:
                text.append(tag)
        elif kind == START:
            in_text = tag in ("x:author", "x:t")
            if tag == "x:author":
                text = []
            elif tag == "x:comment":
                index = _integer(attributes.get("authorId", ""))
                author = authors[index] if 0 <= index < len(authors) else ""
                locator = f"{sheet}!{label(attributes.get('ref', ''))} comment{label(author, bracketed=True)}"
                text = []
        elif tag == "x:author":
            authors.append("".join(text))
            in_text = False
        elif tag == "x:t":
            in_text = False
        elif tag == "x:comment" and "(tc={" not in locator:
            yield Text("".join(text), locator)


def _read_others(package: Package) -> Iterator[Fact]:
    """Kept copies of data from elsewhere: pivot caches, linked workbooks, connections."""
    for part in package.of_kind("pivotcachedefinition", "pivotcacherecords"):
        flow = Flow()
        for kind, tag, attributes in package.events(part):
            if kind == START and tag in ("x:s", "x:d", "x:n", "x:cacheField"):
                value = attributes.get("name" if tag == "x:cacheField" else "v", "")
                yield from flow.paragraph(f"pivot cache {number_of(part)}", value)
        yield from flow.flush()
    for part in package.of_kind("externallink"):
        flow = Flow()
        in_value = False
        for kind, tag, attributes in package.events(part):
            if kind == DATA and in_value:
                yield from flow.paragraph(f"linked workbook {number_of(part)}", tag)
            elif kind == START and tag == "x:ddeLink":
                asked = (attributes.get("ddeService", ""), attributes.get("ddeTopic", ""))
                yield Field("xlsx.dde_link", "|".join(asked))
            elif kind == START and tag == "x:sheetName":
                yield from flow.paragraph(f"linked workbook {number_of(part)}", attributes.get("val", ""))
            in_value = kind == START and tag == "x:v"
        yield from flow.flush()
    for part in package.of_kind("connections"):
        for kind, _, attributes in package.events(part):
            if kind == START and (found := [attributes[key] for key in _CONNECTION if attributes.get(key)]):
                yield Text("\n".join(found), "connection")


def _integer(text: str) -> int:
    """The number, or -1 where there is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
