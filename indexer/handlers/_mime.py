"""The parts of a message, found by one pass over its lines, and their bytes as they are asked for.

No tree is built and nothing calls itself: a stack of boundaries is all that is kept, so that
messages nested thousands of times cost no more than their bytes. Parts behind a closing boundary,
which mail programs hide, are found too.

Source: RFC 2046, section 5.1 (multipart); RFC 2045, sections 6.7 and 6.8 (transfer encodings).
"""

from __future__ import annotations

import binascii
import io
import re
import string
from collections.abc import Iterator
from typing import BinaryIO, Final, cast

from msgspec import Struct, field

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._mail import Headers, first, split_headers, split_value

DEPTH: Final = 100
"""Multiparts inside multiparts; what lies deeper is read as text."""
HEADER_BYTES: Final = 1 << 20
"""Bytes of one part's headers; honest lists of recipients stay far below."""
WINDOW: Final = 1 << 20
LINE: Final = 300
"""A boundary line is at most 72 bytes by the book; longer lines are none."""
_DASHES = re.compile(rb"[\r\n]--([^\r\n]{0,299})(?=[\r\n]|\Z)")
_BASE64 = string.ascii_letters.encode() + string.digits.encode() + b"+/="
_BLANK = b" \t\r\n\v\f"
_BAD_QUOTED = re.compile(rb"=(?![0-9A-Fa-f]{2}|[ \t]*\r?\n|[ \t]*\Z)")


class Part(Struct, frozen=True):
    """A run of the message's bytes: `role` is `part`, or `preamble` or `epilogue` of a multipart."""

    number: str
    role: str
    start: int
    end: int
    kind: str = "text/plain"
    parameters: dict[str, bytes] = field(default_factory=dict)
    headers: Headers = field(default_factory=list)
    capped: bool = False


class _Level(Struct):
    boundary: bytes
    number: str
    kind: str
    count: int = 0
    closed: bool = False


class Walk:
    """The message between two offsets; `unclosed` tells afterwards how many multiparts had no end."""

    def __init__(self, stream: Stream, start: int, end: int) -> None:
        self._stream = stream
        self._end = end
        self._lines = _Lines(stream, end)
        self._levels: list[_Level] = []
        self._depth: dict[bytes, int] = {}
        self.unclosed = 0
        self.headers, self._body = self._read_headers(start)
        self.kind, self.parameters = _type_of(self.headers, "text/plain")

    def parts(self) -> Iterator[Part]:
        """Every part in reading order, with what stands before and behind the parts."""
        open_part = self._enter("", self.headers, self._body, self.kind, self.parameters)
        at = self._body
        while (found := self._lines.find(at)) is not None:
            line_start, after, line = found
            depth, closing = self._match(line)
            if depth is None:
                at = after
                continue
            yield from _ended(open_part, self._before(line_start))
            self._leave(depth + 1)
            level = self._levels[depth]
            if closing:
                level.closed = True
                open_part = Part(level.number, "epilogue", after, after)
                at = after
                continue
            level.count += 1
            level.closed = False
            headers, at = self._read_headers(after)
            default = "message/rfc822" if level.kind == "multipart/digest" else "text/plain"
            number = f"{level.number}.{level.count}" if level.number else str(level.count)
            open_part = self._enter(number, headers, at, *_type_of(headers, default))
        yield from _ended(open_part, self._end)
        self._leave(0)

    def _enter(self, number: str, headers: Headers, at: int, kind: str, parameters: dict[str, bytes]) -> Part:
        """What is open from here on: a part, or the preamble of a multipart that is entered."""
        if kind.startswith("multipart/"):
            boundary = parameters.get("boundary") or self._guess(at)
            if boundary and len(self._levels) < DEPTH:
                self._depth[b"--" + boundary.rstrip()] = len(self._levels)
                self._levels.append(_Level(b"--" + boundary.rstrip(), number, kind))
                return Part(number, "preamble", at, at)
            return Part(number or "1", "part", at, at, "text/plain", {}, headers, capped=bool(boundary))
        return Part(number or "1", "part", at, at, kind, parameters, headers)

    def _guess(self, at: int) -> bytes:
        """The boundary where none is declared: the first line with dashes that a header follows."""
        for _ in range(20):
            found = self._lines.find(at)
            if found is None:
                return b""
            _, at, line = found
            if line and self._stream.at(at, 8).lower() == b"content-":
                return line
        return b""

    def _match(self, line: bytes) -> tuple[int | None, bool]:
        line = b"--" + line.rstrip()
        depth = self._depth.get(line)
        if depth is not None:
            return depth, False
        return (self._depth.get(line[:-2]), True) if line.endswith(b"--") else (None, False)

    def _leave(self, depth: int) -> None:
        for level in self._levels[depth:]:
            self.unclosed += not level.closed
        del self._levels[depth:]
        self._depth = {level.boundary: place for place, level in enumerate(self._levels)}

    def _before(self, line_start: int) -> int:
        """The end of what stands before a boundary line, whose line break belongs to the boundary."""
        ending = self._stream.at(max(0, line_start - 2), 2)
        return line_start - (2 if ending == b"\r\n" else ending[-1:] in (b"\n", b"\r"))

    def _read_headers(self, at: int) -> tuple[Headers, int]:
        size = 8192
        while True:
            block = self._stream.at(at, min(size, self._end - at))
            headers, length = split_headers(block, self._depth)
            if length < len(block) or len(block) < size or size >= HEADER_BYTES:
                return headers, at + length
            size *= 8


def _ended(part: Part, end: int) -> Iterator[Part]:
    if part.role == "part" or end > part.start:
        yield Part(
            part.number,
            part.role,
            part.start,
            max(part.start, end),
            part.kind,
            part.parameters,
            part.headers,
            part.capped,
        )


def _type_of(headers: Headers, default: str) -> tuple[str, dict[str, bytes]]:
    kind, parameters = split_value(first(headers, "content-type"))
    return (kind if "/" in kind else default), parameters


class _Lines:
    """Finds lines that begin with two dashes."""

    def __init__(self, stream: Stream, end: int) -> None:
        self._stream = stream
        self._end = end
        self._at = 0
        self._window = b""

    def find(self, at: int) -> tuple[int, int, bytes] | None:
        """Where the next such line at or behind `at` starts, where the line after it does, its rest."""
        at = max(0, at - 1)
        while at < self._end:
            held = self._at + len(self._window)
            if not self._at <= at < held or (at >= held - LINE and held < self._end):
                self._at, self._window = at, self._stream.at(at, min(WINDOW, self._end - at))
            whole = self._at + len(self._window) >= self._end
            match = _DASHES.search(self._window, at - self._at)
            if match and (whole or match.end() < len(self._window)):
                after = match.end() + (2 if self._window.startswith(b"\r\n", match.end()) else 1)
                return self._at + match.start() + 1, min(self._at + after, self._end), match[1]
            if whole:
                return None
            at = max(self._at + len(self._window) - LINE, at + 1)
        return None


class Pieces(io.RawIOBase):
    """A readable stream of what a generator gives; an EvidenceError comes after the last byte."""

    def __init__(self, source: Iterator[bytes]) -> None:
        super().__init__()
        self._source = source
        self._held = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if size < 0:
            return self._held + b"".join(self._source)
        while not self._held:
            piece = next(self._source, None)
            if piece is None:
                return b""
            self._held = piece
        taken, self._held = self._held[:size], self._held[size:]
        return taken


def open_part(stream: Stream, part: Part) -> BinaryIO:
    """The bytes of a part, its transfer encoding undone, as they are asked for."""
    return cast(BinaryIO, Pieces(decoded(stream, part)))


def decoded(stream: Stream, part: Part) -> Iterator[bytes]:
    """The same as a generator.

    Raises:
        EvidenceError: `corrupt` or `truncated`, behind the last byte that could be had.
    """
    raw = raw_pieces(stream, part.start, part.end)
    coding = encoding_of(part)
    if coding == "base64":
        return _from_base64(raw)
    if coding == "quoted-printable":
        return _from_quoted(raw)
    if coding in ("x-uuencode", "uuencode", "x-uue"):
        return _from_uu(raw)
    return raw


def encoding_of(part: Part) -> str:
    """The transfer encoding of a part, lower case; empty where its bytes stand as they are."""
    coding = first(part.headers, "content-transfer-encoding").split(b";")[0].strip().decode("latin-1").lower()
    return "" if part.role != "part" or part.capped or coding in ("7bit", "8bit", "binary") else coding


def raw_pieces(stream: Stream, start: int, end: int) -> Iterator[bytes]:
    """The bytes between two offsets, as stored."""
    while start < end:
        piece = stream.at(start, min(WINDOW, end - start))
        if not piece:
            return
        yield piece
        start += len(piece)


def _from_base64(raw: Iterator[bytes]) -> Iterator[bytes]:
    held = b""
    strange = 0
    for piece in raw:
        foreign = piece.translate(None, _BASE64 + _BLANK)
        strange += len(foreign)
        held += piece.translate(None, _BLANK + foreign)
        # Padding ends a run; another may follow where programs glue encoded pieces together.
        *runs, held = re.split(rb"(?<==)(?=[^=])", held) if b"=" in held else [held]
        for run in runs:
            yield _quanta(run)
        if b"=" not in held:
            whole = len(held) - len(held) % 4
            yield _quanta(held[:whole])
            held = held[whole:]
    yield _quanta(held)
    if strange:
        raise EvidenceError("corrupt", f"base64 with {strange} bytes outside its alphabet, which were left out")
    if len(held.rstrip(b"=")) % 4 == 1 or (held and len(held) % 4):
        raise EvidenceError("truncated", "base64 ends in the middle of a group of four")


def _quanta(run: bytes) -> bytes:
    run = run.rstrip(b"=").replace(b"=", b"")
    run = run[: len(run) - (len(run) % 4 == 1)]
    return binascii.a2b_base64(run + b"=" * (-len(run) % 4))


def _from_quoted(raw: Iterator[bytes]) -> Iterator[bytes]:
    held = b""
    bad = 0
    for piece in raw:
        held += piece
        cut = held.rfind(b"\n") + 1
        if not cut and len(held) > 4096:
            cut = len(held) - 3 if b"=" in held[-3:] else len(held)
        bad += len(_BAD_QUOTED.findall(held, 0, cut))
        yield binascii.a2b_qp(held[:cut])
        held = held[cut:]
    bad += len(_BAD_QUOTED.findall(held))
    yield binascii.a2b_qp(held)
    if bad:
        raise EvidenceError("corrupt", f"quoted-printable with {bad} broken escapes, which were left as they are")


def _from_uu(raw: Iterator[bytes]) -> Iterator[bytes]:
    data = b"".join(raw)
    yield from_uu_lines(data)


def from_uu_lines(data: bytes) -> bytes:
    """The bytes of uuencoded lines, from `begin` (or the start) to `end`."""
    out = []
    for line in data.splitlines():
        if line.startswith(b"begin ") or not line.strip():
            continue
        if line.strip() == b"end":
            break
        try:
            out.append(binascii.a2b_uu(line))
        except binascii.Error:
            # Some writers pad lines wrongly; the length that the line itself names is what counts.
            size = ((line[0] - 32) & 63) * 4 // 3 + 3
            try:
                out.append(binascii.a2b_uu(line[:size]))
            except binascii.Error:
                continue
    return b"".join(out)
