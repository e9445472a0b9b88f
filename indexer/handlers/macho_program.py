"""Programs and libraries of Apple's systems (Mach-O), for one processor or several: libraries, versions, signer.

Source: Apple, <mach-o/loader.h> and <mach-o/fat.h>; xnu, osfmk/kern/cs_blobs.h (signatures).
Limits: signatures are not verified; of debug data the names of source files are told; code is not taken apart.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from functools import partial
from io import BytesIO
from typing import ClassVar, Final

from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _macho
from indexer.handlers._macho import Macho, fat_parts, signature_blobs
from indexer.handlers._pe_signature import read_signature
from indexer.handlers._runs import carve
from indexer.handlers._streams import open_slice
from indexer.limits import MIB
from indexer.model import Child, Fact, Field, Problem, Text, Timestamp

_KINDS: Final = {
    1: "object",
    2: "program",
    4: "core",
    6: "library",
    7: "loader",
    8: "bundle",
    10: "symbols",
    11: "driver",
}
_MACHINES: Final = {
    7: "x86",
    0x1000007: "x64",
    12: "ARM",
    0x100000C: "ARM64",
    0x200000C: "ARM64_32",
    18: "PowerPC",
    0x1000012: "PowerPC 64",
}
_LIBRARIES: Final = frozenset((0x0C, 0x18, 0x1F, 0x20, 0x23))
_VERSIONS: Final = {0x24: "macOS", 0x25: "iOS", 0x2F: "tvOS", 0x30: "watchOS"}
_PLATFORMS: Final = {
    1: "macOS",
    2: "iOS",
    3: "tvOS",
    4: "watchOS",
    5: "bridgeOS",
    6: "Mac Catalyst",
    7: "iOS simulator",
    11: "visionOS",
}
_NAMES: Final = 1_000
_SIGNATURE: Final = 16 * MIB


class MachoProgram(Handler):
    name = "macho"
    media_types = ("application/x-mach-binary", "application/x-mach-fat-binary")
    signatures = tuple(Signature(magic) for magic in (*_macho.THIN, *_macho.FAT))
    suffixes = (".dylib", ".bundle", ".kext", ".dsym", ".o")
    fields: ClassVar[dict[str, str]] = {
        "macho.kind": "program, library, bundle, object ...",
        "macho.machine": "processor that it is for",
        "macho.needed": "library that it loads",
        "macho.name": "name that a library gives itself",
        "macho.rpath": "folder that libraries are looked for in",
        "macho.uuid": "identifier of this very build",
        "macho.minimum": "system that it needs at least",
        "macho.sdk": "version of the kit that it was built with",
        "macho.source_version": "version of its source, as it tells",
        "macho.source": "name of a source file or object",
        "macho.identifier": "identifier that it was signed under",
        "macho.team": "team that signed it",
        "macho.signer": "name in a certificate of its signature; not verified",
        "macho.encrypted": "its code is encrypted, as in the shop of apps",
        "file.offset": "where the program stands in the item",
    }
    reads = (
        "libraries, versions, identifier and signer, entitlements, settings inside, strings; each processor's program"
    )
    rank = 59
    container = True

    def claims(self, stream: Stream) -> str | None:
        if stream.head[:4] in _macho.THIN:
            return self.media_types[0] if len(stream.head) >= 28 else None
        parts = fat_parts(stream)
        fits = [part for part in parts if part.machine & 0xFFFFFF < 64 and 28 <= part.offset < stream.size]
        return self.media_types[1] if parts and len(fits) == len(parts) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        if stream.head[:4] in _macho.FAT:
            yield from _read_fat(stream)
            return
        program = Macho(stream)
        yield Field("macho.kind", _KINDS.get(program.kind, f"kind {program.kind}"))
        yield Field("macho.machine", _MACHINES.get(program.machine, f"machine {program.machine}"))
        told = count = end = 0
        for command in program.commands():
            count += 1
            end = max(end, program.segment_end(command))
            for fact in _tell(program, command):
                told += 1
                if told <= 4 * _NAMES:
                    yield fact
        yield from carve(stream)
        if count < program.count:
            yield Problem("corrupt", f"{count} of {program.count} commands make sense", resolution="read up to there")
        if end > stream.size:
            message = f"{stream.size} bytes where the commands tell of {end}"
            yield Problem("truncated", message, resolution="read as far as it goes")


def _read_fat(stream: Stream) -> Iterator[Fact]:
    yield Field("macho.kind", "programs for several processors")
    for part in fat_parts(stream):
        name = _MACHINES.get(part.machine, f"machine {part.machine}")
        yield Field("macho.machine", name)
        size = min(part.size, stream.size - part.offset)
        problems = () if size == part.size else (Problem("truncated", f"{part.size - size} bytes are missing"),)
        fields = (Field("file.offset", part.offset),)
        yield Child(name, name.encode(), open_slice(stream, part.offset, size), fields=fields, problems=problems)


def _tell(program: Macho, command: _macho.Command) -> Iterator[Fact]:
    kind, data = command
    if kind in _LIBRARIES:
        yield Field("macho.needed", program.text(data, 8))
    elif kind == 0x0D:
        yield Field("macho.name", program.text(data, 8))
    elif kind == 0x1C:
        yield Field("macho.rpath", program.text(data, 8))
    elif kind == 0x1B and len(data) >= 24:
        yield Field("macho.uuid", str(uuid.UUID(bytes=data[8:24])))
    elif kind in _VERSIONS:
        low, kit = program.numbers(data, 8, 2)
        yield Field("macho.minimum", f"{_VERSIONS[kind]} {_version(low)}")
        yield Field("macho.sdk", _version(kit))
    elif kind == 0x32:
        platform, low, kit = program.numbers(data, 8, 3)
        yield Field("macho.minimum", f"{_PLATFORMS.get(platform, f'platform {platform}')} {_version(low)}")
        yield Field("macho.sdk", _version(kit))
    elif kind == 0x2A and len(data) >= 16:
        number = int.from_bytes(data[8:16], "little" if program.order == "<" else "big")
        if number:
            steps = (number >> 40, *(number >> shift & 0x3FF for shift in (30, 20, 10, 0)))
            yield Field("macho.source_version", ".".join(map(str, steps)))
    elif kind in (0x21, 0x2C) and program.numbers(data, 16, 1)[0]:
        yield Field("macho.encrypted", True)
    elif kind in (0x01, 0x19):
        for name, offset, size in program.sections(data):
            if name == "__info_plist" and 0 < size < _SIGNATURE:
                raw = program.stream.at(offset, size).rstrip(b"\0")
                if not raw:
                    continue
                yield Child("Info.plist", b"Info.plist", partial(BytesIO, raw))
    elif kind == 0x02:
        names = dict.fromkeys(name for name, _ in zip(program.debug_names(data), range(_NAMES), strict=False))
        yield from (Field("macho.source", name) for name in names)
    elif kind == 0x1D:
        offset, size = program.numbers(data, 8, 2)
        yield from _signature(program.stream.at(offset, min(size, _SIGNATURE)))


def _version(number: int) -> str:
    last = number & 255
    return f"{number >> 16}.{number >> 8 & 255}" + (f".{last}" if last else "")


def _signature(data: bytes) -> Iterator[Fact]:
    told: set[str] = set()
    for kind, blob in signature_blobs(data):
        if kind == _macho.CODE_DIRECTORY:
            version, at = (int.from_bytes(blob[place : place + 4], "big") for place in (8, 20))
            team = int.from_bytes(blob[48:52], "big") if version >= 0x20200 else 0
            for name, place in (("identifier", at), ("team", team)):
                text = blob[place : place + 1000].split(b"\0")[0].decode("utf-8", "replace") if place else ""
                if text and text not in told:
                    told.add(text)
                    yield Field(f"macho.{name}", text)
        elif kind == _macho.ENTITLEMENTS:
            yield Text(blob[8:].decode("utf-8", "replace"), "entitlements")
        elif kind == _macho.CMS and (signed := read_signature(blob[8:])):
            yield from (Field("macho.signer", each.subject) for each in signed.certificates)
            yield from (Timestamp("signed", at, "macho.signature") for at in signed.times)
