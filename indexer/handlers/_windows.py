"""Values that Windows files share: wide text, identifiers, the machine and moment inside an identifier.

Source: [MS-DTYP] 2.3.4 (GUID), 2.4.2 (SID); RFC 9562 section 5.1 (version 1 identifiers).
"""

from __future__ import annotations

import struct
import uuid
from datetime import UTC, datetime, timedelta

from indexer.decoding import decode
from indexer.model import Timestamp, print_time
from indexer.timestamps import from_filetime

_GREGORIAN = datetime(1582, 10, 15, tzinfo=UTC)


def wide(data: bytes) -> str:
    """UTF-16 text up to its first zero."""
    text = data[: len(data) & ~1].decode("utf-16-le", "replace")
    return text.partition("\0")[0]


def wide_at(data: bytes, at: int, most: int = 0) -> str:
    """UTF-16 text from `at` up to its first zero, or `most` bytes of it."""
    if not 0 <= at < len(data):
        return ""
    return wide(data[at : at + most] if most else data[at : at + 65536])


def narrow(data: bytes) -> str:
    """Text in a code page that is not named, up to its first zero; the likeliest reading."""
    data = data.partition(b"\0")[0]
    return data.decode("ascii") if data.isascii() else decode(data).text


def guid(data: bytes) -> str:
    """An identifier in braces, empty where fewer than 16 bytes are there or all are zero."""
    return f"{{{uuid.UUID(bytes_le=data[:16])}}}" if len(data) >= 16 and any(data[:16]) else ""


def sid(data: bytes) -> str:
    """A security identifier as `S-1-5-21-...`; empty where the bytes are none."""
    if len(data) < 8 or data[0] != 1 or data[1] > 15 or len(data) < 8 + 4 * data[1]:
        return ""
    parts = struct.unpack_from(f"<{data[1]}I", data, 8)
    return "-".join(("S-1", str(int.from_bytes(data[2:8], "big")), *map(str, parts)))


def maker_of(identifier: bytes) -> tuple[str, datetime | None]:
    """The network address and the moment that a version 1 identifier was made with; nothing of other ones."""
    if len(identifier) < 16:
        return "", None
    held = uuid.UUID(bytes_le=identifier[:16])
    if held.version != 1:
        return "", None
    # A set lowest bit marks a number that stands in for a network address.
    mac = "" if held.node >> 40 & 1 else ":".join(f"{each:02x}" for each in held.node.to_bytes(6, "big"))
    return mac, _GREGORIAN + timedelta(microseconds=held.time // 10)


def moment(ticks: int) -> str:
    """A FILETIME as text in UTC; empty where nothing was recorded."""
    stamp = from_filetime("", ticks, "")
    return print_time(stamp.at) if stamp else ""


def stamps(*found: Timestamp | None) -> tuple[Timestamp, ...]:
    """Those that were recorded."""
    return tuple(stamp for stamp in found if stamp)
