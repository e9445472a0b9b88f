"""Large documents of seeded words, of every kind that is measured."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

from _binary_documents import doc, hwp, msg, ppt, psd, xls
from _rounds import Words

_SCHEMAS = "http://schemas.openxmlformats.org"
_OFFICE = f"{_SCHEMAS}/officeDocument/2006/relationships"
_OASIS = "urn:oasis:names:tc:opendocument:xmlns"
_TYPE = "application/vnd.openxmlformats-officedocument"


def _package(parts: dict[str, str]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as package:
        for name, part in parts.items():
            kind = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            package.writestr(name, part, kind)
    return held.getvalue()


def _relations(*rows: tuple[str, str]) -> str:
    inside = "".join(
        f'<Relationship Id="r{number}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for number, (kind, target) in enumerate(rows, 1)
    )
    return f'<Relationships xmlns="{_SCHEMAS}/package/2006/relationships">{inside}</Relationships>'


def _content_types(parts: dict[str, str]) -> str:
    inside = "".join(f'<Override PartName="{name}" ContentType="{_TYPE}.{kind}+xml"/>' for name, kind in parts.items())
    return (
        f'<Types xmlns="{_SCHEMAS}/package/2006/content-types"><Default Extension="rels" '
        f'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>{inside}</Types>'
    )


def docx(words: Words, scale: float) -> bytes:
    """Paragraphs of three runs."""
    runs = ("<w:r><w:t xml:space='preserve'>{} </w:t></w:r>", "<w:r><w:rPr><w:b/></w:rPr><w:t>{}</w:t></w:r>")
    body = "".join(
        "<w:p>" + "".join(runs[place % 2].format(words.line(8)) for place in range(3)) + "</w:p>"
        for _ in range(int(6000 * scale))
    )
    return _package(
        {
            "[Content_Types].xml": _content_types({"/word/document.xml": "wordprocessingml.document.main"}),
            "_rels/.rels": _relations(("officeDocument", "word/document.xml")),
            "word/document.xml": f'<w:document xmlns:w="{_SCHEMAS}/wordprocessingml/2006/main"><w:body>{body}'
            "</w:body></w:document>",
        }
    )


def xlsx(words: Words, scale: float) -> bytes:
    """Four sheets of numbers and words."""
    import xlsxwriter

    held = io.BytesIO()
    with xlsxwriter.Workbook(held) as book:
        for _ in range(4):
            sheet = book.add_worksheet()
            for row in range(int(1500 * scale)):
                sheet.write_row(row, 0, [row, row / 7, words.line(3), words.line(1), row * 31, words.line(6)])
    return held.getvalue()


def pptx(words: Words, scale: float) -> bytes:
    """Slides with a title and ten paragraphs."""
    count = int(200 * scale)
    names = {f"/ppt/slides/slide{number}.xml": "presentationml.slide" for number in range(1, count + 1)}
    names = {"/ppt/presentation.xml": "presentationml.presentation.main", **names}
    spaces = (
        f'xmlns:p="{_SCHEMAS}/presentationml/2006/main" xmlns:a="{_SCHEMAS}/drawingml/2006/main" xmlns:r="{_OFFICE}"'
    )
    listed = "".join(f'<p:sldId id="{255 + number}" r:id="r{number}"/>' for number in range(1, count + 1))
    parts = {
        "[Content_Types].xml": _content_types(names),
        "_rels/.rels": _relations(("officeDocument", "ppt/presentation.xml")),
        "ppt/presentation.xml": f"<p:presentation {spaces}><p:sldIdLst>{listed}</p:sldIdLst></p:presentation>",
        "ppt/_rels/presentation.xml.rels": _relations(
            *(("slide", f"slides/slide{number}.xml") for number in range(1, count + 1))
        ),
    }
    for number in range(1, count + 1):
        text = "".join(f"<a:p><a:r><a:t>{words.line()}</a:t></a:r></a:p>" for _ in range(10))
        shapes = "".join(
            f'<p:sp><p:nvSpPr><p:cNvPr id="{place}" name="s{place}"/><p:cNvSpPr/><p:nvPr/></p:nvSpPr><p:spPr/>'
            f"<p:txBody><a:bodyPr/>{inside}</p:txBody></p:sp>"
            for place, inside in ((2, f"<a:p><a:r><a:t>{words.line(4)}</a:t></a:r></a:p>"), (3, text))
        )
        group = '<p:nvGrpSpPr><p:cNvPr id="1" name=""/><p:cNvGrpSpPr/><p:nvPr/></p:nvGrpSpPr><p:grpSpPr/>'
        parts[f"ppt/slides/slide{number}.xml"] = (
            f"<p:sld {spaces}><p:cSld><p:spTree>{group}{shapes}</p:spTree></p:cSld></p:sld>"
        )
    return _package(parts)


def odt(words: Words, scale: float) -> bytes:
    """Paragraphs with a span."""
    body = "".join(
        f"<text:p>{words.line()} <text:span>{words.line(4)}</text:span></text:p>" for _ in range(int(6000 * scale))
    )
    spaces = f'xmlns:office="{_OASIS}:office:1.0" xmlns:text="{_OASIS}:text:1.0" office:version="1.2"'
    kind = "application/vnd.oasis.opendocument.text"
    return _package(
        {
            "mimetype": kind,
            "content.xml": f"<office:document-content {spaces}><office:body><office:text>{body}</office:text>"
            "</office:body></office:document-content>",
            "META-INF/manifest.xml": f'<m:manifest xmlns:m="{_OASIS}:manifest:1.0"><m:file-entry m:full-path="/" '
            f'm:media-type="{kind}"/><m:file-entry m:full-path="content.xml" m:media-type="text/xml"/></m:manifest>',
        }
    )


def rtf(words: Words, scale: float) -> bytes:
    """Paragraphs with bold words and escaped letters."""
    body = "".join(
        rf"\pard {words.line()} {{\b {words.line(2)}}} caf\'e9 \u8211? {words.line(6)}\par" + "\n"
        for _ in range(int(6000 * scale))
    )
    return (r"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0 Serif;}}" + "\n" + body + "}").encode()


def html(words: Words, scale: float) -> bytes:
    """Headings, paragraphs, links and tables."""
    body = "".join(
        f"<h2>{words.line(4)}</h2><p>{words.line(30)} <a href='/{number}'>{words.line(2)}</a> &amp; {words.line(9)}</p>"
        f"<table><tr><td>{words.line(2)}</td><td>{number}</td></tr></table>"
        for number in range(int(3000 * scale))
    )
    return (
        f"<!doctype html><html><head><meta charset=utf-8><title>cuts</title></head><body>{body}</body></html>".encode()
    )


def eml(words: Words, scale: float) -> bytes:
    """Text, its HTML, and attachments."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "desk@lantern.example", "ink@lantern.example", words.line(5)
    message["Date"] = "Mon, 01 Apr 2024 10:00:00 +0900"
    message.set_content(words.text(int(300_000 * scale)))
    message.add_alternative(f"<p>{words.text(int(300_000 * scale))}</p>", subtype="html")
    for number in range(10):
        data = words.text(int(100_000 * scale)).encode()
        message.add_attachment(data, maintype="application", subtype="octet-stream", filename=f"{number}.bin")
    return message.as_bytes()


def epub(words: Words, scale: float) -> bytes:
    """A hundred chapters."""
    names = [f"c{number}.xhtml" for number in range(100)]
    rows = "".join(f'<item id="{name}" href="{name}" media-type="application/xhtml+xml"/>' for name in names)
    order = "".join(f'<itemref idref="{name}"/>' for name in names)
    page = '<html xmlns="http://www.w3.org/1999/xhtml"><head><title>{}</title></head><body>{}</body></html>'
    return _package(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": f'<container version="1.0" xmlns="{_OASIS}:container">'
            '<rootfiles><rootfile full-path="book.opf" media-type="application/oebps-package+xml"/></rootfiles>'
            "</container>",
            "book.opf": '<package xmlns="http://www.idpf.org/2007/opf" version="2.0" unique-identifier="i"><metadata '
            'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:identifier id="i">cuts</dc:identifier>'
            "<dc:title>cuts</dc:title>"
            '<dc:language>en</dc:language></metadata><manifest><item id="ncx" href="toc.ncx" '
            f'media-type="application/x-dtbncx+xml"/>{rows}</manifest><spine toc="ncx">{order}</spine></package>',
            "toc.ncx": '<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/" version="2005-1"><head/>'
            "<docTitle><text>cuts</text>"
            "</docTitle><navMap/></ncx>",
            **{
                name: page.format(name, "".join(f"<p>{words.line(40)}</p>" for _ in range(int(40 * scale))))
                for name in names
            },
        }
    )


def pdf(words: Words, scale: float) -> bytes:
    """Pages of forty lines."""
    count = int(150 * scale)
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(count))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Kids[{kids}]/Count {count}>>".encode(),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    for number in range(count):
        lines = "".join(f"({words.line(10)}) Tj 0 -16 Td\n" for _ in range(40))
        packed = zlib.compress(f"BT /F1 10 Tf 40 760 Td\n{lines}ET".encode())
        place = f"/Parent 2 0 R/MediaBox[0 0 612 792]/Contents {5 + 2 * number} 0 R/Resources<</Font<</F1 3 0 R>>>>"
        objects.append(f"<</Type/Page{place}>>".encode())
        objects.append(b"<</Filter/FlateDecode/Length %d>>stream\n%s\nendstream" % (len(packed), packed))
    body, offsets = b"%PDF-1.4\n", []
    for number, each in enumerate(objects, 1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    return (
        body
        + head
        + table
        + b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n"
        % (
            len(objects) + 1,
            len(body),
        )
    )


MADE: dict[str, Callable[[Words, float], bytes]] = {
    "pdf": pdf,
    "docx": docx,
    "xlsx": xlsx,
    "pptx": pptx,
    "odt": odt,
    "rtf": rtf,
    "html": html,
    "eml": eml,
    "epub": epub,
    "doc": doc,
    "xls": xls,
    "ppt": ppt,
    "hwp": hwp,
    "psd": psd,
    "msg": msg,
}


def write(kind: str, folder: Path, scale: float) -> list[Path]:
    """Three documents of a kind."""
    paths = [folder / f"{number}.{kind}" for number in range(3)]
    for number, path in enumerate(paths):
        path.write_bytes(MADE[kind](Words(number), scale))
    return paths
