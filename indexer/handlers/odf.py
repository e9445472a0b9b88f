"""OpenDocument texts, spreadsheets, presentations and drawings, and the StarOffice files before them.

Source: OASIS ODF 1.3 part 2 (packages, manifest, encryption), part 3 (schema); OpenOffice.org 1.0 XML format.
Embedded objects are read with their document; their locators begin with the object's name.
Limits: text hidden by a style counts as plain; numbers of lists are not worked out; more than 64 copies
of one cell in a row are not written out; parts encrypted with AES-GCM are not opened.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import ClassVar

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._flow import label
from indexer.handlers._hidden_lines import HIDDEN_FIELDS
from indexer.handlers._odf_lock import Lock
from indexer.handlers._opendoc import PREFIXES, Walker
from indexer.handlers._parts import DATA, END, START, Event, Parts, XmlReader, read_directory, unpack_entry
from indexer.model import Fact, Field, Problem
from indexer.passwords import Password
from indexer.timestamps import from_iso

_NEW, _OLD, _FLAT = b"application/vnd.oasis.opendocument.", b"application/vnd.sun.xml.", b"office:mimetype="
_TYPES = ("text", "spreadsheet", "presentation", "graphics", "chart", "formula", "image", "text-master", "text-web")
_OLD_TYPES = ("writer", "calc", "impress", "draw", "math", "writer.global")
_META = {
    "dc:title": "title",
    "dc:subject": "subject",
    "dc:description": "description",
    "dc:creator": "creator",
    "dc:language": "language",
    "meta:initial-creator": "initial_creator",
    "meta:printed-by": "printed_by",
    "meta:generator": "generator",
    "meta:keyword": "keyword",
    "meta:editing-cycles": "editing_cycles",
    "meta:editing-duration": "editing_duration",
}
_META_TIMES = {"meta:creation-date": "B", "dc:date": "M", "meta:print-date": "printed"}
_LISTS = ("/", "script.xml", "script-lb.xml", "script-lc.xml", "dialog-lb.xml", "dialog-lc.xml")
_STYLING = ("settings.xml", "styles.xml", "manifest.rdf", "mimetype")


class Odf(Handler):
    name = "odf"
    version = 3
    media_types = (
        *(_NEW.decode() + kind for kind in _TYPES),
        *(_NEW.decode() + kind + "-template" for kind in _TYPES[:7]),
        *(_OLD.decode() + kind for kind in _OLD_TYPES),
        *(_OLD.decode() + kind + ".template" for kind in _OLD_TYPES[:4]),
    )
    signatures = (Signature(b"PK\3\4"), Signature(b"<?xml"))
    suffixes = (
        *(".odt", ".ods", ".odp", ".odg", ".odf", ".odc", ".odi", ".odm", ".ott", ".ots", ".otp", ".otg", ".oth"),
        *(".fodt", ".fods", ".fodp", ".fodg", ".sxw", ".sxc", ".sxi", ".sxd", ".stw", ".stc", ".sti", ".std"),
    )
    fields: ClassVar[Mapping[str, str]] = {
        **{f"odf.{name}": f"{name.replace('_', ' ')} as the properties say" for name in _META.values()},
        "odf.version": "version of the format",
        "odf.template": "template it was made from",
        "odf.custom.*": "custom property, by its own name",
        "odf.statistic.*": "count that the program kept, by its own name",
        "odf.link": "target of a link to outside the document",
        "odf.reviser": "who made tracked changes",
        "odf.sheet": "name of a sheet",
        **HIDDEN_FIELDS,
        "odf.printer": "printer the document was set up for",
        "odf.macros": "the document holds macros",
        "encryption.method": "how parts are encrypted",
        "encryption.password": "which given password opened them",
        "archive.comment": "comment of the part in the archive",
    }
    reads = "text, sheets with their cells, slides, notes, comments, changes, embedded objects; properties, members"
    rank = 31
    container = True

    def claims(self, stream: Stream) -> str | None:
        head = stream.head
        if not head.startswith(b"PK"):
            start = head.find(_FLAT)
            return self._known(head[start + len(_FLAT) + 1 : start + 100]) if start > 0 else None
        directory = read_directory(stream)
        if not directory:
            return None
        if head[30:38] == b"mimetype":
            return self._known(head[38:200])
        at = directory.find(b"META-INF/manifest.xml")
        if at < 0 or b"content.xml" not in directory:
            return None
        manifest = unpack_entry(stream, directory, at)
        start = max(manifest.find(_NEW), manifest.find(_OLD))
        return self._known(manifest[start : start + 100]) if start >= 0 else None

    def _known(self, text: bytes) -> str | None:
        """The longest of our media types that `text` begins with, whatever extra bytes stand before it."""
        start = max(text.find(_NEW), text.find(_OLD))
        found = [name for name in self.media_types if text.startswith(name.encode(), start)] if start >= 0 else []
        return max(found, key=len, default=None)

    def read(self, stream: Stream) -> Iterator[Fact]:
        walker = Walker()
        if not stream.head.startswith(b"PK"):
            reader = XmlReader(PREFIXES)
            yield from _read_document(reader.events(iter(lambda: stream.read(1 << 16), b"")), walker)
            yield from _gathered([walker])
            if reader.fault:
                yield Problem("corrupt", reader.fault, resolution="read up to there")
            return
        parts = Parts(stream)
        encrypted = _read_manifest(parts)
        for method in dict.fromkeys(lock.method for lock in encrypted.values()):
            yield Field("encryption.method", method)
        if encrypted and (password := _unlock(parts, encrypted, stream)):
            yield password.field()
            encrypted = {}
        elif encrypted:
            yield Problem("encrypted", f"encrypted parts: {len(encrypted)}", resolution="the rest was read")
        walkers = [walker]
        for name in ("meta.xml", "content.xml", "styles.xml"):
            if name not in encrypted:
                yield from _read_document(parts.events(name, PREFIXES), walker)
        if "settings.xml" not in encrypted:
            yield from _read_printer(parts.events("settings.xml", PREFIXES))
        for name in parts.names:
            folder, _, base = name.rpartition("/")
            if folder and base == "content.xml" and name not in encrypted:
                walkers.append(Walker(label(folder) + " "))
                yield from walkers[-1].read(parts.events(name, PREFIXES))
                parts.take(folder + "/styles.xml")
                parts.take(folder + "/settings.xml")
            elif folder.startswith("configurations2") and not parts.size(name):
                parts.take(name)
        yield from _gathered(walkers)
        if any(name.startswith(("basic/", "scripts/")) and not name.endswith(_LISTS) for name in parts.names):
            yield Field("odf.macros", True)
        for name in _STYLING:
            parts.take(name)
        for name in encrypted:
            parts.lock(name)
        yield from parts.members()
        yield from parts.problems


def _read_document(events: Iterator[Event], walker: Walker) -> Iterator[Fact]:
    """Properties where they stand, text from the rest."""
    found: list[Fact] = []
    yield from walker.read(_without_meta(events, found))
    yield from found


def _without_meta(events: Iterator[Event], found: list[Fact]) -> Iterator[Event]:
    """The events but for the properties, which go to `found`."""
    inside = False
    name = ""
    text: list[str] = []
    for event in events:
        kind, tag, attributes = event
        if kind != DATA and tag == "office:meta":
            inside = kind == START
        elif kind == START and tag in ("office:document-meta", "office:document") and "office:version" in attributes:
            found.append(Field("odf.version", attributes["office:version"]))
        if not inside:
            yield event
        elif kind == START:
            name, text = attributes.get("meta:name", ""), []
            if tag == "meta:template":
                found.append(Field("odf.template", attributes.get("xlink:title") or attributes.get("xlink:href", "")))
            elif tag == "meta:document-statistic":
                for key, value in attributes.items():
                    found.append(_number(f"odf.statistic.{key.removeprefix('meta:')}", value))
        elif kind == DATA:
            text.append(tag)
        elif kind == END and (body := "".join(text).strip()):
            text = []
            if tag in _META:
                found.append(_number(f"odf.{_META[tag]}", body))
            elif tag in _META_TIMES and (stamp := from_iso(_META_TIMES[tag], body, f"odf.{tag.partition(':')[2]}")):
                found.append(stamp)
            elif tag == "meta:user-defined":
                found.append(Field(f"odf.custom.{name}", body))


def _number(name: str, text: str) -> Field:
    counted = name == "odf.editing_cycles" or name.startswith("odf.statistic.")
    return Field(name, int(text) if counted and text.isascii() and text.isdigit() and len(text) < 16 else text)


def _read_manifest(parts: Parts) -> dict[str, Lock]:
    """Encrypted parts by lower-case name."""
    encrypted: dict[str, Lock] = {}
    name = ""
    for kind, tag, attributes in parts.events("META-INF/manifest.xml", PREFIXES):
        if kind != START:
            continue
        if tag == "manifest:file-entry":
            name = attributes.get("manifest:full-path", "").lower()
        elif tag == "manifest:encryption-data" and name:
            encrypted[name] = Lock()
        if name in encrypted:
            encrypted[name].take(tag, attributes)
    return encrypted


def _unlock(parts: Parts, encrypted: dict[str, Lock], stream: Stream) -> Password | None:
    """The password that opens the smallest part, after which every part is read through its own key."""
    tested = min((name for name in encrypted if name in parts), key=parts.size, default="")
    if not tested or not all(lock.known for lock in encrypted.values()):
        return None
    for password in stream.passwords:
        try:
            right = encrypted[tested].opens(encrypted[tested].key(password.text), parts.stored(tested))
        except EvidenceError:
            return None
        if right:
            for name, lock in encrypted.items():
                parts.unlock(name, partial(_opened, lock, password.text))
            return password
    return None


def _opened(lock: Lock, password: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
    return lock.unpacked(lock.key(password), pieces)


def _read_printer(events: Iterator[Event]) -> Iterator[Field]:
    name = ""
    text: list[str] = []
    for kind, tag, attributes in events:
        if kind == START:
            name, text = attributes.get("config:name", ""), []
        elif kind == DATA:
            text.append(tag)
        elif name == "PrinterName" and (body := "".join(text).strip()):
            yield Field("odf.printer", body)
            name = ""


def _gathered(walkers: list[Walker]) -> Iterator[Field]:
    for link in dict.fromkeys(link for walker in walkers for link in walker.links):
        yield Field("odf.link", link)
    for name in dict.fromkeys(name for walker in walkers for name in walker.revisers):
        yield Field("odf.reviser", name)
