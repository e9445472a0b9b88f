"""Decompression of zip members as a stream: bounded output at each step, and every byte that decodes.

Source: APPNOTE.TXT 6.3.10 sections 4.4.5 and 5 (methods); 5.8.8 (the header of lzma), 5.10.3 (PPMd).
Libraries lose what they decoded in the call that fails. After a failure the stream is decoded once
more with the failing piece fed byte by byte, so that everything before the damage comes out.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

from indexer.errors import EvidenceError
from indexer.handlers._zip_records import DEFLATED, method_name
from indexer.handlers._zstd import load_zstd
from indexer.limits import MIB, Limits

OUT = 256 * 1024
"""Most bytes that one step of a decoder may give."""
REPLAY = 256 * MIB
"""Packed bytes up to which a failing stream is decoded a second time."""

Pieces = Callable[[], Iterator[bytes]]
"""Starts the packed bytes of a member from their beginning."""


class Decoder(Protocol):
    """What the standard decompressors have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """The next bytes, at most `max_length` of them where the library can say so."""


class Inflate:
    """Raw deflate with the face of the other decompressors."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(-15)
        self.eof = False
        self.needs_input = True
        self.unused_data = b""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        inner = self._inner
        out = inner.decompress(inner.unconsumed_tail + data if inner.unconsumed_tail else data, max_length)
        self.eof = inner.eof
        self.unused_data = inner.unused_data
        self.needs_input = len(out) < max_length and not inner.unconsumed_tail
        return out


class Inflate64:
    """Deflate64; the library cannot bound its output, so it must be fed in small pieces."""

    def __init__(self) -> None:
        import inflate64

        self._inner: Any = inflate64.Inflater()
        self.eof = False
        self.needs_input = True
        self.unused_data = b""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        out = bytes(self._inner.inflate(data))
        self.eof = bool(self._inner.eof)
        return out


class Ppmd:
    """PPMd variant I, revision 1; it has no end mark, so the declared size ends it."""

    def __init__(self, size: int | None, most_memory: int) -> None:
        self._left = 1 << 62 if size is None else size
        self._head = b""
        self._most_memory = most_memory
        self._inner: Any = None
        self.eof = size == 0
        self.needs_input = True
        self.unused_data = b""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        if self._inner is None:
            self._head += data
            if len(self._head) < 3:
                return b""
            import pyppmd

            word = int.from_bytes(self._head[:2], "little")
            order, memory, restore = (word & 15) + 1, ((word >> 4 & 0xFF) + 1) << 20, word >> 12
            if order < 2 or restore > 1:
                raise ValueError(f"order {order}, restoration {restore}")
            if memory > self._most_memory:
                raise EvidenceError("limit", f"dictionary: ppmd asks for {memory} bytes")
            self._inner = pyppmd.Ppmd8Decoder(order, memory, restore)
            data = self._head[2:]
        out = bytes(self._inner.decode(data, min(max_length, self._left)))
        self._left -= len(out)
        self.eof = self._left == 0 or bool(self._inner.eof)
        self.needs_input = bool(self._inner.needs_input) or not out
        return out


class Lzma1:
    """LZMA with the header of a zip member, given to the library as an `.lzma` file."""

    def __init__(self, size: int | None, marked: bool, most_memory: int) -> None:
        self._size = b"\xff" * 8 if marked or size is None else size.to_bytes(8, "little")
        self._head = b""
        self._inner: lzma.LZMADecompressor | None = None
        self._most_memory = most_memory
        self.eof = False
        self.needs_input = True
        self.unused_data = b""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        if self._inner is None:
            self._head += data
            if len(self._head) < 9:
                return b""
            if self._head[2:4] != b"\x05\x00":
                raise lzma.LZMAError("properties of another length than 5")
            self._inner = lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=self._most_memory)
            data = self._head[4:9] + self._size + self._head[9:]
        out = self._inner.decompress(data, max_length)
        self.eof, self.needs_input = self._inner.eof, self._inner.needs_input
        self.unused_data = self._inner.unused_data
        return out


def _zstd(limits: Limits) -> tuple[Callable[[], Decoder], type[Exception]]:
    zstd = load_zstd()
    most = max(10, min(31, limits.dictionary.bit_length() - 1))
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: most}
    return lambda: zstd.ZstdDecompressor(options=options), zstd.ZstdError


class Recipe(NamedTuple):
    """How one method is decoded: bytes fed at a time, and the first bytes of a stream that may follow."""

    make: Callable[[], Decoder]
    errors: tuple[type[Exception], ...]
    step: int = 1 << 14
    magic: bytes = b""


def _recipe(method: int, size: int | None, flags: int, limits: Limits) -> Recipe:
    memory = limits.dictionary
    if method == DEFLATED:
        return Recipe(Inflate, (zlib.error,), 1 << 16)
    if method == 12:
        return Recipe(bz2.BZ2Decompressor, (OSError, ValueError), magic=b"BZh")
    if method == 14:
        return Recipe(lambda: Lzma1(size, bool(flags & 2), memory), (lzma.LZMAError,))
    if method == 95:
        return Recipe(
            lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=memory), (lzma.LZMAError,), magic=b"\xfd7zXZ\0"
        )
    try:
        if method == 9:
            import inflate64  # noqa: F401 - its absence must be told before the first byte

            return Recipe(Inflate64, (ValueError, RuntimeError), 256)
        if method in (20, 93):
            make, error = _zstd(limits)
            return Recipe(make, (error,), magic=b"\x28\xb5\x2f\xfd")
        if method == 98:
            import pyppmd

            return Recipe(lambda: Ppmd(size, memory), (ValueError, pyppmd.PpmdError), 1 << 12)
    except ImportError as error:
        message = f"{method_name(method)} needs {error.name}: pip install py7zr"
        raise EvidenceError("missing-library", message) from error
    raise EvidenceError("unsupported", f"compression method {method} ({method_name(method)}) is not read")


def unpack(
    method: int, pieces: Pieces, size: int | None, flags: int, limits: Limits, leftover: Callable[[int], None]
) -> Iterator[bytes]:
    """The plain bytes of a member.

    Args:
        pieces: gives the packed bytes; called a second time after a failure.
        size: the declared size, where there is one; trusted only by methods without an end mark.
        leftover: told how many packed bytes follow the end of the compressed data.

    Raises:
        EvidenceError: corrupt, truncated, unsupported, limit or missing-library.
    """
    recipe = _recipe(method, size, flags, limits)
    given = fed = 0

    def parts() -> Iterator[bytes]:
        nonlocal fed
        for part in _cut(pieces(), recipe.step):
            fed += 1
            yield part

    try:
        for out in _drive(recipe, parts(), leftover):
            given += len(out)
            yield out
    except recipe.errors as error:
        if "memory" in str(error).lower():
            raise EvidenceError("limit", f"dictionary: {method_name(method)} asks for too much memory") from error
        if fed * recipe.step <= REPLAY:
            yield from _replay(recipe, pieces, fed - 1, given)
        raise EvidenceError("corrupt", f"{method_name(method)}: {error}"[:200]) from error


def _cut(pieces: Iterator[bytes], step: int) -> Iterator[bytes]:
    for piece in pieces:
        for at in range(0, len(piece), step):
            yield piece[at : at + step]


def _drive(recipe: Recipe, parts: Iterator[bytes], leftover: Callable[[int], None]) -> Iterator[bytes]:
    decoder = recipe.make()
    spare = 0
    for part in parts:
        if decoder.eof:
            if not _follows(part, recipe.magic):
                spare += len(part)
                continue
            decoder = recipe.make()
        while True:
            out = decoder.decompress(part, OUT)
            part = b""
            if out:
                yield out
            if decoder.eof:
                part = decoder.unused_data
                if not part:
                    break
                if spare or not _follows(part, recipe.magic):
                    spare += len(part)
                    break
                decoder = recipe.make()
            elif decoder.needs_input:
                break
    if not decoder.eof:
        raise EvidenceError("truncated", "the compressed data end early")
    if spare:
        leftover(spare)


def _follows(part: bytes, magic: bytes) -> bool:
    return bool(magic) and part.startswith(magic[: len(part)])


def _replay(recipe: Recipe, pieces: Pieces, whole: int, given: int) -> Iterator[bytes]:
    """What decodes beyond the first `given` bytes when part number `whole` is fed byte by byte."""

    def parts() -> Iterator[bytes]:
        for number, part in enumerate(_cut(pieces(), recipe.step)):
            if number < whole:
                yield part
            else:
                yield from (part[at : at + 1] for at in range(len(part)))
                return

    skipped = 0
    try:
        for out in _drive(recipe, parts(), lambda _: None):
            fresh = out[max(0, given - skipped) :]
            skipped += len(out)
            if fresh:
                yield fresh
    except EvidenceError:
        return
    except recipe.errors:
        return  # the caller raises what it caught first
