"""Blocks of Snappy without a frame around them, as framed streams and the documents of iWork hold them.

Source: snappy, format_description.txt.
"""

from __future__ import annotations

from indexer.limits import KIB

MOST_CHUNK = 64 * KIB


class Wrong(Exception):  # noqa: N818 - it says what is wrong
    """Damage in a block."""


def unpack(data: bytes, most: int = MOST_CHUNK) -> bytes:
    """The content of one block, of no more than `most` bytes.

    Raises:
        Wrong: where it is damaged.
    """
    size = shift = at = 0
    while True:
        if at >= len(data) or shift > 28:
            raise Wrong("a block without its length")
        size |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            break
    if size > most:
        raise Wrong(f"a block of more than {most // KIB} KiB")
    out = bytearray()
    while at < len(data) and len(out) < size:
        at = _element(data, at, out)
    if len(out) != size:
        raise Wrong("a block does not unpack to its length")
    return bytes(out)


def _element(data: bytes, at: int, out: bytearray) -> int:
    """Unpacks a literal or a copy; gives the offset behind it."""
    tag = data[at]
    at += 1
    if not tag & 3:
        length = tag >> 2
        if length >= 60:
            width = length - 59
            length = int.from_bytes(data[at : at + width], "little")
            at += width
        out += data[at : at + length + 1]
        return at + length + 1
    width = (0, 1, 2, 4)[tag & 3]
    extra = data[at : at + width]
    if len(extra) < width:
        raise Wrong("a block breaks off in a copy")
    if tag & 3 == 1:
        length, distance = (tag >> 2 & 7) + 4, tag >> 5 << 8 | extra[0]
    else:
        length, distance = (tag >> 2) + 1, int.from_bytes(extra, "little")
    if not 0 < distance <= len(out):
        raise Wrong("a copy of what was not yet there")
    start = len(out) - distance
    if distance >= length:
        out += out[start : start + length]
    else:
        part = bytes(out[start:])
        out += (part * (length // distance + 1))[:length]
    return at + width
