"""Compressed streams of one member: frames one after another, read lazily, down to the last good byte.

A format gives two functions: `begin` looks at an offset and says what starts there, `translate` turns
the library's exception into ours. Everything else (several frames, stepping over padding, truncation,
what lies behind the stream) is the same for all of them.

A library that raises in the middle of a call throws away what that call had decoded. The frame is
then decoded a second time, and what went in last goes in byte by byte, so that nothing that decodes
is lost.
"""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, BinaryIO, Protocol, cast

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.model import Child, Fact, Field, Problem, Timestamp

INPUT = 64 * 1024
OUTPUT = 256 * 1024
CRUMB = 16
"""Bytes asked for at a time where a library is known to fail: what it raises over is lost with them."""
SKIPPABLE = b"\x2a\x4d\x18"
PACKED_TAR = {
    ".tgz": ".tar",
    ".taz": ".tar",
    ".tbz": ".tar",
    ".tbz2": ".tar",
    ".tb2": ".tar",
    ".txz": ".tar",
    ".tlz": ".tar",
    ".tzst": ".tar",
    ".svgz": ".svg",
    ".cpgz": ".cpio",
    ".emz": ".emf",
    ".wmz": ".wmf",
}
"""Suffixes that say what lies inside; any other one of a stream is simply taken off."""


class Decoder(Protocol):
    """What the libraries' decompressors have in common."""

    @property
    def eof(self) -> bool:
        """Whether the frame has ended."""

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes out before more goes in."""

    @property
    def unused_data(self) -> bytes | None:
        """What was put in and lies behind the frame's end."""

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """Up to `max_length` bytes."""


class Inflater:
    """zlib's decompressor with the ways of the newer ones.

    Args:
        window: as zlib has it: 15 for its own form, 31 for gzip's, 47 for both, -15 for neither.
    """

    def __init__(self, window: int) -> None:
        self._zlib = zlib.decompressobj(window)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        """Whether the stream has ended."""
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        """What lies behind its end."""
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """Up to `max_length` bytes."""
        chunk = self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)
        self.needs_input = len(chunk) < max_length and not self._zlib.unconsumed_tail
        return chunk


class Unbrotli:
    """brotli's decompressor with the ways of the others; it does not tell where a stream ends."""

    unused_data = b""

    def __init__(self) -> None:
        import brotli  # type: ignore[import-untyped]

        self._brotli: Any = brotli.Decompressor()

    @property
    def eof(self) -> bool:
        """Whether the stream has ended."""
        return bool(self._brotli.is_finished())

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes out before more goes in."""
        return bool(self._brotli.can_accept_more_data())

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """Up to `max_length` bytes."""
        return bytes(self._brotli.process(data, output_buffer_limit=max_length))


Beginning = Callable[[], Decoder] | int | None
"""What starts at an offset: a frame, a number of bytes to step over, or nothing that we know."""


class Slice(io.RawIOBase):
    """`size` bytes of a stream from `offset`; ends with `truncated` where the stream ends before them."""

    def __init__(self, stream: Stream, offset: int, size: int) -> None:
        super().__init__()
        self._stream = stream
        self._at = offset
        self._left = size

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, empty at the end."""
        wanted = self._left if size < 0 else min(size, self._left)
        if not wanted:
            return b""
        data = self._stream.at(self._at, wanted)
        if not data:
            raise EvidenceError("truncated", f"{self._left} bytes are missing at the end")
        self._at += len(data)
        self._left -= len(data)
        return data


class Pulled(io.RawIOBase):
    """A readable stream over a generator of chunks, which is closed with it."""

    def __init__(self, chunks: Iterator[bytes], first: bytes = b"") -> None:
        super().__init__()
        self._chunks = chunks
        self._rest = first

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, often fewer; empty at the end."""
        if size < 0:
            rest, self._rest = self._rest, b""
            return rest + b"".join(self._chunks)
        if not self._rest:
            self._rest = next((chunk for chunk in self._chunks if chunk), b"")
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece

    def close(self) -> None:
        """Closes the generator, and with it whatever it holds open."""
        if isinstance(self._chunks, Generator):
            self._chunks.close()
        super().close()


def open_slice(stream: Stream, offset: int, size: int) -> Callable[[], BinaryIO]:
    """An opener of a part of a stream, for a Child; a small one is read at once."""

    def open_part() -> BinaryIO:
        data = stream.at(offset, size) if size <= INPUT else b""
        return io.BytesIO(data) if size and len(data) == size else cast(BinaryIO, Slice(stream, offset, size))

    return open_part


def open_chunks(chunks: Iterator[bytes], first: bytes = b"") -> BinaryIO:
    """A generator of chunks as a readable stream."""
    return cast(BinaryIO, Pulled(chunks, first))


class Unpacking:
    """The decoding of one stream; after its last chunk it knows how it ended.

    Attributes:
        frames: how many ended well.
        end: offset behind the last frame.
        error: what stopped it, if anything did.
        opened: whether somebody reads the chunks.
    """

    def __init__(
        self,
        stream: Stream,
        begin: Callable[[Stream, int], Beginning],
        errors: tuple[type[Exception], ...],
        translate: Callable[[Exception], EvidenceError],
    ) -> None:
        self._stream = stream
        self._begin = begin
        self._errors = errors
        self._translate = translate
        self.frames = 0
        self.end = 0
        self.error: EvidenceError | None = None
        self.opened = False
        self._fed = 0

    def chunks(self) -> Generator[bytes, None, None]:
        """Everything that decodes, in pieces of bounded size.

        Raises:
            EvidenceError: after the last good byte, where the stream did not end well.
        """
        try:
            while self.end < self._stream.size:
                beginning = self._begin(self._stream, self.end)
                if beginning is None:
                    break
                if isinstance(beginning, int):
                    self.end += beginning
                    continue
                yield from self._frame(beginning, self.end)
                self.frames += 1
        except EvidenceError as error:
            self.error = error
            raise

    def open(self, chunks: Iterator[bytes], first: bytes) -> BinaryIO:
        """The chunks as a readable stream, remembered as opened."""
        self.opened = True
        return open_chunks(chunks, first)

    def _frame(self, make: Callable[[], Decoder], start: int) -> Iterator[bytes]:
        delivered = 0
        try:
            for chunk in self._pump(make(), start):
                delivered += len(chunk)
                yield chunk
        except self._errors as error:
            last, known = bytearray(), delivered
            with suppress(*self._errors):
                for chunk in self._pump(make(), start, self._fed):
                    last += chunk[known:]
                    known = max(0, known - len(chunk))
            yield bytes(last)
            raise self._translate(error) from error

    def _pump(self, decoder: Decoder, offset: int, bytewise_from: int | None = None) -> Iterator[bytes]:
        """Chunks of one frame; input goes in byte by byte from `bytewise_from` on."""
        made = 0
        while not decoder.eof:
            hungry = decoder.needs_input
            data = b""
            if hungry:
                self._fed = offset
                data = self._stream.at(offset, INPUT if bytewise_from is None or offset < bytewise_from else 1)
                offset += len(data)
            # No input where input is needed tells a format without an end mark that this was the end.
            most = OUTPUT if bytewise_from is None or offset <= bytewise_from else CRUMB
            chunk = decoder.decompress(data, most)
            made += len(chunk)
            yield chunk
            if hungry and not data and not chunk and not decoder.eof:
                self.end = offset
                raise EvidenceError("truncated", f"the stream breaks off, {made} bytes into its last frame")
        self.end = offset - len(decoder.unused_data or b"")


def skip_frames(stream: Stream, offset: int) -> int:
    """The offset behind the skippable frames (of Zstandard and LZ4) at `offset`; 64 of them at a time."""
    for _ in range(64):
        head = stream.at(offset, 8)
        if len(head) < 8 or head[0] >> 4 != 5 or head[1:4] != SKIPPABLE:
            break
        offset += 8 + int.from_bytes(head[4:], "little")
    return offset


def content_name(stream: Stream, suffixes: tuple[str, ...], default: str) -> str:
    """The name of what is inside, from the item's own name: `cels.tgz` gives `cels.tar`."""
    stem, suffix = os.path.splitext(stream.name)
    if stem and suffix.lower() in suffixes:
        return stem + PACKED_TAR.get(suffix.lower(), "")
    return stream.name or default


def read_frames(
    stream: Stream,
    unpacking: Unpacking,
    counter: str,
    name: str,
    raw_name: bytes | None = None,
    timestamps: tuple[Timestamp, ...] = (),
) -> Iterator[Fact]:
    """The facts of a compressed stream: its one member, how many frames it had, what lies behind it.

    Args:
        counter: the field that counts frames where there are several; empty where there never are.
        raw_name: the name as the stream holds it, where it holds one.

    Raises:
        EvidenceError: where nothing at all could be decoded.
    """
    chunks = unpacking.chunks()
    first = next((chunk for chunk in chunks if chunk), b"")
    if not unpacking.end and not first and not unpacking.frames:
        raise EvidenceError("corrupt", "no frame begins where the stream does")
    raw = name.encode("utf-8", "surrogatepass") if raw_name is None else raw_name
    yield Child(name, raw, partial(unpacking.open, chunks, first), timestamps=timestamps)
    if not unpacking.opened:
        _drain(chunks, stream.limits.item_bytes)
    chunks.close()
    if unpacking.frames > 1 and counter:
        yield Field(counter, unpacking.frames)
    if unpacking.error:
        yield unpacking.error.problem("", "kept what decodes")
    elif unpacking.end < stream.size and unpacking.frames:
        size = stream.size - unpacking.end
        message = f"{size} bytes behind the end, at {unpacking.end}"
        yield Problem("corrupt", message, resolution="kept as a member")
        yield slack(stream, unpacking.end, size, "[after the stream]")


def slack(stream: Stream, offset: int, size: int, name: str) -> Child:
    """A member for bytes that the format does not account for."""
    fields = (Field("file.kind", "slack"), Field("file.offset", offset))
    return Child(name, name.encode(), open_slice(stream, offset, size), fields=fields)


def _drain(chunks: Iterator[bytes], most: int) -> None:
    """Decodes to the end, where nobody read the member: what follows it is told all the same."""
    made = 0
    with suppress(EvidenceError):
        for chunk in chunks:
            made += len(chunk)
            if made > most:
                return


FIELDS: Mapping[str, str] = {
    "file.kind": "slack: bytes that the format does not account for",
    "file.offset": "where those bytes stand in the item",
}
