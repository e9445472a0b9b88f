"""WARC, the archive of web crawls: records as members, headers as fields, the pages themselves as bytes.

Of an HTTP response the body is the member, its head is told in fields; a chunked body is joined.

Source: ISO 28500:2017 (WARC 1.1), sections 4 to 6; RFC 9112, section 7.1 (chunks).
Limits: records cut into segments are not joined; WARC's forerunner ARC is another format; the digests
in the headers are told, not compared.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import BinaryIO, ClassVar

from msgspec import Struct

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._archive import FIELDS, Gap, Names, tell_gap
from indexer.handlers._streams import Slice, open_chunks, open_slice
from indexer.limits import KIB
from indexer.model import Child, Fact, Field, Problem
from indexer.timestamps import from_iso, from_rfc5322

MAGIC = b"WARC/"
VERSION = re.compile(rb"WARC/\d{1,3}\.\d{1,3}\r?\n")
BLANK = re.compile(rb"\r?\n\r?\n")
MOST_HEAD = 64 * KIB
MOST_FIELDS = 200
SCAN = 1 << 20
TOLD_ELSEWHERE = frozenset({"content_length", "warc_date"})
REQUEST = re.compile(rb"([A-Z]{1,20} [^\r\n]{1,8192})\r?\n")
STATUS = re.compile(rb"HTTP/\d(?:\.\d)? +(\d{3})")


class Record(Struct):
    """One record: its headers, and where its block is."""

    at: int
    headers: list[tuple[bytes, bytes]]
    start: int
    size: int
    problems: tuple[Problem, ...] = ()

    def get(self, name: bytes) -> bytes:
        """The first header of a name, in lower case, or nothing."""
        return next((value for key, value in self.headers if key.lower() == name), b"")


class WarcArchive(Handler):
    name = "warc"
    media_types = ("application/warc",)
    signatures = (Signature(MAGIC),)
    suffixes = (".warc",)
    fields: ClassVar[Mapping[str, str]] = {
        **FIELDS,
        "warc.http_status": "status of an HTTP response",
        "warc.http_request": "first line of an HTTP request",
        "warc.http_header": "a header of an HTTP message",
        "warc.*": "a header of a record, such as warc.warc_type, warc.warc_ip_address, warc.content_type",
    }
    reads = "records with all their headers and times, pages and files as they were sent"
    rank = 56
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if VERSION.match(stream.head) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        for part in walk(stream):
            if isinstance(part, Gap):
                yield from tell_gap(stream, part)
            else:
                yield _child(stream, part)
                for problem in part.problems:
                    yield Problem(
                        problem.cause, f"the record at {part.at}: {problem.message}", resolution="kept so far"
                    )


def walk(stream: Stream) -> Iterator[Record | Gap]:
    """Records in their order, and what lies between them."""
    position = 0
    while position < stream.size:
        record = _read_record(stream, position)
        if record is None:
            rest = stream.at(position, SCAN)
            if not rest.strip(b"\r\n\0 ") and len(rest) < SCAN:
                return
            end = _find_record(stream, position + 1)
            message = f"no record at {position}" + (f"; the next one stands at {end}" if end < stream.size else "")
            yield Gap(position, end - position, "corrupt", message, f"[damaged at {position}]")
            position = end
            continue
        yield record
        position = record.start + record.size
        tail = stream.at(position, 4)
        position += len(tail) - len(tail.lstrip(b"\r\n"))


def _read_record(stream: Stream, at: int) -> Record | None:
    head = stream.at(at, MOST_HEAD)
    version = VERSION.match(head)
    if not version:
        return None
    headers, length = _headers(head, version.end())
    record = Record(at, headers, at + length, 0)
    size = record.get(b"content-length")
    left = stream.size - record.start
    if not size.isdigit() or len(size) > 20 or int(size) > left:
        record.size = _find_record(stream, record.start) - record.start
        says = size[:20].decode("ascii", "replace") or "nothing"
        cause = "corrupt" if record.size < left or not size.isdigit() else "truncated"
        message = f"it says {says} of its length, {record.size} bytes are there"
        record.problems = (Problem(cause, message),)  # type: ignore[arg-type]
    else:
        record.size = int(size)
    return record


def _headers(head: bytes, place: int) -> tuple[list[tuple[bytes, bytes]], int]:
    """Names and values up to the blank line, and the offset behind it; lines that go on are joined."""
    blank = BLANK.search(head, place - 2)
    end = blank.start() if blank else len(head)
    headers: list[tuple[bytes, bytes]] = []
    for line in re.split(rb"\r?\n", head[place:end])[:MOST_FIELDS]:
        if line[:1] in (b" ", b"\t") and headers:
            headers[-1] = (headers[-1][0], headers[-1][1] + b" " + line.strip())
            continue
        name, colon, value = line.partition(b":")
        if colon:
            headers.append((name.strip(), value.strip()))
    return headers, blank.end() if blank else len(head)


def _find_record(stream: Stream, position: int) -> int:
    """The next offset at which a record begins on a line of its own, or the end."""
    while data := stream.at(position, SCAN):
        for match in VERSION.finditer(data):
            before = stream.at(position + match.start() - 1, 1)
            if before == b"\n" and _is_record(stream, position + match.start()):
                return position + match.start()
        if len(data) < SCAN:
            break
        position += len(data) - 16
    return stream.size


def _is_record(stream: Stream, at: int) -> bool:
    return b"warc-type:" in stream.at(at, 4096).lower()


def _child(stream: Stream, record: Record) -> Child:
    address = record.get(b"warc-target-uri").strip(b"<>")
    kind = record.get(b"warc-type")
    raw = address or b"[" + (kind or b"record") + b"]"
    fields: list[Field] = []
    stamps = [from_iso("captured", record.get(b"warc-date").decode("ascii", "replace"), "warc.date")]
    for name, value in record.headers:
        key = re.sub(r"[^a-z0-9]+", "_", name.decode("ascii", "replace").lower()).strip("_")
        if key and key not in TOLD_ELSEWHERE:
            fields.append(Field(f"warc.{key[:60]}", Names((value,)).decode(value)))
    opening: Callable[[], BinaryIO] = open_slice(stream, record.start, record.size)
    if record.get(b"content-type").lower().startswith(b"application/http"):
        head = stream.at(record.start, min(MOST_HEAD, record.size))
        headers, length = _headers(head, 2)
        if status := STATUS.match(head):
            fields.append(Field("warc.http_status", int(status[1])))
        elif request := REQUEST.match(head):
            fields.append(Field("warc.http_request", Names((request[1],)).decode(request[1])))
        chunked = False
        for name, value in headers:
            line = name + b": " + value
            fields.append(Field("warc.http_header", Names((line,)).decode(line)))
            chunked = chunked or (name.lower() == b"transfer-encoding" and b"chunked" in value.lower())
            if name.lower() == b"last-modified":
                stamps.append(from_rfc5322("M", value.decode("ascii", "replace"), "http.last_modified"))
        start, size = record.start + length, max(0, record.size - length)
        opening = partial(_open_chunked, stream, start, size) if chunked else open_slice(stream, start, size)
    return Child(
        Names((raw,)).decode(raw),
        raw,
        opening,
        timestamps=tuple(stamp for stamp in stamps if stamp),
        fields=tuple(fields),
        problems=record.problems,
    )


def _open_chunked(stream: Stream, start: int, size: int) -> BinaryIO:
    return open_chunks(_join_chunks(stream, start, size))


def _join_chunks(stream: Stream, at: int, left: int) -> Iterator[bytes]:
    """The body of a chunked message; as it lies where it is not chunked after all.

    Raises:
        EvidenceError: truncated, corrupt; after the last good byte.
    """
    end, first = at + left, True
    while at < end:
        line = stream.at(at, min(256, end - at))
        match = re.match(rb"([0-9A-Fa-f]{1,15})[^\r\n]*\r?\n", line)
        if not match:
            if first:
                yield from _slices(stream, at, end - at)
                return
            raise EvidenceError("corrupt", "a chunk without its length")
        size = int(match[1], 16)
        if not size:
            return
        at += match.end()
        yield from _slices(stream, at, min(size, end - at))
        if at + size > end:
            raise EvidenceError("truncated", f"{at + size - end} bytes of a chunk are missing")
        at += size
        at += len(stream.at(at, 2)) - len(stream.at(at, 2).lstrip(b"\r\n"))
        first = False
    raise EvidenceError("truncated", "the last chunk is missing")


def _slices(stream: Stream, at: int, size: int) -> Iterator[bytes]:
    piece = Slice(stream, at, size)
    while chunk := piece.read(256 * KIB):
        yield chunk
