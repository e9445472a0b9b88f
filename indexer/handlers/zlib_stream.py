"""Zlib: one stream without a file's header, as programs keep it (objects of git, saved states, caches).

Source: RFC 1950, sections 2.2 and 2.3; RFC 1951.
Limits: streams that need a preset dictionary are not recognised; a name or a time is not in the format.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from functools import partial
from typing import ClassVar

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._streams import FIELDS, Beginning, Inflater, Unpacking, content_name, read_frames
from indexer.model import Fact

_HEADS = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
"""A window of 32 KiB and the four levels: two bytes are little to go by, so the rest must decode too."""
_PROOF = 512
"""Bytes that must come out without an error where the stream is longer than what is looked at."""


_SUM = "incorrect data check"
"""What the library says where a stream decodes to its end and its checksum does not fit."""


class ZlibStream(Handler):
    name = "zlib"
    media_types = ("application/zlib", "application/x-zlib")
    signatures = tuple(Signature(head) for head in _HEADS)
    suffixes = (".zlib", ".zz")
    fields: ClassVar[Mapping[str, str]] = {
        "zlib.streams": "how many streams follow one another, where there are several",
        **FIELDS,
    }
    reads = "the content, of several streams one after another; what stands behind them"
    rank = 62
    uses_name = True
    container = True

    def claims(self, stream: Stream) -> str | None:
        decoder = zlib.decompressobj()
        try:
            made = len(decoder.decompress(stream.head, 1 << 16))
        except zlib.error as error:
            return self.media_types[0] if _SUM in str(error) else None
        return self.media_types[0] if decoder.eof or made >= _PROOF else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        unpacking = Unpacking(stream, _begin, (zlib.error,), _translate)
        yield from read_frames(stream, unpacking, "zlib.streams", content_name(stream, self.suffixes, "content"))


def _begin(stream: Stream, offset: int) -> Beginning:
    return partial(Inflater, 15) if stream.at(offset, 2) in _HEADS else None


def _translate(error: Exception) -> EvidenceError:
    text = str(error)
    if _SUM in text:
        return EvidenceError("corrupt", "the Adler-32 does not fit the content")
    return EvidenceError("corrupt", f"deflate: {text.rpartition(': ')[2]}")
