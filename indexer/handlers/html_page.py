"""Web pages: title, meta elements, the text in reading order, comments, links, form values.

Source: HTML Living Standard, sections 13.1 and 13.2.3.2 (prescan for an encoding); RFC 2397 (data:).
Limits: scripts are not run and their source is not text; `data:` addresses only in base64; frames
and pictures named by address are listed, never fetched. A native parser that gives the text alone
(lexbor) takes three quarters of the time: tags, attributes and links pass through Python.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import BinaryIO, ClassVar, cast

from indexer.decoding import TextReader
from indexer.handler import Handler, Stream
from indexer.handlers._html import Page, read_page
from indexer.model import Fact, Field, Problem, Text

_CHARSET = re.compile(rb"<meta\s[^>]{0,400}?charset\s*=\s*[\"']?\s*([\w.:-]{2,40})", re.IGNORECASE)
_LEAD = re.compile(rb"(?:\s++|<!--.{0,4000}?-->|<\?[^>]{0,400}>)*+", re.DOTALL)
_START = re.compile(
    rb"<(?:!doctype\s+html|(?:html|head|title|body|meta|link|style|script|table|div|center|font|frameset|h[1-6]|"
    rb"iframe|br|hr|ul|ol|form|img|span|blockquote|a|p|b|tr|td|base|basefont|pre|strong)(?=[\s/>]))",
    re.IGNORECASE,
)


class Html(Handler):
    name = "html"
    media_types = ("text/html", "application/xhtml+xml")
    suffixes = (".html", ".htm", ".xhtml", ".shtml", ".xht")
    holds = b"<"
    fields: ClassVar[Mapping[str, str]] = {
        "html.title": "the title element",
        "html.language": "the page's own word for its language",
        "html.saved_from": "address that a browser wrote into a page it saved",
        "html.meta.*": "meta elements by name: author, generator, keywords, description, ...",
        "html.embedded_type": "media type that a data: address gives for the file in it",
        "html.encoding": "how the bytes were decoded",
    }
    reads = "title, meta elements, text, attributes, comments, links, form values, embedded files"
    rank = 62
    version = 2
    container = True

    def claims(self, stream: Stream) -> str | None:
        head = stream.head
        if head[:2] in (b"\xff\xfe", b"\xfe\xff") or head[1:2] == b"\0" or head[:1] == b"\0":
            head = head[2:].replace(b"\0", b"")
        head = head.removeprefix(b"\xef\xbb\xbf")[:8192]
        lead = _LEAD.match(head)
        start = lead.end() if lead else 0
        found = _START.match(head, start)
        if not found:
            return None
        if b"<?xml" in head[:start]:
            return "application/xhtml+xml" if b"html" in found[0].lower() else None
        return "text/html"

    def read(self, stream: Stream) -> Iterator[Fact]:
        stream.seek(0)
        declared = _CHARSET.search(stream.head)
        reader = TextReader(cast(BinaryIO, stream), declared[1].decode("ascii") if declared else "")
        page = Page()
        waiting = None
        for run in read_page(reader, page):
            if waiting is not None:
                yield Text(waiting, "text")
                yield from page.take()
            waiting = run
        yield from page.fields()
        yield Field("html.encoding", reader.detection.codec)
        yield Text(page.title, "title")
        yield Text("\n".join(content for _, content in page.meta), "meta")
        yield Text(waiting or "", "text")
        yield from page.take()
        if reader.lossy:
            message = f"{reader.lossy} bytes are not {reader.detection.codec}"
            yield Problem("lossy-text", message, resolution="shown as U+FFFD")
