"""Blocks of encoded bytes in a text: where they stand, and what they decode to, line by line.

Source: POSIX.1-2017, uuencode (both forms); yEnc 1.3 (www.yenc.org); RFC 4648 section 4.
"""

from __future__ import annotations

import binascii
import re
import zlib
from collections.abc import Iterator
from itertools import islice

from msgspec import Struct, field

from indexer.errors import EvidenceError
from indexer.handler import Stream
from indexer.handlers._mime import from_uu_lines

WINDOW = 1 << 20
BATCH = 2000
MOST_STRANGE = 3
"""Lines that are no data, one after another, with which a block without its end is over."""
LONGEST_LINE = 64 * 1024
UU = re.compile(rb"begin (?P<mode>[0-7]{3,4}) (?P<name>[^\r\n]{1,250}?)[ \t\r]*")
BASE64 = re.compile(rb"begin-base64 (?P<mode>[0-7]{3,4}) (?P<name>[^\r\n]{1,250}?)[ \t\r]*")
YENC = re.compile(
    rb"=ybegin (?P<facts>(?:(?:part|total|line|size)=[0-9]{1,18} +){2,4})name=(?P<name>[^\r\n]{1,250}?)[ \t\r]*"
)
_NUMBER = re.compile(rb"\b(part|total|line|size|begin|end)=([0-9]{1,18})\b")
_CHECK = re.compile(rb"\b(p?crc32)=([0-9A-Fa-f]{1,8})\b")
_ESCAPE = re.compile(rb"=(.)", re.DOTALL)
_UNSHIFT = bytes((value - 42) & 0xFF for value in range(256))
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_FOREIGN = bytes(set(range(256)) - set(_ALPHABET))
_UU_ALPHABET = bytes(range(32, 97))


class Part(Struct):
    """Encoded lines between two offsets, and what the lines around them say."""

    start: int
    end: int
    numbers: dict[str, int] = field(default_factory=dict)
    checks: dict[str, int] = field(default_factory=dict)
    closed: bool = False


class Block(Struct):
    """One file: the line that begins it and its parts, which are several only in yEnc."""

    kind: str
    name: bytes
    mode: str
    start: int
    end: int
    parts: list[Part]


def lines_of(stream: Stream, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Offset and bytes of every line, without its end; a longer one is cut into several."""
    held = b""
    at = start
    while start < end or held:
        data = stream.at(start, min(WINDOW, end - start))
        start += len(data)
        *lines, held = (held + data).split(b"\n")
        for line in lines:
            yield at, line.rstrip(b"\r")
            at += len(line) + 1
        if not data or len(held) > LONGEST_LINE:
            if held:
                yield at, held.rstrip(b"\r")
                at += len(held)
            held = b""
        if not data:
            return


def is_uu_line(line: bytes) -> bool:
    """Whether a line is as long as its first character says, give or take what mailers strip or add."""
    if not line or not 32 < line[0] <= 96:
        return not line.strip()
    size = -(-(line[0] - 32 & 63) // 3) * 4
    return size - 3 <= len(line) - 1 <= size + 2 and not line.translate(None, _UU_ALPHABET)


def begins(line: bytes) -> tuple[str, re.Match[bytes]] | None:
    """The kind of block that a line begins."""
    for kind, pattern in (("uuencode", UU), ("base64", BASE64), ("yenc", YENC)):
        if line[:1] in (b"b", b"=") and (match := pattern.fullmatch(line)):
            return kind, match
    return None


def find_blocks(stream: Stream) -> Iterator[Block]:
    """The blocks of a text, in their order; parts of one file that follow each other are joined."""
    held: Block | None = None
    block: Block | None = None
    first = False
    strange = 0
    for at, line in lines_of(stream, 0, stream.size):
        if block is None:
            found = begins(line)
            if found:
                kind, match = found
                mode = match["mode"].decode() if kind != "yenc" else ""
                start = at + len(line)
                block = Block(kind, match["name"].strip(b'" \t'), mode, at, start, [Part(start, start)])
                first = True
                if kind == "yenc":
                    block.parts[0].numbers.update(_numbers(match["facts"]))
            continue
        part = block.parts[0]
        if first:
            # A line that only looks like a beginning: what follows it is no data.
            part.start = part.end = at
            if block.kind == "yenc" and line.startswith(b"=ypart "):
                part.numbers.update(_numbers(line))
                continue
            first = False
            strange = 0
            if not _goes_on(block.kind, line):
                block = None
                continue
        end = _ends(block, line)
        strange = 0 if _goes_on(block.kind, line, part.numbers.get("line", 0)) else strange + 1
        if end is None and strange > MOST_STRANGE:
            end = False
        if end is not None:
            part.closed = end
            if end:
                part.end, block.end = at, at + len(line)
            if held and _joins(held, block):
                held.parts += block.parts
                held.end = block.end
            else:
                if held:
                    yield held
                held = block
            block = None
        elif not strange:
            part.end = at + len(line)
            block.end = part.end
    if block and block.kind == "yenc":
        block.parts[0].end = block.end = stream.size
    if held and block and _joins(held, block):
        held.parts += block.parts
        held.end, block = block.end, None
    for rest in (held, block):
        if rest and rest.parts[0].end > rest.parts[0].start:
            yield rest


def _goes_on(kind: str, line: bytes, width: int = 0) -> bool:
    """Whether a line can be data of a block; `width` is how long those of yEnc are but for the last."""
    if kind == "uuencode":
        return is_uu_line(line)
    if kind == "yenc":
        return not width or width <= len(line) <= 2 * width + 2
    return len(line) >= 4 and not line.strip().translate(None, _ALPHABET)


def _ends(block: Block, line: bytes) -> bool | None:
    """True for the line that ends a block, False for one that cannot belong to it, else None."""
    if block.kind == "uuencode":
        if line.strip() == b"end":
            return True
        return None if is_uu_line(line) or not begins(line) else False
    if block.kind == "base64":
        return True if line.strip() == b"====" else False if begins(line) else None
    if line.startswith(b"=yend "):
        part = block.parts[0]
        part.numbers.update({f"end.{key}": value for key, value in _numbers(line).items()})
        part.checks.update({key.decode(): int(value, 16) for key, value in _CHECK.findall(line)})
        return True
    return False if line.startswith(b"=ybegin ") and begins(line) else None


def _numbers(line: bytes) -> dict[str, int]:
    return {key.decode(): int(value) for key, value in _NUMBER.findall(line)}


def _joins(held: Block, block: Block) -> bool:
    """Whether a block is the next part of the file before it."""
    last, new = held.parts[-1].numbers, block.parts[0].numbers
    return (
        held.kind == block.kind == "yenc"
        and held.name == block.name
        and 0 < last.get("end", 0) == new.get("begin", 0) - 1
    )


def decode_block(stream: Stream, block: Block) -> Iterator[bytes]:
    """The bytes of a file.

    Raises:
        EvidenceError: `corrupt` or `truncated`, behind the last byte that could be had.
    """
    if block.kind == "yenc":
        yield from _from_yenc(stream, block)
        return
    part = block.parts[0]
    broken = 0
    for lines in _batches(stream, part):
        broken += sum(not _goes_on(block.kind, line) and bool(line.strip()) for line in lines)
        yield _decode_lines(block.kind, lines)
    if broken:
        raise EvidenceError("corrupt", f"{broken} lines are not {block.kind}")
    if not part.closed:
        raise EvidenceError("truncated", f"the {block.kind} block has no end")


def _batches(stream: Stream, part: Part) -> Iterator[list[bytes]]:
    lines = (line for _, line in lines_of(stream, part.start, part.end))
    while batch := list(islice(lines, BATCH)):
        yield batch


def _decode_lines(kind: str, lines: list[bytes]) -> bytes:
    if kind == "uuencode":
        return from_uu_lines(b"\n".join(line for line in lines if is_uu_line(line)))
    text = b"".join(lines).translate(None, _FOREIGN + b"=")
    text = text[: len(text) - (len(text) % 4 == 1)]
    return binascii.a2b_base64(text + b"=" * (-len(text) % 4))


def _unescape(match: re.Match[bytes]) -> bytes:
    return bytes((match[1][0] - 64 & 0xFF,))


def _from_yenc(stream: Stream, block: Block) -> Iterator[bytes]:
    whole = made = 0
    trouble: list[str] = []
    for part in block.parts:
        crc = size = 0
        for lines in _batches(stream, part):
            data = _ESCAPE.sub(_unescape, b"".join(lines)).translate(_UNSHIFT)
            crc, whole, size = zlib.crc32(data, crc), zlib.crc32(data, whole), size + len(data)
            yield data
        made += size
        number = f"part {part.numbers['part']}: " if "part" in part.numbers else ""
        told = part.numbers.get("end.size", size)
        if told != size:
            trouble.append(f"{number}{size} bytes, where {told} were recorded")
        check = part.checks.get("pcrc32", part.checks.get("crc32") if not number else None)
        if check is not None and check != crc:
            trouble.append(f"{number}the CRC-32 does not fit the content")
    if trouble:
        raise EvidenceError("corrupt", "yEnc: " + "; ".join(trouble[:5]))
    last = block.parts[-1]
    if not last.closed:
        raise EvidenceError("truncated", "the yEnc block has no end")
    size = block.parts[0].numbers["size"]
    if made != size:
        raise EvidenceError("truncated", f"yEnc: {made} of {size} bytes are here, the rest in other parts")
    if len(block.parts) > 1 and last.checks.get("crc32", whole) != whole:
        raise EvidenceError("corrupt", "yEnc: the CRC-32 does not fit the whole file")
