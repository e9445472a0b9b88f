"""BinHex 4: a Macintosh file written as text; both forks with their checksums, type, creator, flags.

Source: RFC 1741, appendix A.
Limits: the older forms (BinHex 1 to 3, binary BinHex 5) are not read.
"""

from __future__ import annotations

import binascii
import re
import struct
from collections.abc import Generator, Iterator, Mapping
from functools import partial
from typing import BinaryIO, ClassVar

from indexer.decoding import decode
from indexer.errors import EvidenceError
from indexer.handler import Handler, Stream
from indexer.handlers._mac import FIELDS, RESOURCES, decode_name, finder_fields
from indexer.handlers._streams import open_chunks
from indexer.handlers._tap import Tap
from indexer.model import Child, Fact, Field, Text

BANNER = b"(This file must be converted with BinHex"
STEP = 256 * 1024
REPEAT = 0x90
_START = re.compile(rb"\(This file must be converted with BinHex[^\r\n]{0,40}[\r\n]\s{0,200}:", re.ASCII)
_ALPHABET = b"!\"#$%&'()*+,-012345689@ABCDEFGHIJKLMNPQRSTUVXYZ[`abcdefhijklmpqr"
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_TO_BASE64 = bytes.maketrans(_ALPHABET, _BASE64)
_BLANK = b" \t\r\n"
_FOREIGN = bytes(sorted(set(range(256)) - set(_ALPHABET)))
_HEAD = struct.Struct(">x4s4sHII")


class BinHex(Handler):
    name = "binhex"
    media_types = ("application/mac-binhex40", "application/binhex", "application/mac-binhex")
    suffixes = (".hqx",)
    holds = b"("
    fields: ClassVar[Mapping[str, str]] = FIELDS
    reads = "data and resource fork, type, creator; the text around"
    rank = 66
    container = True

    def claims(self, stream: Stream) -> str | None:
        head = stream.head
        return self.media_types[0] if BANNER in head and _START.search(head) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        begun = _START.search(stream.head)
        if begun is None:
            raise EvidenceError("corrupt", "no BinHex begins here")
        if text := decode(stream.head[: begun.start()]).text.strip():
            yield Text(text.replace("\r\n", "\n").replace("\r", "\n"), "before")
        tap = Tap(_unpack(stream, begun.end()))
        head = b"".join(tap.take(0, 1))
        head = b"".join((head, *tap.take(1, head[0] + _HEAD.size + 2)))
        raw, rest = head[1 : 1 + head[0]], head[1 + head[0] :]
        if binascii.crc_hqx(head[:-2], 0) != int.from_bytes(head[-2:], "big"):
            raise EvidenceError("corrupt", "BinHex: the checksum of the header does not fit")
        kind, creator, flags, data, resources = _HEAD.unpack(rest[:-2])
        name = decode_name(raw)
        finder = struct.pack(">4s4sH", kind, creator, flags)
        at = len(head)
        yield Child(name, raw, partial(_open, tap, at, data), fields=tuple(finder_fields(finder)))
        if resources:
            stream_kind = (Field("file.kind", "stream"),)
            opening = partial(_open, tap, at + data + 2, resources)
            yield Child(name + RESOURCES, raw + RESOURCES.encode(), opening, fields=stream_kind)
        if error := tap.last_word():
            yield error.problem("", "kept what decodes")


def _open(tap: Tap, start: int, size: int) -> BinaryIO:
    return open_chunks(_fork(tap, start, size))


def _fork(tap: Tap, start: int, size: int) -> Iterator[bytes]:
    crc = 0
    for chunk in tap.take(start, size):
        crc = binascii.crc_hqx(chunk, crc)
        yield chunk
    if crc != int.from_bytes(b"".join(tap.take(start + size, 2)), "big"):
        raise EvidenceError("corrupt", "BinHex: the checksum does not fit the content")


def _unpack(stream: Stream, start: int) -> Generator[bytes, None, None]:
    """All bytes of the file with its headers, runs undone."""
    held = b""
    last = b""
    for packed in _decode(stream, start):
        data, held = held + packed, b""
        out = bytearray()
        at = 0
        while (mark := data.find(REPEAT, at)) >= 0:
            out += data[at:mark]
            if mark + 1 == len(data):
                held = data[mark:]
                at = len(data)
                break
            count = data[mark + 1]
            if not count:
                out.append(REPEAT)
            else:
                out += (out[-1:] or last) * (count - 1)
            at = mark + 2
        out += data[at:]
        last = bytes(out[-1:]) or last
        yield bytes(out)


def _decode(stream: Stream, start: int) -> Iterator[bytes]:
    """The bytes between the colons, four characters for three."""
    held = b""
    while data := stream.at(start, STEP):
        start += len(data)
        data, colon, _ = data.partition(b":")
        data = data.translate(None, _BLANK)
        clean = data.translate(None, _FOREIGN)
        held += clean.translate(_TO_BASE64)
        whole = len(held) if colon else len(held) // 4 * 4
        part, held = held[:whole], held[whole:]
        part = part[: len(part) - (len(part) % 4 == 1)]
        yield binascii.a2b_base64(part + b"=" * (-len(part) % 4))
        if len(clean) != len(data):
            raise EvidenceError("corrupt", f"BinHex with {len(data) - len(clean)} characters outside its alphabet")
        if colon:
            return
    raise EvidenceError("truncated", "the BinHex block has no end")
