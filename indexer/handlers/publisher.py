"""Publisher: the words of a publication, its properties, pictures and other streams as members.

Source: the chunks of the Quill stream (CHNKINK) as libmspub and Apache POI (HPBF) describe them;
[MS-CFB]; [MS-OLEPS].
Limits: which text stands in which frame and on which page; Publisher 97 and older, whose text is not in a
Quill stream: its streams are members.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import ClassVar

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._cfb import MAGIC, compound
from indexer.handlers._flow import Flow
from indexer.handlers._ole import FIELDS, kind_of, members, read_properties
from indexer.limits import MIB
from indexer.model import Fact, Problem

_QUILL = "quill/quillsub/contents"
_MARK = b"CHNKINK "
_MOST = 64 * MIB
_MARKS = str.maketrans({"\x0b": "\n", "\x0c": "\n", "\x05": "", "\x07": "\t", "\x1e": "-", "\x1f": "", "\0": ""})


class Publisher(Handler):
    name = "publisher"
    version = 2
    media_types = ("application/x-mspublisher", "application/vnd.ms-publisher")
    signatures = (Signature(MAGIC),)
    suffixes = (".pub",)
    fields: ClassVar[Mapping[str, str]] = FIELDS
    reads = "text, properties; pictures and other streams as members"
    rank = 40
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if kind_of(stream) == "ole" and _QUILL in compound(stream).entries else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        held = compound(stream)
        if held.fault:
            raise EvidenceError("corrupt", held.fault)
        yield from read_properties(held)
        data = held.read(held.entries.get(_QUILL), _MOST)
        if not data.startswith(_MARK):
            yield Problem("unsupported", "the text is not kept in chunks", resolution="the stream is a member")
        flow = Flow()
        for text in _texts(data):
            for line in text.translate(_MARKS).split("\r"):
                yield from flow.paragraph("text", line.strip())
        yield from flow.flush()
        yield from members(held, lambda key: key == _QUILL and data.startswith(_MARK))
        yield from held.problems


def _texts(data: bytes) -> Iterator[str]:
    """The text chunks, in the order of the tables that list them."""
    table, seen = 0x18, set[int]()
    while data.startswith(_MARK) and table + 8 <= len(data) and table not in seen:
        seen.add(table)
        count, following = struct.unpack_from("<HI", data, table + 2)
        for number in range(min(count, (len(data) - table - 8) // 24)):
            at = table + 8 + 24 * number
            if data[at + 2 : at + 6] == b"TEXT":
                start, size = struct.unpack_from("<II", data, at + 16)
                piece = data[start : start + size]
                yield piece[: len(piece) & ~1].decode("utf-16-le", "replace")
        table = following
