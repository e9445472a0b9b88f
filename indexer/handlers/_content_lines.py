"""The lines of which address cards and calendars are made: unfolded, taken apart, decoded.

Source: RFC 6350, section 3 (vCard 4); RFC 2426 (vCard 3); vCard 2.1 and vCalendar 1.0 (versit, 1996);
RFC 5545, section 3.1 (iCalendar); RFC 6868 (carets in parameters).
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from typing import NamedTuple

from indexer.charsets import find_codec
from indexer.decoding import decode
from indexer.detection import detect
from indexer.handler import Stream

WINDOW = 1 << 20
LINE_BYTES = 64 << 20
"""A longer line is cut: a photograph in base64 stays below."""
_SAMPLE = 1 << 20
_HEAD = re.compile(rb'(?:[\w-]{1,60}\.)?([\w-]{1,100})((?:;(?:"[^"]*+"|[^":;])*+)*+):')
_PARAMETER = re.compile(rb';((?:"[^"]*+"|[^";])*+)')
_VALUE = re.compile(r'"[^"]*+"|[^",]++')
_BASE64 = re.compile(rb"[A-Za-z0-9+/=]+\Z")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_CARETS = {"^n": "\n", "^'": '"', "^^": "^"}


class Line(NamedTuple):
    """One property: its name in lower case, its parameters, its bytes, and the number of its first line."""

    name: str
    parameters: dict[str, list[str]]
    raw: bytes
    number: int

    def first(self, parameter: str) -> str:
        """The first value of a parameter, or nothing."""
        return next(iter(self.parameters.get(parameter, ())), "")

    @property
    def is_binary(self) -> bool:
        """Whether the value is a file in base64."""
        return self.first("encoding").lower() in ("b", "base64")

    def data(self) -> bytes:
        """The bytes of a value in base64, as far as they decode."""
        clean = re.sub(rb"[^A-Za-z0-9+/]", b"", self.raw)
        clean = clean[: len(clean) - (len(clean) % 4 == 1)]
        return binascii.a2b_base64(clean + b"=" * (-len(clean) % 4))

    def text(self, codec: str) -> str:
        """The value as it stands, its transfer encoding undone."""
        raw = self.raw
        if self.first("encoding").lower() == "quoted-printable":
            raw = binascii.a2b_qp(raw)
        declared = find_codec(self.first("charset"))
        if raw.isascii() and b"\x1b" not in raw:
            return raw.decode("ascii")
        if declared:
            return decode(raw, declared).text
        return decode(raw, codec).text


def lines_of(stream: Stream) -> Iterator[Line]:
    """Every line that is a property, unfolded; others are left out."""
    for number, line in _unfolded(stream):
        match = _HEAD.match(line)
        if match:
            yield Line(match[1].decode("latin-1").lower(), _parameters(match[2]), line[match.end() :], number)


def _parameters(raw: bytes) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for match in _PARAMETER.finditer(raw):
        name, equals, value = match[1].partition(b"=")
        key = name.strip().decode("latin-1").lower()
        if not equals:
            # In the oldest cards a parameter is its value alone.
            kind = "encoding" if key in ("quoted-printable", "base64", "8bit", "7bit") else "type"
            found.setdefault(kind, []).append(key)
            continue
        values = _VALUE.findall(decode(value).text)
        found.setdefault(key, []).extend(_uncaret(each.strip('"')) for each in values)
    return found


def _uncaret(text: str) -> str:
    return re.sub(r"\^[n'^]", lambda match: _CARETS[match[0]], text) if "^" in text else text


def _unfolded(stream: Stream) -> Iterator[tuple[int, bytes]]:
    """Lines with what was folded put back, and the number of the first of them."""
    held, start = b"", 0
    parts: list[bytes] = []
    size = 0
    soft = packed = False
    for number, line in enumerate(_physical(stream), 1):
        joins = parts and (soft or line[:1] in (b" ", b"\t") or (packed and line and _BASE64.match(line)))
        if joins:
            piece = line if soft else line.lstrip(b" \t") if packed else line[1:]
        else:
            if parts:
                yield start, b"".join(parts)
            held = line.split(b":", 1)[0].upper() if b":" in line[:1000] else b""
            parts, size, start, piece = [], 0, number, line
            packed = b"BASE64" in held or b"ENCODING=B" in held
        quoted = b"QUOTED-PRINTABLE" in held
        soft = quoted and piece.endswith(b"=")
        piece = piece[:-1] if soft else piece
        size += len(piece)
        if size <= LINE_BYTES:
            parts.append(piece)
    if parts:
        yield start, b"".join(parts)


def _physical(stream: Stream) -> Iterator[bytes]:
    """The lines as they stand, in UTF-8 where the file is wide."""
    head = stream.at(0, 4)
    wide = "utf-16-le" if head.startswith(b"\xff\xfe") else "utf-16-be" if head.startswith(b"\xfe\xff") else ""
    at = 2 if wide else 3 if head.startswith(b"\xef\xbb\xbf") else 0
    rest = b""
    while at < stream.size:
        piece = stream.at(at, WINDOW)
        at += len(piece)
        if wide:
            piece = piece.decode(wide, "replace").encode("utf-8", "replace")
        piece = rest + piece
        # A carriage return at the end may be one half of a line's end.
        cut = len(piece) - (at < stream.size and piece.endswith(b"\r"))
        *whole, rest = _LINE_END.split(piece[:cut])
        rest += piece[cut:]
        yield from whole
        if len(rest) > LINE_BYTES:
            yield rest
            rest = b""
    if rest:
        yield rest


def codec_of(stream: Stream) -> str:
    """The codec of values that name none."""
    if stream.at(0, 2) in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-8"
    found = detect(stream.at(0, _SAMPLE))
    return "" if found.codec == "ascii" else found.codec


def begins_with(stream: Stream, kind: bytes) -> bool:
    """Whether the first line is `BEGIN:` and this."""
    head = stream.head[:200]
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        head = head[:198].decode("utf-16", "replace").encode("utf-8", "replace")
    head = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:100].upper()
    return re.match(rb"BEGIN[ \t]*:[ \t]*" + kind + rb"\s", head) is not None


def plain(text: str) -> str:
    """A value without its backslashes."""
    return _ESCAPE.sub(lambda match: "\n" if match[1] in "nN" else match[1], text)


def parts_of(text: str, mark: str = ";") -> list[str]:
    """A value of several parts, each without its backslashes."""
    found, part, at = [], [], 0
    while at < len(text):
        char = text[at]
        if char == "\\" and at + 1 < len(text):
            part.append(text[at : at + 2])
            at += 2
            continue
        if char == mark:
            found.append("".join(part))
            part = []
        else:
            part.append(char)
        at += 1
    return [plain(each).strip() for each in (*found, "".join(part))]
