"""Unix compress (.Z): one member; a large one goes through 7-Zip, and through our decoder where that fails.

Source: the format of compress 4.0: 0x1F9D, a byte of flags, LZW codes of 9 to 16 bits, lowest bit
first, in groups of eight codes of one width.
Limits: the format has no checksum and no end mark, so a file cut between two codes cannot be told.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import suppress

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._p7z import stream_members
from indexer.handlers._streams import FIELDS, Beginning, Unpacking, content_name, read_frames
from indexer.limits import KIB
from indexer.model import Fact

MAGIC = b"\x1f\x9d"
CLEAR = 256
PIECE = 256
"""Longest tail kept of one table entry: 65,536 entries stay below 17 MiB whatever they spell."""

MUCH = 256 * KIB
"""Packed bytes for which a process is worth starting: it is ten times as fast."""
USUAL = range(0x80 | 10, 0x80 | 17)
"""Flags that mean the same to every program: the table can be cleared, and a width that needs no guess."""


class CompressStream(Handler):
    name = "compress"
    media_types = ("application/x-compress",)
    signatures = (Signature(MAGIC),)
    suffixes = (".z", ".taz")
    fields = FIELDS
    reads = "the content"
    needs = ("p7z",)
    rank = 60
    uses_name = True
    container = True

    def claims(self, stream: Stream) -> str | None:
        head = stream.head
        good = len(head) >= 3 and not head[2] & 0x60 and 9 <= head[2] & 0x1F <= 16
        # The first code is a plain byte: its ninth bit is clear.
        return self.media_types[0] if good and not (len(head) > 4 and head[4] & 1) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        unpacking = _Unpacking(stream, _begin, (ValueError,), _translate)
        yield from read_frames(stream, unpacking, "", content_name(stream, self.suffixes, "content"))


class _Unpacking(Unpacking):
    def chunks(self) -> Generator[bytes, None, None]:
        made = 0
        stream = self._stream
        if stream.size >= MUCH and stream.head[2] in USUAL:
            with suppress(EvidenceError), stream.path() as path:
                for chunk in stream_members(path, kind="Z"):
                    made += len(chunk)
                    yield chunk
                self.frames, self.end = 1, stream.size
                return
        for chunk in super().chunks():
            if len(chunk) > made:
                yield chunk[made:]
            made = max(0, made - len(chunk))


class LzwDecoder:
    """The decoder. A table entry is a tail and the code of what stands before it, or -1 for nothing."""

    def __init__(self) -> None:
        self.eof = False
        self.unused_data = b""
        self._held = bytearray()
        self._ready = bytearray()
        self._begun = False
        self._error: ValueError | None = None
        self._last = -1
        self._width = 9
        self._most = 16
        self._blocks = True
        self._tails: list[bytes] = []
        self._befores: list[int] = []
        self._firsts: list[int] = []

    @property
    def needs_input(self) -> bool:
        return not self._ready and len(self._held) < self._width and not self.eof and not self._error

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        self._held += data
        if not self._begun and len(self._held) >= 3:
            flags = self._held[2]
            self._blocks, self._most = bool(flags & 0x80), flags & 0x1F
            if self._held[:2] != MAGIC or flags & 0x60 or not 9 <= self._most <= 16:
                raise ValueError(f"flags {flags:#04x} are not those of compress")
            # A width of 9 is written by programs that mean 10: the table grows before it is asked.
            self._most = max(self._most, 10)
            del self._held[:3]
            self._begun = True
            self._clear()
        if self._error and not self._ready:
            raise self._error
        position = 0
        try:
            while not self._error and len(self._ready) < max_length and len(self._held) - position >= self._width:
                width = self._width
                group = self._held[position : position + width]
                position += width
                self._decode(int.from_bytes(group, "little"), width, 8)
            if not data and not self._ready:
                group = self._held[position:]
                position = len(self._held)
                self._decode(int.from_bytes(group, "little"), self._width, len(group) * 8 // self._width)
                self.eof = self._begun and not self._ready
        except ValueError as error:
            # What came before the bad code is given first.
            self._error = error
            if not self._ready:
                raise
        del self._held[:position]
        chunk = bytes(self._ready[:max_length])
        del self._ready[:max_length]
        return chunk

    def _decode(self, bits: int, width: int, codes: int) -> None:
        """One group: what follows a change of width or a clear in it is filling."""
        mask = (1 << width) - 1
        tails, ready = self._tails, self._ready
        for _ in range(codes):
            code = bits & mask
            bits >>= width
            if code == CLEAR and self._blocks:
                self._clear()
                return
            last, size = self._last, len(tails)
            if code > size or (last < 0 and code > 255) or (code == size and (last < 0 or size >= 1 << self._most)):
                raise ValueError(f"code {code} where the table has {size} entries")
            if last >= 0 and size < 1 << self._most:
                first = self._firsts[last if code == size else code]
                tail = tails[last]
                short = len(tail) < PIECE
                tails.append(tail + bytes((first,)) if short else bytes((first,)))
                self._befores.append(self._befores[last] if short else last)
                self._firsts.append(self._firsts[last])
            before = self._befores[code]
            if before < 0:
                ready += tails[code]
            else:
                parts = [tails[code]]
                while before >= 0:
                    parts.append(tails[before])
                    before = self._befores[before]
                ready += b"".join(reversed(parts))
            self._last = code
            if len(tails) >= 1 << width and width < self._most:
                self._width = width + 1
                return

    def _clear(self) -> None:
        entries = 257 if self._blocks else 256
        self._tails[:] = [bytes((code & 255,)) for code in range(entries)]
        self._befores[:] = [-1] * entries
        self._firsts[:] = [code & 255 for code in range(entries)]
        self._last = -1
        self._width = 9


def _begin(stream: Stream, offset: int) -> Beginning:
    return None if offset else LzwDecoder


def _translate(error: Exception) -> EvidenceError:
    return EvidenceError("corrupt", f"compress: {error}")
