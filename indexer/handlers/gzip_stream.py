"""Gzip: one member, its name, comment, time and system from the header.

Source: RFC 1952 (file format, section 2.3), RFC 1951.
Limits: names and comments of members after the first are not told; a preset dictionary does not exist.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from functools import partial
from typing import ClassVar, NamedTuple

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._streams import FIELDS, Beginning, Inflater, Unpacking, content_name, read_frames
from indexer.model import Fact, Field
from indexer.names import decode_names
from indexer.timestamps import from_unix

SYSTEMS = {
    0: "FAT",
    1: "Amiga",
    2: "VMS",
    3: "Unix",
    4: "VM/CMS",
    5: "Atari",
    6: "HPFS",
    7: "Macintosh",
    8: "Z-System",
    9: "CP/M",
    10: "TOPS-20",
    11: "NTFS",
    12: "QDOS",
    13: "Acorn RISCOS",
}
HEADER_CRC, EXTRA, NAME, COMMENT, RESERVED = 2, 4, 8, 16, 0xE0
MOST_HEADER = 256 * 1024


class Header(NamedTuple):
    """The parts of a member's header that tell something."""

    mtime: int
    system: int
    name: bytes
    comment: bytes


class GzipStream(Handler):
    name = "gzip"
    media_types = ("application/gzip", "application/x-gzip")
    signatures = (Signature(b"\x1f\x8b\x08"),)
    suffixes = (".gz", ".tgz", ".taz", ".svgz", ".cpgz", ".emz", ".wmz")
    fields: ClassVar[Mapping[str, str]] = {
        "gzip.comment": "comment in the header",
        "gzip.os": "system that compressed it",
        "gzip.members": "how many gzip members follow one another, where there are several",
        "names.*": "how the name was decoded",
        **FIELDS,
    }
    reads = "the content, with the name, time and comment of the header; what stands behind the stream"
    rank = 60
    uses_name = True
    container = True

    def claims(self, stream: Stream) -> str | None:
        head = stream.head
        return self.media_types[0] if len(head) >= 10 and not head[3] & RESERVED else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        header = read_header(stream)
        if header.system != 255:
            yield Field("gzip.os", SYSTEMS.get(header.system, str(header.system)))
        if header.comment:
            yield Field("gzip.comment", decode_names((header.comment,)).names[0])
        name, raw = content_name(stream, self.suffixes, "content"), None
        if header.name:
            decision = decode_names((header.name,))
            name, raw = decision.names[0], header.name
            yield from decision.fields()
        stamp = from_unix("M", header.mtime, "gzip.mtime") if header.mtime else None
        unpacking = Unpacking(stream, _begin, (zlib.error,), _translate)
        yield from read_frames(stream, unpacking, "gzip.members", name, raw, (stamp,) if stamp else ())


def read_header(stream: Stream) -> Header:
    """The first member's header; parts that are cut off are empty.

    Raises:
        EvidenceError: where no gzip member begins.
    """
    head = stream.at(0, MOST_HEADER)
    if len(head) < 10 or head[:3] != b"\x1f\x8b\x08":
        raise EvidenceError("corrupt", "not a gzip header with the deflate method")
    flags, mtime, _, system = struct.unpack_from("<BIBB", head, 3)
    position = 10
    if flags & EXTRA:
        position += 2 + int.from_bytes(head[10:12], "little")
    name = comment = b""
    if flags & NAME:
        name, _, _ = head[position:].partition(b"\0")
        position += len(name) + 1
    if flags & COMMENT:
        comment, _, _ = head[position:].partition(b"\0")
    return Header(mtime, system, name, comment)


def _begin(stream: Stream, offset: int) -> Beginning:
    head = stream.at(offset, 64 * 1024)
    if head[:3] == b"\x1f\x8b\x08":
        return partial(Inflater, 31)
    # Tapes and dd pad with zeros; gzip itself steps over them.
    if not head.strip(b"\0"):
        return len(head)
    return None


def _translate(error: Exception) -> EvidenceError:
    text = str(error)
    if "incorrect data check" in text:
        return EvidenceError("corrupt", "the CRC-32 does not fit the content")
    if "incorrect length check" in text:
        return EvidenceError("corrupt", "the recorded length does not fit the content")
    return EvidenceError("corrupt", f"deflate: {text.rpartition(': ')[2]}")
