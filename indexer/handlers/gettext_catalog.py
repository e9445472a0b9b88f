"""Catalogs of translated messages (gettext): each message with its translation, project, translators, times.

Source: GNU gettext manual, "The Format of GNU MO Files" and "Filling in the Header Entry".
Limits: messages that hold numbers of the system they are for (minor version 1) are left out.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.charsets import find_codec
from indexer.decoding import decode, decode_as
from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Text
from indexer.timestamps import from_iso

_LITTLE, _BIG = b"\xde\x12\x04\x95", b"\x95\x04\x12\xde"
_MOST: Final = 64 * MIB
_MESSAGES: Final = 500_000
_STEP: Final = 200
"""Messages in a passage."""
_FIELDS: Final = {
    "project-id-version": "gettext.project",
    "language": "gettext.language",
    "language-team": "gettext.team",
    "last-translator": "gettext.translator",
    "report-msgid-bugs-to": "gettext.contact",
    "x-generator": "gettext.generator",
}
_TIMES: Final = {"pot-creation-date": "messages collected", "po-revision-date": "M"}
_CHARSET: Final = re.compile(rb"charset=([A-Za-z0-9_.:-]{1,40})")
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d)(?::\d\d)?\s?([+-]\d\d):?(\d\d)")


class GettextCatalog(Handler):
    name = "gettext"
    media_types = ("application/x-gettext-translation",)
    signatures = (Signature(_LITTLE), Signature(_BIG))
    suffixes = (".mo", ".gmo")
    fields: ClassVar[dict[str, str]] = {
        "gettext.project": "program and version that it is for",
        "gettext.language": "language that it translates to",
        "gettext.team": "who translates to this language",
        "gettext.translator": "who translated last",
        "gettext.contact": "where mistakes in the messages are reported to",
        "gettext.generator": "program that it was translated with",
        "gettext.messages": "number of messages",
    }
    reads = "messages with their translations, project, language, translators, times"
    rank = 58

    def read(self, stream: Stream) -> Iterator[Fact]:
        data = stream.at(0, min(stream.size, _MOST))
        if len(data) < 20:
            raise EvidenceError("truncated", "it ends within its head")
        order = "<" if data.startswith(_LITTLE) else ">"
        count, *tables = struct.unpack_from(f"{order}3I", data, 8)
        codec, told, lines, lost, room = "utf-8", 0, [], 0, 2 * len(data)
        for number in range(min(count, _MESSAGES)):
            if max(tables) + 8 * number + 8 > len(data):
                lost += count - number
                break
            (original, whole), (translated, is_whole) = (_string(data, order, table + 8 * number) for table in tables)
            lost += not (whole and is_whole)
            if (room := room - len(original) - len(translated)) < 0:
                yield Problem("corrupt", "messages lie over each other", resolution=f"{number} of {count} are read")
                break
            if whole and not original:
                declared = _CHARSET.search(translated)
                codec = find_codec(declared[1].decode()) if declared else codec
                yield from _about(_decoded(translated, codec))
            elif original:
                lines.append(f"{_shown(original, codec)}\n{_shown(translated, codec)}")
            if len(lines) == _STEP:
                yield Text("\n\n".join(lines), f"messages {told + 1}-{told + len(lines)}")
                told, lines = told + len(lines), []
        if lines:
            yield Text("\n\n".join(lines), f"messages {told + 1}-{told + len(lines)}")
        yield Field("gettext.messages", told + len(lines))
        if lost:
            yield Problem("truncated", f"of {count} messages {lost} go on beyond the end", resolution="left out")
        elif count > _MESSAGES:
            yield Problem("limit", f"{count} messages", resolution=f"the first {_MESSAGES} are read")


def _string(data: bytes, order: str, at: int) -> tuple[bytes, bool]:
    """A string by its entry in a table, and whether all of it is there."""
    size, start = struct.unpack_from(f"{order}2I", data, at)
    return data[start : start + size], start + size <= len(data)


def _shown(raw: bytes, codec: str) -> str:
    """A message: what it is about before it, its plurals a line each."""
    return _decoded(raw, codec).replace("\4", ": ").replace("\0", "\n")


def _decoded(raw: bytes, codec: str) -> str:
    text, lost = decode_as(raw, codec) if codec else ("", 1)
    return decode(raw).text if lost else text


def _about(head: str) -> Iterator[Fact]:
    """What the first entry says of the catalog."""
    for line in head.splitlines():
        name, _, value = line.partition(":")
        name, value = name.strip().lower(), value.strip()
        if name in _FIELDS and value:
            yield Field(_FIELDS[name], value)
        if name in _TIMES and (match := _TIME.match(value)):
            text = f"{match[1]}T{match[2]}:00{match[3]}:{match[4]}"
            if stamp := from_iso(_TIMES[name], text, f"gettext.{name}"):
                yield stamp
