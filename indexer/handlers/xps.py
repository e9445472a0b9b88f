"""XPS documents: text page by page, properties, links; pictures, fonts and the rest as members.

Source: ECMA-388 (OpenXPS), 10 (documents and pages), 12 (text: Glyphs), 13 (FixedPage.NavigateUri).
Words are put together from runs of glyphs by the line they stand on and the room between them.
Limits: text that is drawn as outlines is not read; a page that a program wrote in several pieces is a member.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import ClassVar
from urllib.parse import unquote

from indexer.handler import Handler, Signature, Stream
from indexer.handlers._hidden_fonts import show_named_fonts
from indexer.handlers._ooxml import FIELDS, Package, read_properties
from indexer.handlers._parts import START, read_directory
from indexer.model import Fact, Field, Text

_MARKS = (b".fdseq", b".fpage")
_DESCRIPTIONS = ("AutomationProperties.Name", "AutomationProperties.HelpText")
_GAP = 0.2
"""Room between two runs, in ems, from which on they are two words."""
_GUESS = 50.0
"""Hundredths of an em that a glyph takes where its width is not told."""


class Xps(Handler):
    name = "xps"
    version = 3
    media_types = ("application/vnd.ms-xpsdocument", "application/oxps")
    signatures = (Signature(b"PK\3\4"),)
    suffixes = (".xps", ".oxps")
    fields: ClassVar[Mapping[str, str]] = FIELDS
    reads = "text page by page; properties, links, pictures and other parts as members"
    rank = 34
    container = True

    def claims(self, stream: Stream) -> str | None:
        directory = read_directory(stream)
        return self.media_types[0] if directory and all(mark in directory for mark in _MARKS) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        package = Package(stream)
        yield from read_properties(package)
        links: dict[str, None] = {}
        for number, part in enumerate(_pages(package), 1):
            described: dict[str, None] = {}
            yield Text(_page(package, part, links, described), f"page {number}")
            yield Text("\n".join(described), "alternative text")
        for link in links:
            yield Field("office.link", link)
        for name in package.parts.names:
            if name.endswith((".rels", ".fdoc", ".fdseq", ".struct", ".frag", "[content_types].xml")):
                package.parts.take(name)
        show_named_fonts(package.parts)
        yield from package.parts.members()
        yield from package.parts.problems


def _pages(package: Package) -> list[str]:
    """The pages in the order of the documents, then those that no document lists."""
    found: dict[str, None] = {}
    for name in package.parts.names:
        if not name.endswith(".fdoc"):
            continue
        for kind, tag, attributes in package.events(name):
            if kind == START and tag == "PageContent":
                target = posixpath.join("/" + posixpath.dirname(name), unquote(attributes.get("Source", "")))
                found[posixpath.normpath(target).lstrip("/").lower()] = None
    listed = [name for name in found if name in package.parts]
    return listed + [name for name in package.parts.names if name.endswith(".fpage") and name not in found]


def _page(package: Package, part: str, links: dict[str, None], described: dict[str, None]) -> str:
    """The words of a page: a line end where a run stands on another line; links and descriptions are gathered."""
    pieces: list[str] = []
    line, right = "", 0.0
    for kind, tag, attributes in package.events(part):
        if kind != START:
            continue
        link = attributes.get("FixedPage.NavigateUri", "")
        if ":" in link:
            links[link] = None
        for name in _DESCRIPTIONS:
            if attributes.get(name, "").strip():
                described[attributes[name].strip()] = None
        text = attributes.get("UnicodeString", "").removeprefix("{}")
        if tag != "Glyphs" or not text:
            continue
        size, left = _number(attributes, "FontRenderingEmSize"), _number(attributes, "OriginX")
        if attributes.get("OriginY", "") != line:
            pieces.append("\n" * bool(pieces))
        elif left - right > _GAP * size and pieces and not pieces[-1].endswith(" "):
            pieces.append(" ")
        pieces.append(text)
        line = attributes.get("OriginY", "")
        is_left = _number(attributes, "BidiLevel") % 2
        right = left if is_left else left + size * _width(text, attributes.get("Indices", "")) / 100
    return "".join(pieces)


def _width(text: str, indices: str) -> float:
    """Hundredths of an em that a run takes."""
    told = [index.split(",") for index in indices.split(";")[: len(text)]]
    widths = (_number({"": each[1]}, "") if len(each) > 1 and each[1] else _GUESS for each in told)
    return sum(widths) + _GUESS * (len(text) - len(told))


def _number(attributes: dict[str, str], name: str) -> float:
    try:
        return float(attributes.get(name, "0"))
    except ValueError:
        return 0.0
