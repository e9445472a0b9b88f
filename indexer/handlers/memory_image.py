"""Memory that Windows wrote to disk: hibernation files, crash dumps, page and swap files.

Source: the hibernation format as documented by M. Suiche; Microsoft, DUMP_HEADER and MINIDUMP_HEADER of the
Windows SDK and the debugger's documentation.
Limits: pages are not put together, and packed ones not unpacked: what stands readable in the file is read
    as strings. A page file has no mark of its own and is known by its name.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.handler import CONTROLS, Handler, Signature, Stream
from indexer.handlers._runs import carve
from indexer.model import Fact, Field, Problem
from indexer.timestamps import from_filetime, from_unix

_HIBERNATION: Final = (b"hibr", b"HIBR", b"wake", b"WAKE", b"RSTR", b"rstr", b"HORM")
_DUMPS: Final = (b"PAGEDU64", b"PAGEDUMP")
_MINI: Final = b"MDMP\x93\xa7"
_NAMES: Final = {"pagefile.sys": "page file", "swapfile.sys": "swap file", "hiberfil.sys": "hibernation file"}
_PAGE: Final = 4096


class MemoryImage(Handler):
    name = "memory-image"
    media_types = ("application/x-ms-memory-image", "application/x-dmp")
    signatures = (*(Signature(mark) for mark in (*_DUMPS, _MINI)), Signature(b""))
    suffixes = (".dmp", ".mdmp", ".hdmp", ".sys")
    holds = CONTROLS
    fields: ClassVar[dict[str, str]] = {
        "memory.kind": "hibernation file, crash dump, program dump, page file, swap file",
        "memory.state": "mark at its start: wake after use, hibr while asleep",
        "memory.version": "version of Windows that wrote a crash dump",
        "memory.stop_code": "number that Windows stopped with",
        "memory.streams": "number of streams in a program dump",
    }
    reads = "kind, time, stop code; readable strings"
    # Known by name only where nothing else claims the bytes.
    rank = 95
    uses_name = True

    def claims(self, stream: Stream) -> str | None:
        head = stream.head
        if head.startswith((*_DUMPS, _MINI)):
            return self.media_types[1]
        pages = stream.size >= _PAGE and not stream.size % _PAGE
        known = stream.name.lower() in _NAMES or (head.startswith(_HIBERNATION) and b"\0\0\0" in head[4:64])
        return self.media_types[0] if pages and known else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        head = stream.at(0, 8192)
        if head.startswith(_DUMPS):
            yield from _read_dump(head)
        elif head.startswith(_MINI):
            yield Field("memory.kind", "program dump")
            streams, seconds = struct.unpack_from("<8xI8xI", head.ljust(32, b"\0"))
            yield Field("memory.streams", streams)
            if seconds and (stamp := from_unix("dumped", seconds, "minidump.header")):
                yield stamp
        else:
            yield Field("memory.kind", _NAMES.get(stream.name.lower(), _NAMES["hiberfil.sys"]))
            if head.startswith(_HIBERNATION):
                yield Field("memory.state", head[:4].decode("ascii"))
        yield from carve(stream)
        yield Problem("unsupported", "memory pages are not put together", resolution="strings indexed")


def _read_dump(head: bytes) -> Iterator[Fact]:
    yield Field("memory.kind", "crash dump")
    wide = head.startswith(_DUMPS[0])
    code_at, time_at = (0x38, 0xFA8) if wide else (0x28, 0xFC0)
    if len(head) < time_at + 8:
        return
    major, minor = struct.unpack_from("<II", head, 8)
    yield Field("memory.version", f"{major}.{minor}")
    yield Field("memory.stop_code", f"0x{int.from_bytes(head[code_at : code_at + 4], 'little'):08X}")
    if stamp := from_filetime("dumped", int.from_bytes(head[time_at : time_at + 8], "little"), "dump.SystemTime"):
        yield stamp
