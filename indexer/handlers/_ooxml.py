"""Office Open XML packages: what kind, which parts, which relations, and what is known about them.

Source: ECMA-376 part 2 (packages: parts, content types, relationships, core properties) and
part 1, chapters 15 and 22 (extended and custom properties); strict and transitional namespaces.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple
from urllib.parse import unquote
from weakref import WeakKeyDictionary

from indexer.handler import Stream
from indexer.handlers._parts import DATA, END, START, Event, Parts, read_directory, unpack_entry
from indexer.handlers._skim import Skim, Stretch
from indexer.model import Fact, Field, Problem, Timestamp
from indexer.timestamps import from_iso

FIELDS: Mapping[str, str] = {
    "office.title": "title",
    "office.subject": "subject",
    "office.creator": "who made the document",
    "office.keywords": "keywords",
    "office.description": "description or comments",
    "office.last_modified_by": "who saved it last",
    "office.revision": "how often it was saved",
    "office.category": "category",
    "office.status": "status, such as draft or final",
    "office.language": "language that the properties name",
    "office.identifier": "identifier that the properties name",
    "office.version": "version that the properties name",
    "office.content_type": "kind of content that the properties name",
    "office.application": "program that wrote it",
    "office.app_version": "version of that program",
    "office.company": "company of the author",
    "office.manager": "manager of the author",
    "office.template": "template it was made from",
    "office.edit_minutes": "minutes it was open for editing",
    "office.hyperlink_base": "what relative links start from",
    "office.doc_security": "protection flags, as a number",
    "office.pages": "pages",
    "office.words": "words",
    "office.characters": "characters without spaces",
    "office.characters_with_spaces": "characters with spaces",
    "office.lines": "lines",
    "office.paragraphs": "paragraphs",
    "office.slides": "slides",
    "office.notes": "slides with notes",
    "office.hidden_slides": "hidden slides",
    "office.custom.*": "custom property, by its own name",
    "office.link": "target of a link to outside the document",
    "office.attached_template": "template that is fetched from outside when the document is opened",
    "office.person": "author named in comments and changes, with the account where one stands",
    "office.reviser": "who made tracked changes",
    "office.macros": "the document holds a macro project",
    "archive.comment": "comment of the part in the archive",
}

_NAMESPACES = {
    "w": ("wordprocessingml",),
    "x": ("spreadsheetml",),
    "p": ("presentationml",),
    "a": ("drawingml",),
    "c": ("drawingml/chart",),
    "dgm": ("drawingml/diagram",),
    "wp": ("drawingml/wordprocessingDrawing",),
    "xdr": ("drawingml/spreadsheetDrawing",),
    "pic": ("drawingml/picture",),
    "m": ("officeDocument", "math"),
    "r": ("officeDocument", "relationships"),
    "vt": ("officeDocument", "docPropsVTypes"),
}
PREFIXES: dict[str, str] = {
    "http://schemas.openxmlformats.org/markup-compatibility/2006": "mc",
    "urn:schemas-microsoft-com:vml": "v",
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://purl.org/dc/terms/": "dcterms",
}
for _prefix, (_area, *_rest) in _NAMESPACES.items():
    _head, _, _tail = _area.partition("/")
    _end = (_rest or [_tail or "main"])[0]
    PREFIXES[f"http://schemas.openxmlformats.org/{_head}/2006/{_end}"] = _prefix
    PREFIXES[f"http://purl.oclc.org/ooxml/{_head}/{_end}"] = _prefix

MAIN_TYPES = {
    "vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "vnd.openxmlformats-officedocument.wordprocessingml.template": "docx",
    "vnd.ms-word.document.macroenabled": "docx",
    "vnd.ms-word.template.macroenabledtemplate": "docx",
    "vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "vnd.openxmlformats-officedocument.spreadsheetml.template": "xlsx",
    "vnd.ms-excel.sheet.macroenabled": "xlsx",
    "vnd.ms-excel.template.macroenabled": "xlsx",
    "vnd.ms-excel.addin.macroenabled": "xlsx",
    "vnd.ms-excel.sheet.binary.macroenabled": "xlsb",
    "vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
    "vnd.openxmlformats-officedocument.presentationml.slideshow": "pptx",
    "vnd.openxmlformats-officedocument.presentationml.template": "pptx",
    "vnd.ms-powerpoint.presentation.macroenabled": "pptx",
    "vnd.ms-powerpoint.slideshow.macroenabled": "pptx",
    "vnd.ms-powerpoint.template.macroenabled": "pptx",
    "vnd.ms-powerpoint.addin.macroenabled": "pptx",
    "vnd.ms-visio.drawing": "vsdx",
    "vnd.ms-visio.template": "vsdx",
    "vnd.ms-visio.stencil": "vsdx",
    "vnd.ms-visio.drawing.macroenabled": "vsdx",
    "vnd.ms-visio.template.macroenabled": "vsdx",
    "vnd.ms-visio.stencil.macroenabled": "vsdx",
}
"""Content type of the main part, without `application/` and `.main+xml`, lower case -> our handler."""

_MEDIA_CASE = {
    "vnd.ms-word.document.macroenabled": "vnd.ms-word.document.macroEnabled.12",
    "vnd.ms-word.template.macroenabledtemplate": "vnd.ms-word.template.macroEnabled.12",
}
_CONTENT_TYPES = b"[Content_Types].xml"
_MAIN = re.compile(rb"""ContentType\s*=\s*["']application/([\w.-]{1,100})\.main(?:\+xml)?["']""", re.IGNORECASE)
_MAIN_PARTS = ((b"word/document.xml", "docx"), (b"xl/workbook.xml", "xlsx"), (b"ppt/presentation.xml", "pptx"))
_DEFAULTS = {"docx": "wordprocessingml.document", "xlsx": "spreadsheetml.sheet", "pptx": "presentationml.presentation"}
_seen: WeakKeyDictionary[Stream, tuple[str, str]] = WeakKeyDictionary()


def media_types(handler: str) -> tuple[str, ...]:
    """Every media type of one of our handlers, the usual one first."""
    return tuple(_media_type(main) for main, name in MAIN_TYPES.items() if name == handler)


def claimed(stream: Stream, handler: str) -> str | None:
    """The media type, where the package's main part belongs to `handler`; asked once per item."""
    found = _seen.get(stream)
    if found is None:
        found = _seen[stream] = _identify(stream)
    return found[1] if found[0] == handler else None


def _media_type(main: str) -> str:
    if main.endswith("macroenabled") or main in _MEDIA_CASE:
        return "application/" + _MEDIA_CASE.get(main, main.replace("macroenabled", "macroEnabled") + ".12")
    return f"application/{main}"


def _identify(stream: Stream) -> tuple[str, str]:
    """Handler and media type by the archive's directory; two empty strings where it is something else."""
    directory = read_directory(stream)
    at = directory.find(_CONTENT_TYPES)
    if at >= 0:
        for match in _MAIN.finditer(unpack_entry(stream, directory, at)):
            main = match[1].decode("ascii").lower()
            if main in MAIN_TYPES:
                return MAIN_TYPES[main], _media_type(main)
        for part, handler in _MAIN_PARTS:
            if part in directory:
                return handler, f"application/vnd.openxmlformats-officedocument.{_DEFAULTS[handler]}"
    return "", ""


class Relation(NamedTuple):
    """One relationship: its kind is the last word of its type."""

    id: str
    kind: str
    target: str
    external: bool


class Package:
    """A package: its parts by kind, and how they are related."""

    def __init__(self, stream: Stream) -> None:
        self.parts = Parts(stream)
        self._types: dict[str, str] = {}
        self._defaults: dict[str, str] = {}
        for kind, tag, attributes in self.events(_CONTENT_TYPES.decode()):
            if kind == START and tag == "Override":
                self._types[attributes.get("PartName", "").lstrip("/").lower()] = attributes.get("ContentType", "")
            elif kind == START and tag == "Default":
                self._defaults[attributes.get("Extension", "").lower()] = attributes.get("ContentType", "")
        self._kinds = {name: self._kind(name) for name in self.parts.names}
        self._relations = {name: self._read_relations(name) for name in self.parts.names if name.endswith(".rels")}

    def events(self, name: str) -> Iterator[Event]:
        """The XML events of a part."""
        return self.parts.events(name, PREFIXES)

    def skimmed(
        self, name: str, end: str, prefix: str, read: Callable[[str, Skim], Iterable[Stretch]]
    ) -> Iterator[tuple[list[Fact], list[Event]]]:
        """The events of a part without its plain records, and before each batch what `read` made of those.

        Args:
            end: what a record ends with.
            prefix: that of the records' namespace; where it ends in a colon, their tags are written with it.
            read: see `Skim`.
        """
        bare = prefix.rstrip(":")
        declared = "xmlns" if bare == prefix else f"xmlns:{bare}"
        spaces = {space for space, known in PREFIXES.items() if known == bare}
        skim = Skim(end, declared, spaces, lambda text: read(text, skim))
        return skim.follow(self.parts.batches(name, PREFIXES, skim.pieces))

    def _kind(self, name: str) -> str:
        """The last word of a part's content type, `main` for the main one; its bare name where it has none."""
        declared = self._types.get(name) or self._defaults.get(name.rpartition(".")[2], "")
        bare, plus, _ = declared.partition("+xml")
        if plus and bare not in ("application/xml", "application"):
            return bare.rpartition(".")[2].lower()
        if name.endswith((".xml", ".vml")):
            return re.sub(r"\d*\.(xml|vml)$", "", posixpath.basename(name))
        return ""

    def of_kind(self, *kinds: str) -> list[str]:
        """The parts of these kinds, in the natural order of their names."""
        return [name for name in self.parts.names if self._kinds[name] in kinds]

    @property
    def has_macros(self) -> bool:
        """Whether a macro project is among the parts."""
        return any(name.endswith("vbaproject.bin") for name in self.parts.names)

    def relations(self, name: str) -> list[Relation]:
        """What a part refers to; targets inside the package are names of parts."""
        folder, base = posixpath.split(name)
        return self._relations.get(posixpath.join(folder, "_rels", base + ".rels"), [])

    def main(self) -> str:
        """The name of the main part."""
        for relation in self._relations.get("_rels/.rels", []):
            if relation.kind == "officedocument" and relation.target in self.parts:
                return relation.target
        named = [name for part, _ in _MAIN_PARTS if (name := part.decode()) in self.parts]
        found = (self.of_kind("main") or named or [""])[0]
        if not found and not self.parts.problems:
            self.parts.problems.append(Problem("corrupt", "the main part is not there", resolution="the rest was read"))
        return found

    def links(self) -> Iterator[Field]:
        """Every target outside the package, once."""
        found: dict[Field, None] = {}
        for relations in self._relations.values():
            for relation in relations:
                if relation.external and relation.target:
                    found[Field("office.link", relation.target)] = None
                    if relation.kind == "attachedtemplate":
                        found[Field("office.attached_template", relation.target)] = None
        yield from found

    def _read_relations(self, name: str) -> list[Relation]:
        folder = posixpath.dirname(posixpath.dirname(name))
        found = []
        for kind, tag, attributes in self.events(name):
            if kind == START and tag == "Relationship":
                external = attributes.get("TargetMode", "").lower() == "external"
                target = attributes.get("Target", "")
                if not external:
                    target = posixpath.normpath(posixpath.join("/" + folder, unquote(target))).lstrip("/").lower()
                type_name = attributes.get("Type", "").rpartition("/")[2].lower()
                found.append(Relation(attributes.get("Id", ""), type_name, target, external))
        return found


_CORE = {
    "title": "title",
    "subject": "subject",
    "creator": "creator",
    "keywords": "keywords",
    "description": "description",
    "lastmodifiedby": "last_modified_by",
    "revision": "revision",
    "category": "category",
    "contentstatus": "status",
    "language": "language",
    "identifier": "identifier",
    "version": "version",
    "contenttype": "content_type",
}
_CORE_TIMES = {"created": "B", "modified": "M", "lastprinted": "printed"}
_APP = {
    "application": "application",
    "appversion": "app_version",
    "company": "company",
    "manager": "manager",
    "template": "template",
    "totaltime": "edit_minutes",
    "hyperlinkbase": "hyperlink_base",
    "docsecurity": "doc_security",
    "pages": "pages",
    "words": "words",
    "characters": "characters",
    "characterswithspaces": "characters_with_spaces",
    "lines": "lines",
    "paragraphs": "paragraphs",
    "slides": "slides",
    "notes": "notes",
    "hiddenslides": "hidden_slides",
}
_COUNTS = {"edit_minutes", "pages", "words", "characters", "lines", "paragraphs", "slides", "notes", "hidden_slides"}
_COUNTS |= {"doc_security", "revision", "characters_with_spaces"}


def read_properties(package: Package) -> Iterator[Fact]:
    """Core, application and custom properties as fields and timestamps."""
    for name in package.of_kind("core-properties", "core"):
        for tag, text in _leaves(package.events(name)):
            local = tag.rpartition(":")[2].lower()
            if local in _CORE_TIMES:
                origin = "office.last_printed" if local == "lastprinted" else f"office.{local}"
                if stamp := from_iso(_CORE_TIMES[local], text, origin):
                    yield stamp
            elif local in _CORE:
                yield _field(_CORE[local], text)
    for name in package.of_kind("extended-properties", "app"):
        for tag, text in _leaves(package.events(name)):
            if (local := tag.lower()) in _APP:
                yield _field(_APP[local], text)
    for name in package.of_kind("custom-properties", "custom"):
        yield from _custom(package.events(name))


def _field(name: str, text: str) -> Field:
    number = name in _COUNTS and text.isascii() and text.isdigit() and len(text) < 16
    return Field(f"office.{name}", int(text) if number else text)


def _leaves(events: Iterable[Event]) -> Iterator[tuple[str, str]]:
    """Tag and text of every element that holds nothing but text."""
    text: list[str] = []
    leaf = ""
    for kind, value, _ in events:
        if kind == START:
            leaf, text = value, []
        elif kind == DATA:
            text.append(value)
        elif value == leaf:
            if body := "".join(text).strip():
                yield leaf, body
            leaf = ""


def _custom(events: Iterable[Event]) -> Iterator[Field]:
    name = ""
    text: list[str] = []
    for kind, value, attributes in events:
        if kind == START and value == "property":
            name, text = attributes.get("name", ""), []
        elif kind == DATA:
            text.append(value)
        elif kind == END and value == "property" and (body := "".join(text).strip()):
            yield Field(f"office.custom.{name}", body)


def number_of(name: str) -> int:
    """The number at the end of a part's name, or 1: `word/header2.xml` is 2."""
    match = re.search(r"(\d{1,9})\.\w+$", name)
    return int(match[1]) if match else 1


def changed_at(kind: str, when: str, origin: str) -> list[Timestamp]:
    """A recorded time as a list of one, or an empty list."""
    stamp = from_iso(kind, when, origin)
    return [stamp] if stamp else []
