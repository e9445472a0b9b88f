"""A web page reduced to what an analyst reads and follows: shared by HTML files and mail bodies.

Source: HTML Living Standard, sections 13.1 (syntax), 15.3 (which elements break lines), 4.2.5 (meta).
Limits: styles are not applied (text that a style hides comes out, and should); scripts are not run
and their source is not text.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from msgspec import Struct, field

from indexer.handlers._markup import (
    CARRY,
    CLOSE,
    COMMENT,
    OPEN,
    TEXT,
    attributes,
    cut_tags,
    is_plain_tag,
    plain,
    tokens,
)
from indexer.model import Child, Fact, Field, Text

RUN = 1 << 20
"""Characters of source after which a large page gives what it has so far."""
_RAW = frozenset({"script", "style", "title", "textarea", "xmp", "noframes"})
_SILENT = frozenset({"script", "style", "title"})
_INLINE_NAMES = (
    "a abbr acronym applet b basefont bdi bdo big cite code data del dfn em embed font i img ins kbd label map mark "
    "nobr noscript object output picture q rb rp rt ruby s samp script small source span strike strong style sub sup "
    "time title tt u var wbr"
)
_INLINE = frozenset(_INLINE_NAMES.split())
_CELLS = frozenset({"td", "th"})
_LINKS = frozenset(
    {"href", "src", "action", "formaction", "data", "poster", "cite", "background", "longdesc", "xlink:href"}
)
_WORDS = frozenset({"alt", "title", "placeholder", "aria-label", "label", "summary"})
_EDGES = (["\n"], ["\t"])
_SAYING = frozenset({"html", "meta", "input", "button", "param", "option"})
_INLINE_MARK, _BLOCK_MARK, _CELL_MARK = "\1", "\2", "\3"
_MARKS = {_INLINE_MARK: "", _BLOCK_MARK: "\n", _CELL_MARK: "\t"}
_MOST_MARKS = 10_000
_BARE_LINK = re.compile(r"a href=([\"'])([\w/.#?=-][^\"'&<>]*+)\1")
"""The commonest tag that says something, of which no two are alike."""
_NAME_END = re.compile(r"[\s/>]")
_SPACE = re.compile(r"[ \t\r\n\f]+")
_DATA_URI = re.compile(r"data:([\w.+/-]{0,100}+)(?:;[\w.+=-]{1,100}+)*?;base64,([A-Za-z0-9+/=_%\s-]++)")
_SAVED_FROM = re.compile(r"\s*saved from url=\(\d+\)(\S+)")
_SUFFIXES = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/gif": ".gif",
    "image/webp": ".webp",
    "image/svg+xml": ".svg",
    "application/pdf": ".pdf",
    "text/html": ".html",
    "text/plain": ".txt",
}


class Page(Struct):
    """What one page says, in its own order; `files` holds the type and the base64 of `data:` addresses."""

    title: str = ""
    language: str = ""
    saved_from: str = ""
    meta: list[tuple[str, str]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    links: dict[str, None] = field(default_factory=dict)
    inputs: list[str] = field(default_factory=list)
    files: list[tuple[str, str]] = field(default_factory=list)
    chars: int = 0

    def fields(self) -> Iterator[Field]:
        """The title, the language and the meta elements."""
        if self.title:
            yield Field("html.title", self.title)
        if self.language:
            yield Field("html.language", self.language)
        if self.saved_from:
            yield Field("html.saved_from", self.saved_from)
        for name, content in self.meta:
            yield Field(f"html.meta.{name}", content)

    def mark(self) -> tuple[str, list[int]]:
        """How much there is so far."""
        return self.language, [len(self.links), *map(len, self._gathered())]

    def go_back(self, mark: tuple[str, list[int]]) -> None:
        """Forgets what came since `mark`."""
        self.language, (links, *counts) = mark
        for held, count in zip(self._gathered(), counts, strict=True):
            del held[count:]
        while len(self.links) > links:
            self.links.popitem()

    def _gathered(self) -> tuple[list[Any], ...]:
        return self.meta, self.words, self.inputs, self.files

    def take(self, prefix: str = "") -> Iterator[Fact]:
        """What stands beside the text, each kind as one text or member, which is then forgotten."""
        yield Text("\n".join(self.words), f"{prefix}attributes")
        yield Text("\n".join(self.inputs), f"{prefix}form")
        yield Text("\n".join(self.comments), f"{prefix}comment")
        yield Text("\n".join(self.links), f"{prefix}links")
        for kind, payload in self.files:
            yield _embedded(kind, payload)
        for held in (self.words, self.inputs, self.comments, self.links, self.files):
            held.clear()
        self.chars = 0


def read_page(pieces: Iterable[str], page: Page) -> Iterator[str]:
    """The text of a page in reading order, in runs; `page` gathers the rest and is whole at the end.

    Args:
        pieces: the page's source, cut anywhere.
    """
    out: list[str] = []
    title: list[str] = []
    script: list[str] = []
    """A whole script or style sheet: an address in it may be cut anywhere."""
    silent = ""
    scripted = pre = 0
    stretches = _Stretches(page, out)
    for kind, name, value in tokens(pieces, raw=_RAW, take=stretches.take):
        if kind == TEXT:
            if silent:
                if silent == "title":
                    title.append(plain(value))
                else:
                    script.append(value)
                    scripted += len(value)
                    if scripted > CARRY:
                        _find_files(page, script)
                        scripted = 0
            else:
                out.append(plain(value if pre else _single_blanks(value)))
                page.chars += len(value)
        elif kind == OPEN:
            if name in _SILENT:
                silent = name
            if name not in _INLINE:
                out.append("\t" if name in _CELLS else "\n")
                pre += name == "pre"
            if value and value != "/":
                _read_tag(page, name, value)
                page.chars += len(value)
        elif kind == CLOSE:
            if name == silent:
                silent = ""
                _find_files(page, script)
                scripted = 0
            if name not in _INLINE:
                out.append("\t" if name in _CELLS else "\n")
                pre -= name == "pre" and pre > 0
        elif kind == COMMENT and value.strip():
            page.comments.append(value.strip())
            page.chars += len(value)
            if found := _SAVED_FROM.match(value):
                page.saved_from = found[1]
        if page.chars > RUN and (out[-1:] in _EDGES or stretches.at_edge or page.chars > 8 * RUN):
            yield _lines("".join(out))
            out.clear()
            page.chars = 0
    _find_files(page, script)
    page.title = _single_blanks("".join(title)).strip()
    yield _lines("".join(out))


def _single_blanks(text: str) -> str:
    """The text with one blank for each run of them; several times as fast as a pattern."""
    for blank in "\t\r\n\f":
        text = text.replace(blank, " ")
    while "  " in text:
        text = text.replace("  ", " ")
    return text


def _lines(text: str) -> str:
    """The text without blank lines and without blanks where lines begin and end."""
    return "\n".join(filter(None, [line.strip(" \t") for line in text.split("\n") if line])).strip()


class _Stretches:
    """Long runs of plain tags and text, read in bulk: a tag becomes a mark, blanks are counted at once."""

    def __init__(self, page: Page, out: list[str]) -> None:
        self._page, self._out = page, out
        self._marks = _Marks(page)

    @property
    def at_edge(self) -> bool:
        """Whether the last stretch ends where a line or a cell does."""
        return bool(self._out) and self._out[-1][-1:] in ("\n", "\t")

    def take(self, stretch: str) -> bool:
        """Whether it was read; if not, nothing of it was."""
        cut = None if any(mark in stretch for mark in _MARKS) else cut_tags(stretch)
        if cut is None:
            return False
        before = self._page.mark()
        try:
            cut[1::2] = map(self._marks.__getitem__, cut[1::2])
        except KeyError:
            self._page.go_back(before)
            return False
        text = plain(_single_blanks("".join(cut)))
        for mark, shown in _MARKS.items():
            text = text.replace(mark, shown)
        self._out.append(text)
        self._page.chars += len(stretch)
        return True


class _Marks(dict[str, str]):
    """What stands between brackets -> the tag's mark; tags that say something are read each time.

    Raises KeyError where it is no plain tag.
    """

    def __init__(self, page: Page) -> None:
        super().__init__()
        self._page = page

    def __missing__(self, tag: str) -> str:
        if link := _BARE_LINK.fullmatch(tag):
            address = link[2]
            if ":" not in address or "data:" not in address.lower():
                self._page.links.setdefault(address.strip())
                return _INLINE_MARK
        if not is_plain_tag(tag):
            raise KeyError(tag)
        start = int(tag[0] == "/")
        name = _NAME_END.split(tag[start:], maxsplit=1)[0]
        text = tag[start + len(name) :]
        name = name.lower()
        mark = _INLINE_MARK if name in _INLINE else _CELL_MARK if name in _CELLS else _BLOCK_MARK
        is_silent = bool(start) or not text or text == "/"
        if not is_silent:
            is_silent = not _read_tag(self._page, name, text)
        if is_silent and len(self) < _MOST_MARKS:
            self[tag] = mark
        return mark


def _read_tag(page: Page, name: str, text: str) -> bool:
    """Whether a tag of these attributes may say something to the page."""
    says = "data:" in text or name in _SAYING
    if "data:" in text:
        _find_files(page, [text])
    held = attributes(text)
    for key, value in held:
        says = says or key in _LINKS or key in _WORDS
        value = value.strip()
        if not value:
            continue
        if key in _LINKS:
            if value[:5].lower() != "data:":
                page.links.setdefault(value)
        elif key in _WORDS:
            page.words.append(value)
        elif key == "lang" and name == "html":
            page.language = value
    if name == "meta":
        named = dict(reversed(held))
        label = named.get("name") or named.get("property") or named.get("http-equiv") or named.get("itemprop")
        if label and named.get("content"):
            page.meta.append((_SPACE.sub("-", label.strip().lower())[:100], named["content"].strip()))
    elif name in ("input", "button", "param", "option"):
        named = dict(reversed(held))
        if named.get("value"):
            page.inputs.append(f"{named.get('name') or named.get('id') or name}: {named['value']}")
    return says


def _find_files(page: Page, held: list[str]) -> None:
    """Keeps the files in the `data:` addresses of a text that is held in pieces, which are then forgotten."""
    text = "".join(held)
    held.clear()
    if "data:" in text:
        page.files += ((found[1].lower(), found[2]) for found in _DATA_URI.finditer(text))


def _embedded(kind: str, payload: str) -> Child:
    """A file that a `data:` address holds; files of one type are told apart by their order."""
    name = f"embedded{_SUFFIXES.get(kind, '')}"
    fields = (Field("html.embedded_type", kind),) if kind else ()
    return Child(name, name.encode(), lambda: _decoded(payload), fields=fields)


def _decoded(payload: str) -> BinaryIO:
    clean = payload.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=").translate(_URL_SAFE)
    clean = re.sub(r"[^A-Za-z0-9+/]", "", clean)
    clean = clean[: len(clean) - (len(clean) % 4 == 1)]
    try:
        return io.BytesIO(base64.b64decode(clean + "=" * (-len(clean) % 4)))
    except binascii.Error:
        return io.BytesIO()


_URL_SAFE = str.maketrans("-_", "+/")
