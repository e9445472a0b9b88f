"""Records of a zip file as values: local headers, central records, the end records, extra fields.

Source: APPNOTE.TXT 6.3.10 (PKWARE), sections 4.3.7 to 4.3.16, 4.4, 4.5; extra fields of Info-ZIP.
"""

from __future__ import annotations

import struct

from msgspec import Struct

from indexer.handler import Stream
from indexer.model import replace

LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
DESCRIPTOR, END64, LOCATOR64 = b"PK\x07\x08", b"PK\x06\x06", b"PK\x06\x07"
EXTRA_DATA, SIGNATURE = b"PK\x06\x08", b"PK\x05\x05"

LOCAL_LAYOUT = struct.Struct("<4s5H3L2H")
CENTRAL_LAYOUT = struct.Struct("<4s6H3L5H2L")
END_LAYOUT = struct.Struct("<4s4H2LH")
END64_LAYOUT = struct.Struct("<4sQ2H2L4Q")
LOCATOR64_LAYOUT = struct.Struct("<4sLQL")
END_REACH = 22 + 0xFFFF
"""The end record with the longest comment it can carry."""

ENCRYPTED, STREAMED, STRONG, UTF8, MASKED = 0x1, 0x8, 0x40, 0x800, 0x2000
"""Bits of the general purpose flags."""

FULL32, FULL16 = 0xFFFFFFFF, 0xFFFF
STORED, DEFLATED, AES = 0, 8, 99

METHODS = {
    0: "stored",
    1: "shrink",
    2: "reduce-1",
    3: "reduce-2",
    4: "reduce-3",
    5: "reduce-4",
    6: "implode",
    7: "tokenize",
    8: "deflate",
    9: "deflate64",
    10: "dcl-implode",
    12: "bzip2",
    14: "lzma",
    16: "cmpsc",
    18: "terse",
    19: "lz77",
    20: "zstd-old",
    93: "zstd",
    94: "mp3",
    95: "xz",
    96: "jpeg",
    97: "wavpack",
    98: "ppmd",
    99: "aes",
}

HOSTS = {
    0: "fat",
    1: "amiga",
    2: "openvms",
    3: "unix",
    4: "vm-cms",
    5: "atari",
    6: "hpfs",
    7: "macintosh",
    8: "z-system",
    9: "cp-m",
    10: "ntfs",
    11: "mvs",
    12: "vse",
    13: "acorn",
    14: "vfat",
    15: "mvs-alternate",
    16: "beos",
    17: "tandem",
    18: "os-400",
    19: "darwin",
}


def method_name(method: int) -> str:
    """The word for a compression method, or its number where there is none."""
    return METHODS.get(method, f"method-{method}")


class Window:
    """Small reads that move forward through a stream, served from one buffer."""

    def __init__(self, stream: Stream, span: int = 1 << 15) -> None:
        self._stream = stream
        self._span = span
        self._start = 0
        self._buffer = b""

    def at(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`; fewer only at the end of the item."""
        begin = offset - self._start
        if begin < 0 or begin + length > len(self._buffer):
            self._buffer = self._stream.at(offset, max(length, self._span))
            self._start, begin = offset, 0
        return self._buffer[begin : begin + length]


class Header:
    """A local header or a central record; `end` is where the next thing begins."""

    __slots__ = (
        "comment",
        "crc",
        "date",
        "disk",
        "end",
        "external",
        "extra",
        "flags",
        "made",
        "method",
        "needed",
        "offset",
        "packed",
        "raw",
        "size",
        "time",
    )

    needed: int
    flags: int
    method: int
    time: int
    date: int
    crc: int
    packed: int
    size: int
    raw: bytes
    extra: dict[int, bytes]
    comment: bytes
    made: int
    disk: int
    external: int
    offset: int
    end: int


def read_local(window: Window, position: int, named: bytes | None = None) -> Header | None:
    """The local header at `position`, or None where none stands there in full.

    Args:
        named: a header whose four first bytes are damaged is taken where it has this name.
    """
    fixed = window.at(position, 30)
    if len(fixed) < 30:
        return None
    if not fixed.startswith(LOCAL) and (not named or window.at(position + 30, len(named)) != named):
        return None
    header = Header()
    (
        _,
        header.needed,
        header.flags,
        header.method,
        header.time,
        header.date,
        header.crc,
        header.packed,
        header.size,
        name,
        extra,
    ) = LOCAL_LAYOUT.unpack(fixed)
    rest = window.at(position + 30, name + extra)
    if len(rest) < name:
        return None
    header.raw = rest[:name]
    header.extra = split_extra(rest[name:]) if extra else {}
    header.end = position + 30 + name + extra
    header.comment, header.made, header.external, header.disk, header.offset = b"", 0, 0, 0, position
    if FULL32 in (header.size, header.packed) and 1 in header.extra:
        _widen(header, header.extra[1])
    return header


def read_central(window: Window, position: int) -> Header | None:
    """The central record at `position`, or None where none stands there in full."""
    fixed = window.at(position, 46)
    if len(fixed) < 46 or not fixed.startswith(CENTRAL):
        return None
    header = Header()
    (
        _,
        header.made,
        header.needed,
        header.flags,
        header.method,
        header.time,
        header.date,
        header.crc,
        header.packed,
        header.size,
        name,
        extra,
        comment,
        header.disk,
        _,
        header.external,
        header.offset,
    ) = CENTRAL_LAYOUT.unpack(fixed)
    rest = window.at(position + 46, name + extra + comment)
    if len(rest) < name:
        return None
    header.raw = rest[:name]
    header.extra = split_extra(rest[name : name + extra]) if extra else {}
    header.comment = rest[name + extra :] if comment else b""
    header.end = position + 46 + name + extra + comment
    if 1 in header.extra and (FULL32 in (header.size, header.packed, header.offset) or header.disk == FULL16):
        _widen(header, header.extra[1])
    return header


def _widen(header: Header, payload: bytes) -> None:
    """Takes from the zip64 extra what did not fit the header, in the order of section 4.5.3."""
    at = 0
    for name in ("size", "packed", "offset"):
        if getattr(header, name) == FULL32 and at + 8 <= len(payload):
            setattr(header, name, int.from_bytes(payload[at : at + 8], "little"))
            at += 8
    if header.disk == FULL16 and at + 4 <= len(payload):
        header.disk = int.from_bytes(payload[at : at + 4], "little")


def split_extra(extra: bytes) -> dict[int, bytes]:
    """Extra fields by their id, the first of each; what does not parse is left out."""
    found: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(extra):
        key = extra[at] | extra[at + 1] << 8
        length = extra[at + 2] | extra[at + 3] << 8
        found.setdefault(key, extra[at + 4 : at + 4 + length])
        at += 4 + length
    return found


def is_plausible(header: Header) -> bool:
    """Whether a local header that was found by its four bytes alone can be one."""
    return bool(header.raw) and (header.method in METHODS) and header.needed & 0xFF <= 100 and 0 not in header.raw


class Archive(Struct, frozen=True):
    """One end record and what it says; `base` is added to every offset in its records."""

    base: int
    central: int
    central_end: int
    end_record: int
    end: int
    members: int
    disk: int
    comment: bytes


def find_archive(stream: Stream, limit: int) -> Archive | None:
    """The last archive whose end record begins in the last 64 KiB before `limit`, if any."""
    start = max(0, limit - END_REACH)
    tail = stream.at(start, limit - start)
    at = tail.rfind(END)
    while at >= 0:
        if len(tail) - at >= 22:
            archive = _read_end(stream, start + at, tail[at : at + 22])
            if archive is not None:
                return archive
        at = tail.rfind(END, 0, at + 3) if at else -1
    return None


def _read_end(stream: Stream, position: int, record: bytes) -> Archive | None:
    _, disk, _, _, members, size, offset, comment_length = END_LAYOUT.unpack(record)
    comment = stream.at(position + 22, comment_length)
    end = position + 22 + len(comment)
    central_end = position
    locator = stream.at(position - 20, 20) if position >= 20 else b""
    if locator.startswith(LOCATOR64):
        _, _, far, _ = LOCATOR64_LAYOUT.unpack(locator)
        for place in (far, position - 20 - 56):
            wide = stream.at(place, 56) if 0 <= place < position else b""
            if len(wide) == 56 and wide.startswith(END64):
                _, _, _, _, disk64, _, _, members64, size64, offset64 = END64_LAYOUT.unpack(wide)
                # an end record may be wrong where it need not be right: only its full values give way
                members = members64 if members == FULL16 else members
                size = size64 if size == FULL32 else size
                offset = offset64 if offset == FULL32 else offset
                disk = disk64 if disk == FULL16 else disk
                central_end = place
                break
    if not members and not size:
        return Archive(max(0, central_end - offset), central_end, central_end, position, end, 0, disk, comment)
    for central in (central_end - size, offset):
        if 0 <= central < central_end and stream.at(central, 4) == CENTRAL:
            archive = Archive(central - offset, central, central_end, position, end, members, disk, comment)
            unmoved = replace(archive, base=0)
            return unmoved if leads_to_member(stream, unmoved) and not leads_to_member(stream, archive) else archive
    return None


def leads_to_member(stream: Stream, archive: Archive) -> bool:
    """Whether the first record of the directory leads to a local header; chance does not do that."""
    first = read_central(Window(stream, 512), archive.central)
    if first is None or not 0 <= archive.base + first.offset < stream.size:
        return False
    return stream.at(archive.base + first.offset, 4) == LOCAL
