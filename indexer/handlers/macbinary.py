"""MacBinary: one Macintosh file as one file of bytes; data and resource fork, type, creator, dates, comment.

Source: "MacBinary II" and "MacBinary III" standards proposals (1987, 1996).
Limits: the secondary header, which nothing is known to write, is stepped over.
"""

from __future__ import annotations

import binascii
import struct
from collections.abc import Iterator, Mapping
from typing import ClassVar

from indexer.handler import Handler, Signature, Stream
from indexer.handlers._mac import FIELDS, RESOURCES, decode_name, finder_fields, local_time
from indexer.handlers._streams import FIELDS as SLACK_FIELDS
from indexer.handlers._streams import open_slice, slack
from indexer.model import Child, Fact, Field, Problem

HEAD, PAGE = 128, 128
MARK = b"mBIN"


class MacBinary(Handler):
    name = "macbinary"
    media_types = ("application/x-macbinary", "application/macbinary")
    signatures = (Signature(b"\0"),)
    suffixes = (".macbin",)
    fields: ClassVar[Mapping[str, str]] = {
        **SLACK_FIELDS,
        **FIELDS,
        "file.kind": f"{FIELDS['file.kind']}; {SLACK_FIELDS['file.kind']}",
        "mac.version": "version of the wrapping, 1 to 3",
    }
    reads = "data and resource fork, type, creator, dates, comment"
    rank = 54
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if _version(stream.head[:HEAD], stream.size) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        head = stream.at(0, HEAD)
        yield Field("mac.version", _version(head, stream.size))
        raw = head[2 : 2 + head[1]]
        data, rest = struct.unpack_from(">II", head, 83)
        born, changed, comment = struct.unpack_from(">IIH", head, 91)
        name = decode_name(raw)
        stamps = (local_time("B", born, "macbinary.created"), local_time("M", changed, "macbinary.modified"))
        times = tuple(stamp for stamp in stamps if stamp)
        fields = tuple(finder_fields(head[65:74] + head[101:102]))
        start = HEAD + _padded(int.from_bytes(head[120:122], "big"))
        yield Child(name, raw, open_slice(stream, start, data), timestamps=times, fields=fields)
        start += _padded(data)
        if rest:
            kind = (Field("file.kind", "stream"),)
            yield Child(name + RESOURCES, raw + RESOURCES.encode(), open_slice(stream, start, rest), fields=kind)
        start += _padded(rest)
        if comment and (text := stream.at(start, comment)):
            yield Field("mac.comment", decode_name(text))
            start += _padded(comment)
        if start < stream.size and stream.size - start >= PAGE:
            message = f"{stream.size - start} bytes behind the end, at {start}"
            yield Problem("corrupt", message, resolution="kept as a member")
            yield slack(stream, start, stream.size - start, "[after the file]")


def _padded(size: int) -> int:
    return -(-size // PAGE) * PAGE


def _version(head: bytes, size: int) -> int:
    """1 to 3, or 0 where these bytes do not begin such a file."""
    if len(head) < HEAD or head[0] or not 0 < head[1] < 64 or head[74] or head[82] or any(head[2 + head[1] : 65]):
        return 0
    data, rest = struct.unpack_from(">II", head, 83)
    name = head[2 : 2 + head[1]]
    if min(name) < 32 or b":" in name or data >> 31 or rest >> 31 or not data | rest:
        return 0
    if binascii.crc_hqx(head[:124], 0) == int.from_bytes(head[124:126], "big") and head[122] in (129, 130):
        return 3 if head[102:106] == MARK else 2
    # The first version has no checksum: all that it does not use must be empty, and the sizes must add up.
    codes = head[65:73]
    plain = all(32 <= byte < 127 for byte in codes) and not any(head[99:128])
    return 1 if plain and HEAD + _padded(data) + rest <= size <= HEAD + _padded(data) + _padded(rest) else 0
