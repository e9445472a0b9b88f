"""XMP facts: every property by its name, its times, the history of edits, thumbnails.

Source: ISO 16684-1:2019, sections 7 (serialisation) and 8 (namespaces); Adobe XMP Specification Part 2;
ISO 19005-1:2005, 6.7.11, ISO 14289-1:2014, clause 5, ISO 15930-7, ISO 16612-2, ISO 24517-1 (conformance).
Limits: properties nested deeper than six levels; qualifiers other than xml:lang are given as parts.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Any, Final

from indexer.errors import EvidenceError
from indexer.handlers._picture import FIELD_CHARS, held_member
from indexer.model import Fact, Field, Problem, Text
from indexer.timestamps import from_iso

FIELDS: Final = {
    "xmp.history": "one step of the editing history: what, when, by which program, which version",
    "refers_to": "path or name of another file that this one uses",
    "pdf.conformance": "the standard that a PDF document says it follows: A-1b, UA-1, X-4, VT-1, E-1",
    "xmp.*": "an XMP property by its schema and name: xmp.dc.title, xmp.xmp.CreatorTool, xmp.xmpMM.DocumentID",
}

PROPERTIES: Final = 5_000
"""Properties read from one packet; the history of a much-edited file has a few hundred."""
DEPTH: Final = 6
_RDF: Final = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_XML: Final = "{http://www.w3.org/XML/1998/namespace}"
_PREFIXES: Final = {
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://ns.adobe.com/xap/1.0/": "xmp",
    "http://ns.adobe.com/xap/1.0/mm/": "xmpMM",
    "http://ns.adobe.com/xap/1.0/rights/": "xmpRights",
    "http://ns.adobe.com/xap/1.0/bj/": "xmpBJ",
    "http://ns.adobe.com/xap/1.0/t/pg/": "xmpTPg",
    "http://ns.adobe.com/xap/1.0/sType/ResourceRef#": "stRef",
    "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#": "stEvt",
    "http://ns.adobe.com/xap/1.0/g/img/": "xmpGImg",
    "http://ns.adobe.com/xmp/1.0/DynamicMedia/": "xmpDM",
    "http://ns.adobe.com/xmp/note/": "xmpNote",
    "http://ns.adobe.com/photoshop/1.0/": "photoshop",
    "http://ns.adobe.com/camera-raw-settings/1.0/": "crs",
    "http://ns.adobe.com/pdf/1.3/": "pdf",
    "http://ns.adobe.com/pdfx/1.3/": "pdfx",
    "http://ns.adobe.com/tiff/1.0/": "tiff",
    "http://ns.adobe.com/exif/1.0/": "exif",
    "http://ns.adobe.com/exif/1.0/aux/": "aux",
    "http://cipa.jp/exif/1.0/": "exifEX",
    "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/": "Iptc4xmpCore",
    "http://iptc.org/std/Iptc4xmpExt/2008-02-29/": "Iptc4xmpExt",
    "http://www.aiim.org/pdfa/ns/id/": "pdfaid",
    "http://www.aiim.org/pdfua/ns/id/": "pdfuaid",
    "http://www.aiim.org/pdfe/ns/id/": "pdfe",
    "http://www.npes.org/pdfx/ns/id/": "pdfxid",
    "http://www.npes.org/pdfvt/ns/id/": "pdfvtid",
}
"""A prefix is the writer's choice; a namespace is not."""
_TIMES: Final = {
    "xmp.CreateDate": "B",
    "xmp.ModifyDate": "M",
    "xmp.MetadataDate": "C",
    "photoshop.DateCreated": "taken",
    "exif.DateTimeOriginal": "taken",
    "exif.DateTimeDigitized": "digitized",
}
_STANDARDS: Final = (
    *("pdfx.GTS_PDFXConformance", "pdfx.GTS_PDFXVersion", "pdfxid.GTS_PDFXVersion"),
    *("pdfvtid.GTS_PDFVTVersion", "pdfe.ISO_PDFEVersion"),
)
_STANDARD: Final = re.compile(r"[\w.:-]{1,20}", re.ASCII)
_BULKY: Final = re.compile(r".*NativeDigest$|(?:crs|xmpG|aux|xmpNote)\.|xmp\.Thumbnails\.|xmpMM\.History\.")
"""Settings and drawings: fields at most, not words to search for."""
_WORDS: Final = re.compile(r"[^\W\d_]{2}")
_IDENTIFIER: Final = re.compile(r"(?:xmp\.[id]id|uuid|adobe:docid)[:.]|[0-9A-Fa-f-]{32,}$")


def read_xmp(packet: bytes) -> Iterator[Fact]:
    """The facts of an XMP packet, or of any XML that holds rdf:RDF.

    Raises:
        EvidenceError: corrupt, where no XML can be made of it; missing-library.
    """
    root, broken = _parse(packet)
    texts: list[str] = []
    stated: dict[str, str] = {}
    for count, (name, value) in enumerate(_described(root)):
        if count == PROPERTIES:
            yield Problem("limit", f"xmp: more than {PROPERTIES} properties", resolution="stopped there")
            break
        yield from _property_facts(name, value)
        if name.startswith("pdf"):
            stated.setdefault(name, value)
        if _WORDS.search(value) and not _BULKY.match(name) and not _IDENTIFIER.match(value):
            texts.append(value)
    yield from _conformance(stated)
    yield from _history(root)
    if texts:
        yield Text("\n".join(dict.fromkeys(texts)), "xmp")
    if broken:
        yield Problem("corrupt", f"xmp: {broken}", resolution="read as far as it can be made out")


def _described(root: Any) -> Iterator[tuple[str, str]]:
    """Names and values of every top-level description."""
    for description in root.iter(_RDF + "Description"):
        parent = description.getparent()
        if parent is not None and parent.tag == _RDF + "RDF":
            yield from _properties(description, "", 0)


def _parse(packet: bytes) -> tuple[Any, str]:
    """The root element and what is wrong with the XML."""
    try:
        from lxml import etree
    except ImportError as error:
        raise EvidenceError("missing-library", "lxml is not installed: pip install lxml") from error
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, recover=True, remove_comments=True
    )
    packet = packet.strip(b"\0 \t\r\n") if packet[:2] not in (b"\xfe\xff", b"\xff\xfe", b"\0<", b"<\0") else packet
    try:
        root = etree.fromstring(packet, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise EvidenceError("corrupt", f"xmp: {error}"[:200]) from error
    if root is None:
        raise EvidenceError("corrupt", "xmp: no XML in the packet")
    errors = [entry for entry in parser.error_log if entry.level_name == "FATAL"]
    return root, errors[0].message[:200] if errors else ""


def _properties(element: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    """Names and values below a description, arrays as repeated names, structures as dotted ones."""
    if depth > DEPTH:
        return
    for key, value in element.attrib.items():
        if not key.startswith((_RDF, _XML)):
            yield _joined(path, _name(element, key)), value.strip()
    for child in element.iterchildren("*"):
        if child.tag == _RDF + "Description":
            yield from _properties(child, path, depth + 1)
        elif child.tag in (_RDF + "Alt", _RDF + "Seq", _RDF + "Bag"):
            for entry in child.iterchildren(_RDF + "li"):
                yield from _valued(entry, path, depth)
        else:
            yield from _valued(child, _joined(path, _name(child, child.tag)), depth)


def _valued(element: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    """A property's own text, or the properties inside it."""
    resource = element.get(_RDF + "resource")
    text = (element.text or "").strip()
    if resource or text:
        yield path, resource or text
    yield from _properties(element, path, depth + 1)


def _name(element: Any, key: str) -> str:
    """`prefix.Name` of a qualified name: of an element its own prefix, of an attribute one that is in force."""
    space, _, local = key[1:].partition("}") if key[:1] == "{" else ("", "", key)
    prefix = _PREFIXES.get(space) or (element.prefix if element.tag == key else _prefix_of(element, space))
    return f"{(prefix or 'other')[:40]}.{local[:80]}"


def _prefix_of(element: Any, space: str) -> str:
    """A prefix for a namespace without building the whole map, which a hostile packet can make huge."""
    found = element.xpath("name(@*[namespace-uri()=$space][1])", space=space)
    return str(found).partition(":")[0] if ":" in found else ""


def _joined(path: str, name: str) -> str:
    """Parts of a structure keep the name of the whole before their own."""
    return f"{path}.{name.partition('.')[2]}" if path else name


def _property_facts(name: str, value: str) -> Iterator[Fact]:
    if name == "xmp.Thumbnails.image":
        try:
            picture = base64.b64decode(re.sub(r"\s+", "", value), validate=True)
        except (binascii.Error, ValueError):
            return
        if picture[:2] == b"\xff\xd8":
            yield held_member(picture, "thumbnail-xmp.jpg", "thumbnail")
        return
    if not value or name.startswith("xmpMM.History."):
        return
    yield Field(f"xmp.{name}", value[:FIELD_CHARS])
    if name.endswith(".filePath"):
        yield Field("refers_to", value[:FIELD_CHARS])
    if (kind := _TIMES.get(name)) and (stamp := from_iso(kind, value, f"xmp.{name}")):
        yield stamp


def _conformance(stated: dict[str, str]) -> Iterator[Field]:
    """The standards that the document says it follows, each in the short form of its name."""
    found = [stated.get(name, "").removeprefix("PDF/") for name in _STANDARDS]
    if found[0]:
        # X-1a is told beside X-1, of which it is a part.
        found[1] = ""
    level = stated.get("pdfaid.conformance", "").lower()
    # Only the fourth part can be followed without a level.
    if (part := stated.get("pdfaid.part")) and (level or part == "4"):
        found.insert(0, f"A-{part}{level}")
    if part := stated.get("pdfuaid.part"):
        found.append(f"UA-{part}")
    for standard in dict.fromkeys(found):
        if _STANDARD.fullmatch(standard):
            yield Field("pdf.conformance", standard)


def _history(root: Any) -> Iterator[Fact]:
    """The steps of xmpMM:History, in their order."""
    tag = "{http://ns.adobe.com/xap/1.0/mm/}History"
    for number, entry in enumerate(entry for history in root.iter(tag) for entry in history.iter(_RDF + "li")):
        if number >= PROPERTIES:
            return
        step = {name.rpartition(".")[2]: value for name, value in _properties(entry, "", 0)}
        words = (
            step.get("action", ""),
            step.get("when", ""),
            f"by {step['softwareAgent']}" if "softwareAgent" in step else "",
            f"({step['parameters']})" if "parameters" in step else "",
            f"changed {step['changed']}" if "changed" in step else "",
            f"as {step['instanceID']}" if "instanceID" in step else "",
        )
        if line := " ".join(filter(None, words)):
            yield Field("xmp.history", line[:FIELD_CHARS])
        if stamp := from_iso("edited", step.get("when", ""), "xmp.xmpMM.History"):
            yield stamp
