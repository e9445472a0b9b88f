"""DjVu: the text layer page by page, outline, metadata, notes on the page, links; size and resolution.

Source: Lizardtech DjVu Reference (version 3, November 2005), chapters 5 to 8 (chunks), 8.3.4 (annotations),
8.3.3 (navigation), 8.3.2 (directory); appendix 4 (BZZ).
Limits: pictures are not decoded, so a page without a text layer gives no words; where words stand on the page;
pages of a document in several files are named, not opened.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from typing import ClassVar, NamedTuple

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _bzz
from indexer.handlers._flow import Flow
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Text
from indexer.timestamps import from_iso

_MOST = 8 * MIB
"""Bytes that one chunk may unpack to: the text of a page has thousands."""
_PACKED = 16 * MIB
_CHUNKS = 200_000
_STRING = r'"((?:[^"\\]|\\.)*+)"'
_METADATA = re.compile(r"\(metadata\s")
_PAIR = re.compile(r"\(([\w.:-]{1,80})\s+" + _STRING + r"\s*\)")
_AREA = re.compile(r"\(maparea\s+(?:\(url\s+)?" + _STRING + r"[^\"()]{0,40}+(?:" + _STRING + ")?")
_ESCAPE = re.compile(r"\\([0-7]{1,3}|.)", re.DOTALL)
_SIMPLE = {"n": "\n", "t": "\t", "r": "\r"}
_DATES = {"creationdate": "B", "moddate": "M"}


class _Chunk(NamedTuple):
    """One chunk: where its content lies, and in which form."""

    name: bytes
    form: bytes
    start: int
    size: int


class Djvu(Handler):
    name = "djvu"
    media_types = ("image/vnd.djvu", "image/x-djvu", "image/x.djvu", "image/vnd.djvu+multipage")
    signatures = (Signature(b"AT&TFORM"),)
    suffixes = (".djvu", ".djv")
    fields: ClassVar[Mapping[str, str]] = {
        "djvu.pages": "pages in this file",
        "djvu.version": "version of the format",
        "djvu.metadata.*": "an entry of the metadata, by its own name",
        "djvu.link": "target of a link",
        "djvu.text_pages": "pages that have a text layer",
        "picture.width": "width of the first page in pixels",
        "picture.height": "height of the first page in pixels",
        "picture.dpi": "resolution of the first page",
        "refers_to": "name of a file that holds a page of this document",
    }
    reads = "text layer by page, outline, metadata, notes, links, size and resolution"
    rank = 30

    def claims(self, stream: Stream) -> str | None:
        form = stream.head[12:16]
        return self.media_types[0] if form in (b"DJVU", b"DJVM", b"DJVI", b"THUM") else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        pages = texts = 0
        flow = Flow()
        seen: dict[Field, None] = {}
        for chunk in _chunks(stream):
            try:
                if chunk.name == b"INFO":
                    pages += 1
                    if pages == 1:
                        yield from _describe(stream.at(chunk.start, min(chunk.size, 16)))
                elif chunk.name in (b"TXTa", b"TXTz"):
                    data = _content(stream, chunk)
                    text = data[3 : 3 + int.from_bytes(data[:3], "big")].decode("utf-8", "replace")
                    texts += 1
                    yield from flow.paragraph(f"page {pages}", re.sub(r"[\x0b\x1d\x1f\n]+", "\n", text).strip())
                elif chunk.name in (b"ANTa", b"ANTz"):
                    for fact in _annotations(_content(stream, chunk).decode("utf-8", "replace"), f"page {pages}"):
                        if not isinstance(fact, Field) or fact not in seen:
                            yield fact
                        if isinstance(fact, Field):
                            seen[fact] = None
                elif chunk.name == b"NAVM":
                    yield from _outline(_content(stream, chunk))
                elif chunk.name == b"DIRM" and not stream.at(chunk.start, 1)[:1] >= b"\x80":
                    yield from _directory(stream, chunk)
            except EvidenceError as error:
                name = chunk.name.decode("latin-1")
                yield Problem(error.cause, f"{name} at {chunk.start}: {error.message}", resolution="the rest was read")
        yield from flow.flush()
        yield Field("djvu.pages", pages)
        yield Field("djvu.text_pages", texts)
        (declared,) = struct.unpack(">I", stream.head[8:12])
        if declared + 12 > stream.size:
            raise EvidenceError("truncated", f"{declared + 12 - stream.size} bytes are missing at the end")


def _chunks(stream: Stream) -> Iterator[_Chunk]:
    """Every chunk, those inside of forms too, in their order."""
    at, form = 4, b""
    for _ in range(_CHUNKS):
        head = stream.at(at, 12)
        if len(head) < 8:
            return
        name, size = head[:4], int.from_bytes(head[4:8], "big")
        if name == b"FORM":
            form = head[8:12]
            at += 12
            continue
        yield _Chunk(name, form, at + 8, min(size, max(0, stream.size - at - 8)))
        at += 8 + size + (size & 1)


def _content(stream: Stream, chunk: _Chunk) -> bytes:
    """The bytes of a chunk, unpacked where its name ends in `z` or it is always packed.

    Raises:
        EvidenceError: corrupt, truncated, limit.
    """
    if chunk.size > _PACKED:
        raise EvidenceError("limit", f"a chunk of {chunk.size} bytes")
    data = stream.at(chunk.start, chunk.size)
    if chunk.name[3:] != b"z" and chunk.name != b"NAVM":
        return data
    held = bytearray()
    for block in _bzz.unpack(data):
        held += block
        if len(held) > _MOST:
            raise EvidenceError("limit", f"a chunk that unpacks to more than {_MOST} bytes")
    return bytes(held)


def _describe(data: bytes) -> Iterator[Field]:
    if len(data) < 8:
        return
    width, height, minor, major = struct.unpack(">HHBB", data[:6])
    yield Field("picture.width", width)
    yield Field("picture.height", height)
    yield Field("djvu.version", major << 8 | minor)
    if dpi := int.from_bytes(data[6:8], "little"):
        yield Field("picture.dpi", dpi)


def _plain(text: str) -> str:
    """A quoted string without its escapes."""

    def one(found: re.Match[str]) -> str:
        held = found[1]
        return chr(int(held, 8)) if held[0].isdigit() else _SIMPLE.get(held, held)

    text = _ESCAPE.sub(one, text)
    try:
        # Older programs wrote the bytes of UTF-8 as octal numbers.
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _annotations(text: str, locator: str) -> Iterator[Fact]:
    """Metadata, links and the words beside them."""
    start = _METADATA.search(text)
    if start:
        at = start.end()
        while found := _PAIR.match(text, at):
            key, value = found[1], _plain(found[2])
            if value:
                yield Field(f"djvu.metadata.{key}", value)
                kind = _DATES.get(key.lower())
                if kind and (stamp := from_iso(kind, value, f"djvu.{key}")):
                    yield stamp
            at = found.end()
            while text[at : at + 1].isspace():
                at += 1
    notes = []
    for found in _AREA.finditer(text):
        if target := _plain(found[1]):
            yield Field("djvu.link", target)
        if found[2]:
            notes.append(_plain(found[2]))
    if notes:
        yield Text("\n".join(notes), f"{locator} notes")


def _outline(data: bytes) -> Iterator[Fact]:
    """Titles of the bookmarks, one a line; targets outside the document as links."""
    titles: list[str] = []
    at = 2
    for _ in range(int.from_bytes(data[:2], "big")):
        parts = []
        at += 1
        for _part in range(2):
            size = int.from_bytes(data[at : at + 3], "big")
            parts.append(data[at + 3 : at + 3 + size].decode("utf-8", "replace"))
            at += 3 + size
        if at > len(data):
            break
        titles.append(parts[0])
        if parts[1] and not parts[1].startswith("#"):
            yield Field("djvu.link", parts[1])
    if titles:
        yield Text("\n".join(titles), "outline")


def _directory(stream: Stream, chunk: _Chunk) -> Iterator[Field]:
    """The files that pages of an indirect document lie in."""
    count = int.from_bytes(stream.at(chunk.start + 1, 2), "big")
    held = _content(stream, chunk._replace(name=b"DIRz", start=chunk.start + 3, size=max(0, chunk.size - 3)))
    names = held[4 * count :].split(b"\0")
    yield from (Field("refers_to", name.decode("utf-8", "replace")) for name in names[:count] if name)
