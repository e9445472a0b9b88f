"""Hangul documents of the open format: text with tables, notes, boxes and memos; pictures and objects as members.

Source: KS X 6101 (OWPML): package, chapter 5 (contents), 10 (paragraphs); OASIS ODF 1.2 part 3 for encryption.
A note's text follows the paragraph that it belongs to.
Limits: numbers of lists are not worked out; charts are members; parts under other ciphers than those of ODF are
not opened.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import ClassVar

from msgspec import Struct, field

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._flow import Flow
from indexer.handlers._odf_lock import Lock
from indexer.handlers._parts import DATA, END, START, Event, Parts, read_directory
from indexer.model import Fact, Field, Problem, Text
from indexer.passwords import Password
from indexer.timestamps import from_iso

_PREFIXES = {
    "http://www.idpf.org/2007/opf/": "opf",
    "http://purl.org/dc/elements/1.1/": "dc",
    "urn:oasis:names:tc:opendocument:xmlns:manifest:1.0": "manifest",
}
_MIME = b"application/hwp+zip"
_SECTION = re.compile(r"contents/section(\d{1,9})\.xml")
_NOTES = {"footNote": "footnote", "endNote": "endnote", "header": "header", "footer": "footer"}
_NOTES |= {"hiddenComment": "hidden comment", "drawText": "text box", "caption": "caption", "MEMO": "memo"}
_TEXTS = {"shapeComment": "alternative text", "script": "equation", "composeText": "overlapping characters"}
_TEXTS |= {"mainText": "phonetic guide", "subText": "phonetic guide", "stringParam": "field code"}
_TEXTS |= {"firstKey": "index mark", "secondKey": "index mark"}
_MARKS = {"tab": "\t", "lineBreak": "\n", "nbSpace": "\u00a0", "fwSpace": " ", "hyphen": "-"}
_META = {"creator": "creator", "subject": "subject", "description": "description", "keyword": "keywords"}
_META |= {"lastsaveby": "last_modified_by"}
_META_TIMES = {"CreatedDate": ("B", "office.created"), "ModifiedDate": ("M", "office.modified")}
_READ = (
    "mimetype",
    "version.xml",
    "settings.xml",
    "meta-inf/container.xml",
    "meta-inf/container.rdf",
    "preview/prvtext.txt",
)


class Hwpx(Handler):
    name = "hwpx"
    version = 2
    media_types = ("application/hwp+zip", "application/vnd.hancom.hwpx", "application/haansofthwpx")
    signatures = (Signature(b"PK\3\4"),)
    suffixes = (".hwpx",)
    fields: ClassVar[Mapping[str, str]] = {
        "office.title": "title",
        "office.language": "language that the properties name",
        **{f"office.{name}": f"{name.replace('_', ' ')} as the properties say" for name in _META.values()},
        "office.application": "program that wrote it, with its version",
        "office.link": "target of a link to outside the document",
        "office.reviser": "who made tracked changes",
        "hwp.version": "version of the format",
        "hwp.date": "date line of the properties, as it was typed",
        "hwp.field_name": "name of a field or bookmark",
        "encryption.method": "how parts are encrypted",
        "encryption.password": "which given password opened them",
        "archive.comment": "comment of the part in the archive",
    }
    reads = "text, tables, notes, headers, boxes, comments, memos, field codes; properties, pictures, objects"
    rank = 32
    container = True

    def claims(self, stream: Stream) -> str | None:
        directory = read_directory(stream)
        is_ours = bool(directory) and _MIME in stream.head[:200]
        is_ours = is_ours or (b"Contents/content.hpf" in directory and b"Contents/section0.xml" in directory)
        return self.media_types[0] if is_ours else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        parts = Parts(stream)
        locks = _read_manifest(parts)
        for method in dict.fromkeys(lock.method for lock in locks.values()):
            yield Field("encryption.method", method)
        if locks and (password := _unlock(parts, locks, stream)):
            yield password.field()
            locks = {}
        elif locks:
            yield Problem("encrypted", f"encrypted parts: {len(locks)}", resolution="the rest was read")
        yield from _read_version(parts.events("version.xml", _PREFIXES))
        if "contents/content.hpf" not in locks:
            yield from _read_properties(parts.events("Contents/content.hpf", _PREFIXES))
        body = _Body()
        sections = [name for name in parts.names if _SECTION.fullmatch(name)]
        masters = [name for name in parts.names if name.startswith("contents/masterpage")]
        for name in (*sections, *masters):
            if name not in locks:
                found = _SECTION.fullmatch(name)
                yield from body.read(
                    parts.events(name, _PREFIXES), f"section {int(found[1]) + 1}" if found else "master page"
                )
        if "contents/header.xml" not in locks:
            yield from _read_head(parts.events("Contents/header.xml", _PREFIXES))
        yield from body.fields()
        if not sections or locks:
            yield Text(parts.read("Preview/PrvText.txt").decode("utf-8", "replace"), "preview")
        for name in parts.names:
            if name.startswith("scripts/") and name not in locks:
                yield Text(_script(parts.read(name)), "script")
            if name in _READ or name.startswith("contents/masterpage"):
                parts.take(name)
        for name in locks:
            parts.lock(name)
        yield from parts.members()
        yield from parts.problems


class _Place(Struct):
    """Where text stands, and what has been gathered of the paragraph there."""

    tag: str
    locator: str
    words: list[str] = field(default_factory=list)


class _Body(Struct):
    """Reads sections one after the other; numbers of notes run through all of them."""

    counts: dict[str, int] = field(default_factory=dict)
    links: dict[str, None] = field(default_factory=dict)
    names: dict[str, None] = field(default_factory=dict)

    def read(self, events: Iterator[Event], locator: str) -> Iterator[Text]:
        """The texts of one section, in its order."""
        flow = Flow()
        places = [_Place("", locator)]
        aside: list[str] = []
        open_fields: list[str] = []
        tag_of_text = ""
        deleted = False
        for kind, tag, attributes in events:
            place = places[-1]
            if kind == DATA:
                if tag_of_text == "t":
                    (aside if deleted else place.words).append(tag)
                elif tag_of_text:
                    aside.append(tag)
            elif kind == START:
                if tag == "p":
                    # Notes stand inside of the paragraph that they belong to: what it has so far comes first.
                    yield from _give(flow, place)
                elif tag in _NOTES:
                    yield from _give(flow, place)
                    places.append(_Place(tag, self._number(_NOTES[tag])))
                elif tag == "fieldBegin":
                    yield from self._begin_field(flow, places, attributes)
                    open_fields.append(attributes.get("type", ""))
                elif tag == "tc":
                    yield from _give(flow, place)
                    places.append(_Place("tc", place.locator))
                elif tag == "textart" and attributes.get("text"):
                    yield from flow.paragraph(self._number("text art"), attributes["text"])
                elif tag == "bookmark" and attributes.get("name"):
                    self.names[attributes["name"]] = None
                elif tag == "deleteBegin":
                    deleted = True
                elif tag == "deleteEnd":
                    deleted = False
                    yield from flow.paragraph("deleted text", "".join(aside))
                    aside = []
                elif tag == "compose" and attributes.get("composeText"):
                    yield from flow.paragraph("overlapping characters", attributes["composeText"])
                elif tag in _MARKS and tag_of_text == "t":
                    place.words.append(_MARKS[tag])
                if tag == "t" or tag in _TEXTS:
                    tag_of_text = tag
            elif kind == END:
                if tag == tag_of_text:
                    tag_of_text = ""
                if tag in _TEXTS:
                    text, aside = "".join(aside), []
                    if tag == "stringParam" and "HYPERLINK" in open_fields[-1:]:
                        self._link(text)
                    yield from flow.paragraph(_TEXTS[tag], text)
                elif tag == "p":
                    yield from _give(flow, place)
                elif tag == "tr":
                    flow.end_row()
                elif tag == "fieldBegin":
                    if open_fields and open_fields.pop() == "MEMO" and place.tag == "MEMO":
                        yield from _give(flow, places.pop())
                elif len(places) > 1 and tag == place.tag:
                    yield from _give(flow, places.pop())
                    if tag == "tc":
                        flow.end_cell()
        yield from _give(flow, places[-1])
        yield from flow.flush()

    def fields(self) -> Iterator[Field]:
        """Links and names gathered on the way."""
        for link in self.links:
            yield Field("office.link", link)
        for name in self.names:
            yield Field("hwp.field_name", name)

    def _number(self, kind: str) -> str:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        return f"{kind} {self.counts[kind]}"

    def _begin_field(self, flow: Flow, places: list[_Place], attributes: dict[str, str]) -> Iterator[Text]:
        if attributes.get("name"):
            self.names[attributes["name"]] = None
        if attributes.get("type") == "MEMO":
            yield from _give(flow, places[-1])
            places.append(_Place("MEMO", self._number("memo")))

    def _link(self, text: str) -> None:
        target = text.split(";", maxsplit=1)[0].replace("\\:", ":").strip()
        if "://" in target or target.startswith("mailto:"):
            self.links[target] = None


def _give(flow: Flow, place: _Place) -> Iterator[Text]:
    text, place.words = "".join(place.words), []
    yield from flow.paragraph(place.locator, text)


def _read_version(events: Iterator[Event]) -> Iterator[Field]:
    for kind, tag, attributes in events:
        if kind == START and tag == "HCFVersion":
            yield Field(
                "hwp.version",
                ".".join(attributes.get(part, "0") for part in ("major", "minor", "micro", "buildNumber")),
            )
            if name := attributes.get("application"):
                yield Field("office.application", f"{name} {attributes.get('appVersion', '')}".strip())


def _read_properties(events: Iterator[Event]) -> Iterator[Fact]:
    name, text = "", list[str]()
    for kind, tag, attributes in events:
        if kind == START:
            name, text = attributes.get("name", tag), []
        elif kind == DATA:
            text.append(tag)
        elif body := "".join(text).strip():
            text = []
            if tag.endswith(":title") or tag.endswith(":language"):
                yield Field(f"office.{tag.partition(':')[2]}", body)
            elif name in _META:
                yield Field(f"office.{_META[name]}", body)
            elif name == "date":
                yield Field("hwp.date", body)
            elif name in _META_TIMES and (stamp := from_iso(_META_TIMES[name][0], body, _META_TIMES[name][1])):
                yield stamp


def _read_head(events: Iterator[Event]) -> Iterator[Field]:
    for kind, tag, attributes in events:
        if kind == START and tag == "trackChangeAuthor" and attributes.get("name"):
            yield Field("office.reviser", attributes["name"])


def _read_manifest(parts: Parts) -> dict[str, Lock]:
    """Encrypted parts by lower-case name."""
    locks: dict[str, Lock] = {}
    name = ""
    for kind, tag, attributes in parts.events("META-INF/manifest.xml", _PREFIXES):
        if kind != START:
            continue
        if tag == "manifest:file-entry":
            name = attributes.get("manifest:full-path", attributes.get("full-path", "")).lower()
        elif tag == "manifest:encryption-data" and name:
            locks[name] = Lock()
        if name in locks:
            locks[name].take(tag, attributes)
    return locks


def _unlock(parts: Parts, locks: dict[str, Lock], stream: Stream) -> Password | None:
    """The password that opens the smallest part, after which every part is read through its own key."""
    tested = min((name for name in locks if name in parts), key=parts.size, default="")
    if not tested or not all(lock.known for lock in locks.values()):
        return None
    for password in stream.passwords:
        try:
            right = locks[tested].opens(locks[tested].key(password.text), parts.stored(tested))
        except EvidenceError:
            return None
        if right:
            for name, lock in locks.items():
                parts.unlock(name, partial(_opened, lock, password.text))
            return password
    return None


def _opened(lock: Lock, password: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
    return lock.unpacked(lock.key(password), pieces)


def _script(data: bytes) -> str:
    """The source of a script, in UTF-16 or UTF-8."""
    return data.decode("utf-16-le" if data[1:2] == b"\0" or data[:2] == b"\xff\xfe" else "utf-8", "replace").lstrip(
        "\ufeff"
    )
