"""Installers made with Inno Setup: name, version and maker of what they install, strings of the header, names of files.

The names come from the optional program `innoextract`, which lists what it could unpack. It is not asked to
unpack: it writes files, under names that the evidence chooses.

Source: Inno Setup 5 and 6, Projects/Src/Struct.pas (TSetupHeader) and Compress.pas (the compressed block);
innoextract(1) 1.9, `--list --silent`: one name a line.
Limits: the files are named, not unpacked; the lists behind the header are given as bytes; encrypted headers are told.
"""

from __future__ import annotations

import lzma
import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import ClassVar

from indexer.errors import EvidenceError
from indexer.handler import Handler, Signature, Stream
from indexer.handlers._programs import run_program
from indexer.handlers._streams import open_chunks
from indexer.limits import MIB
from indexer.model import Child, Fact, Field, Problem, Text

MARK = b"Inno Setup Setup Data ("
SIGNATURE = re.compile(rb"Inno Setup Setup Data \(([0-9]+(?:\.[0-9]+){2,3})[a-z]?\)( \([uU]\))?")
SIGNATURE_SIZE = 64
CHUNK = 4096
"""Bytes of the packed header behind each CRC-32."""
MOST_HEADER = 64 * MIB
NAMES = ("inno.product", "inno.product_version_name", "inno.id", "inno.copyright", "inno.maker", "inno.address")
"""The first strings of the header, in every version since 3."""
MOST_STRINGS = 24
"""Every version of its time has more than these before its numbers."""
SCAN = 1 << 20
LIST = ("--list", "--silent", "--")
MOST_NAME = 64 * 1024


class InnoSetup(Handler):
    name = "inno"
    version = 2
    media_types = ("application/x-inno-setup",)
    signatures = (Signature(b"zlb\x1a"), Signature(b"idska32\x1a"), Signature(MARK))
    suffixes = ()
    fields: ClassVar[Mapping[str, str]] = {
        "inno.version": "version of Inno Setup that made the installer",
        "inno.product": "name of the product",
        "inno.product_version_name": "name and version of the product",
        "inno.id": "identifier of the product",
        "inno.copyright": "copyright of the product",
        "inno.maker": "its maker",
        "inno.address": "its maker's address on the web",
        "file.kind": "listed-file, for a file that is named and not unpacked",
    }
    reads = "name, version and maker of the product; strings of the header; names of the files, by innoextract"
    needs = ("program:innoextract",)
    rank = 56
    container = True

    def claims(self, stream: Stream) -> str | None:
        return self.media_types[0] if _find(stream) is not None else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        found = _find(stream)
        if found is None:
            raise EvidenceError("corrupt", "no header of Inno Setup is here")
        at, version, wide = found
        yield Field("inno.version", version)
        try:
            header = _unpack(stream, at + SIGNATURE_SIZE, tuple(int(part) for part in version.split(".")))
        except (lzma.LZMAError, zlib.error) as error:
            raise EvidenceError("corrupt", f"the header of Inno Setup does not unpack: {error}"[:200]) from error
        texts = list(_strings(header, wide))
        for name, text in zip(NAMES, texts, strict=False):
            if text:
                yield Field(name, text)
        if len(texts) < len(NAMES):
            yield Problem("corrupt", "the strings of the header do not add up")
        yield Text("\n".join(text for text in texts if text), "header")
        yield Child("[setup header]", b"[setup header]", lambda: open_chunks(iter((header,))))
        yield from _list_files(stream)


def _list_files(stream: Stream) -> Iterator[Fact]:
    """The files, by their names alone."""
    named = 0
    with stream.path() as path:
        printed = run_program("innoextract", (*LIST, path), int(path.rsplit("/", 1)[1]))
        with closing(printed):
            ended = 0
            rest = b""
            while True:
                try:
                    *lines, rest = (rest + next(printed)).split(b"\n")
                except StopIteration as end:
                    ended = end.value
                    break
                for line in lines:
                    if line:
                        named += 1
                        listed = (Field("file.kind", "listed-file"),)
                        yield Child(line.decode("utf-8", "replace"), line, None, fields=listed)
                rest = rest[:MOST_NAME]
    told = f"innoextract names none and ends with code {ended}" if ended and not named else f"{named} are named"
    yield Problem("unsupported", f"the files of an installer of Inno Setup are not unpacked; {told}")


def _strings(header: bytes, wide: bool) -> Iterator[str]:
    """The strings that the header begins with; what follows them is not text."""
    position = 0
    for _ in range(MOST_STRINGS):
        size = int.from_bytes(header[position : position + 4], "little")
        raw = header[position + 4 : position + 4 + size]
        if position + 4 + size > len(header) or (wide and size % 2):
            return
        try:
            text = raw.decode("utf-16-le" if wide else "cp1252")
        except UnicodeDecodeError:
            return
        yield text.strip("\0 ")
        position += 4 + size


def _find(stream: Stream) -> tuple[int, str, bool] | None:
    """Where the header's mark stands, the version in it, and whether its strings are UTF-16."""
    position = 0
    while data := stream.at(position, SCAN + SIGNATURE_SIZE):
        at = data.find(MARK)
        if at >= 0 and (match := SIGNATURE.match(data, at)):
            version = match[1].decode("ascii")
            wide = bool(match[2]) or int(version.partition(".")[0]) >= 6
            return position + at, version, wide
        if len(data) <= SCAN:
            return None
        position += SCAN
    return None


def _unpack(stream: Stream, at: int, version: tuple[int, ...]) -> bytes:
    """The first block behind the mark: a CRC-32 over size and method, then pieces with a CRC-32 each."""
    if version < (4, 0, 9):
        raise EvidenceError("unsupported", "a header of Inno Setup before 4.0.9")
    if version >= (6, 5, 0):
        raise EvidenceError("unsupported", "a header of Inno Setup 6.5 or later")
    head = stream.at(at, 9)
    if len(head) < 9:
        raise EvidenceError("truncated", "the installer ends before its header")
    crc, size, packed = struct.unpack("<IIB", head)
    if zlib.crc32(head[4:]) != crc:
        raise EvidenceError("corrupt", "the CRC-32 of the header's size does not fit")
    at += 9
    end = at + size
    data = bytearray()
    while at < end:
        piece = stream.at(at, min(4 + CHUNK, end - at))
        if len(piece) < 5:
            raise EvidenceError("truncated", "the installer ends in its header")
        if zlib.crc32(piece[4:]) != int.from_bytes(piece[:4], "little"):
            if end > stream.size:
                raise EvidenceError("truncated", "the installer ends in its header")
            raise EvidenceError("corrupt", "a CRC-32 does not fit the header")
        data += piece[4:]
        at += len(piece)
    if not packed:
        return bytes(data)
    if version < (4, 1, 6):
        return zlib.decompressobj().decompress(bytes(data), MOST_HEADER)
    code, dictionary = struct.unpack_from("<BI", data.ljust(5, b"\0"))
    if code >= 225 or dictionary > MOST_HEADER:
        raise EvidenceError("corrupt", "the properties of LZMA do not make sense")
    chain = {
        "id": lzma.FILTER_LZMA1,
        "lc": code % 9,
        "lp": code // 9 % 5,
        "pb": code // 45,
        "dict_size": max(dictionary, 4096),
    }
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[chain]).decompress(bytes(data[5:]), MOST_HEADER)
