"""Zstandard: one member, from one frame or several, with the window bounded before it is allocated.

Source: RFC 8878 (frames 3.1.1, skippable frames 3.1.2).
Limits: frames that need a dictionary of their own are not read; frames of zstd before 0.8 neither.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._streams import FIELDS, SKIPPABLE, Beginning, Unpacking, content_name, read_frames, skip_frames
from indexer.handlers._zstd import load_zstd
from indexer.model import Fact

MAGIC = b"\x28\xb5\x2f\xfd"


class ZstdStream(Handler):
    name = "zstd"
    media_types = ("application/zstd", "application/x-zstd")
    signatures = (Signature(MAGIC), *(Signature(bytes([0x50 + step]) + SKIPPABLE) for step in range(16)))
    suffixes = (".zst", ".tzst", ".zstd")
    fields: ClassVar[Mapping[str, str]] = {
        "zstd.frames": "how many frames follow one another, where there are several",
        **FIELDS,
    }
    reads = "the content; what stands behind the stream"
    needs = ("backports.zstd",)
    rank = 60
    uses_name = True
    container = True

    def claims(self, stream: Stream) -> str | None:
        head = stream.head
        offset = skip_frames(stream, 0)
        # Skippable frames are shared with LZ4: what stands behind them decides.
        if stream.at(offset, 4) != MAGIC:
            return None
        return self.media_types[0] if len(head) > 5 else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        zstd = load_zstd()
        most = stream.limits.dictionary.bit_length() - 1

        def begin(stream: Stream, offset: int) -> Beginning:
            if stream.at(offset, 4) == MAGIC:
                _check_window(stream.at(offset + 4, 14), stream.limits.dictionary)
                options = {zstd.DecompressionParameter.window_log_max: min(most, 31)}
                return lambda: zstd.ZstdDecompressor(options=options)
            return skip_frames(stream, offset) - offset or None

        unpacking = Unpacking(stream, begin, (zstd.ZstdError,), _translate)
        yield from read_frames(stream, unpacking, "zstd.frames", content_name(stream, self.suffixes, "content"))


def _check_window(head: bytes, limit: int) -> None:
    """Refuses a frame whose window is larger than `limit`.

    Raises:
        EvidenceError: `limit`, naming both values.
    """
    if len(head) < 2:
        return
    if head[0] & 0x20:
        length = (1, 2, 4, 8)[head[0] >> 6]
        start = 1 + (0, 1, 2, 4)[head[0] & 3]
        window = int.from_bytes(head[start : start + length], "little")
    else:
        unit = 1 << (10 + (head[1] >> 3))
        window = unit + unit // 8 * (head[1] & 7)
    if window > limit:
        raise EvidenceError("limit", f"window: {window} bytes asked for, {limit} allowed")


def _translate(error: Exception) -> EvidenceError:
    text = str(error)
    if "ictionary" in text:
        return EvidenceError("unsupported", "zstd: the frame needs a dictionary that is not in it")
    return EvidenceError("corrupt", f"zstd: {text}")
