"""Rich text: body with tables, headers, notes, comments, boxes, what is hidden or deleted; objects and pictures.

Source: Rich Text Format specification 1.9.1; [MS-OLEDS] 2.2 (objects of OLE 1); [MS-OXRTFEX] 2.1 (mail in rich text).
Limits: tags of web pages that a mail program wrapped are left out, their text is read; symbols of symbol fonts have
no text; pictures are members as they stand, without the head that a file of some types has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import ClassVar

from msgspec import Struct, field

from indexer.handler import Handler, Signature, Stream
from indexer.handlers._cfb import WHOLE
from indexer.handlers._flow import Flow
from indexer.handlers._ole import FIELDS
from indexer.handlers._rtf import BINARY, BYTE, CLOSE, NO_NUMBER, OPEN, SYMBOL, TEXT, WORD, Fonts, tokens
from indexer.handlers._rtf_objects import Spans, read_object, read_picture
from indexer.model import Fact, Field, Problem, Text, Timestamp, replace

_NOTES = {"footnote": "footnote", "annotation": "comment", "shptxt": "text box"}
_HEADERS = {f"{name}{page}": name for name in ("header", "footer") for page in ("", "l", "r", "f")}
_CHARS = {"tab": "\t", "line": "\n", "emdash": "—", "endash": "–", "lquote": "‘", "rquote": "’", "ldblquote": "“"}
_CHARS |= {"rdblquote": "”", "bullet": "•", "enspace": " ", "emspace": " ", "qmspace": " ", "lbr": "\n"}
_SYMBOLS = {"~": "\u00a0", "_": "-", "\\": "\\", "{": "{", "}": "}", "\t": "\t"}
_ENDS = ("par", "page", "sect", "column", "cell", "row", "nestcell", "nestrow")
_INFO = {
    "title": "title",
    "subject": "subject",
    "author": "creator",
    "operator": "last_modified_by",
    "doccomm": "description",
}
_INFO |= {"keywords": "keywords", "manager": "manager", "company": "company", "category": "category"}
_INFO |= {"hlinkbase": "hyperlink_base", "generator": "application", "template": "template", "comment": "description"}
_COUNTS = {
    "edmins": "edit_minutes",
    "nofpages": "pages",
    "nofwords": "words",
    "nofchars": "characters",
    "nofcharsws": "characters_with_spaces",
    "version": "revision",
}
_TIMES = {
    "creatim": ("B", "office.created"),
    "revtim": ("M", "office.modified"),
    "printim": ("printed", "office.last_printed"),
}
_TIMES |= {"buptim": ("backup", "rtf.backup")}
_CLOCK = {"yr": 0, "mo": 1, "dy": 2, "hr": 3, "min": 4, "sec": 5}
_KEPT = {"fldinst", "atnauthor", "propname", "staticval", "objclass", "objdata", "pict", "revtbl", "falt", "bkmkstart"}
_SKIPPED = frozenset(
    [
        "fonttbl",
        "colortbl",
        "stylesheet",
        "listtable",
        "listoverridetable",
        "rsidtbl",
        "themedata",
        "colorschememapping",
        "datastore",
        "latentstyles",
        "xmlnstbl",
        "wgrffmtfilter",
        "pgptbl",
        "nonshppict",
        "sp",
        "sn",
        "sv",
        "pnseclvl",
        "pntxta",
        "pntxtb",
        "mmathPr",
        "atnid",
        "atntime",
        "atnref",
        "atndate",
        "atnparent",
        "atnicn",
        "bkmkend",
        "atrfstart",
        "atrfend",
        "datafield",
        "formfield",
        "ffname",
        "ffdeftext",
        "listname",
        "private1",
        "do",
        "blipuid",
        "panose",
        "fname",
        "aftnsep",
        "aftnsepc",
        "ftnsep",
        "ftnsepc",
        "ftncn",
        "aftncn",
        "defchp",
        "defpap",
        "listlevel",
        "leveltext",
        "levelnumbers",
        "picprop",
        "shprslt",
        "background",
        "protusertbl",
        "passwordhash",
        "xmlopen",
        "xmlclose",
        "htmltag",
        "mhtmltag",
    ]
)
_PICTURES = {"pngblip": ".png", "jpegblip": ".jpg", "emfblip": ".emf", "wmetafile": ".wmf", "macpict": ".pict"}
_PICTURES |= {"dibitmap": ".dib", "wbitmap": ".bmp"}
_LINK = re.compile(r'\s*HYPERLINK\s+(?:\\[a-z]\s+)*"?([^"\s]+)')
_DEPTH = 4096


class Rtf(Handler):
    name = "rtf"
    version = 2
    media_types = ("application/rtf", "text/rtf")
    signatures = (Signature(b"{\\rt"),)
    suffixes = (".rtf", ".doc")
    fields: ClassVar[Mapping[str, str]] = {
        **FIELDS,
        "rtf.object_class": "program that an embedded object belongs to",
        "rtf.linked_file": "file that an object is linked to",
        "rtf.bookmark": "name of a bookmark",
    }
    reads = "body, headers, notes, comments, boxes, hidden and deleted text, field codes; properties, objects, pictures"
    rank = 25
    container = True

    def read(self, stream: Stream) -> Iterator[Fact]:
        stream.seek(0)
        data = stream.read(WHOLE)
        yield from _Reading(data).read()
        if stream.size > WHOLE:
            yield Problem("limit", f"more than {WHOLE} bytes", resolution="read up to there")


class _State(Struct, frozen=True):
    """What a group sets for what stands in it: where its text goes, its font, and how it is marked."""

    goes: str = "body"
    kind: str = ""
    font: int = 0
    skip: int = 1
    hidden: bool = False
    deleted: bool = False
    author: int = 0
    silent: bool = False


class _Reading(Struct):
    """One document: the groups that are open, and the text gathered for each place."""

    data: bytes
    fonts: Fonts = field(default_factory=Fonts)
    words: dict[str, list[str]] = field(default_factory=dict)
    aside: dict[str, list[str]] = field(default_factory=dict)
    pending: bytearray = field(default_factory=bytearray)
    counts: dict[str, int] = field(default_factory=dict)
    links: dict[str, None] = field(default_factory=dict)
    revisers: list[str] = field(default_factory=list)
    found: list[Fact] = field(default_factory=list)
    state: _State = field(default_factory=_State)
    flow: Flow = field(default_factory=Flow)

    def read(self) -> Iterator[Fact]:
        stack: list[_State] = []
        spans: Spans = []
        suffix = ""
        clock = [0] * 6
        author = name = ""
        font = left = deep = 0
        starred = fresh = False
        for kind, word, number, start, end in tokens(self.data):
            state = self.state
            if kind == OPEN:
                self._settle()
                if len(stack) >= _DEPTH:
                    deep += 1
                    continue
                stack.append(state)
                self.state = replace(state, kind="")
                starred, fresh, left = False, True, 0
                continue
            if kind == CLOSE:
                self._settle()
                left = 0
                if deep:
                    deep -= 1
                    continue
                if not stack:
                    break
                self.state = outer = stack.pop()
                if state.kind in ("objdata", "pict") and spans:
                    self.found.append(self._embedded(state.kind, spans, suffix))
                    spans, suffix = [], ""
                elif state.kind in _TIMES:
                    self._time(state.kind, clock)
                    clock = [0] * 6
                elif state.kind and state.goes != outer.goes:
                    text = "".join(self.words.pop(state.goes, ())).strip("\0")
                    if state.kind == "atnauthor":
                        author = text.strip()
                    elif state.kind == "propname":
                        name = text
                    elif state.kind == "staticval":
                        self.found.append(Field(f"office.custom.{name}", text))
                    elif state.kind == "fldinst":
                        self._code(text)
                    else:
                        yield from self._close(state, text)
                continue
            if kind == SYMBOL and word == "*":
                starred = True
                continue
            if kind == WORD:
                if fresh or starred:
                    fresh = False
                    if self._enter(word, starred, author):
                        starred = False
                        continue
                    if starred and self.state.goes != "":
                        self.state = replace(self.state, goes="", kind="skipped", silent=True)
                    starred = False
                if word in ("u", "uc"):
                    self._settle()
                    if word == "uc":
                        self.state = replace(self.state, skip=max(0, min(number, 100)) if number != NO_NUMBER else 1)
                    elif -0x8000 <= number <= 0xFFFF:
                        self._add(chr(number & 0xFFFF))
                        left = self.state.skip
                    continue
                left = max(0, left - 1) if left and word in _CHARS else left
                if word in _ENDS:
                    self._settle()
                    yield from self._paragraph(word)
                elif word in _CHARS:
                    self._settle()
                    self._add(_CHARS[word])
                elif word in _CLOCK and 0 <= number < 10_000:
                    clock[_CLOCK[word]] = number
                elif word in _PICTURES and state.kind == "pict":
                    suffix = _PICTURES[word]
                elif word == "f" and number != NO_NUMBER:
                    self._settle()
                    font = number
                    self.state = replace(self.state, font=number)
                elif word == "fcharset":
                    self.fonts.define(font, number)
                elif word == "cpg":
                    self.fonts.define_page(font, number)
                else:
                    self._set(word, number)
                continue
            fresh = False
            if kind == SYMBOL and word in "\r\n":
                self._settle()
                yield from self._paragraph("par")
            elif left and kind in (BYTE, SYMBOL):
                left -= 1
            elif kind == SYMBOL and word in _SYMBOLS:
                self._settle()
                self._add(_SYMBOLS[word])
            elif kind == BYTE:
                if self.state.kind not in ("objdata", "pict"):
                    self.pending.append(number)
            elif kind in (TEXT, BINARY) and state.kind in ("objdata", "pict"):
                spans.append((start, end, kind == BINARY))
            elif kind == TEXT and state.goes:
                plain = self.data[start:end].translate(None, b"\r\n\0")
                plain, left = plain[left:], max(0, left - len(plain))
                self.pending += plain
        self._settle()
        for place in list(self.words):
            self.state = replace(self.state, goes=place)
            yield from self._paragraph("par")
        yield from self.flow.flush()
        yield from self.found
        for link in self.links:
            yield Field("office.link", link)
        if stack and spans:
            yield self._embedded(self.state.kind, spans, suffix)
        if stack:
            yield Problem("truncated", f"{len(stack)} groups are not closed", resolution="read up to there")

    # -- text ----------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Turns the bytes gathered so far into text: their code page may change after them."""
        if self.pending:
            data = bytes(self.pending)
            self.pending.clear()
            self._add(self.fonts.decode(data, self.state.font))

    def _add(self, text: str) -> None:
        state = self.state
        if not state.goes or state.silent:
            return
        if state.deleted:
            who = self.revisers[state.author] if 0 < state.author < len(self.revisers) else ""
            self.aside.setdefault(f"deleted text ({who})" if who else "deleted text", []).append(text)
        elif state.hidden and not state.goes.startswith("\0"):
            self.aside.setdefault("hidden text", []).append(text)
        else:
            self.words.setdefault(state.goes, []).append(text)

    def _paragraph(self, word: str) -> Iterator[Text]:
        """The paragraph's own text first, then what stands aside of it."""
        place = self.state.goes
        if not place or place.startswith("\0"):
            return
        yield from self.flow.paragraph(place, "".join(self.words.pop(place, ())))
        if word in ("cell", "nestcell"):
            self.flow.end_cell()
        elif word in ("row", "nestrow"):
            self.flow.end_row()
        aside, self.aside = self.aside, {}
        for locator, pieces in aside.items():
            yield from self.flow.paragraph(locator, "".join(pieces))

    def _number(self, kind: str) -> str:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        return f"{kind} {self.counts[kind]}"

    def _embedded(self, kind: str, spans: Spans, suffix: str) -> Fact:
        if kind == "pict":
            return read_picture(self.data, spans, self._number("picture") + suffix)
        return read_object(self.data, spans, self._number("object"))

    # -- groups --------------------------------------------------------------------------------

    def _enter(self, word: str, starred: bool, author: str) -> bool:
        """Whether the first word of a group says what the group is for; then its text goes there."""
        goes, silent = self.state.goes, self.state.silent
        if silent and not (word in _INFO or word in _TIMES or word == "ud"):
            return False
        if word in _NOTES:
            goes = self._number(_NOTES[word]) + (f" ({author})" if word == "annotation" and author else "")
        elif word in _HEADERS:
            goes = self._number(_HEADERS[word])
        elif word in _KEPT or word in _INFO or word in _TIMES:
            goes = f"\0{word}"
        elif word in ("info", "upr", "userprops", "object"):
            goes, silent = ("", True) if word in ("info", "upr") else (goes, silent)
        elif word in ("shppict", "shpinst", "shp", "ud", "shpgrp", "field", "fldrslt", "result", "pntext", "listtext"):
            silent = False if word == "ud" else silent
        elif word in _SKIPPED:
            goes, silent = "", True
        else:
            return False
        if word == "ud":
            goes = "body"
        if word in _INFO or word in _TIMES:
            silent = False
        self.state = replace(self.state, goes=goes, kind=word, silent=silent, hidden=False)
        return True

    def _close(self, state: _State, text: str) -> Iterator[Fact]:
        """A group that stood by itself ends."""
        if state.kind in _INFO:
            if text.strip():
                self.found.append(Field(f"office.{_INFO[state.kind]}", text.strip().removesuffix(";")))
        elif state.kind == "revtbl":
            self.revisers = [name.strip() for name in text.split(";")]
            self.found += [Field("office.reviser", name) for name in self.revisers if name and name != "Unknown"]
        elif state.kind == "objclass":
            self.found.append(Field("rtf.object_class", text.strip()))
        elif state.kind == "bkmkstart":
            self.found.append(Field("rtf.bookmark", text.strip()))
        elif not state.goes.startswith("\0"):
            yield from self.flow.paragraph(state.goes, text)

    def _code(self, text: str) -> None:
        if found := _LINK.match(text):
            self.links[found[1]] = None
        if text.strip():
            self.aside.setdefault("field code", []).append(text.strip() + " ")

    def _set(self, word: str, number: int) -> None:
        """A word that marks what follows it, or says something of the document."""
        on = number != 0
        if word in ("v", "deleted", "htmlrtf"):
            self._settle()
            key = {"v": "hidden", "deleted": "deleted", "htmlrtf": "silent"}[word]
            self.state = replace(self.state, **{key: on})
        elif word == "plain":
            self._settle()
            self.state = replace(self.state, hidden=False, deleted=False, font=self.fonts.first)
        elif word == "ftnalt" and self.state.kind == "footnote":
            self.counts["footnote"] -= 1
            self.state = replace(self.state, goes=self._number("endnote"))
        elif word == "revauthdel" and number >= 0:
            self.state = replace(self.state, author=number)
        elif word == "ansicpg" and number > 0:
            self.fonts.default = number
        elif word == "mac":
            self.fonts.default = 10000
        elif word in ("pc", "pca"):
            self.fonts.default = 437 if word == "pc" else 850
        elif word == "deff" and number >= 0:
            self.fonts.first = number
            self.state = replace(self.state, font=number)
        elif word in _COUNTS and number >= 0:
            self.found.append(Field(f"office.{_COUNTS[word]}", number))

    def _time(self, kind: str, clock: list[int]) -> None:
        try:
            year, month, day, hour, minute, second = clock
            at = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        except ValueError:
            return
        name, origin = _TIMES[kind]
        self.found.append(Timestamp(name, at, origin, 1.0 if clock[5] else 60.0, zone_known=False))
