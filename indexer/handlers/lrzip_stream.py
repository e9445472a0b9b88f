"""lrzip and rzip: one member, packed with copies from very far back.

Source: lrzip 0.6, doc/magic.header.txt; rzip 2.1, its manual, and the order of the values in its files.
Limits: blocks packed with ZPAQ and encrypted files are told, not opened; lrzip before 0.6 and the forms of
its successors (0.7 and later) are not read; what stands behind the stream is not given.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import partial
from typing import ClassVar

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._rzip import Chunk, open_history
from indexer.handlers._streams import content_name, open_chunks
from indexer.model import Child, Fact, Field

LRZIP, RZIP = b"LRZI", b"RZIP"
HEAD = 24
READ = (0, 6)
WIDEST = 8
NUMBER = 4
"""Bytes of each number in rzip."""


class LrzipStream(Handler):
    name = "lrzip"
    media_types = ("application/x-lrzip", "application/x-rzip")
    signatures = (Signature(LRZIP), Signature(RZIP))
    suffixes = (".lrz", ".rz")
    fields: ClassVar[Mapping[str, str]] = {
        "lrzip.version": "version of the form",
        "archive.size": "bytes of the file, as recorded",
    }
    reads = "the content, its checksums compared"
    needs = ("lzallright",)
    rank = 60
    uses_name = True
    container = True

    def claims(self, stream: Stream) -> str | None:
        head = stream.head
        if len(head) < HEAD or head[4] != (0 if head.startswith(LRZIP) else 2):
            return None
        return self.media_types[0 if head.startswith(LRZIP) else 1]

    def read(self, stream: Stream) -> Iterator[Fact]:
        head = stream.head[:HEAD]
        long = head.startswith(LRZIP)
        yield Field("lrzip.version", f"{head[4]}.{head[5]}")
        if long and head[22]:
            raise EvidenceError("encrypted", "lrzip's own encryption: no program here opens it")
        if long and (head[4], head[5]) != READ:
            raise EvidenceError("unsupported", f"the form of lrzip {head[4]}.{head[5]}")
        size = int.from_bytes(head[6:14], "little") if long else int.from_bytes(head[6:10], "big")
        if size:
            yield Field("archive.size", size)
        name = content_name(stream, self.suffixes, "content")
        pieces = _unpack_long if long else partial(_unpack_rzip, size=size)
        yield Child(name, name.encode("utf-8", "surrogatepass"), lambda: open_chunks(pieces(stream)))


def _unpack_long(stream: Stream) -> Iterator[bytes]:
    """The chunks of an lrzip file, to the one that says that it is the last."""
    head = stream.head[:HEAD]
    digest, at, last = hashlib.md5(usedforsecurity=False), HEAD, False
    with open_history(stream) as history:
        while not last:
            told = stream.at(at, 2)
            if len(told) < 2:
                raise EvidenceError("truncated", "the last chunk is missing")
            width, last = told[0], bool(told[1])
            if not 0 < width <= WIDEST:
                raise EvidenceError("corrupt", f"a chunk with numbers of {width} bytes")
            chunk = Chunk(stream, at + 2 + width, width, head[16:21])
            for piece in chunk.pieces(history):
                digest.update(piece)
                yield piece
            at = chunk.end
    if head[21] and stream.at(at, 16) != digest.digest():
        raise EvidenceError("corrupt", "the MD5 does not fit the content")


def _unpack_rzip(stream: Stream, size: int) -> Iterator[bytes]:
    """The chunks of an rzip file, until they hold what its header says."""
    at, made = HEAD, 0
    with open_history(stream) as history:
        while made < size:
            chunk = Chunk(stream, at, NUMBER, b"")
            before = made
            for piece in chunk.pieces(history):
                made += len(piece)
                yield piece
            at = chunk.end
            if made == before:
                raise EvidenceError("truncated", f"{size - made} bytes are missing")
