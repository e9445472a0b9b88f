"""Fonts in documents whose first bytes are scrambled, so that they are not taken out by hand: made plain again.

Source: ECMA-376-1, 17.8.1 (embedded fonts of Word); ECMA-388, 9.1.7.3 (fonts of XPS, by the GUID in their name).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from functools import partial

from indexer.handlers._parts import Parts

_SCRAMBLED = 32
_DIGITS = re.compile(r"[0-9A-Fa-f]{32}")


def show_named_fonts(parts: Parts) -> None:
    """Makes every scrambled font plain whose key is its own name."""
    for name in parts.names:
        if name.endswith(".odttf"):
            show_font(parts, name, posixpath.basename(name)[:-6])


def show_font(parts: Parts, name: str, key: str) -> None:
    """From now on the part holds a plain font; nothing is changed where `key` is no GUID."""
    digits = re.sub(r"[{}-]", "", key)
    if _DIGITS.fullmatch(digits):
        parts.unlock(name, partial(_plain, bytes.fromhex(digits)[::-1] * 2))


def _plain(key: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    first = b""
    for piece in pieces:
        first += piece
        if len(first) >= _SCRAMBLED:
            break
    yield bytes(byte ^ mask for byte, mask in zip(first, key, strict=False)) + first[_SCRAMBLED:]
    yield from pieces
