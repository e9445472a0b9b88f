"""lzip: LZMA streams with a sum and sizes behind each; several members are one content.

Source: "The lzip format", lzip 1.24 manual, section "File format".
Limits: a member whose header is lost is not looked for.
"""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Iterator, Mapping
from functools import partial
from typing import ClassVar

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._streams import FIELDS, Beginning, Unpacking, content_name, read_frames
from indexer.model import Fact

MAGIC = b"LZIP"
TRAILER = 20


class LzipStream(Handler):
    name = "lzip"
    media_types = ("application/lzip", "application/x-lzip")
    signatures = (Signature(MAGIC + b"\1"),)
    suffixes = (".lz", ".tlz")
    fields: ClassVar[Mapping[str, str]] = {
        "lzip.members": "how many members follow one another, where there are several",
        **FIELDS,
    }
    reads = "the content, as far as it decodes; what stands behind it"
    rank = 60
    uses_name = True
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if dictionary_size(stream.head[:6]) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        unpacking = Unpacking(stream, _begin, (lzma.LZMAError, _Wrong), _translate)
        yield from read_frames(stream, unpacking, "lzip.members", content_name(stream, self.suffixes, "content"))


def dictionary_size(head: bytes) -> int:
    """The window that a member asks for: 4 KiB to 512 MiB; 0 where this is no header."""
    if len(head) < 6 or head[:5] != MAGIC + b"\1" or not 12 <= head[5] & 31 <= 29:
        return 0
    whole = 1 << (head[5] & 31)
    return whole - whole // 16 * (head[5] >> 5)


class _Wrong(Exception):  # noqa: N818 - it carries an EvidenceError out of a decoder
    """What is wrong with a member that was decoded to its end."""


class _Decoder:
    """One member: its LZMA stream, then the sum and sizes behind it."""

    def __init__(self, dictionary: int) -> None:
        filters = [{"id": lzma.FILTER_LZMA1, "dict_size": dictionary, "lc": 3, "lp": 0, "pb": 2}]
        self._lzma = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters)
        self._crc = self._made = 0
        self._trailer = b""
        self._skip = 6
        self.unused_data = b""
        self.eof = False

    @property
    def needs_input(self) -> bool:
        return self._lzma.eof or self._lzma.needs_input

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        data = data[skipped:]
        chunk = b""
        if not self._lzma.eof:
            chunk = self._lzma.decompress(data, max_length)
            self._crc = zlib.crc32(chunk, self._crc)
            self._made += len(chunk)
            data = self._lzma.unused_data if self._lzma.eof else b""
        self._trailer += data
        if len(self._trailer) >= TRAILER:
            self.eof = True
            self.unused_data = self._trailer[TRAILER:]
            self._check(chunk)
        return chunk

    def _check(self, chunk: bytes) -> None:
        crc, made = (int.from_bytes(self._trailer[at:end], "little") for at, end in ((0, 4), (4, 12)))
        if crc != self._crc or made != self._made:
            raise _Wrong("the CRC-32 does not fit the content" if crc != self._crc else "the size does not fit")


def _begin(stream: Stream, offset: int) -> Beginning:
    head = stream.at(offset, 6)
    size = dictionary_size(head)
    if not size:
        return None
    if size > stream.limits.dictionary:
        raise EvidenceError("limit", f"dictionary: {size} bytes asked for, {stream.limits.dictionary} allowed")
    return partial(_Decoder, size)


def _translate(error: Exception) -> EvidenceError:
    if isinstance(error, _Wrong):
        return EvidenceError("corrupt", str(error))
    return EvidenceError("corrupt", "LZMA: the data do not decode")
