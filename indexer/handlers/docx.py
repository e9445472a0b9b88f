"""Word documents: body, headers, notes, comments, changes and properties.

Source: ECMA-376 part 1, chapter 17 (WordprocessingML), 22.1 (mathematics); [MS-DOCX] 2.2 (people).
The body is read in the order of the file, so that words split over runs are whole. What is not
plainly there gets its own locator: deleted, hidden, field codes, alternative texts. A change's time
is a wall clock although it is written with a Z ([MS-OI29500] 2.1.484).
Limits: bullets of lists are left out, and numbers in words; text hidden by a style counts as plain;
symbols of symbol fonts have no text.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from indexer.handler import Handler, Signature, Stream
from indexer.handlers._drawingml import SKIPPED, Alternates, read_graphics, skip_kinds
from indexer.handlers._flow import Flow, label
from indexer.handlers._hidden_fonts import show_font
from indexer.handlers._list_numbers import Counts
from indexer.handlers._numbering import Numbering, Place, note
from indexer.handlers._ooxml import FIELDS, Package, changed_at, claimed, media_types, number_of, read_properties
from indexer.handlers._paragraphs import read_paragraphs
from indexer.handlers._parts import DATA, START, Event
from indexer.handlers._skim import Skim, Stretch
from indexer.model import Fact, Field, Text, Timestamp

_STYLING = {
    "styles",
    "styleswitheffects",
    "fonttable",
    "websettings",
    "commentsextended",
    "commentsids",
    "commentsextensible",
    "customxmlproperties",
}
_OFF = {"0", "false", "off"}
_DELETED = {"w:del", "w:moveFrom"}
_TEXT = {"w:t", "w:delText", "w:instrText", "w:delInstrText", "m:t", "a:t"}
_SHAPES = {"wp:docPr", "pic:cNvPr", "v:imagedata", "v:shape", "v:rect", "v:roundrect", "v:oval", "v:line", "v:group"}
_LISTED = {"w:numId", "w:ilvl"}
_NOTES = {"w:footnote": "footnote", "w:endnote": "endnote", "w:comment": "comment"}
_MARKS = {"w:tab": "\t", "w:ptab": "\t", "w:br": "\n", "w:cr": "\n", "w:noBreakHyphen": "-"}


class Docx(Handler):
    name = "docx"
    version = 3
    media_types = media_types("docx")
    signatures = (Signature(b"PK\3\4"),)
    suffixes = (".docx", ".docm", ".dotx", ".dotm")
    fields = FIELDS
    reads = "text with tables, boxes, headers, notes, comments, changes, hidden text; properties, links, members"
    rank = 30
    container = True

    def claims(self, stream: Stream) -> str | None:
        return claimed(stream, self.name)

    def read(self, stream: Stream) -> Iterator[Fact]:
        package = Package(stream)
        changes = _Changes()
        main = package.main()
        numbering = _read_numbering(package)
        yield from read_properties(package)
        yield from _read_story(package, main, "body", changes, numbering)
        for kind in ("header", "footer", "footnotes", "endnotes", "comments", "glossary"):
            for name in package.of_kind(kind):
                if name != main:
                    yield from _read_story(package, name, f"{kind} {number_of(name)}", changes, numbering)
        yield from read_graphics(package)
        for name in package.of_kind("settings"):
            yield from _read_settings(package.events(name))
        for name in package.of_kind("people"):
            yield from _read_people(package.events(name))
        yield from changes.facts()
        yield from package.links()
        yield from changes.links()
        if package.has_macros:
            yield Field("office.macros", True)
        _show_fonts(package)
        skip_kinds(package, _STYLING | SKIPPED)
        yield from package.parts.members()
        yield from package.parts.problems


def _show_fonts(package: Package) -> None:
    """Makes the fonts that the document brings along plain."""
    if not any(name.endswith(".odttf") for name in package.parts.names):
        return
    for table in package.of_kind("fonttable"):
        fonts = {relation.id: relation.target for relation in package.relations(table)}
        for kind, tag, attributes in package.events(table):
            if kind == START and tag.startswith("w:embed"):
                show_font(package.parts, fonts.get(attributes.get("r:id", ""), ""), attributes.get("w:fontKey", ""))


class _Changes:
    """Who changed or commented, when, and what field codes link to: gathered over all stories."""

    def __init__(self) -> None:
        self._authors: dict[str, None] = {}
        self._times: dict[Timestamp, None] = {}
        self._links: dict[str, None] = {}

    def note(self, tag: str, attributes: dict[str, str]) -> None:
        author = attributes.get("w:author", "")
        if author and tag != "w:comment":
            self._authors[author] = None
        when = attributes.get("w:date", "").removesuffix("Z")
        what = "office.comment" if tag == "w:comment" else "office.change"
        for stamp in changed_at("commented" if tag == "w:comment" else "changed", when, what):
            self._times[stamp] = None

    def note_code(self, code: str) -> None:
        words = code.split('"')
        if code.strip().upper().startswith("HYPERLINK") and len(words) > 1 and "\\l" not in words[0]:
            self._links[words[1]] = None

    def note_shape(self, attributes: dict[str, str]) -> None:
        if link := attributes.get("href", ""):
            self._links[link] = None

    def facts(self) -> Iterator[Fact]:
        for author in self._authors:
            yield Field("office.reviser", author)
        yield from self._times

    def links(self) -> Iterator[Field]:
        for link in self._links:
            yield Field("office.link", link)


class _Story:
    """The reading of one part: what has been gathered of the paragraph, and where we are."""

    def __init__(self, locator: str) -> None:
        self.locator = locator
        self.words: dict[str, list[str]] = {}
        self.deleted: list[str] = []
        self.hidden = self.in_run = self.in_text = False
        self.guide = 0
        self.list = Place()
        self.changed = 0

    @property
    def is_busy(self) -> bool:
        """Whether words are held, or the next ones are not plainly text."""
        return bool(self.words or self.deleted or self.in_run or self.guide)

    def place(self, tag: str) -> str:
        if tag in ("w:instrText", "w:delInstrText"):
            return "field code"
        if self.deleted or tag == "w:delText":
            author = next((name for name in reversed(self.deleted) if name), "")
            return "deleted text" + label(author, bracketed=True)
        if self.guide:
            return "phonetic guide"
        return "hidden text" if self.hidden else self.locator

    def add(self, tag: str, text: str) -> None:
        self.words.setdefault(self.place(tag), []).append(text)


def _read_numbering(package: Package) -> Numbering | None:
    """The lists of the document; None where there are none."""
    numbering = Numbering(chain.from_iterable(map(package.events, package.of_kind("numbering"))))
    if not numbering:
        return None
    for name in package.of_kind("styles"):
        numbering.read_styles(package.events(name))
    return numbering


def _read_story(
    package: Package, part: str, locator: str, changes: _Changes, numbering: Numbering | None
) -> Iterator[Fact]:
    flow, alternates, counts = Flow(), Alternates(), Counts()
    story = _Story(locator)
    pictures: set[str] = set()
    outer: list[_Story] = []
    boxes = notes = 0
    tag_of_text = ""

    def read(text: str, skim: Skim) -> Iterator[Stretch]:
        def take(words: str, paragraph: str) -> bool:
            if alternates.inside or story.is_busy or tag_of_text:
                return False
            if numbering:
                place = numbering.place_of(paragraph)
                if place is None:
                    return False
                words = _numbered(numbering.number(counts, place), words)
            skim.ready += flow.paragraph(story.locator, words)
            return True

        return read_paragraphs(text, take)

    for facts, events in package.skimmed(part, "</w:p>", "w:", read):
        yield from facts
        for event in events:
            kind, tag, attributes = event
            if (alternates.inside or tag[:3] == "mc:") and alternates.hides(event):
                continue
            if kind == DATA:
                if tag_of_text:
                    story.add(tag_of_text, tag)
            elif kind == START:
                if "w:author" in attributes:
                    changes.note(tag, attributes)
                if tag in _TEXT:
                    tag_of_text = tag
                elif tag == "w:r":
                    story.hidden, story.in_run = False, True
                elif tag == "w:vanish":
                    story.hidden = story.in_run and attributes.get("w:val", "1") not in _OFF
                elif tag in _MARKS and story.in_run:
                    story.add(tag, _MARKS[tag])
                elif tag in _DELETED:
                    story.deleted.append(attributes.get("w:author", ""))
                elif tag == "w:pPrChange":
                    story.changed += 1
                elif tag in _LISTED and not story.changed:
                    note(story.list, tag, attributes)
                elif tag == "w:pStyle" and not story.changed:
                    story.list.style = attributes.get("w:val", "")
                elif tag == "w:rt":
                    story.guide += 1
                elif tag == "w:fldSimple":
                    story.words.setdefault("field code", []).append(attributes.get("w:instr", ""))
                elif tag == "w:txbxContent":
                    boxes += 1
                    outer.append(story)
                    story = _Story(f"{locator} text box {boxes}" if locator != "body" else f"text box {boxes}")
                elif tag in _NOTES and attributes.get("w:type", "normal") == "normal":
                    notes += 1
                    story.locator = f"{_NOTES[tag]} {notes}" + label(attributes.get("w:author", ""), bracketed=True)
                elif tag in _SHAPES:
                    changes.note_shape(attributes)
                    yield from _alternative(flow, attributes, pictures)
            elif tag in _TEXT:
                tag_of_text = ""
            elif tag == "w:p":
                if numbering and (number := numbering.number(counts, story.list)) and story.locator in story.words:
                    story.words[story.locator].insert(0, number + " ")
                story.list = Place()
                yield from _paragraph(flow, story, changes)
            elif tag == "w:r":
                story.in_run = story.hidden = False
            elif tag in _DELETED and story.deleted:
                story.deleted.pop()
            elif tag == "w:pPrChange":
                story.changed = max(0, story.changed - 1)
            elif tag == "w:rt":
                story.guide = max(0, story.guide - 1)
            elif tag == "w:txbxContent" and outer:
                yield from _paragraph(flow, story, changes)
                story = outer.pop()
            elif tag == "w:tc":
                flow.end_cell()
            elif tag == "w:tr":
                flow.end_row()
    for left in (story, *reversed(outer)):
        yield from _paragraph(flow, left, changes)
    yield from flow.flush()


def _numbered(number: str, words: str) -> str:
    return f"{number} {words}" if number and words else words


def _paragraph(flow: Flow, story: _Story, changes: _Changes) -> Iterator[Text]:
    """The paragraph's own text first, then what stands aside of it."""
    words, story.words = story.words, {}
    yield from flow.paragraph(story.locator, "".join(words.pop(story.locator, ())))
    for locator, pieces in words.items():
        text = "".join(pieces)
        if locator == "field code":
            changes.note_code(text)
        yield from flow.paragraph(locator, text)


def _alternative(flow: Flow, attributes: dict[str, str], seen: set[str]) -> Iterator[Text]:
    """Alternative texts of a picture, and its name where that is a file's; each once."""
    name = attributes.get("name", "")
    texts = (attributes.get("title", ""), attributes.get("descr", ""), attributes.get("alt", ""), name * ("." in name))
    for text in texts:
        if text not in seen:
            seen.add(text)
            yield from flow.paragraph("alternative text", text)


def _read_settings(events: Iterator[Event]) -> Iterator[Fact]:
    for kind, tag, attributes in events:
        if kind != START:
            continue
        if tag == "w:docVar":
            yield Text(attributes.get("w:val", ""), f"document variable {label(attributes.get('w:name', ''))}")
        elif tag in ("w:query", "w:connectString"):
            yield Text(attributes.get("w:val", ""), "mail merge")


def _read_people(events: Iterator[Event]) -> Iterator[Field]:
    author = ""
    for kind, tag, attributes in events:
        if kind == START and tag == "person":
            author = attributes.get("author", "")
            if author:
                yield Field("office.person", author)
        elif kind == START and tag == "presenceInfo" and attributes.get("userId", author) != author:
            yield Field("office.person", f"{author} <{attributes['userId']}>")
