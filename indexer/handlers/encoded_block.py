"""Files written as text: uuencode, yEnc (in parts, too), and a file of base64; each as a member.

Text around the blocks is kept as text. A file of nothing but base64 is taken for one only where its
lines are of one length and it decodes to a known kind of file, or to plain text.

Source: POSIX.1-2017, uuencode; yEnc 1.3 (www.yenc.org); RFC 4648 section 4.
Limits: parts of a yEnc file that lie in several texts are not joined; BinHex and xxencode are not here.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import BinaryIO, ClassVar

from indexer.decoding import decode
from indexer.errors import EvidenceError
from indexer.handler import Handler, Stream
from indexer.handlers._encodings import Block, begins, decode_block, find_blocks, is_uu_line
from indexer.handlers._streams import open_chunks
from indexer.limits import MIB
from indexer.model import Child, Fact, Field, Text

MOST_TEXT = 8 * MIB
STEP = 768 * 1024
LEAST_BASE64 = 80
TYPES = {"uuencode": "text/x-uuencode", "yenc": "application/x-yenc", "base64": "application/x-base64"}
_BEGIN = re.compile(rb"^(?:begin |begin-base64 |=ybegin )[^\r\n]{5,}", re.MULTILINE)
_BASE64 = re.compile(rb"[A-Za-z0-9+/\r\n]*+={0,2}[ \t\r\n]*")
_KNOWN = (
    b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"%PDF-", b"PK\x03\x04", b"Rar!\x1a\x07", b"7z\xbc\xaf\x27\x1c",
    b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ\0", b"\xd0\xcf\x11\xe0\xa1\xb1", b"RIFF", b"OggS", b"ID3", b"fLaC", b"8BPS",
    b"II*\0", b"MM\0*", b"\x7fELF", b"MZ", b"{\\rtf", b"<?xml", b"<!DOCTYPE", b"<html", b"SQLite format 3\0",
    b"ALZ\x01", b"EGGA", b"MSCF", b"\x28\xb5\x2f\xfd", b"\x1aE\xdf\xa3", b"FWS", b"CWS", b"wOFF", b"OTTO",
)  # fmt: skip
"""How a file begins that was worth encoding; `ftyp` of MP4 stands four bytes in."""


class EncodedBlock(Handler):
    name = "encoded"
    media_types = tuple(TYPES.values())
    suffixes = (".uu", ".uue", ".yenc", ".ync", ".ntx", ".b64")
    fields: ClassVar[Mapping[str, str]] = {
        "file.mode": "permission bits, octal",
        "encoded.kind": "uuencode, yenc or base64",
        "encoded.part": "number of the first part that is here, where the file came in parts",
        "encoded.parts": "parts that the file came in",
        "encoded.size": "bytes of the whole file, as recorded",
    }
    reads = "files written as uuencode, yEnc or base64, checked; the text around them"
    rank = 66
    container = True

    def claims(self, stream: Stream) -> str | None:
        head = stream.head
        for match in _BEGIN.finditer(head) if b"begin" in head else ():
            lines = head[match.start() : match.start() + 2048].split(b"\n")
            found = begins(lines[0].rstrip(b"\r"))
            if found and _follows(found[0], [line.rstrip(b"\r") for line in lines[1:3]]):
                return TYPES[found[0]]
        return TYPES["base64"] if _is_base64(head, stream.size) else None

    def read(self, stream: Stream) -> Iterator[Fact]:
        at = 0
        for block in find_blocks(stream):
            yield from _around(stream, at, block.start)
            yield _child(stream, block)
            at = block.end
        if not at and _is_base64(stream.head, stream.size):
            yield Field("encoded.kind", "base64")
            name = stream.name.rpartition(".")[0] if stream.suffix == ".b64" else ""
            yield Child(name or "[decoded]", b"[decoded]", lambda: open_chunks(_from_base64(stream)))
            return
        yield from _around(stream, at, stream.size)


def _follows(kind: str, lines: list[bytes]) -> bool:
    """Whether data stand behind the line that begins a block."""
    if len(lines) < 2:
        return False
    if kind == "uuencode":
        return (
            bool(lines[0])
            and is_uu_line(lines[0])
            and (lines[1].strip() in (b"`", b"end", b"") or is_uu_line(lines[1]))
        )
    if kind == "yenc":
        return bool(lines[0])
    return len(lines[0]) % 4 == 0 and bool(_BASE64.fullmatch(lines[0])) and len(lines[0]) >= 4


def _is_base64(head: bytes, size: int) -> bool:
    """Whether this is a file of base64 and nothing else, whose content is of a kind that can be known."""
    if size < LEAST_BASE64 or not _BASE64.fullmatch(head):
        return False
    *lines, last = head.rstrip().split(b"\n")
    if any(len(line) != len(lines[0]) for line in lines) or (lines and len(last) > len(lines[0]) + 1):
        return False
    text = head.translate(None, b" \t\r\n").rstrip(b"=")
    start = binascii.a2b_base64(text[: len(text) // 4 * 4])
    return start.startswith(_KNOWN) or start[4:8] == b"ftyp" or _is_text(start)


def _is_text(data: bytes) -> bool:
    if any(byte < 32 and byte not in (9, 10, 13) for byte in data):
        return False
    try:
        data[:-3].decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(data) - 8 and len(data) > 64
    return True


def _child(stream: Stream, block: Block) -> Child:
    first = block.parts[0].numbers
    fields = [Field("encoded.kind", block.kind)]
    if block.mode:
        fields.append(Field("file.mode", f"{int(block.mode, 8) & 0o7777:04o}"))
    if "part" in first:
        fields.append(Field("encoded.part", first["part"]))
    if "total" in first:
        fields.append(Field("encoded.parts", first["total"]))
    if "size" in first:
        fields.append(Field("encoded.size", first["size"]))
    return Child(decode(block.name).text, block.name, partial(_open, stream, block), fields=tuple(fields))


def _open(stream: Stream, block: Block) -> BinaryIO:
    return open_chunks(decode_block(stream, block))


def _from_base64(stream: Stream) -> Iterator[bytes]:
    held = b""
    foreign = 0
    for at in range(0, stream.size, STEP):
        data = stream.at(at, STEP).translate(None, b" \t\r\n")
        clean = re.sub(rb"[^A-Za-z0-9+/]", b"", data)
        foreign += len(data.rstrip(b"=")) - len(clean)
        held += clean
        whole = len(held) // 4 * 4
        yield binascii.a2b_base64(held[:whole])
        held = held[whole:]
    if len(held) > 1:
        yield binascii.a2b_base64(held + b"=" * (-len(held) % 4))
    if foreign:
        raise EvidenceError("corrupt", f"base64 with {foreign} bytes outside its alphabet, which were left out")
    if len(held) == 1:
        raise EvidenceError("truncated", "base64 ends in the middle of a group of four")


def _around(stream: Stream, start: int, end: int) -> Iterator[Text]:
    """The text between two offsets."""
    while start < end:
        data = stream.at(start, min(MOST_TEXT, end - start))
        if not data:
            return
        body = decode(data).text.replace("\r\n", "\n").strip("\n")
        if body.strip():
            yield Text(body, f"from byte {start}")
        start += len(data)
