"""Prefetch files: which program was started, how often, when last, from which volume, and what it opened.

Source: the prefetch format as documented by libscca (versions 17, 23, 26, 30, 31); [MS-XCA] 2.1.
Limits: traces of pages are not read; files over 64 MiB are read up to there.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import ClassVar, Final, NamedTuple

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._windows import moment, wide
from indexer.handlers._xpress import unpack
from indexer.limits import MIB
from indexer.model import Fact, Field, Problem, Text
from indexer.timestamps import from_filetime

_WHOLE: Final = 64 * MIB
_NAMES: Final = 5_000
_VOLUMES: Final = 64


class _Layout(NamedTuple):
    """Where a version keeps its run times and their count, and how long the row of a volume is."""

    times: int
    most: int
    runs: int
    volume: int


_LAYOUTS: Final = {
    17: _Layout(120, 1, 144, 40),
    23: _Layout(128, 1, 152, 104),
    26: _Layout(128, 8, 208, 104),
    30: _Layout(128, 8, 208, 96),
    31: _Layout(128, 8, 208, 96),
}
_SYSTEMS: Final = {
    17: "Windows XP",
    23: "Windows Vista or 7",
    26: "Windows 8",
    30: "Windows 10",
    31: "Windows 10 or 11",
}


class Prefetch(Handler):
    name = "prefetch"
    media_types = ("application/x-ms-prefetch",)
    signatures = (Signature(b"SCCA", 4), Signature(b"MAM\x04"))
    suffixes = (".pf",)
    fields: ClassVar[dict[str, str]] = {
        "prefetch.program": "file name of the program that was started",
        "prefetch.hash": "digest of the program's path, as in the file's own name",
        "prefetch.version": "version of the format, with the Windows that writes it",
        "prefetch.runs": "how often it was started",
        "prefetch.volume": "device path and serial number of a volume that it used",
        "refers_to": "path or name of another file that this one uses",
    }
    reads = "program, run count, last run times, volumes, files and folders used; packed ones too"
    rank = 40

    def claims(self, stream: Stream) -> str | None:
        head = stream.head
        packed = head.startswith(b"MAM\x04") and len(head) > 264
        known = head[4:8] == b"SCCA" and int.from_bytes(head[:4], "little") < 100
        return self.media_types[0] if packed or known else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        data = stream.at(0, _WHOLE)
        declared = struct.unpack_from("<I", data.ljust(16, b"\0"), 12)[0]
        if data.startswith(b"MAM\x04"):
            (declared,) = struct.unpack_from("<I", data, 4)
            data = bytes(unpack(data[8:], min(declared, _WHOLE)))
        if len(data) < 84 or data[4:8] != b"SCCA":
            raise EvidenceError("corrupt", "the header cannot be read")
        yield from _read_header(data)
        yield from _read_lists(data)
        if len(data) < declared:
            message = f"{declared - len(data)} of {declared} bytes are missing"
            yield Problem("truncated", message, resolution="read up to there")


def _read_header(data: bytes) -> Iterator[Fact]:
    (version,) = struct.unpack_from("<I", data)
    program, digest = wide(data[16:76]), int.from_bytes(data[76:80], "little")
    yield Field("prefetch.program", program)
    yield Field("prefetch.hash", f"{digest:08X}")
    yield Field("prefetch.version", f"{version} ({_SYSTEMS.get(version, 'unknown')})")
    layout = _LAYOUTS.get(version)
    if layout is None:
        yield Problem("unsupported", f"version {version}", resolution="only the header was read")
        return
    # The later form of versions 30 and 31 has a shorter header: its metrics begin 8 bytes earlier.
    short = version >= 30 and int.from_bytes(data[84:88], "little") == 296
    count_at = layout.runs - 8 * short
    lines = [program]
    if len(data) >= count_at + 4:
        count = int.from_bytes(data[count_at : count_at + 4], "little")
        yield Field("prefetch.runs", count)
        lines.append(f"run {count} times")
    for at in range(layout.times, layout.times + 8 * layout.most, 8):
        ticks = int.from_bytes(data[at : at + 8], "little") if len(data) >= at + 8 else 0
        if stamp := from_filetime("executed", ticks, "prefetch.last_run"):
            yield stamp
            lines.append(f"run at {moment(ticks)}")
    yield Text("\n".join(lines), "program")


def _read_lists(data: bytes) -> Iterator[Fact]:
    """The files that were opened, and the volumes with their folders."""
    if len(data) < 120:
        return
    layout = _LAYOUTS.get(int.from_bytes(data[:4], "little"))
    names_at, names_size, volumes_at, volumes, volumes_size = struct.unpack_from("<5I", data, 100)
    names = _texts(data[names_at : names_at + names_size])
    for name in names[:_NAMES]:
        yield Field("refers_to", name)
    if names:
        yield Text("\n".join(names), "files")
    if layout is None:
        return
    block = data[volumes_at : volumes_at + volumes_size]
    for number in range(min(volumes, _VOLUMES)):
        row = block[number * layout.volume : (number + 1) * layout.volume]
        if len(row) < layout.volume:
            yield Problem("corrupt", f"volume {number + 1} lies outside of the file", resolution="left out")
            return
        path_at, path_chars, ticks, serial = struct.unpack_from("<IIQI", row)
        folders_at, folders = struct.unpack_from("<II", row, 28)
        path = wide(block[path_at : path_at + 2 * path_chars])
        yield Field("prefetch.volume", f"{path} {serial >> 16:04X}-{serial & 0xFFFF:04X}")
        if stamp := from_filetime("volume_born", ticks, "prefetch.volume"):
            yield stamp
        if held := _folders(block, folders_at, folders):
            yield Text("\n".join(held), f"folders of volume {number + 1}")


def _texts(data: bytes) -> list[str]:
    text = data[: len(data) & ~1].decode("utf-16-le", "replace")
    return [name for name in text.split("\0") if name]


def _folders(block: bytes, at: int, count: int) -> list[str]:
    """Names with their length in front, one behind the other."""
    found: list[str] = []
    while len(found) < count and at + 2 <= len(block):
        size = 2 * int.from_bytes(block[at : at + 2], "little")
        if name := wide(block[at + 2 : at + 2 + size]):
            found.append(name)
        at += size + 4
    return found
