"""Mailboxes in one file whose messages are parted by marks: MMDF, Foxmail; every message a member.

Source: mmdf(5) of the MMDF and SCO systems: four bytes 01 on a line before and behind each message;
Foxmail's .box files as they show it: seven bytes 10, six bytes 11 and a letter on a line before each.
Limits: Foxmail's index (.ind) is not read; messages that Foxmail deleted but kept are members like the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import chain
from typing import ClassVar

from indexer.handler import Handler, Signature, Stream
from indexer.handlers._mime import Part, open_part
from indexer.model import Child, Fact, Field

WINDOW = 4 << 20
LOOK = 64
"""Bytes of a mark with its line, at most."""
_MMDF, _FOXMAIL = b"\1\1\1\1", b"\x10" * 7 + b"\x11" * 6
_MARKS = {
    _MMDF: re.compile(rb"(?:(?<=[\r\n])|\A)\x01{4}(?:\r?\n|\Z)"),
    _FOXMAIL: re.compile(rb"(?:(?<=[\r\n])|\A)\x10{7}\x11{6}([^\r\n]{0,8})(?:\r?\n|\Z)"),
}


class MarkedMailbox(Handler):
    name = "marked-mailbox"
    media_types = ("application/x-mmdf", "application/x-foxmail")
    signatures = (Signature(_MMDF + b"\n"), Signature(_MMDF + b"\r\n"), Signature(_FOXMAIL))
    suffixes = (".mmdf", ".box")
    fields: ClassVar[Mapping[str, str]] = {
        "mailbox.mark": "letter that Foxmail keeps beside a message",
    }
    reads = "every message"
    rank = 45
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[stream.head.startswith(_FOXMAIL)]

    def read(self, stream: Stream) -> Iterator[Fact]:
        mark = _MARKS[_FOXMAIL if stream.head.startswith(_FOXMAIL) else _MMDF]
        number, start, letter = 0, 0, b""
        for at, end, group in chain(_found(stream, mark), ((stream.size, stream.size, b""),)):
            if at > start:
                number += 1
                fields = (Field("mailbox.mark", letter.decode("latin-1")),) if letter else ()
                opening = partial(open_part, stream, Part("", "part", start, at))
                yield Child(str(number), str(number).encode(), opening, fields=fields)
            start, letter = end, group


def _found(stream: Stream, mark: re.Pattern[bytes]) -> Iterator[tuple[int, int, bytes]]:
    """Where each mark starts and ends, and what stands in it."""
    at = 0
    while at < stream.size:
        # One byte before the window tells whether a line starts with it.
        before = min(at, 1)
        held = stream.at(at - before, WINDOW + LOOK)
        last = at - before + len(held) >= stream.size
        after = at
        for match in mark.finditer(held, before):
            if not last and match.start() >= before + WINDOW:
                break
            start = at - before + match.start()
            after = at - before + match.end()
            yield start, after, match[1] if mark.groups else b""
        if last:
            return
        at = max(after, at + WINDOW)
