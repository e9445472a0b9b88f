"""Electronic books: chapters in reading order, metadata; pictures, fonts and the rest as members.

Source: EPUB 3.3, sections 4 (container), 5 (package document), Open Packaging Format 2.0.1; IDPF font embedding.
Limits: chapters that readers lock (DRM) are named, not opened; scripts are not run.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import ClassVar
from urllib.parse import unquote

from indexer.decoding import decode
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._html import Page, read_page
from indexer.handlers._parts import DATA, END, START, Event, Parts, read_directory
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Text
from indexer.timestamps import from_iso

_MIME = b"application/epub+zip"
_PREFIXES = {"http://purl.org/dc/elements/1.1/": "dc", "http://www.idpf.org/2007/opf": ""}
_PAGES = ("application/xhtml+xml", "text/html", "text/x-oeb1-document", "application/x-dtbook+xml")
_OUTLINES = ("application/x-dtbncx+xml",)
_CHAPTER = 64 * MIB
_DUBLIN_CORE = "title creator contributor publisher language identifier subject description rights source type relation"
_KEPT = tuple(_DUBLIN_CORE.split())
_OBFUSCATED = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")


class Epub(Handler):
    name = "epub"
    version = 2
    media_types = ("application/epub+zip",)
    signatures = (Signature(b"PK\3\4"),)
    suffixes = (".epub",)
    fields: ClassVar[Mapping[str, str]] = {
        **{f"epub.{name}": f"{name} as the package says" for name in _KEPT},
        "epub.version": "version of the format",
        "epub.meta.*": "further metadata, by its own name",
        "epub.encryption": "how parts are encrypted",
        "archive.comment": "comment of the part in the archive",
    }
    reads = "chapters in reading order, contents, metadata; pictures, fonts and other parts as members"
    rank = 33
    container = True

    def claims(self, stream: Stream) -> str | None:
        directory = read_directory(stream)
        if not directory:
            return None
        is_ours = _MIME in stream.head[:200] or (b"META-INF/container.xml" in directory and b".opf" in directory)
        return self.media_types[0] if is_ours else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        parts = Parts(stream)
        parts.take("mimetype")
        package = _root(parts)
        if not package:
            yield Problem("corrupt", "there is no package document", resolution="all parts are members")
        locked = _locked(parts)
        for method in dict.fromkeys(locked.values()):
            yield Field("epub.encryption", method)
        closed = [name for name, method in locked.items() if method not in _OBFUSCATED]
        if closed:
            yield Problem("encrypted", f"encrypted parts: {len(closed)}", resolution="the rest was read")
        for name in closed:
            parts.lock(name)
        listed, order = {}, list[str]()
        for fact in _read_package(parts.events(package, _PREFIXES)) if package else ():
            if isinstance(fact, tuple):
                listed[fact[0]] = fact[1:]
            elif isinstance(fact, str):
                order.append(fact)
            else:
                yield fact
        folder = posixpath.dirname(package)
        pages = [key for key in listed if listed[key][1] in _PAGES and key not in order]
        for number, key in enumerate([*dict.fromkeys(key for key in order if key in listed), *pages], 1):
            target, kind = listed.get(key, ("", ""))
            name = posixpath.normpath(posixpath.join(folder, unquote(target)))
            if target and kind in (*_PAGES, "") and name in parts and name.lower() not in closed:
                yield from _read_chapter(parts, name, f"chapter {number}")
        for target, kind in listed.values():
            if kind in _OUTLINES:
                name = posixpath.normpath(posixpath.join(folder, unquote(target)))
                words = "\n".join(text for text in _texts(parts.events(name, {})))
                yield Text(words, "contents")
        yield from parts.members()
        yield from parts.problems


def _root(parts: Parts) -> str:
    """The name of the package document."""
    for kind, tag, attributes in parts.events("META-INF/container.xml", {}):
        path = attributes.get("full-path", "")
        if kind == START and tag == "rootfile" and path and path in parts:
            return path
    return next((name for name in parts.names if name.endswith(".opf")), "")


def _locked(parts: Parts) -> dict[str, str]:
    """Encrypted parts by lower-case name, with the method."""
    found: dict[str, str] = {}
    method = ""
    for kind, tag, attributes in parts.events("META-INF/encryption.xml", {}):
        if kind == START and tag == "EncryptionMethod":
            method = attributes.get("Algorithm", "")
        elif kind == START and tag == "CipherReference":
            found[unquote(attributes.get("URI", "")).lower()] = method
    return found


def _read_package(events: Iterator[Event]) -> Iterator[Fact | str | tuple[str, str, str]]:
    """Metadata; name, place and type of every listed part; and the names of the chapters in their order."""
    text: list[str] = []
    held: dict[str, str] = {}
    for kind, tag, attributes in events:
        if kind == DATA:
            text.append(tag)
            continue
        if kind == START:
            text, held = [], attributes
            if tag == "package" and attributes.get("version"):
                yield Field("epub.version", attributes["version"])
            elif tag == "item":
                yield attributes.get("id", ""), attributes.get("href", ""), attributes.get("media-type", "")
            elif tag == "itemref":
                yield attributes.get("idref", "")
            elif tag == "meta" and attributes.get("name") and attributes.get("content"):
                yield Field(f"epub.meta.{attributes['name']}", attributes["content"])
        elif kind == END and (body := "".join(text).strip()):
            text = []
            name = tag.removeprefix("dc:").lower()
            if tag.startswith("dc:") and name in _KEPT:
                yield Field(f"epub.{name}", body)
            elif tag == "dc:date":
                event = next((value for key, value in held.items() if key.endswith("event")), "published")
                if stamp := from_iso(event, body, "epub.date"):
                    yield stamp
            elif tag == "meta" and held.get("property") == "dcterms:modified":
                if stamp := from_iso("M", body, "epub.modified"):
                    yield stamp
            elif tag == "meta" and held.get("property"):
                yield Field(f"epub.meta.{held['property']}", body)


def _read_chapter(parts: Parts, name: str, locator: str) -> Iterator[Fact]:
    text = decode(parts.read(name, _CHAPTER))
    page = Page()
    yield Text("\n".join(read_page([text.text], page)), locator)
    yield Text(page.title, f"{locator} title")
    yield from page.take(f"{locator} ")


def _texts(events: Iterator[Event]) -> Iterator[str]:
    for kind, text, _ in events:
        if kind == DATA and text.strip():
            yield text.strip()
