"""Words that a text holds in escapes only, which are found beside it; the text stays what it is.

Percent-encoding of addresses (%ED%95%9C), \\xED\\x95\\x9C of nginx, octal of git, \\uD55C and %uD55C of scripts.

Source: RFC 3986 (2.1); ECMA-262 (11.8, B.2); nginx, ngx_http_log_module (escape); git-config (core.quotePath).
Limits: bytes that are no UTF-8 are read in the encodings of percent-encoding alone, all of one text alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from indexer.model import Text
from indexer.names import decode_names

_ESCAPE = r"%(?:u[\dA-Fa-f]{4}|[\dA-Fa-f]{2})|\\(?:x[\dA-Fa-f]{2}|u[\dA-Fa-f]{4}|[0-3][0-7]{2})"
_LOOK = re.compile(r"%[89A-Fa-fu][\dA-Fa-f]|\\(?:x[89A-Fa-f]|u[\dA-Fa-f]|[23][0-7])[\dA-Fa-f]")
_RUN = re.compile(rf"(?:{_ESCAPE})(?:{_ESCAPE}|[\w.~+-])*", re.ASCII)
_PART = re.compile(rf"{_ESCAPE}|[^%\\]+|[%\\]", re.ASCII)
READ = ", escapes read"
"""How the locator of words that stood in escapes ends."""
_BEFORE = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.~+-"
_LONGEST = 4096
"""Characters of a run that are read: a longer one is data, not words."""
_MOST = 64
"""Characters before a run that belong to it."""
_LEAST = 4
"""Bytes that are no ASCII, of a run that is no UTF-8, from which on it is taken for words."""
_SURE = 0.9
"""Confidence from which on an encoding other than UTF-8 is believed."""


def unescaped(text: str) -> list[str]:
    """What stands in escapes, decoded; each run of them once, those without a letter beyond ASCII left out.

    >>> unescaped("GET /cuts/C034_%EC%88%98%EC%A0%95.png?q=%20 HTTP/1.1")
    ['C034_수정.png']
    """
    if ("%" not in text and "\\" not in text) or not _LOOK.search(text):
        return []
    found: dict[str, None] = {}
    legacy: dict[bytes, None] = {}
    for match in _RUN.finditer(text):
        run = match[0]
        if len(run) > _LONGEST:
            continue
        before = text[max(0, match.start() - _MOST) : match.start()]
        before = before[len(before.rstrip(_BEFORE)) :]
        data = before.encode() + b"".join(_bytes_of(run))
        if data.isascii():
            continue
        try:
            found[data.decode("utf-8")] = None
        except UnicodeDecodeError:
            if run.startswith("%") and sum(byte > 127 for byte in data) >= _LEAST:
                legacy[data] = None
    if legacy:
        read = decode_names(list(legacy))
        if read.confidence >= _SURE:
            found.update(dict.fromkeys(read.names))
    words = dict.fromkeys(map(_printable, found))
    return [word for word in words if any(char > "\x7f" and char.isalpha() for char in word)]


def recorded(texts: Iterable[Text]) -> Iterator[Text]:
    """The texts as they were recorded, without the words that stood in escapes beside them."""
    return (text for text in texts if not text.locator.endswith(READ))


def read_paths(paths: Sequence[str]) -> tuple[str, ...]:
    """Paths of requests without their escapes, in the encoding that fits all of them best."""
    return decode_names([b"".join(_bytes_of(path)) for path in paths]).names


def shown_path(path: str) -> str:
    """A path without its escapes where they are UTF-8; as it stands where they are not.

    >>> shown_path("/cuts/C034_%EC%88%98%EC%A0%95.png?q=a%20b"), shown_path("/%D4%AD%BB%AD.psd")
    ('/cuts/C034_수정.png?q=a b', '/%D4%AD%BB%AD.psd')
    """
    if "%" not in path and "\\x" not in path:
        return path
    try:
        return b"".join(_bytes_of(path)).decode("utf-8")
    except UnicodeDecodeError:
        return path


def _bytes_of(text: str) -> Iterator[bytes]:
    """The parts of a text as the bytes that they stand for, characters by number in UTF-8."""
    units: list[int] = []
    """Numbers of UTF-16, of which two may be one character."""
    for part in _PART.findall(text):
        if part[0] in "%\\" and part[1:2] == "u":
            units.append(int(part[2:], 16))
            continue
        yield _joined(units)
        if len(part) < 3 or part[0] not in "%\\":
            yield part.encode("utf-8", "replace")
        elif part[0] == "%":
            yield bytes((int(part[1:], 16),))
        else:
            yield bytes((int(part[2:], 16) if part[1] == "x" else int(part[1:], 8),))
    yield _joined(units)


def _joined(units: list[int]) -> bytes:
    raw = b"".join(unit.to_bytes(2, "little") for unit in units)
    units.clear()
    return raw.decode("utf-16-le", "replace").encode()


def _printable(word: str) -> str:
    return "".join(char if char.isprintable() else " " for char in word).strip()
