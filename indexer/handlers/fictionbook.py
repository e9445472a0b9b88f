"""FictionBook: the book's text by section, notes, what the description says, pictures as members.

Source: FictionBook 2.1 schema (FictionBook2.1.xsd): description, body, binary.
Limits: styles and the marks of emphasis are not told; books of version 3 (zip) come as their members.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import BinaryIO, ClassVar, cast

from indexer.handler import Handler, Stream
from indexer.handlers._flow import Flow, label
from indexer.handlers._parts import DATA, END, START, XmlReader
from indexer.limits import MIB
from indexer.model import Child, Fact, Field, Problem
from indexer.timestamps import from_iso

_START = re.compile(rb"<(?:[\w.-]{1,20}:)?FictionBook[\s>]")
_PIECE = MIB // 4
_SIMPLE = {
    "genre": "genre",
    "book-title": "title",
    "keywords": "keywords",
    "lang": "language",
    "src-lang": "source_language",
    "program-used": "program",
    "src-url": "source_url",
    "src-ocr": "source_ocr",
    "id": "id",
    "version": "version",
    "book-name": "printed_title",
    "publisher": "publisher",
    "city": "city",
    "year": "year",
    "isbn": "isbn",
}
_PEOPLE = {"author": "author", "translator": "translator"}
_NAMES = ("first-name", "middle-name", "last-name", "nickname", "home-page", "email")
_INFOS = ("title-info", "src-title-info", "document-info", "publish-info", "custom-info")
_LINES = frozenset(("p", "v", "subtitle", "text-author", "td", "th", "date"))


class FictionBook(Handler):
    name = "fictionbook"
    version = 2
    media_types = ("application/x-fictionbook+xml",)
    suffixes = (".fb2",)
    holds = b"<"
    fields: ClassVar[Mapping[str, str]] = {
        "fb2.author": "author of the book",
        "fb2.translator": "translator",
        "fb2.maker": "who made the file",
        **{f"fb2.{name}": f"{name.replace('_', ' ')} as the description says" for name in _SIMPLE.values()},
        "fb2.sequence": "series that the book belongs to, with its number",
        "fb2.date": "date of the book or of the file, as it was typed",
    }
    reads = "text by section, notes, annotation, description; pictures as members"
    needs = ("lxml",)
    rank = 57
    container = True

    def claims(self, stream: Stream) -> str | None:
        head = stream.head[:4096]
        if b"\0" in head[:4]:
            head = head.replace(b"\0", b"")
        return (
            self.media_types[0]
            if _START.search(head) and head.lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")[:1] == b"<"
            else None
        )

    def read(self, stream: Stream) -> Iterator[Fact]:
        reader = XmlReader({"http://www.w3.org/1999/xlink": "l"})
        yield from _Book().read(reader, stream)
        if reader.fault:
            yield Problem("corrupt", reader.fault, resolution="read as far as it can be made out")


def _pieces(stream: Stream) -> Iterator[bytes]:
    at = 0
    while piece := stream.at(at, _PIECE):
        at += len(piece)
        yield piece


class _Book:
    """Where in the book the reader stands, and what it holds of the element around it."""

    def __init__(self) -> None:
        self.flow = Flow()
        self.words: list[str] = []
        self.part = ""
        self.person: dict[str, str] | None = None
        self.sections = 0
        self.locator = ""
        self.binary = ("", "")

    def read(self, reader: XmlReader, stream: Stream) -> Iterator[Fact]:
        for kind, tag, held in reader.events(_pieces(stream)):
            if kind == DATA:
                self.words.append(tag)
            elif kind == START:
                yield from self._start(tag, held)
            elif kind == END:
                yield from self._end(tag)
        yield from self.flow.paragraph(self.locator, "".join(self.words) if self.part == "body" else "")
        yield from self.flow.flush()

    def _start(self, tag: str, held: dict[str, str]) -> Iterator[Fact]:
        if tag in _INFOS:
            self.part = tag
        elif tag == "body":
            self.part, self.sections = "body", 0
            self.locator = f"body{label(held.get('name', ''), bracketed=True)}"
        elif tag == "annotation":
            self.locator = "annotation"
        elif tag == "section":
            if self.part == "body" and self.locator.startswith(("body", "section")):
                self.sections += 1
                self.locator = f"section {self.sections}" + self.locator[self.locator.find(" (") :] * (
                    " (" in self.locator
                )
        elif tag == "binary":
            self.binary = (held.get("id", ""), held.get("content-type", ""))
            self.part = tag
        elif tag in _PEOPLE and self.part.endswith("info"):
            self.person = {}
        elif tag == "sequence" and held.get("name"):
            number = held.get("number", "")
            yield Field("fb2.sequence", f"{held['name']} {number}".strip())
        elif tag == "date" and self.part == "document-info":
            stamp = from_iso("B", held.get("value", ""), "fb2.document-info")
            yield from (stamp,) if stamp else ()
        if tag in _LINES or self.part != "body":
            self.words = []

    def _end(self, tag: str) -> Iterator[Fact]:
        text = "".join(self.words)
        if self.part == "binary":
            if tag == "binary":
                yield from self._picture(text)
                self.part, self.words = "", []
            return
        if tag in _LINES and (self.part == "body" or self.locator == "annotation"):
            self.words = []
            yield from self.flow.paragraph(self.locator, text.strip())
            if tag in ("td", "th"):
                self.flow.end_cell()
            return
        if tag == "tr":
            self.flow.end_row()
        elif tag == "annotation":
            yield from self.flow.flush()
            self.locator = ""
        elif self.part.endswith("info"):
            self.words = []
            yield from self._describe(tag, text.strip())

    def _describe(self, tag: str, text: str) -> Iterator[Fact]:
        if self.person is not None and tag in _NAMES:
            if text:
                self.person[tag] = " ".join(filter(None, (self.person.get(tag), text)))
        elif tag in _PEOPLE and self.person is not None:
            whole = " ".join(self.person[name] for name in _NAMES if name in self.person)
            if whole:
                maker = self.part == "document-info"
                yield Field("fb2.maker" if maker else f"fb2.{_PEOPLE[tag]}", whole)
            self.person = None
        elif tag in _SIMPLE and text:
            yield Field(f"fb2.{_SIMPLE[tag]}", text)
        elif tag == "date" and text:
            yield Field("fb2.date", text)

    def _picture(self, text: str) -> Iterator[Fact]:
        name = self.binary[0] or "binary"
        packed = re.sub(r"\s+", "", text).rstrip("=")
        try:
            # What is missing at the end of the last group of four is no reason to lose the rest.
            data = base64.b64decode(packed[: len(packed) - (len(packed) % 4 == 1)] + "==")
        except (binascii.Error, ValueError):
            yield Problem("corrupt", f"{name[:80]}: not base64", resolution="left out")
            return
        if data:
            yield Child(name, name.encode("utf-8", "surrogatepass"), partial(_open, data))


def _open(data: bytes) -> BinaryIO:
    return cast(BinaryIO, io.BytesIO(data))
