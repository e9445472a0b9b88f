"""XML of any kind: element text, attribute values, comments; the root element says what it is.

The text is taken by a scanner that cannot be stopped by depth, damage or entities; a second look
with expat, which is given no handler and so resolves nothing, says whether the file is well-formed.

Source: XML 1.0 (fifth edition), sections 2, 3 and 4.3.3; Namespaces in XML 1.0, section 3.
Limits: nothing outside the file is read; an entity is replaced where its value is short and holds no
other entity; what the elements mean is left to handlers that know the vocabulary.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import BinaryIO, ClassVar, cast

from indexer.decoding import TextReader
from indexer.handler import Handler, Stream
from indexer.handlers._markup import CLOSE, COMMENT, DECLARATION, OPEN, TEXT, attributes, plain, tokens
from indexer.handlers._xml_file import Check, root_of
from indexer.model import Fact, Field, Problem, Text

GROUP = 256 << 10
"""Characters of one run of text; a large file comes out in several, in its own order."""
ENTITY_CHARS = 1024
EXPANDED = 1 << 20
"""Characters that entities may add to one file."""
_ENTITY = re.compile(r"<!ENTITY\s+([^\s%\"']{1,200})\s+(?:\"([^\"]*)\"|'([^']*)')")
_REFERENCE = re.compile(r"&([^\s;&#]{1,200});")
_SIMPLE = re.compile(r"&(?:#\w+|amp|lt|gt|quot|apos);")
_SPACE = re.compile(r"[ \t\r\n]+")
_KINDS = {"rss": "application/rss+xml", "feed": "application/atom+xml"}


class Xml(Handler):
    name = "xml"
    media_types = (
        "application/xml",
        "text/xml",
        "application/rss+xml",
        "application/atom+xml",
        "application/rdf+xml",
        "application/xml-dtd",
        "application/xslt+xml",
    )
    suffixes = (".xml", ".rss", ".atom", ".xsd", ".xsl", ".xslt", ".rdf", ".dtd")
    holds = b"<"
    fields: ClassVar[Mapping[str, str]] = {
        "xml.root": "name of the outermost element",
        "xml.namespace": "namespace of the outermost element",
        "xml.doctype": "document type declaration, without its inner part",
        "xml.stylesheet": "processing instruction that names a style sheet",
        "xml.encoding": "how the bytes were decoded",
    }
    reads = "element text, attribute values, comments, root element and namespace"
    rank = 64

    def claims(self, stream: Stream) -> str | None:
        root = root_of(stream)
        return None if root is None or root in ("html", "svg") else _KINDS.get(root, "application/xml")

    def read(self, stream: Stream) -> Iterator[Fact]:
        stream.seek(0)
        reader = TextReader(cast(BinaryIO, stream))
        check = Check()
        yield from _read_text(_watched(reader, check))
        yield Field("xml.encoding", reader.detection.codec)
        if reader.lossy:
            message = f"{reader.lossy} bytes are not {reader.detection.codec}"
            yield Problem("lossy-text", message, resolution="shown as U+FFFD")
        yield from check.problems()


class _Words:
    """Text of elements, gathered; one tag between two words does not part them, two tags do."""

    def __init__(self) -> None:
        self.out: list[str] = []
        self.chars = 0
        self.tags = 0

    def add(self, text: str) -> None:
        clean = _SPACE.sub(" ", text)
        if clean == " ":
            self.tags += 2
            return
        if self.tags:
            self.out.append("\n" if self.tags > 1 else "")
        self.out.append(clean)
        self.chars += len(clean) + 1
        self.tags = 0

    def take(self) -> str:
        """Everything so far, which is then forgotten."""
        body = "".join(self.out).strip()
        self.out, self.chars = [], 0
        return body


def _read_text(pieces: Iterator[str]) -> Iterator[Fact]:
    words, values = _Words(), _Words()
    entities: dict[str, str] = {}
    room = EXPANDED
    root = ""
    for kind, name, value in tokens(pieces, xml=True):
        if kind == TEXT:
            if entities and "&" in value:
                value, room = _expand(value, entities, room)
            words.add(plain(value))
        elif kind == OPEN:
            words.tags += 1 + value.endswith("/")
            if entities and "&" in value:
                value, room = _expand(value, entities, room)
            held = attributes(value, xml=True) if value and value != "/" else []
            if not root:
                root = name
                yield from _describe(name, dict(held))
            for key, content in held:
                if content.strip():
                    values.tags = 2
                    values.add(f"{key}={content}" if not key.startswith("xmlns") else content)
        elif kind == CLOSE:
            words.tags += 1
        elif kind == COMMENT:
            yield Text(value.strip(), "comment")
        elif kind == DECLARATION:
            words.tags += 2
            yield from _declare(value, entities)
        if words.chars > GROUP:
            yield Text(words.take(), "text")
        if values.chars > GROUP:
            yield Text(values.take(), "attributes")
    yield Text(words.take(), "text")
    yield Text(values.take(), "attributes")


def _watched(pieces: TextReader, check: Check) -> Iterator[str]:
    for piece in pieces:
        check.feed(piece)
        yield piece


def _describe(name: str, held: dict[str, str]) -> Iterator[Field]:
    yield Field("xml.root", name)
    prefix, _, local = name.rpartition(":")
    namespace = held.get(f"xmlns:{prefix}" if prefix and local else "xmlns")
    if namespace:
        yield Field("xml.namespace", namespace)


def _declare(value: str, entities: dict[str, str]) -> Iterator[Fact]:
    if value.startswith("xml-stylesheet"):
        yield Field("xml.stylesheet", value[14:].strip())
    elif value.startswith("DOCTYPE"):
        outer = value.partition("[")[0]
        yield Field("xml.doctype", _SPACE.sub(" ", outer[7:]).strip()[:1000])
        for found in _ENTITY.finditer(value):
            content = found[2] or found[3] or ""
            if len(content) <= ENTITY_CHARS and "<" not in content and "&" not in _SIMPLE.sub("", content):
                entities.setdefault(found[1], plain(content))
        if len(value) > len(outer):
            yield Text(value, "doctype")
    elif not value.startswith("xml "):
        yield Text(value, "instruction")


def _expand(text: str, entities: dict[str, str], room: int) -> tuple[str, int]:
    out, at = [], 0
    for found in _REFERENCE.finditer(text):
        content = entities.get(found[1])
        if content is None or len(content) > room:
            continue
        room -= len(content)
        out += [text[at : found.start()], escape(content)]
        at = found.end()
    return "".join([*out, text[at:]]), room
