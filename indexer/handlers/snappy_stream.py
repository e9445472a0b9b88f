"""Snappy's framing format: chunks with a checksum each, unpacked here.

Source: snappy, framing_format.txt (2013) and format_description.txt.
Limits: raw Snappy without frames has no mark and is not recognised; nor are Hadoop's own frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._snappy import MOST_CHUNK, Wrong, unpack, unpack_frame
from indexer.handlers._streams import FIELDS, Beginning, Unpacking, content_name, read_frames
from indexer.model import Fact

MAGIC = b"\xff\x06\0\0sNaPpY"
PACKED, STORED, PADDING, START = 0x00, 0x01, 0xFE, 0xFF


class SnappyStream(Handler):
    name = "snappy"
    media_types = ("application/x-snappy-framed", "application/x-snappy")
    signatures = (Signature(MAGIC),)
    suffixes = (".sz", ".snappy")
    fields: ClassVar[Mapping[str, str]] = {
        "snappy.chunks": "how many chunks hold data, where there are several",
        **FIELDS,
    }
    reads = "the content, each chunk's checksum compared; what stands behind it"
    rank = 60
    needs = ("cramjam",)
    uses_name = True
    container = True

    def read(self, stream: Stream) -> Iterator[Fact]:
        unpacking = Unpacking(stream, _begin, (Wrong,), lambda error: EvidenceError("corrupt", str(error)))
        yield from read_frames(stream, unpacking, "snappy.chunks", content_name(stream, self.suffixes, "content"))


class _Chunk:
    """One chunk that holds data."""

    def __init__(self) -> None:
        self._held = b""
        self._fault = ""
        self.eof = False
        self.needs_input = True
        self.unused_data = b""

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        if self._fault:
            raise Wrong(self._fault)
        self._held += data
        size = int.from_bytes(self._held[1:4], "little")
        if len(self._held) < 4 + size:
            return b""
        body, self.unused_data = self._held[4 : 4 + size], self._held[4 + size :]
        self.eof = True
        try:
            content = unpack_frame(MAGIC + self._held[: 4 + size])
        except Wrong:
            content = body[4:] if self._held[0] == STORED else unpack(body[4:])
            if len(content) > MOST_CHUNK:
                raise Wrong("a chunk of more than 64 KiB") from None
            # What it holds is given first, and the fault told when more is asked for.
            self._fault = "the checksum of a chunk does not fit its content"
            self.eof = self.needs_input = False
        return content


def _begin(stream: Stream, offset: int) -> Beginning:
    head = stream.at(offset, 10)
    if len(head) < 4:
        return None
    size = int.from_bytes(head[1:4], "little")
    if head[0] in (PACKED, STORED):
        return _Chunk
    if head == MAGIC or (head[0] >= 0x80 and head[0] != START and offset + 4 + size <= stream.size):
        return 4 + size
    return None
