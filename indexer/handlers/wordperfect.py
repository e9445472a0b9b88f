"""WordPerfect documents of version 6 and later: the body, and what was deleted and may be undone.

Source: WordPerfect file format as its maker published it for version 6 (file header, functions 0x80 to 0xFF).
Limits: second rank: headers, notes, comments and the summary lie in packets that are not read; of the program's own
character sets only the common typographic signs; version 5 and encrypted documents are named, not read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import ClassVar

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._cfb import WHOLE
from indexer.handlers._flow import Flow
from indexer.model import Fact, Field, Problem

_LETTERS = "åÅæÆäÄáàâãÃçÇëéÉèêíñÑøØõÕöÖüÜúùß"
"""What the bytes from 1 on stand for."""
_SIGNS = {(28, 4): "’", (29, 4): "‘", (31, 4): "”", (32, 4): "“", (33, 4): "–", (34, 4): "—", (0, 4): "•"}
_SINGLE = {0x80: " ", 0x81: "\u00a0", 0x84: "-", 0x85: "", 0xCF: " "}
_ENDS = frozenset({0xCC, 0xC7, 0xC8, 0xC9, 0xCA, 0xCB})
_FIXED = (4, 5, 3, 3, 3, 3, 4, 4, 4, 5, 5, 6, 6, 8, 8, 0)
"""Lengths of the functions from 0xF0 on."""
_LINE_ENDS = frozenset({*range(4, 0x1C)})
_DOCUMENT = 0x0A


class WordPerfect(Handler):
    name = "wordperfect"
    media_types = ("application/vnd.wordperfect",)
    signatures = (Signature(b"\xffWPC"),)
    suffixes = (".wpd", ".wp", ".wp6", ".wpt")
    fields: ClassVar[Mapping[str, str]] = {
        "wordperfect.version": "version of the format: 2 is that of WordPerfect 6 to X9"
    }
    reads = "the body, and text that was deleted and may be undone"
    rank = 27

    def read(self, stream: Stream) -> Iterator[Fact]:
        head = stream.at(0, 16)
        if len(head) < 16:
            raise EvidenceError("truncated", "the header is not whole")
        (start,) = struct.unpack_from("<I", head, 4)
        yield Field("wordperfect.version", f"{head[10]}.{head[11]}")
        if head[12:14] != b"\0\0":
            raise EvidenceError("encrypted", "a password")
        if head[9] != _DOCUMENT or head[10] != 2:
            raise EvidenceError("unsupported", f"file type {head[9]} of format {head[10]}.{head[11]}")
        yield from _read_body(stream.at(start, WHOLE))


def _read_body(data: bytes) -> Iterator[Fact]:
    flow = Flow()
    words: dict[str, list[str]] = {}
    place = "body"
    unknown = at = 0
    while at < len(data):
        code = data[at]
        text = ""
        size = 1
        ends = code in _ENDS
        if code <= 0x20:
            text = _LETTERS[code - 1] if code else ""
        elif code < 0x7F:
            text = chr(code)
        elif code in _SINGLE:
            text = _SINGLE[code]
        elif 0xD0 <= code < 0xF0:
            size = int.from_bytes(data[at + 2 : at + 4], "little")
            kind = data[at + 1] if at + 1 < len(data) else 0
            if size < 4 or at + size > len(data):
                yield from _paragraph(flow, words)
                yield from flow.flush()
                yield Problem("corrupt", f"the function at {at} of the text has no end", resolution="read up to there")
                return
            if code == 0xD0:
                ends = kind in _LINE_ENDS
                text = " " if not ends else ""
            elif code == 0xE0:
                text = "\t"
        elif code >= 0xF0:
            size = _FIXED[code - 0xF0] or 1
            if code == 0xF0 and at + 2 < len(data):
                sign = _SIGNS.get((data[at + 1], data[at + 2]), "\ufffd")
                unknown += sign == "\ufffd"
                text = sign
            elif code == 0xF1 and at + 1 < len(data):
                place = "deleted text" if data[at + 1] == 0 else "body"
        if text:
            words.setdefault(place, []).append(text)
        if ends:
            yield from _paragraph(flow, words)
        at += size
    yield from _paragraph(flow, words)
    yield from flow.flush()
    if unknown:
        yield Problem("lossy-text", f"{unknown} characters of WordPerfect's own sets", resolution="shown as U+FFFD")


def _paragraph(flow: Flow, words: dict[str, list[str]]) -> Iterator[Fact]:
    yield from flow.paragraph("body", "".join(words.pop("body", ())))
    yield from flow.paragraph("deleted text", "".join(words.pop("deleted text", ())))
