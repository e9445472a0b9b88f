"""The index of a git work tree: every path with its size and times as they were when it was last looked at.

Source: git's Documentation: gitformat-index (versions 2, 3, 4).
Limits: extensions (cached trees, resolved conflicts, untracked files) are named; split indexes hold a part.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._git import wall_clock
from indexer.handlers._rows import passages
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem
from indexer.names import decode_names
from indexer.timestamps import from_unix

_ENTRY: Final = struct.Struct(">10I20sH")
_MOST: Final = 512 * MIB


class GitIndex(Handler):
    name = "git-index"
    media_types = ("application/x-git-index",)
    signatures = (Signature(b"DIRC\0\0\0"),)
    fields: ClassVar[dict[str, str]] = {
        "git.version": "version of the layout",
        "git.entries": "paths in the index",
        "git.extension": "mark of an extension",
        "names.*": "how the names were decoded",
    }
    reads = "every path of a work tree with time, size, mode and object"
    rank = 40

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if stream.head[7:8] in (b"\2", b"\3", b"\4") else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        data = stream.at(0, min(stream.size, _MOST))
        version, count = struct.unpack_from(">II", data.ljust(12, b"\0"), 4)
        yield Field("git.version", version)
        yield Field("git.entries", count)
        entries: list[tuple[tuple[int, ...], bytes]] = []
        at, fault = 12, None
        try:
            for _ in range(count):
                at, values, name = _entry(data, at, version, entries[-1][1] if entries else b"")
                entries.append((values, name))
        except EvidenceError as error:
            fault = error.problem("", "read up to there")
        decided = decode_names([name for _, name in entries])
        yield from decided.fields()
        rows = (
            f"{name}\t{wall_clock(values[0], '+0000')}\t{values[1]}\t{values[2]:o}\t{values[3]:040x}"
            for name, (values, _) in zip(decided.names, entries, strict=True)
        )
        yield from passages(rows, "entries", heading="path\tmodified\tsize\tmode\tobject")
        if entries and (stamp := from_unix("last file modified", max(v[0] for v, _ in entries), "git.index")):
            yield stamp
        if fault:
            yield fault
            return
        while at + 28 <= len(data):
            mark, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "big")
            if not mark.isalpha():
                yield Problem("corrupt", f"no extension begins at {at}")
                return
            yield Field("git.extension", mark.decode("ascii", "replace"))
            at += 8 + size


def _entry(data: bytes, at: int, version: int, before: bytes) -> tuple[int, tuple[int, ...], bytes]:
    """The place behind an entry; its time, size, mode and object; its path."""
    if at + _ENTRY.size > len(data):
        raise EvidenceError("truncated", f"the index breaks off at {len(data)}")
    _, _, modified, _, _, _, mode, _, _, size, ident, flags = _ENTRY.unpack_from(data, at)
    begin = at
    at += _ENTRY.size + (2 if flags & 0x4000 and version >= 3 else 0)
    cut = 0
    if version == 4:
        value = -1
        while at < len(data):
            value = (value + 1) << 7 | data[at] & 0x7F
            at += 1
            if data[at - 1] < 0x80:
                break
        cut = value
    end = data.find(b"\0", at)
    if end < 0 or cut > len(before):
        raise EvidenceError("corrupt", f"no path at {at}")
    name = before[: len(before) - cut] + data[at:end] if version == 4 else data[at:end]
    behind = end + 1 if version == 4 else begin + (end - begin + 8) // 8 * 8
    return behind, (modified, size, mode, int.from_bytes(ident, "big")), name
