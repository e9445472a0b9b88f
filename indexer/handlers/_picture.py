"""What every picture handler says in the same words: shape, colour profile, leftovers, texts.

Source: ICC.1:2022, sections 7.2 (header) and 10.15 (multiLocalizedUnicodeType); ICC.1:2001-04, 6.5.17.
Limits: of a colour profile only its name is read.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from indexer.decoding import decode, decode_as
from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.limits import MIB
from indexer.model import Child, Fact, Field, Problem, Text

FIELD_CHARS: Final = 1000
"""A field's value is cut here; the text beside it is whole."""
INFLATED: Final = 16 * MIB
"""What one compressed chunk of a picture may become; honest profiles and comments stay below 4 MiB."""
BLOCKS: Final = 64
"""Blocks of EXIF, XMP, IPTC read from one picture; honest ones have five."""
SLACK: Final = 16
"""Fewer bytes than this after a picture are padding."""

FIELDS: Final = {
    "picture.width": "width in pixels, as stored",
    "picture.height": "height in pixels, as stored",
    "picture.mode": "colour model: 1, L, LA, P, RGB, RGBA, CMYK, YCbCr, LAB, CFA (raw sensor)",
    "picture.bits": "bits per channel",
    "picture.frames": "pictures in the file: pages or frames of an animation",
    "picture.dpi": "dots per inch, horizontal",
    "picture.icc": "name of the embedded colour profile",
    "file.kind": "of a member: thumbnail, preview, motion picture, slack (bytes that stand after the picture)",
}


class Window(io.RawIOBase):
    """A run of a stream's bytes as a stream of its own; reads stop at the end of the run."""

    def __init__(self, stream: Stream, start: int, length: int) -> None:
        super().__init__()
        self._stream = stream
        self._position = start
        self._end = start + length

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        data = self._stream.at(self._position, min(len(view), self._end - self._position))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)


def member(stream: Stream, name: str, start: int, length: int, kind: str) -> Child:
    """A run of the picture's bytes as a member."""
    return Child(
        name,
        name.encode(),
        lambda: io.BufferedReader(Window(stream, start, length)),
        fields=(Field("file.kind", kind),),
    )


def held_member(data: bytes, name: str, kind: str) -> Child:
    """Bytes that were taken out of the picture's metadata, as a member."""
    return Child(name, name.encode(), lambda: io.BytesIO(data), fields=(Field("file.kind", kind),))


def leftover(stream: Stream, start: int, end: int | None = None) -> Iterator[Child]:
    """The bytes after a picture as a member; nothing where they are few, or padding."""
    stop = stream.size if end is None else end
    if stop - start <= SLACK:
        return
    for position in range(start, stop, MIB):
        if stream.at(position, min(MIB, stop - position)).strip(b"\0"):
            yield member(stream, "[after the picture]", start, stop - start, "slack")
            return


def shape(width: int, height: int, mode: str = "", bits: int = 0, frames: int = 1) -> Iterator[Field]:
    """Dimensions and colour model; what is not known is left out."""
    yield Field("picture.width", width)
    yield Field("picture.height", height)
    if mode:
        yield Field("picture.mode", mode)
    if bits:
        yield Field("picture.bits", bits)
    yield Field("picture.frames", frames)


def said(name: str, value: str, locator: str) -> Iterator[Field | Text]:
    """A text as a field to filter by and as text that plain searches find."""
    if value:
        yield Field(name, value[:FIELD_CHARS])
        yield Text(value, locator)


def shared_codec(parts: Iterable[bytes]) -> str:
    """The codec that fits these texts best, judged together; empty where all are UTF-8."""
    strange = b"\n".join(part for part in parts if not _is_utf8(part))
    if not strange:
        return ""
    found = decode(strange)
    return "latin-1" if found.lossy else found.codec


def read_text(data: bytes, codec: str = "") -> str:
    """Text of a tag that does not say its encoding, without the padding around it.

    Args:
        codec: what texts beside it were found to be in; UTF-8 goes before it.
    """
    data = data.strip(b"\0")
    text = data.decode() if _is_utf8(data) else decode_as(data, codec or shared_codec([data]))[0]
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").strip()


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def inflate(data: bytes, most: int = INFLATED) -> tuple[bytes, Problem | None]:
    """What a zlib stream holds, up to `most` bytes, and what kept the rest from being read."""
    engine = zlib.decompressobj()
    try:
        plain = engine.decompress(data, most)
    except zlib.error as error:
        return b"", Problem("corrupt", f"zlib: {error}")
    if engine.unconsumed_tail:
        return plain, Problem("limit", f"a compressed chunk holds more than {most} bytes", resolution="cut there")
    if not engine.eof:
        return plain, Problem("truncated", "a compressed chunk ends early")
    return plain, None


def profile_name(profile: bytes) -> str:
    """The description of an ICC profile, or an empty string."""
    count = int.from_bytes(profile[128:132], "big")
    for number in range(min(count, 100)):
        entry = profile[132 + 12 * number : 144 + 12 * number]
        if entry[:4] == b"desc":
            start, length = int.from_bytes(entry[4:8], "big"), int.from_bytes(entry[8:12], "big")
            return _description(profile[start : start + length])
    return ""


def _description(tag: bytes) -> str:
    if tag[:4] == b"desc":
        length = int.from_bytes(tag[8:12], "big")
        return tag[12 : 12 + length].split(b"\0")[0].decode("latin-1").strip()
    if tag[:4] == b"mluc":
        length, start = int.from_bytes(tag[20:24], "big"), int.from_bytes(tag[24:28], "big")
        return tag[start : start + length].decode("utf-16-be", "replace").strip("\0 ")
    return ""


def profile(data: bytes) -> Iterator[Field]:
    """The name of an ICC profile as a field."""
    if name := profile_name(data):
        yield Field("picture.icc", name[:FIELD_CHARS])


class Blocks:
    """Reads the blocks of metadata of one picture, each with its own trouble, and no more than a picture can need."""

    def __init__(self) -> None:
        self._left = BLOCKS

    def read(self, reader: Callable[[bytes], Iterator[Fact]], block: bytes) -> Iterator[Fact]:
        """The facts of one block; its trouble is a problem, and no reason to stop."""
        self._left -= 1
        if self._left < 0:
            if self._left == -1:
                yield Problem("limit", f"more than {BLOCKS} blocks of metadata", resolution="stopped there")
            return
        try:
            yield from reader(block)
        except EvidenceError as error:
            yield error.problem("")
