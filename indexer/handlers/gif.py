"""GIF pictures: shape, frames, comments, texts, XMP, profile, what stands after the picture.

Source: Graphics Interchange Format 89a, sections 17 to 27; Adobe XMP Specification Part 3, section 1.1.2.
Limits: no pixel is decoded; application extensions other than loops, XMP and profiles are only named.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _picture, _xmp
from indexer.limits import KIB
from indexer.model import Fact, Field, Problem

BLOCKS: Final = 2_000_000
KEPT: Final = 16 << 20
"""Bytes kept of one extension."""
_WINDOW: Final = 64 * KIB
_TRAILER: Final = b"\x01\xff\xfe\xfd"
"""How the tail begins that lets readers of blocks find their way out of XMP."""


class Gif(Handler):
    name = "gif"
    media_types = ("image/gif",)
    signatures = (Signature(b"GIF87a"), Signature(b"GIF89a"))
    suffixes = (".gif",)
    fields: ClassVar[dict[str, str]] = {
        **_picture.FIELDS,
        **_xmp.FIELDS,
        "gif.comment": "a comment in the file",
        "gif.text": "text that the file draws over the picture",
        "gif.loops": "how often the animation repeats; 0 is for ever",
        "gif.seconds": "length of the animation",
        "gif.application": "an application's own block",
    }
    reads = "dimensions, frames, comments, drawn texts, XMP, what stands after the picture"
    needs = ("lxml",)
    container = True

    def read(self, stream: Stream) -> Iterator[Fact]:
        head = stream.at(0, 13)
        if len(head) < 13:
            yield Problem("truncated", "the header is cut off")
            return
        position = 13 + _table(head[10])
        frames, delay, ended = 0, 0, False
        metadata = _picture.Blocks()
        problem: Problem | None = None
        for _ in range(BLOCKS):
            mark = stream.at(position, 2)
            if mark[:1] == b";":
                ended, position = True, position + 1
                break
            if mark[:1] == b",":
                frames += 1
                _, position = _blocks(stream, position + 11 + _table((stream.at(position + 9, 1) or b"\0")[0]), 0)
            elif mark[:1] == b"!" and len(mark) == 2:
                start = position + 2
                data, position = _blocks(stream, start, 0 if mark[1] == 0xF9 else KEPT)
                if mark[1] == 0xF9:
                    delay += int.from_bytes(stream.at(start + 2, 2), "little")
                yield from _extension(mark[1], data, metadata)
            elif len(mark) < 2 or position >= stream.size:
                problem = Problem("truncated", "no end of picture")
                break
            else:
                problem = Problem("corrupt", f"no block at {position}")
                break
        width, height = int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
        yield from _picture.shape(width, height, "P", 0, frames or 1)
        if delay:
            yield Field("gif.seconds", delay / 100)
        if problem:
            yield problem
        if ended:
            yield from _picture.leftover(stream, position)


def _table(flags: int) -> int:
    """Bytes of the colour table that these flags announce."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _blocks(stream: Stream, position: int, keep: int) -> tuple[list[bytes], int]:
    """The sub-blocks that begin at `position`, up to `keep` bytes of them, and where what follows stands."""
    found: list[bytes] = []
    while True:
        window = stream.at(position, _WINDOW)
        if not window:
            return found, position
        at = 0
        while at < len(window) and at + 1 + window[at] <= len(window):
            size = window[at]
            if not size:
                return found, position + at + 1
            if keep > 0:
                found.append(window[at + 1 : at + 1 + size])
                keep -= size
            at += 1 + size
        if not at:
            return found, stream.size
        position += at


def _extension(code: int, data: list[bytes], metadata: _picture.Blocks) -> Iterator[Fact]:
    if code == 0xFE:
        yield from _picture.said("gif.comment", _picture.read_text(b"".join(data)), "comment")
    elif code == 0x01:
        yield from _picture.said("gif.text", _picture.read_text(b"".join(data[1:])), "drawn text")
    elif code == 0xFF and data:
        name, rest = data[0][:11], data[1:]
        if name == b"XMP DataXMP":
            # The packet stands there as it is: what looks like sub-blocks is its own text.
            packet = b"".join(bytes((len(part),)) + part for part in rest)
            yield from metadata.read(_xmp.read_xmp, packet.partition(_TRAILER)[0])
        elif name in (b"NETSCAPE2.0", b"ANIMEXTS1.0"):
            if rest and len(rest[0]) >= 3:
                yield Field("gif.loops", int.from_bytes(rest[0][1:3], "little"))
        elif name == b"ICCRGBG1012":
            yield from _picture.profile(b"".join(rest))
        else:
            yield Field("gif.application", name.decode("latin-1").strip("\0 "))
