"""PowerPoint 97 to 2003 presentations: slides in their order, notes, comments, masters; objects, sounds, pictures.

Source: [MS-PPT] 2.4 (document), 2.5 (slides), 2.9 (text), 2.10 (external objects), 2.4.19 (comments).
What lies in the file from earlier savings is read too, where its text is no longer shown. Of masters only what an
author put there is text: shapes that are no placeholders, headers and footers.
Limits: what an animation shows or hides is not followed; pictures of an encrypted presentation stay closed.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from io import BytesIO
from typing import BinaryIO, ClassVar

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._blips import find_pictures
from indexer.handlers._cfb import MAGIC, WHOLE, compound
from indexer.handlers._flow import Flow
from indexer.handlers._office_lock import found_facts
from indexer.handlers._ole import FIELDS, kind_of, members, read_properties
from indexer.handlers._ppt import DOCUMENT, MASTER, NOTES, SLIDE, Node, Show, walk
from indexer.handlers._vba import read_macros
from indexer.model import Child, Fact, Field, Problem, Text, Timestamp

_CHARS, _BYTES, _TEXT_HEADER, _OUTLINE, _CSTRING = 4000, 4008, 3999, 3998, 4026
_LIST, _PERSIST, _NOTES_ATOM, _SLIDE_INFO, _PLACEHOLDER, _SHAPE = 4080, 1011, 1009, 1017, 3011, 0xF004
_HEADERS, _COMMENT, _COMMENT_ATOM, _LINK, _OBJECT, _SOUND = 4057, 12000, 12001, 4055, 4113, 2023
_DOCUMENT_ATOM = 1001
_SLIDES, _MASTERS, _NOTE_LIST = 0, 1, 2
_KEPT_PLACEHOLDERS = (9, 10)
_HEADER_NAMES = ("date", "header", "footer")
_BREAKS = str.maketrans({"\r": "\n", "\x0b": "\n"})


class Ppt(Handler):
    name = "ppt"
    version = 2
    media_types = ("application/vnd.ms-powerpoint",)
    signatures = (Signature(MAGIC),)
    suffixes = (".ppt", ".pps", ".pot")
    fields: ClassVar[Mapping[str, str]] = {
        **FIELDS,
        "pptx.hidden_slide": "number of a slide that is not shown",
        "ppt.saved_by": "who saved the presentation last, as PowerPoint itself keeps it",
    }
    reads = "slides, notes, comments, masters, earlier text; properties, links, macros, objects, sounds, pictures"
    rank = 24
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if kind_of(stream) == self.name else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        held = compound(stream)
        yield from read_properties(held)
        taken = {"powerpoint document", "current user", "pictures"}
        data = held.read(held.get("PowerPoint Document"))
        show = Show(data, held.read(held.get("Current User"), 1 << 16))
        if show.user:
            yield Field("ppt.saved_by", show.user)
        try:
            yield from _open(show, stream)
            yield from _Reading(show).read()
        except EvidenceError as error:
            yield error.problem("", "the rest was read")
        if not show.encrypted:
            yield from find_pictures(held.read(held.get("Pictures")), "Pictures")
        yield from read_macros(held, taken)
        yield from members(held, lambda key: key in taken)
        yield from held.problems


def _open(show: Show, stream: Stream) -> Iterator[Fact]:
    """Decrypts the presentation where it is encrypted.

    Raises:
        EvidenceError: if no password opens it.
    """
    if not show.encrypted:
        return
    lock = show.lock()
    found = lock.find(stream.passwords)
    if not found:
        raise EvidenceError("encrypted", f"{lock.method}, no given password opens it")
    yield from found_facts(lock, found[1])
    show.decrypt(lock, found[0])


class _Reading:
    """The reading of one presentation: what was given out already, and what each list says."""

    def __init__(self, show: Show) -> None:
        self.show = show
        self.data = show.data
        self._seen: set[str] = set()
        self._only_new = False
        self._read: set[int] = set()
        self._links: dict[str, None] = {}
        self._objects = 0

    def read(self) -> Iterator[Fact]:
        document = self.show.node(self.show.document)
        if document is None or document.kind != DOCUMENT:
            document = next((node for node in self.show.top() if node.kind == DOCUMENT), None)
        if self.show.fault or document is None:
            fault = self.show.fault or "there is no document record"
            yield Problem("corrupt", fault, resolution="records read as they lie in the file")
        if document:
            self._read.add(document.start)
            yield from self._read_document(document)
        for node in self.show.top():
            if node.kind == _OBJECT:
                self._objects += 1
                yield self._object(node)
            elif node.kind in (SLIDE, NOTES, MASTER, DOCUMENT) and node.start not in self._read:
                self._only_new = True
                yield from self._texts(node, "earlier text", [], is_master=node.kind == MASTER)
        for link in self._links:
            yield Field("office.link", link)

    def _read_document(self, document: Node) -> Iterator[Fact]:
        lists: dict[int, list[tuple[int, int, list[str]]]] = {_SLIDES: [], _MASTERS: [], _NOTE_LIST: []}
        where = -1
        frames = (0, 0)
        sounds = 0
        named: list[tuple[str, str]] = []
        for node in walk(self.data, document.start, document.end):
            if node.kind == _LIST:
                where = -1 if node.ends or node.instance not in lists else node.instance
            elif node.kind == _PERSIST and where >= 0:
                number, slide = struct.unpack_from("<I8xI", self._body(node).ljust(16, b"\0"))
                lists[where].append((number, slide, []))
            elif node.kind == _TEXT_HEADER and where >= 0 and lists[where]:
                lists[where][-1][2].append("")
            elif node.kind in (_CHARS, _BYTES) and where >= 0 and lists[where] and lists[where][-1][2]:
                lists[where][-1][2][-1] += self._text(node)
            elif node.kind == _HEADERS and not node.ends:
                named += self._named(node)
            elif node.kind == _LINK and not node.ends:
                self._link(node)
            elif node.kind == _DOCUMENT_ATOM:
                frames = struct.unpack_from("<II", self._body(node).ljust(32, b"\0"), 24)
            elif node.kind == _SOUND and not node.holds:
                sounds += 1
                name = f"sound {sounds}.wav"
                yield Child(name, name.encode(), partial(BytesIO, self._body(node)))
        yield from self._read_slides(lists)
        for name, number in zip(("notes master", "handout master"), frames, strict=True):
            if frame := self.show.node(number):
                self._read.add(frame.start)
                yield from self._texts(frame, name, [], is_master=True)
        for name, text in dict.fromkeys(named):
            yield Text(text, name)

    def _read_slides(self, lists: dict[int, list[tuple[int, int, list[str]]]]) -> Iterator[Fact]:
        notes: dict[int, Node] = {}
        for number, _, _ in lists[_NOTE_LIST]:
            if (node := self.show.node(number)) and node.kind == NOTES:
                atom = next((each for each in walk(self.data, node.start, node.end) if each.kind == _NOTES_ATOM), None)
                notes[int.from_bytes(self._body(atom)[:4], "little") if atom else 0] = node
        for place, (number, slide, outline) in enumerate(lists[_SLIDES], 1):
            node = self.show.node(number)
            if node and node.kind == SLIDE:
                self._read.add(node.start)
                yield from self._texts(node, f"slide {place}", outline, place=place)
            else:
                yield Text("\n".join(outline).translate(_BREAKS), f"slide {place}")
            if noted := notes.pop(slide, None):
                self._read.add(noted.start)
                yield from self._texts(noted, f"slide {place} notes", [])
        for noted in notes.values():
            self._read.add(noted.start)
            yield from self._texts(noted, "notes", [])
        for place, (number, _, outline) in enumerate(lists[_MASTERS], 1):
            if (node := self.show.node(number)) and node.start not in self._read:
                self._read.add(node.start)
                yield from self._texts(node, f"master {place}", outline, is_master=True)

    def _texts(
        self, top: Node, locator: str, outline: list[str], *, is_master: bool = False, place: int = 0
    ) -> Iterator[Fact]:
        """The texts of a slide's shapes, and what else it says."""
        flow = Flow()
        used: set[int] = set()
        words: list[str] = []
        placeholder = -1
        comments = 0
        for node in walk(self.data, top.start, top.end):
            if node.kind == _SHAPE:
                if node.ends and not (is_master and placeholder not in (-1, *_KEPT_PLACEHOLDERS)):
                    yield from self._give(flow, locator, words)
                words, placeholder = [], -1
            elif node.kind in (_CHARS, _BYTES):
                words.append(self._text(node))
            elif node.kind == _OUTLINE:
                index = int.from_bytes(self._body(node)[:4], "little")
                if index < len(outline):
                    used.add(index)
                    words.append(outline[index])
            elif node.kind == _PLACEHOLDER and node.end - node.start >= 5:
                placeholder = self.data[node.start + 4]
            elif node.kind == _SLIDE_INFO and place and node.end - node.start >= 12 and self.data[node.start + 10] & 4:
                yield Field("pptx.hidden_slide", place)
            elif node.kind == _HEADERS and not node.ends:
                for name, text in self._named(node):
                    yield from self._give(flow, f"{locator} {name}", [text])
            elif node.kind == _COMMENT and not node.ends:
                comments += 1
                yield from self._comment(flow, node, f"{locator} comment {comments}")
        yield from self._give(flow, locator, words)
        for index, text in enumerate(outline):
            if index not in used:
                yield from self._give(flow, locator, [text])
        yield from flow.flush()

    def _give(self, flow: Flow, locator: str, words: list[str]) -> Iterator[Text]:
        for word in words:
            text = word.translate(_BREAKS).strip("\0")
            if not (self._only_new and text in self._seen):
                self._seen.add(text)
                yield from flow.paragraph(locator, text)

    def _body(self, node: Node) -> bytes:
        return self.data[node.start : node.end]

    def _text(self, node: Node) -> str:
        body = self._body(node)
        return body.decode("latin-1") if node.kind == _BYTES else body[: len(body) & ~1].decode("utf-16-le", "replace")

    def _strings(self, top: Node) -> dict[int, str]:
        """The texts directly named in a record, by their instance."""
        found: dict[int, str] = {}
        for node in walk(self.data, top.start, top.end):
            if node.kind == _CSTRING:
                body = self._body(node)
                found.setdefault(node.instance, body[: len(body) & ~1].decode("utf-16-le", "replace").strip("\0"))
        return found

    def _named(self, top: Node) -> list[tuple[str, str]]:
        held = self._strings(top)
        return [(_HEADER_NAMES[number], text) for number, text in sorted(held.items()) if number < 3 and text.strip()]

    def _link(self, top: Node) -> None:
        target = self._strings(top).get(1, "")
        if target:
            self._links[target] = None

    def _comment(self, flow: Flow, top: Node, locator: str) -> Iterator[Fact]:
        held = self._strings(top)
        yield from self._give(flow, locator + (f" ({held[0]})" if held.get(0) else ""), [held.get(1, "")])
        for node in walk(self.data, top.start, top.end):
            if node.kind == _COMMENT_ATOM and node.end - node.start >= 20:
                year, month, _, day, hour, minute, second, _ = struct.unpack_from("<8H", self.data, node.start + 4)
                try:
                    at = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
                except ValueError:
                    continue
                yield Timestamp("commented", at, "office.comment", 1.0, zone_known=False)

    def _object(self, node: Node) -> Child:
        name = f"object {self._objects}.ole"
        return Child(name, name.encode(), partial(_open_object, self._body(node), packed=node.instance == 1))


def _open_object(body: bytes, *, packed: bool) -> BinaryIO:
    """An embedded object: a compound file, perhaps deflated behind its size."""
    if not packed:
        return BytesIO(body)
    unpacker = zlib.decompressobj()
    try:
        plain = unpacker.decompress(body[4:], WHOLE)
    except zlib.error as error:
        raise EvidenceError("corrupt", f"deflate: {error}") from error
    if unpacker.unconsumed_tail:
        raise EvidenceError("limit", f"more than {WHOLE} bytes in one object")
    return BytesIO(plain)
