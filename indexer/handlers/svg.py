"""SVG drawings: titles, texts by layer, layer names, files they show, pictures embedded as data.

Source: SVG 2, 5.8 (title, desc), 8 (viewBox), 11 (text), 16 (links); RFC 2397 (data URIs); the namespaces of
Inkscape and of Adobe Illustrator for layers.
Limits: paths and styles are not read; entities other than those of XML stay as they are written; private
data of Illustrator (pgf) is passed over.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import BinaryIO, ClassVar, Final, cast
from urllib.parse import unquote_to_bytes

from indexer.decoding import TextReader
from indexer.handler import Handler, Stream
from indexer.handlers import _layertree, _picture, _refs
from indexer.handlers._layertree import Leaf
from indexer.handlers._markup import CLOSE, COMMENT, OPEN, TEXT, attributes, plain, tokens
from indexer.handlers._picture import FIELD_CHARS, held_member
from indexer.handlers._xml_file import Check, root_of
from indexer.model import Fact, Field, Problem, Text

LAYERS: Final = 20_000
GROUP: Final = 256 << 10
"""Characters of one run of text; a large drawing comes out in several."""
_DEEP: Final = 1_000
"""Elements inside one another that are kept count of."""
_SPOKEN: Final = {"title": "title", "desc": "description", "script": "script", "style": "style"}
_PRIVATE: Final = frozenset(("pgf", "aipgf", "aipgfref"))
_NAMES: Final = frozenset(("id", "label", "alt", "aria-label", "data-name", "name", "font-family", "rel"))
_LINKS: Final = frozenset(("href", "absref", "src", "export-filename"))
_DATA: Final = re.compile(r"data:([\w.+-]{0,60}/?[\w.+-]{0,60})((?:;[\w.=+-]{0,80}){0,8}),")
_URL: Final = re.compile(r"url\(\s{0,4}['\"]?([^)'\"]{1,2000})|@import\s{1,4}['\"]([^'\"]{1,2000})")
_PIXELS: Final = re.compile(r"\s*(\d{1,9})(?:\.\d*)?\s*(?:px)?\s*")
_SPACE: Final = re.compile(r"\s+")
_SUFFIXES: Final = {"jpeg": "jpg", "svg+xml": "svg", "plain": "txt", "x-icon": "ico"}


class Svg(Handler):
    name = "svg"
    media_types = ("image/svg+xml",)
    suffixes = (".svg",)
    holds = b"<"
    fields: ClassVar[dict[str, str]] = {
        **_picture.FIELDS,
        **_layertree.declared("svg"),
        **_refs.FIELDS,
        "svg.width": "width as written, with its unit",
        "svg.height": "height as written, with its unit",
        "svg.view_box": "part of the plane that is shown",
        "svg.title": "title of the drawing",
        "svg.document_name": "file name that the program kept",
        "svg.program": "program that wrote it, with its version",
        "svg.font": "font family of a text",
        "svg.encoding": "how the bytes were decoded",
    }
    reads = "titles, texts by layer, layer names, linked files, embedded pictures"
    rank = 62
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if root_of(stream) == "svg" else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        stream.seek(0)
        reader = TextReader(cast(BinaryIO, stream))
        check = Check()
        yield from _Drawing().read(_watched(reader, check))
        yield Field("svg.encoding", reader.detection.codec)
        if reader.lossy:
            yield Problem("lossy-text", f"{reader.lossy} bytes are not {reader.detection.codec}", "", "shown as U+FFFD")
        yield from check.problems()


def _watched(pieces: TextReader, check: Check) -> Iterator[str]:
    for piece in pieces:
        check.feed(piece)
        yield piece


class _Drawing:
    """What the elements told so far; the element stack is a list of names with the layer that each one opens."""

    def __init__(self) -> None:
        self.stack: list[tuple[str, str]] = []
        self.leaves: list[Leaf] = []
        self.texts: dict[str, list[str]] = {}
        self.names: dict[str, None] = {}
        self.refs = _refs.Once()
        self.fonts = _refs.Once("svg.font", 1_000)
        self.once: set[str] = set()
        self.parts = 0

    def read(self, pieces: Iterator[str]) -> Iterator[Fact]:
        """Every fact of the drawing."""
        for kind, name, value in tokens(pieces, xml=True):
            local = name.rpartition(":")[2]
            if kind == OPEN:
                held = attributes(value, xml=True) if value and value != "/" else []
                yield from self._open(local, held)
                if not value.endswith("/") and len(self.stack) < _DEEP:
                    self.stack.append((local, self._layer_name(local, dict(held))))
            elif kind == CLOSE:
                self._leave(local)
            elif kind == TEXT:
                yield from self._say(plain(value))
            elif kind == COMMENT and value.strip():
                yield Text(value.strip(), "comment")
        yield from _layertree.tree_facts("svg", self.leaves)
        for where, words in self.texts.items():
            yield Text("".join(words).strip(), where)
        if self.names:
            yield Text("\n".join(self.names), "names")

    def _layer_name(self, local: str, held: dict[str, str]) -> str:
        if local != "g":
            return ""
        label = held.get("inkscape:label") or held.get("data-name") or held.get("id", "")
        is_layer = held.get("inkscape:groupmode") == "layer" or held.get("i:layer") == "yes" or "data-name" in held
        if not is_layer or len(self.leaves) >= LAYERS:
            return ""
        groups = tuple(name for _, name in self.stack if name)[-_layertree.GROUPS :]
        hidden = "display:none" in held.get("style", "").replace(" ", "") or held.get("display") == "none"
        locked = held.get("sodipodi:insensitive") == "true"
        self.leaves.append(Leaf(label[:FIELD_CHARS], groups, (), hidden, locked))
        return label[:FIELD_CHARS] or "(no name)"

    def _leave(self, local: str) -> None:
        # The innermost element of this name is closed, and whatever was left open inside it.
        for depth in range(len(self.stack) - 1, max(-1, len(self.stack) - 200), -1):
            if self.stack[depth][0] == local:
                del self.stack[depth:]
                break
        if local in ("text", "p", "flowPara", "title", "desc", "tspan"):
            for words in (self.texts.get(self._place(local)), self.texts.get(self._place("text"))):
                if words and not words[-1].endswith("\n"):
                    words.append("\n")

    def _open(self, local: str, held: list[tuple[str, str]]) -> Iterator[Fact]:
        if local == "svg" and not self.once:
            yield from _root(dict(held))
            self.once.add("root")
        for key, value in held:
            bare = key.rpartition(":")[2]
            if value.startswith("data:"):
                yield from self._embedded(value)
            elif bare in _LINKS and not value.startswith("#"):
                yield from self.refs.fields((value,))
            elif "url(" in value and "url(#" not in value:
                yield from self._urls(value)
            elif bare in _NAMES and _refs.has_words(value) and len(self.names) < LAYERS:
                self.names[value[:FIELD_CHARS]] = None
            if bare == "font-family":
                yield from self.fonts.fields((value,))

    def _place(self, local: str = "") -> str:
        inner = [name for name, _ in self.stack[-50:]]
        if "metadata" in inner:
            return "metadata"
        for name in (local, *reversed(inner)):
            if name in _SPOKEN:
                return _SPOKEN[name]
        layer = next((layer for _, layer in reversed(self.stack) if layer), "")
        return f'layer "{layer}"' if layer else "text"

    def _say(self, value: str) -> Iterator[Fact]:
        inside = self.stack[-1][0] if self.stack else ""
        if inside.lower() in _PRIVATE or not value.strip():
            return
        where = self._place()
        words = self.texts.setdefault(where, [])
        if where == "style":
            yield from self._urls(value)
        if where == "title" and "title" not in self.once:
            self.once.add("title")
            yield Field("svg.title", _SPACE.sub(" ", value).strip()[:FIELD_CHARS])
        if where == "metadata":
            words.append(f"{inside}: {_SPACE.sub(' ', value).strip()}\n")
        else:
            words.append(value if where in ("script", "style") else _SPACE.sub(" ", value))
        if sum(map(len, words[-64:])) > GROUP or len(words) > GROUP // 4:
            yield Text("".join(words).strip(), where)
            self.texts[where] = []

    def _urls(self, value: str) -> Iterator[Fact]:
        for match in _URL.finditer(value):
            target = match[1] or match[2]
            if target.startswith("data:"):
                yield from self._embedded(target)
            elif not target.startswith("#"):
                yield from self.refs.fields((target,))

    def _embedded(self, value: str) -> Iterator[Fact]:
        """The bytes of a data URI as a member."""
        match = _DATA.match(value)
        if not match:
            return
        try:
            data = unquote_to_bytes(value[match.end() :])
            data = base64.b64decode(b"".join(data.split())) if ";base64" in match[2].lower() else data
        except (binascii.Error, ValueError):
            yield Problem("corrupt", "an embedded file is not the base64 that it says", resolution="left out")
            return
        self.parts += 1
        kind = match[1].rpartition("/")[2].lower()
        yield held_member(data, f"embedded-{self.parts}.{_SUFFIXES.get(kind, kind) or 'txt'}", "embedded file")


def _root(held: dict[str, str]) -> Iterator[Fact]:
    bare = {key.rpartition(":")[2]: value for key, value in held.items()}
    across, down = _PIXELS.fullmatch(bare.get("width", "")), _PIXELS.fullmatch(bare.get("height", ""))
    if across and down:
        yield from _picture.shape(int(across[1]), int(down[1]))
    named = {"width": "width", "height": "height", "viewBox": "view_box", "docname": "document_name"}
    for key, field in named.items():
        if bare.get(key):
            yield Field(f"svg.{field}", bare[key][:FIELD_CHARS])
    if version := held.get("inkscape:version"):
        yield Field("svg.program", f"Inkscape {version}"[:FIELD_CHARS])
