"""Word 6 to 2003 documents: body, headers, notes, comments, text boxes, what is hidden or deleted; properties, macros.

Source: [MS-DOC] 2.4 to 2.9; [MS-OFFCRYPTO] 2.3.6 and 2.3.7 (encryption).
Limits: text hidden by a style counts as plain; numbers of lists in words are left out; in Word 6
and 95 numbers and what is hidden are not worked out, and a row of a table ends where two of its marks meet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import ClassVar

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _word
from indexer.handlers._blips import find_pictures
from indexer.handlers._cfb import MAGIC, compound
from indexer.handlers._flow import Flow
from indexer.handlers._office_lock import Opened, open_word
from indexer.handlers._ole import FIELDS, kind_of, members, read_properties
from indexer.handlers._vba import read_macros
from indexer.handlers._word import STORIES, Word
from indexer.model import Fact, Field, Problem, Text

_CONTROL = re.compile("[\x00-\x08\x0a-\x1f]")
_PLAIN = {"\x0b": "\n", "\x1e": "-", "\x1f": ""}
_CELL, _ENDS = "\x07", "\x07\x0c\x0d\x0e"
_FIELD, _RESULT, _END = "\x13", "\x14", "\x15"
_LINK = re.compile(r'\s*HYPERLINK\s+(?:\\[a-z]\s+)*"([^"]+)"')
_INCLUDE = re.compile(r'\s*(?:INCLUDETEXT|INCLUDEPICTURE|LINK\s+[\w.]+)\s+"([^"]+)"')


class Doc(Handler):
    name = "doc"
    version = 2
    media_types = ("application/msword",)
    signatures = (Signature(MAGIC),)
    suffixes = (".doc", ".dot")
    fields: ClassVar[Mapping[str, str]] = {
        **FIELDS,
        "doc.saved_by": "one of the last who saved it, with the path it was saved at",
        "doc.fast_saved": "the document was saved in haste: deleted text may still lie in the file",
        "doc.version": "number of the format's version",
    }
    reads = "body, headers, notes, comments, text boxes, hidden and deleted text, macros; properties, pictures, objects"
    rank = 22
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if kind_of(stream) == self.name else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        held = compound(stream)
        yield from read_properties(held)
        taken = {"worddocument", "0table", "1table", "data"}
        try:
            opened = open_word(held, stream)
        except EvidenceError as error:
            yield error.problem("", "the rest was read")
        else:
            yield from opened.facts
            yield from _read_text(opened)
            yield from find_pictures(opened.main, "WordDocument")
            yield from find_pictures(opened.data, "Data")
        yield from read_macros(held, taken)
        yield from members(held, lambda key: key in taken)
        yield from held.problems


def _read_text(opened: Opened) -> Iterator[Fact]:
    word = Word(opened.main, opened.table)
    yield Field("doc.version", word.version)
    if _flags(opened.main) & 4:
        yield Field("doc.fast_saved", True)
    story = _Story(word)
    for number, kind in enumerate(STORIES):
        for locator, start, end in _parts(word, number, kind):
            yield from story.read(locator, start, end)
    for link in story.links:
        yield Field("office.link", link)
    for author in dict.fromkeys(_word.strings(word.part(_word.REVISERS))):
        if author and author != "Unknown":
            yield Field("office.reviser", author)
    saved = _word.strings(word.part(_word.SAVED_BY)) if word.is_97 else []
    for author, path in zip(saved[::2], saved[1::2], strict=False):
        yield Field("doc.saved_by", f"{author}: {path}")
    if word.fault:
        yield Problem("corrupt", word.fault, resolution="read as far as the pieces go")
    elif word.missing:
        yield Problem("truncated", f"{word.missing} characters are missing", resolution="the rest was read")


def _flags(main: bytes) -> int:
    return int.from_bytes(main[10:12], "little")


def _parts(word: Word, number: int, kind: str) -> Iterator[tuple[str, int, int]]:
    """Locator, first and last position of everything in one story that stands by itself."""
    start, end = word.story(number)
    tables = {1: (_word.FOOTNOTES, 0), 2: (_word.HEADERS, 0), 4: (_word.COMMENTS, 0), 5: (_word.ENDNOTES, 0)}
    tables |= {6: (_word.BOXES, 22), 7: (_word.HEADER_BOXES, 22)}
    if start == end:
        return
    if number not in tables:
        yield kind, start, end
        return
    cuts = word.cuts(*tables[number])
    authors = list(_authors(word)) if number == 4 else []
    before = start
    for row, (first, last) in enumerate(pairwise(cuts)):
        begin, finish = start + first, start + last
        if not before <= begin <= finish <= end:
            break
        before = finish
        locator = f"{kind} {row + 1}"
        if number == 2:
            locator = _header_name(row)
        elif row < len(authors) and authors[row]:
            locator += f" ({authors[row]})"
        yield locator, begin, finish
    if before < end:
        yield kind, before, end


def _header_name(row: int) -> str:
    if row < 6:
        return "note separator"
    section, place = divmod(row - 6, 6)
    return f"{'footer' if place in (2, 3, 5) else 'header'} of section {section + 1}"


def _authors(word: Word) -> Iterator[str]:
    """Who wrote each comment."""
    data, owners = word.part(_word.OWNERS), list[str]()
    at = 0
    while at + 2 <= len(data):
        size = 2 * int.from_bytes(data[at : at + 2], "little")
        owners.append(data[at + 2 : at + 2 + size].decode("utf-16-le", "replace"))
        at += 2 + size
    references = word.part(_word.COMMENT_REFS)
    count = max(0, (len(references) - 4) // 34)
    for row in range(count):
        at = 4 * (count + 1) + 30 * row + 20
        owner = int.from_bytes(references[at : at + 2], "little")
        yield owners[owner] if word.is_97 and owner < len(owners) else ""


class _Story:
    """Reads runs of text into paragraphs; gathers what field codes link to."""

    def __init__(self, word: Word) -> None:
        self.links: dict[str, None] = {}
        self._word = word
        self._lists = word.lists()
        self._words: dict[str, list[str]] = {}
        self._codes: list[list[str]] = []
        self._in_code: list[bool] = []

    def read(self, locator: str, start: int, end: int) -> Iterator[Text]:
        """The texts between two positions."""
        flow = Flow()
        after_cell = False
        for first, last, mark in self._word.runs(start, end):
            at = first
            for match in _CONTROL.finditer(self._word.text, first, last):
                self._add(mark or locator, self._word.show(at, match.start()))
                at = match.end()
                char = match[0]
                if char in _ENDS:
                    filled = bool(self._words) or (match.start() > start and not after_cell)
                    look = self._lists.look(self._word.offset(match.start())) if self._lists else None
                    if self._lists and look and (number := self._lists.number(look)):
                        self._words.setdefault(locator, []).insert(0, number + " ")
                    yield from self._paragraph(flow, locator)
                    if char == _CELL and (look.ends_row if look else not filled):
                        flow.end_row()
                    elif char == _CELL:
                        flow.end_cell()
                    after_cell = char == _CELL
                    continue
                self._control(char, mark or locator)
            self._add(mark or locator, self._word.show(at, last))
        yield from self._paragraph(flow, locator)
        yield from flow.flush()

    def _add(self, place: str, text: str) -> None:
        if not text:
            return
        if self._in_code and self._in_code[-1]:
            self._codes[-1].append(text)
        else:
            self._words.setdefault(place, []).append(text)

    def _control(self, char: str, place: str) -> None:
        if char == _FIELD and len(self._codes) < 64:
            self._codes.append([])
            self._in_code.append(True)
        elif char == _RESULT and self._codes:
            self._in_code[-1] = False
        elif char == _END and self._codes:
            code = "".join(self._codes.pop())
            self._in_code.pop()
            self._words.setdefault("field code", []).append(code.strip() + " ")
            if found := _LINK.match(code) or _INCLUDE.match(code):
                self.links[found[1].replace("\\\\", "\\")] = None
        elif char in _PLAIN:
            self._add(place, _PLAIN[char])

    def _paragraph(self, flow: Flow, locator: str) -> Iterator[Text]:
        """The paragraph's own text first, then what stands aside of it."""
        words, self._words = self._words, {}
        yield from flow.paragraph(locator, "".join(words.pop(locator, ())))
        for place, pieces in words.items():
            yield from flow.paragraph(place, "".join(pieces).strip())
