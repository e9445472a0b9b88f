"""Hangul documents of version 3 (and 2.1): text with tables, notes and headers; summary.

Source: Hancom, "Hwp Document File Formats 3.0", chapters 2 (header, document information, summary) to 5.
Limits: documents behind a password; Chinese characters beyond those of KS X 1001, old Hangul in one piece and
signs of Hangul's own (shown as U+FFFD and counted); pictures, drawings, what fields work out.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import ClassVar

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._hwp3 import Body, string
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Timestamp

_SIGNATURE = b"HWP Document File V"
_HEAD, _INFO, _SUMMARY, _LINE = 30, 128, 1008, 112
_MOST = 256 * MIB
_NAMES = ("title", "subject", "creator", "", "keywords", "keywords", "description", "description", "description")
_DATE = re.compile(r"(\d{4})년 *(\d{1,2})월 *(\d{1,2})일[^\d]{0,12}(오전|오후)? *(\d{1,2})시 *(\d{1,2})분")


class Hwp3(Handler):
    name = "hwp3"
    media_types = ("application/x-hwp-v3", "application/x-hwp")
    signatures = (Signature(_SIGNATURE),)
    suffixes = (".hwp",)
    fields: ClassVar[Mapping[str, str]] = {
        "hwp.version": "version of the format",
        "hwp.date": "date line of the properties, as it was typed",
        "office.title": "title",
        "office.subject": "subject",
        "office.creator": "who made the document",
        "office.keywords": "keywords",
        "office.description": "description or comments",
    }
    reads = "text, tables, notes, headers, hidden comments; summary"
    rank = 20

    def read(self, stream: Stream) -> Iterator[Fact]:
        head = stream.at(0, _HEAD + _INFO + _SUMMARY)
        yield Field("hwp.version", head[19:23].decode("latin-1").strip())
        if len(head) < _HEAD + _INFO + _SUMMARY:
            raise EvidenceError("truncated", "the header is not whole")
        yield from _summary(head[_HEAD + _INFO :])
        info = head[_HEAD : _HEAD + _INFO]
        if int.from_bytes(info[96:98], "little"):
            raise EvidenceError("encrypted", "protected by a password")
        start = len(head) + int.from_bytes(info[126:128], "little")
        data, fault = stream.at(start, min(_MOST, stream.size)), ""
        if info[124]:
            data, fault = _inflated(data)
        body = Body(data)
        try:
            yield from body.read()
        except EvidenceError as error:
            yield Problem(error.cause, fault or error.message, resolution="read up to there")
        if body.lost:
            yield Problem("lossy-text", f"{body.lost} characters are not in Unicode or not known", resolution="U+FFFD")


def _summary(data: bytes) -> Iterator[Fact]:
    for number, name in enumerate(_NAMES):
        text = string(data[number * _LINE : (number + 1) * _LINE])
        if not text:
            continue
        if name:
            yield Field(f"office.{name}", text)
            continue
        yield Field("hwp.date", text)
        if found := _DATE.search(text):
            hour = int(found[5]) % 12 + 12 * (found[4] == "오후") if found[4] else int(found[5])
            try:
                at = datetime(int(found[1]), int(found[2]), int(found[3]), hour, int(found[6]), tzinfo=UTC)
            except ValueError:
                continue
            yield Timestamp("M", at, "hwp.summary", 60.0, zone_known=False)


def _inflated(data: bytes) -> tuple[bytes, str]:
    """The body unpacked as far as it goes, and what stopped it."""
    decoder, held = zlib.decompressobj(-15), bytearray()
    try:
        for at in range(0, len(data), 1 << 16):
            held += decoder.decompress(data[at : at + (1 << 16)], _MOST - len(held))
            if decoder.eof or len(held) >= _MOST:
                break
    except zlib.error as error:
        return bytes(held), f"deflate: {error}"
    return bytes(held), "" if decoder.eof else "the packed body has no end"
