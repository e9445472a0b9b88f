"""Icons and cursors of Windows: how many pictures, their sizes, those stored as PNG as members.

Source: ICO and CUR as Windows documents them (ICONDIR, ICONDIRENTRY).
Limits: pictures stored as bitmaps are named by their size only, and are not members.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _picture
from indexer.model import Fact, Field, Problem

PICTURES: Final = 1_000


class Icon(Handler):
    name = "icon"
    media_types = ("image/vnd.microsoft.icon", "image/x-icon", "image/x-win-bitmap")
    signatures = (Signature(b"\0\0\1\0"), Signature(b"\0\0\2\0"))
    suffixes = (".ico", ".cur")
    fields: ClassVar[dict[str, str]] = {**_picture.FIELDS, "icon.size": "width and height of one picture: 32x32"}
    reads = "sizes; pictures stored as PNG are members"
    container = True

    def claims(self, stream: Stream) -> str | None:
        head = stream.head
        count = int.from_bytes(head[4:6], "little")
        if not 0 < count <= PICTURES or len(head) < 22 or head[9] != 0:
            return None
        length, start = int.from_bytes(head[14:18], "little"), int.from_bytes(head[18:22], "little")
        begin = stream.at(start, 8)
        if start < 6 + 16 * count or not length or not begin.startswith((b"\x89PNG\r\n\x1a\n", b"\x28\0\0\0")):
            return None
        return self.media_types[0]

    def read(self, stream: Stream) -> Iterator[Fact]:
        count = min(int.from_bytes(stream.at(4, 2), "little"), PICTURES)
        data = stream.at(6, 16 * count)
        entries = [data[at : at + 16] for at in range(0, len(data) - 15, 16)]
        sizes = [(entry[0] or 256, entry[1] or 256) for entry in entries]
        if sizes:
            yield from _picture.shape(*max(sizes), frames=len(sizes))
        end = 6 + 16 * count
        for number, (entry, (width, height)) in enumerate(zip(entries, sizes, strict=True), 1):
            yield Field("icon.size", f"{width}x{height}")
            length, start = int.from_bytes(entry[8:12], "little"), int.from_bytes(entry[12:16], "little")
            end = max(end, start + length)
            if stream.at(start, 8) == b"\x89PNG\r\n\x1a\n":
                yield _picture.member(stream, f"picture-{number}.png", start, length, "picture")
        if end > stream.size or len(entries) < count:
            yield Problem("truncated", f"the pictures end at {end}, the file at {stream.size}")
        else:
            yield from _picture.leftover(stream, end)
