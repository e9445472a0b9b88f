"""What the XML files of Office 2003 share: their properties.

Source: Microsoft Office 2003 XML Reference Schemas (urn:schemas-microsoft-com:office:office).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from indexer.handler import Stream
from indexer.limits import KIB
from indexer.model import Fact, Field
from indexer.timestamps import from_iso

OFFICE_SPACES: Final = {"urn:schemas-microsoft-com:office:office": "o"}
_PIECE: Final = 64 * KIB
_NAMES: Final = {
    "o:Title": "title", "o:Subject": "subject", "o:Author": "creator", "o:Keywords": "keywords",
    "o:Description": "description", "o:LastAuthor": "last_modified_by", "o:Revision": "revision",
    "o:AppName": "application", "o:TotalTime": "edit_minutes", "o:Pages": "pages", "o:Words": "words",
    "o:Characters": "characters", "o:CharactersWithSpaces": "characters_with_spaces", "o:Category": "category",
    "o:Manager": "manager", "o:Company": "company", "o:HyperlinkBase": "hyperlink_base", "o:Lines": "lines",
    "o:Paragraphs": "paragraphs", "o:Version": "app_version", "o:Template": "template",
}  # fmt: skip
_TIMES: Final = {
    "o:Created": ("B", "office.created"),
    "o:LastSaved": ("M", "office.modified"),
    "o:LastPrinted": ("printed", "office.last_printed"),
}
_COUNTS: Final = ("revision", "edit_minutes", "pages", "words", "characters", "characters_with_spaces", "lines")
_CODED: Final = re.compile(r"_x([0-9A-Fa-f]{4})_")


class Properties:
    """The properties of a document, element by element."""

    def __init__(self) -> None:
        self._within = ""
        self._text: list[str] = []

    def start(self, tag: str) -> None:
        """An element begins."""
        if tag in ("o:DocumentProperties", "o:CustomDocumentProperties"):
            self._within = tag
        self._text = []

    def text(self, text: str) -> None:
        """The text of an element."""
        if self._within:
            self._text.append(text)

    def end(self, tag: str) -> Iterator[Fact]:
        """An element ends: what it said."""
        if tag == self._within:
            self._within = ""
        value, self._text = "".join(self._text).strip(), []
        if not self._within or not value:
            return
        if self._within == "o:CustomDocumentProperties":
            name = _CODED.sub(lambda found: chr(int(found[1], 16)), tag.removeprefix("o:"))
            yield Field(f"office.custom.{name}", value)
        elif tag in _TIMES and (stamp := from_iso(*_moment(tag, value))):
            yield stamp
        elif tag in _NAMES:
            counted = _NAMES[tag] in _COUNTS and value.isascii() and value.isdigit() and len(value) < 16
            yield Field(f"office.{_NAMES[tag]}", int(value) if counted else value)


def _moment(tag: str, value: str) -> tuple[str, str, str]:
    kind, origin = _TIMES[tag]
    return kind, value, origin


def pieces_of(stream: Stream) -> Iterator[bytes]:
    """The bytes of a file, piece by piece."""
    at = 0
    while piece := stream.at(at, _PIECE):
        at += len(piece)
        yield piece
