"""Word documents of 2003 as one XML file: body, notes, comments, changes, headers, properties, pictures.

Source: Microsoft Office 2003 XML Reference Schemas: WordprocessingML, annotation markup (aml), auxiliary hints.
Limits: numbers of lists are those that Word wrote as hints; formatting is not told; one text of more than
10 MB, such as a picture of that size, ends what can be read.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from functools import partial
from io import BytesIO
from typing import ClassVar, Final

from indexer.handler import Handler, Stream
from indexer.handlers._flow import Flow, label
from indexer.handlers._ooxml import FIELDS, changed_at
from indexer.handlers._parts import DATA, START, XmlReader
from indexer.handlers._xml_office import OFFICE_SPACES, Properties, pieces_of
from indexer.model import Child, Fact, Field, Problem, Text, Timestamp

_SPACES: Final = {
    "http://schemas.microsoft.com/office/word/2003/wordml": "w",
    "http://schemas.microsoft.com/office/word/2003/auxHint": "wx",
    "http://schemas.microsoft.com/aml/2001/core": "aml",
    "urn:schemas-microsoft-com:vml": "v",
    **OFFICE_SPACES,
}
_ROOT: Final = re.compile(rb"<[\w.-]{1,40}:wordDocument\s")
_MARKS: Final = {"w:tab": "\t", "w:br": "\n", "w:cr": "\n", "w:noBreakHyphen": "-"}
_ASIDE: Final = {
    "w:footnote": "footnote",
    "w:endnote": "endnote",
    "w:hdr": "header",
    "w:ftr": "footer",
    "w:txbxContent": "text box",
}
_DELETED: Final = "deleted text"
_TEXT: Final = {"w:t": "", "w:delText": _DELETED, "w:instrText": "field code"}
_LINK: Final = re.compile(r'\s*HYPERLINK\s+"([^"]+)"', re.IGNORECASE)


class WordXml(Handler):
    name = "word-xml"
    media_types = ("application/vnd.ms-wordml",)
    suffixes = (".xml", ".doc", ".wml")
    holds = b"<"
    fields: ClassVar[Mapping[str, str]] = FIELDS
    reads = "text with tables, boxes, headers, notes, comments, changes, hidden text; properties, links, pictures"
    needs = ("lxml",)
    rank = 56
    container = True

    def claims(self, stream: Stream) -> str | None:
        head = stream.head[:8192]
        head = head.replace(b"\0", b"") if b"\0" in head[:4] else head
        return self.media_types[0] if _ROOT.search(head) and b"/office/word/2003/wordml" in head else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        reader = XmlReader(_SPACES)
        yield from _Document().read(reader, stream)
        if reader.fault:
            yield Problem("corrupt", reader.fault, resolution="read as far as it can be made out")


class _Frame:
    """A run of paragraphs that belong together: the body, a note, a box."""

    def __init__(self, locator: str) -> None:
        self.locator = locator
        self.words: dict[str, list[str]] = {}
        self.number = ""

    def add(self, place: str, text: str) -> None:
        self.words.setdefault(place or self.locator, []).append(text)


class _Document:
    """The reading of one document, and what is gathered over all of it."""

    def __init__(self) -> None:
        self.flow = Flow()
        self.frame = _Frame("body")
        self.outer: list[_Frame] = []
        self.notes: dict[str, int] = {}
        self.changes: list[tuple[str, str]] = []
        self.links: dict[str, None] = {}
        self.revisers: dict[str, None] = {}
        self.times: dict[Timestamp, None] = {}
        self.properties = Properties()

    def read(self, reader: XmlReader, stream: Stream) -> Iterator[Fact]:
        place: str | None = None
        hidden = False
        packed: list[str] | None = None
        name = ""
        for kind, tag, held in reader.events(pieces_of(stream)):
            if kind == DATA:
                if packed is not None:
                    packed.append(tag)
                elif place is not None:
                    aside = self._place(hidden) if place in ("", _DELETED) else ""
                    self.frame.add(aside or place, tag)
                self.properties.text(tag)
            elif kind == START:
                if tag in _TEXT:
                    place = _TEXT[tag]
                elif tag == "w:r":
                    hidden = False
                elif tag == "w:vanish":
                    hidden = held.get("w:val", "on") != "off"
                elif tag in _MARKS:
                    self.frame.add(self._place(hidden), _MARKS[tag])
                elif tag == "w:binData":
                    packed, name = [], held.get("w:name", "")
                else:
                    self._start(tag, held)
                    self.properties.start(tag)
            elif tag in _TEXT:
                place = None
            elif tag == "w:p":
                yield from self._paragraph()
            elif tag == "w:binData" and packed is not None:
                yield from _member(name, "".join(packed))
                packed = None
            elif tag == "w:tc":
                self.flow.end_cell()
            elif tag == "w:tr":
                self.flow.end_row()
            else:
                yield from self._end(tag)
                yield from self.properties.end(tag)
        while self.outer:
            yield from self._leave()
        yield from self._paragraph()
        yield from self.flow.flush()
        yield from (Field("office.link", link) for link in self.links)
        yield from (Field("office.reviser", author) for author in self.revisers)
        yield from self.times

    def _place(self, hidden: bool) -> str:
        for kind, author in reversed(self.changes):
            if kind == "Word.Deletion":
                return _DELETED + label(author, bracketed=True)
        return "hidden text" if hidden else ""

    def _start(self, tag: str, held: dict[str, str]) -> None:
        if tag in _ASIDE:
            self._enter(_ASIDE[tag])
        elif tag == "aml:annotation":
            kind, author = held.get("w:type", ""), held.get("aml:author", "")
            self.changes.append((kind, author))
            if kind == "Word.Comment":
                self._enter("comment", author)
            elif author:
                self.revisers[author] = None
            what = "comment" if kind == "Word.Comment" else "change"
            when = held.get("aml:createdate", "").removesuffix("Z")
            stamps = changed_at("commented" if what == "comment" else "changed", when, f"office.{what}")
            self.times.update(dict.fromkeys(stamps))
        elif tag == "wx:t" and (number := held.get("wx:val", "")) and any(char.isalnum() for char in number):
            self.frame.number = number
        link = held.get("w:dest", "") if tag == "w:hlink" else held.get("href", "") if tag[:2] == "v:" else ""
        if link:
            self.links[link] = None
        for said in (held.get("alt", ""), held.get("o:title", "")) if tag[:2] == "v:" else ():
            if said:
                self.frame.add("alternative text", said + "\n")

    def _end(self, tag: str) -> Iterator[Text]:
        if tag == "aml:annotation" and self.changes:
            if self.changes.pop()[0] == "Word.Comment" and self.outer:
                yield from self._leave()
        elif tag in _ASIDE and self.outer:
            yield from self._leave()

    def _enter(self, kind: str, author: str = "") -> None:
        self.notes[kind] = self.notes.get(kind, 0) + 1
        self.outer.append(self.frame)
        self.frame = _Frame(f"{kind} {self.notes[kind]}{label(author, bracketed=True)}")

    def _leave(self) -> Iterator[Text]:
        yield from self._paragraph()
        self.frame = self.outer.pop()

    def _paragraph(self) -> Iterator[Text]:
        """The paragraph's own text first, then what stands aside of it."""
        frame = self.frame
        words, frame.words = frame.words, {}
        number, frame.number = frame.number, ""
        own = "".join(words.pop(frame.locator, ()))
        yield from self.flow.paragraph(frame.locator, f"{number} {own}" if number and own else own)
        for place, pieces in words.items():
            text = "".join(pieces)
            if found := _LINK.match(text):
                self.links[found[1]] = None
            yield from self.flow.paragraph(place, text)


def _member(name: str, packed: str) -> Iterator[Fact]:
    """A picture or an object, whose name begins with `wordml://`."""
    try:
        data = base64.b64decode("".join(packed.split()), validate=True)
    except (binascii.Error, ValueError):
        yield Problem("corrupt", f"{label(name)}: cannot be unpacked")
        return
    shown = name.rpartition("/")[2] or "object"
    if data:
        yield Child(shown, shown.encode("utf-8", "surrogatepass"), partial(BytesIO, data))
