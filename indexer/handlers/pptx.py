"""PowerPoint presentations: slides in their order, notes, comments, masters, charts, diagrams.

Source: ECMA-376 part 1, chapter 19 (PresentationML) and 20 (DrawingML); [MS-PPTX] 2.5 (modern comments).
Of masters and layouts only what an author put there is text: shapes that are no placeholders, headers
and footers; not the prompts of placeholders, page numbers and dates.
Limits: what an animation shows or hides is not followed; list numbers are not worked out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from indexer.handler import Handler, Signature, Stream
from indexer.handlers._drawingml import SKIPPED, read_graphics, read_shapes, read_vml, skip_kinds
from indexer.handlers._flow import label
from indexer.handlers._ooxml import FIELDS, Package, changed_at, claimed, media_types, number_of, read_properties
from indexer.handlers._parts import DATA, END, START
from indexer.model import Fact, Field, Text

_STYLING = {"presprops", "viewprops", "tablestyles", "changesinfo", "revisioninfo"}
_FRAMES = {"slidemaster": "master", "slidelayout": "layout", "notesmaster": "notes master"}
_FRAMES["handoutmaster"] = "handout master"
_COMMENTS = {"p:cm", "cm", "reply"}


class Pptx(Handler):
    name = "pptx"
    version = 2
    media_types = media_types("pptx")
    signatures = (Signature(b"PK\3\4"),)
    suffixes = (".pptx", ".pptm", ".ppsx", ".ppsm", ".potx", ".potm", ".ppam")
    fields: ClassVar[Mapping[str, str]] = {**FIELDS, "pptx.hidden_slide": "number of a slide that is not shown"}
    reads = "slides with tables, notes, comments, masters, charts, diagrams; properties, links, members"
    rank = 30
    container = True

    def claims(self, stream: Stream) -> str | None:
        return claimed(stream, self.name)

    def read(self, stream: Stream) -> Iterator[Fact]:
        package = Package(stream)
        yield from read_properties(package)
        authors = _read_authors(package)
        for number, part in enumerate(_slides(package), 1):
            yield from _read_slide(package, part, number, authors)
        repeated: set[str] = set()
        for kind, word in _FRAMES.items():
            for part in package.of_kind(kind):
                for text in read_shapes(package.events(part), f"{word} {number_of(part)}", prompts=False):
                    if text.body not in repeated:
                        repeated.add(text.body)
                        yield text
        yield from read_graphics(package)
        yield from package.links()
        if package.has_macros:
            yield Field("office.macros", True)
        skip_kinds(package, _STYLING | SKIPPED)
        yield from package.parts.members()
        yield from package.parts.problems


def _slides(package: Package) -> list[str]:
    """The slides in the order of the presentation, then those that it does not list."""
    main = package.main()
    targets = {relation.id: relation.target for relation in package.relations(main)}
    listed = [
        targets.get(attributes.get("r:id", ""), "")
        for kind, tag, attributes in package.events(main)
        if kind == START and tag == "p:sldId"
    ]
    found = [part for part in dict.fromkeys(listed) if part in package.parts]
    return found + [part for part in package.of_kind("slide") if part not in found]


def _read_authors(package: Package) -> dict[str, str]:
    authors = {}
    for part in package.of_kind("commentauthors", "authors"):
        for kind, tag, attributes in package.events(part):
            if kind == START and tag in ("p:cmAuthor", "author"):
                authors[attributes.get("id", "")] = attributes.get("name", "")
    return authors


def _read_slide(package: Package, part: str, number: int, authors: dict[str, str]) -> Iterator[Fact]:
    hidden = False

    def watched() -> Iterator[tuple[int, str, dict[str, str]]]:
        nonlocal hidden
        for event in package.events(part):
            if event[0] == START and event[1] == "p:sld":
                hidden = event[2].get("show", "1") in ("0", "false")
            yield event

    yield from read_shapes(watched(), f"slide {number}")
    if hidden:
        yield Field("pptx.hidden_slide", number)
    for relation in package.relations(part):
        if relation.kind == "notesslide":
            yield from read_shapes(package.events(relation.target), f"slide {number} notes")
        elif relation.kind.startswith("comment"):
            yield from _read_comments(package, relation.target, number, authors)
        elif relation.kind == "vmldrawing":
            yield from read_vml(package.events(relation.target), f"slide {number}")


def _read_comments(package: Package, part: str, number: int, authors: dict[str, str]) -> Iterator[Fact]:
    """Comments of both kinds: the older hold plain text, the newer paragraphs, and replies inside of them."""
    count = 0
    open_ones: list[tuple[str, list[str]]] = []
    in_text = False
    for kind, tag, attributes in package.events(part):
        if kind == DATA:
            if in_text and open_ones:
                open_ones[-1][1].append(tag)
        elif kind == START:
            in_text = tag in ("p:text", "a:t")
            if tag in _COMMENTS:
                count += 1
                author = authors.get(attributes.get("authorId", ""), "")
                open_ones.append((f"slide {number} comment {count}{label(author, bracketed=True)}", []))
                when = attributes.get("dt", attributes.get("created", ""))
                yield from changed_at("commented", when, "office.comment")
        elif kind == END:
            in_text = False
            if tag == "a:p" and open_ones:
                open_ones[-1][1].append("\n")
            elif tag in _COMMENTS and open_ones:
                locator, text = open_ones.pop()
                yield Text("".join(text).strip(), locator)
