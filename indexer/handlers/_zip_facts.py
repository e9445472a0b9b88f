"""What the headers of a zip member say beside its bytes: name, times, mode, origin, comment.

Source: APPNOTE.TXT 6.3.10 sections 4.4.2, 4.4.15, 4.5.5, 4.6.9; Info-ZIP extra fields 0x5455, 0x5855,
0x7855 and 0x7875 (extrafld.txt).
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Iterator
from functools import lru_cache

from indexer.handlers._zip_records import HOSTS, UTF8, Header, method_name
from indexer.model import Field, Timestamp
from indexer.timestamps import from_dos, from_filetime, from_unix

UNIX_HOSTS = (3, 19)
"""Hosts whose external attributes hold a Unix mode in the upper half."""
DOS_FOLDER = 0x10


def unicode_extra(header: Header, key: int, raw: bytes) -> str | None:
    """The name (0x7075) or comment (0x6375) in UTF-8, where its checksum says that it belongs to `raw`."""
    payload = header.extra.get(key)
    if not payload or len(payload) < 6 or payload[0] != 1:
        return None
    if int.from_bytes(payload[1:5], "little") != zlib.crc32(raw):
        return None
    try:
        return payload[5:].decode("utf-8")
    except UnicodeDecodeError:
        return None


def settled_name(header: Header) -> str | None:
    """The name where the header itself says how to decode it, else None."""
    raw = header.raw
    if raw.isascii() and b"\x1b" not in raw:
        return raw.decode("ascii")
    if header.flags & UTF8:
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            pass  # the flag is wrong: the name votes with the others
    return unicode_extra(header, 0x7075, raw) if 0x7075 in header.extra else None


def mode_of(header: Header) -> int:
    """The Unix mode, or 0 where none is recorded."""
    return header.external >> 16 if header.made >> 8 in UNIX_HOSTS else 0


def kind_of(header: Header) -> str:
    """`directory`, `symlink`, another special kind, or an empty string for a file."""
    kind = stat.S_IFMT(mode_of(header))
    if kind and kind not in (stat.S_IFREG, stat.S_IFDIR):
        return _KINDS.get(kind, "")
    if header.raw.endswith(b"/") or kind == stat.S_IFDIR:
        return "directory"
    dos = header.made >> 8 in (0, 6, 10, 11, 14)
    return "directory" if dos and header.external & DOS_FOLDER and header.raw.endswith(b"\\") else ""


_KINDS = {
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "character-device",
    stat.S_IFBLK: "block-device",
}


@lru_cache(maxsize=4096)
def _dos(date: int, time: int) -> tuple[Timestamp, ...]:
    stamp = from_dos("M", date, time, "zip.dos")
    return (stamp,) if stamp else ()


def timestamps_of(header: Header, local: Header | None) -> tuple[Timestamp, ...]:
    """Every recorded time, the local header's extras first: they hold more than the central ones."""
    stamps = _dos(header.date, header.time)
    local_extra = local.extra if local else {}
    if not header.extra and not local_extra:
        return stamps
    found = dict.fromkeys((*_extra_times(local_extra), *_extra_times(header.extra)))
    return (*stamps, *found)


def _extra_times(extra: dict[int, bytes]) -> Iterator[Timestamp]:
    if payload := extra.get(0x5455):
        at = 1
        for bit, kind in ((1, "M"), (2, "A"), (4, "B")):
            if payload[0] & bit and at + 4 <= len(payload):
                yield from _unix(kind, payload, at, "zip.extended")
                at += 4
    payload = extra.get(0x000A, b"")
    at = 4
    while at + 4 <= len(payload):
        tag, length = struct.unpack_from("<2H", payload, at)
        if tag == 1 and length >= 24 and at + 28 <= len(payload):
            for kind, ticks in zip("MAB", struct.unpack_from("<3Q", payload, at + 4), strict=True):
                stamp = from_filetime(kind, ticks, "zip.ntfs")
                if stamp:
                    yield stamp
        at += 4 + length
    if len(payload := extra.get(0x5855, b"")) >= 8:
        yield from _unix("A", payload, 0, "zip.unix")
        yield from _unix("M", payload, 4, "zip.unix")


def _unix(kind: str, payload: bytes, at: int, origin: str) -> Iterator[Timestamp]:
    stamp = from_unix(kind, struct.unpack_from("<i", payload, at)[0], origin)
    if stamp:
        yield stamp


@lru_cache(maxsize=1024)
def _labels(method: int, made: int, mode: int) -> tuple[Field, ...]:
    found = [Field("zip.method", method_name(method))]
    if made >= 0:
        host = HOSTS.get(made >> 8, f"host-{made >> 8}")
        found.append(Field("zip.made_by", f"{(made & 0xFF) / 10:.1f} {host}"))
    if mode:
        found.append(Field("file.mode", f"{mode & 0o7777:04o}"))
    return tuple(found)


def fields_of(method: int, header: Header, *, central: bool) -> tuple[Field, ...]:
    """Method, writer, mode and owner."""
    fields = _labels(method, header.made if central else -1, mode_of(header))
    return (*fields, *_owner(header.extra)) if header.extra else fields


def _owner(extra: dict[int, bytes]) -> Iterator[Field]:
    payload = extra.get(0x7875, b"")
    if payload[:1] == b"\x01" and len(payload) >= 3:
        at = 1
        for name in ("file.uid", "file.gid"):
            if at < len(payload):
                length = payload[at]
                value = payload[at + 1 : at + 1 + length]
                if length and len(value) == length <= 8:
                    yield Field(name, int.from_bytes(value, "little"))
                at += 1 + length


def differences(central: Header, local: Header, *, streamed: bool) -> list[str]:
    """What the two headers of one member disagree on, in words."""
    found = []
    if central.raw != local.raw:
        found.append(f"name: {_show(central.raw)} in the directory, {_show(local.raw)} at the data")
    if central.method != local.method:
        found.append(f"method: {method_name(central.method)}, {method_name(local.method)}")
    if (central.flags ^ local.flags) & 1:
        found.append(f"encrypted: {bool(central.flags & 1)}, {bool(local.flags & 1)}")
    for label, one, other in (
        ("packed size", central.packed, local.packed),
        ("size", central.size, local.size),
        ("crc", central.crc, local.crc),
    ):
        # where a descriptor follows, the local header may leave these at zero
        if one != other and not (streamed and other in (0, 0xFFFFFFFF)):
            found.append(f"{label}: {one}, {other}")
    return found


def _show(raw: bytes) -> str:
    return repr(raw.decode("utf-8", "backslashreplace")[:200])
