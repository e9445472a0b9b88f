"""Bzip2: one member, from one stream or several.

Source: the format as bzip2 1.0 writes it: `BZh`, a level, blocks that begin with 0x314159265359.
Limits: whole blocks behind a damaged one are not searched for.
"""

from __future__ import annotations

import bz2
from collections.abc import Iterator, Mapping
from typing import ClassVar

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._streams import FIELDS, Beginning, Unpacking, content_name, read_frames
from indexer.model import Fact

BLOCK, END = bytes.fromhex("314159265359"), bytes.fromhex("177245385090")


class Bzip2Stream(Handler):
    name = "bzip2"
    media_types = ("application/x-bzip2", "application/bzip2")
    signatures = (Signature(b"BZh"),)
    suffixes = (".bz2", ".tbz2", ".tbz", ".tb2", ".bz")
    fields: ClassVar[Mapping[str, str]] = {
        "bzip2.streams": "how many streams follow one another, where there are several",
        **FIELDS,
    }
    reads = "the content; what stands behind the stream"
    rank = 60
    uses_name = True
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if _begins(stream.head) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        unpacking = Unpacking(stream, _begin, (OSError, ValueError), _translate)
        yield from read_frames(stream, unpacking, "bzip2.streams", content_name(stream, self.suffixes, "content"))


def _begins(head: bytes) -> bool:
    return head[:3] == b"BZh" and head[3:4] in b"123456789" and head[4:10] in (BLOCK, END)


def _begin(stream: Stream, offset: int) -> Beginning:
    head = stream.at(offset, 64 * 1024)
    if _begins(head):
        return bz2.BZ2Decompressor
    return len(head) if offset and not head.strip(b"\0") else None


def _translate(error: Exception) -> EvidenceError:
    return EvidenceError("corrupt", "bzip2: a block does not decode or its CRC does not fit")
