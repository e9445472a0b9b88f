"""Mail headers: cut into fields, decoded whatever their encoding, and told as facts.

The bytes are read as they stand: raw 8-bit headers are decoded by detection, encoded words in the
charset they name unless the bytes contradict it, words that cut a character in two are joined first.

Source: RFC 5322, sections 2.2 and 3.6; RFC 2047 (encoded words); RFC 2231 (parameters);
RFC 2045, section 5.1; RFC 2183 (Content-Disposition).
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Container, Iterator, Mapping
from typing import Final
from urllib.parse import unquote_to_bytes

from indexer.decoding import decode
from indexer.model import Fact, Field, Text, Timestamp
from indexer.timestamps import from_rfc5322

Headers = list[tuple[str, bytes]]
"""Lower-case names and unfolded raw values, in their order."""

FIELDS: Final[Mapping[str, str]] = {
    "mail.from": "From: who wrote it",
    "mail.sender": "Sender: who sent it for the author",
    "mail.to": "To",
    "mail.cc": "Cc",
    "mail.bcc": "Bcc",
    "mail.reply_to": "Reply-To",
    "mail.subject": "Subject",
    "mail.date": "Date as written, with the sender's zone",
    "mail.message_id": "Message-ID",
    "mail.in_reply_to": "In-Reply-To",
    "mail.references": "References, one value for each message named",
    "mail.x_mailer": "X-Mailer or User-Agent: the program that wrote it",
    "mail.x_originating_ip": "X-Originating-IP: address of the sender's machine",
    "mail.return_path": "Return-Path",
    "mail.delivered_to": "Delivered-To",
    "mail.list_id": "List-Id: mailing list",
    "mail.received": "one Received line: a machine that passed it on; the last hop comes first",
    "mail.header.*": "any other header by its name",
    "mail.encrypted": "how the body is encrypted: S/MIME, PGP/MIME, PGP inline",
    "mail.signed": "how it is signed: S/MIME, PGP/MIME, PGP inline",
    "mail.tnef": "an attachment in Outlook's own form (winmail.dat) is there",
    "mail.content_type": "Content-Type of a part",
    "mail.content_id": "Content-ID of a part, as the HTML body names it",
    "mail.content_location": "Content-Location of a part: the address it was saved from",
    "mail.disposition": "whether a part is meant inline or as an attachment",
    "mail.description": "Content-Description of a part",
    "mail.importance": "how urgent: low, normal, high",
    "mail.sensitivity": "personal, private, confidential",
    "mail.flags": "what was done with it: read, answered, flagged, draft, ...",
    "mail.keyword": "category or label",
    "mail.partial": "which piece of how many: a message or a file that was sent in pieces",
    "mail.partial_id": "what the pieces of a message have in common",
    "mail.conversation_topic": "subject of the conversation it belongs to",
    "html.embedded_type": "media type of a file that an HTML body holds in a data: address",
}
_OWN = {
    "from": "mail.from",
    "sender": "mail.sender",
    "to": "mail.to",
    "cc": "mail.cc",
    "bcc": "mail.bcc",
    "reply-to": "mail.reply_to",
    "subject": "mail.subject",
    "date": "mail.date",
    "message-id": "mail.message_id",
    "in-reply-to": "mail.in_reply_to",
    "x-mailer": "mail.x_mailer",
    "user-agent": "mail.x_mailer",
    "x-originating-ip": "mail.x_originating_ip",
    "return-path": "mail.return_path",
    "delivered-to": "mail.delivered_to",
    "list-id": "mail.list_id",
    "received": "mail.received",
    "importance": "mail.importance",
    "sensitivity": "mail.sensitivity",
    "thread-topic": "mail.conversation_topic",
}
_STATUS = {"R": "read", "A": "answered", "F": "flagged", "D": "deleted", "T": "draft"}
_MOZILLA = ((1, "read"), (2, "answered"), (4, "flagged"), (8, "deleted"), (0x1000, "forwarded"))
_LABELS = frozenset({"keywords", "x-keywords", "x-mozilla-keys", "x-gmail-labels"})
_DATES = {
    "date": ("sent", "mail.date"),
    "resent-date": ("sent", "mail.resent_date"),
    "delivery-date": ("received", "mail.delivery_date"),
    "x-delivery-time": ("received", "mail.x_delivery_time"),
}
KNOWN = frozenset(_OWN) | frozenset(
    {"mime-version", "content-type", "content-transfer-encoding", "references", "importance", "x-priority"}
    | {"resent-from", "resent-to", "resent-date", "delivery-date", "envelope-to", "dkim-signature", "newsgroups"}
    | {"x-received", "x-originalarrivaltime", "authentication-results", "received-spf", "arc-seal", "status"}
    | {"x-status", "x-mozilla-status", "x-gmail-labels", "x-uid", "thread-topic", "thread-index", "errors-to"}
)
"""Header names by which mail is told from other text with colons."""
LETTER = frozenset(_OWN) - {"date", "user-agent"} | {"mime-version", "x-received", "resent-from", "newsgroups"}
"""Those of them that nothing but mail and news has."""
_OPAQUE = ("dkim-", "domainkey-", "arc-", "x-google-", "x-gm-", "x-ms-exchange-", "x-microsoft-antispam", "x-forefront")
"""Headers that hold keys and signatures: fields, but no words to search in."""

_LINE_END = re.compile(rb"\r\n|\n|\r(?!\n)")
_HEADER = re.compile(rb"([!-9;-~]{1,200})[ \t]*:")
_WORD = re.compile(rb"=\?([^?\s*]{1,60})(?:\*[^?\s]{0,20})?\?([bBqQ])\?([^?]*)\?=")
_GAP = re.compile(rb"[ \t\r\n]+")
_PARAMETER = re.compile(
    rb";\s*+([^\s=;\"]{1,100})\s*+=\s*+(?:\"((?:[^\"\\]|\\.)*+)\"|((?:[^;\"]|\"[^\"]*+\")*+))", re.DOTALL
)
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")


def split_headers(block: bytes, boundaries: Container[bytes] = ()) -> tuple[Headers, int]:
    """The headers at the start of some bytes, and where the body begins.

    A line that is no header ends them where no known header follows before the next empty line;
    otherwise it is taken as the rest of the header above it, as mail programs that fold badly write it.
    """
    found: list[tuple[str, list[bytes]]] = []
    at = 0
    while at < len(block):
        match = _LINE_END.search(block, at)
        end, after = (match.start(), match.end()) if match else (len(block), len(block))
        line = block[at:end]
        if not line:
            return _joined(found), after
        if line.startswith(b"--") and (line.rstrip() in boundaries or line.rstrip()[:-2] in boundaries):
            return _joined(found), at
        header = _HEADER.match(line)
        if line[:1] in (b" ", b"\t") and found:
            found[-1][1].append(line)
        elif header:
            found.append((header[1].decode("latin-1").lower(), [line[header.end() :]]))
        elif line.startswith((b"From ", b">From ")):
            pass
        elif found and _more_headers(block, after):
            found[-1][1].append(b" " + line)
        else:
            return _joined(found), at
        at = after
    return _joined(found), at


def _joined(found: list[tuple[str, list[bytes]]]) -> Headers:
    return [(name, _GAP.sub(b" ", b" ".join(lines)).strip()) for name, lines in found]


def _more_headers(block: bytes, at: int) -> bool:
    """Whether one of the next few lines, before an empty one, is a known header."""
    for _ in range(8):
        match = _LINE_END.search(block, at)
        line = block[at : match.start()] if match else block[at:]
        header = _HEADER.match(line)
        if header and header[1].decode("latin-1").lower() in KNOWN:
            return True
        if not line or match is None:
            return False
        at = match.end()
    return False


def first(headers: Headers, name: str) -> bytes:
    """The raw value of the first header of that name, or nothing."""
    return next((value for key, value in headers if key == name), b"")


def decode_value(raw: bytes, charset: str = "") -> str:
    """A header's value as text.

    Args:
        charset: what the rest of the message is written in, for bytes that nothing declares.
    """
    if b"=?" not in raw:
        return _bare(raw, charset)
    out: list[str] = []
    held, held_charset = b"", ""
    at = 0
    for word in _WORD.finditer(raw):
        between = raw[at : word.start()]
        name = word[1].decode("latin-1").lower()
        if between.strip() or not at:
            out += [_closed(held, held_charset), _bare(between, charset)]
            held = b""
        elif held and name != held_charset:
            out.append(_closed(held, held_charset))
            held = b""
        held, held_charset = held + (_word_bytes(word[2], word[3]) or (word[0] if word[3] else b"")), name
        at = word.end()
    return "".join([*out, _closed(held, held_charset), _bare(raw[at:], charset)]).strip()


def _word_bytes(kind: bytes, body: bytes) -> bytes:
    if kind in b"qQ":
        return binascii.a2b_qp(body.replace(b"_", b" "))
    clean = _NOT_BASE64.sub(b"", body)
    clean = clean[: len(clean) - (len(clean) % 4 == 1)]
    return binascii.a2b_base64(clean + b"=" * (-len(clean) % 4))


def _closed(held: bytes, charset: str) -> str:
    return decode(held, charset).text if held else ""


def _bare(raw: bytes, charset: str) -> str:
    if raw.isascii() and b"\x1b" not in raw and b"~{" not in raw:
        return raw.decode("ascii")
    return decode(raw, charset).text


def split_value(raw: bytes) -> tuple[str, dict[str, bytes]]:
    """A structured value (`text/plain; charset=x`) as its lower-case head and its raw parameters.

    RFC 2231 continuations are put together; a value with a charset keeps it as `charset'lang'bytes`
    under the name with a `*` at its end.
    """
    head = raw.split(b";", 1)[0].strip().strip(b'"').decode("latin-1").lower()
    parts: dict[str, list[tuple[int, bool, bytes]]] = {}
    for match in _PARAMETER.finditer(raw):
        name = match[1].decode("latin-1").lower()
        quoted = match[2]
        value = re.sub(rb"\\([\"\\])", rb"\1", quoted) if quoted is not None else match[3].strip().strip(b'"')
        stem, star, rest = name.partition("*")
        number, coded = rest.rstrip("*"), rest.endswith("*") or (star != "" and not rest)
        parts.setdefault(stem + star, []).append((int(number) if number.isdecimal() else 0, coded, value))
    out: dict[str, bytes] = {}
    for name, pieces in parts.items():
        if not name.endswith("*"):
            out[name] = pieces[0][2]
            continue
        pieces.sort(key=lambda piece: piece[0])
        charset = b""
        body = b""
        for place, (_number, coded, value) in enumerate(pieces):
            if coded and place == 0 and value.count(b"'") >= 2:
                charset, _language, value = value.split(b"'", 2)
            body += unquote_to_bytes(value) if coded else value
        out[name] = charset + b"''" + body
    return head, out


def parameter(parameters: Mapping[str, bytes], name: str, charset: str = "") -> tuple[str, bytes]:
    """A parameter as text, and its raw bytes; both empty where it is not there."""
    extended = parameters.get(name + "*")
    if extended is not None:
        declared, _, body = extended.partition(b"''")
        return decode(body, declared.decode("latin-1") or charset).text, body
    raw = parameters.get(name, b"")
    return decode_value(raw, charset), raw


def describe(headers: Headers, charset: str) -> Iterator[Fact]:
    """Fields, times and one searchable text of a message's headers."""
    lines: list[str] = []
    hop = 0
    for name, raw in headers:
        value = decode_value(raw, charset)
        if name == "references":
            yield from (Field("mail.references", each) for each in value.split())
        else:
            yield Field(_OWN.get(name, f"mail.header.{name}"), value)
            yield from _marks(name, value)
        if name == "received":
            hop += 1
            yield from _dated("received", value.rpartition(";")[2], f"mail.received.{hop}")
        elif name in _DATES:
            yield from _dated(_DATES[name][0], value, _DATES[name][1])
        if not name.startswith(_OPAQUE):
            lines.append(f"{name.title()}: {value}")
    yield Text("\n".join(lines), "headers")


def _marks(name: str, value: str) -> Iterator[Field]:
    """Flags and labels that mail programs keep in headers of their own."""
    if name in ("status", "x-status"):
        yield from (Field("mail.flags", _STATUS[letter]) for letter in value[:20] if letter in _STATUS)
    elif name == "x-mozilla-status" and re.fullmatch(r"[0-9a-fA-F]{4}", value):
        yield from (Field("mail.flags", word) for bit, word in _MOZILLA if int(value, 16) & bit)
    elif name == "x-unsent" and value == "1":
        yield Field("mail.flags", "draft")
    elif name in _LABELS:
        mark = " " if name == "x-mozilla-keys" else ","
        yield from (Field("mail.keyword", label.strip()) for label in value.split(mark) if label.strip())


def _dated(kind: str, text: str, origin: str) -> Iterator[Timestamp]:
    stamp = from_rfc5322(kind, text[:200], origin)
    if stamp:
        yield stamp
