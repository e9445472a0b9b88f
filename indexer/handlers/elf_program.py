"""Programs and libraries of Linux and other Unixes (ELF): libraries, build id, compiler, source files, strings.

Source: System V ABI, chapters 4 and 5; Linux Standard Base, notes; elf(5); GDB manual, "Separate Debug Files".
Limits: of debug data the names are told, not lines or types; code is not taken apart; of cores the program, its
    arguments and the files that were open as memory are told, memory is searched for strings.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._elf import INTERP, Elf, open_elf
from indexer.handlers._runs import carve
from indexer.handlers._streams import slack
from indexer.model import Fact, Field, Problem, Text

_KINDS: Final = {1: "object", 2: "program", 3: "library", 4: "core"}
_MACHINES: Final = {
    2: "SPARC",
    3: "x86",
    8: "MIPS",
    20: "PowerPC",
    21: "PowerPC 64",
    22: "S/390",
    40: "ARM",
    42: "SuperH",
    43: "SPARC 64",
    62: "x64",
    183: "ARM64",
    243: "RISC-V",
    247: "BPF",
    258: "LoongArch",
}
_DYNAMIC: Final = {1: "needed", 14: "soname", 15: "rpath", 29: "rpath"}
_PATH: Final = re.compile(
    rb"(?:/|[A-Za-z]:[\\/]|\./|\.\./)[^\0]{2,400}|[^\0/]{1,200}\.(?:c|cc|cpp|cxx|rs|go|f90|zig|d|m)(?=\0)"
)
_CORE_FILES: Final = 0x46494C45
_PACKAGE: Final = 0xCAFE1A7E
_MOST: Final = 1_000
_OVERLAY: Final = 16


class ElfProgram(Handler):
    name = "elf"
    media_types = (
        "application/x-elf",
        "application/x-executable",
        "application/x-pie-executable",
        "application/x-sharedlib",
        "application/x-object",
        "application/x-coredump",
    )
    signatures = (Signature(b"\x7fELF"),)
    suffixes = (".so", ".o", ".ko", ".elf", ".axf", ".core")
    fields: ClassVar[dict[str, str]] = {
        "elf.kind": "program, library, object, core",
        "elf.machine": "processor that it is for, and how many bits",
        "elf.interpreter": "program that loads it",
        "elf.needed": "name of a library that it loads",
        "elf.soname": "name that a library gives itself",
        "elf.rpath": "folders that libraries are looked for in",
        "elf.build_id": "identifier of this very build",
        "elf.debug_link": "name of the file with its debug data",
        "elf.compiler": "compiler that a part was made with, as it tells",
        "elf.source": "name of a source file or folder",
        "elf.module": "what a module of the kernel tells of itself",
        "elf.package": "package that it came with, as it tells",
        "elf.stripped": "the table of symbols was taken out",
        "elf.command": "program that a core is of, with its arguments",
        "elf.mapped": "file that was open as memory in a core",
        "file.kind": "slack: bytes that stand behind the program",
        "file.offset": "where those bytes stand in the item",
    }
    reads = "libraries, build id, compiler, source files, strings; what follows the program"
    # Behind every archive: a self-extracting one is an archive first.
    rank = 59
    container = True

    def claims(self, stream: Stream) -> str | None:
        elf = open_elf(stream)
        if elf is None:
            return None
        is_pie = elf.header.kind == 3 and any(each.kind == INTERP for each in elf.segments)
        kinds = {1: 4, 2: 1, 3: 2 if is_pie else 3, 4: 5}
        return self.media_types[kinds.get(elf.header.kind, 0)]

    def read(self, stream: Stream) -> Iterator[Fact]:
        elf = open_elf(stream)
        if elf is None:
            raise EvidenceError("corrupt", "the header is none of a program")
        kind = _KINDS.get(elf.header.kind, f"kind {elf.header.kind}")
        if kind == "library" and any(each.kind == INTERP for each in elf.segments):
            kind = "program"
        yield Field("elf.kind", kind)
        machine = _MACHINES.get(elf.header.machine, f"machine {elf.header.machine}")
        yield Field("elf.machine", f"{machine}, {32 * elf.bits} bits")
        for each in elf.segments:
            if each.kind == INTERP:
                yield Field(
                    "elf.interpreter",
                    elf.at(each.offset, min(each.size, 4096)).rstrip(b"\0").decode("utf-8", "replace"),
                )
        for number, (tag, text) in enumerate(elf.dynamic()):
            if text and number < _MOST:
                yield Field(f"elf.{_DYNAMIC[tag]}", text)
        yield from _notes(elf)
        yield from _sections(elf)
        if kind in ("program", "library") and not any(each.kind == 2 for each in elf.sections):
            yield Field("elf.stripped", True)
        yield from carve(stream)
        yield from _debug(elf)
        yield from _ending(stream, elf)


def _notes(elf: Elf) -> Iterator[Fact]:
    for owner, kind, data in elf.notes():
        if owner == b"GNU" and kind == 3:
            yield Field("elf.build_id", data[:64].hex())
        elif owner == b"Go" and kind == 4:
            yield Field("elf.build_id", data[:200].decode("utf-8", "replace"))
        elif owner == b"FDO" and kind == _PACKAGE:
            yield Field("elf.package", data[:4000].rstrip(b"\0").decode("utf-8", "replace"))
        elif owner == b"CORE" and kind == 3:
            at = 40 if elf.bits == 2 else 28
            name, arguments = (part.split(b"\0")[0] for part in (data[at : at + 16], data[at + 16 : at + 96]))
            yield Field("elf.command", (arguments.strip() or name).decode("utf-8", "replace"))
        elif owner == b"CORE" and kind == _CORE_FILES:
            width = 8 if elf.bits == 2 else 4
            count = struct.unpack_from("<Q" if width == 8 else "<I", data.ljust(8, b"\0"))[0]
            names = data[width * (2 + 3 * min(count, len(data))) :].split(b"\0")
            yield from (
                Field("elf.mapped", each.decode("utf-8", "replace")) for each in dict.fromkeys(names[:_MOST]) if each
            )


def _sections(elf: Elf) -> Iterator[Fact]:
    comments = dict.fromkeys(elf.section(".comment").split(b"\0"))
    yield from (Field("elf.compiler", each.decode("utf-8", "replace")) for each in list(comments)[:_MOST] if each)
    if link := elf.section(".gnu_debuglink").split(b"\0")[0]:
        yield Field("elf.debug_link", link[:1000].decode("utf-8", "replace"))
    for each in elf.section(".modinfo").split(b"\0")[:_MOST]:
        if each:
            yield Field("elf.module", each.decode("utf-8", "replace"))
    names = dict.fromkeys(elf.source_files())
    for data in (elf.section(".debug_line_str"), elf.section(".debug_str")):
        for match in _PATH.finditer(data):
            if data[match.start() - 1 : match.start()] in (b"", b"\0") and len(names) < _MOST:
                names[match[0].decode("utf-8", "replace")] = None
    yield from (Field("elf.source", name) for name in list(names)[:_MOST])


def _debug(elf: Elf) -> Iterator[Fact]:
    """Names in debug data that is packed: what is not packed was found among the strings."""
    for each in elf.sections:
        if each.name in (".debug_str", ".debug_line_str") and each.flags & 0x800:
            text = elf.section(each.name).replace(b"\0", b"\n").decode("utf-8", "replace")
            yield Text(text, f"names in {each.name}")


def _ending(stream: Stream, elf: Elf) -> Iterator[Fact]:
    if elf.end > stream.size:
        message = f"{stream.size} bytes where the headers tell of {elf.end}"
        yield Problem("truncated", message, resolution="read as far as it goes")
    over = stream.size - elf.end
    if over >= _OVERLAY and stream.at(elf.end, 4096).strip(b"\0"):
        yield slack(stream, elf.end, over, "[after the program]")
