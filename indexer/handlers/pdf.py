"""PDF documents: pages, annotations, forms, outline, properties, embedded files.

Source: ISO 32000-2: 7.5.6 (incremental updates), 7.6 (encryption), 7.9.4 (dates), 12.3.3 (outlines),
12.5 (annotations), 12.7 (forms), 14.3 (metadata); XMP (ISO 16684-1).
Damaged files are read as far as PDFium can rebuild them.
Limits: text in pictures needs OCR; pictures in the text of a page, and those of less than 16 pixels a side, are no
members; only XMP that stands uncompressed in the file is found, and of the scripts of pages and actions only those that
stand there as plain strings.
Nine tenths of the time are PDFium's own, which lays out every page; MuPDF needs a fifth less for that.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from functools import partial
from typing import Any

from indexer.errors import EvidenceError
from indexer.handler import Handler, Stream
from indexer.handlers import _illustrator, _pdf_files, _pdf_pictures, _pdf_shown
from indexer.handlers._flow import label
from indexer.handlers._parts import DATA, XmlReader
from indexer.handlers._pdf_raw import Raw, check_streams, rebuilt, scan
from indexer.handlers._pdfium import (
    WrongPasswordError,
    attachment_file,
    byte_string,
    closing_with,
    load_pdfium,
    open_document,
    page_text,
    wide_string,
)
from indexer.handlers._xmp import FIELDS as XMP_FIELDS
from indexer.handlers._xmp import read_xmp
from indexer.model import Child, Fact, Field, Problem, Text, Timestamp, replace
from indexer.passwords import Password
from indexer.timestamps import from_iso

_INFO = ("Title", "Author", "Subject", "Keywords", "Creator", "Producer")
_DATE = re.compile(r"(?:D:)?\s*(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?\s*([Zz]|[+-]\d\d'?\d{0,2})?")
_HEADER = re.compile(rb"%PDF-[1-9]\.\d")
_BREAK = re.compile(r"[\x02\ufffe](?:\r\n|\n)?")
_NOTHING = b"\xef\xbb\xbf \t\r\n"
_FAILURES = 1_000
_OUTLINE = 100_000
_POPUP, _WIDGET, _URI, _LAUNCH, _REMOTE = 16, 20, 3, 4, 2
_MEDIA = {18, 19, 21, 25, 26}
"""Annotations that have files of their own: sounds, films, screens, 3D, rich media."""
_REVISIONS = {2: "RC4, 40 bit", 3: "RC4, up to 128 bit", 4: "RC4 or AES, 128 bit", 5: "AES, 256 bit", 6: "AES, 256 bit"}


class Pdf(Handler):
    name = "pdf"
    version = 6
    media_types = ("application/pdf", _illustrator.MEDIA_TYPE)
    suffixes = (".pdf", ".ai")
    holds = b"%"
    fields = {
        **{f"pdf.{name.lower()}": f"{name.lower()} as the document's properties say" for name in _INFO},
        "pdf.version": "version of the format",
        "pdf.pages": "pages that the document declares",
        "pdf.language": "language that the document declares",
        "pdf.encrypted": "the document is encrypted; an empty password may be enough to read it",
        "pdf.revisions": "end-of-file marks: where more than one, what an earlier saving held may still be there",
        "pdf.id": "identifier given when the document was first made",
        "pdf.id_changing": "identifier of this saving",
        "pdf.link": "target of a link to outside the document",
        "pdf.signatures": "digital signatures",
        "pdf.signature_reason": "reason given with a signature",
        "pdf.form": "kind of form: fields or XFA",
        "pdf.scripts": "scripts of the document, or of its actions",
        "pdf.attachment_description": "what the document says of an embedded file",
        "encryption.method": "cipher of the encryption",
        "encryption.password": "which given password opened it",
        **_illustrator.FIELDS,
        **_pdf_files.FIELDS,
        **_pdf_pictures.FIELDS,
        **_pdf_shown.FIELDS,
        **XMP_FIELDS,
    }
    reads = (
        "text by page, notes, forms, outline, scripts; XMP, links, pictures, embedded files; "
        "Illustrator's layers, placed files"
    )
    rank = 70
    container = True

    def claims(self, stream: Stream) -> str | None:
        """A header in the first 1,024 bytes; where anything stands before it, the end must be a PDF's too.

        Otherwise a text that speaks of PDF, or an archive whose first member is one, would be taken.
        """
        head = stream.head[:1024]
        at = head.find(b"%PDF-")
        if at < 0 or not _HEADER.match(head, at):
            return None
        if head[:at].strip(_NOTHING) and b"startxref" not in stream.at(max(0, stream.size - 1024), 1024):
            return None
        return _illustrator.MEDIA_TYPE if _illustrator.is_illustrator(stream) else self.media_types[0]

    def read(self, stream: Stream) -> Iterator[Fact]:
        pdfium = load_pdfium()
        raw = scan(stream)
        try:
            check_streams(stream)
        except EvidenceError:
            yield from _read_raw(raw)
            raise
        for password in _candidates(stream):
            try:
                text = password.text if password else ""
                with open_document(pdfium, stream, text.encode() + b"\0" if text else None) as document:
                    if password:
                        yield password.field()
                    yield from _read_document(pdfium, document, raw, stream)
            except WrongPasswordError:
                continue
            except EvidenceError as error:
                yield from _read_rebuilt(pdfium, stream, raw, error)
            yield from _read_loose(raw, stream)
            return
        yield Field("pdf.encrypted", True)
        yield from _read_raw(raw)
        tried = stream.passwords.tried
        if raw.encryption:
            yield Field("encryption.method", raw.encryption)
        raise EvidenceError("encrypted", f"a password is needed; {tried} tried" if tried else "a password is needed")


def _read_rebuilt(pdfium: Any, stream: Stream, raw: Raw, error: EvidenceError) -> Iterator[Fact]:
    """What the page objects give where there is no page tree; the trouble stays on the item.

    Raises:
        EvidenceError: the same, where nothing could be rebuilt.
    """
    data = rebuilt(stream) if error.cause == "corrupt" else b""
    if not data:
        yield from _read_loose(raw, stream)
        raise error
    try:
        with open_document(pdfium, stream, data=data) as document:
            yield Problem(error.cause, error.message, resolution="rebuilt from its page objects")
            yield from _read_document(pdfium, document, raw, stream)
    except (WrongPasswordError, EvidenceError):
        yield from _read_loose(raw, stream)
        raise error from None


def _candidates(stream: Stream) -> Iterator[Password | None]:
    """No password first, then those that were given; each as it is written."""
    yield None
    yield from stream.passwords


def _read_document(pdfium: Any, document: Any, raw: Raw, stream: Stream) -> Iterator[Fact]:
    yield from _read_properties(pdfium, document)
    if (revision := pdfium.FPDF_GetSecurityHandlerRevision(document)) >= 0:
        yield Field("pdf.encrypted", True)
        method = raw.encryption or _REVISIONS.get(revision, "")
        yield Field("encryption.method", method or f"revision {revision}")
    yield from _read_outline(pdfium, document)
    settings = pdfium.FPDF_FORMFILLINFO(version=2)
    has_form = pdfium.FPDF_GetFormType(document) != pdfium.FORMTYPE_NONE
    handle = pdfium.FPDFDOC_InitFormFillEnvironment(document, settings) if has_form else None
    with closing_with(pdfium.FPDFDOC_ExitFormFillEnvironment, handle) as form:
        pages = _Pages(pdfium, document, form, is_encrypted=revision >= 0)
        yield from pages.read()
    yield from _read_xfa(pdfium, document)
    yield from _read_scripts(pdfium, document, raw)
    for index in range(pdfium.FPDFDoc_GetAttachmentCount(document)):
        if attachment := pdfium.FPDFDoc_GetAttachment(document, index):
            child = _child(pdfium, attachment)
            pages.files.add(child.name)
            yield child
    if revision < 0 and not raw.encryption and (pages.files or pages.has_media):
        yield from _pdf_files.read_files(stream, pages.files)


def _read_properties(pdfium: Any, document: Any) -> Iterator[Fact]:
    version = ctypes.c_int()
    if pdfium.FPDF_GetFileVersion(document, version):
        yield Field("pdf.version", f"{version.value // 10}.{version.value % 10}")
    yield Field("pdf.pages", pdfium.FPDF_GetPageCount(document))
    for key in _INFO:
        if value := wide_string(pdfium.FPDF_GetMetaText, document, key.encode()):
            yield Field(f"pdf.{key.lower()}", value)
    for key, kind in (("CreationDate", "B"), ("ModDate", "M")):
        yield from _time(kind, wide_string(pdfium.FPDF_GetMetaText, document, key.encode()), f"pdf.{key}")
    if language := wide_string(pdfium.FPDFCatalog_GetLanguage, document):
        yield Field("pdf.language", language)
    for which, name in ((0, "pdf.id"), (1, "pdf.id_changing")):
        if identifier := byte_string(pdfium.FPDF_GetFileIdentifier, document, which):
            yield Field(name, identifier.hex())
    form = pdfium.FPDF_GetFormType(document)
    if form != pdfium.FORMTYPE_NONE:
        yield Field("pdf.form", "fields" if form == pdfium.FORMTYPE_ACRO_FORM else "XFA")
    count = pdfium.FPDF_GetSignatureCount(document)
    if count > 0:
        yield Field("pdf.signatures", count)
    for index in range(max(0, count)):
        signature = pdfium.FPDF_GetSignatureObject(document, index)
        if reason := wide_string(pdfium.FPDFSignatureObj_GetReason, signature):
            yield Field("pdf.signature_reason", reason)
        when = byte_string(pdfium.FPDFSignatureObj_GetTime, signature).decode("ascii", "replace")
        yield from _time("signed", when, "pdf.signature")


def _read_outline(pdfium: Any, document: Any) -> Iterator[Fact]:
    """Titles one a line, deeper ones set in; every entry once, because outlines that loop exist."""
    lines: list[str] = []
    seen: set[int] = set()
    waiting = [(pdfium.FPDFBookmark_GetFirstChild(document, None), 0)]
    while waiting and len(seen) < _OUTLINE:
        entry, depth = waiting.pop()
        if not entry or ctypes.addressof(entry.contents) in seen:
            continue
        seen.add(ctypes.addressof(entry.contents))
        lines.append("  " * min(depth, 20) + wide_string(pdfium.FPDFBookmark_GetTitle, entry))
        waiting.append((pdfium.FPDFBookmark_GetNextSibling(document, entry), depth))
        waiting.append((pdfium.FPDFBookmark_GetFirstChild(document, entry), depth + 1))
    if lines:
        yield Text("\n".join(lines), "outline")
    if waiting and len(seen) >= _OUTLINE:
        yield Problem("limit", f"outline: more than {_OUTLINE} entries", resolution="stopped there")


class _Pages:
    """The pages of a document; what must not be told twice is kept over all of them."""

    def __init__(self, pdfium: Any, document: Any, form: Any, *, is_encrypted: bool) -> None:
        self.pdfium, self.document, self.form = pdfium, document, form
        self._pictures = _pdf_shown.PagePictures(pdfium) if is_encrypted else None
        self.files: set[str] = set()
        self.has_media = False
        self._links: set[str] = set()
        self._values: set[tuple[str, str]] = set()

    def read(self) -> Iterator[Fact]:
        failed: list[int] = []
        count = self.pdfium.FPDF_GetPageCount(self.document)
        for number in range(1, count + 1):
            page = self.pdfium.FPDF_LoadPage(self.document, number - 1)
            with closing_with(self.pdfium.FPDF_ClosePage, page):
                if not page:
                    failed.append(number)
                    if len(failed) >= _FAILURES:
                        break
                    continue
                text = _BREAK.sub("", page_text(self.pdfium, page)).replace("\r\n", "\n")
                yield Text(text, f"page {number}")
                yield from self._read_annotations(page, number)
                if self._pictures:
                    yield from self._pictures.read(page, number)
        if failed:
            shown = ", ".join(map(str, failed[:10])) + ", ..." * (len(failed) > 10)
            yield Problem("corrupt", f"{len(failed)} of {count} pages cannot be loaded: {shown}")

    def _read_annotations(self, page: Any, number: int) -> Iterator[Fact]:
        pdfium = self.pdfium
        for index in range(pdfium.FPDFPage_GetAnnotCount(page)):
            with closing_with(pdfium.FPDFPage_CloseAnnot, pdfium.FPDFPage_GetAnnot(page, index)) as note:
                if not note:
                    continue
                kind = pdfium.FPDFAnnot_GetSubtype(note)
                if link := pdfium.FPDFAnnot_GetLink(note):
                    yield from self._read_link(pdfium.FPDFLink_GetAction(link))
                if kind == _WIDGET and self.form:
                    yield from self._read_field(note)
                elif kind != _POPUP:
                    yield from self._read_note(note, number)
                if kind in _MEDIA:
                    self.has_media = True
                if attachment := pdfium.FPDFAnnot_GetFileAttachment(note):
                    child = _child(pdfium, attachment)
                    self.files.add(child.name)
                    yield child

    def _read_link(self, action: Any) -> Iterator[Field]:
        if not action:
            return
        kind = self.pdfium.FPDFAction_GetType(action)
        target = b""
        if kind == _URI:
            target = byte_string(self.pdfium.FPDFAction_GetURIPath, self.document, action)
        elif kind in (_LAUNCH, _REMOTE):
            target = byte_string(self.pdfium.FPDFAction_GetFilePath, action)
        link = target.decode("utf-8", "replace")
        if link and link not in self._links:
            self._links.add(link)
            yield Field("pdf.link", link)

    def _read_note(self, note: Any, number: int) -> Iterator[Fact]:
        value = partial(wide_string, self.pdfium.FPDFAnnot_GetStringValue, note)
        author = value(b"T")
        for key in (b"Subj", b"Contents"):
            if text := value(key):
                yield Text(
                    text.replace("\r\n", "\n").replace("\r", "\n"),
                    f"page {number} annotation{label(author, bracketed=True)}",
                )
        if when := value(b"CreationDate") or value(b"M"):
            yield from _time("commented", when, "pdf.annotation")

    def _read_field(self, note: Any) -> Iterator[Text]:
        pdfium = self.pdfium
        name = label(wide_string(pdfium.FPDFAnnot_GetFormFieldName, self.form, note))
        described = wide_string(pdfium.FPDFAnnot_GetFormFieldAlternateName, self.form, note)
        value = wide_string(pdfium.FPDFAnnot_GetFormFieldValue, self.form, note)
        for body, locator in ((value, f"form field {name}"), (described, f"form field {name} label")):
            if body and (locator, body) not in self._values:
                self._values.add((locator, body))
                yield Text(body.replace("\r\n", "\n").replace("\r", "\n"), locator)
        for event in range(12, 16):
            script = wide_string(pdfium.FPDFAnnot_GetFormAdditionalActionJavaScript, self.form, note, event)
            if script:
                yield Text(script, f"form field {name} script")


def _read_xfa(pdfium: Any, document: Any) -> Iterator[Text]:
    """The text of the packets of an XFA form, its data among them."""
    for index in range(max(0, pdfium.FPDF_GetXFAPacketCount(document))):
        name = byte_string(pdfium.FPDF_GetXFAPacketName, document, index).decode("utf-8", "replace")
        if name not in ("template", "datasets", "form"):
            continue
        size = ctypes.c_ulong()
        pdfium.FPDF_GetXFAPacketContent(document, index, None, 0, size)
        buffer = ctypes.create_string_buffer(max(1, size.value))
        if pdfium.FPDF_GetXFAPacketContent(document, index, buffer, size.value, size):
            words = (tag.strip() for kind, tag, _ in XmlReader({}).events([buffer.raw[: size.value]]) if kind == DATA)
            yield Text("\n".join(word for word in words if word), f"XFA {name}")


def _read_scripts(pdfium: Any, document: Any, raw: Raw) -> Iterator[Fact]:
    """The document's own scripts by name, then those of pages and actions that stand open in the file."""
    seen: set[str] = set()
    count = pdfium.FPDFDoc_GetJavaScriptActionCount(document)
    if count > 0:
        yield Field("pdf.scripts", count)
    for index in range(max(0, count)):
        handle = pdfium.FPDFDoc_GetJavaScriptAction(document, index)
        with closing_with(pdfium.FPDFDoc_CloseJavaScriptAction, handle) as action:
            if action:
                name = label(wide_string(pdfium.FPDFJavaScriptAction_GetName, action))
                script = wide_string(pdfium.FPDFJavaScriptAction_GetScript, action)
                seen.add(script)
                yield Text(script, f"script {name}".strip())
    others = [script for script in dict.fromkeys(raw.scripts) if script.strip() and script not in seen]
    if others and count <= 0:
        yield Field("pdf.scripts", len(others))
    for number, script in enumerate(others, 1):
        yield Text(script, f"script {number} of an action")


def _child(pdfium: Any, attachment: Any) -> Child:
    """An embedded file with the times and the description that the document gives for it."""
    name = wide_string(pdfium.FPDFAttachment_GetName, attachment) or "attachment"
    value = partial(wide_string, pdfium.FPDFAttachment_GetStringValue, attachment)
    times = [*_time("B", value(b"CreationDate"), "pdf.CreationDate"), *_time("M", value(b"ModDate"), "pdf.ModDate")]
    described = wide_string(pdfium.FPDFAttachment_GetDescription, attachment)
    fields = (Field("pdf.attachment_description", described),) if described else ()
    raw_name = name.encode("utf-8", "surrogatepass")
    return Child(name, raw_name, partial(attachment_file, pdfium, attachment), tuple(times), fields)


def _read_loose(raw: Raw, stream: Stream) -> Iterator[Fact]:
    """What is found in the bytes without the structure of the document."""
    yield from _read_raw(raw)
    if not raw.encryption:
        yield from _illustrator.read_private(stream)
        yield from _pdf_pictures.read_pictures(stream)


def _read_raw(raw: Raw) -> Iterator[Fact]:
    """What the bytes of the file say beside the document: savings, XMP packets, a missing end."""
    if raw.revisions:
        yield Field("pdf.revisions", raw.revisions)
    else:
        yield Problem("truncated", "no end-of-file mark", resolution="read as far as it could be rebuilt")
    seen: set[bytes] = set()
    for packet in raw.packets:
        if packet not in seen:
            seen.add(packet)
            yield from read_xmp(packet)


def _time(kind: str, text: str, origin: str) -> list[Timestamp]:
    """A PDF date as a list of one, or empty: parts may be missing from the right, the zone too."""
    match = _DATE.match(text.strip())
    if not match:
        return []
    year, month, day, hour, minute, second, zone = match.groups()
    date = "-".join(part for part in (year, month, day) if part)
    if hour is None:
        stamp = from_iso(kind, date, origin)
        return [stamp] if stamp else []
    offset = "Z" if zone in ("Z", "z") else ""
    if zone and not offset:
        digits = zone[1:].replace("'", "").ljust(4, "0")
        offset = f"{zone[0]}{digits[:2]}:{digits[2:4]}"
    stamp = from_iso(kind, f"{date}T{hour}:{minute or '00'}:{second or '00'}{offset}", origin)
    if stamp and second is None:
        stamp = replace(stamp, resolution=60.0 if minute else 3600.0)
    return [stamp] if stamp else []
