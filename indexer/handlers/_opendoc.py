"""The text of OpenDocument XML: paragraphs, notes, comments, changes, slides, sheets.

Source: OASIS ODF 1.3 part 3: chapters 5 (text), 9 (tables), 10 (graphics), 14.1 (annotations), 16.5 (masters).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from msgspec import Struct, field

from indexer.handlers._cells import column_name, one_line, position, row_texts
from indexer.handlers._flow import Flow, label
from indexer.handlers._hidden_lines import Hidden, hidden_sheet
from indexer.handlers._parts import DATA, START, Event
from indexer.model import Fact, Field, Text
from indexer.timestamps import from_iso

_AREAS = {
    "office": "office",
    "text": "text",
    "table": "table",
    "drawing": "draw",
    "presentation": "presentation",
    "style": "style",
    "meta": "meta",
    "manifest": "manifest",
    "config": "config",
    "chart": "chart",
    "svg-compatible": "svg",
}
PREFIXES = {f"urn:oasis:names:tc:opendocument:xmlns:{area}:1.0": prefix for area, prefix in _AREAS.items()}
PREFIXES |= {f"http://openoffice.org/2000/{area}": prefix for area, prefix in _AREAS.items()}
PREFIXES |= {f"http://openoffice.org/2001/{area}": prefix for area, prefix in _AREAS.items()}
PREFIXES |= {
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://www.w3.org/1999/xlink": "xlink",
    "http://www.w3.org/1998/Math/MathML": "math",
    "http://www.w3.org/2000/svg": "svg",
}

REPEATS = 64
"""Copies of one cell in a row that are written out."""
_SHAPES = {f"draw:{shape}" for shape in ("frame", "custom-shape", "rect", "ellipse", "circle", "caption", "connector")}
_SHAPES |= {
    f"draw:{shape}" for shape in ("line", "polyline", "polygon", "path", "regular-polygon", "measure", "text-box")
}
_SILENT = {"text:note-citation", "text:page-number", "text:page-count", "text:sheet-name"}
_PARAGRAPHS = {"text:p", "text:h"}
_ASIDE = {
    "text:deletion": "deleted text",
    "text:insertion": "inserted text",
    "text:format-change": "changed format",
    "table:cell-content-change": "changed cell",
    "table:deletion": "deleted cells",
    "text:ruby-text": "phonetic guide",
}
_BY_NAME = ("comment", "deleted", "inserted", "changed")
_UNSEEN = {"collapse", "filter"}
_CELLS = {"table:table-cell", "table:covered-table-cell"}
_VALUES = ("office:value", "office:date-value", "office:time-value", "office:boolean-value", "office:string-value")
_OLD_VALUES = ("table:value", "table:date-value", "table:time-value", "table:boolean-value", "table:string-value")
_DURATION = re.compile(r"PT(\d{1,9})H(\d{1,2})M(\d{1,2})(?:[.,]\d{1,12})?S")
_SPACES = 200


class _Cell(Struct):
    """The sheet cell that is being read."""

    column: int = 0
    repeat: int = 1
    value: str = ""
    formula: str = ""
    shown: list[str] = field(default_factory=list)


class _Sheet:
    """Where we are in a spreadsheet, and the filled cells of the row so far."""

    def __init__(self, name: str, prefix: str) -> None:
        self.name = name
        self.hidden = Hidden(prefix + name)
        self.columns = 0
        self.row, self.row_repeat, self.column = 1, 1, 0
        self.cells: list[tuple[int, str]] = []
        self.shown: list[tuple[int, str]] = []
        self.cell: _Cell | None = None

    def begin_row(self, attributes: dict[str, str]) -> None:
        self.row_repeat = _count(attributes.get("table:number-rows-repeated", "1"))
        self.column = 0
        self.cells, self.shown = [], []
        if attributes.get("table:visibility") in _UNSEEN:
            self.hidden.add_rows(self.row, self.row + self.row_repeat - 1)

    def begin_column(self, attributes: dict[str, str]) -> None:
        repeat = _count(attributes.get("table:number-columns-repeated", "1"))
        if attributes.get("table:visibility") in _UNSEEN:
            self.hidden.add_columns(self.columns, self.columns + repeat - 1)
        self.columns += repeat

    def begin_cell(self, attributes: dict[str, str]) -> None:
        repeat = _count(attributes.get("table:number-columns-repeated", "1"))
        value = next((attributes[key] for key in (*_VALUES, *_OLD_VALUES) if key in attributes), "")
        if match := _DURATION.fullmatch(value):
            value = f"{int(match[1]):02}:{int(match[2]):02}:{int(match[3]):02}"
        elif re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+", value):
            value = value.replace("T", " ")
        self.cell = _Cell(self.column, repeat, value.upper() if value in ("true", "false") else value)
        self.cell.formula = re.sub(r"^\w+:(?==)", "", attributes.get("table:formula", ""))
        self.column += repeat

    def end_cell(self) -> None:
        cell, self.cell = self.cell, None
        if not cell:
            return
        shown = one_line("\n".join(cell.shown)).strip()
        value = one_line(cell.value) or shown
        for copy in range(min(cell.repeat, REPEATS)):
            if value:
                self.cells.append((cell.column + copy, value))
            if shown and shown != value:
                self.shown.append((cell.column + copy, shown))

    def end_row(self, prefix: str) -> Iterator[Text]:
        for cells, suffix in ((self.cells, ""), (self.shown, " shown")):
            for text in row_texts(prefix + self.name, self.row, cells):
                yield Text(text.body, _stretched(text.locator, self.row, self.row_repeat) + suffix)
        self.row += self.row_repeat
        self.cells, self.shown = [], []


class Walker:
    """Reads one XML part; `links` and `revisers` gather what belongs to the whole document.

    Args:
        prefix: put before every locator: the name of an embedded object, with a space.
    """

    def __init__(self, prefix: str = "") -> None:
        self.links: dict[str, None] = {}
        self.revisers: dict[str, None] = {}
        self._prefix = prefix
        self._flow = Flow()
        self._places = ["body"]
        self._paragraphs: list[list[str]] = []
        self._counts: dict[str, int] = {}
        self._sheet: _Sheet | None = None
        self._style = ""
        self._unseen: set[str] = set()
        """Styles of sheets that are hidden."""
        self._body = ""
        self._tables = 0
        self._reading = ""
        self._read: list[str] = []
        self._silent = 0

    def read(self, events: Iterable[Event]) -> Iterator[Fact]:
        """Text in the order of the document, asides where they stand; times of comments and changes."""
        for kind, tag, attributes in events:
            if kind == DATA:
                if self._reading:
                    self._read.append(tag)
                elif self._paragraphs and not self._silent:
                    self._paragraphs[-1].append(tag)
            elif kind == START:
                yield from self._start(tag, attributes)
            else:
                yield from self._end(tag)
        while self._paragraphs:
            yield from self._end_paragraph()
        yield from self._flow.flush()

    def _start(self, tag: str, attributes: dict[str, str]) -> Iterator[Fact]:
        if (link := attributes.get("xlink:href", "")) and ":" in link and not link.startswith("#"):
            self.links[link] = None
        if tag in _PARAGRAPHS:
            self._paragraphs.append([])
        elif tag in ("text:s", "text:tab", "text:tab-stop", "text:line-break"):
            if self._paragraphs:
                spaces = " " * min(_count(attributes.get("text:c", "1")), _SPACES)
                self._paragraphs[-1].append({"text:s": spaces, "text:line-break": "\n"}.get(tag, "\t"))
        elif tag in _SILENT:
            self._silent += 1
        elif tag in ("dc:creator", "dc:date", "svg:title", "svg:desc", "math:annotation") or tag.endswith("-decl"):
            self._reading, self._read = tag, []
        elif tag in ("text:hidden-text", "text:hidden-paragraph", "text:conditional-text"):
            for key in ("text:string-value", "text:string-value-if-true", "text:string-value-if-false"):
                yield from self._flow.paragraph(self._prefix + "hidden text", attributes.get(key, ""))
        elif tag in ("text:user-field-decl", "text:variable-set"):
            yield from self._flow.paragraph(self._prefix + "variable", attributes.get("office:string-value", ""))
        elif place := self._place(tag, attributes):
            self._places.append(place)
            if tag == "text:ruby-text":
                self._paragraphs.append([])
        elif tag in ("office:text", "office:spreadsheet", "office:presentation", "office:drawing", "office:chart"):
            self._body = tag
        elif area := attributes.get("office:class", ""):
            self._body = f"office:{area}"
        elif tag == "table:table":
            self._tables += 1
            if self._tables == 1 and self._body == "office:spreadsheet":
                name = attributes.get("table:name", "")
                self._sheet = _Sheet(label(name), self._prefix)
                if not self._prefix:
                    yield Field("odf.sheet", name)
                if attributes.get("table:style-name", "") in self._unseen:
                    yield from hidden_sheet(self._prefix + name, very=False)
                if attributes.get("table:protected") == "true":
                    yield Field("xlsx.protected_sheet", self._prefix + name)
        elif tag == "style:style" and attributes.get("style:family") == "table":
            self._style = attributes.get("style:name", "")
        elif tag == "style:table-properties" and attributes.get("table:display") == "false":
            self._unseen.add(self._style)
        elif self._sheet and self._tables == 1:
            if tag == "table:table-row":
                self._sheet.begin_row(attributes)
            elif tag == "table:table-column":
                self._sheet.begin_column(attributes)
            elif tag in _CELLS:
                self._sheet.begin_cell(attributes)

    def _place(self, tag: str, attributes: dict[str, str]) -> str:
        """The locator of what this element holds, or an empty string where it stays the same."""
        if tag == "office:annotation":
            cell = self._sheet.cell if self._sheet else None
            if self._sheet and cell:
                at = f"{self._sheet.name}!{column_name(cell.column)}{self._sheet.row}"
                return f"{at} comment"
            slide = self._places[-1].partition(" comment")[0] + " " if self._places[-1].startswith("slide") else ""
            return f"{slide}comment {self._next('comment')}"
        if tag == "text:note":
            kind = "endnote" if attributes.get("text:note-class") == "endnote" else "footnote"
            return f"{kind} {self._next(kind)}"
        if tag in ("text:footnote", "text:endnote"):
            kind = tag.removeprefix("text:")
            return f"{kind} {self._next(kind)}"
        if tag in _ASIDE:
            return _ASIDE[tag]
        if tag == "draw:page":
            return f"{'page' if self._body == 'office:drawing' else 'slide'} {self._next('slide')}"
        if tag == "presentation:notes":
            return self._places[-1].removesuffix(" notes") + " notes"
        if tag == "style:master-page":
            return f"master {self._next('master')}"
        if tag.startswith(("style:header", "style:footer")) and self._places[-1].startswith(
            ("master", "header", "footer")
        ):
            return f"{tag.removeprefix('style:').partition('-')[0]} {self._counts.get('master', 1)}"
        if tag in _SHAPES:
            if self._sheet:
                return f"{self._sheet.name} drawing"
            if self._body == "office:text" and tag != "draw:text-box":
                return f"text box {self._next('box')}"
            return self._places[-1]
        return ""

    def _closes_place(self, tag: str) -> bool:
        if tag.startswith(("style:header", "style:footer")):
            return self._places[-1].startswith(("header", "footer"))
        return (
            tag in _ASIDE
            or tag in _SHAPES
            or tag in ("office:annotation", "text:note", "text:footnote", "text:endnote", "draw:page")
            or tag in ("presentation:notes", "style:master-page")
        )

    def _end(self, tag: str) -> Iterator[Fact]:
        if tag == self._reading:
            yield from self._end_reading(tag)
        elif tag in _PARAGRAPHS:
            yield from self._end_paragraph()
        elif tag in _SILENT:
            self._silent = max(0, self._silent - 1)
        elif self._closes_place(tag):
            if tag == "text:ruby-text":
                yield from self._end_paragraph()
            if len(self._places) > 1:
                self._places.pop()
        elif tag == "table:table":
            self._tables = max(0, self._tables - 1)
            if not self._tables and self._sheet:
                yield from self._sheet.hidden.facts()
                self._sheet = None
        elif self._sheet and self._tables == 1:
            if tag in _CELLS:
                cell = self._sheet.cell
                if cell and cell.formula:
                    at = f"{self._prefix}{self._sheet.name}!{column_name(cell.column)}{self._sheet.row}"
                    yield Text(cell.formula, f"{at} formula")
                self._sheet.end_cell()
            elif tag == "table:table-row":
                yield from self._sheet.end_row(self._prefix)
        elif tag in _CELLS:
            self._flow.end_cell()
        elif tag == "table:table-row":
            self._flow.end_row()

    def _end_paragraph(self) -> Iterator[Text]:
        if not self._paragraphs:
            return
        text = "".join(self._paragraphs.pop())
        if self._sheet and self._sheet.cell and len(self._places) == 1:
            self._sheet.cell.shown.append(text)
        else:
            yield from self._flow.paragraph(self._prefix + self._places[-1], text)

    def _end_reading(self, tag: str) -> Iterator[Fact]:
        text = "".join(self._read).strip()
        self._reading, self._read = "", []
        place = self._places[-1]
        if tag == "dc:creator":
            if text and any(word in place for word in _BY_NAME):
                if not place.endswith(")"):
                    self._places[-1] = place + label(text, bracketed=True)
                if "comment" not in place:
                    self.revisers[text] = None
        elif tag == "dc:date":
            kind = "commented" if "comment" in place else "changed"
            if any(word in place for word in _BY_NAME):
                stamp = from_iso(kind, text, "odf.comment" if kind == "commented" else "odf.change")
                if stamp:
                    yield stamp
        elif tag.startswith("svg:"):
            yield from self._flow.paragraph(f"{self._prefix}{place} alternative text", text)
        elif tag == "math:annotation":
            yield from self._flow.paragraph(self._prefix + "formula", text)
        else:
            yield from self._flow.paragraph(self._prefix + tag.rpartition(":")[2].removesuffix("-decl"), text)

    def _next(self, what: str) -> int:
        self._counts[what] = self._counts.get(what, 0) + 1
        return self._counts[what]


def _count(text: str) -> int:
    """A repeat count; 1 where it is none."""
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 10 else 1


def _stretched(locator: str, row: int, repeat: int) -> str:
    """The locator of a row that is repeated, as the whole block: `A7:F9`."""
    if repeat == 1:
        return locator
    sheet, _, cells = locator.rpartition("!")
    first, _, last = cells.partition(":")
    place = position(last or first)
    return f"{sheet}!{first}:{column_name(place[0] if place else 0)}{row + repeat - 1}"
