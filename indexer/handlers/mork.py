"""Indexes that Thunderbird keeps beside its mailboxes (.msf), and old address books (.mab): the words in them.

An index names messages that its mailbox may have lost: subjects, people, folders.

Source: the grammar of Mork as Mozilla published it: dictionaries, cells, `$` and two digits for a byte.
Limits: rows and tables are not put together; each value is told once, in the order of the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import ClassVar

from indexer.decoding import decode
from indexer.handler import Handler, Signature, Stream
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Text

_MOST = 64 * MIB
_PASSAGE = 64 * 1024
_CELL = re.compile(rb"\((?:\^?[^\s()<>=^]{1,60})\s{0,4}=((?:[^)\\]|\\.|\\\r?\n)*+)\)", re.DOTALL)
_DOLLAR = re.compile(rb"\$([0-9A-Fa-f]{2})")
_FOLD = re.compile(rb"\\\r?\n")
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_NUMBER = re.compile(r"[0-9A-Fa-f.:^-]{0,20}\Z")


class Mork(Handler):
    name = "mork"
    media_types = ("application/x-mork",)
    signatures = (Signature(b"// <!-- <mdb:mork:z"),)
    suffixes = (".msf", ".mab")
    fields: ClassVar[Mapping[str, str]] = {"mork.values": "how many different values it holds"}
    reads = "every value that is more than a number"
    rank = 50

    def read(self, stream: Stream) -> Iterator[Fact]:
        data = stream.at(0, min(stream.size, _MOST))
        held: list[str] = []
        size = passage = 0
        seen: set[str] = set()
        for match in _CELL.finditer(data):
            text = _value(match[1])
            if text in seen or _NUMBER.match(text):
                continue
            seen.add(text)
            held.append(text)
            size += len(text)
            if size > _PASSAGE:
                passage += 1
                yield Text("\n".join(held), f"values {passage}")
                held, size = [], 0
        yield Text("\n".join(held), f"values {passage + 1}")
        yield Field("mork.values", len(seen))
        if stream.size > _MOST:
            yield Problem("limit", f"more than {_MOST} bytes", resolution="read up to there")


def _value(raw: bytes) -> str:
    raw = _DOLLAR.sub(lambda match: bytes((int(match[1], 16),)), _FOLD.sub(b"", raw))
    return decode(_ESCAPE.sub(rb"\1", raw)).text.strip()
