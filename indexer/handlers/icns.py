"""Icons of macOS (ICNS): the pictures inside as members, their sizes, the names of variants.

Source: Apple's icns types as iconutil of macOS 10.7 to 14 writes them.
Limits: packed pictures of old types are not decoded; their sizes are told.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _picture
from indexer.model import Fact, Field, Problem

PARTS: Final = 1_000
_OLD: Final = {
    b"ICON": 32, b"ICN#": 32, b"icm#": 16, b"ics#": 16, b"is32": 16, b"il32": 32, b"ih32": 48, b"it32": 128,
    b"s8mk": 16, b"l8mk": 32, b"h8mk": 48, b"t8mk": 128, b"ic04": 16, b"ic05": 32, b"icsb": 18,
}  # fmt: skip
_NESTED: Final = {b"sbtp": "template", b"slct": "selected", b"\xfd\xd9\x2f\xa8": "dark"}
_SUFFIXES: Final = ((b"\x89PNG", ".png"), (b"\0\0\0\x0cjP  ", ".jp2"), (b"\xff\x4f\xff\x51", ".j2k"))


class Icns(Handler):
    name = "icns"
    media_types = ("image/x-icns", "image/icns")
    signatures = (Signature(b"icns"),)
    suffixes = (".icns",)
    fields: ClassVar[dict[str, str]] = {
        **_picture.FIELDS,
        "icns.type": "type of a picture inside",
        "icns.variant": "appearance that a picture is for: dark, selected, template",
    }
    reads = "sizes, and the pictures inside as members"
    container = True

    def read(self, stream: Stream) -> Iterator[Fact]:
        whole = int.from_bytes(stream.at(4, 4), "big")
        largest = 0
        for prefix, kind, start, size in _parts(stream, min(whole, stream.size)):
            yield Field("icns.type", kind.decode("latin-1"))
            largest = max(largest, _OLD.get(kind, 0))
            head = stream.at(start, 24)
            if prefix:
                yield Field("icns.variant", prefix)
            if suffix := next((suffix for mark, suffix in _SUFFIXES if head.startswith(mark)), ""):
                name = f"{prefix}-{kind.decode('latin-1').strip()}".lstrip("-")
                yield _picture.member(stream, f"{name}{suffix}", start, size, "preview")
                largest = max(largest, int.from_bytes(head[16:20], "big") if suffix == ".png" else 0)
        if largest:
            yield from _picture.shape(largest, largest)
        if whole > stream.size:
            yield Problem("truncated", f"the icon ends at {whole}, the file at {stream.size}")
        else:
            yield from _picture.leftover(stream, whole)


def _parts(stream: Stream, end: int) -> Iterator[tuple[str, bytes, int, int]]:
    """Variant, type, start and size of the pictures inside, those of variants after their own."""
    runs = [("", 8, end)]
    left = PARTS
    while runs and left:
        prefix, position, end = runs.pop(0)
        while left and position + 8 <= end:
            left -= 1
            head = stream.at(position, 8)
            kind, size = head[:4], int.from_bytes(head[4:8], "big")
            if size < 8:
                break
            if kind in _NESTED and not prefix:
                runs.append((_NESTED[kind], position + 8, min(position + size, end)))
            else:
                yield prefix, kind, position + 8, size - 8
            position += size
