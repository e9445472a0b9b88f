"""XZ and the older .lzma: one member, with the window bounded before anything is allocated.

Source: The .xz File Format 1.2 (sections 2, 5.3); the .lzma header of LZMA Utils (lzma-file-format.txt).
Limits: blocks behind a damaged one are not searched for, though an index may lead to them.
"""

from __future__ import annotations

import lzma
from collections.abc import Iterator, Mapping
from typing import ClassVar

from indexer.errors import EvidenceError
from indexer.handler import CONTROLS, Handler, Stream
from indexer.handlers._streams import FIELDS, Beginning, Unpacking, content_name, read_frames
from indexer.limits import MIB
from indexer.model import Fact, Field

MAGIC = b"\xfd7zXZ\0"
ALONE_HEADER = 13
UNKNOWN_SIZE = (1 << 64) - 1
MOST_CLAIMED = 1 << 38
"""An .lzma header that claims more than 256 GiB is taken for chance; xz draws the same line."""


class XzStream(Handler):
    name = "xz"
    version = 2
    media_types = ("application/x-xz", "application/x-lzma")
    suffixes = (".xz", ".txz", ".lzma", ".tlz")
    holds = CONTROLS
    fields: ClassVar[Mapping[str, str]] = {
        "xz.streams": "how many streams follow one another, where there are several",
        "xz.dictionary": "window in bytes that the .lzma header asks for",
        **FIELDS,
    }
    reads = "the content; what stands behind the stream"
    rank = 60
    uses_name = True
    container = True

    def claims(self, stream: Stream) -> str | None:
        head = stream.head
        if head.startswith(MAGIC):
            return self.media_types[0]
        return self.media_types[1] if _is_alone(head) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        limit = stream.limits.dictionary
        alone = not stream.head.startswith(MAGIC)
        if alone:
            dictionary = int.from_bytes(stream.head[1:5], "little")
            yield Field("xz.dictionary", dictionary)
            if dictionary > limit:
                raise EvidenceError("limit", f"dictionary: {dictionary} bytes asked for, {limit} allowed")

        def begin(stream: Stream, offset: int) -> Beginning:
            head = stream.at(offset, 64 * 1024)
            if head.startswith(MAGIC):
                return lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=limit + MIB)
            if not offset or (alone and _is_alone(head)):
                return lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=limit + MIB)
            return len(head) if not head.strip(b"\0") else _padding(head)

        def translate(error: Exception) -> EvidenceError:
            if "Memory usage limit" in str(error):
                return EvidenceError("limit", f"dictionary: more than {limit} bytes asked for")
            if "Unsupported" in str(error):
                return EvidenceError("unsupported", f"xz: {error}")
            return EvidenceError("corrupt", f"xz: {error}")

        unpacking = Unpacking(stream, begin, (lzma.LZMAError, EOFError, ValueError), translate)
        yield from read_frames(stream, unpacking, "xz.streams", content_name(stream, self.suffixes, "content"))


def _padding(head: bytes) -> int | None:
    """Stream padding: zeros in fours, with another stream behind them."""
    zeros = len(head) - len(head.lstrip(b"\0"))
    return zeros if zeros and zeros % 4 == 0 and head.startswith(MAGIC, zeros) else None


def _is_alone(head: bytes) -> bool:
    """Whether these bytes are an .lzma header with a beginning that decodes; it has no magic."""
    if len(head) <= ALONE_HEADER + 4 or head[0] >= 225 or head[ALONE_HEADER]:
        return False
    literal_context, literal_position = head[0] % 9, head[0] // 9 % 5
    dictionary = int.from_bytes(head[1:5], "little")
    size = int.from_bytes(head[5:13], "little")
    if literal_context + literal_position > 4 or not _is_plausible(dictionary):
        return False
    if size != UNKNOWN_SIZE and size >= MOST_CLAIMED:
        return False
    # The trial needs no more window than it has output: what the header asks for is not allocated.
    trial = head[:1] + (1 << 16).to_bytes(4, "little") + head[5:]
    try:
        decoder = lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=MIB)
        return bool(decoder.decompress(trial, 1 << 12)) or (decoder.eof and size == 0)
    except (lzma.LZMAError, EOFError, ValueError):
        return False


def _is_plausible(dictionary: int) -> bool:
    """Window sizes that encoders write: 2^n, 2^n + 2^(n-1), or all ones."""
    if dictionary in (0, 0xFFFFFFFF):
        return dictionary > 0
    odd = dictionary // (dictionary & -dictionary)
    return odd in (1, 3)
