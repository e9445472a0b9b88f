"""LZ4: one member, from frames or from the older legacy frames.

Source: LZ4 Frame Format 1.6.4 (general structure, skippable frames, legacy frame).
Limits: frames that need a dictionary of their own are not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._streams import FIELDS, SKIPPABLE, Beginning, Unpacking, content_name, read_frames, skip_frames
from indexer.model import Fact

MAGIC, LEGACY = b"\x04\x22\x4d\x18", b"\x02\x21\x4c\x18"
LEGACY_BLOCK = 8 << 20
MOST_PACKED = LEGACY_BLOCK + LEGACY_BLOCK // 255 + 16


class Lz4Stream(Handler):
    name = "lz4"
    media_types = ("application/x-lz4", "application/lz4")
    signatures = (
        Signature(MAGIC),
        Signature(LEGACY),
        *(Signature(bytes([0x50 + step]) + SKIPPABLE) for step in range(16)),
    )
    suffixes = (".lz4", ".tlz4")
    fields: ClassVar[Mapping[str, str]] = {
        "lz4.frames": "how many frames follow one another, where there are several",
        **FIELDS,
    }
    reads = "the content; what stands behind the stream"
    needs = ("lz4",)
    rank = 60
    uses_name = True
    container = True

    def claims(self, stream: Stream) -> str | None:
        head = stream.at(skip_frames(stream, 0), 8)
        if head.startswith(LEGACY):
            return self.media_types[0] if 0 < int.from_bytes(head[4:8], "little") <= MOST_PACKED else None
        # Version 01 in the two high bits, a block size of 64 KiB to 4 MiB in its byte.
        good = head.startswith(MAGIC) and len(head) >= 7 and head[4] >> 6 == 1 and head[5] >> 4 in (4, 5, 6, 7)
        return self.media_types[0] if good else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        try:
            from lz4.frame import LZ4FrameDecompressor
        except ImportError as error:
            raise EvidenceError("missing-library", "lz4: pip install lz4") from error

        def begin(stream: Stream, offset: int) -> Beginning:
            magic = stream.at(offset, 4)
            if magic == MAGIC:
                return LZ4FrameDecompressor  # type: ignore[no-any-return]
            if magic == LEGACY:
                return LegacyDecoder
            return skip_frames(stream, offset) - offset or None

        unpacking = Unpacking(stream, begin, (RuntimeError, ValueError, EOFError), _translate)
        yield from read_frames(stream, unpacking, "lz4.frames", content_name(stream, self.suffixes, "content"))


class LegacyDecoder:
    """Legacy frames: blocks of 8 MiB with their packed length in front, and no end mark."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._ready = b""
        self._begun = False
        self.eof = False
        self.unused_data = b""

    @property
    def needs_input(self) -> bool:
        return not self._ready and not self.eof

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        import lz4.block

        self._held += data
        if not data and not self._ready and not self._held:
            self.eof = True
        if not self._begun:
            del self._held[:4]
            self._begun = True
        if not self._ready and len(self._held) >= 4:
            length = int.from_bytes(self._held[:4], "little")
            if not 0 < length <= MOST_PACKED:
                self._end()
            elif len(self._held) >= 4 + length:
                try:
                    self._ready = lz4.block.decompress(
                        bytes(self._held[4 : 4 + length]), uncompressed_size=LEGACY_BLOCK
                    )
                except lz4.block.LZ4BlockError as error:
                    raise ValueError(str(error)) from error
                del self._held[: 4 + length]
        chunk, self._ready = self._ready[:max_length], self._ready[max_length:]
        return chunk

    def _end(self) -> None:
        self.unused_data = bytes(self._held)
        self.eof = True


def _translate(error: Exception) -> EvidenceError:
    return EvidenceError("corrupt", f"lz4: {str(error)[:200]}")
