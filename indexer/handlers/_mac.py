"""What a Macintosh keeps of a file beside its bytes: type, creator, the Finder's flags, dates, a second fork.

Source: Apple, "Inside Macintosh: Macintosh Toolbox Essentials", chapter 7 (Finder information).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

from indexer.decoding import decode
from indexer.model import Field, Timestamp, replace
from indexer.timestamps import from_hfs

FLAGS = (
    (0x0040, "shared"),
    (0x0400, "custom icon"),
    (0x0800, "stationery"),
    (0x1000, "name locked"),
    (0x2000, "bundle"),
    (0x4000, "invisible"),
    (0x8000, "alias"),
)
LABELS = ("", "gray", "green", "purple", "blue", "yellow", "red", "orange")
EASTERN = frozenset({"utf-8", "cp932", "shift_jis", "euc_jp", "cp949", "euc_kr", "gb18030", "gbk", "big5", "cp950"})
"""Codecs that are believed of a name: one of single bytes could be any, so that of the Macintosh is taken."""
FINDER = 10
"""Bytes of type, creator and flags."""

FIELDS: Mapping[str, str] = {
    "file.kind": "stream: a resource fork or an attribute, behind the file that it belongs to",
    "mac.type": "type of the file, four characters",
    "mac.creator": "program that made the file, four characters",
    "mac.flags": "what the Finder marks the file as",
    "mac.label": "colour that the Finder shows the file in",
    "mac.comment": "comment shown by the Finder",
}
RESOURCES = ":rsrc"
"""Behind the name of a file, for its resource fork."""


def finder_fields(finder: bytes) -> Iterator[Field]:
    """Type, creator and flags as they stand in ten bytes of the Finder's."""
    kind, creator, flags = struct.unpack(">4s4sH", finder[:FINDER].ljust(FINDER, b"\0"))
    for name, code in (("mac.type", kind), ("mac.creator", creator)):
        if code.strip(b"\0 "):
            yield Field(name, code.decode("mac_roman").replace("\0", " "))
    for bit, word in FLAGS:
        if flags & bit:
            yield Field("mac.flags", word)
    if label := LABELS[flags >> 1 & 7]:
        yield Field("mac.label", label)


def decode_name(raw: bytes) -> str:
    """A name in the system's own character set, which for plain Latin names is that of the Macintosh."""
    if raw.isascii():
        return raw.decode("ascii")
    read = decode(raw)
    return read.text if read.codec in EASTERN and not read.lossy else raw.decode("mac_roman")


def local_time(kind: str, seconds: int, origin: str) -> Timestamp | None:
    """Seconds since 1904 by the clock of a machine whose zone is not known."""
    stamp = from_hfs(kind, seconds, origin)
    return replace(stamp, zone_known=False) if stamp else None
