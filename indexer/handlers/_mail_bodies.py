"""What stands in the text of old and new mail: lines that flow, files written out as text.

Source: RFC 3676 (format=flowed); POSIX uuencode; yEnc 1.3 (Jürgen Helbing, 2002).
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterator
from functools import partial
from typing import BinaryIO, NamedTuple

from indexer.decoding import decode
from indexer.handlers._mime import from_uu_lines
from indexer.model import Child, Field, Problem

_UU = re.compile(
    rb"^begin [0-7]{3,4} ([^\r\n]{1,250})\r?\n((?:[ -`]{2,90}\r?\n)+)(?:[`\s]{0,20}\n)?end\b", re.MULTILINE
)
_Y_BEGIN = re.compile(rb"^=ybegin ([^\r\n]{1,300})\r?\n(?:=ypart ([^\r\n]{1,200})\r?\n)?", re.MULTILINE)
_Y_END = re.compile(rb"^=yend([^\r\n]{0,200})", re.MULTILINE)
_Y_VALUE = re.compile(rb"\b([a-z0-9]{1,20})=(\S{1,60})")
_Y_ESCAPE = re.compile(rb"=(.)", re.DOTALL)
_Y_BYTES = bytes((byte - 42) & 255 for byte in range(256))
_QUOTES = re.compile(r">*")


class Written(NamedTuple):
    """A file that stands in a text: from where to where, and the member it makes."""

    start: int
    end: int
    child: Child


def find_files(data: bytes) -> list[Written]:
    """The files that are written out in a body, in their order."""
    found: list[Written] = []
    if b"begin " in data:
        found += _uuencoded(data)
    if b"=ybegin " in data:
        found += _yencoded(data)
    return sorted(found, key=lambda each: each.start)


def without(data: bytes, files: list[Written]) -> bytes:
    """The body without them."""
    for each in reversed(files):
        data = data[: each.start] + data[each.end :]
    return data


def _uuencoded(data: bytes) -> Iterator[Written]:
    for match in _UU.finditer(data):
        raw = match[1].strip()
        child = Child(decode(raw).text, raw, partial(_from_uu, match[2]))
        yield Written(match.start(), match.end(), child)


def _from_uu(body: bytes) -> BinaryIO:
    return io.BytesIO(from_uu_lines(body))


def _yencoded(data: bytes) -> Iterator[Written]:
    at = 0
    while match := _Y_BEGIN.search(data, at):
        ending = _Y_END.search(data, match.end())
        at = ending.end() if ending else len(data)
        body = data[match.end() : ending.start() if ending else at]
        head, _, raw = match[1].partition(b"name=")
        values, told = dict(_Y_VALUE.findall(head)), dict(_Y_VALUE.findall(ending[1] if ending else b""))
        made = _Y_ESCAPE.sub(lambda each: bytes(((each[1][0] - 64) & 255,)), re.sub(rb"[\r\n]", b"", body))
        made = made.translate(_Y_BYTES)
        name, raw = decode(raw.strip()).text or "file", raw.strip() or b"file"
        fields: tuple[Field, ...] = ()
        if match[2] is not None:
            part = values.get(b"part", b"1")
            name, raw = f"{name}.part{part.decode('latin-1')}", raw + b".part" + part
            total = values.get(b"total", b"?")
            fields = (Field("mail.partial", f"{part.decode('latin-1')} of {total.decode('latin-1')}"),)
        yield Written(
            match.start(), at, Child(name, raw, partial(io.BytesIO, made), (), fields, _checked(made, told, ending))
        )


def _checked(made: bytes, told: dict[bytes, bytes], ending: re.Match[bytes] | None) -> tuple[Problem, ...]:
    if ending is None:
        return (Problem("truncated", "yEnc without its end", "eml", "read to the end of the text"),)
    size, crc = told.get(b"size", b""), told.get(b"pcrc32") or told.get(b"crc32") or b""
    if size.isdigit() and int(size) != len(made):
        return (Problem("corrupt", f"yEnc says {int(size)} bytes, {len(made)} are there", "eml", "kept as it is"),)
    if re.fullmatch(rb"[0-9a-fA-F]{1,8}", crc) and int(crc, 16) != zlib.crc32(made):
        return (Problem("corrupt", "yEnc with a wrong checksum", "eml", "kept as it is"),)
    return ()


def unflow(text: str, *, no_space: bool) -> str:
    """The lines of a flowed text as they were typed; `no_space` for scripts that part no words."""
    out: list[str] = []
    flowing = -1
    for line in text.replace("\r\n", "\n").split("\n"):
        depth = len(_QUOTES.match(line)[0])  # type: ignore[index]
        body = line[depth:].removeprefix(" ")
        # A line of dashes parts the signature from the text and never flows.
        if flowing == depth and body != "-- ":
            out[-1] += body
        else:
            out.append((">" * depth + " " if depth else "") + body)
        flowing = depth if body.endswith(" ") and body != "-- " else -1
        if flowing >= 0 and no_space:
            out[-1] = out[-1][:-1]
    return "\n".join(out)
