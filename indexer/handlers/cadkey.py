"""CADKEY parts: when they were made, description, texts and names of views.

Source: none is published; the layout of parts that CADKEY 7 to 19 write: 0M3C at 8, a date of 12 digits at 30, a
description behind it; texts stand with their length before them and a zero at their end.
Limits: geometry is not read; a text of one character is not told from chance.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _picture
from indexer.handlers._scene import Words
from indexer.limits import MIB
from indexer.model import Fact, Problem
from indexer.timestamps import from_iso

MOST: Final = 256 * MIB
LONGEST: Final = 4096
_RUN: Final = re.compile(rb"(?<![\t\r\n\x20-\x7e\x80-\xff])[\t\r\n\x20-\x7e\x80-\xff]{2,}+\0")


class Cadkey(Handler):
    name = "cadkey"
    media_types = ("model/x-cadkey", "application/x-prt")
    signatures = (Signature(b"0M3C", 8),)
    suffixes = (".prt",)
    fields: ClassVar[dict[str, str]] = {"cadkey.description": "description of the part"}
    reads = "time of making, description, texts, names of views"

    def read(self, stream: Stream) -> Iterator[Fact]:
        head = stream.at(0, 800)
        date = head[30:42].decode("latin-1")
        if date.isascii() and date.isdigit():
            shown = f"{date[:4]}-{date[4:6]}-{date[6:8]}T{date[8:10]}:{date[10:]}"
            if stamp := from_iso("B", shown, "cadkey.created"):
                yield stamp
        yield from _picture.said("cadkey.description", _picture.read_text(head[42:].split(b"\0")[0]), "description")
        words = Words("texts")
        data = stream.at(800, MOST)
        raws = [raw for match in _RUN.finditer(data) if (raw := _counted(data, *match.span()))]
        codec = _picture.shared_codec(raws)
        for raw in raws:
            text = _picture.read_text(raw, codec)
            yield from words.say(text, keep=any(char.isalnum() for char in text))
        yield from words.rest()
        if len(head) < 800:
            yield Problem("truncated", "the head is cut off")


def _counted(data: bytes, begin: int, end: int) -> bytes:
    """The part of a run whose length stands before it, zero counted; nothing where there is none."""
    for at in range(max(begin, 2, end - LONGEST), end - 2):
        if data[at - 2] | data[at - 1] << 8 == end - at:
            return data[at : end - 1]
    return b""
