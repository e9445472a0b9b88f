"""Documents of Pages, Numbers and Keynote: their words and cells, comments, authors; previews as members.

Source: for files since 2013 the published descriptions of the IWA format (see `_iwa`); before, the XML of
index.xml and index.apxl as iWork '09 wrote it (Apple, "iWork Programming Guide", 2005, for the vocabulary).
Limits: formats of numbers, formulas, the order of text boxes on a page; shared documents kept by iCloud in parts;
documents behind a password.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from indexer.handler import Handler, Signature, Stream
from indexer.handlers._cells import one_line, row_texts
from indexer.handlers._flow import Flow, label
from indexer.handlers._iwa import (
    AUTHOR,
    COMMENT,
    STORAGES,
    Held,
    fields,
    first_kind,
    objects,
    string,
    tables,
    unpacked,
)
from indexer.handlers._parts import DATA, END, START, Parts, read_directory, unpack_entry
from indexer.handlers._snappy import Wrong
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem
from indexer.timestamps import from_iso

_KINDS = {"pages": "application/vnd.apple.pages", "numbers": "application/vnd.apple.numbers"}
_KINDS |= {"keynote": "application/vnd.apple.keynote", "iwork": "application/vnd.apple.iwork"}
_SPACES = {
    "http://developer.apple.com/namespaces/sfa": "sfa",
    "http://developer.apple.com/namespaces/sf": "sf",
    "http://developer.apple.com/namespaces/sl": "sl",
    "http://developer.apple.com/namespaces/ls": "ls",
    "http://developer.apple.com/namespaces/keynote2": "key",
}
_PASSWORDS = (".iwph", ".iwpv2", ".iwpv")
_LOCKED_METHOD = 0x636C
"""A method of the archive that says: encrypted by the program."""
_PART = 64 * MIB
_ALL = 512 * MIB
"""Bytes that all archives of a document may unpack to: its pictures are not among them."""
_SKIPPED = frozenset(("sl:section-prototypes", "sl:stylesheet", "sf:stylesheet", "sf:style-ref", "key:stylesheet"))
_PLACES = ("key:slide", "key:master-slide", "key:notes", "ls:workspace", "sf:header", "sf:footer", "sf:annotation")
_META = ("authors", "title", "keywords", "comment", "copyright", "projects", "subject")
_TIMES = {"SLCreationDateProperty": "B", "SLLastModifiedDateProperty": "M", "last-modified": "M"}
_MARKS = str.maketrans({"\ufffc": "", "\u2028": "\n", "\u2029": "\n"})


class Iwork(Handler):
    name = "iwork"
    version = 2
    media_types = tuple(_KINDS.values())
    signatures = (Signature(b"PK\3\4"),)
    suffixes = (".pages", ".numbers", ".key")
    fields: ClassVar[Mapping[str, str]] = {
        "iwork.author": "author of comments or of the document",
        "iwork.table": "name of a table",
        **{f"iwork.{name}": f"{name} as the document's properties say" for name in _META if name != "authors"},
        "archive.comment": "comment of the part in the archive",
    }
    reads = "text, tables cell by cell, notes, comments, authors; previews, pictures and other parts as members"
    needs = ("lxml", "cramjam")
    rank = 34
    container = True

    def claims(self, stream: Stream) -> str | None:
        directory = read_directory(stream)
        if (at := directory.find(b"Index/Document.iwa")) >= 0:
            return _KINDS[_program(unpack_entry(stream, directory, at), directory)]
        if b"index.apxl" in directory:
            return _KINDS["keynote"]
        if (at := directory.find(b"index.xml")) < 0 or b"buildVersionHistory.plist" not in directory:
            return None
        head = unpack_entry(stream, directory, at)[:1024]
        program = "pages" if b"<sl:document" in head else "numbers" if b"<ls:document" in head else "iwork"
        return _KINDS[program]

    def read(self, stream: Stream) -> Iterator[Fact]:
        parts = Parts(stream)
        locked = any(name.endswith(_PASSWORDS) for name in parts.names)
        for info in parts.infos:
            if info.compress_type == _LOCKED_METHOD:
                parts.lock(info.filename)
                locked = True
        archives = [name for name in parts.names if name.endswith(".iwa")]
        old = next((name for name in ("index.xml", "index.apxl") if name in parts), "")
        if locked:
            yield Problem("encrypted", "protected by a password", resolution="the previews were read")
        elif old:
            yield from _Tree().read(parts, old)
        else:
            yield from _read_archives(parts, archives)
        for name in archives:
            parts.take(name)
        yield from parts.members()
        yield from parts.problems


def _program(data: bytes, directory: bytes) -> str:
    try:
        kind = first_kind(next(unpacked(data), b""))
    except Wrong:
        return "iwork"
    if kind == 10000:
        return "pages"
    return "keynote" if b"Index/Slide" in directory or b"Index/MasterSlide" in directory else "numbers"


def _read_archives(parts: Parts, names: list[str]) -> Iterator[Fact]:
    """Words by archive, then tables; an archive of a slide gives its name to the place."""
    held: dict[int, Held] = {}
    in_tables: set[str] = set()
    places: dict[int, str] = {}
    room = _ALL
    for name in names:
        data = bytearray()
        try:
            for block in unpacked(parts.read(name, _PART)):
                data += block
                room -= len(block)
                if room < 0:
                    break
        except Wrong as error:
            yield Problem("corrupt", f"{name}: {error}", resolution="read up to there")
        if room < 0:
            yield Problem("limit", f"archives that unpack to more than {_ALL} bytes", resolution="read up to there")
            break
        place = name.rpartition("/")[2].removesuffix(".iwa")
        for each in objects(bytes(data)):
            held[each.number] = each
            places[each.number] = place
    sheets = list(tables(held))
    for sheet in sheets:
        in_tables.update(text for _, cells in sheet.rows for _, text in cells)
    flow = Flow()
    for each in held.values():
        message = fields(each.data)
        if each.kind in STORAGES:
            text = string(message, 3).translate(_MARKS).strip()
            if text and text not in in_tables:
                yield from flow.paragraph(places[each.number], text)
        elif each.kind == COMMENT:
            yield from flow.paragraph("comments", string(message, 1))
        elif each.kind == AUTHOR and (author := string(message, 1)):
            yield Field("iwork.author", author)
    yield from flow.flush()
    for sheet in sheets:
        name = one_line(sheet.name) or "table"
        yield Field("iwork.table", name)
        for row, cells in sheet.rows:
            yield from row_texts(label(name), row, cells)


class _Tree:
    """The XML of iWork '09, walked once."""

    def __init__(self) -> None:
        self.flow = Flow()
        self.words: list[str] = []
        self.skipping = self.paragraphs = self.slides = self.masters = 0
        self.places = ["body"]
        self.info = ""

    def read(self, parts: Parts, name: str) -> Iterator[Fact]:
        for kind, tag, held in parts.events(name, _SPACES):
            if kind == DATA:
                if self.paragraphs and not self.skipping:
                    self.words.append(tag)
            elif kind == START:
                yield from self._start(tag, held)
            elif kind == END:
                yield from self._end(tag)
        yield from self.flow.flush()

    def _start(self, tag: str, held: dict[str, str]) -> Iterator[Fact]:
        local = tag.rpartition(":")[2]
        if tag in _SKIPPED:
            self.skipping += 1
        elif tag == "sf:p":
            self.paragraphs, self.words = self.paragraphs + 1, []
        elif tag in ("sf:br", "sf:lnbr", "sf:crbr"):
            self.words.append("\n")
        elif tag == "sf:tab":
            self.words.append("\t")
        elif tag == "sf:ct" and held.get("sfa:s"):
            yield from self.flow.paragraph(self.places[-1], held["sfa:s"])
        elif tag == "sf:n" and held.get("sf:v"):
            yield from self.flow.paragraph(self.places[-1], held["sf:v"])
        elif tag == "sf:tabular-model" and held.get("sf:name"):
            yield Field("iwork.table", held["sf:name"])
        elif place := self._place(tag, held):
            self.places.append(place)
        elif local in _META or local in _TIMES:
            self.info = local
        elif local in ("string", "date", "number") and self.info:
            value = held.get("sfa:string") or held.get("sf:val") or held.get("sl:val") or ""
            yield from self._property(value)

    def _place(self, tag: str, held: dict[str, str]) -> str:
        if tag == "key:slide":
            self.slides += 1
            return f"slide {self.slides}"
        if tag == "key:master-slide":
            self.masters += 1
            return f"master {self.masters}"
        if tag == "key:notes":
            return f"{self.places[-1]} notes"
        if tag == "ls:workspace":
            return f"sheet{label(held.get('ls:workspace-name', ''), bracketed=True)}"
        return {"sf:header": "header", "sf:footer": "footer", "sf:annotation": "comment"}.get(tag, "")

    def _property(self, value: str) -> Iterator[Fact]:
        if not value:
            return
        if kind := _TIMES.get(self.info):
            if stamp := from_iso(kind, value, f"iwork.{self.info}"):
                yield stamp
        else:
            yield Field("iwork.author" if self.info == "authors" else f"iwork.{self.info}", value)

    def _end(self, tag: str) -> Iterator[Fact]:
        if tag in _SKIPPED:
            self.skipping -= 1
        elif tag == "sf:p" and self.paragraphs:
            self.paragraphs -= 1
            yield from self.flow.paragraph(self.places[-1], "".join(self.words).strip())
            self.words = []
        elif tag == "sf:tr":
            self.flow.end_row()
        elif tag in _PLACES:
            self.places = self.places[:-1] or ["body"]
        elif tag.rpartition(":")[2] == self.info:
            self.info = ""
