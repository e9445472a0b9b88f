"""Books of Palm organisers and Kindles: PalmDoc, Mobipocket, AZW; text, metadata, pictures as members.

Source: MobileRead wiki, PDB, PalmDOC, MOBI (headers, EXTH, trailing entries).
Limits: HUFF/CDIC compression is not read; of a file that holds a book twice (KF8 behind the older form) the first
is read; books that readers lock (DRM) are named, not opened.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.decoding import decode
from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._html import Page, read_page
from indexer.handlers._picture import member
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Text
from indexer.timestamps import from_hfs, from_iso, from_unix

_BOOK, _PLAIN = b"BOOKMOBI", b"TEXtREAd"
_NONE: Final = 0xFFFFFFFF
_MOST: Final = 64 * MIB
"""Bytes of text."""
_RECORD: Final = 65_536
_CODECS: Final = {65001: "utf-8", 1252: "cp1252", 932: "cp932", 936: "gb18030", 949: "cp949", 950: "big5"}
_EXTH: Final = {
    100: "author", 101: "publisher", 102: "imprint", 103: "description", 104: "isbn", 105: "subject", 106: "published",
    108: "contributor", 109: "rights", 112: "source", 113: "asin", 503: "title", 524: "language", 535: "made_by",
}  # fmt: skip
_KINDS: Final = {b"\xff\xd8\xff": "jpg", b"\x89PNG": "png", b"GIF8": "gif", b"BM": "bmp"}
_LITERALS: Final = re.compile(rb"[\0\x09-\x7f]+")
_MARKUP: Final = re.compile(r"<(?:html|body|p|div|mbp:|h\d)\b", re.IGNORECASE)


class Mobipocket(Handler):
    name = "mobipocket"
    media_types = ("application/x-mobipocket-ebook", "application/x-palmdoc")
    signatures = (Signature(_BOOK, 60), Signature(_PLAIN, 60))
    suffixes = (".mobi", ".prc", ".azw", ".azw3", ".pdb")
    fields: ClassVar[dict[str, str]] = {
        **{f"mobi.{name}": f"{name.replace('_', ' ')} of the book, as it says" for name in _EXTH.values()},
        "mobi.name": "name of the database on the organiser",
        "mobi.full_name": "name of the book in its header",
        "mobi.version": "version of the format",
        "encryption.method": "how the text is locked",
    }
    reads = "text, metadata; pictures as members"
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[stream.head[60:68] == _PLAIN] if stream.head[60:68] in (_BOOK, _PLAIN) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        records = _Records(stream)
        head = stream.at(0, 78)
        if name := head[:32].split(b"\0")[0]:
            yield Field("mobi.name", decode(name).text)
        for kind, at in (("B", 36), ("M", 40)):
            moment = int.from_bytes(head[at : at + 4], "big")
            made = from_hfs if moment >> 31 else from_unix
            if moment and (stamp := made(kind, moment, "palm.database")):
                yield stamp
        first = records.at(0, MIB)
        if len(first) < 16:
            raise EvidenceError("truncated", "the header of the book is cut off")
        codec, start = "", _NONE
        if first[16:20] == b"MOBI":
            codec, start = _CODECS.get(int.from_bytes(first[28:32], "big"), ""), int.from_bytes(first[108:112], "big")
            yield from _described(first, codec)
        yield from _text(records, first, codec)
        for number in range(start, len(records)):
            lead = records.at(number, 4)
            suffix = next((kind for magic, kind in _KINDS.items() if lead.startswith(magic)), "")
            if suffix:
                begin, end = records.span(number)
                yield member(stream, f"{number - start + 1:05}.{suffix}", begin, end - begin, "picture")
        yield from records.problems


class _Records:
    """The records of a Palm database."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.problems: list[Problem] = []
        count = int.from_bytes(stream.at(76, 2), "big")
        table = stream.at(78, 8 * count)
        self._starts = [int.from_bytes(table[at : at + 4], "big") for at in range(0, len(table) - 7, 8)]
        if len(self._starts) < count or (self._starts and self._starts[-1] >= stream.size):
            self.problems.append(Problem("truncated", f"records are missing: {count} are told of"))

    def __len__(self) -> int:
        return len(self._starts)

    def span(self, number: int) -> tuple[int, int]:
        """Where a record begins and ends."""
        end = self._starts[number + 1] if number + 1 < len(self._starts) else self._stream.size
        begin = self._starts[number]
        return begin, max(begin, min(end, self._stream.size))

    def at(self, number: int, most: int) -> bytes:
        """The first bytes of a record; nothing where there is none."""
        if number >= len(self._starts):
            return b""
        begin, end = self.span(number)
        return self._stream.at(begin, min(most, end - begin))


def _described(first: bytes, codec: str) -> Iterator[Fact]:
    """What the header of a book says."""
    length = int.from_bytes(first[20:24], "big")
    yield Field("mobi.version", int.from_bytes(first[36:40], "big"))
    at, size = int.from_bytes(first[84:88], "big"), int.from_bytes(first[88:92], "big")
    if name := first[at : at + min(size, 4096)]:
        yield Field("mobi.full_name", decode(name, codec).text)
    told: list[str] = []
    at = 16 + length
    if first[at : at + 4] == b"EXTH":
        count, at = int.from_bytes(first[at + 8 : at + 12], "big"), at + 12
        for _ in range(count):
            kind, size = int.from_bytes(first[at : at + 4], "big"), int.from_bytes(first[at + 4 : at + 8], "big")
            if size < 8 or at + size > len(first):
                break
            if label := _EXTH.get(kind):
                value = decode(first[at + 8 : at + size], codec).text
                yield Field(f"mobi.{label}", value)
                told.append(value)
                if label == "published" and (stamp := from_iso("published", value, "mobi.published")):
                    yield stamp
            at += size
    yield Text("\n".join(told), "metadata")


def _text(records: _Records, first: bytes, codec: str) -> Iterator[Fact]:
    packing, count, locked = (int.from_bytes(first[at : at + 2], "big") for at in (0, 8, 12))
    if locked:
        yield Field("encryption.method", f"Mobipocket {locked}")
        yield Problem("encrypted", "the text is locked to a reader (DRM)")
        return
    if packing not in (1, 2):
        method = "HUFF/CDIC" if packing == 17480 else f"number {packing}"
        yield Problem("unsupported", f"compression {method}")
        return
    flags = int.from_bytes(first[242:244], "big") if int.from_bytes(first[20:24], "big") >= 228 else 0
    held = bytearray()
    for number in range(1, min(count + 1, len(records))):
        data = _without_entries(records.at(number, _RECORD), flags)
        held += _unpacked(data) if packing == 2 else data
        if len(held) > _MOST:
            yield Problem("limit", f"more than {_MOST} bytes of text", resolution="cut there")
            break
    if count >= len(records):
        yield Problem("truncated", f"{count - len(records) + 1} of {count} records of text are missing")
    read = decode(bytes(held), codec)
    text = read.text
    if read.lossy:
        yield Problem("lossy-text", f"{read.lossy} bytes are not {read.codec}", resolution="shown as U+FFFD")
    if first[16:20] != b"MOBI" and not _MARKUP.search(text[:4096]):
        yield Text(text, "text")
        return
    page = Page()
    for run in read_page([text], page):
        yield Text(run, "text")
        yield from page.take()
    yield from page.take()


def _without_entries(data: bytes, flags: int) -> bytes:
    """A record of text without what stands behind it: sizes are written from the end."""
    for _ in range((flags >> 1).bit_count()):
        size = 0
        for shift, byte in enumerate(reversed(data[-4:])):
            size |= (byte & 0x7F) << (7 * shift)
            if byte & 0x80:
                break
        data = data[: max(0, len(data) - max(1, size))]
    return data[: max(0, len(data) - (data[-1] & 3) - 1)] if flags & 1 and data else data


def _unpacked(data: bytes) -> bytes:
    """PalmDoc's compression: literals, pairs of distance and length, a blank with a letter."""
    out = bytearray()
    at = 0
    while at < len(data):
        if literals := _LITERALS.match(data, at):
            out += literals[0]
            at = literals.end()
            continue
        code = data[at]
        at += 1
        if code < 9:
            out += data[at : at + code]
            at += code
        elif code > 0xBF:
            out += b" " + bytes((code ^ 0x80,))
        elif at < len(data):
            pair = code << 8 | data[at]
            at += 1
            distance, length = pair >> 3 & 0x7FF, (pair & 7) + 3
            if not 0 < distance <= len(out):
                continue
            run = out[-distance:]
            out += (run * (length // distance + 1))[:length]
    return bytes(out)
