"""InstallShield: files that setup programs carry behind them, told one by one; its cabinets recognised.

Source: the layout of the data behind setup.exe of InstallShield 9 to 12 (name, path, version, size as text,
then the bytes) and of the setup stream of version 12 and later (scrambled under the name), as found in the
files themselves; the first bytes of data1.cab.
Limits: cabinets (`ISc(`) and archives of version 3 (`_inst32i.ex_`) are named, not opened; of the setup
streams of version 12 and later, those with the mark `ISSetupStream` are not known.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import BinaryIO, ClassVar

from indexer.decoding import decode
from indexer.errors import EvidenceError
from indexer.handler import CONTROLS, Handler, Stream
from indexer.handlers._streams import FIELDS as SLACK_FIELDS
from indexer.handlers._streams import Slice, open_chunks, open_slice, slack
from indexer.handlers._zip_methods import unpack
from indexer.handlers._zip_records import DEFLATED
from indexer.model import Child, Fact, Field, Problem

CABINET, OLD, STREAM = b"ISc(", b"\x13\x5d\x65\x8c", b"InstallShield\0"
STREAM_HEAD, ENTRY = 46, 312
SCRAMBLED = 6
MASK = b"\xec\xca\x79\xf8"
BLOCK = 1024
"""Bytes after which the key, made of the file's name, begins anew."""
TURNED = bytes((value << 4 | value >> 4) & 0xFF for value in range(256))
ZLIB = (b"\x78\x9c", b"\x78\xda", b"\x78\x01", b"\x78\x5e")
STEP = 64 * BLOCK
DEBUG = b"NB10\0\0\0\0"
"""A linker's record that stands before the files in some programs."""
LONGEST = 1024
MOST_FILES = 100_000
_ENTRY = re.compile(
    rb"([^\0-\x1f]{1,250})\0([^\0-\x1f]{1,260})\0([0-9]{1,5}(?:\.[0-9]{1,5}){3})?\0([0-9]{1,12})\0", re.DOTALL
)


class InstallShield(Handler):
    name = "installshield"
    media_types = ("application/x-installshield",)
    signatures = ()
    suffixes = ()
    holds = CONTROLS
    fields: ClassVar[Mapping[str, str]] = {
        **SLACK_FIELDS,
        "installshield.kind": "files, cabinet, archive of version 3, or setup stream",
        "installshield.flags": "how a file of a setup stream is scrambled and packed",
        "installshield.version": "version of the cabinet's format",
        "installshield.path": "where the installer puts a file while it runs",
        "installshield.file_version": "version of a file, as recorded",
    }
    reads = "files behind a setup program, with versions; cabinets of its own are named"
    rank = 57
    container = True

    def claims(self, stream: Stream) -> str | None:
        head = stream.head
        if head.startswith(CABINET) or _stream_at(stream) is not None or (head.startswith(OLD) and stream.size > 255):
            return self.media_types[0]
        return self.media_types[0] if _first(stream) is not None else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        head = stream.head
        if head.startswith(CABINET):
            yield Field("installshield.kind", "cabinet")
            code = int.from_bytes(head[4:8], "little")
            major = code >> 12 & 0xF if code >> 24 == 1 else (code & 0xFFFF) // 100
            yield Field("installshield.version", major)
            raise EvidenceError("unsupported", "a cabinet of InstallShield: recognised, not opened")
        if head.startswith(OLD):
            yield Field("installshield.kind", "archive of version 3")
            raise EvidenceError("unsupported", "an archive of InstallShield 3: recognised, not opened")
        if (at := _stream_at(stream)) is not None:
            yield Field("installshield.kind", "setup stream")
            yield from _scrambled(stream, at)
            return
        yield Field("installshield.kind", "files")
        yield from _files(stream, _first(stream) or 0)


def _start(stream: Stream) -> int:
    """Where the data begin: behind a linker's record, where there is one."""
    return max(stream.head.find(b".pdb\0") + 5, 0) if stream.head.startswith(DEBUG) else 0


def _first(stream: Stream) -> int | None:
    """Where the first entry stands, or None where there is none."""
    start = _start(stream)
    return start if _entry(stream, start) else None


def _stream_at(stream: Stream) -> int | None:
    """Where a setup stream begins whose first entry makes sense."""
    start = _start(stream)
    if not stream.head.startswith(STREAM, start) or stream.size < start + STREAM_HEAD + ENTRY:
        return None
    size = int.from_bytes(stream.at(start + STREAM_HEAD + 268, 4), "little")
    return start if start + STREAM_HEAD + ENTRY + size <= stream.size else None


def _scrambled(stream: Stream, at: int) -> Iterator[Fact]:
    count = int.from_bytes(stream.at(at + len(STREAM), 2), "little")
    at += STREAM_HEAD
    for _ in range(count):
        entry = stream.at(at, ENTRY)
        if len(entry) < ENTRY:
            yield Problem("truncated", f"the next of {count} files is not here")
            return
        flags, _, size = struct.unpack_from("<III", entry, 260)
        raw = entry[:260].split(b"\0")[0]
        start = at + ENTRY
        opening = partial(_unscramble, stream, raw, flags, start, size)
        name = decode(raw).text or "[no name]"
        yield Child(name, raw, partial(_opened, opening), fields=(Field("installshield.flags", flags),))
        at = start + size
    if at < stream.size and stream.at(at, 4096).strip(b"\0"):
        yield Problem("corrupt", f"{stream.size - at} bytes behind the files, at {at}", resolution="kept as a member")
        yield slack(stream, at, stream.size - at, "[after the files]")


def _opened(chunks: Callable[[], Iterator[bytes]]) -> BinaryIO:
    return open_chunks(chunks())


def _unscramble(stream: Stream, name: bytes, flags: int, start: int, size: int) -> Iterator[bytes]:
    key = bytes(byte ^ MASK[place % 4] for place, byte in enumerate(name)) or b"\0"
    mask = (key * (BLOCK // len(key) + 1))[:BLOCK]
    tail = b""

    def pieces(skip: int = 0) -> Iterator[bytes]:
        nonlocal tail
        part = Slice(stream, start, size)
        while data := _whole(part):
            if flags & SCRAMBLED:
                turned = data.translate(TURNED)
                wide = (mask * (len(data) // BLOCK + 1))[: len(data)]
                data = (int.from_bytes(turned, "big") ^ int.from_bytes(wide, "big")).to_bytes(len(data), "big")
            tail = (tail + data)[-4:]
            yield data[skip:]
            skip = 0

    if not next(pieces(), b"").startswith(ZLIB):
        yield from pieces()
        return
    check = 1
    for chunk in unpack(DEFLATED, partial(pieces, 2), None, 0, stream.limits, lambda spare: None):
        check = zlib.adler32(chunk, check)
        yield chunk
    if check != int.from_bytes(tail, "big"):
        raise EvidenceError("corrupt", "the Adler-32 does not fit the content")


def _whole(part: Slice) -> bytes:
    """Bytes of whole blocks, fewer only at the end."""
    data = part.read(STEP)
    while len(data) % BLOCK and (more := part.read(BLOCK - len(data) % BLOCK)):
        data += more
    return data


def _entry(stream: Stream, at: int) -> re.Match[bytes] | None:
    """The head of the file at an offset; its path must end in its name, and its bytes must be there."""
    match = _ENTRY.match(stream.at(at, LONGEST))
    if not match or not match[2].lower().endswith(match[1].lower()) or int(match[4]) > stream.size:
        return None
    return match


def _files(stream: Stream, at: int) -> Iterator[Fact]:
    for _ in range(MOST_FILES):
        match = _entry(stream, at)
        if match is None:
            break
        start, size = at + match.end(), int(match[4])
        fields = [Field("installshield.path", decode(match[2]).text)]
        if match[3]:
            fields.append(Field("installshield.file_version", match[3].decode("ascii")))
        yield Child(decode(match[2]).text, match[2], open_slice(stream, start, size), fields=tuple(fields))
        at = start + size
    if at < stream.size and stream.at(at, 4096).strip(b"\0"):
        yield Problem("corrupt", f"{stream.size - at} bytes behind the files, at {at}", resolution="kept as a member")
        yield slack(stream, at, stream.size - at, "[after the files]")
