"""OneNote sections: the words of every page in their order, older words, authors, times, files and pictures.

Source: [MS-ONE] 2.1 and 2.2 (nodes, properties); [MS-ONESTORE] (the store); [MS-FSSHTTPB] (packages).
Limits: ink, what recordings say, and the place of things on a page; sections behind a password; of earlier
states only the words that are no longer there.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._flow import Flow, label
from indexer.handlers._onepackage import Package
from indexer.handlers._onestore import Key, Object, Revisions, Space, Store
from indexer.handlers._streams import open_slice
from indexer.model import Child, Fact, Field, Problem, Text, Timestamp
from indexer.timestamps import from_filetime

_SECTION = uuid.UUID("7b5c52e4-d88c-4da7-aeb1-5378d02996d3").bytes_le
_CONTENTS = uuid.UUID("43ff2fa1-efd9-4c76-9ee2-10ea5722765f").bytes_le
_PACKED = uuid.UUID("638de92f-a6d4-4bc1-9a36-b3fc2511a5b7").bytes_le
_UNICODE, _ASCII, _TITLE, _AUTHOR, _FILE_NAME, _SOURCE = 0x1C22, 0x3498, 0x1CF3, 0x1D75, 0x1D9C, 0x1D9D
_PICTURE_NAME, _PICTURE_TEXT, _LINK, _CONTAINER, _PICTURE, _SPACES = 0x1DD7, 0x1E58, 0x1E20, 0x1D9B, 0x1C3F, 0x1D63
_CREATED, _MODIFIED = 0x1C65, 0x1D77
_ROW, _CELL, _AUTHOR_KIND, _PAGE_DATA = 0x60023, 0x60024, 0x120001, 0x20030
_CHILDREN = (0x1D5F, 0x1C20, 0x1C1F, 0x1D92)
"""What is below an object, in the order in which it is read: title, elements, contents, metadata."""
_MARKS = str.maketrans({"\ufddf": "", "\0": "", "\x0b": "\n"})
_EPOCH = datetime(1980, 1, 1, tzinfo=UTC)


class OneNote(Handler):
    name = "onenote"
    media_types = ("application/onenote", "application/msonenote", "application/onenote; format=one")
    signatures = (Signature(_SECTION), Signature(_CONTENTS))
    suffixes = (".one", ".onetoc2", ".onetoc")
    fields: ClassVar[Mapping[str, str]] = {
        "onenote.page": "title of a page",
        "onenote.author": "name of somebody who wrote in the section",
        "onenote.link": "target of a link",
        "onenote.source_path": "path a file or picture had on the machine it came from",
        "onenote.packed": "the section is kept as a server hands it out",
        "file.kind": "picture or attached file",
    }
    reads = "text by page, tables, earlier words, titles, authors, links, times; attached files and pictures"
    rank = 30
    container = True

    def read(self, stream: Stream) -> Iterator[Fact]:
        packed = stream.at(48, 16) == _PACKED
        if packed:
            yield Field("onenote.packed", True)
        store = Package(stream).store if packed else Revisions(stream).store
        yield from _authors(store)
        pages = [_Page(space) for space in _in_order(store)]
        titles = {page.title for page in pages if page.words}
        shown = [page for page in pages if page.words or page.earlier or (page.title and page.title not in titles)]
        yield from dict.fromkeys(stamp for page in pages for stamp in page.times())
        for number, page in enumerate(shown, 1):
            locator = f"page {number}{label(page.title, bracketed=True)}"
            if page.title and page.words:
                yield Field("onenote.page", page.title)
            flow = Flow()
            for text in page.words:
                if text is None:
                    flow.end_cell()
                elif not text:
                    flow.end_row()
                else:
                    yield from flow.paragraph(locator, text)
            yield from flow.flush()
            if page.earlier:
                yield Text("\n".join(page.earlier), f"{locator} earlier")
        yield from (
            Field("onenote.link", link) for link in dict.fromkeys(link for page in pages for link in page.links)
        )
        yield from _files(stream, store)
        if store.encrypted:
            yield Problem("encrypted", "the section is protected with a password", resolution="the rest was read")
        if store.faults:
            yield Problem("corrupt", "; ".join(store.faults[:5]), resolution="the rest was read")
        if not store.spaces:
            raise EvidenceError("corrupt", "no object space in the file")


def _words(held: Object) -> str:
    """The text of a paragraph, which is kept in one of two ways."""
    if isinstance(value := held.get(_UNICODE), bytes):
        return value[: len(value) & ~1].decode("utf-16-le", "replace").translate(_MARKS)
    if isinstance(value := held.get(_ASCII), bytes):
        return value.decode("cp1252", "replace").translate(_MARKS)
    return ""


def _string(held: Object, number: int) -> str:
    value = held.get(number)
    text = value[: len(value) & ~1].decode("utf-16-le", "replace") if isinstance(value, bytes) else ""
    return text.partition("\0")[0].strip()


def _in_order(store: Store) -> list[Space]:
    """The object spaces: first as the section lists its pages, then the rest as they stand in the file."""
    listed: dict[Key, None] = {}
    for space in store.spaces.values():
        for held in space.objects.values():
            for name, value in held.values:
                if name == _SPACES and isinstance(value, list):
                    listed.update(dict.fromkeys(value))
    keys = [key for key in listed if key in store.spaces]
    return [store.spaces[key] for key in (*keys, *(key for key in store.spaces if key not in listed))]


def _authors(store: Store) -> Iterator[Field]:
    found: dict[str, None] = {}
    for space in store.spaces.values():
        for held in space.objects.values():
            if name := _string(held, _AUTHOR):
                found[name] = None
    yield from (Field("onenote.author", name) for name in found)


class _Page:
    """The objects of one space, walked from its roots."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._reached: set[Key] = set()
        self._said: set[str] = set()
        self.links: dict[str, None] = {}
        self.title = next((title for held in space.objects.values() if (title := _string(held, _TITLE))), "")
        self.words = list(self._read())
        self.earlier = self._earlier()

    def _read(self) -> Iterator[str | None]:
        """Paragraphs in their order; None after a table cell, an empty text after a table row."""
        space = self._space
        last = ""
        waiting: list[Key | str | None] = [space.roots[role] for role in sorted(space.roots, reverse=True)]
        while waiting:
            key = waiting.pop()
            if key is None or isinstance(key, str):
                yield key
                continue
            held = space.objects.get(key)
            if key in self._reached or held is None:
                continue
            self._reached.add(key)
            for number in (_PICTURE_TEXT, _FILE_NAME):
                # An attached file and its icon carry the same name.
                if (text := _string(held, number)) and text != last:
                    last = text
                    yield text
            if link := _string(held, _LINK):
                self.links[link] = None
            if text := _words(held).strip():
                self._said.add(text)
                yield text
            if held.kind == _CELL:
                waiting.append(None)
            elif held.kind == _ROW:
                waiting.append("")
            below = [
                each
                for child in _CHILDREN
                for name, value in held.values
                if name == child and isinstance(value, list)
                for each in value
            ]
            others = [
                each
                for name, value in held.values
                if name not in _CHILDREN and isinstance(value, list)
                for each in value
            ]
            waiting += [*reversed(others), *reversed(below)]

    def _earlier(self) -> list[str]:
        """Words of this page that stand nowhere on it any more."""
        lost = [held for key, held in self._space.objects.items() if key not in self._reached]
        texts = dict.fromkeys(text for held in (*self._space.replaced, *lost) if (text := _words(held).strip()))
        return [text for text in texts if text not in self._said]

    def times(self) -> Iterator[Timestamp]:
        """When the page was made and last changed."""
        for held in self._space.objects.values():
            if held.kind & 0xFFFFF not in (_PAGE_DATA, 0x6000B):
                continue
            for number, kind, origin in ((_CREATED, "B", "onenote.created"), (_MODIFIED, "M", "onenote.modified")):
                value = held.get(number)
                stamp = from_filetime(kind, value, origin) if isinstance(value, int) else None
                yield from (stamp,) if stamp else ()
            value = held.get(0x1D7A)
            if isinstance(value, int) and 0 < value < 1 << 32:
                yield Timestamp("M", _EPOCH + timedelta(seconds=value), "onenote.page_modified")


def _files(stream: Stream, store: Store) -> Iterator[Fact]:
    """Attached files and pictures by the names that their objects give them."""
    done: set[str] = set()
    for space in store.spaces.values():
        for held in space.objects.values():
            for number, kind, namer in ((_CONTAINER, "attachment", _FILE_NAME), (_PICTURE, "picture", _PICTURE_NAME)):
                keys = held.get(number)
                target = space.objects.get(keys[0]) if isinstance(keys, list) and keys else None
                guid = target.file.partition("{")[2].partition("}")[0].lower() if target else ""
                if guid not in store.files or guid in done:
                    continue
                done.add(guid)
                fields = [Field("file.kind", kind)]
                if path := _string(held, _SOURCE):
                    fields.append(Field("onenote.source_path", path))
                yield _child(stream, _string(held, namer) or f"{kind} {guid}", store.files[guid], tuple(fields))
    for guid, place in store.files.items():
        if guid not in done:
            yield _child(stream, f"file {guid}", place, ())


def _child(stream: Stream, name: str, place: tuple[int, int], fields: tuple[Field, ...]) -> Child:
    return Child(name, name.encode("utf-16-le", "surrogatepass"), open_slice(stream, *place), fields=fields)
