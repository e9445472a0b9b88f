"""Programs and libraries of Windows and DOS: version, maker, debug path, imports, signer, readable strings.

Source: Microsoft, "PE Format" (PE/COFF specification, revision 11); VS_VERSIONINFO as in the Windows SDK.
Limits: signatures are not verified; code is not taken apart; icons and dialogs are not resources of their
    own; of programs for DOS, OS/2 and 16-bit Windows the kind and the strings are read. What archive
    handlers claim (self-extracting zip, 7z, rar) is theirs.
"""

from __future__ import annotations

import io
from collections.abc import Generator, Iterator
from typing import ClassVar, Final

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers import _pe, _refs
from indexer.handlers._pe_signature import read_signature
from indexer.handlers._runs import carve
from indexer.handlers._streams import open_slice
from indexer.limits import MIB
from indexer.model import Child, Fact, Field, Problem, Text, Timestamp
from indexer.timestamps import from_unix

_MACHINES: Final = {0x14C: "x86", 0x8664: "x64", 0xAA64: "ARM64", 0x1C0: "ARM", 0x1C4: "ARM", 0x200: "Itanium"}
_SUBSYSTEMS: Final = {1: "native", 2: "graphical", 3: "console", 9: "Windows CE", 10: "EFI", 11: "EFI", 12: "EFI"}
_VERSION: Final = {
    "CompanyName": "company",
    "ProductName": "product",
    "ProductVersion": "product_version",
    "FileVersion": "file_version",
    "FileDescription": "description",
    "InternalName": "internal_name",
    "OriginalFilename": "original_filename",
    "LegalCopyright": "copyright",
    "LegalTrademarks": "trademarks",
    "Comments": "comments",
    "PrivateBuild": "private_build",
    "SpecialBuild": "special_build",
    "FixedFileVersion": "fixed_file_version",
    "FixedProductVersion": "fixed_product_version",
}
_EMBEDDED: Final = (
    b"MSCF",
    b"PK\3\4",
    b"7z\xbc\xaf\x27\x1c",
    b"Rar!\x1a\x07",
    b"MZ",
    b"%PDF-",
    b"\x1f\x8b\x08",
    b"\xd0\xcf\x11\xe0",
    b"\x89PNG\r\n",
    b"\xff\xd8\xff",
)
"""How a resource begins that is a file of its own."""
_DELPHI: Final = 0x2A425E19
"""The compile time that one compiler writes into every program."""
_SLACK: Final = 16
_HELD: Final = 64 * MIB
_SIGNATURE: Final = 4 * MIB


class PortableExecutable(Handler):
    name = "pe"
    media_types = (
        "application/vnd.microsoft.portable-executable",
        "application/x-dosexec",
        "application/x-msdownload",
        "application/x-ms-ne-executable",
    )
    signatures = (Signature(b"MZ"),)
    suffixes = (".exe", ".dll", ".sys", ".ocx", ".scr", ".cpl", ".drv", ".efi", ".mui", ".com", ".ax", ".tsp")
    fields: ClassVar[dict[str, str]] = {
        "pe.kind": "program, library, or the kind of an older program",
        "pe.machine": "processor that it is for",
        "pe.subsystem": "graphical, console, native ...",
        "pe.dotnet": "the code is .NET",
        "pe.section": "name of a section",
        "pe.import": "name of a library that it loads",
        "pe.export_name": "name that a library gives itself",
        "pe.pdb": "path of the debug file on the machine that built it",
        "pe.pdb_id": "identifier and age of the debug file",
        "pe.reproducible": "the compile time is a digest of the content, no time",
        "pe.time_stamp": "the compile time as it stands in the header, in hex",
        "pe.language": "language and code page of the version texts, in hex",
        "pe.company": "company by the version resource",
        "pe.product": "product by the version resource",
        "pe.product_version": "version of the product, as text",
        "pe.file_version": "version of the file, as text",
        "pe.fixed_file_version": "version of the file, as numbers",
        "pe.fixed_product_version": "version of the product, as numbers",
        "pe.description": "description by the version resource",
        "pe.internal_name": "internal name by the version resource",
        "pe.original_filename": "file name that it was built under",
        "pe.copyright": "copyright by the version resource",
        "pe.trademarks": "trademarks by the version resource",
        "pe.comments": "comments of the version resource",
        "pe.private_build": "mark of a private build",
        "pe.special_build": "mark of a special build",
        "pe.version.*": "any other text of the version resource, by the Latin letters of its name",
        "pe.signer": "owner of the certificate that signed it; not verified",
        "pe.certificate": "owner of another certificate in the signature",
        "pe.overlay": "bytes behind the last section, as size @ offset",
        "refers_to": "path or name of another file that this one uses",
        "file.kind": "slack: bytes that stand behind the program",
        "file.offset": "where those bytes stand in the item",
    }
    reads = (
        "version texts, debug path, compile time, imports, signer, strings; files among its resources, what follows it"
    )
    # Behind every archive: a self-extracting one is an archive first.
    rank = 59
    container = True

    def claims(self, stream: Stream) -> str | None:
        _, mark = _pe.find_header(stream)
        if mark == b"PE":
            return self.media_types[0]
        if mark:
            return self.media_types[3]
        head = stream.head
        return self.media_types[1] if len(head) > 32 and b"\0" in head[2:32] else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        _, mark = _pe.find_header(stream)
        if mark != b"PE":
            yield Field("pe.kind", {b"NE": "16-bit Windows", b"": "DOS"}.get(mark, "OS/2"))
            yield from carve(stream)
            return
        program = _pe.read_program(stream)
        if not program.machine:
            raise EvidenceError("truncated", program.fault or "the header names no processor")
        yield from _header(program)
        yield from _made(program)
        yield from _resources(program)
        end = yield from _signature(program)
        yield from carve(_part(stream, min(program.end, stream.size)))
        yield from _overlay(program, end)
        if program.fault:
            raise EvidenceError("truncated", program.fault)


def _header(program: _pe.Program) -> Iterator[Fact]:
    yield Field("pe.kind", "library" if program.flags & 0x2000 else "program")
    yield Field("pe.machine", _MACHINES.get(program.machine, hex(program.machine)))
    yield Field("pe.subsystem", _SUBSYSTEMS.get(program.subsystem, str(program.subsystem)))
    if program.directory(_pe.CLR)[0]:
        yield Field("pe.dotnet", True)
    for name in dict.fromkeys(
        section.name for section in program.sections if section.name and section.name.isprintable()
    ):
        yield Field("pe.section", name)
    for name in dict.fromkeys(_pe.libraries(program)):
        yield Field("pe.import", name)
    if name := _pe.export_name(program):
        yield Field("pe.export_name", name)


def _made(program: _pe.Program) -> Iterator[Fact]:
    """When and where it was built."""
    repro = False
    for kind, value in _pe.debug_entries(program):
        repro = repro or kind == "repro"
        if kind == "pdb" and value:
            yield Field("pe.pdb", value)
            yield Field("refers_to", value)
            yield Text(value, "debug path")
        elif kind == "id":
            yield Field("pe.pdb_id", value)
    yield Field("pe.time_stamp", f"{program.time:08x}")
    if repro:
        yield Field("pe.reproducible", True)
    elif program.time not in (0, 0xFFFFFFFF, _DELPHI) and (
        stamp := from_unix("compiled", program.time, "pe.TimeDateStamp")
    ):
        yield stamp


def _resources(program: _pe.Program) -> Iterator[Fact]:
    """The version texts, and resources that are files of their own."""
    languages = _refs.Once("pe.language", 50)
    for leaf in _pe.resources(program):
        if leaf.offset < 0 or not leaf.size:
            continue
        if leaf.path[0] == "16":
            lines = []
            for language, key, value in _pe.version_strings(program.stream.at(leaf.offset, min(leaf.size, MIB))):
                yield from languages.fields((language,))
                plain = "".join(letter for letter in key.lower() if letter.isascii() and letter.isalnum())
                name = _VERSION.get(key) or f"version.{plain[:80] or 'other'}"
                yield Field(f"pe.{name}", value)
                lines.append(f"{key}: {value}")
            yield Text("\n".join(lines), "version")
        elif leaf.path[0] not in ("1", "3") and program.stream.at(leaf.offset, 8).startswith(_EMBEDDED):
            name = "resource " + "/".join(leaf.path)
            size = min(leaf.size, program.stream.size - leaf.offset)
            if size > 0:
                yield Child(name, name.encode("utf-8", "surrogatepass"), open_slice(program.stream, leaf.offset, size))


def _signature(program: _pe.Program) -> Generator[Fact, None, int]:
    """The names in the signature; gives the place where the signature begins, or the end of the file."""
    at, size = program.directory(_pe.SECURITY)
    if not at or not size or at >= program.stream.size:
        return program.stream.size
    head = program.stream.at(at, 8)
    if len(head) < 8 or head[6:8] != b"\2\0":
        return program.stream.size
    length = min(int.from_bytes(head[:4], "little"), size, _SIGNATURE)
    signature = read_signature(program.stream.at(at + 8, length - 8))
    if signature is None:
        yield Problem("corrupt", f"the signature at {at} cannot be read", resolution="left out")
        return at
    for each in signature.certificates:
        signed = each.serial in signature.signers
        yield Field("pe.signer" if signed else "pe.certificate", each.subject or each.serial)
    for moment in dict.fromkeys(signature.times):
        yield Timestamp("signed", moment, "pe.signature")
    if names := [each.subject for each in signature.certificates if each.subject]:
        yield Text("\n".join(names), "signature")
    return at


def _overlay(program: _pe.Program, end: int) -> Iterator[Fact]:
    """What stands between the last section and the signature, or behind the signature."""
    at = program.end
    if at >= end:
        return
    size = end - at
    if size < _SLACK or not program.stream.at(at, 4096).strip(b"\0"):
        return
    yield Field("pe.overlay", f"{size} @ {at}")
    name = "[after the program]"
    fields = (Field("file.kind", "slack"), Field("file.offset", at))
    yield Child(name, name.encode(), open_slice(program.stream, at, size), fields=fields)


def _part(stream: Stream, end: int) -> Stream:
    """The program without what follows it, where that is not too much to hold."""
    if end >= stream.size or end > _HELD:
        return stream
    return Stream(io.BytesIO(stream.at(0, end)), limits=stream.limits)
