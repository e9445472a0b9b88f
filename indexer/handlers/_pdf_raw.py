"""What the bytes of a PDF file tell without its structure, in one pass of bounded memory.

Source: ISO 32000-2: 7.5.5 (trailer), 7.5.6 (incremental updates), 7.6.2 (encryption dictionary), annex F
(linearised files); ISO 16684-1, 7.3 (XMP packets).
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._pdf_values import from_digits, literal
from indexer.handlers._pdfium import IN_MEMORY
from indexer.limits import KIB, MIB

PACKETS = 16
"""XMP packets read from one file."""
PACKET_BYTES = 1 * MIB
_STEP = 1 * MIB
_MARK = re.compile(rb"%%EOF|<x:x[am]pmeta|/Standard\b|/JS\s{0,3}[(<]")
_MARK_STARTS = (b"%%EOF", b"<x:x", b"/Standard", b"/JS")
SCRIPTS, SCRIPT_BYTES = 200, 64 * KIB
_END = re.compile(rb"</x:x[am]pmeta>")
_VERSION = re.compile(rb"/R\s+(\d)")
_CIPHER = re.compile(rb"/CFM\s*/(\w{1,16})")
_OVERLAP = 16
REBUILT = 64 * MIB
"""A larger file without an end is not rebuilt: that takes its bytes in memory, twice."""
_OBJECT = re.compile(rb"\b(\d{1,7})\s{1,3}\d{1,5}\s{1,3}obj\b")
_PAGE = re.compile(rb"\b(\d{1,7})\s{1,3}0\s{1,3}obj\s{0,3}<<(?:(?!endobj)[^\0]){0,1500}?/Type\s{0,3}/Page\b(?!s)")
_PAGES, _NUMBERS = 100_000, 4_000_000
_SEARCHED, _SEARCHED_EACH = 128 * MIB, 4
_OPENS = re.compile(rb"[\0\t\n\f\r ]obj\b")


class Raw(NamedTuple):
    """Savings counted by their end marks; XMP packets; cipher; scripts that stand open in the file."""

    revisions: int
    packets: tuple[bytes, ...]
    encryption: str
    scripts: tuple[str, ...]


def scan(stream: Stream) -> Raw:
    """One pass over the file."""
    ends, encryption = 0, ""
    starts: list[int] = []
    scripts: list[int] = []
    offset, carried = 0, b""
    stream.seek(0)
    while chunk := stream.read(_STEP):
        data = carried + chunk
        for match in _marks(data):
            at = offset - len(carried) + match.start()
            if match.end() <= len(carried):
                continue
            if match[0] == b"%%EOF":
                ends += 1
            elif match[0].startswith(b"<x:"):
                starts.append(at)
            elif match[0].startswith(b"/JS"):
                scripts.append(offset - len(carried) + match.end() - 1)
            elif not encryption:
                around = data[max(0, match.start() - 1024) : match.end() + 1024]
                encryption = _cipher(around)
        offset += len(chunk)
        carried = data[-_OVERLAP:]
    linear = b"/Linearized" in stream.head[:1024] and ends > 1
    packets = (_packet(stream, start) for start in starts[:PACKETS])
    texts = () if encryption else tuple(read_string(stream.at(at, SCRIPT_BYTES)) for at in scripts[:SCRIPTS])
    return Raw(ends - linear, tuple(packet for packet in packets if packet), encryption, texts)


def _marks(data: bytes) -> Iterator[re.Match[bytes]]:
    """Every mark in its order; looking for each start by itself is far quicker than one expression."""
    places: list[int] = []
    for start in _MARK_STARTS:
        at = data.find(start)
        while at >= 0:
            places.append(at)
            at = data.find(start, at + 1)
    for at in sorted(places):
        if match := _MARK.match(data, at):
            yield match


def rebuilt(stream: Stream) -> bytes:
    """The file with a new end, made of the page objects that are there; empty where there are none.

    A transfer that broke off has lost the tables and often the page tree, which stand last; the pages
    themselves are whole objects, and PDFium finds objects without a table once there is a catalogue.
    """
    if stream.size > REBUILT:
        return b""
    data = stream.at(0, stream.size)
    pages = [match[1] for match in _PAGE.finditer(data)][:_PAGES]
    if not pages:
        return b""
    kids = b" ".join(number + b" 0 R" for number in pages)
    number = max(int(each) for each in _OBJECT.findall(data)) + 1
    if number >= _NUMBERS:
        return b""
    tree = b"%d 0 obj\n<</Type/Pages/Count %d/Kids[%s]>>\nendobj\n" % (number, len(pages), kids)
    root = b"%d 0 obj\n<</Type/Catalog/Pages %d 0 R>>\nendobj\n" % (number + 1, number)
    end = b"trailer\n<</Size %d/Root %d 0 R>>\nstartxref\n0\n%%%%EOF\n" % (number + 2, number + 1)
    return data + b"\nendstream\nendobj\n" + tree + root + end


@contextmanager
def whole(stream: Stream) -> Iterator[bytes | mmap.mmap]:
    """All bytes of the file."""
    if stream.size <= IN_MEMORY:
        yield stream.at(0, stream.size)
        return
    with stream.path() as path, open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data:
        yield data


def check_streams(stream: Stream) -> None:
    """Refuses a file in which so many streams lack their end that PDFium would look for it for hours.

    A stream whose length is not right ends at the next `endstream` or `endobj`; PDFium goes over all
    that lies between, to the end of the file where there is none, and does so for each stream anew.

    Raises:
        EvidenceError: `limit`.
    """
    if stream.size <= KIB:
        return
    with whole(stream) as data:
        searched = count_searched(data)
    if searched > _SEARCHED + _SEARCHED_EACH * stream.size:
        raise EvidenceError("limit", "too many streams without an end: looking for them would take too long")


def count_searched(data: bytes | mmap.mmap) -> int:
    """How many bytes lie between the streams of all objects and the next `endstream` and `endobj` after each."""
    searched, before = 0, 0
    ends = {b"endstream": 0, b"endobj": 0}
    at = data.find(b"stream")
    while at >= 0:
        if data[max(0, at - 3) : at] != b"end" and _OPENS.search(data, before, at):
            for word, end in ends.items():
                if end < at:
                    found = data.find(word, at)
                    ends[word] = found if found >= 0 else len(data)
                searched += ends[word] - at
        before = at
        at = data.find(b"stream", at + 6)
    return searched


def read_string(data: bytes) -> str:
    """The text of a string object that `data` begins with, as far as it goes: `(...)` or `<...>`."""
    if data.startswith(b"<"):
        return _decoded(from_digits(data[1:].partition(b">")[0]))
    return _decoded(literal(data, 0)[0])


def _decoded(data: bytes) -> str:
    if data.startswith(b"\xfe\xff"):
        return data[2:].decode("utf-16-be", "replace")
    if data.startswith(b"\xef\xbb\xbf"):
        return data[3:].decode("utf-8", "replace")
    return data.decode("latin-1")


def _packet(stream: Stream, start: int) -> bytes:
    data = stream.at(start, PACKET_BYTES)
    end = _END.search(data)
    return data[: end.end()] if end else b""


def _cipher(around: bytes) -> str:
    version = _VERSION.search(around)
    cipher = _CIPHER.search(around)
    if not version:
        return ""
    name = {b"V2": "RC4", b"AESV2": "AES-128", b"AESV3": "AES-256"}.get(cipher[1], "") if cipher else ""
    return f"{name or 'RC4'}, revision {version[1].decode()}"
