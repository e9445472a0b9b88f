"""Brotli streams, which have no mark: taken for one by the suffix `.br`, and only if they decode.

Source: RFC 7932.
Limits: a stream under another suffix is not recognised; nothing in the format proves the content.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from indexer.errors import EvidenceError
from indexer.handler import Handler, Stream
from indexer.handlers._streams import FIELDS, Beginning, Unbrotli, Unpacking, content_name, read_frames
from indexer.limits import KIB
from indexer.model import Fact

SUFFIX = ".br"
TRIED = 16 * KIB


class BrotliStream(Handler):
    name = "brotli"
    media_types = ("application/x-brotli",)
    suffixes = (SUFFIX,)
    fields: ClassVar[Mapping[str, str]] = {**FIELDS}
    reads = "the content, as far as it decodes; what stands behind it"
    needs = ("brotli",)
    rank = 90
    uses_name = True
    container = True

    def claims(self, stream: Stream) -> str | None:
        """By the suffix, where the beginning decodes to something and is no text."""
        if stream.suffix != SUFFIX:
            return None
        head = stream.head[:TRIED]
        if not head or (head.isascii() and b"\0" not in head):
            return None
        try:
            import brotli  # type: ignore[import-untyped]
        except ImportError:
            return self.media_types[0]
        decoder = brotli.Decompressor()
        try:
            made = decoder.process(head)
        except brotli.error:
            return None
        return self.media_types[0] if made or decoder.is_finished() else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        try:
            import brotli
        except ImportError as error:
            raise EvidenceError("missing-library", "brotli: pip install brotli") from error
        unpacking = Unpacking(stream, _begin, (brotli.error,), _translate)
        yield from read_frames(stream, unpacking, "", content_name(stream, self.suffixes, "content"))


def _begin(_: Stream, offset: int) -> Beginning:
    return None if offset else Unbrotli


def _translate(error: Exception) -> EvidenceError:
    return EvidenceError("corrupt", "brotli: the data do not decode")
