"""PostScript as a run of tokens, as far as it can be told without running it: comments, strings, names.

Source: PostScript Language Reference, third edition, 3.2 (syntax) and 3.2.2 (strings).
Limits: nothing is run; binary tokens and compressed pages are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

COMMENT, STRING, NAME, WORD = "comment", "string", "name", "word"
STRING_BYTES: Final = 64 << 10
_TOKEN: Final = re.compile(
    rb"%(?P<comment>[^\r\n]{0,4000}+)|(?P<open>\()|<(?P<hex>[0-9A-Fa-f\s]{1,65536}+)>|/(?P<name>[^\s()<>\[\]{}/%]{1,128}+)"
    rb"|(?P<word>[A-Za-z_'\"|][^\s()<>\[\]{}/%]{0,63}+)"
)
_PAREN: Final = re.compile(rb"[()\\]")
_ESCAPE: Final = re.compile(rb"\\([0-7]{1,3}|\r\n|[^\r]|\r)")
_PLAIN: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"", b"f": b"\n", b"\n": b"", b"\r": b"", b"\r\n": b""}


def tokens(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Kind and bytes of what stands in a piece of a program, numbers and brackets left out."""
    at = 0
    while match := _TOKEN.search(data, at):
        at = match.end()
        kind = match.lastgroup
        if kind == "open":
            body, at = _string(data, at)
            yield STRING, body
        elif kind == "hex":
            digits = b"".join(match["hex"].split())
            yield STRING, bytes.fromhex((digits + b"0" * (len(digits) % 2)).decode())
        elif kind:
            yield kind, match[kind]


def _string(data: bytes, at: int) -> tuple[bytes, int]:
    """A string in brackets, which may hold brackets, and where it ends."""
    depth, position, limit = 1, at, at + STRING_BYTES
    while match := _PAREN.search(data, position, limit):
        position = match.end()
        if match[0] == b"\\":
            position += 1
            continue
        depth += 1 if match[0] == b"(" else -1
        if not depth:
            return unescape(data[at : match.start()]), position
    # Without an end, it ends at the limit: nothing is looked at twice.
    return unescape(data[at:limit]), min(limit, len(data))


def unescape(raw: bytes) -> bytes:
    """A string's bytes without its escapes."""
    if b"\\" not in raw:
        return raw
    return _ESCAPE.sub(_escaped, raw)


def _escaped(match: re.Match[bytes]) -> bytes:
    code = match[1]
    if code.isdigit() and code < b"8":
        return bytes((int(code, 8) & 255,))
    return _PLAIN.get(code, code)
