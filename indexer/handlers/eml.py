"""Mail messages: headers, bodies, attachments and messages inside, from RFC 822 to today.

Source: RFC 5322 (messages); RFC 2045 to 2049 (MIME); RFC 2231, 2183 (names of attachments);
RFC 8551 (S/MIME); RFC 3156 (PGP/MIME); RFC 3676 (flowed text); the names of files in a Maildir (D. J. Bernstein);
Apple Mail's and Mozilla's marks, as the files show them.
Limits: encrypted bodies are named, not opened; message/partial is not put together; what a
message/external-body points to is not fetched.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Mapping
from functools import partial
from typing import ClassVar

from indexer.decoding import decode
from indexer.detection import detect
from indexer.errors import EvidenceError
from indexer.handler import Handler, Stream
from indexer.handlers._html import Page, read_page
from indexer.handlers._mail import (
    FIELDS,
    KNOWN,
    LETTER,
    Headers,
    decode_value,
    describe,
    first,
    parameter,
    split_value,
)
from indexer.handlers._mail_bodies import find_files, unflow, without
from indexer.handlers._mime import DEPTH, Part, Walk, decoded, encoding_of, open_part, raw_pieces
from indexer.model import Child, Fact, Field, Problem, Text, Timestamp, replace
from indexer.timestamps import from_rfc5322

BODY_BYTES = 32 << 20
"""A longer body is offered as a member, so that it is read in pieces."""
_BODIES = frozenset(
    {"text/plain", "text/html", "text/enriched", "text/richtext", "text/rfc822-headers", "text/x-amp-html"}
    | {"message/delivery-status", "message/disposition-notification", "message/external-body", "text/watch-html"}
)
_SUFFIXES = {
    "message/rfc822": ".eml",
    "message/partial": ".eml",
    "message/global": ".eml",
    "text/plain": ".txt",
    "text/html": ".html",
    "text/css": ".css",
    "text/calendar": ".ics",
    "text/x-vcard": ".vcf",
    "text/vcard": ".vcf",
    "text/csv": ".csv",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/gif": ".gif",
    "image/bmp": ".bmp",
    "image/tiff": ".tif",
    "application/pdf": ".pdf",
    "application/zip": ".zip",
    "application/ms-tnef": ".dat",
    "application/pgp-signature": ".asc",
    "application/pkcs7-signature": ".p7s",
    "application/x-pkcs7-signature": ".p7s",
    "application/pkcs7-mime": ".p7m",
    "application/x-pkcs7-mime": ".p7m",
}
_CODINGS = frozenset({"", "base64", "quoted-printable", "x-uuencode", "uuencode", "x-uue"})
_CONTENT = bytes.fromhex("06092a864886f70d0107")
_ENVELOPED, _SIGNED = _CONTENT + b"\x03", _CONTENT + b"\x02"
_BASE64 = string.ascii_letters.encode() + string.digits.encode() + b"+/=\r\n"
_LINE = re.compile(rb"([!-9;-~]{1,80})[ \t]*:")
_HOP = re.compile(rb"Received:\s+(?:from|by)\s", re.IGNORECASE)
_EMLX = re.compile(rb"(\d{1,12})[ \t]*\r?\n")
_STOCK = re.compile(r"This is a (?:cryptographically signed |OpenPGP/MIME )?(?:multi-?part )?message in MIME format\.?")
_MAILDIR = re.compile(r".{3,200}[:;!](?:2|%2C),?([A-Za-z]{0,26})\Z")
_MAILDIR_FLAGS = {"P": "forwarded", "R": "answered", "S": "read", "T": "deleted", "D": "draft", "F": "flagged"}
_APPLE_FLAGS = re.compile(rb"<key>flags</key>\s{0,20}<integer>(\d{1,18})</integer>")
_APPLE_BITS = (
    (0, "read"),
    (1, "deleted"),
    (2, "answered"),
    (4, "flagged"),
    (6, "draft"),
    (8, "forwarded"),
    (9, "redirected"),
)


class Eml(Handler):
    name = "eml"
    version = 2
    media_types = ("message/rfc822", "message/x-emlx", "message/news")
    suffixes = (".eml", ".emlx", ".mht", ".mhtml", ".mim", ".nws")
    holds = b":"
    fields: ClassVar[Mapping[str, str]] = FIELDS
    reads = "headers, every hop, bodies, attachments, inline files, messages inside"
    rank = 60
    uses_name = True
    container = True

    def claims(self, stream: Stream) -> str | None:
        head = stream.head.removeprefix(b"\xef\xbb\xbf")
        counted = _EMLX.match(head)
        if counted:
            head = head[counted.end() :]
        if not _is_mail(head):
            return None
        return "message/x-emlx" if counted else "message/rfc822"

    def read(self, stream: Stream) -> Iterator[Fact]:
        start, end = _span(stream)
        walk = Walk(stream, start, end)
        charset = _header_charset(walk.headers, walk.parameters)
        yield from describe(walk.headers, charset)
        yield from _kept_flags(stream, end)
        yield from _protection(walk.kind, walk.parameters)
        bodies = 0
        for part in walk.parts():
            if part.role != "part":
                yield from _aside(stream, part, charset)
            elif _is_body(part):
                bodies += 1
                yield from _read_body(stream, part, f"body {bodies} ({part.kind})", charset)
            else:
                yield from _protection(part.kind, part.parameters)
                yield from _attached(stream, part, charset)
        if walk.unclosed:
            message = "a multipart ends without its closing boundary"
            yield Problem("truncated", message, resolution="read to the end")
        if end < stream.size:
            rest = Part("", "part", end, stream.size)
            yield Child("properties.plist", b"properties.plist", partial(open_part, stream, rest))


def _is_mail(head: bytes) -> bool:
    """Whether lines of headers that mail has, and nothing else, stand at the start."""
    known: set[str] = set()
    last = len(head) < 16384
    lines = head[:16384].splitlines()
    for number, line in enumerate(lines[: len(lines) - (not last)]):
        if not line.strip():
            if not known and number < 3:
                continue
            break
        match = _LINE.match(line)
        if match:
            known.add(match[1].decode("latin-1").lower())
        elif not (known and line[:1] in b" \t") and not line.startswith((b"From ", b">From ")):
            break
        if b"\0" in line or number > 200:
            break
    seen = known & KNOWN
    return (len(seen) > 1 and bool(seen & LETTER)) or (bool(known) and bool(_HOP.match(head.lstrip())))


def _span(stream: Stream) -> tuple[int, int]:
    """Where the message starts and ends: Apple Mail puts its length before and a list behind it."""
    start = 3 if stream.head.startswith(b"\xef\xbb\xbf") else 0
    counted = _EMLX.match(stream.head, start)
    if not counted:
        return start, stream.size
    start = counted.end()
    return start, min(stream.size, start + int(counted[1]))


def _header_charset(headers: Headers, parameters: Mapping[str, bytes]) -> str:
    """One codec for all header bytes that nothing declares: judged together, they say more."""
    bare = [value for _, value in headers if not value.isascii()]
    declared = parameters.get("charset", b"").decode("latin-1")
    return detect(b"\n".join(bare), declared).codec if bare else declared


def _is_body(part: Part) -> bool:
    if part.kind not in _BODIES or part.end - part.start > BODY_BYTES:
        return False
    disposition, held = split_value(first(part.headers, "content-disposition"))
    return (
        disposition != "attachment"
        and not any(key.startswith("filename") for key in held)
        and (not any(key.startswith("name") for key in part.parameters) or part.number == "1")
    )


def _aside(stream: Stream, part: Part, charset: str) -> Iterator[Fact]:
    """What stands before or behind the parts, where mail programs show nothing."""
    body = decode(stream.at(part.start, min(part.end - part.start, BODY_BYTES)), charset).text.strip()
    if not _STOCK.fullmatch(body):
        yield Text(body, f"{part.role} {part.number}".strip())


def _read_body(stream: Stream, part: Part, locator: str, charset: str) -> Iterator[Fact]:
    if part.capped:
        message = f"multiparts more than {DEPTH} deep"
        yield Problem("limit", message, resolution="the rest read as text")
    if encoding_of(part) not in _CODINGS:
        message = f"part {part.number}: unknown transfer encoding {encoding_of(part)[:60]!r}"
        yield Problem("unsupported", message, resolution="read as it stands")
    pieces: list[bytes] = []
    coded = _coded_end(stream, part)
    if coded < part.end:
        what = "behind the base64 stands plain text" if coded > part.start else "said to be base64, but plain text"
        yield Problem("corrupt", f"part {part.number}: {what}", resolution="read as it stands")
    try:
        pieces.extend(decoded(stream, replace(part, end=coded)))
    except EvidenceError as error:
        # The generator has given every byte it could before it raised; extend has kept them.
        yield Problem(error.cause, f"part {part.number}: {error.message}", resolution="read as far as it decodes")
    data = b"".join((*pieces, *raw_pieces(stream, coded, part.end)))
    files = find_files(data) if part.kind == "text/plain" else []
    data = without(data, files)
    text = decode(data, part.parameters.get("charset", b"").decode("latin-1") or charset)
    if text.lossy:
        message = f"part {part.number}: {text.lossy} bytes are not {text.codec}"
        yield Problem("lossy-text", message, resolution="shown as U+FFFD")
    if part.kind == "text/html":
        page = Page()
        body = "\n".join(read_page([text.text], page))
        yield Text(body, locator)
        yield Text(page.title, f"{locator} title")
        yield from page.take(f"{locator} ")
    else:
        body = text.text.replace("\r\n", "\n")
        if part.parameters.get("format", b"").lower() == b"flowed":
            body = unflow(body, no_space=part.parameters.get("delsp", b"").lower() == b"yes")
        yield Text(body, locator)
        yield from _armoured(text.text)
    yield from (file.child for file in files)


def _coded_end(stream: Stream, part: Part) -> int:
    """Where the base64 of a body ends: lists put footers behind it, and some programs never encode at all."""
    if encoding_of(part) != "base64":
        return part.end
    at = part.start
    for line in stream.at(part.start, part.end - part.start).splitlines(keepends=True):
        foreign = len(line.translate(None, _BASE64))
        if foreign > 1 and foreign * 20 > len(line):
            return at
        at += len(line)
    return part.end


def _kept_flags(stream: Stream, end: int) -> Iterator[Field]:
    """What a Maildir keeps in the name of a message, and Apple Mail behind it."""
    match = _MAILDIR.match(stream.name)
    if match:
        yield from (Field("mail.flags", _MAILDIR_FLAGS.get(letter, letter)) for letter in match[1])
    if end < stream.size and (found := _APPLE_FLAGS.search(stream.at(end, 65536))):
        bits = int(found[1])
        yield from (Field("mail.flags", word) for bit, word in _APPLE_BITS if bits >> bit & 1)


def _attached(stream: Stream, part: Part, charset: str) -> Iterator[Fact]:
    disposition, held = split_value(first(part.headers, "content-disposition"))
    name, raw = parameter(held, "filename", charset)
    if not name:
        name, raw = parameter(part.parameters, "name", charset)
    if not name:
        name = f"part {part.number}{_SUFFIXES.get(part.kind, '')}"
        raw = name.encode()
    fields = [Field("mail.content_type", part.kind)]
    if disposition:
        fields.append(Field("mail.disposition", disposition))
    for header, field in (
        ("content-id", "mail.content_id"),
        ("content-location", "mail.content_location"),
        ("content-description", "mail.description"),
    ):
        if value := first(part.headers, header):
            fields.append(Field(field, decode_value(value, charset)))
    if part.kind in ("application/ms-tnef", "application/vnd.ms-tnef"):
        yield Field("mail.tnef", True)
    if part.kind.endswith("pkcs7-mime"):
        kind = _envelope(stream, part)
        if kind == "encrypted":
            yield Field("mail.encrypted", "S/MIME")
            yield Problem("encrypted", f"{name}: an S/MIME envelope", resolution="kept as a member")
        elif kind == "signed":
            yield Field("mail.signed", "S/MIME")
    problems = []
    if part.kind == "message/partial":
        number, total = (parameter(part.parameters, key)[0][:20] or "?" for key in ("number", "total"))
        fields.append(Field("mail.partial", f"{number} of {total}"))
        fields.append(Field("mail.partial_id", parameter(part.parameters, "id", charset)[0]))
        message = f"part {number} of {total} of a message that was sent in pieces"
        problems.append(Problem("truncated", message, "eml", "the piece is read by itself"))
    if encoding_of(part) not in _CODINGS:
        message = f"unknown transfer encoding {encoding_of(part)[:60]!r}"
        problems.append(Problem("unsupported", message, "eml", "kept as it stands"))
    yield Child(
        name,
        raw,
        partial(open_part, stream, part),
        tuple(_disposition_times(held)),
        tuple(fields),
        tuple(problems),
    )


def _disposition_times(held: Mapping[str, bytes]) -> Iterator[Timestamp]:
    for key, kind in (("creation-date", "B"), ("modification-date", "M"), ("read-date", "A")):
        if key in held:
            stamp = from_rfc5322(kind, held[key][:200].decode("latin-1"), f"mail.disposition.{key}")
            if stamp:
                yield stamp


def _envelope(stream: Stream, part: Part) -> str:
    """What an S/MIME part is: by its bytes, and where they cannot be had, as it says."""
    declared = part.parameters.get("smime-type", b"").lower()
    try:
        head = next(decoded(stream, part), b"")[:64]
    except EvidenceError:
        head = b""
    if _ENVELOPED in head or declared in (b"enveloped-data", b"authenveloped-data"):
        return "encrypted"
    return "signed" if _SIGNED in head or declared == b"signed-data" else ""


def _protection(kind: str, parameters: Mapping[str, bytes]) -> Iterator[Fact]:
    """What the type of a message or a part says of encryption and signatures."""
    protocol = parameters.get("protocol", b"").lower()
    if kind == "application/pgp-encrypted":
        yield Field("mail.encrypted", "PGP/MIME")
        yield Problem("encrypted", "the body is encrypted with PGP", resolution="kept as a member")
    elif kind == "multipart/signed":
        yield Field("mail.signed", "S/MIME" if b"pkcs7" in protocol else "PGP/MIME")


def _armoured(text: str) -> Iterator[Fact]:
    if "-----BEGIN PGP MESSAGE-----" in text:
        yield Field("mail.encrypted", "PGP inline")
        yield Problem("encrypted", "the body is encrypted with PGP", resolution="kept as text")
    elif "-----BEGIN PGP SIGNED MESSAGE-----" in text:
        yield Field("mail.signed", "PGP inline")
