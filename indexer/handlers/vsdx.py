"""Visio drawings in Office Open XML: pages with shapes and their data, comments, masters.

Source: [MS-VSDX] 2.2 (parts), 2.3 (elements: Page, Shape, Text, Section Property, CommentEntry).
A shape without text of its own shows its master's: the words of masters come once, at the end.
Limits: where a shape stands, connections, and formulas are not told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from indexer.handler import Handler, Signature, Stream
from indexer.handlers._drawingml import SKIPPED, skip_kinds
from indexer.handlers._flow import Flow, label
from indexer.handlers._ooxml import FIELDS, Package, changed_at, claimed, media_types, read_properties
from indexer.handlers._parts import DATA, END, START
from indexer.model import Fact, Field, Text


class Vsdx(Handler):
    name = "vsdx"
    version = 2
    media_types = media_types("vsdx")
    signatures = (Signature(b"PK\3\4"),)
    suffixes = (".vsdx", ".vsdm", ".vstx", ".vstm", ".vssx", ".vssm")
    fields: ClassVar[Mapping[str, str]] = {**FIELDS, "visio.page": "name of a page"}
    reads = "text of shapes by page, shape data, comments, masters; properties, links, members"
    rank = 30
    container = True

    def claims(self, stream: Stream) -> str | None:
        return claimed(stream, self.name)

    def read(self, stream: Stream) -> Iterator[Fact]:
        package = Package(stream)
        yield from read_properties(package)
        pages = _listed(package, "pages", "Page")
        for number, (part, (_, name)) in enumerate(pages.items(), 1):
            if name:
                yield Field("visio.page", name)
            yield from _read_shapes(package, part, f"page {number}{label(name, bracketed=True)}")
        yield from _read_comments(package, {key: number for number, (key, _) in enumerate(pages.values(), 1)})
        repeated: set[str] = set()
        for part, (_, name) in _listed(package, "masters", "Master").items():
            for text in _read_shapes(package, part, f"master{label(name, bracketed=True)}"):
                if text.body not in repeated:
                    repeated.add(text.body)
                    yield text
        yield from package.links()
        if package.has_macros:
            yield Field("office.macros", True)
        skip_kinds(package, {"windows", "document", "theme", "main", "validation"} | SKIPPED)
        yield from package.parts.members()
        yield from package.parts.problems


def _listed(package: Package, kind: str, tag: str) -> dict[str, tuple[str, str]]:
    """Part -> id and name, in the order of the list; parts that no list names come last."""
    found: dict[str, tuple[str, str]] = {}
    for part in package.of_kind(kind):
        targets = {relation.id: relation.target for relation in package.relations(part)}
        held = ("", "")
        for event, name, attributes in package.events(part):
            if event == START and name == tag:
                held = (attributes.get("ID", ""), attributes.get("Name") or attributes.get("NameU", ""))
            elif event == START and name == "Rel" and (target := targets.get(attributes.get("r:id", ""))):
                found[target] = held
    for part in package.of_kind(tag.lower()):
        found.setdefault(part, ("", ""))
    return found


def _read_shapes(package: Package, part: str, locator: str) -> Iterator[Text]:
    """The words of the shapes, and below each its data as `label: value`."""
    flow = Flow()
    words: list[str] | None = None
    in_data, row = False, dict[str, str]()
    for kind, tag, attributes in package.events(part):
        if kind == DATA:
            if words is not None:
                words.append(tag)
        elif kind == START:
            if tag == "Text":
                words = []
            elif tag == "Section":
                in_data = attributes.get("N") == "Property"
            elif tag == "Row":
                row = {"Label": attributes.get("N", "")}
            elif tag == "Cell" and in_data and attributes.get("V"):
                row[attributes.get("N", "")] = attributes["V"]
        elif kind == END and tag == "Text" and words is not None:
            yield from flow.paragraph(locator, "".join(words).strip())
            words = None
        elif kind == END and tag == "Row" and in_data and row.get("Value"):
            yield from flow.paragraph(locator, f"{row['Label']}: {row['Value']}")
            row = {}
        elif kind == END and tag == "Section":
            in_data = False
    yield from flow.flush()


def _read_comments(package: Package, pages: dict[str, int]) -> Iterator[Fact]:
    authors: dict[str, str] = {}
    held: dict[str, str] = {}
    words: list[str] = []
    for part in package.of_kind("comments"):
        for kind, tag, attributes in package.events(part):
            if kind == DATA:
                words.append(tag)
            elif kind == START and tag == "AuthorEntry":
                authors[attributes.get("ID", "")] = attributes.get("Name", "")
            elif kind == START and tag == "CommentEntry":
                held, words = attributes, []
            elif kind == END and tag == "CommentEntry":
                author = authors.get(held.get("AuthorID", ""), "")
                page = pages.get(held.get("PageID", ""))
                place = f"page {page} comment" if page else "comment"
                yield from changed_at("commented", held.get("Date", ""), "office.comment")
                yield Text("".join(words).strip(), f"{place}{label(author, bracketed=True)}")
